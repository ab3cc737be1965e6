"""A partition's archive → its `calls` and `rejected_calls` files, written in row groups and validated on the way.

What belongs elsewhere: where the files go and whether they may be published (`assets/calls.py`), what the documents
become (`table/normalize.py`), the contract of the rows (`contract.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from callviz_dagster.concurrency import (
    MAX_ROW_GROUP_BYTES,
    MAX_ROW_GROUP_ROWS,
    MAX_ROWS_VALIDATED,
    parallel_map,
    prefetch,
)
from callviz_dagster.contract import REJECTED, arrow_schema
from callviz_dagster.documents.buffers import Ints
from callviz_dagster.documents.recognition.names import identifies_a_call
from callviz_dagster.documents.walker import Walker
from callviz_dagster.progress import Progress
from callviz_dagster.storage.archive import read_archive
from callviz_dagster.storage.files import parquet_writer
from callviz_dagster.table import normalize
from callviz_dagster.table.identifiers import IdOrder, SeenHashes, id_order, text_hashes
from callviz_dagster.table.manifest import FOOTER_KEY, Manifest, TableFooter
from callviz_dagster.table.normalize import Normalized
from callviz_dagster.table.plan import Plan
from callviz_dagster.table.tally import Tally
from callviz_dagster.table.validate import Validator, Violations

PREVIEW_ROWS = 5


@dataclass(frozen=True)
class Tables:
    """The one table that all partitions are made as."""

    plan: Plan
    before: TableFooter | None
    """What was published before, over all partitions."""
    present: tuple[str, ...]
    """Names of the field columns that some document has."""
    role_changes: Sequence[str] = ()
    """Which roles are played by another field than before, in words."""


@dataclass
class WriteStats:
    """What was seen while the tables were written."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0
    sha256: str = ""
    """Digest of the archive's documents."""
    violations: Violations = field(default_factory=Violations)
    ids: IdOrder | None = None
    """The order of all `_id`; None where there are no rows."""
    identifiers: Mapping[str, bool] = field(default_factory=dict)
    """Each column that identifies a call, and whether the hashes of its values prove that none repeats."""
    first_rejected: pa.Table | None = None


def write_tables(
    archive: Path, manifest: Manifest, tables: Tables, calls_file: Path, rejected_file: Path, log: logging.Logger
) -> WriteStats:
    """Write the archive's documents as `calls` and `rejected_calls`.

    Raises:
        FileError: the archive is damaged, or a file cannot be written.
        PlanError: the archive does not fit its manifest.
    """
    plan = tables.plan
    snapshot = dt.datetime.fromisoformat(manifest.snapshot_time)
    now = (snapshot - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    progress = Progress(log, "Normalizing", manifest.documents)
    stats, digest = WriteStats(), hashlib.sha256()
    seen = {column.name: SeenHashes() for column in plan.fields if identifies_a_call(column.path)}

    def normalized(chunk: tuple[bytes, Ints]) -> _BatchRows:
        documents, starts = chunk
        rows = normalize.normalize(Walker().walk(documents, starts), plan, now=now)
        hashes = {column: text_hashes(rows.calls.column(column)) for column in seen}
        return _BatchRows(memoryview(documents)[: starts[-1]], rows, id_order(rows.calls), hashes)

    with (
        parquet_writer(calls_file, arrow_schema(plan.columns)) as calls_writer,
        parquet_writer(rejected_file, arrow_schema(REJECTED)) as rejected_writer,
    ):
        with RowGroups(calls_writer, plan, stats.violations) as groups:
            for batch in parallel_map(normalized, prefetch(read_archive(archive))):
                digest.update(batch.documents)
                groups.add(batch.rows.calls)
                if batch.rows.rejected.num_rows:
                    rejected_writer.write_table(batch.rows.rejected)
                _count(stats, batch)
                for column, hashes in batch.hashes.items():
                    seen[column].add(hashes)
                progress.add(batch.rows.tally.documents)
        footer = {FOOTER_KEY.decode(): table_footer(manifest, tables, stats.tally).to_json()}
        calls_writer.add_key_value_metadata(footer)
        rejected_writer.add_key_value_metadata(footer)
    pa.default_memory_pool().release_unused()
    stats.identifiers = {column: hashes.all_differ() for column, hashes in seen.items()}
    stats.sha256, stats.seconds = digest.hexdigest(), progress.seconds
    return stats


class _BatchRows(NamedTuple):
    """What one batch of the archive became."""

    documents: memoryview
    rows: Normalized
    ids: IdOrder | None
    hashes: Mapping[str, NDArray[np.uint64]]
    """Of the values of each column that identifies a call."""


def _count(stats: WriteStats, batch: _BatchRows) -> None:
    """Add what was seen in one more batch."""
    if stats.first_rejected is None and batch.rows.rejected.num_rows:
        stats.first_rejected = batch.rows.rejected.slice(0, PREVIEW_ROWS)
    stats.tally.add(batch.rows.tally)
    if stats.ids is None:
        stats.ids = batch.ids
    elif batch.ids is not None:
        stats.ids.follow(batch.ids)


@dataclass
class _Gathered:
    """Tables that follow each other, and their size, which takes time to find out."""

    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0

    def add(self, table: pa.Table, size: int) -> None:
        """Add a table of this size in bytes."""
        self.tables.append(table)
        self.rows += table.num_rows
        self.bytes += size

    def has_room(self, rows: int, size: int, most_rows: int) -> bool:
        """Return whether they, with others of this size, have no more rows, and bytes, than are held at a time."""
        return not self.tables or (self.rows + rows <= most_rows and self.bytes + size <= MAX_ROW_GROUP_BYTES)


class RowGroups:
    """Gathers batches into row groups of a bounded size; they are validated while a thread writes them."""

    def __init__(self, writer: pq.ParquetWriter, plan: Plan, violations: Violations) -> None:
        self._writer, self._violations = writer, violations
        self._validator = Validator(plan.columns, plan.options.timezone)
        self._pending, self._unvalidated = _Gathered(), _Gathered()
        self._writing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "parquet")

    def __enter__(self) -> RowGroups:
        """Return it."""
        return self

    def add(self, rows: pa.Table) -> None:
        """Add rows behind those before."""
        size = rows.nbytes
        if not self._pending.has_room(rows.num_rows, size, MAX_ROW_GROUP_ROWS):
            self._write()
        self._pending.add(rows, size)

    def _write(self) -> None:
        group, size = pa.concat_tables(self._pending.tables), self._pending.bytes
        self._pending = _Gathered()
        self._wait()
        self._writing = self._thread.submit(self._writer.write_table, group, row_group_size=MAX_ROW_GROUP_ROWS)
        if not self._unvalidated.has_room(group.num_rows, size, MAX_ROWS_VALIDATED):
            self._validate()
        self._unvalidated.add(group, size)

    def _validate(self) -> None:
        self._validator.validate(pa.concat_tables(self._unvalidated.tables), self._violations)
        self._unvalidated = _Gathered()

    def _wait(self) -> None:
        if self._writing:
            self._writing.result()
            self._writing = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the last row group, and wait for it."""
        try:
            if error is None:
                if self._pending.tables:
                    self._write()
                    self._validate()
                self._wait()
        finally:
            self._thread.shutdown(cancel_futures=True)


def table_footer(manifest: Manifest, tables: Tables, tally: Tally) -> TableFooter:
    """Return what the files say of the refresh that made them."""
    plan, before = tables.plan, tables.before
    labels = {
        role: sorted(set(counts) | set(before.labels.get(role, ()) if before else ()))
        for role, counts in tally.labels.items()
    }
    return TableFooter(
        source=manifest.source,
        snapshot_time=manifest.snapshot_time,
        timezone=plan.options.timezone,
        documents=tally.documents,
        calls=tally.calls,
        rejected=tally.rejected,
        rejected_reasons=dict(tally.reasons),
        repaired_rows=tally.repaired_rows,
        repairs=dict(tally.repairs),
        labels=labels,
        fields=plan.fields,
        present=tables.present,
        other_fields=plan.other_fields,
        span=manifest.span,
        cluster_time=manifest.cluster_time,
        choice=plan.recognized.choice.to_json(),
        fields_used={row.role: ", ".join(filter(None, (row.field, row.unit))) for row in plan.recognized.rows},
    )
