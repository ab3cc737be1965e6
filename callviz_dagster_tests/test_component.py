"""The Dagster component, in a project as create-dagster lays it out."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest
from dagster._core.scheduler.instigation import InstigatorType, TickStatus
from dagster.components.core.component_tree import ComponentTreeException
from pymongo.collection import Collection

from callviz_dagster import CallvizComponent
from callviz_dagster.component import in_yaml_keys, yaml_path
from callviz_dagster.demo.child import Child
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.processes import wait_for
from callviz_dagster_tests.helpers.refresh import START, empty_instance, some_calls
from callviz_dagster_tests.helpers.tableau_server import SECRET, TOKEN, tableau_server

Document = dict[str, Any]
Write = Callable[..., Path]
ROOT = Path(__file__).resolve().parent.parent
URI = "mongodb://reader:hunter2@db.example.com/shop"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty project, whose package can be imported."""
    name = f"project_{tmp_path.name}"
    (tmp_path / "src" / name / "defs").mkdir(parents=True)
    for package in (name, f"{name}/defs"):
        (tmp_path / "src" / package / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "0.1.0"\n\n'
        f'[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "{name}"\n',
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path / "src")
    return tmp_path


def defs_folder(project: Path) -> Path:
    (folder,) = (project / "src").glob("*/defs")
    return folder


def write(project: Path, attributes: str, name: str = "support_calls") -> Path:
    """Write the defs.yaml of a component and return it."""
    path = defs_folder(project) / name / "defs.yaml"
    path.parent.mkdir(parents=True)
    indented = textwrap.indent(textwrap.dedent(attributes).strip(), "  ")
    path.write_text(f"type: callviz_dagster.CallvizComponent\nattributes:\n{indented}\n", encoding="utf-8")
    return path


def load(project: Path) -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=project)


def whole_message(error: BaseException | None) -> str:
    """Return the messages of an exception and of its causes."""
    return f"{error}\n{whole_message(error.__cause__)}" if error else ""


def message(project: Path, attributes: str) -> str:
    """Return what loading the project says, for attributes that are refused."""
    write(project, attributes)
    with pytest.raises(ComponentTreeException) as error:
        load(project)
    return whole_message(error.value)


@pytest.mark.slow
def test_a_refresh_publishes_the_calls_and_then_the_workbook_on_the_tableau_server(
    project: Path, settings: Settings, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    some_calls(collection, 3)
    monkeypatch.setenv("SUPPORT_MONGO_URI", settings.mongo_uri or "")
    monkeypatch.setenv("TABLEAU_SECRET", SECRET)
    with tableau_server() as server:
        write(
            project,
            f"""
            mongo: {{uri: "{{{{ env.SUPPORT_MONGO_URI }}}}", database: {settings.database}, collection: calls}}
            timezone: Europe/Berlin
            fields: {{start_time: start_time}}
            drop_fields: [caller]
            partitions: monthly
            partitions_start: 2024-03-01
            max_rejected: 0.1
            tableau: {{server: "{server.address}", project: Operations/Calls, token_name: {TOKEN},
                       token_secret: "{{{{ env.TABLEAU_SECRET }}}}"}}
            """,
        )
        definitions = load(project)
        job = definitions.resolve_job_def("refresh_support_calls")
        result = job.execute_in_process(
            tags={
                "dagster/asset_partition_range_start": "2024-03-01",
                "dagster/asset_partition_range_end": "2024-04-01",
            },
            instance=empty_instance(),
        )
        assert result.success
        assert len(server.items()) == 1
    # Relative folders are the project's, and both the zone and the field that is left out arrive.
    header, first, *_ = (project / "tableau" / "support_calls" / "calls.csv").read_text(encoding="utf-8").splitlines()
    assert "2024-03-31 00:30:00" in first
    assert "caller" not in header
    made = [event.materialization.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
    assert made[-1] == "support_calls/published_workbook"


@pytest.mark.parametrize(
    ("attributes", "line", "expected"),
    [
        (f"mongo:\n  url: {URI}", 4, "mongo.url is not a setting of callviz. Did you mean uri?"),
        (f"mongo: {URI}", 3, "mongo takes the keys uri, database, collection."),
        (
            f"mongo: {{uri: '{URI}'}}\ntime_zone: UTC",
            4,
            "time_zone is not a setting of callviz. Did you mean timezone?",
        ),
        (f"mongo: {{uri: '{URI}'}}\nnightly: 13:30", 4, "nightly takes text: put the value in quotes."),
        (f"mongo: {{uri: '{URI}'}}\ntimezone: Berlin", 4, "timezone: 'Berlin' is not allowed; it takes an IANA time"),
        (f"mongo: {{uri: '{URI}'}}\npartitions: daily", 4, "partitions=daily needs partitions_start, for example"),
        (f"mongo:\n  collection: calls\n  uri: {URI.replace('shop', 'shop?w=x=y')}", 5, "mongo.uri"),
        (f"mongo: {{uri: '{URI}'}}\nfields:\n  start_time: none", 5, "fields.start_time: every call needs a start"),
    ],
)
def test_an_error_names_file_line_and_key_and_no_secret(
    project: Path, attributes: str, line: int, expected: str
) -> None:
    text = message(project, attributes)
    assert expected in text
    assert f"support_calls/defs.yaml:{line}" in text
    assert "hunter2" not in text


def test_a_connection_string_that_is_not_set_names_the_file(project: Path) -> None:
    text = message(project, 'mongo: {uri: "{{ env.SURELY_NOT_SET }}"}')
    assert "support_calls" in text
    assert "mongo.uri is not set" in text


def test_two_components_share_no_name_and_no_folder(project: Path) -> None:
    for name in ("support_calls", "sales/calls"):
        write(project, f"mongo: {{uri: '{URI}'}}\nwatch: true", name)
    repository = load(project).get_repository_def()
    keys = {key.path[0] for key in repository.asset_graph.get_all_asset_keys()}
    assert keys == {"support_calls", "sales_calls"}
    groups = {repository.asset_graph.get(key).group_name for key in repository.asset_graph.get_all_asset_keys()}
    assert groups == keys
    assert {job.name for job in repository.get_all_jobs()} == {
        *("refresh_support_calls", "refresh_sales_calls", "__ASSET_JOB")
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {"support_calls_changed", "sales_calls_changed"}
    assert {schedule.name for schedule in repository.schedule_defs} == {
        *("nightly_refresh_support_calls", "nightly_refresh_sales_calls")
    }
    pools = {asset.op.pool for asset in repository.assets_defs_by_key.values() if asset.is_executable}
    assert pools == {"callviz_support_calls", "callviz_sales_calls"}
    refreshed = repository.get_job("refresh_sales_calls").asset_layer.executable_asset_keys
    assert {key.path[0] for key in refreshed} == {"sales_calls"}


@pytest.mark.long
def test_two_components_refresh_at_once_and_the_broken_one_leaves_the_other_alone(
    project: Path, settings: Settings, collection: Collection[Document], tmp_path: Path
) -> None:
    """From the command line, in processes of their own and one Dagster instance."""
    some_calls(collection, 3)
    some_calls(collection.database["sales"], 5)
    module, environment = two_collections(project, settings, tmp_path / "home")

    def refresh_both(environment: dict[str, str]) -> dict[str, int]:
        command = [sys.executable, "-m", "dagster", "job", "execute", "-m", module, "-j"]
        processes = {
            name: subprocess.Popen(
                [*command, f"refresh_{name}"],
                env=environment,
                cwd=project,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in ("support_calls", "sales_calls")
        }
        return {name: process.wait(300) for name, process in processes.items()}

    assert refresh_both(environment) == {"support_calls": 0, "sales_calls": 0}
    assert published_rows(project) == {"support_calls": 3, "sales_calls": 5}
    collection.insert_one({"_id": 100, "start_time": START})
    broken = environment | {"SALES_CALLS_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300"}
    assert refresh_both(broken) == {"support_calls": 0, "sales_calls": 1}
    assert published_rows(project) == {"support_calls": 4, "sales_calls": 5}


@pytest.mark.long
def test_under_a_daemon_each_sensor_answers_to_its_own_collection_and_the_broken_one_leaves_the_other_alone(
    project: Path, settings: Settings, collection: Collection[Document], tmp_path: Path
) -> None:
    sales = collection.database["sales"]
    some_calls(collection, 3)
    some_calls(sales, 5)
    module, environment = two_collections(project, settings, tmp_path / "home", "watch: true\nmin_refresh_seconds: 1")

    def successes(job: str) -> list[dict[str, str]]:
        done = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
        return [dict(run.tags) for run in instance.get_runs(done)]

    def refreshed(support_calls: int, sales_calls: int) -> bool:
        jobs = [successes("refresh_support_calls"), successes("refresh_sales_calls")]
        return [len(runs) for runs in jobs] == [support_calls, sales_calls]

    def failed_sensors() -> set[str]:
        states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        failures = [
            instance.get_ticks(state.instigator_origin_id, state.selector_id, statuses=[TickStatus.FAILURE])
            for state in states
        ]
        return {tick.instigator_name for ticks in failures for tick in ticks}

    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]))
        log = stack.enter_context((tmp_path / "daemon.log").open("wb"))
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", module]
        daemon = Child(command, env=environment, cwd=project, stdout=log, stderr=log)
        stack.callback(daemon.end)
        wait_for("the first refresh of both", lambda: refreshed(1, 1))
        sales.insert_one({"_id": 100, "start_time": START})
        wait_for("the refresh of sales_calls", lambda: refreshed(1, 2))
        sales.drop()
        wait_for("a tick that finds no collection", failed_sensors)
        collection.insert_one({"_id": 100, "start_time": START})
        wait_for("the refresh of support_calls", lambda: refreshed(2, 2))
        assert failed_sensors() == {"sales_calls_changed"}
        assert published_rows(project) == {"support_calls": 4, "sales_calls": 6}
        for name, source in (("support_calls", "calls"), ("sales_calls", "sales")):
            tags = {(run["dagster/sensor_name"], run["callviz/collection"]) for run in successes(f"refresh_{name}")}
            assert tags == {(f"{name}_changed", f"{settings.database}.{source}")}


def two_collections(project: Path, settings: Settings, home: Path, attributes: str = "") -> tuple[str, dict[str, str]]:
    """Write two components beside definitions of the project's own; return their module and the environment."""
    for name, source in (("support_calls", "calls"), ("sales_calls", "sales")):
        uri = f"{{{{ env.{name.upper()}_URI }}}}"
        mongo = f'mongo: {{uri: "{uri}", database: {settings.database}, collection: {source}}}'
        write(project, f"{mongo}\n{attributes}", name)
    (package,) = (project / "src").iterdir()
    (package / "definitions.py").write_text(
        "from pathlib import Path\nimport dagster as dg\n"
        "@dg.definitions\n"
        "def defs():\n"
        "    own = dg.Definitions(executor=dg.multiprocess_executor, resources={'mongo': 1, 'settings': 2})\n"
        "    return dg.Definitions.merge(dg.load_from_defs_folder(path_within_project=Path(__file__)), own)\n",
        encoding="utf-8",
    )
    home.mkdir()
    # Two processes cannot make the tables of an instance at the same time.
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs()
    return f"{package.name}.definitions", {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(project / "src"), str(ROOT)]),
        "SUPPORT_CALLS_URI": settings.mongo_uri or "",
        "SALES_CALLS_URI": settings.mongo_uri or "",
    }


def published_rows(project: Path) -> dict[str, int]:
    """Return the number of calls that each component has published."""
    files = (project / "tableau").glob("*/calls.csv")
    return {path.parent.name: len(path.read_text(encoding="utf-8").splitlines()) - 1 for path in files}


@pytest.mark.parametrize("setting", ["data_dir", "publish_dir"])
def test_two_components_with_one_folder_are_refused(project: Path, setting: str) -> None:
    write(project, f"mongo: {{uri: '{URI}'}}\n{setting}: files", "sales_calls")
    text = message(project, f"mongo: {{uri: '{URI}'}}\n{setting}: files")
    assert f"{setting} is files in sales_calls and in support_calls, and their files would overwrite each other" in text


def test_one_folder_in_two_spellings_is_one_folder(project: Path) -> None:
    write(project, f"mongo: {{uri: '{URI}'}}\ndata_dir: {project}/files", "sales_calls")
    text = message(project, f"mongo: {{uri: '{URI}'}}\ndata_dir: other/../files")
    assert "would overwrite each other" in text


def test_two_components_of_one_name_are_refused(project: Path) -> None:
    write(project, f"mongo: {{uri: '{URI}'}}", "sales/calls")
    write(project, f"mongo: {{uri: '{URI}'}}", "sales_calls")
    with pytest.raises(ComponentTreeException) as error:
        load(project)
    assert "two callviz components are named sales_calls: rename a folder" in whole_message(error.value)


def test_the_schema_has_every_setting_and_no_value() -> None:
    schema = CallvizComponent.model().model_json_schema()
    for setting in dataclasses.fields(Settings):
        members = schema["properties"]
        *groups, key = yaml_path(setting.name)
        for group in groups:
            members = schema["properties"][group]["properties"]
        assert members[key]["default"] is None
        assert members[key]["description"][1:].startswith(in_yaml_keys(setting.metadata["meaning"])[1:])
    assert "CALLVIZ_" not in json.dumps(schema)
    assert "anyOf" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mongo": {"url": URI}}, "Additional properties are not allowed ('url' was unexpected)"),
        ({"nightly": 810}, "810 is not of type 'string', 'null'"),
        ({"drop_fields": 3}, "3 is not of type 'array', 'string', 'null'"),
        ({"mongo": None, "watch": "{{ env.WATCH }}", "drop_fields": ["notes"], "partitions_start": "2024-01-01"}, ""),
    ],
)
def test_dg_names_the_key_that_is_wrong_and_no_secret(attributes: dict[str, object], message: str) -> None:
    errors = jsonschema.Draft202012Validator(CallvizComponent.model().model_json_schema()).iter_errors(attributes)
    assert [error.message for error in errors] == ([message] if message else [])


def test_a_component_shows_no_secret() -> None:
    component = CallvizComponent.from_attributes_dict(
        attributes={"mongo": {"uri": URI}, "tableau": {"token_secret": SECRET}}
    )
    assert component.settings.mongo_uri == URI
    assert "hunter2" not in repr(component)
    assert SECRET not in repr(component)


@pytest.mark.slow
def test_dg_lists_and_scaffolds_the_component(project: Path, tmp_path: Path) -> None:
    metadata = tmp_path / "site" / "callviz_dagster-0.0.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: callviz-dagster\nVersion: 0.0.0\n", encoding="utf-8"
    )
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    lines = [f"[{group}]\n{name} = {value}" for group, names in declared.items() for name, value in names.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")

    def dg_command(*arguments: str) -> str:
        paths = [str(metadata.parent), str(project / "src"), str(ROOT)]
        done = subprocess.run(
            [str(Path(sys.executable).parent / "dg"), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "VIRTUAL_ENV": sys.prefix},
            cwd=project,
            text=True,
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    listed = {one["key"]: one for one in json.loads(dg_command("list", "components", "--json"))["items"]}
    assert "Phone calls of a MongoDB collection" in listed["callviz_dagster.CallvizComponent"]["summary"]
    dg_command("scaffold", "defs", "callviz_dagster.CallvizComponent", "support_calls")
    scaffolded = (defs_folder(project) / "support_calls" / "defs.yaml").read_text(encoding="utf-8")
    assert scaffolded.split() == [
        *("type:", "callviz_dagster.CallvizComponent", "attributes:"),
        *("mongo:", "uri:", "'{{", "env.SUPPORT_CALLS_MONGO_URI", "}}'", "collection:", "calls", "timezone:", "UTC"),
    ]


@pytest.mark.long
def test_dg_scaffolds_an_asset_among_those_of_this_repository(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "callviz_dagster", tmp_path / "callviz_dagster")
    subprocess.run(
        [str(Path(sys.executable).parent / "dg"), "scaffold", "defs", "dagster.asset", "more_calls.py"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    assert "def more_calls" in (tmp_path / "callviz_dagster" / "assets" / "more_calls.py").read_text(encoding="utf-8")
