"""The embedded MongoDB: it starts, keeps its data, and never outlives its owner."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from callviz_dagster.demo import mongod
from callviz_dagster.demo.mongod import MongodError, running_mongod, running_replica_set

pytestmark = pytest.mark.server


Client = MongoClient[dict[str, Any]]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has collected yet has ended all the same.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_replica_set_is_writable_at_once_and_gives_snapshots(tmp_path: Path) -> None:
    with running_mongod(tmp_path) as server, Client(server.uri) as client:
        client.shop.calls.insert_one({"_id": 1})
        with client.start_session(snapshot=True) as session:
            assert client.shop.calls.count_documents({}, session=session) == 1
            client.shop.calls.insert_one({"_id": 2})
            assert client.shop.calls.count_documents({}, session=session) == 1
        assert client.shop.calls.count_documents({}) == 2


def test_it_listens_on_the_local_address_only(tmp_path: Path) -> None:
    with running_mongod(tmp_path) as server, Client(server.uri) as client:
        assert client.address == ("127.0.0.1", server.port)
        assert client.admin.command("getCmdLineOpts")["parsed"]["net"]["bindIp"] == "127.0.0.1"


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    with running_mongod(tmp_path) as server:
        pid = server.pid
        assert _alive(pid)
    assert not _alive(pid)
    with pytest.raises(MongodError, match="not running"):
        _ = server.pid


def test_documents_outlive_a_restart_on_the_same_and_on_another_port(tmp_path: Path) -> None:
    with running_mongod(tmp_path) as server:
        first_port = server.port
        with Client(server.uri) as client:
            client.shop.calls.insert_one({"_id": 1})
    with running_mongod(tmp_path) as server:
        assert server.port == first_port
        with Client(server.uri) as client:
            client.shop.calls.insert_one({"_id": 2})
    with running_mongod(tmp_path, port=mongod.free_port()) as server:
        assert server.port != first_port
        with Client(server.uri, serverSelectionTimeoutMS=5_000) as client:
            client.shop.calls.insert_one({"_id": 3})
            assert client.shop.calls.count_documents({}) == 3


def test_documents_outlive_a_kill(tmp_path: Path) -> None:
    with running_mongod(tmp_path) as server:
        with Client(server.uri) as client:
            client.shop.get_collection("calls").insert_one({"_id": 1})
            client.admin.command("fsync")
        server.kill()
        server.start()
        with Client(server.uri) as client:
            assert client.shop.calls.count_documents({}) == 1


def test_the_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from callviz_dagster.demo.mongod import running_mongod\n"
            "with running_mongod(Path(sys.argv[1])) as server:\n"
            "    print(server.pid, flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    assert _eventually(lambda: not _alive(pid))


def test_a_standalone_server_is_no_replica_set(tmp_path: Path) -> None:
    with running_mongod(tmp_path, replica_set=None) as server, Client(server.uri) as client:
        assert "setName" not in client.admin.command("hello")
        client.shop.calls.insert_one({"_id": 1})


@pytest.mark.each_case
@pytest.mark.parametrize("replica_set", ["callviz", None])
def test_with_a_user_nobody_else_is_let_in(tmp_path: Path, replica_set: str | None) -> None:
    user = ("ana", "p@ss/word")
    for _ in range(2):
        with running_mongod(tmp_path, replica_set=replica_set, user=user) as server:
            with Client(server.uri) as client:
                client.shop.calls.insert_one({})
            with Client("127.0.0.1", server.port) as stranger, pytest.raises(OperationFailure, match="auth"):
                stranger.shop.calls.find_one()


def test_three_members_elect_another_primary(tmp_path: Path) -> None:
    with running_replica_set(tmp_path, members=3) as servers, Client(servers[0].uri) as client:
        client.shop.get_collection("calls").insert_one({"_id": 1})
        port = client.primary[1] if client.primary else 0
        next(server for server in servers if server.port == port).kill()
        assert _eventually(lambda: client.primary is not None and client.primary[1] != port, 40)
        client.shop.calls.insert_one({"_id": 2})


def test_a_second_server_on_the_same_folder_is_refused_in_words(tmp_path: Path) -> None:
    with (
        running_mongod(tmp_path),
        pytest.raises(MongodError, match="Another mongod is running"),
        running_mongod(tmp_path),
    ):
        pass


def test_without_a_binary_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MongodError, match=r"callviz-dagster\[demo\]"):
        mongod.find_mongod()


def test_on_linux_on_arm_the_remedy_is_not_a_wheel_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        MongodError, match=r"Linux on aarch64: put MongoDB's own mongod on PATH, or set CALLVIZ"
    ) as error:
        mongod.find_mongod()
    assert "pip install" not in str(error.value)


def test_a_binary_on_the_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    binary = tmp_path / "mongod"
    binary.touch(mode=0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert mongod.find_mongod() == binary


def test_a_server_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(MongodError, match="noSuchParameter"),
        running_mongod(tmp_path, parameters={"noSuchParameter": 1}),
    ):
        pass


@pytest.mark.each_case
@pytest.mark.parametrize(("library", "remedy"), [("libcurl.so.4", "apt-get install libcurl4"), ("libssl.so.3", "12")])
def test_a_missing_system_library_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, remedy: str
) -> None:
    binary = tmp_path / "mongod"
    log_text = f"mongod: error while loading shared libraries: {library}: cannot open shared object file"
    binary.write_text(f"#!/bin/sh\necho '{log_text}' >&2\nexit 127\n")
    binary.chmod(0o755)
    monkeypatch.setattr(mongod, "find_mongod", lambda: binary)
    with pytest.raises(MongodError, match=f"needs the system library {library}.*{remedy}"), running_mongod(tmp_path):
        pass
