"""The numbers shown as CSV, and the charts as pictures; bars of another width."""

from __future__ import annotations

import csv
import datetime as dt
import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import ALL_TABLES, Dashboard, Opening
from callviz_dagster_tests.helpers.calls import Call, query, table

LINK = {"from": ["2026-02-01"], "status": ["completed"]}


def saved(dashboard: Dashboard, name: str) -> Path:
    with dashboard.page.expect_download() as download:
        dashboard.page.get_by_role("button", name=name, exact=True).click()
    return Path(download.value.path())


def test_the_numbers_are_saved_as_csv(opened: Opening, by_field: Path) -> None:
    dashboard = opened(by_field, link=LINK)
    for chart, rows in dashboard.tables((*ALL_TABLES, charts.MISSED_SHARE)).items():
        with saved(dashboard, f"Save {chart} as CSV").open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file)) == [
                [cell.replace(",", "") if cell[:1].isdigit() else cell for cell in row] for row in rows
            ]
    with saved(dashboard, "Save Calls by queue as CSV").open(encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert head == ["queue", "Calls", "Share", "Completed", "Missed", "Median ≈"]
    assert {row[0] for row in rows} == {"sales", "support", "billing", "(none)"}


def test_a_label_that_looks_like_a_number_is_saved_as_it_is(opened: Opening) -> None:
    labels = ("1,234", "12,5", "10%", "=1+1")
    calls: list[Call] = [(label, label, dt.date(2026, 3, 2), 9, 60.0) for label in labels for _ in range(1200)]
    dashboard = opened(table(calls))
    with saved(dashboard, f"Save {charts.CALLS_BY_STATUS} as CSV").open(encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file))
    as_text = {"1,234", "12,5", "10%", "'=1+1"}
    assert {row[0] for row in rows} == as_text
    assert as_text <= set(head)
    assert {row[head.index("Calls")] for row in rows} == {"1200"}


def test_a_chart_is_saved_with_its_title_its_filters_and_its_legend(opened: Opening, by_field: Path) -> None:
    dashboard = opened(by_field, link=LINK, dark=True)
    drawing = ET.fromstring(saved(dashboard, f"Save {charts.DAILY_CALLS} as SVG").read_text(encoding="utf-8"))
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == charts.DAILY_CALLS
    assert {"incoming", "outgoing", "missed", "internal"} <= set(texts)
    assert "Dates: 1 Feb 2026 to 29 Mar 2026; Status: completed" in texts
    fills = [rect.get("fill") for rect in drawing.iter("{http://www.w3.org/2000/svg}rect")]
    assert fills[0] == "#ffffff"
    picture = saved(dashboard, f"Save {charts.CALLS_BY_HOUR} as PNG").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 1000
    assert height > 300


@pytest.mark.parametrize(("seconds", "name"), [(10, "10 s"), pytest.param(300, "5 min", marks=pytest.mark.long)])
def test_bars_of_the_histogram_can_have_another_width(
    seconds: int, name: str, opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written)
    dashboard.changing(lambda: dashboard.page.locator("#bar").select_option(name))
    assert dashboard.link() == {"bar": [str(seconds)]}
    rows = query(
        f"""select least(floor(duration_sec / {seconds}), 30)::int as bin, count(*) from calls
        where duration_sec is not null group by all order by bin""",
        calls,
    )
    head, *shown = dashboard.table(charts.DURATION_HISTOGRAM)
    bars = {at: int(row[head.index("Calls")]) for at, row in enumerate(shown)}
    assert {at: number for at, number in bars.items() if number} == dict(rows)
    dashboard.click_bar(charts.DURATION_HISTOGRAM, 2)
    assert dashboard.link() == {"bar": [str(seconds)], "duration": [str(2 * seconds)]}
    assert dashboard.headline()["Calls"][0] == f"{dict(rows)[2]:,}"
    dashboard.open(dashboard.link())
    assert dashboard.headline()["Calls"][0] == f"{dict(rows)[2]:,}"
