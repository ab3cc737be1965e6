"""The unit of durations that no name and no end gives, and durations of one field in two units: doubted aloud."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.assets.checks.results import blocking
from callviz_dagster.documents.recognition.choice import Wishes, choose
from callviz_dagster.documents.recognition.decision import Standing
from callviz_dagster.documents.recognition.doubts import Doubt, Kind, doubts
from callviz_dagster.documents.recognition.report import sentence
from callviz_dagster.table.roles import Recognized, Roles
from callviz_dagster_tests.helpers.recognition import fields_of

Document = dict[str, Any]
JANUARY = dt.datetime(2024, 1, 1, 8)


def calls(
    count: int = 200, seed: int = 1, *, name: str = "duration", end: bool = False, talk: bool = False
) -> list[Document]:
    """Return calls over five months, whose lengths in seconds are spread as those of calls are."""
    source, documents = random.Random(seed), []
    for number in range(count):
        start = JANUARY + dt.timedelta(days=150) * (number / count) + dt.timedelta(seconds=source.randrange(600))
        length = round(min(3_000, max(2, source.lognormvariate(4.8, 1.1))))
        document = {"_id": number, "started_at": start, name: length, "direction": ("in", "out")[number % 2]}
        if end:
            document["ended_at"] = start + dt.timedelta(seconds=length + talk * source.randrange(3, 40))
        documents.append(document | {"status": ("answered", "busy")[number % 2]})
    return documents


def changed(documents: list[Document], change: Callable[[int], Any], low: float, high: float) -> list[Document]:
    """Return the calls with the durations of one stretch of time in another unit."""
    first, behind = low * len(documents), high * len(documents)
    return [
        document
        | {"duration": change(document["duration"]) if first <= document["_id"] < behind else document["duration"]}
        for document in documents
    ]


def of_durations(documents: list[Document], wishes: Wishes | None = None) -> tuple[dict[Kind, Doubt], dict[Kind, str]]:
    """Return the doubts about the duration, and each in words."""
    fields = fields_of(documents)
    choice = choose(fields, wishes)
    about = [doubt for doubt in doubts(choice, fields) if doubt.role == "duration"]
    return {one.kind: one for one in about}, {one.kind: sentence(one, choice, fields.facts) for one in about}


def in_milliseconds(seconds: int) -> int:
    return 1_000 * seconds


def in_minutes(seconds: int) -> float:
    return round(seconds / 60, 2)


STRETCHES = {"first": (0, 0.3), "middle": (0.4, 0.6), "last": (0.7, 1), "last few": (0.975, 1)}


@pytest.mark.parametrize("stretch", STRETCHES.values(), ids=STRETCHES)
@pytest.mark.parametrize(
    "documents",
    [calls(), calls(end=True), calls(end=True, talk=True)],
    ids=["no end", "end", "talk alone"],
)
def test_a_unit_that_changes_with_a_release_is_shown(stretch: tuple[float, float], documents: list[Document]) -> None:
    found, words = of_durations(changed(documents, in_milliseconds, *stretch))
    assert found[Kind.TWO_UNITS].factor == 1_000
    assert "Durations in duration (for example" in words[Kind.TWO_UNITS]
    assert "by a factor of about 1,000" in words[Kind.TWO_UNITS]
    assert words[Kind.TWO_UNITS].endswith("CALLVIZ_MONGO_COLLECTION names, or set CALLVIZ_FIELD_DURATION=none.")


@pytest.mark.parametrize("end", [False, True])
def test_minutes_until_a_release_are_shown_with_the_day_on_which_the_stretch_begins(end: bool) -> None:
    documents = changed(calls(end=end), in_minutes, 0.6, 1)
    found, words = of_durations(documents)
    assert found[Kind.TWO_UNITS].factor == 60
    assert end or f"begins on {documents[120]['started_at']:%Y-%m-%d}" in words[Kind.TWO_UNITS]


def test_two_applications_that_write_two_units_at_one_time_are_shown() -> None:
    documents = calls()
    mixed = [one | {"duration": one["duration"] * (1_000 if one["_id"] * 7 % 10 < 3 else 1)} for one in documents]
    assert of_durations(mixed)[0][Kind.TWO_UNITS].factor == 1_000


def test_a_unit_that_changes_is_a_warning_and_also_where_a_setting_names_field_and_unit() -> None:
    fields = fields_of(changed(calls(), in_milliseconds, 0.7, 1))
    for wishes in (Wishes(), Wishes({"duration": (((b"duration",),),)}, "s")):
        choice = choose(fields, wishes)
        recognized = Recognized(Roles({}, {}), choice, fields)
        check = checks.roles_plausible(recognized)
        assert not check.passed
        assert not blocking([check])
        assert "two units" in (check.description or "")
        assert checks.roles_recognized(recognized).passed


@pytest.mark.parametrize("seed", range(12))
def test_lengths_of_calls_as_they_come_have_one_unit(seed: int) -> None:
    for documents in (calls(256, seed), calls(40, seed), calls(60, seed, end=True, talk=True)):
        assert not of_durations(documents)[0].keys() & {Kind.TWO_UNITS, Kind.UNIT, Kind.SIZE}


@pytest.mark.parametrize("seed", range(8))
def test_many_calls_of_seconds_beside_long_ones_have_one_unit(seed: int) -> None:
    source = random.Random(seed)
    documents = [
        one | {"duration": source.randrange(5) if source.random() < 0.35 else round(source.lognormvariate(5, 1.5))}
        for one in calls(256)
    ]
    assert not of_durations(documents)[0]


# A unit that nothing but the default gives


@pytest.mark.parametrize("name", ["length", "talk", "duration", "call_duration"])
@pytest.mark.parametrize(
    ("unit", "lines"),
    [
        (lambda seconds: round(seconds / 60, 2), {"min", "s"}),
        (lambda seconds: f"{seconds / 60:.1f}", {"min", "s"}),
        (lambda seconds: -(-seconds // 60), {"min", "s"}),
        (lambda seconds: round(seconds / 3600, 4), {"min", "h", "s"}),
    ],
    ids=["minutes with decimals", "minutes as text", "whole minutes", "hours"],
)
def test_small_numbers_without_a_unit_are_doubted_with_the_lines_to_paste(
    name: str, unit: Callable[[int], Any], lines: set[str]
) -> None:
    documents = [one | {name: unit(one[name])} for one in calls(60, name=name)]
    _, words = of_durations(documents)
    assert f"Durations in {name} (for example" in words[Kind.UNIT]
    assert {part.split(";")[0].split(" ")[0] for part in words[Kind.UNIT].split("DURATION_UNIT=")[1:]} == lines
    by_hand, _ = of_durations(documents, Wishes(unit="min"))
    assert Kind.UNIT not in by_hand


def test_the_unit_stays_in_doubt_in_later_refreshes() -> None:
    documents = [one | {"duration": in_minutes(one["duration"])} for one in calls(60)]
    before = Standing.from_json(json.loads(json.dumps(choose(fields_of(documents)).to_json())))
    found, _ = of_durations(documents, Wishes(standing=before))
    assert Kind.UNIT in found
    larger = [one | {"duration": one["duration"] * 1_000} for one in calls(60)]
    before = dataclasses.replace(before, units={(b"duration",): "s"})
    assert Kind.SIZE in of_durations(larger, Wishes(standing=before))[0]


def test_a_few_ends_beside_many_calls_without_one_do_not_show_the_unit() -> None:
    documents = [one | {"duration": in_minutes(one["duration"])} for one in calls(60, end=True, talk=True)]
    for document in documents[3:]:
        del document["ended_at"]
    assert Kind.UNIT in of_durations(documents)[0]


def test_a_unit_in_the_name_or_shown_by_an_end_is_not_in_doubt() -> None:
    named = [one | {"minutes": in_minutes(one["minutes"])} for one in calls(60, name="minutes")]
    shown = [one | {"length": in_minutes(one["length"])} for one in calls(60, name="length", end=True)]
    fractions = [one | {"duration": one["duration"] + 0.25} for one in calls(60)]
    for documents in (named, shown, fractions):
        assert not of_durations(documents)[0].keys() & {Kind.UNIT, Kind.TWO_UNITS}


def test_a_talk_in_minutes_beside_an_end_is_reported_with_its_unit() -> None:
    documents = [one | {"duration": in_minutes(one["duration"])} for one in calls(60, end=True, talk=True)]
    assert "Set CALLVIZ_FIELD_DURATION_UNIT=min or" in of_durations(documents)[1][Kind.APART]


def test_the_ends_settle_whether_two_parts_are_minutes_and_seconds() -> None:
    documents = [
        document | {"duration": f"{document['duration'] // 60:02}:{document['duration'] % 60:02}"}
        for document in calls(50, end=True)
    ]
    fields = fields_of(documents)
    choose(fields)
    assert [*fields.facts.two_parts.values()] == ["mm:ss"]
