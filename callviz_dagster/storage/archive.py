"""Archives of raw BSON documents: written through zstd, read back in chunks of whole documents.

Each batch is a zstd frame of its own, which takes a fifth less time than one frame for all. Decompressed, an archive is
a stream of documents that `mongorestore` and `bsondump` read. What belongs elsewhere: what the documents hold
(`documents/`) and where an archive goes (`partitions.py`).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from callviz_dagster.concurrency import prefetch
from callviz_dagster.storage.files import FileError

if TYPE_CHECKING:
    import pyarrow as pa

    from callviz_dagster.documents.buffers import Ints


class BsonArchiveWriter:
    """Writes BSON documents, end to end, through zstd; decompressed, `mongorestore` and `bsondump` read it."""

    def __init__(self, path: Path) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._path = path

    def __enter__(self) -> BsonArchiveWriter:
        """Open the file."""
        import pyarrow as pa

        self._codec = pa.Codec("zstd", compression_level=1)
        self._file = pa.OSFile(str(self._path), "wb")
        return self

    def write(self, batch: bytes) -> None:
        """Append a batch of whole documents."""
        self._file.write(self._codec.compress(batch))
        self._digest.update(batch)
        self.bytes += len(batch)

    @property
    def sha256(self) -> str:
        """Digest of all documents written so far, uncompressed."""
        return self._digest.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; without documents it is an empty frame, because zstd takes no file without a frame."""
        with self._file:
            if error is None and not self.bytes:
                self._file.write(self._codec.compress(b""))


def read_archive(path: Path, *, chunk: int = 4 << 20) -> Iterator[tuple[bytes, Ints]]:
    """Yield the archive's documents in order, as byte strings of about `chunk` bytes each.

    With each come the offsets of its documents and, last, the end of the last one, behind which other bytes may follow.

    Raises:
        FileError: the archive ends within a document or holds something else than documents.
    """
    import pyarrow as pa

    from callviz_dagster.documents.walker import ElementError, document_starts

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
        for read in prefetch(iter(lambda: _read_chunk(stream, 4 << 20, path), b"")):
            digest.update(read)
    return digest.hexdigest()


def _read_chunk(stream: pa.NativeFile, chunk: int, path: Path) -> bytes:
    try:
        return bytes(stream.read(chunk))
    except OSError as error:
        raise FileError(errno.EIO, f"{path.absolute()} is damaged ({error}); materialize raw_calls again.") from error
