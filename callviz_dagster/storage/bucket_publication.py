"""`published.json` in a bucket: the record that readers follow to files that belong together.

It is the record of the publish folder on disk (`published.py`) with the object of each file, and with the Parquet files
that `calls.csv` was made from. While a refresh replaces one file after the other, what it has made so far is `pending`;
once all files belong together again it takes the place of what readers see, in the same write. What belongs elsewhere:
objects and their record (`working_copy.py`).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from callviz_dagster.storage.bucket import Bucket, StoredFile
from callviz_dagster.storage.file_index import FileIndex
from callviz_dagster.storage.files import write_text
from callviz_dagster.storage.published import CALLS_CSV, RECORD, PublishedRecord, read_record
from callviz_dagster.storage.working_copy import Needs, ObjectsRecord, WorkingCopy, upload_changed

_PENDING = "pending/"
"""Before the names of files that readers do not see yet."""


@dataclass(frozen=True)
class PublicationRecord(ObjectsRecord):
    """What `published.json` holds in a bucket; `files` has the Parquet files and those that are pending, too."""

    published: PublishedRecord = field(default_factory=PublishedRecord)
    """What readers see."""
    pending: PublishedRecord | None = None
    """What a refresh has made that is not whole yet; None where there is nothing."""

    @property
    def latest(self) -> PublishedRecord:
        """What the next step works on."""
        return self.pending or self.published

    def stored(self, name: str) -> StoredFile:
        """Return the object of a file of `latest`."""
        return self.files[f"{_PENDING}{name}" if self.pending else name]

    def parquet(self) -> dict[str, StoredFile]:
        """Return the Parquet files that readers see."""
        return {name: stored for name, stored in self.files.items() if name in self.published.inputs(CALLS_CSV)}

    def to_json(self, lease: int) -> dict[str, Any]:
        """Return it as `published.json` has it."""
        objects = super().to_json(lease)
        return {
            **self._part(self.published, ""),
            # A list, which query engines read as rows.
            "parquet": [{"name": name, **asdict(stored)} for name, stored in sorted(self.parquet().items())],
            "pending": self._part(self.pending, _PENDING) if self.pending else None,
            **{key: value for key, value in objects.items() if key != "files"},
        }

    def _part(self, published: PublishedRecord, prefix: str) -> dict[str, Any]:
        files = {
            name: {"object": self.files[f"{prefix}{name}"].object, **asdict(entry)}
            for name, entry in published.files.items()
        }
        return {"snapshot": asdict(published.snapshot), "files": files}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PublicationRecord:
        """Return what `to_json` made."""
        files = {each["name"]: StoredFile(each["object"], each["sha256"], each["bytes"]) for each in data["parquet"]}
        parts = {"": data, _PENDING: data["pending"] or {"files": {}}}
        for prefix, part in parts.items():
            for name, entry in part["files"].items():
                files[f"{prefix}{name}"] = StoredFile(entry["object"], entry["sha256"], entry["bytes"])
        pending = _published(data["pending"]) if data["pending"] else None
        return cls(files, dict(data["replaced"]), _published(data), pending)


def _published(part: Mapping[str, Any]) -> PublishedRecord:
    files = {name: {key: entry[key] for key in entry if key != "object"} for name, entry in part["files"].items()}
    return PublishedRecord.from_parts(part["snapshot"], files)


class Publication(WorkingCopy):
    """The working copy of the publish folder; `published.json` in it is `latest` as the record on disk has it."""

    record_name = RECORD
    record: PublicationRecord

    def __init__(self, bucket: Bucket, folder: Path, data_dir: Path, obsolete: frozenset[str] = frozenset()) -> None:
        super().__init__(bucket, folder)
        self.record = PublicationRecord()
        self._data_dir = data_dir
        self._obsolete = obsolete

    def _empty(self) -> PublicationRecord:
        return PublicationRecord()

    def _of_json(self, data: Mapping[str, Any]) -> PublicationRecord:
        return PublicationRecord.from_json(data)

    def wanted(self) -> Mapping[str, StoredFile]:
        """Return the files that a step works on."""
        return {name: self.record.stored(name) for name in self.record.latest.files}

    def local_names(self) -> Iterator[str]:
        """Yield the names of the local files that callviz has published, or is about to."""
        for name in sorted({*read_record(self.folder).files, *self.wanted()}):
            if (self.folder / name).is_file():
                yield name

    def pull(self, needs: Needs) -> None:
        """Make the local files and their record those of the bucket; see `WorkingCopy.pull`."""
        super().pull(needs)
        if self.record.latest.files or (self.folder / RECORD).exists():
            write_text(self.folder / RECORD, self.record.latest.to_json())

    def _pushed(self, now: dt.datetime, log: logging.Logger) -> PublicationRecord:
        """Upload what has changed; return the record in which it is pending, or published where it is whole."""
        made = self._made()
        unchanged = made == self.record.latest
        if unchanged and not self._missing_objects:
            return self.record
        stored = self._stored_files(made, log)
        if stored is None:
            return self.record
        parquet = None if made.differing() else self._upload_parquet(made)
        if parquet is None and unchanged:
            return self.record
        if parquet is None:
            files = {name: each for name, each in self.record.files.items() if not name.startswith(_PENDING)}
            files |= {f"{_PENDING}{name}": each for name, each in stored.items()}
            return replace(self.record.followed_by(files, now), pending=made)
        return replace(self.record.followed_by(stored | parquet, now), published=made, pending=None)

    def _stored_files(self, made: PublishedRecord, log: logging.Logger) -> dict[str, StoredFile] | None:
        """Upload the files of a record that have changed; return the objects of all, None where they are not its files.

        A step may have failed between a file and its record. Where the object of a file is missing that is not here,
        the step that makes the file publishes it again.
        """
        wanted = self.wanted()
        stored = {name: wanted[name] for name in made.files if name in self.not_here()}
        local_names = [name for name in made.files if name not in stored]
        if not all((self.folder / name).is_file() for name in local_names):
            return None
        stored |= self._upload(local_names, self.present(wanted), log)
        return stored if all(stored[name].sha256 == entry.sha256 for name, entry in made.files.items()) else None

    def _made(self) -> PublishedRecord:
        """Return the local record with the files that have stayed in the bucket, which it leaves out; write it."""
        local, before = read_record(self.folder), self.record.latest.files
        files = {**{name: before[name] for name in self.not_here()}, **local.files}
        made = replace(local, files={name: entry for name, entry in files.items() if name not in self._obsolete})
        if made != local:
            write_text(self.folder / RECORD, made.to_json())
        return made

    def _upload_parquet(self, made: PublishedRecord) -> dict[str, StoredFile] | None:
        """Return the objects of the Parquet files of a record; None where the files have been replaced since."""
        inputs, index, known = made.inputs(CALLS_CSV), FileIndex(self._data_dir), self.present(self.record.parquet())
        stored = {name: known[name] for name in inputs if name in known and known[name].sha256 == inputs[name].sha256}
        missing = [name for name in inputs if name not in stored]
        if any(index.sha256(name) != inputs[name].sha256 for name in missing):
            return None
        return stored | upload_changed(self._data_dir, index, missing, {}, self.bucket.upload)
