"""Deflating a member of a zip file in pieces, with ISA-L in two threads: about twenty times as fast as zlib.

Each piece is deflated by itself, so a piece of the last package may take its place. What belongs elsewhere: where the
data is cut, and what is packed (`tableau/pack.py`), where pieces are kept (`tableau/kept_pieces.py`).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, NamedTuple

import isal
from isal import isal_zlib

from callviz_dagster.concurrency import WORKERS

_LEVEL = 1
"""A CSV of calls comes out 7 % larger than from zlib; higher levels of ISA-L gain 3 % of that for twice the time."""
DEFLATED_BY = f"isal {isal.__version__}, level {_LEVEL}"
"""What the deflated bytes of a piece depend on beside its bytes."""
END = b"\x03\x00"
"""The last block of a deflate stream, which is empty."""


class DeflateError(Exception):
    """What was deflated does not inflate to what it was made from."""


@dataclass(frozen=True)
class Piece:
    """Bytes of a member that are deflated by themselves."""

    sha256: str
    bytes: int
    deflated_sha256: str
    deflated_bytes: int


class Deflated(NamedTuple):
    """The deflated bytes of a piece."""

    content: bytes
    sha256: str


FindDeflated = Callable[[str], Deflated | None]
"""Returns what a `PieceDeflater` has made before of a piece with this SHA-256 digest; None where there is none."""


def no_kept_pieces(_: str) -> None:
    """Find no piece."""


class PieceDeflater:
    """A raw deflate stream, made of pieces side by side; a compressor as zipfile has it.

    The same pieces give the same bytes. Each new piece is inflated as soon as it is deflated, by zlib where ISA-L has
    deflated it, and compared byte for byte. It refers to nothing before it and ends with a whole block on a whole byte,
    so that pieces inflate end to end to what each inflates to.
    Those that `find_deflated` finds need not be deflated again.
    """

    def __init__(self, find_deflated: FindDeflated) -> None:
        self.pieces: list[Piece] = []
        """The pieces that have been returned, in their order."""
        self._find_deflated = find_deflated
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="deflate")
        self._pending: deque[Future[tuple[Piece, bytes]]] = deque()

    def compress(self, piece: bytes) -> bytes:
        """Take the next piece; return an earlier one, deflated, once enough are under way.

        Raises:
            DeflateError: a piece does not inflate to its bytes.
        """
        self._pending.append(self._pool.submit(self._deflated, piece))
        return self._first() if len(self._pending) > WORKERS + 1 else b""

    def flush(self) -> bytes:
        """End the stream; return the rest of it.

        Raises:
            DeflateError: a piece does not inflate to its bytes.
        """
        with self._pool:
            return b"".join([*(self._first() for _ in range(len(self._pending))), END])

    def _first(self) -> bytes:
        """Return the first piece under way."""
        piece, deflated = self._pending.popleft().result()
        self.pieces.append(piece)
        return deflated

    def _deflated(self, piece: bytes) -> tuple[Piece, bytes]:
        sha256 = hashlib.sha256(piece).hexdigest()
        content, deflated_sha256 = self._find_deflated(sha256) or deflated_and_compared(piece)
        return Piece(sha256, len(piece), deflated_sha256, len(content)), content


def deflated_and_compared(piece: bytes) -> Deflated:
    """Return bytes deflated by ISA-L, as whole blocks on whole bytes, after zlib has inflated them to the same.

    Raises:
        DeflateError: it has not.
    """
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    content = compressor.compress(piece) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        same = inflater.decompress(content) == piece and not inflater.eof
        # The end is understood only where no block is open and no bit of a byte is left.
        ended = inflater.decompress(END) == b"" and inflater.eof and not inflater.unused_data
    except zlib.error as error:
        raise DeflateError(f"{len(piece):,} bytes, deflated, cannot be inflated ({error})") from None
    if not (same and ended):
        raise DeflateError(f"{len(piece):,} bytes, deflated, inflate to others")
    return Deflated(content, hashlib.sha256(content).hexdigest())


def deflate_in_pieces(member: IO[bytes], find_deflated: FindDeflated) -> PieceDeflater | None:
    """Let a member that `ZipFile.open` opened for writing be deflated in the pieces in which it is written.

    zipfile has no public place for a compressor. Where a new version has no private one either, zlib compresses the
    member as a whole, and None is returned.
    """
    if isinstance(member, zipfile._ZipWriteFile) and member._compressor is not None:  # type: ignore[attr-defined]
        deflater = PieceDeflater(find_deflated)
        member._compressor = deflater
        return deflater
    return None
