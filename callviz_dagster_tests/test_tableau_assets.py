"""The Tableau assets: workbook and extract are published whole or not at all, and the graph shows what is in them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import importlib.util
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster_tableau.translator import (
    DagsterTableauTranslator,
    TableauContentData,
    TableauContentType,
    TableauTranslatorData,
    TableauWorkspaceData,
)

from callviz_dagster.assets import calls_hyper as hyper
from callviz_dagster.assets.calls_hyper import calls_hyper, count_rows, hyper_assets, published_columns
from callviz_dagster.assets.callviz_workbook import CHECK, build_callviz_workbook, unreadable
from callviz_dagster.assets.tableau import tableau_specs, workbook_specs
from callviz_dagster.contract import LEADING, Kind
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.tableau.workbook import SHEETS, packed, read
from callviz_dagster_tests.helpers.tableau import (
    KINDS,
    SCHEMA_VERSIONS,
    ZONE,
    calls_table,
    publish,
    schema_errors,
    workbook_xml,
)

UPSTREAM = [dg.AssetSpec("calls"), dg.AssetSpec("calls_csv", deps=["calls"])]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose folders hold published calls; no MongoDB is needed here."""
    made = Settings(data_dir=tmp_path / "data", publish_dir=tmp_path / "publish", timezone=ZONE)
    publish(made)
    return made


def run(settings: Settings, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*UPSTREAM, *assets],
        selection=dg.AssetSelection.assets(*assets),
        resources={"settings": settings},
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    assert data.user_failure_data is not None
    return data.user_failure_data.description or ""


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (one,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in one.metadata.items()}


def twbx(settings: Settings) -> Path:
    return settings.publish_dir / "callviz.twbx"


# callviz_workbook


def test_packs_the_workbook_with_the_current_calls(settings: Settings) -> None:
    result = run(settings, build_callviz_workbook())
    assert result.success
    assert checks(result) == {CHECK: True}
    with zipfile.ZipFile(twbx(settings)) as archive:
        assert archive.namelist() == ["callviz.twb", "Data/calls/calls.csv"]
        assert archive.read("Data/calls/calls.csv") == (settings.publish_dir / "calls.csv").read_bytes()
        inside = archive.read("callviz.twb")
    assert inside == packed(workbook_xml(), KINDS)
    told = metadata(result, "callviz_workbook")
    assert told["sheets"] == ", ".join(SHEETS)
    assert told["dashboards"] == "Calls Overview"
    assert told["sha256"] == hashlib.sha256(twbx(settings).read_bytes()).hexdigest()
    assert told["bytes"] == twbx(settings).stat().st_size
    assert told["path"] == str(twbx(settings))


@pytest.mark.parametrize("version", SCHEMA_VERSIONS)
def test_the_workbook_inside_is_valid(settings: Settings, version: str) -> None:
    assert run(settings, build_callviz_workbook()).success
    with zipfile.ZipFile(twbx(settings)) as archive:
        assert schema_errors(archive.read("callviz.twb"), version) == []


def test_other_peoples_readers_open_the_package(settings: Settings) -> None:
    from py_tbparse import TwbParser
    from tableaudocumentapi import Workbook

    assert run(settings, build_callviz_workbook()).success
    book = Workbook(str(twbx(settings)))
    assert [one.caption for one in book.datasources] == ["", "calls"]
    assert book.worksheets[:5] == list(SHEETS)
    manifest = TwbParser(str(twbx(settings))).get_twbx_manifest()
    assert "Data/calls/calls.csv" in manifest.to_string()


def test_the_same_calls_give_the_same_bytes(settings: Settings) -> None:
    assert run(settings, build_callviz_workbook()).success
    first = twbx(settings).read_bytes()
    os.utime(settings.publish_dir / "calls.csv", (0, 0))
    assert run(settings, build_callviz_workbook()).success
    assert twbx(settings).read_bytes() == first


def test_the_workbook_itself_is_never_written(settings: Settings) -> None:
    before = workbook_xml()
    assert run(settings, build_callviz_workbook()).success
    assert workbook_xml() == before
    assert sorted(path.name for path in settings.publish_dir.iterdir()) == [
        "calls.csv",
        "callviz.twbx",
        "published.json",
    ]


@pytest.mark.parametrize("column", ["duration_sec", "status"])
def test_a_column_that_is_gone_keeps_the_last_good_file(settings: Settings, column: str) -> None:
    assert run(settings, build_callviz_workbook()).success
    before = twbx(settings).read_bytes()
    (settings.data_dir / "calls" / "all.parquet").unlink()
    publish(settings, calls_table().drop_columns([column]))
    result = run(settings, build_callviz_workbook())
    assert not result.success
    assert checks(result) == {CHECK: False}
    assert not result.asset_materializations_for_node("callviz_workbook")
    told = failure(result)
    assert f"sheet Calls by Status: uses {column}, " in told or f"sheet Duration Histogram: uses {column}, " in told
    assert told.endswith(f"{twbx(settings)} was left as it was.")
    assert twbx(settings).read_bytes() == before
    assert sorted(path.name for path in settings.publish_dir.iterdir()) == [
        "calls.csv",
        "callviz.twbx",
        "published.json",
    ]


def test_a_value_that_the_pinned_type_cannot_hold_is_told(settings: Settings) -> None:
    path = settings.publish_dir / "calls.csv"
    path.write_bytes(path.read_bytes().replace(b",37.5,", b",soon,", 1))
    result = run(settings, build_callviz_workbook())
    assert checks(result) == {CHECK: False}
    assert "calls.csv: a value does not read as the type that the workbook pins" in failure(result)
    assert "soon" in failure(result)
    assert not twbx(settings).exists()


def test_values_are_read_whatever_their_length(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text('"note","seconds"\n' + f'"{"x" * (9 << 20)}",1\n' + '"y",2.5\n', newline="")
    assert unreadable(path, {"note": "string", "seconds": "real"}) == []
    assert unreadable(path, {"note": "string", "seconds": "integer"}) != []


def test_without_calls_csv_it_says_what_to_do(settings: Settings) -> None:
    (settings.publish_dir / "calls.csv").unlink()
    assert "materialize calls_csv first" in failure(run(settings, build_callviz_workbook()))


def test_a_users_own_workbook_is_packed_instead(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "mine.twb"
    own.write_bytes(workbook_xml().replace(b"Daily Calls", b"Calls a Day"))
    mine = dataclasses.replace(settings, workbook=own)
    result = run(mine, build_callviz_workbook())
    assert result.success
    assert "Calls a Day" in metadata(result, "callviz_workbook")["sheets"]
    assert own.read_bytes() == workbook_xml().replace(b"Daily Calls", b"Calls a Day")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "CALLVIZ_WORKBOOK names "),
        (b"not a workbook", "is not well-formed XML"),
        (b"<workbook/>", "no data source reads the text file calls.csv"),
    ],
)
def test_a_users_workbook_that_cannot_be_used_is_told(
    settings: Settings, tmp_path: Path, content: bytes | None, told: str
) -> None:
    own = tmp_path / "mine.twb"
    if content is not None:
        own.write_bytes(content)
    result = run(dataclasses.replace(settings, workbook=own), build_callviz_workbook())
    assert checks(result) == {CHECK: False}
    assert told in failure(result)


# calls_hyper


needs_pantab = pytest.mark.skipif(not hyper.installed(), reason="the extra hyper is not installed")


def rows_of(path: Path) -> list[dict[str, Any]]:
    import pantab

    table: pa.Table = pantab.frame_from_hyper_query(path, 'SELECT * FROM "Extract"."Extract"', return_type="pyarrow")
    return table.to_pylist()


@needs_pantab
def test_the_extract_holds_what_calls_csv_holds(settings: Settings) -> None:
    import duckdb

    result = run(settings, calls_hyper)
    assert result.success
    assert all(checks(result).values())
    types = {
        Kind.TEXT: "VARCHAR",
        Kind.NUMBER: "DOUBLE",
        Kind.INTEGER: "BIGINT",
        Kind.DATE: "DATE",
        Kind.DATETIME: "TIMESTAMP",
        Kind.BOOLEAN: "BOOLEAN",
    }
    csv = duckdb.execute(
        "SELECT * FROM read_csv(?, header=true, quote='\"', escape='\"', allow_quoted_nulls=false, columns="
        + str({name: types[kind] for name, kind in KINDS.items()})
        + ")",
        [str(settings.publish_dir / "calls.csv")],
    )
    names = [column[0] for column in csv.description or []]
    expected = [dict(zip(names, row, strict=True)) for row in csv.fetchall()]
    found = rows_of(settings.publish_dir / "calls.hyper")
    # The CSV alone defuses texts that a spreadsheet would run.
    for row in expected:
        row["agent"] = row["agent"].removeprefix("'") if row["agent"] else row["agent"]
    assert found == expected
    assert metadata(result, "calls_hyper")["dagster/row_count"] == len(expected)


@needs_pantab
def test_times_in_the_extract_are_local(settings: Settings) -> None:
    assert run(settings, calls_hyper).success
    first, last = rows_of(settings.publish_dir / "calls.hyper")[0], rows_of(settings.publish_dir / "calls.hyper")[-1]
    assert first["start_time"] == dt.datetime(2024, 10, 26, 14)
    assert last["start_time"] == dt.datetime(2024, 10, 28, 20)


@needs_pantab
def test_hyper_leaves_no_files_behind(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert run(settings, calls_hyper).success
    assert list(empty.iterdir()) == []
    assert sorted(path.name for path in settings.publish_dir.iterdir()) == [
        "calls.csv",
        "calls.hyper",
        "published.json",
    ]


@needs_pantab
def test_an_error_in_the_middle_keeps_the_last_good_extract(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library takes an error in its input for the end of it."""
    assert run(settings, calls_hyper).success
    before = (settings.publish_dir / "calls.hyper").read_bytes()
    real = hyper._batches

    def broken(*arguments: Any) -> Iterator[pa.RecordBatch]:
        yield next(real(*arguments))
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(hyper, "_batches", broken)
    result = run(settings, calls_hyper)
    assert not result.success
    assert not result.asset_materializations_for_node("calls_hyper")
    assert (settings.publish_dir / "calls.hyper").read_bytes() == before
    assert sorted(path.name for path in settings.publish_dir.iterdir()) == [
        "calls.csv",
        "calls.hyper",
        "published.json",
    ]


@needs_pantab
def test_an_extract_that_lacks_rows_is_not_published(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyper, "count_rows", lambda path: count_rows(path) - 1)
    result = run(settings, calls_hyper)
    assert not all(checks(result).values())
    assert "11 of 12 calls are in the extract." in failure(result)
    assert not (settings.publish_dir / "calls.hyper").exists()


@needs_pantab
def test_partitions_with_different_columns_become_one_extract(settings: Settings) -> None:
    later = calls_table(3).drop_columns(["agent"])
    later = later.set_column(later.schema.get_field_index("cost_usd"), "cost_usd", pa.array(["1.5 EUR", None, "2"]))
    later = later.append_column("queue", pa.array([1, 2, None], pa.int64()))
    pq.write_table(later, settings.data_dir / "calls" / "later.parquet")
    assert run(settings, calls_hyper).success
    rows = rows_of(settings.publish_dir / "calls.hyper")
    assert list(rows[0]) == [*(c.name for c in LEADING), "agent", "cost_usd", "answered", "queue", "repairs"]
    assert [row["cost_usd"] for row in rows[:3]] == ["0.0", "0.25", "0.5"] or [row["cost_usd"] for row in rows[:3]] == [
        "0",
        "0.25",
        "0.5",
    ]
    assert [row["cost_usd"] for row in rows[-3:]] == ["1.5 EUR", None, "2"]
    assert [row["queue"] for row in rows[-3:]] == [1, 2, None]
    assert [row["agent"] for row in rows[-3:]] == [None] * 3


@needs_pantab
def test_the_workbook_carries_the_extract_where_it_is_wanted(settings: Settings) -> None:
    wanted = dataclasses.replace(settings, workbook_source="hyper")
    result = run(wanted, calls_hyper, build_callviz_workbook("hyper"))
    assert result.success
    with zipfile.ZipFile(twbx(settings)) as archive:
        assert archive.namelist() == ["callviz.twb", "Data/calls/calls.hyper"]
        assert archive.read("Data/calls/calls.hyper") == (settings.publish_dir / "calls.hyper").read_bytes()
        assert b"class='hyper' dbname='Data/calls/calls.hyper'" in archive.read("callviz.twb")
        read(archive.read("callviz.twb"))
    assert metadata(result, "callviz_workbook")["data"] == "calls.hyper"


def test_without_the_extra_there_is_no_extract_and_the_rest_works(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pantab" else find_spec(name, *more)
    )
    assert hyper_assets(settings) == []
    assert run(settings, build_callviz_workbook()).success
    with pytest.raises(SettingsError, match=r"CALLVIZ_WORKBOOK_SOURCE=hyper needs the extra `hyper`: `pip install"):
        hyper_assets(dataclasses.replace(settings, workbook_source="hyper"))


def test_columns_stand_in_the_order_of_calls_csv(settings: Settings) -> None:
    assert [column.name for column in published_columns([settings.data_dir / "calls" / "all.parquet"])] == list(KINDS)


# The lineage graph


def test_the_graph_reaches_from_calls_csv_to_the_dashboard() -> None:
    specs = {spec.key.to_user_string(): spec for spec in tableau_specs(workbook_xml())}
    source, dashboard = "callviz/embedded_datasource/calls", "callviz/dashboard/calls_overview"
    sheets = [f"callviz/sheet/{name.lower().replace(' ', '_')}" for name in SHEETS]
    assert list(specs) == [source, *sheets, dashboard]
    deps = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()}
    assert deps[source] == {"calls_csv"}
    assert all(deps[name] == {source} for name in sheets)
    # The headline's sheet is hidden, so that the dashboard depends on its data source instead.
    assert deps[dashboard] == {*sheets, source}
    kinds = {name: spec.kinds for name, spec in specs.items()}
    assert kinds[source] == {"tableau", "live", "embedded datasource"}
    assert kinds[sheets[0]] == {"tableau", "sheet"}
    assert kinds[dashboard] == {"tableau", "dashboard"}
    tags = {spec.tags["dagster-tableau/asset_type"] for spec in specs.values()}
    assert tags == {"data_source", "sheet", "dashboard"}
    assert {spec.metadata["dagster/storage_kind"] for spec in specs.values()} == {"tableau"}
    for spec in specs.values():
        assert spec.description


def test_each_sheet_leads_to_the_columns_it_uses() -> None:
    specs = {spec.key.to_user_string(): spec for spec in tableau_specs(workbook_xml())}
    lineage = specs["callviz/sheet/calls_by_weekday"].metadata["dagster/column_lineage"].deps_by_column
    assert {dep.column_name for dep in lineage["Average per Day"]} == {"Call ID", "Call Type", "Date", "Weekday"}
    assert [dep.column_name for dep in lineage["Weekday"]] == ["Weekday"]
    of_source = specs["callviz/embedded_datasource/calls"].metadata["dagster/column_lineage"].deps_by_column
    for spec in specs.values():
        lineage = spec.metadata.get("dagster/column_lineage")
        for deps in lineage.deps_by_column.values() if lineage else []:
            for dep in deps:
                upstream = dep.asset_key.to_user_string()
                assert upstream == "calls_csv" or dep.column_name in of_source
    assert {dep.column_name for deps in of_source.values() for dep in deps} == {column.name for column in LEADING}


def test_a_sheet_that_an_analyst_adds_shows_up() -> None:
    text = workbook_xml().decode()
    start, end = text.index("    <worksheet name='Daily Calls'>"), text.index("</worksheet>", text.index("Daily Calls"))
    copy = text[start : end + len("</worksheet>\n")].replace("Daily Calls", "Über Nacht")
    specs = tableau_specs((text[:start] + copy + text[start:]).encode())
    assert "callviz/sheet/_ber_nacht" in {spec.key.to_user_string() for spec in specs}


def test_names_that_become_alike_are_numbered() -> None:
    text = workbook_xml().decode()
    for name, other in (("Daily Calls", "Tag ä"), ("Calls by Type", "Tag ö")):
        text = text.replace(f"'{name}'", f"'{other}'")
    keys = [spec.key.to_user_string() for spec in tableau_specs(text.encode())]
    assert {"callviz/sheet/tag_", "callviz/sheet/tag__2"} <= set(keys)
    assert len(set(keys)) == len(keys)


def test_the_extract_is_the_source_where_it_is_packed() -> None:
    source = tableau_specs(workbook_xml(), source="hyper")[0]
    assert [dep.asset_key.to_user_string() for dep in source.deps] == ["calls_hyper"]
    assert "extract" in source.kinds


def test_nodes_are_those_of_dagster_tableau() -> None:
    """Feed dagster-tableau what Tableau would tell of the published workbook, and compare its specs with ours."""

    def content(kind: str, luid: str, name: str, **more: Any) -> TableauContentData:
        properties = {"luid": luid, "id": luid, "name": name, "workbook": {"luid": "workbook"}, **more}
        return TableauContentData(content_type=TableauContentType[kind], properties=properties)

    workbook = content("WORKBOOK", "workbook", "callviz", projectName="calls", projectLuid="project")
    source = content("DATA_SOURCE", "source", "calls", hasExtracts=False, isPublished=False)
    embedded = [{"id": "source", "luid": "source", "parentPublishedDatasources": []}]
    sheets = [content("SHEET", name, name, parentEmbeddedDatasources=embedded) for name in SHEETS]
    hidden = {"luid": "", "id": "hidden"}
    dashboard = content(
        "DASHBOARD",
        "dashboard",
        "Calls Overview",
        sheets=[{"luid": name, "id": name} for name in SHEETS] + [hidden],
        data_source_ids=["source"],
    )
    workspace = TableauWorkspaceData(
        site_name="site",
        workbooks_by_id={"workbook": workbook},
        sheets_by_id=dict(zip(SHEETS, sheets, strict=True)),
        dashboards_by_id={"dashboard": dashboard},
        data_sources_by_id={"source": source},
    )
    translator = DagsterTableauTranslator()
    theirs = {
        spec.key: spec
        for spec in (
            translator.get_asset_spec(TableauTranslatorData(content_data=one, workspace_data=workspace))
            for one in (source, *sheets, dashboard)
        )
    }
    ours = {spec.key: spec for spec in tableau_specs(workbook_xml())}
    assert ours.keys() == theirs.keys()
    for key, spec in ours.items():
        assert spec.kinds == theirs[key].kinds
        assert spec.tags == theirs[key].tags
        assert spec.metadata["dagster/storage_kind"] == theirs[key].metadata["dagster/storage_kind"]
        upstream = {dep.asset_key for dep in spec.deps} - {dg.AssetKey("calls_csv")}
        assert upstream == {dep.asset_key for dep in theirs[key].deps}


def test_the_specs_can_be_left_out(settings: Settings) -> None:
    assert len(workbook_specs(settings)) == 7
    assert workbook_specs(dataclasses.replace(settings, tableau_lineage=False)) == []


def test_a_workbook_that_cannot_be_read_does_not_keep_the_rest_from_loading(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "mine.twb"
    own.write_text("not a workbook")
    assert workbook_specs(dataclasses.replace(settings, workbook=own)) == []
    assert "The graph shows no sheets. The workbook is not well-formed XML" in caplog.text


def test_the_specs_load_beside_the_assets(settings: Settings) -> None:
    definitions = dg.Definitions(
        assets=[*UPSTREAM, build_callviz_workbook(), *hyper_assets(settings), *tableau_specs(workbook_xml())],
        resources={"settings": settings},
    )
    dg.Definitions.validate_loadable(definitions)
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["callviz", "dashboard", "calls_overview"]) in keys
