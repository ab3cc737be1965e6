"""The record of what is published: which snapshot each file was made from, and which files do not belong together."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import stat_and_hash
from callviz_dagster.storage.published import (
    RECORD,
    InputFile,
    PublishedRecord,
    Snapshot,
    changed_files,
    cluster_time,
    read_record,
    record_file,
)
from callviz_dagster_tests.helpers.refresh import START, refresh, some_calls

FIRST = Snapshot([1_717_245_296, 3], "2024-06-01T12:34:56+00:00", "telephony.calls on db.example.net")
SECOND = dataclasses.replace(FIRST, cluster_time=[1_717_245_299, 1], time="2024-06-01T12:34:59+00:00")


def publish(folder: Path, name: str, text: str, made_from: dict[str, str], snapshot: Snapshot = FIRST) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    inputs = {source: InputFile(digest, snapshot.cluster_time) for source, digest in made_from.items()}
    record_file(stat_and_hash(folder / name), inputs, snapshot)


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    publish(tmp_path, "calls.csv", "one", {"calls/all.parquet": "a"})
    record = read_record(tmp_path)
    assert PublishedRecord.from_json(record.to_json()) == record
    assert record.snapshot == FIRST
    entry = record.files["calls.csv"]
    assert (entry.bytes, entry.sha256, entry.cluster_time) == (
        3,
        stat_and_hash(tmp_path / "calls.csv").sha256,
        [1_717_245_296, 3],
    )
    assert record.inputs("calls.csv") == {"calls/all.parquet": InputFile("a", [1_717_245_296, 3])}
    assert record.inputs("callviz.twbx") == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "\x00", '{"format_version": 99, "snapshot": {}, "files": {}}']
)
def test_a_record_of_another_version_or_a_damaged_one_counts_as_none_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text, encoding="utf-8")
    assert read_record(tmp_path) == PublishedRecord()
    publish(tmp_path, "calls.csv", "one", {"calls/all.parquet": "a"})
    assert list(read_record(tmp_path).files) == ["calls.csv"]


def test_files_that_were_made_from_the_same_calls_belong_together(tmp_path: Path) -> None:
    publish(tmp_path, "calls.csv", "one", {"calls/all.parquet": "a"})
    publish(tmp_path, "page.html", "page", {"calls/all.parquet": "a"})
    publish(tmp_path, "book.twbx", "book", {"calls.csv": stat_and_hash(tmp_path / "calls.csv").sha256})
    record = read_record(tmp_path)
    assert record.differing() == []
    assert changed_files(tmp_path, record) == []

    publish(tmp_path, "calls.csv", "two", {"calls/all.parquet": "b"}, SECOND)
    record = read_record(tmp_path)
    assert record.differing() == ["page.html", "book.twbx"]
    assert record.snapshot == SECOND

    publish(tmp_path, "page.html", "page", {"calls/all.parquet": "b"}, SECOND)
    assert read_record(tmp_path).differing() == ["book.twbx"]


def test_a_file_made_from_two_that_do_not_belong_together_is_found(tmp_path: Path) -> None:
    publish(tmp_path, "calls.hyper", "extract", {"calls/all.parquet": "a"})
    publish(tmp_path, "calls.csv", "two", {"calls/all.parquet": "b"}, SECOND)
    sources = {name: stat_and_hash(tmp_path / name).sha256 for name in ("calls.csv", "calls.hyper")}
    publish(tmp_path, "book.twbx", "book", sources, SECOND)
    assert read_record(tmp_path).differing() == ["calls.hyper", "book.twbx"]


@pytest.mark.parametrize("seconds_before", [0, 60])
def test_a_file_that_is_changed_after_this_process_published_it_is_found(seconds_before: int, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("one", encoding="utf-8")
    modified = time.time() - seconds_before
    os.utime(path, (modified, modified))
    record = record_file(stat_and_hash(path), {}, FIRST)
    assert changed_files(tmp_path, record) == []
    path.write_text("won", encoding="utf-8")
    assert changed_files(tmp_path, record) == ["calls.csv"]
    path.write_text("one", encoding="utf-8")
    assert changed_files(tmp_path, record) == []


def test_a_file_that_is_not_the_one_in_the_record_is_found(tmp_path: Path) -> None:
    publish(tmp_path, "calls.csv", "one", {"calls/all.parquet": "a"})
    publish(tmp_path, "page.html", "page", {"calls/all.parquet": "a"})
    (tmp_path / "calls.csv").write_text("won", encoding="utf-8")
    (tmp_path / "page.html").unlink()
    assert changed_files(tmp_path, read_record(tmp_path)) == ["calls.csv", "page.html"]
    publish(tmp_path, "calls.csv", "two", {"calls/all.parquet": "a"})
    assert list(read_record(tmp_path).files) == ["calls.csv"], "a file that is gone is left out"


def test_cluster_times_are_read_from_manifests() -> None:
    assert cluster_time("Timestamp(1717245296, 3)") == [1_717_245_296, 3]
    assert cluster_time("") is None


def test_a_refresh_records_each_file_with_the_snapshot_that_it_was_made_from(
    settings: Settings, collection: Collection[dict[str, Any]]
) -> None:
    some_calls(collection)
    assert refresh(
        settings, "raw_calls", "calls", "rejected_calls", "calls_csv", "call_dashboard", "callviz_workbook"
    ).success
    data = json.loads((settings.publish_dir / RECORD).read_text(encoding="utf-8"))
    manifest = json.loads((settings.data_dir / "raw_calls" / "all.json").read_text(encoding="utf-8"))
    assert data["format_version"] == 1
    assert data["snapshot"]["cluster_time"] == cluster_time(manifest["cluster_time"])
    assert data["snapshot"]["source"] == manifest["source"]
    assert data["files"].keys() == {"calls.csv", "call_dashboard.html", "callviz.twbx"}
    for name, entry in data["files"].items():
        assert entry["sha256"] == stat_and_hash(settings.publish_dir / name).sha256
        assert entry["bytes"] == (settings.publish_dir / name).stat().st_size
        assert entry["cluster_time"] == cluster_time(manifest["cluster_time"])
    calls = stat_and_hash(settings.data_dir / "calls" / "all.parquet").sha256
    assert data["files"]["calls.csv"]["made_from"]["calls/all.parquet"]["sha256"] == calls
    assert data["files"]["call_dashboard.html"]["made_from"]["calls/all.parquet"]["sha256"] == calls
    assert data["files"]["callviz.twbx"]["made_from"]["calls.csv"]["sha256"] == data["files"]["calls.csv"]["sha256"]

    collection.insert_one({"_id": "new", "start_time": START})
    assert refresh(settings, "raw_calls", "calls", "rejected_calls").success
    assert json.loads((settings.publish_dir / RECORD).read_text(encoding="utf-8")) == data, "nothing was published"
    assert refresh(settings, "calls_csv").success
    assert read_record(settings.publish_dir).differing() == ["call_dashboard.html", "callviz.twbx"]
