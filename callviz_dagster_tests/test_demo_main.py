"""The commands behind `make demo` and `make dev`, run as a user runs them: in a folder of their own, as processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pymongo.collection import Collection

from callviz_dagster.demo import commands, source
from callviz_dagster.demo.child import Child
from callviz_dagster.demo.mongod import free_port
from callviz_dagster.local.instance import own_dagster_home
from callviz_dagster.local.summary import _size, summary
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import FileError

pytestmark = pytest.mark.server


DOCUMENTS, REJECTED = 2_000, 2


def _command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "callviz_dagster.demo", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
    )


def _refresh(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return _command(folder, "refresh", "--documents", str(DOCUMENTS), **environment)


def _mongod_listens(folder: Path) -> bool:
    port = json.loads((folder / ".callviz" / "mongodb" / "port.json").read_text())
    return commands.listens(port)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo has run once; its output is in `output.txt`."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name == "DAGSTER_HOME" or name.startswith("CALLVIZ_"):
                patch.delenv(name)
        done = _refresh(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "output.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def test_demo_carries_the_sample_calls_to_the_published_files(folder: Path) -> None:
    with (folder / "tableau" / "calls.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == DOCUMENTS - REJECTED
    # Opening hours, in the shop's own time zone without being told.
    hours = [int(row["call_hour"]) for row in rows]
    assert sum(8 <= hour < 18 for hour in hours) > 0.85 * len(hours)


def test_demo_says_what_was_read_rejected_and_made(folder: Path) -> None:
    output = (folder / "output.txt").read_text(encoding="utf-8")
    assert "2,000 documents read, as of 20" in output
    assert "1,998 calls" in output
    assert "2 rejected:" in output
    assert "1 start_missing: The document has no start time." in output
    for name in ("calls.csv", "all.bson.zst", "all.parquet"):
        assert any(name in line and line.endswith(("kB", "MB")) for line in output.splitlines()), name
    assert "make dev" in output
    assert "mongodb://" not in output, "the server is gone, so its address leads nowhere"


def test_demo_stops_its_server_and_uses_an_instance_of_its_own(folder: Path) -> None:
    assert not _mongod_listens(folder)
    assert (folder / ".dagster_home" / "history").is_dir()


@pytest.mark.long
def test_second_demo_finds_the_calls_and_publishes_the_same_bytes(folder: Path) -> None:
    before = (folder / "tableau" / "calls.csv").read_bytes()
    done = _refresh(folder)
    assert done.returncode == 0, done.stderr
    assert "2,000 sample calls are in callviz.calls already" in done.stdout
    assert (folder / "tableau" / "calls.csv").read_bytes() == before


def test_failed_refresh_says_why_and_leaves_what_was_published(folder: Path) -> None:
    before = (folder / "tableau" / "calls.csv").read_bytes()
    done = _refresh(folder, CALLVIZ_MAX_REJECTED="0")
    assert done.returncode == 1
    assert "2 of 2,000 documents rejected" in done.stderr
    assert "CALLVIZ_MAX_REJECTED" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "tableau" / "calls.csv").read_bytes() == before
    assert not _mongod_listens(folder)


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    done = _refresh(tmp_path, CALLVIZ_TIMEZON="UTC")
    assert done.returncode == 1
    assert "CALLVIZ_TIMEZON is not a setting" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    """Permissions do not bind root, but where a file stands no folder can be made."""
    (tmp_path / ".callviz").touch()
    done = _refresh(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"\n{tmp_path / '.callviz'} cannot be a folder")
    assert "Traceback" not in done.stderr


@pytest.mark.no_cover
def test_a_collection_of_the_users_own_is_read_and_left_alone(
    tmp_path: Path, mongo_uri: str, collection: Collection[dict[str, Any]]
) -> None:
    collection.insert_one({"_id": 1, "start_time": "2025-01-02T03:04:05Z", "status": "completed"})
    done = _refresh(tmp_path, CALLVIZ_MONGO_URI=mongo_uri, CALLVIZ_MONGO_DATABASE=collection.database.name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no sample calls" in done.stdout
    assert collection.count_documents({}) == 1
    assert "1 document read" in done.stdout
    assert not (tmp_path / ".callviz" / "mongodb").exists()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "callviz_dagster.demo", "serve"),
            *("--documents", "500", "--port", str(port), "--per-second", "20"),
        ],
        cwd=_with_project_file(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process, port
    if process.poll() is None:
        process.kill()
        process.wait()


def _with_project_file(folder: Path) -> Path:
    (folder / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "callviz_dagster"\n'
        'code_location_target_module = "callviz_dagster.definitions"\ncode_location_name = "callviz_dagster"\n'
    )
    return folder


def test_serving_shows_the_ui_while_calls_come_in_and_stops_everything(
    serving: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    from pymongo import MongoClient

    process, port = serving
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("Ctrl-C"):
            break
    output = "".join(printed)
    assert f"http://127.0.0.1:{port}" in output
    query = json.dumps(
        {"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } }}}}"}
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", query.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        nodes = json.load(answer)["data"]["repositoriesOrError"]["nodes"]
    assert [node["location"]["name"] for node in nodes] == ["callviz_dagster"]
    uri = next(word for word in output.split() if word.startswith("mongodb://"))
    with MongoClient[dict[str, Any]](uri) as client:
        assert client["callviz"]["calls"].count_documents({}) > 500
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert not commands.listens(port)
    assert not _mongod_listens(tmp_path)


def test_a_taken_port_is_said_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(commands.DemoError, match=f"Port {port} is taken"):
            commands.serve(500, port, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_instance_keeps_to_itself_and_runs_one_refresh_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.from_config(str(own_dagster_home())) as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
        assert instance.run_monitoring_enabled
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 1


def test_runs_whose_process_is_gone_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = own_dagster_home()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = dg.DagsterRun(job_name="refresh_calls", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
    source.close_dead_runs(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        closed = instance.get_run_by_id(run.run_id)
        assert closed is not None
        assert closed.status == dg.DagsterRunStatus.FAILURE


def test_a_process_that_does_not_end_is_killed() -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    child = Child([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    with child.process.stdout as output:
        output.readline()
        child.end(timeout=0.1)
    assert child.process.returncode == -signal.SIGKILL


def test_no_calls_come_into_a_collection_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALLVIZ_MONGO_URI", "mongodb://127.0.0.1:9/shop")
    threads = {*threading.enumerate()}
    with source.opened_source(10) as own, source.sample_calls_coming_in(own, 10):
        assert not own.embedded
        assert {*threading.enumerate()} <= threads
    assert capsys.readouterr().out == "CALLVIZ_MONGO_URI is set: reading shop.calls there, and no sample calls.\n"
    (tmp_path / ".dagster_home").rename(tmp_path / "home")
    (tmp_path / ".dagster_home").touch()
    with pytest.raises(FileError, match="cannot be a folder"), source.opened_source(10):
        pass


def test_an_unexplained_failure_ends_with_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "refresh.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)), encoding="utf-8")
    explanation = commands._explain_failure(log, 2)
    assert "line 99" in explanation
    assert "line 50" not in explanation
    assert "exit code 2" in explanation


def test_an_empty_folder_of_calls_is_summed_up_as_nothing(tmp_path: Path) -> None:
    text = summary(Settings(data_dir=tmp_path, publish_dir=tmp_path), 0, 1.0, ("callviz dev", "the UI"))
    assert text.endswith("callviz dev  the UI")
    assert "0 documents read" in text


@pytest.mark.each_case
@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (13_300_000, "13.3 MB"), (2.5e9, "2.5 GB")]
)
def test_sizes_are_for_humans(number: float, shown: str) -> None:
    assert _size(number) == shown
