"""When the assets are refreshed: the job, the sensor `calls_changed` and the schedule `nightly_refresh`.

Thin shells: they ask MongoDB and Dagster, and do what `automation/decisions.py` decides. What belongs elsewhere: what
an asset does (`assets/`).
"""

import dataclasses
import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg

from callviz_dagster.automation import decisions as watch
from callviz_dagster.automation.decisions import Cursor, Mark, Outcome
from callviz_dagster.partitions import PARTITIONS_TAG, Partition, Partitioning, format_keys
from callviz_dagster.settings import Settings
from callviz_dagster.storage.lock import held_by

if TYPE_CHECKING:
    from callviz_dagster.mongodb.resource import Change, MongoDB

REQUEST_TAG = "callviz/request"
TICK_SECONDS = 10
_BOUND = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_ASSET_JOB = "__ASSET_JOB"
"""Dagster's job for whatever is materialized without a job, in every code location."""
_OURS = {dg.AssetKey(name) for name in ("raw_calls", "calls", "rejected_calls", "calls_csv")}
_PENDING_RUNS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Every status of a run that still means to do something; Dagster's own list leaves the queued ones out."""
_HAS_PROCESS = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_SILENCE = dt.timedelta(minutes=15)
"""A refresh that runs logs its progress every few seconds."""
_MOST_TRACED = 100_000
_MOST_AHEAD = dt.timedelta(days=366)

refresh_calls = dg.define_asset_job(
    "refresh_calls",
    selection=dg.AssetSelection.all().materializable(),
    description="Read the collection and publish everything that is made from it.",
    executor_def=dg.in_process_executor,
)


def build_nightly_refresh(settings: Settings) -> dg.ScheduleDefinition:
    """Return the schedule that refreshes everything once a night, as a net under the sensor."""
    hour, minute = (settings.nightly or "03:00").split(":")

    @dg.schedule(
        name="nightly_refresh",
        job=refresh_calls,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if settings.nightly else dg.DefaultScheduleStatus.STOPPED,
        description="Refresh everything, every partition too: a net under the sensor calls_changed.",
    )
    def nightly_refresh(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        every = Partitioning.of(settings).partitions(context.scheduled_execution_time)
        return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat(), tags=run_tags(every, every))

    return nightly_refresh


def build_calls_changed(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that refreshes what has changed."""

    @dg.sensor(
        name="calls_changed",
        job=refresh_calls,
        minimum_interval_seconds=min(TICK_SECONDS, settings.min_refresh_seconds),
        default_status=dg.DefaultSensorStatus.RUNNING if settings.watch else dg.DefaultSensorStatus.STOPPED,
        description="Watch the collection and refresh only what has changed: by a change stream on a replica set, else "
        "by the number of documents and the newest _id (which misses updates; nightly_refresh catches them).",
    )
    def calls_changed(context: dg.SensorEvaluationContext, mongo: dg.ResourceParam[Any]) -> dg.SensorResult:
        return tick(context.cursor, context.instance, mongo, settings, dt.datetime.now(dt.UTC))

    return calls_changed


def tick(
    text: str | None, instance: dg.DagsterInstance, mongo: "MongoDB", settings: Settings, now: dt.datetime
) -> dg.SensorResult:
    """Look once: at the refresh asked for last, at MongoDB, and decide.

    Raises:
        MongoError: MongoDB cannot be read; the cursor stays, so the next good tick catches up.
    """
    cursor = Cursor.from_json(text)
    busy = _end_dead_runs(instance, settings, now)
    outcome, failure = outcome_of(cursor, instance)
    cursor = watch.after_run(cursor, outcome, now, settings.min_refresh_seconds, failure)
    if busy:
        # Changes wait in the server until the refresh is done; then those that it has read are told from the rest.
        return dg.SensorResult(
            cursor=cursor.to_json(),
            skip_reason=f"refresh {busy[0].run_id[:8]} is {busy[0].status.value.lower()}; changes wait for its end",
        )
    if process := held_by(settings.data_dir):
        return dg.SensorResult(
            cursor=cursor.to_json(),
            skip_reason=f"process {process} is refreshing the same files; changes wait for its end",
        )
    polled = poll(cursor, mongo, settings, now)
    partitioning = Partitioning.of(settings)
    every = partitioning.partitions(now)
    decision = watch.decide(
        polled.cursor,
        keys=[partition.key for partition in every],
        now=now,
        last_refresh=last_refresh(instance),
        min_seconds=settings.min_refresh_seconds,
        more=polled.more,
        documents=polled.documents,
        request_id=f"{now:%Y%m%dT%H%M%S.%f}",
        clock=ZoneInfo(settings.timezone),
    )
    observed = [dg.AssetObservation("mongodb_calls", metadata=polled.told)] if polled.told else []
    request = decision.cursor.requested
    if decision.reason or request is None:
        return dg.SensorResult(cursor=decision.cursor.to_json(), skip_reason=decision.reason, asset_events=observed)
    some = every if request.everything else [partition for partition in every if partition.key in request.keys]
    tags = run_tags(some, every) | {REQUEST_TAG: request.id}
    if request.everything:
        tags["callviz/reason"] = request.everything
    return dg.SensorResult(
        cursor=decision.cursor.to_json(), run_requests=[dg.RunRequest(tags=tags)], asset_events=observed
    )


def _end_dead_runs(instance: dg.DagsterInstance, settings: Settings, now: dt.datetime) -> list[dg.DagsterRun]:
    """Return the refreshes that are queued or running; report those as failed whose process must be dead.

    After a power cut nobody tells Dagster that a run has ended, and it would be waited for without end. The runs of
    other code locations in the same Dagster instance are none of our business.
    """
    runs = instance.get_runs(dg.RunsFilter(job_name=refresh_calls.name, statuses=_PENDING_RUNS))
    others = instance.get_runs(dg.RunsFilter(job_name=_ASSET_JOB, statuses=_PENDING_RUNS))
    busy = []
    for run in [*runs, *(run for run in others if run.asset_selection and not _OURS.isdisjoint(run.asset_selection))]:
        if run.status in _HAS_PROCESS and _silent(instance, run, now) and not held_by(settings.data_dir):
            instance.report_run_failed(run, f"Nothing was heard of this run for {_SILENCE}; its process has ended.")
        else:
            busy.append(run)
    return busy


def _silent(instance: dg.DagsterInstance, run: dg.DagsterRun, now: dt.datetime) -> bool:
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(last) and now - dt.datetime.fromtimestamp(last[0].timestamp, dt.UTC) > _SILENCE


def run_tags(partitions: Sequence[Partition], every: Sequence[Partition]) -> dict[str, str]:
    """Return the run tags that ask for these partitions; none where the one partition is the whole collection."""
    if not partitions or not partitions[0].key:
        return {}
    bounds = dict(zip(_BOUND, (partitions[0].key, partitions[-1].key), strict=True))
    text = format_keys(partitions, every)
    return bounds | ({PARTITIONS_TAG: text} if ", " in text else {})


def outcome_of(cursor: Cursor, instance: dg.DagsterInstance) -> tuple[Outcome, str]:
    """Return what became of the refresh that the cursor asked for, and why where it failed."""
    if cursor.requested is None:
        return Outcome.NONE, ""
    runs = instance.get_runs(dg.RunsFilter(tags={REQUEST_TAG: cursor.requested.id}), limit=1)
    if not runs:
        return Outcome.FAILED, "the run was never started"
    run = runs[0]
    if run.status in _PENDING_RUNS:
        return Outcome.RUNNING, ""
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return Outcome.DONE, ""
    return Outcome.FAILED, f"run {run.run_id[:8]} was {'canceled' if run.status.value == 'CANCELED' else 'a failure'}"


def last_refresh(instance: dg.DagsterInstance) -> dt.datetime | None:
    """Return when the last refresh was asked for."""
    records = instance.get_run_records(dg.RunsFilter(job_name=refresh_calls.name), limit=1)
    return records[0].create_timestamp.replace(tzinfo=dt.UTC) if records else None


@dataclasses.dataclass(frozen=True)
class PollResult:
    """What a look at MongoDB has found."""

    cursor: Cursor
    documents: int
    more: bool = False
    told: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def poll(cursor: Cursor, mongo: "MongoDB", settings: Settings, now: dt.datetime) -> PollResult:
    """Read what has changed since the last look, and add it to what is pending.

    Raises:
        MongoError: MongoDB cannot be read.
    """
    server = mongo.poll()
    source = f"{settings.database}.{settings.mongo_collection}"
    partitioning = str(Partitioning.of(settings))
    before = cursor.looked
    if cursor.source != source:
        why = f"{source} is read instead of {cursor.source}" if cursor.source else "the first look at the collection"
        cursor = watch.request_full_refresh(Cursor(), why)
    elif cursor.partitioning != partitioning:
        cursor = watch.request_full_refresh(cursor, f"partitions are {partitioning} instead of {cursor.partitioning}")
        cursor = dataclasses.replace(cursor, pending={})
    restarted = bool(cursor.process) and cursor.process != server.process
    cursor = dataclasses.replace(
        cursor, source=source, partitioning=partitioning, process=server.process, looked=now.isoformat()
    )
    by = _by_stream if server.change_streams else _by_watermark
    polled = by(cursor, mongo, settings, restarted=restarted)
    pending = watch.still_pending(polled.cursor.pending, snapshots(polled.cursor.pending, settings))
    quiet_since = polled.cursor.quiet_since or now.isoformat()
    told = dict(polled.told)
    if told:
        quiet_since = now.isoformat()
        told["since"] = _timestamp(before) if before else "the first look"
    found = dataclasses.replace(polled.cursor, pending=pending, quiet_since=quiet_since)
    return PollResult(found, server.documents, polled.more, told)


def _timestamp(text: str) -> dg.MetadataValue:
    return dg.MetadataValue.timestamp(dt.datetime.fromisoformat(text))


def _by_stream(cursor: Cursor, mongo: "MongoDB", settings: Settings, *, restarted: bool) -> PollResult:
    from callviz_dagster.mongodb.resource import HistoryLostError

    field = settings.field_start_time or "" if settings.partitions != "none" else ""
    try:
        if cursor.token is None and not cursor.everything:
            raise HistoryLostError("The cursor has no place to go on from.")
        if restarted and cursor.last_change and not mongo.still_knows((cursor.last_change[0], cursor.last_change[1])):
            raise HistoryLostError(
                "The server was restarted and no longer knows the last change: it was restored from a backup, or its "
                "oplog has rolled over."
            )
        feed = mongo.changes(cursor.token, field)
    except HistoryLostError as error:
        feed = mongo.changes(None, field)
        cursor = dataclasses.replace(
            watch.request_full_refresh(cursor, str(error)), pending={}, last_change=None, token=feed.token
        )
        return PollResult(cursor, 0, told={"history lost": str(error)})
    changed, why = affected_partitions(feed.changes, settings)
    cursor = dataclasses.replace(
        watch.request_full_refresh(cursor, why) if why else cursor,
        token=feed.token,
        last_change=list(feed.changes[-1].at) if feed.changes else cursor.last_change,
        watermark=None,
        pending=watch.latest(cursor.pending, changed),
    )
    return PollResult(cursor, 0, feed.more, _counts(feed.changes, changed, settings))


def _by_watermark(cursor: Cursor, mongo: "MongoDB", settings: Settings, *, restarted: bool) -> PollResult:
    from bson import json_util

    count, newest = mongo.watermark()
    now = [count, json_util.dumps(newest)]
    before = cursor.watermark
    cursor = dataclasses.replace(cursor, watermark=now, token=None, last_change=None)
    if before == now or (before is None and cursor.everything):
        return PollResult(cursor, count)
    if before is None:
        return PollResult(watch.request_full_refresh(cursor, "the server had change streams before"), count)
    partitioning = Partitioning.of(settings)
    keys: set[str | None] = {""}
    came = max(count - before[0], 0)
    if partitioning.partitioned:
        last = json_util.loads(before[1])
        starts = mongo.starts_after(last, partitioning.field) if last is not None else []
        keys = {partitioning.key_of(start) for start in starts}
        if len(starts) != count - before[0]:
            why = "the number of documents has changed otherwise than by new ones"
            return PollResult(
                watch.request_full_refresh(cursor, why), count, told={"documents": count, "before": before[0]}
            )
    changed: dict[str, Mark] = {key: None for key in keys if key is not None}
    told = {"inserted": came, "documents": count, "before": before[0]}
    return PollResult(dataclasses.replace(cursor, pending=watch.latest(cursor.pending, changed)), count, told=told)


def affected_partitions(changes: Iterable["Change"], settings: Settings) -> tuple[dict[str, Mark], str]:
    """Return the partitions that changes touch, each with the latest mark; and why it may be any, if so.

    A call that is deleted, or whose start time was another before, is looked up in the published calls.
    """
    partitioning = Partitioning.of(settings)
    marks: dict[str, Mark] = {}
    lost: dict[str, Mark] = {}
    horizon = (dt.datetime.now(dt.UTC) + _MOST_AHEAD).date().isoformat()
    for change in changes:
        mark: Mark = list(change.at)
        if not partitioning.partitioned:
            marks = watch.latest(marks, {"": mark})
            continue
        key = partitioning.key_of(change.start)
        if key is not None and key <= horizon:
            marks = watch.latest(marks, {key: mark}) if marks.get(key) != mark else marks
        if change.moved:
            text = _id_text(change.identifier)
            if text is None or len(lost) > _MOST_TRACED:
                return {}, "calls were deleted or moved that cannot be looked up in what is published"
            lost[text] = mark
    if lost:
        marks = watch.latest(marks, partitions_of_ids(lost, settings))
    return marks, ""


def partitions_of_ids(identifiers: Mapping[str, Mark], settings: Settings) -> dict[str, Mark]:
    """Return the partitions whose published calls have one of these `_id` values, each with the latest mark."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(list(identifiers), pa.string())
    found: dict[str, Mark] = {}
    for partition in Partitioning.of(settings).partitions(dt.datetime.now(dt.UTC)):
        path = partition.calls(settings.data_dir)
        if not path.exists():
            continue
        column = pq.read_table(path, columns=["_id"]).column(0)
        for text in column.filter(pc.is_in(column, wanted)).to_pylist():
            found = watch.latest(found, {partition.key: identifiers[text]})
    return found


def _id_text(identifier: Any) -> str | None:
    """Return an `_id` as `calls` shows it; None for a type that needs more than its plain text."""
    from bson import Binary, Decimal128, ObjectId

    if isinstance(identifier, Binary):
        return str(identifier.as_uuid()) if identifier.subtype == 4 and len(identifier) == 16 else None
    if isinstance(identifier, bool):
        return None
    return str(identifier) if isinstance(identifier, str | int | ObjectId | Decimal128) else None


def snapshots(keys: Iterable[str], settings: Settings) -> dict[str, Mark]:
    """Return, for each key, the cluster time at which its published calls were read."""
    partitioning = Partitioning.of(settings)
    found: dict[str, Mark] = {}
    for key in keys:
        partition = partitioning.partition(key)
        manifest = partition.manifest(settings.data_dir)
        if not manifest.exists() or not partition.calls(settings.data_dir).exists():
            continue
        data = json.loads(manifest.read_text(encoding="utf-8"))
        numbers = re.findall(r"\d+", data.get("cluster_time", ""))
        if len(numbers) == 2 and data.get("span", "") == partition.span:
            found[key] = [int(number) for number in numbers]
    return found


def _counts(changes: Sequence["Change"], changed: Mapping[str, Mark], settings: Settings) -> dict[str, Any]:
    if not changes:
        return {}
    kinds = Counter(change.kind for change in changes)
    counts: dict[str, Any] = {
        "inserted": kinds["insert"],
        "updated": kinds["update"] + kinds["replace"],
        "deleted": kinds["delete"],
    }
    if settings.partitions != "none":
        counts["partitions"] = ", ".join(sorted(changed)[:50]) or "none"
    return counts
