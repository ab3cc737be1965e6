"""The lines of one partition: encoded, and each parsed again and compared with its row before it is written.

What belongs elsewhere: how a value is written (`calls_csv/format.py`), how lines are compared (`calls_csv/audit.py`),
and the parts as one file (`calls_csv/assembler.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from callviz_dagster.calls_csv.audit import difference
from callviz_dagster.calls_csv.format import EncodedRows, csv_lines
from callviz_dagster.calls_csv.reuse import Part
from callviz_dagster.concurrency import parallel_map, prefetch
from callviz_dagster.contract import Column
from callviz_dagster.progress import Progress
from callviz_dagster.table.read import rows as rows_of


@dataclass(frozen=True)
class CsvFormat:
    """What decides, beside a row's values, whether and how its line is written."""

    columns: Sequence[Column]
    zone: str
    """IANA time zone of the times."""
    since: dt.date | None = None
    """First day of the calls that are written; None for all."""


@dataclass(frozen=True)
class EncodedPart:
    """Lines that were written to a file of their own."""

    path: Path
    part: Part
    """Its start is 0."""
    differences: Sequence[str]
    """Sentences about how lines differ from the rows that they were made from."""


def encode_part(
    calls: Path, source: str, form: CsvFormat, file: BinaryIO, progress: Progress, *, start: int, rows_before: int
) -> tuple[Part, list[str]]:
    """Write the lines of a partition.

    Args:
        calls: the partition's `calls` file.
        source: what the part is known by, see `Part.source`.
        form: how its lines are written.
        file: where they are written.
        progress: counts the rows.
        start: the offset of the first line in `calls.csv`.
        rows_before: rows of `calls.csv` before them.

    Returns:
        What was written, and sentences about how lines differ from the rows that they were made from.

    Raises:
        FileError: the `calls` file is damaged.
    """
    digest = hashlib.sha256()
    size = rows = defused = longest = 0
    differences: list[str] = []

    def numbered() -> Iterator[tuple[int, pa.RecordBatch]]:
        before = rows_before
        for batch in prefetch(rows_of([calls], form.columns, form.zone, form.since)):
            yield before, batch
            before += batch.num_rows

    def encoded(item: tuple[int, pa.RecordBatch]) -> tuple[int, EncodedRows, str | None]:
        before, batch = item
        lines = csv_lines(batch, form.columns, form.zone)
        line_difference = difference(lines.text, batch, form.columns, form.zone, before=before, longest=lines.longest)
        return batch.num_rows, lines, line_difference

    for number, lines, line_difference in parallel_map(encoded, numbered()):
        if line_difference:
            differences.append(line_difference)
        file.write(lines.text)
        digest.update(lines.text)
        size += len(lines.text)
        rows += number
        defused += lines.defused
        longest = max(longest, lines.longest)
        progress.add(number)
    return Part(source, start, size, digest.hexdigest(), rows, defused, longest), differences
