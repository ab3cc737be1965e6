"""`calls.csv`: all partitions of `calls` as the analyst's file.

A thin shell. What belongs elsewhere: writing the file (`calls_csv/`), the checks (`assets/checks/calls_csv.py`).
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.assets.checks import calls_csv as checks
from callviz_dagster.assets.checks.results import blocking
from callviz_dagster.assets.common import (
    AuditFailed,
    calls_inputs,
    column_lineage,
    data_version,
    held_metadata,
    latest_snapshot,
    publishing,
    require_partitions,
    rows_held,
    run_metadata,
    run_settings,
    run_time,
    snapshot_metadata,
)
from callviz_dagster.assets.markdown import preview
from callviz_dagster.contract import table_columns, table_schema
from callviz_dagster.dashboard import pictures
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import count_calls, read_files
from callviz_dagster.dashboard.kept_counts import count_files
from callviz_dagster.engine.cluster import opened_cluster
from callviz_dagster.engine.fan_out import csv_parts_on
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import sha256_of
from callviz_dagster.storage.published import CALLS_CSV, left_out, record_file
from callviz_dagster.storage.refreshing import place
from callviz_dagster.table.manifest import TableFooter, last_full_day, published_coverage, read_manifest

if TYPE_CHECKING:
    from callviz_dagster.calls_csv.diff import Changes
    from callviz_dagster.table.recent import RecentCalls

_MOST_CELLS = 1_000_000
"""Of durations only the median is shown, which is exact however few cells there are."""


def build_calls_csv(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `calls_csv`."""

    @dg.asset(
        key=names.key("calls_csv"),
        deps=[names.key("calls")],
        group_name=names.group("published"),
        kinds={"csv"},
        check_specs=names.check_specs(checks.CALLS_CSV_CHECKS),
        metadata={
            "dagster/column_schema": table_schema(table_columns(())),
            "dagster/column_lineage": column_lineage(names, {c.name: [("calls", c.name)] for c in table_columns(())}),
        },
        pool=names.pool,
        required_resource_keys={names.settings},
    )
    def calls_csv(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """All calls as one CSV file: the source of the Tableau workbook.

        UTF-8 with a header line; text is quoted, a missing value is an empty field. Times are local time in the
        configured time zone, in whole seconds. Texts that a spreadsheet would run as a formula have a `'` before them.
        The same calls give the same bytes, columns keep their places, and the file is replaced whole or not at all.
        `CALLVIZ_CSV_MONTHS` limits it to the calls of the last months.
        """
        yield from _publish(context, names, run_settings(context, names))

    return calls_csv


def _publish(
    context: dg.AssetExecutionContext, names: Names, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Publish the file, and report it."""
    from callviz_dagster.calls_csv.publish import publish_csv
    from callviz_dagster.table.recent import recent_calls

    try:
        with (
            publishing(settings, context.log, CALLS_CSV) as copies,
            opened_cluster(settings, context.log) as cluster,
            csv_parts_on(cluster, settings.data_dir, copies.data) as encode_parts,
            ThreadPoolExecutor(1, "picture") as beside,
        ):
            partitions = require_partitions(settings, run_time(context))
            calls = {partition.calls(settings.data_dir): footer for partition, footer in partitions.items()}
            disjoint = check_disjoint(partitions, settings.data_dir)
            recent = recent_calls(calls, settings.csv_months)
            held = rows_held(recent)
            drawing = beside.submit(_headline_and_picture, calls, recent, CountOptions.of(settings))
            target, bom = settings.publish_dir / CALLS_CSV, settings.csv_bom
            zone = settings.timezone
            csv = publish_csv(calls, target, zone, context.log, require_good, encode_parts, recent=recent, bom=bom)
            coverage = published_coverage(settings.data_dir) if Partitioning.of(settings).partitioned else None
            record_file(csv.file, calls_inputs(calls, csv.sources), latest_snapshot(calls, coverage), held)
            if copies.published:
                copies.published.share(CALLS_CSV, csv.shared)
            headline, picture = drawing.result()
    except AuditFailed as refused:
        yield from refused.results
        raise refused.failure(settings.publish_dir / CALLS_CSV) from None
    if held.calls_since:
        context.log.info(left_out(held))
    context.add_asset_metadata(
        {
            "headline": dg.MetadataValue.md(headline),
            "daily calls": dg.MetadataValue.md(picture),
            "dagster/row_count": csv.rows,
            "path": dg.MetadataValue.path(place(csv.file.path)),
            **run_metadata([csv.file], documents=csv.rows, seconds=csv.seconds),
            **snapshot_metadata(csv.footer.snapshot_time),
            "source": csv.footer.source,
            "rejected": csv.footer.rejected,
            "time zone": settings.timezone,
            "texts defused": csv.defused,
            **({"partitions": len(calls)} if coverage else {}),
            **held_metadata(held),
            **_changes_metadata(csv.changes),
            "preview": preview(csv.first_rows),
            "dagster/column_schema": table_schema(csv.columns, defined=table_columns(())),
        }
    )
    yield dg.MaterializeResult(
        data_version=data_version([csv.file.sha256]),
        check_results=[
            checks.csv_reads_back(csv.rows, [], csv.file.sha256),
            disjoint,
            checks.collection_accounted_for(csv.rows, csv.footer.rejected, coverage, csv.footer.documents, held),
        ],
    )


def check_disjoint(partitions: Collection[Partition], data_dir: Path) -> dg.AssetCheckResult:
    """Check that no call is in two partitions.

    Raises:
        AuditFailed: one is.
    """
    from callviz_dagster.table.identifiers import shared_ids

    keys = {partition.calls(data_dir): partition.key for partition in partitions}
    shared = shared_ids([*keys]) if len(keys) > 1 else {}
    result = checks.calls_in_one_partition(
        {identifier: [keys[path] for path in paths] for identifier, paths in shared.items()},
        one_type=not shared or len(_id_types(partitions, data_dir)) <= 1,
    )
    if blocking([result]):
        raise AuditFailed([result])
    return result


def _id_types(partitions: Collection[Partition], data_dir: Path) -> set[int]:
    """Return the BSON types of the `_id` in these partitions, as far as their manifests are there."""
    manifests = [read_manifest(partition.manifest(data_dir)) for partition in partitions]
    fields = [manifest.profile.fields.get((b"_id",)) for manifest in manifests if manifest]
    return {bson_type for field in fields if field for bson_type in field.types}


def require_good(rows: int, differences: Sequence[str], sha256: str) -> None:
    """Let a written file pass whose lines read back.

    Raises:
        AuditFailed: they do not.
    """
    check = checks.csv_reads_back(rows, differences, sha256)
    if not check.passed:
        raise AuditFailed([check])


def _headline_and_picture(
    calls: Mapping[Path, TableFooter], recent: "RecentCalls", options: CountOptions
) -> tuple[str, str]:
    """Return the headline figures and the picture of daily calls as Markdown, of the calls that the file has."""
    known, _ = options.with_columns_of(calls.values())
    options = dataclasses.replace(options, fields=())
    if recent.since:
        # The counts that are kept are those of whole files.
        counts = count_calls(read_files([*recent.kept(calls)], recent.since), options, max_cells=_MOST_CELLS)
    else:
        counts = count_files(
            {path: sha256_of(path) for path in calls},
            options,
            next(iter(calls)).parent.parent,
            kept_fields=known.fields,
            max_cells=_MOST_CELLS,
        )
    return pictures.headline(counts), pictures.daily_calls_picture(counts, last_full_day([*calls.values()]))


def _changes_metadata(changes: "Changes | str | None") -> dict[str, Any]:
    """Return what changed since the last `calls.csv`, or why that is unknown."""
    if changes is None:
        return {}
    if isinstance(changes, str):
        return dict.fromkeys(("rows added", "rows changed", "rows removed"), changes)
    counts = {"rows added": changes.added, "rows changed": changes.changed, "rows removed": changes.removed}
    if changes.older:
        counts["rows that became too old"] = changes.older
    return counts | ({"columns that came or went": ", ".join(changes.columns)} if changes.columns else {})
