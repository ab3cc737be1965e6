"""Many calls: hours and durations counted apart, and a page of ten million."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.dashboard import page_of
from callviz_dagster.assets import call_dashboard as asset
from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard import page as pages
from callviz_dagster_tests.dashboard_page.browser import Opening
from callviz_dagster_tests.dashboard_page.expected import (
    expected_headline,
    expected_tables,
    shown_tables,
)


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


@pytest.mark.long
def test_ten_million_calls_make_a_small_page_that_answers_every_click(opened: Opening, tmp_path: Path) -> None:
    html = page_of(20)
    path = tmp_path / asset.FILE
    path.write_text(html, encoding="utf-8")
    assert path.stat().st_size < 5_000_000
    assert {total.calls for total in pages.totals(html)} == {10_000_000}
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
