"""A file for each run that is at work, held by its process: it shows others whether the process is alive.

The operating system frees the file when the process ends, however it ends. What belongs elsewhere: the lock on the
data folder (`lock.py`), which a run holds only while it writes.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from callviz_dagster.storage.lock import try_lock

FOLDER = ".runs"
_KEPT_SECONDS = 7 * 86_400
"""How long the file of a killed run is kept for the sensor that waits for it."""


class RunState(Enum):
    """What the file of a run shows."""

    ALIVE = "its process holds the file"
    DEAD = "its process has ended without removing the file"
    UNKNOWN = "there is no file: the run works elsewhere, has not begun, or has ended in good order"


@contextlib.contextmanager
def run_file(data_dir: Path, run_id: str) -> Iterator[None]:
    """Hold the file of a run; without one where the folder cannot be written to, which the run itself reports."""
    handle = None
    with contextlib.suppress(OSError):
        folder = data_dir / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old(folder)
        starting = folder / f".{run_id}.{os.getpid()}"
        handle = os.open(starting, os.O_RDWR | os.O_CREAT, 0o644)
        # Held before it has its name, so that it is never seen without its holder.
        try_lock(handle)
        starting.replace(folder / run_id)
    try:
        yield
    finally:
        if handle is not None:
            forget_run(data_dir, run_id)
            os.close(handle)


def run_state(data_dir: Path, run_id: str) -> RunState:
    """Return whether a run's process is alive."""
    try:
        handle = os.open(data_dir / FOLDER / run_id, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except OSError:
        return RunState.UNKNOWN
    try:
        return RunState.DEAD if try_lock(handle, shared=True) else RunState.ALIVE
    finally:
        os.close(handle)


def forget_run(data_dir: Path, run_id: str) -> None:
    """Remove the file of a run that has ended."""
    with contextlib.suppress(OSError):
        (data_dir / FOLDER / run_id).unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS and run_state(folder.parent, path.name) is RunState.DEAD:
            path.unlink(missing_ok=True)
