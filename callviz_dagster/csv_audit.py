"""`calls.csv` read back and compared with `calls`, value for value, in bounded memory.

What belongs elsewhere: how values are written (`csv_format.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from callviz_dagster.contract import Column, Kind, arrow_type
from callviz_dagster.csv_format import WHOLE_SECONDS, defused, header, local_clock
from callviz_dagster.files import FilePart, facts
from callviz_dagster.pipeline import worked

ROWS_AT_ONCE = 16_384
_BYTES_AT_ONCE = 64 << 20
_BLOCK = 1 << 20
"""Bytes of the file that are parsed at a time; more where a line is longer."""


def batches(calls: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `calls` in batches of a bounded number of rows and, about, of bytes."""
    for group in range(calls.num_row_groups):
        facts = calls.metadata.row_group(group)
        bytes_a_row = max(facts.total_byte_size // max(facts.num_rows, 1), 1)
        rows = max(1, min(ROWS_AT_ONCE, _BYTES_AT_ONCE // bytes_a_row))
        yield from calls.iter_batches(rows, row_groups=[group])


@dataclass(frozen=True)
class Stretch:
    """Whole lines of the file, and the rows that they were made from, read anew. Only the first has the header."""

    start: int
    end: int
    calls: Iterator[pa.RecordBatch]
    before: int = 0
    """Rows of the file before them."""


def differences(
    csv: Path, stretches: Iterable[Stretch], columns: Sequence[Column], zone: str, *, sha256: str, longest: int
) -> list[str]:
    """Return how a CSV file differs from `calls`, in words; empty where it does not.

    Args:
        csv: the file, as it is on the disk.
        stretches: the lines that were made anew; of the others only the digest is compared.
        columns: the table's columns.
        zone: the time zone of the CSV.
        sha256: the digest of what was written.
        longest: at least the length in bytes of the longest line.
    """
    with ThreadPoolExecutor(1, "digest") as beside:
        digest = beside.submit(facts, csv)
        each = (_differences(csv, stretch, columns, zone, longest) for stretch in stretches)
        found = next((different for different in each if different), [])
        if digest.result().sha256 != sha256:
            return ["the digest of the file is not that of what was written"]
    return found


def _differences(csv: Path, stretch: Stretch, columns: Sequence[Column], zone: str, longest: int) -> list[str]:
    names = header(columns)
    if stretch.start == stretch.end:
        return _Pairs([], stretch.calls, stretch.before).left_over()
    whole = stretch.start == 0 and stretch.end == csv.stat().st_size
    try:
        reader = pa.csv.open_csv(
            csv if whole else FilePart(csv, stretch.start, stretch.end),
            read_options=pa.csv.ReadOptions(
                block_size=max(_BLOCK, 2 * longest), column_names=names if stretch.start else None
            ),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: _csv_type(column) for name, column in zip(names, columns, strict=True)},
                null_values=[""],
                true_values=["true"],
                false_values=["false"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        if reader.schema.names != names:
            return [f"the header is {reader.schema.names}, not {names}"]
        pairs = _Pairs(reader, stretch.calls, stretch.before)
        for found in worked(lambda pair: _difference(*pair, columns, zone), pairs):
            if found:
                return [found]
        return pairs.left_over()
    except pa.ArrowInvalid as error:
        return [str(error).splitlines()[0]]


def _csv_type(column: Column) -> pa.DataType:
    if column.kind is Kind.DATETIME:
        return pa.timestamp("s" if column.name in WHOLE_SECONDS else "ms")
    return arrow_type(column.kind)


@dataclass
class _Pairs:
    """The rows that were read beside those that were written, piece by piece, until either comes to its end."""

    read: Iterable[pa.RecordBatch]
    expected: Iterator[pa.RecordBatch]
    rows: int = 0
    """Rows of the file up to where they are."""
    waiting: pa.RecordBatch | None = None
    too_many: bool = False

    def __iter__(self) -> Iterator[tuple[int, pa.RecordBatch, pa.RecordBatch]]:
        """Yield the number of rows before a piece, what was written, and what is read."""
        for batch in self.read:
            while batch.num_rows:
                if self.waiting is None or not self.waiting.num_rows:
                    self.waiting = next(self.expected, None)
                    if self.waiting is None:
                        self.too_many = True
                        return
                rows = min(batch.num_rows, self.waiting.num_rows)
                yield self.rows, self.waiting.slice(0, rows), batch.slice(0, rows)
                batch, self.waiting = batch.slice(rows), self.waiting.slice(rows)
                self.rows += rows

    def left_over(self) -> list[str]:
        """Tell in words where one has more rows than the other."""
        if self.too_many:
            return [f"the file has more rows than calls, which has {self.rows:,}"]
        left = (self.waiting.num_rows if self.waiting is not None else 0) + sum(b.num_rows for b in self.expected)
        return [f"the file has {self.rows:,} rows, calls has {self.rows + left:,}"] if left else []


def _difference(
    before: int, written: pa.RecordBatch, read: pa.RecordBatch, columns: Sequence[Column], zone: str
) -> str | None:
    """Return the first difference between rows, in words."""
    for column, ours, theirs in zip(columns, written.columns, read.columns, strict=True):
        wanted = _as_in_csv(ours, column, zone)
        if not _equal(wanted, theirs):
            row = next(i for i in range(len(wanted)) if not _equal(wanted[i : i + 1], theirs[i : i + 1]))
            return (
                f"row {before + row + 1:,} (_id {written.column(0)[row].as_py()}), column {column.name}: "
                f"{theirs[row].as_py()!r} is read, {wanted[row].as_py()!r} was written"
            )
    return None


def _as_in_csv(array: pa.Array, column: Column, zone: str) -> pa.Array:
    if column.kind is Kind.TEXT:
        return defused(array)[0]
    if column.kind is Kind.DATETIME:
        return local_clock(array, zone, whole_seconds=column.name in WHOLE_SECONDS)
    return array


def _equal(first: pa.Array, second: pa.Array) -> bool:
    if first.type == pa.float64():
        return bool(
            np.array_equal(first.is_valid(), second.is_valid())
            and np.array_equal(first.fill_null(0).to_numpy(), second.fill_null(0).to_numpy(), equal_nan=True)
        )
    return bool(first.equals(second))
