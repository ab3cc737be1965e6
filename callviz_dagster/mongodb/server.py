"""What is read: which server answers, what kind of collection it is, and what both can give.

What belongs elsewhere: reading with what they give (`snapshot.py`, `changes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bson.errors import InvalidBSON
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from callviz_dagster.mongodb.errors import UNAUTHORIZED, MongoError
from callviz_dagster.mongodb.raw_batches import SHOWN

_WIRE_VERSION_OF_5_0 = 13
"""Snapshot reads outside of transactions came with MongoDB 5.0."""
_MOST_NAMES = 20


@dataclass(frozen=True)
class Server:
    """The server and the collection, as far as reading depends on them."""

    description: str
    """Version and kind, for example `MongoDB 6.0.5, replica set callviz`."""
    process: str
    """Changes when another process answers: after a restart or an election."""
    identity: str = ""
    """Changes when another collection takes the name: its UUID; its options where it has none, as a view."""
    sharded: bool = False
    view: bool = False
    """A view or a time-series collection, which has no index on `_id`."""
    view_of: str = ""
    """The collection that a view is made from."""
    collation: Mapping[str, Any] | None = None
    """The collection's default collation."""
    no_snapshot: str = ""
    """Why documents cannot be read as of one instant, as the rest of a sentence; empty where they can."""
    no_change_stream: str = ""
    """Why there is no change stream, as the rest of a sentence; empty where there is one."""

    @property
    def ids_may_repeat(self) -> bool:
        """Whether several documents may have the same `_id`: in a view, and on several shards."""
        return self.view or self.sharded


def inspect_server(collection: Collection[Any]) -> Server:
    """Ask the server what it is and what kind of collection this is.

    Raises:
        MongoError: there is no such collection, so that a typing error is not taken for an empty collection.
    """
    client = collection.database.client
    hello = client.admin.command("hello")
    entry = _collection_entry(collection)
    kind, options = entry.get("type", "collection"), entry.get("options", {})
    sharded = hello.get("msg") == "isdbgrid"
    version = client.server_info().get("version", "")
    replica_set = f"replica set {hello['setName']}" if "setName" in hello else "standalone server"
    return Server(
        description=f"MongoDB {version}, {'sharded cluster' if sharded else replica_set}",
        process=f"{hello.get('topologyVersion', {}).get('processId', '')} {hello.get('electionId', '')}".strip(),
        identity=_identity(entry),
        sharded=sharded,
        view=kind != "collection",
        view_of=options.get("viewOn", ""),
        collation=options.get("collation"),
        no_snapshot=_why_no_snapshot(hello, options),
        no_change_stream=_why_no_change_stream(hello, kind),
    )


def collection_identity(collection: Collection[Any]) -> str:
    """Return `Server.identity` anew.

    Raises:
        MongoError: there is no such collection any more.
    """
    return _identity(_collection_entry(collection))


def _identity(entry: Mapping[str, Any]) -> str:
    return str(entry.get("info", {}).get("uuid") or entry.get("options", ""))


def _why_no_snapshot(hello: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        return "a standalone server has none"
    if hello.get("maxWireVersion", 0) < _WIRE_VERSION_OF_5_0:
        return "MongoDB has them since 5.0"
    if hello.get("hidden"):
        return "a hidden member has no sessions"
    return "a capped collection has none" if options.get("capped") else ""


def _why_no_change_stream(hello: Mapping[str, Any], kind: str) -> str:
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        return "a standalone server has none"
    return {"view": "a view has none", "timeseries": "a time-series collection has none"}.get(kind, "")


def _collection_entry(collection: Collection[Any]) -> Mapping[str, Any]:
    """Return the collection's entry in the list of collections; an empty one where the user may not see the list."""
    database = collection.database
    try:
        if entries := _list_collections(collection, {"name": collection.name}):
            return entries[0]
        names = [entry["name"] for entry in _list_collections(collection, {})]
        databases = _list_databases(collection)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        _require_permission(collection)
        if not collection.count_documents({}, limit=1):
            raise MongoError(
                f"{database.name}.{collection.name} holds nothing that this user may see. Check "
                "CALLVIZ_MONGO_DATABASE and CALLVIZ_MONGO_COLLECTION, or grant the user the role read on "
                f"{database.name}."
            ) from None
        return {}
    if not names and database.name not in databases:
        raise MongoError(
            f"The server has no database {database.name!r}{_has(_own_databases(databases))}. Set "
            "CALLVIZ_MONGO_DATABASE to the one that holds the calls."
        )
    raise MongoError(
        f"Database {database.name!r} has no collection {collection.name!r}{_has(names)}. Set "
        "CALLVIZ_MONGO_COLLECTION to the one that holds the calls."
    )


def _require_permission(collection: Collection[Any]) -> None:
    """Let a user pass who may read the database, or who may read none.

    Raises:
        MongoError: the user may read other databases, so the name of this one may be misspelt.
    """
    name = collection.database.name
    readable = _own_databases(_list_databases(collection))
    if readable and name not in readable:
        raise MongoError(
            f"The user in CALLVIZ_MONGO_URI may not read a database {name!r}, but may read {_listed(readable)}. Check "
            f"CALLVIZ_MONGO_DATABASE, or grant the user the role read on {name}."
        )


def _list_collections(collection: Collection[Any], condition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List collections with their options, which a user may see who may read the whole database; else their names."""
    database = collection.database
    command = {"listCollections": 1, "cursor": {}, "filter": dict(condition)}
    try:
        return list_entries(lambda: database.list_collections(filter=condition), collection, command)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
    reply = database.command("listCollections", nameOnly=True, authorizedCollections=True, filter=dict(condition))
    return list(reply.get("cursor", {}).get("firstBatch", ()))


def list_entries(
    listing: Callable[[], Iterable[Mapping[str, Any]]], collection: Collection[Any], command: dict[str, Any]
) -> list[Mapping[str, Any]]:
    """Return the entries of pymongo's listing of collections or indexes, which is tried again after a lost connection.

    pymongo cannot decode some values that an entry may hold, as a view's pipeline or an index's filter does; the
    command for the same entries is then sent once, and decoded as the documents are.
    """
    try:
        return list(listing())
    except InvalidBSON:
        return list(collection.database.cursor_command(command, codec_options=SHOWN))


def _list_databases(collection: Collection[Any]) -> list[str]:
    """Return the names of the databases that the user may see; none where the server does not say."""
    reply = collection.database.client.admin.command("listDatabases", nameOnly=True)
    return [str(entry.get("name", "")) for entry in reply.get("databases", ())]


def _own_databases(names: list[str]) -> list[str]:
    """Return the databases that are not the server's own."""
    return [name for name in names if name not in ("admin", "config", "local")]


def _has(names: list[str]) -> str:
    return f" (it has {_listed(names)})" if names else ""


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_MOST_NAMES])
