"""Which of several moments of a call is its start: the earliest that every call has, whatever the fields are called."""

from __future__ import annotations

import datetime as dt
from typing import Any

from callviz_dagster_tests.helpers.recognition import chosen

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
    assert chosen([rung(number) for number in range(40)])["start_time"] == "createdAt"


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
