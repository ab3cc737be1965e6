"""Workers of a Dask cluster that share nothing with the driver but MongoDB and a bucket."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.bucket import Bucket
from callviz_dagster_tests.helpers.cloud import in_bucket, on_another_machine, published
from callviz_dagster_tests.helpers.dask_cluster import DaskCluster, dask_cluster
from callviz_dagster_tests.helpers.interrupted import NAMESPACE
from callviz_dagster_tests.helpers.months import MONTHS, calls_of_months, data_versions, monthly, refreshed
from callviz_dagster_tests.helpers.object_store import s3_variables

Document = dict[str, Any]


@pytest.fixture
def lonely_workers(mount_namespaces: None, tmp_path: Path, mongo_uri: str, s3_port: int) -> Iterator[DaskCluster]:
    """Run two workers, each with a disk of its own in memory in place of the folder of the test."""
    own_disk = [*NAMESPACE, "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(tmp_path)]
    logs = tmp_path / "logs"
    logs.mkdir()
    with dask_cluster(logs, {}) as cluster:
        for name in ("a", "b"):
            cluster.add_worker(name, {"CALLVIZ_MONGO_URI": mongo_uri, **s3_variables(s3_port)}, own_disk)
        yield cluster


@pytest.mark.long
@pytest.mark.parametrize(("months", "csv_months"), [(3, 1), (MONTHS, None)])
def test_workers_that_share_nothing_make_the_bytes_of_one_machine(
    lonely_workers: DaskCluster,
    settings: Settings,
    collection: Collection[Document],
    uri: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    months: int,
    csv_months: int | None,
) -> None:
    """All of it, and then one partition of which a call has changed, from another machine."""
    calls_of_months(collection)
    partitions = Partitioning.of(monthly(settings)).partitions(dt.datetime.now(dt.UTC))[-months:]
    first = dt.date.fromisoformat(partitions[0].key)
    local = dataclasses.replace(monthly(settings), partitions_start=first, csv_months=csv_months)
    cloud = dataclasses.replace(in_bucket(local, uri, tmp_path / "machine"), engine=lonely_workers.address)
    assert data_versions(refreshed(cloud)) == data_versions(refreshed(local))
    assert published(cloud)["calls.csv"] == (local.publish_dir / "calls.csv").read_bytes()
    assert not [*cloud.data_dir.glob("raw_calls/*.zst")]

    changed = partitions[-2]
    collection.update_one(changed.filter(), {"$set": {"status": "voicemail"}})
    capfd.readouterr()
    there = on_another_machine(cloud, tmp_path / "other")
    assert data_versions(refreshed(there, only=changed.key)) == data_versions(refreshed(local, only=changed.key))
    log = capfd.readouterr().err
    done = re.findall(r"(\w[\w. ]*): (\S+) on worker [ab], 1 of 1", log)
    assert [doing for doing, name in done if name == changed.name][:2] == ["Reading", "Normalizing"]
    assert published(there)["calls.csv"] == (local.publish_dir / "calls.csv").read_bytes()
    assert not [each for each in Bucket(f"{uri}/calls/data").objects() if each.name.startswith("calls_csv_parts")]
