"""The assets that publish to a Tableau server: what they show in Dagster, and that nothing else depends on them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import importlib.util
import itertools
import logging
import re
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_tableau.asset_utils import create_view_asset_observation
from dagster_tableau.translator import (
    DagsterTableauTranslator,
    TableauContentData,
    TableauContentType,
    TableauTranslatorData,
    TableauWorkspaceData,
)
from pymongo.collection import Collection

from callviz_dagster.assets.calls_hyper import build_calls_hyper, hyper_assets
from callviz_dagster.assets.callviz_workbook import build_callviz_workbook
from callviz_dagster.assets.checks.tableau_server import published_matches, workbook_valid_on_server
from callviz_dagster.assets.published_datasource import build_published_datasource
from callviz_dagster.assets.published_workbook import build_published_workbook
from callviz_dagster.assets.tableau import node_keys
from callviz_dagster.assets.tableau_server import POOL, datasource_spec, tableau_session, taking_turns
from callviz_dagster.definitions import build_definitions
from callviz_dagster.names import STAND_ALONE
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.tableau.extract import installed
from callviz_dagster.tableau.model import DASHBOARD, HEADLINE, SHEETS, read
from callviz_dagster.tableau_server.content import Item, Project, View
from callviz_dagster.tableau_server.publish import PublishedItem
from callviz_dagster.tableau_server.validation import Verdict
from callviz_dagster_tests.helpers.refresh import checks, failure, files, metadata, refresh_job, some_calls
from callviz_dagster_tests.helpers.tableau import calls_table, passed, publish, run, workbook_xml
from callviz_dagster_tests.helpers.tableau_publisher import on_server
from callviz_dagster_tests.helpers.tableau_server import (
    PROXY_PAGE,
    SECRET,
    Fault,
    TableauServer,
    refusal,
)

pytestmark = pytest.mark.slow
WITH_CALLS = True
needs_hyper = pytest.mark.skipif(not installed(), reason="the extra hyper is not installed")
VIEWS = [*SHEETS, DASHBOARD]


def observations(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_observation_data.asset_observation.asset_key.to_user_string(): {
            name: value.value for name, value in event.asset_observation_data.asset_observation.metadata.items()
        }
        for event in result.get_asset_observation_events()
    }


# published_workbook


def test_the_workbook_is_published_and_its_page_links_to_it(server: TableauServer, settings: Settings) -> None:
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert result.success
    assert {name: one for name, one in passed(result).items() if name != "workbook_fits_calls_csv"} == {
        "published_matches": True,
        "workbook_valid_on_server": True,
    }
    (content,) = server.items()
    assert content.content == (settings.publish_dir / "callviz.twbx").read_bytes()
    shown = metadata(result, "published_workbook")
    assert shown["workbook"] == f"{server.address}/#/workbooks/{content.luid[-4:]}"
    views = {name: f"{server.address}/#/views/callviz/{name.replace(' ', '')}" for name in VIEWS}
    assert {f"view {name}": url for name, url in views.items()}.items() <= shown.items()
    expected = {"LUID": content.luid, "project": "Operations/Calls", "site": "the default site", "published": "created"}
    assert expected.items() <= shown.items()
    assert (shown["bytes"], shown["parts"], bool(shown["job"])) == (len(content.content), 1, True)
    assert shown["seconds"] > 0

    # The nodes of the graph, as dagster-tableau observes them.
    observed = observations(result)
    keys = {key.to_user_string() for (_, name), key in node_keys(read(workbook_xml())).items() if name != HEADLINE}
    assert observed.keys() == keys
    import tableauserverclient as TSC

    answer: Any = server._views(content.luid).body
    view = TSC.ViewItem.from_response(answer, {"t": "http://tableau.com/api"}, content.luid)[0]
    (theirs,) = create_view_asset_observation(view, dg.AssetSpec("unused"))
    ours = observed["callviz/sheet/calls_by_type"]
    assert {name: value.value for name, value in theirs.metadata.items()}.items() <= ours.items()
    assert ours["dagster-tableau/workbook_id"] == content.luid
    assert ours["url"] == views["Calls by Type"]


def test_the_same_calls_are_not_published_twice(server: TableauServer, settings: Settings) -> None:
    assert run(settings, build_callviz_workbook(), build_published_workbook()).success
    (content,) = server.items()
    # The same rows, read at another instant, which the package names.
    path = settings.publish_dir / "published.json"
    path.write_text(path.read_text().replace("2024-10-29T06:00:00", "2024-10-30T06:00:00"))
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert (settings.publish_dir / "callviz.twbx").read_bytes() != content.content
    assert (content.revision, len(server.items())) == (1, 1)
    shown = metadata(result, "published_workbook")
    assert (shown["published"], shown["bytes"]) == ("left as it was: nothing had changed", 0)
    assert passed(result)["published_matches"]
    assert checks(result)["workbook_valid_on_server"].description == "Nothing had changed."
    assert shown["view Daily Calls"]

    publish(settings, calls_table(18))
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert metadata(result, "published_workbook")["published"] == "overwritten"
    assert content.revision == 2


def test_a_package_that_is_not_the_published_one_is_not_sent(server: TableauServer, settings: Settings) -> None:
    assert run(settings, build_callviz_workbook()).success
    path = settings.publish_dir / "callviz.twbx"
    path.write_bytes(path.read_bytes() + b"\0")
    result = run(settings, build_published_workbook())
    assert "callviz.twbx is not as it was published" in failure(result)
    assert "materialize callviz_workbook again" in failure(result)
    assert server.requests == []


def test_a_failed_publish_leaves_everything_local_as_it_is(server: TableauServer, settings: Settings) -> None:
    server.tokens.clear()
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["published_workbook"]
    assert failure(result).startswith("The Tableau server did not accept the personal access token callviz")
    assert (settings.publish_dir / "callviz.twbx").exists()


def test_tableaus_own_validation_warns_and_forbids_nothing(server: TableauServer, settings: Settings) -> None:
    finding = {"severity": "ERROR", "message": "Unknown element", "line": 7, "column": 3, "elementName": "map"}
    server.verdict["errors"] = [finding]
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert result.success
    check = checks(result)["workbook_valid_on_server"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "Tableau's validation finds 1 errors and 0 warnings: line 7, <map>: Unknown element."
    assert len(server.items()) == 1


def test_a_validation_that_fails_is_no_reason_to_fail(server: TableauServer, settings: Settings) -> None:
    server.faults.append(Fault("validateWorkbook", PROXY_PAGE))
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert result.success
    assert (checks(result)["workbook_valid_on_server"].description or "").startswith("Not validated")


def test_an_older_server_validates_nothing_and_publishes(server: TableauServer, settings: Settings) -> None:
    server.version = "3.28"
    result = run(settings, build_callviz_workbook(), build_published_workbook())
    assert result.success
    check = checks(result)["workbook_valid_on_server"]
    assert (check.passed, check.description) == (
        True,
        "Not validated: the Tableau server has no validation, or gave no result.",
    )
    assert server.count("POST .*/validateWorkbook") == 0


# published_datasource


@needs_hyper
def test_the_extract_is_published_as_a_data_source_and_not_twice(server: TableauServer, settings: Settings) -> None:
    both = dataclasses.replace(settings, tableau_publish="both")
    result = run(both, build_calls_hyper(), build_published_datasource())
    assert result.success
    assert passed(result)["published_matches"]
    (content,) = server.items("datasource")
    path = settings.publish_dir / "calls.hyper"
    assert (content.name, content.content) == ("callviz calls", path.read_bytes())
    shown = metadata(result, "published_datasource")
    assert shown["datasource"] == f"{server.address}/#/datasources/{content.luid[-4:]}"
    assert observations(result)["callviz_calls"]["dagster-tableau/id"] == content.luid

    # Another file of the same rows.
    result = run(both, build_calls_hyper(), build_published_datasource())
    assert path.read_bytes() != content.content
    assert metadata(result, "published_datasource")["published"] == "left as it was: nothing had changed"
    assert content.revision == 1

    publish(settings, calls_table(18))
    assert "was made from other calls than calls.csv" in failure(run(both, build_published_datasource()))
    result = run(both, build_calls_hyper(), build_published_datasource())
    assert metadata(result, "published_datasource")["published"] == "overwritten"


def test_a_data_source_without_the_extra_hyper_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_more: None)
    with pytest.raises(SettingsError, match=r"CALLVIZ_TABLEAU_PUBLISH=both needs the extra `hyper`: `pip install"):
        hyper_assets(dataclasses.replace(settings, tableau_publish="both"))


# The code location


def test_the_assets_are_absent_unless_configured(settings: Settings) -> None:
    names = {"published_workbook", "published_datasource", "callviz_calls"}

    def keys(**given: Any) -> set[str]:
        graph = build_definitions(dataclasses.replace(settings, **given)).resolve_asset_graph()
        return {key.to_user_string() for key in graph.get_all_asset_keys()} & names

    assert keys(tableau_server=None) == set()
    assert keys() == {"published_workbook"}
    monthly = {"partitions": "monthly", "partitions_start": dt.date(2024, 1, 1), "field_start_time": "start_time"}
    assert keys(**monthly) == {"published_workbook"}
    if installed():
        assert keys(tableau_publish="both") == names
        assert keys(tableau_publish="datasource", tableau_lineage=False) == {"published_datasource"}


@needs_hyper
def test_the_graph_leads_from_the_workbook_over_the_server_to_the_dashboard(settings: Settings) -> None:
    both = dataclasses.replace(settings, tableau_publish="both", tableau_name="Call Centre")
    graph = build_definitions(both).resolve_asset_graph()
    path = [
        "callviz_workbook",
        "published_workbook",
        "call_centre/embedded_datasource/calls",
        "call_centre/sheet/calls_by_type",
        "call_centre/dashboard/calls_overview",
    ]
    for above, below in itertools.pairwise(path):
        assert dg.AssetKey.from_user_string(above) in graph.get(dg.AssetKey.from_user_string(below)).parent_keys
    parents = graph.get(dg.AssetKey("call_centre_calls")).parent_keys
    assert parents == {dg.AssetKey("published_datasource")}
    assert build_published_workbook().op.pool == build_published_datasource().op.pool == POOL


@needs_hyper
def test_a_name_that_gives_the_key_of_another_asset_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="the key of another asset, raw_calls: set another name"):
        build_definitions(dataclasses.replace(settings, tableau_publish="both", tableau_name="Raw"))


def test_without_the_extra_the_code_location_loads_and_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(settings, build_callviz_workbook()).success
    monkeypatch.setattr("callviz_dagster.tableau_server.installed", lambda: False)
    monkeypatch.setattr("callviz_dagster.assets.tableau_server.installed", lambda: False)
    definitions = build_definitions(settings)
    dg.Definitions.validate_loadable(definitions)
    assert "CALLVIZ_TABLEAU_SERVER needs the extra `tableau`: `pip install 'callviz-dagster[tableau]'`" in caplog.text
    result = run(settings, build_published_workbook())
    assert "`pip install 'callviz-dagster[tableau]'`" in failure(result)


@pytest.mark.parametrize("name", ["callviz", "Call Centre", "a__b", "Anrufe (täglich)", "2026"])
def test_keys_and_kinds_are_those_of_dagster_tableau(settings: Settings, name: str) -> None:
    properties = {"luid": "1", "name": f"{name} calls", "hasExtracts": True, "isPublished": True, "workbook": None}
    source = TableauContentData(content_type=TableauContentType.DATA_SOURCE, properties=properties)
    workbook = TableauContentData(
        content_type=TableauContentType.WORKBOOK,
        properties={"luid": "2", "name": name, "projectName": "Calls", "projectLuid": "3"},
    )
    sheet = TableauContentData(
        content_type=TableauContentType.SHEET,
        properties={"luid": "4", "id": "4", "name": "Calls by Type", "workbook": {"luid": "2"}},
    )
    workspace = TableauWorkspaceData.from_content_data("marketing", [source, workbook, sheet])

    def theirs(content: TableauContentData) -> dg.AssetSpec:
        return DagsterTableauTranslator().get_asset_spec(
            TableauTranslatorData(content_data=content, workspace_data=workspace)
        )

    ours = datasource_spec(dataclasses.replace(settings, tableau_name=name))
    assert (ours.key, ours.kinds, ours.tags) == (theirs(source).key, theirs(source).kinds, theirs(source).tags)
    assert node_keys(read(workbook_xml()), name)["sheet", "Calls by Type"] == theirs(sheet).key
    assert theirs(sheet).metadata.keys() >= {"dagster-tableau/id", "dagster-tableau/workbook_id"}


def test_two_refreshes_with_one_token_take_turns(server: TableauServer, settings: Settings) -> None:
    inside = threading.Semaphore(1)

    def work() -> None:
        log = logging.getLogger("test")
        with taking_turns(settings, log), tableau_session(settings, log) as session:
            assert inside.acquire(blocking=False), "two sessions at once"
            assert len(session.server.projects.get()[0]) == 4
            inside.release()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.count("GET .*/projects") == server.count("POST .*/auth/signin") == 3


# The refresh


def test_a_refresh_publishes_last_and_keeps_what_it_made_when_that_fails(
    server: TableauServer, mongo_uri: str, collection: Collection[Any], tmp_path: Path
) -> None:
    some_calls(collection)
    local = Settings(
        mongo_uri=mongo_uri,
        mongo_database=collection.database.name,
        max_drop=1.0,
        data_dir=tmp_path / "data",
        publish_dir=tmp_path / "publish",
    )
    settings = on_server(local, server, tableau_publish="both" if installed() else "workbook")
    server.faults.append(Fault("GET .*/projects", refusal(403, "403004", "Forbidden", "Not yours."), times=9))
    result = refresh_job(settings)
    failed = {event.step_key for event in result.all_events if event.is_step_failure}
    on_tableau = {"published_workbook", *(["published_datasource"] if installed() else [])}
    assert failed == on_tableau
    assert checks(result)["published_together"].passed
    names = {Path(path).name for path in files(settings)}
    assert {"calls.csv", "callviz.twbx", "call_dashboard.html", "published.json"} <= names

    steps = [event.step_key for event in result.all_events if event.event_type_value == "STEP_START"]
    assert set(steps[-len(on_tableau) :]) == on_tableau


def test_the_secret_is_in_no_file_event_or_log(
    server: TableauServer, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    """With a server that repeats it in a refusal, and with one that publishes."""
    caplog.set_level(0)
    first, second = SECRET.split(":")
    server.faults.append(Fault("signin", refusal(401, "401001", SECRET, f"You sent {second}.")))
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        for success in (False, True):
            result = dg.materialize(
                [dg.AssetSpec("calls_csv"), build_callviz_workbook(), build_published_workbook()],
                selection=["callviz_workbook", "published_workbook"],
                resources={STAND_ALONE.settings: settings},
                instance=instance,
                raise_on_error=False,
            )
            assert result.success is success
    out, err = capfd.readouterr()
    contents = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"***" in content for content in contents), "the refusal is in the event log"
    for content in (*contents, caplog.text.encode(), out.encode(), err.encode()):
        assert not re.search(f"{re.escape(first)}|{re.escape(second)}|{second[:8]}".encode(), content)


# The checks


NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
BEFORE = Item("workbook", "1", "callviz", "p", "Calls", "callviz", "", "me", NOW, NOW)
AFTER = dataclasses.replace(BEFORE, updated_at=NOW + dt.timedelta(seconds=1))
PROJECT = Project("p", "Operations/Calls", True)


def published(after: Item = AFTER, views: tuple[str, ...] = ("a", "b"), *, uploaded: bool = True) -> PublishedItem:
    shown = tuple(View(name, name, "", "", None, None) for name in views)
    return PublishedItem(after, shown, PROJECT, BEFORE, uploaded)


@pytest.mark.parametrize(
    ("published_item", "difference"),
    [
        (published(dataclasses.replace(AFTER, name="Calls")), "it is named Calls"),
        (published(dataclasses.replace(AFTER, project_luid="q", project_name="Old")), "it is in the project Old"),
        (published(dataclasses.replace(AFTER, luid="2")), "it is another one than before, 1"),
        (published(BEFORE), "it is not newer than before"),
        (published(views=("a",)), "it has no view b"),
        (published(views=("a", "b", "c")), "it has views that the workbook does not have: c"),
    ],
)
def test_a_server_that_shows_something_else_fails_the_check(published_item: PublishedItem, difference: str) -> None:
    result = published_matches(published_item, "callviz", ("a", "b"), ("hidden",))
    assert not result.passed
    assert difference in (result.description or "")


def test_what_the_server_shows_matches() -> None:
    for published_item in (published(), published(BEFORE, uploaded=False), published(views=("a", "b", "hidden"))):
        assert published_matches(published_item, "callviz", ("a", "b"), ("hidden",)).passed


def test_warnings_alone_do_not_fail_the_validation() -> None:
    result = workbook_valid_on_server(Verdict((), ("line 1, <map>: odd",)), uploaded=True)
    assert result.passed
    assert "0 errors and 1 warnings: line 1, <map>: odd" in (result.description or "")


def test_a_publish_that_does_not_match_is_made_again(server: TableauServer, settings: Settings) -> None:
    server.hidden_views = True
    assert passed(run(settings, build_callviz_workbook(), build_published_workbook()))["published_matches"], (
        "hidden ones may be shown"
    )
    (content,) = server.items()
    content.content = b"changed, and shows no view"
    result = run(settings, build_published_workbook())
    assert not passed(result)["published_matches"]
    assert not result.get_step_failure_events()
    result = run(settings, build_published_workbook())
    assert passed(result)["published_matches"]
    assert content.revision == 2
