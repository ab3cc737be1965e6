"""What changed between two versions of calls.csv."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callviz_dagster.calls_csv import diff as csv_changes
from callviz_dagster.calls_csv.diff import Changes, count_changes
from callviz_dagster.calls_csv.reuse import FileRanges
from callviz_dagster.storage.shared_ranges import SharedRange

rows = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.sampled_from(["", '""', '"x"', '"x\n""y"', "1"]))


def write(path: Path, table: dict[str, str], *, other: str = "") -> Path:
    lines = [f'"{key}",{value}{"," + other if other else ""}\n' for key, value in table.items()]
    path.write_text('"_id","n"' + (',"z"' if other else "") + "\n" + "".join(lines), encoding="utf-8")
    return path


@given(rows, rows)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_counted_as_added_changed_and_removed(
    tmp_path: Path, old: dict[str, str], new: dict[str, str]
) -> None:
    changes = count_changes(write(tmp_path / "old", old), write(tmp_path / "new", new))
    assert changes == Changes(
        added=len(new.keys() - old.keys()),
        changed=sum(old[key] != new[key] for key in old.keys() & new.keys()),
        removed=len(old.keys() - new.keys()),
    )


@pytest.mark.slow
@given(rows, rows, st.integers(1, 40))
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_the_same_at_the_start_is_whole_lines(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], chunk: int
) -> None:
    paths = [write(tmp_path / "old", old), write(tmp_path / "new", new)]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_changes, "_CHUNK", chunk)
        first, second = (FileRanges(path, [(0, len(text))]) for path, text in zip(paths, texts, strict=True))
        common = csv_changes._common_lines(first, second)
    assert texts[0][:common] == texts[1][:common]
    for table in (old, new):
        lines = ['"_id","n"\n', *(f'"{key}",{value}\n' for key, value in table.items())]
        assert common in {0, *itertools.accumulate(map(len, lines))}
    assert common >= len('"_id","n"\n'), "the header, at least, is the same"


@given(rows, rows, rows, rows, st.integers(1, 40))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_the_same_at_the_end_is_whole_lines(
    tmp_path: Path, start: dict[str, str], old: dict[str, str], new: dict[str, str], end: dict[str, str], chunk: int
) -> None:
    start, end = {f"x{key}": row for key, row in start.items()}, {f"y{key}": row for key, row in end.items()}
    paths = (write(tmp_path / "old", start | old | end), write(tmp_path / "new", start | new | end))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_changes, "_CHUNK", chunk)
        old_range, new_range = ((len('"_id","n"\n'), len(text)) for text in texts)
        common = csv_changes._common_end(*paths, old_range, new_range)
    assert texts[0][len(texts[0]) - common :] == texts[1][len(texts[1]) - common :]
    lines = [f'"{key}",{value}\n' for key, value in reversed((start | new | end).items())]
    assert common in {0, *itertools.accumulate(map(len, lines))}
    assert common >= sum(map(len, lines[: max(len(end) - 1, 0)]))
    assert count_changes(*paths) == Changes(
        added=len(new.keys() - old.keys()),
        changed=sum(old[key] != new[key] for key in old.keys() & new.keys()),
        removed=len(old.keys() - new.keys()),
    )


def ends(tables: Sequence[dict[str, str]]) -> list[int]:
    """Return where each of the tables ends in a file that has them one after the other, and the header before."""
    lengths = [sum(len(f'"{key}",{value}\n') for key, value in table.items()) for table in tables]
    return [*itertools.accumulate(lengths, initial=len('"_id","n"\n'))]


@pytest.mark.slow
@given(rows, rows, rows, rows)
@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_copied_lines_are_not_read(
    tmp_path: Path, first: dict[str, str], second: dict[str, str], old: dict[str, str], new: dict[str, str]
) -> None:
    """Two copied parts change places; old lines stood between them, new ones stand after them."""
    first, second = {f"x{key}": row for key, row in first.items()}, {f"y{key}": row for key, row in second.items()}
    before, after = [first, old, second], [second, first, new]
    paths = [
        write(tmp_path / name, {key: row for table in tables for key, row in table.items()})
        for name, tables in (("old", before), ("new", after))
    ]
    in_old, in_new = ends(before), ends(after)
    copied = [
        SharedRange(in_old[2], in_new[0], in_old[3] - in_old[2]),
        SharedRange(in_old[0], in_new[1], in_old[1] - in_old[0]),
    ]
    assert count_changes(*paths, copied=copied) == Changes(
        added=len(new.keys() - old.keys()),
        changed=sum(old[key] != new[key] for key in old.keys() & new.keys()),
        removed=len(old.keys() - new.keys()),
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        '\ufeff"_id";"n"\n"a";1\n'.encode(),
        '"_id","n"\n"a","caf\u00e9"\n'.encode("cp1252"),
        '"_id","caf\u00e9"\n"a","1"\n'.encode("cp1252"),
        b'"_id","n","n"\n"a","1","2"\n',
        b'"id","n"\n"a","1"\n',
        b'"_id","n"\n"a"\n',
        b'"_id,n\n',
        b"\x00\x01\x02",
        b"PK\x03\x04 a spreadsheet",
    ],
)
def test_a_file_that_another_program_has_saved_is_an_error_of_these_kinds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "old").write_bytes(content)
    with pytest.raises((ValueError, pa.ArrowException)):
        count_changes(tmp_path / "old", write(tmp_path / "new", {"a": "1", "b": "2"}))


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_changes, "_MOST_WAITING", 10)
    monkeypatch.setattr(csv_changes, "_BLOCK", 1000)
    old, new = ({f"{letter}{n}": "1" for n in range(1000)} for letter in "ab")
    paths = write(tmp_path / "old", old), write(tmp_path / "new", new)
    assert count_changes(*paths) == Changes(added=1000, removed=1000)


def test_large_files_that_drift_apart_are_compared_row_by_row(tmp_path: Path) -> None:
    old = {f"c{n:06d}": f'"{n}{"x" * 80}"' for n in range(100_000)}
    new = {key: value for n, (key, value) in enumerate(old.items()) if n % 1000}
    new |= {f"new{n}": "1" for n in range(7)} | {"c050001": '"other"'}
    changes = count_changes(write(tmp_path / "old", old), write(tmp_path / "new", new))
    assert changes == Changes(added=7, changed=1, removed=100)


def test_a_new_column_is_told_and_changes_no_row(tmp_path: Path) -> None:
    table = {"a": "1", "b": "2"}
    changes = count_changes(write(tmp_path / "old", table), write(tmp_path / "new", table, other="5"))
    assert changes == Changes(columns=["z"])
