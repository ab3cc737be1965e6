"""The sensor on a real replica set: its ticks, the runs that it asks for, and what is published in the end."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import itertools
import logging
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
import pytest
from bson import ObjectId
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._utils.schedules import schedule_execution_time_iterator
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.automation import sensor
from callviz_dagster.automation.decisions import Cursor
from callviz_dagster.automation.runs import SILENCE, deployment_tags
from callviz_dagster.definitions import build_definitions
from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.mongodb.changes import read_changes
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import HistoryLostError, MongoError
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.storage.run_file import RunState, run_state
from callviz_dagster_tests.helpers.lock import holder
from callviz_dagster_tests.helpers.refresh import without_coverage
from callviz_dagster_tests.helpers.today import TODAY, ZONE

Document = dict[str, Any]
LOG = logging.getLogger("test")
LOCATION = "callviz_dagster"
DAYS = [f"{TODAY - dt.timedelta(6 - n):%Y-%m-%d}" for n in range(7)]


def at(day: int, hour: int = 0) -> dt.datetime:
    return TODAY - dt.timedelta(6 - day) + dt.timedelta(hours=hour)


def shown(moment: dt.datetime, now: dt.datetime) -> str:
    """Return how a tick shows a moment: with its date where midnight lies between them."""
    return f"{moment:%H:%M:%S} UTC" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


class Daemon:
    """Does what Dagster's daemon does with the sensor, at times of the test's choosing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.now = dt.datetime.now(dt.UTC)
        self.requested: list[dg.RunRequest] = []
        self.observed: list[dict[str, Any]] = []
        definitions = build_definitions(settings)
        selection = dg.AssetSelection.assets("raw_calls", "calls", "rejected_calls", "calls_csv")
        job = dg.define_asset_job(
            "refresh_calls",
            selection=selection,
            executor_def=dg.in_process_executor,
            run_tags=deployment_tags(settings),
        )
        self.job = dg.Definitions(
            assets=definitions.assets, jobs=[job], resources=definitions.resources
        ).resolve_job_def("refresh_calls")

    def tick(self, *, later: float = 61) -> str:
        """Tick so many seconds later; return the reason for doing nothing, or an empty text."""
        self.now += dt.timedelta(seconds=later)
        result = sensor.tick(self.cursor, self.instance, MongoDB(self.settings), self.settings, self.now, LOCATION)
        self.cursor = result.cursor
        self.requested += result.run_requests or []
        for event in result.asset_events:
            self.observed.append({name: value.value for name, value in event.metadata.items()})
        return str(result.skip_reason.skip_message) if result.skip_reason else ""

    def run(self) -> bool:
        """Execute the run that was requested last."""
        with without_coverage():
            done = self.job.execute_in_process(instance=self.instance, tags=self.request_tags, raise_on_error=False)
        return done.success

    def refresh(self) -> None:
        assert self.tick() == ""
        assert self.run()

    def by_hand(self, *assets: str, partition: str | None = None) -> bool:
        """Materialize assets as from the command line, with another Dagster instance; return whether it succeeded."""
        definitions = build_definitions(self.settings)
        job = dg.define_asset_job("by_hand", dg.AssetSelection.assets(*assets), executor_def=dg.in_process_executor)
        bounds = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        resolved = dg.Definitions(
            assets=definitions.assets, jobs=[job], resources=definitions.resources
        ).resolve_job_def("by_hand")
        tags = dict.fromkeys(bounds, partition) if partition else {}
        with without_coverage():
            return resolved.execute_in_process(tags=tags, raise_on_error=False).success

    @property
    def request_tags(self) -> dict[str, str]:
        """Tags of the run that Dagster makes of the last request."""
        return deployment_tags(self.settings) | dict(self.requested[-1].tags)

    @property
    def partitions(self) -> str:
        tags = self.requested[-1].tags
        first, last = (tags[f"dagster/asset_partition_range_{bound}"] for bound in ("start", "end"))
        return tags.get("callviz/partitions") or (first if first == last else f"{first}...{last}")


def ids(settings: Settings) -> list[str]:
    path = settings.publish_dir / "calls.csv"
    return sorted(row[0] for row in duckdb.execute(f"select _id from read_csv('{path}', all_varchar=true)").fetchall())


@pytest.fixture
def daemon(settings: Settings, collection: Collection[Document]) -> Daemon:
    """Give a daemon over seven calls, one a day, that has refreshed once."""
    collection.insert_many([{"_id": f"c{day}", "start_time": at(day), "status": "ringing"} for day in range(7)])
    daemon = Daemon(settings)
    daemon.refresh()
    return daemon


@pytest.fixture
def daily(settings: Settings, collection: Collection[Document]) -> Daemon:
    """Give the same with a partition a day."""
    collection.create_index("start_time")
    collection.insert_many([{"_id": f"c{day}", "start_time": at(day), "status": "ringing"} for day in range(7)])
    daemon = Daemon(
        dataclasses.replace(
            settings, partitions="daily", timezone=ZONE, partitions_start=at(0).date(), field_start_time="start_time"
        )
    )
    daemon.refresh()
    assert daemon.partitions == f"{DAYS[0]}...{DAYS[6]}"
    return daemon


def test_the_first_look_refreshes_everything_and_the_next_nothing(daemon: Daemon) -> None:
    assert daemon.requested[0].tags["callviz/reason"] == "the first poll of the collection"
    first = daemon.now
    for _ in range(3):
        assert daemon.tick() == f"no changes since {shown(first, daemon.now)}, 7 calls"
    assert len(daemon.requested) == 1


def test_no_changes_are_told_since_the_last_change(daemon: Daemon, collection: Collection[Document]) -> None:
    assert daemon.tick().startswith("no changes")
    collection.insert_one({"_id": "new", "start_time": at(6)})
    daemon.refresh()
    published = daemon.now
    for _ in range(2):
        assert daemon.tick() == f"no changes since {shown(published, daemon.now)}, 8 calls"


def test_a_new_call_is_published_by_one_refresh(daemon: Daemon, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": "new", "start_time": at(6)})
    collection.update_one({"_id": "c0"}, {"$set": {"status": "completed"}})
    collection.delete_one({"_id": "c1"})
    daemon.refresh()
    assert daemon.tick().startswith("no changes")
    assert "new" in ids(daemon.settings)
    assert "c1" not in ids(daemon.settings)
    told = daemon.observed[-1]
    assert (told["inserted"], told["updated"], told["deleted"]) == (1, 1, 1)
    assert told["since"] < daemon.now.timestamp()


def test_changes_during_a_refresh_are_not_lost_and_start_no_second_one(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    collection.insert_one({"_id": "first", "start_time": at(6)})
    assert daemon.tick() == ""
    waiting = daemon.instance.create_run_for_job(daemon.job, tags=daemon.request_tags)
    for status, event in (
        ("not_started", None),
        ("starting", DagsterEventType.RUN_STARTING),
        ("started", DagsterEventType.RUN_START),
    ):
        if event:
            daemon.instance.report_dagster_event(DagsterEvent(event.value, "refresh_calls"), waiting.run_id)
        collection.insert_one({"_id": f"while {status}", "start_time": at(6)})
        assert f"is {status}; changes wait for its end" in daemon.tick(later=1)
    assert len(daemon.requested) == 2
    daemon.instance.delete_run(waiting.run_id)
    assert daemon.run()
    assert daemon.tick().startswith("no changes"), "the run has read them all, so they ask for no other"
    collection.insert_one({"_id": "after", "start_time": at(6)})
    daemon.refresh()
    assert {"first", "while not_started", "while starting", "while started", "after"} <= {*ids(daemon.settings)}


def test_changes_while_a_refresh_is_queued_are_read_by_it_and_start_no_second_one(
    daemon: Daemon, collection: Collection[Document], tmp_path: Path
) -> None:
    assert daemon.tick().startswith("no changes")
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as daemon.instance:
        collection.insert_one({"_id": "first", "start_time": at(6)})
        assert daemon.tick() == ""
        run = daemon.instance.create_run_for_job(
            daemon.job, tags=daemon.request_tags, remote_job_origin=origin(LOCATION, "refresh_calls")
        )
        daemon.instance.report_dagster_event(
            DagsterEvent(DagsterEventType.RUN_ENQUEUED.value, "refresh_calls"), run.run_id
        )
        for _ in range(3):
            collection.insert_one({"start_time": at(6)})
            collection.update_one({"_id": "c0"}, {"$set": {"start_time": at(5)}})
            assert daemon.tick(later=1000) == f"refresh {run.run_id[:8]} is queued; changes wait for its end"
        collection.delete_one({"_id": "c1"})
        queued = daemon.instance.get_run_by_id(run.run_id)
        assert queued is not None
        assert queued.status is dg.DagsterRunStatus.QUEUED, "it was waited for, not given up"
        daemon.instance.report_dagster_event(
            DagsterEvent(DagsterEventType.RUN_STARTING.value, "refresh_calls"), run.run_id
        )
        starting = daemon.instance.get_run_by_id(run.run_id)
        assert starting is not None
        execute_run(InMemoryJob(daemon.job), starting, daemon.instance, raise_on_error=True)
        assert daemon.tick().startswith("no changes"), "the run has read them all, so they ask for no other"
        assert len(daemon.requested) == 2
        assert len(ids(daemon.settings)) == 7 + 1 + 3 - 1


def origin(location: str, job: str) -> RemoteJobOrigin:
    """Return where a run comes from that was launched in the UI."""
    server = GrpcServerCodeLocationOrigin("127.0.0.1", 9, location_name=location)
    return RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), job)


UNRELATED = ("refresh_calls", "__ASSET_JOB", "another callviz")


def unrelated_run(daemon: Daemon, kind: str) -> dg.DagsterRun:
    """Start a run that has something in common with the refreshes of this deployment, and works on other files."""
    if kind == "another callviz":
        elsewhere = dataclasses.replace(daemon.settings, data_dir=daemon.settings.data_dir / "elsewhere")
        other = Daemon(elsewhere).job
        tags, location = deployment_tags(elsewhere), "other_callviz"
    else:
        asset = dg.asset(name="calls")(lambda: None)
        named = dg.define_asset_job("refresh_calls", selection=[asset])
        other = dg.Definitions(assets=[asset], jobs=[named]).resolve_job_def(kind)
        tags, location = {}, "elsewhere"
    run = daemon.instance.create_run_for_job(
        other,
        asset_selection=frozenset({dg.AssetKey("calls")}) if kind == "__ASSET_JOB" else None,
        status=dg.DagsterRunStatus.STARTED,
        tags=tags,
        remote_job_origin=origin(location, other.name),
    )
    daemon.instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, other.name), run.run_id)
    return run


def test_runs_of_other_code_locations_are_let_alone(daemon: Daemon, collection: Collection[Document]) -> None:
    """A job or an asset may have the same name; such a run may take hours and say nothing."""
    others = [unrelated_run(daemon, kind) for kind in UNRELATED]
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick(later=10_000) == "", "none is waited for"
    runs = [daemon.instance.get_run_by_id(other.run_id) for other in others]
    assert [run and run.status for run in runs] == [dg.DagsterRunStatus.STARTED] * 3, "none is ended"


def test_a_materialization_of_another_collection_in_the_code_location_is_not_waited_for(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    collection.insert_one({"_id": "c7", "start_time": at(7)})
    daemon.instance.add_run(
        dg.DagsterRun(
            "__ASSET_JOB",
            status=dg.DagsterRunStatus.STARTED,
            asset_selection=frozenset({Names("sales_calls", ("sales_calls",)).key("raw_calls")}),
            remote_job_origin=origin(LOCATION, "__ASSET_JOB"),
        )
    )
    assert daemon.tick(later=10_000) == ""


def test_runs_of_other_code_locations_do_not_count_as_the_last_refresh(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    daemon.now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=61)
    for kind in UNRELATED:
        unrelated_run(daemon, kind)
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick(later=0) == ""


def test_a_refresh_of_someone_else_is_waited_for_too(daemon: Daemon, collection: Collection[Document]) -> None:
    by_hand = build_definitions(daemon.settings).resolve_job_def("__ASSET_JOB")
    raw_calls = frozenset({dg.AssetKey("raw_calls")})
    for job, selection, tags in ((daemon.job, None, deployment_tags(daemon.settings)), (by_hand, raw_calls, {})):
        other = daemon.instance.create_run_for_job(
            job,
            asset_selection=selection,
            status=dg.DagsterRunStatus.STARTED,
            tags=tags,
            remote_job_origin=origin(LOCATION, job.name),
        )
        collection.insert_one({"start_time": at(6)})
        assert other.run_id[:8] in daemon.tick(later=1)
        daemon.instance.delete_run(other.run_id)
    daemon.refresh()


def test_a_refresh_of_another_dagster_instance_is_waited_for_too(
    daily: Daemon, collection: Collection[Document]
) -> None:
    assert daily.tick().startswith("no changes")
    collection.insert_one({"_id": "short", "start_time": at(2)})
    other = holder(daily.settings.data_dir)
    try:
        collection.delete_one({"_id": "short"})
        assert daily.tick() == f"process {other.pid} is refreshing the same files; changes wait for its end"
    finally:
        other.communicate()
    daily.refresh()
    assert daily.partitions == DAYS[2]


def test_a_failed_run_is_tried_again_with_its_partitions(
    daily: Daemon, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.insert_one({"_id": "new", "start_time": at(2)})
    assert daily.tick() == ""
    with monkeypatch.context() as broken:
        broken.setattr("callviz_dagster.calls_csv.publish.publish_csv", lambda *given: 1 / 0)
        assert not daily.run()
    for pause in (60, 120):
        told = daily.tick(later=5)
        assert "was a failure); 1 partition will be tried again at" in told
        assert "will be tried again" in daily.tick(later=pause - 10)
        assert daily.tick(later=10) == ""
        assert daily.partitions == DAYS[2]
        with monkeypatch.context() as broken:
            broken.setattr("callviz_dagster.calls_csv.publish.publish_csv", lambda *given: 1 / 0)
            assert not daily.run()
    daily.tick(later=5)
    assert daily.tick(later=240) == ""
    assert daily.run()
    assert "new" in ids(daily.settings)
    assert daily.tick().startswith("no changes")


def test_a_run_that_was_never_started_is_asked_for_again(daemon: Daemon, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick() == ""
    assert "the run was never started" in daemon.tick(later=5)
    daemon.refresh()
    assert "new" in ids(daemon.settings)


def launch(daemon: Daemon, *events: DagsterEventType) -> dg.DagsterRun:
    """Make a run of the last request, as far as some events; the time of the daemon is that of its last event."""
    run = daemon.instance.create_run_for_job(daemon.job, tags=daemon.request_tags)
    for event in events:
        daemon.instance.report_dagster_event(DagsterEvent(event.value, "refresh_calls"), run.run_id)
    daemon.now = dt.datetime.now(dt.UTC)
    return run


BEFORE_START = {
    "not started": (),
    "starting": (DagsterEventType.RUN_STARTING,),
    "started": (DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START),
    "canceling": (DagsterEventType.RUN_STARTING, DagsterEventType.RUN_START, DagsterEventType.RUN_CANCELING),
}


@pytest.mark.parametrize(
    "stage",
    ["not started", "canceling", *(pytest.param(stage, marks=pytest.mark.long) for stage in ("starting", "started"))],
)
def test_a_run_whose_process_never_comes_is_not_waited_for_without_end(
    daemon: Daemon, collection: Collection[Document], stage: str
) -> None:
    """After a power cut, or a submission that failed, nothing tells Dagster that the run has ended."""
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick() == ""
    run = launch(daemon, *BEFORE_START[stage])
    assert "changes wait for its end" in daemon.tick(later=SILENCE.total_seconds() - 30)
    with one_at_a_time(daemon.settings.data_dir, LOG):
        assert "changes wait for its end" in daemon.tick(later=60)
    assert f"run {run.run_id[:8]} was a failure" in daemon.tick(later=1)
    ended = daemon.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    daemon.refresh()
    assert "new" in ids(daemon.settings)


WORK = (
    "import pathlib, sys\n"
    "from callviz_dagster.storage.run_file import run_file\n"
    "with run_file(pathlib.Path(sys.argv[1]), sys.argv[2]):\n"
    "    print('at work', flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def process_of_run(daemon: Daemon, collection: Collection[Document]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Give the id of a run that was requested, and the process that works on it."""
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick() == ""
    run = launch(daemon, *BEFORE_START["started"])
    command = [sys.executable, "-c", WORK, str(daemon.settings.data_dir), run.run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield run.run_id, process
        process.kill()


def test_a_killed_refresh_is_noticed_at_once(daemon: Daemon, process_of_run: tuple[str, subprocess.Popen[str]]) -> None:
    run_id, process = process_of_run
    assert f"refresh {run_id[:8]} is started; changes wait for its end" == daemon.tick(later=1)
    process.kill()
    process.wait()
    assert f"run {run_id[:8]} was a failure" in daemon.tick(later=1)
    daemon.refresh()
    assert "new" in ids(daemon.settings)


def test_a_refresh_that_lives_is_not_ended_however_long_it_is_silent(
    daemon: Daemon, process_of_run: tuple[str, subprocess.Popen[str]]
) -> None:
    run_id, _ = process_of_run
    assert "changes wait for its end" in daemon.tick(later=100_000)
    run = daemon.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.STARTED


def test_a_killed_refresh_from_the_command_line_is_noticed_too(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    """It has neither a job's tags nor a code location, but it has left its file in the data folder."""
    by_hand = build_definitions(daemon.settings).resolve_job_def("__ASSET_JOB")
    run = daemon.instance.create_run_for_job(by_hand, status=dg.DagsterRunStatus.STARTED)
    folder = daemon.settings.data_dir / ".runs" / run.run_id
    folder.mkdir(parents=True)
    (folder / "process").touch()
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick() == ""
    ended = daemon.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_a_refresh_shows_that_it_lives_until_it_has_ended(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = daemon.settings.data_dir / ".runs"
    states = []

    def publish(*_: Any, **__: Any) -> None:
        path = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        states.append(run_state(daemon.settings.data_dir, path.name))
        raise RuntimeError("the test has seen enough")

    monkeypatch.setattr("callviz_dagster.calls_csv.publish.publish_csv", publish)
    assert not daemon.run()
    assert states == [RunState.ALIVE]
    assert {run_state(daemon.settings.data_dir, path.name) for path in folder.iterdir()} == {RunState.UNKNOWN}


READ = ("raw_calls", "calls", "rejected_calls")
ALL = (*READ, "calls_csv", "callviz_workbook", "call_dashboard")


@pytest.mark.parametrize(
    "assets",
    [READ, pytest.param(READ[:1], marks=pytest.mark.long)],
    ids=["raw_calls and calls", "raw_calls"],
)
def test_changes_that_were_read_by_hand_and_never_published_are_refreshed(
    daemon: Daemon, collection: Collection[Document], assets: tuple[str, ...]
) -> None:
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.by_hand(*assets)
    daemon.refresh()
    assert "new" in ids(daemon.settings)
    assert daemon.tick().startswith("no changes")


@pytest.mark.parametrize(
    "step",
    [
        "assets.call_dashboard.publish_page",
        pytest.param("assets.calls.make_partitions", marks=pytest.mark.long),
        pytest.param("calls_csv.publish.publish_csv", marks=pytest.mark.long),
    ],
)
def test_changes_that_a_failed_refresh_by_hand_has_read_are_refreshed(
    daemon: Daemon, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    assert daemon.by_hand(*ALL)
    assert daemon.tick().startswith("no changes")
    collection.insert_one({"_id": "new", "start_time": at(6)})
    with monkeypatch.context() as broken:
        broken.setattr(f"callviz_dagster.{step}", lambda *_, **__: 1 / 0)
        assert not daemon.by_hand(*ALL)
    assert daemon.tick() == ""
    assert daemon.by_hand(*ALL)
    assert "new" in ids(daemon.settings)


@pytest.mark.parametrize(
    "step", ["calls_csv.publish.publish_csv", pytest.param("assets.calls.make_partitions", marks=pytest.mark.long)]
)
def test_changes_that_a_killed_refresh_of_the_sensor_has_read_are_refreshed(
    daemon: Daemon, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Its run was deleted in the UI, so that nothing tells the sensor that it has failed."""
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick() == ""
    with monkeypatch.context() as broken:
        broken.setattr(f"callviz_dagster.{step}", lambda *_, **__: 1 / 0)
        assert not daemon.run()
    daemon.cursor = dataclasses.replace(Cursor.from_json(daemon.cursor), requested=None).to_json()
    daemon.refresh()
    assert "new" in ids(daemon.settings)


def test_without_cluster_times_it_is_noticed_too_that_something_was_not_published(
    settings: Settings, collection: Collection[Document]
) -> None:
    """A capped collection gives no snapshot, so that the clock alone shows whether something was read since."""
    collection.database.create_collection("calls", capped=True, size=1 << 20)
    collection.insert_many([{"_id": f"c{day}", "start_time": at(day), "status": "ringing"} for day in range(7)])
    daemon = Daemon(settings)
    daemon.refresh()
    assert daemon.tick().startswith("no changes")
    shutil.rmtree(settings.publish_dir)
    daemon.refresh()
    assert daemon.tick().startswith("no changes")
    collection.insert_one({"_id": "new", "start_time": at(6)})
    assert daemon.tick() == ""
    assert daemon.by_hand("raw_calls")
    daemon.cursor = dataclasses.replace(Cursor.from_json(daemon.cursor), requested=None).to_json()
    daemon.refresh()
    assert "new" in ids(settings)
    assert daemon.tick().startswith("no changes")


def test_a_partition_that_was_read_by_hand_is_refreshed(daily: Daemon, collection: Collection[Document]) -> None:
    assert daily.tick().startswith("no changes")
    collection.insert_one({"_id": "new", "start_time": at(2)})
    assert daily.by_hand("raw_calls", partition=DAYS[2])
    collection.insert_one({"_id": "also new", "start_time": at(4)})
    daily.refresh()
    assert daily.partitions == f"{DAYS[2]}, {DAYS[4]}"
    assert {"new", "also new"} <= {*ids(daily.settings)}
    assert daily.tick().startswith("no changes")


def test_a_deleted_call_that_is_in_no_table_any_more_is_taken_out_of_what_is_published(
    daily: Daemon, collection: Collection[Document]
) -> None:
    """It is looked up in `calls` to find its partition, and there a refresh by hand has removed it before."""
    collection.delete_one({"_id": "c3"})
    assert daily.by_hand(*READ, partition=DAYS[3])
    daily.refresh()
    assert daily.partitions == DAYS[3]
    assert "c3" not in ids(daily.settings)


def test_a_publish_folder_that_is_emptied_is_filled_again(daemon: Daemon) -> None:
    shutil.rmtree(daemon.settings.publish_dir)
    daemon.refresh()
    assert ids(daemon.settings) == [f"c{day}" for day in range(7)]
    assert daemon.tick().startswith("no changes")


def test_a_refused_drop_is_not_tried_again_until_it_is_accepted(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    daemon.settings = dataclasses.replace(daemon.settings, max_drop=0.5)
    daemon.job = Daemon(daemon.settings).job
    collection.delete_many({"_id": {"$ne": "c3"}})
    assert daemon.tick() == ""
    assert not daemon.run()
    for _ in range(3):
        told = daemon.tick(later=10_000)
        assert told.startswith("changes waiting: the last refresh was refused: 1 documents in the collection, 7 in")
        assert "callviz/accept_drop=1" in told
    assert len(ids(daemon.settings)) == 7
    daemon.requested[-1] = dg.RunRequest(tags={**daemon.requested[-1].tags, "callviz/accept_drop": "1"})
    assert daemon.run()
    daemon.refresh()
    assert ids(daemon.settings) == ["c3"]
    assert daemon.tick().startswith("no changes")


def test_only_the_touched_partitions_are_requested(daily: Daemon, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": "new", "start_time": at(1, 5)})
    collection.update_one({"_id": "c5"}, {"$set": {"status": "completed"}})
    assert daily.tick() == ""
    assert daily.partitions == f"{DAYS[1]}, {DAYS[5]}"
    assert daily.observed[-1]["partitions"] == f"{DAYS[1]}, {DAYS[5]}"
    assert daily.run()
    assert daily.tick().startswith("no changes")


def test_a_deleted_call_is_traced_to_its_partition(daily: Daemon, collection: Collection[Document]) -> None:
    collection.delete_one({"_id": "c3"})
    assert daily.tick() == ""
    assert daily.partitions == DAYS[3]
    assert daily.run()
    assert "c3" not in ids(daily.settings)


def test_a_call_that_moves_to_another_day_touches_both(daily: Daemon, collection: Collection[Document]) -> None:
    collection.update_one({"_id": "c0"}, {"$set": {"start_time": at(1, 3)}})
    collection.replace_one({"_id": "c2"}, {"start_time": at(3, 3)})
    collection.update_one({"_id": "c5"}, [{"$set": {"start_time": at(6, 3)}}])
    assert daily.tick() == ""
    assert daily.partitions == f"{DAYS[0]}...{DAYS[3]}, {DAYS[5]}...{DAYS[6]}"
    assert daily.run()
    assert ids(daily.settings) == [f"c{day}" for day in range(7)]


def test_a_call_that_loses_its_start_time_leaves_its_partition(daily: Daemon, collection: Collection[Document]) -> None:
    daily.settings = dataclasses.replace(daily.settings)
    collection.insert_many([{"_id": f"more{n}", "start_time": at(0, n)} for n in range(20)])
    daily.refresh()
    collection.update_one({"_id": "c2"}, {"$unset": {"start_time": 1}})
    daily.refresh()
    assert daily.partitions == DAYS[2]
    assert "c2" not in ids(daily.settings)


def test_calls_with_object_ids_are_traced(daily: Daemon, collection: Collection[Document]) -> None:
    identifier = ObjectId()
    collection.insert_one({"_id": identifier, "start_time": at(2)})
    daily.refresh()
    collection.delete_one({"_id": identifier})
    daily.refresh()
    assert daily.partitions == DAYS[2]
    assert ids(daily.settings) == [f"c{day}" for day in range(7)]


def test_a_deleted_call_that_cannot_be_traced_refreshes_everything(
    daily: Daemon, collection: Collection[Document]
) -> None:
    collection.insert_one({"_id": {"tenant": 1}, "start_time": at(2)})
    daily.refresh()
    collection.delete_one({"_id": {"tenant": 1}})
    daily.refresh()
    assert daily.partitions == f"{DAYS[0]}...{DAYS[6]}"
    assert "cannot be looked up" in daily.requested[-1].tags["callviz/reason"]
    assert ids(daily.settings) == [f"c{day}" for day in range(7)]


def test_a_trickle_starts_no_run_before_its_time(daemon: Daemon, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": "new", "start_time": at(6)})
    daemon.now = dt.datetime.now(dt.UTC)
    told = daemon.tick(later=0)
    assert "changes waiting until" in told
    assert "CALLVIZ_MIN_REFRESH_SECONDS=60" in told
    assert daemon.tick(later=60) == ""


def test_a_burst_costs_one_refresh(
    daemon: Daemon, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callviz_dagster.automation.poll.read_changes", functools.partial(read_changes, most=1_000))
    collection.insert_many([{"_id": f"b{n}", "start_time": at(n % 7)} for n in range(2_500)])
    assert [bool(daemon.tick(later=10)) for _ in range(3)] == [True, True, False]
    assert daemon.run()
    assert daemon.tick().endswith(", 2,507 calls")
    assert len(daemon.requested) == 2
    assert len(ids(daemon.settings)) == 2_507


def test_calls_that_keep_coming_do_not_keep_the_others_waiting(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    begun, stop = threading.Event(), threading.Event()

    def work() -> None:
        while not stop.wait(0.001):
            collection.insert_one({"start_time": at(6)})
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert begun.wait(120)
        assert daemon.tick() == ""
    finally:
        stop.set()
        thread.join()
    assert daemon.run()


def test_mongodb_away_is_one_redacted_line_and_the_next_tick_catches_up(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    settings, cursor = daemon.settings, daemon.cursor
    daemon.settings = dataclasses.replace(
        settings, mongo_uri="mongodb://bob:hunter22@127.0.0.1:9/?serverSelectionTimeoutMS=300"
    )
    collection.insert_one({"_id": "new", "start_time": at(6)})
    with pytest.raises(MongoError, match=r"^MongoDB did not answer: 127\.0\.0\.1:9") as caught:
        daemon.tick()
    assert "hunter22" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert daemon.cursor == cursor
    daemon.settings = settings
    daemon.refresh()
    assert "new" in ids(settings)


def test_a_dropped_collection_is_an_error_and_its_return_one_full_refresh(
    daemon: Daemon, collection: Collection[Document]
) -> None:
    collection.drop()
    with pytest.raises(MongoError, match="has no"):
        daemon.tick()
    collection.insert_one({"_id": "again", "start_time": at(6)})
    daemon.refresh()
    assert daemon.requested[-1].tags["callviz/reason"].endswith("was dropped.")
    assert ids(daemon.settings) == ["again"]
    assert daemon.tick().startswith("no changes")


def test_a_renamed_collection_is_one_full_refresh(daemon: Daemon, collection: Collection[Document]) -> None:
    collection.rename("old_calls")
    collection.database["calls"].insert_one({"_id": "other", "start_time": at(6)})
    daemon.refresh()
    assert "was renamed" in daemon.requested[-1].tags["callviz/reason"]
    assert ids(daemon.settings) == ["other"]


def test_a_cursor_of_another_partitioning_or_collection_refreshes_everything(
    daily: Daemon, collection: Collection[Document]
) -> None:
    assert daily.cursor is not None
    cursor = Cursor.from_json(daily.cursor)
    daily.cursor = dataclasses.replace(cursor, partitioning="monthly from 2024-01-01 in UTC by start_time").to_json()
    daily.refresh()
    assert "instead of monthly" in daily.requested[-1].tags["callviz/reason"]
    daily.cursor = dataclasses.replace(cursor, source="shop.calls").to_json()
    daily.refresh()
    assert "is read instead of shop.calls" in daily.requested[-1].tags["callviz/reason"]


@pytest.fixture
def backup(tmp_path: Path) -> Iterator[tuple[Settings, Path]]:
    """Give settings of a server of its own, and the folder of its data."""
    yield (
        Settings(mongo_database="shop", data_dir=tmp_path / "data", publish_dir=tmp_path / "publish"),
        tmp_path / "mongod",
    )


def test_a_server_restored_from_a_backup_is_one_full_refresh(backup: tuple[Settings, Path], tmp_path: Path) -> None:
    settings, folder = backup
    with running_mongod(folder) as server, MongoClient[Document](server.uri) as client:
        client.shop.calls.insert_many([{"_id": n, "start_time": at(n)} for n in range(3)])
    shutil.copytree(folder, tmp_path / "copy")
    with running_mongod(folder) as server, MongoClient[Document](server.uri) as client:
        daemon = Daemon(dataclasses.replace(settings, mongo_uri=server.uri))
        daemon.refresh()
        client.shop.calls.insert_one({"_id": "after the backup", "start_time": at(3)})
        daemon.refresh()
        assert len(ids(settings)) == 4
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "copy", folder)
    with running_mongod(folder) as server:
        daemon.settings = dataclasses.replace(settings, mongo_uri=server.uri)
        daemon.job = Daemon(daemon.settings).job
        daemon.refresh()
        assert "restored from a backup" in daemon.requested[-1].tags["callviz/reason"]
        assert ids(settings) == ["0", "1", "2"]


@pytest.mark.parametrize("restarted", [True, pytest.param(False, marks=pytest.mark.long)])
def test_an_oplog_that_has_rolled_over_is_one_full_refresh(backup: tuple[Settings, Path], *, restarted: bool) -> None:
    settings, folder = backup
    with (
        running_mongod(folder, oplog_mb=1, checkpoint_seconds=1) as server,
        MongoClient[Document](server.uri) as client,
    ):
        client.shop.calls.insert_many([{"_id": n, "start_time": at(n)} for n in range(3)])
        daemon = Daemon(dataclasses.replace(settings, mongo_uri=server.uri))
        daemon.refresh()
        client.shop.calls.insert_one({"_id": "seen", "start_time": at(3)})
        daemon.refresh()
        client.shop.calls.insert_one({"_id": "unseen", "start_time": at(3)})
        client.shop.calls.delete_one({"_id": 0})
        roll_over(client)
        if restarted:
            server.stop()
            server.start()
        daemon.refresh()
        assert "its oplog has rolled over" in daemon.requested[-1].tags["callviz/reason"]
        assert ids(settings) == ["1", "2", "seen", "unseen"]
        assert daemon.tick().startswith("no changes")


def roll_over(client: MongoClient[Document]) -> None:
    """Write until the server has dropped everything that its oplog holds now."""
    oplog = client.local["oplog.rs"]

    def end(direction: int) -> Any:
        return next(oplog.find({}, {"ts": 1}).sort("$natural", direction))["ts"]

    last = end(-1)
    deadline = time.monotonic() + 120
    while end(1) <= last:
        assert time.monotonic() < deadline, "the oplog did not roll over"
        client.elsewhere.filler.insert_one({"filler": "x" * 100_000})
        time.sleep(0.02)


def test_a_restarted_server_loses_no_change(backup: tuple[Settings, Path]) -> None:
    settings, folder = backup
    with running_mongod(folder) as server, MongoClient[Document](server.uri) as client:
        client.shop.calls.insert_many([{"_id": n, "start_time": at(n)} for n in range(3)])
        daemon = Daemon(dataclasses.replace(settings, mongo_uri=server.uri))
        daemon.refresh()
        client.shop.calls.insert_one({"_id": "seen", "start_time": at(3)})
        daemon.refresh()
        client.shop.calls.insert_one({"_id": "unseen", "start_time": at(3)})
        server.kill()
        server.start()
        daemon.refresh()
        assert "callviz/reason" not in daemon.requested[-1].tags, "no full refresh"
        assert "unseen" in ids(settings)
        assert daemon.tick().startswith("no changes")


def test_without_change_streams_new_and_deleted_calls_are_seen(standalone_uri: str, tmp_path: Path) -> None:
    settings = Settings(
        mongo_uri=standalone_uri, mongo_database=f"test_{uuid.uuid4().hex[:12]}", data_dir=tmp_path / "data",
        publish_dir=tmp_path / "publish", partitions="daily", timezone=ZONE, partitions_start=at(0).date(),
        field_start_time="start_time",
    )  # fmt: skip
    with MongoClient[Document](standalone_uri) as client:
        calls = client[settings.database].calls
        try:
            calls.insert_many([{"_id": n, "start_time": at(n)} for n in range(7)])
            daemon = Daemon(settings)
            daemon.refresh()
            assert daemon.tick().startswith("no changes")
            calls.insert_one({"_id": 8, "start_time": at(5)})
            daemon.refresh()
            assert daemon.partitions == DAYS[5]
            calls.delete_one({"_id": 2})
            daemon.refresh()
            assert daemon.partitions == f"{DAYS[0]}...{DAYS[6]}"
            assert ids(settings) == ["0", "1", "3", "4", "5", "6", "8"]
            assert daemon.tick().startswith("no changes")
        finally:
            client.drop_database(settings.database)


def test_the_sensor_is_what_dagster_evaluates(daemon: Daemon, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": "new", "start_time": at(6)})
    settings = dataclasses.replace(daemon.settings, min_refresh_seconds=0)
    repository = build_definitions(settings).get_repository_def()
    sensor = repository.get_sensor_def("calls_changed")
    context = dg.build_sensor_context(
        instance=daemon.instance, cursor=daemon.cursor, resources={STAND_ALONE.mongo: MongoDB(settings)},
        repository_def=repository,
    )  # fmt: skip
    data = sensor.evaluate_tick(context)
    assert [request.job_name or "refresh_calls" for request in data.run_requests or []] == ["refresh_calls"]
    assert data.cursor is not None
    assert Cursor.from_json(data.cursor).requested is not None
    assert [event.asset_key for event in data.asset_events] == [dg.AssetKey("mongodb_calls")]


def test_a_token_that_the_server_cannot_know_is_lost_history(
    settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_one({"_id": 1})
    with MongoDB(settings).collection() as calls, pytest.raises(HistoryLostError):
        read_changes(calls, {"_data": "no token"})


@pytest.mark.parametrize(
    ("given", "sensor", "schedule"),
    [({}, "STOPPED", "STOPPED"), ({"watch": True, "nightly": "01:15"}, "RUNNING", "RUNNING")],
    ids=["by default", "as set"],
)
def test_sensor_and_schedule_are_on_where_the_settings_say(given: Document, sensor: str, schedule: str) -> None:
    repository = build_definitions(Settings(timezone="Europe/Berlin", **given)).get_repository_def()
    assert repository.get_sensor_def("calls_changed").default_status.value == sensor
    nightly = repository.get_schedule_def("nightly_refresh")
    assert nightly.default_status.value == schedule
    assert nightly.execution_timezone == "Europe/Berlin"
    assert nightly.cron_schedule == ("15 1 * * *" if given else "0 3 * * *")


def test_the_schedule_refreshes_every_partition(daily: Daemon) -> None:
    repository = build_definitions(daily.settings).get_repository_def()
    night = dt.datetime.now(dt.UTC)
    context = dg.build_schedule_context(instance=daily.instance, scheduled_execution_time=night)
    (request,) = repository.get_schedule_def("nightly_refresh").evaluate_tick(context).run_requests or []
    daily.requested.append(request)
    assert daily.partitions == f"{DAYS[0]}...{DAYS[6]}"
    assert daily.run()


@pytest.mark.parametrize(
    ("changes", "nights"),
    [
        (dt.date(2025, 3, 30), ["2025-03-29T02:30:00+01:00", "2025-03-30T03:00:00+02:00", "2025-03-31T02:30:00+02:00"]),
        (
            dt.date(2025, 10, 26),
            ["2025-10-25T02:30:00+02:00", "2025-10-26T02:30:00+01:00", "2025-10-27T02:30:00+01:00"],
        ),
    ],
    ids=["forward", "back"],
)
def test_the_night_in_which_the_clock_changes_has_one_refresh(changes: str, nights: list[str]) -> None:
    """The hour from two to three is missing in one of these nights, and there twice in the other."""
    settings = Settings(
        timezone="Europe/Berlin",
        nightly="02:30",
        partitions="daily",
        partitions_start=dt.date(2025, 1, 1),
        field_start_time="start_time",
    )
    schedule = build_definitions(settings).get_repository_def().get_schedule_def("nightly_refresh")
    evening = dt.datetime.fromisoformat(f"{changes}T20:00").replace(tzinfo=ZoneInfo("Europe/Berlin")) - dt.timedelta(2)
    ticks = [
        *itertools.islice(
            schedule_execution_time_iterator(
                evening.timestamp(), str(schedule.cron_schedule), schedule.execution_timezone, ascending=True
            ),
            3,
        )
    ]
    assert [tick.isoformat() for tick in ticks] == nights
    for tick in ticks:
        (request,) = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=tick)).run_requests or []
        assert request.tags["dagster/asset_partition_range_end"] == f"{tick:%Y-%m-%d}"
