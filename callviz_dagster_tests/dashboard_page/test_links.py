"""A link holds the choices and restores them."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pyarrow as pa
import pytest

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Opening
from callviz_dagster_tests.dashboard_page.expected import (
    assert_headline,
    assert_shows,
    expected_headline,
)


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


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 6))])
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
