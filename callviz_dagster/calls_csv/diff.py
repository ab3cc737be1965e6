"""What changed between two versions of `calls.csv`: rows added, changed and removed, by `_id`, in bounded memory.

Pure but for reading both files. What belongs elsewhere: writing them (`calls_csv/publish.py`).
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from callviz_dagster.calls_csv.reuse import FileRanges, Range
from callviz_dagster.storage.shared_ranges import SharedRange

_CHUNK = 1 << 20
_BLOCK = 4 << 20
_MOST_WAITING = 1_000_000
"""Rows without a counterpart that are kept to look for it further on; beyond it they count as added and removed."""


@dataclass
class Changes:
    """Rows that came, went, or are not what they were."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    older: int = 0
    """Rows that went because they are older than the first day that is kept."""
    columns: list[str] = field(default_factory=list)
    """Columns that came or went; other columns alone decide whether a row has changed."""


def count_changes(
    old: Path, new: Path, *, longest: int = 0, copied: Sequence[SharedRange] = (), since: dt.date | None = None
) -> Changes:
    """Compare two files by `_id`.

    Both hold the calls that they share in about the same order, so rows are compared as they are read; one without a
    counterpart waits until it comes.

    Args:
        old: the last version.
        new: the new one.
        longest: at least the length in bytes of the longest line of the new one.
        copied: lines that are known to be the same, in the order of the new file; they are not read.
        since: the first day of the calls in the new file; None where it has all.

    Raises:
        ValueError: the old file is not a `calls.csv` that can be read, for example because another program saved it.
        OSError: one of the files cannot be read.
    """
    old_header, new_header = _read_header(old), _read_header(new)
    shared = [name for name in old_header.names if name in new_header.names]
    old_rows, new_rows = (
        _unread(old, old_header, [(part.old_start, part.bytes) for part in copied]),
        _unread(new, new_header, [(part.new_start, part.bytes) for part in copied]),
    )
    if old_header.names == new_header.names:
        common = _common_lines(FileRanges(old, old_rows), FileRanges(new, new_rows))
        old_rows, new_rows = _without_start(old_rows, common), _without_start(new_rows, common)
        if old_rows and new_rows:
            common = _common_end(old, new, old_rows[-1], new_rows[-1])
            old_rows[-1], new_rows[-1] = ((start, end - common) for start, end in (old_rows[-1], new_rows[-1]))
    changes = Changes(columns=sorted({*old_header.names} ^ {*new_header.names}))
    _count_rows(
        _tables(FileRanges(old, old_rows), old_header.names, shared, longest),
        _tables(FileRanges(new, new_rows), new_header.names, shared, longest),
        changes,
        since,
    )
    return changes


def _count_rows(old: Iterator[pa.Table], new: Iterator[pa.Table], changes: Changes, since: dt.date | None) -> None:
    """Pair the rows of both files by `_id`, and count those that differ and those without a counterpart."""
    old_rows: pa.Table | None = None
    new_rows: pa.Table | None = None
    for before, after in zip_longest(old, new):
        old_rows, new_rows = _joined(old_rows, before), _joined(new_rows, after)
        if old_rows is None or new_rows is None or old_rows.equals(new_rows):
            if old_rows is not None and new_rows is not None:
                old_rows = new_rows = None
            continue
        places = pc.index_in(new_rows["_id"], value_set=old_rows["_id"].combine_chunks())
        matched = places.is_valid()
        changes.changed += _unequal(old_rows.take(places.filter(matched)), new_rows.filter(matched))
        old_rows = old_rows.filter(pc.invert(pc.is_in(old_rows["_id"], value_set=new_rows["_id"].combine_chunks())))
        new_rows = new_rows.filter(pc.invert(matched))
        if old_rows.num_rows > _MOST_WAITING:
            _count_removed(old_rows, changes, since)
            old_rows = None
        if new_rows.num_rows > _MOST_WAITING:
            changes.added, new_rows = changes.added + new_rows.num_rows, None
    if old_rows is not None:
        _count_removed(old_rows, changes, since)
    changes.added += new_rows.num_rows if new_rows is not None else 0


def _count_removed(rows: pa.Table, changes: Changes, since: dt.date | None) -> None:
    """Count rows of the old file alone, apart those that are older than the new one's first day."""
    older = 0
    if since and "call_date" in rows.column_names:
        older = pc.sum(pc.less(rows["call_date"], since.isoformat())).as_py() or 0
    changes.older += older
    changes.removed += rows.num_rows - older


def _joined(waiting: pa.Table | None, rows: pa.Table | None) -> pa.Table | None:
    if waiting is None or rows is None:
        return rows if waiting is None else waiting
    return pa.concat_tables([waiting, rows])


def _unequal(first: pa.Table, second: pa.Table) -> int:
    """Return how many rows at the same place differ."""
    differs: pa.ChunkedArray | None = None
    for ours, theirs in zip(first.columns, second.columns, strict=True):
        # No cell holds NUL: it is written as the character that shows it. So a missing value differs from every text.
        unequal = pc.not_equal(pc.fill_null(ours, "\x00"), pc.fill_null(theirs, "\x00"))
        differs = unequal if differs is None else pc.or_(differs, unequal)
    return int(pc.sum(differs).as_py() or 0) if differs is not None else 0


class _Header(NamedTuple):
    """The names in the first line, and its length in bytes."""

    names: list[str]
    bytes: int


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        start = file.read(_CHUNK)
    end = 0
    while (end := start.find(b"\n", end) + 1) and start.count(b'"', 0, end) % 2:
        pass
    try:
        names = next(csv.reader([start[:end].decode("utf-8-sig")], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"the first line cannot be read ({error})") from error
    if "_id" not in names or len(set(names)) < len(names):
        raise ValueError("the first line does not have a column _id, or has a column twice")
    return _Header(names, end)


def _unread(path: Path, header: _Header, same_ranges: Sequence[tuple[int, int]]) -> list[Range]:
    """Return the ranges of a file without its header and without lines that are known to be the same."""
    ranges: list[Range] = []
    at = header.bytes
    for start, size in sorted(same_ranges):
        if start > at:
            ranges.append((at, start))
        at = max(at, start + size)
    size = path.stat().st_size
    return [*ranges, (at, size)] if size > at else ranges


def _without_start(ranges: Sequence[Range], size: int) -> list[Range]:
    """Return ranges without their first `size` bytes."""
    remaining: list[Range] = []
    for start, end in ranges:
        skipped = min(size, end - start)
        size -= skipped
        if start + skipped < end:
            remaining.append((start + skipped, end))
    return remaining


def _common_lines(first: BinaryIO | FileRanges, second: BinaryIO | FileRanges) -> int:
    """Return how many bytes of whole lines both have in common at their start.

    A line ends where the quotes before it come to an even number; elsewhere it is part of a text.
    """
    end = position = quotes = 0
    with first, second:
        while chunk := first.read(_CHUNK):
            other = second.read(len(chunk))
            common = chunk if chunk == other else chunk[: _equal_bytes(chunk, other)]
            quotes += _count_quotes(common)
            line, after = len(common), 0
            while (line := common.rfind(b"\n", 0, line)) >= 0:
                after = _count_quotes(common[line:])
                if (quotes - after) % 2 == 0:
                    end = position + line + 1
                    break
            position += len(common)
            if len(common) < len(chunk):
                break
    return end


def _common_end(old: Path, new: Path, old_range: Range, new_range: Range) -> int:
    """Return how many bytes of whole lines both ranges have in common at their end.

    A line ends where the quotes after it come to an even number.
    """
    most = min(end - start for start, end in (old_range, new_range))
    common = quotes = 0
    with old.open("rb") as first, new.open("rb") as second:
        while common < most:
            size = min(_CHUNK, most - common)
            first.seek(old_range[1] - common - size)
            second.seek(new_range[1] - common - size)
            ours, theirs = first.read(size), second.read(size)
            equal = size if ours == theirs else _equal_bytes(ours[::-1], theirs[::-1])
            quotes += _count_quotes(ours[size - equal :])
            common += equal
            if equal < size:
                break
        second.seek(new_range[1] - common)
        while text := second.read(min(_CHUNK, common)):
            before = 0
            while line := text.find(b"\n", before) + 1:
                quotes -= text.count(b'"', before, line)
                before = line
                if quotes % 2 == 0:
                    return common - line
            quotes -= text.count(b'"', before)
            common -= len(text)
    return 0


def _count_quotes(text: bytes) -> int:
    """Return the number of quotes, which NumPy counts ten times as fast as `bytes` where there are many."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord('"')))


def _equal_bytes(first: bytes, second: bytes) -> int:
    """Return how many bytes at the start of both are the same."""
    size = min(len(first), len(second))
    unequal = np.frombuffer(first, np.uint8, size) != np.frombuffer(second, np.uint8, size)
    return int(unequal.argmax()) if unequal.any() else size


def _tables(file: FileRanges, names: list[str], columns: list[str], longest: int) -> Iterator[pa.Table]:
    """Yield the rows of a file without a header as texts; the columns given, in their order."""
    with file:
        if not file.size:
            return
        reader = pa.csv.open_csv(
            file,
            read_options=pa.csv.ReadOptions(block_size=max(_BLOCK, 2 * longest), column_names=names),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=columns,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in reader:
            yield pa.Table.from_batches([batch])
