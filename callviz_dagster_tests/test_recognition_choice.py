"""The choice is one: the same however the documents come, and start, end, duration and unit fit together."""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.recognition.choice import choose
from callviz_dagster.documents.recognition.decision import Choice
from callviz_dagster.documents.recognition.evidence import Evidence
from callviz_dagster_tests.helpers.raw_bson import examples
from callviz_dagster_tests.helpers.recognition import chosen, fields_of, gathered

Document = dict[str, Any]
NOON = dt.datetime(2024, 3, 1, 12)
IMPORTED = dt.datetime(2025, 6, 1, 12)


def records(count: int = 60, seed: int = 1) -> list[Document]:
    """Return calls that ring, are mostly answered, and end; their stored duration is the whole call."""
    source, calls = random.Random(seed), []
    for number in range(count):
        start = NOON + dt.timedelta(minutes=43 * number)
        ringing, talking = source.randrange(3, 20), source.randrange(20, 900)
        answered = number % 4 > 0
        length = ringing + talking * answered
        calls.append(
            {
                "_id": number,
                "dialled": start,
                "pickedUp": start + dt.timedelta(seconds=ringing) if answered else None,
                "hungUp": start + dt.timedelta(seconds=length),
                "lasted": length,
                "talk": talking * answered,
                "ended_by": ("caller", "agent")[number % 2],
                "bound": ("inbound", "outbound")[number % 2],
                "verdict": ("answered", "missed")[number % 4 == 0],
            }
        )
    return calls


def decision(documents: list[Document]) -> Choice:
    return choose(fields_of(documents))


def test_start_end_and_duration_are_those_that_fit_together() -> None:
    assert chosen(records()) == {
        "start_time": "dialled",
        "end_time": "hungUp",
        "duration": "lasted",
        "call_type": "bound",
        "status": "verdict",
    }


@examples(15)
@given(st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_documents_and_fields(chance: random.Random) -> None:
    documents = []
    for document in records():
        names = [name for name in document if name != "_id"]
        chance.shuffle(names)
        documents.append({"_id": document["_id"]} | {name: document[name] for name in names})
    chance.shuffle(documents)
    assert decision(documents).to_json() == decision(records()).to_json()


@examples(15)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=3))
def test_samples_merge_in_any_order_to_that_of_all_documents(cuts: list[int]) -> None:
    documents = records(400)
    bounds = [0, *sorted(cuts), 400]
    samples = [gathered(documents[low:high]) for low, high in itertools.pairwise(bounds) if low < high]
    whole = gathered(documents)
    for order in (samples, samples[::-1]):
        merged = Evidence()
        for sample in order:
            merged.merge(copy.deepcopy(sample))
        assert merged == whole


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9), ("min", 1 / 60), ("h", 1 / 3600)]
)
def test_the_unit_is_the_one_in_which_durations_are_end_minus_start(unit: str, factor: float) -> None:
    choice = decision([document | {"lasted": document["lasted"] * factor} for document in records()])
    assert choice.units[(b"lasted",)].unit == unit


def test_a_unit_in_the_name_wins_over_the_data() -> None:
    documents = [document | {"lasted_ms": document["lasted"], "lasted": None} for document in records()]
    assert (decision(documents).units[(b"lasted_ms",)].unit) == "ms"


def test_the_times_of_an_import_change_nothing() -> None:
    documents = [
        document | {"createdAt": IMPORTED + dt.timedelta(milliseconds=3 * number), "updatedAt": IMPORTED, "__v": 0}
        for number, document in enumerate(records())
    ]
    assert decision(documents).to_json() == decision(records()).to_json()


def test_the_call_is_found_in_a_wrapper_whose_own_times_are_no_calls() -> None:
    documents = [
        {"_id": call.pop("_id"), "event": "call.ended", "time": IMPORTED, "type": "log", "data": call}
        for call in records()
    ]
    assert chosen(documents)["start_time"] == "data.dialled"
    assert chosen(documents)["end_time"] == "data.hungUp"
    assert chosen(documents)["status"] == "data.verdict"
