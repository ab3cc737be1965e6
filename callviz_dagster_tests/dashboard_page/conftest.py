"""Fixtures: a page of calls, opened in the browser."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from playwright.sync_api import Browser

from callviz_dagster.assets import call_dashboard as asset
from callviz_dagster.dashboard import page as pages
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import count_calls
from callviz_dagster.table.manifest import read_footer
from callviz_dagster_tests.dashboard_page.browser import LAPTOP, Dashboard, Opening
from callviz_dagster_tests.helpers.calls import FOOTER, business, table, write

LATER = dt.timedelta(days=36_500)
"""No page of tests is older."""


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
        **options: Any,
    ) -> Dashboard:
        path = calls if isinstance(calls, Path) else page_of(calls, tmp_path, **options)
        window = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        dashboards.append(Dashboard(window.new_page(), path))
        return dashboards[-1].open(link)

    yield open_page
    for dashboard in dashboards:
        assert dashboard.complaints == []
        assert {request for request in dashboard.requests if not request.startswith(("blob:", "data:"))} <= {
            "about:blank",
            dashboard.path.as_uri(),
        }
        dashboard.page.context.close()


def page_of(
    calls: pa.Table,
    folder: Path,
    *,
    labels: int = 12,
    max_cells: int | None = None,
    fields: tuple[str, ...] = (),
    context: pages.Context | None = None,
) -> Path:
    """Write calls and the page of them as the asset does."""
    options = CountOptions(labels, fields=fields)
    source = write(folder / "calls" / "all.parquet", calls)
    published = read_footer(source)
    assert published
    target = folder / asset.FILE
    if max_cells is None:
        asset.publish_page({source: published}, target, options, context)
    else:
        counts = count_calls(lambda columns: [calls.select(list(columns))], options, max_cells=max_cells)
        target.write_text(pages.render(counts, [FOOTER]).html, encoding="utf-8")
    return target


@pytest.fixture(scope="session")
def calls() -> pa.Table:
    return table(business())


@pytest.fixture(scope="session")
def written(calls: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the business's calls."""
    return page_of(calls, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def calls_by_field(calls: pa.Table) -> pa.Table:
    """The business's calls with a queue, which some do not have, and one of very many agents."""
    chance = random.Random(3)
    rows = calls.num_rows
    queues = [chance.choice(["sales", "support", "billing", None]) for _ in range(rows)]
    agents = [f"agent {int(chance.expovariate(0.08)):02d}" for _ in range(rows)]
    return calls.append_column("queue", pa.array(queues)).append_column("agent", pa.array(agents))


@pytest.fixture(scope="session")
def by_field(calls_by_field: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of these calls, with tables by queue and agent and a target."""
    folder = tmp_path_factory.mktemp("by_field")
    return page_of(
        calls_by_field, folder, fields=("queue", "agent"), context=pages.Context(target_missed=0.25, stale_after=LATER)
    )
