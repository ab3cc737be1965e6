"""`calls.csv` written beside its place, read back, audited, and swapped in.

No Dagster: the asset is `assets/calls_csv.py`. What belongs elsewhere: assembling the lines (`calls_csv/assembler.py`).
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from callviz_dagster.calls_csv import reuse
from callviz_dagster.calls_csv.assembler import AssembledCsv, CsvAssembler, read_back
from callviz_dagster.calls_csv.diff import Changes, count_changes
from callviz_dagster.calls_csv.encode import CsvFormat, EncodedPart
from callviz_dagster.contract import Column
from callviz_dagster.progress import Progress
from callviz_dagster.storage.files import PublishedFile, flush, open_for_writing, sha256_of, staged, write_text
from callviz_dagster.storage.shared_ranges import SharedRange
from callviz_dagster.table.manifest import TableFooter, merged
from callviz_dagster.table.read import published_columns
from callviz_dagster.table.read import rows as rows_of
from callviz_dagster.table.recent import ALL_CALLS, RecentCalls

Audit = Callable[[int, Sequence[str], str], None]
"""Called with the number of rows, the differences and the digest of the file; raises where it must not be published."""
EncodeParts = Callable[[CsvFormat, Mapping[Path, str], Mapping[Path, int]], Mapping[str, EncodedPart]]
"""Called with the `calls` files to encode and their sources, and the rows before each; returns parts by source."""


@dataclass(frozen=True)
class PublishedCsv:
    """What was published."""

    file: PublishedFile
    sources: Sequence[str]
    """Digests of all `calls` files, in their order."""
    footer: TableFooter
    columns: Sequence[Column]
    rows: int
    defused: int
    seconds: float
    first_rows: pa.RecordBatch | None
    changes: Changes | str | None
    """What changed since the last file; why that is unknown; None where there was no file."""
    shared: Sequence[SharedRange]
    """Bytes that the last file has, too."""


def publish_csv(
    calls: Mapping[Path, TableFooter],
    csv: Path,
    zone: str,
    log: logging.Logger,
    audit: Audit,
    encode_parts: EncodeParts | None = None,
    *,
    recent: RecentCalls = ALL_CALLS,
    bom: bool = False,
) -> PublishedCsv:
    """Write the `calls` files of all partitions as one CSV, read it back, and swap it in; of them, the `recent` calls.

    The lines of partitions whose files have not changed are copied from the file that is there; the others are encoded
    here, or by `encode_parts`. With `bom` the file begins with a byte order mark.

    Raises:
        FileError: it cannot be written.
    """
    footer = merged(calls.values())
    assert footer is not None, "require_partitions returns at least one"
    columns = published_columns(footer)
    form = CsvFormat(columns, zone, recent.since)
    digests = {path: sha256_of(path) for path in calls}
    kept = recent.kept(calls)
    sources = {path: reuse.part_source(digests[path], recent.since if path in recent.older else None) for path in kept}
    record = next(iter(calls)).parent.parent / reuse.FILE
    format_key = reuse.format_key(columns, zone)
    reusable = _reusable(record, csv, format_key, log)
    with ThreadPoolExecutor(3, "beside") as beside, staged(csv) as temporary:
        for parts in (reusable, {}):
            encoded: Mapping[str, EncodedPart] = {}
            if encode_parts and (unencoded := {path: one for path, one in sources.items() if one not in parts}):
                encoded = encode_parts(form, unencoded, _rows_before(kept))
            progress = Progress(log, "Writing calls.csv", sum(kept.values()))
            with open_for_writing(temporary) as file:
                assembler = CsvAssembler(form, progress, bom=bom)
                assembled = assembler.assemble(file, sources, csv, parts, encoded)
            pa.default_memory_pool().release_unused()
            flushing = beside.submit(flush, temporary)
            reading_back = beside.submit(read_back, temporary, assembled, beside)
            changes = _changes(csv, temporary, assembled, recent, log)
            sha256, damaged = reading_back.result()
            flushing.result()
            if not damaged & assembled.copied.keys():
                break
            log.warning("The last calls.csv is not as it was written, so all lines are encoded again.")
        differences = [*assembled.differences]
        if damaged:
            differences.append("the file, read back, has another digest than what was written")
        if assembled.rows + recent.older_calls != footer.calls:
            older = f" without {recent.older_calls:,} older ones" if recent.older else ""
            differences.append(f"it has {assembled.rows:,} rows, which are not the {footer.calls:,} calls{older}")
        audit(assembled.rows, differences, sha256)
        first_rows = next(rows_of([*kept], columns, zone, recent.since), None)
        write_text(record, reuse.to_json(format_key, assembled.parts))
    return PublishedCsv(
        PublishedFile(csv.absolute(), assembled.bytes, sha256),
        [*digests.values()],
        footer,
        columns,
        assembled.rows,
        sum(part.defused for part in assembled.parts),
        progress.seconds,
        first_rows,
        changes,
        assembled.shared_ranges,
    )


def _rows_before(kept: Mapping[Path, int]) -> dict[Path, int]:
    """Return for each `calls` file how many rows of `calls.csv` come before its own."""
    return dict(zip(kept, itertools.accumulate(kept.values(), initial=0), strict=False))


def _reusable(record: Path, csv: Path, format_key: str, log: logging.Logger) -> dict[str, reuse.Part]:
    """Return the parts of the last file whose lines may be copied, by their source."""
    if not record.exists() or not csv.is_file() or not os.access(csv, os.R_OK):
        return {}
    try:
        return reuse.from_json(record.read_text(encoding="utf-8", errors="replace"), format_key)
    except reuse.RecordError as error:
        log.info(f"{error}, so all lines of calls.csv are encoded again.")
        return {}


def _changes(
    old: Path, new: Path, assembled: AssembledCsv, recent: RecentCalls, log: logging.Logger
) -> Changes | str | None:
    if not old.exists():
        return None
    try:
        longest = max((part.longest for part in assembled.parts), default=0)
        return count_changes(old, new, longest=longest, copied=assembled.shared_ranges, since=recent.since)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = f"unknown: another program has changed the last calls.csv ({str(error).splitlines()[0]})"
        log.warning(f"What changed since the last refresh is {reason}; it is replaced.")
        return reason
