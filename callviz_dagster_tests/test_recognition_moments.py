"""Which of several moments of a call is its start: the earliest that every call has, whatever the fields are called."""

from __future__ import annotations

import datetime as dt
from typing import Any

from callviz_dagster.documents.recognition.choice import choose
from callviz_dagster.documents.recognition.doubts import doubts
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
