"""Reading MongoDB: one instant, every document, whatever interrupts; and errors in one sentence."""

from __future__ import annotations

import dataclasses
import datetime as dt
import struct
import time
import uuid
from typing import Any

import bson
import pytest
from bson import Binary, CodecOptions, Decimal128, Int64, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.mongodb import connection
from callviz_dagster.mongodb.changes import read_changes, watermark
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.mongodb.indexes import find_index
from callviz_dagster.mongodb.sample import read_sample
from callviz_dagster.mongodb.server import inspect_server
from callviz_dagster.partitions import WHOLE, Partition
from callviz_dagster.settings import MissingSettingError, Settings
from callviz_dagster_tests.helpers.mongo import LOG, operations, snapshot
from callviz_dagster_tests.helpers.raw_bson import DATE, date, nested, raw_document, text, value

Document = dict[str, Any]
RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


def read_all(settings: Settings) -> list[Document]:
    with snapshot(settings) as read:
        documents = [document for batch in read for document in bson.decode_all(batch)]
    return documents


def test_every_document_is_read_in_id_order(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many([{"_id": n, "n": n} for n in reversed(range(45_000))])
    with snapshot(settings) as read:
        batches = list(read)
    documents = [document for batch in batches for document in bson.decode_all(batch)]
    assert [document["_id"] for document in documents] == list(range(45_000))
    assert len(batches) > 1
    assert (read.documents, read.point_in_time, read.resumed) == (45_000, True, 0)
    assert read.server.startswith("MongoDB ")
    assert "replica set" in read.server
    assert abs(read.instant.timestamp() - time.time()) < 60


def test_an_empty_collection_has_no_batches(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": 1})
    collection.delete_many({})
    with snapshot(settings) as read:
        assert (list(read), read.documents, read.expected) == ([], 0, 0)


def test_a_collection_is_counted_while_it_is_read_as_of_the_same_instant(
    settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_many([{"_id": n} for n in range(100)])
    with snapshot(settings) as read:
        collection.insert_many([{"_id": n} for n in range(100, 150)])
        assert len(list(read)) == 1
        assert read.documents == 100


def test_all_documents_are_of_one_instant(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many([{"_id": n, "generation": 0, "filler": "x" * 500} for n in range(60_000)])
    with snapshot(settings) as read:
        batches = iter(read)
        first = next(batches)
        collection.update_many({}, {"$set": {"generation": 1}})
        collection.delete_many({"_id": {"$gte": 50_000}})
        collection.insert_one({"_id": 99_999, "generation": 1})
        documents = [document for batch in [first, *batches] for document in bson.decode_all(batch)]
    assert len(documents) == read.documents == 60_000
    assert {document["generation"] for document in documents} == {0}


def test_standalone_server_is_read_and_says_that_it_has_no_snapshot(standalone_uri: str) -> None:
    name = f"test_{uuid.uuid4().hex[:12]}"
    settings = Settings(mongo_uri=standalone_uri, mongo_database=name)
    with MongoClient[Document](standalone_uri) as client:
        try:
            client[name].calls.insert_many([{"_id": n} for n in range(100)])
            with snapshot(settings) as read:
                documents = [document for batch in read for document in bson.decode_all(batch)]
        finally:
            client.drop_database(name)
    assert len(documents) == 100
    assert not read.point_in_time
    assert "standalone server" in read.server


IDENTIFIERS: list[Any] = [
    *range(0, 9000, 3),
    Int64(2**60),
    2.5,
    Decimal128("77.7"),
    *(f"call-{n:05d}" for n in range(3000)),
    "",
    {"tenant": 1, "n": 7},
    Binary(b"\x00\xff", 0),
    Binary(bytes(range(16)), 3),
    Binary(bytes(range(16)), 4),
    *(ObjectId(f"{n:024x}") for n in range(3000)),
    True,
    Timestamp(1, 1),
]


def test_read_goes_on_after_a_killed_cursor(
    settings: Settings,
    collection: Collection[Document],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections are cut on the server in mid-read; identifiers of every type are still read once each."""
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 400)
    collection.insert_many([{"_id": identifier, "filler": "x" * 6000} for identifier in IDENTIFIERS])
    undisturbed = read_all(settings)
    documents: list[Document] = []
    with snapshot(settings) as read:
        for number, batch in enumerate(read):
            documents += bson.decode_all(batch)
            if number % 3 == 1:
                kill_reads_of(collection)
    assert read.resumed >= 1, "the test must have interrupted the read"
    assert documents == undisturbed
    assert len(documents) == len(IDENTIFIERS)
    assert "continues after the last document" in caplog.text


def test_identifiers_that_python_cannot_hold_are_read_shown_and_watched(
    settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stores text that is not UTF-8, and dates of any year; pymongo's usual decoder raises on both."""
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 5)
    day = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    far_date = (DATE, struct.pack("<q", 2**62))
    identifiers = [raw_document([("_id", text(b"\xed\xa0\x80%03d" % number))]) for number in range(40)]
    identifiers.append(raw_document([("_id", far_date)]))
    # More than the buffers between server and client hold: else all may be on its way before a read is killed.
    elements = [("start", value(day)), ("note", text(b"\xff")), ("filler", text("x" * 1_500_000))]
    token = read_changes(collection, None).token
    for identifier in reversed(identifiers):
        document = identifier[:-1] + raw_document(elements)[4:]
        collection.insert_one(RawBSONDocument(struct.pack("<i", len(document)) + document[4:]))
    collection.update_many({}, [{"$set": {"start": "$start", "again": "$note"}}])
    for partition in (WHOLE, Partition("w", "w", "start", day, day + dt.timedelta(1))):
        batches: list[bytes] = []
        with snapshot(settings, partition) as read:
            for batch in read:
                batches.append(batch)
                if len(batches) in (2, 5):
                    kill_reads_of(collection)
        assert read.resumed >= 1, "the test must have interrupted the read"
        assert [identifier_of(document) for document in bson.decode_all(b"".join(batches), RAW)] == identifiers
    with MongoDB(settings).snapshot_session(LOG) as session:
        assert "\\xed\\xa0\\x80039" in session.find_ids({}, 50)
    changes = read_changes(collection, token, "note").changes
    assert [(changes[n].kind, changes[n].identifier) for n in (1, -1)] == [
        ("insert", "\\xed\\xa0\\x80039"),
        ("update", "\\xed\\xa0\\x80000"),
    ]
    assert watermark(collection)[0] == read_sample(MongoDB(settings)).total == len(identifiers)


def test_indexes_and_views_over_values_that_python_cannot_hold(
    settings: Settings, collection: Collection[Document]
) -> None:
    """The server's replies repeat the filter of an index and the pipeline of a view."""
    collection.insert_many([{"_id": number, "start": dt.datetime(2024, 5, 1)} for number in range(3)])
    key = nested([("start", value(1))])
    only = nested([("note", text(b"\xff")), ("start", date(2**62))])
    index = [("key", key), ("name", text("start_1")), ("partialFilterExpression", only)]
    database = collection.database
    database.command({"createIndexes": "calls", "indexes": [RawBSONDocument(raw_document(index))]})
    stage = [("$match", nested([("note", nested([("$ne", text(b"\xff"))]))]))]
    database.command({"create": "view", "viewOn": "calls", "pipeline": [RawBSONDocument(raw_document(stage))]})
    with MongoDB(settings).collection() as calls:
        assert find_index(calls, inspect_server(calls), "start").name is None
    settings = dataclasses.replace(settings, mongo_collection="view")
    with MongoDB(settings).collection() as view:
        server = inspect_server(view)
        assert server.view
        assert find_index(view, server, "start").name is None
    assert len(read_all(settings)) == 3


def identifier_of(document: RawBSONDocument) -> bytes:
    """Return a document, whose `_id` comes first, without the elements after it."""
    raw = bytes(document.raw)
    end = raw.index(b"\x09start\x00")
    return struct.pack("<i", end + 1) + raw[4:end] + b"\x00"


def kill_reads_of(collection: Collection[Document]) -> None:
    """End the server's running and idle cursors on a collection."""
    for operation in operations(collection.database.client):
        if operation.get("ns") != collection.full_name:
            continue
        cursor = operation.get("cursor", {}).get("cursorId")
        if cursor:
            collection.database.command("killCursors", collection.name, cursors=[cursor])
        if "opid" in operation:
            collection.database.client.admin.command("killOp", op=operation["opid"])


def test_missing_connection_string(settings: Settings) -> None:
    with pytest.raises(MissingSettingError, match="CALLVIZ_MONGO_URI"):
        read_all(dataclasses.replace(settings, mongo_uri=None))


@pytest.mark.slow
def test_silent_host_is_told_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.ANSWER_SECONDS < 10
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.1)
    settings = Settings(mongo_uri="mongodb://bob:hunter22@127.0.0.1:9/")
    with pytest.raises(MongoError, match=r"did not answer.*127\.0\.0\.1:9.*Check the host and port") as caught:
        read_all(settings)
    assert "hunter22" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_missing_collection_is_told_with_those_that_exist(settings: Settings, collection: Collection[Document]) -> None:
    collection.database["call"].insert_one({})
    with pytest.raises(MongoError, match=r"has no collection 'calls' \(it has call\).*CALLVIZ_MONGO_COLLECTION"):
        read_all(settings)


def test_missing_database_is_told(settings: Settings) -> None:
    with pytest.raises(MongoError, match=r"The server has no database 'nowhere'.*CALLVIZ_MONGO_DATABASE"):
        read_all(dataclasses.replace(settings, mongo_database="nowhere"))


def test_empty_collection_is_no_error(settings: Settings, collection: Collection[Document]) -> None:
    collection.database.create_collection(collection.name)
    assert read_all(settings) == []
