"""Refreshes that are killed, or run out of disk: what is published is whole and of one snapshot, or named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo.collection import Collection

from callviz_dagster_tests.helpers.interrupted import NAMESPACE

pytestmark = [pytest.mark.server, pytest.mark.no_cover]


def interrupted(
    kind: str, step: int, uri: str, collection: Collection[dict[str, object]], folder: Path
) -> dict[str, int]:
    arguments = [kind, str(step), uri, collection.database.name, str(folder)]
    command = [sys.executable, "-m", "callviz_dagster_tests.helpers.interrupted", *arguments]
    finished = subprocess.run(
        [*(NAMESPACE if kind == "full" else []), *command], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    faults: dict[str, int] = json.loads(finished.stdout.splitlines()[-1])
    return faults


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_refresh_that_is_killed_before_any_file_leaves_whole_files(
    mongo_uri: str, collection: Collection[dict[str, object]], tmp_path: Path, step: int
) -> None:
    faults = interrupted("killed", step, mongo_uri, collection, tmp_path)
    assert faults["kills"] >= 10 / step
    assert faults["reported"] >= 1


@pytest.mark.long
def test_a_refresh_that_is_killed_at_a_random_moment_of_each_step_leaves_whole_files(
    mongo_uri: str, collection: Collection[dict[str, object]], tmp_path: Path
) -> None:
    faults = interrupted("killed_in_steps", 4, mongo_uri, collection, tmp_path)
    steps = {"raw_calls", "calls", "calls_csv", "call_dashboard", "callviz_workbook"}
    assert all(faults.get(step, 0) >= 2 for step in steps), faults


@pytest.mark.usefixtures("mount_namespaces")
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.long)])
def test_a_refresh_that_runs_out_of_space_or_of_files_leaves_whole_files(
    mongo_uri: str, collection: Collection[dict[str, object]], tmp_path: Path, step: int
) -> None:
    faults = interrupted("full", step, mongo_uri, collection, tmp_path)
    assert faults["failed"] >= 2
