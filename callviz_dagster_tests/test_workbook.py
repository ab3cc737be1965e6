"""Reading, auditing and packing workbooks: what is found in one, and that a broken one is caught and told by name."""

from __future__ import annotations

import hashlib
import io
import random
import re
import zipfile
from pathlib import Path

import duckdb
import pytest
from lxml import etree

from callviz_dagster.assets.tableau import tableau_specs
from callviz_dagster.contract import LEADING, REPAIRS, Kind
from callviz_dagster.documents.display import display_text
from callviz_dagster.documents.outcomes import completed_formula, positions
from callviz_dagster.tableau import model
from callviz_dagster.tableau.audit import audit, unreadable_value
from callviz_dagster.tableau.model import DASHBOARD, DATATYPES, HEADLINE, SHEETS, WorkbookError, locate, read
from callviz_dagster.tableau.pack import (
    packed_snapshot,
    pinned_types,
    prepare_workbook,
    without_snapshot,
    write_package,
)
from callviz_dagster_tests.helpers.forbidden import FORBIDDEN, SURROGATES
from callviz_dagster_tests.helpers.tableau import KINDS, SCHEMA_VERSIONS, schema_errors, workbook_xml

XML = workbook_xml()


def changed(old: str, new: str, *, count: int = -1) -> bytes:
    """Return the workbook with a text replaced, which must be there."""
    text = XML.decode()
    assert old in text
    return text.replace(old, new, count).encode()


def messages(xml: bytes, kinds: dict[str, Kind] | None = None, *, own: bool = False) -> list[str]:
    return [str(problem) for problem in audit(xml, KINDS if kinds is None else kinds, own=own)]


# What is read


def test_reads_the_sheets_the_dashboard_and_the_data_source() -> None:
    workbook = read(XML)
    assert [sheet.name for sheet in workbook.sheets if not sheet.hidden] == list(SHEETS)
    assert [sheet.name for sheet in workbook.sheets if sheet.hidden] == [HEADLINE]
    assert [(one.name, set(one.sheets)) for one in workbook.dashboards] == [(DASHBOARD, {*SHEETS, HEADLINE})]
    assert workbook.calls is not None
    assert workbook.calls.caption == "calls"
    assert list(workbook.calls.pinned) == [column.name for column in LEADING]


@pytest.mark.parametrize(
    ("sheet", "columns"),
    [
        ("Calls by Type", {"_id", "call_type", "status", "call_date"}),
        ("Calls by Status", {"_id", "call_type", "status", "call_date"}),
        ("Daily Calls", {"_id", "call_type", "status", "call_date"}),
        ("Calls by Weekday", {"_id", "call_type", "status", "call_date", "call_weekday"}),
        ("Duration Histogram", {"_id", "call_type", "status", "call_date", "duration_sec"}),
        (HEADLINE, {"_id", "call_type", "status", "call_date", "duration_sec"}),
    ],
)
def test_finds_the_columns_behind_each_sheet(sheet: str, columns: set[str]) -> None:
    workbook = read(XML)
    (only_sheet,) = [one for one in workbook.sheets if one.name == sheet]
    assert {name for field in only_sheet.fields for name in workbook.columns(field)} == columns


def test_titles_are_sentences_with_the_values_of_parameters() -> None:
    titles = {sheet.name: sheet.title for sheet in read(XML).sheets}
    assert titles["Duration Histogram"].startswith("Duration Histogram. Bars of 60 s, ")
    assert titles["Daily Calls"] == (
        "Daily Calls. A bar for each day, coloured by type; a day without calls has none. "
        "Line: mean of 7 days, all types"
    )


def test_twin_elements_of_older_desktops_are_read_once() -> None:
    text = XML.decode()
    relation = re.search(r"<relation .*?</relation>", text, re.DOTALL)
    assert relation is not None
    name = "_.fcp.ObjectModelEncapsulateLegacy.{}...relation"
    twins = "".join(
        relation.group().replace("<relation", f"<{name}").replace("</relation", f"</{name}").replace("{}", value)
        for value in ("false", "true")
    )
    forked = text.replace(relation.group(), twins, 1).encode()
    assert read(forked) == read(XML)
    assert messages(forked, own=True) == []


def test_a_dashboard_may_show_a_legend_of_a_sheet_twice() -> None:
    (dashboard,) = read(XML).dashboards
    assert len(dashboard.sheets) == len(set(dashboard.sheets))


# The audit


def test_the_workbook_fits() -> None:
    assert messages(XML) == []
    assert messages(XML, {column.name: column.kind for column in (*LEADING, REPAIRS)}) == []
    assert messages(XML, own=True) == []


@pytest.mark.parametrize("column", ["_id", "call_type", "status", "call_date", "call_weekday", "duration_sec"])
def test_a_missing_column_is_told_with_every_sheet_that_needs_it(column: str) -> None:
    kinds = {name: kind for name, kind in KINDS.items() if name != column}
    workbook = read(XML)
    using = [
        sheet.name for sheet in workbook.sheets if any(column in workbook.columns(field) for field in sheet.fields)
    ]
    differences = messages(XML, kinds, own=True)
    for sheet in using:
        assert f"sheet {sheet}: uses {column}, which calls.csv does not have" in differences
    assert {problem.field for problem in audit(XML, kinds)} == {column}


@pytest.mark.parametrize("column", ["start_time", "end_time", "call_hour"])
def test_a_missing_column_that_no_sheet_uses_is_no_matter_to_a_users_workbook(column: str) -> None:
    kinds = {name: kind for name, kind in KINDS.items() if name != column}
    assert messages(XML, kinds, own=True) == []


@pytest.mark.parametrize(
    ("column", "kind", "problem"),
    [
        ("duration_sec", Kind.TEXT, "sheet Duration Histogram: reads duration_sec as real, but calls.csv holds text"),
        ("call_date", Kind.DATETIME, "sheet Daily Calls: reads call_date as date, but calls.csv holds datetime"),
        ("call_date", Kind.TEXT, "filters on all sheets: reads call_date as date, but calls.csv holds text"),
    ],
)
def test_a_wrong_type_in_the_csv_is_told(column: str, kind: Kind, problem: str) -> None:
    assert any(message.startswith(problem) for message in messages(XML, KINDS | {column: kind}))


def test_amounts_that_are_texts_may_be_read_as_numbers_where_the_values_are_checked() -> None:
    columns = KINDS | {"amount": Kind.TEXT}
    xml = prepare_workbook(XML, columns).replace(b"MEDIAN([duration_sec])", b"MEDIAN([amount])")
    assert not [problem for problem in audit(xml, columns) if "holds text" in problem.message]
    xml = re.sub(rb"datatype='string'( name='amount')", rb"datatype='real'\1", xml)
    assert pinned_types(xml, columns)["amount"] == "real"
    assert not [problem for problem in audit(xml, columns) if "holds text" in problem.message]
    in_extract = [problem.message for problem in audit(xml, columns, source="hyper")]
    assert "reads amount as real, but calls.csv holds text values there" in in_extract
    calls = b'"_id","amount"\n"a","1.10"\n"b",\n"c","%s"\n'
    assert unreadable_value(lambda: io.BytesIO(calls % b"-2.5"), {"amount": "real"}) is None
    assert unreadable_value(lambda: io.BytesIO(calls % b"2,50 EUR"), {"amount": "real"}) is not None


def test_whole_numbers_and_any_kind_of_text_are_readable() -> None:
    assert messages(XML, KINDS | {"duration_sec": Kind.INTEGER, "call_type": Kind.INTEGER}) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "<column datatype='real' name='duration_sec' ordinal='5' />",
            "<column datatype='date' name='duration_sec' ordinal='5' />",
            "sheet Duration Histogram: reads duration_sec as date, but calls.csv holds number values there",
        ),
        (
            "<column datatype='real' name='duration_sec' ordinal='5' />",
            "<column datatype='date' name='duration_sec' ordinal='5' />",
            "data source calls: pins duration_sec as date; it must be real",
        ),
        (
            "<worksheet name='Daily Calls'>",
            "<worksheet name='Calls a Day'>",
            "dashboard Calls Overview: shows the sheet Daily Calls, which the workbook does not have",
        ),
        (
            "<worksheet name='Daily Calls'>",
            "<worksheet name='Calls a Day'>",
            "windows: Calls a Day has no window; Tableau would drop it",
        ),
        (
            "<worksheet name='Daily Calls'>",
            "<worksheet name='Calls a Day'>",
            "windows: a view of Calls Overview shows Daily Calls, which the workbook does not have",
        ),
        (
            "].[none:status:nk]</column>",
            "].[none:region:nk]</column>",
            "sheet Calls by Type: uses region, which the data source calls does not have",
        ),
        (
            "<filter class='categorical' column='[{calls}].[none:status:nk]'>",
            "<filter class='categorical' column='[{calls}].[none:region:nk]'>",
            "filters on all sheets: uses region, which the data source calls does not have",
        ),
        (
            "param='[{calls}].[none:status:nk]' type-v2='filter'",
            "param='[{calls}].[none:region:nk]' type-v2='filter'",
            "dashboard Calls Overview: uses region, which the data source calls does not have",
        ),
        (
            "formula='COUNT([_id])'",
            "formula='COUNT([call_id])'",
            "sheet Calls by Type: uses Calls, whose formula needs call_id, which calls does not have",
        ),
        (
            "[Parameters].[Parameter 2] / ",
            "[Parameters].[Parameter 9] / ",
            "sheet Duration Histogram: uses Duration from (s), whose formula needs Parameter 9, which Parameters does "
            "not have",
        ),
        (
            "<rows>[{calls}].[none:call_type:nk]</rows>",
            "<rows>[{calls}].[none:call_hour:ok]</rows>",
            "sheet Calls by Type: uses none:call_hour:ok without declaring it; Tableau would drop it",
        ),
        (
            "<rows>[{calls}].[none:call_type:nk]</rows>",
            "<rows>[federated.other].[none:call_type:nk]</rows>",
            "sheet Calls by Type: uses call_type of the data source federated.other, which the workbook does not have",
        ),
        (
            "<source dashboard='Calls Overview' type='sheet'>",
            "<source dashboard='Calls' type='sheet'>",
            "action Highlight the call type: starts from Calls, which the workbook does not have",
        ),
        (
            "<param name='target' value='Calls Overview' />",
            "<param name='target' value='Overview' />",
            "action Highlight the call type: acts on Overview, which the workbook does not have",
        ),
        (
            "<param name='field-captions' value='Call Type' />",
            "<param name='field-captions' value='Type' />",
            "action Highlight the call type: highlights Type, which no data source has",
        ),
        (
            "<dashboard name='Calls Overview'>",
            "<dashboard name='Overview'>",
            "workbook: the dashboard Calls Overview is missing",
        ),
        (
            "filename='calls.csv'",
            "filename='call.csv'",
            "workbook: no data source reads the text file calls.csv",
        ),
        (
            "<layout dim-ordering",
            "<extract enabled='true' /><layout dim-ordering",
            "data source calls: uses an extract, which would show old data; choose Live on Desktop's data source page "
            "for calls.csv",
        ),
        ("</workbook>", "", "workbook: The workbook is not well-formed XML (no element found: "),
    ],
)
def test_a_broken_workbook_is_told_by_name(old: str, new: str, problem: str) -> None:
    calls = read(XML).calls
    assert calls is not None
    xml = changed(old.replace("{calls}", calls.name), new.replace("{calls}", calls.name))
    assert any(message.startswith(problem) for message in messages(xml)), messages(xml)


def test_a_missing_sheet_is_told() -> None:
    text = re.sub(r"    <worksheet name='Daily Calls'>.*?</worksheet>\n", "", XML.decode(), flags=re.DOTALL)
    differences = messages(text.encode())
    assert "workbook: the sheet Daily Calls is missing" in differences
    assert "dashboard Calls Overview: shows the sheet Daily Calls, which the workbook does not have" in differences


def test_a_sheet_that_the_dashboard_does_not_show_is_told() -> None:
    text = re.sub(r"(<zone h='\d+' id='\d+') name='Daily Calls' (w='\d+' x='\d+' y='\d+'>)", r"\1 \2", XML.decode())
    assert messages(text.encode()) == ["dashboard Calls Overview: does not show the sheet Daily Calls"]


def test_columns_pinned_in_another_order_are_told() -> None:
    xml = changed("name='_id' ordinal='0'", "name='call_type' ordinal='0'").decode()
    xml = xml.replace("name='call_type' ordinal='1'", "name='_id' ordinal='1'")
    assert any("in another order than _id, call_type" in message for message in messages(xml.encode()))


def test_a_users_workbook_needs_neither_our_sheets_nor_our_columns() -> None:
    text = XML.decode()
    for name in (*SHEETS, DASHBOARD):
        text = text.replace(f"'{name}'", f"'My {name}'")
    assert messages(text.encode(), own=True) == []
    assert any("is missing" in message for message in messages(text.encode()))


def test_formulas_are_read_without_their_texts_and_comments() -> None:
    xml = changed("formula='COUNT([_id])'", "formula='COUNT([_id]) // [a]&#10; + LEN(&quot;[b]&quot;) /* [c] */'")
    assert messages(xml) == []


def test_what_is_no_workbook_is_told() -> None:
    assert messages(b"<html />") == [
        "workbook: The file is not a Tableau workbook: its root is <html>, not <workbook>."
    ]
    with pytest.raises(WorkbookError, match="not well-formed"):
        read(b"calls")


@pytest.mark.parametrize("seed", range(25))
def test_a_workbook_with_a_name_broken_anywhere_is_caught(seed: int) -> None:
    """Break one reference to a field on a shelf, in a filter, in a formula or in a legend, wherever it is."""
    text = XML.decode()
    shelves = [*re.finditer(r"<(?:rows|cols)>[^<]*\.\[\w+:(\w[\w (),]*):[noq]k\]", text)]
    marks = [*re.finditer(r"<(?:color|text|tooltip|filter)\b[^>]*column='[^']*\.\[\w+:(\w[\w (),]*):[noq]k\]'", text)]
    cards = [*re.finditer(r"type-v2='(?:filter|color)'", text)]
    assert cards
    target = random.Random(seed).choice(shelves + marks)
    broken = text[: target.start(1)] + "no_such_field" + text[target.end(1) :]
    assert any("no_such_field" in message for message in messages(broken.encode()))


# Packing


def test_the_packed_workbook_differs_in_its_connection_alone() -> None:
    before, after = XML.decode().splitlines(), prepare_workbook(XML, KINDS).decode().splitlines()
    columns = [
        f"            <column datatype='{datatype}' name='{name}' ordinal='{ordinal}' />"
        for ordinal, (name, datatype) in enumerate(
            {"agent": "string", "cost_usd": "real", "answered": "boolean", "repairs": "string"}.items(), len(LEADING)
        )
    ]
    removed = [line for line in before if line not in after]
    added = [line for line in after if line not in before]
    assert removed == [
        "            <connection class='textscan' directory='' filename='calls.csv' password='' server='' />"
    ]
    assert added[0] == removed[0].replace("directory=''", "directory='Data/calls'")
    assert [line for line in added if line in columns] == columns
    assert audit(prepare_workbook(XML, KINDS), KINDS) == []


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
@pytest.mark.parametrize("source", ["csv", "hyper"])
def test_the_packed_workbook_is_valid(source: str, version: str) -> None:
    assert schema_errors(prepare_workbook(XML, KINDS, source=source), version) == []


@pytest.mark.parametrize("source", ["csv", "hyper"])
def test_every_column_is_pinned_in_the_packed_workbook(source: str) -> None:
    root = etree.fromstring(prepare_workbook(XML, KINDS, source=source))
    records = root.findall(".//metadata-record[@class='column']")
    assert [record.findtext("remote-name") for record in records] == list(KINDS)
    assert [record.findtext("ordinal") for record in records] == [str(n) for n in range(len(KINDS))]
    assert [record.findtext("local-type") for record in records] == [DATATYPES[kind] for kind in KINDS.values()]
    if source == "csv":
        for relation in root.findall(".//relation"):
            assert [column.get("name") for column in relation.findall("columns/column")] == list(KINDS)


def test_names_that_xml_or_tableau_give_a_meaning_are_pinned() -> None:
    names = {"a&b <c>": Kind.TEXT, "it's": Kind.INTEGER, "cost [usd]": Kind.NUMBER, "two\nlines": Kind.DATE}
    root = etree.fromstring(prepare_workbook(XML, KINDS | names))
    records = root.findall(".//metadata-record[@class='column']")[-4:]
    assert [record.findtext("remote-name") for record in records] == list(names)
    assert records[2].findtext("local-name") == "[cost (usd)]"
    assert [column.get("name") for column in root.findall(".//columns/column")][-4:] == list(names)


@pytest.mark.parametrize("source", ["csv", "hyper"])
def test_names_with_characters_that_xml_forbids_are_pinned(source: str) -> None:
    names = {f"{character}n{at}": Kind.TEXT for at, character in enumerate((*FORBIDDEN, *SURROGATES))}
    inside = prepare_workbook(XML, KINDS | names, source=source)
    records = etree.fromstring(inside).findall(".//metadata-record[@class='column']")[-len(names) :]
    assert [record.findtext("remote-name") for record in records] == [display_text(name) for name in names]


def test_types_that_a_person_pinned_are_kept() -> None:
    xml = prepare_workbook(XML, KINDS | {"duration_sec": Kind.INTEGER})
    calls = read(xml).calls
    assert calls is not None
    assert calls.pinned["duration_sec"] == "real"


def test_a_column_that_is_gone_is_pinned_no_more_and_the_others_keep_their_places() -> None:
    grown = prepare_workbook(XML, KINDS)
    fewer = {name: kind for name, kind in KINDS.items() if name != "cost_usd"}
    calls = read(prepare_workbook(grown, fewer)).calls
    assert calls is not None
    assert list(calls.pinned) == list(fewer)


def test_an_absolute_folder_that_desktop_saved_is_replaced() -> None:
    xml = changed("directory=''", 'directory="C:/Users/it&apos;s me/calls"')
    connection = etree.fromstring(prepare_workbook(xml, KINDS)).find(".//connection[@class='textscan']")
    assert connection is not None
    assert connection.get("directory") == "Data/calls"


def test_hyper_stands_in_for_the_text_file() -> None:
    xml = prepare_workbook(XML, KINDS, source="hyper")
    root = etree.fromstring(xml)
    connection = root.find(".//named-connection/connection")
    assert connection is not None
    assert (connection.get("class"), connection.get("dbname")) == ("hyper", "Data/calls/calls.hyper")
    tables = {(relation.get("name"), relation.get("table")) for relation in root.iter("relation")}
    assert tables == {("Extract", "[Extract].[Extract]")}
    names = {relation.get("connection") for relation in root.iter("relation")}
    assert names == {named.get("name") for named in root.iter("named-connection")}
    assert b"textscan" not in xml
    assert b"calls.csv" not in re.sub(rb"<desc>.*?</desc>", b"", xml, flags=re.DOTALL)
    (table,) = root.iter("object")
    assert table.get("caption") == "Extract"
    assert {one.text for one in root.iter("object-id")} == {f"[{table.get('id')}]"}


def test_other_tables_in_a_users_data_source_are_left_alone() -> None:
    record = (
        "<metadata-record class='column'><remote-name>agent</remote-name><local-name>[agent]</local-name>"
        "<parent-name>[agents.csv]</parent-name><local-type>string</local-type></metadata-record></metadata-records>"
    )
    xml = changed("</metadata-records>", record)
    inside = prepare_workbook(xml, KINDS).decode()
    assert inside.replace("directory='Data/calls'", "directory=''") == xml.decode()
    with pytest.raises(WorkbookError, match=r"one table calls\.csv; calls has \[agents\.csv\], \[calls\.csv\]"):
        prepare_workbook(xml, KINDS, source="hyper")


def test_a_workbook_in_another_encoding_is_told() -> None:
    with pytest.raises(WorkbookError, match="not UTF-8"):
        prepare_workbook(XML.decode().replace("utf-8", "utf-16", 1).encode("utf-16"), KINDS)


def packed_bytes(data: Path) -> bytes:
    target = io.BytesIO()
    write_package(prepare_workbook(XML, KINDS), "callviz.twb", data, target)
    return target.getvalue()


def test_the_archive_is_laid_out_as_desktop_does(tmp_path: Path) -> None:
    data = tmp_path / "calls.csv"
    data.write_bytes(b"_id,call_type\n" * 100_000)
    with zipfile.ZipFile(io.BytesIO(packed_bytes(data))) as archive:
        assert archive.namelist() == ["callviz.twb", "Data/calls/calls.csv"]
        assert archive.read("Data/calls/calls.csv") == data.read_bytes()
        assert archive.read("callviz.twb") == prepare_workbook(XML, KINDS)
        assert all(member.compress_type == zipfile.ZIP_DEFLATED for member in archive.infolist())
        assert all(member.flag_bits & 0x08 == 0 for member in archive.infolist()), "sizes stand before the data"


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        data = tmp_path / name / "calls.csv"
        data.parent.mkdir()
        data.write_bytes(b"_id\n1\n")
        digests.add(hashlib.sha256(packed_bytes(data)).hexdigest())
    assert len(digests) == 1


# The snapshot

SNAPSHOT = "2024-06-01T11:28:16+00:00, cluster time 1717241296.3"


def test_the_snapshot_stands_in_a_hidden_parameter_and_nowhere_else() -> None:
    inside = prepare_workbook(XML, KINDS, snapshot=SNAPSHOT)
    (parameter,) = etree.fromstring(inside).findall(".//column[@name='[callviz snapshot]']")
    assert (parameter.get("hidden"), parameter.get("value")) == ("true", f'"{SNAPSHOT}"')
    assert packed_snapshot(inside) == SNAPSHOT
    assert without_snapshot(inside) == prepare_workbook(XML, KINDS)
    assert audit(inside, KINDS) == []
    before, after = tableau_specs(XML), tableau_specs(inside)
    assert [spec.key for spec in after] == [spec.key for spec in before]


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_a_workbook_with_a_snapshot_is_valid(version: str) -> None:
    assert schema_errors(prepare_workbook(XML, KINDS, snapshot=SNAPSHOT), version) == []


def test_a_snapshot_takes_the_place_of_another() -> None:
    first = prepare_workbook(XML, KINDS, snapshot=SNAPSHOT)
    assert prepare_workbook(first, KINDS, snapshot="it's <later>") == prepare_workbook(
        XML, KINDS, snapshot="it's <later>"
    )
    assert packed_snapshot(prepare_workbook(first, KINDS, snapshot="it's <later>")) == "it's <later>"
    assert packed_snapshot(XML) == ""


def test_a_workbook_without_parameters_gets_one() -> None:
    text = re.sub(r" *<datasource [^>]*name='Parameters'.*?</datasource>\n", "", XML.decode(), count=1, flags=re.DOTALL)
    inside = etree.fromstring(prepare_workbook(text.encode(), KINDS, snapshot=SNAPSHOT))
    parameters, calls = inside.findall("datasources/datasource")
    assert parameters.get("name") == "Parameters"
    assert parameters.find("column").get("value") == f'"{SNAPSHOT}"'
    assert calls.get("caption") == "calls"


# Finding it


def test_finds_the_workbook_of_the_checkout() -> None:
    assert locate() == Path(__file__).parents[1] / "tableau" / "callviz.twb"


def test_finds_the_workbook_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "callviz_dagster"
    (package / "tableau").mkdir(parents=True)
    (package / "tableau" / "callviz.twb").write_bytes(XML)
    monkeypatch.setattr(model, "__file__", str(package / "tableau" / "model.py"))
    assert locate() == package / "tableau" / "callviz.twb"


def test_a_workbook_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkbookError, match=r"CALLVIZ_WORKBOOK names .*mine\.twb, and there is no such file"):
        locate(tmp_path / "mine.twb")
    monkeypatch.setattr(model, "__file__", str(tmp_path / "package" / "tableau" / "model.py"))
    with pytest.raises(WorkbookError, match="install callviz-dagster again"):
        locate()


def test_the_packed_workbook_counts_the_completed_labels_of_the_settings() -> None:
    labels = ("Answered", "nicht angenommen", "it's done", "NO_ANSWER")
    inside = prepare_workbook(XML, KINDS, completed=labels).decode()
    formulas = {
        column.find("calculation").get("formula")
        for column in etree.fromstring(inside.encode()).xpath("//column[@name='[Calculation_1013]']")
    }
    assert formulas == {completed_formula(labels)}
    statuses = ["answered", "ANSWERED", "Nicht-Angenommen", "It's Done", "no answer", "completed", "unanswered"]
    with duckdb.connect() as connection:
        sql = completed_formula(labels).replace("'", "''").replace('"', "'").replace("[status]", "status")
        counted = connection.execute(f"select status from (select unnest(?) as status) where {sql}", [statuses])
        assert [status for (status,) in counted.fetchall()] == [statuses[at] for at in positions(statuses, labels)]
    own = XML.replace(b"IN (&quot;", b"= (&quot;")
    assert b"= (&quot;completed" in prepare_workbook(own, KINDS, completed=labels)


def test_fields_that_are_named_like_those_of_the_workbook_are_kept_apart() -> None:
    names = ("Duration (bin)", "calculation_1001", "CALLS", "Date", "amount", "Amount")
    columns = KINDS | dict.fromkeys(names, Kind.NUMBER)
    for source in ("csv", "hyper"):
        inside = prepare_workbook(XML, columns, source=source)
        for version in SCHEMA_VERSIONS:
            assert schema_errors(inside, version) == []
        root = etree.fromstring(inside)
        records = root.findall(".//metadata-record[@class='column']")
        local = {one.findtext("remote-name"): one.findtext("local-name") for one in records}
        calculated = {one.getparent().get("name") for one in root.findall("datasources/datasource/column/calculation")}
        assert len({name.casefold() for name in local.values()}) == len(columns)
        assert {name.casefold() for name in local.values()}.isdisjoint(name.casefold() for name in calculated)
        assert local["Duration (bin)"] == "[Duration (bin) (calls.csv)]"
        assert local["CALLS"] == "[CALLS]"
        declared = root.findall("datasources/datasource[@caption='calls']/column")
        captions = [one.get("caption").casefold() for one in declared]
        assert len(set(captions)) == len(captions)
        assert {"calls (field)", "date (field)"} <= set(captions)
        assert audit(inside, columns) == [] or source == "hyper"
