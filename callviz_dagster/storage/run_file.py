"""What the processes of a run share: a folder for each run, with a file for each process that works on it.

A process holds its file while it works, and the operating system frees it when the process ends, however it ends. So
others see whether a run is alive, also where Dagster gives each of its steps a process of its own. What belongs
elsewhere: the lock on the data folder (`lock.py`), which a run holds only while it writes, and the run's instant, which
Dagster keeps.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from callviz_dagster.storage.lock import try_lock

FOLDER = ".runs"
_ENDED = ".ended"
"""Suffix of the file of a process that has ended in good order."""
_KEPT_SECONDS = 86_400
"""How long the folder of a run is kept in which no process works; the sensor looks after seconds."""


class RunState(Enum):
    """What the folder of a run shows."""

    ALIVE = "a process holds its file"
    DEAD = "its only process has ended without saying so"
    UNKNOWN = "no process works on it here: it works elsewhere, has not begun, is between two steps, or has ended"


@contextlib.contextmanager
def run_file(data_dir: Path, run_id: str) -> Iterator[None]:
    """Hold a file of a run; without one where the folder cannot be written to, which the run itself reports."""
    handle, path = None, data_dir / FOLDER / run_id / uuid.uuid4().hex
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        starting = path.with_name(f".{path.name}")
        handle = os.open(starting, os.O_RDWR | os.O_CREAT, 0o644)
        # Held before it has its name, so that it is never seen without its holder.
        try_lock(handle)
        starting.replace(path)
        _remove_old(data_dir / FOLDER)
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(_ENDED))
            os.close(handle)


def run_state(data_dir: Path, run_id: str) -> RunState:
    """Return whether a run's processes are alive.

    One that was killed is the run's end only where it was the only one: otherwise Dagster sees that a step has failed.
    """
    try:
        paths = [path for path in (data_dir / FOLDER / run_id).iterdir() if not path.name.startswith(".")]
    except OSError:
        return RunState.UNKNOWN
    if any(_is_held(path) for path in paths):
        return RunState.ALIVE
    return RunState.DEAD if len(paths) == 1 and paths[0].suffix != _ENDED else RunState.UNKNOWN


def forget_run(data_dir: Path, run_id: str) -> None:
    """Remove the folder of a run that has ended."""
    shutil.rmtree(data_dir / FOLDER / run_id, ignore_errors=True)


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return False
    try:
        return not try_lock(handle, shared=True)
    finally:
        os.close(handle)


def _remove_old(folder: Path) -> None:
    for run in folder.iterdir():
        if (
            time.time() - run.stat().st_mtime > _KEPT_SECONDS
            and run_state(folder.parent, run.name) is not RunState.ALIVE
        ):
            shutil.rmtree(run, ignore_errors=True)
