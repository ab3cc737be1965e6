"""A refresh on a Dask cluster: the same files as on one machine, whatever happens to its workers."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import dask
import pytest
from bson.timestamp import Timestamp
from distributed import Client, LocalCluster
from distributed.protocol.pickle import dumps, loads
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from callviz_dagster.assets.calls import make_partitions, plan_tables
from callviz_dagster.assets.common import table_options, user_errors_as_failures
from callviz_dagster.demo.mongod import free_port
from callviz_dagster.engine import cluster as engine_cluster
from callviz_dagster.engine.archive import Archived
from callviz_dagster.engine.cluster import Cluster, EngineError, open_addresses, opened_cluster, version_differences
from callviz_dagster.engine.fan_out import archive_on
from callviz_dagster.engine.worker import TaskContext
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError, ReadLostError
from callviz_dagster.partitions import Partitioning
from callviz_dagster.setting_values.engine_address import engine_address
from callviz_dagster.settings import MissingSettingError, Settings, SettingsError
from callviz_dagster.storage.files import FileError
from callviz_dagster_tests.helpers.certificate import certificate
from callviz_dagster_tests.helpers.dask_cluster import DaskCluster, dask_cluster, own_disk
from callviz_dagster_tests.helpers.months import (
    ASSETS,
    FIRST_MONTH,
    NOW,
    calls_of_months,
    data_versions,
    monthly,
    refreshed,
)
from callviz_dagster_tests.helpers.processes import wait_for
from callviz_dagster_tests.helpers.proxy import Network, network

Document = dict[str, Any]
LOG = logging.getLogger("test")
KEY = "pseudonym-key-of-the-test-0123456789"


@pytest.mark.parametrize(
    "address", ["local", "dask://127.0.0.1:8786", "dask://localhost:1", "dask://[::1]:8786", "tls://10.0.0.5:8786"]
)
def test_an_engine_is_named(address: str) -> None:
    assert engine_address(address) == address


@pytest.mark.parametrize(
    "address", ["dask", "dask://127.0.0.1", "tcp://127.0.0.1:1", "tls://h:1/x", "tls://a:b@h:1", "tls://h:99999"]
)
def test_what_is_no_engine_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match=r"CALLVIZ_ENGINE: .* is not allowed; it takes `local`, dask://127"):
        Settings.load({"CALLVIZ_ENGINE": address})


@pytest.mark.parametrize("host", ["10.0.0.5", "scheduler.example.com", "0.0.0.0"])
def test_a_scheduler_on_another_machine_needs_tls(host: str) -> None:
    with pytest.raises(SettingsError, match="runs the code of anyone who reaches it"):
        Settings.load({"CALLVIZ_ENGINE": f"dask://{host}:8786"})


def test_addresses_that_other_machines_reach_are_found() -> None:
    addresses = ["tcp://127.0.0.1:1", "tcp://10.1.2.3:2", "tcp://[::1]:3", "tcp://[fe80::1]:4"]
    assert open_addresses(addresses) == [addresses[1], addresses[3]]


def test_other_versions_are_named() -> None:
    same = {"python": "3.12.1.final.0", "callviz-dagster": "1", "pymongo": "4.20.0", "pyarrow": "22.0", "pandas": "3"}
    others: dict[str, Any] = {
        "worker a": {"packages": same | {"python": "3.12.9.final.0"}},
        "worker b": {"packages": same | {"pymongo": "4.21.0", "pandas": None}},
        "the scheduler": {"packages": same | {"python": "3.11.1.final.0"}},
    }
    assert version_differences({"packages": same}, others) == [
        "worker b has pymongo 4.21.0, the driver 4.20.0",
        "worker b has pandas not installed, the driver 3",
        "the scheduler has python 3.11, the driver 3.12",
    ]


def test_several_clients_read_one_instant(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many({"_id": n, "n": n} for n in range(10))
    mongo = MongoDB(settings)
    with mongo.snapshot_session(LOG) as first:
        at = first.cluster_time
    collection.update_many({}, {"$inc": {"n": 100}})
    collection.delete_one({"_id": 3})
    with mongo.snapshot_session(LOG, at) as second:
        assert second.cluster_time == at
        assert second.count({"n": {"$lt": 10}}, None) == second.count({}, None) == 10


def test_an_instant_that_is_not_kept_or_not_taken_is_an_error(
    settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.insert_one({"_id": 1})
    mongo = MongoDB(settings)
    with mongo.snapshot_session(LOG) as first:
        at = first.cluster_time
    assert at is not None
    with (
        pytest.raises(ReadLostError, match="no longer keeps"),
        mongo.snapshot_session(LOG, Timestamp(at.time - 9999, 1)),
    ):
        pass
    monkeypatch.setattr(ClientSession, "_snapshot_time", property(lambda _: None, lambda *_: None), raising=False)
    collection.insert_one({"_id": 2})
    with pytest.raises(MongoError, match="set CALLVIZ_ENGINE=local"), mongo.snapshot_session(LOG, at):
        pass


def logged_or_failed(task: str, context: TaskContext) -> str:
    context.log.info(f"At {task}.")
    if task == "damaged":
        raise FileError(errno.EIO, "It is damaged.")
    if task == "unset":
        raise MissingSettingError("CALLVIZ_MONGO_URI is not set in its environment.")
    return task.upper()


def test_results_come_in_order_and_an_error_is_logged_with_its_worker(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers are threads here, so that what they do can be followed."""
    caplog.set_level(logging.INFO)
    quiet = {"dashboard_address": None, "processes": False, "protocol": "tcp", "host": "127.0.0.1"}
    with LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as workers, Client(workers) as client:
        cluster = Cluster(client, LOG)
        cluster.require_workers()
        cluster.require_same_versions()
        cluster.require_closed("dask://127.0.0.1:1")
        assert cluster.results(logged_or_failed, {"2024-05": "a", "2024-06": "b"}, "Reading") == ["A", "B"]
        with pytest.raises(FileError, match="damaged"):
            cluster.results(logged_or_failed, {"2024-07": "damaged"}, "Reading")
        with (
            pytest.raises(dg.Failure, match=r"Worker [01] at tcp://127\.0\.0\.1:\d+: CALLVIZ_MONGO_URI .*ment\.$"),
            user_errors_as_failures(),
        ):
            cluster.results(logged_or_failed, {"2024-07": "unset"}, "Reading")
        workers.scale(0)
        wait_for("the end of the workers", lambda: not client.scheduler_info()["workers"])
        monkeypatch.setattr(engine_cluster, "NO_WORKER_SECONDS", 0.1)
        with pytest.raises(EngineError, match="has had no worker"):
            cluster.results(logged_or_failed, {"2024-08": "a"}, "Reading")
    warnings = [record.getMessage() for record in caplog.records if "has no worker left" in record.getMessage()]
    assert warnings == ["Reading: the Dask cluster has no worker left. Start some: the refresh waits 0 s for one."]
    assert re.search(r"\[worker [01]\] At a\.", caplog.text)
    assert re.search(r"Reading: 2024-0[56] on worker [01], 2 of 2\.", caplog.text)
    assert re.search(r"\[worker [01]\] Partition 2024-07 failed\.", caplog.text)


class HereInstead:
    """A cluster whose tasks are pickled as for a worker, and done in this process."""

    def __init__(self) -> None:
        self.pickled: list[bytes] = []
        self.rounds: list[str] = []
        self.before: Callable[[Any], Any] = lambda task: task

    def results(self, work: Any, tasks: Mapping[str, Any], doing: str) -> list[Any]:
        self.rounds.append(doing)
        self.pickled += [dumps(self.before(task)) for task in tasks.values()]
        return [
            loads(dumps(work(loads(task), TaskContext(LOG, lambda: None, Path()))))
            for task in self.pickled[-len(tasks) :]
        ]


def test_a_task_holds_no_secret(
    settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has them from its own environment, and a key that is not the driver's is noticed."""
    password = "never-to-be-pickled"
    calls_of_months(collection)
    parts = urlsplit(settings.mongo_uri or "")
    uri = parts._replace(query=f"{parts.query}&appname={password}").geturl()
    secret = dataclasses.replace(monthly(settings), mongo_uri=uri, pseudonymize=("caller",), pseudonym_key=KEY)
    partitions = Partitioning.of(secret).partitions(NOW)[:2]
    monkeypatch.setenv("CALLVIZ_MONGO_URI", uri)
    monkeypatch.setenv("CALLVIZ_PSEUDONYM_KEY", KEY)
    here: Any = HereInstead()
    hidden = table_options(secret).secrets
    archived = [*archive_on(here, MongoDB(secret), partitions, secret.data_dir, LOG, secrets=hidden)]
    tables = plan_tables(partitions, secret, LOG)
    assert all(one.calls for one in make_partitions(partitions, secret, LOG, tables, here))
    assert here.rounds == ["Reading", "Normalizing"]
    assert len(archived) == len(partitions)
    for pickled in here.pickled:
        assert password.encode() not in pickled
        assert KEY.encode() not in pickled
    monkeypatch.setenv("CALLVIZ_PSEUDONYM_KEY", "x" + KEY)
    with pytest.raises(SettingsError, match="of the worker is not that of the driver"):
        make_partitions(partitions, secret, LOG, tables, here)
    for name in ("CALLVIZ_PSEUDONYM_KEY", "CALLVIZ_MONGO_URI"):
        monkeypatch.delenv(name)
        with pytest.raises(
            MissingSettingError, match=f"{name} is not set in its environment: set it there and restart"
        ):
            list(archive_on(here, MongoDB(secret), partitions, secret.data_dir, LOG, secrets=hidden))


def test_all_partitions_are_read_again_where_a_worker_hears_that_the_snapshot_is_too_old(
    settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls_of_months(collection)
    monkeypatch.setenv("CALLVIZ_MONGO_URI", settings.mongo_uri or "")
    partitions = Partitioning.of(monthly(settings)).partitions(NOW)[:3]
    here: Any = HereInstead()

    def made_too_old(task: Any) -> Any:
        last = task.partition == partitions[-1] and len(here.rounds) == 1
        return dataclasses.replace(task, at=Timestamp(task.at.time - 9999, 1)) if last else task

    here.before = made_too_old
    secrets = table_options(settings).secrets
    archived = [*archive_on(here, MongoDB(settings), partitions, settings.data_dir, LOG, secrets=secrets)]
    assert here.rounds == ["Reading", "Reading"]
    assert [one.partition for one in archived] == partitions
    assert len({one.manifest.cluster_time for one in archived}) == 1
    assert {str(loads(task).at) for task in here.pickled[3:]} == {one.manifest.cluster_time for one in archived}


def test_a_worker_that_reads_another_collection_is_refused(
    settings: Settings, collection: Collection[Document], standalone_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls_of_months(collection)
    monkeypatch.setenv("CALLVIZ_MONGO_URI", settings.mongo_uri or "")
    here: Any = HereInstead()
    here.before = lambda task: dataclasses.replace(task, identity="of another server")
    partitions = Partitioning.of(monthly(settings)).partitions(NOW)[:1]
    secrets = table_options(settings).secrets
    with pytest.raises(MongoError, match=r"another collection than the driver: .*Give CALLVIZ_MONGO_URI the same"):
        list(archive_on(here, MongoDB(settings), partitions, settings.data_dir, LOG, secrets=secrets))


def same_files(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.fixture(scope="module")
def two_workers(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Run a scheduler and two workers that share the file system with the tests."""
    environment = {"CALLVIZ_MONGO_URI": mongo_uri, "CALLVIZ_PSEUDONYM_KEY": KEY}
    with dask_cluster(tmp_path_factory.mktemp("dask"), {"a": environment, "b": environment}) as cluster:
        yield cluster


def local_and_on(
    cluster: DaskCluster, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> tuple[dict[str, str], dict[str, str], str]:
    """Refresh in this process and on a cluster; return what each has made, and what the second one has logged."""
    folder = settings.data_dir.parent
    local = refreshed(settings, data_dir=folder / "local_data", publish_dir=folder / "local")
    capfd.readouterr()
    distributed = refreshed(settings, engine=cluster.address)
    return data_versions(local), data_versions(distributed), capfd.readouterr().err


@pytest.mark.long
def test_two_workers_make_the_bytes_of_one_machine(
    two_workers: DaskCluster, settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    """With tokens in place of callers, too; the log names who made what, and holds no secret."""
    calls_of_months(collection)
    cut = dataclasses.replace(monthly(settings), pseudonymize=("caller",), pseudonym_key=KEY)
    months = len(Partitioning.of(cut).partitions(dt.datetime.now(dt.UTC)))
    local, distributed, log = local_and_on(two_workers, cut, capfd)
    assert local == distributed
    assert {*local} == {*ASSETS}
    assert same_files(settings.publish_dir / "calls.csv", settings.publish_dir.parent / "local" / "calls.csv")
    for doing in ("Reading", "Normalizing", "Writing calls.csv"):
        workers = re.findall(rf"{doing}: \d{{4}}-\d\d on worker ([ab]), [\d,]+ of {months}\.", log)
        assert len(workers) == months
        assert {*workers} == {"a", "b"}
    assert KEY not in log + "".join(map(two_workers.log, ("a", "b", "scheduler")))
    left = {path.name for path in settings.data_dir.iterdir()}
    assert left == {
        "raw_calls",
        "calls",
        "rejected_calls",
        "calls_csv.json",
        "call_counts.arrow",
        "profiles.txt",
        ".refresh.lock",
        ".runs",
    }


@pytest.mark.long
def test_two_workers_leave_out_the_older_calls_that_one_machine_does(
    two_workers: DaskCluster, settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    """A week in two months is cut by its worker; a week that is wholly older is no task."""
    calls_of_months(collection)
    weeks = dataclasses.replace(monthly(settings), partitions="weekly", csv_months=1)
    begun = NOW.date() - dt.timedelta(days=100)
    local, distributed, log = local_and_on(two_workers, dataclasses.replace(weeks, partitions_start=begun), capfd)
    assert local == distributed
    assert same_files(settings.publish_dir / "calls.csv", settings.publish_dir.parent / "local" / "calls.csv")
    normalized, written = (
        re.findall(rf"{doing}: (\S+) on worker", log) for doing in ("Normalizing", "Writing calls.csv")
    )
    assert len(written) < len(normalized)


@pytest.mark.long
def test_a_collection_without_partitions_is_one_task(
    two_workers: DaskCluster, settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    calls_of_months(collection)
    local, distributed, log = local_and_on(two_workers, settings, capfd)
    assert local == distributed
    assert re.search(r"Normalizing: all on worker [ab], 1 of 1\.", log)
    assert re.search(r"\[worker [ab]\] Reading about 1,000 documents of ", log)


@pytest.fixture
def silent(mongo_uri: str) -> Iterator[tuple[Network, str]]:
    """Give a network that goes silent in the middle of a read, and the connection string through it."""
    port = urlsplit(mongo_uri).port
    assert port is not None
    with network(port) as between:
        between.go_silent_after(30_000, 600)
        yield between, f"mongodb://127.0.0.1:{between.port}/?directConnection=true"


def test_a_partition_whose_worker_dies_is_made_by_another_one(
    settings: Settings, collection: Collection[Document], silent: tuple[Network, str], tmp_path: Path,
    mongo_uri: str, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It is killed in mid-read, with half an archive beside its place."""
    calls_of_months(collection, 10_000)
    between, uri = silent
    caplog.set_level(logging.INFO)
    partitions = Partitioning.of(monthly(settings)).partitions(NOW)[:4]
    secrets = table_options(settings).secrets
    with dask_cluster(tmp_path, {"dies": {"CALLVIZ_MONGO_URI": uri}}) as processes:
        on_cluster = dataclasses.replace(settings, engine=processes.address)

        def read() -> list[Archived]:
            with opened_cluster(on_cluster, LOG) as cluster:
                assert cluster
                return [*archive_on(cluster, MongoDB(settings), partitions, settings.data_dir, LOG, secrets=secrets)]

        with ThreadPoolExecutor(1) as driver:
            reading = driver.submit(read)
            wait_for("the middle of a read", lambda: between.silences)
            half = [*settings.data_dir.rglob(".*.bson.zst.*.tmp")]
            processes.add_worker("lives", {"CALLVIZ_MONGO_URI": mongo_uri})
            processes.workers["dies"].kill()
            archived = reading.result()
    assert len(half) == 1
    assert [one.manifest.documents for one in archived] == [collection.count_documents(p.filter()) for p in partitions]
    assert len({one.manifest.cluster_time for one in archived}) == 1
    assert f"Reading: {half[0].name.split('.')[1]} on worker lives" in caplog.text
    assert [*settings.data_dir.rglob("*.tmp")] == []


@pytest.mark.long
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=("interrupted", "ended", "killed"))
def test_a_refresh_that_is_ended_ends_its_work_on_the_cluster(
    settings: Settings,
    collection: Collection[Document],
    silent: tuple[Network, str],
    tmp_path: Path,
    end: signal.Signals,
) -> None:
    """Nothing waits there any more, and what a worker was in the middle of is not swapped in."""
    calls_of_months(collection, 10_000)
    between, uri = silent
    with dask_cluster(tmp_path, {"a": {"CALLVIZ_MONGO_URI": uri}}) as processes:
        environment = {
            "CALLVIZ_MONGO_URI": settings.mongo_uri or "",
            "CALLVIZ_MONGO_DATABASE": settings.database,
            "CALLVIZ_ENGINE": processes.address,
            "CALLVIZ_PARTITIONS": "monthly",
            "CALLVIZ_PARTITIONS_START": f"{FIRST_MONTH:%Y-%m-%d}",
            "CALLVIZ_FIELD_START_TIME": "start_time",
            "CALLVIZ_DATA_DIR": str(settings.data_dir),
            "CALLVIZ_PUBLISH_DIR": str(settings.publish_dir),
        }
        with (tmp_path / "driver.log").open("wb") as log:
            driver = subprocess.Popen(
                [sys.executable, "-m", "callviz_dagster", "refresh"],
                env={**os.environ, **environment}, cwd=tmp_path, stdout=log, stderr=log,
            )  # fmt: skip
            wait_for("the middle of a read", lambda: between.silences)
            driver.send_signal(end)
            driver.wait()
        assert driver.returncode
        processes.wait_for_the_end_of_tasks(between.come_back)
        assert [path.name for path in (settings.data_dir / "raw_calls").iterdir()] == ["coverage.json"]


def test_without_dask_the_extra_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cluster, "find_spec", lambda _: None)
    on_cluster = dataclasses.replace(settings, engine="dask://127.0.0.1:1")
    with pytest.raises(EngineError, match=r"pip install 'callviz-dagster\[dask\]'"), opened_cluster(on_cluster, LOG):
        pass


def test_the_local_engine_loads_no_dask() -> None:
    script = (
        "import logging, sys\n"
        "from callviz_dagster.assets import calls, calls_csv, raw_calls\n"
        "from callviz_dagster.engine.cluster import opened_cluster\n"
        "from callviz_dagster.settings import Settings\n"
        "with opened_cluster(Settings(), logging.getLogger()) as cluster:\n"
        "    assert cluster is None\n"
        "print(sorted({'dask', 'distributed', 'tornado'} & {*sys.modules}))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def refused(settings: Settings, cluster: DaskCluster) -> str:
    """Return why the engine refuses a cluster once its workers are there."""
    cluster.wait_for_workers()
    with (
        pytest.raises(EngineError) as error,
        opened_cluster(dataclasses.replace(settings, engine=cluster.address), LOG),
    ):
        pass
    return str(error.value)


@pytest.mark.long
def test_a_cluster_with_other_versions_is_refused(settings: Settings, tmp_path: Path) -> None:
    metadata = tmp_path / "site" / "pymongo-4.19.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: pymongo\nVersion: 4.19.0\n")
    older = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH"))))
    with dask_cluster(tmp_path, {"same": {}, "older": {"PYTHONPATH": older}}) as cluster:
        message = refused(settings, cluster)
    assert re.search(r"other versions than the driver: worker tcp://\S+ has pymongo 4\.19\.0, the driver 4\.", message)
    assert message.count("worker") == 1


@pytest.mark.long
@pytest.mark.usefixtures("mount_namespaces")
def test_a_worker_that_does_not_see_the_data_folder_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.data_dir.mkdir(parents=True)
    with dask_cluster(tmp_path, {"sees": {}}) as cluster:
        cluster.add_worker("blind", {}, own_disk(settings.data_dir))
        message = refused(settings, cluster)
    assert re.search(rf"1 of 2 workers do not see the data folder {settings.data_dir}, for example tcp://", message)


@pytest.mark.long
def test_a_cluster_with_tls_is_used_with_certificates_alone(
    settings: Settings,
    collection: Collection[Document],
    tmp_path: Path,
    mongo_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls_of_months(collection)
    partitions = Partitioning.of(monthly(settings)).partitions(NOW)[:2]
    pem = certificate(tmp_path / "tls.pem")
    secrets = table_options(settings).secrets
    with dask_cluster(tmp_path, {"a": {"CALLVIZ_MONGO_URI": mongo_uri}}, tls=pem) as processes:
        nowhere, on_cluster = (
            dataclasses.replace(settings, engine=address)
            for address in (f"dask://127.0.0.1:{free_port()}", processes.address)
        )
        monkeypatch.setattr(engine_cluster, "CONNECT_SECONDS", 1)
        for refused_settings, sentence in ((on_cluster, "needs certificates"), (nowhere, "No Dask scheduler answers")):
            with pytest.raises(EngineError, match=sentence), opened_cluster(refused_settings, LOG):
                pass
        monkeypatch.setattr(engine_cluster, "CONNECT_SECONDS", 60)
        tls = {f"distributed.comm.tls.{name}": str(pem) for name in ("ca-file", "client.cert", "client.key")}
        with dask.config.set(tls), opened_cluster(on_cluster, LOG) as cluster:
            assert cluster
            archived = [*archive_on(cluster, MongoDB(settings), partitions, settings.data_dir, LOG, secrets=secrets)]
    assert [one.manifest.documents for one in archived] == [collection.count_documents(p.filter()) for p in partitions]
