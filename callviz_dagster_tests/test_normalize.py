"""Arbitrary documents: each is accounted for once, as a plain reading of the contract has it; nothing raises."""

from __future__ import annotations

import csv
import datetime as dt
import gc
import io
import re
import weakref
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import bson
import pyarrow as pa
import pytest
from bson import Decimal128
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from callviz_dagster import contract
from callviz_dagster.assets.common import table_options
from callviz_dagster.calls_csv.audit import difference
from callviz_dagster.calls_csv.format import header_line
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.times import local_datetime_text
from callviz_dagster.documents.values import Renderer
from callviz_dagster.documents.walker import Walker
from callviz_dagster.settings import Settings
from callviz_dagster.table.normalize import normalize
from callviz_dagster.table.plan import make_plan
from callviz_dagster.table.tally import PROBLEMS
from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.normalized import (
    NOW,
    SETTINGS,
    SOURCE_ZONE,
    ZONE,
    assert_same_cell,
    csv_of,
    normalized,
)
from callviz_dagster_tests.helpers.plain_normalization import NAMES, Rejected, Row, normalize_plainly
from callviz_dagster_tests.helpers.raw_bson import (
    Value,
    array,
    examples,
    nested,
    raw_document,
    read_elements,
    scalars,
    text,
    times,
    value,
    values,
)

Document = list[tuple[str | bytes, Value]]


# What documents can be

_odd_numbers = st.sampled_from([0, 5, -1, 2.5, -2.5, float("nan"), float("inf"), 1e300, 2**53 + 1, 90_000, True])
_odd_durations = st.sampled_from(
    [
        *(
            "125",
            "2m 5s",
            "PT125S",
            "0 days 0:02:05.5",
            "02:05",
            "75:00",
            "125s",
            " 7 ",
            "1.5",
            "-3",
            "1e400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "NaN",
            "9" * 5_000,
        ),
        *(Decimal128("12.5"), Decimal128("0.1234567890123456789"), Decimal128("sNaN"), Decimal128("1E+6144")),
    ]
)
_labels = st.sampled_from(
    [
        "Incoming",
        "OUT_BOUND",
        "voice mail",
        " busy ",
        "NO ANSWER",
        "no_answer",
        "canceled",
        "Zz",
        "Zz\u200b",
        "No\u00a0Answer",
    ]
)
_ROLE_VALUES: dict[str, st.SearchStrategy[Value]] = {
    "start_time": times(),
    "end_time": times(),
    "duration": st.one_of(_odd_numbers, _odd_durations).map(value),
    "call_type": _labels.map(value),
    "status": _labels.map(value) | _labels.map(lambda label: nested([("id", value(7)), ("name", value(label))])),
}
_names: st.SearchStrategy[str | bytes] = st.sampled_from(
    ["", "a", "b", "A", "a.b", "a_b", "$price", "repairs", "_id", "call", "=x", "x y", "名前", b"\xff", "a\n"]
)
_any_value = values(_names)


@st.composite
def _elements(draw: st.DrawFn, *, depth: int = 0) -> Document:
    elements: Document = []
    for role, names in NAMES.items():
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            usual = draw(st.integers(0, 4)) > 0
            elements.append((name, draw(_ROLE_VALUES[role] if usual else _any_value)))
    elements += draw(st.lists(st.tuples(_names, _any_value), max_size=3))
    if depth == 0:
        if draw(st.booleans()):
            elements.append(("_id", draw(scalars())))
        if draw(st.integers(0, 4)) == 0:
            elements.append(("call", nested(draw(_elements(depth=1)))))
    return list(draw(st.permutations(elements)))


_arbitrary = _elements().map(raw_document)


def clean(number: int) -> bytes:
    """Return a document of the tidiest kind."""
    start = dt.datetime(2024, 3, 1, 10, number)
    return bson.encode(
        {
            "_id": bson.ObjectId(f"{number:024x}"),
            "call_type": "incoming",
            "status": "completed",
            "start_time": start,
            "end_time": start + dt.timedelta(seconds=90),
            "duration_sec": 90,
            "a": number,
            "b": f"text {number}",
            "rating": 4.5,
            "vip": True,
            "called_back": start,
        }
    )


# Equal to the plain reading


def assert_as_plainly(documents: Sequence[bytes], sizes: Sequence[int] = ()) -> None:
    plan, calls, rejected, tally = normalized(documents, sizes=sizes)
    expected = normalize_plainly(documents, ZONE, SOURCE_ZONE)
    kinds = {column.name: str(column.kind or "text") for column in plan.fields}
    assert list(kinds.items()) == list(expected.kinds.items())

    rows = [row for row in expected.rows if isinstance(row, Row)]
    assert calls.num_rows == len(rows)
    for actual_row, row in zip(calls.to_pylist(), rows, strict=True):
        assert set(actual_row) == {*row.cells, "repairs"}
        for column, cell in row.cells.items():
            assert_same_cell(column, actual_row[column], cell)
        repaired = {
            name
            for name in actual_row
            if re.search(rf"(^|; ){re.escape(name)}: ", actual_row["repairs"], re.DOTALL) is not None
        }
        assert repaired == row.repaired, actual_row["repairs"]

    outcasts = [row for row in expected.rows if isinstance(row, Rejected)]
    assert rejected.num_rows == len(outcasts)
    for actual_row, outcast in zip(rejected.to_pylist(), outcasts, strict=True):
        del actual_row["explanation"]
        assert list(actual_row.values()) == [
            *(outcast.identifier, outcast.reason, outcast.field, outcast.value, outcast.document)
        ]

    assert (tally.documents, tally.calls, tally.rejected) == (len(documents), len(rows), len(outcasts))
    assert tally.repaired_rows == sum(bool(row.repaired) for row in rows)
    assert sum(tally.reasons.values()) == len(outcasts)
    assert set(tally.reasons) <= set(PROBLEMS)


@examples(150)
@given(st.lists(_arbitrary, max_size=4))
def test_documents_become_what_a_plain_reading_of_the_contract_makes_of_them(arbitrary: list[bytes]) -> None:
    assert_as_plainly([clean(1), *arbitrary])


@examples(40)
@given(st.lists(_arbitrary, min_size=1, max_size=4), st.data())
def test_so_they_do_in_large_batches_and_small_ones(arbitrary: list[bytes], data: st.DataObject) -> None:
    """Where many documents resemble each other they are read together, else one by one."""
    order = data.draw(st.lists(st.integers(0, len(arbitrary)), min_size=30, max_size=60))
    documents = [[clean(1), *arbitrary][place] for place in order]
    assert_as_plainly([clean(0), *documents], data.draw(st.lists(st.integers(0, 40), max_size=3)))


@examples(40)
@given(st.lists(_arbitrary, max_size=6), st.lists(st.integers(0, 3), max_size=4))
def test_the_rows_do_not_depend_on_the_batches(arbitrary: list[bytes], sizes: list[int]) -> None:
    documents = [clean(1), *arbitrary, *(clean(n) for n in range(30))]
    _, calls, rejected, tally = normalized(documents)
    _, again, rejected_again, tally_again = normalized(documents, sizes=sizes)
    # Tables are compared as files would be, for NaN is not equal to itself.
    assert _bytes(calls) == _bytes(again)
    assert _bytes(rejected) == _bytes(rejected_again)
    assert tally == tally_again


def _bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue()


# Clean rows beside awkward ones


@examples(80)
@given(st.lists(_arbitrary, min_size=1, max_size=3))
def test_clean_rows_come_out_as_they_do_without_awkward_ones(arbitrary: list[bytes]) -> None:
    """Column by column, as calls.csv has them; columns that only the awkward ones have are empty."""
    tidy = [clean(n) for n in range(8)]
    alone, beside = (
        list(csv.DictReader(io.StringIO(csv_of(plan, calls).decode(), newline="")))
        for plan, calls, *_ in (normalized(tidy), normalized([*tidy[:5], *arbitrary, *tidy[5:]]))
    )
    identifiers = {row["_id"] for row in alone}
    clean_rows = [row for row in beside if row["_id"] in identifiers and row["b"].startswith("text ")]
    assert [
        {name: row.pop(name) for name in expected} for expected, row in zip(alone, clean_rows, strict=True)
    ] == alone
    assert {cell for row in clean_rows for cell in row.values()} <= {""}


@pytest.mark.parametrize("value", [7, b"missed", True])
def test_the_schema_refuses_a_text_column_that_holds_something_else(value: int | bytes) -> None:
    frame = contract.to_frame(normalized([clean(1)])[1].select([column.name for column in contract.LEADING]))
    contract.pandera_schema().validate(frame, lazy=True)
    with pytest.raises(SchemaErrors, match="call_type"):
        contract.pandera_schema().validate(frame.assign(call_type=value), lazy=True)


# Whatever the settings


_settings = st.builds(
    Settings,
    timezone=st.sampled_from(["UTC", "Pacific/Kiritimati", "America/St_Johns", "Africa/Casablanca"]),
    source_timezone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Asia/Kathmandu"]),
    source_dates=st.sampled_from(["utc", "local"]),
    date_order=st.sampled_from([None, "dmy", "mdy"]),
    field_duration_unit=st.sampled_from([None, "s", "ms"]),
    max_columns=st.sampled_from([1, 3, 200]),
    drop_fields=st.lists(st.sampled_from(["a", "b.a", "call.a", "$price", "a.b"]), max_size=2).map(tuple),
    pseudonymize=st.lists(st.sampled_from(["rating", "b", "a.a", "x y"]), max_size=2).map(tuple),
    pseudonym_key=st.just("k" * 32),
)


@examples(80)
@given(st.lists(_arbitrary, max_size=4), _settings)
def test_under_any_settings_each_document_is_accounted_for_once(arbitrary: list[bytes], settings: Settings) -> None:
    documents = [clean(1), *arbitrary, clean(2)]
    plan, calls, rejected, tally = normalized(documents, settings)
    assert calls.num_rows + rejected.num_rows == len(documents) == tally.documents
    assert calls.schema.names == [column.name for column in plan.columns]
    contract.pandera_schema((*contract.LEADING, contract.REPAIRS)).validate(
        contract.to_frame(calls.select([column.name for column in (*contract.LEADING, contract.REPAIRS)])), lazy=True
    )
    again = normalized(documents, settings)
    assert _bytes(calls) == _bytes(again[1])
    assert _bytes(rejected) == _bytes(again[2])
    content = csv_of(plan, calls, settings.timezone)
    lines = memoryview(content)[len(header_line(plan.columns)) :]
    (batch,) = calls.combine_chunks().to_batches() or calls.schema.empty_table().to_batches(1) or [None]
    assert batch is None or difference(lines, batch, plan.columns, settings.timezone, longest=len(content)) is None


SECRET = "secret-4711"


@examples(60)
@given(st.lists(_arbitrary, max_size=3), st.sampled_from(["hidden", "a.hidden", "call.hidden"]), _any_value)
def test_hidden_and_dropped_values_appear_nowhere(arbitrary: list[bytes], path: str, raw_value: Value) -> None:
    holder = nested([("x", text(SECRET)), ("y", raw.array([text(SECRET), raw_value, nested([("z", text(SECRET))])]))])
    secrets: Document = [("hidden", text(SECRET)), ("hidden", holder), ("hidden", raw.array([holder, text(SECRET)]))]
    *outer, _ = path.split(".")
    inside: Document = [(outer[0], nested(secrets)), (outer[0], raw.array([nested(secrets)]))] if outer else secrets
    bare: Document = [("start_time", text("no time"))]
    documents = [
        clean(1),
        raw_document([("start_time", value(bson.DatetimeMS(0))), *inside]),
        raw_document(bare + inside),
    ]
    for settings in (
        Settings(drop_fields=(path,), max_columns=200),
        Settings(drop_fields=(path,), max_columns=1),
        Settings(pseudonymize=(path,), pseudonym_key="k" * 32, max_columns=200),
        Settings(pseudonymize=(path,), pseudonym_key="k" * 32, max_columns=1),
    ):
        plan, calls, rejected, tally = normalized([*documents, *arbitrary], settings)
        assert SECRET not in f"{calls.to_pylist()}{rejected.to_pylist()}{tally}"
        assert SECRET not in csv_of(plan, calls).decode()


# Values that broke it once


@pytest.mark.parametrize(
    ("name", "raw_value", "cell"),
    [
        ("duration_sec", value(Decimal128("sNaN")), None),
        ("duration_sec", value(Decimal128("-sNaN")), None),
        ("duration_sec", value(Decimal128("9.9E+6144")), None),
        ("duration_sec", value(Decimal128("1E-6176")), 0.0),
        ("duration_sec", text("1e9999999999999999999"), None),
        ("duration_sec", text("1e-9999999999999999999"), None),
        ("duration_sec", text("9" * 5_000 + ":00:00"), None),
        ("duration_sec", text("9" * 1_000_001), None),
        ("duration_sec", text("1:02:03.5"), 3723.5),
        ("duration_sec", text("١٢"), 12.0),
        ("call_type", text("\u00a0"), "unknown"),
        ("call_type", text("\u3000\u2003"), "unknown"),
        ("status", text("\u00a0busy\u00a0"), "busy"),
        ("status", (raw.SYMBOL, text(" ")[1]), "unknown"),
        ("status", text("あ"), "あ"),
        ("end_time", text("\u00a0"), None),
        ("end_time", value(Decimal128("sNaN")), None),
        ("end_time", text("9" * 1_000_001), None),
    ],
)
def test_odd_values_of_a_role(name: str, raw_value: Value, cell: Any) -> None:
    base: Document = [("_id", value("x")), ("start_time", value(dt.datetime(2024, 3, 1)))]
    _, calls, _, _ = normalized([raw_document([*base, (name, raw_value)])])
    assert calls.column(name).to_pylist() == [cell]


def test_a_document_without_names_or_values_is_rejected() -> None:
    _, calls, rejected, _ = normalized([clean(1), raw_document([]), raw_document([("", value(None))])])
    assert calls.num_rows == 1
    assert [row["reason"] for row in rejected.to_pylist()] == ["start_missing"] * 2
    assert [row["document"] for row in rejected.to_pylist()] == ["{}", '{"": null}']


def test_no_documents_give_no_rows() -> None:
    _, calls, rejected, tally = normalized([])
    assert (calls.num_rows, rejected.num_rows, tally.documents) == (0, 0, 0)


def test_a_million_characters_and_many_long_texts_stay_whole() -> None:
    long = "📞" * 250_000
    documents = [
        raw_document([("start_time", value(dt.datetime(2024, 3, 1))), ("note", text(long))]) for _ in range(15)
    ]
    _, calls, _, _ = normalized(documents)
    assert set(calls.column("note").to_pylist()) == {long}


def test_a_label_of_any_length_is_kept_but_counted_by_its_beginning() -> None:
    _, calls, _, tally = normalized(
        [raw_document([("start_time", value(dt.datetime(2024, 3, 1))), ("status", text("x" * 10_000))])]
    )
    assert calls.column("status").to_pylist() == ["x" * 10_000]
    assert list(tally.labels["status"]) == ["x" * 99 + "…"]


def test_calls_that_are_hard_to_believe_are_counted_with_examples() -> None:
    start = dt.datetime.fromtimestamp(NOW / 1e6, dt.UTC)
    second, day = dt.timedelta(seconds=1), dt.timedelta(days=1)
    documents = [
        {"_id": "now", "start_time": start, "end_time": start + day},
        {"_id": "future", "start_time": start + second},
        {"_id": "old", "start_time": dt.datetime(1989, 12, 31, 23, 59, 59)},
        {"_id": "1990", "start_time": dt.datetime(1990, 1, 1)},
        {"_id": "long", "start_time": start, "duration": 86_401},
        {"_id": "longer", "start_time": start - 3 * day, "end_time": start - day},
    ]
    _, _, _, tally = normalized([bson.encode(document) for document in documents], sizes=[2, 2])
    assert tally.implausible == {"starts after the snapshot": 1, "starts before 1990": 1, "longer than a day": 2}
    assert tally.implausible_examples == {
        "starts after the snapshot": [f"future ({start + second:%Y-%m-%dT%H:%M:%SZ})"],
        "starts before 1990": ["old (1989-12-31T23:59:59Z)"],
        "longer than a day": ["long (86,401 s)", "longer (172,800 s)"],
    }


def test_documents_that_the_plan_was_not_made_for_are_an_error_in_one_sentence() -> None:
    profile, walker = Profile(), Walker()
    profile.add(walker.walk(clean(1)))
    plan = make_plan(profile, table_options(SETTINGS))
    other = walker.walk(bson.encode({"start_time": dt.datetime(2024, 3, 1), "a": "no number"}))
    with pytest.raises(ValueError, match="materialize raw_calls again"):
        normalize(other, plan, now=NOW)


@pytest.mark.parametrize(
    ("wall", "zone", "expected"),
    [
        ("1678-01-01T00:30:00", "Asia/Tokyo", None),
        ("1677-12-31T23:30:00", "America/New_York", "1678-01-01T04:26:02+00:00"),
        ("2261-12-31T23:30:00", "America/New_York", None),
        ("2262-01-01T05:00:00", "Asia/Tokyo", "2261-12-31T20:00:00+00:00"),
        ("2024-07-01T10:00:00", "America/New_York", "2024-07-01T14:00:00+00:00"),
        ("2050-07-01T10:00:00", "America/New_York", "2050-07-01T14:00:00+00:00"),
    ],
)
def test_a_local_clock_that_was_stored_as_utc_is_turned_into_instants_within_the_range(
    wall: str, zone: str, expected: str | None
) -> None:
    settings = Settings(source_dates="local", source_timezone=zone)
    documents = [bson.encode({"start_time": dt.datetime.fromisoformat(wall)})]
    _, calls, rejected, _ = normalized(documents, settings)
    if expected is None:
        assert rejected.column("reason").to_pylist() == ["start_out_of_range"]
    else:
        assert calls.column("start_time").to_pylist() == [dt.datetime.fromisoformat(expected)]


def test_a_doubtful_local_time_is_told_in_its_own_row_alone() -> None:
    settings = Settings(source_dates="local", source_timezone="America/New_York")
    moments = [dt.datetime(2024, 11, 3, 0, 30), dt.datetime(2024, 11, 3, 1, 30), dt.datetime(2024, 3, 10, 2, 30)]
    documents = [bson.encode({"start_time": m}) for m in moments] + [
        bson.encode({"start_time": bson.DatetimeMS(2**62)})
    ]
    _, calls, rejected, _ = normalized(documents, settings)
    assert calls.column("repairs").to_pylist() == [
        "_id: missing",
        "_id: missing; start_time: a local time that came twice when the clocks went back: the first was taken",
        "_id: missing; start_time: a local time that was skipped when the clocks went forward",
    ]
    assert rejected.num_rows == 1


def test_a_batch_is_gone_as_soon_as_its_rows_are_made() -> None:
    gc.collect()
    gc.disable()
    try:
        batch = Walker().walk(b"".join(clean(number) for number in range(50)))
        profile = Profile()
        profile.add(batch)
        rows = normalize(batch, make_plan(profile, table_options(Settings())), now=NOW)
        there = weakref.ref(batch)
        del batch
        assert there() is None, "it would stay in memory until the garbage collector finds the cycle it is in"
        assert rows.calls.num_rows == 50
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "kind",
    [
        st.integers(-(2**31), 2**31 - 1).map(value),
        st.integers(2**31, 2**63 - 1).map(value),
        st.floats().map(value),
        st.text(max_size=40).map(text),
        st.binary(max_size=20).map(text),
        st.binary(min_size=12, max_size=12).map(bson.ObjectId).map(value),
        st.uuids().map(value),
        st.builds(bson.Binary, st.binary(min_size=15, max_size=17), st.sampled_from([3, 4])).map(value),
        st.decimals(min_value=-(10**15), max_value=10**15, places=2).map(Decimal128).map(value),
        st.builds(
            lambda coefficient, exponent: Decimal128(Decimal(coefficient).scaleb(exponent)),
            st.integers(-(2**64), 2**64) | st.integers(-10, 10),
            st.integers(-40, 3),
        ).map(value),
        st.sampled_from(["NaN", "-0", "-0.00", "Infinity", "1E+3", "0E-7", "0.0000001"]).map(Decimal128).map(value),
        st.booleans().map(value),
        st.dates().map(lambda day: value(dt.datetime.combine(day, dt.time()))),
    ],
    ids=[
        "int",
        "long",
        "double",
        "string",
        "bytes",
        "objectId",
        "uuid",
        "binary",
        "money",
        "decimal",
        "odd",
        "bool",
        "date",
    ],
)
def test_texts_of_a_column_of_one_type_are_those_of_its_values(kind: st.SearchStrategy[Value]) -> None:
    """Though they are written all at once."""

    @examples(20)
    @given(st.lists(kind, min_size=1, max_size=80))
    def check(raw_values: list[Value]) -> None:
        start = ("start_time", value(dt.datetime(2024, 3, 1)))
        documents = [raw_document([("_id", one), start, ("mixed", one)]) for one in raw_values]
        mixing = [raw_document([start, ("mixed", other)]) for other in (value(1), text("x"), array([]))]
        plan, calls, _, _ = normalized([*documents, *mixing], sizes=[len(raw_values)])
        expected = []
        for document in documents:
            first, *_, last = read_elements(document, 0)
            renderer = Renderer(document, date_text=lambda ms: local_datetime_text(ms, ZONE))
            expected.append((Renderer(document).text(first.kind, first.start), renderer.text(last.kind, last.start)))
        assert plan.fields[0].kind is contract.Kind.TEXT
        read = calls.slice(0, len(raw_values))
        assert [*zip(read["_id"].to_pylist(), read["mixed"].to_pylist(), strict=True)] == expected

    check()


def test_bson_timestamps_are_read_beyond_2038() -> None:
    document = bson.encode({"_id": 1, "start_time": bson.Timestamp(2**32 - 1, 1)})
    _, calls, rejected, _ = normalized([document], Settings())
    assert rejected.num_rows == 0
    assert calls.column("start_time").to_pylist() == [dt.datetime(2106, 2, 7, 6, 28, 15, tzinfo=dt.UTC)]
