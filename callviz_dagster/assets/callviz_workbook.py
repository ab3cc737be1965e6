"""The workbook packed with its data, ready for a double-click: audited against `calls.csv`, then swapped in whole.

What belongs elsewhere: what a workbook is and how it is audited and packed (`tableau/`).
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import dagster as dg

from callviz_dagster.assets.checks.callviz_workbook import CALLVIZ_WORKBOOK_CHECKS, workbook_fits_calls_csv
from callviz_dagster.assets.common import (
    AuditFailed,
    data_version,
    digest_of,
    held_metadata,
    publishing,
    require,
    require_partitions,
    run_settings,
    run_time,
)
from callviz_dagster.assets.tableau import packed_events
from callviz_dagster.calls_csv import reuse
from callviz_dagster.calls_csv.reuse import Part
from callviz_dagster.contract import Kind
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import PublishedFile, open_for_writing, staged, stat_and_hash, write_text
from callviz_dagster.storage.published import (
    InputFile,
    PublishedRecord,
    RowsHeld,
    Snapshot,
    read_record,
    record_file,
)
from callviz_dagster.storage.refreshing import place, uri_of
from callviz_dagster.table.manifest import TableFooter, merged
from callviz_dagster.tableau import kept_pieces
from callviz_dagster.tableau.audit import Problem, audit, unreadable_value
from callviz_dagster.tableau.deflate import DeflateError
from callviz_dagster.tableau.kept_pieces import KeptPieces
from callviz_dagster.tableau.model import CSV_NAME, DATATYPES, HYPER_NAME, Workbook, WorkbookError, locate, read
from callviz_dagster.tableau.pack import (
    PackedData,
    pinned_types,
    prepare_workbook,
    without_snapshot,
    write_package,
)
from callviz_dagster.tableau.read_back import is_whole

TWBX_NAME = "callviz.twbx"


def build_callviz_workbook(source: str = "csv", names: Names = STAND_ALONE) -> dg.AssetsDefinition:
    """Return the asset `callviz_workbook`, which packs `calls.csv`, or `calls.hyper` where `source` is `hyper`."""

    @dg.asset(
        key=names.key("callviz_workbook"),
        deps=[names.key("calls_csv"), *([names.key("calls_hyper")] if source == "hyper" else [])],
        group_name=names.group("published"),
        kinds={"tableau"},
        pool=names.pool,
        check_specs=names.check_specs(CALLVIZ_WORKBOOK_CHECKS),
        required_resource_keys={names.settings},
    )
    def callviz_workbook(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """`callviz.twbx`: the Tableau workbook and the current calls in one file, opened with a double-click.

        Five charts and the dashboard Calls Overview. The workbook itself is `tableau/callviz.twb`, or the one that
        CALLVIZ_WORKBOOK names; it is only read. The same workbook and the same calls give the same bytes.
        """
        settings = run_settings(context, names)
        try:
            with publishing(settings, context.log, CSV_NAME, *([HYPER_NAME] if source == "hyper" else [])):
                footer = merged(require_partitions(settings, run_time(context)).values())
                assert footer is not None, "require_partitions returns at least one"
                package = publish_package(settings, footer, source)
        except AuditFailed as refused:
            yield from refused.results
            raise refused.failure(settings.publish_dir / TWBX_NAME) from None
        context.add_asset_metadata(
            {
                "dagster/uri": uri_of(package.file.path),
                "path": dg.MetadataValue.path(place(package.file.path)),
                "bytes": package.file.bytes,
                "sha256": package.file.sha256,
                "workbook": dg.MetadataValue.path(str(locate(settings.workbook).absolute())),
                "data": package.data,
                **held_metadata(package.held),
                "sheets": ", ".join(sheet.name for sheet in package.workbook.sheets if not sheet.hidden),
                "dashboards": ", ".join(dashboard.name for dashboard in package.workbook.dashboards),
            }
        )
        for event in packed_events(settings, names, package.workbook):
            context.log_event(event)
        yield dg.MaterializeResult(check_results=[package.check], data_version=data_version([package.content]))

    return callviz_workbook


@dataclass(frozen=True)
class PublishedPackage:
    """What was published."""

    file: PublishedFile
    workbook: Workbook
    data: str
    """File name of the data in it."""
    held: RowsHeld
    """Which calls the data has."""
    content: str
    """Digest of the workbook, but for the snapshot that it names, and of the rows of `calls.csv`."""
    check: dg.AssetCheckResult


def publish_package(settings: Settings, footer: TableFooter, source: str) -> PublishedPackage:
    """Write the workbook with its data, audit what was packed, and swap it in.

    Args:
        settings: name the workbook and the folders.
        footer: that of all `calls`, which says what the columns of `calls.csv` hold.
        source: `csv` or `hyper`, whichever is packed.

    Raises:
        AuditFailed: the workbook does not fit the data.
        FileError: the package cannot be written.
    """
    target = settings.publish_dir / TWBX_NAME
    record = read_record(settings.publish_dir)
    calls = require(settings.publish_dir / CSV_NAME, "calls_csv")
    data = _require_extract(settings, record) if source == "hyper" else calls
    with calls.open("rb") as file:
        columns = csv_columns(file, footer)
    workbook_xml = _audited_workbook(settings, columns, source)
    try:
        prepared = prepare_workbook(
            workbook_xml,
            columns,
            source=source,
            snapshot=_snapshot(record).text,
            completed=settings.completed_labels,
            since=record.held(CSV_NAME).calls_since,
        )
    except WorkbookError as error:
        raise AuditFailed([workbook_fits_calls_csv([Problem("workbook", "", str(error))])]) from None
    parts = _parts_read_back(settings, footer, calls)
    kept = settings.data_dir / kept_pieces.FILE
    with staged(target) as temporary:
        packed = _write_package(prepared, data, target, temporary, parts if data == calls else [], kept)
        _require_published(record, data.name, packed.sha256)
        pinned = types_to_read(pinned_types(workbook_xml, columns), columns, compared=bool(parts))
        check = workbook_fits_calls_csv(package_problems(temporary, packed, pinned))
        if not check.passed:
            raise AuditFailed([check])
    package_file = stat_and_hash(target)
    names = dict.fromkeys((CSV_NAME, data.name))
    made_from = {name: InputFile(record.files[name].sha256, record.files[name].cluster_time) for name in names}
    record_file(package_file, made_from, _snapshot(record), record.held(CSV_NAME))
    write_text(kept, kept_pieces.to_json(packed))
    content = digest_of(without_snapshot(prepared), record.files[CSV_NAME].sha256)
    return PublishedPackage(package_file, read(prepared), data.name, record.held(CSV_NAME), content, check)


def _require_extract(settings: Settings, record: PublishedRecord) -> Path:
    """Return the extract, which must be of the same calls as `calls.csv`.

    Raises:
        dg.Failure: there is no such file, or it was made from other calls.
    """
    path = require(settings.publish_dir / HYPER_NAME, "calls_hyper")
    if not record.same_calls(HYPER_NAME):
        raise dg.Failure(
            description=f"{place(path)} was made from other calls than {CSV_NAME}: materialize calls_csv and "
            "calls_hyper again."
        )
    return path


def _require_published(record: PublishedRecord, name: str, sha256: str) -> None:
    """Require that the data that was packed is the file that was audited when it was published.

    Raises:
        dg.Failure: it is another one.
    """
    if name not in record.files or record.files[name].sha256 != sha256:
        raise dg.Failure(
            description=f"{name} is not as it was published (it was changed, or a refresh was interrupted): "
            f"materialize {name.replace('.', '_')} again."
        )


def _snapshot(record: PublishedRecord) -> Snapshot:
    """Return the snapshot of the calls that are packed."""
    entry = record.files.get(CSV_NAME)
    return Snapshot(entry.cluster_time, entry.time, record.snapshot.source, entry.documents) if entry else Snapshot()


def _audited_workbook(settings: Settings, columns: Mapping[str, Kind], source: str) -> bytes:
    try:
        workbook_xml = locate(settings.workbook).read_bytes()
        problems = audit(workbook_xml, columns, own=settings.workbook is not None, source=source)
    except (WorkbookError, OSError) as error:
        problems = [Problem("workbook", "", str(error))]
    if problems:
        raise AuditFailed([workbook_fits_calls_csv(problems)])
    return workbook_xml


def csv_columns(calls: IO[bytes], footer: TableFooter) -> dict[str, Kind]:
    """Return the columns of `calls.csv` in order, and what they hold according to the calls it was made from."""
    from callviz_dagster.documents.text import csv_header
    from callviz_dagster.table.read import published_columns

    columns = published_columns(footer)
    kinds = dict(zip(csv_header(columns), (column.kind for column in columns), strict=True))
    with io.TextIOWrapper(calls, encoding="utf-8-sig", newline="") as text:
        return {name: kinds.get(name, Kind.TEXT) for name in next(csv.reader(text), [])}


def _parts_read_back(settings: Settings, footer: TableFooter, calls: Path) -> list[Part]:
    """Return the parts of `calls.csv` if it was read back, when published, as the columns that the footer describes."""
    from callviz_dagster.table.read import published_columns

    form = reuse.format_key(published_columns(footer), settings.timezone)
    return reuse.parts_read_back(settings.data_dir / reuse.FILE, calls.stat().st_size, form)


def _write_package(
    prepared: bytes, data: Path, target: Path, temporary: Path, parts: Sequence[Part], kept: Path
) -> PackedData:
    """Write the package beside its place; pieces that have not changed come from the one that is there.

    Raises:
        AuditFailed: what was deflated does not inflate to the data.
    """
    last = KeptPieces.of(kept, target)
    starts = [part.start for part in parts]
    try:
        with open_for_writing(temporary) as package:
            return write_package(prepared, f"{target.stem}.twb", data, package, starts, last.find_deflated)
    except DeflateError as error:
        raise AuditFailed([workbook_fits_calls_csv([Problem(target.name, "", f"{data.name}: {error}")])]) from None


def types_to_read(pinned: Mapping[str, str], columns: Mapping[str, Kind], *, compared: bool) -> dict[str, str]:
    """Return the pinned types under which the data is still to be read: those that no text has by itself.

    Where `compared`, every value of `calls.csv` was read as what its column holds when that was published.
    """
    return {
        name: datatype
        for name, datatype in pinned.items()
        if datatype != DATATYPES[Kind.TEXT] and not (compared and datatype == DATATYPES[columns[name]])
    }


def package_problems(package: Path, packed: PackedData, pinned: Mapping[str, str]) -> list[Problem]:
    """Read a package back from the disk, its data under the pinned types; return what is wrong with it."""
    if not is_whole(package, packed):
        return [Problem(TWBX_NAME, "", "was not written whole")]
    with zipfile.ZipFile(package) as archive:
        data = archive.namelist()[-1]
        has_types = pinned and data.endswith(CSV_NAME)
        problem = unreadable_value(lambda: archive.open(data), pinned) if has_types else None
    return [problem] if problem else []
