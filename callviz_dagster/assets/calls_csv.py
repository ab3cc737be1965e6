"""`calls.csv`: all partitions of `calls` as the analyst's file."""

import dataclasses
import hashlib
import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg

from callviz_dagster.assets.checks import calls_csv as checks
from callviz_dagster.assets.checks.results import blocking
from callviz_dagster.assets.common import (
    POOL,
    AuditFailed,
    calls_inputs,
    column_lineage,
    file_metadata,
    latest_snapshot,
    preview,
    publishing,
    require_partitions,
    run_time,
    snapshot_metadata,
)
from callviz_dagster.calls_csv import reuse
from callviz_dagster.calls_csv.reuse import FilePart, Part
from callviz_dagster.concurrency import parallel_map, prefetch
from callviz_dagster.contract import Column, table_columns, table_schema
from callviz_dagster.dashboard import pictures
from callviz_dagster.dashboard.counts import count_files
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.progress import Progress
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import PublishedFile, open_for_writing, staged, stat_and_hash, write_text
from callviz_dagster.storage.published import record_file
from callviz_dagster.table.manifest import TableFooter, merged, published_coverage, read_footer, read_manifest

FILE = "calls.csv"
_CHUNK = 1 << 20
_CELLS = 250_000
"""Of durations only the median is shown, which is exact however few cells tell them apart."""


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
        with publishing(settings, context.log):
            partitions = require_partitions(settings, run_time(context))
            paths = {partition.calls(settings.data_dir): footer for partition, footer in partitions.items()}
            disjoint = check_disjoint(partitions, settings.data_dir)
            made = publish_csv(
                [*paths], settings.publish_dir / FILE, settings.timezone, context.log, labels=settings.dashboard_labels
            )
            coverage = published_coverage(settings.data_dir) if Partitioning.of(settings).partitioned else None
            record_file(made.file, calls_inputs(paths, made.sources), latest_snapshot(paths, coverage))
    except AuditFailed as refused:
        yield from refused.results
        raise refused.failure(settings.publish_dir / FILE) from None
    yield dg.MaterializeResult(
        metadata={
            "headline": dg.MetadataValue.md(made.headline),
            "daily calls": dg.MetadataValue.md(made.picture),
            **file_metadata(made.file, rows=made.rows, documents=made.rows, seconds=made.seconds),
            **snapshot_metadata(made.footer.snapshot_time, made.footer.source),
            "rejected": made.footer.rejected,
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
            disjoint,
            checks.collection_accounted_for(made.rows, made.footer.rejected, coverage, made.footer.documents),
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


@dataclass
class PublishedCsv:
    """What was published."""

    file: PublishedFile
    sources: Sequence[str]
    """Digests of the `calls` files that it was made from, in their order."""
    footer: TableFooter
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


def publish_csv(
    calls: Sequence[Path], csv: Path, zone: str, log: logging.Logger, *, labels: int | None = None
) -> PublishedCsv:
    """Write the `calls` files of all partitions as one CSV, read it back, and swap it in.

    The lines of partitions whose files have not changed are copied from the file that is there.

    Meanwhile the calls are counted, `labels` types and statuses apart, and their picture is drawn; with None, they are
    not.

    Raises:
        AuditFailed: the CSV does not read back as it was written.
        FileError: it cannot be written.
    """
    import pyarrow as pa

    from callviz_dagster.table.read import published_columns
    from callviz_dagster.table.read import rows as rows_of

    made_from = merged(known for path in calls if (known := read_footer(path)))
    assert made_from is not None, "require_partitions has found them"
    columns = published_columns(made_from)
    format_key = reuse.format_key(columns, zone)
    record = calls[0].parent.parent / reuse.FILE
    published = reuse.from_json(record.read_text(encoding="utf-8"), format_key) if record.exists() else {}
    with ThreadPoolExecutor(3, "beside") as beside, staged(csv) as temporary:
        drawing = beside.submit(_counted, calls, labels) if labels is not None else None
        for usable in (published, {}):
            progress = Progress(log, "Writing calls.csv", made_from.calls)
            with open_for_writing(temporary) as file:
                lines = CsvAssembler(file, columns, zone, progress)
                for path in calls:
                    source = stat_and_hash(path).sha256
                    if csv.exists() and source in usable:
                        lines.copy(csv, usable[source])
                    else:
                        lines.make(path, source)
            pa.default_memory_pool().release_unused()
            parts = lines.parts
            reading_back = beside.submit(lines.read_back, temporary, beside)
            changes = _changes(csv, temporary, max(part.longest for part in parts), lines.same(csv), log)
            sha256, damaged = reading_back.result()
            if not damaged & lines.copied.keys():
                break
            log.warning("The last calls.csv is not as it was written, so all its lines are made anew.")
        if damaged:
            lines.different.append("the file, read back, has another digest than what was written")
        check = checks.csv_reads_back(sum(part.rows for part in parts), lines.different, sha256)
        if not check.passed:
            raise AuditFailed([check])
        headline, picture = drawing.result() if drawing else ("", "")
        first = next(rows_of(calls, columns, zone), None)
        write_text(record, reuse.to_json(format_key, parts))
    return PublishedCsv(
        PublishedFile(csv.absolute(), lines.size, sha256),
        [part.source for part in parts],
        made_from,
        columns,
        sum(part.rows for part in parts),
        sum(part.defused for part in parts),
        progress.seconds,
        check,
        preview(first) if first is not None else dg.MetadataValue.text("no rows"),
        changes,
        headline,
        picture,
    )


class CsvAssembler:
    """Assembles the lines of `calls.csv` partition by partition: copied from the last file, or encoded."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column], zone: str, progress: Progress) -> None:
        from callviz_dagster.calls_csv.audit import header_difference
        from callviz_dagster.calls_csv.format import header_line

        self._file, self._columns, self._zone, self._progress = file, columns, zone, progress
        self._header = header_line(columns)
        self._rows = 0
        self.size = 0
        self.parts: list[Part] = []
        self.copied: dict[int, int] = {}
        """Of parts that were copied, by their number, where they started in the file that they were copied from."""
        self.different: list[str] = []
        """How lines differ from the rows that they were made from, in words."""
        self._write(self._header)
        if found := header_difference(self._header, columns):
            self.different.append(found)

    def _write(self, text: bytes | memoryview) -> None:
        self._file.write(text)
        self.size += len(text)

    def _add(self, part: Part) -> None:
        self.parts.append(part)
        self._rows += part.rows

    def copy(self, csv: Path, part: Part) -> None:
        """Copy a part of the published file; that it is what it was shows when the new file is read back."""
        self.copied[len(self.parts)] = part.start
        self._add(dataclasses.replace(part, start=self.size))
        with FilePart(csv, part.start, part.start + part.bytes) as old:
            while text := old.read(_CHUNK):
                self._write(text)
        self._progress.add(part.rows)

    def read_back(self, path: Path, beside: Executor) -> tuple[str, set[int]]:
        """Read the file; return its digest, and which parts are not what they should be: -1 stands for what is none."""
        whole = hashlib.sha256()
        hashing: Future[None] | None = None
        damaged: set[int] = set()
        pieces = [(len(self._header), hashlib.sha256(self._header).hexdigest())]
        pieces += [(part.bytes, part.sha256) for part in self.parts]
        with path.open("rb") as file:
            for number, (left, digest) in enumerate(pieces, -1):
                own = hashlib.sha256()
                while text := file.read(min(left, _CHUNK)):
                    if hashing:
                        hashing.result()
                    hashing = beside.submit(whole.update, text)
                    own.update(text)
                    left -= len(text)
                if own.hexdigest() != digest:
                    damaged.add(number)
            if file.read(1):
                damaged.add(-1)
        if hashing:
            hashing.result()
        return whole.hexdigest(), damaged

    def same(self, csv: Path) -> tuple[int, int] | None:
        """Return how many bytes at the start and the end are copied whole lines that have kept their places in a file.

        None where none were copied.
        """
        if not self.copied:
            return None
        start, end = len(self._header), 0
        for place, part in enumerate(self.parts):
            if self.copied.get(place) != part.start:
                break
            start = part.start + part.bytes
        size = csv.stat().st_size
        for place, part in reversed([*enumerate(self.parts)]):
            old = self.copied.get(place)
            if old is None or size - old != self.size - part.start or part.start < start:
                break
            end = self.size - part.start
        return start, end

    def make(self, calls: Path, source: str) -> None:
        """Write the lines of a partition's file, each parsed again and compared before it is written."""
        import pyarrow as pa

        from callviz_dagster.calls_csv.audit import difference
        from callviz_dagster.calls_csv.format import EncodedRows, csv_lines
        from callviz_dagster.table.read import rows as rows_of

        start, own = self.size, hashlib.sha256()
        rows = defused = longest = 0

        def numbered() -> Iterator[tuple[int, pa.RecordBatch]]:
            before = self._rows
            for batch in prefetch(rows_of([calls], self._columns, self._zone)):
                yield before, batch
                before += batch.num_rows

        def made(item: tuple[int, pa.RecordBatch]) -> tuple[int, EncodedRows, str | None]:
            before, batch = item
            lines = csv_lines(batch, self._columns, self._zone)
            found = difference(lines.text, batch, self._columns, self._zone, before=before, longest=lines.longest)
            return batch.num_rows, lines, found

        for number, lines, found in parallel_map(made, numbered()):
            if found:
                self.different.append(found)
            self._write(lines.text)
            own.update(lines.text)
            rows += number
            defused += lines.defused
            longest = max(longest, lines.longest)
            self._progress.add(number)
        self._add(Part(source, start, self.size - start, own.hexdigest(), rows, defused, longest))


def _counted(calls: Sequence[Path], labels: int) -> tuple[str, str]:
    """Return the headline and the picture of daily calls."""
    counted = count_files(calls, labels=labels, max_cells=_CELLS)
    return pictures.headline(counted), pictures.daily_calls_picture(counted)


def _changes(old: Path, new: Path, longest: int, same: tuple[int, int] | None, log: logging.Logger) -> dict[str, Any]:
    """Return what changed since the last `calls.csv` as metadata."""
    import pyarrow as pa

    from callviz_dagster.calls_csv.diff import count_changes

    if not old.exists():
        return {}
    try:
        found = count_changes(old, new, longest=longest, same=same)
    except pa.ArrowInvalid as error:
        log.warning(f"The last calls.csv cannot be read, so what changed since is not told: {error}")
        return {}
    counts = {"rows added": found.added, "rows changed": found.changed, "rows removed": found.removed}
    return counts | ({"columns that came or went": ", ".join(found.columns)} if found.columns else {})
