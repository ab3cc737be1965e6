"""`call_dashboard.html`: the five charts as one page, audited against the calls it counts, then swapped in whole.

What belongs elsewhere: counting (`dashboard/counts.py`), the charts (`dashboard/charts.py`) and the page
(`dashboard/`).
"""

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster.assets.common import (
    POOL,
    AuditFailed,
    calls_inputs,
    latest_snapshot,
    require_partitions,
    snapshot_metadata,
    user_errors_as_failures,
)
from callviz_dagster.dashboard import charts, page
from callviz_dagster.dashboard.counts import Counts, count_files
from callviz_dagster.partitions import Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import PublishedFile, open_for_writing, staged, stat_and_hash, write_text
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.storage.published import record_file
from callviz_dagster.table.manifest import TableFooter, published_coverage

FILE, LIBRARY = "call_dashboard.html", "vega.json"
CHECK = "page_counts_every_call"


@dg.asset(
    deps=["calls"],
    group_name="published",
    kinds={"html"},
    pool=POOL,
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="call_dashboard",
            description="The counts in the page, read back from the file, add up to the rows of `calls`, and those "
            "without a duration to the rows that have none. Checked before the new page takes the last one's place.",
        )
    ],
)
def call_dashboard(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """`call_dashboard.html`: the five charts and the headline figures, for everybody who has a browser.

    One file that opens from disk and needs no network: the same charts, colours and numbers as the Tableau dashboard,
    and beyond them hours by weekday, a comparison with the period before, and what was rejected or repaired. Choosing
    a bar or days filters all charts. The page holds counts only, no single call.
    """
    try:
        with user_errors_as_failures(), one_at_a_time(settings.data_dir, context.log):
            partitions = require_partitions(settings)
            coverage = published_coverage(settings.data_dir) if Partitioning.of(settings).partitioned else None
            paths = {partition.calls(settings.data_dir): footer for partition, footer in partitions.items()}
            made = publish_page(
                [*paths],
                settings.publish_dir / FILE,
                labels=settings.dashboard_labels,
                footers=list(paths.values()),
                uncovered=coverage.uncovered if coverage else 0,
            )
            digests = [stat_and_hash(path).sha256 for path in paths]
            record_file(made.file, calls_inputs(paths, digests), latest_snapshot(paths))
    except AuditFailed as refused:
        yield from refused.results
        raise refused.failure(settings.publish_dir / FILE) from None
    latest = max(partitions.values(), key=lambda footer: footer.snapshot_time)
    yield dg.MaterializeResult(
        metadata={
            "charts": dg.MetadataValue.md(charts.five_pictures(made.counts)),
            "headline": dg.MetadataValue.md(charts.headline(made.counts)),
            "dagster/uri": made.file.path.as_uri(),
            "path": dg.MetadataValue.path(str(made.file.path)),
            "bytes": made.file.bytes,
            "sha256": made.file.sha256,
            "seconds": round(made.seconds, 3),
            "calls": made.counts.calls,
            "durations": f"told apart by {made.counts.step} s"
            + ("" if len(made.counts.cubes) == 1 else ", and apart from hours"),
            **snapshot_metadata(latest.snapshot_time, latest.source),
        },
        check_results=[made.check],
    )


@dataclass(frozen=True)
class PublishedPage:
    """What was published."""

    file: PublishedFile
    counts: Counts
    check: dg.AssetCheckResult
    seconds: float


def publish_page(
    paths: Sequence[Path], target: Path, *, labels: int, footers: Sequence[TableFooter], uncovered: int = 0
) -> PublishedPage:
    """Count the calls of Parquet files, write the page, read its counts back, and swap it in.

    Args:
        paths: the files.
        target: where the page goes.
        labels: how many call types and statuses the page tells apart.
        footers: what the files say of the refreshes that made them.
        uncovered: documents that no partition covers.

    Raises:
        AuditFailed: the page does not count every call.
        FileError: it cannot be written.
    """
    started = time.monotonic()
    counts = count_files(paths, labels=labels)
    library = _library(paths[0].parent.parent / LIBRARY) if counts.calls else None
    rendered = page.render(counts, footers, library, uncovered=uncovered)
    with staged(target) as temporary:
        with open_for_writing(temporary) as file:
            file.write(rendered.html.encode())
        check = audit(temporary, paths)
        if not check.passed:
            raise AuditFailed([check])
    return PublishedPage(stat_and_hash(target), rendered.counts, check, time.monotonic() - started)


def _library(kept: Path) -> page.Library:
    """Return what draws the charts, as the last refresh has left it in the data folder; else make it."""
    library = page.Library.from_json(kept.read_text(encoding="utf-8")) if kept.exists() else None
    if library is None:
        library = page.bundled()
        write_text(kept, library.to_json())
    return library


def audit(written: Path, paths: Sequence[Path]) -> dg.AssetCheckResult:
    """Compare the counts in a written page with the numbers of rows in the files of calls."""
    import pyarrow.parquet as pq

    rows = without = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["duration_sec"]):
                rows += batch.num_rows
                without += batch.column(0).null_count
    try:
        problems = [
            f"it counts {found.calls:,} calls, {found.without_duration:,} of them without a duration"
            if found.without_duration is not None
            else f"it counts {found.calls:,} calls"
            for found in page.totals(written.read_text(encoding="utf-8"))
            if found.calls != rows or found.without_duration not in (without, None)
        ]
    except (ValueError, zlib.error) as error:
        problems = [str(error)]
    there = f"{rows:,} calls, {without:,} of them without a duration"
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key="call_dashboard",
        passed=not problems,
        description=f"The page does not fit calls, which has {there}: {'; '.join(problems)}."
        if problems
        else f"The page counts all {there}.",
        metadata={"calls": rows, "without duration": without},
    )
