"""Every way of use that the README names, each in a process of its own."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.services import KNOWN

pytestmark = pytest.mark.no_cover
ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sys.executable).parent
Document = dict[str, Any]


@pytest.fixture
def environment(settings: Settings, collection: Collection[Document], tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user who points callviz at a collection of three calls."""
    start = dt.datetime(2024, 5, 1, 9, tzinfo=dt.UTC)
    collection.insert_many([{"_id": n, "start_time": start + dt.timedelta(days=n)} for n in range(3)])
    home = tmp_path / "dagster home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n", encoding="utf-8")
    return {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "CALLVIZ_MONGO_URI": settings.mongo_uri or "",
        "CALLVIZ_MONGO_DATABASE": settings.database,
        "CALLVIZ_DATA_DIR": str(settings.data_dir),
        "CALLVIZ_PUBLISH_DIR": str(settings.publish_dir),
    }


def run(command: list[str], environment: dict[str, str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    return subprocess.run(
        [str(SCRIPTS / program), *arguments], env=environment, cwd=folder, text=True, capture_output=True, timeout=300
    )


def test_dagster_asset_materialize_from_the_project(
    settings: Settings, environment: dict[str, str], collection: Collection[Document]
) -> None:
    """With nothing set but the connection, on records of a service; the log says which field plays which role."""
    service = KNOWN["hubspot_calls"]
    collection.delete_many({})
    collection.insert_many(service.documents(mongoose=True))
    done = run(["dagster", "asset", "materialize", "-m", "callviz_dagster.definitions", "--select", "*"], environment)
    assert done.returncode == 0, done.stderr
    assert len((settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()) == 41
    rows = pq.read_table(settings.data_dir / "calls" / "all.parquet").to_pylist()
    assert service.wrong_columns({row["_id"]: row for row in rows}) == set()
    for line in (
        "start_time: properties.hs_timestamp (in 100% of the documents, by name and data)",
        "end_time: no field",
        "duration: properties.hs_call_duration, ms (by name) (in 95% of the documents, by name and data)",
        "call_type: properties.hs_call_direction (in 100% of the documents, by name and data)",
        "status: properties.hs_call_status (in 100% of the documents, by name and data)",
    ):
        assert line in done.stderr


def test_dagster_job_execute_from_another_folder(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    done = run(
        ["dagster", "job", "execute", "-m", "callviz_dagster.definitions", "-j", "refresh_calls"], environment, tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (settings.publish_dir / "calls.csv").exists()


def test_a_range_of_partitions_from_the_command_line(settings: Settings, environment: dict[str, str]) -> None:
    daily = environment | {
        "CALLVIZ_PARTITIONS": "daily",
        "CALLVIZ_PARTITIONS_START": "2024-05-01",
        "CALLVIZ_FIELD_START_TIME": "start_time",
    }
    command = ["dagster", "asset", "materialize", "-m", "callviz_dagster.definitions", "--select", "*"]
    done = run([*command, "--partition-range", "2024-05-01...2024-05-04"], daily)
    assert done.returncode == 0, done.stderr
    assert len((settings.publish_dir / "calls.csv").read_text(encoding="utf-8").splitlines()) == 4
    names = sorted(path.name for path in (settings.data_dir / "calls").glob("*.parquet"))
    assert names == [f"2024-05-0{day}.parquet" for day in range(1, 5)]


def test_dg_launch(settings: Settings, environment: dict[str, str]) -> None:
    done = run(["dg", "launch", "--assets", "raw_calls"], environment)
    assert done.returncode == 0, done.stderr
    assert (settings.data_dir / "raw_calls" / "all.bson.zst").exists()


def test_definitions_are_valid_without_any_setting(environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if not name.startswith("CALLVIZ_")}
    done = run(["dagster", "definitions", "validate"], bare)
    assert done.returncode == 0, done.stderr


def test_failed_refresh_is_a_failed_command_with_the_sentence(environment: dict[str, str]) -> None:
    away = environment | {"CALLVIZ_MONGO_URI": "mongodb://bob:hunter22@127.0.0.1:9/?serverSelectionTimeoutMS=300"}
    done = run(["dagster", "asset", "materialize", "-m", "callviz_dagster.definitions", "--select", "*"], away)
    assert done.returncode != 0
    assert "MongoDB did not answer: 127.0.0.1:9" in done.stderr
    assert "hunter22" not in done.stdout + done.stderr


@pytest.mark.long
def test_misspelt_setting_is_told_by_name(environment: dict[str, str]) -> None:
    done = run(["dagster", "definitions", "validate"], environment | {"CALLVIZ_TIMZONE": "UTC"})
    assert done.returncode != 0
    assert "CALLVIZ_TIMZONE is not a setting of callviz. Did you mean CALLVIZ_TIMEZONE?" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "target",
    [
        ["-w", "workspace.yaml"],
        [],
    ],
    ids=["workspace.yaml", "pyproject.toml"],
)
def test_code_location_has_one_name_whichever_way_it_is_loaded(target: list[str], environment: dict[str, str]) -> None:
    script = (
        "import sys\n"
        "from dagster._cli.workspace.cli_target import WorkspaceOpts\n"
        "from dagster._core.instance import DagsterInstance\n"
        "from dagster._cli.utils import get_possibly_temporary_instance_for_cli\n"
        "from dagster._cli.workspace.cli_target import workspace_opts_to_load_target\n"
        "opts = WorkspaceOpts(workspace=tuple(sys.argv[1:]) or None)\n"
        "target = workspace_opts_to_load_target(opts)\n"
        "print([origin.location_name for origin in target.create_origins()])\n"
    )
    arguments = [argument for argument in target if argument != "-w"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.stdout.strip() == "['callviz_dagster']", done.stderr


HEAVY = (
    "print(sorted({'botocore', 'duckdb', 'numpy', 'pandas', 'obstore', 'pandera', 'pantab', 'pyarrow', "
    "'tableauserverclient', 'vl_convert', 'callviz_dagster.tableau_server'} & sys.modules.keys()))"
)
"""What only a refresh needs: together they take longer to load than Dagster."""


def in_a_fresh_interpreter(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, text=True, capture_output=True, timeout=120
    )


def test_loading_the_code_location_loads_no_heavy_library_and_connects_to_nothing(environment: dict[str, str]) -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*arguments): raise AssertionError('a connection at import')\n"
        "socket.socket.connect = refuse\n"
        "from callviz_dagster.definitions import defs\n"
        "defs().get_repository_def()\n" + HEAVY + "\n"
        # With a Tableau server it loads what publishes, and not yet the library for it.
        "import os\n"
        "os.environ |= {'CALLVIZ_TABLEAU_SERVER': 'https://tableau.example.com', 'CALLVIZ_TABLEAU_PROJECT': 'Calls',\n"
        "    'CALLVIZ_TABLEAU_TOKEN_NAME': 'callviz', 'CALLVIZ_TABLEAU_TOKEN_SECRET': 'a secret'}\n"
        "defs().get_repository_def()\n" + HEAVY
    )
    done = in_a_fresh_interpreter(script, environment)
    assert done.stdout.splitlines() == ["[]", "['callviz_dagster.tableau_server']"], done.stderr


def test_a_look_at_the_collection_loads_no_heavy_library(environment: dict[str, str]) -> None:
    script = (
        "import sys\n"
        "import dagster as dg\n"
        "from callviz_dagster.definitions import defs\n"
        "from callviz_dagster.mongodb.connection import MongoDB\n"
        "from callviz_dagster.settings import Settings\n"
        "sensor = defs().resolve_sensor_def('calls_changed')\n"
        "instance = dg.DagsterInstance.ephemeral()\n"
        "def look(cursor):\n"
        "    mongo = {'callviz_mongo': MongoDB(Settings.load())}\n"
        "    return sensor.evaluate_tick(dg.build_sensor_context(instance, cursor, resources=mongo))\n"
        "first = look(None)\n"
        "(request,) = first.run_requests\n"
        "done = dg.DagsterRun('refresh_calls', tags=dict(request.tags), status=dg.DagsterRunStatus.SUCCESS)\n"
        "instance.add_run(done)\n"
        "print(look(first.cursor).skip_message)\n" + HEAVY
    )
    done = in_a_fresh_interpreter(script, environment)
    reason, loaded = done.stdout.splitlines() or ("", done.stderr)
    assert reason.startswith("no changes since "), done.stderr
    assert loaded == "[]"


@pytest.mark.long
def test_killed_refresh_leaves_the_previous_csv(
    settings: Settings, collection: Collection[Document], environment: dict[str, str]
) -> None:
    command = ["dagster", "asset", "materialize", "-m", "callviz_dagster.definitions", "--select", "*"]
    assert run(command, environment).returncode == 0
    csv = settings.publish_dir / "calls.csv"
    before = csv.read_bytes()
    start = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
    collection.insert_many(
        [{"_id": 10 + n, "start_time": start + dt.timedelta(minutes=n), "filler": "x" * 200} for n in range(100_000)]
    )
    after: set[bytes] = set()
    for stage in ("raw_calls/.all.bson.zst.*.tmp", "calls/.all.parquet.*.tmp", "../publish/.calls.csv.*.tmp"):
        process = subprocess.Popen(
            [str(SCRIPTS / command[0]), *command[1:]],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(settings.data_dir, stage, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        after.add(csv.read_bytes())
    assert after == {before}
    assert run(command, environment).returncode == 0
    assert len(csv.read_text(encoding="utf-8").splitlines()) == 100_004
    assert not list(settings.publish_dir.glob(".*.tmp")), "what the killed refreshes left is cleared away"


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    parent, name = pattern.rsplit("/", 1)
    while not any(path.stat().st_size for path in (folder / parent).glob(name)):
        assert process.poll() is None, "the refresh ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
