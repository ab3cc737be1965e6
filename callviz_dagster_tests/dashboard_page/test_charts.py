"""The charts are drawn, and their numbers are those of DuckDB."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Opening
from callviz_dagster_tests.dashboard_page.expected import (
    assert_shows,
    expected_tables,
)
from callviz_dagster_tests.helpers.calls import query


def test_every_chart_is_drawn_and_its_numbers_equal_duckdbs(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    assert dashboard.page.title() == "Calls Overview"
    assert dashboard.page.locator("figure h2").all_inner_texts() == [
        *charts.FIVE[:3],
        charts.MISSED_SHARE,
        *charts.FIVE[3:],
        charts.CALLS_BY_HOUR,
    ]
    drawn = dashboard.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => [figure.dataset.chart,
          [...figure.querySelectorAll("svg path")].filter((path) => path.__data__?.datum?.code !== undefined
            || path.__data__?.datum?.hour !== undefined)
            .map((path) => [path.__data__.datum, path.getBoundingClientRect()])
            .filter(([, box]) => box.width > 0.2 && box.height > 0).map(([datum]) => datum)]))"""
    )
    tables_expected = expected_tables(calls, {})
    for chart in (charts.CALLS_BY_TYPE, charts.CALLS_BY_STATUS, charts.CALLS_BY_WEEKDAY, charts.DURATION_HISTOGRAM):
        parts = [part["end"] - part["start"] for part in drawn[chart]]
        assert sorted(parts) == sorted(tables_expected[chart].values())
    assert {line["code"] for line in drawn[charts.DAILY_CALLS]} == {0, 1, 2, 3}
    assert len(drawn[charts.CALLS_BY_HOUR]) == 168
    assert_shows(dashboard, calls, {})


def test_bars_are_as_long_as_their_numbers(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    bars = dashboard.page.evaluate(
        """(figure) => [...document.querySelectorAll(`${figure} svg path`)]
          .filter((path) => path.__data__?.datum?.code !== undefined)
          .map((path) =>
            [path.__data__.datum.label, path.getBoundingClientRect().width, getComputedStyle(path).fill])""",
        dashboard.figure(charts.CALLS_BY_TYPE),
    )
    numbers = dict(query("select call_type, count(*) from calls group by all", calls))
    longest = max(width for _, width, _ in bars)
    assert len(bars) == 4
    for label, width, colour in bars:
        assert width / longest == pytest.approx(numbers[label] / max(numbers.values()), abs=0.01)
        red, green, blue = bytes.fromhex(charts.COLOURS[label][1:])
        assert colour == f"rgb({red}, {green}, {blue})"


def test_weekdays_have_an_average_per_day(opened: Opening, written: Path, calls: pa.Table) -> None:
    head, *rows = opened(written).table(charts.CALLS_BY_WEEKDAY)
    assert [row[0] for row in rows] == list(WEEKDAYS)
    days: dict[str, int] = {}
    first, last = query("select min(call_date), max(call_date) from calls", calls)[0]
    for day in range((last - first).days + 1):
        weekday = WEEKDAYS[(first + dt.timedelta(days=day)).weekday()]
        days[weekday] = days.get(weekday, 0) + 1
    for row in rows:
        assert float(row[-1]) == pytest.approx(int(row[head.index("Calls")]) / days[row[0]], abs=0.051)


def test_calls_without_duration_are_told(opened: Opening, written: Path, calls: pa.Table) -> None:
    ((number,),) = query("select count(*) from calls where duration_sec is null", calls)
    note = opened(written).text('figure[data-chart="Duration Histogram"] .note')
    assert note == f"{number:,} calls without a duration are left out."


def test_the_page_tells_where_its_numbers_come_from(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    assert dashboard.text("#refreshed") == "Refreshed 29 March 2026, 23:59, time zone Europe/Berlin"
    assert "db.example.internal" not in dashboard.text("body"), "folded away for those who run it"
    dashboard.page.locator("#provenance summary").click()
    provenance = dashboard.text("#provenance")
    for part in (
        "Every document is accounted for: 3,007 documents, 3,000 calls on this page, 7 rejected.",
        "telephony.calls on db.example.internal",
        "5 × The document has no start time.",
        "8 × start time read from text",
    ):
        assert part in provenance
