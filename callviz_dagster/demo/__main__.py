"""The commands behind `make demo` and `make dev`: `python -m callviz_dagster.demo refresh | serve`.

Starts the embedded MongoDB, fills it with sample calls and runs Dagster on them; where CALLVIZ_MONGO_URI is set, runs
Dagster on the user's own collection instead, and writes nothing to it. What belongs elsewhere: what a refresh does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callviz_dagster.demo.child import Child
from callviz_dagster.demo.mongod import HOST, MongodError, running_mongod
from callviz_dagster.settings import Settings, SettingsError

DAGSTER_HOME = Path(".dagster_home")
PUBLISHED = ("calls.csv", "callviz.twbx", "call_dashboard.html")
_ADVICE = {
    "callviz.twbx": "open it in Tableau Desktop or the free Tableau Public",
    "call_dashboard.html": "open it in a browser: the same charts, without Tableau",
}
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_STEP_DONE = re.compile(r'STEP_SUCCESS - Finished execution of step "(\w+)" in (\S+?)\.?$')
_PROGRESS = re.compile(r"([\w ]+: [\d,]+ of about [\d,]+ documents, .* left)$")
_CHECK_FAILED = re.compile(r"Asset check '(\w+)' on '[^']+' did not pass\.(?: Description: '(.*?)'?)?$")
_FAILURE = re.compile(r"^(?:[\w.]+\.Failure|[\w.]+Error): (.+)$")
_TAIL_LINES = 30


class DemoError(RuntimeError):
    """The command cannot go on. The message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """Where the calls are read from, and the environment that tells Dagster so."""

    settings: Settings
    environment: Mapping[str, str]
    embedded: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m callviz_dagster.demo", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    refresh_parser = commands.add_parser("refresh", help="materialize every asset once and say what was made")
    serve_parser = commands.add_parser("serve", help="run the Dagster UI until Ctrl-C")
    for command in (refresh_parser, serve_parser):
        command.add_argument("--documents", type=int, default=50_000, help="how many sample calls (default: 50000)")
    serve_parser.add_argument("--port", type=int, default=3000, help="port of the UI (default: 3000)")
    serve_parser.add_argument("--per-second", type=float, default=0.2, help="new sample calls a second (default: 0.2)")
    given = parser.parse_args(arguments)

    # `kill` and a closed terminal end the command as Ctrl-C does: through every `finally`. Ctrl-C itself is set too,
    # for a script's background job ignores it, and so would every process that it starts.
    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, _interrupt)
    try:
        if given.documents < 0:
            raise DemoError("--documents takes a whole number from 0.")
        if given.command == "refresh":
            refresh(given.documents)
        else:
            serve(given.documents, given.port, given.per_second)
    except (DemoError, MongodError, SettingsError) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    except KeyboardInterrupt:
        _say("\nStopped.")
        return 0 if given.command == "serve" else 130
    return 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def refresh(documents: int) -> None:
    """Materialize every asset through Dagster's command line and print what was made.

    Raises:
        DemoError: the refresh failed.
    """
    began = time.time()
    with _source(documents) as source:
        _say("Refreshing every asset through Dagster ...")
        log = source.settings.data_dir / "refresh.log"
        command = [sys.executable, "-m", "dagster", "asset", "materialize"]
        code = _run([*command, "-m", "callviz_dagster.definitions", "--select", "*"], source.environment, log)
    if code != 0:
        raise DemoError(_what_failed(log, code))
    _say(summary(source.settings, began, time.time() - began))


def serve(documents: int, port: int, per_second: float) -> None:
    """Run the Dagster UI, and on sample calls keep them coming, until the command is interrupted.

    Raises:
        DemoError: the port is taken, or Dagster ended by itself.
    """
    if _listens(port):
        raise DemoError(
            f"Port {port} is taken: stop what listens on {HOST}:{port}, or take another port, for example "
            f"with `make dev PORT={port + 1}`."
        )
    with _source(documents) as source, _trickling(source, per_second):
        log = source.settings.data_dir / "dagster.log"
        with log.open("wb") as output:
            child = Child(
                [sys.executable, "-m", "dagster", "dev", "-h", HOST, "-p", str(port)],
                env=source.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _say("Starting Dagster, which takes about 15 seconds ...")
            while child.process.poll() is None and not _answers(port):
                time.sleep(0.2)
            if child.process.poll() is None:
                _say(f"\nThe Dagster UI is at http://{HOST}:{port} and its log in {log}.")
                if source.embedded:
                    _say(f"The sample calls are in {source.environment['CALLVIZ_MONGO_URI']}")
                _say("Ctrl-C stops everything.")
            child.process.wait()
            raise DemoError(f"Dagster ended by itself; its log, {log}, ends with:\n{_tail(log)}")
        finally:
            child.end(timeout=15)


def summary(settings: Settings, began: float, seconds: float) -> str:
    """Say what the refresh that began at `began` (seconds since 1970) made of which documents, and what to do next."""
    files = _published_files(settings, began)
    width = max((len(str(path)) for path in files), default=0)
    sizes = [f"  {path!s:<{width}}  {_size(path.stat().st_size):>8}" for path in files]
    steps = [(str(path), advice) for path in files if (advice := _ADVICE.get(path.name))]
    steps.append(("make dev", "the Dagster UI, with calls coming in"))
    width = max(len(step) for step, _ in steps)
    advised = [f"  {step:<{width}}  {advice}" for step, advice in steps]
    done = f"Done in {seconds:.1f} seconds. Next:"
    return "\n".join(["", *_counts(settings.data_dir), "", *sizes, "", done, *advised])


def _counts(data_dir: Path) -> list[str]:
    """Return lines with the numbers of documents, calls and, by reason, rejected documents."""
    from callviz_dagster.table.manifest import read_footer
    from callviz_dagster.table.tally import PROBLEMS

    parts = [part for path in sorted((data_dir / "calls").glob("*.parquet")) if (part := read_footer(path))]
    documents, calls, rejected, repaired = (
        sum(getattr(part, name) for part in parts) for name in ("documents", "calls", "rejected", "repaired_rows")
    )
    snapshot_time = max((part.snapshot_time for part in parts), default="")[:19].replace("T", " ")
    width = len(f"{documents:,}")
    lines = [f"  {documents:>{width},} document{_plural(documents)} read, as of {snapshot_time} UTC"]
    lines += [f"  {calls:>{width},} call{_plural(calls)}" + (f", {repaired:,} with a repair" if repaired else "")]
    lines += [f"  {rejected:>{width},} rejected" + (":" if rejected else "")]
    reasons = Counter[str]()
    for part in parts:
        reasons.update(part.rejected_reasons)
    for code, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        lines += [f"  {'':>{width}}   {count:,} {code}: {PROBLEMS.get(code, '')}"]
    return lines


def _published_files(settings: Settings, began: float) -> list[Path]:
    """Return the files that a refresh has made since `began`."""
    files = [*(settings.publish_dir / name for name in PUBLISHED), *_data_files(settings.data_dir)]
    return [path for path in files if path.is_file() and path.stat().st_mtime >= began - 1]


def _data_files(data_dir: Path) -> list[Path]:
    folders = ("raw_calls", "calls", "rejected_calls")
    return [path for folder in folders for path in sorted((data_dir / folder).glob("*.*")) if path.suffix != ".json"]


def _plural(number: int) -> str:
    return "" if number == 1 else "s"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


@contextlib.contextmanager
def _source(documents: int) -> Iterator[Source]:
    """Give the user's own collection where one is set, else an embedded MongoDB with so many sample calls."""
    from dotenv import dotenv_values

    # The sample calls' opening hours are those of Berlin, and `make dev` shows the sensor alive; whoever sets another
    # time zone or turns the sensor off gets theirs.
    defaults = {"CALLVIZ_TIMEZONE": "Europe/Berlin", "CALLVIZ_WATCH": "true"}
    stored = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    own = Settings.load({**stored, **os.environ})
    home = _dagster_home()
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"}
    own.data_dir.mkdir(parents=True, exist_ok=True)
    if own.mongo_uri:
        _say(f"CALLVIZ_MONGO_URI is set: reading {own.database}.{own.mongo_collection} there, and no sample calls.")
        yield Source(own, environment, embedded=False)
        return

    settings = Settings.load({**defaults, **stored, **os.environ})
    began = time.monotonic()
    with running_mongod(settings.data_dir / "mongodb") as server:
        _say(f"MongoDB started on {server.address} ({time.monotonic() - began:.1f} s)")
        _seed(server.uri, settings, documents)
        _close_dead_runs(home)
        changes = {"CALLVIZ_MONGO_URI": server.uri}
        yield Source(settings, {**defaults, **stored, **environment, **changes}, embedded=True)


def _seed(uri: str, settings: Settings, documents: int) -> None:
    from pymongo import MongoClient

    from callviz_dagster.demo.sample_calls import seed_collection

    began = time.monotonic()
    with MongoClient[dict[str, Any]](uri) as client:
        collection = client[settings.database][settings.mongo_collection]
        inserted = seed_collection(collection, documents)
        if inserted:
            _say(f"{inserted:,} sample calls inserted into {collection.full_name} ({time.monotonic() - began:.1f} s)")
        else:
            _say(f"{collection.estimated_document_count():,} sample calls are in {collection.full_name} already")


@contextlib.contextmanager
def _trickling(source: Source, per_second: float) -> Iterator[None]:
    """Keep the sample calls coming, in a thread; a user's own collection is left alone."""
    if not source.embedded or per_second <= 0:
        yield
        return
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    from callviz_dagster.demo.sample_calls import trickle

    stop = threading.Event()

    def work() -> None:
        with MongoClient[dict[str, Any]](source.environment["CALLVIZ_MONGO_URI"]) as client:
            collection = client[source.settings.database][source.settings.mongo_collection]
            try:
                trickle(collection, per_second=per_second, stop=stop)
            except PyMongoError as error:
                _say(f"No more calls come in, for MongoDB has gone: {str(error).split(' (configured')[0]}")

    thread = threading.Thread(target=work, name="trickle")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _dagster_home() -> Path:
    """Return the Dagster instance of the project, with its configuration up to date."""
    home = DAGSTER_HOME.absolute()
    home.mkdir(exist_ok=True)
    wanted = Path(__file__).with_name("dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(wanted, encoding="utf-8")
    return home


def _close_dead_runs(home: Path) -> None:
    """Mark runs that still look alive as failed: whoever holds the embedded MongoDB is alone in this instance."""
    if not (home / "history").exists():
        return
    import dagster as dg

    alive = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for record in instance.get_run_records(dg.RunsFilter(statuses=list(alive))):
            instance.report_run_failed(record.dagster_run, "The process of this run was ended from outside.")


def _run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    """Run a command of Dagster's with its output in `log`, say how it goes, and return its exit code."""
    with log.open("w", encoding="utf-8") as file:
        child = Child(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            for line in child.process.stdout or ():
                plain = _COLORS.sub("", line.rstrip())
                file.write(plain + "\n")
                if match := _STEP_DONE.search(plain):
                    _say(f"  {match[1]} ({match[2]})")
                elif match := _CHECK_FAILED.search(plain):
                    _say(f"    ! {match[1]}: {match[2] or 'did not pass'}")
                elif match := _PROGRESS.search(plain):
                    _say(f"    {match[1].strip()}")
            return child.process.wait()
        finally:
            child.end()


def _what_failed(log: Path, code: int) -> str:
    lines = log.read_text(encoding="utf-8").splitlines()
    causes = [match[1] for line in lines if (match := _FAILURE.match(line.strip()))]
    return (
        f"{causes[-1] if causes else _tail(log)}\n\n"
        f"The refresh failed (exit code {code}). No published file is incomplete: each is a new one or the last good "
        f"one. Dagster's whole output is in {log}."
    )


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  | {_COLORS.sub('', line)}" for line in lines[-_TAIL_LINES:])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _answers(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://{HOST}:{port}/server_info", timeout=5) as answer,
    ):
        return bool(answer.status == 200)
    return False


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
