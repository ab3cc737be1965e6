"""Object stores of the tests: moto's S3 server, Azurite, and a proxy in front of them that makes faults.

What belongs elsewhere: what is stored.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import http.client
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from callviz_dagster.demo.mongod import free_port
from callviz_dagster_tests.helpers.processes import listens, wait_for

CONDITIONS = ("If-Match", "If-None-Match")
_AZURITE_ACCOUNT = "devstoreaccount1"
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of every Azurite, from its documentation."""
AZURITE_VARIABLES = {
    "AZURE_STORAGE_ACCOUNT_NAME": _AZURITE_ACCOUNT,
    "AZURE_STORAGE_ACCOUNT_KEY": _AZURITE_KEY,
    "AZURE_ALLOW_HTTP": "true",
}


def s3_variables(port: int) -> dict[str, str]:
    """Return the environment of a client of an S3 server on this machine."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-shown",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


@contextlib.contextmanager
def process(command: list[str], port: int, **options: object) -> Iterator[None]:
    """Run a server until the end of the block."""
    server = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COVERAGE_"))},
    )
    try:
        wait_for("a server", lambda: listens(port))
        yield
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def s3_server() -> Iterator[int]:
    """Run moto's S3 server, which keeps everything in memory and honours conditions; give its port."""
    port = free_port()
    with process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield port


def make_s3_bucket(port: int, name: str) -> str:
    """Create a bucket and return its name."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")
    with urllib.request.urlopen(request):
        return name


def azurite_command() -> str | None:
    """Return the command that runs Azurite: the one that CALLVIZ_TEST_AZURITE names, else the one on PATH."""
    return os.environ.get("CALLVIZ_TEST_AZURITE") or shutil.which("azurite-blob")


@contextlib.contextmanager
def azurite(command: str, folder: Path) -> Iterator[int]:
    """Run Azurite, Microsoft's own emulator of its blob storage; give its port."""
    port = free_port()
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck"]
    with process([command, *arguments], port):
        yield port


def make_azure_container(port: int, name: str) -> str:
    """Create a container and return its name."""
    date = dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06"
    resource = f"/{_AZURITE_ACCOUNT}/{_AZURITE_ACCOUNT}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + f"{headers}\n{resource}"
    digest = hmac.new(base64.b64decode(_AZURITE_KEY), text.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{_AZURITE_ACCOUNT}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Authorization": f"SharedKey {_AZURITE_ACCOUNT}:{base64.b64encode(digest).decode()}",
        },
    )
    with urllib.request.urlopen(request):
        return name


@dataclass(frozen=True)
class Request:
    """A request that passes the proxy."""

    method: str
    path: str
    headers: Mapping[str, str]
    bytes: int
    """Size of its body."""


@dataclass
class Faults:
    """What the proxy does to requests; each may be changed at any time."""

    ignored_headers: tuple[str, ...] = ()
    """Left out of what the server sees: without conditions it is a server that ignores them."""
    away: bool = False
    """Answer 503 to everything."""
    refusal: Callable[[Request], int] = lambda request: 0
    """The status with which a request is refused; 0 where it is passed on."""
    on_request: Callable[[Request], None] = lambda request: None
    """Called before a request is passed on."""
    answer_lost: Callable[[Request], bool] = lambda request: False
    """Whether the server gets the request and the client no answer."""
    requests: list[Request] = field(default_factory=list)
    """All that came."""

    def bytes_put(self, name: str = "") -> int:
        """Return how many bytes of objects came, of those with a text in their path."""
        return sum(each.bytes for each in self.requests if each.method == "PUT" and name in each.path)


@contextlib.contextmanager
def faulty(server_port: int, faults: Faults) -> Iterator[int]:
    """Run a proxy in front of a server; give its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers), len(body))
            faults.requests.append(request)
            faults.on_request(request)
            if status := 503 if faults.away else faults.refusal(request):
                self._answer(status, {}, b"")
                return
            kept = {
                k: v for k, v in self.headers.items() if k.lower() not in {h.lower() for h in faults.ignored_headers}
            }
            upstream = http.client.HTTPConnection("127.0.0.1", server_port)
            with contextlib.closing(upstream):
                upstream.request(self.command, self.path, body, kept)
                answer = upstream.getresponse()
                content = answer.read()
            if faults.answer_lost(request):
                self.close_connection = True
                return
            self._answer(answer.status, dict(answer.getheaders()), content)

        def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
