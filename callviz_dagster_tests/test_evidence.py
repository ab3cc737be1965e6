"""The sample of whole documents: the same one however the documents come, bounded, and without what is hidden."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from typing import Any

import bson
import pytest
from bson import Decimal128
from bson.binary import Binary
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.recognition import evidence as sampling
from callviz_dagster.documents.recognition.evidence import SAMPLE, Evidence
from callviz_dagster.documents.values import Secrets
from callviz_dagster_tests.helpers.raw_bson import examples
from callviz_dagster_tests.helpers.recognition import gathered

NOON = dt.datetime(2024, 3, 1, 12)


def documents(count: int) -> list[dict[str, Any]]:
    return [{"_id": number, "start_time": NOON + dt.timedelta(minutes=number)} for number in range(count)]


def starts(sample: Evidence) -> list[Any]:
    return [one.values[(b"start_time",)] for one in sample.documents]


@examples(20)
@given(st.lists(st.integers(1, 999), max_size=4), st.randoms())
def test_the_sample_is_the_same_whatever_the_batches_partitions_and_order(cuts: list[int], chance: Any) -> None:
    all_documents = documents(1_000)
    whole = gathered(all_documents)
    assert len(whole.documents) == SAMPLE
    chance.shuffle(all_documents)
    bounds = [0, *sorted(set(cuts)), len(all_documents)]
    parts = [all_documents[first:last] for first, last in itertools.pairwise(bounds)]
    assert gathered(*parts) == whole
    merged, from_manifests = Evidence(), Evidence()
    for part in parts:
        merged.merge(gathered(part))
        stored = json.loads(json.dumps(gathered(part).to_json()))
        from_manifests.merge(Evidence.from_json(stored, below=from_manifests.limit))
    assert merged == from_manifests == whole


def test_the_sample_is_spread_over_the_collection() -> None:
    places = sorted(
        (dt.datetime.fromisoformat(value["$date"]) - NOON.replace(tzinfo=dt.UTC))
        for value in starts(gathered(documents(10_000)))
    )
    thirds = [
        sum(low <= place / dt.timedelta(minutes=1) < low + 2_500 for place in places) for low in range(0, 10_000, 2_500)
    ]
    assert min(thirds) > SAMPLE / 8


@pytest.mark.parametrize(
    "identifiers",
    [
        [f"{number:024x}" for number in range(600)],
        [bson.ObjectId(f"{number:024x}") for number in range(600)],
        [bson.Int64(number) for number in range(600)],
        [number / 8 for number in range(600)],
        [Binary.from_uuid(uuid.UUID(int=number)) for number in range(600)],
        [{"tenant": 1, "number": number} for number in range(600)],
        [Decimal128(str(number)) for number in range(600)],
        ["", "a", *(f"call {number}" for number in range(598))],
        ["x" * 200 + f"{number:03}" for number in range(600)],
    ],
    ids=["hex", "ObjectId", "long", "double", "UUID", "document", "decimal", "short text", "long text"],
)
def test_identifiers_of_every_kind_are_told_apart(identifiers: list[Any]) -> None:
    sample = gathered([{"_id": identifier, "status": "x"} for identifier in identifiers])
    assert len({one.key for one in sample.documents}) == SAMPLE


def test_a_document_without_an_identifier_is_known_by_all_its_bytes() -> None:
    sample = gathered([{"status": f"s{number}"} for number in range(10)])
    assert len({one.key for one in sample.documents}) == 10


def test_the_time_inside_an_object_id_is_kept() -> None:
    sample = gathered([{"_id": bson.ObjectId.from_datetime(NOON.replace(tzinfo=dt.UTC))}, {"_id": 1}])
    assert {one.id_second for one in sample.documents} == {None, 1_709_294_400}


def test_kept_are_times_and_fields_that_speak_of_a_role_and_nothing_of_the_parties() -> None:
    document = {
        "_id": 1,
        "status": "busy " * 50,
        "when": NOON,
        "noted": "2024-03-01 12:00:00",
        "pressed": 1_709_294_400,
        "caller": 15_550_101_000,
        "phone_number": "1709294400",
        "agent": "A. Person",
        "call": {"duration": Decimal128("12.5"), "secret": "x"},
        "transcript": [{"text": "hello"}],
    }
    (one,) = gathered([document]).documents
    assert {b".".join(path).decode() for path in one.values} == {"status", "when", "noted", "pressed", "call.duration"}
    assert len(one.values[(b"status",)]) == 60


def test_hidden_fields_are_never_in_the_sample() -> None:
    document = {"_id": 1, "status": "busy", "call": {"start": NOON, "end": NOON}}
    secrets = Secrets({"status"}, {"call.start"}, b"k" * 32)
    (one,) = gathered([document], secrets=secrets).documents
    assert set(one.values) == {(b"call", b"end")}
    (later,) = gathered([document]).without(secrets).documents
    assert set(later.values) == {(b"call", b"end")}


def test_the_sample_survives_json_that_people_can_read() -> None:
    sample = gathered(
        [
            {"_id": 1, "start_time": NOON, "duration": 2.5, "answered": True, "status": None},
            {"_id": 2, "start_time": bson.DatetimeMS(2**60), "duration": bson.Int64(2**60), "état": "occupé"},
            {"_id": 3, "start_time": bson.Timestamp(1_709_294_400, 1), "duration": float("nan")},
        ]
    )
    text = json.dumps(sample.to_json())
    assert "2024-03-01T12:00:00" in text
    assert Evidence.from_json(json.loads(text)) == sample


@pytest.mark.parametrize("data", [None, {}, {"format_version": 0, "keys": [], "id_seconds": [], "fields": []}])
def test_a_sample_of_another_version_is_not_used(data: Any) -> None:
    assert Evidence.from_json(data) == Evidence()


def test_large_documents_are_not_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    all_documents = documents(600)
    expected = gathered(all_documents)
    monkeypatch.setattr(sampling, "_MOST_BYTES", 4_000)
    assert gathered(all_documents[:100], all_documents[100:350], all_documents[350:]) == expected
