"""Counts of files that are kept and added up: those of all calls counted at once, and never those of other calls."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.assets.call_dashboard import FILE, publish_page
from callviz_dagster.dashboard import file_counts, kept_counts
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import Counts, Cube, count_calls, durations_between, read_files
from callviz_dagster.dashboard.fields import FieldCounts
from callviz_dagster.dashboard.file_counts import FileCounts, added_up, count_file
from callviz_dagster.dashboard.kept_counts import count_files
from callviz_dagster.storage.files import sha256_of
from callviz_dagster.table.manifest import read_footer
from callviz_dagster_tests.helpers.calls import business, table, write
from callviz_dagster_tests.helpers.raw_bson import examples

DAYS = st.integers(0, 40).map(lambda number: dt.date(2026, 3, 1) + dt.timedelta(number))
DURATIONS = st.none() | st.integers(0, 200).map(float) | st.sampled_from([0.5, 7.25, 1e9, 1e300])
LABELS = st.sampled_from(["incoming", "outgoing", "no-answer", "completed", "busy", "a", "b", "other (2 types)"])
ROWS = st.tuples(LABELS, LABELS, DAYS, st.integers(0, 23), DURATIONS, st.sampled_from([None, "", "x", "y", "z"]))


def of(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Return calls with the further field `queue`."""
    return table([row[:5] for row in rows]).append_column("queue", pa.array([row[5] for row in rows], pa.string()))


def same(one: Counts, other: Counts) -> bool:
    """Return whether two counts are the same in every part."""

    def parts(counts: Counts) -> list[Cube | FieldCounts]:
        return [*counts.cubes, *counts.fields]

    def plain(counts: Counts) -> list[object]:
        described = [[v for v in vars(part).values() if not isinstance(v, np.ndarray)] for part in parts(counts)]
        cells = [[part.keys.tolist(), part.calls.tolist(), part.calls.dtype] for part in parts(counts)]
        return [dataclasses.replace(counts, cubes=(), fields=()), described, cells]

    return plain(one) == plain(other)


@examples(60)
@given(st.lists(st.lists(ROWS, max_size=12), min_size=1, max_size=4), st.integers(0, 4), st.sampled_from([1, 4, 1000]))
def test_the_counts_of_files_add_up_to_those_of_all_calls(
    files: list[list[tuple[Any, ...]]], labels: int, max_cells: int
) -> None:
    options = CountOptions(labels, fields=("queue",))
    tables = [of(rows) for rows in files]
    counted = [count_file([calls.slice(0, 5), calls.slice(5)], ("queue",)) for calls in tables]

    def durations(number: int, lower: float, upper: float) -> Iterator[tuple[Any, Any]]:
        yield durations_between(tables[number], lower, upper)

    total = added_up([one for one in counted if one], options, durations, max_cells=max_cells)
    at_once = count_calls(
        lambda columns: [calls.select(list(columns)) for calls in tables], options, max_cells=max_cells
    )
    assert total
    assert same(total, at_once)


def partitions(data_dir: Path, calls: pa.Table, number: int = 3) -> list[Path]:
    """Write calls as this many partitions."""
    rows = -(-calls.num_rows // number)
    return [write(data_dir / "calls" / f"{n}.parquet", calls.slice(n * rows, rows)) for n in range(number)]


def digests(paths: Sequence[Path]) -> dict[Path, str]:
    return {path: sha256_of(path) for path in paths}


def counted_anew(monkeypatch: pytest.MonkeyPatch) -> list[FileCounts | None]:
    """Return a list of the counts of all files that are counted from now on."""
    anew: list[FileCounts | None] = []

    def count(*given: Any) -> FileCounts | None:
        anew.append(count_file(*given))
        return anew[-1]

    monkeypatch.setattr(kept_counts, "count_file", count)
    return anew


def test_only_files_that_have_changed_are_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = partitions(tmp_path, table(business(600)))
    anew = counted_anew(monkeypatch)
    count_files(digests(paths), CountOptions(), tmp_path)
    count_files(digests(paths), CountOptions(labels=1), tmp_path, max_cells=9)
    assert len(anew) == 3
    write(paths[1], table(business(70, seed=2)))
    counts = count_files(digests(paths), CountOptions(), tmp_path)
    assert [one.calls for one in anew[3:] if one] == [70]
    assert same(counts, count_calls(read_files(paths), CountOptions()))
    fewer = count_files(digests(paths[:2]), CountOptions(), tmp_path)
    assert same(fewer, count_calls(read_files(paths[:2]), CountOptions()))
    assert len(anew) == 4


def test_counts_that_are_kept_by_other_fields_are_counted_anew(tmp_path: Path) -> None:
    calls = table(business(60)).append_column("queue", pa.array([f"queue {number % 7}" for number in range(60)]))
    paths = partitions(tmp_path, calls)
    for options in (CountOptions(), CountOptions(fields=("queue",)), CountOptions()):
        counts = count_files(digests(paths), options, tmp_path)
        assert same(counts, count_calls(read_files(paths), options))


def _cut(content: bytes) -> bytes:
    return content[:-100]


def _one_bit(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


def _other_version(content: bytes) -> bytes:
    return content.replace(b"format_version", b"format_versiom")


@pytest.mark.parametrize("damage", [_cut, _one_bit, _other_version, lambda content: b"", lambda content: b"no Arrow"])
def test_kept_counts_that_are_damaged_or_of_another_version_are_counted_anew(
    tmp_path: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = partitions(tmp_path, table(business(600)))
    good = count_files(digests(paths), CountOptions(), tmp_path)
    kept = tmp_path / kept_counts.FILE
    content = kept.read_bytes()
    kept.write_bytes(damage(content))
    anew = counted_anew(monkeypatch)
    assert same(count_files(digests(paths), CountOptions(), tmp_path), good)
    assert len(anew) == 3
    assert kept.read_bytes() == content


@pytest.mark.parametrize(("limit", "number"), [("MAX_FILE_CELLS", 50), ("_MAX_LABELS", 2), ("MAX_DISTINCT", 2)])
def test_counts_too_large_to_be_kept_are_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, number: int
) -> None:
    paths = partitions(tmp_path, table(business(600)))
    monkeypatch.setattr(file_counts, limit, number)
    anew = counted_anew(monkeypatch)
    for _ in range(2):
        counts = count_files(digests(paths), CountOptions(), tmp_path)
        assert same(counts, count_calls(read_files(paths), CountOptions()))
    assert len(anew) == (3 if limit == "MAX_DISTINCT" else 1), "what is too large is found out once"


def test_files_with_the_same_bytes_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = partitions(tmp_path, table(business(60)), number=1)
    paths.append(tmp_path / "calls" / "copy.parquet")
    paths[1].write_bytes(paths[0].read_bytes())
    anew = counted_anew(monkeypatch)
    for _ in range(2):
        counts = count_files(digests(paths), CountOptions(), tmp_path)
        assert same(counts, count_calls(read_files(paths), CountOptions()))
    assert len(anew) == 1


@pytest.mark.slow
def test_the_page_has_the_same_bytes_with_kept_counts_whatever_is_set(tmp_path: Path) -> None:
    calls = table(business(600))
    calls = calls.append_column("queue", pa.array([f"queue {number % 7}" for number in range(calls.num_rows)]))
    paths = partitions(tmp_path, calls)
    footers = {path: footer for path in paths if (footer := read_footer(path))}
    changed = CountOptions(labels=2, completed=("busy",), missed=("failed",), fields=("queue",))
    for chosen in (CountOptions(labels=3, fields=("queue",)), changed):
        pages = []
        for kept in (True, False):
            if not kept:
                (tmp_path / kept_counts.FILE).unlink(missing_ok=True)
            publish_page(footers, tmp_path / FILE, chosen)
            pages.append((tmp_path / FILE).read_bytes())
        assert pages[0] == pages[1]
