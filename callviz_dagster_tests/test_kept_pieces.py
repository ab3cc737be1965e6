"""Pieces of the last package: those that have not changed are copied, and whatever is damaged, the package is right."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.tableau import deflate, kept_pieces, pack
from callviz_dagster.tableau.deflate import Deflated, deflated_and_compared
from callviz_dagster.tableau.kept_pieces import KeptPieces, to_json
from callviz_dagster.tableau.pack import PackedData, write_package
from callviz_dagster.tableau.read_back import is_whole
from callviz_dagster_tests.helpers.raw_bson import examples

HEADER = b"_id,status,duration_sec\n"
WORKBOOK = b"<workbook version='18.1' />\n"
MEMBERS = ["callviz.twb", "Data/calls/calls.csv"]
DAYS = [f"{n:03x},completed,{n / 4}\n".encode() * 4 for n in range(6)]
"""Parts of 64 to 128 bytes, so two pieces each."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "PIECE", 48)


@pytest.fixture
def newly_deflated(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The pieces that were deflated."""
    pieces: list[bytes] = []

    def recording(piece: bytes) -> Deflated:
        pieces.append(piece)
        return deflated_and_compared(piece)

    monkeypatch.setattr(deflate, "deflated_and_compared", recording)
    return pieces


class Refresh:
    """Writes packages as a refresh does: beside the last one, whose pieces it may take."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "callviz.twbx"
        self.record = folder / kept_pieces.FILE
        self.csv = folder / "calls.csv"

    def write(self, parts: list[bytes]) -> PackedData:
        """Publish these parts of `calls.csv`; the package must be the one that is made without any other."""
        self.csv.write_bytes(HEADER + b"".join(parts))
        starts = [*accumulate(map(len, parts), initial=len(HEADER))]
        kept = KeptPieces.of(self.record, self.package)
        new, anew = self.package.with_suffix(".new"), self.package.with_suffix(".anew")
        with new.open("wb") as file:
            packed = write_package(WORKBOOK, MEMBERS[0], self.csv, file, starts, kept.find_deflated)
        with pytest.MonkeyPatch.context() as patch, anew.open("wb") as file:
            patch.setattr(deflate, "deflated_and_compared", deflated_and_compared)
            assert write_package(WORKBOOK, MEMBERS[0], self.csv, file, starts) == packed
        assert new.read_bytes() == anew.read_bytes()
        assert is_whole(new, packed)
        with zipfile.ZipFile(new) as archive:
            assert archive.namelist() == MEMBERS
            assert archive.read(MEMBERS[0]) == WORKBOOK
            assert archive.read(MEMBERS[1]) == self.csv.read_bytes()
        new.replace(self.package)
        self.record.write_text(to_json(packed), encoding="utf-8")
        return packed


def _pieces(parts: list[bytes]) -> list[bytes]:
    """Return the pieces of some parts, sorted, for threads deflate them in any order."""
    return sorted(part[start : start + 48] for part in parts for start in range(0, len(part), 48))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(DAYS, [], id="nothing has changed"),
        pytest.param([*DAYS[:2], b"a longer line\n" + DAYS[2], *DAYS[3:]], [2], id="a part in the middle"),
        pytest.param([*DAYS[:2], *DAYS[3:]], [], id="a part less"),
        pytest.param([*DAYS, b"a new day\n"], [6], id="a part more"),
        pytest.param(DAYS[::-1], [], id="in another order"),
    ],
)
def test_only_parts_that_have_changed_are_deflated(
    tmp_path: Path, newly_deflated: list[bytes], parts: list[bytes], expected: list[int]
) -> None:
    refresh = Refresh(tmp_path)
    refresh.write(DAYS)
    assert sorted(newly_deflated) == _pieces([HEADER, *DAYS])
    newly_deflated.clear()
    refresh.write(parts)
    assert sorted(newly_deflated) == _pieces([parts[number] for number in expected])


def test_of_calls_that_were_appended_only_the_last_pieces_are_deflated(
    tmp_path: Path, newly_deflated: list[bytes]
) -> None:
    refresh, calls = Refresh(tmp_path), b"".join(DAYS)
    refresh.write([calls])
    newly_deflated.clear()
    refresh.write([calls + b"one more call\n"])
    assert sorted(newly_deflated) == _pieces([calls[len(calls) // 48 * 48 :] + b"one more call\n"])


def _flip(path: Path, offset: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[offset % len(content)] ^= 1 << bit
    path.write_bytes(content)


def _change_record(refresh: Refresh, change: Callable[[dict[str, object]], object], *, sign: bool = False) -> None:
    """Change a record; with `sign` it is one that callviz may have written."""
    content = json.loads(refresh.record.read_text(encoding="utf-8"))
    change(content)
    if sign:
        del content["sha256"]
        content["sha256"] = kept_pieces._digest(content)
    refresh.record.write_text(json.dumps(content), encoding="utf-8")


def _another_package(refresh: Refresh) -> None:
    record = refresh.record.read_text(encoding="utf-8")
    refresh.write([b"another " + day for day in DAYS])
    refresh.record.write_text(record, encoding="utf-8")


def _swap_deflated(content: dict[str, object]) -> None:
    pieces = content["pieces"]
    assert isinstance(pieces, list)
    for key in ("deflated_sha256", "deflated_bytes"):
        pieces[0][key], pieces[-1][key] = pieces[-1][key], pieces[0][key]


FAULTS: dict[str, tuple[Callable[[Refresh], object], int]] = {
    "a flipped bit in a piece": (lambda refresh: _flip(refresh.package, -400), 1),
    "no package": (lambda refresh: refresh.package.unlink(), 13),
    "an empty package": (lambda refresh: refresh.package.write_bytes(b""), 13),
    "another package": (_another_package, 12),
    "no record": (lambda refresh: refresh.record.unlink(), 13),
    "an empty record": (lambda refresh: refresh.record.write_bytes(b""), 13),
    "half a record": (lambda refresh: refresh.record.write_bytes(refresh.record.read_bytes()[:300]), 13),
    "no text": (lambda refresh: refresh.record.write_bytes(b"\xff\xfe"), 13),
    "a list": (lambda refresh: refresh.record.write_text("[]"), 13),
    "pieces exchanged": (lambda refresh: _change_record(refresh, _swap_deflated), 13),
    "another version of the record": (
        lambda refresh: _change_record(refresh, lambda content: content.update(format_version=2), sign=True),
        13,
    ),
    "another version of ISA-L": (
        lambda refresh: _change_record(refresh, lambda content: content.update(deflated_by="isal 9"), sign=True),
        13,
    ),
    "another start": (
        lambda refresh: _change_record(refresh, lambda content: content.update(start=7), sign=True),
        13,
    ),
}  # fmt: skip
"""What may have happened between two refreshes, and how many pieces of 13 are then deflated anew; the header's is in
another package, too."""


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_damaged_or_of_another_version_is_deflated_anew(
    tmp_path: Path, newly_deflated: list[bytes], fault: str
) -> None:
    refresh = Refresh(tmp_path)
    refresh.write(DAYS)
    damage, expected = FAULTS[fault]
    damage(refresh)
    newly_deflated.clear()
    refresh.write(DAYS)
    assert len(newly_deflated) == expected


@st.composite
def refreshes(draw: st.DrawFn) -> list[tuple[list[bytes], str, int]]:
    """Return what is published one after the other, what happens before, and where."""
    parts = draw(st.lists(st.sampled_from(DAYS), max_size=5))
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(0, 2))):
            place = draw(st.integers(0, len(parts)))
            edit = draw(st.sampled_from(["insert", "append", "remove"]))
            lines = draw(st.binary(max_size=120))
            if edit == "insert" or place == len(parts):
                parts = [*parts[:place], lines, *parts[place:]]
            else:
                parts = [*parts[:place], *([parts[place] + lines] if edit == "append" else []), *parts[place + 1 :]]
        fault = draw(st.sampled_from(["", "", "the package", "the record", *FAULTS]))
        drawn.append((parts, fault, draw(st.integers(0, 1 << 16))))
    return drawn


@examples(40)
@given(published=refreshes())
def test_the_package_holds_calls_csv_whatever_was_kept(published: list[tuple[list[bytes], str, int]]) -> None:
    with TemporaryDirectory() as folder:
        refresh = Refresh(Path(folder))
        refresh.write(DAYS)
        for parts, fault, place in published:
            if fault in ("the package", "the record"):
                _flip(refresh.package if fault == "the package" else refresh.record, place // 8, place % 8)
            elif fault:
                FAULTS[fault][0](refresh)
            refresh.write(parts)
