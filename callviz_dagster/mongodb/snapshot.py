"""A snapshot session: the collection as it is at one instant, and reading partitions of it, whatever interrupts.

What belongs elsewhere: connecting (`connection.py`), and counting the documents that no partition has (`coverage.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from bson.timestamp import Timestamp
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.cursor import CursorType, RawBatchCursor
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from callviz_dagster.mongodb.errors import (
    REFUSED,
    SNAPSHOT_GONE,
    MongoError,
    ReadLostError,
    not_of_mongodb,
    passes,
    reason_of,
)
from callviz_dagster.mongodb.history import collection_bytes, history_seconds, why_too_short
from callviz_dagster.mongodb.indexes import StartTimeIndex, find_index
from callviz_dagster.mongodb.raw_batches import (
    SHOWN,
    identifier,
    last_document,
    literal_identifier,
    unpack_quickly,
    without_first,
)
from callviz_dagster.mongodb.server import Server, collection_identity
from callviz_dagster.partitions import Partition

BATCH_SIZE = 10_000
"""Documents a batch; the server ends a batch at 16 MB too. Larger ones are not faster, and cost memory."""
MOST_RETRIES, PATIENCE_SECONDS = 6, 3600
"""How often a command is tried again, and for how long at most, while nothing comes."""
READS = 3
"""How often a read starts again because its snapshot became too old."""
_MOST_PROBES = 3
"""How often to ask for a snapshot that the server cannot give just now."""


@contextlib.contextmanager
def opened_session(
    collection: Collection[Any], server: Server, at: Timestamp | None = None
) -> Iterator[tuple[ClientSession | None, Timestamp | None, Server]]:
    """Open a session whose reads are all of one instant, and give it with its cluster time.

    Where the server cannot give a snapshot there is neither, and `Server.no_snapshot` says why. With `at` the instant
    is that of another session, for several processes that read the same snapshot.

    Raises:
        MongoError: with `at`, the server cannot read at that instant.
    """
    if at is not None:
        with collection.database.client.start_session(snapshot=True) as session:
            _move_to(collection, session, at)
            yield session, at, server
        return
    if server.no_snapshot:
        yield None, None, server
        return
    with collection.database.client.start_session(snapshot=True) as session:
        cluster_time, reason = _probe(collection, session)
        if cluster_time is not None:
            yield session, cluster_time, server
            return
    yield None, None, dataclasses.replace(server, no_snapshot=reason)


def _move_to(collection: Collection[Any], session: ClientSession, at: Timestamp) -> None:
    """Let a new session read at a given cluster time, for which pymongo 4.20 has no public way.

    Raises:
        MongoError: the server answers of another instant, because this pymongo does not do that.
    """
    session._snapshot_time = at  # type: ignore[assignment]
    answered = aggregate(collection, {"$limit": 1}, {"$count": "documents"}, session=session).get("atClusterTime")
    if answered != at:
        raise MongoError(
            f"MongoDB was asked for the snapshot of {at.as_datetime().isoformat()} and answered of another instant. "
            "This pymongo does not let several processes read one snapshot: set CALLVIZ_ENGINE=local."
        )


def _probe(collection: Collection[Any], session: ClientSession) -> tuple[Timestamp | None, str]:
    """Return the cluster time of a session's snapshot; else None, and why there is none."""
    for attempt in range(_MOST_PROBES):
        try:
            cluster_time = aggregate(collection, {"$limit": 1}, {"$count": "documents"}, session=session).get(
                "atClusterTime"
            )
            if isinstance(cluster_time, Timestamp):
                return cluster_time, ""
            return None, "the server does not say of which instant its answers are"
        except (OperationFailure, ConfigurationError) as error:
            code = error.code if isinstance(error, OperationFailure) else None
            if code in REFUSED or passes(error):
                raise
            reason = f"the server refuses it: {reason_of(error)}"
            if code not in SNAPSHOT_GONE:
                break
            time.sleep(_pause(attempt))
    return None, reason


class SnapshotSession:
    """The collection as it is at one instant; opened by `MongoDB.snapshot_session`.

    Where the server cannot give that (`server.no_snapshot`), each document is as it is when it is read.
    """

    def __init__(
        self,
        collection: Collection[Any],
        server: Server,
        session: ClientSession | None,
        cluster_time: Timestamp | None,
        log: logging.Logger,
        counting: Executor,
    ) -> None:
        self.collection, self.server, self.cluster_time, self.log = collection, server, cluster_time, log
        self._session, self._counting = session, counting
        self._indexes: dict[str, StartTimeIndex] = {}
        self._counts: dict[Partition, int] = {}

    @property
    def source(self) -> str:
        """Where the calls come from, without credentials: database.collection on host."""
        nodes = sorted(self.collection.database.client.nodes)
        hosts = ", ".join(f"{host}:{port}" for host, port in nodes) or "MongoDB"
        return f"{self.collection.database.name}.{self.collection.name} on {hosts}"

    def require_same_collection(self) -> None:
        """Ask whether the name still stands for the collection of this session: one that is gone reads as empty.

        Raises:
            ReadLostError: another collection has the name now.
            MongoError: there is none.
        """
        if collection_identity(self.collection) != self.server.identity:
            raise ReadLostError(f"{self.collection.full_name} was replaced by another collection while it was read.")

    def warn_of_short_history(self, partitions: Sequence[Partition]) -> None:
        """Log a warning where the server will not keep the snapshot until all of these partitions are read."""
        if self.cluster_time is None:
            return
        size, history = collection_bytes(self.collection), history_seconds(self.collection)
        if why_too_short(size, history) and any(partition.filter() for partition in partitions):
            documents = sum(self._count_once(partition) for partition in partitions)
            size = size * documents // max(1, self.collection.estimated_document_count())
        if warning := why_too_short(size, history):
            self.log.warning(warning)

    def _condition_and_index(self, partition: Partition) -> tuple[dict[str, Any], str | None]:
        index = self.index(partition.field) if partition.field else None
        return partition.filter(), index.name if index else None

    def _count_once(self, partition: Partition) -> int:
        """Return how many documents a partition has; the warning about history may have counted them already."""
        if partition not in self._counts:
            self._counts[partition] = self.count(*self._condition_and_index(partition))
        return self._counts[partition]

    def read(self, partition: Partition) -> SnapshotRead:
        """Open a read of one partition; iterate over it."""
        condition, index = self._condition_and_index(partition)
        if condition or self.cluster_time is None:
            counted: Future[int] = Future()
            counted.set_result(self._count_once(partition))
            expected = counted.result()
        else:
            expected = self.collection.estimated_document_count()
            counted = self.count_in_background(condition, None)
        return SnapshotRead(self, condition, index, expected, counted)

    def find(self, condition: Mapping[str, Any], index: str | None, after: bytes | None) -> RawBatchCursor[Any]:
        """Return a cursor over documents in `_id` order; continues at the document `after` if one is given."""
        first = identifier(after) if after is not None and not condition else None
        if after is not None and first is None:
            # {_id: {$gt: ...}} would skip identifiers of other BSON types; an expression compares all of them.
            condition = {**condition, "$expr": {"$gt": ["$_id", literal_identifier(after)]}}
        cursor = self.collection.find_raw_batches(
            condition,
            session=self._session,
            batch_size=BATCH_SIZE,
            sort=[("_id", 1)],
            cursor_type=CursorType.NON_TAILABLE if self.server.sharded else CursorType.EXHAUST,
            allow_disk_use=True if condition or self.server.view else None,
        )
        unpack_quickly(cursor)
        if index:
            cursor = cursor.hint(index)
        if first is not None:
            # `min` also continues with identifiers of other BSON types.
            cursor = cursor.hint([("_id", 1)]).min([("_id", first)])
        return cursor

    def count(self, condition: Mapping[str, Any], hint: str | Mapping[str, Any] | None) -> int:
        """Return how many documents meet a condition."""
        return _count(self.collection, condition, hint, session=self._session)

    def count_in_background(self, condition: Mapping[str, Any], hint: str | None) -> Future[int]:
        """Count beside what the session does, at the same instant where there is one."""
        concern = {"readConcern": {"level": "snapshot", "atClusterTime": self.cluster_time}}
        options = concern if self.cluster_time is not None else {}
        return self._counting.submit(_count, self.collection, condition, hint, **options)

    def find_ids(self, condition: Mapping[str, Any], most: int) -> list[str]:
        """Return some `_id` of documents that meet a condition, as text."""
        documents = self.collection.with_options(codec_options=SHOWN).find(
            condition, {"_id": 1}, session=self._session, limit=most
        )
        return [str(document["_id"]) for document in documents]

    def index(self, field: str) -> StartTimeIndex:
        """Return how documents are found by the dates of a field; asked once."""
        if field not in self._indexes:
            self._indexes[field] = find_index(self.collection, self.server, field)
        return self._indexes[field]


class SnapshotRead:
    """A read of a partition, and how it went: iterate over it, once.

    Attributes:
        expected: about how many documents there are.
        instant: of which instant the documents are, UTC; without a snapshot, when the read began.
        resumed: how many interruptions there were.
    """

    def __init__(
        self,
        session: SnapshotSession,
        condition: Mapping[str, Any],
        index: str | None,
        expected: int,
        counted: Future[int],
    ) -> None:
        self._session, self._condition, self._index, self._counted = session, condition, index, counted
        self.expected, self.resumed = expected, 0
        self.source, self.server = session.source, session.server.description
        self.no_snapshot, self.cluster_time = session.server.no_snapshot, session.cluster_time
        self.instant = self.cluster_time.as_datetime() if self.cluster_time is not None else dt.datetime.now(dt.UTC)

    @property
    def point_in_time(self) -> bool:
        """Whether all documents are of one instant."""
        return not self.no_snapshot

    @property
    def documents(self) -> int:
        """How many documents the server counted; a whole collection is counted while it is read."""
        return self._counted.result()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the documents in `_id` order, as raw BSON end to end, in batches.

        Raises:
            ReadLostError: the read was interrupted and cannot continue.
        """
        latest = b""
        retries = Retries()
        while True:
            after = last_document(latest) if latest else None
            try:
                with contextlib.closing(self._session.find(self._condition, self._index, after)) as cursor:
                    for batch in cursor:
                        documents = without_first(batch, after) if after is not None else batch
                        if documents:
                            yield documents
                            retries = Retries()
                            latest = documents
                return
            except PyMongoError as error:
                self._interrupted(error, began=bool(latest), retries=retries)

    def _interrupted(self, error: PyMongoError, *, began: bool, retries: Retries) -> None:
        """Wait before the read continues.

        Raises:
            PyMongoError: it is not worth another try.
            ReadLostError: it cannot continue from where it was.
        """
        if not retries.left(error):
            raise error
        self.resumed += 1
        reason = reason_of(error).split(",")[0]
        server = self._session.server
        if began and server.ids_may_repeat:
            kind = "a view" if server.view else "a sharded collection"
            raise ReadLostError(f"The read was interrupted ({reason}), and {kind} is not read on from where it was.")
        self._session.log.warning(f"The read was interrupted ({reason}); it continues after the last document.")
        retries.pause()


class Retries:
    """How often a command has failed since it last gave something, and whether to try it again."""

    def __init__(self) -> None:
        self._failures, self._since = 0, time.monotonic()

    def left(self, error: PyMongoError) -> bool:
        """Return whether to try again after this error."""
        late = time.monotonic() - self._since > PATIENCE_SECONDS
        return self._failures < MOST_RETRIES and not late and passes(error)

    def pause(self) -> None:
        """Count a failure and wait, longer each time."""
        self._failures += 1
        time.sleep(_pause(self._failures))


class Rereads:
    """How often a read has started again because its snapshot was lost, and whether it may once more."""

    def __init__(self, log: logging.Logger, what_follows: str) -> None:
        self._log, self._what_follows = log, what_follows
        self._reads = 1

    def count(self, error: ReadLostError) -> None:
        """Count a read that was lost, and log it with what follows.

        Raises:
            ReadLostError: it was lost again and again.
        """
        if self._reads == READS:
            raise error
        self._reads += 1
        self._log.warning(f"{error} {self._what_follows}")

    def reset(self) -> None:
        """Forget what was lost, for something was read whole."""
        self._reads = 1


def _pause(failures: int) -> float:
    return float(min(0.25 * 2**failures, 5))


def aggregate(
    collection: Collection[Any],
    *stages: Mapping[str, Any],
    hint: str | Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return the server's reply, which says of which instant it is; asked again where the connection drops."""
    if hint:
        options["hint"] = hint
    retries = Retries()
    while True:
        try:
            reply = collection.database.command(
                "aggregate",
                collection.name,
                pipeline=list(stages),
                cursor={},
                read_preference=collection.read_preference,
                **options,
            )
            if "firstBatch" not in reply.get("cursor", {}):
                raise not_of_mongodb("an aggregation without a cursor")
            cursor: dict[str, Any] = reply["cursor"]
            return cursor
        except PyMongoError as error:
            if not retries.left(error):
                raise
            retries.pause()


def _count(
    collection: Collection[Any], condition: Mapping[str, Any], hint: str | Mapping[str, Any] | None, **options: Any
) -> int:
    matching = [{"$match": condition}] if condition else []
    batch = aggregate(collection, *matching, {"$count": "documents"}, hint=hint, **options)["firstBatch"]
    return int(batch[0].get("documents", 0)) if batch else 0
