"""The MongoDB resource: connect, and read a window of the collection as it was at one instant.

Never writes to the database. Every error is one sentence that says what to do, without credentials.
What belongs elsewhere: what the documents mean.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
from collections.abc import Iterator, Mapping
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
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from callviz_dagster.elements import document_starts, iterate, value_size
from callviz_dagster.settings import Settings, redact
from callviz_dagster.windows import Window

BATCH = 20_000
"""Documents a batch; the server ends a batch at 16 MB too."""

ANSWER_SECONDS = 8
"""How long to wait for a server that does not answer, unless the connection string says otherwise."""

_RESUMES = 6
_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
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


@dataclass
class SnapshotRead:
    """A read of a window, and how it went.

    `point_in_time` tells whether all documents are of one instant (`instant`, UTC); a server that is no replica
    set cannot give that, and then `instant` is when the read began.
    """

    source: str
    server: str
    point_in_time: bool
    documents: int
    instant: dt.datetime
    cluster_time: Timestamp | None
    resumed: int = 0
    _batches: Iterator[bytes] = field(default_factory=lambda: iter(()), repr=False)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the documents in `_id` order, as raw BSON end to end, in batches."""
        return self._batches


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
            options: dict[str, Any] = {"appname": "callviz"}
            if "serverselectiontimeoutms" not in uri.lower():
                options["serverSelectionTimeoutMS"] = ANSWER_SECONDS * 1000
            if "connecttimeoutms" not in uri.lower():
                options["connectTimeoutMS"] = ANSWER_SECONDS * 1000
            try:
                client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri, **options)
            except (ValueError, InvalidURI, ConfigurationError) as error:
                raise MongoError(
                    f"CALLVIZ_MONGO_URI is not a valid connection string: {redact(str(error), uri)}"
                ) from None
            with client:
                yield client[self._settings.database][self._settings.mongo_collection]

    @contextlib.contextmanager
    def snapshot(self, window: Window, log: logging.Logger) -> Iterator[SnapshotRead]:
        """Open a read of a window at one instant; iterate over it inside the `with` block.

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
            with collection.database.client.start_session(snapshot="setName" in hello or sharded) as session:
                read = self._open(collection, window, session, hello)
                read._batches = self._read(collection, window, session, read, log, exhaust=not sharded)
                yield read

    def _open(
        self, collection: Collection[Any], window: Window, session: ClientSession, hello: Mapping[str, Any]
    ) -> SnapshotRead:
        client = collection.database.client
        reply = collection.database.command(
            "aggregate",
            collection.name,
            pipeline=[{"$match": window.filter()}, {"$count": "documents"}]
            if window.filter()
            else [{"$count": "documents"}],
            cursor={},
            session=session,
        )
        counted = reply["cursor"]["firstBatch"]
        at: Timestamp | None = reply["cursor"].get("atClusterTime")
        kind = f"replica set {hello['setName']}" if "setName" in hello else "standalone server"
        return SnapshotRead(
            source=self.source(collection),
            server=f"MongoDB {client.server_info()['version']}, {'sharded cluster' if hello.get('msg') else kind}",
            point_in_time=at is not None,
            documents=counted[0]["documents"] if counted else 0,
            instant=at.as_datetime() if at is not None else dt.datetime.now(dt.UTC),
            cluster_time=at,
        )

    def source(self, collection: Collection[Any]) -> str:
        """Return where the calls come from, without credentials: database.collection on host."""
        hosts = ", ".join(f"{host}:{port}" for host, port in sorted(collection.database.client.nodes)) or "MongoDB"
        return f"{collection.database.name}.{collection.name} on {hosts}"

    def _read(
        self,
        collection: Collection[Any],
        window: Window,
        session: ClientSession,
        read: SnapshotRead,
        log: logging.Logger,
        *,
        exhaust: bool,
    ) -> Iterator[bytes]:
        latest = b""
        failures = 0
        while True:
            last = _last_document(latest) if latest else None
            try:
                cursor = collection.find_raw_batches(
                    window.filter(),
                    session=session,
                    batch_size=BATCH,
                    sort=[("_id", 1)],
                    cursor_type=CursorType.EXHAUST if exhaust else CursorType.NON_TAILABLE,
                )
                if last is not None:
                    # `min` also goes on to identifiers of other BSON types; {$gt: last} would skip them.
                    cursor = cursor.hint([("_id", 1)]).min([("_id", _identifier(last))])
                with contextlib.closing(cursor):
                    for batch in cursor:
                        documents = _without_first(batch, last) if last is not None else batch
                        if documents:
                            yield documents
                            failures = 0
                            latest = documents
                return
            except PyMongoError as error:
                if not _can_resume(error) or failures >= _RESUMES:
                    raise
                failures += 1
                read.resumed += 1
                reason = redact(str(error), self._settings.mongo_uri).split(",")[0]
                log.warning(f"The read was interrupted ({reason}); it goes on from the last document.")
                time.sleep(min(0.25 * 2**failures, 5))

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


def _has(names: list[str]) -> str:
    return f" (it has {', '.join(sorted(names)[:20])})" if names else ""


def _can_resume(error: PyMongoError) -> bool:
    if isinstance(error, OperationFailure):
        return isinstance(error, CursorNotFound) or error.code in _INTERRUPTED
    return isinstance(error, AutoReconnect)


def _last_document(documents: bytes) -> bytes:
    return documents[document_starts(documents)[-2] :]


def _id_element(document: bytes) -> bytes:
    """Return the raw element `_id` of a document, as a document of its own."""
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
