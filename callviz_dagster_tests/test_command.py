"""The command `callviz`: what it prints, its exit codes, and which collection it acts on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo
from packaging.requirements import Requirement
from pymongo.collection import Collection

from callviz_dagster.automation.runs import deployment_tags
from callviz_dagster.cli import refresh as refresh_command
from callviz_dagster.cli import status as status_command
from callviz_dagster.cli.check import findings
from callviz_dagster.cli.collection import ChosenCollection, chosen_collection
from callviz_dagster.cli.dev import dev_command
from callviz_dagster.cli.exit_codes import ExitCode
from callviz_dagster.cli.main import main
from callviz_dagster.cli.refresh import Refreshed, lines, run_tags, terminal
from callviz_dagster.cli.status import Status, read_status
from callviz_dagster.settings import Settings
from callviz_dagster.storage import lock
from callviz_dagster_tests.helpers.command import Command, command_in
from callviz_dagster_tests.helpers.lock import holder
from callviz_dagster_tests.helpers.refresh import empty_instance, some_calls

Document = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Give the command in an empty folder, with the test's collection."""
    names = {"MONGO_URI": settings.mongo_uri, "MONGO_DATABASE": settings.mongo_database}
    return command_in(tmp_path, names, monkeypatch, capfd)


@pytest.mark.slow
def test_a_refresh_says_how_it_proceeds_and_what_is_published(
    command: Command, collection: Collection[Document], tmp_path: Path
) -> None:
    some_calls(collection, 3)
    code, output, errors = command("refresh")
    assert code == ExitCode.DONE
    assert errors == f"DAGSTER_HOME is not set: this uses {tmp_path / '.dagster_home'}.\n"
    printed = output.splitlines()
    assert printed[0] == f"Reading {collection.full_name}, through Dagster ..."
    steps = [line.split()[0] for line in printed if line.startswith("  ") and line.endswith(" s)")]
    assert steps[:3] == ["raw_calls", "calls", "calls_csv"]
    assert any(line.strip().startswith("3 documents read, as of ") for line in printed)
    assert printed[-1].split("  ")[1] == "callviz dev"
    assert len((tmp_path / "tableau" / "calls.csv").read_text(encoding="utf-8").splitlines()) == 4
    code, output, _ = command("status")
    assert code == ExitCode.DONE
    assert output.startswith("Published: 3 documents, as of ")
    assert " success " in output.splitlines()[1], "the run is in the instance that the UI shows"


@pytest.mark.long
def test_the_exit_codes_are_those_that_cron_can_use(
    command: Command, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    some_calls(collection, 3)
    assert command("refresh", "--quiet") == (ExitCode.DONE, "", ""), "so cron sends no mail"
    code, output, _ = command("refresh", "--json")
    done = json.loads(output)
    assert code == ExitCode.DONE
    assert [*done] == [field.name for field in dataclasses.fields(Refreshed)]
    assert (done["status"], done["calls"], done["rejected"], done["message"]) == ("done", 3, 0, "")
    assert done["files"]["calls.csv"]["path"] == str(tmp_path / "tableau" / "calls.csv")

    monkeypatch.setattr(lock, "WAIT_SECONDS", 0.0)
    busy = holder(tmp_path / ".callviz")
    try:
        code, output, errors = command("refresh", "--quiet")
    finally:
        busy.kill()
        busy.communicate()
    assert (code, output) == (ExitCode.BUSY, "")
    assert errors.splitlines()[-1].startswith(f"Process {busy.pid} is refreshing the files in")

    collection.delete_many({})
    code, output, errors = command("refresh", "--json")
    refused = json.loads(output)
    assert (code, refused["status"]) == (ExitCode.REFUSED, "refused")
    assert "raw_calls:volume_stable" in refused["failed_checks"]
    assert errors.splitlines()[-1] == refused["message"]
    code, output, _ = command("status")
    assert "The last refresh was refused: 0 documents where there were 3." in output
    assert " failure " in output
    assert " callviz refresh --accept-drop 0, or " in refused["message"]
    assert command("refresh", "--accept-drop", "0", "--quiet") == (ExitCode.DONE, "", "")

    monkeypatch.setenv("CALLVIZ_MONGO_URI", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300")
    code, _, errors = command("refresh")
    assert code == ExitCode.FAILED
    assert errors.splitlines()[-1].startswith("MongoDB did not answer: 127.0.0.1:9")
    code, output, _ = command("check")
    assert code == ExitCode.FAILED
    assert output.startswith("FAIL  connection: MongoDB did not answer: 127.0.0.1:9")


@pytest.mark.each_case
@pytest.mark.parametrize(
    ("arguments", "variable", "message"),
    [
        (["refresh"], ("CALLVIZ_TIMEZONE", "Berlin"), "CALLVIZ_TIMEZONE: 'Berlin' is not allowed"),
        (["refresh", "--partition", "2024-05-01"], ("CALLVIZ_MAX_DROP", "1"), "is not divided into partitions"),
        (["refresh", "--partition", "2023-05-01"], ("CALLVIZ_PARTITIONS", "daily"), "they are 2024-05-01 to "),
        (["prune", "--days", "0"], ("CALLVIZ_MAX_DROP", "1"), "Invalid value for '--days'"),
        (["--name", "support_calls", "status"], ("CALLVIZ_MAX_DROP", "1"), "--name needs a dg project"),
    ],
)
def test_a_wrong_setting_or_argument_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], variable: tuple[str, str], message: str
) -> None:
    monkeypatch.setenv("CALLVIZ_PARTITIONS_START", "2024-05-01")
    monkeypatch.setenv("CALLVIZ_FIELD_START_TIME", "start_time")
    monkeypatch.setenv(*variable)
    code, output, errors = command(*arguments)
    assert (code, output) == (ExitCode.SETTINGS, "")
    assert message in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_check_looks_at_the_server_the_folders_and_the_time_zone(
    command: Command, collection: Collection[Document], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    some_calls(collection, 3)
    code, output, _ = command("check")
    assert code == ExitCode.DONE
    assert [line.split(":")[0] for line in output.splitlines()] == [
        f"ok    {name}"
        for name in (
            *("connection", "collection", "snapshot", "change stream", "data folder", "publish folder", "time zone"),
            "Dagster instance",
        )
    ]
    settings = {"PARTITIONS": "daily", "PARTITIONS_START": "2024-03-01", "FIELD_START_TIME": "start_time"}
    for name, value in settings.items():
        monkeypatch.setenv(f"CALLVIZ_{name}", value)
    (tmp_path / "file").touch()
    monkeypatch.setenv("CALLVIZ_PUBLISH_DIR", str(tmp_path / "file"))
    code, output, _ = command("check")
    assert code == ExitCode.FAILED
    failed = [line for line in output.splitlines() if line.startswith("FAIL")]
    assert failed[0].startswith('FAIL  index: create one in mongosh: db.getCollection("calls").createIndex(')
    assert failed[1].startswith("FAIL  publish folder: ")


@pytest.mark.parametrize(
    ("configuration", "sentence"),
    [
        ("storagge: {}", 'Received unexpected config entry "storagge" at the root.'),
        (
            "storage: [hunter2",
            "dagster.yaml:2 is not YAML that can be read: look at its quotes, brackets and indentation.",
        ),
        ("storage: {postgres: {postgres_url: 'postgresql+psycopg2://dagster:hunter2@127.0.0.1:9/x'}}", "port 9 failed"),
    ],
)
def test_an_instance_that_cannot_be_opened_is_one_sentence(
    configuration: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "postgres" in configuration:
        pytest.importorskip("dagster_postgres")
        monkeypatch.setattr("dagster_postgres.utils.time.sleep", lambda seconds: None)
    (tmp_path / "dagster.yaml").write_text(f"{configuration}\n", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert main(["status"]) == ExitCode.SETTINGS
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"The Dagster instance in {tmp_path} cannot be opened: ")
    assert sentence in error
    assert "hunter2" not in error


def test_prune_and_status_in_an_empty_instance(command: Command) -> None:
    assert command("prune", "--days", "30")[:2] == (ExitCode.DONE, "Removed 0 runs.\n")
    code, output, _ = command("status", "--json")
    assert code == ExitCode.FAILED, "nothing is published, which a line of cron has to notice"
    known = json.loads(output)
    assert [*known] == [field.name for field in dataclasses.fields(Status)]
    assert (known["published"], known["fresh"], known["runs"]) == (False, None, [])


@pytest.mark.long
def test_a_component_of_a_project_is_chosen_by_its_name(
    command: Command, settings: Settings, collection: Collection[Document], tmp_path: Path
) -> None:
    some_calls(collection, 3)
    (project(tmp_path) / "defs.yaml").write_text(
        "type: callviz_dagster.CallvizComponent\nattributes:\n"
        f'  mongo: {{uri: "{{{{ env.CALLVIZ_MONGO_URI }}}}", database: {settings.database}}}\n',
        encoding="utf-8",
    )
    code, _, errors = command("--name", "sales_calls", "status")
    assert code == ExitCode.SETTINGS
    assert errors == "--name sales_calls: this project has no callviz component of that name; it has support_calls.\n"
    code, output, _ = command("--name", "support_calls", "refresh")
    assert code == ExitCode.DONE
    assert "\n  raw_calls (" in output
    assert (tmp_path / "tableau" / "support_calls" / "calls.csv").exists()
    _, output, _ = command("--name", "support_calls", "fields")
    assert "CALLVIZ_" not in output
    (keeping,) = yaml.safe_load(output.partition("Settings that keep this choice:")[2]).values()
    assert (keeping["start_time"], keeping["duration_unit"]) == ("start_time", "s")
    assert dev_command(3000)[-2:] == ["-p", "3000"], "Dagster takes the definitions of the project"


@pytest.mark.slow
def test_a_file_of_a_component_that_is_no_yaml_is_named_without_what_it_holds(command: Command, tmp_path: Path) -> None:
    folder = project(tmp_path)
    for text in ('uri: "mongodb://reader:hunter2@db', "uri: *hunter2", "\turi: hunter2", "uri: [hunter2"):
        (folder / "defs.yaml").write_text(
            f"type: callviz_dagster.CallvizComponent\nattributes:\n  mongo:\n    {text}\n  timezone: UTC\n",
            encoding="utf-8",
        )
        code, output, errors = command("--name", "support_calls", "check")
        assert code == ExitCode.SETTINGS
        assert "defs.yaml:" in errors
        assert "is not YAML that can be read" in errors
        assert "hunter2" not in output + errors
    (folder / "defs.yaml").write_text("type: callviz_dagster.CallvizComponent\n", encoding="utf-8")
    assert chosen_collection("support_calls").name == "support_calls"
    assert command("--name", "sales_calls", "status")[2] == (
        "--name sales_calls: this project has no callviz component of that name; it has support_calls.\n"
    )


def project(folder: Path) -> Path:
    """Make a dg project with an empty component, and return the component's folder."""
    component = folder / "src" / "call_center" / "defs" / "support_calls"
    component.mkdir(parents=True)
    for package in (component.parent.parent, component.parent):
        (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "call_center"\n', encoding="utf-8"
    )
    return component


def test_dev_gives_the_code_location_its_one_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Path(dev_command(3000)[-1])
    monkeypatch.delenv("DAGSTER_HOME")
    assert "location_name: callviz_dagster\n" in workspace.read_text(encoding="utf-8")
    assert "DAGSTER_HOME is not set" in capsys.readouterr().err


def test_dev_becomes_dagster_and_ctrl_c_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "pyproject.toml").write_text('[tool.dg]\ndirectory_type = "project"\n', encoding="utf-8")
    commands: list[list[str]] = []

    def become(program: str, command: list[str]) -> None:
        commands.append(command)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "execv", become)
    assert main(["dev", "--port", "3001"]) == 130
    assert commands == [[sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", "3001"]]
    assert capsys.readouterr().err.rstrip() == "The Dagster UI will be at http://127.0.0.1:3001; Ctrl-C stops it."
    monkeypatch.delenv("DAGSTER_HOME")
    (tmp_path / ".dagster_home").touch()
    assert main(["dev"]) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith(f"{tmp_path / '.dagster_home'} cannot be a folder")


@pytest.mark.parametrize(
    ("status", "code"),
    [("done", ExitCode.DONE), ("failed", ExitCode.FAILED), ("busy", ExitCode.BUSY), ("refused", ExitCode.REFUSED)],
)
def test_how_a_refresh_went_is_json_or_a_sentence(
    status: str, code: ExitCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(mongo_uri="mongodb://127.0.0.1/shop", data_dir=tmp_path, publish_dir=tmp_path)
    went = Refreshed(status, "a run", 1.5, "" if status == "done" else "The disk is full.")
    monkeypatch.setattr(refresh_command, "run", lambda *given: went)
    for as_json in (True, False):
        assert code == refresh_command.refresh(
            ChosenCollection(settings), empty_instance(), partition="", as_json=as_json, quiet=False
        )
        printed = capsys.readouterr()
        assert printed.err == ("" if status == "done" else "The disk is full.\n")
        if as_json:
            assert json.loads(printed.out) == json.loads(json.dumps(dataclasses.asdict(went)))
        else:
            assert printed.out.startswith("Reading shop.calls, through Dagster ...\n")
            assert ("callviz dev" in printed.out) is (status == "done")


def test_partitions_are_named_by_their_keys() -> None:
    daily = Settings(partitions="daily", partitions_start=dt.date(2024, 5, 1), field_start_time="start_time")
    tags = run_tags(ChosenCollection(daily), "2024-05-01...2024-05-02")
    bounds = [tags[f"dagster/asset_partition_range_{bound}"] for bound in ("start", "end")]
    assert bounds == ["2024-05-01", "2024-05-02"]


def test_status_says_what_is_wrong(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, publish_dir=tmp_path)
    instance = empty_instance()
    runs = [
        dg.DagsterRun("refresh_calls", status=dg.DagsterRunStatus.FAILURE, tags=deployment_tags(settings))
        for _ in range(2)
    ]
    for run in runs:
        instance.add_run(run)
    error = SerializableErrorInfo("no room\non the disk", [], None)
    failed = StepFailureData(error=error, user_failure_data=None)  # type: ignore[no-untyped-call]
    event = DagsterEvent(
        DagsterEventType.STEP_FAILURE.value, "refresh_calls", step_key="calls", event_specific_data=failed
    )
    instance.report_dagster_event(event, runs[0].run_id)
    known = read_status(ChosenCollection(settings), instance, dt.datetime.now(dt.UTC))
    assert {run.id: run.message for run in known.runs} == {
        runs[0].run_id: "no room on the disk",
        runs[1].run_id: "the process ended without reporting it",
    }
    odd = dataclasses.replace(known, changed_files=("calls.csv",), waiting="0 documents where there were 3", runs=())
    assert [*status_command.text(odd)] == [
        "Nothing is published yet: run callviz refresh.",
        "Not as they were published: calls.csv; the next refresh replaces them.",
        "The last refresh was refused: 0 documents where there were 3.",
    ]


def test_check_says_that_no_server_answers(tmp_path: Path) -> None:
    away = Settings(
        mongo_uri="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100", data_dir=tmp_path, publish_dir=tmp_path
    )
    passed, name, description = next(iter(findings(ChosenCollection(away))))
    assert (passed, name) == (False, "connection")
    assert description.startswith("MongoDB did not answer: 127.0.0.1:9")


def test_progress_takes_one_line_on_a_terminal_and_its_own_lines_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    written = "Writing calls.csv: 1 of about 9 documents, 1 a second, about 8 s left"
    steps = ["Reading", *lines(None, written), "  calls_csv (9.0 s)"]
    assert steps[1] == f"    {written}"
    on_terminal, elsewhere = Terminal(), io.StringIO()
    for output in (on_terminal, elsewhere):
        say = terminal(output)
        for line in steps:
            say(line)
    assert on_terminal.getvalue() == f"{steps[0]}\n{steps[1]}\r\033[K{steps[2]}\n"
    assert elsewhere.getvalue().splitlines() == steps


def test_the_command_starts_without_loading_what_a_refresh_needs() -> None:
    script = (
        "import sys\nimport callviz_dagster.cli.main\n"
        "print({'dagster', 'pandas', 'pyarrow', 'numpy', 'pandera'}.intersection(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True
    )
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.long
def test_the_wheel_has_what_the_command_and_analysts_need(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    url = "https://example.org/calls/callviz"
    subprocess.run(build, check=True, capture_output=True, env={**os.environ, "CALLVIZ_PROJECT_URL": url + "/"})
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
        assert "callviz = callviz_dagster.__main__:run" in archive.read(entry_points).decode()
        metadata = archive.read(entry_points.replace("entry_points.txt", "METADATA")).decode()
    assert f"Project-URL: Repository, {url}\n" in metadata
    assert f"Project-URL: Changelog, {url}/blob/main/CHANGELOG.md\n" in metadata
    needed = ("py.typed", "tableau/callviz.twb", "tableau/README.md", "local/dagster.yaml", "dashboard/charts.js")
    assert {f"callviz_dagster/{name}" for name in needed} <= names


def test_a_pymongo_that_raises_on_decimals_that_are_not_canonical_is_not_taken() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (pymongo,) = [one for one in map(Requirement, project["dependencies"]) if one.name == "pymongo"]
    assert not [minor for minor in range(20) if pymongo.specifier.contains(f"4.{minor}.9")]


def test_the_console_script_and_the_module_are_the_same_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"callviz": "callviz_dagster.__main__:run"}
    script = "import sys\nfrom callviz_dagster.__main__ import run\nsys.argv = ['callviz', '--help']\nrun()"
    printed = [
        subprocess.run(
            [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True
        ).stdout
        for arguments in (["-c", script], ["-m", "callviz_dagster", "--help"])
    ]
    assert printed[0] == printed[1]
    assert "refresh" in printed[0]
    assert "Traceback" not in printed[0]


def test_the_demo_is_named_as_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    assert capsys.readouterr().out.startswith("usage: callviz demo ")
