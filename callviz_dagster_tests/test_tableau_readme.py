"""The analysts' guide says what is so: columns, sheets, settings, files, and that Desktop was not asked."""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from callviz_dagster.contract import LEADING, OTHER_FIELDS, REPAIRS, markdown_table
from callviz_dagster.dashboard import counts
from callviz_dagster.documents.outcomes import COMPLETED_LABELS
from callviz_dagster.settings import Settings
from callviz_dagster.tableau.model import DASHBOARD, HEADLINE, SHEETS
from callviz_dagster_tests.helpers.tableau import calls_table, publish
from callviz_dagster_tests.helpers.tables import settings_table
from callviz_dagster_tests.helpers.workbook_rules import fields

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "tableau" / "README.md").read_text(encoding="utf-8")


def test_the_columns_are_those_of_the_contract() -> None:
    assert markdown_table((*LEADING, OTHER_FIELDS, REPAIRS)) in GUIDE


def test_the_sheets_are_those_of_the_workbook() -> None:
    table = re.findall(r"^\| ([A-Z][A-Za-z ]+?) +\|", GUIDE, re.MULTILINE)
    assert table == list(SHEETS)
    assert f"**{HEADLINE}**" in GUIDE
    assert f"**{DASHBOARD}**" in GUIDE


def test_the_figures_are_those_of_the_workbook() -> None:
    assert f"{counts.BIN_SECONDS} s a bar" in GUIDE
    assert f"{counts.TAIL_SECONDS // 60} minutes and longer" in GUIDE
    assert all(f"`{label}`" in GUIDE for label in COMPLETED_LABELS[:3])


def test_the_fields_it_names_exist() -> None:
    captions = {column.get("caption") for column in fields().values()}
    assert {"Average per Day", "Completed"} <= captions
    for name in ("Average per Day", "Completed"):
        assert f"*{name}*" in GUIDE


def test_the_settings_it_names_exist() -> None:
    for name in re.findall(r"CALLVIZ_[A-Z_]+", GUIDE):
        assert f"`{name}`" in settings_table(), name


def test_its_links_and_pictures_lead_somewhere() -> None:
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in GUIDE.splitlines()}
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert target[1:] in headings if target.startswith("#") else (ROOT / "tableau" / target).is_file(), target


def test_it_says_that_no_desktop_has_opened_the_workbook() -> None:
    assert "**No Tableau Desktop has opened this workbook where it was made**" in GUIDE
    assert "they are not Tableau screenshots" in GUIDE


def test_pictures_say_that_they_are_drawings() -> None:
    pictures = sorted((ROOT / "tableau" / "pictures").glob("*.svg"))
    assert [picture.name for picture in pictures] == ["calls_overview.svg", "calls_overview_highlighted.svg"]
    for picture in pictures:
        texts = [text.text for text in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")]
        assert "Drawing from sample calls, not a Tableau screenshot" in texts
        assert {*SHEETS, DASHBOARD} <= set(texts)


def test_the_pictures_can_be_drawn_again(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", publish_dir=tmp_path)
    publish(settings, calls_table(40))
    script = runpy.run_path(str(ROOT / "docs" / "draw_workbook.py"))
    script["main"](tmp_path / "calls.csv", tmp_path / "pictures")
    texts = [text.text for text in ElementTree.parse(tmp_path / "pictures" / "calls_overview.svg").iter()]
    assert "40" in texts
    assert "(All)" in texts


def test_the_lines_for_pandas_read_the_calls_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(Settings(data_dir=tmp_path / "data", publish_dir=tmp_path), calls_table(12))
    text = (tmp_path / "calls.csv").read_text(encoding="utf-8").replace('"incoming"', '"NA"').replace("Jörg", "007")
    (tmp_path / "calls.csv").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(textwrap.dedent(code), scope)  # the guide's own lines
    calls = scope["calls"]
    assert set(calls["call_type"]) == {"NA", "outgoing", "missed", "unknown"}
    assert str(calls["start_time"].dtype).startswith("datetime64")
    assert calls["duration_sec"].isna().sum() == 2
    assert calls["duration_sec"].max() == 37.5 * 11
    assert calls["_id"][0] == "0" * 24
    assert "Müller, 007" in set(calls["agent"])
