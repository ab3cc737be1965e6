"""The command where folders are in a bucket: it shows addresses, and says in a line what is wrong with the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.cli.exit_codes import ExitCode
from callviz_dagster.settings import Settings
from callviz_dagster.storage import refreshing
from callviz_dagster_tests.helpers.command import Command, command_in
from callviz_dagster_tests.helpers.object_store import CONDITIONS, Faults
from callviz_dagster_tests.helpers.refresh import some_calls

Document = dict[str, Any]


@pytest.fixture
def command(
    settings: Settings, uri: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Give the command in an empty folder, with the test's collection and bucket."""
    names = {
        "MONGO_URI": settings.mongo_uri,
        "MONGO_DATABASE": settings.mongo_database,
        "DATA_DIR": f"{uri}/data",
        "PUBLISH_DIR": f"{uri}/published",
    }
    return command_in(tmp_path, names, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.no_cover
def test_the_command_shows_addresses(
    command: Command, uri: str, collection: Collection[Document], tmp_path: Path
) -> None:
    some_calls(collection, 3)
    code, output, _ = command("check")
    assert code == ExitCode.DONE
    folders = [line for line in output.splitlines() if " folder: " in line]
    assert [line.split(";")[0] for line in folders] == [
        f"ok    data folder: {uri}/data can be written to, and its store honours conditions",
        f"ok    publish folder: {uri}/published can be written to, and its store honours conditions",
    ]
    code, output, errors = command("refresh")
    assert code == ExitCode.DONE, errors
    assert f"  {uri}/published/calls-" in output
    assert f"  {uri}/published/call_dashboard-" in output
    assert "scratch" not in output
    assert not (tmp_path / "tableau").exists()
    code, output, _ = command("status")
    assert output.startswith("Published: 3 documents, as of ")
    assert "Not as they were published" not in output


@pytest.mark.slow
def test_a_store_that_cannot_be_used_is_one_line(
    command: Command, faults: Faults, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    some_calls(collection, 3)
    faults.ignored_headers = CONDITIONS
    code, output, _ = command("check")
    assert code == ExitCode.FAILED
    assert "FAIL  data folder: s3://test-" in output
    code, output, errors = command("refresh", "--json")
    assert code == ExitCode.FAILED
    assert "ignores the conditions of a write" in json.loads(output)["message"]
    assert errors.count("\n") <= 2, errors
    monkeypatch.setattr(refreshing, "READER_SECONDS", 0.2)
    faults.away = True
    code, _, errors = command("status")
    assert code == ExitCode.FAILED
    assert "does not answer (status 503)" in errors
    assert "Traceback" not in errors
    assert "not-to-be-shown" not in errors
