"""The calls as a Tableau extract, for those who have installed the extra `hyper`; without it there is no such asset.

The same rows, columns and clock times as in `calls.csv`. What belongs elsewhere: packing it (`callviz_workbook.py`).
"""

import importlib.util
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.assets.common import (
    POOL,
    calls_inputs,
    file_metadata,
    latest_snapshot,
    require_partitions,
    user_errors_as_failures,
)
from callviz_dagster.contract import LEADING, Column, Kind, arrow_type, widen
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import staged, stat_and_hash
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.storage.published import record_file
from callviz_dagster.table.manifest import TableFooter, read_footer
from callviz_dagster.tableau.workbook import HYPER_NAME

if TYPE_CHECKING:
    import pyarrow as pa

CHECK = "all_calls_are_in_the_extract"
TABLE = ("Extract", "Extract")
"""Schema and table; the one pair that every Tableau Server opens."""


def installed() -> bool:
    """Tell whether the extra `hyper` is installed."""
    return importlib.util.find_spec("pantab") is not None


def hyper_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return `calls_hyper` where the extra `hyper` is installed, else nothing.

    Raises:
        SettingsError: the workbook shall carry the extract, and the extra is not installed.
    """
    if installed():
        return [calls_hyper]
    if settings.workbook_source == "hyper":
        raise SettingsError(
            "CALLVIZ_WORKBOOK_SOURCE=hyper needs the extra `hyper`: `pip install 'callviz-dagster[hyper]'`, "
            "or set it to csv."
        )
    return []


@dg.asset(
    deps=["calls"],
    group_name="published",
    kinds={"tableau", "hyper"},
    pool=POOL,
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="calls_hyper",
            description="The extract, read back before it replaces the last one, holds every row of `calls`.",
        )
    ],
)
def calls_hyper(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """`calls.hyper`, the calls as a Tableau extract: faster to open than `calls.csv` and exact in its types.

    Tableau Desktop opens it with a double-click; Tableau Server and Cloud take it as a data source. Times are local
    to the configured time zone, as in `calls.csv`. Written from the Parquet files in pieces, whole or not at all.
    """
    start = time.perf_counter()
    target = settings.publish_dir / HYPER_NAME
    with user_errors_as_failures(), one_at_a_time(settings.data_dir, context.log):
        if settings.partitions != "none":
            require_partitions(settings)
        paths = sorted((settings.data_dir / "calls").glob("*.parquet"))
        if not paths:
            folder = (settings.data_dir / "calls").absolute()
            raise dg.Failure(f"There is no Parquet file in {folder}: materialize calls first.", allow_retries=False)
        with staged(target) as temporary:
            expected = write_extract(temporary, paths, published_columns(paths), settings.timezone)
            rows = count_rows(temporary)
            result = dg.AssetCheckResult(
                check_name=CHECK,
                passed=rows == expected,
                description=f"{rows:,} of {expected:,} calls are in the extract.",
                metadata={"rows": rows, "calls": expected},
            )
            yield result
            if not result.passed:
                raise dg.Failure(
                    f"{result.description} {target.absolute()} was left as it was.",
                    allow_retries=False,
                )
        file = stat_and_hash(target)
        footers = {path: read_footer(path) or TableFooter("", "", "") for path in paths}
        digests = [stat_and_hash(path).sha256 for path in paths]
        record_file(file, calls_inputs(footers, digests), latest_snapshot(footers))
    yield dg.MaterializeResult(
        metadata=file_metadata(file, rows=rows, documents=rows, seconds=time.perf_counter() - start)
    )


def published_columns(paths: Sequence[Path]) -> tuple[Column, ...]:
    """Return the columns of all calls files together, in the order of `calls.csv`.

    The leading columns come first and `repairs` last; a column whose kind differs from file to file gets the kind that
    holds all its values.
    """
    import pyarrow.parquet as pq

    kinds: dict[str, Kind] = {}
    for path in paths:
        for name, kind in kinds_in(pq.read_schema(path)).items():
            kinds[name] = widen(kinds[name], kind) if name in kinds else kind
    known = {column.name: column for column in LEADING}
    last = [name for name in ("other_fields", "repairs") if name in kinds]
    names = [*known, *(name for name in kinds if name not in known and name not in last), *last]
    return tuple(known.get(name) or Column(name, kinds[name], "") for name in names)


def kinds_in(schema: "pa.Schema") -> dict[str, Kind]:
    """Return what each column of a calls file holds, by its Arrow type."""
    kinds = {arrow_type(kind): kind for kind in Kind}
    return {field.name: kinds[field.type] for field in schema}


def write_extract(path: Path, calls: Sequence[Path], columns: Sequence[Column], zone: str) -> int:
    """Write calls files as one extract, batch by batch; return the number of rows given to it."""
    import pantab
    import pyarrow as pa

    from callviz_dagster.documents.text import csv_header

    names = csv_header(columns)
    local = {Kind.DATETIME: pa.timestamp("us")}
    schema = pa.schema(
        [pa.field(name, local.get(c.kind) or arrow_type(c.kind)) for name, c in zip(names, columns, strict=True)]
    )
    rows = 0
    failures: list[BaseException] = []

    def batches() -> Iterator["pa.RecordBatch"]:
        nonlocal rows
        try:
            for batch in _batches(calls, columns, zone, schema):
                rows += batch.num_rows
                yield batch
        except BaseException as error:
            # pantab takes an error in the stream for its end.
            failures.append(error)
            raise

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    # Hyper makes the file itself. `staged` keeps the last good one; a second copy of the new would only cost time.
    path.unlink(missing_ok=True)
    pantab.frame_to_hyper(reader, path, table=TABLE, atomic=False)
    if failures:
        raise failures[0]
    return rows


def _batches(
    paths: Sequence[Path], columns: Sequence[Column], zone: str, schema: "pa.Schema"
) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from callviz_dagster.documents.text import local_clock, plain_texts

    whole_seconds = {column.name for column in LEADING}
    for path in paths:
        with pq.ParquetFile(path) as file:
            kinds = kinds_in(file.schema_arrow)
            for batch in file.iter_batches(1 << 16):
                arrays = []
                for column, field in zip(columns, schema, strict=True):
                    if column.name not in kinds:
                        array = pa.nulls(batch.num_rows, field.type)
                    else:
                        array = batch.column(column.name)
                        if column.kind is Kind.DATETIME:
                            array = local_clock(array, zone, whole_seconds=column.name in whole_seconds)
                        elif column.kind is Kind.TEXT and kinds[column.name] is not Kind.TEXT:
                            array = plain_texts(array, Column(column.name, kinds[column.name], ""), zone)
                    arrays.append(array.cast(field.type))
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def count_rows(path: Path) -> int:
    """Return the number of rows in an extract."""
    import pantab

    schema, table = TABLE
    counted = pantab.frame_from_hyper_query(
        path, f'SELECT COUNT(*) AS calls FROM "{schema}"."{table}"', return_type="pyarrow"
    )
    return int(counted["calls"][0].as_py())
