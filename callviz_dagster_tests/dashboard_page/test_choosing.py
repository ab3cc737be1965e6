"""Choosing in one chart filters all others."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from playwright.sync_api import Browser

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Dashboard, Opening
from callviz_dagster_tests.dashboard_page.expected import (
    assert_headline,
    assert_shows,
)
from callviz_dagster_tests.helpers.calls import query

CHOICES: list[tuple[str, int, dict[str, list[str]]]] = [
    (charts.CALLS_BY_TYPE, 2, {"type": ["missed"]}),
    (charts.CALLS_BY_STATUS, 1, {"status": ["no-answer"]}),
    (charts.CALLS_BY_WEEKDAY, 4, {"weekday": ["Friday"]}),
    (charts.DURATION_HISTOGRAM, 3, {"duration": ["180"]}),
    (charts.DURATION_HISTOGRAM, 30, {"duration": ["1800"]}),
    (charts.CALLS_BY_HOUR, 2 * 24 + 13, {"hour": ["Wednesday-13"]}),
]


def test_choosing_a_bar_filters_all_others_and_clearing_restores(
    opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written)
    before = dashboard.tables()
    clear = dashboard.page.get_by_role("button", name="Clear all")
    for chart, bar, choices in CHOICES:
        dashboard.click_bar(chart, bar)
        assert_shows(dashboard, calls, choices)
        after = dashboard.tables()
        assert after[chart] == before[chart]
        assert all(after[other] != before[other] for other in before if other != chart)
        dashboard.changing(clear.click)
        assert_shows(dashboard, calls, {})
        assert dashboard.tables() == before
        assert clear.is_hidden()


def test_the_only_chosen_bar_is_let_go_by_another_click(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 0)
    dashboard.click_bar(charts.CALLS_BY_WEEKDAY, 0)
    assert_shows(dashboard, calls, {})


def test_what_is_in_view_is_shown_first_and_the_last_choice_everywhere(
    opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written)
    in_view, out_of_view = dashboard.page.evaluate(
        """async () => {
          const charts = ["Calls by Status", "Calls by Hour and Weekday"];
          const shown = () => charts.map((chart) =>
            document.querySelector(`figure[data-chart="${chart}"] .picture`).getAttribute("aria-label"));
          const before = shown(), [first, second] = document.querySelectorAll("#types button");
          first.click();
          await new Promise((done) => requestAnimationFrame(done));
          const changed = shown().map((label, at) => label !== before[at]);
          second.click();
          return changed;
        }"""
    )
    assert (in_view, out_of_view) == (True, False)
    dashboard.page.wait_for_function("() => document.body.dataset.shown === 'type=incoming&type=outgoing'")
    assert_shows(dashboard, calls, {"type": ["incoming", "outgoing"]})


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


def test_the_hours_are_chosen_in_their_table(opened: Opening, written: Path, calls: pa.Table) -> None:
    dashboard = opened(written)
    dashboard.table(charts.CALLS_BY_HOUR)
    button = dashboard.page.get_by_role("button", name="Tuesday 14:00 to 15:00")
    dashboard.changing(button.click)
    assert_shows(dashboard, calls, {"hour": ["Tuesday-14"]})


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


def test_a_tap_chooses_on_a_phone(browser: Browser, written: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    dashboard = Dashboard(context.new_page(), written).open()
    x, y = dashboard.bar(charts.CALLS_BY_STATUS, 1)
    dashboard.changing(lambda: dashboard.page.touchscreen.tap(x, y))
    assert dashboard.link() == {"status": ["no-answer"]}
    assert dashboard.complaints == []
    context.close()


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
