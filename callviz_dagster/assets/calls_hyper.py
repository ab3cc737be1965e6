"""The calls as a Tableau extract, for users who have installed the extra `hyper`; without it there is no such asset.

What belongs elsewhere: writing the extract (`tableau/extract.py`), packing it (`callviz_workbook.py`).
"""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from callviz_dagster.assets.checks.calls_hyper import CALLS_HYPER_CHECKS, all_calls_are_in_the_extract
from callviz_dagster.assets.common import (
    AuditFailed,
    calls_inputs,
    data_version,
    digest_of,
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
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import staged, stat_and_hash
from callviz_dagster.storage.published import record_file
from callviz_dagster.storage.refreshing import place
from callviz_dagster.table.manifest import merged
from callviz_dagster.tableau.extract import count_rows, installed, write_extract
from callviz_dagster.tableau.model import HYPER_NAME


def hyper_assets(settings: Settings, names: Names = STAND_ALONE) -> list[dg.AssetsDefinition]:
    """Return `calls_hyper` where the extra `hyper` is installed, else nothing.

    Raises:
        SettingsError: the workbook is to carry the extract, or a Tableau server is to have it, and the extra is not
            installed.
    """
    if installed():
        return [build_calls_hyper(names)]
    install = "`pip install 'callviz-dagster[hyper]'`"
    if settings.workbook_source == "hyper":
        raise SettingsError(f"CALLVIZ_WORKBOOK_SOURCE=hyper needs the extra `hyper`: {install}, or set it to csv.")
    if "datasource" in settings.tableau_content:
        raise SettingsError(
            f"CALLVIZ_TABLEAU_PUBLISH={settings.tableau_publish} needs the extra `hyper`: {install}, or set it to "
            "workbook."
        )
    return []


def build_calls_hyper(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `calls_hyper`."""

    @dg.asset(
        key=names.key("calls_hyper"),
        deps=[names.key("calls"), names.key("calls_csv")],
        group_name=names.group("published"),
        kinds={"tableau", "hyper"},
        pool=names.pool,
        check_specs=names.check_specs(CALLS_HYPER_CHECKS),
        required_resource_keys={names.settings},
    )
    def calls_hyper(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """`calls.hyper`, the calls as a Tableau extract: faster to open than `calls.csv` and exact in its types.

        Tableau Desktop opens it with a double-click; Tableau Server and Cloud take it as a data source. Times are local
        to the configured time zone, as in `calls.csv`. Written from the Parquet files in pieces, whole or not at all.
        """
        yield from _publish(context, run_settings(context, names))

    return calls_hyper


def _publish(
    context: dg.AssetExecutionContext, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Publish the extract, and report it."""
    from callviz_dagster.table.read import published_columns, read_digests
    from callviz_dagster.table.recent import recent_calls

    start = time.perf_counter()
    target = settings.publish_dir / HYPER_NAME
    try:
        with publishing(settings, context.log):
            partitions = require_partitions(settings, run_time(context))
            footer = merged(partitions.values())
            assert footer is not None, "require_partitions returns at least one"
            paths = {partition.calls(settings.data_dir): one for partition, one in partitions.items()}
            columns, recent = published_columns(footer), recent_calls(paths, settings.csv_months)
            with staged(target) as temporary:
                written = write_extract(temporary, [*recent.kept(paths)], columns, settings.timezone, recent.since)
                check = all_calls_are_in_the_extract(count_rows(temporary), footer.calls, rows_held(recent))
                if not check.passed:
                    raise AuditFailed([check])
            file = stat_and_hash(target)
            calls_files, contents = zip(*map(read_digests, paths), strict=True)
            # The engine writes other bytes each time.
            content = digest_of(*contents, repr(columns), settings.timezone, recent.first_day)
            digests = [calls_file.sha256 for calls_file in calls_files]
            record_file(file, calls_inputs(paths, digests), latest_snapshot(paths), rows_held(recent))
    except AuditFailed as refused:
        yield from refused.results
        raise refused.failure(target) from None
    context.add_asset_metadata(
        {
            "dagster/row_count": written,
            "path": dg.MetadataValue.path(place(file.path)),
            **held_metadata(rows_held(recent)),
            **run_metadata([file], documents=written, seconds=time.perf_counter() - start),
            **snapshot_metadata(footer.snapshot_time),
        }
    )
    yield dg.MaterializeResult(check_results=[check], data_version=data_version([content]))
