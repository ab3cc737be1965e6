"""A Dask scheduler and workers over loopback, as processes of their own.

What belongs elsewhere: what they work on.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distributed import Client

from callviz_dagster.demo.mongod import free_port
from callviz_dagster_tests.helpers.interrupted import NAMESPACE
from callviz_dagster_tests.helpers.processes import listens, wait_for


def own_disk(folder: Path) -> list[str]:
    """Return the start of a command that finds an empty disk of its own, in memory, in place of a folder."""
    return [*NAMESPACE, "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(folder)]


class DaskCluster:
    """A scheduler and its workers, by their names."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, tls: Path | None) -> None:
        self._folder, self._stack = folder, stack
        self._scheme = "tls" if tls else "tcp"
        names = ("--tls-ca-file", "--tls-cert", "--tls-key")
        self._options = [part for name in names for part in (name, str(tls))] if tls else []
        self.port = free_port()
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        scheduler = ["scheduler", "--port", str(self.port), "--protocol", self._scheme]
        self.scheduler = self._start("scheduler", scheduler, {})
        wait_for("the scheduler", lambda: listens(self.port))

    @property
    def address(self) -> str:
        """The value of `CALLVIZ_ENGINE`."""
        return f"{'tls' if self._scheme == 'tls' else 'dask'}://127.0.0.1:{self.port}"

    def add_worker(self, name: str, environment: Mapping[str, str], wrapper: Sequence[str] = ()) -> None:
        """Start a worker with one thread and these variables in its environment, by a command before its own."""
        command = ["worker", f"{self._scheme}://127.0.0.1:{self.port}", "--name", name, "--nthreads", "1"]
        command += ["--no-nanny", "--memory-limit", "0", "--local-directory", str(self._folder / name)]
        self.workers[name] = self._start(name, command, environment, wrapper)

    def wait_for_workers(self) -> None:
        """Wait until all workers are there, so that each gets a part of the tasks."""
        with self._client() as client:
            client.wait_for_workers(len(self.workers), timeout=240)

    def wait_for_the_end_of_tasks(self, release: Callable[[], object]) -> None:
        """Wait until the scheduler has no task any more; then release what workers are held by, until none works."""
        with self._client() as client:
            wait_for("the end of all tasks", lambda: not client.run_on_scheduler(_tasks))
            release()
            wait_for("workers without work", lambda: not any(client.run(_executing).values()))

    def _client(self) -> Client:
        return Client(f"tcp://127.0.0.1:{self.port}", set_as_default=False)

    def log(self, name: str) -> str:
        """Return what a process has written."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], wrapper: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        whole = [*wrapper, sys.executable, "-m", "dask", *command, "--host", "127.0.0.1", "--no-dashboard"]
        own = {key: value for key, value in os.environ.items() if not key.startswith(("CALLVIZ_", "COVERAGE_"))}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([*whole, *self._options], env=own | {**environment}, stdout=log, stderr=log)
        self._stack.callback(_end, process)
        return process


def _tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def _executing(dask_worker: Any) -> int:
    return len(dask_worker.state.executing) + len(dask_worker.active_threads)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextlib.contextmanager
def dask_cluster(
    folder: Path, workers: Mapping[str, Mapping[str, str]], *, tls: Path | None = None
) -> Iterator[DaskCluster]:
    """Run a scheduler, and a worker for each of these environments; with `tls`, one file with certificate and key."""
    with contextlib.ExitStack() as stack:
        cluster = DaskCluster(folder, stack, tls)
        for name, environment in workers.items():
            cluster.add_worker(name, environment)
        yield cluster
