"""`published.json`, the record of what is published: each file's digest, and the snapshot that it was made from.

Whichever asset publishes a file writes its entry, under the lock and after the file is in its place. So a file with
another digest than its entry has comes from an interrupted publish, or was changed by hand; the next refresh replaces
it. What belongs elsewhere: the files themselves (`assets/`), and which of them must belong together
(`assets/published_together.py`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callviz_dagster.concurrency import parallel_map
from callviz_dagster.storage.files import PublishedFile, stat_and_hash, write_text

CALLS_CSV = "calls.csv"
"""Name of the file that all others are to belong to."""
RECORD = "published.json"
"""Name of the record in the publish folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever the record's JSON changes its meaning; a record of another version counts as none."""

_CLOCK_TICK_NS = 100_000_000
"""More than the time between two changes of a file that can leave it the same modification time."""
_published: dict[Path, tuple[tuple[int, ...], str]] = {}
"""The files that this process has published: the state of each, and its digest."""

ClusterTime = list[int] | None
"""MongoDB's cluster time (seconds, number); None where the server has none."""


@dataclass(frozen=True)
class Snapshot:
    """The instant at which the documents were read."""

    cluster_time: ClusterTime = None
    time: str = ""
    """The same instant by the clock, ISO 8601, UTC."""
    source: str = ""
    """The collection, as `calls on db.example.net` describes it."""
    documents: int = 0
    """Documents of the whole collection."""

    @property
    def text(self) -> str:
        """The instant as text, with the cluster time where there is one; empty where it is unknown."""
        if not self.cluster_time:
            return self.time
        return f"{self.time}, cluster time {'.'.join(map(str, self.cluster_time))}"


@dataclass(frozen=True)
class InputFile:
    """A file that another one was made from."""

    sha256: str
    cluster_time: ClusterTime = None
    span: str = ""
    """The documents that its partition takes, see `Partition.span`; empty for the whole collection."""
    time: str = ""
    """Of `calls`: when its documents were read, ISO 8601, UTC; empty where the record does not say."""


@dataclass(frozen=True)
class RowsHeld:
    """Which calls a file with rows holds."""

    calls_since: str = ""
    """First day, ISO 8601; empty for all calls."""
    older_calls: int = 0
    """Calls of days before it, whose rows are not in the file."""


@dataclass(frozen=True)
class FileEntry:
    """A published file. With partitions, its snapshot is that of the latest partition."""

    sha256: str
    bytes: int
    cluster_time: ClusterTime
    time: str
    documents: int
    """Documents of the whole collection at that time, in the partitions and outside."""
    made_from: Mapping[str, InputFile]
    """By name: relative to the data folder (`calls/all.parquet`), or a published file (`calls.csv`)."""
    calls_since: str | None = None
    """First day of the calls whose rows it holds, ISO 8601; empty for all calls, None for a file without rows."""
    older_calls: int = 0
    """Calls of `made_from` that it does not hold, because they are of days before `calls_since`."""


@dataclass(frozen=True)
class PublishedRecord:
    """What `published.json` holds."""

    snapshot: Snapshot = Snapshot()
    """The latest snapshot that any of the files was made from."""
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps({"format_version": FORMAT_VERSION} | vars(self), default=vars) + "\n"

    @classmethod
    def from_json(cls, text: str) -> PublishedRecord:
        """Return the record that `to_json` wrote; an empty one where it is of another version or cannot be read."""
        try:
            data = json.loads(text)
            if data["format_version"] != FORMAT_VERSION:
                return cls()
            return cls.from_parts(data["snapshot"], data["files"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    @classmethod
    def from_parts(cls, snapshot: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> PublishedRecord:
        """Return the record with this snapshot and these files, both as JSON has them."""
        return cls(Snapshot(**snapshot), {name: _entry(entry) for name, entry in files.items()})

    def inputs(self, name: str) -> Mapping[str, InputFile]:
        """Return what a file was made from; nothing where it is not in the record."""
        return self.files[name].made_from if name in self.files else {}

    def with_file(
        self, file: PublishedFile, made_from: Mapping[str, InputFile], snapshot: Snapshot, held: RowsHeld | None = None
    ) -> PublishedRecord:
        """Return the record with a new entry for a file; `held` where it has the rows of calls."""
        entry = FileEntry(
            file.sha256,
            file.bytes,
            snapshot.cluster_time,
            snapshot.time,
            snapshot.documents,
            dict(made_from),
            **(vars(held) if held else {}),
        )
        latest = max(self.snapshot, snapshot, key=lambda one: one.time)
        return PublishedRecord(latest, {**self.files, file.path.name: entry})

    def sources(self, name: str) -> set[tuple[str, str]]:
        """Return the `calls` files that a file goes back to, as names and digests.

        A published file that has been replaced since another one was made from it stands for its own sources.
        """
        calls_files: set[tuple[str, str]] = set()
        for source, input_file in self.inputs(name).items():
            if source in self.files and self.files[source].sha256 == input_file.sha256:
                calls_files |= self.sources(source)
            else:
                calls_files.add((source, input_file.sha256))
        return calls_files

    def held(self, name: str) -> RowsHeld:
        """Return which calls a file with rows holds; all where the record does not say."""
        entry = self.files.get(name)
        return RowsHeld(entry.calls_since or "", entry.older_calls) if entry else RowsHeld()

    def same_calls(self, name: str) -> bool:
        """Return whether a file was made from the same `calls` as `calls.csv`, and its rows are those of the same."""
        if not {name, CALLS_CSV} <= self.files.keys() or self.sources(name) != self.sources(CALLS_CSV):
            return False
        since, csv_since = self.files[name].calls_since, self.files[CALLS_CSV].calls_since
        return since is None or csv_since is None or since == csv_since

    def differing(self) -> list[str]:
        """Return the files that were made from other `calls` than `calls.csv`; none where that one is not there."""
        return [name for name in self.files if CALLS_CSV in self.files and not self.same_calls(name)]


def _entry(data: Mapping[str, Any]) -> FileEntry:
    made_from = {name: InputFile(**fields) for name, fields in data["made_from"].items()}
    return FileEntry(**{**data, "made_from": made_from})


def left_out(held: RowsHeld) -> str:
    """Return as a sentence which calls a limit leaves out of the files that hold rows."""
    number = "1 older call is" if held.older_calls == 1 else f"{held.older_calls:,} older calls are"
    return (
        f"calls.csv, the workbook and the extract hold the calls since {held.calls_since} (CALLVIZ_CSV_MONTHS); "
        f"{number} on the page and in the Parquet files."
    )


def cluster_time(text: str) -> ClusterTime:
    """Return the cluster time in a manifest's text `Timestamp(1717245296, 3)`; None where it has none."""
    numbers = re.findall(r"\d+", text)
    return [int(number) for number in numbers] if len(numbers) == 2 else None


def read_record(publish_dir: Path) -> PublishedRecord:
    """Return what is published; an empty record where there is no file, or no readable one."""
    path = publish_dir / RECORD
    try:
        status = path.stat()
        return _record(path.absolute(), status.st_size, status.st_mtime_ns, status.st_ino)
    except (OSError, UnicodeDecodeError):
        return PublishedRecord()


@functools.lru_cache(maxsize=4)
def _record(path: Path, *_state: int) -> PublishedRecord:
    """Return what `read_record` does; each step of a refresh reads the record several times, with all partitions."""
    return PublishedRecord.from_json(path.read_text(encoding="utf-8"))


def record_file(
    file: PublishedFile, made_from: Mapping[str, InputFile], snapshot: Snapshot, held: RowsHeld | None = None
) -> PublishedRecord:
    """Write a file that has just been published into the record beside it; return the record.

    `held` says which calls it has the rows of; None where it has no rows.

    To be called under the lock. Files that are no longer there are left out of the record.

    Raises:
        FileError: the record cannot be written.
    """
    folder = file.path.parent
    record = read_record(folder).with_file(file, made_from, snapshot, held)
    files = {name: entry for name, entry in record.files.items() if (folder / name).exists()}
    record = dataclasses.replace(record, files=files)
    write_text(folder / RECORD, record.to_json())
    _remember(file)
    return record


def _remember(file: PublishedFile) -> None:
    """Keep the digest of a file with its state, unless it could be changed right after this without changing that."""
    state = _state(file.path)
    if time.time_ns() - state[-1] > _CLOCK_TICK_NS:
        _published[file.path] = state, file.sha256


def _state(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def changed_files(publish_dir: Path, record: PublishedRecord) -> list[str]:
    """Return the files that are not there, or that have another digest than the record says.

    A file that this process has published is read again only where its size, time or inode has changed.
    """

    def is_changed(name: str) -> bool:
        path, sha256 = (publish_dir / name).absolute(), record.files[name].sha256
        if not path.is_file():
            return True
        return _published.get(path) != (_state(path), sha256) and stat_and_hash(path).sha256 != sha256

    return [*itertools.compress(record.files, parallel_map(is_changed, record.files))]
