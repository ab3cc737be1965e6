"""The real Dagster UI, in a real browser: the graph, Materialize all, and each asset's page."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo.collection import Collection

from callviz_dagster.demo.child import Child
from callviz_dagster.demo.mongod import free_port
from callviz_dagster.demo.sample_calls import seed_collection
from callviz_dagster.settings import Settings
from callviz_dagster_tests.dashboard_page.browser import Taking

pytestmark = pytest.mark.no_cover
ROOT = Path(__file__).resolve().parent.parent
GROUPS = ("mongodb", "calls", "published", "tableau")
FLOW = ("mongodb_calls", "raw_calls", "calls", "calls_csv", "callviz_workbook", "call_dashboard")
PATIENCE = 120_000


@pytest.fixture
def dagster_dev(
    request: pytest.FixtureRequest, settings: Settings, collection: Collection[Any], tmp_path: Path
) -> Iterator[str]:
    """Run `dagster dev` on sample calls, with further settings where the test has some; give its address."""
    expect.set_options(timeout=PATIENCE)
    seed_collection(collection, 20_000, seed=1, end=dt.date(2026, 6, 1))
    home = tmp_path / "home"
    home.mkdir()
    template = ROOT / "callviz_dagster" / "local" / "dagster.yaml"
    (home / "dagster.yaml").write_bytes(template.read_bytes())
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "CALLVIZ_MONGO_URI": settings.mongo_uri or "",
        "CALLVIZ_MONGO_DATABASE": settings.database,
        "CALLVIZ_TIMEZONE": "Europe/Berlin",
        "CALLVIZ_DATA_DIR": str(settings.data_dir),
        "CALLVIZ_PUBLISH_DIR": str(settings.publish_dir),
        **getattr(request, "param", {}),
    }
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "dagster.log").open("wb") as log:
        child = Child(
            [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 180
        while not _answers(address):
            assert child.process.poll() is None, (tmp_path / "dagster.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "dagster dev did not come up"
            time.sleep(0.5)
        yield address
    finally:
        child.end()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=2):
            return True
    except OSError:
        return False


def open_graph(page: Page, address: str) -> None:
    expanded = "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
    page.goto(f"{address}/asset-groups/?expanded={expanded}")
    expect(page.get_by_text("raw_calls").first).to_be_visible()
    if page.get_by_text("Hide navigation").is_visible():
        page.get_by_text("Hide navigation").click()


def across(page: Page, asset: str) -> float:
    box = page.get_by_text(asset, exact=True).first.bounding_box()
    assert box is not None, asset
    return box["x"]


def test_refresh_in_the_ui(dagster_dev: str, browser: Browser, screenshots: Taking) -> None:
    page = browser.new_page(viewport={"width": 2100, "height": 1500})
    page.set_default_timeout(PATIENCE)
    open_graph(page, dagster_dev)
    graph_order = [across(page, asset) for asset in ("mongodb_calls", "raw_calls", "rejected_calls", "calls_csv")]
    assert graph_order == sorted(graph_order), "the flow runs from left to right"
    for sheet in ("calls_by_type", "calls_by_status", "daily_calls", "calls_by_weekday", "duration_histogram"):
        expect(page.get_by_text(sheet, exact=True).first).to_be_visible()

    page.get_by_role("button", name=re.compile("Materialize all")).click()
    assert status_of_the_only_run(dagster_dev) == "SUCCESS"
    open_graph(page, dagster_dev)
    page.wait_for_timeout(3_000)
    screenshots(page, "lineage.png")
    assert page.get_by_text("Failed").count() == 0

    page.set_viewport_size({"width": 1500, "height": 1800})
    for asset in (*FLOW, "rejected_calls"):
        page.goto(f"{dagster_dev}/assets/{asset}")
        expect(page.get_by_text("Description").first).to_be_visible()
        page.wait_for_timeout(2_500)
        screenshots(page, f"asset-{asset}.png")
    page.goto(f"{dagster_dev}/assets/calls")
    for text in ("One row per call", "call_weekday", "duration_sec", "customer_phone", "19,980"):
        expect(page.get_by_text(text).first).to_be_visible()
    page.goto(f"{dagster_dev}/assets/calls?view=checks")
    expect(page.get_by_text("every_document_accounted_for").first).to_be_visible()
    screenshots(page, "checks.png")
    page.goto(f"{dagster_dev}/assets/calls_csv?view=events")
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.locator("img[src^='data:image/png']").first).to_be_visible()
    screenshots(page, "events-calls_csv.png")
    page.close()


MONTHLY = {
    "CALLVIZ_PARTITIONS": "monthly",
    "CALLVIZ_PARTITIONS_START": "2024-12-01",
    "CALLVIZ_FIELD_START_TIME": "start_time",
}


@pytest.mark.parametrize("dagster_dev", [MONTHLY], indirect=True, ids=["monthly"])
def test_a_backfill_of_a_range_in_the_ui_is_one_run(
    dagster_dev: str, browser: Browser, settings: Settings, screenshots: Taking
) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1100})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{dagster_dev}/assets/raw_calls")
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    page.get_by_text("Show all partitions").click()
    page.get_by_placeholder("ex: 2024-12-01").fill("[2025-02-01...2025-06-01]")
    page.get_by_placeholder("ex: 2024-12-01").press("Enter")
    expect(page.get_by_text("Backfills all partitions in a single run")).to_be_visible()
    screenshots(page, "backfill.png")
    page.get_by_role("button", name="Launch backfill").click()
    assert status_of_the_only_run(dagster_dev) == "SUCCESS"
    page.goto(f"{dagster_dev}/assets/raw_calls?view=partitions")
    expect(page.get_by_text("Materialized (5)")).to_be_visible()
    screenshots(page, "partitions.png")
    page.close()
    names = sorted(path.name for path in (settings.data_dir / "raw_calls").glob("*.zst"))
    assert names == [f"2025-0{month}.bson.zst" for month in range(2, 7)]


def status_of_the_only_run(address: str) -> str:
    """Wait until the run that the click launched has ended; return its status."""
    query = json.dumps({"query": "{ runsOrError { ... on Runs { results { status } } } }"}).encode()
    request = urllib.request.Request(f"{address}/graphql", query, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 180
    while True:
        with urllib.request.urlopen(request, timeout=30) as reply:
            runs = json.load(reply)["data"]["runsOrError"]["results"]
        assert len(runs) <= 1, f"there is more than one run: {runs}"
        if runs and runs[0]["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            return str(runs[0]["status"])
        assert time.monotonic() < deadline, f"the refresh did not end: {runs}"
        time.sleep(0.5)
