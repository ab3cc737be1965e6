"""Edits by hand that break a workbook: the audit names the place of each, and packs none without a word."""

from __future__ import annotations

import re

import pytest

from callviz_dagster.tableau.audit import audit
from callviz_dagster_tests.helpers.tableau import KINDS, workbook_xml

XML = workbook_xml().decode()
DS = "federated.w2bqhreqy8x82dxxm93i73v6aq2z"
WINDOW = "    <window class='worksheet' name='Daily Calls'>.*?</window>\n"
RECORD = r"          <metadata-record class='column'>\s*<remote-name>status</remote-name>.*?</metadata-record>\n"

# What is edited (a regular expression), what takes its place, and what the audit's message says.
EDITS: tuple[tuple[str, str, str], ...] = (
    # Windows
    (
        r" *<viewpoint name='Daily Calls'>\s*<zoom type='entire-view' />\s*</viewpoint>\n",
        "",
        "no viewpoint of Daily Calls",
    ),
    (r"<viewpoints>.*?</viewpoints>", "<viewpoints />", "no viewpoint of Calls by Type"),
    (WINDOW, "", "windows: Daily Calls has no window"),
    (
        r"(<window class='worksheet' name='Daily Calls'>\s*)<cards>.*?</cards>",
        r"\1",
        "the window of Daily Calls has no cards",
    ),
    (
        r"class='worksheet' name='Daily Calls'",
        "class='worksheet' name='Calls by Type'",
        "has the window Calls by Type twice",
    ),
    (
        r"<viewpoint name='Daily Calls'>",
        "<viewpoint name='daily calls'>",
        "shows daily calls, which the workbook does not",
    ),
    # Identifiers
    (r"0F085490-55FE-5212-BB4E-919E41B07185", "6B00B424-7435-58E1-8236-4E165DD20E62", "has the identifier {6B00B424"),
    (r"\{0F085490-55FE-5212-BB4E-919E41B07185\}", "0F085490", "has an identifier that is none: 0F085490"),
    # Zones
    (
        r"id='11' name='Calls by Status'",
        "id='10' name='Calls by Status'",
        "dashboard Calls Overview: has two zones with",
    ),
    (r"id='12' name='Calls by Weekday'", "id='12' type-v2='worksheet' name='Calls by Weekday'", "in a zone of a type"),
    (r"id='12' name='Calls by Weekday'", "id='12' name='Weekdays'", "shows the sheet Weekdays"),
    (
        r"maxheight='1000' maxwidth='1600' minheight='620'",
        "maxheight='600' maxwidth='1600' minheight='620'",
        "least height",
    ),
    (r"minheight='620'", "minheight='tall'", "has a height that is no number"),
    (r"<devicelayouts>.*</devicelayouts>", "<devicelayouts />", "an empty list of device layouts"),
    (r"(<devicelayout.*?)name='Daily Calls'", r"\1name='Old Sheet'", "shows the sheet Old Sheet"),
    (
        r"mode='checkdropdown' name='Calls by Type' param='[^']*'",
        "mode='checkdropdown' name='Calls by Type'",
        "names no field",
    ),
    (r"(<dashboard .*?)<column-instance column='\[status\]'[^>]*/>", r"\1", "has a card of none:status:nk without"),
    (r"param='\[Parameters\]\.\[Parameter 1\]' type-v2", "param='[Parameters].[Parameter 7]' type-v2", "Parameter 7"),
    (r"sizing-mode='range'", "sizing-mode='any'", "has <size sizing-mode='any'>"),
    # Columns
    (RECORD, "", "has no metadata record of the column status"),
    (r"<metadata-record class='column'>.*</metadata-record>", "", "has no metadata records"),
    (r"<local-type>date</local-type>", "<local-type>string</local-type>", "reads call_date as date, and its metadata"),
    (r"<remote-type>133</remote-type>", "<remote-type>135</remote-type>", "call_date with the number 135"),
    (
        r"(<object-graph>.*?)\s*<column datatype='string' name='status' ordinal='2' />",
        r"\1",
        "in two places, and they differ",
    ),
    (r"name='status' ordinal='2'", "name='status' ordinal='7'", "does not number the columns"),
    (
        r"<object-id>\[calls\.csv_7171FD01879EECC7CBF859CE3A29A4DC\]",
        "<object-id>[calls.csv_0]",
        "names the table calls.csv_0",
    ),
    (
        r"caption='calls\.csv' id='calls\.csv_7171",
        "caption='calls.csv' id='calls.csv_8171",
        "which its object graph does not",
    ),
    (
        r"<relation connection='textscan\.1m5vo2ytulwsso6w3fslbuodr672'",
        "<relation connection='textscan.x'",
        "connection textscan.x",
    ),
    (r"directory=''", r"directory='C:\\Users\\me'", "names a folder with backslashes"),
    (r"filename='calls\.csv'", "filename='call.csv'", "no data source reads the text file calls.csv"),
    (r"<columns character-set.*?</columns>", "<columns />", "lists no columns of its table"),
    (r"datatype='real' name='duration_sec'", "datatype='float' name='duration_sec'", "duration_sec as float"),
    (r"(<column caption='Status' .*?)name='\[status\]'", r"\1name='[call_type]'", "has the field call_type twice"),
    (r" size-parameter='\[Parameters\]\.\[Parameter 1\]'", "", "has a bin without a size"),
    (r"datatype='datetime'(?= default)", "datatype='timestamp'", "has <column datatype='timestamp'>"),
    (r"role='measure'", "role='metric'", "has <column role='metric'>"),
    (r"formula='COUNT\(\[_id\]\)'", "formula='COUNT([id])'", "sheet Daily Calls: uses Calls, whose formula needs id"),
    (r"formula='MEDIAN\(\[duration_sec\]\)'", "formula='MEDIAN([duration])'", "Headline Figures: uses Median Duration"),
    # The manifest
    *(
        (rf"\s*<{feature} />", "", f"manifest does not name: {feature}")
        for feature in (
            "ObjectModelEncapsulateLegacy",
            "ObjectModelTableType",
            "SchemaViewerObjectModel",
            "SheetIdentifierTracking",
            "SortTagCleanup",
            "WindowsPersistSimpleIdentifiers",
            "ExplainData_AuthorControls",
        )
    ),
    # Sheets
    (
        r"derivation='Day-Trunc'",
        "derivation='DayTrunc'",
        "sheet Daily Calls: has the pill tdy:call_date:qk with the derivation",
    ),
    (r"\[tdy:call_date:qk\]", "[dy:call_date:qk]", "sheet Daily Calls: has the pill dy:call_date:qk, whose name"),
    (
        r"y-axis-name='(\[[^\]]*\])\.\[usr:Calculation_1019:qk\]'",
        r"y-axis-name='\1.[usr:Calculation_1020:qk]'",
        "sheet Daily Calls: uses usr:Calculation_1020:qk without declaring it",
    ),
    (r"<cols>\[federated[^<]*tdy:call_date:qk\]</cols>", "<cols>[tdy:call_date:qk</cols>", "brackets on its cols"),
    (r"(<rows>\(\[.*?)\)\)</rows>", r"\1)</rows>", "sheet Calls by Status: has brackets on its rows"),
    (r"<mark class='Text' />", "<mark class='Bars' />", "sheet Headline Figures: has <mark class='Bars'>"),
    (r"(<worksheet name='Daily Calls'>.*?)<cols>[^<]*</cols>", r"\1", "sheet Daily Calls: lacks <cols>"),
    (r"(<worksheet name='Daily Calls'>.*?)\s*<aggregation value='true' />", r"\1", "Daily Calls: lacks <aggregation>"),
    (
        rf"(<worksheet name='Daily Calls'>.*?)\s*<column>\[{DS}\]\.\[none:status:nk\]</column>",
        r"\1",
        "sheet Daily Calls: is not filtered by none:status:nk",
    ),
    (r"(<worksheet name='Daily Calls'>.*?<encodings>)", r"\1<detail column='x' />", "Daily Calls: has <detail>"),
    (
        r"<color column='[^']*none:call_type:nk\]'",
        f"<color column='[{DS}].[none:agent:nk]'",
        "uses agent, which the data",
    ),
    (r"direction='DESC'", "direction='DOWN'", "has <computed-sort direction='DOWN'>"),
    (r"(<worksheet name=)'Daily Calls'", r"\1'Calls by Type'", "has the sheet Calls by Type twice"),
    (
        r"(<worksheet name='Daily Calls'>.*?)<datasource caption='calls' name='[^']*'",
        r"\1<datasource name='old'",
        "source old",
    ),
    (
        r"name='\[usr:Calculation_1001:qk\]' pivot='key' type='quantitative'",
        "name='[usr:Calculation_1001:qk]' pivot='key' type='nominal'",
        "fit its type",
    ),
    # Filters and actions
    (r"level='\[none:status:nk\]'", "level='[none:call_type:nk]'", "filters none:status:nk by the values of another"),
    (
        r"included-values='in-range' />",
        "included-values='in-range'><min>#2026-02-01#</min><max>#2026-01-01#</max></filter>",
        "which leaves nothing",
    ),
    (r"<filter class='quantitative'", "<filter class='range'", "has <filter class='range'>"),
    (r"<param name='target' value='Calls Overview' />", "<param name='target' value='Overview' />", "acts on Overview"),
    (r"(<actions>.*</actions>)(.*?<zones>)", r"\2\1", "dashboards: the action Highlight the call type stands in"),
    (r"encoding='utf-8'", "encoding='windows-1252'", "says that it is windows-1252"),
)


@pytest.mark.parametrize(("edit", "instead", "message"), EDITS)
def test_an_edit_that_breaks_the_workbook_is_named(edit: str, instead: str, message: str) -> None:
    broken, number = re.subn(edit, instead, XML, count=0 if "(<" not in edit else 1, flags=re.DOTALL)
    assert number, "the edit changes something"
    problems = [str(problem) for problem in audit(broken.encode(), KINDS)]
    assert any(message in problem for problem in problems), problems
