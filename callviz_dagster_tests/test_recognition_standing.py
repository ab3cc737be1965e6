"""What was decided stands: from refresh to refresh, without a sample, and for all values of a field alike."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import bson
import dagster as dg
import pyarrow.parquet as pq
import pytest
from pymongo.collection import Collection

from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.choice import Wishes, choose
from callviz_dagster.documents.recognition.decision import Choice, Standing
from callviz_dagster.documents.recognition.evidence import Evidence
from callviz_dagster.documents.recognition.report import role_changes, role_rows
from callviz_dagster.documents.walker import Walker
from callviz_dagster.settings import Settings
from callviz_dagster.table.normalize import normalize
from callviz_dagster.table.options import TableOptions
from callviz_dagster.table.plan import Plan, make_plan
from callviz_dagster_tests.helpers.recognition import fields_of, first_fields, gathered
from callviz_dagster_tests.helpers.refresh import checks, refresh

NOON = dt.datetime(2024, 3, 1, 12)
LENGTHS = (312, 95, 41, 3_700, 7, 188)


def standing(choice: Choice) -> Standing:
    """Return what the next refresh reads of a choice."""
    return Standing.from_json(json.loads(json.dumps(choice.to_json())))


def records(count: int = 40, **added: Any) -> list[dict[str, Any]]:
    """Return calls with a begin and a close, whose names are equally good as those of others that are added."""
    calls = []
    for number in range(count):
        start = NOON + dt.timedelta(minutes=17 * number)
        end = start + dt.timedelta(seconds=LENGTHS[number % len(LENGTHS)])
        calls.append({"_id": number, "begin": start, "closed": end, "result": ("busy", "answered")[number % 2]})
        calls[-1] |= {name: value_at(start, end) for name, value_at in added.items()}
    return calls


def plan_of(documents: list[dict[str, Any]], evidence: Evidence | None, before: Standing, **options: Any) -> Plan:
    profile = Profile()
    profile.add(Walker().walk(b"".join(map(bson.encode, documents))))
    return make_plan(profile, TableOptions("UTC", "UTC", **options), evidence=evidence, standing=before)


def first(plan: Plan) -> dict[str, str]:
    return first_fields(plan.recognized.choice)


def test_a_better_name_does_not_take_the_place_of_a_field_that_still_fits() -> None:
    before = standing(choose(fields_of(records())))
    documents = records(startedAt=lambda start, _: start, endedAt=lambda _, end: end, status=lambda *_: "busy")
    now, fresh = choose(fields_of(documents), Wishes(standing=before)), choose(fields_of(documents))
    assert first_fields(now) == {"start_time": "begin", "end_time": "closed", "status": "result"}
    assert first_fields(fresh)["start_time"] == "startedAt"
    assert role_changes(before, now) == []
    assert role_changes(before, fresh)[:2] == [
        "the start time is taken from the field startedAt and was taken from the field begin before",
        "the end time is taken from the field endedAt and was taken from the field closed before",
    ]


@pytest.mark.parametrize(
    ("odd", "why"),
    [(lambda *_: "soon", "unreadable"), (lambda start, end: end + (end - start), "after the end")],
    ids=["unreadable", "after the end"],
)
def test_a_field_that_no_longer_fits_is_replaced_and_that_is_reported(odd: Any, why: str) -> None:
    before = standing(choose(fields_of(records())))
    now = choose(fields_of(records(begin=odd, startedAt=lambda start, _: start)), Wishes(standing=before))
    assert first_fields(now)["start_time"] == "startedAt", why
    (change,) = role_changes(before, now)
    assert change == "the start time is taken from the field startedAt and was taken from the field begin before"


def test_without_a_sample_the_decision_of_before_stands_with_its_unit() -> None:
    documents = records(length=lambda start, end: (end - start) // dt.timedelta(milliseconds=1))
    whole = plan_of(documents, gathered(documents), Standing())
    assert whole.duration_unit((b"length",)) == "ms"

    later = plan_of(records(3, startedAt=lambda start, _: start), None, standing(whole.recognized.choice))
    assert first(later) == first(whole)
    assert later.duration_unit((b"length",)) == "ms"
    rows = {row.role: row for row in role_rows(later.recognized.choice, later.recognized.fields)}
    assert (rows["start_time"].field, rows["start_time"].known_by) == ("begin", "as in the last refresh")
    assert rows["duration"].unit == "ms (by earlier refresh)"
    by_name_alone = plan_of(records(3, startedAt=lambda start, _: start), None, Standing())
    assert first(by_name_alone)["start_time"] == "startedAt"


def test_a_setting_wins_over_what_stands() -> None:
    documents = records(startedAt=lambda start, _: start)
    before = standing(choose(fields_of(documents), Wishes({"start_time": (((b"begin",),),)})))
    plan = plan_of(documents, None, before, role_fields={"start_time": "startedAt", "status": "none"})
    assert first(plan)["start_time"] == "startedAt"
    assert "status" not in first(plan)


def test_a_unit_that_changes_is_reported() -> None:
    def lasting(unit: dt.timedelta) -> list[dict[str, Any]]:
        return records(length=lambda start, end: (end - start) / unit)

    before = standing(choose(fields_of(lasting(dt.timedelta(milliseconds=1)))))
    now = choose(fields_of(lasting(dt.timedelta(seconds=1))), Wishes(standing=before))
    assert role_changes(before, now) == ["length is read in s and was read in ms before"]


def test_a_decision_of_another_version_is_none() -> None:
    data = choose(fields_of(records())).to_json()
    assert Standing.from_json(data).roles
    assert Standing.from_json(data | {"format_version": 0}) == Standing.from_json(None) == Standing()


def test_refreshes_keep_the_field_until_it_no_longer_fits(collection: Collection[Any], settings: Settings) -> None:
    def refreshed(documents: list[dict[str, Any]]) -> dict[str, dg.AssetCheckEvaluation]:
        collection.delete_many({})
        collection.insert_many(documents)
        result = refresh(settings, "raw_calls", "calls", "rejected_calls")
        assert result.success
        return checks(result)

    def starts() -> list[Any]:
        table = pq.read_table(settings.data_dir / "calls" / "all.parquet", columns=["start_time"])
        return [value.replace(tzinfo=None) for value in table.column(0).to_pylist()]

    refreshed(records())
    later = records(startedAt=lambda start, _: start + dt.timedelta(seconds=1))
    assert "the start time is taken from" not in (refreshed(later)["columns_stable"].description or "")
    assert starts() == [document["begin"] for document in later]

    unreadable = [document | {"begin": "soon"} for document in later]
    change = refreshed(unreadable)["columns_stable"]
    assert not change.passed
    assert "the start time is taken from the field startedAt and was taken from the field begin before" in (
        change.description or ""
    )
    assert starts() == [document["startedAt"] for document in later]


# Durations of two numbers


def minutes_and_seconds(start: dt.datetime, end: dt.datetime) -> str:
    minutes, seconds = divmod(int((end - start).total_seconds()), 60)
    return f"{minutes:02}:{seconds:02}"


def durations_of(documents: list[dict[str, Any]], before: Standing | None = None) -> list[float | None]:
    plan = plan_of(documents, gathered(documents), before or Standing())
    batch = Walker().walk(b"".join(map(bson.encode, documents)))
    rows = normalize(batch, plan, now=1_800_000_000_000_000).calls.to_pylist()
    return [row["duration_sec"] for row in rows]


def test_minutes_and_seconds_are_settled_for_the_whole_field_by_the_calls_that_can_tell() -> None:
    documents = records(duration=minutes_and_seconds)
    for document in documents[::2]:
        del document["closed"]  # these alone cannot tell minutes from hours
    assert durations_of(documents) == [float(LENGTHS[number % len(LENGTHS)]) for number in range(40)]


def test_minutes_beyond_59_settle_it_too_and_it_stands_for_later_refreshes() -> None:
    documents = records(duration=minutes_and_seconds)
    for document in documents:
        del document["closed"]
    plan = plan_of(documents, gathered(documents), Standing())
    assert plan.two_part_clock((b"duration",)) == "mm:ss"
    short = [document for document in documents if document["duration"] < "59"]
    assert durations_of(short, standing(plan.recognized.choice))[:3] == [312.0, 95.0, 41.0]
    assert durations_of(short) == [None] * len(short)


def test_odd_values_in_a_field_of_another_form_settle_nothing() -> None:
    documents = records(duration=lambda start, end: (end - start).total_seconds())
    for document, text in zip(documents, ("75:00", "05:12"), strict=False):
        document["duration"] = text
        del document["closed"]
    assert durations_of(documents)[:2] == [4_500.0, None]
