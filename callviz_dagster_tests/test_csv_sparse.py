"""Columns that are empty in nearly every row: written and compared as if every cell had been looked at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.calls_csv import audit, format
from callviz_dagster.calls_csv.audit import difference
from callviz_dagster.calls_csv.format import csv_lines
from callviz_dagster.calls_csv.sparse import sparse_columns
from callviz_dagster.contract import Column, Kind, arrow_schema
from callviz_dagster_tests.helpers.raw_bson import examples

ZONE = "Europe/Berlin"
ROWS = 48
SPARSE = 10
AT = dt.datetime(2024, 3, 31, 1, 0, 0, 250_000, dt.UTC)
KINDS = (Kind.TEXT, Kind.DATETIME, Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN)
VALUES = {Kind.TEXT: '=a,"b"', Kind.DATETIME: AT, Kind.NUMBER: 1e16, Kind.INTEGER: -5, Kind.BOOLEAN: True}
OTHER_VALUES = {
    Kind.TEXT: "a",
    Kind.DATETIME: AT.replace(year=2023),
    Kind.NUMBER: 1.5,
    Kind.INTEGER: 5,
    Kind.BOOLEAN: False,
}
COLUMNS = (
    Column("_id", Kind.TEXT, ""),
    Column("number", Kind.NUMBER, ""),
    *(Column(f"rare_{place}", KINDS[place % 5], "") for place in range(SPARSE)),
    Column("repairs", Kind.TEXT, ""),
)
FIRST = 2
"""The place of the first sparse column."""


def calls(values: dict[tuple[int, int], Any], texts: Sequence[str] = ("",)) -> pa.RecordBatch:
    """Return rows with values in some cells of the sparse columns, by row and column, and with texts beside these."""
    return pa.RecordBatch.from_arrays(
        [
            pa.array([f"{texts[row % len(texts)]}{row}" for row in range(ROWS)]),
            pa.array([row / 4 for row in range(ROWS)]),
            *(
                pa.array([values.get((row, place)) for row in range(ROWS)], field.type)
                for place, field in enumerate(arrow_schema(COLUMNS[FIRST:-1]))
            ),
            pa.array([texts[row % len(texts)] for row in range(ROWS)]),
        ],
        schema=arrow_schema(COLUMNS),
    )


def cells(*places: tuple[int, int]) -> dict[tuple[int, int], Any]:
    """Return a value for each of some cells, by row and sparse column."""
    return {(row, place): VALUES[KINDS[place % 5]] for row, place in places}


def found(lines: bytes, rows: pa.RecordBatch) -> str | None:
    return difference(memoryview(lines), rows, COLUMNS, ZONE, longest=500)


def found_cell_by_cell(lines: bytes, rows: pa.RecordBatch) -> str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit, "sparse_columns", lambda _: None)
        return found(lines, rows)


FEW = st.dictionaries(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, SPARSE - 1)), st.none(), min_size=0, max_size=6
).map(lambda keys: cells(*keys))
TEXTS = st.lists(st.text(st.sampled_from('a,"\n\x01=+ü'), max_size=14), min_size=1, max_size=3)


@examples(100)
@given(FEW, TEXTS)
def test_lines_are_those_that_are_written_cell_by_cell(values: dict[tuple[int, int], Any], texts: list[str]) -> None:
    rows = calls(values, texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format, "sparse_columns", lambda _: None)
        expected = csv_lines(rows, COLUMNS, ZONE)
    lines = csv_lines(rows, COLUMNS, ZONE)
    assert (bytes(lines.text), lines.defused, lines.longest) == (
        bytes(expected.text),
        expected.defused,
        expected.longest,
    )
    assert found(bytes(lines.text), rows) is None
    parts = [rows.slice(at, size) for at, size in ((0, 1), (1, 30), (31, ROWS))]
    texts_of_parts = [bytes(csv_lines(part, COLUMNS, ZONE).text) for part in parts]
    assert b"".join(texts_of_parts) == lines.text
    assert [found(text, part) for text, part in zip(texts_of_parts, parts, strict=True)] == [None] * 3


@examples(100)
@given(FEW, TEXTS, st.data())
def test_whatever_byte_is_altered_the_difference_is_that_of_every_cell(
    values: dict[tuple[int, int], Any], texts: list[str], data: st.DataObject
) -> None:
    rows = calls(values, texts)
    lines = bytes(csv_lines(rows, COLUMNS, ZONE).text)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        removed = data.draw(st.integers(0, 3))
        lines = (
            lines[:at] + data.draw(st.text(st.sampled_from('a1,"\n\x01'), max_size=3)).encode() + lines[at + removed :]
        )
    assert found(lines, rows) == found_cell_by_cell(lines, rows)


@pytest.mark.parametrize("row", [0, 20, ROWS - 1])
@pytest.mark.parametrize("place", range(SPARSE))
def test_a_value_in_a_column_without_values_is_found(row: int, place: int) -> None:
    rows = calls(cells((5, 1), (5, 3)))
    lines = bytes(csv_lines(rows, COLUMNS, ZONE).text).splitlines(keepends=True)
    own = lines[row].split(b",")
    own[FIRST + place] = {Kind.TEXT: b'""', Kind.DATETIME: b"2024-03-31 03:00:00.250", Kind.BOOLEAN: b"true"}.get(
        KINDS[place % 5], b"0"
    )
    lines[row] = b",".join(own)
    actual = found(b"".join(lines), rows)
    assert actual is not None
    assert f"row {row + 1} (_id {row}), column rare_{place}: " in actual


@pytest.mark.parametrize("place", range(SPARSE))
def test_another_value_in_a_row_with_values_is_found(place: int) -> None:
    rows, others = calls(cells((5, place))), calls({(5, place): OTHER_VALUES[KINDS[place % 5]]})
    actual = found(bytes(csv_lines(others, COLUMNS, ZONE).text), rows)
    assert actual is not None
    assert f"row 6 (_id 5), column rare_{place}: " in actual
    assert found(bytes(csv_lines(calls({}), COLUMNS, ZONE).text), rows) is not None


def test_a_missing_cell_and_a_cell_in_place_of_all_are_found() -> None:
    rows = calls({})
    lines = bytes(csv_lines(rows, COLUMNS, ZONE).text)
    commas = b"," * (SPARSE + 1)
    assert lines.count(commas) == ROWS
    assert found(lines, rows) is None
    for altered in (commas[1:], commas + b",", b',"\x01",', b',"x",', b",,"):
        assert found(lines.replace(commas, altered, 1), rows) is not None
        assert found(lines.replace(commas, altered), rows) is not None


def test_only_runs_of_many_nearly_empty_columns_are_sparse() -> None:
    rows = calls(cells((5, 1), (7, 1), (9, 3)))
    sparse = sparse_columns(rows)
    assert sparse is not None
    assert (sparse.start, sparse.stop, sparse.filled.nonzero()[0].tolist()) == (FIRST, FIRST + SPARSE, [5, 7, 9])
    assert sparse_columns(rows.select(range(7))) is None, "too few columns"
    assert sparse_columns(calls(cells(*((row, 5) for row in range(4))))) is None, "a column with more values between"
    everywhere = calls(cells(*((row, row % SPARSE) for row in range(ROWS // 2 + 1))))
    assert sparse_columns(everywhere) is None, "a value in most rows"
