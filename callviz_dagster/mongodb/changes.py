"""What has changed in the collection: by a change stream, or without one by number and newest `_id`.

What belongs elsewhere: what is done about changes (`automation/`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bson
from bson import CodecOptions
from bson.binary import UuidRepresentation
from bson.timestamp import Timestamp
from pymongo.change_stream import ChangeStream
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from callviz_dagster.mongodb.errors import HISTORY_LOST, HistoryLostError

_ENDS = {
    "drop": "dropped",
    "rename": "renamed, or another was renamed to its name",
    "dropDatabase": "dropped with its database",
    "invalidate": "dropped or renamed",
}
_MOST_WAITS = 5
"""How often the change stream is asked for a change that must be there."""
_AWAIT_MS = 200
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="backslashreplace",
)

Calls = Collection[dict[str, Any]]


@dataclass(frozen=True)
class Change:
    """One document that was inserted, updated, replaced or deleted."""

    kind: str
    identifier: Any
    start: Any
    """The start time that it has now; None where it is deleted or has none."""
    moved: bool
    """Whether its start time may have been another before."""
    cluster_time: tuple[int, int]


@dataclass(frozen=True)
class ChangeFeed:
    """The changes since a resume token, and the token that continues after them."""

    changes: list[Change]
    token: Mapping[str, Any] | None
    more: bool
    """Whether there is more to read: the bounds in time or number were reached."""
    cluster_time: list[int] | None = None
    """A cluster time before which there is no change that the token does not continue after."""


def read_changes(
    collection: Calls, after: Mapping[str, Any] | None, field: str = "", *, seconds: float = 10.0, most: int = 100_000
) -> ChangeFeed:
    """Read the changes up to now after a resume token, or until time or number is up.

    Args:
        collection: the collection of calls.
        after: the resume token; None starts now, and reads nothing.
        field: the start time's field (dotted path); empty where it does not matter.
        seconds: when to stop reading.
        most: how many changes to read at most.

    Raises:
        HistoryLostError: the token is no longer known to the server, or the collection was dropped or renamed.
    """
    projection: dict[str, Any] = {"operationType": 1, "clusterTime": 1}
    if field:
        projection |= {"documentKey": 1, f"fullDocument.{field}": 1, "updateDescription": 1}
    try:
        with collection.with_options(codec_options=_CODEC).watch(
            [{"$project": projection}],
            full_document="updateLookup" if field else None,
            resume_after=after,
            max_await_time_ms=_AWAIT_MS,
            batch_size=10_000,
        ) as stream:
            changes, more = _read(stream, collection, field, deadline=time.monotonic() + seconds, most=most)
            return ChangeFeed(changes, stream.resume_token, more, _operation_time(collection))
    except OperationFailure as error:
        if error.code in HISTORY_LOST:
            raise HistoryLostError(
                "The server no longer knows what has changed since the last poll: its oplog has rolled over, or it "
                "was restored from a backup."
            ) from None
        raise


def _read(
    stream: ChangeStream[dict[str, Any]], collection: Calls, field: str, *, deadline: float, most: int
) -> tuple[list[Change], bool]:
    """Return changes from a change stream up to now, and whether there are more."""
    now = _operation_time(collection)
    changes: list[Change] = []
    while len(changes) < most and time.monotonic() < deadline:
        event = stream.try_next()
        if event is None:
            return changes, False
        if end := _ENDS.get(event["operationType"]):
            raise HistoryLostError(f"The collection {collection.full_name} was {end}.")
        changes.append(_change(event, field))
        if now is not None and list(changes[-1].cluster_time) > now:
            # Calls that keep coming must not keep the others waiting.
            return changes, False
    return changes, True


def _operation_time(collection: Calls) -> list[int] | None:
    """Return the cluster time of the latest operation on the server that answers; None where it does not say."""
    time: Timestamp | None = collection.database.client.admin.command("hello").get("operationTime")
    return [time.time, time.inc] if time is not None else None


def still_knows(collection: Calls, cluster_time: tuple[int, int]) -> bool:
    """Return whether the server still has the change of a cluster time; one restored from a backup does not.

    It would continue from any later time as if nothing had been lost.
    """
    try:
        with collection.watch(
            [{"$project": {"clusterTime": 1}}],
            start_at_operation_time=Timestamp(*cluster_time),
            max_await_time_ms=_AWAIT_MS,
        ) as stream:
            for _ in range(_MOST_WAITS):
                if event := stream.try_next():
                    return bool(event["clusterTime"] == Timestamp(*cluster_time))
    except OperationFailure as error:
        if error.code not in HISTORY_LOST:
            raise
    return False


def watermark(collection: Calls) -> tuple[int, Any]:
    """Return about how many documents there are and the newest `_id`, for servers without change streams."""
    newest = collection.with_options(codec_options=_CODEC).find_one({}, {"_id": 1}, sort=[("_id", -1)])
    return collection.estimated_document_count(), newest["_id"] if newest else None


def starts_after(collection: Calls, identifier: Any, field: str) -> list[Any]:
    """Return the start times of documents with a greater `_id` of the same type."""
    newer = collection.with_options(codec_options=_CODEC).find({"_id": {"$gt": identifier}}, {field: 1})
    return [_value(document, field) for document in newer]


def _change(event: Mapping[str, Any], field: str) -> Change:
    kind, cluster_time = event["operationType"], event["clusterTime"]
    description = event.get("updateDescription") or {}
    changed_fields = [*(description.get("updatedFields") or {}), *(description.get("removedFields") or ())]
    changed_fields += [array["field"] for array in description.get("truncatedArrays") or ()]
    return Change(
        kind,
        (event.get("documentKey") or {}).get("_id"),
        _value(event.get("fullDocument") or {}, field),
        kind in ("delete", "replace")
        or any(f"{name}.".startswith(f"{field}.") or f"{field}.".startswith(f"{name}.") for name in changed_fields),
        (cluster_time.time, cluster_time.inc),
    )


def _value(document: Any, field: str) -> Any:
    for part in field.split("."):
        if not isinstance(document, Mapping):
            return None
        document = document.get(part)
    return document
