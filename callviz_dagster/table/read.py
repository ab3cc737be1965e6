"""The partitions of `calls` read as one table: the same columns from the first row to the last, in time order.

What belongs elsewhere: which partitions there are (`partitions.py`), and what their files say (`table/manifest.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from callviz_dagster.concurrency import MAX_BYTES_READ, MAX_ROWS_READ
from callviz_dagster.contract import Column, Kind, arrow_schema, arrow_type, table_columns
from callviz_dagster.documents.text import plain_texts
from callviz_dagster.storage.files import PublishedFile
from callviz_dagster.table.manifest import FOOTER_KEY, RecordError, TableFooter
from callviz_dagster.table.recent import damaged, row_groups_since, rows_since

_CHUNK = 1 << 20


def published_columns(footer: TableFooter) -> tuple[Column, ...]:
    """Return the columns of the table that `manifest.merged` footer describe."""
    return table_columns([field.column for field in footer.fields], other_fields=footer.other_fields)


def read_digests(path: Path) -> tuple[PublishedFile, str]:
    """Read a Parquet file; return what it is, and a digest of its columns and rows.

    The latter leaves out the end of the file, which names the snapshot.
    """
    metadata = pq.read_metadata(path)
    columns = [(column.name, str(column.logical_type)) for column in metadata.schema]
    size = path.stat().st_size
    digest, left = hashlib.sha256(), size - metadata.serialized_size
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        content = hashlib.sha256(repr(columns).encode() + digest.digest()).hexdigest()
        digest.update(file.read())
    return PublishedFile(path.absolute(), size, digest.hexdigest()), content


def rows(
    paths: Sequence[Path], columns: Sequence[Column], zone: str, since: dt.date | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `calls` files in bounded batches, each with all of `columns`; those of calls `since` a day.

    A column that a file does not have is empty. Where a file has a narrower kind than the table, its values are
    written as that kind would write them: whole numbers as numbers, anything else as the text it is in `calls.csv`.

    Raises:
        FileError: a file is damaged.
    """
    schema = arrow_schema(columns)
    for path in paths:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                _require_own_columns(file)
                same = file.schema_arrow.equals(schema)
                for batch in _batches(file, since):
                    yield batch if same else _widened(batch, columns, schema, zone)
        except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
            raise damaged(path, error) from error


def _require_own_columns(file: pq.ParquetFile) -> None:
    """Require the columns that a file's own record names: pages have checksums, the names at the end of it have none.

    Raises:
        pa.ArrowInvalid: they differ, so the file is damaged.
    """
    recorded = (file.metadata.metadata or {}).get(FOOTER_KEY)
    try:
        columns = published_columns(TableFooter.from_json(recorded)) if recorded else ()
    except RecordError as error:
        raise pa.ArrowInvalid(str(error)) from error
    if recorded and not file.schema_arrow.equals(arrow_schema(columns)):
        raise pa.ArrowInvalid("its columns are not those that it records")


def _batches(calls: pq.ParquetFile, since: dt.date | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `calls` in batches of a bounded number of rows and, about, of bytes."""
    for group in row_groups_since(calls.metadata, since):
        footer = calls.metadata.row_group(group)
        bytes_a_row = max(footer.total_byte_size // max(footer.num_rows, 1), 1)
        rows = max(1, min(MAX_ROWS_READ, MAX_BYTES_READ // bytes_a_row))
        # Who reads does so in a thread beside others that work; more threads would only take turns with them.
        for batch in calls.iter_batches(rows, row_groups=[group], use_threads=False):
            recent = rows_since(batch, since)
            if recent.num_rows:
                yield recent


def _widened(batch: pa.RecordBatch, columns: Sequence[Column], schema: pa.Schema, zone: str) -> pa.RecordBatch:
    kinds = {arrow_type(kind): kind for kind in Kind}
    there = set(batch.schema.names)
    arrays = []
    for column, field in zip(columns, schema, strict=True):
        if column.name not in there:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        array = batch.column(column.name)
        kind = kinds[array.type]
        if kind is not column.kind and column.kind is Kind.TEXT:
            array = plain_texts(array, Column(column.name, kind, ""), zone)
        arrays.append(array.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
