"""Whether a workbook fits `calls.csv`: every column, field, sheet, filter and action that it names is there.

XML and data in, problems out. What belongs elsewhere: reading a workbook (`tableau/model.py`), the check that reports
the problems (`assets/callviz_workbook.py`).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import IO

from callviz_dagster.contract import LEADING, Kind
from callviz_dagster.documents.display import display_text
from callviz_dagster.tableau.form import form_problems
from callviz_dagster.tableau.model import (
    CSV_NAME,
    DASHBOARD,
    DATATYPES,
    HEADLINE,
    NAMES_SHEET,
    OBJECTS,
    SHEETS,
    Workbook,
    WorkbookError,
    bare,
    field_of,
    field_references,
    local_name,
    name_of,
    parse,
    read_root,
    references,
    sheet_zones,
)

_READABLE = {
    "boolean": {Kind.BOOLEAN},
    "integer": {Kind.INTEGER},
    "real": {Kind.INTEGER, Kind.NUMBER},
    "date": {Kind.DATE},
    "datetime": {Kind.DATE, Kind.DATETIME},
    "string": set(Kind),
}
"""The kinds whose every value Tableau reads under a pinned data type; values of others become Null, silently."""

_BLOCK_BYTES = (1 << 20, 256 << 20)
"""Bytes of `calls.csv` that are read at once; the second where a single row is longer than the first."""


@dataclass(frozen=True)
class Problem:
    """Something in a workbook that would break or be silently wrong: where, which field, and what about it."""

    place: str
    field: str
    message: str

    def __str__(self) -> str:
        return display_text(f"{self.place}: {self.message}")


def audit(
    workbook_xml: bytes, csv_columns: Mapping[str, Kind], *, own: bool = False, source: str = "csv"
) -> list[Problem]:
    """Check a workbook against the columns of `calls.csv`.

    Every column that a sheet needs must be there with a type that Tableau reads, and every reference must lead
    somewhere: fields, data sources, sheets, filters, actions, windows. The workbook of callviz must also have its
    sheets and its dashboard and pin the leading columns.

    Args:
        workbook_xml: the workbook.
        csv_columns: the columns of `calls.csv`, in order, and what they hold.
        own: whether the workbook is the user's own; then only its references are checked.
        source: `csv` or `hyper`, whichever the workbook is packed with. A text of a further column in `calls.csv` may
            be read as a number (`unreadable_value` finds one that is none), in an extract it may not.

    Returns:
        The problems, the first that a reader would meet first; none if it fits.
    """
    if (encoding := _declared_encoding(workbook_xml)).lower() not in ("utf-8", "utf8"):
        return [Problem("workbook", "", f"says that it is {encoding}; save it as UTF-8, as Tableau Desktop does")]
    try:
        root = parse(workbook_xml)
    except WorkbookError as error:
        return [Problem("workbook", "", str(error))]
    workbook = read_root(root)
    columns = _texts_as_numbers(workbook, csv_columns) if source == "csv" else csv_columns
    problems = [*_calls_problems(workbook), *_field_problems(root, workbook, columns, own=own)]
    problems += _name_problems(root, workbook)
    problems += [Problem(*finding) for finding in form_problems(root)]
    if not own:
        problems += _own_shape_problems(workbook)
    return list(dict.fromkeys(problems))


def _texts_as_numbers(workbook: Workbook, csv_columns: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return the columns; those further ones of texts that the workbook pins as numbers are columns of numbers."""
    pinned = workbook.calls.pinned if workbook.calls else {}
    leading = {column.name for column in LEADING}

    def read_as(name: str, kind: Kind) -> Kind:
        number = kind is Kind.TEXT and name not in leading and pinned.get(local_name(name)) == DATATYPES[Kind.NUMBER]
        return Kind.NUMBER if number else kind

    return {name: read_as(name, kind) for name, kind in csv_columns.items()}


def _declared_encoding(workbook_xml: bytes) -> str:
    declaration = re.match(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*\bencoding=['\"]([\w.-]+)", workbook_xml)
    return declaration[1].decode() if declaration else "utf-8"


def unreadable_value(open_csv: Callable[[], IO[bytes]], pinned: Mapping[str, str]) -> Problem | None:
    """Read all of `calls.csv` under the pinned data types, piece by piece; return the first value that does not fit.

    Args:
        open_csv: opens the file; it is called again where the file has a very long row.
        pinned: column → data type, as `pinned_types` returns them.
    """
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    types = {
        "integer": pa.int64(),
        "real": pa.float64(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us"),
        "boolean": pa.bool_(),
    }
    column_types = {name: types[datatype] for name, datatype in pinned.items() if datatype in types}
    convert = pa_csv.ConvertOptions(
        column_types=column_types,
        include_columns=[*column_types],
        null_values=[""],
        true_values=["true"],
        false_values=["false"],
    )
    for block in _BLOCK_BYTES:
        try:
            with (
                open_csv() as file,
                pa_csv.open_csv(
                    file,
                    read_options=pa_csv.ReadOptions(block_size=block),
                    parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                    convert_options=convert,
                ) as rows,
            ):
                for _ in rows:
                    pass
        except pa.ArrowInvalid as error:
            if "straddling" in str(error) and block != _BLOCK_BYTES[-1]:
                continue
            return Problem(CSV_NAME, "", f"a value does not read as the type that the workbook pins ({error})")
        break
    return None


def _calls_problems(workbook: Workbook) -> Iterator[Problem]:
    if workbook.calls is None:
        yield Problem("workbook", "", f"no data source reads the text file {CSV_NAME}")
    elif workbook.calls.extract:
        message = (
            f"uses an extract, which would show old data; choose Live on Desktop's data source page for {CSV_NAME}"
        )
        yield Problem(f"data source {workbook.calls.caption}", "", message)


def _field_problems(
    root: ET.Element, workbook: Workbook, csv_columns: Mapping[str, Kind], *, own: bool
) -> Iterator[Problem]:
    kinds = {local_name(name): kind for name, kind in csv_columns.items()}
    places = [
        *((f"sheet {name_of(sheet)}", sheet, [*references(sheet)]) for sheet in root.findall("worksheets/worksheet")),
        *(
            ("filters on all sheets", view, field_references(item.get("column", "") for item in view.findall("filter")))
            for view in root.findall("shared-views/shared-view")
        ),
        *(
            (f"dashboard {name_of(one)}", one, field_references(zone.get("param", "") for zone in one.iter("zone")))
            for one in root.findall("dashboards/dashboard")
        ),
    ]
    for place, element, pairs in places:
        yield from _unknown_sources(place, element, workbook)
        yield from _undeclared(place, element, workbook)
        for source, pill in dict.fromkeys(pairs):
            yield from _unresolved(place, source, pill, workbook)
            yield from _unfit(place, (source, field_of(pill)), workbook, kinds)
            if not own:
                yield from _unlisted(place, source, pill, element)


def _unknown_sources(place: str, element: ET.Element, workbook: Workbook) -> Iterator[Problem]:
    """Yield the data sources that a view uses and the workbook does not have."""
    for used in element.findall("table/view/datasources/datasource") + element.findall("datasources/datasource"):
        if name_of(used) not in workbook.sources:
            yield Problem(place, "", f"uses the data source {name_of(used)}, which the workbook does not have")


def _undeclared(place: str, element: ET.Element, workbook: Workbook) -> Iterator[Problem]:
    """Yield the fields that a view declares and its data source does not have."""
    for block in element.iter("datasource-dependencies"):
        source = workbook.sources.get(block.get("datasource", ""))
        if source is None:
            continue
        declared = {bare(name_of(column)) for column in block.findall("column")}
        declared |= {bare(instance.get("column", "")) for instance in block.findall("column-instance")}
        for field in sorted(filter(_is_own_field, declared - source.fields)):
            yield Problem(place, field, f"uses {field}, which the data source {source.caption} does not have")


def _is_own_field(field: str) -> bool:
    """Return whether a field is the workbook's own, and not one that Tableau generates."""
    return OBJECTS not in field and not field.startswith(":")


def _unresolved(place: str, source: str, pill: str, workbook: Workbook) -> Iterator[Problem]:
    """Yield why a pill, or a formula behind it, names something that is not there."""
    field = field_of(pill)
    if source not in workbook.sources:
        yield Problem(place, field, f"uses {field} of the data source {source}, which the workbook does not have")
        return
    if pill.startswith(":") or pill == "Multiple Values":
        return
    if field not in workbook.sources[source].fields:
        caption = workbook.sources[source].caption
        yield Problem(place, field, f"uses {field}, which the data source {caption} does not have")
    for owner, name in sorted(workbook.behind((source, field)) - {(source, field)}):
        known = workbook.sources.get(owner)
        if known is None or name not in known.fields:
            caption = known.caption if known else owner
            message = (
                f"uses {_caption(workbook, source, field)}, whose formula needs {name}, which {caption} does not have"
            )
            yield Problem(place, name, message)


def _unlisted(place: str, source: str, pill: str, element: ET.Element) -> Iterator[Problem]:
    """Yield a pill that stands in a view but not among the view's dependencies."""
    listed = {
        bare(name_of(item))
        for block in element.iter("datasource-dependencies")
        if block.get("datasource") == source
        for item in block
    }
    if pill not in listed and not pill.startswith(":"):
        yield Problem(place, field_of(pill), f"uses {pill} without declaring it; Tableau would drop it")


def _unfit(place: str, field: tuple[str, str], workbook: Workbook, kinds: Mapping[str, Kind]) -> Iterator[Problem]:
    """Yield which columns behind a field `calls.csv` lacks, or holds in another type."""
    for column in workbook.columns(field):
        pinned = workbook.calls.pinned.get(column, "") if workbook.calls else ""
        if column not in kinds:
            yield Problem(place, column, f"uses {column}, which {CSV_NAME} does not have")
        elif kinds[column] not in _READABLE.get(pinned, set(Kind)):
            yield Problem(
                place, column, f"reads {column} as {pinned}, but {CSV_NAME} holds {kinds[column]} values there"
            )


def _caption(workbook: Workbook, source: str, field: str) -> str:
    return workbook.sources[source].captions.get(field, field)


def _name_problems(root: ET.Element, workbook: Workbook) -> Iterator[Problem]:
    """Yield every name of a sheet or dashboard that leads nowhere."""
    sheets = {sheet.name for sheet in workbook.sheets}
    views = sheets | {dashboard.name for dashboard in workbook.dashboards}
    for dashboard in root.findall("dashboards/dashboard"):
        yield from _zone_problems(dashboard, sheets)
    windows = root.findall("windows/window")
    for window in windows:
        yield from _window_problems(window, sheets, views)
    for name in sorted(views - {name_of(window) for window in windows}):
        yield Problem("windows", "", f"{name} has no window; Tableau would drop it")
    captions = {caption for source in workbook.sources.values() for caption in source.captions.values()}
    captions |= {field for source in workbook.sources.values() for field in source.fields}
    for action in root.findall("actions/action"):
        place = f"action {action.get('caption') or name_of(action)}"
        yield from _action_start_problems(place, action, views)
        for param in action.findall("command/param"):
            yield from _action_param_problems(place, param, views, captions)


def _zone_problems(dashboard: ET.Element, sheets: Set[str]) -> Iterator[Problem]:
    for name in dict.fromkeys(map(name_of, sheet_zones(dashboard, NAMES_SHEET))):
        if name not in sheets:
            message = f"shows the sheet {name}, which the workbook does not have"
            yield Problem(f"dashboard {name_of(dashboard)}", "", message)


def _window_problems(window: ET.Element, sheets: Set[str], views: Set[str]) -> Iterator[Problem]:
    if name_of(window) not in views:
        yield Problem("windows", "", f"a window shows {name_of(window)}, which the workbook does not have")
    for name in map(name_of, window.findall("viewpoints/viewpoint")):
        if name not in sheets:
            message = f"a view of {name_of(window)} shows {name}, which the workbook does not have"
            yield Problem("windows", "", message)


def _action_start_problems(place: str, action: ET.Element, views: Set[str]) -> Iterator[Problem]:
    source = action.find("source")
    if source is None:
        return
    names = {source.get("dashboard", ""), source.get("worksheet", "")}
    names |= {name_of(excluded) for excluded in source.findall("exclude-sheet")}
    for name in sorted(names - {""} - views):
        yield Problem(place, "", f"starts from {name}, which the workbook does not have")


def _action_param_problems(place: str, param: ET.Element, views: Set[str], captions: Set[str]) -> Iterator[Problem]:
    kind = name_of(param)
    if kind in ("target", "exclude"):
        for name in _listed(param, views):
            yield Problem(place, "", f"acts on {name}, which the workbook does not have")
    elif kind == "field-captions":
        for caption in _listed(param, captions):
            yield Problem(place, caption, f"highlights {caption}, which no data source has")


def _listed(param: ET.Element, known: Set[str]) -> list[str]:
    """Return the names in a list that are not known; a name may itself hold a comma."""
    value = param.get("value", "")
    return [] if value in known else [name for name in map(str.strip, value.split(",")) if name not in known]


def _own_shape_problems(workbook: Workbook) -> Iterator[Problem]:
    """Yield what the workbook of callviz must have and a user's own need not."""
    names = {sheet.name for sheet in workbook.sheets}
    dashboards = [dashboard for dashboard in workbook.dashboards if dashboard.name == DASHBOARD]
    if not dashboards:
        yield Problem("workbook", "", f"the dashboard {DASHBOARD} is missing")
    shown = {name for dashboard in dashboards for name in dashboard.sheets}
    for name in (*SHEETS, HEADLINE):
        if name not in names:
            yield Problem("workbook", "", f"the sheet {name} is missing")
        elif name not in shown:
            yield Problem(f"dashboard {DASHBOARD}", "", f"does not show the sheet {name}")
    yield from _pin_problems(workbook.calls.pinned if workbook.calls else {})


def _pin_problems(pinned: Mapping[str, str]) -> Iterator[Problem]:
    """Yield leading columns of `calls.csv` that are not pinned, in another type, or in another place."""
    expected = {column.name: DATATYPES[column.kind] for column in LEADING}
    for name, datatype in expected.items():
        if pinned.get(name) != datatype:
            present = f"as {pinned[name]}" if name in pinned else "not at all"
            yield Problem("data source calls", name, f"pins {name} {present}; it must be {datatype}")
    if list(pinned)[: len(expected)] != list(expected) and pinned.keys() >= expected.keys():
        yield Problem("data source calls", "", f"pins the first columns in another order than {', '.join(expected)}")
