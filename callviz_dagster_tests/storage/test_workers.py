"""Workers of a Dask cluster that share nothing with the driver but MongoDB and a bucket: the bytes of one machine.

What belongs elsewhere: what may go wrong meanwhile (`test_cluster_faults.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.bucket import Bucket
from callviz_dagster.storage.refreshing import update_working_copy
from callviz_dagster_tests.helpers.cloud import in_bucket, on_another_machine, published
from callviz_dagster_tests.helpers.dask_cluster import DaskCluster, dask_cluster, own_disk
from callviz_dagster_tests.helpers.months import ASSETS, calls_of_months, data_versions, last_partitions, refreshed
from callviz_dagster_tests.helpers.object_store import s3_variables

Document = dict[str, Any]
KEY = "pseudonym-key-of-the-test-0123456789"


@pytest.fixture(scope="module")
def lonely_workers(
    mount_namespaces: None, tmp_path_factory: pytest.TempPathFactory, mongo_uri: str, s3_port: int
) -> Iterator[DaskCluster]:
    """Run two workers, each with a disk of its own in memory in place of the folders of all tests."""
    environment = {"CALLVIZ_MONGO_URI": mongo_uri, "CALLVIZ_PSEUDONYM_KEY": KEY, **s3_variables(s3_port)}
    with dask_cluster(tmp_path_factory.mktemp("dask"), {}) as cluster:
        for name in ("a", "b"):
            cluster.add_worker(name, environment, own_disk(tmp_path_factory.getbasetemp()))
        cluster.wait_for_workers()
        yield cluster


@pytest.mark.parametrize("number", [2, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 24, 365))])
def test_workers_that_share_nothing_make_the_bytes_of_one_machine(
    number: int,
    lonely_workers: DaskCluster,
    settings: Settings,
    collection: Collection[Document],
    uri: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Archives are compared by their documents, for they are of two instants; everything else is made from one."""
    assets = ASSETS if number != 2 else ASSETS[:-1]
    calls_of_months(collection)
    hidden = dataclasses.replace(settings, pseudonymize=("caller",), pseudonym_key=KEY)
    local = last_partitions(hidden, number)
    cloud = in_bucket(dataclasses.replace(local, engine=lonely_workers.address), uri, tmp_path / "machine")
    distributed = data_versions(refreshed(cloud, assets=assets))
    log = capfd.readouterr().err
    assert data_versions(refreshed(local, assets=assets[:1]))["raw_calls"] == distributed["raw_calls"]
    assert not [*cloud.data_dir.glob("raw_calls/*.zst")], "archives stay in the bucket"

    update_working_copy(cloud.data_dir, lambda name: name.startswith("raw_calls/"))
    shutil.copytree(cloud.data_dir / "raw_calls", local.data_dir / "raw_calls", dirs_exist_ok=True)
    assert data_versions(refreshed(local, assets=assets[1:])).items() <= distributed.items()
    in_cloud = published(cloud)
    for name, content in in_cloud.items():
        folder = local.data_dir if name.startswith("calls/") else local.publish_dir
        assert (folder / name).read_bytes() == content, name
    assert len([name for name in in_cloud if name.startswith("calls/")]) == number
    assert ("call_dashboard.html" in in_cloud) == ("call_dashboard" in assets)
    assert KEY not in log + "".join(map(lonely_workers.log, ("a", "b", "scheduler")))
    done = re.findall(rf"(\w[\w. ]*): \S+ on worker ([ab]), [\d,]+ of {number}\.", log)
    rounds = ("Reading", "Normalizing", "Writing calls.csv")
    assert Counter(doing for doing, _ in done) == dict.fromkeys(rounds, number)
    assert number == 1 or {worker for _, worker in done} == {"a", "b"}


@pytest.mark.long
@pytest.mark.parametrize("csv_months", [None, 1])
def test_one_changed_partition_is_all_that_workers_do(
    csv_months: int | None,
    lonely_workers: DaskCluster,
    settings: Settings,
    collection: Collection[Document],
    uri: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is refreshed from another machine than the others before."""
    calls_of_months(collection)
    local = dataclasses.replace(last_partitions(settings, 3), csv_months=csv_months)
    cloud = in_bucket(dataclasses.replace(local, engine=lonely_workers.address), uri, tmp_path / "machine")
    assert data_versions(refreshed(cloud)) == data_versions(refreshed(local))
    changed = Partitioning.of(local).partitions(dt.datetime.now(dt.UTC))[-2]
    collection.update_one(changed.filter(), {"$set": {"status": "voicemail"}})
    capfd.readouterr()
    there = on_another_machine(cloud, tmp_path / "other machine")
    assert data_versions(refreshed(there, only=changed.key)) == data_versions(refreshed(local, only=changed.key))
    log = capfd.readouterr().err
    done = re.findall(r"(\w[\w. ]*): (\S+) on worker [ab], 1 of 1", log)
    assert [doing for doing, name in done if name == changed.name][:2] == ["Reading", "Normalizing"]
    assert published(there)["calls.csv"] == (local.publish_dir / "calls.csv").read_bytes()
    assert not [each for each in Bucket(f"{uri}/calls/data").objects() if each.name.startswith("calls_csv_parts")]
