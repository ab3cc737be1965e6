"""Refreshes of partitions: cheap, whole, never counted twice, and every document accounted for."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import logging
import re
import shutil
import uuid
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from callviz_dagster.assets.common import PartitionSelection
from callviz_dagster.assets.raw_calls import check_coverage
from callviz_dagster.calls_csv import diff as csv_changes
from callviz_dagster.calls_csv import encode
from callviz_dagster.calls_csv import format as csv_format
from callviz_dagster.calls_csv import publish as csv_publish
from callviz_dagster.definitions import build_definitions
from callviz_dagster.engine.archive import archive_partitions
from callviz_dagster.mongodb import history, indexes
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError, ReadLostError
from callviz_dagster.mongodb.snapshot import SnapshotRead, SnapshotSession
from callviz_dagster.notebook import load_calls
from callviz_dagster.partitions import PARTITIONS_TAG, Partition, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.shared_ranges import SharedRange
from callviz_dagster.tableau import extract
from callviz_dagster_tests.helpers.refresh import checks, empty_instance, failure, files, metadata, paths, refresh
from callviz_dagster_tests.helpers.today import TODAY, ZONE

Document = dict[str, Any]
FIRST = TODAY - dt.timedelta(9)
DAYS = [f"{FIRST + dt.timedelta(n):%Y-%m-%d}" for n in range(10)]


@pytest.fixture
def daily(settings: Settings) -> Settings:
    """Return the settings of a collection that is cut by day, from ten days ago."""
    return dataclasses.replace(
        settings, timezone=ZONE, partitions="daily", partitions_start=FIRST.date(), field_start_time="start_time"
    )


def calls_of_ten_days(collection: Collection[Document], a_day: int = 5) -> None:
    collection.create_index("start_time")
    collection.insert_many(
        {"_id": f"{day}-{n}", "start_time": FIRST + dt.timedelta(day, n), "status": "completed", "n": n}
        for day in range(10)
        for n in range(a_day)
    )


def refresh_range(settings: Settings, first: str, last: str, *, only: str = "") -> dg.ExecuteInProcessResult:
    definitions = build_definitions(settings)
    selection = dg.AssetSelection.assets("raw_calls", "calls", "rejected_calls", "calls_csv")
    job = dg.define_asset_job("test", selection=selection, executor_def=dg.in_process_executor)
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    resolved = dg.Definitions(
        assets=definitions.assets, jobs=[job], resources=definitions.resources, executor=dg.in_process_executor
    ).resolve_job_def("test")
    return resolved.execute_in_process(
        raise_on_error=False,
        tags=tags | ({PARTITIONS_TAG: only} if only else {}),
        instance=empty_instance(),
    )


def ids(settings: Settings) -> list[str]:
    path = settings.publish_dir / "calls.csv"
    return [row[0] for row in duckdb.execute(f"select _id from read_csv('{path}', all_varchar=true)").fetchall()]


def test_a_range_is_refreshed_in_one_run_and_published_in_time_order(
    daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    result = refresh_range(daily, DAYS[0], DAYS[-1])
    assert result.success
    assert ids(daily) == [f"{day}-{n}" for day in range(10) for n in range(5)]
    events = [e.materialization for e in result.get_asset_materialization_events()]
    rows_by_partition = {
        e.partition: e.metadata["dagster/row_count"].value for e in events if e.asset_key == dg.AssetKey("calls")
    }
    assert rows_by_partition == dict.fromkeys(DAYS, 5)
    assert checks(result)["documents_covered"].passed
    assert checks(result)["start_time_indexed"].passed
    assert checks(result)["collection_accounted_for"].description == "50 documents = 50 calls + 0 rejected + 0 that " \
        "no partition covers."  # fmt: skip
    assert load_calls(daily)["_id"].tolist() == ids(daily)


@pytest.fixture(scope="module")
def ten_days(_client: MongoClient[Document], mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish calls of ten days once, five a day; return the folder that holds the data and the publish folder."""
    return publish_ten_days(_client, mongo_uri, tmp_path_factory.mktemp("ten_days"), 5)


@pytest.fixture(scope="module")
def ten_busy_days(_client: MongoClient[Document], mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with twenty calls a day."""
    return publish_ten_days(_client, mongo_uri, tmp_path_factory.mktemp("ten_busy_days"), 20)


def publish_ten_days(client: MongoClient[Document], mongo_uri: str, folder: Path, a_day: int) -> Path:
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    calls_of_ten_days(database.calls, a_day)
    settings = Settings(
        mongo_uri=mongo_uri, mongo_database=database.name, data_dir=folder / "data", publish_dir=folder / "publish",
        timezone=ZONE, partitions="daily", partitions_start=FIRST.date(), field_start_time="start_time",
    )  # fmt: skip
    assert refresh_range(settings, DAYS[0], DAYS[-1]).success
    client.drop_database(database)
    return folder


def published_before(folder: Path, settings: Settings, collection: Collection[Document], a_day: int = 5) -> None:
    """Insert calls of ten days and put beside them what a refresh of the same calls has published."""
    calls_of_ten_days(collection, a_day)
    shutil.copytree(folder, settings.data_dir.parent, dirs_exist_ok=True)


def written(settings: Settings) -> dict[Path, tuple[int, int]]:
    """Return what tells a file that was written again, with the same bytes or others."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths(settings)}


def test_one_partition_costs_its_own_documents_alone(daily: Settings, collection: Collection[Document]) -> None:
    """The server's profiler tells how many documents each command of a refresh looked at."""
    calls_of_ten_days(collection, 200)
    assert refresh_range(daily, DAYS[0], DAYS[-1]).success
    before = written(daily)
    collection.update_many({"start_time": {"$gte": FIRST + dt.timedelta(4), "$lt": FIRST + dt.timedelta(5)}}, {
        "$set": {"status": "failed"}})  # fmt: skip
    database = collection.database
    try:
        database.command("profile", 2, filter={"appName": "callviz", "ns": collection.full_name})
    except OperationFailure:
        database.command("profile", 2)
    result = refresh_range(daily, DAYS[4], DAYS[4])
    database.command("profile", 0)
    assert result.success
    looked_at = [entry.get("docsExamined", 0) for entry in database["system.profile"].find({"appName": "callviz"})]
    assert looked_at, "the profiler must have seen the refresh"
    assert sum(looked_at) <= 402, "200 counted, 200 read, one to open each of two snapshots; none of the other days"
    rewritten = {f"{path.parent.name}/{path.name}" for path, when in written(daily).items() if before.get(path) != when}
    assert rewritten - {"data/.refresh.lock"} == {
        f"raw_calls/{DAYS[4]}.bson.zst", f"raw_calls/{DAYS[4]}.json", "raw_calls/coverage.json",
        f"calls/{DAYS[4]}.parquet", f"rejected_calls/{DAYS[4]}.parquet", "publish/calls.csv", "data/calls_csv.json",
        "data/call_counts.arrow", "data/profiles.txt", "publish/published.json",
    }  # fmt: skip
    assert len(ids(daily)) == 2000


@pytest.mark.parametrize(
    "damage", [None, "a byte", "the record", "all of it", pytest.param("the end", marks=pytest.mark.long)]
)
def test_only_the_lines_of_what_was_refreshed_are_made_anew_and_none_is_taken_from_a_damaged_file(
    daily: Settings,
    collection: Collection[Document],
    ten_busy_days: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str | None,
) -> None:
    published_before(ten_busy_days, daily, collection, 20)
    collection.update_one({"start_time": {"$gte": FIRST + dt.timedelta(4)}}, {"$set": {"status": "a longer status"}})
    csv, record = daily.publish_dir / "calls.csv", daily.data_dir / "calls_csv.json"
    content = csv.read_bytes()
    if damage == "a byte":
        csv.write_bytes(content[:300] + b"?" + content[301:])
    elif damage == "the end":
        csv.write_bytes(content[: len(content) // 2])
    elif damage == "the record":
        record.write_text("{", encoding="utf-8")
    elif damage == "all of it":
        csv.unlink()
    rows_encoded: list[int] = []
    good = csv_format.csv_lines

    def counted(batch: Any, *rest: Any) -> Any:
        rows_encoded.append(batch.num_rows)
        return good(batch, *rest)

    monkeypatch.setattr(encode, "csv_lines", counted)
    assert refresh_range(daily, DAYS[4], DAYS[4]).success
    assert sum(rows_encoded) == {None: 20, "a byte": 220, "the end": 220, "the record": 200, "all of it": 200}[damage]
    published = csv.read_bytes()
    csv.unlink()
    record.unlink()
    assert refresh_range(daily, DAYS[4], DAYS[4]).success
    assert csv.read_bytes() == published != content


def test_lines_that_would_be_written_otherwise_are_not_copied(
    daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection, 20)
    collection.update_many({}, {"$set": {"score": 5}})
    assert refresh_range(daily, DAYS[0], DAYS[-1]).success
    collection.update_one({"start_time": {"$gte": FIRST + dt.timedelta(4)}}, {"$set": {"score": "none", "late": 1}})
    assert refresh_range(daily, DAYS[4], DAYS[4]).success
    published = (daily.publish_dir / "calls.csv").read_text(encoding="utf-8")
    assert published.count('"5"') == 199, "the column is text now, in the lines of every day"
    assert published.splitlines()[0].count(",") == published.splitlines()[1].count(",")


def test_of_a_range_only_the_named_partitions_are_read(
    daily: Settings, collection: Collection[Document], ten_days: Path
) -> None:
    published_before(ten_days, daily, collection)
    before = files(daily)
    collection.update_many({}, {"$set": {"status": "failed"}})
    result = refresh_range(daily, DAYS[1], DAYS[8], only=f"{DAYS[1]}, {DAYS[8]}")
    assert result.success
    changed = {name.rsplit("/", 1)[1] for name, content in files(daily).items() if before.get(name) != content}
    assert {name for name in changed if name.endswith(".bson.zst")} == {f"{DAYS[1]}.bson.zst", f"{DAYS[8]}.bson.zst"}
    unchanged = [e.materialization for e in result.get_asset_materialization_events()
            if e.materialization.partition == DAYS[4]]  # fmt: skip
    assert "nothing in it had changed" in str(unchanged[0].metadata["refreshed"].value)


def test_documents_that_no_partition_covers_are_counted_so_that_the_sum_is_the_collection(
    daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    collection.insert_many([
        {"_id": "text", "start_time": "2024-05-01T10:00:00Z"},
        {"_id": "none"},
        {"_id": "list", "start_time": [FIRST, FIRST + dt.timedelta(1)]},
        {"_id": "old", "start_time": FIRST - dt.timedelta(days=1)},
        {"_id": "ancient", "start_time": dt.datetime(1, 1, 1)},
        {"_id": "prefetch", "start_time": FIRST + dt.timedelta(days=30)},
    ])  # fmt: skip
    result = refresh_range(dataclasses.replace(daily, max_rejected=0.1), DAYS[0], DAYS[-1])
    assert result.success
    check = checks(result)["documents_covered"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    description = check.description or ""
    assert "56 documents = 50 in partitions + 6 in none" in description
    assert "3 whose start time is missing or no date" in description
    assert "2 before the first partition; set CALLVIZ_PARTITIONS_START to an earlier date" in description
    assert "1 in the future" in description
    for identifier in ("text", "none", "list", "old", "ancient", "prefetch"):
        assert identifier in str(check.metadata["examples"].value)
    accounted = checks(result)["collection_accounted_for"]
    assert accounted.passed
    assert "56 documents = 50 calls + 0 rejected + 6 that no partition covers" in (accounted.description or "")


def test_too_many_documents_without_a_date_stop_the_refresh(
    daily: Settings, collection: Collection[Document], ten_days: Path
) -> None:
    published_before(ten_days, daily, collection)
    before = files(daily)
    collection.update_many({}, [{"$set": {"start_time": {"$toString": "$start_time"}}}])
    result = refresh_range(daily, DAYS[0], DAYS[-1])
    assert not result.success
    assert "100.00% without a usable start time; the limit CALLVIZ_MAX_REJECTED is 5.00%" in failure(result)
    assert files(daily) == before


def test_a_missing_index_is_told_with_the_command_that_creates_it(
    daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    collection.drop_index("start_time_1")
    result = refresh_range(daily, DAYS[0], DAYS[-1])
    assert result.success
    check = checks(result)["start_time_indexed"]
    assert not check.passed
    assert 'db.getCollection("calls").createIndex({"start_time": 1})' in (check.description or "")
    assert len(ids(daily)) == 50


def test_partitions_that_have_documents_and_were_never_made_are_not_left_out(
    daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    result = refresh_range(daily, DAYS[4], DAYS[5])
    assert not result.success
    assert (
        f"are missing, damaged or made for another time zone: refresh {DAYS[0]}...{DAYS[3]}, {DAYS[6]}..."
        in failure(result)
    )
    assert not (daily.publish_dir / "calls.csv").exists()
    collection.delete_many({"start_time": {"$lt": FIRST + dt.timedelta(4)}})
    assert refresh_range(daily, DAYS[6], DAYS[9]).success, "empty partitions need not be there"
    assert len(ids(daily)) == 30


def test_columns_are_the_same_over_partitions_made_at_different_times(
    daily: Settings, collection: Collection[Document]
) -> None:
    collection.create_index("start_time")
    moment = dt.datetime(2024, 5, 1, 10, 0, 0, 250_000, ZoneInfo(ZONE))
    for day, value in enumerate([True, 7, 2.5, "text", moment]):
        collection.insert_one({"_id": day, "start_time": FIRST + dt.timedelta(day), "mixed": value, f"only{day}": day})
        assert refresh_range(daily, DAYS[day], DAYS[day]).success
    path = daily.publish_dir / "calls.csv"
    apart = duckdb.execute(f"select _id, mixed, only0, only4 from read_csv('{path}', all_varchar=true)").fetchall()
    assert apart == [
        ("0", "true", "0", None), ("1", "7", None, None), ("2", "2.5", None, None), ("3", "text", None, None),
        ("4", "2024-05-01 10:00:00.250", None, "4"),
    ]  # fmt: skip
    assert refresh_range(daily, DAYS[0], DAYS[4]).success
    again = duckdb.execute(f"select _id, mixed, only0, only4 from read_csv('{path}', all_varchar=true)").fetchall()
    assert again == apart, "a value reads the same whenever its partition was made"


def test_switching_the_partitioning_counts_nothing_twice_and_says_what_it_removed(
    settings: Settings, daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    assert refresh(settings).success
    part = refresh_range(daily, DAYS[0], DAYS[3])
    assert not part.success
    assert len(ids(settings)) == 50, "the last good calls.csv stays until every partition is there"
    assert (settings.data_dir / "calls" / "all.parquet").exists()
    done = refresh_range(daily, DAYS[4], DAYS[9])
    assert done.success
    assert len(ids(daily)) == 50
    events = [e.materialization.metadata for e in done.get_asset_materialization_events()
              if e.materialization.asset_key == dg.AssetKey("calls")]  # fmt: skip
    assert "calls/all.parquet" in str(events[-1]["files of another partitioning removed"].value)
    assert not list(settings.data_dir.rglob("all.*"))
    monthly = dataclasses.replace(daily, partitions="monthly")
    months = sorted({day[:8] + "01" for day in DAYS})
    assert refresh_range(monthly, months[0], months[-1]).success
    assert len(ids(monthly)) == 50
    assert refresh(settings).success
    assert sorted(ids(settings)) == sorted(ids(daily))
    assert {path.name for path in (settings.data_dir / "calls").glob("*.parquet")} == {"all.parquet"}


def test_a_changed_time_zone_asks_for_every_partition(
    daily: Settings, collection: Collection[Document], ten_days: Path
) -> None:
    published_before(ten_days, daily, collection)
    tokyo = dataclasses.replace(daily, timezone="Asia/Tokyo")
    result = refresh_range(tokyo, DAYS[0], DAYS[1])
    assert not result.success
    assert f"refresh {DAYS[2]}..." in failure(result)
    assert f"`callviz refresh --partition {DAYS[2]}..." in failure(result)


def test_a_run_without_partitions_is_told_what_to_name(daily: Settings, collection: Collection[Document]) -> None:
    calls_of_ten_days(collection)
    result = refresh(daily)
    assert not result.success
    assert f"dagster's option --partition-range {DAYS[0]}...{DAYS[-1]}" in failure(result)


def test_what_changed_since_the_last_refresh_is_told(
    daily: Settings, collection: Collection[Document], ten_days: Path
) -> None:
    published_before(ten_days, daily, collection)
    collection.insert_many([{"_id": f"new{n}", "start_time": FIRST + dt.timedelta(1)} for n in range(3)])
    collection.delete_one({"_id": "0-0"})
    collection.update_one({"_id": "2-2"}, {"$set": {"status": "failed"}})
    collection.update_one({"_id": "1-1"}, {"$set": {"start_time": FIRST + dt.timedelta(8)}})
    shown = metadata(refresh_range(daily, DAYS[0], DAYS[-1]), "calls_csv")
    assert (shown["rows added"], shown["rows changed"], shown["rows removed"]) == (3, 2, 1)
    shown = metadata(refresh_range(daily, DAYS[0], DAYS[-1]), "calls_csv")
    assert (shown["rows added"], shown["rows changed"], shown["rows removed"]) == (0, 0, 0)


@pytest.mark.parametrize("days", [[3, 6], [0, 9], [], *(pytest.param([day], marks=pytest.mark.long) for day in (0, 9))])
def test_copied_lines_are_known_to_be_the_same(
    days: list[int],
    daily: Settings,
    collection: Collection[Document],
    ten_days: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published_before(ten_days, daily, collection)
    for day in days:
        collection.update_one({"_id": f"{day}-2"}, {"$set": {"status": "no-answer"}})
        collection.insert_one({"_id": f"{day}-9", "start_time": FIRST + dt.timedelta(day)})
        collection.delete_one({"_id": f"{day}-0"})
    good, calls_made = csv_changes.count_changes, []

    def both(old: Path, new: Path, *, longest: int, copied: Sequence[SharedRange], since: None) -> csv_changes.Changes:
        first, last = old.read_bytes(), new.read_bytes()
        for part in copied:
            lines = first[part.old_start : part.old_start + part.bytes]
            assert lines == last[part.new_start : part.new_start + part.bytes]
            assert lines.endswith(b"\n")
        calls_made.append(len(copied))
        changes = good(old, new, longest=longest, copied=copied)
        assert changes == good(old, new, longest=longest)
        return changes

    monkeypatch.setattr(csv_publish, "count_changes", both)
    only = ", ".join(DAYS[day] for day in days or [4])
    shown = metadata(refresh_range(daily, DAYS[0], DAYS[-1], only=only), "calls_csv")
    assert [shown[f"rows {what}"] for what in ("added", "changed", "removed")] == [len(days)] * 3
    assert calls_made == [len(DAYS) - len(days)] or not days, (
        "with no call changed, a file can be the same, byte for byte"
    )


def test_freshness_is_watched_where_the_setting_says() -> None:
    def policy(settings: Settings) -> object:
        graph = build_definitions(settings).get_repository_def().asset_graph
        return graph.get(dg.AssetKey("calls_csv")).freshness_policy

    assert policy(Settings()) is None
    assert policy(Settings(fresh_within=dt.timedelta(hours=24))) == dg.FreshnessPolicy.time_window(
        fail_window=dt.timedelta(hours=24)
    )


def test_a_call_that_moved_is_not_published_twice(
    daily: Settings, collection: Collection[Document], ten_days: Path
) -> None:
    published_before(ten_days, daily, collection)
    before = (daily.publish_dir / "calls.csv").read_bytes()
    collection.update_one({"_id": "2-0"}, {"$set": {"start_time": FIRST + dt.timedelta(7, 60)}})
    result = refresh_range(daily, DAYS[7], DAYS[7])
    assert not result.success
    assert "1 calls are in several partitions, for example _id 2-0" in failure(result)
    assert f"Refresh the partitions {DAYS[2]}, {DAYS[7]}." in failure(result)
    check = checks(result)["calls_in_one_partition"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert (daily.publish_dir / "calls.csv").read_bytes() == before
    assert refresh_range(daily, DAYS[2], DAYS[2]).success
    assert sorted(ids(daily)) == [f"{day}-{n}" for day in range(10) for n in range(5)]


def test_identifiers_of_two_types_that_read_alike_in_two_partitions_only_warn(
    daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    collection.insert_many([{"_id": "7", "start_time": FIRST}, {"_id": 7, "start_time": FIRST + dt.timedelta(3)}])
    result = refresh_range(daily, DAYS[0], DAYS[-1])
    assert result.success
    check = checks(result)["calls_in_one_partition"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_partitions_of_two_instants_are_reported_with_both(
    daily: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: SnapshotSession, partition: Partition) -> SnapshotRead:
        reads.append(partition)
        if len(reads) == 4:
            collection.update_one({"_id": "7-0"}, {"$set": {"status": "busy"}})
            raise ReadLostError("The server has given the snapshot up.")
        return good(self, partition)

    good, reads = SnapshotSession.read, list[Partition]()
    calls_of_ten_days(collection)
    monkeypatch.setattr(SnapshotSession, "read", read)
    result = refresh_range(daily, DAYS[0], DAYS[-1])
    assert result.success
    check = checks(result)["one_instant"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    first, last = (
        json.loads((daily.data_dir / "raw_calls" / f"{day}.json").read_text()) for day in (DAYS[0], DAYS[-1])
    )
    assert f"2 instants, from {first['snapshot_time']} to {last['snapshot_time']}" in (check.description or "")
    assert checks(refresh_range(daily, DAYS[0], DAYS[-1]))["one_instant"].passed


def test_partitions_that_cannot_be_read_while_the_server_keeps_their_snapshot_are_told_before_the_read(
    daily: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole collection takes more than the 300 s for which the server keeps a snapshot, one day does not."""
    calls_of_ten_days(collection)
    size = history.collection_bytes(collection)
    monkeypatch.setattr(history, "BYTES_A_SECOND", size / 600)
    partitioning = Partitioning.of(daily)
    partitions = [partitioning.partition(day) for day in DAYS]
    caplog.set_level(logging.INFO)
    for read, warned in ((partitions[:4], False), (partitions, True)):
        caplog.clear()
        next(archive_partitions(MongoDB(daily), read, daily.data_dir, logging.getLogger("test")))
        first = caplog.messages[0]
        assert first.startswith("The documents to read are" if warned else "Reading")
    assert "takes about 600 s" in first
    assert "refresh fewer partitions at a time" in first


def test_a_warning_about_history_costs_no_second_count(
    daily: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted at the same instant, so what the warning counted is what the archive is compared with."""
    calls_of_ten_days(collection)
    monkeypatch.setattr(history, "BYTES_A_SECOND", 1)
    database, partitioning = collection.database, Partitioning.of(daily)
    database.command("profile", 2)
    archives = list(
        archive_partitions(
            MongoDB(daily), [partitioning.partition(day) for day in DAYS], daily.data_dir, logging.getLogger("test")
        )
    )
    database.command("profile", 0)
    pipelines = [
        entry["command"]["pipeline"] for entry in database["system.profile"].find({"command.aggregate": "calls"})
    ]
    counts = [pipeline for pipeline in pipelines if {"$count": "documents"} in pipeline]
    of_partitions = [pipeline for pipeline in counts if {"$limit": 1} not in pipeline]
    assert len(of_partitions) == len(DAYS)
    assert [archive.manifest.counted for archive in archives] == [archive.manifest.documents for archive in archives]


def drop_the_index(collection: Collection[Document]) -> None:
    collection.drop_index("start_time_1")


def replace_the_collection(collection: Collection[Document]) -> None:
    collection.drop()
    calls_of_ten_days(collection)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (drop_the_index, ""),
        (Collection.drop, "The server has no database"),
        (lambda collection: collection.rename("other"), "has no collection 'calls' \\(it has other\\)"),
        (replace_the_collection, "replaced by another collection"),
    ],
    ids=["index dropped", "collection dropped", "renamed", "replaced"],
)
def test_a_collection_that_is_gone_between_two_partitions_is_not_read_as_empty(
    daily: Settings, collection: Collection[Document], act: Callable[[Collection[Document]], Any], error: str
) -> None:
    """A server answers a query of a collection that it does not have with no documents; an index can be missed."""
    calls_of_ten_days(collection)
    partitioning = Partitioning.of(daily)
    reading = archive_partitions(
        MongoDB(daily), [partitioning.partition(day) for day in DAYS], daily.data_dir, logging.getLogger("test")
    )
    numbers = [next(reading).manifest.documents]
    act(collection)
    with pytest.raises(MongoError, match=error) if error else contextlib.nullcontext():
        numbers.extend(archive.manifest.documents for archive in reading)
    assert numbers == [5] * (1 if error else 10)


def test_an_index_that_is_dropped_while_documents_are_counted_is_done_without(
    daily: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls_of_ten_days(collection)

    def find_and_drop_index(*arguments: Any) -> indexes.StartTimeIndex:
        index = indexes.find_index(*arguments)
        collection.drop_indexes()
        return index

    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.find_index", find_and_drop_index)
    partitioning = Partitioning.of(daily)
    days = [partitioning.partition(day) for day in DAYS]
    coverage = check_coverage(
        MongoDB(daily), PartitionSelection(partitioning, days, days), daily, logging.getLogger("test")
    )
    assert coverage is not None
    assert (coverage.documents, coverage.covered) == (50, 50)
    assert coverage.create_index


@pytest.mark.skipif(not extract.installed(), reason="the extra hyper is not installed")
def test_a_field_that_is_null_in_one_partition_has_one_type_in_all_files(
    daily: Settings, collection: Collection[Document]
) -> None:
    """The partition that was read first knows no type yet: it must not make text of another partition's numbers."""
    import pantab

    collection.create_index("start_time")
    collection.insert_one({"_id": "null", "start_time": FIRST, "rating": None})
    assert refresh_range(daily, DAYS[0], DAYS[0]).success
    collection.insert_one({"_id": "number", "start_time": FIRST + dt.timedelta(1), "rating": 5})
    assert refresh_range(daily, DAYS[1], DAYS[1]).success
    assert refresh(daily, "calls_hyper", "callviz_workbook").success
    csv = (daily.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()
    assert csv[0].split(",")[-2] == '"rating"'
    assert [line.split(",")[-2] for line in csv[1:]] == ["", "5"]
    query = 'SELECT "rating" FROM "Extract"."Extract"'
    extract_types = pantab.frame_from_hyper_query(
        daily.publish_dir / "calls.hyper", query, return_type="pyarrow"
    ).schema
    assert extract_types.field("rating").type == "int64"
    with zipfile.ZipFile(daily.publish_dir / "callviz.twbx") as package:
        workbook = package.read("callviz.twb").decode()
    assert re.search(r"<column datatype='integer'[^>]* name='rating'", workbook.replace('"', "'"))
