"""Who works on the files of a data and a publish folder, and where they are: on disk, or in a bucket.

The one module that knows of both. On disk a step holds the lock of the data folder. In a bucket it holds the lease,
too, and works on a local copy of what it needs, which is uploaded at its end. What belongs elsewhere: what a step does
(`assets/`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from callviz_dagster.concurrency import parallel_map
from callviz_dagster.setting_values.bucket_uri import bucket_uri
from callviz_dagster.storage.bucket import Bucket, BucketError
from callviz_dagster.storage.bucket_publication import Publication
from callviz_dagster.storage.file_index import FileIndex
from callviz_dagster.storage.files import FileError, require_writable, sha256_of
from callviz_dagster.storage.lease import Lease, held_lease, lease_holder
from callviz_dagster.storage.lock import BusyError, held_by, one_at_a_time
from callviz_dagster.storage.published import CALLS_CSV, InputFile, PublishedRecord, changed_files, read_record
from callviz_dagster.storage.working_copy import Needs, WorkingCopy

_log = logging.getLogger(__name__)
READER_SECONDS = 20.0
"""How long the sensor and `callviz status` wait for a store; Dagster ends a sensor after 60 s."""
_EXAMPLES = 10
"""Files that a warning names."""


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
        _start(copies, lease, needs, log)
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


def _start(copies: list[WorkingCopy], lease: Lease | None, needs: Needs, log: logging.Logger) -> None:
    for copy in copies:
        copy.read()
        if lease and lease.taken_over:
            copy.fence(lease.number)
        if missing := copy.find_missing():
            more = f" and {len(missing) - _EXAMPLES:,} more files" if len(missing) > _EXAMPLES else ""
            log.warning(
                f"{copy.bucket.uri}: the objects of {', '.join(missing[:_EXAMPLES])}{more} are missing or have another "
                "size. A refresh uploads these files again where they are on this machine, or makes them again."
            )
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
            working_copy = WorkingCopy(data, data_dir)
            working_copy.read()
            working_copy.pull(needs)


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
    return publication.find_missing() if publication else changed_files(publish_dir, record)


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


@contextlib.contextmanager
def published_calls(data_dir: Path, publish_dir: Path) -> Iterator[list[Path]]:
    """Give the `calls` files that `calls.csv` was made from, in time order, to be read inside the `with` block.

    From a bucket they are downloaded to a temporary folder, and the data folder is not touched. On disk they are those
    of the data folder, whose digests are compared with the record before and after the block.

    Raises:
        FileNotFoundError: nothing has been published yet.
        FileError: the data folder holds other calls than those that were published.
        BucketError: the store cannot be read, or an object is missing or damaged.
    """
    if publication := _publication(publish_dir):
        with tempfile.TemporaryDirectory(prefix="callviz-") as temporary:
            try:
                paths = _downloaded_calls(publication, Path(temporary))
            except BucketError as error:
                if error.errno != errno.ENOENT:
                    raise
                # A refresh may have swapped the record, and deleted the object, since the record was read.
                publication.read()
                paths = _downloaded_calls(publication, Path(temporary))
            yield paths
        return
    update_working_copy(data_dir, lambda name: name.startswith("calls/"))
    inputs = read_record(publish_dir).inputs(CALLS_CSV)
    if not inputs:
        raise _nothing_published(publish_dir)
    _require_published(inputs, data_dir, publish_dir)
    yield [data_dir / name for name in sorted(inputs)]
    _require_published(inputs, data_dir, publish_dir)


def _downloaded_calls(publication: Publication, folder: Path) -> list[Path]:
    stored_files = sorted(publication.record.parquet().items())
    if not stored_files:
        raise _nothing_published(publication.folder)
    paths = [folder / Path(name).name for name, _ in stored_files]
    downloads = zip(stored_files, paths, strict=True)
    for _ in parallel_map(lambda each: publication.bucket.download(each[0][1], each[1]), downloads):
        pass
    return paths


def _nothing_published(publish_dir: Path) -> FileNotFoundError:
    return FileNotFoundError(f"No calls have been published in {place(publish_dir)} yet: run `callviz refresh` first.")


def _require_published(inputs: Mapping[str, InputFile], data_dir: Path, publish_dir: Path) -> None:
    differing = [name for name in sorted(inputs) if _digest(data_dir / name) != inputs[name].sha256]
    if differing:
        raise FileError(
            errno.ESTALE,
            f"The calls in {place(data_dir)} are not those that were published in {place(publish_dir)}: "
            f"{differing[0]} is missing or has changed ({len(differing):,} of {len(inputs):,} files). A refresh is "
            "replacing them, or ended before it published them: refresh, then try again. Until then, read "
            f"{CALLS_CSV}.",
        )


def _digest(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return None


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
        FileError: it cannot, or its store cannot be used, or its record is damaged.
    """
    uri = bucket_uri(folder)
    require_writable(folder)
    if not uri:
        return f"{folder.absolute()} can be written to"
    bucket = Bucket(uri, retry_seconds=READER_SECONDS)
    bucket.require_conditions()
    for record in (WorkingCopy(bucket, folder), Publication(bucket, folder, folder)):
        record.read()
    return f"{uri} can be written to, and its store honours conditions; the working copy is {folder.absolute()}"
