"""The data folder as a task has it: shared by all machines, or in a bucket, of which each worker holds a part.

What belongs elsewhere: the driver's working copy of a bucket, and the record of its files (`storage/working_copy.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from callviz_dagster.setting_values.bucket_uri import bucket_uri
from callviz_dagster.storage.bucket import Bucket, StoredFile
from callviz_dagster.storage.files import stat_and_hash
from callviz_dagster.storage.working_copy import is_private


@dataclass(frozen=True)
class DataFolder:
    """The data folder of a task."""

    path: Path
    """The driver's: the shared folder, in full, or the working copy that stands for a bucket."""
    reads: Mapping[str, StoredFile] = field(default_factory=dict)
    """Of a bucket, the files that the task reads."""

    def on_worker(self, scratch: Path) -> Path:
        """Return the folder with the files that the task reads; those that are not in the scratch folder are fetched.

        Raises:
            BucketError: an object is missing or damaged, or the store cannot be read.
            FileError: a file cannot be written.
        """
        uri = bucket_uri(self.path)
        if uri is None:
            return self.path
        folder = scratch / self.path.name
        for name, stored in self.reads.items():
            path = folder / name
            if not path.is_file() or stat_and_hash(path).sha256 != stored.sha256:
                Bucket(uri).download(stored, path, private=is_private(name))
        return folder

    def upload(self, folder: Path, *paths: Path) -> dict[str, StoredFile]:
        """Upload files that a task has made in its folder, and return their objects; none where it is shared.

        Raises:
            BucketError: the store cannot be written to.
        """
        uri = bucket_uri(self.path)
        names = {path.relative_to(folder).as_posix(): path for path in paths} if uri else {}
        return {name: Bucket(uri or "").upload(path, name) for name, path in names.items()}
