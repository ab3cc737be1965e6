"""What the tests share: a real MongoDB for the session, a database for each test, and an environment without settings.

The server is that of CALLVIZ_TEST_MONGO_URI where it is set, else one started for the session. Without either the
tests fail; they are never skipped.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.settings import PREFIX, TEST_PREFIX, Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Document = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the developer's own settings and Dagster instance out of the test's environment."""
    for name in list(os.environ):
        if name == "DAGSTER_HOME" or (name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of a replica set."""
    given = os.environ.get(f"{TEST_PREFIX}MONGO_URI")
    if given:
        yield given
        return
    with running_mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server.uri


@pytest.fixture(scope="session")
def standalone_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Connection string of a server that is no replica set: no snapshots, no change streams."""
    with running_mongod(tmp_path_factory.mktemp("standalone"), replica_set=None) as server:
        yield server.uri


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
    """Return settings that read `collection` and write below the test's own folder."""
    return Settings(
        mongo_uri=mongo_uri,
        mongo_database=collection.database.name,
        mongo_collection=collection.name,
        data_dir=tmp_path / "data",
        publish_dir=tmp_path / "publish",
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give a headless Chromium: that of CALLVIZ_TEST_CHROMIUM, else the one on PATH. Without one the tests fail."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get(f"{TEST_PREFIX}CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium: install it, or name it in CALLVIZ_TEST_CHROMIUM"
    quiet = ("quic", "background-networking", "component-update", "sync", "gpu")
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def screenshots() -> Callable[[Page, str], None]:
    """Give a function that takes a screenshot where CALLVIZ_TEST_SCREENSHOTS names a folder for them."""
    folder = os.environ.get(f"{TEST_PREFIX}SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=str(Path(folder) / name))

    return take
