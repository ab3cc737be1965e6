"""The page of a whole refresh equals calls.csv."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from playwright.sync_api import Page
from pymongo.collection import Collection

from callviz_dagster.assets import call_dashboard as asset
from callviz_dagster.dashboard import charts
from callviz_dagster.definitions import build_definitions
from callviz_dagster.demo.sample_calls import seed_collection
from callviz_dagster.settings import Settings
from callviz_dagster_tests.dashboard_page.browser import PHONE, Opening, Taking
from callviz_dagster_tests.dashboard_page.expected import (
    assert_shows,
)


@pytest.fixture
def refreshed(settings: Settings, collection: Collection[dict[str, Any]]) -> Settings:
    """Refresh everything that the page and calls.csv need from sample calls, in a zone with daylight saving."""
    seed_collection(collection, 5_000, end=dt.date(2026, 6, 1))
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
    assert documents == 5_000 == calls.num_rows + rejected

    def again(**look: Any) -> Page:
        return opened(refreshed.publish_dir / asset.FILE, **look).page

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
        screenshots(functools.partial(again, size=size, dark=dark, link=link), name)
