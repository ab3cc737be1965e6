"""Polling MongoDB: what has changed since the last poll, and which partitions that touches.

What belongs elsewhere: deciding what to do about it (`decisions.py`), and reading changes (`mongodb/changes.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from pymongo.errors import OperationFailure

from callviz_dagster.automation import decisions
from callviz_dagster.automation.decisions import ClusterTime, Cursor
from callviz_dagster.concurrency import parallel_map
from callviz_dagster.mongodb.changes import Calls, Change, read_changes, starts_after, still_knows, watermark
from callviz_dagster.mongodb.errors import AUTHENTICATION_FAILED, HistoryLostError, passes, reason_of
from callviz_dagster.mongodb.server import Server, inspect_server
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.refreshing import update_working_copy

if TYPE_CHECKING:
    from callviz_dagster.mongodb.connection import MongoDB

_MOST_TRACED = 100_000
"""Deleted or moved calls that are looked up in what is published; beyond that everything is refreshed."""
_MOST_AHEAD = dt.timedelta(days=366)
"""How far in the future a call may lie to be remembered; what lies beyond would only fill the cursor."""
_MOST_KEYS_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class PollResult:
    """What a poll of MongoDB has found."""

    cursor: Cursor
    documents: int
    """About how many the collection has."""
    more: bool = False
    """Whether there are more changes to read."""
    observation: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Metadata of what has changed; empty where nothing has."""
    note: str = ""
    """What a user should know about how changes are found."""


def poll(cursor: Cursor, mongo: MongoDB, settings: Settings, now: dt.datetime) -> PollResult:
    """Read what has changed since the last poll, and add it to what is pending.

    Raises:
        MongoError: MongoDB cannot be read.
    """
    with mongo.collection() as collection:
        server = inspect_server(collection)
        restarted = bool(cursor.process) and cursor.process != server.process
        before = cursor.polled
        cursor = dataclasses.replace(_for_this_source(cursor, settings), process=server.process, polled=now.isoformat())
        result = _poll(cursor, collection, server, settings, now, restarted=restarted)
    observation = dict(result.observation)
    quiet_since = result.cursor.quiet_since or now.isoformat()
    if observation:
        quiet_since = now.isoformat()
        observation["since"] = _timestamp(before) if before else "the first poll"
    return dataclasses.replace(
        result, cursor=dataclasses.replace(result.cursor, quiet_since=quiet_since), observation=observation
    )


def _for_this_source(cursor: Cursor, settings: Settings) -> Cursor:
    """Return the cursor for the collection and the partitioning that are set; another one's is of no use."""
    source, partitioning = f"{settings.database}.{settings.mongo_collection}", str(Partitioning.of(settings))
    if cursor.source != source:
        why = f"{source} is read instead of {cursor.source}" if cursor.source else "the first poll of the collection"
        cursor = decisions.request_full_refresh(Cursor(), why)
    elif cursor.partitioning != partitioning:
        why = f"partitions are {partitioning} instead of {cursor.partitioning}"
        cursor = dataclasses.replace(decisions.request_full_refresh(cursor, why), pending={})
    return dataclasses.replace(cursor, source=source, partitioning=partitioning)


def _timestamp(text: str) -> dg.MetadataValue:
    return dg.MetadataValue.timestamp(dt.datetime.fromisoformat(text))


def _poll(
    cursor: Cursor, collection: Calls, server: Server, settings: Settings, now: dt.datetime, *, restarted: bool
) -> PollResult:
    """Poll by a change stream; where there is none, by number and newest `_id`, and say why."""
    why = server.no_change_stream
    if not why:
        try:
            return _by_stream(cursor, collection, settings, now, restarted=restarted)
        except OperationFailure as error:
            if error.code == AUTHENTICATION_FAILED or passes(error):
                raise
            why = f"the server refuses it: {reason_of(error)}"
    result = _by_watermark(cursor, collection, settings)
    note = f"polled without a change stream ({why}), so changes of existing calls wait for nightly_refresh"
    return dataclasses.replace(result, note=note)


def _by_stream(
    cursor: Cursor, collection: Calls, settings: Settings, now: dt.datetime, *, restarted: bool
) -> PollResult:
    field = settings.field_start_time or "" if settings.partitions != "none" else ""
    documents = collection.estimated_document_count()
    try:
        if cursor.token is None and not cursor.full_refresh:
            raise HistoryLostError("The cursor has no place to continue from.")
        last = cursor.last_change
        if restarted and last and not still_knows(collection, (last[0], last[1])):
            raise HistoryLostError(
                "The server was restarted and no longer knows the last change: it was restored from a backup, or its "
                "oplog has rolled over."
            )
        feed = read_changes(collection, cursor.token, field)
    except HistoryLostError as error:
        feed = read_changes(collection, None, field)
        cursor = decisions.request_full_refresh(cursor, str(error), feed.cluster_time)
        cursor = dataclasses.replace(cursor, pending={}, last_change=None, token=feed.token)
        return PollResult(cursor, documents, observation={"history lost": str(error)})
    changed, why = affected_partitions(feed.changes, settings, now)
    if why or cursor.token is None:
        cursor = decisions.request_full_refresh(cursor, why, feed.cluster_time)
    cursor = dataclasses.replace(
        cursor,
        token=feed.token,
        last_change=list(feed.changes[-1].cluster_time) if feed.changes else cursor.last_change,
        watermark=None,
        pending=decisions.latest(cursor.pending, changed),
    )
    return PollResult(cursor, documents, feed.more, _counts(feed.changes, changed, settings))


def _by_watermark(cursor: Cursor, collection: Calls, settings: Settings) -> PollResult:
    from bson import json_util

    count, newest = watermark(collection)
    now = [count, json_util.dumps(newest)]
    before = cursor.watermark
    cursor = dataclasses.replace(cursor, watermark=now, token=None, last_change=None)
    if before == now or (before is None and cursor.full_refresh):
        return PollResult(cursor, count)
    if before is None:
        return PollResult(decisions.request_full_refresh(cursor, "there was a change stream before"), count)
    partitioning = Partitioning.of(settings)
    observation = {"documents": count, "before": before[0]}
    keys: set[str | None] = {""}
    if partitioning.partitioned:
        last = json_util.loads(before[1])
        starts = starts_after(collection, last, partitioning.field) if last is not None else []
        keys = {partitioning.key_of(start) for start in starts}
        if len(starts) != count - before[0]:
            why = "the number of documents has changed, and not only by new ones"
            return PollResult(decisions.request_full_refresh(cursor, why), count, observation=observation)
    changed: dict[str, ClusterTime] = {key: None for key in keys if key is not None}
    return PollResult(
        dataclasses.replace(cursor, pending=decisions.latest(cursor.pending, changed)),
        count,
        observation={"inserted": max(count - before[0], 0), **observation},
    )


def affected_partitions(
    changes: Iterable[Change], settings: Settings, now: dt.datetime
) -> tuple[dict[str, ClusterTime], str]:
    """Return the partitions that changes touch, each with the latest cluster time; and why it may be any, if so.

    A call that is deleted, or whose start time was another before, is looked up in `calls`.
    """
    partitioning = Partitioning.of(settings)
    affected: dict[str, ClusterTime] = {}
    traced: dict[str, ClusterTime] = {}
    horizon = (now + _MOST_AHEAD).date().isoformat()
    for change in changes:
        at = list(change.cluster_time)
        if not partitioning.partitioned:
            affected[""] = at
            continue
        key = partitioning.key_of(change.start)
        if key is not None and key <= horizon:
            affected[key] = at
        if change.moved:
            text = _id_text(change.identifier)
            if text is None or len(traced) > _MOST_TRACED:
                return {}, "calls were deleted or moved that cannot be looked up in what is published"
            traced[text] = at
    return decisions.latest(affected, partitions_of_ids(traced, settings, now)) if traced else affected, ""


def partitions_of_ids(
    identifiers: Mapping[str, ClusterTime], settings: Settings, now: dt.datetime
) -> dict[str, ClusterTime]:
    """Return the partitions whose `calls` have one of these `_id` values, each with the latest cluster time."""
    from callviz_dagster.table.identifiers import existing_ids

    update_working_copy(settings.data_dir, lambda name: name.startswith("calls/"))
    partitions = [
        partition
        for partition in Partitioning.of(settings).partitions(now)
        if partition.calls(settings.data_dir).exists()
    ]
    wanted = sorted(identifiers)
    affected: dict[str, ClusterTime] = {}
    texts_by_partition = parallel_map(lambda p: existing_ids(p.calls(settings.data_dir), wanted), partitions)
    for partition, texts in zip(partitions, texts_by_partition, strict=True):
        for text in texts:
            affected = decisions.latest(affected, {partition.key: identifiers[text]})
    return affected


def _id_text(identifier: Any) -> str | None:
    """Return an `_id` as `calls` shows it; None for a type that needs more than its plain text."""
    from bson import Binary, Decimal128, ObjectId

    if isinstance(identifier, Binary):
        return str(identifier.as_uuid()) if identifier.subtype == 4 and len(identifier) == 16 else None
    if isinstance(identifier, bool):
        return None
    return str(identifier) if isinstance(identifier, str | int | ObjectId | Decimal128) else None


def _counts(changes: Sequence[Change], changed: Mapping[str, ClusterTime], settings: Settings) -> dict[str, Any]:
    if not changes:
        return {}
    kinds = Counter(change.kind for change in changes)
    counts: dict[str, Any] = {
        "inserted": kinds["insert"],
        "updated": kinds["update"] + kinds["replace"],
        "deleted": kinds["delete"],
    }
    if settings.partitions != "none":
        counts["partitions"] = ", ".join(sorted(changed)[:_MOST_KEYS_SHOWN]) or "none"
    return counts
