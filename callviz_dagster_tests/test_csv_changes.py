"""What changed between two versions of calls.csv."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callviz_dagster.csv_changes import Changes, count_changes

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
