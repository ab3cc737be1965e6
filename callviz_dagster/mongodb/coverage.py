"""Counting the documents that no partition has, at the instant of a snapshot session."""

from __future__ import annotations

from collections.abc import Collection as Set
from collections.abc import Sequence

from callviz_dagster.mongodb.snapshot import SnapshotSession
from callviz_dagster.partitions import Partition, Partitioning, between, contiguous_runs, format_keys
from callviz_dagster.table.manifest import Coverage

_EXAMPLES = 10


def count_coverage(
    session: SnapshotSession, partitioning: Partitioning, partitions: Sequence[Partition], existing: Set[Partition]
) -> Coverage:
    """Count the documents that are in no partition, and those in partitions that do not exist yet.

    Args:
        session: the collection at one instant.
        partitioning: how it is partitioned.
        partitions: all partitions, in time order.
        existing: those that have been refreshed, or are about to be.
    """
    field = partitioning.field
    index = session.index(field)
    first, end = partitions[0].start, partitions[-1].end
    in_partitions = session.count_in_background(between(field, first, end, lists=index.lists), index.name)
    before = session.count(between(field, None, first, lists=index.lists), index.name)
    documents = session.count({}, None if session.server.view else {"_id": 1})
    ahead = session.count(between(field, end, None, lists=index.lists), index.name)
    covered = in_partitions.result()
    no_date = documents - covered - before - ahead
    conditions = {
        "no date": (no_date, {"$nor": [between(field, None, None)]}),
        "before": (before, between(field, None, first)),
        "ahead": (ahead, between(field, end, None)),
    }
    return Coverage(
        partitioning=str(partitioning),
        documents=documents,
        covered=covered,
        no_date=no_date,
        before=before,
        ahead=ahead,
        waiting=_count_waiting(session, partitioning, partitions, existing),
        examples={
            name: session.find_ids(condition, _EXAMPLES) for name, (number, condition) in conditions.items() if number
        },
        create_index=index.create,
    )


def _count_waiting(
    session: SnapshotSession, partitioning: Partitioning, partitions: Sequence[Partition], existing: Set[Partition]
) -> dict[str, int]:
    """Return how many documents are in partitions that do not exist yet, by contiguous run of partitions."""
    field = partitioning.field
    index = session.index(field)
    waiting = {}
    for run in contiguous_runs([partition for partition in partitions if partition not in existing], partitions):
        condition = between(field, run[0].start, run[-1].end, lists=index.lists)
        if number := session.count(condition, index.name):
            waiting[format_keys(run, partitions)] = number
    return waiting
