"""Lines of `calls.csv` parsed again and compared with the rows they were made from, value for value.

By the rules of `calls_csv/rules.py`, so no fault of the code that writes the lines is repeated here.

Pure: bytes and tables in, words out. What belongs elsewhere: how values are written (`calls_csv/format.py`), and that
what lies on the disk are the bytes that were compared (`assets/calls_csv.py`).
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from callviz_dagster.calls_csv import rules
from callviz_dagster.calls_csv.sparse import MARKER, sparse_columns
from callviz_dagster.contract import Column, Kind, arrow_type
from callviz_dagster.documents.buffers import joined_texts

_BLOCK = 1 << 20
"""Bytes that are parsed at a time; more where a line is longer."""


def header_difference(line: bytes, columns: Sequence[Column]) -> str | None:
    """Describe how the first line differs from the names of the columns; None where it does not."""
    try:
        names = pa.csv.read_csv(pa.BufferReader(line), parse_options=_PARSE).column_names
    except pa.ArrowInvalid as error:
        return str(error).splitlines()[0]
    expected = [rules.header_cell(column.name) for column in columns]
    return None if names == expected else f"the header is {names}, not {expected}"


def difference(
    lines: memoryview, rows: pa.RecordBatch, columns: Sequence[Column], zone: str, *, before: int = 0, longest: int = 0
) -> str | None:
    """Describe the first difference between lines and the rows that they were made from; None without one.

    Args:
        lines: whole lines without the header, which mean the same after any other whole lines.
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
    if not _sparse_agree(text, rows, columns, zone, longest):
        try:
            read = _parsed(lines, columns, longest)
        except pa.ArrowInvalid as error:
            return f"in the lines after row {before:,}: {str(error).splitlines()[0]}"
        if read.num_rows != rows.num_rows:
            return f"after row {before:,} come {read.num_rows:,} rows, and in calls {rows.num_rows:,}"
        for column, ours, theirs in zip(columns, rows.columns, read.columns, strict=True):
            cells = theirs.combine_chunks()
            if (row := _first_wrong(ours, cells, column, zone)) is not None:
                return (
                    f"row {before + row + 1:,} (_id {rows.column(0)[row].as_py()}), column {column.name}: "
                    f"{cells[row].as_py()!r} is read, {_wanted(ours[row].as_py(), column, zone)!r} was written"
                )
    return _unlike_the_rules(lines, rows, columns, before=before, longest=longest)


def _parsed(lines: memoryview | pa.Buffer, columns: Sequence[Column], longest: int) -> pa.Table:
    """Return the cells of lines, by the types of the columns.

    Raises:
        pa.ArrowInvalid: they are no cells of these columns.
    """
    names = [str(place) for place in range(len(columns))]
    return pa.csv.read_csv(
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


def _sparse_agree(text: np.ndarray, rows: pa.RecordBatch, columns: Sequence[Column], zone: str, longest: int) -> bool:
    """Return whether lines with a run of sparse columns are the rows; False, too, where it takes more to decide that.

    In the lines of rows that have no value in the run, its commas are replaced by one cell, a marker. Where each of
    these lines then has the marker in the place of the run, and no line had that character before, all cells of the run
    were empty. The other lines are parsed as they are.
    """
    sparse = sparse_columns(rows)
    if sparse is None or text.min() <= ord(MARKER):
        return False
    ends = np.flatnonzero(text == ord("\n"))
    start, stop, filled = sparse.start, sparse.stop, pa.array(sparse.filled)
    rows_filled = rows.filter(filled)
    if len(ends) != rows.num_rows or any(
        rows_filled.num_rows - rows_filled.column(place).null_count != rows.num_rows - rows.column(place).null_count
        for place in range(start, stop)
    ):
        return False
    bounds = np.concatenate([[0], ends + 1]).astype(np.int32)
    lines = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, pa.py_buffer(bounds), pa.py_buffer(text)])
    shortened = pc.replace_substring(
        lines.filter(pc.invert(filled)),
        pattern="," * (stop - start + 1),
        replacement=f',"{MARKER}",',
        max_replacements=1,
    )
    beside = [*range(start), *range(stop, len(columns))]
    rows_empty = rows.select(beside).filter(pc.invert(filled))
    columns_beside = [columns[place] for place in beside]
    marked = [*columns_beside[:start], Column(columns[start].name, Kind.TEXT, ""), *columns_beside[start:]]
    try:
        read = _parsed(joined_texts(shortened), marked, longest)
        read_filled = _parsed(joined_texts(lines.filter(filled)), columns, longest) if rows_filled.num_rows else None
    except pa.ArrowInvalid:
        return False
    return (
        read.column(start).combine_chunks().equals(pa.repeat(MARKER, rows_empty.num_rows))
        and _agree(rows_empty, read.remove_column(start), columns_beside, zone)
        and (read_filled is None or _agree_together(rows_filled, read_filled, columns, zone))
    )


def _agree(rows: pa.RecordBatch, read: pa.Table, columns: Sequence[Column], zone: str) -> bool:
    """Return whether cells are those of as many rows."""
    return all(
        _first_wrong(ours, theirs.combine_chunks(), column, zone) is None
        for column, ours, theirs in zip(columns, rows.columns, read.columns, strict=True)
    )


def _agree_together(rows: pa.RecordBatch, read: pa.Table, columns: Sequence[Column], zone: str) -> bool:
    """Return the same for few rows: columns of one type are compared end to end, for each comparison takes its time."""
    if read.num_rows != rows.num_rows:
        return False
    places: dict[pa.DataType, list[int]] = {}
    for place, column in enumerate(columns):
        places.setdefault(_csv_type(column), []).append(place)
    return all(
        _first_wrong(
            pa.concat_arrays([rows.column(place) for place in alike]),
            pa.concat_arrays([chunk for place in alike for chunk in read.column(place).chunks]),
            columns[alike[0]],
            zone,
        )
        is None
        for alike in places.values()
    )


_SAMPLE = 33
"""Lines of each batch that another reader reads once more; one less, because the last may be cut."""
_STARTS = np.isin(np.arange(256), [*b"=@\t\r+-"])
_PHONE = "0123456789 ().-/"
_WHOLE_SECONDS = ("start_time", "end_time")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_PARSE = pa.csv.ParseOptions(newlines_in_values=True)


def _csv_type(column: Column) -> pa.DataType:
    if column.kind is Kind.DATETIME:
        return pa.timestamp("s" if column.name in _WHOLE_SECONDS else "ms")
    return arrow_type(column.kind)


def _first_wrong(ours: pa.Array, cells: pa.Array, column: Column, zone: str) -> int | None:
    """Return the first row whose cell is not what the rules say; None where all are."""
    if column.kind is Kind.TEXT:
        wrong = _wrong_texts(ours, cells)
    elif column.kind is Kind.DATETIME:
        wrong = _wrong_times(ours, cells, column, zone)
    else:
        wrong = np.empty(0, np.int64) if _equal(ours, cells) else _unequal(ours, cells)
    return int(wrong[0]) if len(wrong) else None


def _unequal(ours: pa.Array, cells: pa.Array) -> np.ndarray:
    return np.array([i for i in range(len(ours)) if not _equal(ours[i : i + 1], cells[i : i + 1])], np.int64)


def _wrong_texts(ours: pa.Array, cells: pa.Array) -> np.ndarray:
    """Return the rows whose texts are not written as the rules say.

    Most texts are their cells, and do not start as a formula may; only the others are looked at one by one.
    """
    doubtful = _may_be_changed(ours)
    if not ours.equals(cells):
        same = pc.fill_null(pc.equal(ours, cells), False).to_numpy(zero_copy_only=False)
        same |= ~(ours.is_valid().to_numpy(zero_copy_only=False) | cells.is_valid().to_numpy(zero_copy_only=False))
        doubtful = np.union1d(doubtful, np.flatnonzero(~same))
    if not len(doubtful):
        return doubtful
    pairs = zip(ours.take(pa.array(doubtful)).to_pylist(), cells.take(pa.array(doubtful)).to_pylist(), strict=True)
    wrong = np.array([text is None or cell != rules.text_cell(text) for text, cell in pairs], np.bool_)
    rows: np.ndarray = doubtful.compress(wrong)
    return rows


def _may_be_changed(texts: pa.Array) -> np.ndarray:
    """Return the places of texts that may be written in another way: as formulas, or with control characters.

    Most that start as a formula may are phone numbers, which stay as they are.
    """
    nothing = np.empty(0, np.int64)
    _, offset_buffer, characters = texts.buffers()
    if characters is None or not characters.size:
        return nothing
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(characters, np.uint8)[offsets[0] : offsets[-1]]
    filled = np.flatnonzero(offsets[1:] > offsets[:-1])
    if not len(filled):
        return nothing
    first = data.take(offsets.take(filled) - offsets[0])
    changed = filled.compress(_STARTS.take(first))
    if len(changed):
        # What is left of a column of phone numbers is the plus that each may start with.
        left = data.tobytes().translate(None, _PHONE.encode())
        if left == b"+" * np.count_nonzero(first == ord("+")):
            return nothing
        phone = pc.is_in(pc.ascii_rtrim(texts.take(pa.array(changed)), _PHONE), pa.array(["+", "", None]))
        changed = changed.compress(~phone.to_numpy(zero_copy_only=False))
    if data.min() < ord(" "):
        controls = pc.fill_null(pc.match_substring_regex(texts, r"[\x00-\x08\x0b\x0c\x0e-\x1f]"), False)
        changed = np.union1d(changed, np.flatnonzero(controls.to_numpy(zero_copy_only=False)))
    return changed


def _wrong_times(ours: pa.Array, cells: pa.Array, column: Column, zone: str) -> np.ndarray:
    """Return the rows whose times are not those of the clock in the zone, rounded down."""
    if ours.null_count or cells.null_count:
        valid, read = (array.is_valid().to_numpy(zero_copy_only=False) for array in (ours, cells))
        if not np.array_equal(valid, read):
            return np.flatnonzero(valid != read)
        ours, cells, places = ours.drop_null(), cells.drop_null(), np.flatnonzero(valid)
    else:
        places = np.arange(len(ours))
    unit = 1_000_000 if column.name in _WHOLE_SECONDS else 1_000
    instants = ours.view(pa.int64()).to_numpy()
    written_times = cells.view(pa.int64()).to_numpy()
    seconds, has_offset = _offsets(instants, 86_400, zone)
    if not has_offset.all():
        seconds[~has_offset], has_offset[~has_offset] = _offsets(instants[~has_offset], 900, zone)
    wrong = has_offset & ((instants + seconds * 1_000_000) // unit != written_times)
    for place in np.flatnonzero(~has_offset).tolist():
        with contextlib.suppress(OverflowError):
            instant = _EPOCH + dt.timedelta(microseconds=int(instants[place]))
            local = rules.clock(instant, zone).replace(tzinfo=dt.UTC) - _EPOCH
            wrong[place] = local // dt.timedelta(microseconds=unit) != written_times[place]
    return places.compress(wrong)


def _offsets(instants: np.ndarray, span: int, zone: str) -> tuple[np.ndarray, np.ndarray]:
    """Return by how many seconds the clock is ahead of UTC, and where that is the same for the span of an instant."""
    spans, places = _distinct(instants // (span * 1_000_000))
    offsets = [rules.offset_of_span(number * span, span, zone) for number in spans.tolist()]
    has_offset = np.array([offset is not None for offset in offsets], np.bool_).take(places)
    return np.array([offset or 0 for offset in offsets], np.int64).take(places), has_offset


def _distinct(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct numbers, and the place of each number among them; those of a narrow range are not sorted."""
    if not len(numbers) or numbers.max() - (lowest := numbers.min()) > len(numbers):
        return np.unique(numbers, return_inverse=True)
    used = np.bincount(numbers - lowest) > 0
    return np.flatnonzero(used) + lowest, (np.cumsum(used) - 1).take(numbers - lowest)


def _wanted(value: Any, column: Column, zone: str) -> Any:
    """Return the expected text of a cell, for use in a sentence."""
    if isinstance(value, str):
        return rules.text_cell(value)
    if isinstance(value, dt.datetime):
        return rules.clock(value, zone).replace(microsecond=0 if column.name in _WHOLE_SECONDS else value.microsecond)
    return value


def _unlike_the_rules(
    lines: memoryview, rows: pa.RecordBatch, columns: Sequence[Column], *, before: int, longest: int
) -> str | None:
    """Read the first lines with Python's own reader; return the first number whose text is not what the rules say."""
    if not 0 < longest * _SAMPLE < csv.field_size_limit():
        return None
    text = bytes(lines[: longest * _SAMPLE]).decode(errors="ignore")
    numbers = [place for place, column in enumerate(columns) if column.kind is Kind.NUMBER]
    sample = rows.slice(0, _SAMPLE - 1)
    values = {place: sample.column(place).to_pylist() for place in numbers}
    for row, cells in enumerate(itertools.islice(csv.reader(io.StringIO(text, newline="")), sample.num_rows)):
        for place in numbers:
            value = values[place][row]
            expected_cell = "" if value is None else rules.number_cell(value)
            if cells[place] != expected_cell:
                return f"row {before + row + 1:,}, column {columns[place].name}: {cells[place]} is not {expected_cell}"
    return None


def _equal(first: pa.Array, second: pa.Array) -> bool:
    if first.type == pa.float64():
        return bool(
            np.array_equal(first.is_valid(), second.is_valid())
            and np.array_equal(first.fill_null(0).to_numpy(), second.fill_null(0).to_numpy(), equal_nan=True)
        )
    return bool(first.equals(second))
