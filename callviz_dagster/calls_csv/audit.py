"""EncodedRows of `calls.csv` parsed again and compared with the rows they were made from, value for value.

Pure: bytes and tables in, words out. What belongs elsewhere: how values are written (`calls_csv/format.py`), and that
what lies on the disk are the bytes that were compared (`assets/calls_csv.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv

from callviz_dagster.contract import Column, Kind, arrow_type
from callviz_dagster.documents.text import WHOLE_SECONDS, csv_header, defused, local_clock

_BLOCK = 1 << 20
"""Bytes that are parsed at a time; more where a line is longer."""


def header_difference(line: bytes, columns: Sequence[Column]) -> str | None:
    """Return how the first line differs from the names of the columns, in words; None where it does not."""
    try:
        names = pa.csv.read_csv(pa.BufferReader(line), parse_options=_PARSE).column_names
    except pa.ArrowInvalid as error:
        return str(error).splitlines()[0]
    return None if names == csv_header(columns) else f"the header is {names}, not {csv_header(columns)}"


def difference(
    lines: memoryview, rows: pa.RecordBatch, columns: Sequence[Column], zone: str, *, before: int = 0, longest: int = 0
) -> str | None:
    """Return the first difference between lines and the rows that they were made from, in words; None without one.

    Args:
        lines: whole lines without the header, which mean the same whatever whole lines stand before them.
        rows: the rows of `calls`.
        columns: the table's columns.
        zone: the time zone of the CSV.
        before: rows of the file before them.
        longest: at least the length in bytes of the longest line.
    """
    if not rows.num_rows:
        return f"row {before + 1:,} is there, and in calls it is not" if len(lines) else None
    text = np.frombuffer(lines, np.uint8)
    if not len(text) or text[-1] != ord("\n") or np.count_nonzero(text == ord('"')) % 2:
        return f"the lines after row {before:,} do not end with a line"
    names = csv_header(columns)
    try:
        read = pa.csv.read_csv(
            pa.BufferReader(lines),
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=max(_BLOCK, 2 * longest), column_names=names),
            parse_options=_PARSE,
            convert_options=pa.csv.ConvertOptions(
                column_types={name: _csv_type(column) for name, column in zip(names, columns, strict=True)},
                null_values=[""],
                true_values=["true"],
                false_values=["false"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        return f"in the lines after row {before:,}: {str(error).splitlines()[0]}"
    if read.num_rows != rows.num_rows:
        return f"after row {before:,} come {read.num_rows:,} rows, and in calls {rows.num_rows:,}"
    for column, ours, theirs in zip(columns, rows.columns, read.columns, strict=True):
        wanted, found = _as_in_csv(ours, column, zone), theirs.combine_chunks()
        if not _equal(wanted, found):
            row = next(i for i in range(len(wanted)) if not _equal(wanted[i : i + 1], found[i : i + 1]))
            return (
                f"row {before + row + 1:,} (_id {rows.column(0)[row].as_py()}), column {column.name}: "
                f"{found[row].as_py()!r} is read, {wanted[row].as_py()!r} was written"
            )
    return None


_PARSE = pa.csv.ParseOptions(newlines_in_values=True)


def _csv_type(column: Column) -> pa.DataType:
    if column.kind is Kind.DATETIME:
        return pa.timestamp("s" if column.name in WHOLE_SECONDS else "ms")
    return arrow_type(column.kind)


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
