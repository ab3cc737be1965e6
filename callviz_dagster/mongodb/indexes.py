"""Which index finds the documents of a partition, if any does."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection

from callviz_dagster.mongodb.raw_batches import SHOWN
from callviz_dagster.mongodb.server import Server, list_entries
from callviz_dagster.partitions import between

_SOME_DAY = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
_UNUSABLE = ("partialFilterExpression", "hidden")


@dataclass(frozen=True)
class StartTimeIndex:
    """How documents are found by the dates of a field."""

    name: str | None
    """The index to name to the server; None where there is none, or the server chooses."""
    lists: bool
    """Whether the field may hold lists."""
    create: str = ""
    """The command for mongosh that creates an index; empty where one is used."""


def find_index(collection: Collection[Any], server: Server, field: str) -> StartTimeIndex:
    """Return how documents are found by the dates of a field (dotted path)."""
    if server.view:
        some_day = between(field, _SOME_DAY, _SOME_DAY + dt.timedelta(1))
        plan = _explain(collection, {"find": collection.name, "filter": some_day})
        return StartTimeIndex(None, True, "" if _scans_an_index(plan) else _create(server.view_of, collection, field))
    for facts in list_entries(collection.list_indexes, collection, {"listIndexes": collection.name}):
        name, (key, direction) = facts["name"], next(iter(facts["key"].items()))
        if key != field or direction not in (1, -1, 1.0, -1.0) or any(facts.get(why) for why in _UNUSABLE):
            continue
        if _same_collation(facts.get("collation"), server.collation):
            find = {"find": collection.name, "filter": between(field, None, None, lists=False), "hint": name}
            return StartTimeIndex(name, _multikey(_explain(collection, find)))
    return StartTimeIndex(None, True, _create("", collection, field))


def _create(view_of: str, collection: Collection[Any], field: str) -> str:
    command = f"db.getCollection({json.dumps(view_of or collection.name)}).createIndex({{{json.dumps(field)}: 1}})"
    note = "the collection that the view is made from; if the view computes the field, index what it computes it from"
    return f"{command} // {note}" if view_of else command


def _same_collation(index: Any, collection: Any) -> bool:
    """Return whether queries, which have the collection's collation, can use an index."""
    return dict(index or {}) == dict(collection or {})


def _explain(collection: Collection[Any], find: Mapping[str, Any]) -> Any:
    """Return the server's plan; what a cursor's own `explain` asks for would run the whole query."""
    return collection.database.command("explain", find, verbosity="queryPlanner", codec_options=SHOWN)


def _scans_an_index(plan: Any) -> bool:
    if isinstance(plan, Mapping):
        return "IXSCAN" in str(plan.get("stage", "")) or any(map(_scans_an_index, plan.values()))
    return isinstance(plan, list) and any(map(_scans_an_index, plan))


def _multikey(plan: Any) -> bool:
    """Return whether a plan, as the server explains it, reads an index of lists."""
    if isinstance(plan, Mapping):
        return bool(plan.get("isMultiKey")) or any(map(_multikey, plan.values()))
    return isinstance(plan, list) and any(map(_multikey, plan))
