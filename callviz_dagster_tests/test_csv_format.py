"""The text of calls.csv: how values are written, what spreadsheets must not run, and who reads it back."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.calls_csv import format as csv_format
from callviz_dagster.calls_csv import rules
from callviz_dagster.calls_csv.audit import difference, header_difference
from callviz_dagster.calls_csv.format import csv_lines, header_line
from callviz_dagster.contract import LEADING, REPAIRS, Column, Kind, arrow_schema
from callviz_dagster.documents.text import csv_header, defused, local_clock, number_texts
from callviz_dagster.documents.values import number_text
from callviz_dagster_tests.helpers.raw_bson import examples

LOS_ANGELES = "America/Los_Angeles"
TEXT = Column("text", Kind.TEXT, "")


def batch_of(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Return rows as a batch of these columns."""
    schema = arrow_schema(columns)
    arrays = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def written(columns: Sequence[Column], rows: Sequence[Sequence[Any]], zone: str = "UTC") -> bytes:
    """Return the whole file."""
    return header_line(columns) + bytes(csv_lines(batch_of(columns, rows), columns, zone)[0])


# How values are written


def test_every_kind_is_written_as_the_contract_says() -> None:
    columns = (
        *(column for column in LEADING if column.name in ("_id", "start_time", "duration_sec", "call_date")),
        Column("queue", Kind.TEXT, ""),
        Column("count", Kind.INTEGER, ""),
        Column("vip", Kind.BOOLEAN, ""),
        Column("expires", Kind.DATETIME, ""),
        REPAIRS,
    )
    start = dt.datetime(2024, 3, 2, 1, 30, 5, 999_000, dt.UTC)
    full = ["a", start, 2.5, dt.date(2024, 3, 1), 'say "hi"', 2**63 - 1, True, start, ""]
    empty = ["b", start, None, dt.date(2024, 3, 1), "", None, None, None, "x"]
    missing = ["c", start, 5.0, dt.date(2024, 3, 1), None, -1, False, start, ""]
    assert written(columns, [full, empty, missing], LOS_ANGELES).decode().splitlines() == [
        '"_id","start_time","duration_sec","call_date","queue","count","vip","expires","repairs"',
        '"a",2024-03-01 17:30:05,2.5,2024-03-01,"say ""hi""",9223372036854775807,true,2024-03-01 17:30:05.999,""',
        '"b",2024-03-01 17:30:05,,2024-03-01,"",,,,"x"',
        '"c",2024-03-01 17:30:05,5,2024-03-01,,-1,false,2024-03-01 17:30:05.999,""',
    ]


def test_an_empty_table_is_a_header() -> None:
    assert written((TEXT,), []) == b'"text"\n'


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a,b", '"a,b"'), ('say "x"', '"say ""x"""'), ("=x", '"\'=x"'), ("+1", '"+1"'), ("a\nb", '"a\nb"'), ("", '""')],
)
def test_names_are_quoted_and_defused_like_values(name: str, expected: str) -> None:
    assert header_line((Column(name, Kind.TEXT, ""),)).decode() == expected + "\n"


@examples(200)
@given(st.lists(st.floats() | st.integers(-(10**17), 10**17).map(float), max_size=30))
def test_numbers_are_written_one_way_whatever_stands_beside_them(numbers: list[float]) -> None:
    assert number_texts(pa.array(numbers, pa.float64())).to_pylist() == [number_text(number) for number in numbers]


def test_a_line_depends_on_its_row_alone() -> None:
    columns = (TEXT, Column("number", Kind.NUMBER, ""), Column("at", Kind.DATETIME, ""))
    start = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    rows: list[list[Any]] = [
        ["=1", 1e300, start],
        ["a\x00", 5.0, None],
        [None, None, start],
        ['"', float("nan"), start],
        ["", 0.1, start],
    ]
    alone = b"".join(written(columns, [row]).split(b"\n", 1)[1] for row in rows)
    assert written(columns, rows).split(b"\n", 1)[1] == alone
    whole = batch_of(columns, rows * 3)
    parts = b"".join(bytes(csv_lines(whole.slice(at, 4), columns, "UTC")[0]) for at in range(0, 15, 4))
    assert parts == bytes(csv_lines(whole, columns, "UTC")[0])


@pytest.mark.parametrize(
    ("instant", "zone", "whole_seconds", "expected"),
    [
        ("2024-03-01T10:00:00.999+00:00", "UTC", True, "2024-03-01 10:00:00"),
        ("2024-03-01T10:00:00.999+00:00", "UTC", False, "2024-03-01 10:00:00.999"),
        ("1969-12-31T23:59:59.001+00:00", "UTC", True, "1969-12-31 23:59:59"),
        ("2050-07-01T12:00:00+00:00", LOS_ANGELES, True, "2050-07-01 05:00:00"),
        ("1678-01-01T00:00:00+00:00", LOS_ANGELES, True, "1677-12-31 16:07:02"),
        ("9999-12-30T00:00:00+00:00", "Asia/Tokyo", False, "9999-12-30 09:00:00.000"),
        ("0001-01-02T00:00:00+00:00", LOS_ANGELES, False, "0001-01-01 16:07:02.000"),
    ],
)
def test_times_are_local_rounded_down(instant: str, zone: str, whole_seconds: bool, expected: str) -> None:
    array = pa.array([dt.datetime.fromisoformat(instant), None], pa.timestamp("us", tz="UTC"))
    assert local_clock(array, zone, whole_seconds=whole_seconds).cast(pa.string()).to_pylist() == [expected, None]


@pytest.mark.parametrize("whole_seconds", [True, False])
def test_parts_of_columns_are_local_too(whole_seconds: bool) -> None:
    start = dt.datetime(2024, 3, 1, 10, 0, 5, 999_000, dt.UTC)
    moments = [None if number % 3 else start + dt.timedelta(hours=number) for number in range(40)]
    for array in (
        pa.array(moments, pa.timestamp("us", tz="UTC")),
        pa.array([start] * 40, pa.timestamp("us", tz="UTC")),
    ):
        whole = local_clock(array, LOS_ANGELES, whole_seconds=whole_seconds)
        whole.validate(full=True)
        assert whole.null_count == array.null_count
        for first, end in ((0, 0), (0, 7), (5, 6), (9, 40), (40, 40)):
            part = local_clock(array[first:end], LOS_ANGELES, whole_seconds=whole_seconds)
            part.validate(full=True)
            assert part.equals(whole[first:end])


# What a spreadsheet would run


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", '=HYPERLINK("http://x","y")', "@SUM(A1)", "\t=1", "\r=1", "-2+3+cmd|' /C calc'!A0", "+cmd|x!A0"),
        *("+a", "-a", "-=1", "--x", "+1;2", "+1,5", "+1*2", "-1%", "+A1", "-1e", "+1\n2", "-Infinity2", "+=", "-'1"),
        *("=", "@", "\t", "\r", "@me", "+١", "-1\x00"),
    ],
)
def test_formulas_get_an_apostrophe_before_them(text: str) -> None:
    actual, count = defused(pa.array([text]))
    assert (actual.to_pylist(), count) == (["'" + text.replace("\x00", "␀")], 1)


@pytest.mark.parametrize(
    "text",
    [
        *("+15550001234", "+1 555 000 1234", "+1 (555) 000-1234", "+49/30/1234", "+1.555.000.1234", "+", "-", "+-"),
        *("-1", "+1", "-1.5", "-.5", "+1e10", "-1E-5", "-0", "-Infinity", "Infinity", "NaN", "-12345678901234567890"),
        *("", "a", "'=1", "1=1", "a@b", " =1", "(+1)", "0044123", "−1", "#x", "a\tb", "a\r\nb", "\n=1", "é=", "📞"),
    ],
)
def test_numbers_phone_numbers_and_all_other_text_stay(text: str) -> None:
    actual, count = defused(pa.array([text]))
    assert (actual.to_pylist(), count) == ([text], 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b", "a␀b"),
        ("\x00", "␀"),
        ("\x01\x08\x0b\x0c\x0e\x1f", "␁␈␋␌␎␟"),
        ("\x1b[31m", "␛[31m"),
        ("=\x00", "'=␀"),
        ("\t\n\r\x7f\x85\u2028", "'\t\n\r\x7f\x85\u2028"),
        ("a\t\n\r\x7f\x85\u2028", "a\t\n\r\x7f\x85\u2028"),
    ],
)
def test_control_characters_that_no_spreadsheet_holds_are_shown(text: str, expected: str) -> None:
    actual, count = defused(pa.array([None, text, "other", ""]))
    assert (actual.to_pylist(), count) == ([None, expected, "other", ""], int(text != expected))


def test_texts_are_counted_once_also_where_the_array_is_a_part_of_another() -> None:
    texts = pa.array(["=x", None, "a\x00", "=\x00", "", "b", "@"])
    assert defused(texts)[1] == 4
    actual, count = defused(texts.slice(2, 4))
    assert (actual.to_pylist(), count) == (["a␀", "'=␀", "", "b"], 2)
    assert defused(pa.array([], pa.string()))[1] == 0
    assert defused(pa.array([None, None], pa.string()))[0].to_pylist() == [None, None]


# Who reads it back

CELLS = {
    "plain": "hello",
    "empty": "",
    "spaces": "  a  ",
    "comma and quote": 'a,"b""',
    "quote alone": '"',
    "line feed": "a\nb\n",
    "CR": "a\rb\r",
    "CRLF": "a\r\nb",
    "tab": "a\tb",
    "backslash": "a\\nb\\",
    "NUL": "a\x00b",
    "other controls": "\x01\x1b[0m\x0b\x0c",
    "emoji": "📞👩‍👩‍👧 ☎️",
    "right to left": "שלום \u202eabc مرحبا",
    "line separators": "a\x85b\u2028c\u2029d",
    "byte order mark": "\ufeffa",
    "words for nothing": "NULL",
    "number as text": "007",
    "phone": "+15550001234",
    "formula": '=HYPERLINK("http://x","y")',
    "at": "@SUM(1)",
    "escape of Excel": "a_x000D_b",
    "long": "x" * 30_000,
}


def as_read(text: str) -> str:
    """Return what a reader of the CSV must find for a text."""
    return str(defused(pa.array([text]))[0][0])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("csv") / "calls.csv"
    columns = (Column("name", Kind.TEXT, ""), TEXT, Column("end", Kind.INTEGER, ""))
    path.write_bytes(written(columns, [[name, text, 7] for name, text in CELLS.items()]))
    return path


EXPECTED = [(name, as_read(text), "7") for name, text in CELLS.items()]


def test_the_csv_module_reads_it_back(file: Path) -> None:
    with file.open(newline="", encoding="utf-8") as stream:
        assert [tuple(row) for row in csv.reader(stream, strict=True)][1:] == EXPECTED


@pytest.mark.parametrize("engine", ["c", "python"])
def test_pandas_reads_it_back(file: Path, engine: Any) -> None:
    frame = pd.read_csv(file, dtype=str, keep_default_na=False, engine=engine)
    assert list(frame.itertuples(index=False, name=None)) == EXPECTED


def test_arrow_reads_it_back(file: Path) -> None:
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    types = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in ("name", "text", "end")})
    read = pyarrow.csv.read_csv(file, parse_options=options, convert_options=types)
    assert [tuple(row.values()) for row in read.to_pylist()] == EXPECTED


def test_duckdb_reads_it_back(file: Path) -> None:
    query = "SELECT * FROM read_csv(?, header=true, all_varchar=true, allow_quoted_nulls=false)"
    with duckdb.connect() as connection:
        assert connection.execute(query, [str(file)]).fetchall() == EXPECTED


def test_a_missing_value_and_an_empty_text_stay_two_things(tmp_path: Path) -> None:
    """For readers that can tell: DuckDB, Arrow."""
    path = tmp_path / "calls.csv"
    path.write_bytes(written((TEXT, REPAIRS), [[None, "missing"], ["", "empty"]]))
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT text FROM read_csv(?, allow_quoted_nulls=false)", [str(path)]).fetchall()
    assert rows == [(None,), ("",)]
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    assert pyarrow.csv.read_csv(path, convert_options=options)["text"].to_pylist() == [None, ""]


def test_duckdb_recognizes_the_types_by_itself(tmp_path: Path) -> None:
    columns = (*LEADING, REPAIRS)
    start = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)
    row = ["a", "incoming", "completed", start, start, 5.5, dt.date(2024, 3, 1), "Friday", 10, ""]
    (tmp_path / "calls.csv").write_bytes(written(columns, [row, [*row[:4], None, None, *row[6:]]]))
    with duckdb.connect() as connection:
        types = connection.execute(f"DESCRIBE SELECT * FROM read_csv('{tmp_path / 'calls.csv'}')").fetchall()
    assert [kind for _, kind, *_ in types] == [
        *("VARCHAR", "VARCHAR", "VARCHAR", "TIMESTAMP", "TIMESTAMP", "DOUBLE", "DATE", "VARCHAR", "BIGINT", "VARCHAR")
    ]


def test_a_spreadsheet_file_holds_the_cells_as_they_are_read(file: Path, tmp_path: Path) -> None:
    """Also that no cell becomes a formula when a sheet is made of the file."""
    book = openpyxl.Workbook()
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            book.worksheets[0].append(row)
    book.save(tmp_path / "calls.xlsx")
    cells = list(openpyxl.load_workbook(tmp_path / "calls.xlsx").worksheets[0].iter_rows(min_row=2))
    assert [tuple(cell.value or "" for cell in row) for row in cells] == EXPECTED
    assert "f" not in {cell.data_type for row in cells for cell in row}


@pytest.mark.parametrize("character", ["x", '"', "é", "\n", "📞"])
def test_a_million_characters_are_read_back(character: str, tmp_path: Path) -> None:
    """By all but spreadsheets, whose cells hold 32,767."""
    text = character * 1_000_000
    path = tmp_path / "calls.csv"
    path.write_bytes(written((TEXT, REPAIRS), [[text, ""], ["short", ""]]))
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            assert next(row for row in csv.reader(stream) if row[0] != "text")[0] == text
    finally:
        csv.field_size_limit(limit)
    assert pd.read_csv(path)["text"][0] == text
    with duckdb.connect() as connection:
        query = "SELECT text FROM read_csv(?, header=true, max_line_size=10000000)"
        row = connection.execute(query, [str(path)]).fetchone()
    assert row is not None
    assert row[0] == text


_texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    list(CELLS.values())[:-1]
)


@examples(100)
@given(st.lists(st.tuples(_texts, st.none() | _texts), min_size=1, max_size=8))
def test_any_text_is_read_back(rows: list[tuple[str, str | None]]) -> None:
    content = written((Column("a", Kind.TEXT, ""), Column("b", Kind.TEXT, "")), rows)
    expected = [[as_read(a), "" if b is None else as_read(b)] for a, b in rows]
    assert list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))[1:] == expected
    frame = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    assert frame.to_numpy().tolist() == expected


@examples(200)
@given(st.floats(allow_nan=False))
def test_any_number_is_read_back_exactly(number: float) -> None:
    content = written((Column("a", Kind.NUMBER, ""),), [[number]])
    cell = content.decode().splitlines()[1]
    assert struct.pack("<d", float(cell)) == struct.pack("<d", number)
    read = pd.read_csv(io.BytesIO(content), dtype=float)["a"][0]
    assert struct.pack("<d", float(read)) == struct.pack("<d", number)


# The audit

AUDITED = (
    *(TEXT, Column("number", Kind.NUMBER, ""), Column("count", Kind.INTEGER, ""), Column("vip", Kind.BOOLEAN, "")),
    *(Column("at", Kind.DATETIME, ""), Column("day", Kind.DATE, "")),
)
AT = dt.datetime(2024, 3, 1, 10, 0, 0, 123_000, dt.UTC)
ROWS: list[list[Any]] = [
    ["a", 1.5, 1, True, AT, dt.date(2024, 3, 1)],
    ["=x\x00", float("nan"), 2**63 - 1, False, dt.datetime(1, 1, 2, tzinfo=dt.UTC), dt.date(1678, 1, 1)],
    ['"\n', float("-inf"), None, None, dt.datetime(9999, 12, 29, tzinfo=dt.UTC), dt.date(2261, 12, 31)],
    ["", -0.0, -(2**63), True, None, None],
    [None, None, 0, False, AT, dt.date(2024, 3, 1)],
]


def audit(content: bytes, rows: Sequence[Sequence[Any]] = ROWS, before: int = 0) -> str | None:
    first, lines = content.split(b"\n", 1)
    return header_difference(first + b"\n", AUDITED) or difference(
        memoryview(lines), batch_of(AUDITED, rows), AUDITED, LOS_ANGELES, before=before, longest=len(lines)
    )


def test_lines_that_are_as_they_were_written_have_no_difference() -> None:
    assert audit(written(AUDITED, ROWS, LOS_ANGELES)) is None
    assert audit(header_line(AUDITED), []) is None
    many = [["a" * number, *ROWS[number % 5][1:]] for number in range(3_000)]
    assert audit(written(AUDITED, many, LOS_ANGELES), many) is None


def test_rows_are_told_by_their_place_in_the_file() -> None:
    changed = written(AUDITED, ROWS, LOS_ANGELES).replace(b'"a",1.5', b'"b",1.5')
    assert audit(changed, before=5) == "row 6 (_id a), column text: 'b' is read, 'a' was written"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"a",1.5', b'"b",1.5', "row 1 (_id a), column text: 'b' is read, 'a' was written"),
        (b'"a",1.5', b'"a",1.6', "column number: 1.6 is read, 1.5 was written"),
        (b"NaN", b"", "column number: None is read, nan was written"),
        (b"9223372036854775807", b"9223372036854775806", "column count"),
        (b"9223372036854775807", b"9223372036854775808", "9223372036854775808"),
        (b"true", b"false", "column vip"),
        (b"02:00:00.123", b"02:00:00.124", "column at"),
        (b"2261-12-31", b"2261-12-30", "column day"),
        (b'"",-0', b",-0", "column text: None is read, '' was written"),
        (b",-0,", b',"",', "conversion error to double"),
        (b'"text"', b'"texts"', "the header is"),
        (b"'=x", b"=x", "column text"),
        ("␀".encode(), b"\x00", "column text"),
        (b'"a",1.5', b'"a,1.5', ""),
        (b'"a",1.5', b'"\xff",1.5', ""),
    ],
)
def test_lines_that_were_changed_are_found_out(old: bytes, new: bytes, message: str) -> None:
    content = written(AUDITED, ROWS, LOS_ANGELES)
    assert content.count(old) >= 1
    actual = audit(content.replace(old, new, 1))
    assert actual is not None
    assert message in actual


def test_missing_and_repeated_rows_are_found_out() -> None:
    content = written(AUDITED, ROWS, LOS_ANGELES)
    assert audit(written(AUDITED, ROWS[:-1], LOS_ANGELES)) == "after row 0 come 4 rows, and in calls 5"
    assert (
        audit(written(AUDITED, [*ROWS, ROWS[-1]], LOS_ANGELES), before=7) == "after row 7 come 6 rows, and in calls 5"
    )
    assert audit(header_line(AUDITED)) == "the lines after row 0 do not end with a line"
    assert audit(content, []) == "row 1 is there, and in calls it is not"


@pytest.mark.parametrize("end", [b"", b'"', b"\n", b'""\n'])
def test_lines_that_would_run_into_the_next_are_found_out(end: bytes) -> None:
    columns, texts = (TEXT, Column("last", Kind.TEXT, "")), [["a", "b"], ["c", "d\n"]]
    lines, rows = written(columns, texts).split(b"\n", 1)[1], batch_of(columns, texts)
    assert lines.endswith(b'"d\n"\n')
    assert difference(memoryview(lines), rows, columns, "UTC") is None
    assert difference(memoryview(lines.removesuffix(b'"\n') + end), rows, columns, "UTC") is not None


def test_the_header_tells_names_apart_that_only_defusing_makes_alike() -> None:
    names = csv_header((Column("=a", Kind.TEXT, ""), Column("a\x01", Kind.TEXT, "")))
    assert json.dumps(names, ensure_ascii=False) == '["\'=a", "a␁"]'
    assert np.unique(names).size == 2


# The audit shares no code with the writer


def _late_by_an_hour(instants: pa.Array, zone: str, *, whole_seconds: bool) -> pa.Array:
    local = local_clock(instants, zone, whole_seconds=whole_seconds)
    return pc.add(local, pa.scalar(dt.timedelta(hours=1), pa.duration(local.type.unit)))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("defused", lambda texts: (texts, 0)),
        ("defused", lambda texts: (pc.replace_substring_regex(texts, "^=", "'="), 0)),
        ("defused", lambda texts: (pc.replace_substring(defused(texts)[0], "\u2400", ""), 0)),
        ("defused", lambda texts: (pc.binary_join_element_wise("'", texts, ""), 0)),
        ("local_clock", _late_by_an_hour),
        (
            "local_clock",
            lambda instants, zone, whole_seconds: local_clock(instants, "UTC", whole_seconds=whole_seconds),
        ),
        ("number_texts", lambda numbers: pa.array([f"{number.as_py():e}" for number in numbers])),
    ],
)
def test_the_audit_sees_faults_of_the_functions_that_write(
    name: str, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (TEXT, Column("number", Kind.NUMBER, ""), Column("at", Kind.DATETIME, ""))
    start = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)
    rows = [["=1", 1e300, start], ["a\x00", 1e16, start], ["+49 30 1", 0.00005, start], ["", 1.5, None]]
    batch = batch_of(columns, rows)

    def found() -> str | None:
        lines = csv_lines(batch, columns, LOS_ANGELES)
        return difference(lines.text, batch, columns, LOS_ANGELES, longest=lines.longest)

    assert found() is None
    monkeypatch.setattr(csv_format, name, fault)
    assert found() is not None


@pytest.mark.slow
@examples(200)
@given(st.text(max_size=12) | st.text("+-0123456789 ().eE=@\t\r\x00\x0c\x1f", max_size=12))
def test_both_statements_of_the_rules_of_texts_agree(text: str) -> None:
    assert rules.text_cell(text) == as_read(text)


@examples(200)
@given(st.floats() | st.integers(-(10**17), 10**17).map(float))
def test_both_statements_of_the_rules_of_numbers_agree(number: float) -> None:
    assert rules.number_cell(number) == number_text(number)


@examples(200)
@given(
    st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2261, 12, 31), timezones=st.just(dt.UTC)),
    st.sampled_from(["UTC", LOS_ANGELES, "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Africa/Monrovia"]),
)
def test_both_statements_of_the_rules_of_times_agree(instant: dt.datetime, zone: str) -> None:
    columns = (Column("at", Kind.DATETIME, ""),)
    batch = batch_of(columns, [[instant]])
    lines = csv_lines(batch, columns, zone)
    assert difference(lines.text, batch, columns, zone, longest=lines.longest) is None


@pytest.mark.parametrize("text", ["\x0c", "\x1f", "a\x0c", "a\x1fb"])
def test_a_lone_form_feed_or_separator_is_shown(text: str) -> None:
    assert as_read(text) == text.replace("\x0c", "\u240c").replace("\x1f", "\u241f")


def test_small_numbers_are_written_as_python_writes_them() -> None:
    assert number_texts(pa.array([5e-05, -5e-05, 0.0001])).to_pylist() == ["5e-05", "-5e-05", "0.0001"]


@pytest.mark.parametrize("place", ["{}", "a{}", "{}=", "+{}"])
def test_a_header_reads_back_whatever_character_a_name_has(place: str) -> None:
    """A field name may hold DEL or a noncharacter: the refresh must not end at its own audit."""
    codes = [*range(1, 0x250), *range(0x2000, 0x2100), 0xD7FF, 0xE000, 0xFEFF, *range(0xFFF0, 0x10000), 0x1FFFE]
    columns = [Column(place.format(chr(code)), Kind.TEXT, "") for code in codes]
    assert header_difference(header_line(columns), columns) is None


@pytest.mark.parametrize(
    ("start", "seconds", "offset"),
    [
        (dt.datetime(2024, 3, 31, 0, tzinfo=dt.UTC), 3600, 3600),
        (dt.datetime(2024, 3, 31, 1, tzinfo=dt.UTC), 3600, 7200),
        (dt.datetime(2024, 3, 31, 0, tzinfo=dt.UTC), 3601, None),
        (dt.datetime(9999, 12, 31, 23, tzinfo=dt.UTC), 7200, None),
    ],
)
def test_the_audit_knows_the_offset_of_a_span_or_that_it_changes(
    start: dt.datetime, seconds: int, offset: int | None
) -> None:
    assert rules.offset_of_span(int(start.timestamp()), seconds, "Europe/Berlin") == offset
