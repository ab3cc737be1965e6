"""No calls, one call, wrong dates, rare labels."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Opening, Taking
from callviz_dagster_tests.dashboard_page.expected import (
    assert_headline,
    assert_shows,
)
from callviz_dagster_tests.helpers.calls import business, query, table

DAY = dt.date(2026, 3, 2)


STRENGTHS = """() => [...document.querySelectorAll('figure[data-chart="Calls by Hour and Weekday"] svg path')]
  .map((path) => path.__data__?.datum).filter((datum) => datum?.hour !== undefined)
  .map(({calls, strength}) => [calls, strength])"""


def test_no_calls(opened: Opening, screenshots: Taking) -> None:
    dashboard = opened(table([]))
    assert dashboard.text("#shown") == "No calls"
    assert dashboard.headline()["Calls"][0] == "0"
    assert dashboard.page.locator("figure.none").count() == 6
    assert len(dashboard.page.locator("#library").text_content() or "") < 10, "no calls need no library to draw them"
    assert dashboard.page.locator("#filters").is_hidden()
    screenshots(dashboard.whole, "page-no-calls.png")


def test_one_call(opened: Opening, screenshots: Taking) -> None:
    calls = table([("incoming", "completed", DAY, 9, 61.5)])
    dashboard = opened(calls)
    assert_shows(dashboard, calls, {})
    assert dashboard.headline()["Calls"][0] == "1"
    assert dashboard.headline()["Days covered"][1] == "2 Mar 2026"
    assert dashboard.text(f"{dashboard.figure(charts.CALLS_BY_HOUR)} .steps") == "Calls:\n1 or more"
    assert [strength for calls, strength in dashboard.page.evaluate(STRENGTHS) if calls] == [1]
    screenshots(lambda: dashboard.open().whole(), "page-one-call.png")


def test_one_day(opened: Opening) -> None:
    calls = table(business(60, first=DAY, days=1))
    dashboard = opened(calls)
    assert_shows(dashboard, calls, {})
    line = dashboard.page.evaluate(
        """(figure) => [...document.querySelectorAll(`${figure} svg path`)]
          .find((path) => path.__data__?.datum?.geometry).getBBox().width""",
        dashboard.figure(charts.MISSED_SHARE),
    )
    assert line == 6
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


def test_no_status_counts_as_completed(opened: Opening) -> None:
    dashboard = opened(table([("incoming", "ended", DAY, 9, 5.0)]))
    assert dashboard.headline()["Completed"] == ["–", "No status counts as completed"]
    assert "Missed" not in dashboard.headline()
    assert dashboard.page.locator(dashboard.figure(charts.MISSED_SHARE)).count() == 0


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


def test_one_very_busy_hour_does_not_wash_out_the_others_and_long_labels_keep_their_ends(opened: Opening) -> None:
    teams = [f"Customer service hotline for all of the north, team {number}" for number in range(5)]
    calls = table([*business(1500, types=teams), *[(teams[0], "completed", DAY, 3, 10.0)] * 900])
    dashboard = opened(calls)
    cells = dashboard.page.evaluate(STRENGTHS)
    strongest = [number for number, strength in cells if strength == 1]
    assert max(strongest) >= 900
    assert len(strongest) > 5
    assert len({strength for _, strength in cells}) == 6
    legend = dashboard.text(f"{dashboard.figure(charts.CALLS_BY_HOUR)} .steps").split("\n")
    assert legend[0] == "Calls:"
    assert legend[-1] == f"{min(strongest)} or more" or int(legend[-1].split()[0]) <= min(strongest)
    labels = dashboard.page.locator(f"{dashboard.figure(charts.CALLS_BY_TYPE)} svg .role-axis-label text")
    shown = [label for label in labels.all_text_contents() if label.startswith("Customer")]
    assert sorted(label[-6:] for label in shown) == [f"team {number}" for number in range(5)]
    titles = dashboard.page.eval_on_selector_all("#types button", "all => all.map((one) => one.title)")
    assert sorted(title.rpartition(": ")[0] for title in titles) == teams
