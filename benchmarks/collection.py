"""The collection that is measured, documents of 11 fields and about 216 bytes, and the options that say which.

They are tidy, or partly untidy. Imports nothing heavy: no process counts as smaller than the one that starts it.

What belongs elsewhere: the sample calls of the demo, which look like a business (`callviz_dagster/demo/`).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import random
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.collection import Collection

START = dt.datetime(2023, 1, 1)
DAYS = 2 * 365
"""The calls start in these days, evenly: 24 months."""
FIELDS = (
    *("_id", "call_id", "caller", "callee", "call_type", "status"),
    *("start_time", "end_time", "duration_sec", "cost_usd", "queue"),
)
_TYPES = ("incoming", "outgoing", "missed")
_STATUSES = ("completed", "failed", "no-answer")
_BATCH = 5_000


def document(number: int, total: int, source: random.Random, untidy: float) -> dict[str, Any]:
    """Return one call; a share `untidy` of them has text times, no end, mixed types or rare fields."""
    start = START + dt.timedelta(seconds=number * DAYS * 86_400 / total, milliseconds=source.randrange(1000))
    status = source.choice(_STATUSES)
    seconds = source.randrange(1, 1800) if status == "completed" else 0
    call: dict[str, Any] = {
        "_id": ObjectId(number.to_bytes(12, "big")),
        "call_id": str(uuid.UUID(int=source.getrandbits(128))),
        "caller": f"+1555{source.randrange(10**7):07d}",
        "callee": f"+1555{source.randrange(10**7):07d}",
        "call_type": source.choice(_TYPES),
        "status": status,
        "start_time": start,
        "end_time": start + dt.timedelta(seconds=seconds),
        "duration_sec": seconds,
        "cost_usd": round(seconds * 0.0021, 4),
        "queue": source.choice(("sales", "support", "billing")),
    }
    if source.random() < untidy:
        trouble = source.randrange(4)
        if trouble == 0:
            call["start_time"] = start.isoformat() + "+00:00"
        elif trouble == 1:
            del call["end_time"]
        elif trouble == 2:
            call["duration_sec"] = str(seconds)
            call["cost_usd"] = "free"
        else:
            call[f"rare_{source.randrange(50)}"] = {"note": "x", "at": start}
    return call


def name_of(documents: int, untidy: float = 0.0) -> str:
    """Return the name of the collection of this many documents."""
    return f"calls_{documents}" + (f"_untidy_{untidy:g}".replace(".", "_") if untidy else "")


def fill(collection: Collection[Any], documents: int, untidy: float = 0.0) -> None:
    """Fill a collection with this many documents, the same ones each time; leave one that has them as it is."""
    if collection.estimated_document_count() == documents:
        return
    source = random.Random(20240301)
    collection.drop()
    for first in range(0, documents, _BATCH):
        numbers = range(first, min(first + _BATCH, documents))
        batch = [RawBSONDocument(bson.encode(document(n, documents, source, untidy))) for n in numbers]
        collection.insert_many(batch, ordered=False)


@contextlib.contextmanager
def filled(parsed: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Give the connection string and the name of the collection to measure; a user's own is left as it is."""
    from callviz_dagster.demo.mongod import running_mongod

    with contextlib.ExitStack() as stack:
        uri = parsed.uri
        if uri is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            uri = stack.enter_context(running_mongod(folder, cache_gb=2)).uri
        name = getattr(parsed, "collection", None)
        if not name:
            name = name_of(parsed.documents, parsed.untidy)
            with MongoClient[Any](uri) as client:
                fill(client[parsed.database][name], parsed.documents, parsed.untidy)
        yield uri, name


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that say what to measure."""
    options = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    options.add_argument("--documents", type=int, default=1_000_000, help="how many documents to make")
    options.add_argument("--untidy", type=float, default=0.0, help="share of them that is untidy")
    options.add_argument("--uri", help="a MongoDB to use; by default one is started")
    options.add_argument("--database", default="callviz_benchmarks")
    return options
