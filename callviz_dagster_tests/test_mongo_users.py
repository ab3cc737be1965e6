"""Users that may not read: each gets one sentence, and no password is ever printed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.mongodb import history
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.partitions import WHOLE
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster_tests.helpers.mongo import snapshot

pytestmark = pytest.mark.server


LOG = logging.getLogger("test")
PASSWORD = "pa:ss/w0rd@x"
ENCODED = "pa%3Ass%2Fw0rd%40x"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give host and port of a server with access control, with one collection and several users."""
    with running_mongod(tmp_path_factory.mktemp("auth"), user=("root", PASSWORD)) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.shop.calls.insert_one({"_id": 1})
            for user, roles in {
                "reader": [{"role": "read", "db": "shop"}],
                "stranger": [{"role": "read", "db": "other"}],
            }.items():
                client.shop.command("createUser", user, pwd=PASSWORD, roles=roles)
        yield server.address


def count(address: str, user: str, password: str = ENCODED, database: str = "shop") -> int:
    uri = f"mongodb://{user}:{password}@{address}/{database}?authSource=shop&replicaSet=callviz"
    with snapshot(Settings(mongo_uri=uri)) as read:
        return sum(len(batch) > 0 for batch in read)


def test_a_user_who_may_only_read_is_enough(address: str) -> None:
    assert count(address, "reader") == 1


def test_wrong_password_is_told_and_not_printed(address: str) -> None:
    with pytest.raises(MongoError, match=r"refused the user name or password.*authSource") as caught:
        count(address, "reader", "hunter22")
    assert "hunter22" not in str(caught.value)


def test_user_without_permission_is_told_what_to_grant(address: str) -> None:
    with pytest.raises(MongoError, match=r"Grant|grant") as caught:
        count(address, "stranger")
    assert "role read on shop" in str(caught.value)
    assert "w0rd" not in str(caught.value)


def test_unescaped_password_is_told_and_not_printed(address: str) -> None:
    with pytest.raises(SettingsError, match="percent-encode special characters") as caught:
        count(address, "reader", PASSWORD)
    assert "w0rd" not in str(caught.value)


def test_nobody_may_not_read(address: str) -> None:
    with (
        pytest.raises(MongoError, match=r"may not read shop\.calls") as caught,
        snapshot(Settings(mongo_uri=f"mongodb://{address}/shop?replicaSet=callviz")),
    ):
        pass
    assert "grant the user the role read" in str(caught.value)


def test_a_misspelt_database_is_told_with_those_that_the_user_may_read(address: str) -> None:
    with pytest.raises(MongoError, match=r"may not read a database 'shp', but may read shop") as caught:
        count(address, "reader", database="shp")
    assert "CALLVIZ_MONGO_DATABASE" in str(caught.value)


@pytest.mark.each_case
@pytest.mark.parametrize("user", ["reader", "root"])
def test_a_snapshot_that_cannot_last_is_told_before_the_read(
    address: str, user: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The size of a collection is known with the role read alone; how long history is kept, to an administrator."""
    source = "admin" if user == "root" else "shop"
    settings = Settings(mongo_uri=f"mongodb://{user}:{ENCODED}@{address}/shop?authSource={source}&replicaSet=callviz")
    with MongoDB(settings).snapshot_session(LOG) as session:
        session.warn_of_short_history([WHOLE])
        assert "keeps a snapshot" not in caplog.text
    monkeypatch.setattr(history, "BYTES_A_SECOND", 0.01)
    monkeypatch.setattr(history, "DEFAULT_HISTORY_SECONDS", 301)
    with MongoDB(settings).snapshot_session(LOG) as session:
        session.warn_of_short_history([WHOLE])
    assert f"keeps a snapshot for {300 if user == 'root' else 301} s" in caplog.text
    assert "minSnapshotHistoryWindowInSeconds, at least" in caplog.text


@pytest.mark.parametrize(
    ("gigabytes", "kept", "warned"), [(5.9, 300, False), (6.1, 300, True), (6.1, 600, False), (0, 0, False)]
)
def test_a_read_may_take_as_long_as_history_is_kept(gigabytes: float, kept: int, warned: bool) -> None:
    assert bool(history.why_too_short(int(gigabytes * 1e9), kept)) is warned
