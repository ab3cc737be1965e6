"""What a Tableau workbook (.twb) holds: its data sources, fields, sheets and dashboards, read from its XML.

A workbook is never written back: people edit it in Tableau Desktop. What belongs elsewhere: whether it fits `calls.csv`
(`tableau/audit.py`), the copy inside a .twbx (`tableau/pack.py`), the nodes of the graph (`assets/tableau.py`).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from callviz_dagster.contract import Kind

CSV_NAME = "calls.csv"
HYPER_NAME = "calls.hyper"
SHEETS = ("Calls by Type", "Calls by Status", "Daily Calls", "Calls by Weekday", "Duration Histogram")
HEADLINE = "Headline Figures"
"""The small hidden sheet that draws the dashboard's line of figures."""
DASHBOARD = "Calls Overview"

DATATYPES = {
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "real",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime",
    Kind.TEXT: "string",
}
"""The Tableau data type in which a column of each kind is pinned."""

PARAMETERS = "Parameters"
"""The data source of the parameters; a workbook without parameters has none."""
OBJECTS = "__tableau_internal_object_id__"
"""Stands in the names of the fields that Tableau makes for tables."""
SHOWS_SHEET = (None,)
"""Types of dashboard zones that show a sheet: they have none."""
NAMES_SHEET = (None, "filter", "color", "size", "shape", "highlighter")
"""Types of dashboard zones that name a sheet: those that show it, and its filters and legends."""
_PARAMETER_COLUMNS = f"datasources/datasource[@name='{PARAMETERS}']/column"
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\.\[([^\[\]]+)\]")
_FORMULA_NAME = re.compile(r"(?:\[([^\[\]]+)\]\.)?\[([^\[\]]+)\]")
_NOT_NAMES = re.compile(r"\"[^\"]*\"|'[^']*'|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_PILL = re.compile(r"[a-z]+:(.+):[noq]k(?::\d+)?")


class WorkbookError(ValueError):
    """A workbook cannot be found or read. The message names it and says what to do."""


@dataclass(frozen=True)
class Source:
    """A data source: its file, the columns it reads from it, and the fields made of them."""

    name: str
    caption: str
    reads_calls: bool
    """Whether it is the text file `calls.csv`."""
    extract: bool
    """Whether an extract stands between the file and the sheets."""
    pinned: Mapping[str, str]
    """Column → data type as the connection lists them, in that order."""
    tables: frozenset[str]
    """The tables that the columns come from."""
    columns: frozenset[str]
    """Internal names of the fields that are read from the file."""
    fields: frozenset[str]
    """Internal names of all fields: columns, calculations, bins, groups."""
    captions: Mapping[str, str]
    datatypes: Mapping[str, str]
    """Field → Tableau data type."""
    descriptions: Mapping[str, str]
    """Field → the comment that Tableau shows for it, where it has one."""
    formulas: Mapping[str, tuple[tuple[str, str], ...]]
    """Calculated field → the (data source, field) names in its formula; its own data source is the empty name."""


@dataclass(frozen=True)
class Sheet:
    """A worksheet: its title and the (data source, field) names on it."""

    name: str
    title: str
    hidden: bool
    sources: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dashboard:
    """A dashboard and the worksheets in it."""

    name: str
    sheets: tuple[str, ...]


@dataclass(frozen=True)
class Workbook:
    """What a workbook holds."""

    sources: Mapping[str, Source]
    sheets: tuple[Sheet, ...]
    dashboards: tuple[Dashboard, ...]

    @cached_property
    def calls(self) -> Source | None:
        """The data source that reads `calls.csv`, if there is one."""
        return next((source for source in self.sources.values() if source.reads_calls), None)

    def columns(self, field: tuple[str, str]) -> tuple[str, ...]:
        """Return the columns of `calls.csv` that a field is made of, in the order of the connection."""
        if self.calls is None:
            return ()
        names = {name for source, name in self.behind(field) if source == self.calls.name} & self.calls.columns
        return tuple(sorted(names, key=[*self.calls.pinned, *sorted(names)].index))

    def behind(self, field: tuple[str, str]) -> set[tuple[str, str]]:
        """Return a field and every field that its formula needs, directly or through others."""
        fields: set[tuple[str, str]] = set()
        waiting = [field]
        while waiting:
            current = waiting.pop()
            if current in fields:
                continue
            fields.add(current)
            source = self.sources.get(current[0])
            names = source.formulas.get(current[1], ()) if source else ()
            waiting += [(owner or current[0], name) for owner, name in names]
        return fields


def read(workbook_xml: bytes) -> Workbook:
    """Read a workbook.

    Raises:
        WorkbookError: it is not the XML of a Tableau workbook.
    """
    return read_root(parse(workbook_xml))


def locate(own: Path | None = None) -> Path:
    """Return the path of the user's own workbook, else of the one that comes with callviz.

    Raises:
        WorkbookError: there is no such file.
    """
    if own is not None:
        if not own.is_file():
            raise WorkbookError(f"CALLVIZ_WORKBOOK names {own.absolute()}, and there is no such file.")
        return own
    package = Path(__file__).parents[1]
    # In a checkout it lies in the project's own folder, where analysts open it; in an installed package, inside.
    for folder in (package.parent, package):
        path = folder / "tableau" / "callviz.twb"
        if path.is_file():
            return path
    raise WorkbookError(f"{path} is missing: install callviz-dagster again, or name a workbook with CALLVIZ_WORKBOOK.")


def parse(workbook_xml: bytes) -> ET.Element:
    """Return the root element of a workbook, with one element for each pair of twins of older Desktops.

    Raises:
        WorkbookError: it is not the XML of a Tableau workbook.
    """
    try:
        root = ET.fromstring(workbook_xml)
    except ET.ParseError as error:
        raise WorkbookError(f"The workbook is not well-formed XML ({error}).") from None
    if root.tag != "workbook":
        raise WorkbookError(f"The file is not a Tableau workbook: its root is <{root.tag}>, not <workbook>.")
    unfork(root)
    return root


def unfork(element: ET.Element) -> None:
    """Resolve `_.fcp.Feature.true...name`, the twin elements that older Desktops write for newer ones."""
    for child in list(element):
        if child.tag.startswith("_.fcp."):
            if ".false..." in child.tag:
                element.remove(child)
                continue
            child.tag = child.tag.rsplit("...", 1)[-1]
        unfork(child)


def read_root(root: ET.Element) -> Workbook:
    """Read a workbook from what `parse` returned."""
    sources = {source.name: source for source in map(read_source, root.findall("datasources/datasource"))}
    hidden = {window.get("name") for window in root.findall("windows/window") if window.get("hidden") == "true"}
    parameters = {
        f"[{PARAMETERS}].{name_of(column)}": column.get("value", "") for column in root.findall(_PARAMETER_COLUMNS)
    }
    sheets = tuple(
        Sheet(
            name=name_of(sheet),
            title=_title(sheet, parameters),
            hidden=name_of(sheet) in hidden,
            sources=tuple(name_of(source) for source in sheet.findall("table/view/datasources/datasource")),
            fields=tuple(dict.fromkeys((source, field_of(pill)) for source, pill in references(sheet))),
        )
        for sheet in root.findall("worksheets/worksheet")
    )
    dashboards = tuple(
        Dashboard(
            name_of(dashboard),
            tuple(
                dict.fromkeys(
                    name_of(zone) for layout in dashboard.findall("zones") for zone in sheet_zones(layout, SHOWS_SHEET)
                )
            ),
        )
        for dashboard in root.findall("dashboards/dashboard")
    )
    return Workbook(sources, sheets, dashboards)


def sheet_zones(layout: ET.Element, types: tuple[str | None, ...]) -> Iterator[ET.Element]:
    """Yield the zones of a layout that name a sheet and are of one of `types` (`SHOWS_SHEET`, `NAMES_SHEET`)."""
    for zone in layout.iter("zone"):
        if zone.get("name") and zone.get("type-v2") in types:
            yield zone


def name_of(element: ET.Element) -> str:
    """Return the attribute `name`; an empty text where it is missing."""
    return element.get("name", "")


def local_name(column: str) -> str:
    """Return the name of the field of a column: square brackets delimit names in Tableau, which replaces them."""
    return column.replace("[", "(").replace("]", ")")


def bare(name: str) -> str:
    """Return `[x]` as `x`."""
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def field_of(pill: str) -> str:
    """Return the field of a pill: `none:status:nk` → `status`."""
    match = _PILL.fullmatch(pill)
    return match[1] if match else pill


def reads_calls(tag: str) -> bool:
    """Return whether the start tag of a connection names the text file `calls.csv`."""
    return bool(re.search(r"class=['\"]textscan['\"]", tag) and re.search(rf"filename=['\"]{CSV_NAME}['\"]", tag))


def read_source(element: ET.Element) -> Source:
    """Read the element of a data source."""
    name = name_of(element)
    connections = [(one.get("class"), one.get("filename")) for one in element.iter("connection")]
    pinned: dict[str, str] = {}
    for listed in element.findall("connection//relation/columns"):
        pinned |= {local_name(name_of(column)): column.get("datatype", "") for column in listed}
    tables = set()
    for record in element.findall("connection/metadata-records/metadata-record[@class='column']"):
        local = bare(record.findtext("local-name", ""))
        pinned.setdefault(local, record.findtext("local-type", ""))
        tables.add(record.findtext("parent-name", ""))
    columns = element.findall("column")
    names = {bare(name_of(column)) for column in columns}
    formulas = {
        bare(name_of(column)): _names_in(calculation)
        for column in columns
        if (calculation := column.find("calculation")) is not None and name != PARAMETERS
    }
    groups = {bare(name_of(group)) for group in element.findall("group")}
    return Source(
        name=name,
        caption=element.get("caption") or name,
        reads_calls=("textscan", CSV_NAME) in connections,
        extract=any(extract.get("enabled") == "true" for extract in element.findall("extract")),
        pinned=pinned,
        tables=frozenset(tables),
        columns=frozenset(
            name
            for name in (pinned.keys() | names) - formulas.keys() - groups
            if not name.startswith(":") and OBJECTS not in name
        ),
        fields=frozenset(pinned.keys() | names | groups),
        datatypes=pinned | {bare(name_of(column)): column.get("datatype", "") for column in columns},
        descriptions={
            bare(name_of(column)): "".join(comment.itertext()).strip()
            for column in columns
            if (comment := column.find("desc")) is not None
        },
        captions={bare(name_of(column)): column.get("caption") or bare(name_of(column)) for column in columns},
        formulas=formulas,
    )


def _names_in(calculation: ET.Element) -> tuple[tuple[str, str], ...]:
    formula = _NOT_NAMES.sub(" ", calculation.get("formula", ""))
    names = [(source or "", name) for source, name in _FORMULA_NAME.findall(formula)]
    for attribute in ("size-parameter", "column"):
        names += [(source or "", name) for source, name in _FORMULA_NAME.findall(calculation.get(attribute, ""))]
    return tuple(dict.fromkeys(names))


def _title(sheet: ET.Element, parameters: Mapping[str, str]) -> str:
    """Return a sheet's title and subtitle as sentences, with the parameters' values; else its name."""
    text = "".join(run.text or "" for run in sheet.findall("layout-options/title/formatted-text/run"))
    text = text.replace("<Sheet Name>", name_of(sheet))
    text = re.sub(r"<(\[[^<>]*\])>", lambda match: parameters.get(match[1], match[1]), text)
    # `Æ` and a line feed are Tableau's line break.
    return ". ".join(line.strip() for line in text.replace("Æ", "").splitlines() if line.strip()) or name_of(sheet)


def references(sheet: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield the (data source, pill) pairs that a sheet's shelves, marks, filters and sorts name."""
    table = sheet.find("table")
    if table is None:
        return
    texts = [table.findtext("rows", ""), table.findtext("cols", "")]
    texts += [column.text or "" for column in table.findall("view/slices/column")]
    texts += [pane.get(axis, "") for pane in table.findall("panes/pane") for axis in ("x-axis-name", "y-axis-name")]
    for part in (*table.findall("view"), *table.findall("panes/pane/encodings")):
        for element in part.iter():
            if element.tag not in ("datasource-dependencies", "column", "column-instance", "calculation"):
                texts += [element.get(name, "") for name in ("column", "using", "measure-to-sort-by")]
    yield from field_references(texts)


def field_references(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the (data source, pill) pairs that texts name."""
    return [pair for text in texts for pair in _REFERENCE.findall(text) if OBJECTS not in pair]
