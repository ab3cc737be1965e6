"""A package read back: whatever has changed in it on the disk is found, without inflating its data."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.tableau import pack
from callviz_dagster.tableau.pack import PackedData, write_package
from callviz_dagster.tableau.read_back import is_whole
from callviz_dagster_tests.helpers.raw_bson import examples

WORKBOOK = b"<workbook version='18.1' />\n"
CSV = b"_id,status\n" + b"".join(f"{n:024x},completed\n".encode() for n in range(40))
CENTRAL = b"PK\x01\x02"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "PIECE", 400)


def _write(package: Path) -> PackedData:
    data = package.with_name("calls.csv")
    data.write_bytes(CSV)
    with package.open("wb") as file:
        return write_package(WORKBOOK, "callviz.twb", data, file)


def _flipped(content: bytes, offset: int, bit: int = 0) -> bytes:
    return content[:offset] + bytes([content[offset] ^ 1 << bit]) + content[offset + 1 :]


def _between(content: bytes) -> bytes:
    """Put bytes between the last member and the directory, which says where it begins."""
    start = content.index(CENTRAL)
    end = content.rindex(b"PK\x05\x06")
    return (
        content[:start] + b"1234" + content[start : end + 16] + (start + 4).to_bytes(4, "little") + content[end + 20 :]
    )


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda content, packed: _flipped(content, packed.start + 20), id="the first piece"),
        pytest.param(lambda content, _: _flipped(content, content.index(CENTRAL) - 10), id="the last piece"),
        pytest.param(lambda content, _: _flipped(content, content.index(CENTRAL) - 2), id="the end of the stream"),
        pytest.param(lambda content, _: _flipped(content, 30 + len("callviz.twb") + 3), id="the workbook"),
        pytest.param(
            lambda content, packed: _flipped(content, packed.start - 30 - len("Data/calls/calls.csv") + 14),
            id="the checksum before the data",
        ),
        pytest.param(lambda content, _: _flipped(content, content.rindex(CENTRAL) + 16), id="the checksum at the end"),
        pytest.param(lambda content, _: _flipped(content, content.rindex(CENTRAL) + 24), id="the size"),
        pytest.param(lambda content, _: _flipped(content, content.rindex(CENTRAL) + 20), id="the deflated size"),
        pytest.param(lambda content, _: _between(content), id="bytes before the directory"),
        pytest.param(lambda content, _: content[: len(content) // 2], id="half of it"),
        pytest.param(lambda content, _: b"", id="nothing of it"),
        pytest.param(lambda content, packed: content[: packed.start], id="no data"),
    ],
)
def test_a_damaged_package_is_not_whole(tmp_path: Path, damaged: Callable[[bytes, PackedData], bytes]) -> None:
    package = tmp_path / "callviz.twbx"
    packed = _write(package)
    assert is_whole(package, packed)
    package.write_bytes(damaged(package.read_bytes(), packed))
    assert not is_whole(package, packed)


@examples(200)
@given(place=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_whatever_bit_flips_it_is_found_or_zipfile_reads_the_same(place: int, bit: int) -> None:
    with TemporaryDirectory() as folder:
        package = Path(folder) / "callviz.twbx"
        packed = _write(package)
        content = package.read_bytes()
        package.write_bytes(_flipped(content, place % len(content), bit))
        if is_whole(package, packed):
            with zipfile.ZipFile(package) as archive:
                workbook, data = archive.namelist()
                assert (archive.read(workbook), archive.read(data)) == (WORKBOOK, CSV)


def test_without_pieces_the_data_are_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "callviz.twbx"
    monkeypatch.setattr(pack, "deflate_in_pieces", lambda *_: None)
    packed = _write(package)
    assert (packed.pieces, packed.bytes) == ([], len(CSV))
    assert is_whole(package, packed)
    package.write_bytes(_flipped(package.read_bytes(), packed.start + 20))
    assert not is_whole(package, packed)
