"""Collections and servers that give no snapshot, no change stream or no index: read, polled, and said so."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import dagster as dg
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from callviz_dagster.automation import sensor
from callviz_dagster.demo.mongod import Server, running_replica_set
from callviz_dagster.mongodb.changes import read_changes
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError, ReadLostError, pymongo_errors_explained
from callviz_dagster.mongodb.server import inspect_server
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.mongo import operations, snapshot
from callviz_dagster_tests.helpers.other_server import Answer, cursor, other_server, refused
from callviz_dagster_tests.helpers.refresh import checks, refresh

Document = dict[str, Any]
FIRST = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
LOG = logging.getLogger("test")


def calls(number: int) -> list[Document]:
    return [{"_id": n, "start_time": FIRST + dt.timedelta(hours=n), "status": "completed"} for n in range(number)]


def make_view(database: Database[Document]) -> None:
    database.create_collection("stored").insert_many(calls(50))
    database.create_collection("calls", viewOn="stored", pipeline=[{"$match": {"status": "completed"}}])


def make_timeseries(database: Database[Document]) -> None:
    database.create_collection("calls", timeseries={"timeField": "start_time"}).insert_many(calls(50))


def make_capped(database: Database[Document]) -> None:
    database.create_collection("calls", capped=True, size=1 << 20).insert_many(calls(50))


def make_clustered(database: Database[Document]) -> None:
    key = {"key": {"_id": 1}, "unique": True, "name": "an index name of its own"}
    database.create_collection("calls", clusteredIndex=key).insert_many(calls(50))


def make_collated(database: Database[Document]) -> None:
    database.create_collection("calls", collation={"locale": "de"}).insert_many(calls(50))


KINDS: dict[str, Callable[[Database[Document]], None]] = {
    "a view": make_view,
    "a time-series collection": make_timeseries,
    "a capped collection": make_capped,
    "a clustered collection": make_clustered,
    "a collection with a collation": make_collated,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, collection: Collection[Document]) -> str:
    """Make a collection of a kind, with fifty calls."""
    KINDS[request.param](collection.database)
    return str(request.param)


def test_every_kind_of_collection_is_refreshed(kind: str, settings: Settings) -> None:
    result = refresh(settings)
    assert result.success
    assert len((settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()) == 51
    words = checks(result)["archive_complete"].description or ""
    assert ("read without a snapshot (a capped collection has none)" in words) == (kind == "a capped collection")


def test_every_kind_of_collection_is_refreshed_by_partitions(kind: str, settings: Settings) -> None:
    daily = dataclasses.replace(
        settings, partitions="monthly", partitions_start=FIRST.date(), field_start_time="start_time", max_rejected=0.0
    )
    month = {f"dagster/asset_partition_range_{end}": "2024-05-01" for end in ("start", "end")}
    result = refresh(daily, tags=month)
    assert result.success
    assert len((settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()) == 51


def test_the_advice_about_an_index_can_be_followed(
    kind: str, settings: Settings, collection: Collection[Document]
) -> None:
    """A time-series collection finds its documents by time anyway."""
    with MongoDB(settings).snapshot_session(LOG) as session:
        advice = session.index("start_time").create
    assert bool(advice) == (kind != "a time-series collection")
    if not advice:
        return
    name = "stored" if kind == "a view" else "calls"
    assert advice.startswith(f'db.getCollection("{name}").createIndex({{"start_time": 1}})')
    collection.database[name].create_index("start_time")
    with MongoDB(settings).snapshot_session(LOG) as session:
        assert not session.index("start_time").create


def ticks(settings: Settings, instance: dg.DagsterInstance) -> Iterator[dg.SensorResult]:
    """Tick, and let the runs that are requested succeed."""
    cursor_text, now = None, dt.datetime.now(dt.UTC)
    while True:
        now += dt.timedelta(seconds=settings.min_refresh_seconds + 1)
        result = sensor.tick(cursor_text, instance, MongoDB(settings), settings, now)
        cursor_text = result.cursor
        yield result
        for request in result.run_requests or []:
            assert refresh(settings).success
            instance.add_run(
                dg.DagsterRun("refresh_calls", tags=dict(request.tags), status=dg.DagsterRunStatus.SUCCESS)
            )


def test_every_kind_of_collection_is_watched(kind: str, settings: Settings, collection: Collection[Document]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tick = ticks(settings, instance)
        assert next(tick).run_requests
        quiet = next(tick).skip_reason
        assert quiet is not None
        words = str(quiet.skip_message)
        assert words.startswith("no changes since")
        polled = kind in ("a view", "a time-series collection")
        assert (f"polled without a change stream ({kind} has none)" in words) == polled
        stored = collection.database["stored" if kind == "a view" else "calls"]
        stored.insert_one({"_id": 99, "start_time": FIRST, "status": "completed"})
        assert next(tick).run_requests
        assert next(tick).skip_reason
    assert len((settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()) == 52


@pytest.mark.parametrize("kind", ["a view", "a sharded collection"])
def test_an_interrupted_read_starts_again_where_identifiers_may_repeat(
    kind: str, settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several documents may have one `_id` in a view and on several shards: the last one is no place to continue."""
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 10)
    if kind == "a view":
        make_view(collection.database)
        collection = collection.database["stored"]
    # More than the buffers between server and client hold: else all may be on its way before the cursor is ended.
    collection.insert_many([{"_id": n, "status": "completed", "filler": "x" * 200_000} for n in range(50, 350)])
    if kind == "a sharded collection":
        server = dataclasses.replace(inspect_server(collection), sharded=True)
        monkeypatch.setattr("callviz_dagster.mongodb.connection.inspect_server", lambda _: server)
    with snapshot(settings) as read, pytest.raises(ReadLostError, match=f"{kind} is not read on from where it was"):
        for _ in read:
            end_cursors(collection.database)


def end_cursors(database: Database[Document]) -> None:
    for operation in operations(database.client):
        number = operation.get("cursor", {}).get("cursorId")
        name, _, collection = operation.get("ns", "").partition(".")
        if number and name == database.name:
            database.command("killCursors", collection, cursors=[number])


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Give the hidden member of a replica set that has fifty calls, and a connection string of the whole set."""
    folder = tmp_path_factory.mktemp("hidden")
    with running_replica_set(folder, members=2) as servers, MongoClient[Document](servers[0].uri, w=2) as client:
        client.shop.calls.insert_many(calls(50))
        config = client.admin.command("replSetGetConfig")["config"]
        assert client.primary is not None
        (server,) = (server for server in servers if server.port != client.primary[1])
        for member in config["members"]:
            if member["host"] == server.address:
                member |= {"priority": 0, "hidden": True}
        config["version"] += 1
        client.admin.command("replSetReconfig", config)
        with MongoClient[Document](f"mongodb://{server.address}", directConnection=True) as direct:
            while not direct.admin.command("hello").get("hidden"):
                pass
        yield server, server.uri


def test_a_hidden_member_is_read_and_watched(hidden: tuple[Server, str]) -> None:
    server, uri = hidden
    settings = Settings(mongo_uri=f"mongodb://{server.address}/shop?directConnection=true")
    with snapshot(settings) as read:
        assert sum(len(bson.decode_all(batch)) for batch in read) == read.documents == 50
        assert read.no_snapshot == "a hidden member has no sessions"
    with MongoDB(settings).collection() as collection:
        token = read_changes(collection, None).token
        with MongoClient[Document](uri, w=2) as client:
            client.shop.calls.update_one({"_id": 1}, {"$set": {"status": "missed"}})
            client.shop.calls.update_one({"_id": 1}, {"$set": {"status": "completed"}})
        changes = read_changes(collection, token).changes
        assert [change.kind for change in changes] == ["update", "update"]


def without_snapshots(command: Any) -> Document:
    if command.get("readConcern"):
        return refused(115, "readConcern snapshot is not supported")
    if command.get("hint") == {}:
        return refused(2, "hint must name an index")
    if any("$changeStream" in stage for stage in command["pipeline"]):
        return refused(40324, "Unrecognized pipeline stage name: $changeStream")
    return cursor({"documents": 3})


OTHERS: dict[str, tuple[dict[str, Answer], Document, str]] = {
    "MongoDB 4.4": ({}, {"setName": "rs", "maxWireVersion": 9}, "MongoDB has them since 5.0"),
    "a product without snapshots": (
        {"aggregate": without_snapshots},
        {"setName": "rs", "logicalSessionTimeoutMinutes": 30},
        "the server refuses it: readConcern snapshot is not supported",
    ),
    "a product without cluster times": (
        {},
        {"setName": "rs", "logicalSessionTimeoutMinutes": 30},
        "the server does not say of which instant its answers are",
    ),
    "a product that is no replica set": ({}, {}, "a standalone server has none"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_servers_are_read_without_a_snapshot(name: str) -> None:
    answers, hello, why = OTHERS[name]
    with other_server(calls(3), answers, hello) as server, snapshot(Settings(mongo_uri=server.uri)) as read:
        assert sum(len(bson.decode_all(batch)) for batch in read) == read.documents == 3
        assert (read.no_snapshot, read.point_in_time) == (why, False)
    assert not [command for command in server.asked if command.get("hint") == {}]


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            ServerSelectionTimeoutError('No replica set members match selector "Primary()", Timeout: 8.0s'),
            MongoError,
            "the replica set has no primary at present",
        ),
        (
            ServerSelectionTimeoutError('No replica set members match selector "Secondary(...)", Timeout: 8.0s'),
            MongoError,
            "Use secondaryPreferred",
        ),
        (
            ConfigurationError("Sessions are not supported by this MongoDB deployment"),
            ReadLostError,
            "neither primary nor secondary",
        ),
        (
            ServerSelectionTimeoutError("h:27017: connection closed, Timeout: 8.0s"),
            MongoError,
            "name its file with tlsCertificateKeyFile; else check host and port",
        ),
        (OperationFailure("killed", 175), ReadLostError, "An index of shop.calls was dropped, or shop.calls itself"),
        (OperationFailure("odd", 1), MongoError, "MongoDB could not be read: odd"),
        (ConfigurationError("no certificate"), MongoError, "names a file with a certificate and its private key"),
        (ConfigurationError("wire version"), MongoError, "too old or too new for this pymongo"),
        (PyMongoError("odd"), MongoError, "MongoDB could not be read: odd"),
    ],
    ids=[
        *("no primary", "no secondary", "a member in transition", "no client certificate", "a query that is killed"),
        *("another refusal", "a bad certificate", "another version", "another error"),
    ],
)
def test_an_error_of_pymongo_is_one_sentence(error: PyMongoError, kind: type[MongoError], sentence: str) -> None:
    settings = Settings(mongo_uri="mongodb://h/shop?tls=true")
    with pytest.raises(kind, match=sentence), pymongo_errors_explained(settings):
        raise error


@pytest.mark.slow
def test_a_server_without_change_streams_is_polled(tmp_path: Path) -> None:
    answers, hello, _ = OTHERS["a product without snapshots"]
    with other_server(calls(3), answers, hello) as server, dg.DagsterInstance.ephemeral() as instance:
        settings = Settings(mongo_uri=server.uri, data_dir=tmp_path / "data", publish_dir=tmp_path / "publish")
        tick = ticks(settings, instance)
        assert next(tick).run_requests
        quiet = next(tick).skip_reason
        assert quiet is not None
        assert "polled without a change stream (the server refuses it: Unrecognized" in str(quiet.skip_message)


@pytest.mark.parametrize(
    "answers",
    [
        {"buildinfo": lambda _: {}},
        {"listcollections": lambda _: {}},
        {"listcollections": lambda _: cursor(), "listdatabases": lambda _: {}},
        {"aggregate": lambda _: {}},
        {"find": lambda _: {}},
        {"count": lambda _: {}},
    ],
    ids=lambda answers: ", ".join(answers),
)
def test_answers_that_are_none_of_mongodb_are_a_sentence(answers: dict[str, Answer], tmp_path: Path) -> None:
    with other_server(calls(3), answers) as server:
        settings = Settings(mongo_uri=server.uri, data_dir=tmp_path / "data", publish_dir=tmp_path / "publish")
        try:
            with snapshot(settings) as read:
                assert sum(len(bson.decode_all(batch)) for batch in read) == 3
        except MongoError as error:
            assert "\n" not in str(error)
        try:
            next(ticks(settings, dg.DagsterInstance.ephemeral()))
        except MongoError as error:
            assert "\n" not in str(error)
