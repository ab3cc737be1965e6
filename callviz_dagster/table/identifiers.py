"""Whether an identifier occurs twice: by the order of the `_id` texts, and by a search where no order proves it.

Pure but for `repeated_ids`, `repeated_values`, `shared_ids` and `existing_ids`, which read `calls` files in bounded
memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from callviz_dagster.concurrency import MAX_IDS_IN_MEMORY
from callviz_dagster.documents.buffers import hashes_of_slices, padded_bytes, text_offsets
from callviz_dagster.storage.files import parquet_metadata
from callviz_dagster.table.tally import EXAMPLES


@dataclass
class IdOrder:
    """Whether `_id` texts rise from row to row; where they do, none is repeated."""

    first: str
    last: str
    ascending: bool
    """Whether they rise as texts do."""
    numbered: bool
    """Whether they rise as whole numbers do: longer texts after shorter ones."""

    def follow(self, later: IdOrder) -> None:
        """Go on with the rows that come after these."""
        self.ascending &= later.ascending and later.first > self.last
        self.numbered &= later.numbered and _as_number(later.first) > _as_number(self.last)
        self.last = later.last

    @property
    def distinct(self) -> bool:
        """Whether the order proves that no text is repeated."""
        return self.ascending or self.numbered


def id_order(rows: pa.Table) -> IdOrder | None:
    """Return the order of the `_id` texts of some rows; None where there are no rows."""
    identifiers = rows.column("_id").combine_chunks()
    if not len(identifiers):
        return None
    rising, lengths = pc.greater(identifiers[1:], identifiers[:-1]), pc.binary_length(identifiers)
    ascending = numbered = pc.all(rising, min_count=0).as_py()
    if pc.min(lengths) != pc.max(lengths):
        longer, as_long = pc.greater(lengths[1:], lengths[:-1]), pc.equal(lengths[1:], lengths[:-1])
        numbered = pc.all(pc.or_(longer, pc.and_(as_long, rising)), min_count=0).as_py()
    return IdOrder(identifiers[0].as_py(), identifiers[-1].as_py(), ascending, numbered)


def _as_number(text: str) -> tuple[int, str]:
    return len(text.encode()), text


def text_hashes(values: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Return a hash of parts of each value's text, which takes little time; empty cells are left out."""
    texts = values.combine_chunks().drop_null().cast(pa.string())
    bounds = text_offsets(texts).astype(np.int64)
    characters = padded_bytes(texts.buffers()[2] or b"", int(bounds[-1]))
    return hashes_of_slices(characters, bounds[:-1], np.diff(bounds))


_HASHES_SORTED = 1 << 21
"""About how many hashes are sorted at a time: 16 MB."""


class SeenHashes:
    """Hashes of a column's values, gathered batch by batch, up to a number that fits into memory."""

    def __init__(self, most: int = MAX_IDS_IN_MEMORY, sorted_at_once: int = _HASHES_SORTED) -> None:
        self._left, self._sorted_at_once = most, sorted_at_once
        self._chunks: list[NDArray[np.uint64]] = []

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Add those of one more batch; where they become too many, none is kept."""
        self._left -= len(hashes)
        if self._left >= 0:
            self._chunks.append(hashes)
        else:
            self._chunks.clear()

    def all_differ(self) -> bool:
        """Return whether they prove that no value repeats; sorts a share of them at a time."""
        shares = sum(map(len, self._chunks)) // self._sorted_at_once + 1
        for share in range(shares):
            hashes = np.concatenate(
                [np.zeros(0, np.uint64), *(chunk[chunk % shares == share] for chunk in self._chunks)]
            )
            hashes.sort()
            if (hashes[1:] == hashes[:-1]).any():
                return False
        return self._left >= 0


def repeated_ids(path: Path, at_once: int = MAX_IDS_IN_MEMORY) -> tuple[list[str], int]:
    """Return examples and the number of rows of a `calls` file whose `_id` stands in an earlier row."""
    counts: Counter[str] = Counter()
    for _, identifiers in _with_equal_hashes([IdRange(path)], at_once):
        counts.update(identifiers)
    repeated = {identifier: count - 1 for identifier, count in counts.items() if count > 1}
    return [*repeated][:EXAMPLES], sum(repeated.values())


class Repetitions(NamedTuple):
    """How often the values of a column repeat."""

    values: int
    """How many values stand in more than one row."""
    rows: int
    """In how many rows they stand."""
    examples: Mapping[str, int]
    """Those that repeat most, with the number of their rows."""


def repeated_values(path: Path, column: str, at_once: int = MAX_IDS_IN_MEMORY) -> Repetitions:
    """Count the values of a column of a `calls` file that repeat, by 64-bit hashes, `at_once` in memory at a time."""
    parts = [IdRange(path)]
    passes = parquet_metadata(path).num_rows // at_once + 1
    values, rows = 0, 0
    most: Counter[int] = Counter()
    for turn in range(passes):
        chunks = [hashes[hashes % np.uint64(passes) == turn] for _, _, hashes in _hashed(parts, column)]
        hashes, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *chunks]), return_counts=True)
        repeated = np.flatnonzero(counts > 1)
        values, rows = values + len(repeated), rows + int(counts[repeated].sum())
        top = repeated[np.argsort(-counts[repeated], kind="stable")][:EXAMPLES]
        most.update(dict(zip(hashes[top].tolist(), counts[top].tolist(), strict=True)))
    return Repetitions(values, rows, _texts_of(parts, column, dict(most.most_common(EXAMPLES))))


def _texts_of(parts: Sequence[IdRange], column: str, counts: Mapping[int, int]) -> dict[str, int]:
    """Return the texts that have these hashes, in the same order, with the same counts."""
    texts: dict[int, str] = {}
    for _, values, hashes in _hashed(parts, column) if counts else ():
        for place in np.flatnonzero(np.isin(hashes, np.array([*counts], np.uint64))).tolist():
            texts.setdefault(int(hashes[place]), str(values[place]))
        if len(texts) == len(counts):
            break
    return {texts[key]: count for key, count in counts.items()}


def shared_ids(paths: Sequence[Path], at_once: int = MAX_IDS_IN_MEMORY) -> dict[str, list[Path]]:
    """Return each `_id` that stands in more than one of the `calls` files, with these files.

    Only texts that lie where the range of one file overlaps those of others are looked at: identifiers that rise with
    time, as ObjectIds do, hardly overlap from partition to partition.
    """
    files: dict[str, list[Path]] = {}
    for path, identifiers in _with_equal_hashes(_overlaps(paths), at_once):
        for identifier in dict.fromkeys(identifiers):
            if path not in files.setdefault(identifier, []):
                files[identifier].append(path)
    return {identifier: holders for identifier, holders in files.items() if len(holders) > 1}


class IdRange(NamedTuple):
    """The `_id` texts of a `calls` file that lie between two, both included; None: without a bound."""

    path: Path
    low: str | None = None
    high: str | None = None


def _overlaps(paths: Sequence[Path]) -> list[IdRange]:
    """Return for each file the range of `_id` that others may have too; files that share no range are left out."""
    bounds = [(*_bounds(path), path) for path in paths if parquet_metadata(path).num_rows]
    bounds.sort(key=lambda bound: bound[:2])
    overlaps: list[IdRange] = []
    highest_before: str | None = None
    for (low, high, path), following in zip_longest(bounds, bounds[1:]):
        shared = _shared_range(low, high, highest_before, following[0] if following else None)
        if shared:
            overlaps.append(IdRange(path, *shared))
        highest_before = high if highest_before is None else max(high, highest_before)
    return overlaps


def _shared_range(low: str, high: str, highest_before: str | None, next_low: str | None) -> tuple[str, str] | None:
    """Return the part of a range that ranges with a lower start, or the one with the next start, reach into."""
    before = highest_before is not None and highest_before >= low
    after = next_low is not None and next_low <= high
    if not before and not after:
        return None
    return (
        low if before or next_low is None else next_low,
        high if after or highest_before is None else min(high, highest_before),
    )


def _bounds(path: Path) -> tuple[str, str]:
    """Return the least and the greatest `_id` of a file that has rows."""
    metadata = parquet_metadata(path)
    ranges = [
        _range_of(metadata, group) or _range_read(path, group)
        for group in range(metadata.num_row_groups)
        if metadata.row_group(group).num_rows
    ]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _range_of(metadata: pq.FileMetaData, group: int) -> tuple[str, str] | None:
    """Return the least and the greatest `_id` of a row group; None without statistics, as where texts are long."""
    statistics = metadata.row_group(group).column(0).statistics
    return (statistics.min, statistics.max) if statistics and statistics.has_min_max else None


def _range_read(path: Path, group: int) -> tuple[str, str]:
    with pq.ParquetFile(path) as file:
        bounds = pc.min_max(file.read_row_group(group, columns=["_id"]).column(0)).as_py()
    return bounds["min"], bounds["max"]


def existing_ids(path: Path, wanted: Sequence[str]) -> list[str]:
    """Return which of some `_id` texts, in rising order, a `calls` file has; row groups without one are not read."""
    with pq.ParquetFile(path) as file:
        groups = [group for group in range(file.num_row_groups) if _may_hold(_range_of(file.metadata, group), wanted)]
        batches = file.iter_batches(row_groups=groups, columns=["_id"]) if groups else ()
        values = pa.array(wanted, pa.string())
        return [
            text for batch in batches for text in batch.column(0).filter(pc.is_in(batch.column(0), values)).to_pylist()
        ]


def _may_hold(bounds: tuple[str, str] | None, wanted: Sequence[str]) -> bool:
    """Return whether one of some texts, in rising order, lies between two."""
    if bounds is None:
        return True
    place = bisect_left(wanted, bounds[0])
    return place < len(wanted) and wanted[place] <= bounds[1]


def _with_equal_hashes(ranges: Sequence[IdRange], at_once: int) -> Iterator[tuple[Path, list[str]]]:
    """Yield by file the texts whose 64-bit hash others have too, `at_once` hashes in memory at a time."""
    passes = sum(parquet_metadata(part.path).num_rows for part in ranges) // at_once + 1
    suspects: set[int] = set()
    for turn in range(passes):
        parts = [hashes[hashes % np.uint64(passes) == turn] for _, _, hashes in _hashed(ranges)]
        hashes = np.sort(np.concatenate([np.zeros(0, np.uint64), *parts]))
        suspects.update(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if suspects:
        suspect_hashes = np.array([*suspects], np.uint64)
        for path, identifiers, hashes in _hashed(ranges):
            yield path, identifiers[np.isin(hashes, suspect_hashes)].tolist()


def _hashed(
    ranges: Sequence[IdRange], column: str = "_id"
) -> Iterator[tuple[Path, NDArray[np.object_], NDArray[np.uint64]]]:
    """Yield the texts of a column in the ranges with their hashes, some at a time; empty cells are left out."""
    for path, low, high in ranges:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[column]):
                texts = batch.column(0).drop_null().cast(pa.string())
                if low is not None:
                    texts = texts.filter(pc.greater_equal(texts, low))
                if high is not None:
                    texts = texts.filter(pc.less_equal(texts, high))
                identifiers = texts.to_numpy(zero_copy_only=False)
                yield path, identifiers, pd.util.hash_array(identifiers, categorize=False)
