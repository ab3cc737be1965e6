"""Which of several moments of a call is its start: the earliest that every call has, whatever the fields are called."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from callviz_dagster.documents.recognition.choice import choose
from callviz_dagster.documents.recognition.doubts import Doubt, Kind, doubts
from callviz_dagster.documents.recognition.report import sentence
from callviz_dagster_tests.helpers.recognition import chosen, fields_of

Document = dict[str, Any]
NOON = dt.datetime(2024, 3, 1, 12)


def rung(number: int, *, begun: bool = True) -> Document:
    """Return a call whose record is made when it begins to ring; every third is never taken, and then ends or waits."""
    made = NOON + dt.timedelta(minutes=43 * number)
    taken = number % 3 > 0
    answered, length = made + dt.timedelta(seconds=5 + number % 20), 30 + 17 * (number % 23)
    ended = answered + dt.timedelta(seconds=length * taken)
    return {
        "_id": number,
        "createdAt": made,
        "startedAt": answered if taken else None,
        "endedAt": ended if taken or begun else None,
        "duration": length * taken,
    }


def test_the_record_of_a_call_that_rang_and_ended_is_made_at_its_start() -> None:
    fields = fields_of([rung(number) for number in range(40)])
    choice = choose(fields)
    assert choice.roles["start_time"][0] == ((b"createdAt",),)
    assert not [doubt for doubt in doubts(choice, fields) if doubt.role == "start_time"]


def test_a_record_made_before_calls_that_never_began_is_not_their_start() -> None:
    assert chosen([rung(number, begun=False) for number in range(40)])["start_time"] == "startedAt"


def test_a_call_starts_when_it_enters_the_queue_and_not_when_somebody_takes_it() -> None:
    calls = [
        {"datetime_entry_queue": call["createdAt"], "datetime_init": call["startedAt"], "datetime_end": call["endedAt"]}
        for call in (rung(number) for number in range(40))
    ]
    assert chosen(calls) == {"start_time": "datetime_entry_queue", "end_time": "datetime_end"}


def test_the_time_that_the_other_side_was_dialled_is_no_duration() -> None:
    calls = [rung(number) | {"duration": None, "dialing_duration": number % 4} for number in range(40)]
    assert "duration" not in chosen(calls)


def test_of_several_times_of_day_beside_one_date_the_first_is_the_start() -> None:
    documents = []
    for number in range(40):
        received = NOON + dt.timedelta(minutes=97 * number)
        moments = {"Received": 0, "Dispatched": 2 + number % 3, "Arrived": 9 + number % 7, "Cleared": 30 + number % 50}
        clocks = {
            f"Time {name}": f"{received + dt.timedelta(minutes=minutes):%H:%M:%S}" for name, minutes in moments.items()
        }
        documents.append({"_id": number, "Call Date": f"{received:%Y-%m-%d}"} | dict(reversed(clocks.items())))
    roles = chosen(documents)
    assert (roles["start_time"], roles["end_time"]) == ("Call Date+Time Received", "Call Date+Time Cleared")


def test_start_and_end_in_each_other_s_place_are_refused_with_the_lines_that_swap_them() -> None:
    documents = [rung(number) for number in range(40)]
    fields = fields_of(
        [{"_id": one["_id"], "call_start": one["endedAt"], "call_end": one["createdAt"]} for one in documents]
    )
    choice = choose(fields)
    messages = [sentence(doubt, choice, fields.facts) for doubt in doubts(choice, fields)]
    lines = "CALLVIZ_FIELD_START_TIME=call_end with CALLVIZ_FIELD_END_TIME=call_start"
    assert any(lines in message for message in messages)


def test_a_reason_for_hanging_up_is_not_missed_as_an_end() -> None:
    calls = [
        {"_id": one["_id"], "start_time": one["createdAt"], "duration": one["duration"], "hangup_cause": "caller"}
        for one in map(rung, range(40))
    ]
    fields = fields_of(calls)
    assert not [doubt for doubt in doubts(choose(fields), fields) if doubt.role == "end_time"]


# A time of something else, under the name of a start or an end


def beside(number: int, hours: float) -> dt.datetime:
    """Return a time some hours after the call began, or before it, as an appointment or a shift has it."""
    source = random.Random(number)
    began: dt.datetime = rung(number)["createdAt"]
    return began + dt.timedelta(hours=hours * source.uniform(1, 9), seconds=source.randrange(60))


def renamed(**names: Any) -> list[Document]:
    """Return calls of which each field is one of `rung`, or made from the number of the call; dots make it nested."""
    documents = []
    for number in range(60):
        call = rung(number) | {"answered": None}
        call["duration"] = round((call["endedAt"] - call["createdAt"]).total_seconds())
        document: Document = {"_id": number}
        for name, value in names.items():
            *above, last = name.split("__")
            inner = document
            for part in above:
                inner = inner.setdefault(part, {})
            inner[last] = value(number) if callable(value) else call[value]
        documents.append(document)
    return documents


def about(documents: list[Document], role: str) -> list[Doubt]:
    fields = fields_of(documents)
    return [doubt for doubt in doubts(choose(fields), fields) if doubt.role == role]


@pytest.mark.parametrize("hours", [1.0, -1.0, 40.0])
@pytest.mark.parametrize("name", ["appointment__end", "shift__end", "end_time", "slot_end"])
def test_the_end_is_the_time_to_which_the_stored_duration_leads(name: str, hours: float) -> None:
    other = {name: lambda number: beside(number, hours)}
    documents = renamed(started_at="createdAt", over="endedAt", duration="duration", **other)
    assert chosen(documents)["end_time"] == "over"
    assert not about(documents, "end_time") + about(documents, "duration")


@pytest.mark.parametrize("name", ["appointment__start", "shift__start", "start_time"])
def test_the_start_is_the_time_from_which_the_stored_duration_leads_to_the_end(name: str) -> None:
    other = {name: lambda number: beside(number, -1)}
    documents = renamed(t0="createdAt", ended_at="endedAt", duration="duration", **other)
    assert chosen(documents)["start_time"] == "t0"


@pytest.mark.parametrize("name", ["appointment__end", "shift__end", "end_time"])
def test_without_a_stored_duration_an_end_hours_later_is_doubted(name: str) -> None:
    documents = renamed(started_at="createdAt", over="endedAt", **{name: lambda number: beside(number, 1)})
    fields = fields_of(documents)
    choice = choose(fields)
    (doubt,) = [one for one in doubts(choice, fields) if one.kind is Kind.SPAN]
    words = sentence(doubt, choice, fields.facts)
    assert words.startswith(f"From started_at to {name.replace('__', '.')} (for example 2024-03-0")
    assert "CALLVIZ_FIELD_END_TIME=none" in words
