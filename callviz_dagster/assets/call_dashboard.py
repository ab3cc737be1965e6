"""`call_dashboard.html`: the five charts as one page, audited against the calls it counts, then swapped in whole.

What belongs elsewhere: counting (`dashboard/counts.py`), the charts (`dashboard/charts.py`) and the page
(`dashboard/`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster.assets.checks.call_dashboard import CALL_DASHBOARD_CHECKS, page_counts_every_call
from callviz_dagster.assets.common import (
    AuditFailed,
    calls_inputs,
    data_version,
    latest_snapshot,
    publishing,
    require_partitions,
    run_settings,
    run_time,
    snapshot_metadata,
)
from callviz_dagster.dashboard import page, pictures
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import Counts
from callviz_dagster.dashboard.kept_counts import count_files
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import (
    PublishedFile,
    open_for_writing,
    parquet_metadata,
    sha256_of,
    staged,
    stat_and_hash,
)
from callviz_dagster.storage.published import record_file
from callviz_dagster.storage.refreshing import place, uri_of
from callviz_dagster.table.manifest import TableFooter, last_full_day, published_coverage

FILE = "call_dashboard.html"


def build_call_dashboard(names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `call_dashboard`."""

    @dg.asset(
        key=names.key("call_dashboard"),
        # The order: with the CSV first, a refresh that fails there leaves the page of the same calls as the CSV.
        deps=[names.key("calls"), names.key("calls_csv")],
        group_name=names.group("published"),
        kinds={"html"},
        pool=names.pool,
        check_specs=names.check_specs(CALL_DASHBOARD_CHECKS),
        required_resource_keys={names.settings},
    )
    def call_dashboard(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """`call_dashboard.html`: the five charts and the headline figures, for everybody who has a browser.

        One file that opens from disk and needs no network: the same charts, colours and numbers as the Tableau
        dashboard, and beyond them hours by weekday, a comparison with the period before, and what was rejected or
        repaired. Choosing a bar or days filters all charts. The page holds counts only, no single call.
        """
        yield from _publish(context, run_settings(context, names))

    return call_dashboard


def _publish(
    context: dg.AssetExecutionContext, settings: Settings
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Publish the page, and report it."""
    try:
        with publishing(settings, context.log):
            partitions = require_partitions(settings, run_time(context))
            coverage = published_coverage(settings.data_dir) if Partitioning.of(settings).partitioned else None
            calls = {partition.calls(settings.data_dir): footer for partition, footer in partitions.items()}
            options, missing = CountOptions.of(settings).with_columns_of(calls.values())
            if missing:
                context.log.warning(_missing(missing, [*calls.values()]))
            published = publish_page(
                calls,
                settings.publish_dir / FILE,
                options,
                page.Context(
                    uncovered=coverage.uncovered if coverage else 0,
                    snapshot=latest_snapshot(calls).text,
                    stale_after=settings.fresh_within or page.Context.stale_after,
                    target_missed=settings.target_missed,
                    missing_fields=missing,
                ),
            )
            record_file(published.file, calls_inputs(calls, published.digests), latest_snapshot(calls, coverage))
    except AuditFailed as refused:
        yield from refused.results
        raise refused.failure(settings.publish_dir / FILE) from None
    latest = max(partitions.values(), key=lambda footer: footer.snapshot_time)
    context.add_asset_metadata(
        {
            "charts": dg.MetadataValue.md(
                pictures.five_pictures(published.counts, last_full_day([*partitions.values()]))
            ),
            "headline": dg.MetadataValue.md(pictures.headline(published.counts)),
            "dagster/uri": uri_of(published.file.path),
            "path": dg.MetadataValue.path(place(published.file.path)),
            "bytes": published.file.bytes,
            "sha256": published.file.sha256,
            "seconds": round(published.seconds, 3),
            "calls": published.counts.calls,
            "durations": f"distinguished by {published.counts.step} s"
            + ("" if len(published.counts.cubes) == 1 else ", and apart from hours"),
            **snapshot_metadata(latest.snapshot_time),
        }
    )
    yield dg.MaterializeResult(check_results=[published.check], data_version=data_version([published.content]))


@dataclass(frozen=True)
class PublishedPage:
    """What was published."""

    file: PublishedFile
    content: str
    """Digest of the page, but for the snapshot that it names."""
    counts: Counts
    digests: Sequence[str]
    """Of the files that it counts, in their order."""
    check: dg.AssetCheckResult
    seconds: float


def _missing(names: Sequence[str], footers: Sequence[TableFooter]) -> str:
    known = dict.fromkeys(field.column.name for footer in footers for field in footer.fields)
    return (
        f"CALLVIZ_DASHBOARD_FIELDS names {', '.join(names)}, which calls.csv does not have. Its columns of documents' "
        f"fields are: {', '.join(known) or 'none'}."
    )


def publish_page(
    calls: Mapping[Path, TableFooter], target: Path, options: CountOptions, context: page.Context | None = None
) -> PublishedPage:
    """Count the calls of Parquet files, write the page, read its counts back, and swap it in.

    Args:
        calls: the files, with what they say of the refreshes that made them.
        target: where the page goes.
        options: what the page counts.
        context: what else the page says.

    Raises:
        AuditFailed: the page does not count every call.
        FileError: it cannot be written.
    """
    started = time.monotonic()
    digests = {path: sha256_of(path) for path in calls}
    counts = count_files(digests, options, next(iter(calls)).parent.parent)
    rendered = page.render(counts, [*calls.values()], context)
    with staged(target) as temporary:
        with open_for_writing(temporary) as file:
            file.write(rendered.html.encode())
        check = audit(temporary, [*calls])
        if not check.passed:
            raise AuditFailed([check])
    seconds = time.monotonic() - started
    return PublishedPage(stat_and_hash(target), rendered.content, rendered.counts, [*digests.values()], check, seconds)


def audit(written: Path, paths: Sequence[Path]) -> dg.AssetCheckResult:
    """Compare the counts in a written page with the numbers of rows in the files of calls, as Parquet has them."""
    rows = without_duration = 0
    for path in paths:
        file_rows, file_without_duration = _rows_and_durationless(path)
        rows, without_duration = rows + file_rows, without_duration + file_without_duration
    totals, damage = [], ""
    try:
        totals = page.totals(written.read_text(encoding="utf-8"))
    except ValueError as error:
        damage = str(error)
    return page_counts_every_call(totals, calls=rows, without_duration=without_duration, damage=damage)


def _rows_and_durationless(path: Path) -> tuple[int, int]:
    """Return the number of calls in a file, and of those without duration; read from its rows where it does not say."""
    import pyarrow.parquet as pq

    metadata = parquet_metadata(path)
    column = metadata.schema.names.index("duration_sec")
    statistics = [metadata.row_group(number).column(column).statistics for number in range(metadata.num_row_groups)]
    if all(one is not None and one.has_null_count for one in statistics):
        return metadata.num_rows, sum(one.null_count for one in statistics)
    return metadata.num_rows, pq.read_table(path, columns=["duration_sec"])["duration_sec"].null_count
