"""What is doubtful of a choice, what is refused, and the sentences with the lines to paste."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import bson
import pytest

from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.doubts import REFUSED, Kind, doubts
from callviz_dagster.documents.recognition.report import sentence
from callviz_dagster.documents.recognition.vocabulary import FIELD_NAMES
from callviz_dagster.documents.values import Secrets
from callviz_dagster.documents.walker import Walker
from callviz_dagster.table.normalize import normalize
from callviz_dagster.table.options import TableOptions
from callviz_dagster.table.plan import Plan, make_plan
from callviz_dagster.table.tally import Tally
from callviz_dagster_tests.helpers.recognition import gathered

Document = dict[str, Any]
NOON = dt.datetime(2024, 3, 1, 12)
LENGTHS = (312, 95, 41, 3_700, 7, 188)


def call(number: int) -> Document:
    start = NOON + dt.timedelta(minutes=173 * number)
    length = LENGTHS[number % len(LENGTHS)]
    return {
        "_id": number,
        "start_time": start,
        "end_time": start + dt.timedelta(seconds=length),
        "duration": length,
        "call_type": ("inbound", "outbound")[number % 2],
        "status": ("answered", "missed", "busy")[number % 3],
    }


def without(document: Document, *names: str) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def calls_with(change: Callable[[Document], Document] = dict, count: int = 60) -> list[Document]:
    return [change(call(number)) for number in range(count)]


def plan_of(documents: list[Document], secrets: Secrets | None = None, **options: Any) -> Plan:
    profile = Profile()
    profile.add(Walker().walk(b"".join(map(bson.encode, documents))))
    hidden = secrets or Secrets()
    return make_plan(
        profile, TableOptions(role_fields=options, secrets=hidden), evidence=gathered(documents, secrets=hidden)
    )


def found(plan: Plan) -> dict[Kind, str]:
    """Return the kinds of doubt about a plan, each with its sentence."""
    choice, fields = plan.recognized.choice, plan.recognized.fields
    return {doubt.kind: sentence(doubt, choice, fields.facts) for doubt in doubts(choice, fields)}


def backwards(document: Document) -> Document:
    return document | {"end_time": document["start_time"] - dt.timedelta(hours=1)}


def in_milliseconds(document: Document) -> Document:
    return document | {"duration_sec": document["duration"] * 1_000} | {"duration": None}


def at_midnight(document: Document) -> Document:
    start = document["start_time"]
    return document | {"start_time": start.replace(hour=0, minute=0), "began_at": start}


def at_the_import(document: Document) -> Document:
    return document | {"start_time": dt.datetime(2025, 1, 1, 9), "end_time": None, "call_date": document["start_time"]}


CASES: dict[Kind, tuple[Callable[[Document], Document], str]] = {
    Kind.END_BEFORE_START: (
        backwards,
        "100% of the calls end before they start: end_time (for example …) lies before start_time. "
        "Set CALLVIZ_FIELD_START_TIME=end_time with CALLVIZ_FIELD_END_TIME=start_time or CALLVIZ_FIELD_END_TIME=none; "
        "CALLVIZ_FIELD_END_TIME=end_time publishes it all the same.",
    ),
    Kind.FACTOR: (
        in_milliseconds,
        "Stored durations in duration_sec (for example …) are 1,000 times end − start in 100% of the calls. "
        "Set CALLVIZ_FIELD_DURATION_UNIT=ms; CALLVIZ_FIELD_DURATION_UNIT=s publishes it all the same.",
    ),
    Kind.EMPTY: (
        lambda document: without(document, "status"),
        "The status is empty or cannot be read in 100% of the documents. Set CALLVIZ_FIELD_STATUS to the field that "
        "holds it, or CALLVIZ_FIELD_STATUS=none where the records have none.",
    ),
    Kind.RECORD: (
        lambda document: without(document, "start_time", "end_time") | {"createdAt": document["start_time"]},
        "The start time is taken from createdAt (for example …), which says when the record was "
        "made. Set CALLVIZ_FIELD_START_TIME=createdAt if it is right.",
    ),
    Kind.ANSWER: (
        lambda document: without(document, "start_time", "end_time") | {"answered_at": document["start_time"]},
        "The start time is taken from answered_at (for example …), which says when the call was "
        "answered. Set CALLVIZ_FIELD_START_TIME=answered_at if it is right.",
    ),
    Kind.CODES: (
        lambda document: document | {"status": len(document["status"])},
        "The status is taken from status (for example …), whose values are codes. Set CALLVIZ_FIELD_STATUS=status if "
        "it is right.",
    ),
    Kind.TALK: (
        lambda document: without(document, "end_time", "duration") | {"talk_time": document["duration"]},
        "The duration is taken from talk_time (for example …), which may leave out ringing and waiting. Set "
        "CALLVIZ_FIELD_DURATION=talk_time if it is right.",
    ),
    Kind.SIZE: (
        lambda document: without(document, "end_time") | {"duration": document["duration"] * 1_000},
        "Durations in duration (for example …) are too large for calls in this unit. Set "
        "CALLVIZ_FIELD_DURATION_UNIT=ms; CALLVIZ_FIELD_DURATION_UNIT=s if it is right.",
    ),
    Kind.APART: (
        lambda document: document | {"duration": 0},
        "Stored durations in duration (for example …) differ from end − start: they are 0 times as long in the middle. "
        "Set CALLVIZ_FIELD_DURATION=none or CALLVIZ_FIELD_END_TIME=none; CALLVIZ_FIELD_DURATION=duration if it is "
        "right.",
    ),
    Kind.UNKNOWN_LABELS: (
        lambda document: without(document, "call_type") | {"type": ("MOBILE", "FIXED")[document["_id"] % 2]},
        "The call type is taken from type (for example …): its name says little, no value is a known type. Set "
        "CALLVIZ_FIELD_CALL_TYPE=type if it is right.",
    ),
    Kind.DATE_ONLY: (
        lambda document: without(document, "end_time") | {"start_time": f"{document['start_time']:%Y-%m-%d}"},
        "The start time start_time (for example …) is a date without a time of day in 100% of the documents. "
        "Set CALLVIZ_FIELD_START_TIME=start_time if it is right.",
    ),
    Kind.DATE_ORDER: (
        lambda document: without(document, "end_time") | {"start_time": f"{document['start_time']:%d/%m/2024 %H:%M}"},
        "In 87% of the documents day and month of start_time (for example …) could change places. Set "
        "CALLVIZ_DATE_ORDER=mdy or CALLVIZ_DATE_ORDER=dmy.",
    ),
}


def test_tidy_calls_raise_no_doubt() -> None:
    assert found(plan_of(calls_with())) == {}


@pytest.mark.parametrize("kind", CASES)
def test_a_doubt_names_the_field_a_value_and_the_lines_to_paste(kind: Kind) -> None:
    change, expected = CASES[kind]
    message = found(plan_of(calls_with(change)))[kind]
    assert re.sub(r"\(for example [^)]+\)", "(for example …)", message) == expected


def test_calls_of_one_second_or_at_midnight_are_refused_only_where_another_field_differs() -> None:
    for change, kind, other in (
        (at_midnight, Kind.MIDNIGHT, "began_at"),
        (at_the_import, Kind.ONE_SECOND, "call_date"),
    ):
        messages = found(plan_of(calls_with(change), start_time="start_time"))
        assert f"CALLVIZ_FIELD_START_TIME={other}" in messages[kind]
        alone = found(plan_of([without(document, other) for document in calls_with(change)], start_time="start_time"))
        assert kind not in alone


# Set by hand


def test_a_role_set_by_hand_is_not_doubted_and_only_warned_of_where_it_contradicts() -> None:
    for kind, (change, _) in CASES.items():
        automatic = plan_of(calls_with(change))
        fields = {role: ".".join(n.decode() for n in path) for role, path in automatic.usual.items()}
        by_hand = {role: fields.get(role, "none") for role in FIELD_NAMES}
        plan = plan_of(calls_with(change), None, **by_hand)
        assert set(found(plan)) <= REFUSED, kind
        assert checks.roles_recognized(plan.recognized).passed, kind
        assert checks.roles_plausible(plan.recognized).severity.value == "WARN", kind


def test_none_says_that_the_records_have_no_such_field() -> None:
    plan = plan_of(calls_with(), status="none", call_type="none", end_time="none", duration="none")
    assert {role: paths for role, paths in plan.roles.items() if paths} == {"start_time": ((b"start_time",),)}
    assert found(plan) == {}
    assert {"status", "call_type", "end_time", "duration"} <= {
        b".".join(column.path).decode() for column in plan.fields
    }


# Refusals


def rejected(plan: Plan, share: float) -> str:
    tally = Tally(documents=100, calls=round(100 - 100 * share), rejected=round(100 * share))
    tally.reasons["start_unreadable"] = tally.rejected
    return checks.rejected_within_limit(tally, 0.05, plan.recognized).description or ""


def test_where_most_is_rejected_the_fields_with_times_are_named_and_no_higher_limit() -> None:
    documents = calls_with(lambda document: document | {"start_time": "soon", "seen_at": document["start_time"]})
    plan = plan_of(documents, start_time="start_time")
    for share in (1.0, 0.8):
        message = rejected(plan, share)
        assert "The start time is taken from start_time (for example soon)." in message
        assert "CALLVIZ_FIELD_START_TIME=seen_at" in message
        assert "CALLVIZ_MAX_REJECTED" not in message
    assert "raise CALLVIZ_MAX_REJECTED" in rejected(plan, 0.1)


def test_examples_are_never_of_hidden_fields_and_long_ones_are_cut() -> None:
    secrets = Secrets(("dropped_at",), ("hidden_at",), b"k" * 32)
    times = {"hidden_at": "2024-03-01 the secret", "dropped_at": "2024-03-01 the secret", "noted_at": "2024-03-01" * 9}
    documents = calls_with(lambda document: document | times | {"start_time": "soon"})
    message = rejected(plan_of(documents, secrets, start_time="start_time"), 1.0)
    assert "secret" not in message
    assert "2024-03-01" * 5 not in message


def test_dates_beyond_the_twelfth_show_the_order_of_all() -> None:
    def written(form: str) -> list[Document]:
        return calls_with(lambda document: {"start_time": f"{document['start_time']:{form}}"}, 300)

    for form, orders in (("%m/%d/%Y %H:%M", ["mdy"]), ("%d/%m/%Y %H:%M", ["dmy"]), ("%m/05/%Y %H:%M", ["mdy", "dmy"])):
        plan = plan_of(written(form))
        tally = Tally(documents=100, calls=60, rejected=40)
        tally.reasons["start_ambiguous"] = 40
        text = checks.rejected_within_limit(tally, 0.05, plan.recognized).description or ""
        for order in ("mdy", "dmy"):
            assert (f"CALLVIZ_DATE_ORDER={order}" in found(plan)[Kind.DATE_ORDER]) == (order in orders)
            assert (f"CALLVIZ_DATE_ORDER={order}" in text) == (order in orders)


@pytest.mark.parametrize(
    ("form", "first"), [("%m.%d.%Y %H:%M", "month"), ("%y.%m.%d %H:%M", "year"), ("%m.%d.%y", "month")]
)
def test_dates_with_points_whose_day_does_not_come_first_are_refused(form: str, first: str) -> None:
    plan = plan_of(calls_with(lambda document: {"start_time": f"{document['start_time']:{form}}"}, 300))
    message = found(plan)[Kind.NOT_DAY_FIRST]
    assert f"are read with the day first, but in some the {first} comes first" in message
    assert message.endswith("CALLVIZ_DATE_ORDER=mdy." if first == "month" else "with years of four digits.")
    assert checks.roles_plausible(plan.recognized).severity.value == "ERROR"


def test_dates_with_points_whose_day_comes_first_raise_no_doubt() -> None:
    for form in ("%d.%m.%Y %H:%M", "%d.%m.%y %H:%M", "%d.%m.%y"):
        starts = [document["start_time"] for document in calls_with(count=300)]
        plan = plan_of([{"_id": number, "start_time": f"{start:{form}}"} for number, start in enumerate(starts)])
        assert not found(plan).keys() & {Kind.NOT_DAY_FIRST, Kind.DATE_ORDER}


# Times and durations that are hard to believe


def test_calls_that_are_hard_to_believe_are_named_with_value_field_and_remedy() -> None:
    documents = calls_with(lambda document: without(document, "end_time"))
    documents[0] |= {"start_time": dt.datetime(2099, 1, 1), "duration": 500_000}
    documents[1] |= {"start_time": dt.datetime(1985, 1, 1)}
    documents[2] |= {"created_at": NOON}
    plan = plan_of(documents)
    tally = normalize(Walker().walk(b"".join(map(bson.encode, documents))), plan, now=1_800_000_000_000_000).tally
    check = checks.times_plausible(tally, plan.recognized)
    assert not check.passed
    assert (check.description or "").split("). ") == [
        "Implausible calls: 1 starts after the snapshot (for example _id 0 (2099-01-01T00:00:00Z); from start_time; "
        "set CALLVIZ_SOURCE_TIMEZONE to the zone of local times, or correct the documents",
        "1 starts before 1990 (for example _id 1 (1985-01-01T00:00:00Z); from start_time; set "
        "CALLVIZ_SOURCE_TIMEZONE to the zone of local times, or correct the documents",
        "1 longer than a day (for example _id 0 (500,000 s); from duration in s; set CALLVIZ_FIELD_DURATION_UNIT=ms or "
        "CALLVIZ_FIELD_DURATION=none, or correct the documents).",
    ]
    derived = plan_of([without(document, "duration") for document in calls_with()])
    tally.implausible_examples["longer than a day"] = ["7 (90,000 s)"]
    description = checks.times_plausible(tally, derived.recognized).description or ""
    assert "from start_time to end_time; set CALLVIZ_FIELD_END_TIME=none" in description


# Codes that answer a question


@pytest.mark.parametrize("no_and_yes", [(False, True), (0, 1), (0.0, 1.0), ("0", "1")])
def test_yes_or_no_becomes_a_word_where_the_name_of_the_field_gives_one(no_and_yes: tuple[Any, Any]) -> None:
    documents = calls_with(
        lambda document: without(document, "status") | {"answered": no_and_yes[document["_id"] % 3 > 0]}
    )
    plan = plan_of(documents)
    rows = normalize(Walker().walk(b"".join(map(bson.encode, documents))), plan, now=1_800_000_000_000_000).calls
    assert rows.column("status").to_pylist()[:4] == ["missed", "answered", "answered", "missed"]
    assert Kind.CODES not in found(plan)


def test_yes_or_no_under_another_name_is_reported() -> None:
    plan = plan_of(calls_with(lambda document: document | {"status": document["_id"] % 2}))
    assert {Kind.CODES, Kind.EMPTY} & found(plan).keys()
