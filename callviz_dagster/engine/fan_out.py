"""The rounds of a refresh fanned out over a cluster: each as one task a partition, with the results in order.

What belongs elsewhere: the cluster (`cluster.py`), and what a worker does (`worker.py`).
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from callviz_dagster.engine import worker
from callviz_dagster.engine.archive import READS, Archived
from callviz_dagster.engine.cluster import Cluster
from callviz_dagster.engine.normalize import MayPublish, NormalizedPartition
from callviz_dagster.engine.worker import ArchiveTask, CsvTask, KeylessSecrets, NormalizeTask, with_secrets
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import ReadLostError
from callviz_dagster.partitions import Partition

if TYPE_CHECKING:
    from callviz_dagster.calls_csv.encode import CsvFormat, EncodedPart
    from callviz_dagster.calls_csv.publish import EncodeParts
    from callviz_dagster.documents.values import Secrets
    from callviz_dagster.table.write import Tables

PARTS = "calls_csv_parts"
"""Folder of the data folder in which workers leave lines of `calls.csv`."""


def archive_on(
    cluster: Cluster,
    mongo: MongoDB,
    partitions: Sequence[Partition],
    data_dir: Path,
    log: logging.Logger,
    require_volume: Callable[[int], None] | None = None,
    *,
    secrets: Secrets,
) -> Iterator[Archived]:
    """Read partitions into their archives on the workers, all of one instant; yield them when all are there.

    Where the server no longer keeps the snapshot, all are read again at a new instant. `require_volume` is given the
    number of documents in the collection at that instant, before anything is read, and may refuse it.

    Raises:
        MongoError: the collection cannot be read, or a snapshot was lost again and again.
        IncompleteArchiveError: an archive does not hold what the server counted.
        EngineError: the cluster cannot do the work.
    """
    attempt = 1
    keyless = KeylessSecrets.of(secrets)
    while True:
        try:
            with mongo.snapshot_session(log) as session:
                session.warn_of_short_history(partitions)
                log.info(f"Reading {session.source} ({session.server.description}).")
                if require_volume:
                    require_volume(session.count({}, None if session.server.view else {"_id": 1}))
                at, identity = session.cluster_time, session.server.identity
            tasks = {
                partition.name: ArchiveTask(partition, data_dir.absolute(), *mongo.names, identity, at, keyless)
                for partition in partitions
            }
            archived = cluster.results(worker.archive, tasks, "Reading")
        except ReadLostError as error:
            if attempt == READS:
                raise
            attempt += 1
            log.warning(f"{error} All partitions are read again, at a new instant.")
        else:
            yield from archived
            return


def normalize_on(
    cluster: Cluster,
    partitions: Sequence[Partition],
    data_dir: Path,
    tables: Tables,
    may_publish: MayPublish,
    *,
    keep_raw: bool,
) -> list[NormalizedPartition]:
    """Normalize partitions on the workers, see `normalize_partition`.

    Raises:
        PlanError: an archive does not fit the plan.
        FileError: an archive is missing or damaged, or tables cannot be written.
        EngineError: the cluster cannot do the work.
    """
    keyless = KeylessSecrets.of(tables.plan.options.secrets)
    bare = with_secrets(tables, keyless.secrets)
    tasks = {
        partition.name: NormalizeTask(partition, data_dir.absolute(), bare, keyless, may_publish, keep_raw)
        for partition in partitions
    }
    return cluster.results(worker.normalize, tasks, "Normalizing")


@contextlib.contextmanager
def csv_parts_on(cluster: Cluster | None, data_dir: Path) -> Iterator[EncodeParts | None]:
    """Give the function that encodes lines of partitions on the workers; None without a cluster.

    It raises a FileError where a `calls` file is damaged or lines cannot be written, and an EngineError where the
    cluster cannot do the work. What it has written is removed at the end of the `with` block.
    """
    if cluster is None:
        yield None
        return
    folder = data_dir.absolute() / PARTS

    def encode(form: CsvFormat, sources: Mapping[Path, str], rows_before: Mapping[Path, int]) -> dict[str, EncodedPart]:
        tasks = {
            path.stem: CsvTask(path.absolute(), digest, form, rows_before[path], folder / f"{path.stem}.csv")
            for path, digest in sources.items()
        }
        parts = cluster.results(worker.encode, tasks, "Writing calls.csv")
        return {task.source: part for task, part in zip(tasks.values(), parts, strict=True)}

    try:
        yield encode
    finally:
        shutil.rmtree(folder, ignore_errors=True)
