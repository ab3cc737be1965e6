"""What changed between two versions of calls.csv."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callviz_dagster.calls_csv import diff as csv_changes
from callviz_dagster.calls_csv.diff import Changes, count_changes

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
    found = count_changes(write(tmp_path / "old", old), write(tmp_path / "new", new))
    assert found == Changes(
        added=len(new.keys() - old.keys()),
        changed=sum(old[key] != new[key] for key in old.keys() & new.keys()),
        removed=len(old.keys() - new.keys()),
    )


@given(rows, rows, st.integers(1, 40))
@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_the_same_at_both_ends_is_whole_lines(
    tmp_path: Path, old: dict[str, str], new: dict[str, str], chunk: int
) -> None:
    first, second = write(tmp_path / "old", old), write(tmp_path / "new", new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_changes, "_CHUNK", chunk)
        start, end = csv_changes._same(first, second)
        found = count_changes(first, second)
    texts = [path.read_text(encoding="utf-8") for path in (first, second)]
    assert texts[0][:start] == texts[1][:start]
    assert texts[0][len(texts[0]) - end :] == texts[1][len(texts[1]) - end :]
    for text, table in zip(texts, (old, new), strict=True):
        lines = ['"_id","n"\n', *(f'"{key}",{value}\n' for key, value in table.items())]
        ends = {0, *itertools.accumulate(map(len, lines))}
        assert {start, len(text) - end} <= ends
    assert found.added == len(new.keys() - old.keys())
    assert found.removed == len(old.keys() - new.keys())
    assert start >= len('"_id","n"\n'), "the header, at least, is the same"


def test_large_files_that_drift_apart_are_compared_row_by_row(tmp_path: Path) -> None:
    old = {f"c{n:06d}": f'"{n}{"x" * 80}"' for n in range(100_000)}
    new = {key: value for n, (key, value) in enumerate(old.items()) if n % 1000}
    new |= {f"new{n}": "1" for n in range(7)} | {"c050001": '"other"'}
    found = count_changes(write(tmp_path / "old", old), write(tmp_path / "new", new))
    assert found == Changes(added=7, changed=1, removed=100)


def test_a_new_column_is_told_and_changes_no_row(tmp_path: Path) -> None:
    table = {"a": "1", "b": "2"}
    found = count_changes(write(tmp_path / "old", table), write(tmp_path / "new", table, other="5"))
    assert found == Changes(columns=["z"])
