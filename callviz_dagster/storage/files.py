"""Files that are replaced whole or not at all, and the archive of raw BSON documents.

The only module that opens a file for writing, so that object storage is a change in one room.
What belongs elsewhere: what the files hold (`contract.py`, `assets/`).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from callviz_dagster.setting_values.bucket_uri import bucket_uri

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_CHUNK = 1 << 20
_DICTIONARY = 1 << 16


class FileError(OSError):
    """A file could not be written or read. The message names it and says what to do."""


@dataclass(frozen=True)
class PublishedFile:
    """What a file is, as read back from the disk."""

    path: Path
    bytes: int
    sha256: str


def stat_and_hash(path: Path) -> PublishedFile:
    """Read a file and return its full path, size and SHA-256 digest."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return PublishedFile(path.absolute(), size, digest.hexdigest())


def sha256_of(path: Path) -> str:
    """Return the digest of a file; a process reads it again only where its size, time or inode has changed."""
    status = path.stat()
    return _sha256(path.absolute(), status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=16384)
def _sha256(path: Path, *_state: int) -> str:
    return stat_and_hash(path).sha256


def parquet_metadata(path: Path) -> pq.FileMetaData:
    """Return what the end of a Parquet file says of it, read again like its digest.

    Raises:
        OSError: there is no such file.
        pa.ArrowInvalid: it is damaged.
    """
    status = path.stat()
    return _parquet_metadata(path, status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=4096)
def _parquet_metadata(path: Path, *_state: int) -> pq.FileMetaData:
    import pyarrow.parquet as pq

    return pq.read_metadata(path)


@contextlib.contextmanager
def staged(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to the disk and swap it in with one rename.

    Write the file and check it inside the `with` block: an exception there, or a process that dies at any
    moment, leaves the file that was there before. To be called under the lock: temporary files that earlier
    processes have left are removed.

    The new file has the permissions of the one that it replaces, else those that the umask allows. A `private` one,
    which holds whole documents, is for its owner alone.

    Raises:
        FileError: the folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in _leftovers(path.parent.absolute()).pop(path.name, ()):
            leftover.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
        keeps_mode = path.exists() and not private
        mode = stat.S_IMODE((path if keeps_mode else temporary).stat().st_mode)
    except OSError as error:
        raise explained(error, path) from error
    try:
        yield temporary
        temporary.chmod(mode)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise (error if isinstance(error, FileError) else explained(error, path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@functools.cache
def _leftovers(folder: Path) -> dict[str, list[Path]]:
    """Return the temporary files in a folder by the name of the file that they were to become.

    Listed once while a process holds the lock: a folder with thousands of partitions is not searched for each of them.
    """
    paths: dict[str, list[Path]] = {}
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                paths.setdefault(entry.name[1:].rsplit(".", 3)[0], []).append(Path(entry.path))
    return paths


def forget_leftovers() -> None:
    """Let `staged` list folders again, for another process may have died since they were listed.

    To be called wherever the lock has been taken.
    """
    _leftovers.cache_clear()


def require_writable(folder: Path) -> None:
    """Create a folder if it is missing, and try whether files can be written there.

    Raises:
        FileError: they cannot.
    """
    probe = folder / f".writable.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
    except OSError as error:
        raise explained(error, probe) from error


def flush(path: Path) -> None:
    """Wait until a file or a folder is on the disk; folders cannot be opened on Windows, and need not be.

    `staged` does it at its end. Where a file is written and then read back, a thread may do it in the meantime.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def explained(error: OSError, path: Path) -> FileError:
    """Return an error of the operating system as a sentence that names the file, and says what to do."""
    full = path.absolute()
    in_scratch = any(bucket_uri(folder) for folder in full.parents)
    settings = "CALLVIZ_SCRATCH_DIR" if in_scratch else "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR"
    elsewhere = f"choose another folder with {settings}"
    reasons = {
        errno.ENOSPC: f"The disk is full: {full} could not be written. Free some space and refresh again",
        errno.EDQUOT: f"The disk quota is used up: {full} could not be written. Free some space and refresh again",
        errno.EACCES: f"{full.parent} cannot be written to. Give this user write permission, or {elsewhere}",
        errno.EPERM: f"{full} cannot be replaced: the operating system does not permit it (an immutable file, or a "
        f"folder whose files only their owner may replace). Lift that, or {elsewhere}",
        errno.EROFS: f"{full.parent} is on a read-only file system: {elsewhere}",
        errno.ENOTDIR: f"{full.parent} cannot be a folder because a file is in its path: {elsewhere}",
        errno.EEXIST: f"{full.parent} cannot be a folder because a file has that name: {elsewhere}",
        errno.EISDIR: f"{full} is a folder, where a file is to be. Move it away, or {elsewhere}",
    }
    if not full.parent.exists():
        reasons[errno.ENOENT] = f"{full.parent} does not exist and cannot be created. Create it, or {elsewhere}"
    reason = reasons.get(error.errno or 0, f"{full} could not be written ({error.strerror or error}): {elsewhere}")
    return FileError(error.errno, f"{reason}.{' The last good file was left as it was.' if _is_file(full) else ''}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a small text file whole or not at all, as UTF-8; a `private` one as `staged` says."""
    with staged(path, private=private) as temporary, open_for_writing(temporary) as file:
        file.write(text.encode())


def open_for_writing(path: Path) -> BinaryIO:
    """Open a file given by `staged` for writing bytes."""
    return path.open("wb")


def append_range(source: Path, start: int, size: int, target: BinaryIO) -> None:
    """Append bytes of another file to one that is being written; fewer where the other one ends before.

    Where the system can copy them by itself, they do not pass through this process.
    """
    target.flush()
    with source.open("rb", buffering=0) as file:
        file.seek(start)
        if hasattr(os, "copy_file_range"):
            # Some file systems cannot; an error of the disk shows again below.
            with contextlib.suppress(OSError):
                while size and (copied := os.copy_file_range(file.fileno(), target.fileno(), size)):
                    size -= copied
        target.seek(0, os.SEEK_END)
        while size and (content := file.read(min(size, _CHUNK))):
            target.write(content)
            size -= len(content)


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file given by `staged` for writing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Statistics of texts take time to write; only those of `_id` are read, to find the row groups that may hold one.
    # A dictionary that grows beyond 64 kB saves no room, and takes longer to write and to read than plain values.
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        dictionary_pagesize_limit=_DICTIONARY,
        write_page_checksum=True,
        write_statistics=[field.name for field in schema if field.name == "_id" or not pa.types.is_string(field.type)],
    )
