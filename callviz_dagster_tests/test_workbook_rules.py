"""The shipped workbook, rule by rule: what Tableau Desktop asks of a workbook that it did not write itself.

The official schema catches few of the ways in which a workbook breaks or is silently damaged when it is opened. Each
rule here is one of the others, as seen in workbooks that Desktop saved.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import bson
import pytest
from lxml import etree

from callviz_dagster.contract import LEADING, UNKNOWN, WEEKDAYS, Kind
from callviz_dagster.dashboard import charts, counts
from callviz_dagster.demo.sample_calls import sample_batches
from callviz_dagster.documents import outcomes
from callviz_dagster.documents.labels import known_label
from callviz_dagster.tableau.model import DASHBOARD, DATATYPES, HEADLINE, SHEETS
from callviz_dagster.tableau.pack import prepare_workbook
from callviz_dagster_tests.helpers.tableau import KINDS, SCHEMA_VERSIONS, schema_errors
from callviz_dagster_tests.helpers.workbook_rules import REFERENCE, ROOT, SOURCE, XML, bare, fields, sheet, shelf

TEXT = XML.decode()
DS = SOURCE.get("name")
ALL_SHEETS = (*SHEETS, HEADLINE)

REMOTE_TYPES = {"string": "129", "integer": "20", "real": "5", "date": "133", "datetime": "135"}
DERIVATIONS = {"none": "None", "usr": "User", "tdy": "Day-Trunc", "attr": "Attribute"}
SUFFIXES = {"nk": "nominal", "ok": "ordinal", "qk": "quantitative"}
PILL = re.compile(r"(\w+):(.+):(nk|ok|qk)")
GUID = re.compile(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}")


def dashboard() -> etree._Element:
    return ROOT.xpath("dashboards/dashboard")[0]


def views() -> Iterator[tuple[str, etree._Element]]:
    """Yield all parts that declare what they use."""
    for one in ROOT.findall("worksheets/worksheet"):
        yield one.get("name"), one
    yield DASHBOARD, dashboard()
    yield "shared view", ROOT.find("shared-views/shared-view")


def declared(view: etree._Element, source: str = DS) -> dict[str, etree._Element]:
    """Return the columns and pills that a view declares."""
    blocks = view.xpath(".//datasource-dependencies[@datasource=$source]", source=source)
    return {bare(item.get("name")): item for block in blocks for item in block}


def pills(view: etree._Element) -> list[tuple[str, str]]:
    """Return the (data source, pill) pairs that a view names anywhere, outside its declarations."""
    pills_of_shelf = []
    for element in view.iter():
        if element.xpath("ancestor-or-self::datasource-dependencies"):
            continue
        for text in (element.text or "", *element.attrib.values()):
            pills_of_shelf += REFERENCE.findall(text)
    return pills_of_shelf


def formula_names(formula: str) -> set[str]:
    """Return the fields in a formula, parameters with their data source."""
    text = re.sub(r"\"[^\"]*\"|'[^']*'", "", formula)
    parameters = set(re.findall(r"\[Parameters\]\.\[[^\]]+\]", text))
    return parameters | set(re.findall(r"\[([^\]]+)\]", re.sub(r"\[Parameters\]\.\[[^\]]+\]", "", text)))


def q(pill: str) -> str:
    return f"[{DS}].[{pill}]"


# X: the file


def test_x1_is_utf8_and_written_as_desktop_writes() -> None:
    assert TEXT.startswith("<?xml version='1.0' encoding='utf-8' ?>\n")
    assert "\r" not in TEXT
    assert "\t" not in TEXT
    for tag in re.findall(r"<[a-z][^>]*>", TEXT):
        names = re.findall(r" ([\w:-]+)='", tag)
        assert '"' not in re.sub(r"'[^']*'", "", tag), tag
        assert [name for name in names if not name.startswith("xmlns")] == sorted(
            name for name in names if not name.startswith("xmlns")
        ), tag


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_x2_the_official_schemas_accept_it(version: str) -> None:
    assert schema_errors(XML, version) == []


def test_x3_the_manifest_names_the_feature_of_each_construct() -> None:
    manifest = {element.tag for element in ROOT.find("document-format-change-manifest")}
    constructs = {
        "SortTagCleanup": "//computed-sort | //manual-sort",
        "SheetIdentifierTracking": "//worksheet/simple-id",
        "WindowsPersistSimpleIdentifiers": "//window/simple-id",
        "ObjectModelEncapsulateLegacy": "//object-graph",
        "SchemaViewerObjectModel": "//object-graph",
        "ObjectModelTableType": "//column[@datatype='table']",
        "ExplainData_AuthorControls": "//explain-data",
        "ExplainData_NullValueExplanation": "//explain-data",
        "IntuitiveSorting": "//shelf-sorts",
        "AccessibleZoneTabOrder": "//*[@enable-sort-zone-taborder]",
        "AutoCreateAndUpdateDSDPhoneLayouts": "//devicelayout[@auto-generated]",
        "MarkAnimation": "//style-rule[@element='animation']",
    }
    assert manifest == {feature for feature, path in constructs.items() if ROOT.xpath(path)}


def test_x3_all_versions_agree() -> None:
    versions = {ROOT.get("version"), ROOT.get("original-version")}
    versions |= {source.get("version") for source in ROOT.findall("datasources/datasource")}
    assert versions == {"18.1"}


# D: the data source


def test_d1_names_are_unique_and_the_relation_has_its_connection() -> None:
    names = [source.get("name") for source in ROOT.findall("datasources/datasource")]
    assert names == ["Parameters", DS]
    (connection,) = SOURCE.xpath("connection/named-connections/named-connection/@name")
    assert {relation.get("connection") for relation in SOURCE.iter("relation")} == {connection}
    assert re.fullmatch(r"federated\.[0-9a-z]{28}", DS)
    assert re.fullmatch(r"textscan\.[0-9a-z]{28}", connection)


def test_d2_every_leading_column_is_pinned_three_times_alike() -> None:
    expected = [(column.name, DATATYPES[column.kind]) for column in LEADING]
    for relation in SOURCE.iter("relation"):
        assert relation.get("table") == "[calls#csv]"
        columns = relation.findall("columns/column")
        assert [(column.get("name"), column.get("datatype")) for column in columns] == expected
        assert [column.get("ordinal") for column in columns] == [str(n) for n in range(len(expected))]
        assert dict(relation.find("columns").attrib) == {
            "character-set": "UTF-8",
            "header": "yes",
            "locale": "en_US",
            "separator": ",",
        }
    records = SOURCE.findall("connection/metadata-records/metadata-record[@class='column']")
    assert [(record.findtext("remote-name"), record.findtext("local-type")) for record in records] == expected
    for number, record in enumerate(records):
        assert record.findtext("ordinal") == str(number)
        assert record.findtext("local-name") == f"[{record.findtext('remote-name')}]"
        assert record.findtext("parent-name") == "[calls.csv]"
        assert record.findtext("remote-type") == REMOTE_TYPES[record.findtext("local-type")]
    assert [(name, fields()[name].get("datatype")) for name, _ in expected] == expected


def test_d2_the_text_file_is_described_without_a_guess() -> None:
    record = SOURCE.find("connection/metadata-records/metadata-record")
    assert record.get("class") == "capability"
    values = {item.get("name"): item.text for item in record.iter("attribute")}
    assert values == {
        "character-set": '"UTF-8"',
        "collation": '"en_US"',
        "field-delimiter": '","',
        "header-row": '"true"',
        "locale": '"en_US"',
        "single-char": '""',
    }


def test_d3_one_object_id_and_the_relation_repeated_identically() -> None:
    (one,) = SOURCE.findall("object-graph/objects/object")
    assert re.fullmatch(r"calls\.csv_[0-9A-F]{32}", one.get("id"))
    assert {element.text for element in SOURCE.iter("object-id")} == {f"[{one.get('id')}]"}
    assert f"__tableau_internal_object_id__].[{one.get('id')}" in fields()
    first, second = (etree.tostring(relation, method="c14n").split() for relation in SOURCE.iter("relation"))
    assert first == second


def test_d4_role_type_and_data_type_fit() -> None:
    allowed = {
        ("string", "dimension", "nominal"),
        ("boolean", "dimension", "nominal"),
        ("date", "dimension", "ordinal"),
        ("datetime", "dimension", "ordinal"),
        ("integer", "dimension", "ordinal"),
        ("integer", "measure", "quantitative"),
        ("real", "measure", "quantitative"),
        ("table", "measure", "quantitative"),
    }
    for name, column in fields().items():
        assert (column.get("datatype"), column.get("role"), column.get("type")) in allowed, name


def test_d4_every_column_has_a_caption_a_format_and_its_meaning_from_the_contract() -> None:
    for column in LEADING:
        pinned = fields()[column.name]
        assert pinned.get("caption")
        assert "".join(pinned.find("desc").itertext()).strip() == column.meaning
        assert (pinned.get("default-format") is not None) == (column.kind is not Kind.TEXT), column.name
    for name, field in fields().items():
        if field.find("calculation") is not None:
            assert "".join(field.find("desc").itertext()).strip(), name


def test_d5_formulas_name_fields_that_exist() -> None:
    parameters = {column.get("name") for column in ROOT.find("datasources/datasource").findall("column")}
    known = fields().keys() | {f"[Parameters].{name}" for name in parameters}
    for name, column in fields().items():
        calculation = column.find("calculation")
        if calculation is not None:
            assert formula_names(calculation.get("formula")) <= known, name


def test_d5_formulas_have_no_circles() -> None:
    def depth(name: str, path: tuple[str, ...] = ()) -> int:
        assert name not in path, path
        calculation = fields()[name].find("calculation") if name in fields() else None
        if calculation is None:
            return 0
        return 1 + max((depth(other, (*path, name)) for other in formula_names(calculation.get("formula"))), default=0)

    assert max(map(depth, fields())) < 6


def test_d5_bins_are_over_a_number_with_a_size() -> None:
    (column,) = [one for one in fields().values() if one.find("calculation[@class='bin']") is not None]
    calculation = column.find("calculation")
    assert fields()[bare(calculation.get("formula"))].get("datatype") == "real"
    assert calculation.get("size-parameter") == "[Parameters].[Parameter 1]"
    assert calculation.get("peg") == "0"
    assert column.get("role") == "dimension"


def test_d6_the_colour_map_names_a_declared_pill_without_the_data_source() -> None:
    (encoding,) = SOURCE.findall("style/style-rule/encoding")
    assert encoding.get("field") == "[none:call_type:nk]"
    assert SOURCE.xpath("column-instance/@name") == ["[none:call_type:nk]"]
    palettes = ROOT.xpath("preferences/color-palette/@name")
    assert encoding.get("palette") in palettes


# C: the data file


def test_c1_the_data_lie_beside_the_workbook() -> None:
    (connection,) = SOURCE.xpath(".//named-connection/connection")
    assert (connection.get("directory"), connection.get("filename")) == ("", "calls.csv")
    assert "\\" not in TEXT
    assert not re.search(r"[A-Z]:/|'/(?:home|Users|tmp|root)", TEXT)
    assert "http" not in TEXT.replace("http://www.tableausoftware.com/xml/user", "")


def test_c1_inside_the_package_they_lie_where_desktop_puts_them() -> None:
    (connection,) = etree.fromstring(prepare_workbook(XML, KINDS)).xpath(".//named-connection/connection")
    assert (connection.get("directory"), connection.get("filename")) == ("Data/calls", "calls.csv")


def test_c2_the_pinned_columns_are_the_first_of_every_header() -> None:
    pinned = SOURCE.xpath("connection/relation/columns/column/@name")
    assert pinned == list(KINDS)[: len(pinned)]
    inside = etree.fromstring(prepare_workbook(XML, KINDS)).xpath(".//connection/relation/columns/column/@name")
    assert inside == list(KINDS)


def test_c4_the_colour_map_covers_the_types_of_the_sample_calls() -> None:
    colours = {bucket.text.strip('"') for bucket in SOURCE.iter("bucket")}
    calls = [bson.decode(call) for batch in sample_batches(2_000, end=dt.date(2024, 6, 1)) for call in batch]
    types = {call.get("call_type") for call in calls}
    labels = {known_label("call_type", one) or one for one in types if isinstance(one, str) and one.strip()}
    assert labels
    assert labels | {UNKNOWN} <= colours
    assert all(known_label("call_type", label) == label for label in colours)


# W: worksheets


def test_w1_sheets_have_unique_names_and_all_parts() -> None:
    names = [one.get("name") for one in ROOT.findall("worksheets/worksheet")]
    assert len({name.casefold() for name in names}) == len(names)
    for one in ROOT.findall("worksheets/worksheet"):
        for part in (
            "table/view",
            "table/view/aggregation",
            "table/style",
            "table/panes/pane",
            "table/rows",
            "table/cols",
        ):
            assert one.find(part) is not None, (one.get("name"), part)
        assert one.findtext("layout-options/title/formatted-text/run") == one.get("name")
        assert one.find("table/view/aggregation").get("value") == "true"


def test_w2_views_list_the_data_sources_they_depend_on() -> None:
    for name, view in views():
        listed = {source.get("name") for source in view.xpath(".//datasources/datasource")}
        needed = {block.get("datasource") for block in view.iter("datasource-dependencies")}
        assert needed == listed, name
        assert listed <= {"Parameters", DS}


def test_w3_every_pill_has_its_column_beside_it() -> None:
    for name, view in views():
        beside = declared(view)
        for instance in view.iter("column-instance"):
            assert bare(instance.get("column")) in beside, (name, instance.get("name"))
            assert bare(instance.get("column")) in fields(), (name, instance.get("name"))


def test_w4_names_of_pills_agree_with_what_they_are() -> None:
    for name, view in views():
        for instance in view.iter("column-instance"):
            prefix, field, suffix = PILL.fullmatch(bare(instance.get("name"))).groups()  # type: ignore[union-attr]
            assert instance.get("derivation") == DERIVATIONS[prefix], name
            assert instance.get("type") == SUFFIXES[suffix], name
            assert instance.get("column") == f"[{field}]", name
            column = fields()[field]
            formula = column.find("calculation").get("formula") if column.find("calculation") is not None else ""
            aggregated = bool(re.search(r"\b(COUNTD?|SUM|MIN|MAX|MEDIAN|ZN)\(", formula))
            # A field whose formula aggregates, or is made of one that does, is used as it stands.
            made_of = {other for other in formula_names(formula) if other.startswith("Calculation_")}
            aggregated = aggregated or any(
                "COUNT(" in fields()[other].find("calculation").get("formula") for other in made_of
            )
            assert (prefix == "usr") == (aggregated and column.get("role") == "measure"), (name, instance.get("name"))
            if prefix == "tdy":
                assert column.get("datatype") in ("date", "datetime")


def test_w5_declared_columns_repeat_the_definition() -> None:
    for name, view in views():
        for field, item in declared(view).items():
            if item.tag != "column":
                continue
            original = fields()[field]
            assert dict(item.attrib) == dict(original.attrib), (name, field)
            for one in item.xpath("calculation"):
                assert (
                    etree.tostring(one, method="c14n").split()
                    == etree.tostring(original.find("calculation"), method="c14n").split()
                )


def test_w5_declared_formulas_bring_along_what_they_need() -> None:
    for name, view in views():
        beside = declared(view)
        parameters = {f"[Parameters].[{bare(one)}]" for one in declared(view, "Parameters")}
        for field, item in beside.items():
            for calculation in item.xpath("calculation"):
                assert formula_names(calculation.get("formula")) <= beside.keys() | parameters, (name, field)


def test_w5_nothing_is_declared_that_is_not_used() -> None:
    for one in ROOT.findall("worksheets/worksheet"):
        used = {pill for source, pill in pills(one) if source == DS}
        instances = {bare(instance.get("name")) for instance in one.iter("column-instance")}
        assert instances <= used, one.get("name")


def test_w6_every_pill_that_is_used_is_declared() -> None:
    for name, view in views():
        for source, pill in pills(view):
            if source == "Parameters":
                assert pill in declared(view, "Parameters"), (name, pill)
            else:
                assert source == DS, (name, source)
                assert pill in declared(view), (name, pill)


def test_w7_shelves_are_pills_nested_in_brackets() -> None:
    one = rf"\[{re.escape(DS)}\]\.\[[^\]]+\]"
    for name in ALL_SHEETS:
        for which in ("rows", "cols"):
            assert re.fullmatch(rf"|{one}|\({one} / \({one} / {one}\)\)|\({one} \+ {one}\)", shelf(name, which)), (
                name,
                which,
            )


def test_w8_tooltips_show_what_is_on_the_sheet_in_words() -> None:
    for name in ALL_SHEETS:
        table = sheet(name).find("table")
        on_marks = {e.get("column") for e in table.findall("panes/pane/encodings/*")}
        on_shelves = {f"[{s}].[{p}]" for which in ("rows", "cols") for s, p in REFERENCE.findall(shelf(name, which))}
        runs = table.findall("panes/pane/customized-tooltip/formatted-text/run")
        shown = {run.text[1:-1] for run in runs if run.text.startswith("<")}
        assert shown, name
        assert shown <= on_marks | on_shelves, name
        tooltip_text = "".join(run.text for run in runs if not run.text.startswith("<"))
        assert "calls" in tooltip_text, name


# F: filters


def test_f1_the_shared_filters_reach_every_sheet() -> None:
    shared = [one.get("column") for one in ROOT.findall("shared-views/shared-view/filter")]
    assert shared == [q("none:call_date:qk"), q("none:call_type:nk"), q("none:status:nk")]
    assert ROOT.find("shared-views/shared-view").get("name") == DS
    for name in ALL_SHEETS:
        slices = [column.text for column in sheet(name).findall("table/view/slices/column")]
        own = [one.get("column") for one in sheet(name).findall("table/view/filter")]
        assert set(slices) == {*shared, *own}, name
        assert not set(own) & set(shared), name


def test_f1_levels_are_those_of_their_filter() -> None:
    for one in ROOT.iter("filter"):
        for level in one.xpath(".//groupfilter/@level"):
            assert one.get("column") == f"[{DS}].{level}"


# B: the dashboard


def zones() -> list[etree._Element]:
    return list(dashboard().find("zones").iter("zone"))


def phone_zones() -> list[etree._Element]:
    (phone,) = dashboard().findall("devicelayouts/devicelayout")
    assert phone.get("name") == "Phone"
    return list(phone.iter("zone"))


def test_b1_the_phone_layout_shows_everything_below_each_other() -> None:
    (column,) = [zone for zone in phone_zones() if zone.get("type-v2") == "layout-flow"]
    assert column.get("param") == "vert"
    main = {zone.get("id"): zone for zone in zones()}
    for zone in column.findall("zone"):
        same = main[zone.get("id")]
        assert [zone.get(name) for name in ("name", "param", "type-v2", "mode")] == [
            same.get(name) for name in ("name", "param", "type-v2", "mode")
        ]
    assert {zone.get("name") for zone in column.findall("zone") if zone.get("type-v2") is None} == set(ALL_SHEETS)
    assert {zone.get("param") for zone in phone_zones() if zone.get("type-v2") == "filter"} == {
        zone.get("param") for zone in zones() if zone.get("type-v2") == "filter"
    }


@pytest.mark.parametrize("of_layout", [zones, phone_zones])
def test_b1_zones_are_numbered_once_and_name_sheets(of_layout: Callable[[], list[etree._Element]]) -> None:
    numbers = [zone.get("id") for zone in of_layout()]
    assert len(set(numbers)) == len(numbers)
    for zone in of_layout():
        assert zone.get("type-v2") != "worksheet"
        assert zone.get("name") is None or zone.get("name") in ALL_SHEETS


@pytest.mark.parametrize("of_layout", [zones, phone_zones])
def test_b1_zones_lie_inside_their_parents_and_beside_each_other(of_layout: Callable[[], list[etree._Element]]) -> None:
    def box(zone: etree._Element) -> tuple[int, int, int, int]:
        x, y, w, h = (int(zone.get(name)) for name in "xywh")
        return x, y, x + w, y + h

    for zone in of_layout():
        children = zone.findall("zone")
        left, top, right, bottom = box(zone)
        for child in children:
            a, b, c, d = box(child)
            assert left <= a < c <= right, child.get("id")
            assert top <= b < d <= bottom, child.get("id")
        for one, other in pairwise(children):
            if zone.get("param") == "horz":
                assert box(one)[2] == box(other)[0]
            else:
                assert box(one)[3] == box(other)[1]
    assert box(of_layout()[0]) == (0, 0, 100_000, 100_000)


def test_b1_cards_belong_to_a_sheet_and_have_what_they_need() -> None:
    for zone in zones():
        kind = zone.get("type-v2")
        if kind == "filter":
            assert zone.get("param") in {one.get("column") for one in ROOT.findall("shared-views/shared-view/filter")}
            assert zone.get("values") == "database"
            assert REFERENCE.fullmatch(zone.get("param")).group(2) in declared(dashboard())  # type: ignore[union-attr]
        if kind == "color":
            assert zone.get("pane-specification-id") == "0"
        if kind == "paramctrl":
            assert zone.get("mode")
            assert REFERENCE.fullmatch(zone.get("param")).group(2) in declared(  # type: ignore[union-attr]
                dashboard(), "Parameters"
            )


def test_b1_the_size_fits_a_laptop() -> None:
    size = {name: int(value) for name, value in dashboard().find("size").attrib.items() if name != "sizing-mode"}
    assert dashboard().find("size").get("sizing-mode") == "range"
    assert size["minwidth"] <= 1280 <= size["maxwidth"]
    assert size["minheight"] <= 640 <= size["maxheight"]


# N: windows and identifiers


def test_n1_a_window_for_each_sheet_and_the_dashboard() -> None:
    windows = {(window.get("class"), window.get("name")): window for window in ROOT.findall("windows/window")}
    assert set(windows) == {("dashboard", DASHBOARD), *(("worksheet", name) for name in ALL_SHEETS)}
    overview = windows["dashboard", DASHBOARD]
    assert {one.get("name") for one in overview.findall("viewpoints/viewpoint")} == set(ALL_SHEETS)
    assert overview.get("maximized") == "true"
    assert [window for _, window in windows if windows["worksheet", HEADLINE].get("hidden") == "true"]
    hidden = [name for (_, name), window in windows.items() if window.get("hidden")]
    assert hidden == [HEADLINE]


def test_n1_identifiers_are_unique_guids() -> None:
    identifiers = [one.get("uuid") for one in ROOT.iter("simple-id")]
    assert all(GUID.fullmatch(one) for one in identifiers)
    assert len(set(identifiers)) == len(identifiers) == 2 * (len(ALL_SHEETS) + 1)


# A: actions


def test_a1_actions_stand_in_the_workbook_and_name_what_exists() -> None:
    names = [action.get("name") for action in ROOT.findall("actions/action")]
    assert names
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\[Action\d+_[0-9A-F]{32}\]", name) for name in names)
    assert not dashboard().xpath(".//actions | .//action")
    for action in ROOT.findall("actions/action"):
        assert action.find("source").get("dashboard") == DASHBOARD
        for excluded in action.findall("source/exclude-sheet"):
            assert excluded.get("name") in ALL_SHEETS


# M: what the workbook is for


def test_m1_five_sheets_and_the_hidden_one_of_the_headline() -> None:
    assert {one.get("name") for one in ROOT.findall("worksheets/worksheet")} == {*SHEETS, HEADLINE}


def test_m2_one_text_source() -> None:
    assert ROOT.xpath("//connection[not(@class='federated')]/@class") == ["textscan"]
    assert ROOT.xpath("//extract") == []


COUNT, MEAN = "usr:Calculation_1001:qk", "usr:Calculation_1019:qk"


@pytest.mark.parametrize(
    ("name", "mark", "rows", "cols"),
    [
        ("Calls by Type", "Bar", ["none:call_type:nk"], [COUNT]),
        (
            "Calls by Status",
            "Bar",
            ["none:status:nk", "usr:Calculation_1002:ok", "usr:Calculation_1005:ok"],
            [COUNT],
        ),
        ("Daily Calls", "Automatic Bar Line", [COUNT, MEAN], ["tdy:call_date:qk"]),
        ("Calls by Weekday", "Bar", [COUNT], ["none:call_weekday:nk"]),
        ("Duration Histogram", "Bar", [COUNT], ["none:Duration (bin):ok"]),
        (HEADLINE, "Text", [], []),
    ],
)
def test_m3_to_m7_marks_and_shelves(name: str, mark: str, rows: list[str], cols: list[str]) -> None:
    assert [one.get("class") for one in sheet(name).iter("mark")] == mark.split()
    assert [pill for _, pill in REFERENCE.findall(shelf(name, "rows"))] == rows
    assert [pill for _, pill in REFERENCE.findall(shelf(name, "cols"))] == cols


def formula(number: int) -> str:
    return str(fields()[f"Calculation_{number}"].find("calculation").get("formula"))


def test_m3_types_and_statuses_come_largest_first() -> None:
    """So they do on the page, in bars, stacks and legends."""
    for name in SHEETS:
        sorts = {sort.get("column"): sort for sort in sheet(name).iter("computed-sort")}
        pills = ["none:status:nk", "none:call_type:nk"] if name == "Calls by Status" else ["none:call_type:nk"]
        assert [*sorts] == [q(pill) for pill in pills]
        assert {(sort.get("direction"), sort.get("using")) for sort in sorts.values()} == {("DESC", q(COUNT))}


def test_m3_bars_are_labelled_with_their_number() -> None:
    pane = sheet("Calls by Type").find("table/panes/pane")
    assert [text.get("column") for text in pane.iter("text")] == [q(COUNT)]
    assert "mark-labels-show" in {one.get("attr") for one in pane.iter("format") if one.get("value") == "true"}


def test_m4_each_status_has_its_number_and_its_share_beside_it() -> None:
    assert formula(1002) == "MIN({ EXCLUDE [call_type] : COUNT([_id]) })"
    assert formula(1003) == "MIN({ EXCLUDE [call_type], [status] : COUNT([_id]) })"
    assert formula(1005) == "[Calculation_1002] / [Calculation_1003]"
    assert fields()["Calculation_1005"].get("default-format") == "p0.0%"


def test_m5_a_day_without_calls_has_no_bar() -> None:
    """Bars on a continuous axis of dates: a gap is seen as one, whatever Desktop adds or leaves out."""
    one = sheet("Daily Calls")
    assert one.find("table/show-full-range") is None
    assert "tdy:call_date:qk" in shelf("Daily Calls", "cols")


def test_m5_the_mean_of_7_days_is_a_line_over_the_bars_on_the_same_axis() -> None:
    _, bars, line = sheet("Daily Calls").findall("table/panes/pane")
    assert (bars.get("y-axis-name"), line.get("y-axis-name")) == (q(COUNT), q(MEAN))
    assert line.find("encodings") is None, "of all types together"
    (axis,) = sheet("Daily Calls").iter("encoding")
    assert (axis.get("field"), axis.get("fold"), axis.get("synchronized")) == (q(MEAN), "true", "true")
    (instance,) = sheet("Daily Calls").xpath(f".//column-instance[@name='[{MEAN}]']")
    assert instance.find("table-calc").get("ordering-type") == "Rows"


def test_m6_weeks_start_on_monday_whatever_the_locale() -> None:
    (sort,) = sheet("Calls by Weekday").iter("manual-sort")
    assert sort.get("column") == q("none:call_weekday:nk")
    assert [bucket.text.strip('"') for bucket in sort.iter("bucket")] == list(WEEKDAYS)
    assert SOURCE.find("date-options").get("start-of-week") == "monday"


def test_m6_the_average_per_day_is_in_the_tooltip() -> None:
    tooltips = {one.get("column") for one in sheet("Calls by Weekday").iter("tooltip")}
    assert {q("usr:Calculation_1008:qk"), q("usr:Calculation_1009:qk")} <= tooltips
    assert formula(1008) == "[Calculation_1001] / [Calculation_1007]"
    assert formula(1009) == "[Calculation_1002] / [Calculation_1007]"


def test_m7_bins_can_be_changed_and_the_tail_is_bounded() -> None:
    parameters = {bare(one.get("name")): one for one in ROOT.find("datasources/datasource").findall("column")}
    assert parameters["Parameter 1"].get("value") == str(counts.BIN_SECONDS)
    assert parameters["Parameter 2"].get("value") == str(counts.TAIL_SECONDS)
    assert {one.get("param") for one in zones() if one.get("type-v2") == "paramctrl"} == {
        "[Parameters].[Parameter 1]",
        "[Parameters].[Parameter 2]",
    }
    assert formula(1010) == (
        "CEILING([Parameters].[Parameter 2] / [Parameters].[Parameter 1]) * [Parameters].[Parameter 1]"
    )
    assert formula(1011) == (
        "IF [duration_sec] < [Calculation_1010] THEN [duration_sec] "
        "ELSEIF [duration_sec] >= [Calculation_1010] THEN [Calculation_1010] END"
    )
    assert fields()["Duration (bin)"].get("aggregation") == "None"
    full = [column.text for column in sheet("Duration Histogram").findall("table/show-full-range/column")]
    assert full == [f"[{DS}].[Duration (bin)]"]


def test_m7_calls_without_a_duration_are_left_out_and_counted_in_the_headline() -> None:
    (one,) = sheet("Duration Histogram").findall("table/view/filter")
    assert (one.get("column"), one.get("included-values")) == (q("none:duration_sec:qk"), "non-null")
    assert formula(1018) == "SUM(IF ISNULL([duration_sec]) THEN 1 ELSE 0 END)"
    label = "".join(sheet(HEADLINE).xpath(".//customized-label//run/text()"))
    assert f"<{q('usr:Calculation_1018:qk')}> calls without duration" in label


def test_m8_the_dashboard_shows_all_sheets_and_the_headline_in_a_line() -> None:
    shown = [zone.get("name") for zone in zones() if zone.get("name") and zone.get("type-v2") is None]
    assert sorted(shown) == sorted(ALL_SHEETS)
    label = "".join(sheet(HEADLINE).xpath(".//customized-label//run/text()"))
    for number in (1001, 1014, 1015, 1016):
        assert f"<{q(f'usr:Calculation_{number}:qk')}>" in label
    assert formula(1013) == outcomes.completed_formula(outcomes.COMPLETED_LABELS)
    assert [zone.get("param") for zone in zones() if zone.get("type-v2") == "color"] == [q("none:call_type:nk")]


def test_m9_filter_cards_for_date_type_and_status() -> None:
    cards = {zone.get("param"): zone for zone in zones() if zone.get("type-v2") == "filter"}
    assert set(cards) == {q("none:call_date:qk"), q("none:call_type:nk"), q("none:status:nk")}
    assert cards[q("none:call_date:qk")].get("mode") is None
    assert {cards[q(f"none:{name}:nk")].get("mode") for name in ("call_type", "status")} == {"checkdropdown"}


def test_m10_filters_open_on_all_values() -> None:
    for one in ROOT.findall("shared-views/shared-view/filter"):
        assert not one.xpath("min | max | .//groupfilter[@function='member']")
        if one.get("class") == "categorical":
            assert [g.get("function") for g in one.iter("groupfilter")] == ["level-members"]
        else:
            assert one.get("included-values") == "in-range"


def test_m11_a_mark_of_any_sheet_highlights_its_type_in_all_others() -> None:
    (action,) = ROOT.xpath("actions/action[command/@command='tsc:brush']")
    params = {one.get("name"): one.get("value") for one in action.findall("command/param")}
    assert params == {"exclude": HEADLINE, "field-captions": fields()["call_type"].get("caption"), "target": DASHBOARD}
    assert [one.get("name") for one in action.findall("source/exclude-sheet")] == [HEADLINE]
    assert action.find("activation").get("type") == "on-select"
    for name in SHEETS:
        colours = [one.get("column") for one in sheet(name).findall("table/panes/pane/encodings/color")]
        assert colours == [q("none:call_type:nk")], name


def test_axes_have_titles() -> None:
    for name in SHEETS:
        measures = {
            pill for _, pill in REFERENCE.findall(shelf(name, "rows") + shelf(name, "cols")) if pill.endswith(":qk")
        }
        titled = {
            one.get("field"): one.get("value") for one in sheet(name).iter("format") if one.get("attr") == "title"
        }
        assert titled.keys() == {q(pill) for pill in measures}, name
        assert all(titled.values())


# Colours


def _linear(colour: str) -> tuple[float, ...]:
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    return tuple(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)


# Machado, Oliveira and Fernandes 2009, severity 1: how linear RGB looks to people without one kind of cone.
_SEEN = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def _lab(colour: str, vision: str) -> tuple[float, float, float]:
    rgb = _linear(colour)
    r, g, b = (min(1.0, max(0.0, sum(m * c for m, c in zip(row, rgb, strict=True)))) for row in _SEEN[vision])
    xyz = (
        (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047,
        0.2126729 * r + 0.7151522 * g + 0.0721750 * b,
        (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def colours() -> dict[str, str]:
    return {one.findtext("bucket").strip('"'): one.get("to") for one in SOURCE.iter("map")}


@pytest.mark.parametrize("vision", _SEEN)
@pytest.mark.parametrize(
    "together",
    [
        ("incoming", "outgoing", "missed", "internal", "callback", "unknown"),
        ("inbound", "outbound", "missed", "internal", "voicemail", "unknown"),
        ("voice", "video", "missed", "unknown"),
    ],
)
def test_types_that_occur_together_are_told_apart_by_everyone(together: tuple[str, ...], vision: str) -> None:
    labs = {label: _lab(colours()[label], vision) for label in together}
    for one in together:
        for other in together:
            if one < other:
                assert math.dist(labs[one], labs[other]) > 12, (one, other)
        # And from the white ground.
        assert math.dist(labs[one], _lab("#ffffff", vision)) > 25, one


def test_types_without_a_colour_of_their_own_get_one_of_the_palette() -> None:
    palette = [colour.text for colour in ROOT.findall("preferences/color-palette/color")]
    assert set(colours().values()) - {colours()[UNKNOWN]} <= set(palette)
    assert colours()[UNKNOWN] not in palette


def test_the_page_draws_in_the_same_colours() -> None:
    assert colours() == charts.COLOURS


# Other people's readers


def test_tableaudocumentapi_reads_it() -> None:
    from tableaudocumentapi import Workbook

    book = Workbook(str(_path()))
    assert book.worksheets == [*SHEETS, HEADLINE]
    assert book.dashboards == [DASHBOARD]
    parameters, calls = book.datasources
    assert (parameters.name, calls.caption) == ("Parameters", "calls")
    assert {bare(name) for name in calls.fields} == set(fields())
    assert [(one.dbname or one._connectionXML.get("filename")) for one in calls.connections] == ["calls.csv"]
    used = {bare(name) for name, field in calls.fields.items() if "Duration Histogram" in field.worksheets}
    assert "duration_sec" in used
    assert "call_hour" not in used


def test_py_tbparse_reads_it_and_finds_nothing_wrong() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import py_tbparse

        parser = py_tbparse.TwbParser(str(_path()))
        assert parser.get_dashboards()["name"].tolist() == [DASHBOARD]
        assert set(parser.get_dashboard_sheets()["sheet"]) == {*SHEETS, HEADLINE}
        assert parser.get_parameters()["name"].tolist() == ["Bin Width (s)", "Longest Duration (s)"]
        usage = parser.get_field_usage()
        physical = usage[usage["kind"] == "physical"]
        assert physical["field"].map(bare).tolist()[: len(LEADING)] == [column.name for column in LEADING]
        assert set(usage[usage["field"] == "[duration_sec]"]["sheets"].iloc[0]) == {"Duration Histogram", HEADLINE}
        assert parser.get_missing_references().empty
        assert parser.validate() == {"ok": True, "issues": {}}
        assert py_tbparse.audit(parser).empty
        assert py_tbparse.integrity_check(etree.fromstring(XML).getroottree(), require_window=True) == []


def test_pytableau_reads_it() -> None:
    import pytableau

    book = pytableau.Workbook.open(_path())
    assert [one.name for one in book.worksheets] == [*SHEETS, HEADLINE]
    assert [one.name for one in book.dashboards] == [DASHBOARD]
    (calls,) = book.datasources
    captions = {column.get("caption") for column in fields().values()}
    assert set(calls.field_names) == captions
    assert {one.name: str(one.mark_type) for one in book.worksheets}["Calls by Status"].endswith("Bar")


def _path() -> Path:
    return Path(__file__).parents[1] / "tableau" / "callviz.twb"
