"""Refreshes whose folders are in a bucket: the same bytes as on disk, whole or not at all, from any machine."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import obstore
import pandas as pd
import pytest
from obstore.fsspec import FsspecStore
from obstore.store import from_url
from pymongo.collection import Collection

from callviz_dagster.automation.jobs import partition_tags
from callviz_dagster.automation.poll import partitions_of_ids
from callviz_dagster.automation.published import published_inputs, read_but_not_published
from callviz_dagster.cli.collection import ChosenCollection
from callviz_dagster.cli.status import read_status
from callviz_dagster.contract import LEADING, REPAIRS, Kind
from callviz_dagster.notebook import load_calls
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage import lease
from callviz_dagster.storage.bucket import Bucket
from callviz_dagster.storage.refreshing import place, update_working_copy
from callviz_dagster_tests.helpers.cloud import data_files, in_bucket, objects, on_another_machine, published, read_json
from callviz_dagster_tests.helpers.object_store import Faults, Request
from callviz_dagster_tests.helpers.refresh import (
    empty_instance,
    metadata,
    refresh,
    refresh_job,
)
from callviz_dagster_tests.helpers.today import TODAY, ZONE
from callviz_dagster_tests.storage.conftest import azure_container

Document = dict[str, Any]
DAYS = [TODAY - dt.timedelta(n) for n in (2, 1, 0)]
KEYS = [f"{day:%Y-%m-%d}" for day in DAYS]
PAGE = (Path(__file__).parents[2] / "docs/object-storage.md").read_text(encoding="utf-8")
MADE = ("calls", "rejected_calls", "calls_csv", "call_dashboard", "callviz_workbook")


@pytest.fixture
def cloud(settings: Settings, uri: str, tmp_path: Path) -> Settings:
    """Settings whose folders are in a bucket."""
    return in_bucket(settings, uri, tmp_path / "machine")


def daily(settings: Settings, days: int = len(DAYS)) -> Settings:
    """Cut by day, up to today."""
    return dataclasses.replace(
        settings,
        timezone=ZONE,
        partitions="daily",
        partitions_start=(TODAY - dt.timedelta(days - 1)).date(),
        field_start_time="start_time",
    )


def calls_of_three_days(collection: Collection[Document]) -> None:
    collection.insert_many(
        {
            "_id": f"{key}-{n}",
            "call_type": "incoming",
            "status": "completed",
            "start_time": day + dt.timedelta(minutes=n),
            "end_time": day + dt.timedelta(minutes=n, seconds=90),
        }
        for day, key in zip(DAYS, KEYS, strict=True)
        for n in range(10)
    )


def tags(settings: Settings, *named: str) -> dict[str, str]:
    """Return the tags of a run for partitions of these keys, or for all."""
    partitions = Partitioning.of(settings).partitions(dt.datetime.now(dt.UTC))
    return partition_tags([one for one in partitions if not named or one.key in named], partitions)


@pytest.mark.parametrize("partitions", [3, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 24, 365))])
def test_a_bucket_has_the_bytes_that_a_disk_has(
    partitions: int, cloud: Settings, settings: Settings, collection: Collection[Document]
) -> None:
    calls_of_three_days(collection)
    if partitions > 1:
        cloud, settings = daily(cloud, partitions), daily(settings, partitions)
    result = refresh_job(cloud, tags=tags(cloud))
    assert result.success
    in_cloud = published(cloud)
    # The same archive makes the same files: the page and the footers name its snapshot.
    shutil.copytree(cloud.data_dir / "raw_calls", settings.data_dir / "raw_calls")
    assert refresh(settings, *MADE, tags=tags(settings)).success
    for name, content in in_cloud.items():
        if name != "calls.hyper":
            folder = settings.data_dir if name.startswith("calls/") else settings.publish_dir
            assert (folder / name).read_bytes() == content, name
    assert {"calls.csv", "callviz.twbx", "call_dashboard.html"} <= in_cloud.keys()
    assert len([name for name in in_cloud if name.startswith("calls/")]) == partitions
    shown = metadata(result, "calls_csv")
    assert shown["dagster/uri"].startswith("s3://test-")
    assert shown["dagster/uri"] == shown["path"]
    assert shown["sha256"][:32] in shown["path"]
    assert dict(in_duckdb(cloud)) == {"completed": 30}
    named = {entry["object"] for entry in read_json(cloud.publish_dir, "published.json")["parquet"]}
    assert {*manifest(cloud)} == {f"{place(cloud.publish_dir)}/{name}" for name in named}
    # A reader without a setting but this one, in another time zone, who has no data folder.
    Bucket(place(cloud.data_dir)).delete([*objects(cloud.data_dir)])
    calls = load_calls(Settings(publish_dir=cloud.publish_dir, data_dir=settings.data_dir / "none"))
    csv = pd.read_csv(io.BytesIO(in_cloud["calls.csv"]))
    for column in ("_id", "status", "duration_sec", "call_weekday", "call_hour"):
        assert calls[column].tolist() == csv[column].tolist()
    assert len(calls) == 30
    assert not (settings.data_dir / "none").exists()


@pytest.mark.long
@pytest.mark.no_cover
@pytest.mark.parametrize("swap", range(1, 7))
def test_a_refresh_that_is_killed_just_before_it_swaps_a_record_publishes_nothing_by_halves(
    swap: int,
    cloud: Settings,
    faults: Faults,
    collection: Collection[Document],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each step swaps one record: the data folder's twice, then `published.json` for each published file."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 3.0)
    calls_of_three_days(collection)
    assert refresh_job(cloud).success
    before = published(cloud)
    collection.insert_one({"_id": "new", "start_time": DAYS[1], "call_type": "incoming"})
    variables = {
        "CALLVIZ_MONGO_URI": str(cloud.mongo_uri),
        "CALLVIZ_MONGO_DATABASE": str(cloud.mongo_database),
        "CALLVIZ_DATA_DIR": place(cloud.data_dir),
        "CALLVIZ_PUBLISH_DIR": place(cloud.publish_dir),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    swaps = iter(range(1, swap + 1))

    def kill(request: Request) -> None:
        swapped = request.method == "PUT" and request.path.endswith(("/files.json", "/published.json"))
        if swapped and next(swaps, 0) == swap:
            os.kill(process.pid, signal.SIGKILL)
            # So that the request that is on its way does not arrive.
            faults.away = True

    command = [sys.executable, "-m", "callviz_dagster", "refresh", "--quiet"]
    with subprocess.Popen(command, env=os.environ | variables, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        faults.on_request = kill
        assert process.wait() == -signal.SIGKILL
    faults.on_request = lambda request: None
    faults.away = False
    assert published(cloud) == before
    other = on_another_machine(cloud, tmp_path / "other machine")
    assert refresh_job(other).success
    after = published(other)
    assert after.keys() == before.keys()
    assert after["calls.csv"].count(b"\n") == 32


@pytest.mark.long
def test_azure_has_the_bytes_too(
    settings: Settings, collection: Collection[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls_of_three_days(collection)
    with azure_container(tmp_path / "azurite", monkeypatch) as uri:
        cloud = in_bucket(settings, uri, tmp_path / "machine")
        for _ in range(2):
            assert refresh_job(cloud).success
        content = published(cloud)["calls.csv"]
        assert content == (cloud.publish_dir / "calls.csv").read_bytes()
        assert load_calls(on_another_machine(cloud, tmp_path / "other machine")).shape[0] == 30


def in_duckdb(settings: Settings) -> list[tuple[str, int]]:
    """Run the query of the documentation."""
    (query, _) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    rows: list[tuple[str, int]] = []
    with duckdb.connect() as connection:
        connection.register_filesystem(FsspecStore("s3"))
        for statement in query.replace("s3://bucket/calls/published", place(settings.publish_dir)).split(";\n"):
            rows = connection.execute(statement).fetchall() if statement else rows
        return rows


def manifest(settings: Settings) -> list[str]:
    """Write the manifest of the documentation, and return its lines."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    uri = place(settings.publish_dir).removesuffix("/published")
    exec(program.replace("s3://bucket/calls", uri), {})
    return bytes(obstore.get(from_url(f"{uri}/manifest"), "files.txt").bytes()).decode().splitlines()


def test_the_table_of_athena_and_trino_has_the_columns_of_the_files() -> None:
    (_, statement) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    columns = re.findall(r"`?(\w+)`? (\w+)[,\n]", statement.partition("(")[2].partition("\n)")[0] + "\n")
    kinds = {
        Kind.TEXT: "string",
        Kind.DATETIME: "timestamp",
        Kind.NUMBER: "double",
        Kind.DATE: "date",
        Kind.INTEGER: "bigint",
    }
    assert columns == [(column.name, kinds[column.kind]) for column in (*LEADING, REPAIRS)]


def test_another_machine_goes_on_from_the_bucket(
    cloud: Settings, collection: Collection[Document], tmp_path: Path
) -> None:
    """With an empty scratch folder it reads the changed partition alone, and downloads no archive that it need not."""
    cloud = daily(cloud)
    calls_of_three_days(collection)
    assert refresh_job(cloud, tags=tags(cloud)).success
    before, published_before = data_files(cloud), published(cloud)
    collection.insert_one({"_id": "new", "start_time": DAYS[1], "call_type": "incoming"})
    other = on_another_machine(cloud, tmp_path / "other machine")

    result = refresh_job(other, tags=tags(other, KEYS[1]))
    assert result.success
    after, published_after = data_files(other), published(other)
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {
        f"raw_calls/{KEYS[1]}.bson.zst",
        f"raw_calls/{KEYS[1]}.json",
        "raw_calls/coverage.json",
        "calls_csv.json",
        f"calls/{KEYS[1]}.parquet",
        f"rejected_calls/{KEYS[1]}.parquet",
    }
    assert after.keys() == before.keys()
    assert not (other.data_dir / f"raw_calls/{KEYS[2]}.bson.zst").exists()
    assert published_after["calls.csv"].count(b"\n") == published_before["calls.csv"].count(b"\n") + 1
    assert metadata(result, "calls_csv")["rows added"] == 1
    assert published_after.keys() == published_before.keys()
    assert not {name for name in published_after if "/" not in name and published_after[name] == published_before[name]}
    assert published_after[f"calls/{KEYS[2]}.parquet"] == published_before[f"calls/{KEYS[2]}.parquet"]

    # And back on the first machine, whose files are the older ones.
    assert load_calls(cloud).shape[0] == 31
    instance = empty_instance()
    status = read_status(ChosenCollection(cloud), instance, dt.datetime.now(dt.UTC))
    assert (status.published, status.documents, status.changed_files) == (True, 31, ())

    # The daemon is a third machine.
    daemon, now = on_another_machine(cloud, tmp_path / "daemon"), dt.datetime.now(dt.UTC)
    partitions = Partitioning.of(daemon).partitions(now)
    inputs = published_inputs(daemon, partitions)
    assert inputs.keys() == {*KEYS}
    update_working_copy(daemon.data_dir, lambda name: name.endswith(".json"))
    assert read_but_not_published(daemon, partitions, inputs) == {}
    assert partitions_of_ids({f"{KEYS[2]}-3": [7, 1]}, daemon, now) == {KEYS[2]: [7, 1]}


@pytest.mark.long
def test_of_a_changed_day_only_its_lines_are_sent(
    cloud: Settings, faults: Faults, collection: Collection[Document], tmp_path: Path
) -> None:
    """The others are copied in the bucket, also for a machine whose scratch folder is empty."""
    cloud = daily(cloud)
    calls_of_three_days(collection)
    collection.update_many({}, {"$set": {"transcript": "said " * 110_000}})
    assert refresh(cloud, tags=tags(cloud)).success
    size = len(published(cloud)["calls.csv"])
    assert size > 16_000_000
    assert size <= faults.bytes_put("/published/calls-") < size + 10_000

    collection.insert_one({"_id": "new", "start_time": DAYS[2], "call_type": "incoming"})
    other = on_another_machine(cloud, tmp_path / "other machine")
    faults.requests.clear()
    assert refresh(other, tags=tags(other, KEYS[2])).success
    assert size / 3 < faults.bytes_put("/published/calls-") < size / 2
    changed = published(other)["calls.csv"]
    assert changed == (other.publish_dir / "calls.csv").read_bytes()
    assert len(changed) > size

    # A store that copies no ranges gets the whole file.
    collection.delete_one({"_id": "new"})
    faults.refusal = lambda request: 501 * ("x-amz-copy-source" in request.headers)
    faults.requests.clear()
    assert refresh(other, tags=tags(other, KEYS[2])).success
    assert size <= faults.bytes_put("/published/calls-")
    assert len(published(other)["calls.csv"]) == size
