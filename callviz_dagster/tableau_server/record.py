"""`tableau_server.json`, the record of what callviz made on a Tableau server, and from which data.

It decides two things: which items may be overwritten, and when an upload can be left out. Where it is lost, nothing is
overwritten unasked; what is on the server is read from there each time. What belongs elsewhere: comparing it with the
server (`publish.py`).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from callviz_dagster.settings import Settings
from callviz_dagster.storage.bucket import BucketError
from callviz_dagster.storage.state_file import read_state, write_state

FILE = "tableau_server.json"
"""Its name in the data folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever the JSON changes its meaning; a record of another version counts as none."""


@dataclass(frozen=True)
class Place:
    """Where an item is, or is to be."""

    server: str
    site: str
    project_luid: str
    kind: str
    name: str

    @classmethod
    def of(cls, settings: Settings, project_luid: str, kind: str, name: str) -> Place:
        """Return the place in a project of the site that the settings name."""
        return cls(settings.tableau_server or "", settings.tableau_site, project_luid, kind, name)


@dataclass(frozen=True)
class RecordedItem:
    """An item that callviz has made or adopted."""

    luid: str
    place: Place
    digest: str
    """Of the data and the workbook that were published; empty where the server showed something else afterwards."""
    updated_at: str
    """By the server's clock, ISO 8601."""


@dataclass(frozen=True)
class ServerRecord:
    """What `tableau_server.json` holds."""

    items: tuple[RecordedItem, ...] = ()
    creating: tuple[Place, ...] = ()
    """Where an item was about to be made for the first time: one that is there now may be callviz's own."""

    def knows(self, luid: str) -> bool:
        """Return whether callviz has made or adopted an item."""
        return any(item.luid == luid for item in self.items)

    def at(self, place: Place) -> RecordedItem | None:
        """Return what callviz has at a place."""
        return next((item for item in self.items if item.place == place), None)

    def with_creating(self, place: Place) -> ServerRecord:
        """Return the record with a place where an item is about to be made."""
        return dataclasses.replace(self, creating=(*(one for one in self.creating if one != place), place))

    def with_item(self, item: RecordedItem) -> ServerRecord:
        """Return the record with an item, in place of what it knew of it and of its place."""
        others = (one for one in self.items if one.luid != item.luid and one.place != item.place)
        return ServerRecord((*others, item), tuple(place for place in self.creating if place != item.place))

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps({"format_version": FORMAT_VERSION} | dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ServerRecord:
        """Return the record that `to_json` wrote; an empty one where it is of another version or cannot be read."""
        try:
            data = json.loads(text)
            if data["format_version"] != FORMAT_VERSION:
                return cls()
            items = [RecordedItem(**{**item, "place": Place(**item["place"])}) for item in data["items"]]
            return cls(tuple(items), tuple(Place(**place) for place in data["creating"]))
        except (ValueError, TypeError, KeyError):
            return cls()


def read_server_record(data_dir: Path) -> ServerRecord:
    """Return the record in a data folder; an empty one where there is none, or none that can be read.

    Raises:
        BucketError: the folder is in a bucket whose store cannot be read.
    """
    try:
        return ServerRecord.from_json(read_state(data_dir / FILE) or "")
    except BucketError:
        raise
    except (OSError, UnicodeDecodeError):
        return ServerRecord()


def write_server_record(data_dir: Path, record: ServerRecord) -> None:
    """Write the record, whole or not at all. To be called under the lock of the token.

    Raises:
        FileError: it cannot be written.
    """
    write_state(data_dir / FILE, record.to_json())
