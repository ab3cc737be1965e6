"""Reading MongoDB: one instant, every document, whatever interrupts; and errors in one sentence."""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Timestamp
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.mongodb import resource as mongo
from callviz_dagster.mongodb.resource import MongoDB, MongoError
from callviz_dagster.partitions import WHOLE
from callviz_dagster.settings import MissingSettingError, Settings

LOG = logging.getLogger("test")
Document = dict[str, Any]


def read(settings: Settings) -> list[Document]:
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        documents = [document for batch in snapshot for document in bson.decode_all(batch)]
    return documents


def test_every_document_is_read_in_id_order(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many([{"_id": n, "n": n} for n in reversed(range(45_000))])
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        batches = list(snapshot)
    documents = [document for batch in batches for document in bson.decode_all(batch)]
    assert [document["_id"] for document in documents] == list(range(45_000))
    assert len(batches) > 1
    assert (snapshot.documents, snapshot.point_in_time, snapshot.resumed) == (45_000, True, 0)
    assert snapshot.server.startswith("MongoDB ")
    assert "replica set" in snapshot.server
    assert abs(snapshot.instant.timestamp() - time.time()) < 60


@pytest.mark.parametrize("batch", [1, 7, 10_000])
def test_batches_are_those_of_pymongo_byte_for_byte(
    settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    collection.insert_many([
        *({"_id": n, "text": "é\x00" * n, "list": [{"cursor": {"firstBatch": []}}] * n} for n in range(30)),
        {"_id": "cursor", "cursor": {"firstBatch": [{}], "id": Int64(0)}, "firstBatch": [1], "nextBatch": []},
        {"_id": "large", "filler": "x" * 3_000_000},
    ])  # fmt: skip
    monkeypatch.setattr("callviz_dagster.mongodb.resource.BATCH", batch)
    asked: list[int] = []
    good = mongo._reply

    def reply(*given: Any, **named: Any) -> list[Document]:
        asked.append(1)
        return good(*given, **named)

    monkeypatch.setattr("callviz_dagster.mongodb.resource._reply", reply)
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        batches = list(snapshot)
    plain_batches: list[Any] = list(collection.find_raw_batches(batch_size=batch, sort=[("_id", 1)]))
    assert batches == plain_batches
    assert len(asked) >= len(batches), "pymongo asks for our way to read a reply; if not, reads are correct and slow"


def test_an_empty_collection_has_no_batches(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_one({"_id": 1})
    collection.delete_many({})
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        assert (list(snapshot), snapshot.documents, snapshot.expected) == ([], 0, 0)


def test_a_collection_is_counted_while_it_is_read_as_of_the_same_instant(
    settings: Settings, collection: Collection[Document]
) -> None:
    collection.insert_many([{"_id": n} for n in range(100)])
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        collection.insert_many([{"_id": n} for n in range(100, 150)])
        assert len(list(snapshot)) == 1
        assert snapshot.documents == 100


def test_all_documents_are_of_one_instant(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many([{"_id": n, "generation": 0, "filler": "x" * 500} for n in range(60_000)])
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        batches = iter(snapshot)
        first = next(batches)
        collection.update_many({}, {"$set": {"generation": 1}})
        collection.delete_many({"_id": {"$gte": 50_000}})
        collection.insert_one({"_id": 99_999, "generation": 1})
        documents = [document for batch in [first, *batches] for document in bson.decode_all(batch)]
    assert len(documents) == snapshot.documents == 60_000
    assert {document["generation"] for document in documents} == {0}


def test_standalone_server_is_read_and_says_that_it_has_no_snapshot(standalone_uri: str) -> None:
    name = f"test_{uuid.uuid4().hex[:12]}"
    settings = Settings(mongo_uri=standalone_uri, mongo_database=name)
    with MongoClient[Document](standalone_uri) as client:
        try:
            client[name].calls.insert_many([{"_id": n} for n in range(100)])
            with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
                documents = [document for batch in snapshot for document in bson.decode_all(batch)]
        finally:
            client.drop_database(name)
    assert len(documents) == 100
    assert not snapshot.point_in_time
    assert "standalone server" in snapshot.server


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
    monkeypatch.setattr("callviz_dagster.mongodb.resource.BATCH", 400)
    collection.insert_many([{"_id": identifier, "filler": "x" * 6000} for identifier in IDENTIFIERS])
    undisturbed = read(settings)
    documents: list[Document] = []
    with MongoDB(settings).snapshot(WHOLE, LOG) as snapshot:
        for number, batch in enumerate(snapshot):
            documents += bson.decode_all(batch)
            if number % 3 == 1:
                kill_reads_of(collection)
    assert snapshot.resumed >= 1, "the test must have interrupted the read"
    assert documents == undisturbed
    assert len(documents) == len(IDENTIFIERS)
    assert "goes on from the last document" in caplog.text


def kill_reads_of(collection: Collection[Document]) -> None:
    """End the server's running and idle cursors on a collection."""
    admin = collection.database.client.admin
    operations = admin.aggregate([{"$currentOp": {"idleCursors": True, "allUsers": True}}])
    for operation in operations:
        if operation.get("ns") != collection.full_name:
            continue
        cursor = operation.get("cursor", {}).get("cursorId")
        if cursor:
            collection.database.command("killCursors", collection.name, cursors=[cursor])
        if "opid" in operation:
            admin.command("killOp", op=operation["opid"])


def test_missing_connection_string(settings: Settings) -> None:
    with pytest.raises(MissingSettingError, match="CALLVIZ_MONGO_URI"):
        read(dataclasses.replace(settings, mongo_uri=None))


def test_silent_host_is_told_within_ten_seconds_without_the_password() -> None:
    settings = Settings(mongo_uri="mongodb://bob:hunter22@127.0.0.1:9/")
    began = time.monotonic()
    with pytest.raises(MongoError, match=r"did not answer.*127\.0\.0\.1:9.*Check the host and port") as caught:
        read(settings)
    assert time.monotonic() - began < 10
    assert "hunter22" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_malformed_connection_string_is_told_without_the_password() -> None:
    with pytest.raises(MongoError, match="CALLVIZ_MONGO_URI is not a valid connection string") as caught:
        read(Settings(mongo_uri="mongodb://bob:hunt/er22@127.0.0.1/"))
    assert "er22" not in str(caught.value)


def test_missing_collection_is_told_with_those_that_exist(settings: Settings, collection: Collection[Document]) -> None:
    collection.database["call"].insert_one({})
    with pytest.raises(MongoError, match=r"has no collection 'calls' \(it has call\).*CALLVIZ_MONGO_COLLECTION"):
        read(settings)


def test_missing_database_is_told(settings: Settings) -> None:
    with pytest.raises(MongoError, match=r"The server has no database 'nowhere'.*CALLVIZ_MONGO_DATABASE"):
        read(dataclasses.replace(settings, mongo_database="nowhere"))


def test_empty_collection_is_no_error(settings: Settings, collection: Collection[Document]) -> None:
    collection.database.create_collection(collection.name)
    assert read(settings) == []
