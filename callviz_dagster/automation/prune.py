"""Removes old runs of this deployment from its Dagster instance, for `callviz prune --days 30`.

A run is removed with its events and its compute logs. Runs of other code locations stay, and so does every run that
made the newest state of an asset or of a partition: without it, Dagster would show them as never materialized. What
belongs elsewhere: which runs are this deployment's (`runs.py`), and the history of ticks, whose retention is set in
dagster.yaml.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from callviz_dagster.automation.runs import ended_runs
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings

LOCATION = "callviz_dagster"
"""The name of the code location in `pyproject.toml` and `workspace.yaml`."""
_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION
_AT_ONCE = 500
"""Partitions whose newest runs are looked up in one query."""


def prune_runs(
    instance: dg.DagsterInstance,
    settings: Settings,
    before: dt.datetime,
    location: str = LOCATION,
    names: Names = STAND_ALONE,
) -> list[str]:
    """Remove this deployment's runs that were created before a moment and have ended; return their ids.

    Args:
        instance: the Dagster instance.
        settings: this deployment's settings.
        before: the moment, with its time zone.
        location: the name of this deployment's code location in the instance.
        names: those of the collection.
    """
    old_runs = [run.run_id for run in ended_runs(instance, settings, location, before, names)]
    assets = {key for run_id in old_runs for key in _materialized(instance, run_id)}
    newest_runs = {run_id for key in assets for run_id in _newest_runs(instance, key)}
    removed = [run_id for run_id in old_runs if run_id not in newest_runs]
    for run_id in removed:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _remove_file(instance, run_id)
    return removed


def _materialized(instance: dg.DagsterInstance, run_id: str) -> set[dg.AssetKey]:
    events = instance.all_logs(run_id, of_type=_MATERIALIZATION)
    return {event.asset_materialization.asset_key for event in events if event.asset_materialization}


def _newest_runs(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[str]:
    """Yield the runs of the newest materializations of an asset, and of each of its partitions."""
    newest = instance.get_latest_materialization_event(asset)
    if newest:
        yield newest.run_id
    by_partition = instance.get_latest_storage_id_by_partition(asset, _MATERIALIZATION)
    for ids in _chunks(sorted(by_partition.values())):
        records = dg.AssetRecordsFilter(asset_key=asset, storage_ids=ids)
        yield from (record.run_id for record in instance.fetch_materializations(records, limit=len(ids)).records)


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _remove_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove the file that Dagster's SQLite storage has for a run, which stays when its events are deleted."""
    if isinstance(instance.event_log_storage, SqliteEventLogStorage):
        path = Path(instance.event_log_storage.path_for_shard(run_id))
        for suffix in ("", "-journal", "-shm", "-wal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
