"""What is known of the files of a working copy: their digests, and the objects that hold the same bytes.

A file is read again only where its size, its time or its inode has changed. What belongs elsewhere: which files there
should be (`working_copy.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from callviz_dagster.storage.files import stat_and_hash, write_text

FILE = ".working_copy.json"


@dataclass(frozen=True)
class KnownFile:
    """A file as it was read last."""

    state: tuple[int, int, int]
    """Size, time of the last change in nanoseconds, inode."""
    sha256: str
    object: str = ""
    """Name of the object with the same bytes; empty where there is none."""


class FileIndex:
    """The known files of a folder, by their names in it; kept in a file there, which may be lost at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, KnownFile] = {}
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            for name, known in data.items():
                self._known[name] = KnownFile(tuple(known["state"]), known["sha256"], known["object"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._known = {}

    def sha256(self, name: str) -> str | None:
        """Return the digest of a file; None where there is none."""
        path = self._folder / name
        try:
            state = _state(path)
            if name not in self._known or self._known[name].state != state:
                self._known[name] = KnownFile(state, stat_and_hash(path).sha256)
        except FileNotFoundError:
            self._known.pop(name, None)
            return None
        return self._known[name].sha256

    def note(self, name: str, sha256: str, stored_object: str) -> None:
        """Note that a file was just downloaded from an object, or uploaded as one."""
        self._known[name] = KnownFile(_state(self._folder / name), sha256, stored_object)

    def object(self, name: str) -> str:
        """Return the object that has the bytes of a file; an empty text where none is known."""
        return self._known[name].object if self.sha256(name) else ""

    def save(self) -> None:
        """Write the index.

        Raises:
            FileError: it cannot be written.
        """
        write_text(self._folder / FILE, json.dumps({name: asdict(known) for name, known in self._known.items()}))


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino
