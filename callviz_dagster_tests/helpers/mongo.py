"""Shared by tests that read MongoDB: operations, snapshot."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from pymongo import MongoClient

from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.raw_batches import SHOWN
from callviz_dagster.mongodb.snapshot import SnapshotRead
from callviz_dagster.partitions import WHOLE, Partition
from callviz_dagster.settings import Settings

LOG = logging.getLogger("test")


@contextlib.contextmanager
def snapshot(settings: Settings, partition: Partition = WHOLE, log: logging.Logger = LOG) -> Iterator[SnapshotRead]:
    """Open a read of one partition at one instant; iterate over it inside the `with` block."""
    with MongoDB(settings).snapshot_session(log) as session:
        yield session.read(partition)


def operations(client: MongoClient[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a server is at work on, and its idle cursors.

    It repeats the filters of reads, also of those that other tests have left, in which an `_id` may be text that is not
    UTF-8 or a date of a far year.
    """
    admin = client.get_database("admin", SHOWN)
    return [*admin.aggregate([{"$currentOp": {"idleCursors": True, "allUsers": True}}])]
