"""What a worker of a Dask cluster does: tasks, with their log lines passed on to the driver.

A worker takes secrets from its own environment: a task carries neither the connection string nor the key of
pseudonyms. What belongs elsewhere: which tasks there are (`fan_out.py`), and what a task does (`archive.py`,
`normalize.py`, `calls_csv/encode.py`).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bson.timestamp import Timestamp

from callviz_dagster.engine.archive import Archived, archive_partition
from callviz_dagster.engine.data_folder import DataFolder
from callviz_dagster.engine.normalize import MayPublish, NormalizedPartition, TableFacts, normalize_partition
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.partitions import Partition
from callviz_dagster.progress import Progress
from callviz_dagster.settings import MissingSettingError, Settings, SettingsError
from callviz_dagster.storage.bucket import StoredFile
from callviz_dagster.storage.files import open_for_writing, staged

if TYPE_CHECKING:
    from callviz_dagster.calls_csv.encode import CsvFormat, EncodedPart
    from callviz_dagster.documents.values import Secrets
    from callviz_dagster.table.write import Tables

PARTS = "calls_csv_parts"
"""Folder of the data folder in which workers leave lines of `calls.csv`."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Made(Generic[R]):
    """The result of a task, and the objects that it has uploaded, by the names of their files."""

    result: R
    stored: Mapping[str, StoredFile]


@dataclass(frozen=True)
class Done(Generic[R]):
    """The result of a task, and the worker that it is from."""

    worker: str
    result: R


@dataclass(frozen=True)
class TaskContext:
    """What a task is given beside its own values."""

    log: logging.Logger
    require_wanted: Callable[[], None]
    """Raises a CancelledError once the driver has given the task up; to be called before a file is swapped in."""
    scratch: Path
    """A folder of this worker alone, which holds its part of data folders in buckets."""


def run_task(work: Callable[[T, TaskContext], R], task: T, topic: str) -> Done[R]:
    """Do a task on this worker; its log lines become events of a topic, which the driver reads.

    Raises:
        CancelledError: the driver does not want the result any more.
        MissingSettingError: this worker's environment lacks a setting; the message says which worker.
    """
    from distributed import get_worker

    worker = get_worker()
    key, name = worker.get_current_task(), str(worker.name)

    def require_wanted() -> None:
        # Dask does not end a thread: a task that was cancelled, or whose driver is gone, has to look itself.
        state = worker.state.tasks.get(key)
        if state is None or state.state == "cancelled":
            raise CancelledError

    scratch = Path(worker.local_directory) / "callviz"
    log = logging.Logger(topic, logging.INFO)
    log.addHandler(_ToDriver(worker, topic, name, require_wanted))
    try:
        return Done(name, work(task, TaskContext(log, require_wanted, scratch)))
    except MissingSettingError as error:
        named = MissingSettingError(f"Worker {name} at {worker.address}: {error}")
        named.add_note(f"worker {name}")
        raise named from None
    except Exception as error:
        error.add_note(f"worker {name}")
        raise


class _ToDriver(logging.Handler):
    """Passes log lines on to the driver, and ends the task at the next line once the driver has given it up."""

    def __init__(self, worker: Any, topic: str, name: str, require_wanted: Callable[[], None]) -> None:
        super().__init__()
        self._worker, self._topic, self._name, self._require_wanted = worker, topic, name, require_wanted

    def emit(self, record: logging.LogRecord) -> None:
        self._require_wanted()
        line = {"name": self._name, "level": record.levelno, "line": record.getMessage()}
        self._worker.log_event(self._topic, line)


@dataclass(frozen=True)
class ArchiveTask:
    """Read a partition at an instant."""

    partition: Partition
    data: DataFolder
    database: str
    collection: str
    identity: str
    """Of the collection that the driver has seen, see `Server.identity`."""
    at: Timestamp | None
    secrets: KeylessSecrets


def archive(task: ArchiveTask, context: TaskContext) -> Made[Archived]:
    """Read a partition into its archive, with the connection string of this worker's environment.

    Raises:
        MongoError: the collection cannot be read, or is not the driver's.
        MissingSettingError: the worker has no connection string, or no key of pseudonyms where one is needed.
        SettingsError: the worker's settings are not the driver's.
    """
    own = Settings.load()
    _require_own("CALLVIZ_MONGO_URI", own.mongo_uri)
    settings = dataclasses.replace(own, mongo_database=task.database, mongo_collection=task.collection)
    secrets = task.secrets.with_own_key()
    with MongoDB(settings).snapshot_session(context.log, task.at) as session:
        if session.server.identity != task.identity:
            raise MongoError(
                f"The worker reads another collection than the driver: {session.source}. Give CALLVIZ_MONGO_URI the "
                "same server on all machines."
            )
        folder = task.data.on_worker(context.scratch)
        archived = archive_partition(
            session, task.partition, folder, context.log, lambda _: context.require_wanted(), secrets
        )
    return Made(archived, task.data.upload(folder, task.partition.archive(folder)))


@dataclass(frozen=True)
class NormalizeTask:
    """Normalize a partition's archive as the tables that all partitions share."""

    partition: Partition
    data: DataFolder
    tables: Tables
    """Without the key of pseudonyms."""
    secrets: KeylessSecrets
    may_publish: MayPublish
    keep_raw: bool


def normalize(task: NormalizeTask, context: TaskContext) -> Made[NormalizedPartition]:
    """Normalize a partition, see `normalize_partition`."""
    tables = with_secrets(task.tables, task.secrets.with_own_key())
    folder = task.data.on_worker(context.scratch)

    def may_publish(facts: TableFacts, tables: Tables) -> bool:
        context.require_wanted()
        return task.may_publish(facts, tables)

    normalized = normalize_partition(task.partition, folder, tables, may_publish, context.log, keep_raw=task.keep_raw)
    made = [task.partition.rejected_calls(folder)]
    made += [task.partition.calls(folder)] if normalized.calls else []
    return Made(normalized, task.data.upload(folder, *made))


@dataclass(frozen=True)
class CsvTask:
    """Encode the lines of a partition into a file of their own."""

    name: str
    """Stem of the partition's files."""
    data: DataFolder
    source: str
    """What the part is known by, see `Part.source`."""
    form: CsvFormat
    rows_before: int


def part_of(name: str, folder: Path) -> Path:
    """Return where the lines of a partition are left."""
    return folder / PARTS / f"{name}.csv"


def encode(task: CsvTask, context: TaskContext) -> Made[EncodedPart]:
    """Write the lines of a partition, see `encode_part`."""
    from callviz_dagster.calls_csv.encode import EncodedPart, encode_part
    from callviz_dagster.table.manifest import read_footer

    folder = task.data.on_worker(context.scratch)
    calls, path = folder / "calls" / f"{task.name}.parquet", part_of(task.name, folder)
    footer = read_footer(calls)
    progress = Progress(context.log, "Writing calls.csv", footer.calls if footer else 0)
    with staged(path, private=True) as temporary, open_for_writing(temporary) as file:
        part, differences = encode_part(
            calls, task.source, task.form, file, progress, start=0, rows_before=task.rows_before
        )
        context.require_wanted()
    stored = task.data.upload(folder, path)
    if stored:
        path.unlink()
    return Made(EncodedPart(path, part, differences), stored)


@dataclass(frozen=True)
class KeylessSecrets:
    """The fields that are hidden, and a token by which a worker knows whether its key of pseudonyms is the driver's."""

    secrets: Secrets
    token: str

    @classmethod
    def of(cls, secrets: Secrets) -> KeylessSecrets:
        """Return them without the key."""
        return cls(dataclasses.replace(secrets, key=b""), _token(secrets))

    def with_own_key(self) -> Secrets:
        """Return them with the key of this process's environment.

        Raises:
            MissingSettingError: it has no key.
            SettingsError: it has another key than the driver.
        """
        if not self.secrets.pseudonymized:
            return self.secrets
        key = _require_own("CALLVIZ_PSEUDONYM_KEY", Settings.load().pseudonym_key)
        secrets = dataclasses.replace(self.secrets, key=key.encode())
        if _token(secrets) != self.token:
            raise SettingsError("CALLVIZ_PSEUDONYM_KEY of the worker is not that of the driver: give both the same.")
        return secrets


def _require_own(name: str, value: str | None) -> str:
    """Return the value of a setting that a worker has from its own environment.

    Raises:
        MissingSettingError: it is not set there.
    """
    if not value:
        raise MissingSettingError(f"{name} is not set in its environment: set it there and restart the worker.")
    return value


def _token(secrets: Secrets) -> str:
    return secrets.token("callviz") if secrets.pseudonymized else ""


def with_secrets(tables: Tables, secrets: Secrets) -> Tables:
    """Return tables whose plan has other secrets."""
    options = dataclasses.replace(tables.plan.options, secrets=secrets)
    return dataclasses.replace(tables, plan=dataclasses.replace(tables.plan, options=options))


def sees(path: Path, content: str) -> bool:
    """Return whether this worker reads what the driver has written."""
    try:
        return path.read_text(encoding="utf-8") == content
    except OSError:
        return False
