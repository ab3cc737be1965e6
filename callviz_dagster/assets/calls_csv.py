"""`calls.csv`: all windows of `calls` as the analyst's file."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster import charts, checks
from callviz_dagster.assets.common import (
    POOL,
    PREVIEW_ROWS,
    Refused,
    column_lineage,
    file_metadata,
    preview,
    require_windows,
    snapshot_metadata,
    told_in_a_sentence,
)
from callviz_dagster.contract import Column, table_columns, table_schema
from callviz_dagster.counts import count_files
from callviz_dagster.files import FileFacts, open_for_writing, staged
from callviz_dagster.lock import one_at_a_time
from callviz_dagster.manifest import Facts, merged, published_coverage, published_facts
from callviz_dagster.pipeline import ahead, worked
from callviz_dagster.progress import Progress
from callviz_dagster.settings import Settings
from callviz_dagster.windows import Partitioning

FILE = "calls.csv"


@dg.asset(
    deps=["calls"],
    group_name="published",
    kinds={"csv"},
    check_specs=checks.CALLS_CSV_CHECKS,
    metadata={"dagster/column_schema": table_schema(table_columns(()))},
    pool=POOL,
)
def calls_csv(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """All calls as one CSV file: the source of the Tableau workbook.

    UTF-8 with a header line; text is quoted, a missing value is an empty field. Times are local time in the configured
    time zone, in whole seconds. Texts that a spreadsheet would run as a formula have a `'` before them. The same calls
    give the same bytes, columns keep their places, and the file is replaced whole or not at all.
    """
    try:
        with told_in_a_sentence(), one_at_a_time(settings.data_dir, context.log):
            windows = require_windows(settings)
            paths = [window.calls(settings.data_dir) for window in windows]
            made = publish_csv(
                paths, settings.publish_dir / FILE, settings.timezone, context.log, labels=settings.dashboard_labels
            )
    except Refused as refused:
        yield from refused.results
        raise refused.failure("The last good calls.csv") from None
    coverage = published_coverage(settings.data_dir) if Partitioning.of(settings).partitioned else None
    yield dg.MaterializeResult(
        metadata={
            "headline": dg.MetadataValue.md(made.headline),
            "daily calls": dg.MetadataValue.md(made.picture),
            **file_metadata(made.file, rows=made.rows, documents=made.rows, seconds=made.seconds),
            **snapshot_metadata(made.facts.snapshot_time, made.facts.source),
            "rejected": made.facts.rejected,
            "time zone": settings.timezone,
            "texts defused": made.defused,
            **({"partitions": len(paths)} if coverage else {}),
            **made.changes,
            "preview": made.preview,
            "dagster/column_schema": table_schema(made.columns),
            "dagster/column_lineage": column_lineage({c.name: [("calls", c.name)] for c in made.columns}),
        },
        check_results=[
            made.check,
            checks.collection_accounted_for(made.rows, made.facts.rejected, coverage, made.facts.documents),
        ],
    )


@dataclass
class MadeCsv:
    """What was published."""

    file: FileFacts
    facts: Facts
    columns: Sequence[Column]
    rows: int
    defused: int
    seconds: float
    check: dg.AssetCheckResult
    preview: dg.MetadataValue
    changes: dict[str, Any]
    """What changed since the last one."""
    headline: str
    picture: str
    """The chart of daily calls, as Markdown."""


def publish_csv(calls: Sequence[Path], csv: Path, zone: str, log: logging.Logger, *, labels: int = 100) -> MadeCsv:
    """Write the `calls` files of all windows as one CSV, read it back, and swap it in.

    Meanwhile the calls are counted, `labels` types and statuses apart, and their picture is drawn.

    Raises:
        Refused: the CSV does not read back as it was written.
        FileError: it cannot be written.
    """
    import pyarrow as pa

    from callviz_dagster.csv_audit import differences
    from callviz_dagster.csv_format import Lines, csv_lines, header_line
    from callviz_dagster.tables import columns_of
    from callviz_dagster.tables import rows as rows_of

    facts = merged(known for path in calls if (known := published_facts(path)))
    assert facts is not None, "require_windows has found them"
    columns = columns_of(facts)
    progress = Progress(log, "Writing calls.csv", facts.calls)
    digest = hashlib.sha256()
    rows = defused = size = longest = 0
    first: pa.Table | None = None
    with ThreadPoolExecutor(1, "picture") as beside, staged(csv) as temporary:
        drawing = beside.submit(_counted, calls, labels)
        with open_for_writing(temporary) as file:

            def write(text: bytes | memoryview) -> None:
                nonlocal size
                file.write(text)
                digest.update(text)
                size += len(text)

            write(header_line(columns))

            def formatted(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Lines]:
                return batch, csv_lines(batch, columns, zone)

            for batch, lines in worked(formatted, ahead(rows_of(calls, columns, zone))):
                write(lines.text)
                first = first or pa.Table.from_batches([batch.slice(0, PREVIEW_ROWS)])
                rows += batch.num_rows
                defused += lines.defused
                longest = max(longest, lines.longest)
                progress.add(batch.num_rows)
        sha256 = digest.hexdigest()
        pa.default_memory_pool().release_unused()
        found = differences(temporary, rows_of(calls, columns, zone), columns, zone, sha256=sha256, longest=longest)
        check = checks.csv_reads_back(rows, found, sha256)
        if not check.passed:
            raise Refused([check])
        changes = _changes(csv, temporary, longest, log)
        headline, picture = drawing.result()
    return MadeCsv(
        FileFacts(csv.absolute(), size, sha256),
        facts,
        columns,
        rows,
        defused,
        progress.seconds,
        check,
        preview(first) if first is not None else dg.MetadataValue.text("no rows"),
        changes,
        headline,
        picture,
    )


def _counted(calls: Sequence[Path], labels: int) -> tuple[str, str]:
    """Return the headline and the picture of daily calls."""
    counted = count_files(calls, labels=labels)
    return charts.headline(counted), charts.daily_calls_picture(counted)


def _changes(old: Path, new: Path, longest: int, log: logging.Logger) -> dict[str, Any]:
    """Return what changed since the last `calls.csv` as metadata."""
    import pyarrow as pa

    from callviz_dagster.csv_changes import count_changes

    if not old.exists():
        return {}
    try:
        found = count_changes(old, new, longest=longest)
    except pa.ArrowInvalid as error:
        log.warning(f"The last calls.csv cannot be read, so what changed since is not told: {error}")
        return {}
    counts = {"rows added": found.added, "rows changed": found.changed, "rows removed": found.removed}
    return counts | ({"columns that came or went": ", ".join(found.columns)} if found.columns else {})
