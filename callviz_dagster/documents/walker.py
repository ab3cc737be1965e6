"""Raw BSON documents → their elements, by field path and BSON type.

NumPy walks all documents of a batch at once: where the current element of many documents has the same name, they
step over it together. Documents with little in common are walked element by element, all of them at once, and odd
documents one by one. Each way gives the same elements, as positions in the raw bytes: nothing is decoded, changed or
left out here.
What belongs elsewhere: what a value means (`documents/values.py`, `documents/times/`) and what becomes of it
(`table/normalize.py`).

BSON: https://bsonspec.org/spec.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from callviz_dagster.documents.buffers import Ints, byte_rows, padded_bytes, unaligned_view

Path = tuple[bytes, ...]
"""A field's names from the top of the document. A name that repeats in one document has `REPEAT` and its number."""

REPEAT = b"\x00"
"""Stands between a name and the number of its repetition; no BSON name can hold a zero byte."""

DOUBLE, STRING, DOCUMENT, ARRAY, BINARY, UNDEFINED, OBJECT_ID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
BOOLEAN, DATE, NULL, REGEX, DB_POINTER, CODE, SYMBOL = 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E
CODE_WITH_SCOPE, INT32, TIMESTAMP, INT64, DECIMAL128 = 0x0F, 0x10, 0x11, 0x12, 0x13
MIN_KEY, MAX_KEY = 0xFF, 0x7F
FLATTENED = 0x103
"""Type of a nested document whose own elements are given too, under longer paths."""

MAX_DEPTH = 8
"""Nested documents deeper than this stay one value."""

_FIXED = {
    DOUBLE: 8,
    UNDEFINED: 0,
    OBJECT_ID: 12,
    BOOLEAN: 1,
    DATE: 8,
    NULL: 0,
    INT32: 4,
    TIMESTAMP: 8,
    INT64: 8,
    DECIMAL128: 16,
    MIN_KEY: 0,
    MAX_KEY: 0,
}
_COUNTED = {STRING: 4, DOCUMENT: 0, ARRAY: 0, BINARY: 5, CODE: 4, SYMBOL: 4, DB_POINTER: 16, CODE_WITH_SCOPE: 0}
"""Types whose size is an int32 at their start plus this many bytes."""

_SMALLEST = 5
"""Bytes of the empty document."""
_MIN_DOCUMENTS_PER_SWEEP = 24
"""Fewer documents than this are walked one by one."""
_MIN_DOCUMENTS_PER_LEVEL = 256
"""Levels of fewer documents than this are walked together."""
_DOCUMENTS_PER_BLOCK = 4096
"""How many documents with little in common, or small levels, are walked together."""
_NAME = 32
"""Bytes of a name that are compared at once; a document with a longer one is walked alone."""
_MOST_NAMES = 512
_MOST_SWEEPS = 64
_int32 = struct.Struct("<i").unpack_from


class ElementError(ValueError):
    """The bytes are not BSON documents."""


@dataclass(slots=True)
class Elements:
    """The elements of one path and type in a batch: the row each is of, and where its value starts."""

    rows: Ints
    starts: Ints


@dataclass
class Batch:
    """Documents as raw bytes, with their elements by path and type.

    `raw` and `data` are the same bytes; in `data` others follow the last document, so that fixed-width reads never
    leave it.
    `starts` has the offset of each document and, last, the end of the last one.
    """

    raw: bytes
    data: NDArray[np.uint8]
    starts: Ints
    elements: Mapping[tuple[Path, int], Elements]

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.starts) - 1

    def int32(self, starts: Ints) -> Ints:
        """Return the int32 at each position."""
        return unaligned_view(self.data, "<i4")[starts].astype(np.int64)

    def int64(self, starts: Ints) -> Ints:
        """Return the int64 (or the date, in milliseconds) at each position."""
        return unaligned_view(self.data, "<i8")[starts]

    def double(self, starts: Ints) -> NDArray[np.float64]:
        """Return the double at each position."""
        return unaligned_view(self.data, "<f8")[starts]


ElementParts = dict[tuple[Path, int], list[tuple[Ints, Ints]]]
Levels = list[tuple[Path, Ints, Ints]]
"""Nested documents by path: their rows, and where their first elements start."""


@dataclass
class Walker:
    """Walks batches; remembers the order of names from batch to batch, which saves time and changes no result."""

    _orders: dict[Path, list[bytes]] = field(default_factory=dict)

    def walk(self, documents: bytes, starts: Ints | None = None) -> Batch:
        """Return the batch of these documents, given end to end.

        Args:
            documents: the documents; where `starts` is given, other bytes may follow them.
            starts: the offset of each document and, last, the end of the last one; by default, read from the
                documents.

        Raises:
            ElementError: the bytes are not whole BSON documents.
        """
        starts = document_starts(documents) if starts is None else starts
        data = _Bytes(documents, int(starts[-1]))
        element_parts: ElementParts = {}
        small: Levels = []
        self._walk_level(data, (), np.arange(len(starts) - 1, dtype=np.int64), starts[:-1] + 4, element_parts, small)
        while small:
            levels = small[-_DOCUMENTS_PER_BLOCK:]
            del small[-_DOCUMENTS_PER_BLOCK:]
            self._walk_small(data, levels, element_parts, small)
        return Batch(documents, data.bytes, starts, {key: _joined(parts) for key, parts in element_parts.items()})

    def _walk_level(
        self, data: _Bytes, prefix: Path, rows: Ints, position: Ints, element_parts: ElementParts, small: Levels
    ) -> None:
        """Walk one level of (sub)documents, whose first elements start at `position`, and the levels below it.

        Levels of few documents are not walked but added to `small`.
        """
        level = _Level(data, rows, position)
        order = self._orders.setdefault(prefix, [])
        active = level.unfinished(np.arange(len(rows)))
        for _ in range(_MOST_SWEEPS):
            if len(active) < _MIN_DOCUMENTS_PER_SWEEP:
                break
            _learn(order, level.names(int(active[0])))
            active, stepped, useful = level.sweep(active, order)
            # Names that hardly any documents share, as of a map's keys, take longer one after the other.
            if stepped < len(order) * (2 + len(active) // 200):
                order[:] = useful
                break
        for one in level.walk_mixed(active):
            level.walk_alone(int(one))
        self._keep(data, prefix, level, element_parts, small)

    def _walk_small(self, data: _Bytes, levels: Levels, element_parts: ElementParts, small: Levels) -> None:
        """Walk levels that have few documents each, all at once."""
        rows = np.concatenate([level[1] for level in levels])
        position = np.concatenate([level[2] for level in levels])
        owner = np.repeat(np.arange(len(levels)), [len(level[1]) for level in levels])
        groups, odd = _mixed(data, position, owner)
        by_level: dict[int, _Level] = {}
        for place, name, kind, some, starts in groups:
            level = by_level.setdefault(place, _Level(data, rows, position))
            level.element_parts.setdefault((name, kind), []).append((rows[some], starts))
        for one in odd.tolist():
            by_level.setdefault(int(owner[one]), _Level(data, rows, position)).walk_alone(one)
        for place, level in by_level.items():
            self._keep(data, levels[place][0], level, element_parts, small)

    def _keep(self, data: _Bytes, prefix: Path, level: _Level, element_parts: ElementParts, small: Levels) -> None:
        """Add the elements of a level, and walk the levels below it."""
        for (name, kind), parts in level.element_parts.items():
            elements = _joined(parts)
            path, here, starts = (*prefix, name), elements.rows, elements.starts
            if kind == DOCUMENT and len(path) < MAX_DEPTH:
                flat = data.flattens(starts)
                if flat.any():
                    nested, first = here[flat], starts[flat] + 4
                    element_parts.setdefault((path, FLATTENED), []).append((nested, starts[flat]))
                    if len(nested) < _MIN_DOCUMENTS_PER_LEVEL:
                        small.append((path, nested, first))
                    else:
                        self._walk_level(data, path, nested, first, element_parts, small)
                here, starts = here[~flat], starts[~flat]
            if len(here):
                element_parts.setdefault((path, kind), []).append((here, starts))


@dataclass
class _Level:
    """(Sub)documents on their way: for each the position of its current element, and the elements so far.

    Some of the documents are given as their numbers, in rising order; all of them need no selecting.
    """

    data: _Bytes
    rows: Ints
    position: Ints
    element_parts: dict[tuple[bytes, int], list[tuple[Ints, Ints]]] = field(default_factory=dict)
    times: dict[bytes, NDArray[np.int16]] = field(default_factory=dict)
    """For each name that was stepped over before, how often each document has had it; see `had`."""
    uncounted: dict[bytes, list[Ints]] = field(default_factory=dict)
    """For each name, the documents that stepped over it and are not counted in `times` yet."""

    def _positions(self, some: Ints) -> Ints:
        return self.position if len(some) == len(self.position) else self.position[some]

    def unfinished(self, active: Ints) -> Ints:
        going = self.data.bytes[self._positions(active)] != 0
        return active if going.all() else active[going]

    def names(self, one: int) -> list[bytes]:
        return [name for name, _, _ in iterate(self.data.raw, int(self.position[one]))]

    def those_at(self, active: Ints, name: bytes) -> Ints:
        """Return those of the documents whose current element has this name."""
        hit = self.data.named(self._positions(active), name)
        return active if hit.all() else active[hit]

    def sweep(self, active: Ints, order: Sequence[bytes]) -> tuple[Ints, int, list[bytes]]:
        """Step over one name after the other, each in all documents that are at it, until few documents are left.

        Returns:
            The documents that have not ended, how many elements were stepped over, and the names that occurred.
        """
        stepped, useful = 0, []
        for name in order:
            here = self.those_at(active, name)
            if not len(here):
                continue
            stepped += len(here)
            useful.append(name)
            if self.step(name, here):
                active = self.unfinished(active)
                if len(active) < _MIN_DOCUMENTS_PER_SWEEP:
                    break
        return active, stepped, useful

    def step(self, name: bytes, here: Ints) -> bool:
        """Record the current element, called `name`, of the documents `here`, and step over it.

        Returns:
            Whether one of the documents has ended.
        """
        at = self._positions(here)
        kinds = self.data.bytes[at]
        starts = at + (len(name) + 2)
        had = self.had(name)
        self.uncounted.setdefault(name, []).append(here)
        ended = False
        for kind in _distinct(kinds):
            same = slice(None) if (kinds == kind).all() else kinds == kind
            of_kind, values = here[same], starts[same]
            after = values + self.data.sizes(kind, values)
            if len(of_kind) == len(self.position):
                self.position = after
            else:
                self.position[of_kind] = after
            ended = ended or not self.data.bytes[after].all()
            self._add_all(name, had, kind, of_kind, values)
        return ended

    def had(self, name: bytes) -> NDArray[np.int16] | None:
        """Return how often each document has had a name so far; None where none has."""
        if name not in self.uncounted:
            return None
        count = self.times.get(name)
        if count is None:
            count = self.times[name] = np.zeros(len(self.position), np.int16)
        while self.uncounted[name]:
            count[self.uncounted[name].pop()] += 1
        return count

    def walk_mixed(self, some: Ints) -> Ints:
        """Record the remaining elements of documents with little in common; return the documents to walk alone."""
        alone = [some] if len(some) < _MIN_DOCUMENTS_PER_SWEEP else []
        for first in range(0, 0 if alone else len(some), _DOCUMENTS_PER_BLOCK):
            part = some[first : first + _DOCUMENTS_PER_BLOCK]
            groups, odd = _mixed(self.data, self.position[part], np.zeros(len(part), np.int64))
            alone.append(part[odd])
            for _, name, kind, places, starts in groups:
                self._add_all(name, self.had(name), kind, part[places], starts)
        return np.concatenate(alone)

    def walk_alone(self, one: int) -> None:
        """Record the remaining elements of one document."""
        repeats: dict[bytes, int] = {}
        row = self.rows[one : one + 1]
        for name, kind, start in iterate(self.data.raw, int(self.position[one])):
            repeat = repeats.get(name)
            if repeat is None:
                had = self.had(name)
                repeat = 0 if had is None else int(had[one])
            repeats[name] = repeat + 1
            self._add(name, repeat, kind, row, np.array([start], np.int64))

    def _add_all(self, name: bytes, had: NDArray[np.int16] | None, kind: int, here: Ints, starts: Ints) -> None:
        """Record elements whose name occurred in their document as often as `had` says; see `had`."""
        rows = self.rows if len(here) == len(self.rows) else self.rows[here]
        if had is None:
            self._add(name, 0, kind, rows, starts)
            return
        repeats = had[here]
        for repeat in _distinct(repeats):
            which = repeats == repeat
            self._add(name, repeat, kind, rows[which], starts[which])

    def _add(self, name: bytes, repeat: int, kind: int, rows: Ints, starts: Ints) -> None:
        key = name + REPEAT + b"%d" % (repeat + 1) if repeat else name
        self.element_parts.setdefault((key, kind), []).append((rows, starts))


def _mixed(data: _Bytes, position: Ints, owner: Ints) -> tuple[list[tuple[int, bytes, int, Ints, Ints]], Ints]:
    """Find the elements of documents that have little in common: the next one of all documents, then the next.

    Args:
        data: the bytes.
        position: where each document's current element starts.
        owner: a number for each document; only elements of documents with the same one are put together.

    Returns:
        owner, name, type, documents in rising order and the starts of the values; and the documents of which nothing
        is among these: with a long name, with one that occurs twice, or with very many elements.
    """
    odd = np.zeros(len(position), np.bool_)
    some, at = np.arange(len(position)), position
    steps: list[tuple[Ints, NDArray[np.bytes_], NDArray[np.uint8], Ints]] = []
    for _ in range(_MOST_SWEEPS):
        going = data.bytes[at] != 0
        some, at = some[going], at[going]
        if not len(some):
            break
        names, lengths = data.names(at)
        usable = lengths >= 0
        odd[some[~usable]] = True
        some, names, kinds, starts = some[usable], names[usable], data.bytes[at[usable]], (at + lengths + 2)[usable]
        steps.append((some, names, kinds, starts))
        at = starts.copy()
        for kind in _distinct(kinds) if len(kinds) else ():
            same = kinds == kind
            at[same] += data.sizes(kind, starts[same])
    odd[some] = True
    if not steps:
        return [], np.flatnonzero(odd)
    documents, names, kinds, starts = (np.concatenate(parts) for parts in zip(*steps, strict=True))
    different, codes = np.unique(names, return_inverse=True)
    pairs = np.sort(codes * len(position) + documents)
    odd[pairs[1:][pairs[1:] == pairs[:-1]] % len(position)] = True
    keys = (owner[documents] * len(different) + codes) * 256 + kinds
    order = np.lexsort((documents, keys))
    order = order[~odd[documents[order]]]
    documents, keys, starts = documents[order], keys[order], starts[order]
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    ends = np.append(firsts, len(keys))[1:]
    places, codes = np.divmod(keys[firsts] // 256, len(different))
    groups = [
        (place, name, kind, documents[first:end], starts[first:end])
        for place, name, kind, first, end in zip(
            places.tolist(),
            different[codes].tolist(),
            (keys[firsts] % 256).tolist(),
            firsts.tolist(),
            ends.tolist(),
            strict=True,
        )
    ]
    return groups, np.flatnonzero(odd)


def _learn(order: list[bytes], names: list[bytes]) -> None:
    """Put the names that are new into the order, each behind the one that it follows."""
    place = 0
    known = set(order)
    for name in names:
        if name in known:
            place = order.index(name) + 1
        elif len(order) < _MOST_NAMES:
            order.insert(place, name)
            known.add(name)
            place += 1


def _joined(parts: list[tuple[Ints, Ints]]) -> Elements:
    """Return the parts as one, in the order of the documents."""
    if len(parts) == 1:
        return Elements(*parts[0])
    rows = np.concatenate([part[0] for part in parts])
    starts = np.concatenate([part[1] for part in parts])
    order = np.argsort(rows, kind="stable")
    return Elements(rows[order], starts[order])


class _Bytes:
    """The bytes of a batch, read at many positions at once."""

    def __init__(self, raw: bytes, end: int) -> None:
        self.raw = raw
        self.bytes = padded_bytes(raw, end)
        self._int32 = unaligned_view(self.bytes, "<i4")
        self._words = unaligned_view(self.bytes, "<u8")

    def int32(self, at: Ints) -> Ints:
        return self._int32[at].astype(np.int64)

    def named(self, at: Ints, name: bytes) -> NDArray[np.bool_]:
        """Return, for each position, whether the element there has this name."""
        wanted = name + b"\x00"
        hit = np.ones(len(at), np.bool_)
        for offset in range(0, len(wanted), 8):
            part = wanted[offset : offset + 8]
            places = at + (1 + offset)
            if offset:  # the name may be longer than the rest of the bytes
                np.minimum(places, len(self._words) - 1, out=places)
            words = self._words[places]
            if len(part) < 8:
                words &= np.uint64((1 << (8 * len(part))) - 1)
            hit &= words == np.uint64(int.from_bytes(part, "little"))
        return hit

    def names(self, at: Ints) -> tuple[NDArray[np.bytes_], Ints]:
        """Return the name of the element at each position, and its length; -1 for a long one."""
        name_bytes = byte_rows(self.bytes, at + 1, _NAME)
        ends = name_bytes == 0
        lengths = np.where(ends.any(axis=1), ends.argmax(axis=1), -1)
        name_bytes[np.arange(_NAME) >= lengths[:, None]] = 0
        return name_bytes.view(f"S{_NAME}")[:, 0], lengths

    def sizes(self, kind: int, starts: Ints) -> Ints | int:
        """Return the size of each value of this type, or the one size of all."""
        if kind in _FIXED:
            return _FIXED[kind]
        if kind in _COUNTED:
            return self.int32(starts) + _COUNTED[kind]
        return np.array([value_size(self.raw, kind, int(start)) for start in starts], np.int64)

    def flattens(self, starts: Ints) -> NDArray[np.bool_]:
        """Return which nested documents are walked too: those that are neither empty nor a DBRef."""
        empty = self.int32(starts) <= 5
        reference = self.named(starts + 4, b"$ref")
        return ~(empty | reference)


def _distinct(values: NDArray[np.integer]) -> list[int]:
    first = values[0]
    if (values == first).all():
        return [int(first)]
    return [int(value) for value in np.unique(values)]


def document_starts(documents: bytes, *, cut: bool = False) -> Ints:
    """Return the offset of each document and, last, the end of the last one.

    Args:
        documents: documents end to end.
        cut: whether the bytes may end within a document, which is then left out.

    Raises:
        ElementError: the bytes are not whole documents.
    """
    starts = [0]
    append, read = starts.append, _int32
    position, end = 0, len(documents)
    try:
        while position < end:
            (size,) = read(documents, position)
            if size < _SMALLEST:
                raise ElementError("a length that no document has")
            position += size
            append(position)
    except struct.error:  # not even the length is there
        position = end + 1
        append(position)
    if position > end:
        if not cut:
            raise ElementError("the bytes end within a document")
        starts.pop()
    return np.array(starts, np.int64)


def value_size(raw: bytes, kind: int, start: int) -> int:
    """Return the size in bytes of the value of this type that starts there."""
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _COUNTED:
        return int(_int32(raw, start)[0]) + _COUNTED[kind]
    if kind == REGEX:
        return raw.index(b"\x00", raw.index(b"\x00", start) + 1) + 1 - start
    raise ElementError(f"0x{kind:02x} is no BSON type")


def iterate(raw: bytes, position: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, type and value position of each element from `position` to the end of its document."""
    while raw[position]:
        kind = raw[position]
        end = raw.index(b"\x00", position + 1)
        yield raw[position + 1 : end], kind, end + 1
        position = end + 1 + value_size(raw, kind, end + 1)
