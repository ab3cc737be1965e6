"""A folder in object storage: files as objects whose names carry their digest, and small records that are swapped.

How to use it, on a driver or on a worker (a `Bucket` is pickled as its address, credentials stay where they are):

    bucket = Bucket("s3://calls/data")          # s3://, gs:// or az://, connects to nothing yet
    stored = bucket.upload(path, "calls/2024-05.parquet")   # one PUT or one completed multipart upload
    bucket.download(stored, path)               # whole and with this digest, or an error
    content, version = bucket.read("files.json") or (b"", None)
    bucket.write("files.json", new_content, version)   # refused where another process wrote since

An uploaded object is seen by readers once a record names it. Nothing here loads obstore before the first request, which
the extra `cloud` brings. Credentials are found by each cloud's own chain (`AWS_*`, `GOOGLE_*`, `AZURE_*`, the machine's
role), and no message has them. What belongs elsewhere: which files there are (`working_copy.py`), and who may write
(`lease.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from callviz_dagster.concurrency import prefetch
from callviz_dagster.storage.files import FileError, open_for_writing, staged, stat_and_hash

if TYPE_CHECKING:
    from obstore import Bytes
    from obstore.store import ObjectStore

RETRY_SECONDS = 120.0
"""How long a request is tried again while the store does not answer: a store that restarts is back within that."""
INSTALL = "needs the extra `cloud`: `pip install 'callviz-dagster[cloud]'`"
_PART = 5 << 20
"""Bytes of a part of a multipart upload, the least that S3 takes, and of a download; four are in memory at a time. A
request may take 30 s, unless the cloud's own variable (`AWS_TIMEOUT`) says more."""
_MOST_PARTS = 9_000
"""Stores take 10,000."""
_DOWNLOADS = 3
"""How often a download starts again that did not have the digest of the record."""
_PAUSE_SECONDS = 0.2
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}
"""Variables that give access, by the scheme of an address."""
_METADATA_SERVICE = re.compile(r"//(169\.254\.|metadata\.google)|/latest/(api/token|meta-data)|/metadata/identity")
"""In the address of a request for the role of the machine, which is made where no variable gives access."""
_OBJECT = re.compile(r"-[0-9a-f]{32}-[0-9a-f]{8}(\.[a-z.]+)?$")


class BucketError(FileError):
    """The store could not be reached, refused a request, or cannot be used. The message says which, and what to do."""


class UnansweredError(BucketError):
    """The store did not answer, however often it was asked."""


class ChangedError(BucketError):
    """Another process has written the object since it was read."""


@dataclass(frozen=True)
class StoredFile:
    """A file in the bucket."""

    object: str
    """Name of the object, relative to the bucket's folder; it is never written to again."""
    sha256: str
    bytes: int


class Version(NamedTuple):
    """Which state of an object was read or written; what a conditional write compares."""

    e_tag: str | None
    version: str | None = None


class ListedObject(NamedTuple):
    """An object in the bucket's folder."""

    name: str
    modified: dt.datetime
    bytes: int


def object_name(name: str, sha256: str) -> str:
    """Return a new name for an object with a file's content: `calls/2024-05.parquet` → `calls/2024-05-….parquet`.

    It carries the digest, and a random part: an object that no record names is never named by one again, so that
    whoever deletes it cannot be wrong.
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, suffixes = base.partition(".")
    return f"{folder}{slash}{stem}-{sha256[:32]}-{secrets.token_hex(4)}{dot}{suffixes}"


def is_object_name(name: str) -> bool:
    """Return whether `object_name` makes such names; everything else in the bucket is not ours to delete."""
    return bool(_OBJECT.search(name))


class Bucket:
    """A folder in a bucket. One instance may be used by several threads."""

    def __init__(self, uri: str, *, retry_seconds: float | None = None) -> None:
        self.uri = uri.rstrip("/")
        self._retry_seconds = RETRY_SECONDS if retry_seconds is None else retry_seconds

    def __repr__(self) -> str:
        return f"Bucket({self.uri!r})"

    def __reduce__(self) -> tuple[type[Bucket], tuple[str]]:
        return Bucket, (self.uri,)

    def uri_of(self, name: str) -> str:
        """Return the address of an object."""
        return f"{self.uri}/{name}"

    @functools.cached_property
    def _store(self) -> ObjectStore:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ModuleNotFoundError:
            raise BucketError(errno.ENOPKG, f"{self.uri} {INSTALL}.") from None
        try:
            # Client options that are given here would replace those of the environment, such as AWS_ALLOW_HTTP.
            retry_timeout = dt.timedelta(seconds=self._retry_seconds)
            return from_url(self.uri, retry_config={"max_retries": 1000, "retry_timeout": retry_timeout})
        except (BaseError, ValueError) as error:
            raise BucketError(
                errno.EINVAL,
                f"{self.uri} cannot be opened: its cloud's own variables are not complete or not allowed "
                f"({', '.join(sorted(set(re.findall(r'[A-Z]+_[A-Z_]+', str(error))))) or _variables(self.uri)}).",
            ) from None

    def read(self, name: str) -> tuple[bytes, Version] | None:
        """Return a small object and its version; None where there is no such object.

        Raises:
            BucketError: the store cannot be read.
        """
        import obstore

        store = self._store
        with self._explained(name):
            try:
                answer = obstore.get(store, name)
                return bytes(answer.bytes()), Version(answer.meta["e_tag"], answer.meta["version"])
            except FileNotFoundError as error:
                if _no_bucket(error) or _METADATA_SERVICE.search(str(error)):
                    raise
                return None

    def write(self, name: str, content: bytes, expected: Version | None) -> Version:
        """Create a small object, or replace the version that is expected; return its new version.

        The content must differ from every earlier one, for example by a random part: where the answer to a request is
        lost, the object is read to see whether it was written.

        Raises:
            ChangedError: another process has created or replaced it.
            BucketError: the store cannot be written to.
        """
        started = time.monotonic()
        while True:
            try:
                return self._write_once(name, content, expected)
            except _NotWrittenError:
                refused = self._unanswered(name, started)
            except UnansweredError as error:
                refused = error
            current, version = self.read(name) or (b"", None)
            if version and current == content:
                return version
            if version != expected:
                raise ChangedError(errno.ESTALE, f"{self.uri_of(name)} was written by another process.")
            if time.monotonic() > started + self._retry_seconds:
                raise refused
            time.sleep(_PAUSE_SECONDS)

    def _write_once(self, name: str, content: bytes, expected: Version | None) -> Version:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        store = self._store
        # The types of obstore have an update with one of the two as well.
        condition: Any = {key: value for key, value in expected._asdict().items() if value} if expected else "create"
        with self._explained(name):
            try:
                answer = obstore.put(store, name, content, mode=condition)
            except (AlreadyExistsError, PreconditionError) as error:
                raise _NotWrittenError from error
            except FileNotFoundError as error:
                if expected is None:
                    raise
                raise _NotWrittenError from error
        return Version(answer["e_tag"], answer["version"])

    def require_conditions(self) -> None:
        """Try whether the store can be written to and honours conditions; the object that tries it is deleted again.

        Raises:
            BucketError: it ignores a condition, so that two refreshes could overwrite each other, or refuses to write.
        """
        name = object_name("probe", secrets.token_hex(32))
        try:
            first = self._write_once(name, b"1", None)
            with contextlib.suppress(_NotWrittenError):
                self._write_once(name, b"2", None)
                raise self._ignores("create only")
            if not (first.e_tag or first.version):
                raise self._ignores("no version in its answers, so no update")
            self._write_once(name, b"3", first)
            with contextlib.suppress(_NotWrittenError):
                self._write_once(name, b"4", first)
                raise self._ignores("update only what was read")
        except _NotWrittenError:
            raise self._ignores("an update of what was read is refused") from None
        finally:
            with contextlib.suppress(BucketError):
                self.delete([name])

    def _ignores(self, condition: str) -> BucketError:
        return BucketError(
            errno.ENOTSUP,
            f"{self.uri} cannot be used: its server ignores the conditions of a write ({condition}), so two refreshes "
            "could overwrite each other unnoticed. Use a store that honours If-None-Match and If-Match.",
        )

    def upload(self, path: Path, name: str) -> StoredFile:
        """Upload a local file as a new object; nobody sees a part of it.

        Args:
            path: the file.
            name: what it is in the folder, for example `calls/2024-05.parquet`; the object's name is made from it.

        Raises:
            BucketError: the store cannot be written to.
        """
        import obstore

        store = self._store
        file = stat_and_hash(path)
        stored = StoredFile(object_name(name, file.sha256), file.sha256, file.bytes)
        with self._explained(stored.object):
            part = max(_PART, file.bytes // _MOST_PARTS)
            obstore.put(store, stored.object, path, chunk_size=part, max_concurrency=4)
        return stored

    def download(self, stored: StoredFile, path: Path, *, private: bool = False) -> None:
        """Download an object to a local file, whole and with its digest or not at all; see `staged` for `private`.

        Raises:
            BucketError: the object is not there, is not what the record says, or cannot be read.
            FileError: the local file cannot be written.
        """
        for _ in range(_DOWNLOADS):
            with contextlib.suppress(_OtherDigestError), staged(path, private=private) as temporary:
                if self._fetch(stored, temporary) != stored.sha256:
                    raise _OtherDigestError
                return
        raise BucketError(
            errno.EIO,
            f"{self.uri_of(stored.object)} is not the file that its record names: its digest is another. Restore the "
            "object, or delete the record beside it and refresh everything.",
        )

    def _fetch(self, stored: StoredFile, path: Path) -> str:
        """Write an object to a local file, in ranges; return its digest."""
        import obstore

        store, digest = self._store, hashlib.sha256()

        def ranges() -> Iterator[Bytes]:
            for start in range(0, stored.bytes, _PART):
                with self._explained(stored.object):
                    yield obstore.get_range(store, stored.object, start=start, end=min(start + _PART, stored.bytes))

        with open_for_writing(path) as file:
            for chunk in prefetch(ranges()):
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def objects(self, prefix: str = "") -> list[ListedObject]:
        """Return the objects in the folder, or below a folder in it, sorted by name.

        Raises:
            BucketError: the store cannot be read.
        """
        import obstore

        store = self._store
        with self._explained(prefix):
            listed = [each for chunk in obstore.list(store, prefix or None) for each in chunk]
        return sorted(ListedObject(each["path"], each["last_modified"], each["size"]) for each in listed)

    def has(self, stored: StoredFile) -> bool:
        """Return whether an object is there, in its size; asked for itself, for a list may be behind.

        Raises:
            BucketError: the store cannot be read.
        """
        import obstore

        store = self._store
        with self._explained(stored.object):
            try:
                return obstore.head(store, stored.object)["size"] == stored.bytes
            except FileNotFoundError as error:
                if _no_bucket(error) or _METADATA_SERVICE.search(str(error)):
                    raise
                return False

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; one that is not there is none.

        Raises:
            BucketError: the store refuses it.
        """
        import obstore

        store = self._store
        with self._explained(""), contextlib.suppress(FileNotFoundError):
            if names:
                obstore.delete(store, [*names])

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn an error of the store into one sentence without its own text, which may have a signed address."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        started = time.monotonic()
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            if problem := _unusable(self.uri, error):
                raise problem from None
            if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
                raise BucketError(
                    errno.EACCES,
                    f"The store refuses access to {self.uri_of(name)}{_status(error)}: check the credentials that are "
                    f"found ({_variables(self.uri)}, or the machine's role) and what they may do.",
                ) from None
            if isinstance(error, FileNotFoundError):
                raise BucketError(
                    errno.ENOENT,
                    f"{self.uri_of(name)} is not there: run `callviz refresh`, which makes it again, or restore the "
                    "object.",
                ) from None
            raise self._unanswered(name, started, _status(error)) from None

    def _unanswered(self, name: str, started: float, status: str = "") -> UnansweredError:
        seconds = round(time.monotonic() - started)
        waited = f", and did not within {seconds} s" if seconds else ""
        return UnansweredError(
            errno.EAGAIN,
            f"The store of {self.uri_of(name)} does not answer{status}{waited}: try again once it does.",
        )


class _NotWrittenError(Exception):
    """The store has refused a condition."""


class _OtherDigestError(Exception):
    """What was downloaded is not what was asked for."""


def _no_bucket(error: Exception) -> bool:
    return bool(re.search("NoSuchBucket|ContainerNotFound", str(error)))


def _unusable(uri: str, error: Exception) -> BucketError | None:
    """Return why no object of a bucket can be reached, and what to do; None where the error is of another kind."""
    text, (scheme, _, path) = str(error), uri.partition("://")
    if _METADATA_SERVICE.search(text):
        return BucketError(
            errno.EACCES,
            f"No credentials were found for {uri}: set {_variables(uri)}, or give the machine a role.",
        )
    if "BadScheme" in text:
        cloud = {"gs": "GOOGLE", "az": "AZURE"}.get(scheme, "AWS")
        return BucketError(
            errno.EINVAL,
            f"The endpoint of {uri} does not begin with https://: choose one that does, or set {cloud}_ALLOW_HTTP=true "
            "for one that begins with http://.",
        )
    if _no_bucket(error):
        return BucketError(
            errno.ENOENT,
            f"The bucket {path.partition('/')[0]} does not exist, or these credentials have no access to it: create "
            f"it, or correct the address {uri}.",
        )
    return None


def _status(error: Exception) -> str:
    match = re.search(r"status code: (\d{3})", str(error))
    return f" (status {match[1]})" if match else ""


def _variables(uri: str) -> str:
    return _CREDENTIALS.get(uri.partition(":")[0], "its variables")
