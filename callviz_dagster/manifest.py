"""What is known of a window's files: the manifest beside the raw archive, and the facts inside the Parquet files.

Plain data with its JSON form. What belongs elsewhere: writing the files (`files.py`, `assets/`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callviz_dagster.plan import FieldColumn
from callviz_dagster.profile import Profile

FACTS_KEY = b"callviz"
"""Key of the facts in the schema metadata of the Parquet files."""


@dataclass(frozen=True)
class Manifest:
    """What a raw archive holds, and of which instant."""

    window: str
    source: str
    server: str
    point_in_time: bool
    snapshot_time: str
    """ISO 8601, UTC."""
    cluster_time: str
    counted: int
    """Documents that the server counted in the snapshot."""
    documents: int
    bytes: int
    """Size of all documents, uncompressed."""
    documents_sha256: str
    """Digest of all documents, end to end, uncompressed."""
    resumed: int
    profile: Profile

    def to_json(self) -> str:
        """Return the manifest as JSON text for people and programs."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json.dumps(data | {"profile": self.profile.to_json()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Return the manifest that `to_json` wrote."""
        data = json.loads(text)
        return cls(**data | {"profile": Profile.from_json(data["profile"])})


@dataclass(frozen=True)
class Facts:
    """What a `calls` file says of the refresh that made it; the next refresh keeps its columns and labels."""

    source: str
    snapshot_time: str
    timezone: str
    documents: int = 0
    calls: int = 0
    rejected: int = 0
    rejected_reasons: Mapping[str, int] = field(default_factory=dict)
    repaired_rows: int = 0
    repairs: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, list[str]] = field(default_factory=dict)
    """Every type and status ever seen."""
    fields: tuple[FieldColumn, ...] = ()
    present: tuple[str, ...] = ()
    """Names of the fields that some document of this refresh has."""
    other_fields: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that changed what is in the file."""

    def to_json(self) -> str:
        """Return the facts as JSON text."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json.dumps(data | {"fields": [column.to_json() for column in self.fields]})

    @classmethod
    def from_json(cls, text: str | bytes) -> Facts:
        """Return the facts that `to_json` wrote."""
        data = json.loads(text)
        fields = tuple(FieldColumn.from_json(column) for column in data["fields"])
        return cls(**data | {"fields": fields, "present": tuple(data["present"])})


def published_facts(path: Path) -> Facts | None:
    """Return the facts in a published Parquet file; None where there is no such file."""
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    metadata = pq.read_metadata(path).metadata or {}
    return Facts.from_json(metadata[FACTS_KEY]) if FACTS_KEY in metadata else None
