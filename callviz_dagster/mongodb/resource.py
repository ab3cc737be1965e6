"""The MongoDB resource: connect, and read a partition of the collection as it was at one instant.

Never writes to the database. Every error is one sentence that says what to do, without credentials.
What belongs elsewhere: what the documents mean.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import time
from collections.abc import Collection as Set
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import bson
import pymongo
from bson import CodecOptions
from bson.binary import UuidRepresentation
from bson.timestamp import Timestamp
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.cursor import CursorType
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    CursorNotFound,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from callviz_dagster.partitions import Partition, Partitioning, between, contiguous_runs, format_keys
from callviz_dagster.settings import Settings, redact
from callviz_dagster.table.manifest import Coverage

BATCH = 10_000
"""Documents a batch; the server ends a batch at 16 MB too. Larger ones are not faster, and cost memory."""

ANSWER_SECONDS = 8
"""How long to wait for a server that does not answer, unless the connection string says otherwise."""

SILENCE_SECONDS = 1800
"""How long to wait for one answer of a server that is there, unless the connection string says otherwise. Counting or
sorting a large collection takes minutes; one that hangs would be waited for without end."""

_EMPTY = b"\x05\x00\x00\x00\x00"
"""A document, or an array, of nothing."""
_RESUMES, _PATIENCE_SECONDS = 6, 3600
"""How often to ask again, and how long at most, while nothing comes."""
_EXAMPLES = 10
_LOOKS = 5
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
_NOT_ON_A_VIEW = 166
_HISTORY_LOST = {9, 136, 234, 260, 280, 286, 40585, 40649, 50811}
"""FailedToParse (the token), CappedPositionLost, RetryChangeStream, InvalidResumeToken, ChangeStreamFatalError,
ChangeStreamHistoryLost and three of resume tokens that have no name."""
_ENDS = {
    "drop": "dropped",
    "rename": "renamed, or another was renamed to its name",
    "dropDatabase": "dropped with its database",
    "invalidate": "dropped or renamed",
}
_SNAPSHOT_GONE = {239, 246}
_INTERRUPTED = {
    *(6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436),  # not primary, shutting down, network
    *(43, 237),  # the cursor is gone: the server restarted or was told to end it
}
"""Codes after which the same read can go on (MongoDB's error_codes.yml: RetriableError, NotPrimaryError)."""


class MongoError(RuntimeError):
    """MongoDB cannot be read. The message says why and what to do, without credentials."""


class SnapshotTooOldError(MongoError):
    """The server no longer keeps the instant that was being read; read again from the start."""


class HistoryLostError(MongoError):
    """What has changed since the last look cannot be known. The message says why, in words."""


@dataclass(frozen=True)
class Change:
    """One document that was inserted, updated, replaced or deleted."""

    kind: str
    identifier: Any
    start: Any
    """The start time that it has now; None where it is deleted or has none."""
    moved: bool
    """Whether its start time may have been another before."""
    at: tuple[int, int]
    """Cluster time."""


@dataclass(frozen=True)
class ChangeFeed:
    """The changes since a resume token, and where to go on."""

    changes: list[Change]
    token: Mapping[str, Any] | None
    more: bool
    """Whether there is more to read: the bounds in time or number were reached."""


@dataclass(frozen=True)
class Server:
    """What the sensor needs to know of the server."""

    change_streams: bool
    process: str
    """Changes when another process answers: after a restart or an election."""
    documents: int


@dataclass
class SnapshotRead:
    """A read of a partition, and how it went.

    `point_in_time` tells whether all documents are of one instant (`instant`, UTC); a server that is no replica
    set cannot give that, and then `instant` is when the read began.
    """

    source: str
    server: str
    point_in_time: bool
    expected: int
    """About how many documents there are."""
    instant: dt.datetime
    cluster_time: Timestamp | None
    resumed: int = 0
    _counted: Future[int] = field(default_factory=Future, repr=False)
    _batches: Iterator[bytes] = field(default_factory=lambda: iter(()), repr=False)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the documents in `_id` order, as raw BSON end to end, in batches."""
        return self._batches

    @property
    def documents(self) -> int:
        """How many documents the server counted; a whole collection is counted while it is read."""
        return self._counted.result()


class MongoDB:
    """The collection of calls, as a Dagster resource."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextlib.contextmanager
    def collection(self) -> Iterator[Collection[dict[str, Any]]]:
        """Connect and give the collection.

        Raises:
            MissingSettingError: no connection string is set.
            MongoError: the server cannot be reached, refuses the user, or has no such collection.
        """
        uri = self._settings.require_mongo_uri()
        with self._explained():
            defaults = {
                "appname": "callviz",
                "serverSelectionTimeoutMS": ANSWER_SECONDS * 1000,
                "connectTimeoutMS": ANSWER_SECONDS * 1000,
                "socketTimeoutMS": SILENCE_SECONDS * 1000,
            }
            options: dict[str, Any] = {
                name: value for name, value in defaults.items() if f"{name.lower()}=" not in uri.lower()
            }
            try:
                client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri, **options)
            except (ValueError, InvalidURI, ConfigurationError) as error:
                raise MongoError(
                    f"CALLVIZ_MONGO_URI is not a valid connection string: {redact(str(error), uri)}"
                ) from None
            with client:
                yield client[self._settings.database][self._settings.mongo_collection]

    @contextlib.contextmanager
    def snapshot(self, partition: Partition, log: logging.Logger) -> Iterator[SnapshotRead]:
        """Open a read of one partition at one instant; iterate over it inside the `with` block. See `instant`."""
        with self.instant(log) as instant:
            yield instant.read(partition)

    @contextlib.contextmanager
    def instant(self, log: logging.Logger) -> Iterator[Instant]:
        """Open the collection as it is at one instant, to read partitions of it inside the `with` block.

        A connection that drops, a primary that steps down or a server that restarts is read on from the last
        document, in the same snapshot.

        Raises:
            MongoError: see `collection`; also when the server stays away in mid-read.
            SnapshotTooOldError: the server gave the snapshot up; start again.
        """
        with self.collection() as collection, self._explained():
            hello = collection.database.client.admin.command("hello")
            self._require_collection(collection)
            sharded = hello.get("msg") == "isdbgrid"
            beside = ThreadPoolExecutor(1, "count")
            try:
                with collection.database.client.start_session(snapshot="setName" in hello or sharded) as session:
                    yield Instant(self, collection, session, hello, log, beside)
            finally:
                beside.shutdown(wait=False, cancel_futures=True)

    def poll(self) -> Server:
        """Return whether the server has change streams, which process answers, and about how many documents there are.

        Raises:
            MongoError: see `collection`.
        """
        with self.collection() as collection, self._explained():
            self._require_collection(collection)
            hello = collection.database.client.admin.command("hello")
            process = f"{hello.get('topologyVersion', {}).get('processId', '')} {hello.get('electionId', '')}"
            return Server(
                "setName" in hello or hello.get("msg") == "isdbgrid",
                process.strip(),
                collection.estimated_document_count(),
            )

    def changes(
        self, after: Mapping[str, Any] | None, field: str = "", *, seconds: float = 10.0, most: int = 100_000
    ) -> ChangeFeed:
        """Read the changes up to now after a resume token, or until time or number is up.

        Args:
            after: the resume token; None starts now, and reads nothing.
            field: the start time's field (dotted path); empty where it does not matter.
            seconds: when to stop reading.
            most: how many changes to read at most.

        Raises:
            HistoryLostError: the token is no longer known to the server, or the collection was dropped or renamed.
            MongoError: see `collection`.
        """
        shown: dict[str, Any] = {"operationType": 1, "clusterTime": 1}
        if field:
            shown |= {"documentKey": 1, f"fullDocument.{field}": 1, "updateDescription": 1}
        changes: list[Change] = []
        with self.collection() as collection, self._explained():
            codec: CodecOptions[dict[str, Any]] = CodecOptions(
                uuid_representation=UuidRepresentation.UNSPECIFIED,
                datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO,
            )
            deadline = time.monotonic() + seconds
            now: Timestamp | None = collection.database.client.admin.command("hello").get("operationTime")
            try:
                with collection.with_options(codec_options=codec).watch(
                    [{"$project": shown}],
                    full_document="updateLookup" if field else None,
                    resume_after=after,
                    max_await_time_ms=200,
                    batch_size=10_000,
                ) as stream:
                    while len(changes) < most and time.monotonic() < deadline:
                        found = stream.try_next()
                        if found is None:
                            return ChangeFeed(changes, stream.resume_token, more=False)
                        kind = found["operationType"]
                        if kind in _ENDS:
                            raise HistoryLostError(f"The collection {collection.full_name} was {_ENDS[kind]}.")
                        changes.append(_change(found, field))
                        if now is not None and found["clusterTime"] > now:
                            # Calls that keep coming must not keep the others waiting.
                            return ChangeFeed(changes, stream.resume_token, more=False)
                    return ChangeFeed(changes, stream.resume_token, more=True)
            except OperationFailure as error:
                if error.code in _HISTORY_LOST:
                    raise HistoryLostError(
                        "The server no longer knows what has changed since the last look: its oplog has rolled over, "
                        "or it was restored from a backup."
                    ) from None
                raise

    def still_knows(self, at: tuple[int, int]) -> bool:
        """Tell whether the server still has the change of a cluster time; one restored from a backup does not.

        It would go on from any later time as if nothing had been lost.
        """
        with self.collection() as collection, self._explained():
            try:
                with collection.watch(
                    [{"$project": {"clusterTime": 1}}], start_at_operation_time=Timestamp(*at), max_await_time_ms=200
                ) as stream:
                    for _ in range(_LOOKS):
                        if found := stream.try_next():
                            return bool(found["clusterTime"] == Timestamp(*at))
            except OperationFailure as error:
                if error.code not in _HISTORY_LOST:
                    raise
        return False

    def watermark(self) -> tuple[int, Any]:
        """Return about how many documents there are and the newest `_id`, for servers without change streams."""
        with self.collection() as collection, self._explained():
            newest = collection.find_one({}, {"_id": 1}, sort=[("_id", -1)])
            return collection.estimated_document_count(), newest["_id"] if newest else None

    def starts_after(self, identifier: Any, field: str) -> list[Any]:
        """Return the start times of documents with a greater `_id` of the same type."""
        with self.collection() as collection, self._explained():
            found = collection.find({"_id": {"$gt": identifier}}, {field: 1})
            return [_value(document, field) for document in found]

    def _open(
        self,
        collection: Collection[Any],
        partition: Partition,
        session: ClientSession,
        hello: Mapping[str, Any],
        index: str | None,
        beside: Executor,
    ) -> SnapshotRead:
        client = collection.database.client

        at: Timestamp | None = None
        counted: Future[int] = Future()
        if not partition.field:
            at = _aggregate(collection, {"$limit": 1}, {"$project": {"_id": 1}}, session=session).get("atClusterTime")
        if at is not None:
            expected = collection.estimated_document_count()
            counted = beside.submit(_count_at, at, collection, {}, None)
        else:
            expected, at = _count(collection, partition.filter(), index, session=session)
            counted.set_result(expected)
        kind = f"replica set {hello['setName']}" if "setName" in hello else "standalone server"
        return SnapshotRead(
            source=self.source(collection),
            server=f"MongoDB {client.server_info()['version']}, {'sharded cluster' if hello.get('msg') else kind}",
            point_in_time=at is not None,
            expected=expected,
            instant=at.as_datetime() if at is not None else dt.datetime.now(dt.UTC),
            cluster_time=at,
            _counted=counted,
        )

    def source(self, collection: Collection[Any]) -> str:
        """Return where the calls come from, without credentials: database.collection on host."""
        hosts = ", ".join(f"{host}:{port}" for host, port in sorted(collection.database.client.nodes)) or "MongoDB"
        return f"{collection.database.name}.{collection.name} on {hosts}"

    def _read(
        self,
        collection: Collection[Any],
        partition: Partition,
        session: ClientSession,
        read: SnapshotRead,
        log: logging.Logger,
        *,
        exhaust: bool,
        index: str | None,
    ) -> Iterator[bytes]:
        latest = b""
        failures, since = 0, time.monotonic()
        while True:
            last = _last_document(latest) if latest else None
            condition = partition.filter()
            if last is not None and condition:
                # {_id: {$gt: last}} would skip identifiers of other BSON types; an expression compares all of them.
                condition = condition | {"$expr": {"$gt": ["$_id", {"$literal": _identifier(last)}]}}
            try:
                cursor = collection.find_raw_batches(
                    condition,
                    session=session,
                    batch_size=BATCH,
                    sort=[("_id", 1)],
                    cursor_type=CursorType.EXHAUST if exhaust else CursorType.NON_TAILABLE,
                    allow_disk_use=True if condition else None,
                )
                if hasattr(bson, "_array_of_documents_to_buffer"):
                    cursor._unpack_response = _reply  # type: ignore[method-assign,assignment]  # see there
                if index:
                    cursor = cursor.hint(index)
                if last is not None and not condition:
                    # `min` also goes on to identifiers of other BSON types; {$gt: last} would skip them.
                    cursor = cursor.hint([("_id", 1)]).min([("_id", _identifier(last))])
                with contextlib.closing(cursor):
                    for batch in cursor:
                        documents = _without_first(batch, last) if last is not None else batch
                        if documents:
                            yield documents
                            failures, since = 0, time.monotonic()
                            latest = documents
                return
            except PyMongoError as error:
                if not _can_resume(error, failures, since):
                    raise
                failures += 1
                read.resumed += 1
                reason = redact(str(error), self._settings.mongo_uri).split(",")[0]
                log.warning(f"The read was interrupted ({reason}); it goes on from the last document.")
                time.sleep(_pause(failures))

    def _require_collection(self, collection: Collection[Any]) -> None:
        """Check that the collection exists, so that a typing error is not taken for an empty collection."""
        database = collection.database
        try:
            reply = database.command(
                "listCollections", nameOnly=True, authorizedCollections=True, filter={"name": collection.name}
            )
            if reply["cursor"]["firstBatch"]:
                return
            names = [
                c["name"]
                for c in database.command("listCollections", nameOnly=True, authorizedCollections=True)["cursor"][
                    "firstBatch"
                ]
            ]
            databases = [d["name"] for d in database.client.admin.command("listDatabases", nameOnly=True)["databases"]]
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            if collection.find_one({}, {"_id": 1}) is None:
                raise MongoError(
                    f"{database.name}.{collection.name} holds nothing that this user may see. Check "
                    "CALLVIZ_MONGO_DATABASE and CALLVIZ_MONGO_COLLECTION, or grant the user the role read on "
                    f"{database.name}."
                ) from None
            return
        if not names and database.name not in databases:
            own = [name for name in databases if name not in ("admin", "config", "local")]
            raise MongoError(
                f"The server has no database {database.name!r}{_has(own)}. Set CALLVIZ_MONGO_DATABASE to the one "
                "that holds the calls."
            )
        raise MongoError(
            f"Database {database.name!r} has no collection {collection.name!r}{_has(names)}. Set "
            "CALLVIZ_MONGO_COLLECTION to the one that holds the calls."
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn pymongo's errors into one sentence each."""
        try:
            yield
        except PyMongoError as error:
            raise self._sentence(error) from None

    def _sentence(self, error: PyMongoError) -> MongoError:
        detail = redact(str(error), self._settings.mongo_uri)
        if isinstance(error, ServerSelectionTimeoutError):
            reason = detail.split(", Timeout:")[0].split(" (configured timeouts")[0]
            return MongoError(
                f"MongoDB did not answer: {reason}. Check the host and port in CALLVIZ_MONGO_URI, that the server "
                "runs, and that this machine may reach it."
            )
        if isinstance(error, NetworkTimeout):
            return MongoError(
                f"MongoDB was reached and then did not answer: {detail}. Refresh again; where its answers take longer, "
                "set socketTimeoutMS in CALLVIZ_MONGO_URI."
            )
        if isinstance(error, OperationFailure):
            if error.code == _AUTHENTICATION_FAILED:
                return MongoError(
                    "MongoDB refused the user name or password in CALLVIZ_MONGO_URI. Check both, that special "
                    "characters are percent-encoded, and authSource."
                )
            if error.code == _UNAUTHORIZED:
                return MongoError(
                    f"The user in CALLVIZ_MONGO_URI may not read {self._settings.database}."
                    f"{self._settings.mongo_collection}. Grant it the role read on {self._settings.database}."
                )
            if error.code in _SNAPSHOT_GONE:
                return SnapshotTooOldError(
                    "MongoDB no longer keeps the snapshot that was being read. Refresh again; for collections that "
                    "take long to read, raise minSnapshotHistoryWindowInSeconds on the server."
                )
            detail = redact(str((error.details or {}).get("errmsg", error)), self._settings.mongo_uri)
        return MongoError(f"MongoDB could not be read: {detail}")


class Instant:
    """The collection as it is at one instant; made by `MongoDB.instant`."""

    def __init__(
        self,
        mongo: MongoDB,
        collection: Collection[Any],
        session: ClientSession,
        hello: Mapping[str, Any],
        log: logging.Logger,
        beside: Executor,
    ) -> None:
        self._mongo, self._collection, self._session, self._hello, self._log = mongo, collection, session, hello, log
        self._beside = beside
        self._indexes: dict[str, tuple[str | None, bool]] = {}

    def read(self, partition: Partition) -> SnapshotRead:
        """Open a read of one partition; iterate over it."""
        index = self._index(partition.field)[0] if partition.field else None
        read = self._mongo._open(self._collection, partition, self._session, self._hello, index, self._beside)
        exhaust = self._hello.get("msg") != "isdbgrid"
        read._batches = self._mongo._read(
            self._collection, partition, self._session, read, self._log, exhaust=exhaust, index=index
        )
        return read

    def coverage(self, partitioning: Partitioning, partitions: Sequence[Partition], made: Set[Partition]) -> Coverage:
        """Count the documents that are in no partition, and those in partitions that are not `made` yet."""
        field = partitioning.field
        index, lists = self._index(field)
        first, end = partitions[0].start, partitions[-1].end

        def count(start: dt.datetime | None, before: dt.datetime | None) -> int:
            condition = between(field, start, before, lists=lists)
            return _count(self._collection, condition, index, session=self._session)[0]

        before, at = _count(self._collection, between(field, None, first, lists=lists), index, session=self._session)
        counting = self._beside.submit(_count_at, at, self._collection, between(field, first, end, lists=lists), index)
        documents, _ = _count(self._collection, {}, "_id_", session=self._session)
        ahead, covered = count(end, None), counting.result()
        waiting = {}
        for stretch in contiguous_runs([partition for partition in partitions if partition not in made], partitions):
            if found := count(stretch[0].start, stretch[-1].end):
                waiting[format_keys(stretch, partitions)] = found
        no_date = documents - covered - before - ahead
        conditions = {
            "no date": {"$nor": [between(field, None, None)]} if no_date else None,
            "before": between(field, None, first) if before else None,
            "ahead": between(field, end, None) if ahead else None,
        }
        examples = {
            name: [str(found["_id"]) for found in self._examples(condition)]
            for name, condition in conditions.items()
            if condition
        }
        name = self._collection.name
        return Coverage(
            partitioning=str(partitioning),
            documents=documents,
            covered=covered,
            no_date=no_date,
            before=before,
            ahead=ahead,
            waiting=waiting,
            examples=examples,
            create_index=""
            if index
            else f"db.getCollection({json.dumps(name)}).createIndex({{{json.dumps(field)}: 1}})",
        )

    def _examples(self, condition: Mapping[str, Any]) -> list[dict[str, Any]]:
        options: CodecOptions[dict[str, Any]] = CodecOptions(
            uuid_representation=UuidRepresentation.UNSPECIFIED, datetime_conversion=bson.DatetimeConversion.DATETIME_MS
        )
        found = self._collection.with_options(codec_options=options).find(
            condition, {"_id": 1}, session=self._session, limit=_EXAMPLES
        )
        return list(found)

    def _index(self, field: str) -> tuple[str | None, bool]:
        """Return an index that finds dates of a field, if there is one, and whether the field may hold lists."""
        if field not in self._indexes:
            self._indexes[field] = self._look_for_index(field)
        return self._indexes[field]

    def _look_for_index(self, field: str) -> tuple[str | None, bool]:
        try:
            indexes = self._collection.index_information()
        except OperationFailure as error:
            if error.code != _NOT_ON_A_VIEW:
                raise
            return None, True
        for name, facts in indexes.items():
            if facts["key"][0][0] == field and facts["key"][0][1] in (1, -1, 1.0, -1.0):
                if facts.keys() & {"partialFilterExpression", "hidden", "collation"}:
                    continue
                find = {"find": self._collection.name, "filter": between(field, None, None, lists=False), "hint": name}
                # What a cursor's own `explain` asks for runs the whole query.
                plan = self._collection.database.command("explain", find, verbosity="queryPlanner")
                return name, _multikey(plan)
        return None, True


def _multikey(plan: Any) -> bool:
    """Tell whether a plan, as the server explains it, reads an index of lists."""
    if isinstance(plan, Mapping):
        return bool(plan.get("isMultiKey")) or any(map(_multikey, plan.values()))
    return isinstance(plan, list) and any(map(_multikey, plan))


def _change(event: Mapping[str, Any], field: str) -> Change:
    at = event["clusterTime"]
    description = event.get("updateDescription") or {}
    affected_partitions = [*(description.get("updatedFields") or {}), *(description.get("removedFields") or ())]
    affected_partitions += [array["field"] for array in description.get("truncatedArrays") or ()]
    kind = event["operationType"]
    return Change(
        kind,
        (event.get("documentKey") or {}).get("_id"),
        _value(event.get("fullDocument") or {}, field),
        kind in ("delete", "replace")
        or any(
            f"{name}.".startswith(f"{field}.") or f"{field}.".startswith(f"{name}.") for name in affected_partitions
        ),
        (at.time, at.inc),
    )


def _value(document: Any, field: str) -> Any:
    for part in field.split("."):
        if not isinstance(document, Mapping):
            return None
        document = document.get(part)
    return document


def _has(names: list[str]) -> str:
    return f" (it has {', '.join(sorted(names)[:20])})" if names else ""


def _pause(failures: int) -> float:
    return min(0.25 * 2**failures, 5)


def _aggregate(
    collection: Collection[Any], *stages: Mapping[str, Any], index: str | None = None, **options: Any
) -> dict[str, Any]:
    """Return the server's reply, which tells at which instant it looked; asked again where the connection drops."""
    failures, since = 0, time.monotonic()
    while True:
        try:
            reply = collection.database.command(
                "aggregate",
                collection.name,
                pipeline=list(stages),
                cursor={},
                hint=index or {},
                read_preference=collection.read_preference,
                **options,
            )
            cursor: dict[str, Any] = reply["cursor"]
            return cursor
        except PyMongoError as error:
            if not _can_resume(error, failures, since):
                raise
            failures += 1
            time.sleep(_pause(failures))


def _count(
    collection: Collection[Any], condition: Mapping[str, Any], index: str | None, **options: Any
) -> tuple[int, Timestamp | None]:
    """Return how many documents meet a condition, and at which instant; None where the server does not tell."""
    matching = [{"$match": condition}] if condition else []
    reply = _aggregate(collection, *matching, {"$count": "documents"}, index=index, **options)
    return (reply["firstBatch"][0]["documents"] if reply["firstBatch"] else 0), reply.get("atClusterTime")


def _count_at(
    instant: Timestamp | None, collection: Collection[Any], condition: Mapping[str, Any], index: str | None
) -> int:
    """Count beside what a session does, at the same instant where the server can."""
    concern = {"readConcern": {"level": "snapshot", "atClusterTime": instant}} if instant is not None else {}
    return _count(collection, condition, index, **concern)[0]


def _can_resume(error: PyMongoError, failures: int, since: float) -> bool:
    """Tell whether to ask again, after so many failures since something came the last time."""
    if failures >= _RESUMES or time.monotonic() - since > _PATIENCE_SECONDS:
        return False
    if isinstance(error, OperationFailure):
        return isinstance(error, CursorNotFound) or error.code in _INTERRUPTED
    return isinstance(error, AutoReconnect)


def _reply(response: Any, *_: Any, **__: Any) -> list[dict[str, Any]]:
    """Return the server's reply with the documents of its batch end to end, as `RawBatchCursor` does.

    pymongo makes an object of each document first and throws it away: a second of processor time a million documents.
    Where pymongo no longer asks this function, the documents are the same and the read is that much slower.
    """
    from callviz_dagster.documents.walker import iterate

    reply = bytes(response.raw_command_response())
    batches = [
        (cursor, name, array)
        for field, _, cursor in iterate(reply, 4)
        if field == b"cursor"
        for name, _, array in iterate(reply, cursor + 4)
        if name in (b"firstBatch", b"nextBatch")
    ]
    if not batches:
        return [bson.decode(reply)]
    ((cursor, name, array),) = batches
    size = int.from_bytes(reply[array : array + 4], "little")
    documents: bytes = bson._array_of_documents_to_buffer(memoryview(reply)[array : array + size])
    without = bytearray(reply[:array] + _EMPTY + reply[array + size :])
    for start in (0, cursor):
        length = int.from_bytes(without[start : start + 4], "little") - size + len(_EMPTY)
        without[start : start + 4] = length.to_bytes(4, "little")
    decoded: dict[str, Any] = bson.decode(without)
    decoded["cursor"][name.decode()] = [documents] if documents else []
    return [decoded]


def _last_document(documents: bytes) -> bytes:
    from callviz_dagster.documents.walker import document_starts

    return documents[document_starts(documents)[-2] :]


def _id_element(document: bytes) -> bytes:
    """Return the raw element `_id` of a document, as a document of its own."""
    from callviz_dagster.documents.walker import iterate, value_size

    for name, kind, start in iterate(document, 4):
        if name == b"_id":
            body = bytes([kind]) + b"_id\x00" + document[start : start + value_size(document, kind, start)] + b"\x00"
            return (len(body) + 4).to_bytes(4, "little") + body
    raise MongoError("A document has no _id, so an interrupted read cannot go on; refresh again.")


def _identifier(document: bytes) -> Any:
    """Return a document's `_id` so that it encodes to the same bytes again."""
    options: CodecOptions[dict[str, Any]] = CodecOptions(
        uuid_representation=UuidRepresentation.UNSPECIFIED, datetime_conversion=bson.DatetimeConversion.DATETIME_MS
    )
    return bson.decode(_id_element(document), options)["_id"]


def _without_first(batch: bytes, last: bytes) -> bytes:
    """Return a batch without its first document where that is the one that was read last."""
    first = batch[: int.from_bytes(batch[:4], "little")]
    return batch[len(first) :] if _id_element(first) == _id_element(last) else batch
