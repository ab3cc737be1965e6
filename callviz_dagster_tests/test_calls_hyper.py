"""The extract: the rows, columns, types and times of `calls.csv`, published whole or not at all."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from callviz_dagster.assets import calls_hyper as hyper
from callviz_dagster.assets.calls_hyper import build_calls_hyper
from callviz_dagster.contract import LEADING
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import FileError
from callviz_dagster.table.manifest import merged
from callviz_dagster.table.read import published_columns
from callviz_dagster.tableau import extract
from callviz_dagster.tableau.extract import count_rows, write_extract
from callviz_dagster_tests.helpers.calls import DUCKDB_TYPES
from callviz_dagster_tests.helpers.refresh import failure, metadata
from callviz_dagster_tests.helpers.tableau import (
    KINDS,
    ZONE,
    calls_table,
    footer_of,
    passed,
    published_settings,
    run,
    write_calls,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not extract.installed(), reason="the extra hyper is not installed")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return published_settings(tmp_path)


def rows_of(path: Path) -> list[dict[str, Any]]:
    import pantab

    table: pa.Table = pantab.frame_from_hyper_query(path, 'SELECT * FROM "Extract"."Extract"', return_type="pyarrow")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_the_extract_holds_what_calls_csv_holds(settings: Settings) -> None:
    import duckdb

    result = run(settings, build_calls_hyper())
    assert result.success
    assert all(passed(result).values())
    csv = duckdb.execute(
        "SELECT * FROM read_csv(?, header=true, quote='\"', escape='\"', allow_quoted_nulls=false, columns="
        + str({name: DUCKDB_TYPES[kind] for name, kind in KINDS.items()})
        + ")",
        [str(settings.publish_dir / "calls.csv")],
    )
    names = [column[0] for column in csv.description or []]
    expected = [dict(zip(names, row, strict=True)) for row in csv.fetchall()]
    actual = rows_of(settings.publish_dir / "calls.hyper")
    # The CSV alone defuses texts that a spreadsheet would run.
    for row in expected:
        row["agent"] = row["agent"].removeprefix("'") if row["agent"] else row["agent"]
    assert actual == expected
    assert metadata(result, "calls_hyper")["dagster/row_count"] == len(expected)


def test_times_in_the_extract_are_local(settings: Settings) -> None:
    assert run(settings, build_calls_hyper()).success
    first, last = rows_of(settings.publish_dir / "calls.hyper")[0], rows_of(settings.publish_dir / "calls.hyper")[-1]
    assert first["start_time"] == dt.datetime(2024, 10, 26, 14)
    assert last["start_time"] == dt.datetime(2024, 10, 28, 20)


def test_hyper_leaves_no_files_behind(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert run(settings, build_calls_hyper()).success
    assert list(empty.iterdir()) == []
    names = {path.name for path in settings.publish_dir.iterdir()}
    assert names == {"calls.csv", "calls.hyper", "published.json"}


def test_an_error_in_the_middle_keeps_the_last_good_extract(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library takes an error in its input for the end of it."""
    assert run(settings, build_calls_hyper()).success
    before = (settings.publish_dir / "calls.hyper").read_bytes()
    real = extract._batches

    def broken(*arguments: Any) -> Iterator[pa.RecordBatch]:
        yield next(real(*arguments))
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(extract, "_batches", broken)
    result = run(settings, build_calls_hyper())
    assert not result.success
    assert not result.asset_materializations_for_node("calls_hyper")
    assert (settings.publish_dir / "calls.hyper").read_bytes() == before
    names = {path.name for path in settings.publish_dir.iterdir()}
    assert names == {"calls.csv", "calls.hyper", "published.json"}


def test_an_extract_that_lacks_rows_is_not_published(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyper, "count_rows", lambda path: count_rows(path) - 1)
    result = run(settings, build_calls_hyper())
    assert not all(passed(result).values())
    assert "11 of 12 calls are in the extract." in failure(result)
    assert not (settings.publish_dir / "calls.hyper").exists()


def test_partitions_with_different_columns_become_one_extract(tmp_path: Path) -> None:
    """A field that is a number in one partition and a text in another, or there in one of them alone."""
    earlier, later = calls_table(), calls_table(3).drop_columns(["agent"])
    later = later.set_column(later.schema.get_field_index("cost_usd"), "cost_usd", pa.array(["1.5 EUR", None, "2"]))
    later = later.add_column(later.num_columns - 1, "queue", pa.array([1, 2, None], pa.int64()))
    rows = extract_of(tmp_path, earlier, later)
    assert list(rows[0]) == [*(c.name for c in LEADING), "agent", "cost_usd", "answered", "queue", "repairs"]
    assert [row["cost_usd"] for row in rows[:3]] == ["0", "0.25", "0.5"]
    assert [row["cost_usd"] for row in rows[-3:]] == ["1.5 EUR", None, "2"]
    assert [row["queue"] for row in rows[-3:]] == [1, 2, None]
    assert [row["agent"] for row in rows[-3:]] == [None] * 3


@pytest.mark.parametrize("numbers_first", [False, True])
def test_a_field_that_is_always_null_in_one_partition_keeps_its_type(tmp_path: Path, numbers_first: bool) -> None:
    numbers = calls_table(3)
    nulls = calls_table(3).set_column(numbers.schema.get_field_index("cost_usd"), "cost_usd", pa.nulls(3, pa.string()))
    tables = (numbers, nulls) if numbers_first else (nulls, numbers)
    rows = extract_of(tmp_path, *tables, without_value={"cost_usd"})
    costs = [row["cost_usd"] for row in rows]
    assert sorted(costs, key=str) == [0.0, 0.25, 0.5, None, None, None]


@pytest.mark.parametrize("code", [0x1D800, 0x2D9C6, 0x8DE56, 0x10DFFF])
def test_a_column_that_hyper_refuses_is_named_with_its_characters(tmp_path: Path, code: int) -> None:
    calls = calls_table(1).rename_columns({"agent": f"agent {chr(code)}"})
    with pytest.raises(FileError, match=f"refuses a few rare characters .* column: agent <U\\+{code:04X}>. Rename"):
        extract_of(tmp_path, calls)


@pytest.mark.parametrize("code", [0x1D7FF, 0x1E000, 0xE000])
def test_the_characters_beside_them_are_names_of_columns(tmp_path: Path, code: int) -> None:
    calls = calls_table(1).rename_columns({"agent": f"agent {chr(code)}"})
    assert f"agent {chr(code)}" in extract_of(tmp_path, calls)[0]


def extract_of(folder: Path, *tables: pa.Table, without_value: frozenset[str] | set[str] = frozenset()) -> list[Any]:
    """Write tables as partitions of `calls`, and return the rows of their extract.

    A column of `without_value` that is empty in a table is known there to have had no value yet.
    """
    footers, paths = [], []
    for number, table in enumerate(tables):
        fields = [
            dataclasses.replace(field, kind=None)
            if field.name in without_value and table[field.name].null_count == table.num_rows
            else field
            for field in footer_of(table).fields
        ]
        footers.append(dataclasses.replace(footer_of(table), fields=tuple(fields)))
        paths.append(folder / f"{number}.parquet")
        write_calls(paths[-1], table, footers[-1])
    footer = merged(footers)
    assert footer is not None
    assert write_extract(folder / "calls.hyper", paths, published_columns(footer), ZONE) == footer.calls
    return rows_of(folder / "calls.hyper")
