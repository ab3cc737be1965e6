"""Damaged files and records of another version: one sentence says what to do, and the next refresh makes them anew."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import FileError
from callviz_dagster.table.manifest import read_footer
from callviz_dagster.table.read import published_columns, rows
from callviz_dagster_tests.helpers.calls import FOOTER, business, table, write
from callviz_dagster_tests.helpers.refresh import failure, files, refresh, some_calls
from callviz_dagster_tests.test_partitioned_refresh import DAYS, calls_of_ten_days, daily, ids, refresh_range

__all__ = ["daily"]

Document = dict[str, Any]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zeros_in_the_middle(path: Path) -> None:
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[: half - 300] + bytes(300) + content[half:])


def _no_json(path: Path) -> None:
    path.write_text("{", encoding="utf-8")


def _other_version(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"format_version": 99}), encoding="utf-8")


def _other_fields(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({"format_version": record["format_version"], "fields": 1}), encoding="utf-8")


PARQUET = [_cut, _empty, _zeros_in_the_middle]
RECORD = [_no_json, _empty, _other_version, _other_fields]
DAMAGES = [
    *(("calls/{}.parquet", damage, "calls_csv", "calls") for damage in PARQUET),
    *(("raw_calls/{}.bson.zst", damage, "calls", "raw_calls") for damage in (_cut, _zeros_in_the_middle)),
    *(("raw_calls/{}.json", damage, "calls", "raw_calls") for damage in RECORD),
]
NAMES = [f"{path} {damage.__name__}" for path, damage, _, _ in DAMAGES]


def _sentence(result: dg.ExecuteInProcessResult) -> str:
    """Return the message of a refresh that failed as it is meant to, not by an error of the program."""
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert event.step_failure_data.user_failure_data is not None, event.step_failure_data.error
    return failure(result)


@pytest.mark.each_case
@pytest.mark.parametrize(("path", "damage", "asset", "remedy"), DAMAGES, ids=NAMES)
def test_a_damaged_file_is_named_with_its_remedy_and_the_next_refresh_heals_it(
    path: str,
    damage: Callable[[Path], None],
    asset: str,
    remedy: str,
    settings: Settings,
    collection: Collection[Document],
) -> None:
    some_calls(collection, 3000)
    assert refresh(settings).success
    good = files(settings)
    damage(settings.data_dir / path.format("all"))
    selected = ("calls", "rejected_calls") if asset == "calls" else ("calls_csv",)
    sentence = _sentence(refresh(settings, *selected))
    assert "all." in sentence
    assert re.search(rf"materialize {remedy} again", sentence)
    published = str(settings.publish_dir / "calls.csv")
    assert files(settings)[published] == good[published]
    assert refresh(settings).success
    assert files(settings)[published] == good[published]


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("calls/{}.parquet", _cut),
        ("raw_calls/{}.json", _other_version),
        *(pytest.param("raw_calls/{}.json", damage, marks=pytest.mark.long) for damage in (_no_json, _empty)),
        pytest.param("calls/{}.parquet", _empty, marks=pytest.mark.long),
        pytest.param("raw_calls/{}.json", _other_fields, marks=pytest.mark.long),
    ],
)
def test_a_damaged_partition_is_refreshed_with_others_though_nothing_in_it_has_changed(
    path: str, damage: Callable[[Path], None], daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    assert refresh_range(daily, DAYS[0], DAYS[-1]).success
    before = ids(daily)
    damage(daily.data_dir / path.format(DAYS[4]))
    collection.update_one({"_id": "7-0"}, {"$set": {"status": "busy"}})
    assert refresh_range(daily, DAYS[0], DAYS[-1], only=DAYS[7]).success
    assert ids(daily) == before
    assert refresh(daily, "calls_csv").success


@pytest.mark.parametrize(
    "damage",
    [_other_version, *(pytest.param(one, marks=pytest.mark.long) for one in RECORD if one is not _other_version)],
)
def test_what_is_covered_is_counted_again_where_the_counts_cannot_be_read(
    damage: Callable[[Path], None], daily: Settings, collection: Collection[Document]
) -> None:
    calls_of_ten_days(collection)
    assert refresh_range(daily, DAYS[0], DAYS[-1]).success
    damage(daily.data_dir / "raw_calls" / "coverage.json")
    assert "not known which partitions have documents" in _sentence(refresh(daily, "calls_csv"))
    assert refresh_range(daily, DAYS[0], DAYS[-1], only=DAYS[7]).success


def test_no_damage_at_the_end_of_a_parquet_file_changes_what_is_read(tmp_path: Path) -> None:
    """Pages have checksums; names and types of columns have none, and must be those that the file records."""
    path = tmp_path / "2024-05.parquet"
    write(path, table(business(20)), FOOTER)
    content, columns = path.read_bytes(), published_columns(FOOTER)
    before = [*rows([path], columns, FOOTER.timezone)]
    end = len(content) - int.from_bytes(content[-8:-4], "little") - 8
    for place in range(end, len(content), 17):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        if (footer := read_footer(path)) and footer.calls == 20:
            with contextlib.suppress(FileError):
                read = [*rows([path], columns, FOOTER.timezone)]
                assert read == before or sum(batch.num_rows for batch in read) != 20, f"byte {place}"
