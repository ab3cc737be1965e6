"""The definitions: how they merge with others, and what Dagster's catalog and the resource show."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sys

import dagster as dg
import pytest
from dagster._core.execution.plan.objects import StepFailureData
from dagster._serdes import serialize_value
from dagster._utils.error import serializable_error_info_from_exc_info
from pymongo.collection import Collection

from callviz_dagster.assets.common import data_version
from callviz_dagster.automation.runs import COLLECTION_TAG, DEPLOYMENT_TAG, failure_sentence
from callviz_dagster.definitions import build_definitions
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.refresh import empty_instance, some_calls

SECRET = "mongodb://reader:hunter2@127.0.0.1:9/shop?serverSelectionTimeoutMS=100"


def test_they_merge_with_others_that_have_an_executor_and_resources_of_any_name() -> None:
    own = dg.Definitions(executor=dg.multiprocess_executor, resources={"mongo": 1, "settings": 2, "callviz": 3})
    settings = Settings(mongo_uri=SECRET)
    merged = dg.Definitions.merge(
        build_definitions(settings), build_definitions(settings, name="sales", key_prefix=["shop", "sales"]), own
    )
    dg.Definitions.validate_loadable(merged)
    assert merged.executor is dg.multiprocess_executor
    keys = merged.resolve_asset_graph().get_all_asset_keys()
    assert {dg.AssetKey("calls"), dg.AssetKey(["shop", "sales", "calls"])} <= keys
    refreshed = merged.resolve_job_def("refresh_calls").asset_layer.executable_asset_keys
    assert {key.path[0] for key in refreshed} == {key.path[-1] for key in refreshed}, "and none of the others' assets"


def test_a_name_that_dagster_does_not_allow_is_refused() -> None:
    with pytest.raises(ValueError, match="'support calls' is no name"):
        Names("support calls")


def test_owners_tags_and_the_version_of_the_code_are_in_the_catalog() -> None:
    settings = Settings.load(
        {"CALLVIZ_OWNERS": "team:support,ana@example.com", "CALLVIZ_TAGS": "domain=support, tier="}
    )
    graph = build_definitions(settings).resolve_asset_graph()
    for name in ("raw_calls", "calls", "calls_csv", "call_dashboard"):
        node = graph.get(dg.AssetKey(name))
        assert [*node.owners] == ["team:support", "ana@example.com"]
        assert (node.tags["domain"], node.tags["tier"]) == ("support", "")
        assert node.code_version


def test_the_catalog_says_how_the_collection_is_divided_into_partitions() -> None:
    """Partitions have no descriptions in Dagster."""
    settings = Settings(
        timezone="Europe/Berlin",
        partitions="weekly",
        partitions_start=dt.date(2024, 5, 1),
        field_start_time="startedAt",
    )
    graph = build_definitions(settings).resolve_asset_graph()
    described = graph.get(dg.AssetKey("raw_calls")).metadata["partitions"]
    assert described == "weekly from 2024-04-29 in Europe/Berlin by startedAt"
    assert "partitions" not in graph.get(dg.AssetKey("calls_csv")).metadata


def test_the_partitions_of_a_run_share_one_data_version() -> None:
    one = data_version(["a"])
    assert one == dg.DataVersion("a")
    assert data_version([]) is None
    assert len({data_version(contents) for contents in (["a"], ["a", "b"], ["b", "a"], ["ab"])}) == 4


def test_a_refresh_whose_process_is_asked_to_end_says_so_in_a_sentence() -> None:
    try:
        raise dg.DagsterExecutionInterruptedError
    except dg.DagsterExecutionInterruptedError:
        error = serializable_error_info_from_exc_info(sys.exc_info())
    failure = StepFailureData(error, user_failure_data=None)  # type: ignore[no-untyped-call]
    assert failure_sentence(failure).startswith("The refresh was interrupted: ")


def test_names_and_tags_carry_the_collection(settings: Settings) -> None:
    definitions = build_definitions(settings, name="support_calls", key_prefix="support_calls")
    assert [sensor.name for sensor in definitions.sensors or ()] == ["support_calls_changed"]
    assert [schedule.name for schedule in definitions.schedules or ()] == ["nightly_refresh_support_calls"]
    job = definitions.resolve_job_def("refresh_support_calls")
    assert job.run_tags[COLLECTION_TAG] == f"{settings.database}.{settings.mongo_collection}"
    other = dataclasses.replace(settings, mongo_collection="sales")
    assert job.tags == job.run_tags, "a run launched through GraphQL alone takes the job's tags, not its run tags"
    tags = build_definitions(other).resolve_job_def("refresh_calls").run_tags
    assert tags[COLLECTION_TAG] != job.run_tags[COLLECTION_TAG]
    assert tags[DEPLOYMENT_TAG] != job.run_tags[DEPLOYMENT_TAG], "by which the queue keeps a collection's runs apart"


@pytest.mark.parametrize(("setting", "value"), [("OWNERS", "support"), ("TAGS", "domain"), ("TAGS", "a b=c")])
def test_an_owner_or_a_tag_that_dagster_does_not_take_is_refused(setting: str, value: str) -> None:
    with pytest.raises(ValueError, match="is not allowed; it takes"):
        Settings.load({f"CALLVIZ_{setting}": value})


@pytest.mark.parametrize("uri", [None, dg.EnvVar("SUPPORT_MONGO_URI")])
def test_the_connection_string_is_in_no_definition_that_dagster_keeps(
    monkeypatch: pytest.MonkeyPatch, uri: str | None
) -> None:
    monkeypatch.setenv("SUPPORT_MONGO_URI", SECRET)
    definitions = build_definitions(Settings(mongo_uri=SECRET), mongo_uri=uri)
    kept = serialize_value(definitions.resolve_job_def("refresh_calls").get_job_snapshot())
    assert "hunter2" not in kept
    assert ("SUPPORT_MONGO_URI" in kept) == (uri is not None)


def test_the_resource_takes_the_variable_that_it_is_given(
    settings: Settings, collection: Collection[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    some_calls(collection, 3)
    monkeypatch.setenv("SUPPORT_MONGO_URI", settings.mongo_uri or "")
    wrong = dataclasses.replace(settings, mongo_uri=SECRET)
    definitions = build_definitions(wrong, mongo_uri=dg.EnvVar("SUPPORT_MONGO_URI"))
    with dg.build_resources({"mongo": (definitions.resources or {})[STAND_ALONE.mongo]}) as resources:
        mongo: MongoDB = resources.mongo
        with mongo.collection() as found:
            assert found.count_documents({}) == 3


def test_the_resource_can_be_replaced_in_a_test(settings: Settings, collection: Collection[dict[str, object]]) -> None:
    some_calls(collection, 3)
    definitions = build_definitions(dataclasses.replace(settings, mongo_uri=SECRET))
    raw_calls = next(
        asset
        for asset in definitions.assets or ()
        if isinstance(asset, dg.AssetsDefinition) and asset.key == dg.AssetKey("raw_calls")
    )
    resources = {**(definitions.resources or {}), STAND_ALONE.mongo: MongoDB(settings)}
    assert dg.materialize([raw_calls], resources=resources, instance=empty_instance()).success
