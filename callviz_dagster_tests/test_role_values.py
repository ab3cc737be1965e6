"""What becomes of values beside the rest of their document: other times, the call's length, the names of fields."""

from __future__ import annotations

import datetime as dt
from typing import Any

import bson
import pyarrow as pa
import pytest

from callviz_dagster.contract import Kind
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.normalized import normalized
from callviz_dagster_tests.helpers.raw_bson import Value, date, nested, raw_document, text, value

UTC = Settings(timezone="UTC", source_timezone="UTC")
START = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)
OBJECT_ID = bson.ObjectId("65e1a7c0a1b2c3d4e5f60718")  # of 2024-03-01T10:02:08Z


def document(*elements: tuple[str | bytes, Value]) -> bytes:
    """Return a call that started at `START` and has these elements."""
    return raw_document([("_id", value("c-1")), ("start_time", value(START)), *elements])


def row_of(elements: list[tuple[str | bytes, Value]], settings: Settings = UTC) -> dict[str, Any]:
    """Return the row of a document that is the only one; of a rejected one, its reason alone."""
    _, calls, rejected, _ = normalized([raw_document(elements)], settings)
    rows: list[dict[str, Any]] = calls.to_pylist() or [{"reason": row["reason"]} for row in rejected.to_pylist()]
    return rows[0]


@pytest.mark.parametrize(
    ("beside", "read"),
    [
        ([("_id", value(OBJECT_ID))], True),
        ([("_id", value("c-1"))], False),
        ([("call_id", value(OBJECT_ID))], False),
        ([("_id", value("c-1")), ("imported", value(START + dt.timedelta(days=300)))], True),
        ([("_id", value("c-1")), ("imported", value(START + dt.timedelta(days=900)))], False),
        ([("_id", value("c-1")), ("log", nested([("at", value(START))]))], True),
        ([("_id", value("c-1")), ("expires", date(2**62)), ("born", date(-(2**62)))], False),
    ],
)
@pytest.mark.parametrize("kind", [text("240301100000"), value(bson.Int64(240_301_100_000)), value(240_301_100_000.0)])
def test_twelve_digits_need_another_time_in_their_document(
    beside: list[tuple[str | bytes, Value]], read: bool, kind: Value
) -> None:
    row = row_of([*beside, ("start_time", kind)])
    assert row.get("start_time") == (START if read else None)
    assert row.get("reason") == (None if read else "start_ambiguous")


def test_each_row_has_its_own_other_times() -> None:
    documents = [
        raw_document(
            [("_id", value(bson.ObjectId.from_datetime(at))), ("start_time", text(at.strftime("%y%m%d%H%M%S")))]
        )
        for at in (START, START.replace(year=2019), START.replace(year=2012))
    ]
    _, calls, _, _ = normalized(documents, UTC)
    assert [start.year for start in calls.column("start_time").to_pylist()] == [2024, 2019, 2012]


def test_calendar_times_in_numbers_are_local_times_of_the_source() -> None:
    settings = Settings(timezone="UTC", source_timezone="Europe/Berlin")
    for raw_value in (value(bson.Int64(20_240_301_110_000)), value(20_240_301_110_000.0), text("20240301110000.0")):
        assert row_of([("start_time", raw_value)], settings)["start_time"] == START
    for raw_value in (text("202403011100"), nested([("$date", text("2024-03-01T11:00:00"))])):
        assert row_of([("_id", value(OBJECT_ID)), ("start_time", raw_value)], settings)["start_time"] == START


@pytest.mark.parametrize("seconds", [2**31 - 1, 2**31, 2**32 - 1])
def test_bson_timestamps_go_on_after_2038(seconds: int) -> None:
    row = row_of([("start_time", value(bson.Timestamp(seconds, 1)))])
    assert row["start_time"] == dt.datetime.fromtimestamp(seconds, dt.UTC)


@pytest.mark.parametrize(
    ("raw_value", "unit", "seconds"),
    [
        (text("00:02:05"), "ms", 125.0),
        (text("2m 5s"), "ms", 125.0),
        (text("02:05"), "ms", 125.0),
        (nested([("seconds", value(125)), ("nanos", value(0))]), "ms", 125.0),
        (text("125000"), "ms", 125.0),
        (value(125_000), "ms", 125.0),
        (value(bson.Decimal128("125000")), "ms", 125.0),
        (value(125.0), "s", 125.0),
    ],
)
def test_units_count_for_numbers_alone(raw_value: Value, unit: str, seconds: float) -> None:
    settings = Settings(timezone="UTC", field_duration_unit=unit)
    end = START + dt.timedelta(seconds=130)
    row = row_of([("start_time", value(START)), ("end_time", value(end)), ("duration", raw_value)], settings)
    assert row["duration_sec"] == seconds


def test_minutes_are_told_from_hours_by_the_length_of_the_same_call() -> None:
    documents = [
        raw_document(
            [
                ("start_time", value(START)),
                ("end_time", value(START + dt.timedelta(seconds=lasted))),
                ("duration", text("02:05")),
            ]
        )
        for lasted in (125, 7500, 140)
    ]
    _, calls, _, tally = normalized(documents, UTC)
    assert calls.column("duration_sec").to_pylist() == [125.0, 7500.0, 125.0]
    assert "02:05" in calls.column("repairs").to_pylist()[1]
    assert tally.repairs["duration_sec: text read as minutes and seconds"] == 2


def test_a_duration_that_is_left_out_gives_way_to_the_times() -> None:
    end = START + dt.timedelta(seconds=90)
    for raw_value in (
        value(1e300),
        value(float("nan")),
        value(-1),
        text("x"),
        value(2.0**53),
        nested([("x", value(1))]),
    ):
        row = row_of([("start_time", value(START)), ("end_time", value(end)), ("duration", raw_value)])
        assert row["duration_sec"] == 90.0
        assert "left out" in row["repairs"]


def test_yes_and_no_in_a_field_that_is_set_by_hand() -> None:
    settings = Settings(timezone="UTC", field_status="answered")
    documents = [document(("answered", value(yes))) for yes in (True, False)]
    _, calls, _, _ = normalized(documents, settings)
    assert calls.column("status").to_pylist() == ["answered", "missed"]
    assert calls.column("repairs").to_pylist() == [
        "status: true written as answered",
        "status: false written as missed",
    ]


def test_labels_that_look_alike_are_one_label() -> None:
    texts = ["Zoe\u0301", "Zo\u00e9", "Zo\u00e9\u200b", " Zo\u00e9", "Zo\u00ade\u0301"]
    documents = [document(("status", text(one))) for one in texts]
    _, calls, _, tally = normalized(documents, UTC)
    assert dict(tally.labels["status"]) == {"Zo\u00e9": 5}
    assert [bool(repairs) for repairs in calls.column("repairs").to_pylist()] == [True, False, True, True, True]
    assert row_of([("start_time", value(START)), ("status", text("\u200b"))])["status"] == "unknown"


def test_what_a_hidden_or_dropped_field_of_a_document_holds_is_neither_a_label_nor_a_time() -> None:
    status = nested([("name", text("secret")), ("title", text("Busy"))])
    elements: list[tuple[str | bytes, Value]] = [("start_time", value(START)), ("status", status)]
    for settings in (
        Settings(timezone="UTC", drop_fields=("status.name",)),
        Settings(timezone="UTC", pseudonymize=("status.name",), pseudonym_key="k" * 32),
    ):
        assert row_of(elements, settings)["status"] == "busy"
    dropped = Settings(timezone="UTC", drop_fields=("start_time.seconds",))
    parts = nested([("seconds", value(1_709_287_200)), ("nanos", value(0))])
    assert row_of([("start_time", parts)], dropped) == {"reason": "start_unreadable"}


# Dates that stand for no date, in other columns

ZERO, LAST = date(-62_135_596_800_000), date(253_402_300_799_999)


@pytest.mark.parametrize("odd", [ZERO, LAST, date(2**63 - 1), date(-(2**63)), date(253_402_128_000_000)])
def test_a_date_that_no_reader_holds_leaves_its_cell_empty_and_its_column_a_datetime(odd: Value) -> None:
    documents = [document(("called_back", raw_value)) for raw_value in (value(START), odd, value(None))]
    plan, calls, _, tally = normalized(documents, UTC)
    assert plan.fields[0].kind is Kind.DATETIME
    assert calls.column("called_back").to_pylist() == [START, None, None]
    repairs = calls.column("repairs").to_pylist()
    assert repairs[0] == repairs[2] == ""
    assert repairs[1].endswith("lies outside the years that every reader holds, left empty")
    assert tally.repairs == {"called_back: a date that lies outside the years that every reader holds, left empty": 1}
    assert calls.schema.field("called_back").type == pa.timestamp("us", tz="UTC")


def test_in_a_batch_without_other_values_it_is_empty_too() -> None:
    """Where all documents of a batch have a date, the column is read at once."""
    documents = [document(("at", raw_value)) for raw_value in (value(START), ZERO, LAST)]
    _, calls, _, _ = normalized(documents, UTC, sizes=[1, 1])
    assert calls.column("at").to_pylist() == [START, None, None]


def test_a_column_of_nothing_but_such_dates_keeps_them_as_text() -> None:
    documents = [document(("at", raw_value)) for raw_value in (ZERO, LAST)]
    plan, calls, _, _ = normalized(documents, UTC)
    assert plan.fields[0].kind is Kind.TEXT
    assert calls.column("at").to_pylist() == ["0001-01-01 00:00:00.000", "9999-12-31 23:59:59.999"]
