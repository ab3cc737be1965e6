"""The soak test: calls change at random and things break, while Dagster's daemon keeps `calls.csv` up to date.

`python -m callviz_dagster_tests.soak --seconds 300`, or `make soak`. After each fault every published file must be
whole, and files of several snapshots reported. When the writer stops, `calls.csv` must equal the collection exactly,
and no file may show the password. `test_soak.py` runs the short form. What belongs elsewhere: kills in each step, and
what a disk has room for (`helpers/interrupted.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import datetime as dt
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from callviz_dagster.assets.checks.published_together import together
from callviz_dagster.concurrency import running_thread
from callviz_dagster.demo.mongod import Server, running_replica_set
from callviz_dagster.storage.lock import FILE as LOCK
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.storage.published import changed_files, read_record
from callviz_dagster_tests.helpers.interrupted import NAMESPACE
from callviz_dagster_tests.helpers.proxy import Network, network

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PASSWORD = "Sup3r/Secret@9"
DAYS = 5
DISK = "disk"
"""The folder of the files that are refreshed."""
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
    parser.add_argument("--disk", action="store_true", help="keep the files on a small disk, which is filled, too")
    given = parser.parse_args()
    if not given.disk and may_mount():
        command = [*NAMESPACE, sys.executable, "-m", "callviz_dagster_tests.soak", *sys.argv[1:], "--disk"]
        os.execvp(command[0], command)
    seed = given.seed if given.seed is not None else random.randrange(10**6)
    with (
        tempfile.TemporaryDirectory() as folder,
        small_disk(Path(folder, DISK)) if given.disk else contextlib.nullcontext(),
    ):
        faults = (*FAULTS, fill_disk) if given.disk else FAULTS
        report = soak(Path(folder), seconds=given.seconds, members=3, seed=seed, faults=faults)
    sys.stdout.write(f"calls.csv equals the collection. seed {seed}; {report}\n")


def may_mount() -> bool:
    """Return whether this user may have a mount namespace of their own."""
    return (
        sys.platform == "linux"
        and not subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode
    )


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of 64 MB for the duration of the `with` block."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@dataclass
class Trial:
    """A deployment that calls.csv is kept up to date by, and what was done to it."""

    folder: Path
    servers: list[Server]
    calls: Collection[dict[str, Any]]
    chance: random.Random
    first_day: dt.date = field(default_factory=lambda: days()[0])
    """The first partition, which stays the same over midnight."""
    daemon: subprocess.Popen[bytes] | None = None
    done: Counter[str] = field(default_factory=Counter)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / DISK / "data"

    @property
    def publish(self) -> Path:
        """The published folder."""
        return self.folder / DISK / "publish"

    @property
    def primary(self) -> Server:
        """The server that takes the writes."""
        with MongoClient[dict[str, Any]](self.servers[0].uri) as client:
            client.admin.command("ping")
            address = client.primary
        return next((server for server in self.servers if address and server.port == address[1]), self.servers[0])

    def environment(self, home: str, uri: str = "") -> dict[str, str]:
        """Return the environment of a Dagster instance with its files in the folder `home`."""
        path = self.folder / home
        path.mkdir(exist_ok=True)
        (path / "dagster.yaml").write_text(CONFIGURATION, encoding="utf-8")
        return {
            **os.environ,
            "DAGSTER_HOME": str(path),
            "CALLVIZ_MONGO_URI": uri or self.servers[0].uri,
            "CALLVIZ_MONGO_DATABASE": "soak",
            "CALLVIZ_DATA_DIR": str(self.data),
            "CALLVIZ_PUBLISH_DIR": str(self.publish),
            "CALLVIZ_PARTITIONS": "daily",
            "CALLVIZ_PARTITIONS_START": f"{self.first_day}",
            "CALLVIZ_FIELD_START_TIME": "start_time",
            "CALLVIZ_MIN_REFRESH_SECONDS": "1",
            "CALLVIZ_MAX_DROP": "1",
            "CALLVIZ_WATCH": "true",
        }


def soak(
    folder: Path, *, seconds: float, members: int, seed: int, faults: Sequence[Fault] = (), patience: float = 300
) -> dict[str, int]:
    """Change calls and break things for so long, each kind at least once; return what was done.

    Args:
        folder: an empty folder.
        seconds: how long.
        members: servers of the replica set.
        seed: of the random changes.
        faults: what breaks; everything without it.
        patience: how many seconds `calls.csv` may take to become equal to the collection afterwards.

    Raises:
        AssertionError: a published file is torn, or of another snapshot than the others and not reported; `calls.csv`
            does not become equal to the collection; a file shows the password.
    """
    chance = random.Random(seed)
    kinds = [*(faults or FAULTS)]
    with (
        running_replica_set(folder / "mongod", members=members, user=("root", PASSWORD)) as servers,
        MongoClient[dict[str, Any]](servers[0].uri, w="majority") as client,
    ):
        trial = Trial(folder, servers, client.soak.calls, chance)
        trial.publish.mkdir(parents=True)
        trial.calls.create_index("start_time")
        write(trial.calls, chance, 500)
        with running_daemon(trial):
            with writing(trial.calls, random.Random(seed + 1), trial.done):
                wait_until(lambda: (trial.publish / "calls.csv").exists(), patience, "there is a calls.csv", folder)
                deadline = time.monotonic() + seconds
                waiting = [*kinds]
                while time.monotonic() < deadline or waiting:
                    fault = waiting.pop(0) if waiting else chance.choice(kinds)
                    fault(trial)
                    trial.done[fault.__name__] += 1
                    require_whole_files(trial)
                    time.sleep(chance.uniform(1, 4))
            wanted = in_collection(trial.calls)
            wait_until(
                lambda: in_csv(trial.publish / "calls.csv") == wanted, patience, "calls.csv equals MongoDB", folder
            )
            wait_until(lambda: require_whole_files(trial), patience, "all files are of one snapshot", folder)
            trial.done["calls"] = len(wanted)
    assert files_with_the_password(folder) == []
    return dict(trial.done)


def days() -> list[dt.date]:
    """Return the days that calls start on, and one before them."""
    today = dt.datetime.now(dt.UTC).date()
    return [today - dt.timedelta(days) for days in range(DAYS + 1, -1, -1)]


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
def writing(calls: Collection[dict[str, Any]], chance: random.Random, done: Counter[str]) -> Iterator[None]:
    """Keep writing in a thread; a server that is away is tried again."""

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            with contextlib.suppress(PyMongoError):
                write(calls, chance, 3)
                done["writes"] += 3

    with running_thread(work, "writer"):
        yield


@contextlib.contextmanager
def running_daemon(trial: Trial) -> Iterator[None]:
    """Run Dagster's daemon with the sensor on; a fault may have put another one in its place."""
    start_daemon(trial)
    try:
        yield
    finally:
        end_daemon(trial, signal.SIGTERM)


def start_daemon(trial: Trial) -> None:
    """Start Dagster's daemon in a process group of its own."""
    command = [str(BIN / "dagster-daemon"), "run", "-m", "callviz_dagster.definitions"]
    with (trial.folder / "daemon.log").open("ab") as log:
        trial.daemon = subprocess.Popen(
            command, cwd=ROOT, env=trial.environment("home"), stdout=log, stderr=log, start_new_session=True
        )


def end_daemon(trial: Trial, number: signal.Signals) -> None:
    """End the daemon and every process that it has started."""
    process = trial.daemon
    assert process is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_refresh(trial: Trial) -> None:
    """Kill the process that refreshes now, as a power cut would."""
    assert trial.daemon is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            owner = int((trial.data / LOCK).read_text(encoding="ascii"))
            # Only one that this test's daemon has started, and that is alive.
            if owner != trial.daemon.pid and os.getpgid(owner) == trial.daemon.pid:
                time.sleep(trial.chance.uniform(0, 0.5))
                os.kill(owner, signal.SIGKILL)
                return
        time.sleep(0.01)
    raise AssertionError("No refresh has run within a minute.")


def restart_primary(trial: Trial) -> None:
    """Kill the server that takes the writes, and start it again."""
    server = trial.primary
    server.kill()
    time.sleep(trial.chance.uniform(0.5, 2))
    server.start()


def freeze_primary(trial: Trial) -> None:
    """Let the server that takes the writes hang: connections stay open, new ones are taken, and none is answered."""
    process = trial.primary.pid
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(trial.chance.uniform(5, 25))
    finally:
        os.kill(process, signal.SIGCONT)


def freeze_in_mid_stream(trial: Trial) -> None:
    """Refresh from the command line over a network that goes silent in the middle of the documents, then comes back."""
    with network(trial.primary.port) as between:
        between.go_silent_after(trial.chance.randrange(10_000, 40_000), trial.chance.uniform(20, 30))
        materialize(trial, "*", trial.first_day, uri_through(between))
        trial.done["silences in mid-stream"] += between.silences


def read_without_an_answer(trial: Trial) -> None:
    """Refresh from the command line over a network that takes connections and answers none."""
    with network(trial.primary.port) as between:
        between.go_silent()
        assert "did not answer" in materialize(trial, "*", trial.first_day, uri_through(between))


def uri_through(between: Network) -> str:
    """Return a connection string that leads through a network to one server."""
    credentials = f"root:{quote_plus(PASSWORD)}"
    options = "directConnection=true&authSource=admin&serverSelectionTimeoutMS=2000"
    return f"mongodb://{credentials}@127.0.0.1:{between.port}/?{options}"


def break_disk(trial: Trial) -> None:
    """Let nothing be written where the files are published, for some seconds."""
    aside = trial.publish.with_name("aside")
    trial.publish.rename(aside)
    trial.publish.touch()
    try:
        time.sleep(trial.chance.uniform(3, 8))
    finally:
        trial.publish.unlink()
        aside.rename(trial.publish)


def fill_disk(trial: Trial) -> None:
    """Let the disk of the files be full for some seconds."""
    filler = trial.folder / DISK / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        time.sleep(trial.chance.uniform(3, 8))
    finally:
        filler.unlink(missing_ok=True)


def kill_daemon(trial: Trial) -> None:
    """Kill the daemon with everything that it has started, and start it again."""
    end_daemon(trial, signal.SIGKILL)
    start_daemon(trial)


def read_without_publishing(trial: Trial) -> None:
    """Materialize raw_calls alone, from the command line with another Dagster instance."""
    materialize(trial, "raw_calls", trial.chance.choice(days()))


def refresh_beside(trial: Trial) -> None:
    """Refresh from the command line while the daemon may do the same."""
    materialize(trial, "*", trial.first_day)


def materialize(trial: Trial, selection: str, first: dt.date, uri: str = "") -> str:
    """Materialize assets from a day to today, which may fail; return what was printed."""
    keys = f"{first}...{days()[-1]}"
    command = [str(BIN / "dagster"), "asset", "materialize", "-m", "callviz_dagster.definitions"]
    finished = subprocess.run(
        [*command, "--select", selection, "--partition-range", keys],
        cwd=ROOT,
        env=trial.environment("by_hand", uri),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    with (trial.folder / "by_hand.log").open("a", encoding="utf-8") as log:
        log.write(finished.stdout)
    trial.done["refreshes by hand that succeeded"] += finished.returncode == 0
    return finished.stdout


def rename_collection(trial: Trial) -> None:
    """Rename the collection, and let another one take its name."""
    with contextlib.suppress(PyMongoError):
        trial.calls.rename("aside", dropTarget=True)
        write(trial.calls, trial.chance, 100)
        trial.calls.create_index("start_time")


def drop_collection(trial: Trial) -> None:
    """Drop the collection, and fill it again a little later."""
    with contextlib.suppress(PyMongoError):
        trial.calls.drop()
        time.sleep(trial.chance.uniform(0, 3))
        write(trial.calls, trial.chance, 100)
        trial.calls.create_index("start_time")


Fault = Callable[[Trial], None]
FAULTS: tuple[Fault, ...] = (
    kill_refresh,
    restart_primary,
    freeze_primary,
    freeze_in_mid_stream,
    read_without_an_answer,
    break_disk,
    kill_daemon,
    read_without_publishing,
    refresh_beside,
    rename_collection,
    drop_collection,
)


def require_whole_files(trial: Trial) -> bool:
    """Require that every published file is whole; return whether all are of one snapshot, as the record says, too.

    Raises:
        AssertionError: a file is torn, or the files are of several snapshots and nothing says so.
    """
    with one_at_a_time(trial.data, logging.getLogger(__name__)):
        record = read_record(trial.publish)
        passed, _ = together(record, changed_files(trial.publish, record))
        table, package, page = (trial.publish / name for name in ("calls.csv", "callviz.twbx", "call_dashboard.html"))
        assert not table.exists() or in_csv(table), "calls.csv holds each call once"
        assert not page.exists() or page.read_text(encoding="utf-8").rstrip().endswith("</html>")
        if package.exists():
            with zipfile.ZipFile(package) as archive:
                assert archive.testzip() is None
                (packed,) = [archive.read(name) for name in archive.namelist() if name.endswith(".csv")]
            assert not passed or packed == table.read_bytes(), "files of several snapshots are reported"
    trial.done["checked"] += 1
    return passed


def files_with_the_password(folder: Path) -> list[str]:
    """Return the files that show the password: event logs, compute logs, output, data and what is published."""
    spellings = [PASSWORD.encode(), quote_plus(PASSWORD).encode()]
    paths = [path for path in folder.rglob("*") if path.is_file() and folder / "mongod" not in path.parents]
    return [str(path) for path in paths if any(spelling in path.read_bytes() for spelling in spellings)]


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
