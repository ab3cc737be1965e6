"""Which parts of a new version of an object are uploaded, and which ones the store copies from the last version.

Pure: sizes and offsets in and out. What belongs elsewhere: the requests (`range_copy.py`), and which bytes are the same
(`calls_csv/assembler.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_LEAST = 5 << 20
"""Bytes of a part, but for the last one, that S3 takes at least."""
_MOST_PARTS = 9_000
"""Stores take 10,000."""
_COPIED = 64 << 20
"""Bytes of a part that is copied: a store copies several at a time faster than one large one."""


class SharedRange(NamedTuple):
    """Bytes that the last version of a file has, too."""

    old_start: int
    new_start: int
    bytes: int


class ObjectPart(NamedTuple):
    """A part of the new object."""

    start: int
    bytes: int
    source: int | None = None
    """Where the last object has the same bytes, if the store copies them."""


def parts_of(size: int, shared: Sequence[SharedRange]) -> list[ObjectPart]:
    """Return the parts of an object of this size; a range that is too short to be copied is uploaded.

    Args:
        size: bytes of the object.
        shared: ranges that may be copied, in the order of the new file, apart from each other.
    """
    least = max(_LEAST, size // _MOST_PARTS)
    parts: list[ObjectPart] = []
    sent_from = 0
    for old_start, new_start, length in _joined(shared):
        # What is uploaded before it is a part, too, and so has to be long enough.
        start = new_start if new_start == sent_from else max(new_start, sent_from + least)
        end = new_start + length
        if end - start >= least:
            parts += _cut(sent_from, start, least)
            parts += _cut(start, end, max(least, _COPIED), start - new_start + old_start)
            sent_from = end
    return [*parts, *_cut(sent_from, size, least)]


def _joined(shared: Sequence[SharedRange]) -> list[SharedRange]:
    """Return ranges of which those that follow on each other in both files are one."""
    joined: list[SharedRange] = []
    for each in shared:
        last = joined[-1] if joined else SharedRange(-1, -1, 0)
        if (last.old_start + last.bytes, last.new_start + last.bytes) == each[:2]:
            joined[-1] = last._replace(bytes=last.bytes + each.bytes)
        else:
            joined.append(each)
    return joined


def _cut(start: int, end: int, size: int, source: int | None = None) -> Iterator[ObjectPart]:
    """Yield parts of one size, but for a byte: at least the given one, where there are that many bytes."""
    number = max(1, (end - start) // size)
    for n in range(number if end > start else 0):
        first, last = (start + (end - start) * each // number for each in (n, n + 1))
        yield ObjectPart(first, last - first, None if source is None else source + first - start)
