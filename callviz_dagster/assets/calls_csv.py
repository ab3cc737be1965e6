"""`calls.csv`: all windows of `calls` as the analyst's file."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster import checks
from callviz_dagster.assets.common import (
    PREVIEW_ROWS,
    Refused,
    column_lineage,
    file_metadata,
    preview,
    require,
    snapshot_metadata,
    told_in_a_sentence,
)
from callviz_dagster.contract import Column, table_columns, table_schema
from callviz_dagster.files import FileFacts, open_for_writing, staged
from callviz_dagster.manifest import Facts, published_facts
from callviz_dagster.pipeline import ahead
from callviz_dagster.progress import Progress
from callviz_dagster.settings import Settings
from callviz_dagster.windows import WHOLE

FILE = "calls.csv"


@dg.asset(
    deps=["calls"],
    group_name="published",
    kinds={"csv"},
    check_specs=checks.CALLS_CSV_CHECKS,
    metadata={"dagster/column_schema": table_schema(table_columns(()))},
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
        with told_in_a_sentence():
            path = require(WHOLE.calls(settings.data_dir), "calls")
            made = publish_csv(path, settings.publish_dir / FILE, settings.timezone, context.log)
    except Refused as refused:
        yield from refused.results
        raise refused.failure("The last good calls.csv") from None
    yield dg.MaterializeResult(
        metadata={
            **file_metadata(made.file, rows=made.rows, documents=made.rows, seconds=made.seconds),
            **snapshot_metadata(made.facts.snapshot_time, made.facts.source),
            "rejected": made.facts.rejected,
            "time zone": settings.timezone,
            "texts defused": made.defused,
            "preview": made.preview,
            "dagster/column_schema": table_schema(made.columns),
            "dagster/column_lineage": column_lineage({c.name: [("calls", c.name)] for c in made.columns}),
        },
        check_results=[made.check],
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


def publish_csv(calls: Path, csv: Path, zone: str, log: logging.Logger) -> MadeCsv:
    """Write a `calls` file as CSV, read it back, and swap it in.

    Raises:
        Refused: the CSV does not read back as it was written.
        FileError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from callviz_dagster.csv_audit import batches, differences
    from callviz_dagster.csv_format import csv_lines, header_line

    facts = published_facts(calls)
    if facts is None or facts.timezone != zone:
        raise dg.Failure(
            description="CALLVIZ_TIMEZONE has changed since calls was made: materialize calls again.",
            allow_retries=False,
        )
    columns = table_columns([field.column for field in facts.fields], other_fields=facts.other_fields)
    progress = Progress(log, "Writing calls.csv", facts.calls)
    digest = hashlib.sha256()
    rows = defused = size = longest = 0
    first: pa.Table | None = None
    with staged(csv) as temporary:
        with pq.ParquetFile(calls) as source, open_for_writing(temporary) as file:

            def write(text: bytes | memoryview) -> None:
                nonlocal size
                file.write(text)
                digest.update(text)
                size += len(text)

            write(header_line(columns))
            for batch, (lines, some) in ahead((b, csv_lines(b, columns, zone)) for b in ahead(batches(source))):
                write(lines)
                first = first or pa.Table.from_batches([batch.slice(0, PREVIEW_ROWS)])
                rows += batch.num_rows
                defused += some
                longest = max(longest, len(lines))
                progress.add(batch.num_rows)
        sha256 = digest.hexdigest()
        found = differences(temporary, calls, columns, zone, sha256=sha256, longest=longest)
        check = checks.csv_reads_back(rows, found, sha256)
        if not check.passed:
            raise Refused([check])
    return MadeCsv(
        FileFacts(csv.absolute(), size, sha256),
        facts,
        columns,
        rows,
        defused,
        progress.seconds,
        check,
        preview(first) if first is not None else dg.MetadataValue.text("no rows"),
    )
