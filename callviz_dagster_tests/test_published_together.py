"""Published files belong together, or the check and the run's last line name those that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.assets import call_dashboard
from callviz_dagster.assets.checks.published_together import NAME, together
from callviz_dagster.definitions import build_definitions
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import PublishedRecord, changed_files, read_record
from callviz_dagster_tests.helpers.refresh import START, empty_instance, failure, refresh_job, some_calls

Document = dict[str, Any]


def materialize(settings: Settings, *assets: str) -> dg.ExecuteInProcessResult:
    """Materialize assets as the UI does, with the checks on them."""
    definitions = build_definitions(settings)
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        raise_on_error=False,
        asset_selection=[dg.AssetKey(name) for name in assets],
        instance=empty_instance(),
    )


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    of_this_check = [one for one in result.get_asset_check_evaluations() if one.check_name == NAME]
    return {one.asset_key.to_user_string(): one for one in of_this_check}


def test_a_refresh_ends_with_the_check_on_every_published_asset(
    settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    some_calls(collection)
    result = refresh_job(settings)
    assert result.success
    by_asset = evaluations(result)
    assert by_asset.keys() >= {"calls_csv", "call_dashboard", "callviz_workbook"}
    for one in by_asset.values():
        assert (one.passed, one.severity) == (True, dg.AssetCheckSeverity.WARN)
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps[-1] == NAME
    assert steps.index("calls_csv") < steps.index("call_dashboard")
    lines = [line for line in capfd.readouterr().err.splitlines() if " - INFO - " in line]
    assert lines[-1].endswith(f"All files are of the snapshot of {_time(settings)}.")


def _time(settings: Settings) -> str:
    return read_record(settings.publish_dir).snapshot.time[:19].replace("T", " ") + " UTC"


@pytest.mark.parametrize("name", ["callviz.twbx", pytest.param("call_dashboard.html", marks=pytest.mark.long)])
def test_a_published_asset_that_is_materialized_alone_names_the_files_of_another_snapshot(
    name: str, settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh_job(settings).success
    before = _time(settings)
    collection.insert_one({"_id": "new", "start_time": START})
    result = materialize(settings, "raw_calls", "calls", "rejected_calls", "calls_csv")
    assert result.success
    by_asset = evaluations(result)
    assert by_asset.keys() == {"calls_csv"}
    assert not by_asset["calls_csv"].passed
    description = by_asset["calls_csv"].description or ""
    assert f"{name} (of " in description
    assert f"calls.csv is of the snapshot of {_time(settings)}" in description
    assert before in description

    result = materialize(settings, "call_dashboard", "callviz_workbook")
    assert (
        "call_dashboard.html" not in (evaluations(result)["call_dashboard"].description or "").split(": made from")[1:]
    )
    assert materialize(settings, "calls_hyper", "callviz_workbook", "call_dashboard").success
    assert together(read_record(settings.publish_dir))[0]


def test_a_file_that_could_not_be_made_anew_is_named_in_the_last_line(
    settings: Settings,
    collection: Collection[Document],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    some_calls(collection)
    assert refresh_job(settings).success
    collection.insert_one({"_id": "new", "start_time": START})
    capfd.readouterr()
    monkeypatch.setattr(call_dashboard, "publish_page", _no_space)
    result = refresh_job(settings)
    assert not result.success
    assert "No space left" in failure(result)
    lines = [line for line in capfd.readouterr().err.splitlines() if "made from other calls: " in line]
    (warning,) = [line for line in lines if " - WARNING - " in line]
    assert "call_dashboard.html (of " in warning
    assert "made from other calls: call_dashboard.html (of " in lines[-1]
    assert "callviz.twbx (of" not in lines[-1], "it was replaced"


def _no_space(*arguments: Any, **options: Any) -> None:
    raise dg.Failure("No space left")


def test_a_file_that_is_not_the_one_that_was_published_is_named_and_the_next_refresh_replaces_it(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh_job(settings).success
    path = settings.publish_dir / "calls.csv"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"incoming", b"outgoing", 1))
    record = read_record(settings.publish_dir)
    passed, description = together(record, changed_files(settings.publish_dir, record))
    assert not passed
    assert description.startswith("calls.csv: not what published.json says")
    assert refresh_job(settings).success
    assert path.read_bytes() == good
    record = read_record(settings.publish_dir)
    assert together(record, changed_files(settings.publish_dir, record))[0]


def test_nothing_published_is_no_fault(tmp_path: Path) -> None:
    assert together(PublishedRecord()) == (True, "Nothing is published yet.")
