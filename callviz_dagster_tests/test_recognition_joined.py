"""A date and a time of day in two fields are one time: recognized, or set by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import bson
import pytest

from callviz_dagster.assets.calls import lineage
from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.doubts import Kind, doubts
from callviz_dagster.documents.recognition.report import sentence
from callviz_dagster.documents.walker import Walker
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.table.normalize import Normalized, normalize
from callviz_dagster.table.options import PlanError, TableOptions
from callviz_dagster.table.plan import Plan, make_plan
from callviz_dagster_tests.helpers.recognition import first_fields, gathered

Document = dict[str, Any]
START = dt.datetime(2024, 3, 1, 7, 51, 51)
LATE = dt.datetime(2024, 3, 30, 23, 59, 30)


def starts() -> list[dt.datetime]:
    return [*(START + dt.timedelta(hours=7 * number) for number in range(30)), LATE]


def records(date_form: str = "%Y-%m-%d", clock_form: str = "%H:%M:%S") -> list[Document]:
    """Return calls of two minutes whose date, start and end stand in three fields."""
    return [
        {
            "_id": number,
            "call_date": f"{start:{date_form}}",
            "call_time": f"{start:{clock_form}}",
            "end_clock": f"{start + dt.timedelta(minutes=2):{clock_form}}",
        }
        for number, start in enumerate(starts())
    ]


def table(documents: list[Document], zone: str = "UTC", **fields: str) -> tuple[Plan, Normalized]:
    batch = Walker().walk(b"".join(map(bson.encode, documents)))
    profile = Profile()
    profile.add(batch)
    options = TableOptions(source_timezone=zone, role_fields=fields)
    plan = make_plan(profile, options, evidence=gathered(documents))
    return plan, normalize(batch, plan, now=1_800_000_000_000_000)


def column(rows: Normalized, name: str) -> list[Any]:
    return [
        value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
        for value in rows.calls.column(name).to_pylist()
    ]


@pytest.mark.parametrize("date_form", ["%Y-%m-%d", "%d %b %Y", "%Y%m%d", "%Y-%m-%dT00:00:00Z"])
@pytest.mark.parametrize("clock_form", ["%H:%M:%S", "%I:%M:%S %p"])
def test_they_are_joined_by_themselves(date_form: str, clock_form: str) -> None:
    plan, rows = table(records(date_form, clock_form))
    assert first_fields(plan.recognized.choice)["start_time"] == "call_date+call_time"
    assert column(rows, "start_time") == starts()
    assert not {"call_date", "call_time"} & {field_column.name for field_column in plan.fields}
    assert lineage(plan)["start_time"] == [("raw_calls", "call_date"), ("raw_calls", "call_time")]


def test_both_are_joined_by_setting_and_a_call_past_midnight_ends_on_the_next_day() -> None:
    fields = {"start_time": "call_date+call_time", "end_time": "call_date + end_clock"}
    _, rows = table(records(), **fields)
    assert column(rows, "start_time") == starts()
    assert column(rows, "duration_sec") == [120.0] * 31
    assert column(rows, "end_time")[-1] == dt.datetime(2024, 3, 31, 0, 1, 30)
    assert "end_time: on the day after" in column(rows, "repairs")[-1]
    assert "end_time: on the day after" not in column(rows, "repairs")[0]


def test_the_next_day_is_that_of_the_clock_where_it_is_put_forward() -> None:
    fields = {"start_time": "call_date+call_time", "end_time": "call_date+end_clock"}
    documents = [*records(), {"_id": 99, "call_date": "2024-03-31", "call_time": "23:59:00", "end_clock": "00:01:00"}]
    _, rows = table(documents, "Europe/Berlin", **fields)
    assert column(rows, "duration_sec")[-2:] == [120.0, 120.0]


@pytest.mark.parametrize("date_form", ["%d/%m/%Y", "%m/%d/%y", "%d-%m-%y"])
def test_they_are_joined_in_whatever_order_day_and_month_are_and_the_line_that_settles_it_is_shown(
    date_form: str,
) -> None:
    documents = records(date_form)
    plan, rows = table(documents)
    choice, fields = plan.recognized.choice, plan.recognized.fields
    assert first_fields(choice)["start_time"] == "call_date+call_time"
    assert rows.rejected.num_rows > 0
    (doubt,) = [one for one in doubts(choice, fields) if one.kind is Kind.DATE_ORDER]
    order = "mdy" if date_form.startswith("%m") else "dmy"
    assert f"CALLVIZ_DATE_ORDER={order}" in sentence(doubt, choice, fields.facts)
    message = checks.rejected_within_limit(rows.tally, 0.05, plan.recognized).description or ""
    assert f"CALLVIZ_DATE_ORDER={order}" in message.split("could change places, set")[1]


@pytest.mark.parametrize(("zone", "date"), [("UTC", b"startDateUtc"), ("America/New_York", b"startDate")])
def test_of_the_same_times_in_utc_and_in_local_time_those_are_taken_that_can_be_read_right(
    zone: str, date: bytes
) -> None:
    """Local time can be read where a setting says of which time zone it is; all times are then read as of that zone."""
    calls = [
        {
            "startDate": f"{start - dt.timedelta(hours=5):%Y-%m-%d}",
            "startTime": f"{start - dt.timedelta(hours=5):%H:%M:%S}",
            "startDateUtc": f"{start:%Y-%m-%d}",
            "startTimeUtc": f"{start:%H:%M:%S}",
        }
        for start in starts()
    ]
    plan, _ = table(calls, zone)
    assert plan.recognized.choice.roles["start_time"][0][0] == (date,)


def test_a_call_without_its_time_of_day_is_rejected_with_the_field() -> None:
    documents = records()
    del documents[3]["call_time"]
    _, rows = table(documents)
    (rejected,) = rows.rejected.to_pylist()
    assert (rejected["reason"], rejected["field"]) == ("start_unreadable", "call_date")


def test_a_setting_names_two_fields_that_exist() -> None:
    with pytest.raises(PlanError, match="CALLVIZ_FIELD_START_TIME names call_date\\+clock, which no document has"):
        table(records(), start_time="call_date+clock")


def test_partitions_say_why_they_take_one_field() -> None:
    with pytest.raises(SettingsError, match="joins two; refresh with CALLVIZ_PARTITIONS=none"):
        Settings.load(
            {
                "CALLVIZ_FIELD_START_TIME": "call_date+call_time",
                "CALLVIZ_PARTITIONS": "daily",
                "CALLVIZ_PARTITIONS_START": "2024-01-01",
            }
        )
