"""However an application forms its records, the same calls come out: names, envelopes, units, order, partitions."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Sequence
from typing import Any

import bson
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.evidence import Evidence, Gatherer
from callviz_dagster.documents.recognition.names import name_of
from callviz_dagster.documents.recognition.vocabulary import FIELD_NAMES, WRAPPERS
from callviz_dagster.documents.walker import Walker
from callviz_dagster.table.normalize import normalize
from callviz_dagster.table.options import TableOptions
from callviz_dagster.table.plan import make_plan
from callviz_dagster_tests.helpers.raw_bson import examples

Document = dict[str, Any]
Calls = dict[str, tuple[Any, ...]]
NOW = 1_800_000_000_000_000
PLAIN = {
    "start_time": "startTime",
    "end_time": "endTime",
    "duration": "duration",
    "call_type": "direction",
    "status": "status",
}
PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9, "min": 1 / 60, "h": 1 / 3600}
COLUMNS = ("start_time", "end_time", "duration_sec", "call_type", "status")
SEEDS = st.integers(0, 10_000)


def documents(seed: int, names: dict[str, str] | None = None, unit: str = "s", count: int = 30) -> list[Document]:
    """Return invented calls whose role fields have these names, with durations in a unit."""
    chance, called = random.Random(seed), PLAIN | (names or {})
    records = []
    for number in range(count):
        start = dt.datetime(2024, 3, 1) + dt.timedelta(seconds=chance.randrange(60 * 86_400))
        status = chance.choice(["completed", "completed", "missed", "busy"])
        seconds = chance.randrange(20, 3_000) if status == "completed" else chance.randrange(1, 30)
        length = seconds * PER_SECOND[unit]
        records.append(
            {
                "_id": bson.ObjectId(f"{number + 1:024x}"),
                called["start_time"]: start,
                called["end_time"]: start + dt.timedelta(seconds=seconds),
                called["duration"]: length if unit in ("min", "h") else round(length),
                called["call_type"]: chance.choice(["inbound", "outbound"]),
                called["status"]: status,
                "agent": f"desk {number % 5}",
            }
        )
    return records


def calls_of(*partitions: Sequence[Document]) -> Calls:
    """Return the role columns of `calls` by `_id`, from documents that were read in partitions."""
    profile, evidence, batches = Profile(), Evidence(), []
    for partition in partitions:
        batch, part, gatherer = Walker().walk(b"".join(map(bson.encode, partition))), Profile(), Gatherer()
        part.add(batch)
        gatherer.add(batch)
        profile.merge(part)
        evidence.merge(gatherer.evidence())
        batches.append(batch)
    plan = make_plan(profile, TableOptions(), evidence=evidence)
    rows = [row for batch in batches for row in normalize(batch, plan, now=NOW).calls.to_pylist()]
    return {row["_id"]: tuple(row[name] for name in COLUMNS) for row in rows}


def expected(seed: int) -> Calls:
    """Return the calls of `documents(seed)` without callviz."""
    return {
        str(one["_id"]): (
            *(one[name].replace(tzinfo=dt.UTC) for name in ("startTime", "endTime")),
            float(one["duration"]),
            one["direction"],
            one["status"],
        )
        for one in documents(seed)
    }


def rounded(calls: Calls) -> Calls:
    return {key: (*row[:2], row[2] and round(row[2], 3), *row[3:]) for key, row in calls.items()}


@examples(5)
@given(SEEDS)
def test_the_calls_are_those_that_were_written(seed: int) -> None:
    assert calls_of(documents(seed)) == expected(seed)


@examples(25)
@given(SEEDS, st.fixed_dictionaries({role: st.sampled_from(names) for role, names in FIELD_NAMES.items()}))
def test_under_other_known_names(seed: int, names: dict[str, str]) -> None:
    unit = name_of((names["duration"].encode(),)).unit or "s"
    assert rounded(calls_of(documents(seed, names, unit))) == expected(seed)


@examples(12)
@given(SEEDS, st.sampled_from(sorted(WRAPPERS)), st.sampled_from([1, 2]))
def test_in_an_envelope(seed: int, wrapper: str, depth: int) -> None:
    wrapped = []
    for number, document in enumerate(documents(seed)):
        inner: Document = {name: value for name, value in document.items() if name != "_id"}
        for _ in range(depth):
            inner = {wrapper: inner}
        sent = dt.datetime(2024, 6, 1, 12) + dt.timedelta(milliseconds=number)
        wrapped.append({"_id": document["_id"], "event": "call.ended", "timestamp": sent, **inner})
    assert calls_of(wrapped) == expected(seed)


@examples(12)
@given(SEEDS, st.sampled_from(sorted(PER_SECOND)))
def test_in_another_unit_under_a_name_that_says_none(seed: int, unit: str) -> None:
    assert rounded(calls_of(documents(seed, unit=unit))) == expected(seed)


@examples(10)
@given(SEEDS, st.integers(-5_000, 500), st.integers(0, 86_399))
def test_at_another_time(seed: int, days: int, seconds: int) -> None:
    shift = dt.timedelta(days=days, seconds=seconds)
    shifted = [
        document | {name: document[name] + shift for name in ("startTime", "endTime")} for document in documents(seed)
    ]
    assert calls_of(shifted) == {
        key: (start + shift, end + shift, *rest) for key, (start, end, *rest) in expected(seed).items()
    }


@examples(10)
@given(SEEDS, st.randoms(use_true_random=False))
def test_in_another_order(seed: int, chance: random.Random) -> None:
    """Documents come in another order, and so do the fields of each."""
    shuffled = []
    for document in documents(seed):
        fields = list(document.items())
        chance.shuffle(fields)
        shuffled.append(dict(fields))
    chance.shuffle(shuffled)
    assert calls_of(shuffled) == expected(seed)


@examples(12)
@given(SEEDS, st.sampled_from(["import", "hours later", "after the end"]), st.sampled_from(["createdAt", "created_at"]))
def test_with_the_time_at_which_the_record_was_made(seed: int, created_field: str, name: str) -> None:
    chance, records = random.Random(seed), documents(seed)
    for number, document in enumerate(records):
        document[name] = {
            "import": dt.datetime(2025, 6, 1, 12) + dt.timedelta(milliseconds=3 * number),
            "hours later": document["startTime"] + dt.timedelta(seconds=chance.randrange(4_000, 90_000)),
            "after the end": document["endTime"] + dt.timedelta(seconds=chance.randrange(1, 5)),
        }[created_field]
    assert calls_of(records) == expected(seed)


@examples(12)
@given(SEEDS, st.sets(st.integers(1, 29), max_size=4))
def test_read_in_partitions(seed: int, cuts: set[int]) -> None:
    records = sorted(documents(seed), key=lambda document: str(document["startTime"]))
    bounds = [0, *sorted(cuts), len(records)]
    partitions = [records[first:last] for first, last in itertools.pairwise(bounds)]
    assert calls_of(*partitions) == expected(seed)


def test_the_comparison_finds_a_start_that_is_another_field() -> None:
    records = documents(1)
    for document in records:
        document["startTime"] += dt.timedelta(seconds=1)
    assert calls_of(records) != expected(1)
