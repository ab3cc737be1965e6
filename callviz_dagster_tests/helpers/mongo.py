"""Reading MongoDB in one line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.snapshot import SnapshotRead
from callviz_dagster.partitions import WHOLE, Partition
from callviz_dagster.settings import Settings

LOG = logging.getLogger("test")


@contextlib.contextmanager
def snapshot(settings: Settings, partition: Partition = WHOLE, log: logging.Logger = LOG) -> Iterator[SnapshotRead]:
    """Open a read of one partition at one instant; iterate over it inside the `with` block."""
    with MongoDB(settings).snapshot_session(log) as session:
        yield session.read(partition)
