"""What fields the documents of a partition have: their BSON types, how often, and where each first appears.

Gathered while `raw_calls` reads, kept in its manifest; the plan of the table is made from it (`table/plan.py`). Holds
names and counts, never values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from callviz_dagster.documents import walker as el
from callviz_dagster.documents.values import TYPE_NAMES, dotted
from callviz_dagster.documents.walker import Batch, Elements, Path

MOST_FIELDS = 20_000
"""The most fields that are distinguished: where a document is used as a map, its rarest fields are forgotten."""

_EXACT = 2**53
EARLIEST_DATE, LATEST_DATE = -62_135_510_400_000, 253_402_128_000_000
"""Dates (milliseconds) from the first to before the second lie in the years 1 to 9999 in every time zone: 0001-01-02 to
9999-12-30."""


@dataclass
class Field:
    """One field: how many documents hold it with each BSON type, and where in the partition it first appears."""

    first: int
    types: dict[int, int] = field(default_factory=dict)
    inexact: int = 0
    """Integers beyond 2^53, which a column of numbers alters, and dates that no column holds."""
    partial: bool = False
    """Whether it may have been forgotten before: then it can have had other types too."""

    @property
    def present(self) -> int:
        """Number of documents in which the field is something else than null."""
        return sum(count for kind, count in self.types.items() if kind not in (el.NULL, el.UNDEFINED))


@dataclass
class Profile:
    """The fields of a partition's documents, by path."""

    documents: int = 0
    bytes: int = 0
    forgotten: dict[Path, int] = field(default_factory=dict)
    """How many fields were forgotten, by nested document; the empty path is the top level."""
    fields: dict[Path, Field] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Count the fields of one more batch."""
        for (path, kind), elements in batch.elements.items():
            known = self._field(path, self.bytes + int(elements.starts[0]))
            known.types[kind] = known.types.get(kind, 0) + len(elements.rows)
            known.inexact += _inexact(batch, kind, elements)
        self.documents += len(batch)
        self.bytes += int(batch.starts[-1])
        self._forget()

    def merge(self, other: Profile) -> None:
        """Add the profile of a later partition."""
        for path, known in self.fields.items():
            known.partial |= path not in other.fields and other._forgets(path)
        for path, theirs in other.fields.items():
            ours = self._field(path, self.bytes + theirs.first)
            for kind, count in theirs.types.items():
                ours.types[kind] = ours.types.get(kind, 0) + count
            ours.inexact += theirs.inexact
            ours.partial |= theirs.partial
        for path, count in other.forgotten.items():
            self.forgotten[path] = self.forgotten.get(path, 0) + count
        self.documents += other.documents
        self.bytes += other.bytes
        self._forget()

    def _field(self, path: Path, first: int) -> Field:
        known = self.fields.get(path)
        if known is None:
            known = self.fields[path] = Field(first, partial=self._forgets(path))
        known.first = min(known.first, first)
        return known

    def _forgets(self, path: Path) -> bool:
        return bool(self.forgotten) and any(path[:depth] in self.forgotten for depth in range(len(path)))

    def _forget(self) -> None:
        """Forget the rarer half of the document with the most fields, and what is below them, until few are left."""
        while len(self.fields) > MOST_FIELDS:
            parent, count = Counter(path[:-1] for path in self.fields).most_common(1)[0]
            depth = len(parent)
            inside = [path for path in self.fields if path[:depth] == parent and len(path) == depth + 1]
            inside.sort(key=lambda path: (-self.fields[path].present, self.fields[path].first))
            rare = set(inside[count // 2 :])
            self.fields = {path: known for path, known in self.fields.items() if path[: depth + 1] not in rare}
            self.forgotten[parent] = self.forgotten.get(parent, 0) + len(rare)

    def ordered(self) -> list[tuple[Path, Field]]:
        """Return the fields in the order in which they first appear."""
        return sorted(self.fields.items(), key=lambda item: item[1].first)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as plain JSON data."""
        return {
            "documents": self.documents,
            "bytes": self.bytes,
            "forgotten": [[path_to_json(path), count] for path, count in self.forgotten.items()],
            "fields": [
                {
                    "field": dotted(path),
                    "path": path_to_json(path),
                    "first": known.first,
                    "types": {TYPE_NAMES[kind]: count for kind, count in known.types.items() if kind != el.FLATTENED},
                    "flattened": known.types.get(el.FLATTENED, 0),
                    "inexact": known.inexact,
                    "partial": known.partial,
                }
                for path, known in self.ordered()
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Profile:
        """Return the profile that `to_json` described."""
        codes = {name: kind for kind, name in TYPE_NAMES.items() if kind != el.FLATTENED}
        forgotten = {path_from_json(path): count for path, count in data["forgotten"]}
        profile = cls(data["documents"], data["bytes"], forgotten)
        for entry in data["fields"]:
            types = {codes[name]: count for name, count in entry["types"].items()}
            if entry["flattened"]:
                types[el.FLATTENED] = entry["flattened"]
            profile.fields[path_from_json(entry["path"])] = Field(
                entry["first"], types, entry["inexact"], entry["partial"]
            )
        return profile


def path_to_json(path: Path) -> list[str]:
    """Return a path as text that JSON can hold and `path_from_json` turns back exactly."""
    return [name.decode(errors="surrogateescape") for name in path]


def path_from_json(path: Iterable[str]) -> Path:
    """Return the path that `path_to_json` described."""
    return tuple(name.encode(errors="surrogateescape") for name in path)


def _inexact(batch: Batch, kind: int, elements: Elements) -> int:
    if kind not in (el.INT64, el.DATE):
        return 0
    values = batch.int64(elements.starts)
    if kind == el.INT64:
        return int(np.count_nonzero((values > _EXACT) | (values < -_EXACT)))
    return int(np.count_nonzero((values < EARLIEST_DATE) | (values >= LATEST_DATE)))
