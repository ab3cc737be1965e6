"""A read that is disturbed by a replica set of three real servers equals an undisturbed one."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import bson
import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from callviz_dagster.demo.mongod import Server, running_replica_set
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.coverage import count_coverage
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.partitions import WHOLE, Partition, Partitioning, between
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.mongo import operations, snapshot
from callviz_dagster_tests.helpers.proxy import Network, network

LOG = logging.getLogger("test")
Document = dict[str, Any]
NUMBER = 20_000


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Run three servers with calls that all of them have."""
    with running_replica_set(tmp_path_factory.mktemp("set"), parameters={"enableTestCommands": 1}) as servers:
        with MongoClient[Document](servers[0].uri, w=3) as client:
            client.shop.calls.insert_many([{"_id": n, "n": n, "filler": "x" * 2000} for n in range(NUMBER)])
            client.shop.calls.create_index("n")
        yield servers


def primary(servers: list[Server]) -> Server:
    with MongoClient[Document](servers[0].uri) as client:
        client.admin.command("ping")
        address = client.primary
        assert address is not None
    return next(server for server in servers if server.port == address[1])


def step_down(servers: list[Server]) -> None:
    """Let another member become primary, and end the read on the one that was."""
    before = primary(servers)
    with MongoClient[Document](servers[0].uri) as client:
        client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=5)
    assert primary(servers) != before
    end_reads(before)


def cut_connections(servers: list[Server]) -> None:
    end_reads(primary(servers))


def end_reads(server: Server) -> None:
    """End what is read on a server, as an administrator would."""
    with MongoClient[Document]("127.0.0.1", server.port, directConnection=True) as client:
        for operation in operations(client):
            database, _, name = operation.get("ns", "").partition(".")
            if database == "shop":
                if cursor := operation.get("cursor", {}).get("cursorId"):
                    client.shop.command("killCursors", name, cursors=[cursor])
                if "opid" in operation:
                    client.admin.command("killOp", op=operation["opid"])


def kill_and_start_again(servers: list[Server]) -> None:
    server = primary(servers)
    server.kill()
    threading.Timer(1.0, server.start).start()


def freeze(servers: list[Server]) -> None:
    """Let the process hang, as on a machine whose disk has gone: it says nothing, and its connections stay open."""
    server = primary(servers)
    os.kill(server.pid, signal.SIGSTOP)
    threading.Timer(10.0, os.kill, (server.pid, signal.SIGCONT)).start()


def test_a_read_preference_keeps_all_reading_and_counting_from_the_primary(
    members: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            if event.command_name in ("aggregate", "find", "getMore", "count"):
                ports[event.command_name].add(event.connection_id[1])

        def succeeded(self, event: CommandSucceededEvent) -> None: ...

        def failed(self, event: CommandFailedEvent) -> None: ...

    ports: defaultdict[str, set[int | None]] = defaultdict(set)
    client = functools.partial(MongoClient, event_listeners=[Asked()])
    monkeypatch.setattr("callviz_dagster.mongodb.connection.pymongo.MongoClient", client)
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 5_000)
    settings = Settings(
        mongo_uri=f"{members[0].uri}&readPreference=secondary",
        mongo_database="shop",
        partitions="monthly",
        partitions_start=dt.date(2024, 1, 1),
        field_start_time="n",
    )
    partitioning = Partitioning.of(settings)
    partitions = partitioning.partitions(dt.datetime(2024, 3, 1, tzinfo=dt.UTC))
    with MongoDB(settings).snapshot_session(LOG) as session:
        coverage = count_coverage(session, partitioning, partitions, {*partitions})
        assert (coverage.documents, coverage.no_date) == (NUMBER, NUMBER)
        read = session.read(WHOLE)
        assert sum(len(bson.decode_all(batch)) for batch in read) == read.documents == NUMBER
    assert {"aggregate", "find", "getMore"} <= ports.keys()
    assert primary(members).port not in set().union(*ports.values())


QUICK = "heartbeatFrequencyMS=500&connectTimeoutMS=1000"
"""By default a silent server is given up after about 18 seconds."""


@pytest.mark.parametrize("disturb", [step_down, cut_connections, kill_and_start_again, freeze])
def test_a_disturbed_read_equals_an_undisturbed_one(
    members: list[Server], disturb: Callable[[list[Server]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 500)
    settings = Settings(mongo_uri=f"{members[0].uri}&{QUICK}", mongo_database="shop")
    documents: list[Document] = []
    with snapshot(settings) as read:
        assert read.point_in_time
        for number, batch in enumerate(read):
            documents += bson.decode_all(batch)
            if number == 3:
                with MongoClient[Document](members[0].uri, w="majority") as client:
                    client.shop.calls.update_many({"_id": {"$gte": NUMBER - 50}}, {"$inc": {"n": 1}})
                disturb(members)
    assert read.resumed >= 1, "the test must have interrupted the read"
    assert [document["_id"] for document in documents] == list(range(NUMBER))
    with MongoClient[Document](members[0].uri) as client:
        now = {document["_id"]: document["n"] for document in client.shop.calls.find({"_id": {"$gte": NUMBER - 50}})}
    assert {d["_id"]: d["n"] + 1 for d in documents[-50:]} == now, "all documents are of the instant before the update"


@pytest.fixture
def reading_through(members: list[Server], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Network, Settings]]:
    """Give a network to the primary, and settings that read through it."""
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 500)
    with network(primary(members).port) as net:
        uri = f"mongodb://127.0.0.1:{net.port}/?directConnection=true&serverSelectionTimeoutMS=1000&{QUICK}"
        yield net, Settings(mongo_uri=uri, mongo_database="shop")


def test_a_read_whose_connections_are_reset_in_mid_batch_equals_an_undisturbed_one(
    reading_through: tuple[Network, Settings], caplog: pytest.LogCaptureFixture
) -> None:
    net, settings = reading_through
    documents: list[Document] = []
    with snapshot(settings) as read:
        assert read.point_in_time
        for number, batch in enumerate(read):
            documents += bson.decode_all(batch)
            if number % 8 == 1:
                net.cut_after(200_000)
    assert net.cuts >= 2
    assert read.resumed >= 2
    assert [document["_id"] for document in documents] == list(range(NUMBER))
    assert "Connection reset by peer" in caplog.text


def test_a_read_over_a_network_that_goes_silent_goes_on_when_it_is_back(
    reading_through: tuple[Network, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, settings = reading_through
    log = logging.getLogger("silent network")
    monkeypatch.setattr(log, "warning", lambda message: net.come_back())
    documents: list[Document] = []
    with snapshot(settings, log=log) as read:
        for number, batch in enumerate(read):
            documents += bson.decode_all(batch)
            if number == 1:
                net.go_silent()
    assert read.resumed >= 1
    assert [document["_id"] for document in documents] == list(range(NUMBER))


def test_a_network_that_stays_silent_is_told(
    reading_through: tuple[Network, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, settings = reading_through
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.MOST_RETRIES", 1)
    with (
        pytest.raises(MongoError, match=rf"^MongoDB did not answer: 127\.0\.0\.1:{net.port}.* Check the host and port"),
        snapshot(settings) as read,
    ):
        for _ in read:
            net.go_silent()


def hang(members: list[Server], command: str, times: int) -> None:
    """Let the primary take long over some commands, while it answers those that ask how it is at once."""
    blocked = {"failCommands": [command], "blockConnection": True, "blockTimeMS": 3_000, "appName": "callviz"}
    with MongoClient[Document]("127.0.0.1", primary(members).port, directConnection=True) as client:
        client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=blocked)


def test_a_server_that_hangs_in_mid_read_is_asked_again(members: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 500)
    settings = Settings(mongo_uri=f"{members[0].uri}&socketTimeoutMS=500", mongo_database="shop")
    hang(members, "getMore", 1)
    with snapshot(settings) as read:
        documents = [document for batch in read for document in bson.decode_all(batch)]
    assert read.resumed >= 1
    assert [document["_id"] for document in documents] == list(range(NUMBER))


@pytest.mark.parametrize("command", ["aggregate", "find"])
def test_a_server_that_hangs_again_and_again_is_told(
    members: list[Server], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 500)
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.PATIENCE_SECONDS", 0.9)
    settings = Settings(mongo_uri=f"{members[0].uri}&socketTimeoutMS=500", mongo_database="shop")
    hang(members, command, 5)
    with (
        pytest.raises(
            MongoError,
            match=r"but the server stopped responding: .*set socketTimeoutMS in CALLVIZ_MONGO",
        ),
        snapshot(settings) as read,
    ):
        for _ in read:
            pass
    with MongoClient[Document]("127.0.0.1", primary(members).port, directConnection=True) as client:
        client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.mark.parametrize(("given", "seconds"), [("", 1800), ("&socketTimeoutMS=7000", 7), ("&SocketTimeoutMS=0", None)])
def test_no_answer_is_waited_for_without_end_unless_the_connection_string_says_so(
    members: list[Server], given: str, seconds: float | None
) -> None:
    settings = Settings(mongo_uri=members[0].uri + given, mongo_database="shop")
    with MongoDB(settings).collection() as collection:
        assert collection.database.client.options.pool_options.socket_timeout == seconds


def test_a_disturbed_read_of_a_partition_goes_on_after_identifiers_of_every_type(
    members: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 50)
    identifiers: list[Any] = [*range(200), *(f"call-{n:03d}" for n in range(200)), *({"n": n} for n in range(50))]
    day = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    partition = Partition("w", "w", "start", day, day + dt.timedelta(1))
    with MongoClient[Document](members[0].uri, w=3) as client:
        client.shop.days.create_index("start")
        client.shop.days.insert_many([{"_id": i, "start": day, "filler": "x" * 100_000} for i in identifiers])
        client.shop.days.insert_many([{"start": day + dt.timedelta(1)} for _ in range(100)])
    settings = Settings(mongo_uri=members[0].uri, mongo_database="shop", mongo_collection="days")
    documents: list[Document] = []
    assert partition.filter() == between("start", partition.start, partition.end)
    with snapshot(settings, partition) as read:
        for number, batch in enumerate(read):
            documents += bson.decode_all(batch)
            if number in (1, 6):
                cut_connections(members)
    assert read.resumed >= 1
    assert [document["_id"] for document in documents] == identifiers
