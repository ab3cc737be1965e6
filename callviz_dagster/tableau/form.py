"""Whether a workbook has the form that Tableau Desktop opens: what an edit by hand breaks without breaking a name.

The rules come from workbooks that Desktop saved and from those that it refused. What belongs elsewhere: names that lead
nowhere, and whether the workbook fits `calls.csv` (`tableau/audit.py`).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from callviz_dagster.tableau.model import CSV_NAME, OBJECTS, PARAMETERS, bare, name_of

Finding = tuple[str, str, str]
"""Place, field and message."""

REMOTE_TYPES = {"boolean": 11, "integer": 20, "real": 5, "date": 133, "datetime": 135, "string": 129}
"""The number with which a metadata record of a text file states each data type."""
_TYPED_BY_FORMAT = 7
"""That of a date or time whose form a person stated."""

_DERIVATIONS = {
    **{"None": "none", "Sum": "sum", "Avg": "avg", "Count": "cnt", "CountD": "ctd", "Min": "min", "Max": "max"},
    **{"Median": "med", "User": "usr", "Attribute": "attr", "Year": "yr", "Quarter": "qr", "Month": "mn"},
    **{"Week": "wk", "Weekday": "wd", "Day": "dy", "Hour": "hr", "Minute": "mi", "Second": "sc"},
    **{"Year-Trunc": "tyr", "Quarter-Trunc": "tqr", "Month-Trunc": "tmn", "Week-Trunc": "twk", "Day-Trunc": "tdy"},
    **{"Hour-Trunc": "thr", "Minute-Trunc": "tmi", "Second-Trunc": "tsc", "MDY": "md", "MY": "my"},
    **{"ISO-Year": "iyr", "ISO-Quarter": "iqr", "ISO-Week": "iwk", "ISO-Weekday": "iwd", "Stdev": "std"},
    **{"StdevP": "stp", "Var": "var", "VarP": "vrp", "InOut": "io", "Collect": "clct"},
}
"""Derivations of a field and the prefix of a pill with each."""
_SUFFIXES = {"nominal": "nk", "ordinal": "ok", "quantitative": "qk"}
_INSTANCE = re.compile(r"(?P<prefix>[a-z]+):(?P<field>.+):(?P<suffix>[noq]k)(?::\d+)?")

_ALLOWED: Mapping[tuple[str, str], frozenset[str]] = {
    ("mark", "class"): frozenset(
        (
            *("Automatic", "Area", "Bar", "Circle", "Density", "Gantt", "GanttBar", "Heatmap", "Line", "Map"),
            *("Multipolygon", "Pie", "Polygon", "Shape", "Square", "Text", "VizExtension"),
        )
    ),
    ("column", "datatype"): frozenset((*REMOTE_TYPES, "table", "spatial", "tuple", "unknown")),
    ("column", "role"): frozenset(("dimension", "measure", "unknown")),
    ("column", "type"): frozenset((*_SUFFIXES, "unknown")),
    ("computed-sort", "direction"): frozenset(("ASC", "DESC")),
    ("manual-sort", "direction"): frozenset(("ASC", "DESC")),
    ("filter", "class"): frozenset(("categorical", "quantitative", "relative-date")),
    ("size", "sizing-mode"): frozenset(("automatic", "fixed", "range", "vscroll")),
}
"""Values that an attribute of an element may have; another one is refused, or dropped without a word."""

_FEATURES = {
    "SortTagCleanup": "worksheets//computed-sort|worksheets//manual-sort|worksheets//natural-sort",
    "SheetIdentifierTracking": "worksheets/worksheet/simple-id",
    "WindowsPersistSimpleIdentifiers": "windows/window/simple-id",
    "ObjectModelEncapsulateLegacy": "datasources/datasource/object-graph",
    "SchemaViewerObjectModel": "datasources/datasource/object-graph",
    "ObjectModelTableType": "datasources/datasource/column[@datatype='table']",
    "ExplainData_AuthorControls": "explain-data",
}
"""What a workbook's manifest must name where it has one of these elements."""
_PARTS = ("table", "table/view", "table/view/datasources", "table/view/aggregation", "table/panes", "table/rows")
_UUID = re.compile(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}")


def form_problems(root: ET.Element) -> Iterator[Finding]:
    """Yield what is wrong with a workbook's form: place, field and message."""
    yield from _manifest_problems(root)
    yield from _duplicates(root)
    for source in root.findall("datasources/datasource"):
        yield from _source_problems(source)
    shared = [
        (name_of(view), one.get("column", ""))
        for view in root.findall("shared-views/shared-view")
        for one in view.findall("filter")
    ]
    for sheet in root.findall("worksheets/worksheet"):
        yield from _sheet_problems(sheet, shared)
    for place, view in _views(root):
        yield from _value_problems(place, view)
        yield from _instance_problems(place, view)
        yield from _filter_problems(place, view)
    for dashboard in root.findall("dashboards/dashboard"):
        yield from _dashboard_problems(dashboard)
    for window in root.findall("windows/window"):
        yield from _window_problems(window, root)
    for action in root.iterfind("dashboards//action"):
        yield "dashboards", "", f"the action {action.get('caption')} stands in a dashboard, not beside them"


def _views(root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    for source in root.findall("datasources/datasource"):
        yield f"data source {source.get('caption') or name_of(source)}", source
    for view in root.findall("shared-views/shared-view"):
        yield "filters on all sheets", view
    for sheet in root.findall("worksheets/worksheet"):
        yield f"sheet {name_of(sheet)}", sheet
    for dashboard in root.findall("dashboards/dashboard"):
        yield f"dashboard {name_of(dashboard)}", dashboard


def _manifest_problems(root: ET.Element) -> Iterator[Finding]:
    manifest = root.find("document-format-change-manifest")
    named = {feature.tag for feature in manifest} if manifest is not None else set()
    if "ManifestByVersion" in named:
        return
    for feature, paths in _FEATURES.items():
        if feature not in named and any(root.find(path) is not None for path in paths.split("|")):
            yield "workbook", "", f"uses a feature that its manifest does not name: {feature}"


def _duplicates(root: ET.Element) -> Iterator[Finding]:
    named = {
        "data source": [name_of(one) for one in root.findall("datasources/datasource")],
        "sheet": [name_of(one) for one in root.findall("worksheets/worksheet")],
        "dashboard": [name_of(one) for one in root.findall("dashboards/dashboard")],
        "window": [name_of(one) for one in root.findall("windows/window")],
        "action": [name_of(one) for one in root.findall("actions/action")],
        "identifier": [one.get("uuid", "") for one in root.iter("simple-id")],
    }
    for what, names in named.items():
        for name in _repeated(names):
            yield "workbook", "", f"has the {what} {name} twice"
    for identifier in named["identifier"]:
        if not _UUID.fullmatch(identifier):
            yield "workbook", "", f"has an identifier that is none: {identifier or 'empty'}"


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, number in Counter(names).items() if number > 1]


# Data sources


def _source_problems(source: ET.Element) -> Iterator[Finding]:
    place = f"data source {source.get('caption') or name_of(source)}"
    for name in _repeated(name_of(column) for column in source.findall("column")):
        yield place, bare(name), f"has the field {bare(name)} twice"
    for calculation in source.iterfind("column/calculation[@class='bin']"):
        if not (calculation.get("size") or calculation.get("size-parameter")):
            yield place, "", "has a bin without a size"
    if name_of(source) != PARAMETERS and source.find("connection") is not None:
        yield from _connection_problems(place, source)


def _connection_problems(place: str, source: ET.Element) -> Iterator[Finding]:
    connections = {name_of(one) for one in source.iterfind("connection/named-connections/named-connection")}
    relations = [one for one in source.iter("relation") if one.get("type") == "table"]
    for name in sorted({one.get("connection", "") for one in relations} - connections):
        yield place, "", f"reads a table through the connection {name}, which it does not have"
    for one in source.iterfind("connection/named-connections/named-connection/connection"):
        folder = one.get("directory", "")
        if "\\" in folder:
            yield place, "", f"names a folder with backslashes: {folder}; Tableau Desktop writes /"
        if one.get("filename") != CSV_NAME and re.match(r"[A-Za-z]:|/", folder):
            yield place, "", f"reads {one.get('filename')} from {folder}, which other computers do not have"
    yield from _record_problems(place, source, relations)
    yield from _object_problems(place, source)


def _object_problems(place: str, source: ET.Element) -> Iterator[Finding]:
    objects = {one.get("id", "") for one in source.iterfind("object-graph/objects/object")}
    used = {bare(one.text or "") for one in source.iter("object-id")}
    used |= {
        name_of(column).rpartition("].[")[2].rstrip("]")
        for column in source.findall("column")
        if OBJECTS in name_of(column)
    }
    for name in sorted(used - objects):
        yield place, "", f"names the table {name}, which its object graph does not have"


def _record_problems(place: str, source: ET.Element, relations: list[ET.Element]) -> Iterator[Finding]:
    """Yield where the lists of columns differ: those of the tables, and the metadata records."""
    lists = [one.findall("columns/column") for one in relations if one.find("columns") is not None]
    if not lists:
        return
    first = {name_of(column): column.get("datatype", "") for column in lists[0]}
    yield from _list_problems(place, lists)
    found = source.findall("connection/metadata-records/metadata-record[@class='column']")
    records = {record.findtext("remote-name", ""): record for record in found}
    if not records:
        yield place, "", "has no metadata records, without which Tableau Desktop cannot open a text file"
    for name in sorted(first.keys() - records.keys()) if records else ():
        yield place, name, f"has no metadata record of the column {name}"
    for name, record in records.items():
        yield from _type_problems(place, name, record, first.get(name))


def _list_problems(place: str, lists: list[list[ET.Element]]) -> Iterator[Finding]:
    tables = [{name_of(column): column.get("datatype", "") for column in columns} for columns in lists]
    if not tables[0]:
        yield place, "", "lists no columns of its table"
    if len(tables) == 2 and tables[0] != tables[1]:
        yield place, "", "lists the columns of its table in two places, and they differ"
    if any([one.get("ordinal") for one in columns] != [str(at) for at in range(len(columns))] for columns in lists):
        yield place, "", "does not number the columns of a table from 0"


def _type_problems(place: str, name: str, record: ET.Element, pinned: str | None) -> Iterator[Finding]:
    local, remote = record.findtext("local-type", ""), record.findtext("remote-type", "")
    if pinned not in (None, local):
        yield place, name, f"reads {name} as {pinned}, and its metadata record says {local}"
    if local in REMOTE_TYPES and remote not in (str(REMOTE_TYPES[local]), str(_TYPED_BY_FORMAT)):
        yield place, name, f"has a metadata record of {name} with the number {remote}, which does not mean {local}"


# Sheets


def _sheet_problems(sheet: ET.Element, shared: list[tuple[str, str]]) -> Iterator[Finding]:
    place = f"sheet {name_of(sheet)}"
    for part in (*_PARTS, "table/cols"):
        if sheet.find(part) is None:
            yield place, "", f"lacks <{part.rpartition('/')[2]}>, without which Tableau Desktop refuses it"
    yield from _shelf_problems(place, sheet)
    sources = {name_of(one) for one in sheet.findall("table/view/datasources/datasource")}
    slices = {one.text for one in sheet.findall("table/view/slices/column")}
    for source, column in shared:
        if source in sources and column not in slices:
            pill = column.rpartition("].[")[2].rstrip("]")
            yield place, pill, f"is not filtered by {pill}, a filter on all sheets: its slices do not name it"


def _shelf_problems(place: str, sheet: ET.Element) -> Iterator[Finding]:
    for shelf in ("rows", "cols"):
        text = re.sub(r"\[[^\[\]]*\]", "", sheet.findtext(f"table/{shelf}", ""))
        if "[" in text or "]" in text or text.count("(") != text.count(")"):
            yield place, "", f"has brackets on its {shelf} that do not fit together"
    for encodings in sheet.iterfind("table/panes/pane/encodings"):
        if encodings.find("detail") is not None:
            yield place, "", "has <detail> among its marks; Tableau Desktop calls it <lod>"


def _value_problems(place: str, view: ET.Element) -> Iterator[Finding]:
    for element in view.iter():
        for (tag, attribute), allowed in _ALLOWED.items():
            value = element.get(attribute)
            if element.tag == tag and value is not None and value not in allowed:
                yield place, bare(name_of(element)), f"has <{tag} {attribute}='{value}'>, which Tableau does not know"


def _instance_problems(place: str, view: ET.Element) -> Iterator[Finding]:
    """Yield pills whose name, derivation and type contradict each other; Tableau reads them as another field."""
    for instance in view.iter("column-instance"):
        name, derivation = bare(name_of(instance)), instance.get("derivation", "")
        parts = _INSTANCE.fullmatch(name)
        if derivation not in _DERIVATIONS:
            yield place, name, f"has the pill {name} with the derivation {derivation}, which Tableau does not know"
        elif parts and parts["prefix"] != _DERIVATIONS[derivation]:
            yield place, name, f"has the pill {name}, whose name does not fit its derivation {derivation}"
        if parts and parts["suffix"] != _SUFFIXES.get(instance.get("type", ""), parts["suffix"]):
            yield place, name, f"has the pill {name}, whose name does not fit its type {instance.get('type')}"
        if parts and parts["field"] != bare(instance.get("column", "")):
            yield place, name, f"has the pill {name} of another field, {bare(instance.get('column', ''))}"


def _filter_problems(place: str, view: ET.Element) -> Iterator[Finding]:
    for one in view.iter("filter"):
        pill = bare(one.get("column", "").rpartition(".")[2])
        for group in one.iter("groupfilter"):
            if group.get("level") and bare(group.get("level", "")) != pill:
                yield place, pill, f"filters {pill} by the values of another field, {bare(group.get('level', ''))}"
        low, high = one.findtext("min"), one.findtext("max")
        if low and high and low.startswith("#") and high.startswith("#") and low > high:
            yield place, pill, f"filters {pill} from {low} to {high}, which leaves nothing"


# Dashboards and windows


def _dashboard_problems(dashboard: ET.Element) -> Iterator[Finding]:
    place = f"dashboard {name_of(dashboard)}"
    for layout in (*dashboard.findall("zones"), *dashboard.findall("devicelayouts/devicelayout/zones")):
        for number in _repeated(zone.get("id", "") for zone in layout.iter("zone")):
            yield place, "", f"has two zones with the number {number}"
        for zone in layout.iter("zone"):
            yield from _zone_problems(place, zone, dashboard)
    layouts = dashboard.find("devicelayouts")
    if layouts is not None and not len(layouts):
        yield place, "", "has an empty list of device layouts"
    size = dashboard.find("size")
    if size is not None:
        yield from _size_problems(place, size)


def _size_problems(place: str, size: ET.Element) -> Iterator[Finding]:
    for side in ("width", "height"):
        bounds = [size.get(f"{bound}{side}", "0") for bound in ("min", "max")]
        if not all(bound.isdecimal() for bound in bounds):
            yield place, "", f"has a {side} that is no number"
        elif 0 < int(bounds[1]) < int(bounds[0]):
            yield place, "", f"has a least {side} above its greatest"


def _zone_problems(place: str, zone: ET.Element, dashboard: ET.Element) -> Iterator[Finding]:
    kind = zone.get("type-v2")
    if kind == "worksheet":
        yield place, "", f"shows {name_of(zone)} in a zone of a type; a zone that shows a sheet has none"
    if kind in ("filter", "color", "paramctrl", "highlighter"):
        owner, _, pill = zone.get("param", "").rpartition("].[")
        declared = {
            name_of(item)
            for block in dashboard.findall("datasource-dependencies")
            if block.get("datasource") == owner.lstrip("[")
            for item in block
        }
        if not pill:
            yield place, "", f"has a card of type {kind} that names no field"
        elif kind in ("filter", "paramctrl") and f"[{pill}" not in declared:
            yield place, pill.rstrip("]"), f"has a card of {pill.rstrip(']')} without declaring it"


def _window_problems(window: ET.Element, root: ET.Element) -> Iterator[Finding]:
    name = name_of(window)
    dashboards = {name_of(one): one for one in root.findall("dashboards/dashboard")}
    if window.get("class") == "dashboard" and name in dashboards:
        shown = {
            name_of(zone)
            for zone in dashboards[name].iterfind("zones//zone")
            if zone.get("name") and zone.get("type-v2") is None
        }
        views = {name_of(one) for one in window.findall("viewpoints/viewpoint")}
        for sheet in sorted(shown - views):
            yield "windows", "", f"the window of {name} has no viewpoint of {sheet}"
    if window.get("class") == "worksheet" and window.find("cards") is None:
        yield "windows", "", f"the window of {name} has no cards"
