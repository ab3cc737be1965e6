"""What the tests share: a real MongoDB for the session, a database for each test, and an environment without settings.

The server is that of CALLVIZ_TEST_MONGO_URI where it is set, else one started for the session. Without either the
tests fail; they are never skipped.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.settings import PREFIX, TEST_PREFIX, Settings

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
