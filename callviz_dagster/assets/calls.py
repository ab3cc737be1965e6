"""`calls` and `rejected_calls`: the archive's documents as a table, and those that are not in it, with the reason."""

import contextlib
import datetime as dt
import errno
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.assets.checks.results import EXAMPLES, blocking, combine_partitions, nothing_to_do, rows_table
from callviz_dagster.assets.common import (
    POOL,
    AuditFailed,
    PartitionSelection,
    add_partition_metadata,
    column_lineage,
    file_metadata,
    mark_unchanged,
    preview,
    record,
    require,
    require_partitions,
    select_partitions,
    snapshot_metadata,
    table_options,
    user_errors_as_failures,
)
from callviz_dagster.concurrency import parallel_map, prefetch
from callviz_dagster.contract import LEADING, REJECTED, REPAIRS, table_columns, table_schema
from callviz_dagster.partitions import Partition, leftovers
from callviz_dagster.progress import Progress
from callviz_dagster.settings import Settings
from callviz_dagster.storage.archive import read_archive
from callviz_dagster.storage.files import FileError, PublishedFile, parquet_writer, staged, stat_and_hash
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.table.manifest import FOOTER_KEY, Manifest, TableFooter, existing_partitions, merged
from callviz_dagster.table.tally import Tally

if TYPE_CHECKING:
    from callviz_dagster.table.plan import Plan

ROW_GROUP = 65_536
ROW_GROUP_BYTES = 128 << 20
"""A row group is closed once it has so many rows, or is so large."""
_MOST_FAILURES = 100

CALLS = """One row per call: the normalized table that everything published is made from.

Type, status, start, end and duration are taken from the fields that the collection uses for them, and every other
field of the documents is a column of its own. What had to be changed to fit is told in the column `repairs`. Dates,
weekdays and hours are those of the configured time zone; start and end are exact instants in UTC.

Documents that cannot be put on the time axis are in `rejected_calls`; each document is in exactly one of the two.
"""
REJECTED_CALLS = """Every document that is not in `calls`, with the reason and the whole document.

A document is rejected only where its start time is missing, cannot be read, could mean two dates, or lies outside the
years 1678 to 2261. Look here when a call is missed, or when a refresh failed because too many were rejected.
"""


@dg.multi_asset(
    name="calls",
    specs=[
        dg.AssetSpec(
            "calls",
            deps=["raw_calls"],
            description=CALLS,
            group_name="calls",
            kinds={"pandas", "pandera", "parquet"},
            metadata={"dagster/column_schema": table_schema(table_columns(()))},
        ),
        dg.AssetSpec(
            "rejected_calls",
            deps=["raw_calls"],
            description=REJECTED_CALLS,
            group_name="calls",
            kinds={"parquet"},
            metadata={"dagster/column_schema": table_schema(REJECTED)},
        ),
    ],
    check_specs=checks.CALLS_CHECKS,
    pool=POOL,
)
def calls(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Normalize the archive into `calls` and `rejected_calls`, audit both, and swap them in."""
    selection = select_partitions(context, settings)
    done: list[tuple[Partition, PartitionResult]] = []
    with user_errors_as_failures(), one_at_a_time(settings.data_dir, context.log):
        if selection.partitions:
            tables = plan_tables(selection.every, settings)
            done = [
                (partition, make_partition(partition, settings, context.log, tables))
                for partition in selection.partitions
            ]
    mark_unchanged(context, selection, "calls", "rejected_calls")
    results = [
        combine_partitions([(partition.key, made.result(spec.name)) for partition, made in done])
        if done
        else nothing_to_do("calls", spec.name)
        for spec in checks.CALLS_CHECKS
    ]
    good = [(partition, _calls_metadata(made, made.calls)) for partition, made in done if made.calls]
    for partition, made in done:
        add_partition_metadata(context, "rejected_calls", partition, _rejected_metadata(made))
    if len(good) < len(done):
        yield from results
        yield dg.MaterializeResult(asset_key="rejected_calls")
        record(context, "calls", good)
        kept = [partition.calls(settings.data_dir) for partition, made in done if not made.calls]
        raise AuditFailed(results).failure(*kept[:EXAMPLES])
    removed = remove_leftovers(selection, settings)
    if removed:
        context.log.info(
            f"Removed {len(removed)} files of partitions that are cut otherwise now: {', '.join(removed)}."
        )
    for partition, metadata in good:
        told = {"files of another partitioning removed": ", ".join(removed)} if removed else {}
        add_partition_metadata(context, "calls", partition, metadata | told)
    yield dg.MaterializeResult(asset_key="calls", check_results=results)
    yield dg.MaterializeResult(asset_key="rejected_calls")


def remove_leftovers(selection: PartitionSelection, settings: Settings) -> list[str]:
    """Remove files of partitions that there are no more, once the partitions that there are hold all calls."""
    with contextlib.suppress(dg.Failure):
        require_partitions(settings)
        paths = leftovers(settings.data_dir, selection.every)
        for path in paths:
            path.unlink(missing_ok=True)
        return [f"{path.parent.name}/{path.name}" for path in paths]
    return []


@dataclass
class PartitionResult:
    """What one partition became. `calls` is None where the audit forbade to publish it."""

    manifest: Manifest
    plan: "Plan"
    tally: Tally
    results: list[dg.AssetCheckResult]
    seconds: float
    calls: PublishedFile | None
    rejected: PublishedFile
    calls_preview: dg.MetadataValue
    rejected_preview: dg.MetadataValue

    def result(self, check: str) -> dg.AssetCheckResult:
        """Return the result of one check."""
        (found,) = (result for result in self.results if result.check_name == check)
        return found


@dataclass(frozen=True)
class Tables:
    """The one table that all partitions are made as."""

    plan: "Plan"
    before: TableFooter | None
    """What was published before, over all partitions."""
    present: tuple[str, ...]
    """Names of the field columns that some document has."""


def plan_tables(every: Sequence[Partition], settings: Settings) -> Tables:
    """Plan one table for all partitions, from the profiles of their archives and what was published before.

    Raises:
        PlanError: roles are ambiguous or not recognized.
    """
    from callviz_dagster.documents.profile import Profile
    from callviz_dagster.table.plan import make_plan

    before = merged(existing_partitions(every, settings.data_dir).values())
    profile = Profile()
    for partition in every:
        path = partition.manifest(settings.data_dir)
        if path.exists():
            manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
            if len(every) == 1:
                profile = manifest.profile
            elif manifest.span == partition.span:
                profile.merge(manifest.profile)
    plan = make_plan(
        profile,
        table_options(settings),
        before.fields if before else (),
        grouped_before=bool(before and before.other_fields),
    )
    return Tables(plan, before, tuple(column.name for column in plan.fields if column.path in profile.fields))


def make_partition(
    partition: Partition, settings: Settings, log: logging.Logger, tables: Tables | None = None
) -> PartitionResult:
    """Normalize a partition's archive, audit the tables and swap them in.

    `rejected_calls` is swapped in even where the audit forbids `calls`, so that there is something to look at.

    Raises:
        PlanError: roles are ambiguous or not recognized.
        FileError: the archive is damaged, or the tables cannot be written.
    """
    archive = require(partition.archive(settings.data_dir), "raw_calls")
    text = require(partition.manifest(settings.data_dir), "raw_calls").read_text(encoding="utf-8")
    manifest = Manifest.from_json(text)
    if manifest.span != partition.span:
        raise FileError(
            errno.EINVAL,
            f"{archive.absolute()} holds documents of {manifest.span or 'all times'}, not of {partition.span}; "
            "materialize raw_calls again.",
        )
    tables = tables or plan_tables([partition], settings)
    plan = tables.plan
    calls_path, rejected_path = partition.calls(settings.data_dir), partition.rejected_calls(settings.data_dir)
    published = None
    with staged(rejected_path, private=True) as rejected_file:
        try:
            with staged(calls_path) as calls_file:
                written = write_tables(archive, manifest, tables, calls_file, rejected_file, log)
                results = audit(written, manifest, tables, calls_file, rejected_file, settings.max_rejected)
                if blocking(results):
                    raise AuditFailed(results)
            published = stat_and_hash(calls_path)
        except AuditFailed:
            log.error("The audit failed: calls is not replaced.")
    if published and not settings.keep_raw:
        archive.unlink(missing_ok=True)
    return PartitionResult(
        manifest,
        plan,
        written.tally,
        results,
        written.seconds,
        published,
        stat_and_hash(rejected_path),
        written.calls_preview,
        written.rejected_preview,
    )


@dataclass
class WriteStats:
    """What was seen while the tables were written."""

    tally: Tally
    seconds: float
    digest: str
    failures: list[dict[str, Any]] = field(default_factory=list)
    failed_values: int = 0
    ascending: bool = True
    numbered: bool = True
    """Whether the `_id` texts rise from row to row, as texts or as whole numbers do: then none is repeated."""
    calls_preview: dg.MetadataValue = field(default_factory=lambda: dg.MetadataValue.text("no rows"))
    rejected_preview: dg.MetadataValue = field(default_factory=lambda: dg.MetadataValue.text("no rows"))


def write_tables(
    archive: Path,
    manifest: Manifest,
    tables: Tables,
    calls_file: Path,
    rejected_file: Path,
    log: logging.Logger,
) -> WriteStats:
    """Write the archive's documents as `calls` and `rejected_calls`, in row groups of a fixed size."""
    import pyarrow as pa

    from callviz_dagster.contract import arrow_schema
    from callviz_dagster.documents.buffers import Ints
    from callviz_dagster.documents.walker import Walker
    from callviz_dagster.table.normalize import Normalized, normalize

    plan = tables.plan
    instant = dt.datetime.fromisoformat(manifest.snapshot_time)
    now = (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    progress = Progress(log, "Normalizing", manifest.documents)
    written = WriteStats(Tally(), 0, "")
    digest = hashlib.sha256()
    last_id: str | None = None
    with (
        parquet_writer(calls_file, arrow_schema(plan.columns)) as calls_writer,
        parquet_writer(rejected_file, arrow_schema(REJECTED)) as rejected_writer,
        ThreadPoolExecutor(1, "parquet") as beside,
    ):
        waiting: list[pa.Table] = []
        writing: list[Future[None]] = []

        def write_group() -> None:
            group = pa.concat_tables(waiting)
            waiting.clear()
            while writing:
                writing.pop().result()
            writing.append(beside.submit(calls_writer.write_table, group, row_group_size=ROW_GROUP))
            _validate(group, written)

        def normalized(part: tuple[bytes, Ints]) -> tuple[memoryview, Normalized, IdOrder | None]:
            documents, starts = part
            rows = normalize(Walker().walk(documents, starts), plan, now=now)
            return memoryview(documents)[: starts[-1]], rows, id_order(rows.calls)

        for documents, rows, ids in parallel_map(normalized, prefetch(read_archive(archive))):
            digest.update(documents)
            if not written.tally.calls and rows.calls.num_rows:
                written.calls_preview = preview(rows.calls)
            if not written.tally.rejected and rows.rejected.num_rows:
                written.rejected_preview = preview(rows.rejected)
            written.tally.add(rows.tally)
            if ids is not None:
                last_id = _follow(ids, last_id, written)
            waiting.append(rows.calls)
            if sum(t.num_rows for t in waiting) >= ROW_GROUP or sum(t.nbytes for t in waiting) >= ROW_GROUP_BYTES:
                write_group()
            if rows.rejected.num_rows:
                rejected_writer.write_table(rows.rejected)
            progress.add(rows.tally.documents)
        if waiting:
            write_group()
        while writing:
            writing.pop().result()
        said = table_footer(manifest, tables, written.tally).to_json()
        calls_writer.add_key_value_metadata({FOOTER_KEY.decode(): said})
        rejected_writer.add_key_value_metadata({FOOTER_KEY.decode(): said})
    pa.default_memory_pool().release_unused()
    written.digest = digest.hexdigest()
    written.seconds = progress.seconds
    return written


def _validate(group: Any, written: WriteStats) -> None:
    """Validate the contract's columns of a row group by the pandera schema; keep the failures."""
    import pandera.errors

    from callviz_dagster.contract import pandera_schema, to_frame

    columns = (*LEADING, REPAIRS)
    frame = to_frame(group.select([column.name for column in columns]))
    try:
        pandera_schema(columns).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        written.failed_values += len(cases)
        for case in cases.head(_MOST_FAILURES - len(written.failures)).to_dict("records"):
            row = case["index"]
            written.failures.append(
                {
                    "_id": None if row is None else str(frame["_id"].iloc[int(row)]),
                    "column": str(case["column"]),
                    "value": str(case["failure_case"]),
                    "check": str(case["check"]),
                }
            )


class IdOrder(NamedTuple):
    """Whether the `_id` texts of a batch rise from row to row, as texts and as whole numbers do."""

    first: str
    last: str
    ascending: bool
    numbered: bool


def id_order(rows: Any) -> IdOrder | None:
    """Look at the `_id` texts of a batch; None where it has no rows."""
    import pyarrow.compute as pc

    identifiers = rows.column("_id").combine_chunks()
    if not len(identifiers):
        return None
    rising, lengths = pc.greater(identifiers[1:], identifiers[:-1]), pc.binary_length(identifiers)
    ascending = numbered = pc.all(rising, min_count=0).as_py()
    if pc.min(lengths) != pc.max(lengths):
        longer, as_long = pc.greater(lengths[1:], lengths[:-1]), pc.equal(lengths[1:], lengths[:-1])
        numbered = pc.all(pc.or_(longer, pc.and_(as_long, rising)), min_count=0).as_py()
    return IdOrder(identifiers[0].as_py(), identifiers[-1].as_py(), ascending, numbered)


def _follow(batch: IdOrder, last: str | None, written: WriteStats) -> str:
    """Tell whether the `_id` texts go on rising after those of the batches before; return the last one."""
    written.ascending &= batch.ascending and (last is None or batch.first > last)
    written.numbered &= batch.numbered and (last is None or _as_number(batch.first) > _as_number(last))
    return batch.last


def _as_number(text: str) -> tuple[int, str]:
    """Return what orders texts as whole numbers are ordered: longer ones later."""
    return len(text.encode()), text


def audit(
    written: WriteStats,
    manifest: Manifest,
    tables: Tables,
    calls_file: Path,
    rejected_file: Path,
    max_rejected: float,
) -> list[dg.AssetCheckResult]:
    """Read the staged tables back and decide every check of `calls`."""
    import pyarrow.parquet as pq

    tally, plan, before = written.tally, tables.plan, tables.before
    rows = pq.read_metadata(calls_file).num_rows
    whole = written.digest == manifest.documents_sha256
    repeated, repetitions = ([], 0) if written.ascending or written.numbered else _repeated_ids(calls_file)
    id_types = manifest.profile.fields[(b"_id",)].types if (b"_id",) in manifest.profile.fields else {}
    return [
        checks.every_document_accounted_for(
            documents=manifest.documents,
            archived=tally.documents if whole else None,
            calls=rows,
            rejected=pq.read_metadata(rejected_file).num_rows,
        ),
        checks.rejected_within_limit(tally, max_rejected),
        checks.schema_holds(rows, written.failures, written.failed_values),
        checks.columns_stable(
            before.fields if before else None, before.present if before else (), plan, tables.present
        ),
        checks.labels_known(tally, before.labels if before else {}),
        checks.times_plausible(tally),
        checks.ids_unique(rows, repeated, repetitions, one_type=len(id_types) <= 1),
    ]


def _repeated_ids(path: Path, at_once: int = 1_000_000) -> tuple[list[str], int]:
    """Return examples and the number of rows whose `_id` stood in an earlier row, in bounded memory."""
    import zlib

    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        passes = file.metadata.num_rows // at_once + 1
        examples: list[str] = []
        repeated = 0
        for turn in range(passes):
            seen: set[str] = set()
            for batch in file.iter_batches(columns=["_id"]):
                for identifier in batch.column(0).to_pylist():
                    if zlib.crc32(identifier.encode()) % passes != turn:
                        continue
                    if identifier in seen:
                        repeated += 1
                        if len(examples) < EXAMPLES:
                            examples.append(identifier)
                    seen.add(identifier)
    return examples, repeated


def table_footer(manifest: Manifest, tables: Tables, tally: Tally) -> TableFooter:
    """Return what the file says of the refresh that made it."""
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
    )


def _calls_metadata(made: PartitionResult, file: PublishedFile) -> dict[str, Any]:
    tally, plan = made.tally, made.plan
    return {
        **file_metadata(file, rows=tally.calls, documents=tally.documents, seconds=made.seconds),
        **snapshot_metadata(made.manifest.snapshot_time, made.manifest.source),
        "rejected": tally.rejected,
        "time zone": plan.options.timezone,
        "repaired rows": tally.repaired_rows,
        "repairs": rows_table({"repair": words, "rows": n} for words, n in tally.repairs.most_common(50)),
        "fields used": rows_table(
            {"column": role, "field": name, "documents": n}
            for role, used in tally.fields_used.items()
            for name, n in used.most_common()
        ),
        "preview": made.calls_preview,
        "dagster/column_schema": table_schema(plan.columns),
        "dagster/column_lineage": column_lineage(lineage(plan)),
    }


def lineage(plan: "Plan") -> Mapping[str, list[tuple[str, str]]]:
    """Return, for each column, the fields of `raw_calls` that it comes from."""
    from callviz_dagster.documents.values import dotted

    roles = {role: [("raw_calls", dotted(path)) for path in paths] for role, paths in plan.roles.items()}
    start = roles["start_time"]
    deps = {
        "_id": [("raw_calls", "_id")],
        **{name: roles[name] for name in ("call_type", "status", "start_time", "end_time")},
        "duration_sec": [*roles["duration"], *start, *roles["end_time"]],
        "call_date": start,
        "call_weekday": start,
        "call_hour": start,
        **{column.name: [("raw_calls", dotted(column.path))] for column in plan.fields},
    }
    return {name: sources for name, sources in deps.items() if sources}


def _rejected_metadata(made: PartitionResult) -> dict[str, Any]:
    tally = made.tally
    return {
        **file_metadata(made.rejected, rows=tally.rejected, documents=tally.documents, seconds=made.seconds),
        **snapshot_metadata(made.manifest.snapshot_time, made.manifest.source),
        "reasons": rows_table({"reason": reason, "documents": n} for reason, n in tally.reasons.most_common()),
        "preview": made.rejected_preview,
    }
