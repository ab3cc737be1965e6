"""The processor seconds that two workers of a Dask cluster spend, against one: `python -m benchmarks.workers`.

Does the three rounds of a refresh on 24 partitions of a collection that it makes, with one worker and two in turns,
over loopback and with a shared folder. Loading the libraries does not count. A worker is idle while it has no task,
from the start of the first task to the end of the last one. Efficiency by the clock is the time of one worker divided
by twice the time of two: on two cores it says little, for MongoDB, scheduler and driver are on them, too. Needs the
extra `dask`, and Linux, which says what a process has spent. What belongs elsewhere: one process without Dask
(`refresh.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.collection import DAYS, START, filled, parser
from benchmarks.processes import ratio
from benchmarks.refresh import partitioned
from callviz_dagster.assets.calls import make_partitions, plan_tables
from callviz_dagster.assets.calls_csv import require_good
from callviz_dagster.assets.common import table_options
from callviz_dagster.calls_csv.publish import publish_csv
from callviz_dagster.engine.cluster import Cluster, opened_cluster
from callviz_dagster.engine.fan_out import archive_on, csv_parts_on
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.table.manifest import existing_partitions

LOG = logging.getLogger("benchmarks")


@dataclasses.dataclass(frozen=True)
class Spent:
    """What the three rounds took."""

    seconds: float
    workers: list[float]
    """Processor seconds of each worker."""
    driver: float
    idle: list[float]
    """Seconds in which each worker had no task, the busiest first."""
    alone: float
    """Seconds of these in which no worker had one: the driver was at work."""

    @property
    def all_workers(self) -> float:
        """Processor seconds of all workers."""
        return sum(self.workers)


@contextlib.contextmanager
def cluster_of(number: int, uri: str, folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Run a scheduler and workers of one thread each; give its address and the process ids of the workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = ["--host", "127.0.0.1", "--no-dashboard"]
    worker = ["worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
    commands = [["scheduler", "--port", str(port)]]
    commands += [[*worker, "--local-directory", str(folder / f"worker{n}")] for n in range(number)]
    environment = {**os.environ, "CALLVIZ_MONGO_URI": uri}
    with contextlib.ExitStack() as stack:
        processes = []
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command, *common], env=environment, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        wait_for_workers(port, number)
        yield f"dask://127.0.0.1:{port}", [process.pid for process in processes[1:]]


def wait_for_workers(port: int, number: int) -> None:
    """Wait until the workers are there."""
    from distributed import Client

    with Client(f"tcp://127.0.0.1:{port}", timeout=60, set_as_default=False) as client:
        client.wait_for_workers(number, timeout=60)


def rounds(settings: Settings, cluster: Cluster, partitions: Sequence[Partition]) -> None:
    """Do the three rounds of a refresh for these partitions."""
    data_dir, mongo = settings.data_dir, MongoDB(settings)
    for _ in archive_on(cluster, mongo, partitions, data_dir, LOG, secrets=table_options(settings).secrets):
        pass
    make_partitions(partitions, settings, LOG, plan_tables(partitions, settings, LOG), cluster)
    footers = existing_partitions(partitions, data_dir)
    calls = {partition.calls(data_dir): footer for partition, footer in footers.items()}
    with csv_parts_on(cluster, data_dir) as encode_parts:
        csv = settings.publish_dir / "calls.csv"
        publish_csv(calls, csv, settings.timezone, LOG, require_good, encode_parts)


Interval = tuple[float, float]
"""Start and end, seconds since 1970."""


def covered(intervals: Iterable[Interval]) -> float:
    """Return how many seconds lie in at least one of the intervals."""
    seconds, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        seconds += max(0.0, end - max(start, until))
        until = max(until, end)
    return seconds


def idle_seconds(tasks: Iterable[Mapping[str, Any]], number: int) -> tuple[list[float], float]:
    """Return how long each of some workers had no task, and how long none of them had one.

    Args:
        tasks: what Dask's task stream says of each task.
        number: how many workers there are; one that had no task was idle all the time.
    """
    intervals: dict[str, list[Interval]] = {}
    for task in tasks:
        steps = [(step["start"], step["stop"]) for step in task["startstops"]]
        intervals.setdefault(task["worker"], []).extend(steps)
    together = [step for steps in intervals.values() for step in steps]
    whole = max(end for _, end in together) - min(start for start, _ in together)
    idle = sorted(whole - covered(steps) for steps in intervals.values())
    return [*idle, *[whole] * (number - len(idle))], whole - covered(together)


def measure(settings: Settings, number: int, partitions: Sequence[Partition]) -> Spent:
    """Do the rounds with some workers that have loaded what they need."""
    from distributed import Client, get_task_stream

    with (
        tempfile.TemporaryDirectory() as folder,
        cluster_of(number, settings.require_mongo_uri(), Path(folder)) as (address, pids),
    ):
        cold, warm = (
            dataclasses.replace(
                settings, engine=address, data_dir=Path(folder, name, "data"), publish_dir=Path(folder, name)
            )
            for name in ("cold", "warm")
        )
        with opened_cluster(cold, LOG) as cluster:
            assert cluster
            rounds(cold, cluster, partitions[: 6 * number])
        with opened_cluster(warm, LOG) as cluster:
            assert cluster
            scheduler = address.replace("dask:", "tcp:")
            with Client(scheduler, set_as_default=False) as client, get_task_stream(client) as tasks:
                before, driver, began = [cpu_seconds(pid) for pid in pids], time.process_time(), time.perf_counter()
                rounds(warm, cluster, partitions)
                elapsed, driver = time.perf_counter() - began, time.process_time() - driver
                spent = [cpu_seconds(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    return Spent(elapsed, spent, driver, *idle_seconds(tasks.data, number))


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds that a process has spent so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3, help="how often each runs")
    parsed = options.parse_args(arguments)
    with filled(parsed) as (uri, collection):
        settings = partitioned(
            Settings(mongo_uri=uri, mongo_database=parsed.database, mongo_collection=collection), "monthly"
        )
        partitions = Partitioning.of(settings).partitions(START.replace(tzinfo=dt.UTC) + dt.timedelta(days=DAYS - 1))
        spent: dict[int, list[Spent]] = {1: [], 2: []}
        for _ in range(parsed.rounds):
            for number, some in spent.items():
                some.append(measure(settings, number, partitions))
    report(spent)


def report(spent: dict[int, list[Spent]]) -> None:
    """Print medians as a table, and as one line of JSON."""
    out = sys.stdout.write
    columns = ("seconds", "processor seconds of each", "of the driver", "idle seconds of each", "with no task at all")
    out(f"{'workers':9}" + "".join(f"{column:>28}" for column in columns) + "\n")
    for number, some in spent.items():
        cells = [
            f"{statistics.median(one.seconds for one in some):.2f}",
            _of_each([one.workers for one in some]),
            f"{statistics.median(one.driver for one in some):.2f}",
            _of_each([one.idle for one in some]),
            f"{statistics.median(one.alone for one in some):.2f}",
        ]
        out(f"{number:<9}" + "".join(f"{cell:>28}" for cell in cells) + "\n")
    two_to_one = ratio([one.all_workers for one in spent[2]], [one.all_workers for one in spent[1]])
    efficiency = ratio([one.seconds for one in spent[1]], [2 * one.seconds for one in spent[2]])
    out(f"processor seconds of two workers / of one: {two_to_one:.2f}\n")
    out(f"efficiency by the clock, T1 / (2 T2): {efficiency:.2f}\n")
    runs = {str(number): [dataclasses.asdict(one) for one in some] for number, some in spent.items()}
    out(json.dumps({"workers": runs, "ratio": round(two_to_one, 3), "efficiency": round(efficiency, 3)}) + "\n")


def _of_each(values: Sequence[Sequence[float]]) -> str:
    """Return the median for each worker."""
    return ", ".join(f"{statistics.median(of_worker):.2f}" for of_worker in zip(*values, strict=True))


if __name__ == "__main__":
    main()
