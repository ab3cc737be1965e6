"""What is known of a partition's files: the manifest beside the raw archive, and the footer inside the Parquet files.

Plain data with its JSON form. What belongs elsewhere: writing the files (`storage/files.py`, `assets/`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from callviz_dagster.contract import widen
from callviz_dagster.partitions import COVERAGE, Partition
from callviz_dagster.storage.files import parquet_metadata

if TYPE_CHECKING:
    from callviz_dagster.documents.profile import Profile
    from callviz_dagster.documents.recognition.evidence import Evidence
    from callviz_dagster.table.plan import FieldColumn

FORMAT_VERSION = 2
"""Raised by hand when what a record holds changes its form. callviz 0.1.0 wrote no version."""
FOOTER_KEY = b"callviz"
"""Key of the footer in the schema metadata of the Parquet files."""
UNREADABLE = "is damaged, or was written by another version of callviz"
"""What is the matter with a file whose record cannot be read, as the rest of a sentence."""


R = TypeVar("R")


class RecordError(ValueError):
    """A record is damaged, or was written by another version of callviz."""


def _record_text(record: Manifest | TableFooter | Coverage, **parts: Any) -> str:
    """Return a record as JSON text, a field on a line; `parts` are those of its fields with a JSON form of their own.

    Without further indentation it is written by the fast encoder, and half as long.
    """
    data = {"format_version": FORMAT_VERSION} | {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return "{\n" + ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in (data | parts).items()) + "\n}"


def _record(
    make: Callable[[dict[str, Any]], R], text: str | bytes, versions: Collection[int | None] = (FORMAT_VERSION,)
) -> R:
    """Return the record that `make` makes of the fields in a JSON text.

    Raises:
        RecordError: the text is not a record, is damaged, or is of another format version.
    """
    try:
        data = json.loads(text)
        if data.pop("format_version", None) not in versions:
            raise RecordError("The record has another format version.")
        return make(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(str(error)) from error


@dataclass(frozen=True)
class Manifest:
    """What a raw archive holds, and the instant that it is of."""

    partition: str
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
    span: str = ""
    """The documents that the partition takes, see `Partition.span`."""
    no_snapshot: str = ""
    """Why the documents are not of one instant; empty where they are."""
    evidence: Evidence | None = None
    """A sample of the documents, from which the fields of the roles are chosen; None in older manifests."""

    def to_json(self) -> str:
        """Return the manifest as JSON text for people and programs."""
        sample = self.evidence.to_json() if self.evidence else None
        return _record_text(self, profile=self.profile.to_json(), evidence=sample) + "\n"

    @classmethod
    def from_json(cls, text: str, *, evidence_below: int | None = None) -> Manifest:
        """Return the manifest that `to_json` wrote; see `Evidence.from_json` for `evidence_below`.

        Raises:
            RecordError: it is damaged, or of another format version.
        """
        from callviz_dagster.documents.profile import Profile
        from callviz_dagster.documents.recognition.evidence import Evidence

        def manifest(data: dict[str, Any]) -> Manifest:
            evidence = Evidence.from_json(data.get("evidence"), below=evidence_below)
            return cls(**data | {"profile": Profile.from_json(data["profile"]), "evidence": evidence})

        return _record(manifest, text if evidence_below is None else _without_evidence(text, evidence_below))


_FIRST_KEY = re.compile(r'\n"evidence": \{"format_version": \d+, "keys": \["([0-9a-f]{16})"')


def _without_evidence(text: str, below: int) -> str:
    """Return the text of a manifest without the line of the sample where all of that is left out.

    The line is most of the text. With many partitions few samples have a document that stays in the merged one.
    """
    start = text.rfind('\n"evidence": ')
    first_key = _FIRST_KEY.match(text, start) if start > 0 and text.endswith("}\n}\n") else None
    return f"{text[: start - 1]}}}" if first_key and int(first_key[1], 16) >= below else text


@dataclass(frozen=True)
class TableFooter:
    """What a `calls` file records of the refresh that wrote it; the next refresh keeps its columns and labels."""

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
    span: str = ""
    """The documents that the partition takes, see `Partition.span`."""
    cluster_time: str = ""
    """As in the manifest; empty where the server has none."""
    choice: Mapping[str, Any] | None = None
    """The fields that played the roles, see `Choice.to_json`."""
    fields_used: Mapping[str, str] = field(default_factory=dict)
    """For each role its field, with the unit of durations, in words; empty where no field plays it."""

    def to_json(self) -> str:
        """Return the footer as JSON text."""
        return _record_text(self, fields=[column.to_json() for column in self.fields])

    @classmethod
    def from_json(cls, text: str | bytes) -> TableFooter:
        """Return the footer that `to_json` wrote; those of callviz 0.1.0, which have no version, are read too.

        Raises:
            RecordError: it is damaged, or of another format version.
        """
        from callviz_dagster.table.plan import FieldColumn

        def footer(data: dict[str, Any]) -> TableFooter:
            fields = tuple(FieldColumn.from_json(column) for column in data["fields"])
            return cls(**data | {"fields": fields, "present": tuple(data["present"])})

        return _record(footer, text, (None, FORMAT_VERSION))


@dataclass(frozen=True)
class Coverage:
    """How many documents of the collection are in the partitions, and how many in none, at one instant."""

    partitioning: str
    documents: int
    covered: int
    no_date: int
    """Documents whose start time is missing or no date (text, a number, a list, null)."""
    before: int
    """Documents whose start time lies before the first partition."""
    ahead: int
    """Documents whose start time lies after the last partition, in the future."""
    waiting: Mapping[str, int] = field(default_factory=dict)
    """Documents in partitions without files yet, by run of consecutive partitions."""
    examples: Mapping[str, list[str]] = field(default_factory=dict)
    """Some `_id` of each kind that is in no partition."""
    create_index: str = ""
    """The command that creates the index on the start time; empty where there is one."""
    snapshot_time: str = ""

    @property
    def uncovered(self) -> int:
        """Documents that are in no partition."""
        return self.no_date + self.before + self.ahead

    def to_json(self) -> str:
        """Return it as JSON text."""
        return _record_text(self) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Coverage:
        """Return what `to_json` wrote.

        Raises:
            RecordError: it is damaged, or of another format version.
        """
        return _record(lambda data: cls(**data), text)


def read_manifest(path: Path, *, evidence_below: int | None = None) -> Manifest | None:
    """Return a manifest; None where there is no file, or no file that this version of callviz can read.

    See `Evidence.from_json` for `evidence_below`.
    """
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"), evidence_below=evidence_below)
    except (FileNotFoundError, RecordError, UnicodeDecodeError):
        return None


def published_coverage(data_dir: Path) -> Coverage | None:
    """Return how many documents were in no partition at the last refresh; None where that is not known."""
    try:
        return Coverage.from_json((data_dir / "raw_calls" / COVERAGE).read_text(encoding="utf-8"))
    except (FileNotFoundError, RecordError, UnicodeDecodeError):
        return None


def existing_partitions(partitions: Sequence[Partition], data_dir: Path) -> dict[Partition, TableFooter]:
    """Return the partitions that have a `calls` file made from just their documents, in time order, with its footer."""
    footers = {partition: read_footer(partition.calls(data_dir)) for partition in partitions}
    return {partition: footer for partition, footer in footers.items() if footer and footer.span == partition.span}


def is_complete(partition: Partition, data_dir: Path) -> bool:
    """Return whether a partition has a `calls` file that was made from the archive beside it."""
    footer = read_footer(partition.calls(data_dir))
    manifest = read_manifest(partition.manifest(data_dir), evidence_below=0)
    return (
        footer is not None
        and manifest is not None
        and footer.span == manifest.span == partition.span
        and footer.snapshot_time == manifest.snapshot_time
    )


def merged(footers: Iterable[TableFooter]) -> TableFooter | None:
    """Return the footers of all partitions as one: every column with the kind that holds all its values.

    Columns keep their first position, because each refresh starts from the columns published before it.
    """
    by_time = sorted(footers, key=lambda footer: footer.snapshot_time)
    if not by_time:
        return None
    columns: dict[str, FieldColumn] = {}
    labels: dict[str, set[str]] = {}
    present: dict[str, None] = {}
    for footer in by_time:
        for column in footer.fields:
            before = columns.setdefault(column.name, column)
            if column.kind is not None and before.kind is not column.kind:
                kind = widen(before.kind, column.kind) if before.kind else column.kind
                columns[column.name] = dataclasses.replace(before, kind=kind)
        for role, role_labels in footer.labels.items():
            labels.setdefault(role, set()).update(role_labels)
        present |= dict.fromkeys(footer.present)
    return dataclasses.replace(
        by_time[-1],
        documents=sum(footer.documents for footer in by_time),
        calls=sum(footer.calls for footer in by_time),
        rejected=sum(footer.rejected for footer in by_time),
        labels={role: sorted(role_labels) for role, role_labels in labels.items()},
        fields=tuple(columns.values()),
        present=tuple(present),
        other_fields=any(footer.other_fields for footer in by_time),
    )


def last_full_day(footers: Sequence[TableFooter]) -> int | None:
    """Return the day before that of the last refresh, in days since 1970-01-01; None where there was none."""
    return (snapshot_day(footers) - dt.date(1970, 1, 1)).days - 1 if footers else None


def snapshot_day(footers: Sequence[TableFooter]) -> dt.date:
    """Return the local date of the last refresh that wrote one of the files, of which there must be one."""
    last = max(dt.datetime.fromisoformat(footer.snapshot_time) for footer in footers)
    return last.astimezone(ZoneInfo(footers[0].timezone)).date()


def read_footer(path: Path) -> TableFooter | None:
    """Return the footer of a `calls` file; None where there is no such file, or none that can be read."""
    try:
        state = path.stat()
    except OSError:
        return None
    return _footer(path, state.st_mtime_ns, state.st_size, state.st_ino)


@functools.lru_cache(maxsize=4096)
def _footer(path: Path, *_state: int) -> TableFooter | None:
    """Return what `read_footer` does; several steps of a refresh ask for the footers of all partitions."""
    import pyarrow as pa

    try:
        metadata = parquet_metadata(path).metadata or {}
        return TableFooter.from_json(metadata[FOOTER_KEY])
    # Names of columns may be damaged, too, so that they are no text.
    except (KeyError, OSError, RecordError, UnicodeDecodeError, pa.ArrowException):
        return None
