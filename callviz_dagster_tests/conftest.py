"""Shared fixtures: a real MongoDB for the session, a database for each test, and an environment without settings.

The server is the one that CALLVIZ_TEST_MONGO_URI names, otherwise one started for the session. Tests that need a
server, a browser or a network namespace carry the markers `server`, `browser` and `namespaces`. Where the server or
the browser is missing, they are skipped with the reason on a developer's machine, and fail where the environment
variable CI is set.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.demo.mongod import MongodError, running_mongod
from callviz_dagster.settings import PREFIX, TEST_PREFIX, Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Document = dict[str, Any]

FIXTURE_MARKERS = {
    **dict.fromkeys(("mongo_uri", "standalone_uri", "members", "hidden", "guarded", "backup"), "server"),
    "browser": "browser",
    "mount_namespaces": "namespaces",
}


def pytest_configure() -> None:
    """Let SIGINT end what the tests start; what a shell runs in the background inherits that it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


FIRST = (
    *("test_sensor.py", "test_ways_to_run.py", "test_demo_main.py", "test_dagster_ui.py", "test_event_log.py"),
    *("test_partitioned_refresh.py", "test_soak.py", "test_interrupted.py", "test_guards.py", "test_mongo_secrets.py"),
)
"""The modules that take longest: begun last, they would be run by one process while the others have nothing to do."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first, and mark the tests that need a server or a browser by the fixtures that they use.

    Coverage makes a generated example take almost twice as long, and a refresh half as long again. So it leaves out
    generated examples and, of the cases of a test that needs a server, all but the first, unless the test is marked
    `each_case`.
    """
    items.sort(key=lambda item: item.path.name not in FIRST)
    parametrized: set[tuple[Path, str]] = set()
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            if name in FIXTURE_MARKERS:
                item.add_marker(FIXTURE_MARKERS[name])
        test = item.path, getattr(item, "originalname", item.name)
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False) or test in parametrized:
            item.add_marker("no_cover")
        each_case = item.get_closest_marker("each_case")
        if item.get_closest_marker("server") and hasattr(item, "callspec") and not each_case:
            parametrized.add(test)


def unavailable(reason: str) -> NoReturn:
    """Skip the test with the reason, or fail where CI has to run every test."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mount_namespaces() -> None:
    """Require that this user may have a mount namespace."""
    from callviz_dagster_tests.helpers.interrupted import NAMESPACE

    if sys.platform != "linux" or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        unavailable("This system gives this user no mount namespace.")


@contextlib.contextmanager
def server(folder: Path, **options: Any) -> Iterator[str]:
    """Run a MongoDB server and give its connection string; skip or fail where there is none to run."""
    with contextlib.ExitStack() as stack:
        try:
            mongod = stack.enter_context(running_mongod(folder, **options))
        except MongodError as error:
            unavailable(str(error))
        yield mongod.uri


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the developer's own settings and Dagster instance out of the test's environment."""
    for name in list(os.environ):
        if name == "DAGSTER_HOME" or (name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_coverage_of_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that a test marked `no_cover` starts run without coverage too."""
    if request.node.get_closest_marker("no_cover"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of a replica set."""
    given = os.environ.get(f"{TEST_PREFIX}MONGO_URI")
    if given:
        yield given
        return
    with server(tmp_path_factory.mktemp("mongod")) as uri:
        yield uri


@pytest.fixture(scope="session")
def standalone_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of a server that is no replica set: no snapshots, no change streams."""
    with server(tmp_path_factory.mktemp("standalone"), replica_set=None) as uri:
        yield uri


@pytest.fixture(scope="session")
def _client(mongo_uri: str) -> Iterator[MongoClient[Document]]:
    with MongoClient[Document](mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        yield client


@pytest.fixture
def collection(_client: MongoClient[Document]) -> Iterator[Collection[Document]]:
    """Give an empty collection named `calls`, in a database of its own that is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield _client[name]["calls"]
    _client.drop_database(name)


@pytest.fixture
def settings(mongo_uri: str, collection: Collection[Document], tmp_path: Path) -> Settings:
    """Return settings that read `collection` and write below the test's own folder.

    Tests replace their few calls at will, so the guard on volume refuses only a collection that is empty.
    """
    return Settings(
        max_drop=1.0,
        mongo_uri=mongo_uri,
        mongo_database=collection.database.name,
        mongo_collection=collection.name,
        data_dir=tmp_path / "data",
        publish_dir=tmp_path / "publish",
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give a headless Chromium: the one that CALLVIZ_TEST_CHROMIUM names, otherwise the one on PATH."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get(f"{TEST_PREFIX}CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        unavailable("The browser tests need Chromium: install it, or name it in CALLVIZ_TEST_CHROMIUM.")
    # Without its software renderer Chromium paints by itself, which takes a quarter less time.
    quiet = ("quic", "background-networking", "component-update", "sync", "gpu", "software-rasterizer")
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def screenshots() -> Callable[[Page | Callable[[], Page], str], None]:
    """Give a function that takes a screenshot of a page where CALLVIZ_TEST_SCREENSHOTS names a folder for them.

    A page that is opened only for it is given as a function, which is called only then.
    """
    folder = os.environ.get(f"{TEST_PREFIX}SCREENSHOTS")

    def take(page: Page | Callable[[], Page], name: str) -> None:
        if folder:
            (page() if callable(page) else page).screenshot(path=str(Path(folder) / name))

    return take
