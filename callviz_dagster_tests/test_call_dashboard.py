"""The asset `call_dashboard`: the page is published whole or not at all, and tells where its numbers come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from callviz_dagster.assets import call_dashboard as asset
from callviz_dagster.contract import Kind
from callviz_dagster.dashboard import page as pages
from callviz_dagster.dashboard import vega
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import count_calls
from callviz_dagster.dashboard.payload import payload_bytes, to_payload
from callviz_dagster.names import STAND_ALONE
from callviz_dagster.settings import Settings
from callviz_dagster.table.plan import FieldColumn
from callviz_dagster_tests.helpers.calls import FOOTER, business, table, write
from callviz_dagster_tests.helpers.refresh import empty_instance


@pytest.fixture(scope="module")
def calls() -> pa.Table:
    return table(business())


def refresh(settings: Settings) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [dg.AssetSpec("calls"), dg.AssetSpec("calls_csv"), asset.build_call_dashboard()],
        resources={STAND_ALONE.settings: settings},
        raise_on_error=False,
        instance=empty_instance(),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(timezone=FOOTER.timezone, data_dir=tmp_path / "data", publish_dir=tmp_path / "published")


@pytest.mark.slow
def test_the_asset_publishes_the_page_with_pictures(settings: Settings, calls: pa.Table) -> None:
    write(settings.data_dir / "calls" / "all.parquet", calls)
    result = refresh(settings)
    assert result.success
    (event,) = result.asset_materializations_for_node("call_dashboard")
    path = settings.publish_dir / asset.FILE
    assert event.metadata["bytes"].value == path.stat().st_size
    assert event.metadata["path"].value == str(path.absolute())
    assert str(event.metadata["charts"].value).startswith("![Calls by Type, Calls by Status, Daily Calls")
    assert sum(len(str(entry.value)) for entry in event.metadata.values()) < 80_000
    (check,) = result.get_asset_check_evaluations()
    assert check.passed


@pytest.mark.slow
def test_the_same_calls_give_the_same_bytes(settings: Settings, calls: pa.Table) -> None:
    write(settings.data_dir / "calls" / "all.parquet", calls)
    refresh(settings)
    first = (settings.publish_dir / asset.FILE).read_bytes()
    refresh(settings)
    assert (settings.publish_dir / asset.FILE).read_bytes() == first


@pytest.mark.slow
def test_the_page_holds_no_single_call(settings: Settings, calls: pa.Table) -> None:
    write(settings.data_dir / "calls" / "all.parquet", calls)
    refresh(settings)
    text = (settings.publish_dir / asset.FILE).read_text(encoding="utf-8")
    assert not [identifier for identifier in calls["_id"].to_pylist() if identifier in text]


@pytest.mark.slow
def test_the_library_of_charts_is_what_the_package_for_the_pictures_makes() -> None:
    """Where it is not: a new version of vl-convert needs `python -m callviz_dagster_tests.helpers.tables`."""
    bundled_library = vega.bundled()
    assert (vega.library().script, vega.library().digest) == (bundled_library.script, bundled_library.digest)


@pytest.mark.slow
def test_a_page_that_miscounts_is_not_published(
    settings: Settings, calls: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(settings.data_dir / "calls" / "all.parquet", calls)
    refresh(settings)
    good = (settings.publish_dir / asset.FILE).read_bytes()
    render = pages.render

    def wrong(counts: Any, *given: Any, **more: Any) -> pages.Page:
        cube = dataclasses.replace(
            counts.cubes[0], calls=counts.cubes[0].calls + (counts.cubes[0].keys == counts.cubes[0].keys[0])
        )
        return render(dataclasses.replace(counts, cubes=(cube,)), *given, **more)

    monkeypatch.setattr(pages, "render", wrong)
    result = refresh(settings)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert "counts 3,001 calls" in str(check.description)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    message = str(failed.step_failure_data.user_failure_data and failed.step_failure_data.user_failure_data.description)
    assert f"was left as it was: {settings.publish_dir / asset.FILE}" in message
    assert (settings.publish_dir / asset.FILE).read_bytes() == good
    assert source.exists()


@pytest.mark.parametrize(
    "damage", ["", '<script type="application/json" id="data">{"counts": {"cubes": [], "fields": []}}</script>']
)
def test_a_page_that_cannot_be_read_back_is_told(damage: str, tmp_path: Path, calls: pa.Table) -> None:
    source = write(tmp_path / "all.parquet", calls)
    page = tmp_path / "page.html"
    page.write_text(damage, encoding="utf-8")
    assert not asset.audit(page, [source]).passed


def test_without_calls_the_asset_says_what_to_do(settings: Settings) -> None:
    result = refresh(settings)
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    message = str(failed.step_failure_data.user_failure_data and failed.step_failure_data.user_failure_data.description)
    assert "materialize calls first" in message


def test_numbers_that_do_not_add_up_are_told() -> None:
    footer = dataclasses.replace(FOOTER, documents=10, rejected=1)
    assert pages.provenance([footer], 8)["accounted"].startswith("The numbers do not add up: 10 documents")


def test_refreshes_of_several_partitions_are_told_together() -> None:
    early = dataclasses.replace(FOOTER, snapshot_time="2026-03-01T00:00:00+00:00", documents=5)
    provenance = pages.provenance([FOOTER, early], 0)
    assert (
        provenance["refreshed"]
        == "Refreshed between 1 March 2026, 01:00 and 29 March 2026, 23:59, time zone Europe/Berlin"
    )
    assert provenance["reasons"][0] == ["The document has no start time.", 10]


def test_the_fields_used_are_those_of_the_last_refresh() -> None:
    used = {"start_time": "startedAt", "duration": "length, ms (by data)", "status": ""}
    late = dataclasses.replace(FOOTER, fields_used=used)
    early = dataclasses.replace(FOOTER, snapshot_time="2026-03-01T00:00:00+00:00", fields_used={"start_time": "at"})
    roles_text = "start time: startedAt; duration: length, ms (by data); status: no field"
    assert pages.provenance([late, early], 0)["fields"] == roles_text


def test_json_can_not_leave_its_element() -> None:
    text = pages.embedded_json({"label": "</script><!-- <script>"})
    assert "<" not in text


def test_documents_in_no_partition_are_told() -> None:
    provenance = pages.provenance([dataclasses.replace(FOOTER, documents=10, rejected=1)], 9, uncovered=4)
    assert provenance["accounted"] == (
        "Every document is accounted for: 14 documents, 9 calls on this page, 1 rejected, 4 in no partition."
    )


@pytest.mark.slow
def test_counts_that_would_make_the_page_too_large_are_made_coarser(
    calls: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_COUNTS_BYTES", 1)
    counts = count_calls(lambda columns: [calls.select(list(columns))], CountOptions())
    page = pages.render(counts, [FOOTER])
    assert (page.counts.step, len(page.counts.cubes)) == (60, 2)
    assert {total.calls for total in pages.totals(page.html)} == {calls.num_rows}


def test_a_field_that_the_calls_do_not_have_is_left_out_and_named() -> None:
    options = CountOptions(fields=("queue", "agent"))
    footer = dataclasses.replace(FOOTER, fields=(FieldColumn("agent", (b"agent",), Kind.TEXT),))
    known, missing = options.with_columns_of([footer])
    assert (known.fields, missing) == (("agent",), ("queue",))
    assert "names queue, which calls.csv does not have" in asset._missing(missing, [footer])


@pytest.mark.slow
def test_fields_become_coarser_before_the_charts_do(monkeypatch: pytest.MonkeyPatch, calls: pa.Table) -> None:
    queues = pa.array([f"queue {number % 7}" for number in range(calls.num_rows)])
    calls = calls.append_column("queue", queues)
    counts = count_calls(lambda columns: [calls.select(list(columns))], CountOptions(fields=("queue",)))
    size = payload_bytes(to_payload(counts))
    monkeypatch.setattr(pages, "MAX_COUNTS_BYTES", size - 1)
    rendered = pages.render(counts, [FOOTER])
    assert [field.monthly for field in rendered.counts.fields] == [True]
    assert rendered.counts.step == counts.step
    assert [total.calls for total in pages.totals(rendered.html)] == [calls.num_rows] * 2
