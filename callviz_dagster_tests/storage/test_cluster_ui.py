"""Sensor, backfill and cancellation in Dagster's UI, with folders in a bucket and partitions on a Dask cluster."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.refreshing import place
from callviz_dagster_tests.helpers.cloud import data_files, in_bucket, published
from callviz_dagster_tests.helpers.dagster_services import dagster_services
from callviz_dagster_tests.helpers.dask_cluster import dask_cluster, own_disk
from callviz_dagster_tests.helpers.months import ASSETS, calls_of_months, last_partitions, refreshed
from callviz_dagster_tests.helpers.object_store import Faults, Request
from callviz_dagster_tests.helpers.processes import wait_for

Document = dict[str, Any]
INSTANCE = Path(__file__).parents[2] / "callviz_dagster" / "local" / "dagster.yaml"


def variables(settings: Settings, cloud: Settings, engine: str, folder: Path) -> Mapping[str, str]:
    """Return the environment of Dagster's services."""
    return {
        "CALLVIZ_MONGO_URI": settings.mongo_uri or "",
        "CALLVIZ_MONGO_DATABASE": settings.database,
        "CALLVIZ_DATA_DIR": place(cloud.data_dir),
        "CALLVIZ_PUBLISH_DIR": place(cloud.publish_dir),
        "CALLVIZ_SCRATCH_DIR": str(folder / "scratch"),
        "CALLVIZ_ENGINE": engine,
        "CALLVIZ_PARTITIONS": cloud.partitions,
        "CALLVIZ_PARTITIONS_START": str(cloud.partitions_start),
        "CALLVIZ_FIELD_START_TIME": "start_time",
        "CALLVIZ_MAX_DROP": "1",
        "CALLVIZ_MIN_REFRESH_SECONDS": "1",
        "CALLVIZ_WATCH": "true",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def lines(cloud: Settings) -> int:
    """Return the number of lines of the published `calls.csv`; none where nothing is published."""
    try:
        return published(cloud)["calls.csv"].count(b"\n")
    except FileNotFoundError:
        return 0


@pytest.mark.long
@pytest.mark.usefixtures("mount_namespaces")
def test_sensor_backfill_and_cancellation_with_a_bucket_and_a_cluster(
    settings: Settings, collection: Collection[Document], uri: str, faults: Faults, mongo_uri: str, tmp_path: Path
) -> None:
    calls_of_months(collection)
    local = last_partitions(settings, 3)
    cloud = in_bucket(local, uri, tmp_path / "reader")
    keys = [partition.key for partition in Partitioning.of(local).partitions(dt.datetime.now(dt.UTC))]
    (newest,) = collection.find().sort("start_time", -1).limit(1)
    held, released = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if request.method == "PUT" and "/data/raw_calls/" in request.path:
            held.set()
            released.wait(300)

    logs = tmp_path / "dask"
    logs.mkdir()
    with dask_cluster(logs, {}) as cluster:
        for name in ("a", "b"):
            cluster.add_worker(name, {"CALLVIZ_MONGO_URI": mongo_uri}, own_disk(tmp_path))
        cluster.wait_for_workers()
        with dagster_services(tmp_path, INSTANCE, variables(settings, cloud, cluster.address, tmp_path)) as webserver:
            wait_for("the refresh that the sensor asks for", lambda: lines(cloud))
            wait_for("its end", lambda: {*webserver.runs().values()} == {"SUCCESS"})
            before, files_before, number = published(cloud), data_files(cloud), lines(cloud)

            faults.on_request = hold
            backfill = webserver.launch_backfill(ASSETS[:3], keys)
            wait_for("the middle of a round", held.is_set)
            (run,) = webserver.runs(backfill)
            webserver.terminate(run)
            wait_for("the end of the run", lambda: webserver.runs()[run] == "CANCELED")
            cluster.wait_for_the_end_of_tasks(released.set)
            faults.on_request = lambda request: None
            assert (published(cloud), data_files(cloud)) == (before, files_before)

            collection.insert_one(newest | {"_id": "new"})
            wait_for("the refresh of the changed partition", lambda: lines(cloud) == number + 1)
            backfill = webserver.launch_backfill(ASSETS, keys)
            assert webserver.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
            assert {*webserver.runs(backfill).values()} == {"SUCCESS"}
            wait_for("the end of all runs", lambda: {*webserver.runs().values()} == {"SUCCESS", "CANCELED"})
    assert refreshed(local).success
    assert published(cloud)["calls.csv"] == (local.publish_dir / "calls.csv").read_bytes()
