"""Daily Calls: days, weeks and months, the overview, the mean of seven days."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Dashboard, Opening
from callviz_dagster_tests.dashboard_page.expected import (
    assert_headline,
    assert_shows,
    expected_tables,
)
from callviz_dagster_tests.helpers.calls import business, query, table


def test_the_lines_pass_through_the_days_numbers(opened: Opening, written: Path, calls: pa.Table) -> None:
    shapes = opened(written).page.evaluate(
        """(figure) => Object.fromEntries([...document.querySelectorAll(`${figure} svg path`)]
          .filter((path) => path.__data__?.datum?.faint)
          .map((path) => [path.__data__.datum.code, path.getAttribute("d")]))""",
        'figure[data-chart="Daily Calls"]',
    )
    daily_calls = expected_tables(calls, {})[charts.DAILY_CALLS]
    top = max(daily_calls.values())
    first = query("select min(call_date) from calls", calls)[0][0]
    for code, kind in enumerate(query("select call_type from calls group by all order by count(*) desc", calls)):
        heights = [float(point.split(",")[1]) for point in re.findall(r"[\d.]+,[\d.]+", shapes[str(code)])]
        numbers = [daily_calls.get((str(first + dt.timedelta(days=day)), kind[0]), 0) for day in range(len(heights))]
        assert heights == [pytest.approx((1 - number / top) * charts.HEIGHT, abs=0.01) for number in numbers]


def drag(dashboard: Dashboard, start: float, end: float, selector: str = "svg .role-frame > g > .background") -> None:
    """Drag over Daily Calls, or another part of its figure, from one share of its width to another."""
    place = dashboard.page.locator(f"{dashboard.figure(charts.DAILY_CALLS)} {selector}").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    dashboard.page.mouse.move(box["x"] + start * box["width"], y)
    dashboard.page.mouse.down()
    dashboard.page.mouse.move(box["x"] + (start + end) / 2 * box["width"], y)
    dashboard.page.mouse.move(box["x"] + end * box["width"], y)
    dashboard.page.mouse.up()


def test_dragging_over_days_chooses_them(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    first, last = query("select min(call_date), max(call_date) from calls", calls)[0]
    length = (last - first).days

    def day(number: int) -> str:
        return str(first + dt.timedelta(days=number))

    dashboard.changing(lambda: drag(dashboard, 20 / length, 40 / length))
    assert_shows(dashboard, calls, {"from": [day(20)], "to": [day(40)]})
    # The chart has zoomed to these days.
    dashboard.changing(lambda: drag(dashboard, 15 / 20, 5 / 20))
    assert_headline(dashboard, calls, {"from": [day(25)], "to": [day(35)]})
    dashboard.changing(lambda: drag(dashboard, 0.5, 0.5))
    assert_headline(dashboard, calls, {"from": [day(30)], "to": [day(30)]})
    dashboard.changing(lambda: drag(dashboard, 0.5, 0.5))
    assert_shows(dashboard, calls, {})


def test_the_overview_chooses_days_and_shows_all_again(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    first, last = query("select min(call_date), max(call_date) from calls", calls)[0]
    length = (last - first).days + 1
    dashboard.changing(lambda: drag(dashboard, 10.5 / length, 30.5 / length, "#overview"))
    choices = {"from": [str(first + dt.timedelta(10))], "to": [str(first + dt.timedelta(30))]}
    assert_shows(dashboard, calls, choices)
    window = dashboard.page.locator("#window")
    assert float(window.get_attribute("x") or 0) == pytest.approx(10 / length * 1000)
    assert float(window.get_attribute("width") or 0) == pytest.approx(21 / length * 1000)
    dashboard.changing(lambda: drag(dashboard, 0.5, 0.5, "#overview"))
    assert_shows(dashboard, calls, {})


@pytest.mark.parametrize(("unit", "sql"), [("Weeks", "week"), ("Months", "month")])
def test_daily_calls_are_drawn_by_week_and_month(
    unit: str, sql: str, opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written)
    dashboard.page.get_by_role("button", name=unit).click()
    figure = dashboard.figure(charts.DAILY_CALLS)
    dashboard.page.wait_for_function(
        "([figure, start]) => document.querySelector(`${figure} .subtitle`).textContent.startsWith(start)",
        arg=[figure, f"Calls per {sql}, one line for each type"],
    )
    lines = dashboard.page.evaluate(
        """(figure) => [...document.querySelectorAll(`${figure} svg path`)].map((path) => path.__data__?.datum)
          .filter((datum) => datum?.geometry && datum.code === 0 && !datum.mean)
          .map((datum) => [datum.open ?? false, datum.geometry.coordinates.map(([, y]) => y)])""",
        figure,
    )
    numbers = query(
        f"""select date_trunc('{sql}', call_date) as period, call_type, count(*) from calls
        group by all order by period""",
        calls,
    )
    top = max(number for _, _, number in numbers)
    expected = [(1 - number / top) * charts.HEIGHT for _, kind, number in numbers if kind == "incoming"]
    (solid,) = [heights for is_open, heights in lines if not is_open]
    dashes = [heights for is_open, heights in lines if is_open]
    assert dashes, "the last period is not over"
    cut_at_start = len(expected) - len(solid) - 1
    assert solid == [pytest.approx(height) for height in expected[cut_at_start:-1]]
    assert dashes[-1] == [pytest.approx(height) for height in expected[-2:]]


def test_many_days_are_drawn_by_week_and_few_with_those_beside_them(opened: Opening, tmp_path: Path) -> None:
    calls = table(business(2000, first=dt.date(2024, 1, 1), days=700))
    dashboard = opened(calls)
    subtitle = f"{dashboard.figure(charts.DAILY_CALLS)} .subtitle"
    assert dashboard.text(subtitle).startswith("Calls per week")
    dashboard.open({"from": ["2024-03-01"], "to": ["2024-05-31"]})
    assert dashboard.text(subtitle).startswith("Calls per day, one line for each type; strong lines: mean of 7 days")
    dashboard.open({"from": ["2024-03-01"], "to": ["2024-05-31"], "weekday": ["Monday"]})
    assert dashboard.text(subtitle) == "Calls per day, one line for each type; a day without calls is drawn as 0"
    points = dashboard.page.evaluate(
        """(figure) => [...document.querySelectorAll(`${figure} svg path`)].map((path) => path.__data__?.datum)
          .filter((datum) => datum?.geometry && datum.code === 0).flatMap((datum) => datum.geometry.coordinates)""",
        dashboard.figure(charts.DAILY_CALLS),
    )
    assert len(points) == 13, "the Mondays alone: the days between them are not without calls"


def test_the_strong_line_is_the_mean_of_seven_days(opened: Opening, written: Path, calls: pa.Table) -> None:
    heights = opened(written).page.evaluate(
        """() => [...document.querySelectorAll('figure[data-chart="Daily Calls"] svg path')]
          .map((path) => path.__data__?.datum).filter((datum) => datum?.mean && datum.code === 0)
          .map((datum) => datum.geometry.coordinates.map(([, y]) => y))[0]"""
    )
    ((first, last),) = query("select min(call_date), max(call_date) from calls", calls)
    daily = dict(query("select call_date, count(*) from calls where call_type = 'incoming' group by all", calls))
    numbers = [daily.get(first + dt.timedelta(days=at), 0) for at in range((last - first).days + 1)]
    ((top,),) = query("select max(n) from (select count(*) as n from calls group by call_date, call_type)", calls)
    means = [sum(numbers[at - 6 : at + 1]) / 7 for at in range(6, len(numbers))]
    assert heights == [pytest.approx((1 - mean / top) * charts.HEIGHT) for mean in means]


def test_the_first_view_says_whether_calls_go_up_or_down(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)

    def counted(first: str, last: str) -> int:
        return int(query(f"select count(*) from calls where call_date between '{first}' and '{last}'", calls)[0][0])

    # The last refresh was on the 29th, which was not over.
    week, before = counted("2026-03-22", "2026-03-28"), counted("2026-03-15", "2026-03-21")
    day, day_before = counted("2026-03-28", "2026-03-28"), counted("2026-03-21", "2026-03-21")

    def change(now: int, then: int) -> str:
        share = round((now / then - 1) * 100, 1)
        return f"{'+' if share > 0 else '−' if share < 0 else '±'}{abs(share)}%"

    assert dashboard.text("#trend") == (
        f"Last 7 full days (22 Mar 2026 to 28 Mar 2026): {week:,} calls, {change(week, before)} on the 7 days before. "
        f"Saturday, 28 Mar 2026: {day:,} calls, {change(day, day_before)} on the Saturday before."
    )
    today = dt.date(2026, 3, 29)
    few = [*business(60, first=dt.date(2026, 3, 21), days=8), *[("incoming", "completed", today, 9, 5.0)] * 50]
    dashboard = opened(table(few))
    assert dashboard.page.locator("#trend").is_hidden()
    text = dashboard.page.get_by_role("img", name=charts.DAILY_CALLS).get_attribute("aria-label") or ""
    assert ", most on " in text
    assert "29 Mar 2026:" not in text, "this day is not over"
