"""Files that are replaced whole or not at all, and the archive of raw BSON documents.

The only module that opens a file for writing, so that object storage is a change in one room.
What belongs elsewhere: what the files hold (`contract.py`, `assets/`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from callviz_dagster.pipeline import ahead

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from callviz_dagster.elements import Ints

_CHUNK = 1 << 20
_DICTIONARY = 1 << 16


class FileError(OSError):
    """A file could not be written or read. The message names it and says what to do."""


@dataclass(frozen=True)
class FileFacts:
    """What a file is, as read back from the disk."""

    path: Path
    bytes: int
    sha256: str


def facts(path: Path) -> FileFacts:
    """Read a file and return its full path, size and SHA-256 digest."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileFacts(path.absolute(), size, digest.hexdigest())


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


class BsonArchiveWriter:
    """Writes BSON documents, end to end, through zstd; decompressed, `mongorestore` and `bsondump` read it."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._path = path

    def __enter__(self) -> BsonArchiveWriter:
        """Open the file."""
        import pyarrow as pa

        self._stream = pa.CompressedOutputStream(pa.OSFile(str(self._path), "wb"), "zstd")
        return self

    def write(self, batch: bytes) -> None:
        """Append a batch of whole documents."""
        self._stream.write(batch)
        self._digest.update(batch)
        self.bytes += len(batch)

    @property
    def sha256(self) -> str:
        """Digest of all documents written so far, uncompressed."""
        return self._digest.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._stream.close()


def read_archive(path: Path, *, chunk: int = 4 << 20) -> Iterator[tuple[bytes, Ints]]:
    """Yield the archive's documents in order, as byte strings of about `chunk` bytes each.

    With each come the offsets of its documents and, last, the end of the last one, behind which other bytes may follow.

    Raises:
        FileError: the archive ends within a document or holds something that is none.
    """
    import pyarrow as pa

    from callviz_dagster.elements import ElementError, document_starts

    rest = b""
    with pa.OSFile(str(path), "rb") as file, pa.CompressedInputStream(file, "zstd") as stream:
        while True:
            read = _read_chunk(stream, chunk, path)
            data = rest + read
            try:
                starts = document_starts(data, cut=True)
            except ElementError:
                raise FileError(errno.EIO, f"{path.absolute()} is damaged; materialize raw_calls again.") from None
            if len(starts) > 1:
                yield data, starts
            rest = data[starts[-1] :]
            if not read:
                break
    if rest:
        raise FileError(errno.EIO, f"{path.absolute()} ends within a document; materialize raw_calls again.")


def digest_of_archive(path: Path) -> str:
    """Read an archive back and return the digest of its documents, uncompressed."""
    import pyarrow as pa

    digest = hashlib.sha256()
    with pa.OSFile(str(path), "rb") as file, pa.CompressedInputStream(file, "zstd") as stream:
        for read in ahead(iter(lambda: _read_chunk(stream, 4 << 20, path), b"")):
            digest.update(read)
    return digest.hexdigest()


def _read_chunk(stream: pa.NativeFile, chunk: int, path: Path) -> bytes:
    try:
        return bytes(stream.read(chunk))
    except OSError as error:
        raise FileError(errno.EIO, f"{path.absolute()} is damaged ({error}); materialize raw_calls again.") from error


class FilePart(io.RawIOBase):
    """The bytes of a file from one offset to another, as a file of their own."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._file = path.open("rb")
        self._file.seek(start)
        self._left = end - start

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most so many bytes, or all that are left."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


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
