"""The compression of what a .twbx holds: what zipfile reads back is what was written, and always the same bytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from callviz_dagster.tableau.deflate import (
    END,
    DeflateError,
    PieceDeflater,
    deflate_in_pieces,
    deflated_and_compared,
    no_kept_pieces,
)
from callviz_dagster_tests.helpers.raw_bson import examples

PIECE = b"64b1c0de,completed,37.5\n" * 50


def _package(pieces: list[bytes]) -> bytes:
    package = io.BytesIO()
    member = zipfile.ZipInfo("calls.csv", (1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(package, "w") as archive, archive.open(member, "w") as file:
        deflate_in_pieces(file, no_kept_pieces)
        for piece in pieces:
            file.write(piece)
    return package.getvalue()


@examples(40)
@given(pieces=st.lists(st.binary(max_size=200), max_size=20))
def test_what_was_written_is_read_back_and_the_same_pieces_give_the_same_bytes(pieces: list[bytes]) -> None:
    package = _package(pieces)
    assert _package(pieces) == package
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        assert archive.read("calls.csv") == b"".join(pieces)


def test_zipfile_has_a_place_for_the_compressor() -> None:
    """A new Python without that place compresses with zlib, correctly and slowly: this test says so."""
    member = zipfile.ZipInfo("calls.csv")
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(io.BytesIO(), "w") as archive, archive.open(member, "w") as file:
        assert isinstance(deflate_in_pieces(file, no_kept_pieces), PieceDeflater)


def _deflated(piece: bytes, mode: int, before: bytes = b"") -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=before)
    return compressor.compress(piece) + compressor.flush(mode)


@pytest.mark.parametrize(
    "deflated",
    [
        pytest.param(lambda piece: _deflated(piece[::-1], zlib.Z_FULL_FLUSH), id="other bytes"),
        pytest.param(lambda piece: _deflated(piece[1:], zlib.Z_FULL_FLUSH), id="a byte less"),
        pytest.param(lambda piece: _deflated(piece, zlib.Z_FULL_FLUSH)[:-5], id="a block that is still open"),
        pytest.param(lambda piece: _deflated(piece, zlib.Z_FULL_FLUSH) + b"\x00", id="a block that has been begun"),
        pytest.param(lambda piece: _deflated(piece, zlib.Z_FINISH), id="the end of the stream"),
        pytest.param(lambda piece: _deflated(piece, zlib.Z_FULL_FLUSH, piece), id="referring to bytes before it"),
        pytest.param(lambda piece: b"\xff" * len(piece), id="no deflate stream"),
    ],
)
def test_a_piece_that_does_not_inflate_to_its_bytes_by_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, deflated: Callable[[bytes], bytes]
) -> None:
    class Faulty:
        def compress(self, piece: bytes) -> bytes:
            return deflated(piece)

        def flush(self, _: int) -> bytes:
            return b""

    assert zlib.decompress(deflated_and_compared(PIECE).content + END, -zlib.MAX_WBITS) == PIECE
    monkeypatch.setattr(isal_zlib, "compressobj", lambda *_: Faulty())
    with pytest.raises(DeflateError, match="1,200 bytes, deflated, "):
        _package([PIECE])
