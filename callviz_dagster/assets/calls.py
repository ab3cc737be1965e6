"""`calls` and `rejected_calls`: the archive's documents as a table, and those that are not in it, with the reason."""

import contextlib
import datetime as dt
import functools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.assets.checks.results import EXAMPLES, blocking, combine_partitions, nothing_to_do
from callviz_dagster.assets.common import (
    AuditFailed,
    PartitionSelection,
    add_partition_metadata,
    column_lineage,
    data_version,
    mark_unchanged,
    record,
    require_partitions,
    run_metadata,
    run_settings,
    run_time,
    select_partitions,
    snapshot_metadata,
    table_options,
    working_files,
)
from callviz_dagster.assets.markdown import preview, rows_table
from callviz_dagster.contract import REJECTED, table_columns, table_schema
from callviz_dagster.engine.cluster import Cluster, opened_cluster
from callviz_dagster.engine.fan_out import normalize_on
from callviz_dagster.engine.normalize import NormalizedPartition, TableFacts, normalize_partition
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.partitions import Partition, leftovers
from callviz_dagster.settings import Settings
from callviz_dagster.storage.refreshing import place
from callviz_dagster.storage.working_copy import Needs, WorkingCopy
from callviz_dagster.table.manifest import UNREADABLE, existing_partitions, merged

if TYPE_CHECKING:
    from callviz_dagster.table.plan import Plan
    from callviz_dagster.table.tally import Tally
    from callviz_dagster.table.write import Tables

CALLS = """One row per call: the normalized table that everything published is made from.

Type, status, start, end and duration are taken from the fields that the collection uses for them, and every other
field of the documents is a column of its own. The column `repairs` says what had to be changed to fit. Dates,
weekdays and hours are those of the configured time zone; start and end are exact instants in UTC.

Documents that cannot be put on the time axis are in `rejected_calls`; each document is in exactly one of the two.
"""
REJECTED_CALLS = """Every document that is not in `calls`, with the reason and the whole document.

A document is rejected only where its start time is missing, cannot be read, could mean two dates, or lies outside the
years 1678 to 2261. Look here when a call is missed, or when a refresh failed because too many were rejected.
"""


def build_calls(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the assets `calls` and `rejected_calls`, which one step makes."""

    @dg.multi_asset(
        name=names.op("calls"),
        specs=[
            dg.AssetSpec(
                names.key("calls"),
                deps=[names.key("raw_calls")],
                description=CALLS,
                group_name=names.group("calls"),
                kinds={"pandas", "pandera", "parquet"},
                metadata={"dagster/column_schema": table_schema(table_columns(()))},
            ),
            dg.AssetSpec(
                names.key("rejected_calls"),
                deps=[names.key("raw_calls")],
                description=REJECTED_CALLS,
                group_name=names.group("calls"),
                kinds={"parquet"},
                metadata={"dagster/column_schema": table_schema(REJECTED)},
            ),
        ],
        check_specs=names.check_specs(checks.CALLS_CHECKS),
        pool=names.pool,
        required_resource_keys={names.settings},
    )
    def calls(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Normalize the archive into `calls` and `rejected_calls`, audit both, and swap them in."""
        yield from _normalize(context, names, run_settings(context, names))

    return calls


def _normalize(
    context: dg.AssetExecutionContext, names: Names, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Normalize the partitions of a run, and report them."""
    calls, rejected_calls = names.key("calls"), names.key("rejected_calls")
    done: list[tuple[Partition, NormalizedPartition]] = []
    results = [nothing_to_do(spec.name) for spec in checks.CALLS_CHECKS]
    with (
        working_files(settings, context.log) as copies,
        opened_cluster(settings, context.log) as cluster,
    ):
        selection = select_partitions(context, settings)
        if copies.data:
            copies.data.fetch(archives_and_leftovers(selection, settings.data_dir, on_workers=bool(cluster)))
        tables = plan_tables(selection.all_partitions, settings, context.log) if selection.partitions else None
        if tables:
            normalized = make_partitions(selection.partitions, settings, context.log, tables, cluster, copies.data)
            done = [*zip(selection.partitions, normalized, strict=True)]
            results = _combined(done, tables, settings.max_rejected)
        refused = [
            partition.calls(settings.data_dir) for partition, partition_result in done if not partition_result.calls
        ]
        removed = [] if refused else remove_leftovers(selection, settings, run_time(context))
    versions = {
        calls: data_version([one.contents[0] for _, one in done if one.contents[0]]),
        rejected_calls: data_version([one.contents[1] for _, one in done]),
    }
    mark_unchanged(context, selection, calls, rejected_calls)
    _add_rejected_metadata(context, rejected_calls, selection, done)
    if refused:
        yield from results
        yield dg.MaterializeResult(asset_key=rejected_calls, data_version=versions[rejected_calls])
        record(context, calls, _calls_metadata(done))
        raise AuditFailed(results).failure(*refused[:EXAMPLES])
    if removed:
        context.log.info(f"Removed {len(removed)} files of partitions that no longer exist: {', '.join(removed)}.")
    for partition, metadata in _calls_metadata(done):
        add_partition_metadata(context, calls, partition, metadata)
    if tables:
        metadata = _calls_run_metadata(names, done, tables.plan, removed)
        add_partition_metadata(context, calls, selection.last, metadata)
    yield dg.MaterializeResult(asset_key=calls, check_results=results, data_version=versions[calls])
    yield dg.MaterializeResult(asset_key=rejected_calls, data_version=versions[rejected_calls])


def _combined(done: "Results", tables: "Tables", max_rejected: float) -> list[dg.AssetCheckResult]:
    """Return the result of each check over all partitions that were made."""
    by_partition = [(partition.key, audit(result.facts, tables, max_rejected)) for partition, result in done]
    return [
        combine_partitions([(key, results[number]) for key, results in by_partition])
        for number in range(len(checks.CALLS_CHECKS))
    ]


def archives_and_leftovers(selection: PartitionSelection, data_dir: Path, *, on_workers: bool) -> Needs:
    """Return which files normalizing reads beyond those that every step has at hand.

    These are the archives of a run's partitions, unless workers read them, and what partitions that no longer exist
    have left, to be removed.
    """
    read_here = () if on_workers else selection.partitions
    archives = {partition: partition.archive(data_dir) for partition in selection.all_partitions}
    not_read = {path for partition, path in archives.items() if partition not in read_here}
    not_read |= {partition.rejected_calls(data_dir) for partition in selection.all_partitions}
    return lambda name: data_dir / name not in not_read


def remove_leftovers(selection: PartitionSelection, settings: Settings, now: dt.datetime) -> list[str]:
    """Remove the files of partitions that no longer exist, once the partitions that exist hold all calls."""
    with contextlib.suppress(dg.Failure):
        require_partitions(settings, now)
        paths = leftovers(settings.data_dir, selection.all_partitions)
        for path in paths:
            path.unlink(missing_ok=True)
        return [f"{path.parent.name}/{path.name}" for path in paths]
    return []


Results = Sequence[tuple[Partition, NormalizedPartition]]


def plan_tables(all_partitions: Sequence[Partition], settings: Settings, log: logging.Logger) -> "Tables":
    """Plan one table for all partitions, from the profiles of their archives and what was published before.

    Raises:
        PlanError: roles are ambiguous or not recognized.
    """
    from callviz_dagster.documents.recognition.decision import Standing
    from callviz_dagster.documents.recognition.report import role_changes
    from callviz_dagster.table.merged_profiles import merged_profiles
    from callviz_dagster.table.plan import make_plan
    from callviz_dagster.table.write import Tables

    before = merged(existing_partitions(all_partitions, settings.data_dir).values())
    standing = Standing.from_json(before.choice if before else None)
    profile, evidence = merged_profiles(
        all_partitions,
        settings.data_dir,
        lambda path: log.warning(f"{place(path)} {UNREADABLE}, so the columns are planned without it."),
    )
    plan = make_plan(
        profile,
        table_options(settings),
        before.fields if before else (),
        evidence=evidence,
        standing=standing,
        grouped_before=bool(before and before.other_fields),
    )
    log.info("\n".join(row.line for row in plan.recognized.rows))
    present = tuple(column.name for column in plan.fields if column.path in profile.fields)
    return Tables(plan, before, present, role_changes(standing, plan.recognized.choice))


def make_partitions(
    partitions: Sequence[Partition],
    settings: Settings,
    log: logging.Logger,
    tables: "Tables",
    cluster: Cluster | None = None,
    data_files: WorkingCopy | None = None,
) -> list[NormalizedPartition]:
    """Normalize the archives of partitions, audit the tables and swap them in, see `normalize_partition`.

    Raises:
        PlanError: an archive does not fit the plan.
        FileError: an archive is missing or damaged, or the tables cannot be written.
        EngineError: the cluster cannot do the work.
    """
    allowed, keep_raw = functools.partial(may_publish, max_rejected=settings.max_rejected), settings.keep_raw
    if cluster:
        return normalize_on(
            cluster, partitions, settings.data_dir, tables, allowed, keep_raw=keep_raw, data_files=data_files
        )
    return [
        normalize_partition(partition, settings.data_dir, tables, allowed, log, keep_raw=keep_raw)
        for partition in partitions
    ]


def may_publish(facts: TableFacts, tables: "Tables", *, max_rejected: float) -> bool:
    """Return whether no check forbids to publish a partition of `calls`."""
    return not blocking(audit(facts, tables, max_rejected))


def audit(facts: TableFacts, tables: "Tables", max_rejected: float) -> list[dg.AssetCheckResult]:
    """Decide every check of `calls` for a partition, in the order of `CALLS_CHECKS`."""
    from callviz_dagster.documents.values import plain_path

    plan, before, tally, violations = tables.plan, tables.before, facts.written.tally, facts.written.violations
    hidden = [
        column.name
        for column in plan.fields
        if column.name in facts.repetitions_by_column and plan.options.secrets.hides(plain_path(column.path))
    ]
    return [
        checks.every_document_accounted_for(
            documents=facts.documents,
            archived=tally.documents if facts.whole else None,
            calls=facts.rows,
            rejected=facts.rejected_rows,
        ),
        checks.rejected_within_limit(tally, max_rejected, plan.recognized),
        checks.schema_holds(facts.rows, violations.examples, violations.total),
        checks.columns_stable(
            before.fields if before else None,
            before.present if before else (),
            plan,
            tables.present,
            tables.role_changes,
        ),
        checks.labels_known(tally, before.labels if before else None),
        checks.times_plausible(tally, plan.recognized),
        checks.ids_unique(facts.rows, facts.repeated_ids, facts.repetitions, one_type=facts.one_id_type),
        checks.call_identifiers_unique(facts.repetitions_by_column, facts.rows, hidden),
        checks.roles_recognized(plan.recognized),
        checks.roles_plausible(plan.recognized),
    ]


def _calls_metadata(done: Results) -> list[tuple[Partition, dict[str, Any]]]:
    """Return what the materialization of each published partition of `calls` says of it."""
    return [
        (
            partition,
            {
                "dagster/row_count": partition_result.facts.written.tally.calls,
                "repaired rows": partition_result.facts.written.tally.repaired_rows,
            },
        )
        for partition, partition_result in done
        if partition_result.calls
    ]


def _calls_run_metadata(names: Names, done: Results, plan: "Plan", removed: Sequence[str]) -> dict[str, Any]:
    """Return what the last materialization of a run says beyond its own partition: of all of its partitions."""
    tally, seconds = _total(done)
    files = [partition_result.calls for _, partition_result in done if partition_result.calls]
    return {
        **run_metadata(files, documents=tally.documents, seconds=seconds),
        **snapshot_metadata(done[-1][1].snapshot_time),
        "rejected": tally.rejected,
        "time zone": plan.options.timezone,
        "repairs": rows_table({"repair": repair, "rows": n} for repair, n in tally.repairs.most_common(50)),
        "fields used": _fields_used(plan, tally),
        **({"files of another partitioning removed": ", ".join(removed)} if removed else {}),
        # The UI takes columns from the last materialization alone, so each refresh says them.
        "dagster/column_schema": table_schema(plan.columns, defined=table_columns(())),
        "dagster/column_lineage": column_lineage(names, lineage(plan)),
    }


def _fields_used(plan: "Plan", tally: "Tally") -> dg.MetadataValue:
    """Return for each role its field, how that was recognized, and in how many documents which field was used."""
    return rows_table(
        {
            "role": row.role,
            "field": row.field,
            "unit (how it is known)": row.unit,
            "recognized": row.known_by,
            "documents by field": ", ".join(
                f"{name}: {n:,}" for name, n in tally.fields_used.get(row.role, Counter()).items()
            ),
        }
        for row in plan.recognized.rows
    )


def _total(done: Results) -> tuple["Tally", float]:
    """Return what was counted in all partitions of a run, and the seconds that they took."""
    from callviz_dagster.table.tally import Tally

    tally = Tally()
    for _, partition_result in done:
        tally.add(partition_result.facts.written.tally)
    return tally, sum(partition_result.facts.written.seconds for _, partition_result in done)


def lineage(plan: "Plan") -> Mapping[str, list[tuple[str, str]]]:
    """Return the fields of `raw_calls` that columns come from, except those of fields under their own names."""
    from callviz_dagster.documents.values import dotted

    clocks = {role: (clock,) for role, clock in plan.clocks.items()}
    roles = {
        role: [("raw_calls", dotted(path)) for path in (*paths, *clocks.get(role, ()))]
        for role, paths in plan.roles.items()
    }
    start = roles["start_time"]
    deps = {
        **{name: roles[name] for name in ("call_type", "status", "start_time", "end_time")},
        "duration_sec": [*roles["duration"], *start, *roles["end_time"]],
        "call_date": start,
        "call_weekday": start,
        "call_hour": start,
        **{c.name: [("raw_calls", dotted(c.path))] for c in plan.fields if dotted(c.path) != c.name},
    }
    return {name: sources for name, sources in deps.items() if sources}


def _add_rejected_metadata(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, selection: PartitionSelection, done: Results
) -> None:
    for partition, partition_result in done:
        metadata = {"dagster/row_count": partition_result.facts.written.tally.rejected}
        add_partition_metadata(context, asset, partition, metadata)
    if done:
        add_partition_metadata(context, asset, selection.last, _rejected_run_metadata(done))


def _rejected_run_metadata(done: Results) -> dict[str, Any]:
    tally, seconds = _total(done)
    tables = [partition_result.facts.written.first_rejected for _, partition_result in done]
    return {
        **run_metadata([result.rejected for _, result in done], documents=tally.documents, seconds=seconds),
        **snapshot_metadata(done[-1][1].snapshot_time),
        "reasons": rows_table({"reason": reason, "documents": n} for reason, n in tally.reasons.most_common()),
        "preview": preview(next((table for table in tables if table is not None), None)),
    }
