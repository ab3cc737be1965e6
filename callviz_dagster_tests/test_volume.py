"""A collection that has lost far more documents than plausible is not published, until somebody accepts it once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster.table.volume import (
    ACCEPT_DROP_TAG,
    RECORD,
    RefusedDrop,
    accepted_documents,
    is_refused,
    refused_drop,
    why_to_wait,
)
from callviz_dagster_tests.helpers.refresh import checks, failure, files, refresh, refresh_job, some_calls
from callviz_dagster_tests.helpers.today import TODAY, ZONE

Document = dict[str, Any]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return dataclasses.replace(settings, max_drop=0.5)


@pytest.mark.parametrize(
    ("before", "documents", "max_drop", "accepted", "refused"),
    [
        (0, 0, 0.5, None, False),
        (0, 7, 0.5, None, False),
        (10, 10, 0.0, None, False),
        (10, 11, 0.0, None, False),
        (10, 9, 0.0, None, True),
        (10, 5, 0.5, None, False),
        (10, 4, 0.5, None, True),
        (10, 1, 1.0, None, False),
        (10, 0, 1.0, None, True),
        (10, 4, 0.5, 4, False),
        (10, 3, 0.5, 4, True),
        (10, 0, 0.5, 0, False),
    ],
)
def test_what_is_refused(before: int, documents: int, max_drop: float, accepted: int | None, refused: bool) -> None:
    assert is_refused(before, documents, max_drop=max_drop, accepted=accepted) is refused


def test_only_a_number_is_accepted() -> None:
    assert [accepted_documents(tag) for tag in ("3", "0", "", None, "all", "-1")] == [3, 0, None, None, None, None]


@pytest.mark.parametrize("remaining", [3, pytest.param(0, marks=pytest.mark.long)])
def test_a_drop_is_refused_and_nothing_is_replaced_until_it_is_accepted_once(
    remaining: int, settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection, 10)
    assert refresh_job(settings).success
    assert checks(refresh(settings))["volume_stable"].description == ("10 documents; 10 in the last published refresh.")
    before = files(settings)
    collection.delete_many({"_id": {"$gte": remaining}})

    result = refresh_job(settings)
    assert not result.success
    check = checks(result)["volume_stable"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert (check.metadata["documents before"].value, check.metadata["documents"].value) == (10, remaining)
    assert f"{remaining} documents; 10 in the last published refresh: " in failure(result)
    assert f"{ACCEPT_DROP_TAG}={remaining}" in failure(result)
    after = files(settings)
    refused = str(settings.data_dir / RECORD)
    assert {name: after[name] for name in before} == before, "the archive stays, too"
    assert after.keys() - before.keys() == {refused}
    assert refused_drop(settings.data_dir) == RefusedDrop(10, remaining)

    assert not refresh_job(settings, tags={ACCEPT_DROP_TAG: str(remaining + 1)}).success, "another number was accepted"
    assert refresh_job(settings, tags={ACCEPT_DROP_TAG: str(remaining)}).success
    assert refused_drop(settings.data_dir) is None
    assert (settings.publish_dir / "calls.csv").read_bytes().count(b"\n") == 1 + remaining
    assert refresh_job(settings).success, "it is what was published last now"


def test_the_limit_is_a_setting(settings: Settings, collection: Collection[Document]) -> None:
    some_calls(collection, 10)
    assert refresh(settings).success
    collection.delete_one({"_id": 3})
    assert not refresh(dataclasses.replace(settings, max_drop=0.05)).success
    assert refresh(settings).success


def test_what_was_read_and_never_published_is_no_measure(settings: Settings, collection: Collection[Document]) -> None:
    some_calls(collection, 10)
    assert refresh(settings).success
    collection.insert_many({"_id": f"n{n}", "start_time": dt.datetime(2024, 3, 31, tzinfo=dt.UTC)} for n in range(90))
    assert refresh(settings, "raw_calls", "calls", "rejected_calls").success
    collection.delete_many({"_id": {"$type": "string"}})
    assert refresh(settings).success


def test_with_partitions_the_whole_collection_is_the_measure(
    settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_many({"_id": n, "start_time": TODAY - dt.timedelta(n % 2)} for n in range(20))
    collection.insert_one({"_id": "no date", "start_time": "soon"})
    daily = dataclasses.replace(
        settings,
        partitions="daily",
        timezone=ZONE,
        partitions_start=TODAY.date() - dt.timedelta(1),
        field_start_time="start_time",
        max_rejected=1.0,
    )
    keys = [f"{TODAY.date() - dt.timedelta(days)}" for days in (1, 0)]
    tags = dict(zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), keys, strict=True))
    assert refresh_job(daily, tags=tags).success
    record = json.loads((settings.publish_dir / "published.json").read_text(encoding="utf-8"))
    assert record["files"]["calls.csv"]["documents"] == 21
    before = files(daily)
    collection.delete_many({"_id": {"$gte": 2}})
    one = dict.fromkeys(tags, keys[0])
    result = refresh_job(daily, tags=one)
    assert not result.success
    assert "3 documents; 21 in the last published refresh: more than 50% are gone" in failure(result)
    after = files(daily)
    assert {name: after[name] for name in before} == before
    assert refresh_job(daily, tags=tags | {ACCEPT_DROP_TAG: "3"}).success


def test_the_sensor_has_a_reason_to_wait_until_the_documents_are_back(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection, 10)
    assert refresh(settings).success
    assert why_to_wait(settings.data_dir, 10, max_drop=0.5) == ""
    collection.delete_many({"_id": {"$gte": 3}})
    assert not refresh(settings).success
    reason = why_to_wait(settings.data_dir, 3, max_drop=0.5)
    assert reason.startswith("the last refresh was refused: 3 documents in the collection, 10 in the last published")
    assert f"{ACCEPT_DROP_TAG}=3" in reason
    assert why_to_wait(settings.data_dir, 4, max_drop=0.5) != ""
    assert why_to_wait(settings.data_dir, 5, max_drop=0.5) == ""


def test_a_record_that_cannot_be_read_is_no_reason_to_wait(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    for text in ("", "{}", '{"format_version": 9, "before": 2, "documents": 0}'):
        (settings.data_dir / RECORD).write_text(text, encoding="utf-8")
        assert why_to_wait(settings.data_dir, 0, max_drop=0.5) == ""
