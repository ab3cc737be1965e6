"""Faults of a refresh in a bucket whose partitions workers of a Dask cluster do: nothing is published by halves.

What belongs elsewhere: faults of a cluster with a shared folder (`test_engine.py`), and of a bucket without a cluster
(`test_refreshing.py`, `test_refresh.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster.storage import lease
from callviz_dagster.storage.refreshing import place
from callviz_dagster_tests.helpers.cloud import in_bucket, on_another_machine, published
from callviz_dagster_tests.helpers.dask_cluster import DaskCluster, dask_cluster, own_disk
from callviz_dagster_tests.helpers.months import calls_of_months, data_versions, last_partitions, refreshed
from callviz_dagster_tests.helpers.object_store import Faults, Request, s3_variables
from callviz_dagster_tests.helpers.processes import wait_for
from callviz_dagster_tests.helpers.refresh import failure

pytestmark = [pytest.mark.long, pytest.mark.no_cover, pytest.mark.usefixtures("mount_namespaces")]
Document = dict[str, Any]
NUMBER = 4
ROUNDS = ("raw_calls", "calls", "calls_csv_parts")
"""The folder into which workers upload in each round."""


@pytest.fixture
def local(settings: Settings, collection: Collection[Document]) -> Settings:
    """Settings of one machine, for calls in some partitions."""
    calls_of_months(collection)
    return last_partitions(settings, NUMBER)


@pytest.fixture
def cluster(tmp_path: Path, mongo_uri: str, faults: Faults, s3_port: int) -> Iterator[DaskCluster]:
    """Run two workers with a disk of their own each; one reaches the store as the driver does, through the proxy."""
    folder = tmp_path / "dask"
    folder.mkdir()
    with dask_cluster(folder, {}) as cluster:
        cluster.add_worker("direct", {"CALLVIZ_MONGO_URI": mongo_uri, **s3_variables(s3_port)}, own_disk(tmp_path))
        cluster.add_worker("proxied", {"CALLVIZ_MONGO_URI": mongo_uri}, own_disk(tmp_path))
        cluster.wait_for_workers()
        yield cluster


@pytest.fixture
def cloud(local: Settings, uri: str, cluster: DaskCluster, tmp_path: Path) -> Settings:
    """Settings of a driver of the cluster, with both folders in a bucket."""
    return in_bucket(dataclasses.replace(local, engine=cluster.address), uri, tmp_path / "machine")


def uploads(request: Request, folder: str) -> bool:
    """Return whether a request uploads an object of a worker into this folder."""
    return request.method == "PUT" and f"/data/{folder}/" in request.path


def require_bytes_of_one_machine(cloud: Settings, local: Settings) -> None:
    """Refresh on one machine, and compare what readers see."""
    assert refreshed(local).success
    assert published(cloud)["calls.csv"] == (local.publish_dir / "calls.csv").read_bytes()


@pytest.mark.parametrize("folder", ROUNDS)
def test_a_worker_that_is_killed_while_it_uploads_is_replaced(
    folder: str, cloud: Settings, local: Settings, cluster: DaskCluster, faults: Faults
) -> None:
    killed: list[str] = []

    def kill(request: Request) -> None:
        if uploads(request, folder) and not killed:
            killed.append(request.path)
            cluster.workers["proxied"].kill()

    faults.on_request = kill
    made = data_versions(refreshed(cloud))
    assert cluster.workers["proxied"].wait() == -signal.SIGKILL
    assert data_versions(refreshed(local)) == made
    require_bytes_of_one_machine(cloud, local)


def test_a_store_that_is_away_for_a_while_in_each_round_is_waited_for(
    cloud: Settings, local: Settings, faults: Faults
) -> None:
    refused = dict.fromkeys(ROUNDS, 0)

    def refusal(request: Request) -> int:
        folder = next((folder for folder in ROUNDS if uploads(request, folder)), "")
        if refused.get(folder, 5) >= 5:
            return 0
        refused[folder] += 1
        return 503

    faults.refusal = refusal
    assert data_versions(refreshed(cloud)) == data_versions(refreshed(local))
    assert min(refused.values()) >= 5
    require_bytes_of_one_machine(cloud, local)


def test_a_store_that_refuses_a_worker_is_one_sentence_and_publishes_nothing(
    cloud: Settings, local: Settings, collection: Collection[Document], faults: Faults
) -> None:
    assert refreshed(cloud).success
    before = published(cloud)
    collection.update_many({}, {"$set": {"status": "voicemail"}})
    faults.refusal = lambda request: 403 if uploads(request, "calls") else 0
    result = refreshed(cloud)
    assert not result.success
    assert "403" in failure(result)
    assert published(cloud) == before
    faults.refusal = lambda request: 0
    assert data_versions(refreshed(cloud)) == data_versions(refreshed(local))
    require_bytes_of_one_machine(cloud, local)


@contextlib.contextmanager
def driver(cloud: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `callviz refresh` as a process of its own, in this folder."""
    folder.mkdir(exist_ok=True)
    variables = {
        "CALLVIZ_MONGO_URI": str(cloud.mongo_uri),
        "CALLVIZ_MONGO_DATABASE": str(cloud.mongo_database),
        "CALLVIZ_DATA_DIR": place(cloud.data_dir),
        "CALLVIZ_PUBLISH_DIR": place(cloud.publish_dir),
        "CALLVIZ_SCRATCH_DIR": str(folder / "scratch"),
        "CALLVIZ_ENGINE": cloud.engine,
        "CALLVIZ_PARTITIONS": cloud.partitions,
        "CALLVIZ_PARTITIONS_START": str(cloud.partitions_start),
        "CALLVIZ_FIELD_START_TIME": "start_time",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "callviz_dagster", "refresh"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=os.environ | variables, cwd=folder, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("name", "number"),
    [("/data/calls/", 1), ("/data/files.json", 2), ("/data/calls_csv_parts/", 1), ("/published.json", 1)],
    ids=("normalizing", "normalized", "encoding", "encoded"),
)
def test_a_driver_that_is_killed_between_archive_and_publish_publishes_nothing(
    name: str,
    number: int,
    cloud: Settings,
    local: Settings,
    cluster: DaskCluster,
    collection: Collection[Document],
    faults: Faults,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its work on the cluster ends, and another machine makes what it would have made."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 3.0)
    assert refreshed(cloud).success
    before = published(cloud)
    collection.update_many({}, {"$set": {"status": "voicemail"}})
    writes: list[str] = []

    def kill(request: Request) -> None:
        if request.method == "PUT" and name in request.path:
            writes.append(request.path)
            if len(writes) == number:
                process.kill()
                # So that the request that is on its way does not arrive.
                faults.away = True

    with driver(cloud, tmp_path / "driver") as process:
        faults.on_request = kill
        assert process.wait() == -signal.SIGKILL

    def come_back() -> None:
        faults.on_request, faults.away = lambda request: None, False

    cluster.wait_for_the_end_of_tasks(come_back)
    assert published(cloud) == before
    other = on_another_machine(cloud, tmp_path / "other machine")
    assert data_versions(refreshed(other)) == data_versions(refreshed(local))
    require_bytes_of_one_machine(other, local)


def test_two_drivers_at_once_take_turns_on_the_cluster(
    cloud: Settings, local: Settings, collection: Collection[Document], faults: Faults, tmp_path: Path
) -> None:
    """A call comes in while the first one reads: the second one has it."""
    reads: list[str] = []
    faults.on_request = lambda request: reads.append(request.path) if uploads(request, "raw_calls") else None
    with driver(cloud, tmp_path / "one") as one:
        wait_for("the first driver's round", lambda: reads)
        (newest,) = collection.find().sort("start_time", -1).limit(1)
        collection.insert_one(newest | {"_id": "new"})
        with driver(cloud, tmp_path / "two") as two:
            assert (one.wait(), two.wait()) == (0, 0)
    assert b'\n"new",' in published(cloud)["calls.csv"]
    require_bytes_of_one_machine(cloud, local)
