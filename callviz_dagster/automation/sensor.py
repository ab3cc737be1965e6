"""The sensor `calls_changed`: a thin shell that asks Dagster and MongoDB, and does what `decisions.py` decides.

What belongs elsewhere: what has changed (`poll.py`), the runs there are (`runs.py`), what is published
(`published.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from callviz_dagster.automation import decisions
from callviz_dagster.automation.decisions import Cursor, Request, Situation
from callviz_dagster.automation.jobs import partition_tags
from callviz_dagster.automation.poll import poll
from callviz_dagster.automation.published import published_inputs, read_but_not_published
from callviz_dagster.automation.runs import REQUEST_TAG, end_dead_runs, last_refresh, outcome_of
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.refreshing import refreshing_process, update_working_copy
from callviz_dagster.table.volume import why_to_wait

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from callviz_dagster.mongodb.connection import MongoDB

REASON_TAG = "callviz/reason"
TICK_SECONDS = 10


def build_calls_changed(
    settings: Settings, job: UnresolvedAssetJobDefinition, names: Names = STAND_ALONE
) -> dg.SensorDefinition:
    """Return the sensor that refreshes what has changed."""

    @dg.sensor(
        name=names.sensor,
        job=job,
        minimum_interval_seconds=min(TICK_SECONDS, settings.min_refresh_seconds),
        default_status=dg.DefaultSensorStatus.RUNNING if settings.watch else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={names.mongo},
        description=f"Watch the collection {settings.database}.{settings.mongo_collection} and refresh only what has "
        "changed: by a change stream where the server has one, else by the number of documents and the newest _id "
        f"(which misses updates; {names.schedule} catches them).",
    )
    def calls_changed(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        mongo = getattr(context.resources, names.mongo)
        origin = context.code_location_origin
        location = origin.location_name if origin else None
        return tick(context.cursor, context.instance, mongo, settings, dt.datetime.now(dt.UTC), location, names)

    return calls_changed


def tick(
    text: str | None,
    instance: dg.DagsterInstance,
    mongo: MongoDB,
    settings: Settings,
    now: dt.datetime,
    location: str | None = None,
    names: Names = STAND_ALONE,
) -> dg.SensorResult:
    """Look up the refresh that was requested last, poll MongoDB, and decide.

    Args:
        text: the cursor as the last tick left it.
        instance: the Dagster instance.
        mongo: the collection.
        settings: this deployment's settings.
        now: the present.
        location: the name of this deployment's code location in the instance.
        names: those of the collection.

    Raises:
        MongoError: MongoDB cannot be read; the cursor stays, so the next good tick catches up.
    """
    runs = end_dead_runs(instance, settings, location, now, names)
    partitions = Partitioning.of(settings).partitions(now)
    inputs = published_inputs(settings, partitions)
    published = {key: input_file.cluster_time for key, input_file in inputs.items()}
    cursor = Cursor.from_json(text)
    outcome, failure = outcome_of(cursor.requested, instance)
    cursor = decisions.after_run(cursor, outcome, now, settings.min_refresh_seconds, failure, published)
    if busy := _busy(runs, settings):
        # Changes wait in the server until the refresh is done; then it is known which of them it has read.
        return dg.SensorResult(cursor=cursor.to_json(), skip_reason=f"{busy}; changes wait for its end")
    update_working_copy(settings.data_dir, lambda name: name.endswith(".json"))
    polled = poll(cursor, mongo, settings, now)
    pending = decisions.latest(polled.cursor.pending, read_but_not_published(settings, partitions, inputs))
    cursor = dataclasses.replace(polled.cursor, pending=decisions.still_pending(pending, published))
    situation = Situation(
        keys=[partition.key for partition in partitions],
        now=now,
        last_refresh=last_refresh(instance, settings),
        min_seconds=settings.min_refresh_seconds,
        more=polled.more,
        documents=polled.documents,
        clock=ZoneInfo(settings.timezone),
        note=polled.note,
        refused=why_to_wait(settings.data_dir, polled.documents, max_drop=settings.max_drop),
    )
    decision = decisions.decide(cursor, situation, request_id=f"{now:%Y%m%dT%H%M%S.%f}")
    observation = dg.AssetObservation(names.key("mongodb_calls"), metadata=polled.observation)
    request = decision.cursor.requested
    run_requests = [_run_request(request, partitions)] if request and not decision.reason else []
    return dg.SensorResult(
        cursor=decision.cursor.to_json(),
        skip_reason=decision.reason or None,
        run_requests=run_requests or None,
        asset_events=[observation] if polled.observation else [],
    )


def _busy(runs: list[dg.DagsterRun], settings: Settings) -> str:
    """Return who is refreshing now, or is about to; an empty text where nobody is."""
    if runs:
        return f"refresh {runs[0].run_id[:8]} is {runs[0].status.value.lower()}"
    if process := refreshing_process(settings.data_dir):
        return f"{process} is refreshing the same files"
    return ""


def _run_request(request: Request, partitions: list[Partition]) -> dg.RunRequest:
    requested = (
        partitions if request.full_refresh else [partition for partition in partitions if partition.key in request.keys]
    )
    tags = partition_tags(requested, partitions) | {REQUEST_TAG: request.id}
    if request.full_refresh:
        tags[REASON_TAG] = request.full_refresh
    return dg.RunRequest(tags=tags)
