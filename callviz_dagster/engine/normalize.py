"""The second round: the archive of a partition as `calls` and `rejected_calls`, read back and swapped in.

What belongs elsewhere: the plan that all partitions share, and the checks that decide whether a partition may be
published (`assets/calls.py`); rows and files (`table/`).
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from callviz_dagster.partitions import Partition
from callviz_dagster.storage.files import FileError, PublishedFile, staged
from callviz_dagster.storage.refreshing import place
from callviz_dagster.table.manifest import UNREADABLE, Manifest, read_manifest

if TYPE_CHECKING:
    from callviz_dagster.table.identifiers import Repetitions
    from callviz_dagster.table.write import Tables, WriteStats


@dataclass(frozen=True)
class TableFacts:
    """What the tables of a partition are, read back before they are swapped in."""

    documents: int
    """Documents in the snapshot."""
    rows: int
    """Rows of `calls`."""
    rejected_rows: int
    whole: bool
    """Whether the archive's documents are those that its manifest describes."""
    repeated_ids: list[str]
    """Some `_id` that occur more than once."""
    repetitions: int
    """Rows of `calls` that repeat the `_id` of another."""
    one_id_type: bool
    """Whether all `_id` are of one BSON type."""
    repetitions_by_column: Mapping[str, Repetitions]
    """Values that repeat in the columns that identify a call."""
    written: WriteStats


@dataclass(frozen=True)
class NormalizedPartition:
    """What a partition became."""

    facts: TableFacts
    snapshot_time: str
    calls: PublishedFile | None
    """None where it may not be published."""
    rejected: PublishedFile
    contents: tuple[str | None, str]
    """Digests of the columns and rows of `calls` and `rejected_calls`, without the snapshot that they name."""


MayPublish = Callable[[TableFacts, "Tables"], bool]
"""Decides whether `calls` may be published."""


def normalize_partition(
    partition: Partition,
    data_dir: Path,
    tables: Tables,
    may_publish: MayPublish,
    log: logging.Logger,
    *,
    keep_raw: bool = True,
) -> NormalizedPartition:
    """Normalize a partition's archive, read the tables back and swap them in.

    `rejected_calls` is swapped in even where `calls` may not be, so that there is something to look at. Without
    `keep_raw` the archive is removed once `calls` is published.

    Raises:
        PlanError: the archive does not fit the plan.
        FileError: the archive is missing or damaged, or the tables cannot be written.
    """
    from callviz_dagster.table.read import read_digests
    from callviz_dagster.table.write import write_tables

    archive, manifest = _archived(partition, data_dir)
    calls_path, rejected_path = partition.calls(data_dir), partition.rejected_calls(data_dir)
    published = contents = None
    with staged(rejected_path, private=True) as rejected_file:
        try:
            with staged(calls_path) as calls_file:
                written = write_tables(archive, manifest, tables, calls_file, rejected_file, log)
                facts = _facts(written, manifest, calls_file, rejected_file)
                if not may_publish(facts, tables):
                    raise _RefusedError
            published, contents = read_digests(calls_path)
        except _RefusedError:
            log.error("The audit failed: calls is not replaced.")
    if published and not keep_raw:
        archive.unlink(missing_ok=True)
    rejected, rejected_contents = read_digests(rejected_path)
    return NormalizedPartition(facts, manifest.snapshot_time, published, rejected, (contents, rejected_contents))


class _RefusedError(Exception):
    """The staged `calls` may not be published."""


def _archived(partition: Partition, data_dir: Path) -> tuple[Path, Manifest]:
    """Return the archive of a partition and its manifest.

    Raises:
        FileError: one of them is missing, is of another partition, or cannot be read.
    """
    archive, path = partition.archive(data_dir), partition.manifest(data_dir)
    for file in (archive, path):
        if not file.exists():
            raise FileError(errno.ENOENT, f"{place(file)} is not there: materialize raw_calls first.")
    manifest = read_manifest(path, evidence_below=0)
    if manifest is None:
        raise FileError(errno.EINVAL, f"{place(path)} {UNREADABLE}; materialize raw_calls again.")
    if manifest.span != partition.span:
        raise FileError(
            errno.EINVAL,
            f"{place(archive)} holds documents of {manifest.span or 'all times'}, not of {partition.span}; "
            "materialize raw_calls again.",
        )
    return archive, manifest


def _facts(written: WriteStats, manifest: Manifest, calls_file: Path, rejected_file: Path) -> TableFacts:
    """Read the staged tables back."""
    import pyarrow.parquet as pq

    from callviz_dagster.table.identifiers import Repetitions, repeated_ids, repeated_values

    distinct = written.ids is None or written.ids.distinct
    repeated, repetitions = ([], 0) if distinct else repeated_ids(calls_file)
    id_types = manifest.profile.fields[(b"_id",)].types if (b"_id",) in manifest.profile.fields else {}
    return TableFacts(
        documents=manifest.documents,
        rows=pq.read_metadata(calls_file).num_rows,
        rejected_rows=pq.read_metadata(rejected_file).num_rows,
        whole=written.sha256 == manifest.documents_sha256,
        repeated_ids=repeated,
        repetitions=repetitions,
        one_id_type=len(id_types) <= 1,
        repetitions_by_column={
            column: Repetitions(0, 0, {}) if all_differ else repeated_values(calls_file, column)
            for column, all_differ in written.identifiers.items()
        },
        written=written,
    )
