"""Fixtures: a page of calls, opened in the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from playwright.sync_api import Browser

from callviz_dagster.assets import call_dashboard as asset
from callviz_dagster.dashboard import page as pages
from callviz_dagster.dashboard.counts import count_calls
from callviz_dagster.table.manifest import read_footer
from callviz_dagster_tests.dashboard_page.browser import LAPTOP, Dashboard, Opening
from callviz_dagster_tests.helpers.calls import FOOTER, business, table, write


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


def page_of(calls: pa.Table, folder: Path, *, labels: int = 12, max_cells: int | None = None) -> Path:
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


@pytest.fixture(scope="session")
def calls() -> pa.Table:
    return table(business())


@pytest.fixture(scope="session")
def written(calls: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the business's calls."""
    return page_of(calls, tmp_path_factory.mktemp("page"))
