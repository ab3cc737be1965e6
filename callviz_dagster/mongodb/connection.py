"""The connection to the collection, and snapshot sessions on it.

callviz never writes to the database. What belongs elsewhere: the Dagster resource (`callviz_dagster/resources.py`),
reading (`snapshot.py`), changes (`changes.py`), and what an error means (`errors.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_plus

import pymongo
from bson.timestamp import Timestamp
from pymongo.collection import Collection

from callviz_dagster.mongodb.errors import MongoError, pymongo_errors_explained
from callviz_dagster.mongodb.server import inspect_server
from callviz_dagster.mongodb.snapshot import SnapshotSession, opened_session
from callviz_dagster.setting_values.connection_string import parse_connection_string
from callviz_dagster.settings import Settings

ANSWER_SECONDS = 8
"""How long to wait for a server that does not answer, unless the connection string says otherwise."""
SILENCE_SECONDS = 1800
"""How long to wait for one reply over an established connection, unless the connection string says otherwise.
Counting or sorting a large collection takes minutes; a server that hangs would be waited for without end."""

_FILES = ("tlscafile", "tlscertificatekeyfile", "tlscrlfile")
"""Options that name a file, in lower case."""


class MongoDB:
    """The collection of calls: connects to it where it is used."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def names(self) -> tuple[str, str]:
        """Names of the database and of the collection."""
        return self._settings.database, self._settings.mongo_collection

    @contextlib.contextmanager
    def collection(self) -> Iterator[Collection[dict[str, Any]]]:
        """Connect and give the collection; pymongo's errors inside the `with` block become a `MongoError`.

        Raises:
            MissingSettingError: no connection string is set.
            MongoError: the server cannot be reached or refuses the user.
        """
        with pymongo_errors_explained(self._settings), _connect(self._settings.require_mongo_uri()) as client:
            yield client[self._settings.database][self._settings.mongo_collection]

    @contextlib.contextmanager
    def snapshot_session(self, log: logging.Logger, at: Timestamp | None = None) -> Iterator[SnapshotSession]:
        """Open the collection as it is at one instant, to read partitions of it inside the `with` block.

        The instant is now, or with `at` that of another session.

        After a dropped connection, an election or a restart of the server, a read continues after the last document,
        in the same snapshot.

        Raises:
            MongoError: see `collection`; also where there is no such collection, or the server stays away.
            ReadLostError: a read was interrupted and cannot continue; start again.
        """
        with self.collection() as collection:
            server = inspect_server(collection)
            counting = ThreadPoolExecutor(1, "count")
            try:
                with opened_session(collection, server, at) as (session, cluster_time, server):
                    yield SnapshotSession(collection, server, session, cluster_time, log, counting)
            finally:
                counting.shutdown(wait=False, cancel_futures=True)


def _connect(uri: str) -> pymongo.MongoClient[dict[str, Any]]:
    """Return a client that has reached a server; commands are tried again only once one has succeeded.

    Raises:
        PyMongoError: the server cannot be reached or refuses the user.
        MongoError: something in the connection string keeps pymongo from trying.
    """
    defaults = {
        "appname": "callviz",
        "serverSelectionTimeoutMS": ANSWER_SECONDS * 1000,
        "connectTimeoutMS": ANSWER_SECONDS * 1000,
        "socketTimeoutMS": SILENCE_SECONDS * 1000,
    }
    given = parse_connection_string(uri).options
    options: dict[str, Any] = {name: value for name, value in defaults.items() if name.lower() not in given}
    try:
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(uri, **options)
        try:
            client.admin.command("ping", read_preference=client.read_preference)
        except BaseException:
            client.close()
            raise
    except OSError as error:
        raise MongoError(
            "A file that CALLVIZ_MONGO_URI names, for example with tlsCAFile, cannot be read: "
            f"{error.filename or unreadable_file(uri)} ({error.strerror})."
        ) from None
    except (ValueError, TypeError):
        # Their words may show parts of the connection string. SASLprep forbids some characters.
        raise MongoError(
            "CALLVIZ_MONGO_URI cannot be used: its user name or password has a character that MongoDB does not allow."
        ) from None
    return client


def unreadable_file(uri: str) -> str:
    """Return the first file of TLS that a connection string names and this process cannot read; pymongo may not say."""
    for option in uri.partition("?")[2].split("&"):
        name, _, path = option.partition("=")
        if name.lower() in _FILES and not os.access(unquote_plus(path), os.R_OK):
            return unquote_plus(path)
    return "it was not said which"
