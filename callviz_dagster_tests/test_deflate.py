"""The compression of what a .twbx holds: what zipfile reads back is what was written, and always the same bytes."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.tableau import deflate
from callviz_dagster.tableau.deflate import ParallelDeflate, deflate_in_parallel


def _package(pieces: list[bytes]) -> bytes:
    package = io.BytesIO()
    member = zipfile.ZipInfo("calls.csv", (1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(package, "w") as archive, archive.open(member, "w") as file:
        deflate_in_parallel(file)
        for piece in pieces:
            file.write(piece)
    return package.getvalue()


@given(pieces=st.lists(st.binary(max_size=200), max_size=20))
def test_what_was_written_is_read_back(pieces: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deflate, "PIECE", 64)
        package = _package(pieces)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        assert archive.read("calls.csv") == b"".join(pieces)


def test_the_same_data_gives_the_same_bytes_however_it_is_handed_over() -> None:
    data = random.Random(1).randbytes(3 << 20) * 4
    pieces = [data[start : start + deflate.PIECE] for start in range(0, len(data), deflate.PIECE)]
    packages = {_package([data]), _package([data[:5], data[5:]]), _package(pieces)}
    assert len(packages) == 1


def test_zipfile_has_a_place_for_the_compressor() -> None:
    """A new Python without that place compresses with zlib, correctly and slowly: this test says so."""
    member = zipfile.ZipInfo("calls.csv")
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(io.BytesIO(), "w") as archive, archive.open(member, "w") as file:
        deflate_in_parallel(file)
        assert isinstance(file._compressor, ParallelDeflate)  # type: ignore[attr-defined]
