"""Who works on the files of a data and a publish folder, and where they are: on disk, or in a bucket.

The one module that knows of both. On disk a step holds the lock of the data folder. In a bucket it holds the lease,
too, and works on a local copy of what it needs, which is uploaded at its end. What belongs elsewhere: what a step does
(`assets/`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from callviz_dagster.setting_values.bucket_uri import bucket_uri
from callviz_dagster.storage.bucket import Bucket, BucketError
from callviz_dagster.storage.bucket_publication import Publication
from callviz_dagster.storage.file_index import FileIndex
from callviz_dagster.storage.files import require_writable
from callviz_dagster.storage.lease import Lease, held_lease, lease_holder
from callviz_dagster.storage.lock import BusyError, held_by, one_at_a_time
from callviz_dagster.storage.published import PublishedRecord, changed_files, read_record
from callviz_dagster.storage.working_copy import Needs, WorkingCopy

_log = logging.getLogger(__name__)
READER_SECONDS = 20.0
"""How long the sensor and `callviz status` wait for a store; Dagster ends a sensor after 60 s."""


class WorkingCopies(NamedTuple):
    """The working copies of the folders that are in a bucket; None of one that is on disk."""

    data: WorkingCopy | None
    published: Publication | None


@contextlib.contextmanager
def refreshing(
    data_dir: Path,
    publish_dir: Path,
    log: logging.Logger,
    needs: Needs,
    *,
    obsolete: frozenset[str] = frozenset(),
) -> Iterator[WorkingCopies]:
    """Hold the lock, and the lease where there is one, while the files of both folders are read and replaced.

    Where a folder is in a bucket, the files that are needed are local inside the `with` block, and those that it
    changes are uploaded at its end, also where it ends with an error: what it has replaced by then is whole.

    Args:
        data_dir: the data folder, or the working copy that stands for it.
        publish_dir: the publish folder, likewise.
        log: where waiting and transfers are logged.
        needs: whether a file is read, by its name, for example `calls/2024-05.parquet` or `calls.csv`.
        obsolete: published files that are no longer made, which nothing waits for.

    Yields:
        The working copies.

    Raises:
        BusyError: another process works on the files for too long.
        BucketError: the store cannot be reached, refuses a request, or ignores conditions; or another process has
            taken over.
        FileError: a local folder cannot be written to.
    """
    with one_at_a_time(data_dir, log), contextlib.ExitStack() as held:
        data, publish = _buckets(data_dir, publish_dir)
        for bucket in filter(None, (data, publish)):
            _require_conditions(bucket.uri)
        lease = held.enter_context(held_lease(data, log)) if data else None
        both = WorkingCopies(
            WorkingCopy(data, data_dir) if data else None,
            Publication(publish, publish_dir, data_dir, obsolete) if publish else None,
        )
        copies = [copy for copy in both if copy]
        _start(copies, lease, needs)
        try:
            yield both
        except Exception:
            try:
                _finish(copies, lease, log)
            except BucketError as error:
                log.error(f"What this step had replaced was not uploaded. {error.strerror}")
            raise
        _finish(copies, lease, log)


def _buckets(data_dir: Path, publish_dir: Path, *, retry_seconds: float | None = None) -> list[Bucket | None]:
    uris = bucket_uri(data_dir), bucket_uri(publish_dir)
    return [Bucket(uri, retry_seconds=retry_seconds) if uri else None for uri in uris]


@functools.cache
def _require_conditions(uri: str) -> None:
    """Try a store once in a process."""
    Bucket(uri).require_conditions()


def _start(copies: list[WorkingCopy], lease: Lease | None, needs: Needs) -> None:
    for copy in copies:
        copy.read()
        if lease and lease.taken_over:
            copy.fence(lease.number)
    for copy in copies:
        copy.pull(needs)


def _finish(copies: list[WorkingCopy], lease: Lease | None, log: logging.Logger) -> None:
    for copy in copies:
        copy.push(lease.number if lease else 0, lease.require if lease else lambda: None, log)


def update_working_copy(data_dir: Path, needs: Needs) -> None:
    """Download what is needed of the data folder, and is not here, without a lease; nothing to do on disk.

    Where a process on this machine works on the files, it keeps them up to date itself.

    Raises:
        BucketError: the store cannot be read.
        FileError: the local folder cannot be written to.
    """
    data, _ = _buckets(data_dir, data_dir, retry_seconds=READER_SECONDS)
    if data:
        with contextlib.suppress(BusyError), one_at_a_time(data_dir, _log, wait_seconds=0):
            _start([WorkingCopy(data, data_dir)], None, needs)


def read_published(publish_dir: Path, *, pending: bool = False) -> PublishedRecord:
    """Return what readers see; with `pending`, what the next step works on, which differs only in a bucket.

    Raises:
        BucketError: the store cannot be read.
    """
    publication = _publication(publish_dir)
    if not publication:
        return read_record(publish_dir)
    return publication.record.latest if pending else publication.record.published


def changed_published(publish_dir: Path, record: PublishedRecord) -> list[str]:
    """Return the published files that are gone, or are not as they were published.

    Raises:
        BucketError: the store cannot be read.
    """
    publication = _publication(publish_dir)
    return publication.changed() if publication else changed_files(publish_dir, record)


def published_places(publish_dir: Path) -> Mapping[str, str]:
    """Return where each published file is: its path, or the address of its object.

    Raises:
        BucketError: the store cannot be read.
    """
    publication = _publication(publish_dir)
    if not publication:
        return {name: str((publish_dir / name).absolute()) for name in read_record(publish_dir).files}
    files = publication.record.files
    return {name: publication.bucket.uri_of(files[name].object) for name in publication.record.published.files}


def _publication(publish_dir: Path) -> Publication | None:
    _, publish = _buckets(publish_dir, publish_dir, retry_seconds=READER_SECONDS)
    if not publish:
        return None
    publication = Publication(publish, publish_dir, publish_dir)
    publication.read()
    return publication


def refreshing_process(data_dir: Path) -> str:
    """Return which process is refreshing the files of a data folder; an empty text where none is.

    Raises:
        FileError: the lock file cannot be opened, or the store cannot be read.
    """
    local = held_by(data_dir)
    data, _ = _buckets(data_dir, data_dir, retry_seconds=READER_SECONDS)
    if data and not local:
        return lease_holder(data)
    return f"process {local}" if local else ""


def place(path: Path) -> str:
    """Return where a file of a data or a publish folder is, for people: its path, or the address of its object.

    A file that is not in the bucket yet is shown under its name there.
    """
    for folder in (path, *path.parents):
        if uri := bucket_uri(folder):
            if folder == path:
                return uri
            name = path.relative_to(folder).as_posix()
            known = FileIndex(folder).object(name) if path.is_file() else ""
            return f"{uri}/{known or name}"
    return str(path.absolute())


def uri_of(path: Path) -> str:
    """Return the same as an address."""
    shown = place(path)
    return shown if "://" in shown else path.absolute().as_uri()


def require_reachable(folder: Path) -> str:
    """Try whether a folder can be written to; return what was found, as a sentence.

    Raises:
        FileError: it cannot, or its store cannot be used.
    """
    uri = bucket_uri(folder)
    require_writable(folder)
    if not uri:
        return f"{folder.absolute()} can be written to"
    Bucket(uri, retry_seconds=READER_SECONDS).require_conditions()
    return f"{uri} can be written to, and its store honours conditions; the working copy is {folder.absolute()}"
