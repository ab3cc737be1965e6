"""A whole refresh through Dagster on a real collection: rows, files, checks, metadata, and faults that lose nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import bson
import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymongo.collection import Collection

from callviz_dagster.contract import LEADING, table_columns, table_schema
from callviz_dagster.demo.sample_calls import seed_collection
from callviz_dagster.names import ASSETS
from callviz_dagster.notebook import load_calls
from callviz_dagster.settings import PRECEDENCE, Settings
from callviz_dagster.table.manifest import read_footer
from callviz_dagster.table.volume import ACCEPT_DROP_TAG
from callviz_dagster_tests.helpers.refresh import (
    START,
    Document,
    checks,
    failure,
    files,
    metadata,
    refresh,
    refresh_job,
    some_calls,
)


def test_every_document_is_a_row_or_rejected(settings: Settings, collection: Collection[Document]) -> None:
    seed_collection(collection, 5_000, seed=7, end=dt.date(2025, 6, 1))
    result = refresh(dataclasses.replace(settings, timezone="Europe/Berlin"))
    assert result.success
    assert {name: e.passed for name, e in checks(result).items() if e.severity is dg.AssetCheckSeverity.ERROR} == {
        "archive_complete": True,
        "volume_stable": True,
        "every_document_accounted_for": True,
        "rejected_within_limit": True,
        "schema_holds": True,
        "ids_unique": True,
        "calls_in_one_partition": True,
        "csv_reads_back": True,
    }
    rejected = pq.read_table(settings.data_dir / "rejected_calls" / "all.parquet").to_pylist()
    assert rejected, "the sample has documents that must be rejected"
    in_mongodb = {str(document["_id"]): document for document in collection.find()}
    rows = duckdb.read_csv(str(settings.publish_dir / "calls.csv"), all_varchar=True).df()
    assert set(rows["_id"]) == in_mongodb.keys() - {row["_id"] for row in rejected}
    assert len(rows) == len(in_mongodb) - len(rejected)
    for row in rejected:
        assert bson.json_util.loads(row["document"])["_id"] == in_mongodb[row["_id"]]["_id"]


def test_archive_is_read_by_another_bson_reader_and_equals_the_collection(
    settings: Settings, collection: Collection[Document]
) -> None:
    seed_collection(collection, 3_000, seed=7, end=dt.date(2025, 6, 1))
    assert refresh(settings, "raw_calls").success
    archive = settings.data_dir / "raw_calls" / "all.bson.zst"
    with pa.input_stream(str(archive), compression="zstd") as stream:
        archived = list(bson.decode_file_iter(io.BytesIO(stream.read())))
    assert archived == list(collection.find().sort("_id"))
    assert archive.stat().st_mode & 0o777 == 0o600
    manifest = json.loads((settings.data_dir / "raw_calls" / "all.json").read_text(encoding="utf-8"))
    assert manifest["documents"] == manifest["counted"] == 3_000
    assert manifest["point_in_time"] is True


def test_times_are_local_in_the_csv_and_utc_in_the_frame(settings: Settings, collection: Collection[Document]) -> None:
    some_calls(collection, 4)
    berlin = dataclasses.replace(settings, timezone="Europe/Berlin")
    assert refresh(berlin).success
    lines = (settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '"_id","call_type","status","start_time","end_time","duration_sec","call_date","call_weekday",' \
        '"call_hour","caller","repairs"'  # fmt: skip
    assert lines[1:] == [
        '"0","incoming","completed",2024-03-31 00:30:00,2024-03-31 00:31:30,90,2024-03-31,"Sunday",0,"+49300000000",""',
        '"1","incoming","completed",2024-03-31 01:30:00,2024-03-31 01:31:30,90,2024-03-31,"Sunday",1,"+49300000001",""',
        '"2","incoming","completed",2024-03-31 03:30:00,2024-03-31 03:31:30,90,2024-03-31,"Sunday",3,"+49300000002",""',
        '"3","incoming","completed",2024-03-31 04:30:00,2024-03-31 04:31:30,90,2024-03-31,"Sunday",4,"+49300000003",""',
    ]
    frame = load_calls(berlin)
    assert frame["start_time"].iloc[0] == pd.Timestamp(START)
    assert frame["call_hour"].tolist() == [0, 1, 3, 4]
    assert list(frame.columns[: len(LEADING)]) == [column.name for column in LEADING]


def test_materializations_tell_what_a_person_asks(settings: Settings, collection: Collection[Document]) -> None:
    some_calls(collection)
    collection.insert_one({"_id": "odd", "start_time": "yesterday", "agent": {"name": "Ann"}})
    result = refresh(dataclasses.replace(settings, max_rejected=0.5))
    assert result.success
    for asset, rows in {"raw_calls": 11, "calls": 10, "rejected_calls": 1, "calls_csv": 10}.items():
        shown = metadata(result, asset)
        assert shown["dagster/row_count"] == rows
        path = Path(urllib.request.url2pathname(urlparse(shown["dagster/uri"]).path))
        assert path.is_absolute()
        assert shown["bytes"] == path.stat().st_size
        assert len(shown["sha256"]) == 64
        assert shown["seconds"] >= 0
        assert shown["documents per second"] > 0
        assert shown["snapshot time"] > 1_700_000_000
    shown = metadata(result, "calls")
    columns = {column.name: column.description for column in shown["dagster/column_schema"].columns}
    assert [*columns][-3:] == ["caller", "agent_name", "repairs"]
    described = {name for name, description in columns.items() if description}
    defined = {column.name for column in table_schema(table_columns(())).columns if column.description}
    assert {*columns} - described - defined == {"caller"}, "its name says it all"
    assert shown["rejected"] == 1
    assert shown["fields used"].splitlines()[0] == "|role|field|unit (how it is known)|recognized|documents by field|"
    assert r"|duration|duration\_sec|s (by name)|by name and data|duration\_sec: 10|" in shown["fields used"]
    footer = read_footer(settings.data_dir / "calls" / "all.parquet")
    assert footer is not None
    assert footer.fields_used["duration"] == "duration_sec, s (by name)"
    lineage = shown["dagster/column_lineage"].deps_by_column
    assert {dep.column_name for dep in lineage["duration_sec"]} == {"duration_sec", "start_time", "end_time"}
    assert [dep.column_name for dep in lineage["agent_name"]] == ["agent.name"]
    assert "caller" not in lineage, "a field under its own name"
    for asset in ("raw_calls", "calls_csv"):
        assert collection.database.name in metadata(result, asset)["source"]


def test_the_same_data_gives_the_same_bytes_and_data_versions(
    settings: Settings, collection: Collection[Document]
) -> None:
    seed_collection(collection, 2_000, seed=3, end=dt.date(2025, 6, 1))
    versions = data_versions(refresh_job(settings))
    first = (settings.publish_dir / "calls.csv").read_bytes()
    assert data_versions(refresh_job(settings)) == versions, "so that nothing further on is refreshed"
    assert (settings.publish_dir / "calls.csv").read_bytes() == first
    collection.update_one({}, {"$set": {"status": "missed", "start_time": None}})
    changed = data_versions(refresh_job(settings))
    assert {asset for asset in versions if changed[asset] == versions[asset]} == set()


def data_versions(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return the data version of each file of a refresh."""
    assert result.success
    events = [event.materialization for event in result.get_asset_materialization_events()]
    tags = {event.asset_key.to_user_string(): event.tags or {} for event in events}
    versions = {asset: tags[asset].get("dagster/data_version", "") for asset in {*tags}.intersection(ASSETS)}
    assert {*versions} >= {"raw_calls", "calls", "rejected_calls", "calls_csv", "call_dashboard", "callviz_workbook"}
    assert all("dagster/data_version_is_user_provided" in tags[asset] for asset in versions)
    return versions


def test_too_many_rejected_documents_leave_the_last_good_files(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    before = files(settings)
    collection.insert_many([{"_id": f"bad-{n}", "start_time": "soon"} for n in range(5)])
    result = refresh(settings)
    assert not result.success
    assert "5 of 15 documents rejected (33.33%; the limit is 5.00%)" in failure(result)
    assert "cannot be read as a time" in failure(result)
    after = files(settings)
    for name in (settings.publish_dir / "calls.csv", settings.data_dir / "calls" / "all.parquet"):
        assert after[str(name)] == before[str(name)]
    assert not checks(result)["rejected_within_limit"].passed
    rejected = pq.read_table(settings.data_dir / "rejected_calls" / "all.parquet")
    assert rejected.column("_id").to_pylist() == [f"bad-{n}" for n in range(5)], "they are there to look at"


def test_empty_collection_publishes_a_header_and_warns(settings: Settings, collection: Collection[Document]) -> None:
    some_calls(collection)
    assert refresh(settings).success
    collection.delete_many({})
    result = refresh_job(settings, tags={ACCEPT_DROP_TAG: "0"})
    assert result.success
    warning = checks(result)["collection_not_empty"]
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    lines = (settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert lines[0].endswith('"caller","repairs"'), "columns stay"


def test_missing_collection_is_an_error_and_the_last_good_files_stay(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    before = files(settings)
    collection.drop()
    result = refresh(settings)
    assert not result.success
    assert "has no" in failure(result)
    assert files(settings) == before


def test_wrong_host_is_told_in_a_sentence(settings: Settings) -> None:
    away = dataclasses.replace(settings, mongo_uri="mongodb://bob:hunter22@127.0.0.1:9/?serverSelectionTimeoutMS=300")
    result = refresh(away, "raw_calls")
    assert not result.success
    assert failure(result).startswith("MongoDB did not answer: 127.0.0.1:9")
    assert failure(result).endswith(PRECEDENCE), "for a corrected .env does not reach a running `dagster dev`"
    assert "hunter22" not in "".join(str(event) for event in result.all_events)


def test_no_recognized_start_time_names_the_candidates(settings: Settings, collection: Collection[Document]) -> None:
    collection.insert_many([{"_id": n, "startedAt": "soon", "who": "x"} for n in range(3)])
    result = refresh(settings)
    assert not result.success
    assert "startedAt (in 3 of 3 documents, for example soon)" in failure(result)
    assert "CALLVIZ_FIELD_START_TIME" in failure(result)


def test_changed_time_zone_asks_for_calls_to_be_made_again(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    result = refresh(dataclasses.replace(settings, timezone="Asia/Tokyo"), "calls_csv")
    assert not result.success
    assert "materialize calls again" in failure(result)


def test_missing_archive_names_the_asset_to_materialize(settings: Settings) -> None:
    result = refresh(settings, "calls", "rejected_calls")
    assert not result.success
    assert "materialize raw_calls first" in failure(result)


def test_archive_of_another_read_than_the_manifest_is_not_published(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    before = (settings.data_dir / "calls" / "all.parquet").read_bytes()
    manifest = (settings.data_dir / "raw_calls" / "all.json").read_text(encoding="utf-8")
    collection.delete_one({"_id": 3})
    assert refresh(settings, "raw_calls").success
    (settings.data_dir / "raw_calls" / "all.json").write_text(manifest, encoding="utf-8")
    result = refresh(settings, "calls", "rejected_calls")
    assert not result.success
    assert "materialize raw_calls again" in failure(result)
    assert (settings.data_dir / "calls" / "all.parquet").read_bytes() == before


def test_unwritable_folder_is_told(settings: Settings, collection: Collection[Document], tmp_path: Path) -> None:
    some_calls(collection)
    (tmp_path / "file").write_bytes(b"")
    result = refresh(dataclasses.replace(settings, publish_dir=tmp_path / "file"))
    assert not result.success
    assert "CALLVIZ_PUBLISH_DIR" in failure(result)


def test_facts_name_what_was_rejected_and_repaired(settings: Settings, collection: Collection[Document]) -> None:
    some_calls(collection, 98)
    collection.insert_one({"_id": "iso", "start_time": "2024-03-30T23:30:00Z", "status": "NO ANSWER"})
    collection.insert_one({"_id": "odd"})
    assert refresh(settings).success
    footer = read_footer(settings.data_dir / "calls" / "all.parquet")
    assert footer is not None
    assert (footer.documents, footer.calls, footer.rejected, footer.repaired_rows) == (100, 99, 1, 1)
    assert footer.rejected_reasons == {"start_missing": 1}
    assert footer.repairs["start_time: text read as a time"] == 1


def test_long_reads_tell_their_progress(
    settings: Settings,
    collection: Collection[Document],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", 100)
    monkeypatch.setattr("callviz_dagster.progress.Progress.every_seconds", 0.0)
    some_calls(collection, 1000)
    result = refresh(settings, "raw_calls")
    assert result.success
    lines = [line for line in capfd.readouterr().err.splitlines() if "of about 1,000 documents" in line]
    assert len(lines) == 10
    assert re.search(r"Reading: 500 of about 1,000 documents, [\d,]+ a second, about \d+ s left$", lines[4])


@pytest.mark.parametrize(
    "saved",
    [
        lambda good: good.replace(b"completed", "caf\u00e9".encode("cp1252")),
        lambda good: b"\xef\xbb\xbf" + good.replace(b",", b";").replace(b"\n", b"\r\n"),
        lambda good: good.replace(b'"caller"', b'"status"', 1),
        lambda good: b"PK\x03\x04 a spreadsheet",
        lambda good: b"",
    ],
    ids=["cp1252", "byte order mark and semicolons", "doubled name", "spreadsheet", "empty"],
)
def test_a_calls_csv_that_a_spreadsheet_program_has_saved_is_replaced(
    saved: Callable[[bytes], bytes], settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    path = settings.publish_dir / "calls.csv"
    good = path.read_bytes()
    path.write_bytes(saved(good))
    collection.insert_one({"_id": "new", "start_time": START})
    result = refresh(settings)
    assert result.success
    assert metadata(result, "calls_csv")["rows added"].startswith("unknown: another program has changed the last")
    assert path.read_bytes().startswith(good[:50])
    assert path.read_bytes().count(b"\n") == good.count(b"\n") + 1


def test_a_byte_order_mark_is_written_where_it_is_asked_for(
    settings: Settings, collection: Collection[Document]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    plain = (settings.publish_dir / "calls.csv").read_bytes()
    marked = dataclasses.replace(settings, csv_bom=True)
    result = refresh(marked, "calls_csv", "callviz_workbook")
    assert result.success, failure(result)
    assert (settings.publish_dir / "calls.csv").read_bytes() == b"\xef\xbb\xbf" + plain
    unchanged = {name: metadata(result, "calls_csv")[f"rows {name}"] for name in ("added", "changed", "removed")}
    assert unchanged == {"added": 0, "changed": 0, "removed": 0}
    assert refresh(settings, "calls_csv").success
    assert (settings.publish_dir / "calls.csv").read_bytes() == plain


def test_a_record_of_another_version_lets_all_lines_be_encoded_anew(
    settings: Settings, collection: Collection[Document], capfd: pytest.CaptureFixture[str]
) -> None:
    some_calls(collection)
    assert refresh(settings).success
    good = (settings.publish_dir / "calls.csv").read_bytes()
    record = settings.data_dir / "calls_csv.json"
    for text, reason in (
        (
            record.read_text(encoding="utf-8").replace('"format_version": 1', '"format_version": 99'),
            "version 99, not 1",
        ),
        ("\x00", "of another version, or damaged"),
    ):
        record.write_text(text, encoding="utf-8")
        capfd.readouterr()
        assert refresh(settings, "calls_csv").success
        assert f"{reason}, so all lines of calls.csv are encoded again." in capfd.readouterr().err
        assert (settings.publish_dir / "calls.csv").read_bytes() == good
