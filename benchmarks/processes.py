"""Run commands as processes of their own; how long each took, and how much memory it and its children took together.

Memory is what the operating system counted. What belongs elsewhere: which commands are compared, and what is printed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_INTERVAL = 0.2
"""Seconds between two looks."""
_KB = 1024 if sys.platform == "darwin" else 1
"""What the operating system counts peak memory in, as a part of a kB."""


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    """Of all processors, and of the children that it waited for."""
    peak_mb: float
    """Of the largest process; never less than what the process that starts the command has itself."""
    together_mb: float | None
    """Of all its processes at one moment; None where the system does not report it."""
    output: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path = ROOT) -> Ran:
    """Run a command in a folder, by default the project's, from its start to its end.

    Python keeps the modules that it has compiled, as it does where a package is installed, even if
    PYTHONDONTWRITEBYTECODE is set here.

    Raises:
        subprocess.CalledProcessError: it failed; `output` has what it said.
    """
    inherited = {**(os.environ if environment is None else environment)}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=inherited, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        with watching(process.pid) as watch:
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        output_bytes = output.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output_bytes)
    return Ran(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _KB / 1024, watch.together_mb, output_bytes)


class Watch:
    """Watches the memory of a process and of the children that it starts from now on.

    Where the system does not report them, both figures stay None.
    """

    def __init__(self, pid: int) -> None:
        self.largest_mb: float | None = None
        """The most that one process had."""
        self.together_mb: float | None = None
        """The most that all had at one moment; of pages that processes share, each counts its part."""
        self._pid = pid
        self._others = set(_descendants(pid))

    def look(self) -> None:
        """Look once."""
        pids = [self._pid, *(pid for pid in _descendants(self._pid) if pid not in self._others)]
        # Counting shared pages takes the system some milliseconds; a single process shares none.
        file, name = ("smaps_rollup", "Pss") if len(pids) > 1 else ("status", "VmRSS")
        parts = [size for pid in pids if (size := _memory_mb(pid, file, name)) is not None]
        peaks = [size for pid in pids if (size := _memory_mb(pid, "status", "VmHWM")) is not None]
        if parts and peaks:
            self.together_mb = max(self.together_mb or 0.0, sum(parts))
            self.largest_mb = max(self.largest_mb or 0.0, *peaks)


@contextlib.contextmanager
def watching(pid: int) -> Iterator[Watch]:
    """Watch a process and its children inside the `with` block."""
    watch, stopped = Watch(pid), threading.Event()

    def look_again() -> None:
        while not stopped.wait(_INTERVAL):
            watch.look()

    watch.look()
    watcher = threading.Thread(target=look_again, daemon=True)
    watcher.start()
    try:
        yield watch
    finally:
        stopped.set()
        watcher.join()


def _descendants(pid: int) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, listed.read_text().split()):
                yield child
                yield from _descendants(child)


def _memory_mb(pid: int, file: str, name: str) -> float | None:
    """Return a figure of a process's memory; None where the process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return None


def in_turns(
    commands: Mapping[str, Sequence[str]],
    rounds: int,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
) -> dict[str, list[Ran]]:
    """Run commands in turns, so that a slow minute of the machine slows all of them."""
    ran: dict[str, list[Ran]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            ran[name].append(run(command, environment, folder))
    return ran


def seconds(ran: Sequence[Ran]) -> list[float]:
    """Return how long each run took."""
    return [one.seconds for one in ran]


def ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios, round by round."""
    return statistics.median(mine / theirs for mine, theirs in zip(some, others, strict=True))


def rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures with as many digits as they are worth."""
    return {name: round(figure, 3) for name, figure in figures.items()}
