"""What the processes of a run share: whether one of them is alive, also where runs and their steps interleave."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.definitions import build_definitions
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import changed_files, read_record
from callviz_dagster.storage.run_file import RunState, forget_run, run_file, run_state
from callviz_dagster_tests.helpers.refresh import some_calls

WORK = (
    "import pathlib, sys\n"
    "from callviz_dagster.storage.run_file import run_file\n"
    "with run_file(pathlib.Path(sys.argv[1]), sys.argv[2]):\n"
    "    print('at work', flush=True)\n"
    "    sys.stdin.read()\n"
)


@contextlib.contextmanager
def process(data_dir: Path, run_id: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that works on a run until its standard input is closed."""
    command = [sys.executable, "-c", WORK, str(data_dir), run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "at work\n"
        yield started
        started.kill()


def test_the_steps_of_two_runs_interleave(tmp_path: Path) -> None:
    """Each step has a process of its own; a run that is between two steps is not taken for a dead one."""
    with process(tmp_path, "a") as first:
        assert (run_state(tmp_path, "a"), run_state(tmp_path, "b")) == (RunState.ALIVE, RunState.UNKNOWN)
        with run_file(tmp_path, "b"):
            first.communicate()
            assert (run_state(tmp_path, "a"), run_state(tmp_path, "b")) == (RunState.UNKNOWN, RunState.ALIVE)
            with process(tmp_path, "a") as second, run_file(tmp_path, "a"):
                second.kill()
                second.wait()
                assert run_state(tmp_path, "a") is RunState.ALIVE, "another of its steps is at work"
            assert run_state(tmp_path, "a") is RunState.UNKNOWN, "Dagster sees that a step has failed"
        assert run_state(tmp_path, "b") is RunState.UNKNOWN
    forget_run(tmp_path, "a")
    assert [path.name for path in (tmp_path / ".runs").iterdir()] == ["b"]


def test_a_run_whose_only_process_was_killed_is_dead(tmp_path: Path) -> None:
    with process(tmp_path, "a") as only:
        only.kill()
        only.wait()
    assert run_state(tmp_path, "a") is RunState.DEAD


def test_folders_of_old_runs_are_removed_unless_a_process_works_there(tmp_path: Path) -> None:
    with run_file(tmp_path, "ended"):
        pass
    with run_file(tmp_path, "at work"):
        long_ago = time.time() - 2 * 86_400
        for name in ("ended", "at work"):
            os.utime(tmp_path / ".runs" / name, (long_ago, long_ago))
        with run_file(tmp_path, "new"):
            assert sorted(path.name for path in (tmp_path / ".runs").iterdir()) == ["at work", "new"]


@pytest.mark.long
def test_two_refreshes_of_the_same_files_at_once_publish_one_snapshot(
    settings: Settings, collection: Collection[dict[str, Any]]
) -> None:
    """Their steps interleave in whichever order the lock lets them."""
    some_calls(collection)
    job = build_definitions(settings).resolve_job_def("refresh_calls")
    outcomes: list[bool] = []

    def refresh() -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            outcomes.append(job.execute_in_process(raise_on_error=False, instance=instance).success)

    threads = [threading.Thread(target=refresh) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True, True]
    record = read_record(settings.publish_dir)
    assert not record.differing()
    assert not changed_files(settings.publish_dir, record)


def test_a_run_whose_file_cannot_be_made_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with run_file(tmp_path / "file", "run"):
        assert run_state(tmp_path / "file", "run") is RunState.UNKNOWN
