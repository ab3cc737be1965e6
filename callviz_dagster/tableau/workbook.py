"""A Tableau workbook (.twb): what it shows, whether it fits `calls.csv`, and how it is packed with its data.

XML in, facts, problems or bytes out; only `locate` looks at the disk. A workbook is never written back: people edit it
in Tableau Desktop, and the copy inside a .twbx differs from theirs in its data connection alone.
What belongs elsewhere: Dagster (`assets/callviz_workbook.py`, `assets/tableau.py`), writing files (`storage/files.py`).
"""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from callviz_dagster.contract import LEADING, Kind

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

_READABLE = {
    "boolean": {Kind.BOOLEAN},
    "integer": {Kind.INTEGER},
    "real": {Kind.INTEGER, Kind.NUMBER},
    "date": {Kind.DATE},
    "datetime": {Kind.DATE, Kind.DATETIME},
    "string": set(Kind),
}
"""The kinds whose every value Tableau reads under a pinned data type; of others it shows Null, without a word."""

_REMOTE_TYPES = {"boolean": 11, "integer": 20, "real": 5, "date": 133, "datetime": 135, "string": 129}
_AGGREGATIONS = {"integer": "Sum", "real": "Sum", "date": "Year", "datetime": "Year"}

_FOLDER = "Data/calls"
_PARAMETERS = "Parameters"
_OBJECTS = "__tableau_internal_object_id__"
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\.\[([^\[\]]+)\]")
_FORMULA_NAME = re.compile(r"(?:\[([^\[\]]+)\]\.)?\[([^\[\]]+)\]")
_NOT_NAMES = re.compile(r"\"[^\"]*\"|'[^']*'|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_PILL = re.compile(r"[a-z]+:(.+):[noq]k(?::\d+)?")


class WorkbookError(ValueError):
    """A workbook cannot be found or read. The message names it and says what to do."""


@dataclass(frozen=True)
class Problem:
    """Something in a workbook that would break or be silently wrong: where, which field, and what about it."""

    place: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


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
    formulas: Mapping[str, tuple[tuple[str, str], ...]]
    """Calculated field → the (data source, field) names in its formula; its own data source is the empty name."""


@dataclass(frozen=True)
class Sheet:
    """A worksheet: its title in words and the (data source, field) names that stand on it."""

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
        found = {name for source, name in self.behind(field) if source == self.calls.name} & self.calls.columns
        return tuple(sorted(found, key=[*self.calls.pinned, *sorted(found)].index))

    def behind(self, field: tuple[str, str]) -> set[tuple[str, str]]:
        """Return a field and every field that its formula needs, directly or through others."""
        seen: set[tuple[str, str]] = set()
        waiting = [field]
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            source = self.sources.get(current[0])
            names = source.formulas.get(current[1], ()) if source else ()
            waiting += [(owner or current[0], name) for owner, name in names]
        return seen


def read(workbook_xml: bytes) -> Workbook:
    """Read a workbook.

    Raises:
        WorkbookError: it is not the XML of a Tableau workbook.
    """
    return _read(_parse(workbook_xml))


def audit(workbook_xml: bytes, csv_columns: Mapping[str, Kind], *, own: bool = False) -> list[Problem]:
    """Check a workbook against the columns of `calls.csv`.

    Every column that a sheet needs must be there with a type that Tableau reads, and every reference must lead
    somewhere: fields, data sources, sheets, filters, actions, windows. The workbook of callviz must also have its
    sheets and its dashboard and pin the leading columns.

    Args:
        workbook_xml: the workbook.
        csv_columns: the columns of `calls.csv`, in order, and what they hold.
        own: whether the workbook is the user's own; then only its references are checked.

    Returns:
        The problems, the first that a reader would meet first; none if it fits.
    """
    try:
        root = _parse(workbook_xml)
    except WorkbookError as error:
        return [Problem("workbook", "", str(error))]
    workbook = _read(root)
    problems = [*_calls_problems(workbook), *_field_problems(root, workbook, csv_columns, own=own)]
    problems += _name_problems(root, workbook)
    if not own:
        problems += _own_shape_problems(workbook)
    return list(dict.fromkeys(problems))


def packed(workbook_xml: bytes, csv_columns: Mapping[str, Kind], *, source: str = "csv") -> bytes:
    """Return the workbook as it stands inside a .twbx: it reads the data packed with it, and every column is pinned.

    Columns that the workbook pins keep their data type; the others of `calls.csv` are pinned to what they hold, so
    that Tableau guesses none from the first rows. All else is left as it is, byte for byte.

    Args:
        workbook_xml: a workbook that `audit` finds nothing wrong with.
        csv_columns: the columns of `calls.csv`, in order, and what they hold.
        source: `csv` or `hyper`, whichever is packed with it.

    Raises:
        WorkbookError: it cannot be packed in this way; says why.
    """
    try:
        text = workbook_xml.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WorkbookError("The workbook is not UTF-8, in which Tableau Desktop saves: save it there again.") from None
    for tag in reversed([tag for tag in _tags("connection", text) if _reads_calls(tag.group())]):
        start = text.rfind("<datasource ", 0, tag.start())
        end = text.find("</datasource>", tag.end())
        text = text[:start] + _packed_source(text[start:end], csv_columns, source) + text[end:]
    return text.encode()


def pack(workbook_xml: bytes, name: str, data: Path, target: IO[bytes]) -> None:
    """Write a .twbx: the workbook at the top, the data file below `Data/`, as Tableau Desktop does.

    The same input gives the same bytes: names, order, times and permissions in the archive are fixed.

    Args:
        workbook_xml: the result of `packed`.
        name: file name of the workbook inside the archive.
        data: `calls.csv` or `calls.hyper`; it is copied in pieces.
        target: a seekable file, open for writing.
    """
    with zipfile.ZipFile(target, "w") as archive:
        member = _member(name, len(workbook_xml))
        with archive.open(member, "w") as file:
            file.write(workbook_xml)
        member = _member(f"{_FOLDER}/{data.name}", data.stat().st_size)
        with data.open("rb") as original, archive.open(member, "w") as file:
            shutil.copyfileobj(original, file, 1 << 20)


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


# Reading


def _parse(workbook_xml: bytes) -> ET.Element:
    try:
        root = ET.fromstring(workbook_xml)
    except ET.ParseError as error:
        raise WorkbookError(f"The workbook is not well-formed XML ({error}).") from None
    if root.tag != "workbook":
        raise WorkbookError(f"The file is not a Tableau workbook: its root is <{root.tag}>, not <workbook>.")
    _unfork(root)
    return root


def _unfork(element: ET.Element) -> None:
    """Resolve `_.fcp.Feature.true...name`, the twin elements that older Desktops write for newer ones."""
    for child in list(element):
        if child.tag.startswith("_.fcp."):
            if ".false..." in child.tag:
                element.remove(child)
                continue
            child.tag = child.tag.rsplit("...", 1)[-1]
        _unfork(child)


def _read(root: ET.Element) -> Workbook:
    sources = {source.name: source for source in map(_source, root.findall("datasources/datasource"))}
    hidden = {window.get("name") for window in root.findall("windows/window") if window.get("hidden") == "true"}
    shown = {f"[{_PARAMETERS}].{_name(column)}": column.get("value", "") for column in root.findall(_PARAMETER_COLUMNS)}
    sheets = tuple(
        Sheet(
            name=_name(sheet),
            title=_title(sheet, shown),
            hidden=_name(sheet) in hidden,
            sources=tuple(_name(source) for source in sheet.findall("table/view/datasources/datasource")),
            fields=tuple(dict.fromkeys((source, _field_of(pill)) for source, pill in _references(sheet))),
        )
        for sheet in root.findall("worksheets/worksheet")
    )
    dashboards = tuple(
        Dashboard(_name(dashboard), tuple(dict.fromkeys(_name(zone) for zone in _sheet_zones(dashboard, _SHEET))))
        for dashboard in root.findall("dashboards/dashboard")
    )
    return Workbook(sources, sheets, dashboards)


_PARAMETER_COLUMNS = f"datasources/datasource[@name='{_PARAMETERS}']/column"


_SHEET = (None,)
_SHEET_OR_CARD = (None, "filter", "color", "size", "shape", "highlighter")


def _sheet_zones(dashboard: ET.Element, types: tuple[str | None, ...]) -> Iterator[ET.Element]:
    """Yield the zones of a dashboard that name a sheet: those that show it, or also its filters and legends."""
    for zone in dashboard.iter("zone"):
        if zone.get("name") and zone.get("type-v2") in types:
            yield zone


def _name(element: ET.Element) -> str:
    return element.get("name", "")


def _local(column: str) -> str:
    """Return the name of the field of a column: square brackets delimit names in Tableau, which replaces them."""
    return column.replace("[", "(").replace("]", ")")


def _bare(name: str) -> str:
    """Return `[x]` as `x`."""
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def _field_of(pill: str) -> str:
    """Return the field of a pill: `none:status:nk` → `status`."""
    found = _PILL.fullmatch(pill)
    return found[1] if found else pill


def _reads_calls(tag: str) -> bool:
    return bool(re.search(r"class=['\"]textscan['\"]", tag) and re.search(rf"filename=['\"]{CSV_NAME}['\"]", tag))


def _source(element: ET.Element) -> Source:
    name = _name(element)
    calls = [c for c in element.iter("connection") if c.get("class") == "textscan" and c.get("filename") == CSV_NAME]
    pinned: dict[str, str] = {}
    for listed in element.findall("connection//relation/columns"):
        pinned |= {_local(_name(column)): column.get("datatype", "") for column in listed}
    tables = set()
    for record in element.findall("connection/metadata-records/metadata-record[@class='column']"):
        local = _bare(record.findtext("local-name", ""))
        pinned.setdefault(local, record.findtext("local-type", ""))
        tables.add(record.findtext("parent-name", ""))
    columns = element.findall("column")
    names = {_bare(_name(column)) for column in columns}
    formulas = {
        _bare(_name(column)): _names_in(calculation)
        for column in columns
        if (calculation := column.find("calculation")) is not None and name != _PARAMETERS
    }
    groups = {_bare(_name(group)) for group in element.findall("group")}
    return Source(
        name=name,
        caption=element.get("caption") or name,
        reads_calls=bool(calls),
        extract=any(extract.get("enabled") == "true" for extract in element.findall("extract")),
        pinned=pinned,
        tables=frozenset(tables),
        columns=frozenset(
            name
            for name in (pinned.keys() | names) - formulas.keys() - groups
            if not name.startswith(":") and _OBJECTS not in name
        ),
        fields=frozenset(pinned.keys() | names | groups),
        captions={_bare(_name(column)): column.get("caption") or _bare(_name(column)) for column in columns},
        formulas=formulas,
    )


def _names_in(calculation: ET.Element) -> tuple[tuple[str, str], ...]:
    formula = _NOT_NAMES.sub(" ", calculation.get("formula", ""))
    names = [(source or "", name) for source, name in _FORMULA_NAME.findall(formula)]
    for attribute in ("size-parameter", "column"):
        names += [(source or "", name) for source, name in _FORMULA_NAME.findall(calculation.get(attribute, ""))]
    return tuple(dict.fromkeys(names))


def _title(sheet: ET.Element, shown: Mapping[str, str]) -> str:
    """Return a sheet's title and subtitle as sentences, with the parameters' values; else its name."""
    text = "".join(run.text or "" for run in sheet.findall("layout-options/title/formatted-text/run"))
    text = text.replace("<Sheet Name>", _name(sheet))
    text = re.sub(r"<(\[[^<>]*\])>", lambda found: shown.get(found[1], found[1]), text)
    # `Æ` and a line feed are Tableau's line break.
    return ". ".join(line.strip() for line in text.replace("Æ", "").splitlines() if line.strip()) or _name(sheet)


def _references(sheet: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield the (data source, pill) pairs that a sheet's shelves, marks, filters and sorts name."""
    table = sheet.find("table")
    if table is None:
        return
    texts = [table.findtext("rows", ""), table.findtext("cols", "")]
    texts += [column.text or "" for column in table.findall("view/slices/column")]
    for part in (*table.findall("view"), *table.findall("panes/pane/encodings")):
        for element in part.iter():
            if element.tag not in ("datasource-dependencies", "column", "column-instance", "calculation"):
                texts += [element.get(name, "") for name in ("column", "using", "measure-to-sort-by")]
    yield from _pairs(texts)


def _pairs(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the (data source, pill) pairs that texts name."""
    return [found for text in texts for found in _REFERENCE.findall(text) if _OBJECTS not in found]


# Auditing


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
    kinds = {_local(name): kind for name, kind in csv_columns.items()}
    places = [
        *((f"sheet {_name(sheet)}", sheet, [*_references(sheet)]) for sheet in root.findall("worksheets/worksheet")),
        *(
            ("filters on all sheets", view, _pairs(item.get("column", "") for item in view.findall("filter")))
            for view in root.findall("shared-views/shared-view")
        ),
        *(
            (f"dashboard {_name(one)}", one, _pairs(zone.get("param", "") for zone in one.iter("zone")))
            for one in root.findall("dashboards/dashboard")
        ),
    ]
    for place, element, references in places:
        yield from _undeclared(place, element, workbook)
        for source, pill in dict.fromkeys(references):
            yield from _unresolved(place, source, pill, workbook)
            yield from _unfit(place, (source, _field_of(pill)), workbook, kinds)
            if not own:
                yield from _unlisted(place, source, pill, element)


def _undeclared(place: str, element: ET.Element, workbook: Workbook) -> Iterator[Problem]:
    """Yield what a view declares but its data source does not have."""
    for used in element.findall("table/view/datasources/datasource") + element.findall("datasources/datasource"):
        if _name(used) not in workbook.sources:
            yield Problem(place, "", f"uses the data source {_name(used)}, which the workbook does not have")
    for block in element.iter("datasource-dependencies"):
        source = workbook.sources.get(block.get("datasource", ""))
        if source is None:
            continue
        declared = {_bare(_name(column)) for column in block.findall("column")}
        declared |= {_bare(instance.get("column", "")) for instance in block.findall("column-instance")}
        for field in sorted(declared - source.fields):
            if _OBJECTS not in field and not field.startswith(":"):
                yield Problem(place, field, f"uses {field}, which the data source {source.caption} does not have")


def _unresolved(place: str, source: str, pill: str, workbook: Workbook) -> Iterator[Problem]:
    """Yield why a pill, or a formula behind it, names something that is not there."""
    field = _field_of(pill)
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
        _bare(_name(item))
        for block in element.iter("datasource-dependencies")
        if block.get("datasource") == source
        for item in block
    }
    if pill not in listed and not pill.startswith(":"):
        yield Problem(place, _field_of(pill), f"uses {pill} without declaring it; Tableau would drop it")


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
    dashboards = {dashboard.name for dashboard in workbook.dashboards}
    for dashboard in root.findall("dashboards/dashboard"):
        place = f"dashboard {_name(dashboard)}"
        for name in dict.fromkeys(_name(zone) for zone in _sheet_zones(dashboard, _SHEET_OR_CARD)):
            if name not in sheets:
                yield Problem(place, "", f"shows the sheet {name}, which the workbook does not have")
    windows = root.findall("windows/window")
    for window in windows:
        if _name(window) not in sheets | dashboards:
            yield Problem("windows", "", f"a window shows {_name(window)}, which the workbook does not have")
        for viewpoint in window.findall("viewpoints/viewpoint"):
            if _name(viewpoint) not in sheets:
                message = f"a view of {_name(window)} shows {_name(viewpoint)}, which the workbook does not have"
                yield Problem("windows", "", message)
    for name in sorted((sheets | dashboards) - {_name(window) for window in windows}):
        yield Problem("windows", "", f"{name} has no window; Tableau would drop it")
    for action in root.findall("actions/action"):
        yield from _action_problems(action, sheets, dashboards, workbook)


def _action_problems(
    action: ET.Element, sheets: set[str], dashboards: set[str], workbook: Workbook
) -> Iterator[Problem]:
    place = f"action {action.get('caption') or _name(action)}"
    source = action.find("source")
    if source is not None:
        named = {source.get("dashboard", ""), source.get("worksheet", "")}
        named |= {_name(excluded) for excluded in source.findall("exclude-sheet")}
        for name in sorted(named - {""} - sheets - dashboards):
            yield Problem(place, "", f"starts from {name}, which the workbook does not have")
    captions = {caption for one in workbook.sources.values() for caption in one.captions.values()}
    captions |= {field for one in workbook.sources.values() for field in one.fields}
    for param in action.findall("command/param"):
        values = [value.strip() for value in param.get("value", "").split(",")]
        if _name(param) in ("target", "exclude"):
            # A name may itself hold a comma.
            for name in [] if param.get("value") in sheets | dashboards else values:
                if name not in sheets | dashboards:
                    yield Problem(place, "", f"acts on {name}, which the workbook does not have")
        elif _name(param) == "field-captions" and param.get("value") not in captions:
            for caption in values:
                if caption not in captions:
                    yield Problem(place, caption, f"highlights {caption}, which no data source has")


def _own_shape_problems(workbook: Workbook) -> Iterator[Problem]:
    """Yield what the workbook of callviz must have and a user's own need not."""
    names = {sheet.name for sheet in workbook.sheets}
    shown = {name for one in workbook.dashboards if one.name == DASHBOARD for name in one.sheets}
    if DASHBOARD not in {dashboard.name for dashboard in workbook.dashboards}:
        yield Problem("workbook", "", f"the dashboard {DASHBOARD} is missing")
    for name in (*SHEETS, HEADLINE):
        if name not in names:
            yield Problem("workbook", "", f"the sheet {name} is missing")
        elif name not in shown:
            yield Problem(f"dashboard {DASHBOARD}", "", f"does not show the sheet {name}")
    expected = {column.name: DATATYPES[column.kind] for column in LEADING}
    pinned = workbook.calls.pinned if workbook.calls else {}
    for name, datatype in expected.items():
        if pinned.get(name) != datatype:
            found = f"as {pinned[name]}" if name in pinned else "not at all"
            yield Problem("data source calls", name, f"pins {name} {found}; it must be {datatype}")
    if list(pinned)[: len(expected)] != list(expected) and pinned.keys() >= expected.keys():
        yield Problem("data source calls", "", f"pins the first columns in another order than {', '.join(expected)}")


# Packing


def _tags(name: str, text: str) -> Iterator[re.Match[str]]:
    """Yield the start tags of an element, whose quoted values may hold anything."""
    return re.finditer(rf"<{name}\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", text)


def _with_attribute(tag: str, name: str, value: str) -> str:
    quoted = f"{name}='{escape(value, {chr(39): '&apos;'})}'"
    changed, number = re.subn(rf"\b{name}=(?:\"[^\"]*\"|'[^']*')", lambda _: quoted, tag, count=1)
    return changed if number else tag.replace(" ", f" {quoted} ", 1)


def _packed_source(block: str, csv_columns: Mapping[str, Kind], source: str) -> str:
    """Return the text of a data source, changed to read the packed file; every column is pinned."""
    parsed = ET.fromstring(f"<x xmlns:user='user'>{block}</datasource></x>")
    _unfork(parsed)
    facts = _source(parsed[0])
    if facts.tables - {f"[{CSV_NAME}]"}:
        # Other tables stand beside it: they keep their columns, and only the folder is changed.
        if source == "hyper":
            raise WorkbookError(
                f"CALLVIZ_WORKBOOK_SOURCE=hyper takes a workbook whose data source has the one table {CSV_NAME}; "
                f"{facts.caption} has {', '.join(sorted(facts.tables))}."
            )
        return _connected(block, source)
    types = {name: facts.pinned.get(_local(name), DATATYPES[kind]) for name, kind in csv_columns.items()}
    if source == "csv":
        relation = "".join(
            f"<column datatype='{types[name]}' name='{_quoted(name)}' ordinal='{ordinal}' />\n"
            for ordinal, name in enumerate(csv_columns)
        )
        block = re.sub(
            r"(?P<indent>[ \t]*)(?P<open><columns\b[^>]*>).*?</columns>",
            lambda found: _laid_out(found["indent"], found["open"], relation, "</columns>"),
            block,
            flags=re.DOTALL,
        )
    block = re.sub(
        r"(?P<indent>[ \t]*)<metadata-records>(?P<records>.*?)</metadata-records>",
        lambda found: _laid_out(
            found["indent"],
            "<metadata-records>",
            _records(found["records"], types, source),
            "</metadata-records>",
        ),
        block,
        count=1,
        flags=re.DOTALL,
    )
    block = _connected(block, source)
    return block if source == "csv" else _hyper_relations(block)


def _connected(block: str, source: str) -> str:
    """Return a data source that looks for its file where the archive has it."""
    for tag in [tag.group() for tag in _tags("connection", block) if _reads_calls(tag.group())]:
        block = block.replace(tag, _with_attribute(tag, "directory", _FOLDER) if source == "csv" else _HYPER_CONNECTION)
    return block


_HYPER_CONNECTION = (
    "<connection authentication='auth-none' author-locale='en_US' class='hyper' "
    f"dbname='{_FOLDER}/{HYPER_NAME}' default-settings='yes' schema='Extract' sslmode='' "
    "username='tableau_internal_user' />"
)


def _hyper_relations(block: str) -> str:
    """Return a data source whose tables are the one of the .hyper file, under a connection named for its class."""

    def table(found: re.Match[str]) -> str:
        return f"<{found['tag']} connection={found['id']} name='Extract' table='[Extract].[Extract]' type='table' />"

    relation = (
        r"<(?P<tag>(?:_\.fcp\.[^\s>]*\.\.\.)?relation)\b[^>]*?\bconnection=(?P<id>'[^']*'|\"[^\"]*\")[^>]*>"
        r"\s*<columns\b.*?</columns>\s*</(?P=tag)>"
    )
    block = re.sub(relation, table, block, flags=re.DOTALL)
    return re.sub(r"(?<=['\"])textscan\.(?=\w+['\"])", "hyper.", block)


def _records(existing: str, types: Mapping[str, str], source: str) -> str:
    """Return the metadata records of a data source: those of its capabilities, then one for each column."""
    object_id = re.search(r"<([\w.]*object-id)>.*?</\1>", existing)
    parent = "[Extract]" if source == "hyper" else f"[{CSV_NAME}]"
    lines: list[str] = []
    if source == "csv":
        capability = re.search(
            r"<metadata-record class=['\"]capability['\"]>.*?</metadata-record>", existing, re.DOTALL
        )
        if capability:
            lines += [line.strip() for line in capability.group().splitlines()]
    for ordinal, (name, datatype) in enumerate(types.items()):
        lines += [
            "<metadata-record class='column'>",
            f"<remote-name>{_quoted(name)}</remote-name>",
            f"<remote-type>{_REMOTE_TYPES[datatype]}</remote-type>",
            f"<local-name>[{_quoted(_local(name))}]</local-name>",
            f"<parent-name>{parent}</parent-name>",
            f"<remote-alias>{_quoted(name)}</remote-alias>",
            f"<ordinal>{ordinal}</ordinal>",
            f"<local-type>{datatype}</local-type>",
            f"<aggregation>{_AGGREGATIONS.get(datatype, 'Count')}</aggregation>",
            *(("<scale>1</scale>", "<width>1073741823</width>") if datatype == "string" and source == "csv" else ()),
            "<contains-null>true</contains-null>",
            *((f"<collation flag='0' name='{_COLLATIONS[source]}' />",) if datatype == "string" else ()),
            *((object_id.group(),) if object_id else ()),
            "</metadata-record>",
        ]
    return "\n".join(lines) + "\n"


_COLLATIONS = {"csv": "LEN_RUS", "hyper": "LROOT"}


def _quoted(name: str) -> str:
    return escape(name, {"'": "&apos;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def _laid_out(indent: str, first: str, lines: str, last: str) -> str:
    """Return elements on lines of their own, indented below the first."""
    depth, out = 1, [indent + first]
    for line in lines.splitlines():
        closes = line.startswith("</")
        depth -= closes
        out.append(f"{indent}{'  ' * depth}{line}")
        depth += not closes and not line.endswith("/>") and "</" not in line
    return "\n".join([*out, indent + last])


def _member(name: str, size: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 0
    member.file_size = size
    return member
