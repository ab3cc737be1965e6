"""Where the demo's calls come from: the user's own collection where one is set, else an embedded MongoDB.

Nothing is ever written to the user's own collection. What belongs elsewhere: what is done with the calls
(`commands.py`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callviz_dagster.concurrency import running_thread
from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.local.instance import own_dagster_home
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import require_writable


@dataclass(frozen=True)
class Source:
    """Where the calls are read from, and the environment with which Dagster reads them."""

    settings: Settings
    environment: Mapping[str, str]
    embedded: bool


def say(line: str) -> None:
    """Print a line at once, also where the output is a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def opened_source(documents: int) -> Iterator[Source]:
    """Give the user's own collection where one is set, else an embedded MongoDB with this many sample calls.

    Raises:
        SettingsError: a setting is not allowed.
        FileError: a folder cannot be written to.
        MongodError: the embedded MongoDB does not start.
    """
    from dotenv import dotenv_values

    # The sample calls' opening hours are those of Berlin, and `make dev` shows the sensor at work; another time zone
    # or a sensor turned off in the user's own settings wins.
    defaults = {"CALLVIZ_TIMEZONE": "Europe/Berlin", "CALLVIZ_WATCH": "true"}
    stored = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    own = Settings.load({**stored, **os.environ})
    require_writable(own.data_dir)
    home = own_dagster_home()
    environment = {**os.environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "ignore"}
    if own.mongo_uri:
        say(f"CALLVIZ_MONGO_URI is set: reading {own.database}.{own.mongo_collection} there, and no sample calls.")
        yield Source(own, environment, embedded=False)
        return

    settings = Settings.load({**defaults, **stored, **os.environ})
    began = time.monotonic()
    with running_mongod(settings.data_dir / "mongodb") as server:
        say(f"MongoDB started on {server.address} ({time.monotonic() - began:.1f} s)")
        _seed(server.uri, settings, documents)
        close_dead_runs(home)
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
            say(f"{inserted:,} sample calls inserted into {collection.full_name} ({time.monotonic() - began:.1f} s)")
        else:
            say(f"{collection.estimated_document_count():,} sample calls are in {collection.full_name} already")


@contextlib.contextmanager
def sample_calls_coming_in(source: Source, per_second: float) -> Iterator[None]:
    """Keep inserting sample calls in a thread; a user's own collection is left alone."""
    if not source.embedded or per_second <= 0:
        yield
        return
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    from callviz_dagster.demo.sample_calls import trickle

    def insert(stop: threading.Event) -> None:
        with MongoClient[dict[str, Any]](source.environment["CALLVIZ_MONGO_URI"]) as client:
            collection = client[source.settings.database][source.settings.mongo_collection]
            try:
                trickle(collection, per_second=per_second, stop=stop)
            except PyMongoError as error:
                say(f"No more calls come in, because MongoDB has gone: {str(error).split(' (configured')[0]}")

    with running_thread(insert, "trickle"):
        yield


def close_dead_runs(home: Path) -> None:
    """Mark runs that still look alive as failed: whoever holds the embedded MongoDB is alone in this instance."""
    if not (home / "history").exists():
        return
    import dagster as dg

    alive = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for record in instance.get_run_records(dg.RunsFilter(statuses=list(alive))):
            instance.report_run_failed(record.dagster_run, "The process of this run was ended from outside.")
