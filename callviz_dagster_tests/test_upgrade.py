"""Data folders that version 0.1.0 wrote: this version takes over what it can read, and makes the rest anew."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.automation.decisions import Cursor
from callviz_dagster.automation.poll import poll
from callviz_dagster.mongodb.changes import read_changes
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.partitions import WHOLE
from callviz_dagster.settings import Settings
from callviz_dagster.storage.archive import digest_of_archive
from callviz_dagster.table.manifest import read_footer, read_manifest
from callviz_dagster_tests.helpers.refresh import failure, files, refresh
from callviz_dagster_tests.helpers.version_0_1_0 import FOLDER, MONTHS, data_folder
from callviz_dagster_tests.test_partitioned_refresh import refresh_range

Document = dict[str, Any]


def rows_without_repairs(path: Path) -> list[list[str]]:
    """Return the header and the rows of `calls.csv` without `repairs`, the last column: its wording has changed."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [row[:-1] for row in csv.reader(lines)]


def test_a_refresh_keeps_columns_labels_and_values(
    settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    settings = data_folder("whole", settings, collection)
    before = rows_without_repairs(settings.publish_dir / "calls.csv")
    footer_before = read_footer(WHOLE.calls(settings.data_dir))
    assert footer_before
    archived_before = digest_of_archive(WHOLE.archive(settings.data_dir))
    assert read_manifest(WHOLE.manifest(settings.data_dir)) is None
    assert refresh(settings).success
    log = capfd.readouterr().err
    assert "calls_csv.json is of another version, or damaged, so all lines of calls.csv are encoded again." in log
    assert "Traceback" not in log
    assert rows_without_repairs(settings.publish_dir / "calls.csv") == before
    assert "legacy_line" in before[0], "no document has it any more"
    footer, manifest = read_footer(WHOLE.calls(settings.data_dir)), read_manifest(WHOLE.manifest(settings.data_dir))
    assert footer
    assert manifest
    assert [column.name for column in footer.fields] == [column.name for column in footer_before.fields]
    assert digest_of_archive(WHOLE.archive(settings.data_dir)) == archived_before


def test_labels_that_no_document_has_any_more_stay_known(settings: Settings, collection: Collection[Document]) -> None:
    settings = data_folder("whole", settings, collection)
    collection.update_many({"status": "transferred"}, {"$set": {"status": "busy"}})
    assert refresh(settings).success
    footer = read_footer(WHOLE.calls(settings.data_dir))
    assert footer
    assert "transferred" in footer.labels["status"]


def test_calls_csv_alone_is_made_from_a_table_of_0_1_0(settings: Settings, collection: Collection[Document]) -> None:
    settings = data_folder("whole", settings, collection)
    published = settings.publish_dir / "calls.csv"
    before = published.read_bytes()
    assert refresh(settings, "calls_csv").success
    assert published.read_bytes() == before


@pytest.mark.each_case
@pytest.mark.parametrize(
    ("name", "assets", "sentence"),
    [
        (
            "whole",
            ("calls", "rejected_calls"),
            "all.json is damaged, or was written by another version of callviz; materialize raw_calls again.",
        ),
        ("partitioned", ("calls_csv",), "It is not known which partitions have documents: refresh 2024-01-01..."),
    ],
)
def test_records_of_0_1_0_that_cannot_be_read_are_named_with_the_remedy(
    name: str, assets: tuple[str, ...], sentence: str, settings: Settings, collection: Collection[Document]
) -> None:
    settings = data_folder(name, settings, collection)
    before = files(settings)
    result = refresh(settings, *assets)
    assert sentence in failure(result)
    published = str(settings.publish_dir / "calls.csv")
    assert files(settings)[published] == before[published]


def test_a_refresh_of_one_partition_makes_all_of_another_version_anew(
    settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    settings = data_folder("partitioned", settings, collection)
    before = rows_without_repairs(settings.publish_dir / "calls.csv")
    assert refresh_range(settings, MONTHS[0], MONTHS[-1], only=MONTHS[3]).success
    log = capfd.readouterr().err
    assert (
        "Refreshed too, because their files are missing, damaged, of another version of callviz or not made from each "
        "other: 2024-01-01...2024-03-01." in log
    )
    assert "Traceback" not in log
    assert rows_without_repairs(settings.publish_dir / "calls.csv") == before


def moved_cursor(name: str, settings: Settings, collection: Collection[Document]) -> str:
    """Return a cursor of 0.1.0, carried over to the server of the test: its place in the change stream is of now."""
    data = json.loads((FOLDER / name / "cursor.json").read_text(encoding="utf-8"))
    data |= {
        "source": f"{settings.database}.{settings.mongo_collection}",
        "token": read_changes(collection, None, "").token,
        "last_change": None,
        "process": "",
    }
    return json.dumps(data)


def test_the_sensor_continues_from_its_cursor(settings: Settings, collection: Collection[Document]) -> None:
    settings = data_folder("partitioned", settings, collection)
    cursor = Cursor.from_json(moved_cursor("partitioned", settings, collection))
    assert cursor.polled
    assert cursor.requested
    assert list(cursor.requested.keys) == MONTHS
    collection.insert_one({"_id": "new", "start_time": dt.datetime(2024, 2, 3), "status": "busy"})
    polled = poll(cursor, MongoDB(settings), settings, dt.datetime.now(dt.UTC)).cursor
    assert list(polled.pending) == ["2024-02-01"]
    assert polled.full_refresh == ""
    assert polled.requested == cursor.requested


def test_changes_that_were_pending_are_pending_still(settings: Settings, collection: Collection[Document]) -> None:
    settings = data_folder("whole", settings, collection)
    cursor = Cursor.from_json(moved_cursor("whole", settings, collection))
    polled = poll(cursor, MongoDB(settings), settings, dt.datetime.now(dt.UTC)).cursor
    assert polled.pending == cursor.pending != {}
    assert polled.waiting_since == cursor.waiting_since != ""
    assert polled.full_refresh == ""
