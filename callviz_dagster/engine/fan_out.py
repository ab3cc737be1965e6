"""The rounds of a refresh fanned out over a cluster: each as one task a partition, with the results in order.

What belongs elsewhere: the cluster (`cluster.py`), and what a worker does (`worker.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from callviz_dagster.engine import worker
from callviz_dagster.engine.archive import Archived
from callviz_dagster.engine.cluster import Cluster
from callviz_dagster.engine.data_folder import DataFolder
from callviz_dagster.engine.normalize import MayPublish, NormalizedPartition
from callviz_dagster.engine.worker import (
    PARTS,
    ArchiveTask,
    CsvTask,
    KeylessSecrets,
    Made,
    NormalizeTask,
    part_of,
    with_secrets,
)
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import ReadLostError
from callviz_dagster.mongodb.snapshot import Rereads
from callviz_dagster.partitions import Partition
from callviz_dagster.storage.bucket import StoredFile
from callviz_dagster.storage.files import write_text
from callviz_dagster.storage.working_copy import WorkingCopy

if TYPE_CHECKING:
    from callviz_dagster.calls_csv.encode import CsvFormat, EncodedPart
    from callviz_dagster.calls_csv.publish import EncodeParts
    from callviz_dagster.documents.values import Secrets
    from callviz_dagster.table.write import Tables


def archive_on(
    cluster: Cluster,
    mongo: MongoDB,
    partitions: Sequence[Partition],
    data_dir: Path,
    log: logging.Logger,
    require_volume: Callable[[int], None] | None = None,
    *,
    secrets: Secrets,
    data_files: WorkingCopy | None = None,
) -> Iterator[Archived]:
    """Read partitions into their archives on the workers, all of one instant; yield them when all are there.

    Where the server no longer keeps the snapshot, all are read again at a new instant. `require_volume` is given the
    number of documents in the collection at that instant, before anything is read, and may refuse it. `data_files` is
    the working copy of a data folder in a bucket: archives stay in the bucket, manifests come back.

    Raises:
        MongoError: the collection cannot be read, or a snapshot was lost again and again.
        IncompleteArchiveError: an archive does not hold what the server counted.
        EngineError: the cluster cannot do the work.
    """
    rereads = Rereads(log, "All partitions are read again, at a new instant.")
    keyless, folder = KeylessSecrets.of(secrets), DataFolder(data_dir.absolute())
    while True:
        try:
            with mongo.snapshot_session(log) as session:
                session.warn_of_short_history(partitions)
                log.info(f"Reading {session.source} ({session.server.description}).")
                if require_volume:
                    require_volume(session.count({}, None if session.server.view else {"_id": 1}))
                at, identity = session.cluster_time, session.server.identity
            tasks = {
                partition.name: ArchiveTask(partition, folder, *mongo.names, identity, at, keyless)
                for partition in partitions
            }
            made = cluster.results(worker.archive, tasks, "Reading")
        except ReadLostError as error:
            rereads.count(error)
        else:
            break
    for one in made:
        yield _archived_here(one, data_dir, data_files) if data_files else one.result


def _archived_here(made: Made[Archived], data_dir: Path, data_files: WorkingCopy) -> Archived:
    """Take over the archive that a worker has uploaded, and write its manifest into the working copy."""
    _take_over(data_files, made.stored)
    partition, manifest = made.result.partition, made.result.manifest
    write_text(partition.manifest(data_dir), manifest.to_json(), private=True)
    file = dataclasses.replace(made.result.file, path=partition.archive(data_dir).absolute())
    return dataclasses.replace(made.result, file=file)


def _take_over(data_files: WorkingCopy, stored: Mapping[str, StoredFile]) -> None:
    """Name objects that workers have uploaded in the record of the data folder."""
    for name, file in stored.items():
        data_files.add(name, file)


def _reads(data_dir: Path, data_files: WorkingCopy | None, *paths: Path) -> DataFolder:
    """Return the data folder of a task that reads these files of it."""
    stored = data_files.record.files if data_files else {}
    names = [path.relative_to(data_dir).as_posix() for path in paths]
    return DataFolder(data_dir.absolute(), {name: stored[name] for name in names if name in stored})


def normalize_on(
    cluster: Cluster,
    partitions: Sequence[Partition],
    data_dir: Path,
    tables: Tables,
    may_publish: MayPublish,
    *,
    keep_raw: bool,
    data_files: WorkingCopy | None = None,
) -> list[NormalizedPartition]:
    """Normalize partitions on the workers, see `normalize_partition`.

    `data_files` is the working copy of a data folder in a bucket: `calls` comes back, `rejected_calls` stays there.

    Raises:
        PlanError: an archive does not fit the plan.
        FileError: an archive is missing or damaged, or tables cannot be written.
        EngineError: the cluster cannot do the work.
    """
    keyless = KeylessSecrets.of(tables.plan.options.secrets)
    bare = with_secrets(tables, keyless.secrets)
    tasks = {
        partition.name: NormalizeTask(
            partition,
            _reads(data_dir, data_files, partition.archive(data_dir), partition.manifest(data_dir)),
            *(bare, keyless, may_publish, keep_raw),
        )
        for partition in partitions
    }
    made = cluster.results(worker.normalize, tasks, "Normalizing")
    if data_files is None:
        return [one.result for one in made]
    return [
        _brought_back(partition, data_dir, one, data_files, keep_raw=keep_raw)
        for partition, one in zip(partitions, made, strict=True)
    ]


def _brought_back(
    partition: Partition, data_dir: Path, made: Made[NormalizedPartition], data_files: WorkingCopy, *, keep_raw: bool
) -> NormalizedPartition:
    """Take over what a worker has uploaded of a partition, and download `calls`."""
    normalized = made.result
    _take_over(data_files, made.stored)
    rejected = dataclasses.replace(normalized.rejected, path=partition.rejected_calls(data_dir).absolute())
    calls = normalized.calls
    if calls:
        path = partition.calls(data_dir)
        data_files.bucket.download(made.stored[path.relative_to(data_dir).as_posix()], path)
        calls = dataclasses.replace(calls, path=path.absolute())
        if not keep_raw:
            data_files.remove(partition.archive(data_dir).relative_to(data_dir).as_posix())
    return dataclasses.replace(normalized, calls=calls, rejected=rejected)


@contextlib.contextmanager
def csv_parts_on(
    cluster: Cluster | None, data_dir: Path, data_files: WorkingCopy | None = None
) -> Iterator[EncodeParts | None]:
    """Give the function that encodes lines of partitions on the workers; None without a cluster.

    It raises a FileError where a `calls` file is damaged or lines cannot be written, and an EngineError where the
    cluster cannot do the work. What it has written is removed at the end of the `with` block.
    """
    if cluster is None:
        yield None
        return
    objects: list[str] = []

    def encode(form: CsvFormat, sources: Mapping[Path, str], rows_before: Mapping[Path, int]) -> dict[str, EncodedPart]:
        tasks = {
            path.stem: CsvTask(path.stem, _reads(data_dir, data_files, path), source, form, rows_before[path])
            for path, source in sources.items()
        }
        made = cluster.results(worker.encode, tasks, "Writing calls.csv")
        parts = {}
        for task, one in zip(tasks.values(), made, strict=True):
            path = part_of(task.name, data_dir.absolute())
            for stored in one.stored.values():
                objects.append(stored.object)
                if data_files:
                    data_files.bucket.download(stored, path, private=True)
            parts[task.source] = dataclasses.replace(one.result, path=path)
        return parts

    try:
        yield encode
    finally:
        shutil.rmtree(data_dir / PARTS, ignore_errors=True)
        if data_files and objects:
            data_files.bucket.delete(objects)
