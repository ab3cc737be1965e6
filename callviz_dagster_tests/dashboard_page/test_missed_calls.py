"""The share of missed calls: its line, its table, the target; and the age of the data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard.page import Context
from callviz_dagster_tests.dashboard_page.browser import Dashboard, Opening
from callviz_dagster_tests.dashboard_page.expected import MISSED, where
from callviz_dagster_tests.helpers.calls import query

LINES = """(figure) => [...document.querySelectorAll(`${figure} svg path`)].map((path) => path.__data__?.datum)
  .filter((datum) => datum?.geometry && !datum.open).map((datum) => datum.geometry.coordinates.map(([, y]) => y))"""


def by_day(calls: pa.Table, condition: str) -> dict[dt.date, tuple[int, int]]:
    """Return all calls and the missed ones of each day that has calls."""
    rows = query(
        f"select call_date, count(*), count(*) filter ({MISSED}) from calls where {condition} group by all", calls
    )
    return {day: (number, missed) for day, number, missed in rows}


def assert_table_shows(dashboard: Dashboard, daily: Mapping[dt.date, tuple[int, int]]) -> None:
    head, *shown = dashboard.table(charts.MISSED_SHARE)
    assert head == ["Day", "Missed", "Calls", "Share missed"]
    assert {dt.date.fromisoformat(day) for day, *_ in shown} >= daily.keys()
    for day, number, calls, share in shown:
        expected_calls, expected_missed = daily.get(dt.date.fromisoformat(day), (0, 0))
        assert (int(number), int(calls)) == (expected_missed, expected_calls)
        if expected_calls:
            assert float(share.rstrip("%")) == pytest.approx(expected_missed / expected_calls * 100, abs=0.051)
        else:
            assert share == "–"


def test_the_share_of_missed_calls_is_drawn_beside_the_target(
    opened: Opening, by_field: Path, calls_by_field: pa.Table
) -> None:
    dashboard = opened(by_field)
    figure = dashboard.figure(charts.MISSED_SHARE)
    daily = by_day(calls_by_field, "true")
    first, last = min(daily), max(daily)
    days = [daily.get(first + dt.timedelta(at), (0, 0)) for at in range((last - first).days + 1)]
    weeks = [list(zip(*days[at - 6 : at + 1], strict=True)) for at in range(6, len(days))]
    shares = [sum(missed) / sum(calls) for calls, missed in weeks]
    (heights,) = dashboard.page.evaluate(LINES, figure)
    top = max(max(shares) * 1.05, 0.25 * 1.05)
    # The last day is not over: its part of the line is dashed.
    assert heights == [pytest.approx((1 - share / top) * charts.MISSED_HEIGHT) for share in shares[:-1]]
    assert dashboard.text(f"{figure} .subtitle") == (
        "Over the last 7 days, for each day; missed: type missed; status no-answer; dashed: target 25.0%"
    )
    all_calls, missed = (sum(numbers) for numbers in zip(*daily.values(), strict=True))
    over = (missed / all_calls - 0.25) * 100
    assert dashboard.headline()["Missed"] == [
        f"{missed / all_calls:.1%}",
        f"{missed:,} calls; {over:.1f} points over the target of 25.0%",
    ]
    assert_table_shows(dashboard, daily)
    dashboard.click_bar(charts.CALLS_BY_TYPE, 0)
    assert_table_shows(dashboard, by_day(calls_by_field, where({"type": ["incoming"]})))
    dashboard.page.locator("#units").get_by_role("button", name="Weeks").click()
    dashboard.page.wait_for_function(
        "(figure) => document.querySelector(`${figure} .subtitle`).textContent.startsWith('By week; missed')",
        arg=figure,
    )


def test_old_data_is_called_old(opened: Opening, calls: pa.Table, written: Path, by_field: Path) -> None:
    age = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat("2026-03-29T21:59:00+00:00")).days
    dashboard = opened(calls, context=Context(stale_after=dt.timedelta(days=1)))
    assert dashboard.text("#stale") in {
        f"This data is {days} days old: the page shows the calls as they were then." for days in (age, age + 1)
    }
    assert opened(by_field).page.locator("#stale").is_hidden()
