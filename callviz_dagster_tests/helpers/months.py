"""Shared by tests that refresh calls of many months on one machine and on several.

ASSETS, FIRST_MONTH, MONTHS, NOW, calls_of_months, data_versions, last_partitions, monthly, refreshed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pymongo.collection import Collection

from callviz_dagster.definitions import build_definitions
from callviz_dagster.partitions import PARTITIONS_TAG, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.refresh import empty_instance, failure

Document = dict[str, Any]
MONTHS = 24
ASSETS = ("raw_calls", "calls", "rejected_calls", "calls_csv", "call_dashboard")
NOW = dt.datetime.now(dt.UTC).replace(day=15, hour=12)
FIRST_MONTH = (NOW.replace(day=1) - dt.timedelta(days=31 * (MONTHS - 1) - 14)).replace(day=1, hour=0)


def monthly(settings: Settings) -> Settings:
    """Return the settings of a collection that is cut by month."""
    return dataclasses.replace(
        settings, partitions="monthly", partitions_start=FIRST_MONTH.date(), field_start_time="start_time"
    )


def last_partitions(settings: Settings, number: int) -> Settings:
    """Return the settings of a collection in this number of partitions up to today: one, some months or many days."""
    now = dt.datetime.now(dt.UTC)
    cut = monthly(settings)
    if number == 1:
        return dataclasses.replace(cut, partitions="none", partitions_start=None)
    if number > MONTHS:
        cut = dataclasses.replace(
            cut, partitions="daily", partitions_start=(now - dt.timedelta(days=number + 1)).date()
        )
    first = Partitioning.of(cut).partitions(now)[-number].key
    return dataclasses.replace(cut, partitions_start=dt.date.fromisoformat(first))


def calls_of_months(collection: Collection[Document], number: int = 1_000) -> None:
    """Insert calls of all months until yesterday, with a field that only the last ones have."""
    step = (NOW - dt.timedelta(days=16) - FIRST_MONTH) / number
    collection.create_index("start_time")
    collection.insert_many(
        {
            "_id": f"{n:06d}",
            "start_time": FIRST_MONTH + n * step,
            "duration_sec": n % 300,
            "status": ("completed", "missed", "busy")[n % 3],
            "call_type": ("incoming", "outgoing")[n % 2],
            "caller": f"+4930{n:07d}",
            **({"late": n} if n > number - 10 else {}),
        }
        for n in range(number)
    )


def refreshed(
    settings: Settings, *, only: str = "", assets: Sequence[str] = ASSETS, **other: Any
) -> dg.ExecuteInProcessResult:
    """Refresh all partitions or one of them, with other settings."""
    whole = dataclasses.replace(settings, **other)
    definitions = build_definitions(whole)
    job = dg.define_asset_job("test", dg.AssetSelection.assets(*assets), executor_def=dg.in_process_executor)
    resolved = dg.Definitions(
        assets=definitions.assets, jobs=[job], resources=definitions.resources, executor=dg.in_process_executor
    ).resolve_job_def("test")
    keys = [partition.key for partition in Partitioning.of(whole).partitions(dt.datetime.now(dt.UTC))]
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    tags |= {PARTITIONS_TAG: only} if only else {}
    return resolved.execute_in_process(raise_on_error=False, tags=tags if keys[0] else {}, instance=empty_instance())


def data_versions(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return for each asset the digest of the content of its files: all but the snapshot that they name."""
    assert result.success, failure(result)
    events = [event.materialization for event in result.get_asset_materialization_events()]
    return {event.asset_key.to_user_string(): (event.tags or {})["dagster/data_version"] for event in events}
