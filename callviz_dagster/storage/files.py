"""Files that are replaced whole or not at all, and the archive of raw BSON documents.

The only module that opens a file for writing, so that object storage is a change in one room.
What belongs elsewhere: what the files hold (`contract.py`, `assets/`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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


@contextlib.contextmanager
def staged(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to the disk and swap it in with one rename.

    Write the file and check it inside the `with` block: an exception there, or a process that dies at any
    moment, leaves the file that was there before. `mode` is the new file's permission bits.

    Raises:
        FileError: the folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.", suffix=".tmp")
        os.close(handle)
    except OSError as error:
        raise _explained(error, path) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise (error if isinstance(error, FileError) else _explained(error, path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file or a folder is on the disk; folders cannot be opened on Windows, and need not be."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of `path` whose process has died before it could."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        owner = leftover.name.removeprefix(f".{path.name}.").split(".")[0]
        if owner.isdecimal() and not _alive(int(owner)):
            leftover.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _explained(error: OSError, path: Path) -> FileError:
    full = path.absolute()
    reasons = {
        errno.ENOSPC: f"The disk is full: {full} could not be written. Free some space and refresh again",
        errno.EDQUOT: f"The disk quota is used up: {full} could not be written. Free some space and refresh again",
        errno.EACCES: f"{full.parent} cannot be written to. Give this user write permission, or choose another "
        "folder with CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR",
        errno.EROFS: f"{full.parent} is on a read-only file system. Choose another folder with CALLVIZ_DATA_DIR or "
        "CALLVIZ_PUBLISH_DIR",
        errno.ENOTDIR: f"{full.parent} cannot be a folder, for a file stands in its path. Choose another folder with "
        "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR",
        errno.EEXIST: f"{full.parent} cannot be a folder, for a file has that name. Choose another folder with "
        "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR",
    }
    reason = reasons.get(error.errno or 0, f"{full} could not be written ({error.strerror or error})")
    return FileError(error.errno, f"{reason}. The last good file was left as it was.")


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all, as UTF-8."""
    with staged(path) as temporary, open_for_writing(temporary) as file:
        file.write(text.encode())


def open_for_writing(path: Path) -> BinaryIO:
    """Open a file given by `staged` for writing bytes."""
    return path.open("wb")


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a Parquet file given by `staged` for writing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # A dictionary that grows beyond 64 kB saves no room, and takes longer to write and to read than plain values.
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        dictionary_pagesize_limit=_DICTIONARY,
        write_statistics=[field.name for field in schema if not pa.types.is_string(field.type)],
    )
