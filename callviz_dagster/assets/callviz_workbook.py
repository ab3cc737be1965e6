"""The workbook packed with its data, ready for a double-click: audited against `calls.csv`, then swapped in whole.

What belongs elsewhere: what a workbook is and how it is audited and packed (`tableau/workbook.py`).
"""

import csv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from callviz_dagster.assets.calls_hyper import published_columns
from callviz_dagster.assets.common import POOL, require, user_errors_as_failures
from callviz_dagster.contract import Kind
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import PublishedFile, open_for_writing, staged, stat_and_hash
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.storage.published import InputFile, Snapshot, read_record, record_file
from callviz_dagster.tableau.workbook import (
    CSV_NAME,
    DATATYPES,
    HYPER_NAME,
    Problem,
    WorkbookError,
    audit,
    locate,
    pack,
    packed,
    read,
)

CHECK = "workbook_fits_calls_csv"
TWBX_NAME = "callviz.twbx"
_MOST_SHOWN = 20
_BLOCKS = (1 << 20, 256 << 20)
"""Bytes that are read at once: the second where a single row is longer than the first."""


def build_callviz_workbook(source: str = "csv") -> dg.AssetsDefinition:
    """Return the asset `callviz_workbook`, which packs `calls.csv`, or `calls.hyper` where `source` is `hyper`."""

    @dg.asset(
        name="callviz_workbook",
        deps=["calls_csv", *(["calls_hyper"] if source == "hyper" else [])],
        group_name="published",
        kinds={"tableau"},
        pool=POOL,
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset="callviz_workbook",
                description="Every column that the workbook uses is in `calls.csv`, and every value there reads as the "
                "type that the workbook pins; no sheet, field, filter or action of the workbook leads nowhere. Checked "
                "before the new file takes the place of the last one.",
            )
        ],
    )
    def callviz_workbook(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """`callviz.twbx`: the Tableau workbook and the current calls in one file, opened with a double-click.

        Five charts and the dashboard Calls Overview. The workbook itself is `tableau/callviz.twb`, or the one that
        CALLVIZ_WORKBOOK names; it is only read. The same workbook and the same calls give the same bytes.
        """
        target = settings.publish_dir / TWBX_NAME
        with user_errors_as_failures(), one_at_a_time(settings.data_dir, context.log):
            calls = require(settings.publish_dir / CSV_NAME, "calls_csv")
            inside, problems = audited(settings, calls, source)
            told = _told(problems)
            yield dg.AssetCheckResult(
                check_name=CHECK,
                passed=not problems,
                description=told,
                metadata={"problems": dg.MetadataValue.md("\n".join(f"- {problem}" for problem in problems) or "none")},
            )
            if problems:
                raise dg.Failure(f"{told} {target.absolute()} was left as it was.", allow_retries=False)
            data = require(settings.publish_dir / HYPER_NAME, "calls_hyper") if source == "hyper" else calls
            with staged(target) as temporary:
                with open_for_writing(temporary) as file:
                    pack(inside, f"{target.stem}.twb", data, file)
                _read_back(temporary, data)
            written = stat_and_hash(target)
            record_workbook(written, [calls, data])
        workbook = read(inside)
        yield dg.MaterializeResult(
            metadata={
                "dagster/uri": written.path.as_uri(),
                "path": dg.MetadataValue.path(str(written.path)),
                "bytes": written.bytes,
                "sha256": written.sha256,
                "workbook": dg.MetadataValue.path(str(locate(settings.workbook).absolute())),
                "data": data.name,
                "sheets": ", ".join(sheet.name for sheet in workbook.sheets if not sheet.hidden),
                "dashboards": ", ".join(dashboard.name for dashboard in workbook.dashboards),
            }
        )

    return callviz_workbook


def record_workbook(written: PublishedFile, packed_files: Sequence[Path]) -> None:
    """Write the workbook into the record of what is published, with the files that it was audited against or carries.

    Raises:
        FileError: the record cannot be written.
    """
    record = read_record(written.path.parent)
    known = record.files.get(CSV_NAME)
    snapshot = Snapshot(known.cluster_time, known.time, record.snapshot.source) if known else Snapshot()
    made_from = {
        path.name: InputFile(stat_and_hash(path).sha256, snapshot.cluster_time) for path in dict.fromkeys(packed_files)
    }
    record_file(written, made_from, snapshot)


def audited(settings: Settings, data: Path, source: str) -> tuple[bytes, list[Problem]]:
    """Return the workbook as it is to be packed, and what is wrong with it; with problems, it is not to be used."""
    try:
        workbook_xml = locate(settings.workbook).read_bytes()
        columns = csv_columns(data, settings.data_dir)
        problems = audit(workbook_xml, columns, own=settings.workbook is not None)
        if problems:
            return workbook_xml, problems
        inside = packed(workbook_xml, columns, source=source)
        return inside, unreadable(data, pinned_types(workbook_xml, columns))
    except (WorkbookError, OSError) as error:
        return b"", [Problem("workbook", "", str(error))]


def _told(problems: list[Problem]) -> str:
    if not problems:
        return f"The workbook fits {CSV_NAME}."
    shown = "; ".join(str(problem) for problem in problems[:_MOST_SHOWN])
    more = f"; and {len(problems) - _MOST_SHOWN:,} more" if len(problems) > _MOST_SHOWN else ""
    return f"The workbook does not fit {CSV_NAME}: {shown}{more}."


def csv_columns(data: Path, data_dir: Path) -> dict[str, Kind]:
    """Return the columns of `calls.csv` in order, and what they hold according to the calls it was made from."""
    from callviz_dagster.documents.text import csv_header

    with data.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file), [])
    columns = published_columns(sorted((data_dir / "calls").glob("*.parquet")))
    kinds = dict(zip(csv_header(columns), (column.kind for column in columns), strict=True))
    return {name: kinds.get(name, Kind.TEXT) for name in names}


def pinned_types(workbook_xml: bytes, columns: Mapping[str, Kind]) -> dict[str, str]:
    """Return the Tableau data type in which the packed workbook reads each column of `calls.csv`."""
    calls = read(workbook_xml).calls
    pinned = calls.pinned if calls else {}
    return {name: pinned.get(name, DATATYPES[kind]) for name, kind in columns.items()}


def unreadable(data: Path, pinned: Mapping[str, str]) -> list[Problem]:
    """Read all of `calls.csv` under the pinned types, piece by piece; return the value that does not fit, if any."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    types = {
        "integer": pa.int64(),
        "real": pa.float64(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us"),
        "boolean": pa.bool_(),
    }
    wanted = {name: types[datatype] for name, datatype in pinned.items() if datatype in types}
    convert = pa_csv.ConvertOptions(
        column_types=wanted,
        include_columns=[*wanted],
        null_values=[""],
        true_values=["true"],
        false_values=["false"],
    )
    for block in _BLOCKS:
        try:
            with pa_csv.open_csv(
                data,
                read_options=pa_csv.ReadOptions(block_size=block),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=convert,
            ) as rows:
                for _ in rows:
                    pass
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block != _BLOCKS[-1]:
                continue
            return [Problem(CSV_NAME, "", f"a value does not read as the type that the workbook pins ({error})")]
        break
    return []


def _read_back(path: Path, data: Path) -> None:
    """Check that the archive on the disk holds the workbook and the data whole."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        workbook, packed_data = archive.infolist()
        read(archive.read(workbook))
    if damaged or packed_data.file_size != data.stat().st_size:
        raise OSError(f"{path} was not written whole")
