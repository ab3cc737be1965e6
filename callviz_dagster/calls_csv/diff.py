"""What changed between two versions of `calls.csv`: rows added, changed and removed, counted in bounded memory.

Pure but for reading both files. What belongs elsewhere: writing them (`assets/calls_csv.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from callviz_dagster.calls_csv.reuse import FilePart

_CHUNK = 1 << 20
_MOST_WAITING = 1_000_000
"""Rows without a counterpart that are kept to look for it further on; beyond it they count as added and removed."""


@dataclass
class Changes:
    """Rows that came, went, or are not what they were."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    columns: list[str] = field(default_factory=list)
    """Columns that came or went; other columns alone decide whether a row has changed."""


def count_changes(old: Path, new: Path, *, longest: int = 0, same: tuple[int, int] | None = None) -> Changes:
    """Compare two files by `_id`.

    Both hold the calls that they share in about the same order, so rows are compared as they are read; one that is
    found nowhere near is kept until its counterpart comes.

    Args:
        old: the last version.
        new: the new one.
        longest: at least the length in bytes of the longest line.
        same: how many bytes at the start and at the end are known to be the same whole lines; looked for if not given.

    Raises:
        pa.ArrowInvalid: one of the files is no table.
    """
    before, after = _names(old), _names(new)
    start, end = (same or _same(old, new)) if before == after else (0, 0)
    first, second = _reader(old, before, start, end, longest), _reader(new, after, start, end, longest)
    both = [name for name in before if name in after]
    changes = Changes(columns=sorted(set(before) ^ set(after)))
    gone: dict[str, int] = {}
    come: dict[str, int] = {}
    for before, after in _side_by_side(_rows(first, both), _rows(second, both)):
        if before.equals(after):
            continue
        if not (before.num_rows or gone) or not (after.num_rows or come):  # no counterpart comes any more
            changes.added += after.num_rows
            changes.removed += before.num_rows
            continue
        ours = dict(zip(before.column(0).to_pylist(), _hashes(before), strict=True))
        theirs = dict(zip(after.column(0).to_pylist(), _hashes(after), strict=True))
        for found, other, waiting, missing in ((ours, theirs, come, gone), (theirs, ours, gone, come)):
            for identifier, row in found.items():
                if identifier in other:
                    changes.changed += found is ours and other[identifier] != row
                elif identifier in waiting:
                    changes.changed += waiting.pop(identifier) != row
                else:
                    missing[identifier] = row
        for waiting, name in ((gone, "removed"), (come, "added")):
            if len(waiting) > _MOST_WAITING:
                setattr(changes, name, getattr(changes, name) + len(waiting))
                waiting.clear()
    changes.removed += len(gone)
    changes.added += len(come)
    return changes


def _names(path: Path) -> list[str]:
    with path.open("rb") as file:
        return list(pa.csv.open_csv(file, parse_options=pa.csv.ParseOptions(newlines_in_values=True)).schema.names)


def _same(old: Path, new: Path) -> tuple[int, int]:
    """Return how many bytes at the start and at the end of both files are the same whole lines.

    A line end is one where the quotes before it come to an even number; elsewhere it is part of a text.
    """
    with old.open("rb") as first, new.open("rb") as second:
        sizes = [os.fstat(file.fileno()).st_size for file in (first, second)]
        start = done = quotes = 0
        whole = True
        while whole and (ours := first.read(_CHUNK)):
            same = _common(ours, second.read(_CHUNK))
            whole, ours = same == len(ours), ours[:same]
            odd = (quotes + ours.count(b'"')) % 2
            if (line := _last_end(ours, odd)) >= 0:
                start = done + line + 1
            quotes, done = odd, done + same
        if not start:
            return 0, 0
        end = left = quotes = 0
        most = min(sizes) - start
        while left < most:
            size = min(_CHUNK, most - left)
            for file, total in zip((first, second), sizes, strict=True):
                file.seek(total - left - size)
            ours = first.read(size)
            if ours != second.read(size):
                break
            if (line := _first_end(ours, (quotes + ours.count(b'"')) % 2)) >= 0:
                end = left + size - line - 1
            quotes += ours.count(b'"')
            left += size
    return start, end


def _common(first: bytes, second: bytes) -> int:
    """Return how many bytes at the start of both are the same."""
    if first == second:
        return len(first)
    same, most = 0, min(len(first), len(second))
    while same < most:
        middle = (same + most + 1) // 2
        if first[same:middle] == second[same:middle]:
            same = middle
        else:
            most = middle - 1
    return same


def _last_end(chunk: bytes, odd: int) -> int:
    """Return the last line end of a chunk after which an even number of quotes has come; -1 where there is none."""
    at = len(chunk)
    while (line := chunk.rfind(b"\n", 0, at)) >= 0:
        if (odd + chunk.count(b'"', line)) % 2 == 0:
            return line
        at = line
    return -1


def _first_end(chunk: bytes, odd: int) -> int:
    """Return the first line end of a chunk after which an even number of quotes comes; -1 where there is none."""
    at = -1
    while (line := chunk.find(b"\n", at + 1)) >= 0:
        if (odd + chunk.count(b'"', 0, line)) % 2 == 0:
            return line
        at = line
    return -1


def _reader(path: Path, names: list[str], start: int, end: int, longest: int) -> Iterable[pa.RecordBatch]:
    """Return the rows of a file without the bytes that `_same` has found."""
    size = path.stat().st_size
    if start and size == start + end:
        return []
    return pa.csv.open_csv(
        FilePart(path, start, size - end),
        read_options=pa.csv.ReadOptions(block_size=max(4 << 20, 2 * longest), column_names=names if start else None),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _rows(reader: Iterable[pa.RecordBatch], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch.select(columns)


def _side_by_side(
    first: Iterator[pa.RecordBatch], second: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield pieces of both that end with the same call where they share one; at the end of one, what is left."""
    ours, theirs = next(first, None), next(second, None)
    while ours is not None or theirs is not None:
        if ours is None or theirs is None:
            only = ours if ours is not None else theirs
            assert only is not None
            yield (only, only.slice(0, 0)) if ours is not None else (only.slice(0, 0), only)
            ours, theirs = next(first, None), next(second, None)
            continue
        rows = min(ours.num_rows, theirs.num_rows)
        of_ours, of_theirs = _to_last_shared(ours.slice(0, rows), theirs.slice(0, rows))
        yield ours.slice(0, of_ours), theirs.slice(0, of_theirs)
        ours = ours.slice(of_ours) if ours.num_rows > of_ours else next(first, None)
        theirs = theirs.slice(of_theirs) if theirs.num_rows > of_theirs else next(second, None)


def _to_last_shared(ours: pa.RecordBatch, theirs: pa.RecordBatch) -> tuple[int, int]:
    """Return how many rows of each reach to the last call that both have; all rows where they share none."""
    if not ours.num_rows or ours.column(0)[-1] == theirs.column(0)[-1]:
        return ours.num_rows, theirs.num_rows
    found = pc.index_in(theirs.column(0), ours.column(0)).to_pylist()
    for place in range(len(found) - 1, -1, -1):
        if found[place] is not None:
            return found[place] + 1, place + 1
    return ours.num_rows, theirs.num_rows


def _hashes(rows: pa.RecordBatch) -> list[int]:
    """Return a number for each row, which is the same for rows with the same texts."""
    texts = [pc.fill_null(pc.binary_join_element_wise("=", column, ""), "-") for column in rows.columns]
    return [hash(text) for text in pc.binary_join_element_wise(*texts, "\x1f").to_pylist()]
