"""The calls as a Tableau extract (.hyper), for which the extra `hyper` must be installed.

The same rows, columns, types and clock times as in `calls.csv`. What belongs elsewhere: where the file goes
(`assets/calls_hyper.py`), packing it (`tableau/pack.py`).
"""

from __future__ import annotations

import datetime as dt
import errno
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from callviz_dagster.contract import Column, Kind, arrow_type
from callviz_dagster.storage.files import FileError

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = ("Extract", "Extract")
"""Schema and table; the one pair that every Tableau Server opens."""


def installed() -> bool:
    """Return whether the extra `hyper` is installed."""
    return importlib.util.find_spec("pantab") is not None


def write_extract(
    path: Path, calls: Sequence[Path], columns: Sequence[Column], zone: str, since: dt.date | None = None
) -> int:
    """Write the rows of `calls` files as one extract, batch by batch.

    Args:
        path: the extract; a file that is there is replaced.
        calls: the Parquet files of all partitions, in time order.
        columns: the columns of `calls.csv`, in order.
        zone: the IANA time zone whose clock the times show.
        since: the first day of the calls that are written; None for all.

    Returns:
        The number of rows given to it.

    Raises:
        FileError: Hyper cannot write the file, or a file of calls is damaged.
    """
    import pantab
    import pyarrow as pa

    schema = extract_schema(columns)
    rows = 0
    failures: list[BaseException] = []

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        try:
            for batch in _batches(calls, columns, zone, schema, since):
                rows += batch.num_rows
                yield batch
        except BaseException as error:
            # pantab takes an error in the stream for its end.
            failures.append(error)
            raise

    reader = pa.RecordBatchReader.from_batches(schema, counted())
    # Hyper makes the file itself. The caller keeps the last good one; a second copy of the new would only cost time.
    path.unlink(missing_ok=True)
    try:
        pantab.frame_to_hyper(reader, path, table=TABLE, atomic=False)
    except RuntimeError as error:
        if not failures:
            raise _not_written(path, error, schema.names) from None
    if failures:
        raise failures[0]
    return rows


def _not_written(path: Path, error: RuntimeError, names: Sequence[str]) -> FileError:
    """Return the sentence about an error of Hyper, which names no cause: a full disk is the usual one."""
    reason = str(error).splitlines()[0].replace(str(path), path.name)
    written = f"The extract could not be written in {path.parent.absolute()}: {reason}."
    refused = _refused_names(names)
    if "UTF-8" in reason and refused:
        return FileError(
            errno.EILSEQ,
            f"{written} Tableau's engine refuses a few rare characters in the name of a column: "
            f"{', '.join(refused)}. Rename the field in MongoDB, or refresh without the extra hyper.",
        )
    return FileError(
        errno.EIO, f"{written} Check that there is space left and that the folder can be written to, and refresh again."
    )


def _refused_names(names: Sequence[str]) -> list[str]:
    """Return the names with a character that Hyper takes for a surrogate, with that as its code point.

    It looks at the last four hexadecimal digits alone: U+1D800 is refused like U+D800.
    """
    return [
        "".join(f"<U+{ord(letter):04X}>" if _refused(letter) else letter for letter in name)
        for name in names
        if any(map(_refused, name))
    ]


def _refused(letter: str) -> bool:
    return 0xD800 <= ord(letter) & 0xFFFF <= 0xDFFF


def extract_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of the extract: the names of `calls.csv`, and times without a zone."""
    import pyarrow as pa

    from callviz_dagster.documents.text import csv_header

    clock = {Kind.DATETIME: pa.timestamp("us")}
    return pa.schema(
        [
            pa.field(name, clock.get(column.kind) or arrow_type(column.kind))
            for name, column in zip(csv_header(columns), columns, strict=True)
        ]
    )


def _batches(
    calls: Sequence[Path], columns: Sequence[Column], zone: str, schema: pa.Schema, since: dt.date | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    from callviz_dagster.documents.text import WHOLE_SECONDS, local_clock
    from callviz_dagster.table.read import rows

    for batch in rows(calls, columns, zone, since):
        arrays = [
            local_clock(array, zone, whole_seconds=column.name in WHOLE_SECONDS).cast(pa.timestamp("us"))
            if column.kind is Kind.DATETIME
            else array
            for array, column in zip(batch.columns, columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def extract_columns(path: Path) -> list[str]:
    """Return the columns of an extract in order, each with its type."""
    import pantab

    schema, table = TABLE
    rows = pantab.frame_from_hyper_query(path, f'SELECT * FROM "{schema}"."{table}" LIMIT 0', return_type="pyarrow")
    return [f"{field.name}: {field.type}" for field in rows.schema]


def count_rows(path: Path) -> int:
    """Return the number of rows in an extract."""
    import pantab

    schema, table = TABLE
    counts = pantab.frame_from_hyper_query(
        path, f'SELECT COUNT(*) AS calls FROM "{schema}"."{table}"', return_type="pyarrow"
    )
    return int(counts["calls"][0].as_py())
