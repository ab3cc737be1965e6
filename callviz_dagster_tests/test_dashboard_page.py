"""The dashboard in a real browser: what it shows equals DuckDB's counts of the same calls, whatever is chosen.

With CALLVIZ_TEST_SCREENSHOTS=<folder> the tests leave pictures of the page there.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import dagster as dg
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from pymongo.collection import Collection

from callviz_dagster.assets import call_dashboard as asset
from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard import page as pages
from callviz_dagster.dashboard.counts import count_calls
from callviz_dagster.definitions import build_definitions
from callviz_dagster.demo.sample_calls import seed_collection
from callviz_dagster.settings import Settings
from callviz_dagster.table.manifest import read_footer
from callviz_dagster_tests.helpers.calls import FOOTER, Call, business, query, table, write

LAPTOP, PHONE = (1280, 800), (390, 844)
DAY = dt.date(2026, 3, 2)


class Dashboard:
    """The page in a browser, as a person uses it."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requests.append(request.url.split("#")[0])

    def open(self, link: Mapping[str, Sequence[str]] | None = None) -> Dashboard:
        """Open the page from the disk, with choices in its link."""
        self.page.goto("about:blank")
        self.page.goto(self.path.as_uri() + (f"#{urlencode(link, doseq=True)}" if link else ""))
        self.page.wait_for_selector("body[data-shown]", timeout=60_000)
        return self

    def changing(self, act: Callable[[], object]) -> None:
        """Do something, and wait until the page shows another choice."""
        shown = self.page.evaluate("document.body.dataset.shown")
        act()
        self.page.wait_for_function("(was) => document.body.dataset.shown !== was", arg=shown)

    def link(self) -> dict[str, list[str]]:
        """Return the choices in the link."""
        choices: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.page.url.partition("#")[2]):
            choices.setdefault(name, []).append(value)
        return choices

    def figure(self, chart: str) -> str:
        return f'figure[data-chart="{chart}"]'

    def table(self, chart: str) -> list[list[str]]:
        """Open a chart's table and return its rows, header first, without thousands separators."""
        details = self.page.locator(f"{self.figure(chart)} details")
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        self.page.locator(f"{self.figure(chart)} table").wait_for(timeout=5000)
        for button in self.page.get_by_text(re.compile("^Show all")).all():
            button.click()
        rows = self.page.eval_on_selector(
            f"{self.figure(chart)} table", "t => [...t.rows].map(r => [...r.cells].map(c => c.textContent))"
        )
        return [[cell.replace(",", "") if re.fullmatch(r"[\d,.]+", cell) else cell for cell in row] for row in rows]

    def tables(self) -> dict[str, list[list[str]]]:
        return {chart: self.table(chart) for chart in (*charts.FIVE, charts.CALLS_BY_HOUR)}

    def headline(self) -> dict[str, list[str]]:
        """Return the lines of each headline figure by its name."""
        figures = self.page.eval_on_selector_all(
            ".figure", "all => all.map(f => [...f.children].map(c => c.textContent))"
        )
        return {figure[0]: figure[1:] for figure in figures}

    def bar(self, chart: str, number: int) -> tuple[float, float]:
        """Return the middle of a bar, or of a cell of the heat map, on the screen."""
        self.page.locator(self.figure(chart)).scroll_into_view_if_needed()
        place = self.page.evaluate(
            """([figure, number]) => {
              const marks = [...document.querySelectorAll(`${figure} svg path`)].filter(
                (path) => path.__data__?.datum?.bar === number && path.__data__.mark.marktype === "rect");
              const covered = document.querySelector("#state").getBoundingClientRect().bottom;
              const top = marks.at(-1).getBoundingClientRect().top;
              if (top < covered) scrollBy(0, top - covered - 20);
              const box = marks.at(-1).getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }""",
            [self.figure(chart), number],
        )
        return place[0], place[1]

    def click_bar(self, chart: str, number: int, *, add: bool = False) -> None:
        x, y = self.bar(chart, number)
        if add:
            self.page.keyboard.down("Shift")
        self.changing(lambda: self.page.mouse.click(x, y))
        if add:
            self.page.keyboard.up("Shift")

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def whole(self) -> Page:
        """Make the window as high as the page, for a picture of all of it."""
        width = (self.page.viewport_size or {"width": LAPTOP[0]})["width"]
        height = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size({"width": width, "height": height})
        return self.page


Opening = Callable[..., Dashboard]
Taking = Callable[[Page, str], None]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opening]:
    """Make a page of calls and open it; afterwards nothing may have been asked of the network or complained about."""
    dashboards: list[Dashboard] = []

    def open_page(
        calls: pa.Table | Path,
        *,
        size: tuple[int, int] = LAPTOP,
        dark: bool = False,
        link: Mapping[str, Sequence[str]] | None = None,
        **making: Any,
    ) -> Dashboard:
        path = calls if isinstance(calls, Path) else made(calls, tmp_path, **making)
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        dashboards.append(Dashboard(context.new_page(), path))
        return dashboards[-1].open(link)

    yield open_page
    for dashboard in dashboards:
        assert dashboard.complaints == []
        assert set(dashboard.requests) <= {"about:blank", dashboard.path.as_uri()}
        dashboard.page.context.close()


def made(calls: pa.Table, folder: Path, *, labels: int = 12, max_cells: int | None = None) -> Path:
    """Write calls and the page of them as the asset does."""
    source = write(folder / "calls" / "all.parquet", calls)
    published = read_footer(source)
    assert published
    target = folder / asset.FILE
    if max_cells is None:
        asset.publish_page({source: published}, target, labels=labels)
    else:
        counts = count_calls(lambda columns: [calls.select(list(columns))], labels=labels, max_cells=max_cells)
        target.write_text(pages.render(counts, [FOOTER]).html, encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def calls() -> pa.Table:
    return table(business())


@pytest.fixture(scope="module")
def written(calls: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the business's calls."""
    return made(calls, tmp_path_factory.mktemp("page"))


# What DuckDB says

BIN = "if(duration_sec < 1800, floor(duration_sec / 60) * 60, 1800)::int::text"
COLUMNS = {
    "type": "call_type",
    "status": "status",
    "weekday": "call_weekday",
    "duration": BIN,
    "hour": "call_weekday || '-' || lpad(call_hour::text, 2, '0')",
}


def where(choices: Mapping[str, Sequence[str]], *, leaving: str = "") -> str:
    """Return the condition that choices stand for, leaving those of one dimension aside."""
    conditions = ["true"]
    for name, values in choices.items():
        if name == leaving or (leaving == "days" and name in ("from", "to")):
            continue
        if name in ("from", "to"):
            conditions.append(f"call_date {'>=' if name == 'from' else '<='} date '{values[0]}'")
        else:
            listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
            conditions.append(
                f"({COLUMNS[name]}) in ({listed})"
                if name != "duration"
                else f"{BIN} in ({listed}) and duration_sec is not null"
            )
    return " and ".join(conditions)


def by_bar(calls: pa.Table, choices: Mapping[str, Sequence[str]], dimension: str) -> dict[tuple[str, str], int]:
    """Return the calls of a chart by bar and call type, under all choices but the chart's own."""
    some = "duration_sec is not null" if dimension == "duration" else "true"
    rows = query(
        f"""select {COLUMNS[dimension]}, call_type, count(*) from calls
        where {some} and {where(choices, leaving=dimension)} group by all""",
        calls,
    )
    return {(bar, kind): number for bar, kind, number in rows}


def expected_tables(calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what each chart's table is to say, by chart: calls by bar and call type."""
    by_day = query(
        f"select call_date::text, call_type, count(*) from calls where {where(choices, leaving='days')} group by all",
        calls,
    )
    hours = query(
        f"select {COLUMNS['hour']}, count(*) from calls where {where(choices, leaving='hour')} group by all", calls
    )
    return {
        charts.CALLS_BY_TYPE: by_bar(calls, choices, "type"),
        charts.CALLS_BY_STATUS: by_bar(calls, choices, "status"),
        charts.DAILY_CALLS: {(day, kind): number for day, kind, number in by_day},
        charts.CALLS_BY_WEEKDAY: by_bar(calls, choices, "weekday"),
        charts.DURATION_HISTOGRAM: by_bar(calls, choices, "duration"),
        charts.CALLS_BY_HOUR: dict(hours),
    }


def shown_tables(
    dashboard: Dashboard, charts_shown: Iterable[str] = (*charts.FIVE, charts.CALLS_BY_HOUR)
) -> dict[str, Any]:
    """Return what each chart's table says in the same form, without zeros; and check its sums and shares."""
    shown: dict[str, Any] = {}
    for chart in charts_shown:
        head, *rows = dashboard.table(chart)
        cells: dict[Any, int] = {}
        total = sum(int(row[head.index("Calls")]) for row in rows) if "Calls" in head else 0
        for number, row in enumerate(rows):
            if chart == charts.CALLS_BY_HOUR:
                for weekday, calls in zip(head[1:], row[1:], strict=True):
                    cells[f"{weekday}-{row[0][:2]}"] = int(calls)
                continue
            last = head.index("Calls")
            bar = str(min(number, 30) * 60) if chart == charts.DURATION_HISTOGRAM else row[0]
            kinds = (
                {row[0]: row[last]}
                if chart == charts.CALLS_BY_TYPE
                else dict(zip(head[1:last], row[1:last], strict=True))
            )
            for kind, calls in kinds.items():
                cells[bar, kind] = int(calls)
            assert int(row[last]) == sum(map(int, kinds.values()))
            if "Share" in head and total:
                assert float(row[head.index("Share")].rstrip("%")) == pytest.approx(
                    int(row[last]) / total * 100, abs=0.051
                )
        shown[chart] = {key: calls for key, calls in cells.items() if calls}
    return shown


def expected_headline(calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> tuple[Any, ...]:
    """Return calls, completed calls, median and number of durations, first and last day, and days with calls."""
    return query(
        f"""select count(*), count(*) filter (status = 'completed'), median(duration_sec), count(duration_sec),
            min(call_date), max(call_date), count(distinct call_date)
        from calls where {where(choices)}""",
        calls,
    )[0]


def in_seconds(text: str) -> int:
    """Return the seconds in a text such as `≈ 2 min 5 s`."""
    return sum(int(number) * {"h": 3600, "min": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+) (\w+)", text))


def assert_headline(dashboard: Dashboard, calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> None:
    """Compare the headline figures with DuckDB's."""
    number, completed, median, durations, first, last, days = expected_headline(calls, choices)
    shown = dashboard.headline()
    assert shown["Calls"][0] == f"{number:,}"
    if not number:
        assert shown["Days covered"][0] == "0"
        return
    assert float(shown["Completed"][0].rstrip("%")) == pytest.approx(completed / number * 100, abs=0.051)
    assert shown["Completed"][1].startswith(f"{completed:,} call")
    assert shown["Median duration"][1].endswith(
        f"of {durations:,} call{'' if durations == 1 else 's'} with a duration; {number - durations:,} without"
    )
    if shown["Median duration"][0].startswith("≈"):
        assert in_seconds(shown["Median duration"][0]) == pytest.approx(median, abs=1)
    elif durations:
        assert shown["Median duration"][1].startswith(f"{median:,.1f} s, ")
    assert shown["Days covered"][0] == f"{(last - first).days + 1:,}"
    if last > first:
        assert shown["Days covered"][1].endswith(f"; {days:,} with calls")


def assert_shows(dashboard: Dashboard, calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> None:
    """Compare everything that the page shows with DuckDB's counts."""
    assert dashboard.link() == {name: list(values) for name, values in choices.items()}
    assert_headline(dashboard, calls, choices)
    assert shown_tables(dashboard) == expected_tables(calls, choices)
    number = expected_headline(calls, choices)[0]
    all_calls = f"{calls.num_rows:,} call{'' if calls.num_rows == 1 else 's'}"
    shown = f"{number:,} of {all_calls} chosen" if choices else all_calls if calls.num_rows == 1 else f"All {all_calls}"
    assert dashboard.text("#shown") == shown


# The charts


def test_every_chart_is_drawn_and_its_numbers_equal_duckdbs(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    assert dashboard.page.title() == "Calls Overview"
    assert dashboard.page.locator("figure h2").all_inner_texts() == [*charts.FIVE, charts.CALLS_BY_HOUR]
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


# Choosing


@pytest.mark.parametrize(
    ("chart", "bar", "choices"),
    [
        (charts.CALLS_BY_TYPE, 2, {"type": ["missed"]}),
        (charts.CALLS_BY_STATUS, 1, {"status": ["no-answer"]}),
        (charts.CALLS_BY_WEEKDAY, 4, {"weekday": ["Friday"]}),
        (charts.DURATION_HISTOGRAM, 3, {"duration": ["180"]}),
        (charts.DURATION_HISTOGRAM, 30, {"duration": ["1800"]}),
        (charts.CALLS_BY_HOUR, 2 * 24 + 13, {"hour": ["Wednesday-13"]}),
    ],
)
def test_choosing_a_bar_filters_all_others_and_clearing_restores(
    chart: str, bar: int, choices: dict[str, list[str]], opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written)
    before = dashboard.tables()
    dashboard.click_bar(chart, bar)
    assert_shows(dashboard, calls, choices)
    after = dashboard.tables()
    assert after[chart] == before[chart]
    assert all(after[other] != before[other] for other in before if other != chart)
    dashboard.changing(lambda: dashboard.page.get_by_role("button", name="Clear all").click())
    assert_shows(dashboard, calls, {})
    assert dashboard.tables() == before
    assert dashboard.page.get_by_role("button", name="Clear all").is_hidden()


def test_the_only_chosen_bar_is_let_go_by_another_click(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 0)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 0)
    assert_shows(dashboard, calls, {})


def test_shift_adds_bars_and_charts_combine(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.click_bar(charts.CALLS_BY_STATUS, 0)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 1)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 3, add=True)
    choices = {"status": ["completed"], "weekday": ["Tuesday", "Thursday"]}
    assert_shows(dashboard, calls, choices)
    assert dashboard.page.locator("#chosen button").all_inner_texts() == [
        "Status: completed ✕",
        "Weekday: Tuesday, Thursday ✕",
    ]
    dashboard.changing(dashboard.page.get_by_role("button", name="Status: completed").click)
    assert_shows(dashboard, calls, {"weekday": ["Tuesday", "Thursday"]})


def test_types_and_statuses_are_chosen_by_their_buttons(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    for name in ("incoming", "outgoing"):
        dashboard.changing(dashboard.page.locator("#types").get_by_role("button", name=name).click)
    dashboard.changing(dashboard.page.locator("#statuses").get_by_role("button", name="busy").click)
    assert_shows(dashboard, calls, {"type": ["incoming", "outgoing"], "status": ["busy"]})
    pressed = dashboard.page.locator("#filters [aria-pressed=true]").all_inner_texts()
    assert pressed == ["incoming", "outgoing", "busy"]


def test_dates_are_chosen_by_their_fields(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.changing(lambda: dashboard.page.fill("#from", "2026-02-01"))
    dashboard.changing(lambda: dashboard.page.fill("#to", "2026-02-28"))
    assert_shows(dashboard, calls, {"from": ["2026-02-01"], "to": ["2026-02-28"]})
    dashboard.changing(dashboard.page.get_by_role("button", name="Last 30 days").click)
    assert_shows(dashboard, calls, {"from": ["2026-02-28"]})


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
    dashboard.page.wait_for_function(f"document.querySelector('#units [aria-pressed=true]').textContent === '{unit}'")
    figure = dashboard.figure(charts.DAILY_CALLS)
    assert dashboard.text(f"{figure} .subtitle").startswith(f"Calls per {sql}, one line for each type")
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
    assert opened(table(business(30, days=9))).page.locator("#trend").is_hidden()


def test_nothing_moves_under_the_pointer(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    places = "() => [...document.querySelectorAll('figure')].map((one) => one.getBoundingClientRect().y + scrollY)"
    before = dashboard.page.evaluate(places)
    dashboard.click_bar(charts.CALLS_BY_STATUS, 1)
    assert dashboard.page.evaluate(places) == [pytest.approx(y, abs=1) for y in before]
    dashboard.click_bar(charts.CALLS_BY_STATUS, 1)
    assert dashboard.link() == {}


def test_the_legend_stays_in_view_and_is_printed(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    assert dashboard.page.locator("#legend bdi").all_inner_texts() == ["incoming", "outgoing", "missed", "internal"]
    dashboard.page.locator("#provenance").scroll_into_view_if_needed()
    dashboard.page.mouse.wheel(0, 5000)
    box = dashboard.page.locator("#legend").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < LAPTOP[1] / 2
    dashboard.page.emulate_media(media="print")
    assert dashboard.page.locator("#legend").is_visible()
    assert dashboard.page.locator("#shown").is_visible()
    assert dashboard.page.locator("#filters").is_hidden()
    background = dashboard.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"


def random_choices(seed: int) -> dict[str, list[str]]:
    """Return choices in several dimensions at once, in the order that the link has."""
    chance = random.Random(seed)
    first = dt.date(2026, 1, 1) + dt.timedelta(days=chance.randrange(1, 40))
    all_labels = {
        "from": [str(first)],
        "to": [str(first + dt.timedelta(days=chance.randrange(10, 45)))],
        "type": ["incoming", "outgoing", "missed", "internal"],
        "status": ["completed", "no-answer", "busy", "failed", "unknown"],
        "weekday": list(WEEKDAYS),
        "duration": [str(start) for start in range(0, 1801, 60)],
        "hour": [f"{weekday}-{hour:02}" for weekday in WEEKDAYS for hour in range(24)],
    }
    chosen: dict[str, list[str]] = {}
    for name, values in all_labels.items():
        if chance.random() < 0.5:
            number = chance.randrange(1, max(2, len(values)))
            chosen[name] = values if name in ("from", "to") else sorted(chance.sample(values, number), key=values.index)
    return chosen


@pytest.mark.parametrize("seed", range(6))
def test_a_link_restores_any_choices(seed: int, opened: Opening, written: Path, calls: pa.Table) -> None:
    choices = random_choices(seed)
    assert_shows(opened(written, link=choices), calls, choices)


def test_the_back_button_undoes(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.click_bar(charts.CALLS_BY_TYPE, 1)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 1)
    dashboard.changing(lambda: dashboard.page.go_back())
    assert_headline(dashboard, calls, {"type": ["outgoing"]})
    dashboard.changing(lambda: dashboard.page.go_back())
    assert_shows(dashboard, calls, {})


def test_a_link_to_what_is_not_there_says_so(opened: Opening, written: Path, calls: pa.Table) -> None:
    link = {"type": ["fax", "missed"], "from": ["yesterday"], "__proto__": ["x"], "hour": ["Monday-24"]}
    dashboard = opened(written, link=link)
    assert "4 choices that the calls shown here do not have" in dashboard.text("#message")
    assert_shows(dashboard, calls, {"type": ["missed"]})


def test_dates_beyond_the_calls_are_taken_as_far_as_they_go(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written, link={"from": ["1999-01-01"], "to": ["2026-01-31"]})
    assert_shows(dashboard, calls, {"to": ["2026-01-31"]})
    dashboard.open({"from": ["2030-01-01"], "to": ["2026-03-20"]})
    assert dashboard.link() == {"from": ["2026-03-20"]}


def test_a_choice_without_calls_shows_none(opened: Opening, written: Path, calls: pa.Table) -> None:
    choices = {"status": ["unknown"], "duration": ["1740"], "hour": ["Sunday-03"]}
    dashboard = opened(written, link=choices)
    assert_shows(dashboard, calls, choices)
    assert dashboard.page.locator(f"{dashboard.figure(charts.CALLS_BY_TYPE)}.none").count() == 1


def test_the_period_before_is_compared(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    assert dashboard.text("#comparison") == "Choose dates to compare them with the period before."
    dashboard.open({"from": ["2026-02-11"], "to": ["2026-02-20"], "type": ["incoming"]})
    assert dashboard.text("#comparison") == "Compared with the 10 days before: 1 Feb 2026 to 10 Feb 2026."
    now = expected_headline(calls, {"from": ["2026-02-11"], "to": ["2026-02-20"], "type": ["incoming"]})
    before = expected_headline(calls, {"from": ["2026-02-01"], "to": ["2026-02-10"], "type": ["incoming"]})
    change = (now[0] / before[0] - 1) * 100
    sign = "+" if change > 0 else "−"
    assert dashboard.headline()["Calls"][2] == f"{sign}{abs(change):.1f}%, before: {before[0]:,}"
    assert f"before: {before[1] / before[0]:.1%}" in dashboard.headline()["Completed"][2]
    seconds = round(before[2])
    assert dashboard.headline()["Median duration"][2] == f"before: {seconds // 60} min {seconds % 60} s"
    for link in ({"from": ["2026-01-05"], "to": ["2026-01-20"]}, {"to": ["2026-01-16"]}):
        dashboard.open(link)
        assert dashboard.text("#comparison").startswith(
            "The calls begin on 1 Jan 2026: there is no whole period of 16 days"
        )
        assert len(dashboard.headline()["Calls"]) == 2


# Where the numbers come from


def test_the_page_tells_where_its_numbers_come_from(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    assert dashboard.text("#refreshed") == "Refreshed 29 March 2026, 23:59, time zone Europe/Berlin"
    dashboard.page.locator("#provenance summary").click()
    provenance = dashboard.text("#provenance")
    for part in (
        "Every document is accounted for: 3,007 documents, 3,000 calls on this page, 7 rejected.",
        "telephony.calls on db.example.internal",
        "5 × The document has no start time.",
        "8 × start time read from text",
    ):
        assert part in provenance


# Labels that want to be more than text


HOSTILE = (
    "<script>hacked = 1</script>",
    "</script><img src=x onerror='hacked = 1'>",
    '"><svg onload="hacked = 1">',
    "{{data}}",
    "<!--",
    "__proto__",
    "constructor",
    "javascript:hacked=1",
    "' or datum.hacked = 1",
    "a\nb\tc\u2028d",
    "\u202eright to left",
    "x" * 300,
)


def test_labels_stay_text(opened: Opening, screenshots: Taking) -> None:
    made_calls: list[Call] = [
        (kind, status, DAY + dt.timedelta(days=(at + number) % 9), (at + number) % 24, float(at * number))
        for at, kind in enumerate(HOSTILE)
        for number, status in enumerate(HOSTILE)
        for _ in range(at + number + 1)
    ]
    calls = table(made_calls)
    dashboard = opened(calls, labels=20)
    screenshots(dashboard.page, "page-hostile-labels.png")
    cut = [label if len(label) <= 120 else label[:120] + "…" for label in HOSTILE]
    named = dict(zip(cut, HOSTILE, strict=True))
    buttons = dashboard.page.eval_on_selector_all("#types bdi", "all => all.map((one) => one.textContent)")
    assert sorted(buttons) == sorted(cut)
    _, *rows = dashboard.table(charts.CALLS_BY_TYPE)
    numbers = dict(query("select call_type, count(*) from calls group by all", calls))
    assert {named[row[0]]: int(row[1]) for row in rows} == numbers
    for label in HOSTILE[:8]:
        dashboard.changing(dashboard.page.locator("#types bdi", has_text=label).first.click)
        assert dashboard.headline()["Calls"][0] == f"{numbers[label]:,}"
        dashboard.open(dashboard.link())
        assert dashboard.headline()["Calls"][0] == f"{numbers[label]:,}"
        dashboard.changing(lambda: dashboard.page.keyboard.press("Escape"))
    dashboard.tables()
    x, y = dashboard.bar(charts.CALLS_BY_STATUS, 0)
    dashboard.page.mouse.move(x, y)
    assert dashboard.text("#tip").startswith(HOSTILE[-1][:20])
    assert dashboard.page.evaluate("typeof hacked") == "undefined"
    assert dashboard.page.locator("main img, main script, #filters img, #filters svg").count() == 0


def test_the_policy_forbids_other_scripts_and_requests(browser: Browser, written: Path) -> None:
    page = browser.new_page()
    page.goto(written.as_uri())
    page.wait_for_selector("body[data-shown]")
    tried = page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<img src='x.png' onerror='hacked = 1'>");
          setTimeout("window.hacked = 1", 0);
          let fetched = false;
          try { await fetch("http://127.0.0.1:9/"); fetched = true; } catch {}
          await new Promise((done) => setTimeout(done, 200));
          return [window.hacked === undefined, fetched];
        }"""
    )
    assert tried == [True, False]
    page.close()


# Little and odd data


def test_no_calls(opened: Opening, screenshots: Taking) -> None:
    dashboard = opened(table([]))
    assert dashboard.text("#shown") == "No calls"
    assert dashboard.headline()["Calls"][0] == "0"
    assert dashboard.page.locator("figure.none").count() == 6
    assert len(dashboard.page.locator("#library").text_content() or "") < 10, "no calls need no library to draw them"
    assert dashboard.page.locator("#filters").is_hidden()
    screenshots(dashboard.whole(), "page-no-calls.png")


def test_one_call(opened: Opening, screenshots: Taking) -> None:
    calls = table([("incoming", "completed", DAY, 9, 61.5)])
    dashboard = opened(calls)
    assert_shows(dashboard, calls, {})
    assert dashboard.headline()["Calls"][0] == "1"
    assert dashboard.headline()["Days covered"][1] == "2 Mar 2026"
    screenshots(dashboard.open().whole(), "page-one-call.png")


def test_one_day(opened: Opening) -> None:
    calls = table(business(60, first=DAY, days=1))
    dashboard = opened(calls)
    assert_shows(dashboard, calls, {})
    assert dashboard.page.locator(f"{dashboard.figure(charts.DAILY_CALLS)} svg path[aria-hidden]").count() >= 0
    dashboard.click_bar(charts.CALLS_BY_TYPE, 0)
    assert_shows(dashboard, calls, {"type": ["incoming"]})


def test_a_call_with_a_wrong_date_is_left_out_until_it_is_wanted(opened: Opening) -> None:
    plausible = table(business(300))
    calls = table([("incoming", "completed", dt.date(1970, 1, 1), 0, 5.0), *business(300)])
    dashboard = opened(calls)
    assert_shows(dashboard, plausible, {})
    ((first,),) = query("select min(call_date) from calls", plausible)
    assert dashboard.text("#outside-text") == (
        f"1 call before {first.day} {first:%b %Y} is not shown: probably a wrong date."
    )
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 0)
    assert_headline(dashboard, plausible, {"weekday": ["Monday"]})
    dashboard.page.get_by_role("button", name="Include all dates").click()
    dashboard.page.locator("#outside").wait_for(state="hidden")
    assert_headline(dashboard, calls, {"weekday": ["Monday"]})


def test_dates_far_apart_that_are_no_few_are_all_shown(opened: Opening) -> None:
    calls = table([*business(60, first=dt.date(2020, 1, 1)), *business(300)])
    dashboard = opened(calls)
    assert dashboard.page.locator("#outside").is_hidden()
    assert_headline(dashboard, calls, {})


def test_no_status_is_called_completed(opened: Opening) -> None:
    dashboard = opened(table([("incoming", "answered", DAY, 9, 5.0)]))
    assert dashboard.headline()["Completed"] == ["–", "No status is called completed"]


def test_the_rarest_labels_are_grouped_and_can_be_chosen(opened: Opening, calls: pa.Table) -> None:
    dashboard = opened(calls, labels=2)
    _, *rows = dashboard.table(charts.CALLS_BY_STATUS)
    assert [row[0] for row in rows] == ["completed", "no-answer", "other (3 statuses)"]
    dashboard.click_bar(charts.CALLS_BY_STATUS, 2)
    ((rest,),) = query("select count(*) from calls where status not in ('completed', 'no-answer')", calls)
    assert dashboard.headline()["Calls"][0] == f"{rest:,}"
    assert dashboard.link() == {"status": ["other (3 statuses)"]}


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_a_median_of_some_calls_is_exact_where_durations_are_whole_seconds(fraction: float, opened: Opening) -> None:
    durations = [None, *(at * 7 + fraction for at in range(31))]
    calls = table([("missed" if at % 2 else "incoming", "completed", DAY, 9, s) for at, s in enumerate(durations)])
    dashboard = opened(calls)
    assert dashboard.headline()["Median duration"][1] == f"{105 + fraction} s, of 31 calls with a duration; 1 without"
    dashboard.click_bar(charts.CALLS_BY_TYPE, 0)
    number, note = dashboard.headline()["Median duration"]
    assert number.startswith("≈ ") is bool(fraction)
    assert note.startswith("within 1 s, " if fraction else "105.0 s, ")
    assert_headline(dashboard, calls, {"type": ["incoming"]})


# Many calls


@pytest.mark.parametrize(
    ("choices", "unfiltered"),
    [
        ({"type": ["incoming"], "status": ["completed", "busy"], "from": ["2026-02-01"]}, ()),
        ({"duration": ["60", "120"], "weekday": ["Monday"]}, (charts.CALLS_BY_HOUR,)),
        ({"hour": ["Monday-13", "Tuesday-10"], "type": ["outgoing"]}, (charts.DURATION_HISTOGRAM,)),
    ],
)
def test_hours_and_durations_that_are_counted_apart(
    choices: dict[str, list[str]], unfiltered: tuple[str, ...], opened: Opening, calls: pa.Table
) -> None:
    dashboard = opened(calls, max_cells=10, link=choices)
    shown, expected = shown_tables(dashboard), expected_tables(calls, choices)
    others = {name: values for name, values in choices.items() if name not in ("duration", "hour")}
    for chart in unfiltered:
        expected[chart] = expected_tables(calls, others)[chart]
        assert "the page holds hours and durations apart" in dashboard.text(f"{dashboard.figure(chart)} .note")
    assert shown == expected
    assert dashboard.headline()["Calls"][0] == f"{expected_headline(calls, choices)[0]:,}"


def test_counted_apart_one_choice_replaces_the_other(opened: Opening, calls: pa.Table) -> None:
    dashboard = opened(calls, max_cells=10)
    dashboard.click_bar(charts.DURATION_HISTOGRAM, 1)
    dashboard.click_bar(charts.CALLS_BY_HOUR, 13)
    assert dashboard.link() == {"hour": ["Monday-13"]}
    assert dashboard.headline()["Median duration"][0] == "–"
    dashboard.click_bar(charts.DURATION_HISTOGRAM, 1)
    assert dashboard.link() == {"duration": ["60"]}


def half_a_million(part: int) -> pa.Table:
    """Return calls of five years, eight types and twelve statuses, other ones for each part."""
    rows = 500_000
    days = np.arange(1826)
    weekly = np.array([1.1, 1.05, 1, 1, 0.95, 0.3, 0.15])[(days + 3) % 7]

    def chosen(number: int, weights: Any) -> Any:
        chance = np.random.default_rng([part, number]).random(rows)
        return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], chance).astype("int32")

    status = chosen(1, 0.65 ** np.arange(12))
    seconds = np.floor(np.random.default_rng([part, 9]).lognormal(5, 1, rows))
    return pa.table(
        {
            "call_type": pa.DictionaryArray.from_arrays(
                chosen(0, 0.6 ** np.arange(8)), [f"type {n}" for n in range(8)]
            ),
            "status": pa.DictionaryArray.from_arrays(status, ["completed", *(f"status {n}" for n in range(11))]),
            "call_date": pa.array(chosen(2, weekly * (1 + 0.2 * np.sin(days / 58))) + 19_000).cast(pa.date32()),
            "call_hour": pa.array(chosen(3, np.exp(-(((np.arange(24) - 13) / 4) ** 2)) + 0.01).astype("int64")),
            "duration_sec": pa.array(seconds, mask=status % 2 == 1),
        }
    )


def ten_million(columns: Sequence[str]) -> Iterable[pa.Table]:
    return (half_a_million(part).select(list(columns)) for part in range(20))


def test_ten_million_calls_make_a_small_page_that_answers_every_click(opened: Opening, tmp_path: Path) -> None:
    rendered = pages.render(count_calls(ten_million, labels=12), [FOOTER])
    path = tmp_path / asset.FILE
    path.write_text(rendered.html, encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    assert [total.calls for total in pages.totals(rendered.html)] == [10_000_000]
    dashboard = opened(path)
    assert dashboard.headline()["Calls"][0] == "10,000,000"
    answered = dashboard.page.evaluate(
        """async () => {
          const buttons = [...document.querySelectorAll("#filters [data-dimension], #presets button")];
          let answered = 0;
          for (const button of [...buttons, ...buttons]) {
            const shown = document.body.dataset.shown;
            button.click();
            while (document.body.dataset.shown === shown) await new Promise((done) => setTimeout(done, 0));
            answered += 1;
          }
          return answered;
        }"""
    )
    assert answered > 20


# How it looks, and other ways to use it


LOOKS = [(LAPTOP, False), (LAPTOP, True), (PHONE, False), (PHONE, True)]


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_nothing_overlaps_or_sticks_out(size: tuple[int, int], dark: bool, opened: Opening, written: Path) -> None:
    dashboard = opened(written, size=size, dark=dark, link={"from": ["2026-02-01"], "type": ["incoming", "missed"]})
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    overlaps = dashboard.page.evaluate(
        """() => {
          const crossing = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
          const found = [];
          const compare = (name, elements) => {
            const boxes = elements.map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
              .filter(([, box]) => box.width && box.height);
            boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
              if (crossing(a, b)) found.push(`${name}: ${one} | ${other}`);
            }));
          };
          compare("blocks", [...document.querySelectorAll(
            "header, .filter, .figure, #comparison, figure, #provenance")]);
          for (const figure of document.querySelectorAll("figure")) {
            compare(figure.dataset.chart, [...figure.querySelectorAll("svg text")].filter(
              (text) => Number(getComputedStyle(text).opacity) > 0));
            compare(figure.dataset.chart, [...figure.children]);
            const frame = figure.getBoundingClientRect();
            for (const text of figure.querySelectorAll("svg text")) {
              const box = text.getBoundingClientRect();
              const out = box.right > frame.right + 1 || box.left < frame.left - 1;
              if (box.width && out) found.push(`out: ${text.textContent}`);
            }
          }
          return found;
        }"""
    )
    assert overlaps == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_background(dark: bool, opened: Opening, written: Path) -> None:
    dashboard = opened(written, dark=dark, link={"type": ["incoming"]})
    dashboard.table(charts.CALLS_BY_TYPE)
    colours = dashboard.page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
            && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
          .map((one) => {
            let behind = one;
            const clear = "rgba(0, 0, 0, 0)";
            while (behind && getComputedStyle(behind).backgroundColor === clear) behind = behind.parentElement;
            const style = getComputedStyle(one);
            return [one.textContent.trim().slice(0, 30), one.closest("svg") ? style.fill : style.color,
              getComputedStyle(behind ?? document.documentElement).backgroundColor];
          })"""
    )

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert len(colours) > 80
    for text, ink, paper in colours:
        lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, text


def test_every_chart_has_a_text_alternative_that_follows_the_choices(
    opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written, link={"type": ["missed"]})
    for chart in (*charts.FIVE, charts.CALLS_BY_HOUR):
        assert dashboard.page.get_by_role("img", name=chart).count() == 1
    label = dashboard.page.get_by_role("img", name=charts.CALLS_BY_STATUS).get_attribute("aria-label") or ""
    ((number,),) = query("select count(*) from calls where call_type = 'missed' and status = 'completed'", calls)
    assert f"completed {number:,}, " in label


def test_the_keyboard_alone_is_enough(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    keyboard = dashboard.page.keyboard
    dashboard.page.locator(f"{dashboard.figure(charts.CALLS_BY_WEEKDAY)} summary").focus()
    keyboard.press("Enter")
    dashboard.page.locator(f"{dashboard.figure(charts.CALLS_BY_WEEKDAY)} table").wait_for()
    keyboard.press("Tab")
    if dashboard.page.evaluate("document.activeElement.tagName") != "BUTTON":
        keyboard.press("Tab")
    assert dashboard.page.evaluate("document.activeElement.textContent") == "Monday"
    dashboard.changing(lambda: keyboard.press("Enter"))
    assert_headline(dashboard, calls, {"weekday": ["Monday"]})
    dashboard.changing(lambda: keyboard.press("Escape"))
    assert_shows(dashboard, calls, {})
    reached = set()
    dashboard.open()
    for _ in range(40):
        keyboard.press("Tab")
        reached.add(dashboard.page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"from", "to", "incoming", "completed"} <= reached


def test_the_hours_are_chosen_in_their_table(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.table(charts.CALLS_BY_HOUR)
    button = dashboard.page.get_by_role("button", name="Tuesday 14:00 to 15:00")
    dashboard.changing(button.click)
    assert_shows(dashboard, calls, {"hour": ["Tuesday-14"]})


def test_pointing_tells_the_numbers(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    ((number, share),) = query(
        "select count(*), count(*) / (select count(*) from calls) from calls where call_type = 'outgoing'", calls
    )
    dashboard.page.mouse.move(*dashboard.bar(charts.CALLS_BY_TYPE, 1))
    assert dashboard.text("#tip").split("\n") == ["outgoing", f"{number:,} calls, {share:.1%}"]
    dashboard.page.mouse.move(*dashboard.bar(charts.CALLS_BY_WEEKDAY, 1))
    tip = dashboard.text("#tip")
    assert tip.startswith("Tuesday\n")
    assert "Average per day: " in tip
    x, y = dashboard.bar(charts.CALLS_BY_HOUR, 24 + 13)
    dashboard.page.mouse.move(x, y)
    ((number,),) = query("select count(*) from calls where call_weekday = 'Tuesday' and call_hour = 13", calls)
    assert dashboard.text("#tip").startswith(f"Tuesday 13:00 to 14:00\n{number:,} calls")
    dashboard.page.mouse.move(5, 5)
    assert dashboard.page.locator("#tip").is_hidden()


def test_a_tap_chooses_on_a_phone(browser: Browser, written: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    dashboard = Dashboard(context.new_page(), written).open()
    x, y = dashboard.bar(charts.CALLS_BY_STATUS, 1)
    dashboard.changing(lambda: dashboard.page.touchscreen.tap(x, y))
    assert dashboard.link() == {"status": ["no-answer"]}
    assert dashboard.complaints == []
    context.close()


def test_a_window_that_changes_its_width_is_filled_again(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    dashboard.page.set_viewport_size({"width": 700, "height": 800})
    dashboard.page.wait_for_function(
        """() => [...document.querySelectorAll("figure")].every((figure) =>
          figure.querySelector("svg").getBoundingClientRect().right <= figure.getBoundingClientRect().right)"""
    )
    line = dashboard.page.evaluate(
        """() => Math.max(...[...document.querySelectorAll('figure[data-chart="Daily Calls"] svg path')]
          .filter((path) => path.__data__?.datum?.geometry).map((path) => path.getBoundingClientRect().right))"""
    )
    assert 600 < line < 700


# A whole refresh


@pytest.fixture
def refreshed(settings: Settings, collection: Collection[dict[str, Any]]) -> Settings:
    """Refresh everything that the page and calls.csv need from sample calls, in a zone with daylight saving."""
    seed_collection(collection, 20_000, end=dt.date(2026, 6, 1))
    settings = dataclasses.replace(settings, timezone="Europe/Berlin")
    definitions = build_definitions(settings)
    selection = dg.AssetSelection.assets("raw_calls", "calls", "rejected_calls", "calls_csv", "call_dashboard")
    job = dg.define_asset_job("test", selection=selection, executor_def=dg.in_process_executor)
    resolved = dg.Definitions(
        assets=definitions.assets, jobs=[job], resources=definitions.resources, executor=dg.in_process_executor
    ).resolve_job_def("test")
    # In a thread, for Playwright's event loop is running in this one.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(resolved.execute_in_process).result().success
    return settings


def test_a_refreshed_page_equals_duckdb_on_calls_csv(
    refreshed: Settings, opened: Opening, screenshots: Taking, tmp_path: Path
) -> None:
    columns = "call_type, status, call_date, call_weekday, call_hour::int call_hour, duration_sec::double duration_sec"
    with duckdb.connect() as connection:
        csv = str(refreshed.publish_dir / "calls.csv")
        calls: pa.Table = connection.execute(
            f"select {columns} from read_csv(?, header = true)", [csv]
        ).to_arrow_table()
    dashboard = opened(refreshed.publish_dir / asset.FILE)
    assert_shows(dashboard, calls, {})
    dashboard.click_bar(charts.CALLS_BY_STATUS, 1)
    assert_shows(dashboard, calls, {"status": [dashboard.table(charts.CALLS_BY_STATUS)[2][0]]})
    dashboard.page.locator("#provenance summary").click()
    rejected, documents = (
        int(dashboard.text(f'#facts dt:text-is("{name}") + dd').replace(",", "")) for name in ("Rejected", "Documents")
    )
    assert documents == 20_000 == calls.num_rows + rejected
    for name, size, dark in (
        ("call_dashboard.jpg", (1280, 1020), False),
        ("call_dashboard_dark.jpg", (1280, 1020), True),
        ("call_dashboard_phone.jpg", PHONE, False),
    ):
        link = (
            {}
            if name == "call_dashboard.jpg"
            else {"from": ["2026-03-01"], "to": ["2026-04-30"], "weekday": ["Monday"]}
        )
        screenshots(opened(refreshed.publish_dir / asset.FILE, size=size, dark=dark, link=link).page, name)
