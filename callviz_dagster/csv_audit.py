"""`calls.csv` read back and compared with `calls`, value for value, in bounded memory.

What belongs elsewhere: how values are written (`csv_format.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from callviz_dagster.contract import Column, Kind, arrow_type
from callviz_dagster.csv_format import WHOLE_SECONDS, defused, header, local_clock
from callviz_dagster.files import facts

ROWS_AT_ONCE = 32_768
_BYTES_AT_ONCE = 64 << 20


def batches(calls: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `calls` in batches of a bounded number of rows and, about, of bytes."""
    for group in range(calls.num_row_groups):
        facts = calls.metadata.row_group(group)
        bytes_a_row = max(facts.total_byte_size // max(facts.num_rows, 1), 1)
        rows = max(1, min(ROWS_AT_ONCE, _BYTES_AT_ONCE // bytes_a_row))
        yield from calls.iter_batches(rows, row_groups=[group])


def differences(
    csv: Path, calls: Iterator[pa.RecordBatch], columns: Sequence[Column], zone: str, *, sha256: str, longest: int
) -> list[str]:
    """Return how a CSV file differs from `calls`, in words; empty where it does not.

    Args:
        csv: the file, as it is on the disk.
        calls: the rows that it was made from, read anew.
        columns: the table's columns.
        zone: the time zone of the CSV.
        sha256: the digest of what was written.
        longest: at least the length in bytes of the longest line.
    """
    if facts(csv).sha256 != sha256:
        return ["the digest of the file is not that of what was written"]
    names = header(columns)
    try:
        reader = pa.csv.open_csv(
            csv,
            read_options=pa.csv.ReadOptions(block_size=max(4 << 20, 2 * longest)),
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
        return _compare(reader, calls, columns, zone)
    except pa.ArrowInvalid as error:
        return [str(error).splitlines()[0]]


def _csv_type(column: Column) -> pa.DataType:
    if column.kind is Kind.DATETIME:
        return pa.timestamp("s" if column.name in WHOLE_SECONDS else "ms")
    return arrow_type(column.kind)


def _compare(
    read: pa.csv.CSVStreamingReader, expected: Iterator[pa.RecordBatch], columns: Sequence[Column], zone: str
) -> list[str]:
    waiting: pa.RecordBatch | None = None
    done = 0
    for batch in read:
        while batch.num_rows:
            if waiting is None or not waiting.num_rows:
                waiting = next(expected, None)
                if waiting is None:
                    return [f"the file has more rows than calls, which has {done:,}"]
            rows = min(batch.num_rows, waiting.num_rows)
            for column, ours, theirs in zip(columns, waiting.slice(0, rows).columns, batch.slice(0, rows), strict=True):
                wanted = _as_in_csv(ours, column, zone)
                if not _equal(wanted, theirs):
                    row = next(i for i in range(rows) if not _equal(wanted[i : i + 1], theirs[i : i + 1]))
                    return [
                        f"row {done + row + 1:,} (_id {waiting.column(0)[row].as_py()}), column {column.name}: "
                        f"{theirs[row].as_py()!r} is read, {wanted[row].as_py()!r} was written"
                    ]
            batch, waiting = batch.slice(rows), waiting.slice(rows)
            done += rows
    left = (waiting.num_rows if waiting is not None else 0) + sum(batch.num_rows for batch in expected)
    return [f"the file has {done:,} rows, calls has {done + left:,}"] if left else []


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
