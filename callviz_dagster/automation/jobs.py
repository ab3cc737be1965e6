"""The job `refresh_calls` and the schedule `nightly_refresh`.

What belongs elsewhere: refreshing when something has changed (`sensor.py`), and what a refresh does (`assets/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from callviz_dagster.automation.runs import COLLECTION_TAG, deployment_tags
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.partitions import PARTITIONS_TAG, Partition, Partitioning, format_keys
from callviz_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def build_refresh_calls(
    settings: Settings, assets: Sequence[dg.AssetsDefinition], names: Names = STAND_ALONE
) -> UnresolvedAssetJobDefinition:
    """Return the job that materializes these assets, which are all of callviz's for the collection."""
    return dg.define_asset_job(
        names.job,
        selection=dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys)),
        description=f"Read the collection {settings.database}.{settings.mongo_collection} and publish everything that "
        "is made from it.",
        executor_def=dg.in_process_executor,
        tags=deployment_tags(settings) | {COLLECTION_TAG: f"{settings.database}.{settings.mongo_collection}"},
    )


def build_nightly_refresh(
    settings: Settings, job: UnresolvedAssetJobDefinition, names: Names = STAND_ALONE
) -> dg.ScheduleDefinition:
    """Return the schedule that refreshes all partitions once a night, as a fallback for the sensor."""
    hour, minute = (settings.nightly or "03:00").split(":")

    @dg.schedule(
        name=names.schedule,
        job=job,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.nightly else dg.DefaultScheduleStatus.STOPPED,
        description=f"Refresh everything, all partitions included: the fallback for the sensor {names.sensor}.",
    )
    def nightly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        partitions = Partitioning.of(settings).partitions(context.scheduled_execution_time)
        return dg.RunRequest(
            run_key=context.scheduled_execution_time.isoformat(), tags=partition_tags(partitions, partitions)
        )

    return nightly_refresh


def partition_tags(partitions: Sequence[Partition], all_partitions: Sequence[Partition]) -> dict[str, str]:
    """Return the run tags that ask for some of all partitions; none where the one partition is the whole collection."""
    if not partitions or not partitions[0].key:
        return {}
    bounds = dict(zip(_RANGE_TAGS, (partitions[0].key, partitions[-1].key), strict=True))
    keys = format_keys(partitions, all_partitions)
    return bounds | ({PARTITIONS_TAG: keys} if ", " in keys else {})
