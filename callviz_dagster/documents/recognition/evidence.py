"""A bounded sample of whole documents, gathered while `raw_calls` streams: what the choice of fields is made from.

The same documents give the same sample, in whatever batches and partitions they come: those whose `_id` has the
smallest hashes. Kept are the values of fields that could play a role, as plain JSON; none of a field that is dropped
or pseudonymized. What belongs elsewhere: what the values say (`recognition/facts.py`).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints, hashes_of_slices
from callviz_dagster.documents.durations import read_duration_document
from callviz_dagster.documents.recognition.names import Strength, name_of
from callviz_dagster.documents.recognition.vocabulary import Word
from callviz_dagster.documents.times import UNREADABLE, read_subdocument
from callviz_dagster.documents.values import Renderer, Secrets, plain_path
from callviz_dagster.documents.walker import Batch, Elements, Path, Walker

SAMPLE = 256
"""Documents in the sample. Shares are compared with thresholds of a half and more, which as few tell well enough."""
FORMAT_VERSION = 2
"""Of the JSON form; a sample of another version is not used."""

_MOST_BYTES = 8 << 20
"""Documents of the sample are kept whole until they take this much; then only their candidate values are."""
_DEEPEST = 4
"""Fields deeper than this are no candidates."""
_SMALL = 200
"""Bytes of the largest nested document that can stand for one value."""
_LONGEST = 60
"""Longer text is cut: no time, duration or label needs more."""
_CALENDAR = re.compile(
    r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2}|\d{1,2}\.?[ -](?:de )?[^\W\d_]{3,10}\.?[ -](?:de )?\d{2}"
    r"|\d{1,2}:\d\d:\d\d|\d Uhr"
)
"""What times written as text have, whatever the field is called."""
_LIKELY_EPOCHS = ((946_684_800, 2_208_988_800),)
"""Seconds in 2000 and 2039: a number under a name that says nothing may be a time between them."""

Value = Any
"""A value as JSON has it: text, number, true or false, or Extended JSON's form of a date or a decimal."""


@dataclass(frozen=True)
class Sampled:
    """One document of the sample."""

    key: int
    """The hash of its `_id`."""
    id_second: int | None
    """The second inside its ObjectId; None where the `_id` is something else."""
    values: Mapping[Path, Value]


@dataclass
class Evidence:
    """The sample of one or more partitions."""

    documents: list[Sampled] = field(default_factory=list)
    """In the order of their keys."""

    def merge(self, other: Evidence) -> None:
        """Add the sample of another partition: the result is the sample of both together."""
        self.documents = sorted([*self.documents, *other.documents], key=lambda one: one.key)[:SAMPLE]

    def without(self, secrets: Secrets) -> Evidence:
        """Return the sample without the values of fields that are hidden by now."""
        if not secrets:
            return self
        return Evidence(
            [
                Sampled(
                    one.key, one.id_second, {path: v for path, v in one.values.items() if not _hidden(path, secrets)}
                )
                for one in self.documents
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the sample as plain JSON data, field by field."""
        paths = list(dict.fromkeys(path for one in self.documents for path in one.values))
        return {
            "format_version": FORMAT_VERSION,
            "keys": [f"{one.key:016x}" for one in self.documents],
            "id_seconds": [one.id_second for one in self.documents],
            "fields": [
                {
                    "path": [name.decode(errors="surrogateescape") for name in path],
                    "values": {
                        str(number): one.values[path] for number, one in enumerate(self.documents) if path in one.values
                    },
                }
                for path in paths
            ],
        }

    @property
    def limit(self) -> int | None:
        """The key from which on documents no longer come into the sample; None while there is room."""
        return self.documents[-1].key if len(self.documents) >= SAMPLE else None

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None, *, below: int | None = None) -> Evidence:
        """Return the sample that `to_json` described; an empty one where it is of another version.

        Args:
            data: what `to_json` returned.
            below: documents with this key or a larger one are left out, as a merge would do with them.
        """
        if not data or data.get("format_version") != FORMAT_VERSION:
            return cls()
        keys = [int(key, 16) for key in data["keys"]]
        documents = len(keys) if below is None else bisect.bisect_left(keys, below)
        values: list[dict[Path, Value]] = [{} for _ in range(documents)]
        for entry in data["fields"] if documents else ():
            path = tuple(name.encode(errors="surrogateescape") for name in entry["path"])
            for number, value in entry["values"].items():
                if int(number) < documents:
                    values[int(number)][path] = value
        return cls([Sampled(*one) for one in zip(keys, data["id_seconds"], values, strict=False)])


class Gatherer:
    """Takes the sample from batch after batch."""

    def __init__(self, secrets: Secrets | None = None) -> None:
        self._secrets = secrets or Secrets()
        self._whole: list[tuple[int, bytes]] = []
        """Documents that are in the sample so far, with their keys."""
        self._known: list[Sampled] = []
        """The same, of which only the values are left."""

    def add(self, batch: Batch) -> None:
        """Look at one more batch."""
        keys = hashes(batch)
        limit = self._limit()
        below = np.arange(len(keys)) if limit is None else np.flatnonzero(keys < np.uint64(limit))
        if not len(below):
            return
        if len(below) > SAMPLE:
            below = below[np.argpartition(keys[below], SAMPLE - 1)[:SAMPLE]]
        for row in below.tolist():
            self._whole.append((int(keys[row]), batch.raw[batch.starts[row] : batch.starts[row + 1]]))
        self._trim()

    def evidence(self) -> Evidence:
        """Return the sample of all batches so far."""
        self._read_values()
        return Evidence(sorted(self._known, key=lambda one: one.key)[:SAMPLE])

    def _limit(self) -> int | None:
        """Return the largest key of the sample; None while there is room."""
        keys = [key for key, _ in self._whole] + [one.key for one in self._known]
        return max(keys) if len(keys) >= SAMPLE else None

    def _trim(self) -> None:
        keys = sorted([key for key, _ in self._whole] + [one.key for one in self._known])
        if len(keys) > SAMPLE:
            limit = keys[SAMPLE - 1]
            self._whole = [(key, document) for key, document in self._whole if key <= limit]
            self._known = [one for one in self._known if one.key <= limit]
        if sum(len(document) for _, document in self._whole) > _MOST_BYTES:
            self._read_values()

    def _read_values(self) -> None:
        if self._whole:
            batch = Walker().walk(b"".join(document for _, document in self._whole))
            self._known += sampled(batch, [key for key, _ in self._whole], self._secrets)
            self._whole = []


def hashes(batch: Batch) -> NDArray[np.uint64]:
    """Return a hash of each document's `_id`, from its raw bytes; of the whole document where it has none."""
    starts, sizes = batch.starts[:-1].copy(), np.diff(batch.starts)
    for (path, kind), elements in batch.elements.items():
        if path == (b"_id",):
            starts[elements.rows] = elements.starts
            sizes[elements.rows] = _sizes(batch, kind, elements)
    return hashes_of_slices(batch.data, starts, sizes)


def _sizes(batch: Batch, kind: int, elements: Elements) -> Ints | int:
    fixed = {el.OBJECT_ID: 12, el.INT32: 4, el.INT64: 8, el.DOUBLE: 8, el.DATE: 8}
    if kind in fixed:
        return fixed[kind]
    if kind == el.STRING:
        return batch.int32(elements.starts) + 4
    return np.array([el.value_size(batch.raw, kind & 0xFF, start) for start in elements.starts.tolist()], np.int64)


def sampled(batch: Batch, keys: Iterable[int], secrets: Secrets) -> list[Sampled]:
    """Return the candidate values of the documents of a batch."""
    renderer = Renderer(batch.raw)
    values: list[dict[Path, Value]] = [{} for _ in range(len(batch))]
    id_seconds = _seconds_in_ids(batch)
    for (path, kind), elements in batch.elements.items():
        if len(path) > _DEEPEST or path[0] == b"_id" or kind not in _READABLE or _hidden(path, secrets):
            continue
        if kind == el.FLATTENED:
            read = iter(()) if secrets else _small_documents(batch, elements, renderer)
        else:
            read = _single_values(path, kind, elements, renderer)
        for row, value in read:
            values[row][path] = value
    return [
        Sampled(key, when, dict(sorted(elements.items())))
        for key, when, elements in zip(keys, id_seconds, values, strict=True)
    ]


def _seconds_in_ids(batch: Batch) -> list[int | None]:
    """Return the second inside each document's ObjectId; None where the `_id` is something else."""
    seconds: list[int | None] = [None] * len(batch)
    identifiers = batch.elements.get(((b"_id",), el.OBJECT_ID))
    if identifiers:
        for row, start in zip(identifiers.rows.tolist(), identifiers.starts.tolist(), strict=True):
            seconds[row] = int.from_bytes(batch.raw[start : start + 4], "big")
    return seconds


def _single_values(path: Path, kind: int, elements: Elements, renderer: Renderer) -> Iterator[tuple[int, Value]]:
    """Yield row and value of a field that speaks of a role, or holds what looks like times."""
    wanted = kind in (el.DATE, el.TIMESTAMP) or _speaks(path)
    for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
        value = renderer.value(kind, start)
        if isinstance(value, str):
            value = value[:_LONGEST]
        if wanted or _may_be_time(value, path):
            yield row, value


def _small_documents(batch: Batch, elements: Elements, renderer: Renderer) -> Iterator[tuple[int, Value]]:
    """Yield row and value of nested documents that stand for a time or a duration."""
    for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
        if el.value_size(batch.raw, el.DOCUMENT, start) <= _SMALL:
            value = renderer.value(el.FLATTENED, start)
            if _stands_for_one_value(value):
                yield row, value


_READABLE = frozenset(
    {
        *(el.DOUBLE, el.STRING, el.BOOLEAN, el.DATE, el.NULL, el.SYMBOL, el.INT32, el.TIMESTAMP, el.INT64),
        *(el.DECIMAL128, el.FLATTENED),
    }
)


def _stands_for_one_value(document: Mapping[str, Any]) -> bool:
    """Return whether a nested document is how a time or a duration was written: `{seconds, nanos}`, `{$date: …}`."""
    if read_subdocument(document, zone="UTC") is not UNREADABLE:
        return True
    return read_duration_document(document).seconds is not None


def _hidden(path: Path, secrets: Secrets) -> bool:
    plain = plain_path(path)
    return secrets.drops(plain) or secrets.hides(plain)


def _speaks(path: Path) -> bool:
    """Return whether a field's name speaks of a role at all, and of no party or identifier."""
    name = name_of(path)
    if name.ranks:
        return True
    return max(name.strengths.values()) > Strength.NONE and not name.says(Word.PERSONAL)


def _may_be_time(value: Value, path: Path) -> bool:
    """Return whether a value looks like a time although the field's name does not say so."""
    if isinstance(value, str) and _CALENDAR.search(value):
        return True
    if isinstance(value, bool) or not isinstance(value, int | float) or name_of(path).says(Word.PERSONAL):
        return False
    return any(low <= abs(value) / scale < high for low, high in _LIKELY_EPOCHS for scale in (1, 10**3, 10**6, 10**9))
