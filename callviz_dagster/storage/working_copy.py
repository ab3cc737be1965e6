"""The working copy of a folder in a bucket: what a step needs is downloaded, what it has changed is uploaded.

The bucket's record, `files.json` for the data folder, names the object that holds each file. A step reads it under the
lease, works on local files as it does without a bucket, uploads what has changed as new objects and swaps the record
from the version that it has read. A process that dies before the swap leaves objects that no record names, and the
next one starts from the record. What belongs elsewhere: requests (`bucket.py`), the record of the publish folder, which
readers follow (`bucket_publication.py`), who works when (`refreshing.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from callviz_dagster.concurrency import parallel_map
from callviz_dagster.storage.bucket import Bucket, BucketError, ListedObject, StoredFile, Version, is_object_name
from callviz_dagster.storage.file_index import FileIndex
from callviz_dagster.storage.range_copy import RangeCopyError, upload_shared
from callviz_dagster.storage.shared_ranges import SharedRange

RECORD = "files.json"
"""Name of the record of the data folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever a record's JSON changes its meaning."""
KEPT = dt.timedelta(days=2)
"""How long an object stays that no record names any more. A reader that has read the record before it was swapped
finishes within that (a query over all Parquet files, a refresh of an extract), and so does a step that uploads."""
_PRIVATE = ("raw_calls/", "rejected_calls/")
"""Whole documents, which no reader follows: replaced objects are deleted at once."""
_DATA_FILES = ("raw_calls/[!.]*", "calls/[!.]*", "rejected_calls/[!.]*", "calls_csv.json", "refused_drop.json")
"""What of the data folder is in the bucket. Locks and the files of runs belong to a machine."""
_OWN_OBJECT = re.compile(r"((raw_calls|rejected_calls|calls_csv_parts)/)?[^/]+|calls/[^/]+\.parquet")
"""Names of objects that a data or a publish folder may have. A folder below may be that of another collection."""
_TRANSFERS = 3
"""Files that are carried at a time."""

Needs = Callable[[str], bool]
"""Whether a step reads the file of this name."""


def is_private(name: str) -> bool:
    """Return whether a file of the data folder holds whole documents."""
    return name.startswith(_PRIVATE)


def nothing(_: str) -> bool:
    """Need no file."""
    return False


@dataclass(frozen=True)
class ObjectsRecord:
    """What a record says of objects: which files they hold, and which were replaced when."""

    files: Mapping[str, StoredFile] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Objects that were named before, and since when they are not; ISO 8601, UTC."""

    def to_json(self, lease: int) -> dict[str, Any]:
        """Return it as a part of a record, written under a lease with this number."""
        files = {name: asdict(stored) for name, stored in sorted(self.files.items())}
        return {"files": files, "replaced": dict(self.replaced), "lease": lease, "write": secrets.token_hex(8)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ObjectsRecord:
        """Return what `to_json` made; the keys of others are passed over."""
        keys = [each.name for each in dataclasses.fields(StoredFile)]
        files = {name: StoredFile(*(entry[key] for key in keys)) for name, entry in data["files"].items()}
        return cls(files, dict(data["replaced"]))

    def followed_by(self, files: Mapping[str, StoredFile], now: dt.datetime) -> Self:
        """Return the record with other files; what is no longer named counts as replaced, for `KEPT`."""
        named = {stored.object for stored in files.values()}
        replaced = {name: since for name, since in self.replaced.items() if name not in named and not _due(since, now)}
        for name, stored in self.files.items():
            if stored.object not in named and not is_private(name):
                replaced[stored.object] = now.isoformat(timespec="seconds")
        return dataclasses.replace(self, files=files, replaced=replaced)

    @property
    def objects(self) -> set[str]:
        """Every object that stays."""
        return {stored.object for stored in self.files.values()} | self.replaced.keys()


def _due(since: str, now: dt.datetime) -> bool:
    return now - dt.datetime.fromisoformat(since) > KEPT


class WorkingCopy:
    """The working copy of the data folder. To be used under the lock of the local folder.

    `read`, in a step `find_missing`, then `pull`; after the work `push`.
    """

    record_name = RECORD

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self.bucket = bucket
        self.folder = folder
        self.record = ObjectsRecord()
        self._version: Version | None = None
        self._index = FileIndex(folder)
        self._missing_objects: frozenset[str] = frozenset()
        self._not_here: set[str] = set()
        self._uploaded: dict[str, StoredFile] = {}
        self._shared: dict[str, Sequence[SharedRange]] = {}

    def read(self) -> None:
        """Read the record.

        Raises:
            BucketError: the store cannot be read, or the record is of another version of callviz.
        """
        stored = self.bucket.read(self.record_name)
        self._version = stored[1] if stored else None
        self.record = self._parsed(stored[0]) if stored else self._empty()

    def _empty(self) -> ObjectsRecord:
        return ObjectsRecord()

    def _parsed(self, content: bytes) -> ObjectsRecord:
        try:
            data = json.loads(content)
            if data["format_version"] == FORMAT_VERSION:
                return self._of_json(data)
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise BucketError(
            errno.EINVAL,
            f"{self.bucket.uri_of(self.record_name)} is damaged, or was written by another version of callviz: restore "
            "it, choose another folder with CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR, or delete it and refresh "
            "everything.",
        )

    def _of_json(self, data: Mapping[str, Any]) -> ObjectsRecord:
        return ObjectsRecord.from_json(data)

    def find_missing(self) -> list[str]:
        """Return the names of files whose objects are gone or have another size.

        From then on each counts as a file that is not there: a local one is uploaded again, otherwise the record no
        longer names it.

        Raises:
            BucketError: the store cannot be read.
        """
        files = self.record.files
        sizes = {each.name: each.bytes for each in self.bucket.objects()} if files else {}
        unlisted = [name for name, stored in files.items() if sizes.get(stored.object) != stored.bytes]
        there = parallel_map(lambda name: self.bucket.has(files[name]), unlisted, _TRANSFERS)
        names = [name for name, found in zip(unlisted, there, strict=True) if not found]
        self._missing_objects = frozenset(files[name].object for name in names)
        return names

    def present(self, files: Mapping[str, StoredFile]) -> dict[str, StoredFile]:
        """Return those of these files whose objects are there, as far as `find_missing` knows."""
        return {name: stored for name, stored in files.items() if stored.object not in self._missing_objects}

    def swap(self, record: ObjectsRecord, lease: int) -> None:
        """Swap the record from the version that was read.

        Raises:
            ChangedError: another process has written it since.
            BucketError: the store cannot be written to.
        """
        content = json.dumps({"format_version": FORMAT_VERSION} | record.to_json(lease), indent=1).encode()
        self._version = self.bucket.write(self.record_name, content, self._version)
        self.record = record

    def fence(self, lease: int) -> None:
        """Write the record as it is, so that a holder of an older lease can no longer swap it."""
        if self._version:
            self.swap(self.record, lease)

    def wanted(self) -> Mapping[str, StoredFile]:
        """Return the files that a step works on."""
        return self.record.files

    def local_names(self) -> Iterator[str]:
        """Yield the names of the local files that belong to the working copy."""
        for pattern in _DATA_FILES:
            for path in sorted(self.folder.glob(pattern)):
                if path.is_file():
                    yield path.relative_to(self.folder).as_posix()

    def pull(self, needs: Needs) -> None:
        """Make the local files those of the record, and download what is needed.

        Files that are not needed and not here stay in the bucket.

        Raises:
            BucketError: an object is missing or damaged, or the store cannot be read.
            FileError: a local file cannot be written.
        """
        wanted = self.wanted()
        for name in [*self.local_names()]:
            # An interrupted step has left it: the record knows nothing of it.
            if name not in wanted or self._index.sha256(name) != wanted[name].sha256:
                (self.folder / name).unlink()
        absent = {name for name in wanted if self._index.sha256(name) is None}
        for name in wanted.keys() - absent:
            self._index.note(name, wanted[name].sha256, wanted[name].object)
        self._not_here = absent & self.present(wanted).keys()
        self.fetch(needs)
        if self.folder.is_dir():
            self._index.save()

    def fetch(self, needs: Needs) -> None:
        """Download more of what `pull` has left in the bucket."""
        wanted = self.wanted()
        needed = [name for name in sorted(self._not_here) if needs(name)]
        for _ in parallel_map(lambda name: self._download(name, wanted[name]), needed, _TRANSFERS):
            pass
        for name in needed:
            self._index.note(name, wanted[name].sha256, wanted[name].object)
        self._not_here -= {*needed}

    def not_here(self) -> set[str]:
        """Return the names of the files that have stayed in the bucket, and that the step has not made anew."""
        return {name for name in self._not_here if not (self.folder / name).exists()}

    def _download(self, name: str, stored: StoredFile) -> None:
        self.bucket.download(stored, self.folder / name, private=is_private(name))

    def add(self, name: str, stored: StoredFile) -> None:
        """Name at the next push what another process has uploaded; a local file of its name is passed over."""
        self._uploaded[name] = stored

    def share(self, name: str, ranges: Sequence[SharedRange]) -> None:
        """Say which bytes of a file that has changed the last version has, too: a store may copy them at the push."""
        self._shared[name] = ranges

    def remove(self, name: str) -> None:
        """Name a file no longer at the next push."""
        self._not_here.discard(name)
        (self.folder / name).unlink(missing_ok=True)

    def push(self, lease: int, require_lease: Callable[[], None], log: logging.Logger) -> None:
        """Upload the files that have changed, swap the record, and delete what is no longer named.

        Raises:
            ChangedError: another process has written the record since it was read.
            BucketError: the store cannot be written to.
        """
        before = self.record
        record = self._pushed(dt.datetime.now(dt.UTC), log)
        if record != before:
            listed = self.bucket.objects()
            self._require_whole(record, before, listed)
            require_lease()
            self.swap(record, lease)
            self._log(log, before, record)
            try:
                self._collect(before, listed, dt.datetime.now(dt.UTC))
            except BucketError as error:
                log.warning(f"Old objects could not be deleted; a later refresh tries again. {error.strerror}")
        if self.folder.is_dir():
            self._index.save()

    def _pushed(self, now: dt.datetime, log: logging.Logger) -> ObjectsRecord:
        """Upload what has changed; return the record that names it."""
        files = {name: self.record.files[name] for name in self.not_here()}
        local_names = [name for name in self.local_names() if name not in self._uploaded]
        files |= self._upload(local_names, self.present(self.record.files), log) | self._uploaded
        return self.record if files == self.record.files else self.record.followed_by(files, now)

    def _upload(self, names: list[str], stored: Mapping[str, StoredFile], log: logging.Logger) -> dict[str, StoredFile]:
        """Return the object of each of these local files; those that have changed are uploaded."""

        def upload(path: Path, name: str) -> StoredFile:
            if name in self._shared and name in stored:
                try:
                    if shared := upload_shared(self.bucket, path, name, stored[name], self._shared[name]):
                        log.info(f"{name}: {shared.sent / 1e6:,.1f} of {shared.stored.bytes / 1e6:,.1f} MB were sent.")
                        return shared.stored
                except RangeCopyError as error:
                    log.info(f"{name} is uploaded whole: {error}.")
            return self.bucket.upload(path, name)

        uploaded = upload_changed(self.folder, self._index, names, stored, upload)
        for name, each in uploaded.items():
            self._index.note(name, each.sha256, each.object)
        return uploaded

    def _log(self, log: logging.Logger, before: ObjectsRecord, record: ObjectsRecord) -> None:
        new = [stored for name, stored in record.files.items() if before.files.get(name) != stored]
        size = sum(stored.bytes for stored in new) / 1e6
        log.info(f"{self.bucket.uri}: {len(new):,} changed files ({size:,.1f} MB) of {len(record.files):,}.")

    def _require_whole(self, record: ObjectsRecord, before: ObjectsRecord, listed: list[ListedObject]) -> None:
        """Require that the store has taken every new object whole.

        Raises:
            BucketError: it has not.
        """
        sizes = {each.name: each.bytes for each in listed}
        for stored in record.files.values():
            if stored.object not in before.objects and sizes.get(stored.object) != stored.bytes:
                raise BucketError(
                    errno.EIO,
                    f"{self.bucket.uri_of(stored.object)} has {sizes.get(stored.object, 0):,} bytes, and the file has "
                    f"{stored.bytes:,}: refresh again. What was published last is as it was.",
                )

    def _collect(self, before: ObjectsRecord, listed: list[ListedObject], now: dt.datetime) -> None:
        """Delete the objects that the record no longer names, and those that a process left that died.

        Names that callviz does not make in this folder are passed over.

        Raises:
            BucketError: the store does not let them be deleted.
        """
        own = [each for each in listed if is_object_name(each.name) and _OWN_OBJECT.fullmatch(each.name)]
        dead = {each.name for each in own if now - each.modified > KEPT}
        self.bucket.delete(sorted((before.objects | dead) - self.record.objects))


def upload_changed(
    folder: Path,
    index: FileIndex,
    names: list[str],
    stored: Mapping[str, StoredFile],
    upload: Callable[[Path, str], StoredFile],
) -> dict[str, StoredFile]:
    """Return the object of each of these files in a folder: the one that is stored, or a new one where it differs."""

    def up_to_date(name: str) -> StoredFile:
        known = stored.get(name)
        return known if known and index.sha256(name) == known.sha256 else upload(folder / name, name)

    return dict(zip(names, parallel_map(up_to_date, names, _TRANSFERS), strict=True))
