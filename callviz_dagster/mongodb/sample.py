"""A bounded sample of whole documents, read without the rest of the collection.

The sample is the one that `raw_calls` takes: the documents whose `_id` has the smallest hashes. What belongs elsewhere:
reading everything (`snapshot.py`), and what the sample says (`documents/recognition/`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bson
from pymongo.collection import Collection
from pymongo.cursor import RawBatchCursor

from callviz_dagster.documents.recognition.evidence import SAMPLE, hashes
from callviz_dagster.documents.walker import Walker
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.raw_batches import SHOWN, unpack_quickly
from callviz_dagster.mongodb.server import inspect_server

_BATCH_SIZE = 50_000
"""Identifiers a batch."""
_MOST_BYTES = 64 << 20
"""Bytes of documents after which no further batch is asked for: documents may be as large as 16 MB each."""


@dataclass(frozen=True)
class CollectionSample:
    """Some documents of a collection."""

    source: str
    """The collection: database.collection."""
    total: int
    """Documents in the collection."""
    documents: bytes
    """Whole documents in `_id` order, as raw BSON end to end."""


def read_sample(mongo: MongoDB) -> CollectionSample:
    """Read all identifiers, and the documents of the sample.

    A view whose documents have no `_id` gives its first documents.

    Raises:
        MissingSettingError: no connection string is set.
        MongoError: there is no such collection, or it cannot be read.
    """
    with mongo.collection() as collection:
        has_index = not inspect_server(collection).view
        total, identifiers = _smallest_hashes(collection, has_index)
        condition = {"_id": {"$in": identifiers}} if identifiers else {}
        cursor = collection.find_raw_batches(condition, sort=[("_id", 1)] if identifiers else None, limit=SAMPLE)
        return CollectionSample(f"{collection.database.name}.{collection.name}", total, b"".join(_bounded(cursor)))


def _smallest_hashes(collection: Collection[Any], has_index: bool) -> tuple[int, list[Any]]:
    """Return the number of documents, and the identifiers that have the smallest hashes."""
    cursor = collection.find_raw_batches({}, {"_id": 1}, batch_size=_BATCH_SIZE)
    unpack_quickly(cursor)
    if has_index:
        # The index alone answers, in its order: no document is read.
        cursor = cursor.hint([("_id", 1)])
    total, walker = 0, Walker()
    smallest: list[tuple[int, bytes]] = []
    for raw in cursor:
        batch = walker.walk(raw)
        total += len(batch)
        keys = hashes(batch)
        smallest += [
            (int(keys[row]), batch.raw[batch.starts[row] : batch.starts[row + 1]])
            for row in keys.argsort()[:SAMPLE].tolist()
        ]
        smallest = sorted(smallest)[:SAMPLE]
    documents = [bson.decode(document, SHOWN) for _, document in smallest]
    return total, [document["_id"] for document in documents if "_id" in document]


def _bounded(cursor: RawBatchCursor[Any]) -> Iterator[bytes]:
    size = 0
    for batch in cursor:
        yield batch
        size += len(batch)
        if size > _MOST_BYTES:
            return
