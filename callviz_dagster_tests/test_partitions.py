"""Partitions: they cover every date once, in every zone, and are Dagster's partitions."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.collection import Collection

from callviz_dagster.partitions import WHOLE, Partitioning, between, contiguous_runs, format_keys, leftovers, parse_keys
from callviz_dagster.settings import MissingSettingError, Settings, SettingsError

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Cairo"]
KINDS = ["daily", "weekly", "monthly"]
NOW = dt.datetime(2025, 3, 31, 22, 30, tzinfo=dt.UTC)


def partitioning(kind: str = "daily", zone: str = "Europe/Berlin", first: str = "2024-03-20") -> Partitioning:
    start = dt.date.fromisoformat(first)
    return Partitioning.of(
        Settings(partitions=kind, partitions_start=start, timezone=zone, field_start_time="start_time")
    )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", KINDS)
def test_partitions_are_dagsters_partitions(kind: str, zone: str) -> None:
    ours = partitioning(kind, zone, "2022-01-05")
    theirs = ours.definition()
    assert theirs is not None
    now = dt.datetime(2025, 3, 31, 23, 30, tzinfo=dt.UTC)
    assert [partition.key for partition in ours.partitions(now)] == list(theirs.get_partition_keys(current_time=now))
    for partition in ours.partitions(now):
        span = theirs.time_window_for_partition_key(partition.key)
        assert (partition.start, partition.end) == (span.start.astimezone(dt.UTC), span.end.astimezone(dt.UTC))


@pytest.mark.parametrize("zone", [*ZONES, "Pacific/Apia", "America/St_Johns"])
@pytest.mark.parametrize("kind", KINDS)
def test_partitions_follow_each_other_without_gap_and_their_names_are_in_time_order(kind: str, zone: str) -> None:
    # Samoa left out 30 December 2011.
    partitions = partitioning(kind, zone, "2011-06-17").partitions(dt.datetime(2013, 6, 17, tzinfo=dt.UTC))
    for before, after in itertools.pairwise(partitions):
        assert before.end == after.start
    names = [partition.name for partition in partitions]
    assert names == sorted(set(names))


def test_days_of_23_and_25_hours_are_whole() -> None:
    days = partitioning()
    lengths = {}
    for key in ("2024-03-31", "2024-10-27", "2024-05-01"):
        partition = days.partition(key)
        assert partition.start is not None
        assert partition.end is not None
        lengths[key] = (partition.end - partition.start) / dt.timedelta(hours=1)
    assert lengths == {"2024-03-31": 23, "2024-10-27": 25, "2024-05-01": 24}


@given(
    st.datetimes(dt.datetime(2009, 1, 1), dt.datetime(2025, 12, 31), timezones=st.just(dt.UTC)),
    st.sampled_from([*ZONES, "Pacific/Apia", "America/St_Johns"]),
    st.sampled_from(KINDS),
    st.sampled_from([None, "Europe/Berlin", "America/New_York"]),
)
def test_every_date_is_in_the_partition_that_its_key_names(
    stored: dt.datetime, zone: str, kind: str, source_zone: str | None
) -> None:
    scheme = Partitioning(
        kind, dt.date(2000, 1, 3) if kind == "weekly" else dt.date(2000, 1, 1), zone, "s", source_zone
    )
    key = scheme.key_of(stored)
    assert key is not None
    partition = scheme.partition(key)
    assert partition.start is not None
    assert partition.end is not None
    assert partition.start <= stored < partition.end


def test_a_call_is_in_the_partition_of_its_local_date() -> None:
    late = dt.datetime(2024, 5, 1, 22, 30, tzinfo=dt.UTC)
    assert late.astimezone(ZoneInfo("Europe/Berlin")).date() == dt.date(2024, 5, 2)
    assert partitioning("daily").key_of(late) == "2024-05-02"
    assert partitioning("weekly").key_of(late) == "2024-04-29"
    assert partitioning("monthly").key_of(late) == "2024-05-01"


@pytest.mark.parametrize("value", [None, "2024-05-01", 1714600000, dt.datetime(2024, 3, 19, 20), dt.datetime.max])
def test_what_is_no_date_or_before_the_start_is_in_no_partition(value: object) -> None:
    if value == dt.datetime.max:
        assert partitioning("daily").key_of(value) is None
    else:
        assert partitioning().key_of(value) is None


def test_a_stored_local_clock_is_cut_at_its_own_midnight() -> None:
    clock = Partitioning("daily", dt.date(2024, 1, 1), "Europe/Berlin", "s", "Europe/Berlin")
    assert clock.partition("2024-03-31").start == dt.datetime(2024, 3, 31, tzinfo=dt.UTC)
    assert clock.partition("2024-03-31").end == dt.datetime(2024, 4, 1, tzinfo=dt.UTC)


def test_without_partitions_the_one_partition_is_the_whole_collection() -> None:
    none = Partitioning.of(Settings())
    assert none.partitions(NOW) == [WHOLE]
    assert none.partition("") == WHOLE
    assert none.key_of("anything") == ""
    assert none.definition() is None
    assert WHOLE.filter() == {}


def test_the_start_is_moved_back_to_a_whole_partition() -> None:
    assert partitioning("weekly", first="2024-03-20").partitions(NOW)[0].key == "2024-03-18"
    assert partitioning("monthly", first="2024-03-20").partitions(NOW)[0].name == "2024-03"


def test_partitions_are_told_as_stretches_and_read_back() -> None:
    all_partitions = partitioning().partitions(NOW)
    some = [all_partitions[0], all_partitions[1], all_partitions[2], all_partitions[9]]
    assert format_keys(some, all_partitions) == "2024-03-20...2024-03-22, 2024-03-29"
    assert parse_keys(format_keys(some, all_partitions), all_partitions) == some
    assert [len(part) for part in contiguous_runs(some, all_partitions)] == [3, 1]


def test_filters_give_every_document_to_one_partition_or_to_none(collection: Collection[dict[str, Any]]) -> None:
    day = dt.datetime(2024, 3, 20, 12)
    starts: list[Any] = [
        *(day + dt.timedelta(hours=7 * n) for n in range(30)),
        [day, day + dt.timedelta(2)],
        "2024-03-21T00:00:00Z",
        1_711_000_000_000,
        None,
        day - dt.timedelta(9),
        day + dt.timedelta(900),
    ]
    collection.insert_many([{"_id": n, "t": {"start": start}} for n, start in enumerate(starts)])
    collection.insert_one({"_id": "list above", "t": [{"start": day}, {"start": day + dt.timedelta(1)}]})
    collection.insert_one({"_id": "none"})
    scheme = Partitioning("daily", dt.date(2024, 3, 20), "Europe/Berlin", "t.start")
    partitions = scheme.partitions(dt.datetime(2024, 4, 1, tzinfo=dt.UTC))
    identifiers = [document["_id"] for partition in partitions for document in collection.find(partition.filter())]
    assert sorted(identifiers) == list(range(30))
    assert [d["_id"] for d in collection.find(between("t.start", None, partitions[0].start))] == [34]
    assert [d["_id"] for d in collection.find(between("t.start", partitions[-1].end, None))] == [35]
    for document in collection.find({"_id": {"$in": identifiers}}):
        (partition,) = [w for w in partitions if w.key == scheme.key_of(document["t"]["start"])]
        assert collection.count_documents({"_id": document["_id"], **partition.filter()}) == 1


def test_files_of_another_partitioning_are_left_over(tmp_path: Path) -> None:
    days, months = partitioning("daily"), partitioning("monthly")
    for partition in (WHOLE, days.partition("2024-03-20"), months.partition("2024-03-01")):
        for path in (partition.archive(tmp_path), partition.manifest(tmp_path), partition.calls(tmp_path)):
            path.parent.mkdir(exist_ok=True)
            path.touch()
    (tmp_path / "raw_calls" / "coverage.json").touch()
    leftover_names = {path.name for path in leftovers(tmp_path, days.partitions(NOW))}
    assert leftover_names == {
        "all.bson.zst",
        "all.json",
        "all.parquet",
        "2024-03.bson.zst",
        "2024-03.json",
        "2024-03.parquet",
    }


def test_partitions_without_a_start_or_a_field_are_refused() -> None:
    with pytest.raises(MissingSettingError, match="needs CALLVIZ_PARTITIONS_START, for example 2024-01-01"):
        Settings(partitions="daily", field_start_time="s")
    with pytest.raises(MissingSettingError, match="needs CALLVIZ_FIELD_START_TIME"):
        Settings(partitions="daily", partitions_start=dt.date(2024, 1, 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [("PARTITIONS", "hourly"), ("PARTITIONS_START", "1.1.2024"), ("FRESH_WITHIN", "soon"), ("NIGHTLY", "25:00")],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"CALLVIZ_{name}: '{value}' is not allowed; it takes"):
        Settings.load({f"CALLVIZ_{name}": value})


def test_settings_of_spans_are_read() -> None:
    assert Settings.load({"CALLVIZ_FRESH_WITHIN": "90m"}).fresh_within == dt.timedelta(minutes=90)
    assert Settings.load({"CALLVIZ_NIGHTLY": "03:30"}).nightly == "03:30"


def test_the_first_partition_takes_what_starts_with_it_and_nothing_before() -> None:
    partitioning = Partitioning("daily", dt.date(2024, 3, 1), "UTC", "start_time")
    first = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    assert partitioning.key_of(first) == "2024-03-01"
    assert partitioning.key_of(first - dt.timedelta(milliseconds=1)) is None


def test_a_partitioning_is_what_the_settings_say_and_its_text_differs_with_each_of_them() -> None:
    settings = Settings(partitions="daily", partitions_start=dt.date(2024, 3, 1), field_start_time="begin.at")
    stored_local = dataclasses.replace(settings, source_dates="local", source_timezone="Europe/Berlin")
    instants, local = Partitioning.of(settings), Partitioning.of(stored_local)
    assert str(instants) == "daily from 2024-03-01 in UTC by begin.at"
    assert str(local) == "daily from 2024-03-01 in UTC by begin.at, a clock in Europe/Berlin"
    assert str(Partitioning.of(Settings())) == "none"
    first = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    no_list = {"$not": {"$type": "array"}}
    partition = instants.partition("2024-03-01")
    assert partition.filter() == {
        "begin.at": {"$gte": first, "$lt": first + dt.timedelta(1), **no_list},
        "begin": no_list,
    }
    assert partition.span == "begin.at from 2024-03-01T00:00:00+00:00 to 2024-03-02T00:00:00+00:00"
