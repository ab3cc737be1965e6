"""`callviz check`: whether a refresh could work, before the first one; each line is ok, or says what to do.

Nothing is written but a probe in each folder, which is removed again. What belongs elsewhere: what the collection's
fields mean (`fields.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from zoneinfo import ZoneInfo

from callviz_dagster.cli.collection import ChosenCollection, dagster_instance
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.mongodb.indexes import find_index
from callviz_dagster.mongodb.server import inspect_server
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.storage.files import FileError
from callviz_dagster.storage.refreshing import require_reachable

Finding = tuple[bool, str, str]
"""Whether it is ok, what was looked at, and what was found or is to be done."""


def findings(collection: ChosenCollection) -> Iterator[Finding]:
    """Yield what is found of the connection, the collection, the folders, the time zone and the Dagster instance."""
    settings = collection.settings
    yield from _of_collection(settings)
    yield _tried("data folder", lambda: require_reachable(settings.data_dir))
    yield _tried("publish folder", lambda: require_reachable(settings.publish_dir))
    now = dt.datetime.now(ZoneInfo(settings.timezone))
    yield True, "time zone", f"{settings.timezone}, where it is {now:%Y-%m-%d %H:%M}"
    yield _tried("Dagster instance", _dagster_home)


def text(finding: Finding) -> str:
    """Return a finding as a line for a terminal."""
    passed, name, description = finding
    return f"{'ok  ' if passed else 'FAIL'}  {name}: {description}"


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return True, name, look()
    except FileError as error:
        return False, name, error.strerror or str(error)
    except SettingsError as error:
        return False, name, str(error)


def _dagster_home() -> str:
    with dagster_instance() as instance:
        return instance.root_directory


def _of_collection(settings: Settings) -> Iterator[Finding]:
    """Yield what the server says; the first error ends it, for nothing more can be asked."""
    try:
        with MongoDB(settings).collection() as collection:
            server = inspect_server(collection)
            yield True, "connection", server.description
            documents = collection.estimated_document_count()
            found = f"{collection.full_name} has about {documents:,} documents"
            yield documents > 0, "collection", found if documents else f"{collection.full_name} is empty"
            if settings.field_start_time and settings.partitions != "none":
                create = find_index(collection, server, settings.field_start_time).create
                yield not create, "index", f"create one in mongosh: {create}" if create else "finds each partition"
            without = server.no_snapshot
            yield (
                True,
                "snapshot",
                f"none, because {without}" if without else "of one instant, whatever is written meanwhile",
            )
            stream = server.no_change_stream
            yield True, "change stream", f"none, because {stream}" if stream else "the sensor sees each change"
    except (SettingsError, MongoError) as error:
        yield False, "connection", str(error)
