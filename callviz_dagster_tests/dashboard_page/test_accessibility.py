"""axe finds nothing to complain about, in light and dark, on a laptop and a phone."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import LAPTOP, PHONE, Opening


@pytest.mark.parametrize(
    ("size", "dark"), [(LAPTOP, False), (PHONE, True), pytest.param(LAPTOP, True, marks=pytest.mark.long)]
)
def test_axe_finds_no_violation(size: tuple[int, int], dark: bool, opened: Opening, by_field: Path) -> None:
    link = {"from": ["2026-02-01"], "type": ["incoming"], "field.queue": ["sales"]}
    dashboard = opened(by_field, size=size, dark=dark, link=link)
    dashboard.table(charts.CALLS_BY_WEEKDAY)
    dashboard.page.locator("#provenance summary").click()
    dashboard.page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    passed, violations = dashboard.page.evaluate(
        """() => axe.run().then(({passes, violations}) =>
          [passes.length, violations.flatMap(({id, nodes}) => nodes.map((node) => [id, node.html]))])"""
    )
    assert passed > 20
    assert violations == []
