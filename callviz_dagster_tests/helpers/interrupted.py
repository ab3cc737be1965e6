"""Refreshes that are killed or run out of disk, each in a forked process; run as a script of its own.

`python -m callviz_dagster_tests.helpers.interrupted killed|full STEP URI DATABASE FOLDER` tries every STEPth of the
moments or sizes; `killed_in_steps NUMBER ...` kills so many refreshes in each step of Dagster, at random moments. After
each refresh the published files must be whole and of one snapshot, or `published_together` must name those that are
not. Prints what was done, as JSON. What belongs elsewhere: faults while Dagster's daemon runs (`soak.py`).
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from pymongo import MongoClient

from callviz_dagster.assets.checks.published_together import together
from callviz_dagster.definitions import build_definitions
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import changed_files, read_record
from callviz_dagster_tests.helpers.refresh import some_calls

CALLS = 50
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
"""Runs a command in a mount namespace of its own, where it may mount a small disk."""
Disturbance = Callable[[dg.DagsterInstance], None]
_BROKEN = 2
"""Exit code of a refresh that fails without a sentence."""


def main() -> None:
    """Do what the command line says."""
    kind, number, uri, database, folder = sys.argv[1:]
    trial = Trial(uri, database, Path(folder))
    faults = {"killed": killed, "killed_in_steps": killed_in_steps, "full": full}[kind](trial, int(number))
    trial.refresh(do_nothing)
    passed, generations = trial.published()
    assert passed, "a refresh that nothing disturbs heals everything"
    assert generations == {trial.generation}, "calls.csv equals the collection"
    sys.stdout.write(json.dumps(faults) + "\n")


class Trial:
    """Refreshes of a collection whose calls all carry the number of the refresh, which tells snapshots apart."""

    def __init__(self, uri: str, database: str, folder: Path) -> None:
        self.uri, self.database, self.generation = uri, database, 0
        self.data, self.publish = folder / "data", folder / "publish"

    def refresh(self, disturb: Disturbance) -> int:
        """Refresh in a forked process that first calls `disturb`; return its exit code, negative if it was killed.

        `disturb` is given the Dagster instance that the refresh runs in.
        """
        self.generation += 1
        child = os.fork()
        if child == 0:
            code = _BROKEN
            try:
                code = self._refreshed(disturb)
            finally:
                if code == _BROKEN:
                    traceback.print_exc()
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _refreshed(self, disturb: Disturbance) -> int:
        with MongoClient[dict[str, Any]](self.uri) as client:
            calls = client[self.database].calls
            if self.generation == 1:
                some_calls(calls, CALLS)
            calls.update_many({}, {"$set": {"generation": self.generation}})
        settings = Settings(
            mongo_uri=self.uri, mongo_database=self.database, data_dir=self.data, publish_dir=self.publish
        )
        job = build_definitions(settings).resolve_job_def("refresh_calls")
        with dg.DagsterInstance.ephemeral() as instance:
            disturb(instance)
            result = job.execute_in_process(raise_on_error=False, instance=instance)
        failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
        for failure in failures:
            assert failure.user_failure_data is not None, f"a failure is a sentence: {failure.error}"
            assert re.search("disk is full|(cannot|could not) be written", failure.user_failure_data.description or "")
        return 0 if result.success else 1

    def published(self) -> tuple[bool, set[int]]:
        """Return whether the published files belong together, and of which refreshes the calls in them are.

        Raises:
            AssertionError: a file is torn, or the files are of several refreshes and nothing says so.
        """
        record = read_record(self.publish)
        passed, _ = together(record, changed_files(self.publish, record))
        tables = []
        if (self.publish / "calls.csv").exists():
            tables.append((self.publish / "calls.csv").read_bytes())
        if (self.publish / "callviz.twbx").exists():
            with zipfile.ZipFile(self.publish / "callviz.twbx") as package:
                assert package.testzip() is None
                tables += [package.read(name) for name in package.namelist() if name.endswith(".csv")]
        generations = [_generations(table) for table in tables]
        assert all(len(each) == 1 for each in generations), "a file is of one snapshot"
        assert not passed or len(set().union(*generations)) <= 1, "files of several snapshots are reported"
        return passed, set().union(*generations)


def _generations(table: bytes) -> set[int]:
    """Return the refreshes whose number the lines of a CSV carry; all lines must be there."""
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    assert len(rows) == CALLS, "a file is whole"
    return {int(row["generation"]) for row in rows}


def killed(trial: Trial, step: int) -> dict[str, int]:
    """Kill a refresh before the first file that it swaps in, the next one before a later one, and so on to the end."""
    trial.refresh(do_nothing)
    kills = reported = 0
    while trial.refresh(functools.partial(_die_before_swap, kills * step + 1)) == -signal.SIGKILL:
        kills += 1
        reported += not trial.published()[0]
    return {"kills": kills, "reported": reported}


def do_nothing(_: dg.DagsterInstance) -> None:
    """Disturb nothing."""


def _die_before_swap(number: int, _: dg.DagsterInstance) -> None:
    replace, swaps = os.replace, iter(range(1, number + 1))

    def dying(source: Any, target: Any) -> None:
        if next(swaps) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = dying  # type: ignore[assignment]


def killed_in_steps(trial: Trial, number: int) -> dict[str, int]:
    """Kill refreshes at random moments of each step; return how many in each, and how often that was reported."""
    chance = random.Random(1)
    trial.refresh(do_nothing)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "steps"
        trial.refresh(functools.partial(_note_steps, journal, "", 0.0))
        starts = _noted(journal)
        seconds = {step: end - start for (step, start), (_, end) in itertools.pairwise(starts)}
        kills = Counter[str]()
        for step in seconds:
            for _ in range(number):
                moment = chance.uniform(0, seconds[step])
                code = trial.refresh(functools.partial(_note_steps, journal, step, moment))
                assert code in (0, -signal.SIGKILL)
                # A refresh that is faster than the first one was may be in a later step by then, or done.
                kills[_noted(journal)[-1][0]] += code != 0
                kills["reported"] += not trial.published()[0]
    return dict(kills)


def _note_steps(journal: Path, step: str, seconds: float, instance: dg.DagsterInstance) -> None:
    """Note when each step starts, and at last when the run has ended; die some seconds after the start of a step."""
    handle_new_event = instance.handle_new_event
    journal.write_text("")

    def noting(entry: Any, **options: Any) -> None:
        handle_new_event(entry, **options)
        event = entry.dagster_event
        if event and (event.is_step_start or event.is_job_event):
            with journal.open("a") as file:
                file.write(f"{event.step_key or 'job'} {time.monotonic()}\n")
        if event and event.is_step_start and event.step_key == step:
            timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()

    instance.handle_new_event = noting  # type: ignore[assignment,method-assign]


def _noted(journal: Path) -> list[tuple[str, float]]:
    """Return the steps in order with the moments of their starts, as far as the refresh came; the run's end last."""
    lines = [line.split() for line in journal.read_text().splitlines()]
    started = [(step, float(moment)) for step, moment in lines]
    first = next(at for at, (step, _) in enumerate(started) if step != "job")
    return started[first:]


def full(trial: Trial, step: int) -> dict[str, int]:
    """Let the disk have ever more room for bytes, then for files; needs a mount namespace of its own.

    The first refresh of each kind has room for nothing, the last one for everything.
    """
    folder = trial.data.parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    trial.refresh(do_nothing)
    failed = succeeded = 0
    state = os.statvfs(folder)
    used_bytes = (state.f_blocks - state.f_bfree) * state.f_frsize
    rooms = [("bytes", room) for room in (0, 8 << 10, 32 << 10, 96 << 10, 192 << 10)]
    rooms += [("files", room) for room in (0, 1, 2)]
    for kind, room in rooms[::step]:
        # Each refresh leaves a file of its run, and a disk cannot be made smaller than what is on it.
        state = os.statvfs(folder)
        used_files = state.f_files - state.f_ffree
        limit = f"size={used_bytes + room}" if kind == "bytes" else f"size=64m,nr_inodes={used_files + room}"
        subprocess.run(["mount", "-o", f"remount,{limit}", folder], check=True)
        code = trial.refresh(do_nothing)
        assert code != _BROKEN
        failed, succeeded = failed + (code == 1), succeeded + (code == 0)
        trial.published()
    subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10000", folder], check=True)
    return {"failed": failed, "succeeded": succeeded}


if __name__ == "__main__":
    main()
