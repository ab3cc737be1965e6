"""How long the server keeps a snapshot, and whether documents can be read by then.

What belongs elsewhere: reading (`snapshot.py`), and a snapshot that was lost in mid-read (`errors.py`).
"""

from __future__ import annotations

from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

DEFAULT_HISTORY_SECONDS = 300
"""MongoDB's own default of minSnapshotHistoryWindowInSeconds, for a user who may not read the parameter."""
BYTES_A_SECOND = 20_000_000
"""Of uncompressed documents that are read and archived at least, on two cores with the server beside them."""


def history_seconds(collection: Collection[Any]) -> int:
    """Return how long the server keeps a snapshot; MongoDB's default where the user may not ask."""
    name = "minSnapshotHistoryWindowInSeconds"
    try:
        return int(collection.database.client.admin.command({"getParameter": 1, name: 1})[name])
    except (OperationFailure, KeyError):
        return DEFAULT_HISTORY_SECONDS


def collection_bytes(collection: Collection[Any]) -> int:
    """Return the uncompressed size of the documents; 0 where the server does not say."""
    storage_stats: dict[str, Any] = {"$collStats": {"storageStats": {}}}
    try:
        # One reply for each shard.
        return sum(int(reply["storageStats"]["size"]) for reply in collection.aggregate([storage_stats]))
    except (OperationFailure, KeyError, ValueError):
        return 0


def why_too_short(size: int, history: int) -> str:
    """Return the warning that a snapshot may not last for a read of this number of bytes; empty where it should."""
    seconds = size / BYTES_A_SECOND
    if seconds <= history:
        return ""
    return (
        f"The documents to read are {size / 1e9:,.1f} GB, which takes about {seconds:,.0f} s, and the server keeps a "
        f"snapshot for {history:,} s: it may be lost, and then reading goes on with another one. Let the server keep "
        f"its history for longer (minSnapshotHistoryWindowInSeconds, at least {2 * seconds:,.0f}), or refresh fewer "
        "partitions at a time (CALLVIZ_PARTITIONS)."
    )
