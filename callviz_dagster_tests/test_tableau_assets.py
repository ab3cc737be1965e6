"""The Tableau assets: workbook and extract are published whole or not at all, and the graph shows what is in them."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import dagster as dg
import pytest
from dagster_tableau.translator import (
    DagsterTableauTranslator,
    TableauContentData,
    TableauContentType,
    TableauTranslatorData,
    TableauWorkspaceData,
)

from callviz_dagster.assets import callviz_workbook as asset
from callviz_dagster.assets.calls_hyper import build_calls_hyper, hyper_assets
from callviz_dagster.assets.callviz_workbook import build_callviz_workbook
from callviz_dagster.assets.tableau import tableau_specs, workbook_specs
from callviz_dagster.calls_csv import reuse
from callviz_dagster.contract import LEADING, Column, Kind
from callviz_dagster.names import STAND_ALONE
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage import lock
from callviz_dagster.storage.files import stat_and_hash
from callviz_dagster.storage.published import read_record
from callviz_dagster.tableau import deflate, kept_pieces
from callviz_dagster.tableau.audit import Problem, unreadable_value
from callviz_dagster.tableau.extract import installed
from callviz_dagster.tableau.model import SHEETS, read
from callviz_dagster.tableau.pack import PackedData, packed_snapshot, prepare_workbook, write_package
from callviz_dagster_tests.helpers.refresh import failure, metadata
from callviz_dagster_tests.helpers.tableau import (
    COLUMNS,
    KINDS,
    SCHEMA_VERSIONS,
    UPSTREAM,
    calls_table,
    passed,
    publish,
    published_settings,
    record,
    run,
    schema_errors,
    workbook_xml,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return published_settings(tmp_path)


def twbx(settings: Settings) -> Path:
    return settings.publish_dir / "callviz.twbx"


# callviz_workbook


def test_packs_the_workbook_with_the_current_calls(settings: Settings) -> None:
    result = run(settings, build_callviz_workbook())
    assert result.success
    assert passed(result) == {"workbook_fits_calls_csv": True}
    with zipfile.ZipFile(twbx(settings)) as archive:
        assert archive.namelist() == ["callviz.twb", "Data/calls/calls.csv"]
        assert archive.read("Data/calls/calls.csv") == (settings.publish_dir / "calls.csv").read_bytes()
        inside = archive.read("callviz.twb")
    snapshot = "2024-10-29T06:00:00+00:00, cluster time 1730181600.3"
    assert packed_snapshot(inside) == snapshot
    assert inside == prepare_workbook(workbook_xml(), KINDS, snapshot=snapshot)
    shown = metadata(result, "callviz_workbook")
    assert shown["sheets"] == ", ".join(SHEETS)
    assert shown["dashboards"] == "Calls Overview"
    assert shown["sha256"] == hashlib.sha256(twbx(settings).read_bytes()).hexdigest()
    assert shown["bytes"] == twbx(settings).stat().st_size
    assert shown["path"] == str(twbx(settings))
    nodes = [spec.key for spec in tableau_specs(workbook_xml())]
    assert set(nodes) < {event.asset_key for event in result.all_events if event.is_step_materialization}


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
    names = {path.name for path in settings.publish_dir.iterdir()}
    assert names == {"calls.csv", "callviz.twbx", "published.json"}


@pytest.mark.parametrize("column", ["duration_sec", "status"])
def test_a_column_that_is_gone_keeps_the_last_good_file(settings: Settings, column: str) -> None:
    assert run(settings, build_callviz_workbook()).success
    before = twbx(settings).read_bytes()
    (settings.data_dir / "calls" / "all.parquet").unlink()
    publish(settings, calls_table().drop_columns([column]))
    result = run(settings, build_callviz_workbook())
    assert not result.success
    assert passed(result) == {"workbook_fits_calls_csv": False}
    assert not result.asset_materializations_for_node("callviz_workbook")
    message = failure(result)
    assert (
        f"sheet Calls by Status: uses {column}, " in message or f"sheet Duration Histogram: uses {column}, " in message
    )
    assert message.endswith(f"The last good file was left as it was: {twbx(settings)}.")
    assert twbx(settings).read_bytes() == before
    names = {path.name for path in settings.publish_dir.iterdir()}
    assert names == {"calls.csv", "callviz.twbx", "published.json"}


def test_a_value_that_the_pinned_type_cannot_hold_is_told(settings: Settings) -> None:
    path = settings.publish_dir / "calls.csv"
    path.write_bytes(path.read_bytes().replace(b",37.5,", b",soon,", 1))
    record(settings, "calls.csv")
    result = run(settings, build_callviz_workbook())
    assert passed(result) == {"workbook_fits_calls_csv": False}
    assert "calls.csv: a value does not read as the type that the workbook pins" in failure(result)
    assert "soon" in failure(result)
    assert not twbx(settings).exists()


def test_a_csv_that_is_not_the_published_one_is_not_packed(settings: Settings) -> None:
    """Its rows have passed no audit: changed by hand, or left by a refresh that was interrupted."""
    assert run(settings, build_callviz_workbook()).success
    before = twbx(settings).read_bytes()
    path = settings.publish_dir / "calls.csv"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])
    result = run(settings, build_callviz_workbook())
    assert not result.success
    assert failure(result).startswith("calls.csv is not as it was published (it was changed, or ")
    assert "materialize calls_csv again" in failure(result)
    assert twbx(settings).read_bytes() == before


def test_a_package_that_is_damaged_on_the_disk_is_not_published(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(workbook: bytes, name: str, data: Path, target: IO[bytes], *kept: Any) -> PackedData:
        packed = write_package(workbook, name, data, target, *kept)
        target.seek(-600, os.SEEK_END)
        target.write(b"\x00" * 40)
        return packed

    monkeypatch.setattr(asset, "write_package", damaged)
    result = run(settings, build_callviz_workbook())
    assert not result.success
    assert "callviz.twbx: was not written whole" in failure(result)
    assert not twbx(settings).exists()


def test_a_package_whose_data_does_not_match_its_checksum_is_not_published(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It inflates without an error, and every value reads as its type; only the checksum at its end tells."""

    def other_checksum(workbook: bytes, name: str, data: Path, target: IO[bytes], *kept: Any) -> PackedData:
        packed = write_package(workbook, name, data, target, *kept)
        target.flush()
        content = Path(target.name).read_bytes()
        checksum = zlib.crc32(data.read_bytes()).to_bytes(4, "little")
        assert content.count(checksum) == 2
        target.seek(0)
        target.write(content.replace(checksum, bytes(4)))
        return packed

    monkeypatch.setattr(asset, "write_package", other_checksum)
    result = run(settings, build_callviz_workbook())
    assert not result.success
    assert "callviz.twbx: was not written whole" in failure(result)
    assert not twbx(settings).exists()


def test_the_workbook_is_recorded_with_what_it_was_made_from(settings: Settings) -> None:
    assert run(settings, build_callviz_workbook()).success
    record = read_record(settings.publish_dir)
    entry = record.files["callviz.twbx"]
    assert entry.sha256 == stat_and_hash(twbx(settings)).sha256
    assert entry.made_from["calls.csv"].sha256 == record.files["calls.csv"].sha256
    assert entry.cluster_time == [1730181600, 3]
    assert record.differing() == []


@pytest.mark.parametrize("name", ["callviz_workbook", "calls_hyper"])
def test_nothing_is_written_while_another_process_refreshes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "calls_hyper" and not installed():
        pytest.skip("the extra hyper is not installed")
    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.0)
    with lock.one_at_a_time(settings.data_dir, logging.getLogger()):
        result = run(settings, build_callviz_workbook() if name == "callviz_workbook" else build_calls_hyper())
    assert not result.success
    assert "is refreshing the files in" in failure(result)
    assert build_callviz_workbook().op.pool == build_calls_hyper().op.pool == STAND_ALONE.pool


@pytest.mark.parametrize(
    ("columns", "added_bytes", "read_again"),
    [
        pytest.param(COLUMNS, 0, False, id="the same file, the same columns"),
        pytest.param(COLUMNS, 1, True, id="a file of another size"),
        pytest.param((*COLUMNS[:-1], Column("repairs", Kind.NUMBER, "")), 0, True, id="columns of other kinds"),
        pytest.param(None, 0, True, id="no record"),
    ],
)
def test_values_are_read_again_unless_calls_csv_was_read_as_these_types(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    columns: Sequence[Column] | None,
    added_bytes: int,
    read_again: bool,
) -> None:
    if columns:
        size = (settings.publish_dir / "calls.csv").stat().st_size
        part = reuse.Part("digest", 100, size + added_bytes - 100, "", rows=4, defused=0, longest=200)
        text = reuse.to_json(reuse.format_key(columns, settings.timezone), [part])
        (settings.data_dir / reuse.FILE).write_text(text, encoding="utf-8")
    read_types: list[set[str]] = []

    def package_problems(package: Path, packed: PackedData, pinned: Mapping[str, str]) -> list[Problem]:
        read_types.append({*pinned})
        return unpatched(package, packed, pinned)

    unpatched = asset.package_problems
    monkeypatch.setattr(asset, "package_problems", package_problems)
    assert run(settings, build_callviz_workbook()).success
    assert read_types == [{name for name, kind in KINDS.items() if kind is not Kind.TEXT} if read_again else set()]


def test_only_partitions_that_have_changed_are_deflated_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv = settings.publish_dir / "calls.csv"
    header, *lines = csv.read_bytes().splitlines(keepends=True)
    partitions = [b"".join(lines[:5]), b"".join(lines[5:])]
    deflated: set[bytes] = set()

    def recording(piece: bytes) -> deflate.Deflated:
        deflated.add(piece)
        return unpatched(piece)

    unpatched = deflate.deflated_and_compared
    monkeypatch.setattr(deflate, "deflated_and_compared", recording)

    def refresh() -> bytes:
        deflated.clear()
        csv.write_bytes(header + b"".join(partitions))
        record(settings, "calls.csv")
        starts = len(header), len(header + partitions[0])
        parts = [
            reuse.Part(str(start), start, len(part), "", rows=5, defused=0, longest=200)
            for start, part in zip(starts, partitions, strict=True)
        ]
        text = reuse.to_json(reuse.format_key(COLUMNS, settings.timezone), parts)
        (settings.data_dir / reuse.FILE).write_text(text, encoding="utf-8")
        assert run(settings, build_callviz_workbook()).success
        with zipfile.ZipFile(twbx(settings)) as archive:
            assert archive.read("Data/calls/calls.csv") == csv.read_bytes()
        return twbx(settings).read_bytes()

    refresh()
    assert deflated == {header, *partitions}
    partitions[0] = partitions[0].replace(b"completed", b"cancelled")
    package = refresh()
    assert deflated == {partitions[0]}
    (settings.data_dir / kept_pieces.FILE).unlink()
    assert refresh() == package
    assert deflated == {header, *partitions}


def test_a_package_that_cannot_be_inflated_is_not_published(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(_: bytes) -> deflate.Deflated:
        raise deflate.DeflateError("1,203 bytes, deflated, inflate to others")

    monkeypatch.setattr(deflate, "deflated_and_compared", faulty)
    result = run(settings, build_callviz_workbook())
    assert passed(result) == {"workbook_fits_calls_csv": False}
    assert "callviz.twbx: calls.csv: 1,203 bytes, deflated, inflate to others" in failure(result)
    assert [path.name for path in settings.publish_dir.iterdir() if "twbx" in path.name] == []


def test_types_that_the_workbook_alone_pins_are_read_in_any_case() -> None:
    pinned = {"amount": "real", "cost": "real", "note": "string"}
    columns = {"amount": Kind.TEXT, "cost": Kind.NUMBER, "note": Kind.TEXT}
    assert asset.types_to_read(pinned, columns, compared=True) == {"amount": "real"}
    assert asset.types_to_read(pinned, columns, compared=False) == {"amount": "real", "cost": "real"}


def test_values_are_read_whatever_their_length(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text('"note","seconds"\n' + f'"{"x" * (9 << 20)}",1\n' + '"y",2.5\n', newline="")
    assert unreadable_value(lambda: path.open("rb"), {"note": "string", "seconds": "real"}) is None
    assert unreadable_value(lambda: path.open("rb"), {"note": "string", "seconds": "integer"}) is not None


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
    ("content", "message"),
    [
        (None, "CALLVIZ_WORKBOOK names "),
        (b"not a workbook", "is not well-formed XML"),
        (b"<workbook/>", "no data source reads the text file calls.csv"),
    ],
)
def test_a_users_workbook_that_cannot_be_used_is_told(
    settings: Settings, tmp_path: Path, content: bytes | None, message: str
) -> None:
    own = tmp_path / "mine.twb"
    if content is not None:
        own.write_bytes(content)
    result = run(dataclasses.replace(settings, workbook=own), build_callviz_workbook())
    assert passed(result) == {"workbook_fits_calls_csv": False}
    assert message in failure(result)


@pytest.mark.skipif(not installed(), reason="the extra hyper is not installed")
def test_the_workbook_carries_the_extract_where_it_is_wanted(settings: Settings) -> None:
    wanted = dataclasses.replace(settings, workbook_source="hyper")
    result = run(wanted, build_calls_hyper(), build_callviz_workbook("hyper"))
    assert result.success
    with zipfile.ZipFile(twbx(settings)) as archive:
        assert archive.namelist() == ["callviz.twb", "Data/calls/calls.hyper"]
        assert archive.read("Data/calls/calls.hyper") == (settings.publish_dir / "calls.hyper").read_bytes()
        assert b"class='hyper' dbname='Data/calls/calls.hyper'" in archive.read("callviz.twb")
        read(archive.read("callviz.twb"))
    assert metadata(result, "callviz_workbook")["data"] == "calls.hyper"


@pytest.mark.skipif(not installed(), reason="the extra hyper is not installed")
def test_an_extract_of_other_calls_is_not_packed(settings: Settings) -> None:
    wanted = dataclasses.replace(settings, workbook_source="hyper")
    assert run(wanted, build_calls_hyper(), build_callviz_workbook("hyper")).success
    before = twbx(settings).read_bytes()
    publish(settings, calls_table(18))
    result = run(wanted, build_callviz_workbook("hyper"))
    assert not result.success
    assert "calls.hyper was made from other calls than calls.csv: materialize calls_csv and calls_hyper" in failure(
        result
    )
    assert twbx(settings).read_bytes() == before
    assert run(wanted, build_calls_hyper(), build_callviz_workbook("hyper")).success


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


def test_columns_have_the_types_and_comments_of_the_workbook() -> None:
    specs = {spec.key.to_user_string(): spec for spec in tableau_specs(workbook_xml())}

    def columns(name: str) -> dict[str, tuple[str, str | None]]:
        schema = specs[f"callviz/{name}"].metadata["dagster/column_schema"]
        return {column.name: (column.type, column.description) for column in schema.columns}

    source = columns("embedded_datasource/calls")
    assert {name: kind for name, (kind, _) in source.items() if kind != "string"} == {
        "Start Time": "datetime",
        "End Time": "datetime",
        "Duration (s)": "real",
        "Date": "date",
        "Hour of Day": "integer",
    }
    assert all(description for _, description in source.values())
    assert columns("sheet/daily_calls")["Calls"] == ("integer", "Number of calls: every row is one call and has an id.")


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
        resources={STAND_ALONE.settings: settings},
    )
    dg.Definitions.validate_loadable(definitions)
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert dg.AssetKey(["callviz", "dashboard", "calls_overview"]) in keys
