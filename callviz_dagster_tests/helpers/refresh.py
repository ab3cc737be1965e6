"""Shared by tests: an instance, checks, failure, files, metadata, paths, refresh, some_calls, without_coverage."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pymongo.collection import Collection

from callviz_dagster.definitions import build_definitions
from callviz_dagster.settings import Settings
from callviz_dagster.storage import run_file

Document = dict[str, Any]
START = dt.datetime(2024, 3, 30, 23, 30, tzinfo=dt.UTC)

_of_thread = threading.local()


def empty_instance() -> dg.DagsterInstance:
    """Return an instance without runs: one a thread, wiped, because making its tables takes longer than a small run."""
    if not hasattr(_of_thread, "instance"):
        _of_thread.instance = dg.DagsterInstance.ephemeral()
    instance: dg.DagsterInstance = _of_thread.instance
    instance.wipe()
    return instance


@contextlib.contextmanager
def without_coverage() -> Iterator[None]:
    """Leave coverage out of a refresh that others reach the lines of: it makes one take half as long again."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def refresh(settings: Settings, *assets: str, tags: Mapping[str, str] | None = None) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(settings)
    selection = dg.AssetSelection.assets(*(assets or ("raw_calls", "calls", "rejected_calls", "calls_csv")))
    job = dg.define_asset_job("test", selection=selection, executor_def=dg.in_process_executor)
    resolved = dg.Definitions(
        assets=definitions.assets, jobs=[job], resources=definitions.resources, executor=dg.in_process_executor
    ).resolve_job_def("test")
    return resolved.execute_in_process(tags=dict(tags or {}), raise_on_error=False, instance=empty_instance())


def refresh_job(settings: Settings, *, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    """Run the job refresh_calls, with the checks that come after the assets."""
    job = build_definitions(settings).resolve_job_def("refresh_calls")
    return job.execute_in_process(raise_on_error=False, tags=tags, instance=empty_instance())


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    for event in result.get_asset_materialization_events():
        if event.materialization.asset_key == dg.AssetKey(asset):
            return {name: value.value for name, value in event.materialization.metadata.items()}
    raise AssertionError(f"{asset} was not materialized")


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    assert data.user_failure_data is not None or data.error is not None
    return str(data.user_failure_data.description if data.user_failure_data else data.error)


def files(settings: Settings) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in paths(settings)}


def paths(settings: Settings) -> list[Path]:
    """Return all files of a deployment, but for those that say which runs are at work."""
    files = [path for folder in (settings.data_dir, settings.publish_dir) for path in folder.rglob("*")]
    return [path for path in files if path.is_file() and run_file.FOLDER not in path.parts]


def some_calls(collection: Collection[Document], number: int = 10) -> None:
    collection.insert_many(
        {
            "_id": n,
            "call_type": "incoming",
            "status": "completed",
            "start_time": START + dt.timedelta(hours=n),
            "end_time": START + dt.timedelta(hours=n, seconds=90),
            "duration_sec": 90,
            "caller": f"+4930{n:07d}",
        }
        for n in range(number)
    )
