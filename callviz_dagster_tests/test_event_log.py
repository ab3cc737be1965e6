"""What a refresh writes into Dagster's event log: little more than Dagster itself does, and each thing once."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.automation.jobs import partition_tags
from callviz_dagster.definitions import build_definitions
from callviz_dagster.names import STAND_ALONE
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.today import TODAY, ZONE

Document = dict[str, Any]
REFRESH_LIMIT, PARTITION_LIMIT = 120_000, 2_000
"""Bytes of event text in both files above the same assets and checks without content."""
pytestmark = pytest.mark.no_cover
COLLECTION = dg.AssetKey("mongodb_calls")
FIRST = TODAY - dt.timedelta(19)


def twenty_columns(collection: Collection[Document], number: int, days: int) -> None:
    collection.create_index("start_time")
    step = dt.timedelta(days=days) / number
    collection.insert_many(
        {
            "_id": n,
            "call_type": ("incoming", "outgoing", "missed")[n % 3],
            "status": ("completed", "busy", "no-answer", "failed")[n % 4],
            "start_time": FIRST + step * n,
            "end_time": FIRST + step * n + dt.timedelta(seconds=n % 600),
            "duration_sec": n % 600,
            "caller": f"+4930{n:07d}",
            "callee": f"+4989{n:07d}",
            "agent": ("Anna", "Ben", "Carla")[n % 3],
            "team": "ABCD"[n % 4],
            "queue": "support",
            "notes": f"asked for order {n}",
            "cost": n / 100,
            "wait_sec": n % 60,
            "direction": "in",
            "country": "DE",
            "recorded": n % 2 == 0,
            "trunk": "t1",
            "rating": n % 5,
            "tags": ["new", "vip"],
        }
        for n in range(number)
    )


def left_empty(definitions: dg.Definitions) -> dg.Definitions:
    """Return the same assets and checks, which do and say nothing; Tableau's nodes are packed with the workbook."""
    nodes = [spec.key for spec in definitions.assets or () if isinstance(spec, dg.AssetSpec) and spec.key != COLLECTION]

    def empty(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        checks = [*asset.check_specs]

        @dg.multi_asset(name=asset.op.name, specs=[*asset.specs], check_specs=checks)
        def nothing() -> Iterator[Any]:
            yield from (dg.AssetMaterialization(key) for key in nodes if asset.op.name == "callviz_workbook")
            yield from (dg.MaterializeResult(asset_key=key) for key in asset.keys)
            yield from (
                dg.AssetCheckResult(passed=True, asset_key=check.asset_key, check_name=check.name) for check in checks
            )

        return nothing.with_attributes(backfill_policy=dg.BackfillPolicy.single_run())

    def empty_check(checks: dg.AssetChecksDefinition) -> dg.AssetChecksDefinition:
        specs = [*checks.check_specs]

        @dg.multi_asset_check(name=checks.op.name, specs=specs)
        def nothing() -> Iterator[dg.AssetCheckResult]:
            yield from (
                dg.AssetCheckResult(passed=True, asset_key=check.asset_key, check_name=check.name) for check in specs
            )

        return nothing

    assets = [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]
    job = dg.define_asset_job(STAND_ALONE.job, executor_def=dg.in_process_executor)
    return dg.Definitions(
        assets=[empty(asset) for asset in assets],
        asset_checks=[
            empty_check(checks)
            for checks in definitions.asset_checks or ()
            if isinstance(checks, dg.AssetChecksDefinition)
        ],
        jobs=[job],
    )


def event_text(definitions: dg.Definitions, partitions: Sequence[Partition]) -> int:
    """Return the bytes of events of a refresh, which must succeed, in the run's file and in the index of all runs.

    The index repeats the events of assets and of their checks.
    """
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        job = definitions.resolve_job_def(STAND_ALONE.job)
        run_id = job.execute_in_process(instance=instance, tags=partition_tags(partitions, partitions)).run_id
        text = 0
        for path in (Path(folder, "history", "runs", name) for name in (f"{run_id}.db", "index.db")):
            with contextlib.closing(sqlite3.connect(path)) as database:
                ((size,),) = database.execute("SELECT sum(length(CAST(event AS BLOB))) FROM event_logs")
            assert size, f"{path.name} holds no events"
            text += size
        return text


def test_a_refresh_adds_little_to_what_dagster_writes_by_itself(
    settings: Settings, collection: Collection[Document]
) -> None:
    twenty_columns(collection, 2000, days=30)
    definitions = build_definitions(settings)
    whole = Partitioning.of(settings).partitions(FIRST)
    event_text(definitions, whole)
    added = event_text(definitions, whole) - event_text(left_empty(definitions), whole)
    assert added < REFRESH_LIMIT


def test_a_partition_adds_little_to_what_dagster_writes_by_itself(
    settings: Settings, collection: Collection[Document]
) -> None:
    twenty_columns(collection, 200, days=20)
    daily = dataclasses.replace(
        settings, timezone=ZONE, partitions="daily", partitions_start=FIRST.date(), field_start_time="start_time"
    )
    definitions = build_definitions(daily)
    days = Partitioning.of(daily).partitions(FIRST + dt.timedelta(20))
    event_text(definitions, Partitioning.of(daily).partitions(dt.datetime.now(dt.UTC)))
    few, many = days[:4], days[:14]
    more = event_text(definitions, many) - event_text(definitions, few)
    empty = left_empty(definitions)
    added = (more - event_text(empty, many) + event_text(empty, few)) / 10
    assert added < PARTITION_LIMIT
