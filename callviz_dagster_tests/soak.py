"""The soak test: calls change at random and things break, while Dagster's daemon keeps `calls.csv` up to date.

`python -m callviz_dagster_tests.soak --seconds 300`, or `make soak`. When the writer stops, `calls.csv` must equal the
collection exactly. `test_soak.py` runs the short form.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime as dt
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from callviz_dagster.concurrency import running_thread
from callviz_dagster.demo.mongod import Server, running_replica_set
from callviz_dagster.storage.lock import FILE as LOCK

ROOT = Path(__file__).resolve().parent.parent
DAYS = 5
CONFIGURATION = """
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {runs: {max_concurrent_runs: 1}}
run_monitoring: {enabled: true, poll_interval_seconds: 5, start_timeout_seconds: 60}
"""
Rows = dict[str, tuple[str, str]]


def main() -> None:
    """Run the soak test for the time given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="how long calls change and things break")
    parser.add_argument("--seed", type=int, default=None, help="seed of the random changes (default: a new one)")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), seconds=given.seconds, members=3, seed=seed)
    sys.stdout.write(f"calls.csv equals the collection. seed {seed}; {report}\n")


def soak(folder: Path, *, seconds: float, members: int, seed: int, patience: float = 300) -> dict[str, int]:
    """Change calls and break things for so long; return what was done.

    Raises:
        AssertionError: `calls.csv` does not become equal to the collection within `patience` seconds afterwards.
    """
    chance = random.Random(seed)
    done = {"writes": 0, "killed refreshes": 0, "restarted primaries": 0, "failing disks": 0, "calls": 0}
    publish, data = folder / "publish", folder / "data"
    publish.mkdir()
    with (
        running_replica_set(folder / "mongod", members=members) as servers,
        MongoClient[dict[str, Any]](servers[0].uri, w="majority") as client,
    ):
        calls = client.soak.calls
        calls.create_index("start_time")
        write(calls, chance, 500)
        with daemon(folder, servers[0].uri, data, publish) as process:
            with writing(calls, random.Random(seed + 1), done):
                wait_until(lambda: (publish / "calls.csv").exists(), patience, "there is a calls.csv", folder)
                deadline = time.monotonic() + seconds
                faults = [kill_refresh, restart_primary, break_disk]
                while time.monotonic() < deadline or faults:
                    fault = faults.pop(0) if faults else chance.choice([kill_refresh, restart_primary, break_disk])
                    fault(servers, data, publish, process, done, chance)
                    time.sleep(chance.uniform(1, 4))
            wanted = in_collection(calls)
            wait_until(lambda: in_csv(publish / "calls.csv") == wanted, patience, "calls.csv equals MongoDB", folder)
            done["calls"] = len(wanted)
    return done


def write(calls: Collection[dict[str, Any]], chance: random.Random, number: int) -> None:
    """Insert, change, move and delete calls at random."""
    today = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time())
    for _ in range(number):
        identifier = f"c{chance.randrange(2000):04d}"
        start = today - dt.timedelta(days=chance.randrange(DAYS), seconds=chance.randrange(1, 80_000))
        what = chance.random()
        if what < 0.5:
            calls.replace_one({"_id": identifier}, {"start_time": start, "n": chance.randrange(10**6)}, upsert=True)
        elif what < 0.7:
            calls.update_one({"_id": identifier}, {"$set": {"n": chance.randrange(10**6)}})
        elif what < 0.85:
            calls.update_one({"_id": identifier}, {"$set": {"start_time": start}})
        else:
            calls.delete_one({"_id": identifier})


@contextlib.contextmanager
def writing(calls: Collection[dict[str, Any]], chance: random.Random, done: dict[str, int]) -> Iterator[None]:
    """Keep writing in a thread; a server that is away is tried again."""

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            with contextlib.suppress(PyMongoError):
                write(calls, chance, 3)
                done["writes"] += 3

    with running_thread(work, "writer"):
        yield


@contextlib.contextmanager
def daemon(folder: Path, uri: str, data: Path, publish: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Dagster's daemon with the sensor on."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(CONFIGURATION, encoding="utf-8")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "CALLVIZ_MONGO_URI": uri,
        "CALLVIZ_MONGO_DATABASE": "soak",
        "CALLVIZ_DATA_DIR": str(data),
        "CALLVIZ_PUBLISH_DIR": str(publish),
        "CALLVIZ_PARTITIONS": "daily",
        "CALLVIZ_PARTITIONS_START": f"{dt.datetime.now(dt.UTC).date() - dt.timedelta(DAYS + 1)}",
        "CALLVIZ_FIELD_START_TIME": "start_time",
        "CALLVIZ_MIN_REFRESH_SECONDS": "1",
        "CALLVIZ_WATCH": "true",
    }
    command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-m", "callviz_dagster.definitions"]
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


Process = subprocess.Popen[bytes]


def kill_refresh(
    servers: list[Server], data: Path, publish: Path, process: Process, done: dict[str, int], chance: random.Random
) -> None:
    """Kill the process that refreshes now, as a power cut would."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            owner = int((data / LOCK).read_text(encoding="ascii"))
            # Only one that this test's daemon has started, and that is alive.
            if owner != process.pid and os.getpgid(owner) == process.pid:
                os.kill(owner, signal.SIGKILL)
                done["killed refreshes"] += 1
                return
        time.sleep(0.01)


def restart_primary(
    servers: list[Server], data: Path, publish: Path, process: Process, done: dict[str, int], chance: random.Random
) -> None:
    """Kill the server that takes the writes, and start it again."""
    with MongoClient[dict[str, Any]](servers[0].uri) as client:
        client.admin.command("ping")
        address = client.primary
    if address is None:
        return
    server = next(server for server in servers if server.port == address[1])
    server.kill()
    time.sleep(chance.uniform(0.5, 2))
    server.start()
    done["restarted primaries"] += 1


def break_disk(
    servers: list[Server], data: Path, publish: Path, process: Process, done: dict[str, int], chance: random.Random
) -> None:
    """Let nothing be written where the files are published, for some seconds."""
    aside = publish.with_name("aside")
    publish.rename(aside)
    publish.touch()
    try:
        time.sleep(chance.uniform(3, 8))
    finally:
        publish.unlink()
        aside.rename(publish)
    done["failing disks"] += 1


def in_collection(calls: Collection[dict[str, Any]]) -> Rows:
    """Return what `calls.csv` must hold."""
    return {
        document["_id"]: (f"{document['start_time']:%Y-%m-%d %H:%M:%S}", str(document.get("n", "")))
        for document in calls.find()
        if "start_time" in document
    }


def in_csv(path: Path) -> Rows:
    """Return what `calls.csv` holds; each call once."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    start_and_number = {row["_id"]: (row["start_time"], row.get("n", "")) for row in rows}
    return start_and_number if len(start_and_number) == len(rows) else {}


def wait_until(condition: Any, seconds: float, what: str, folder: Path) -> None:
    """Wait for a condition; where it does not come about, say what the daemon said last."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            log = (folder / "daemon.log").read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"Waited {seconds:.0f} s in vain until {what}. The daemon said last:\n{log[-6000:]}")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
