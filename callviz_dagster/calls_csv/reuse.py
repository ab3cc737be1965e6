"""Which bytes of `calls.csv` are which partition's, so that a refresh of few partitions copies the lines of all others.

A part is copied only where its partition's file, the columns, the time zone and the code that writes lines are those
that it was made with. Its digest, recorded when its lines were compared with their rows, must be that of the copy.
What belongs elsewhere: writing and reading back (`assets/calls_csv.py`), and comparing (`calls_csv/audit.py`).
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callviz_dagster.contract import Column

FILE = "calls_csv.json"
"""Name of the record in the data folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever the same values are written as other lines than before."""


@dataclass(frozen=True)
class Part:
    """The lines of one partition."""

    source: str
    """Digest of the partition's `calls` file."""
    start: int
    """Offset of its first line in `calls.csv`."""
    bytes: int
    sha256: str
    rows: int
    defused: int
    longest: int
    """At least the length in bytes of the longest line."""


def format_key(columns: Sequence[Column], zone: str) -> str:
    """Return a text that differs wherever the same values would be written as other lines."""
    import pyarrow as pa

    return json.dumps([FORMAT_VERSION, pa.__version__, zone, [[column.name, column.kind] for column in columns]])


def to_json(format_key: str, parts: Sequence[Part]) -> str:
    """Return the record as JSON text."""
    return json.dumps({"format": format_key, "parts": [dataclasses.asdict(part) for part in parts]}, indent=1) + "\n"


def from_json(text: str, format_key: str) -> dict[str, Part]:
    """Return the parts by their source; none where they were written in another format, or cannot be read."""
    try:
        data = json.loads(text)
        return {part["source"]: Part(**part) for part in data["parts"]} if data["format"] == format_key else {}
    except (ValueError, TypeError, KeyError):
        return {}


class FilePart(io.RawIOBase):
    """The bytes of a file from one offset to another, as a file of their own."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._file = path.open("rb")
        self._file.seek(start)
        self._left = end - start

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most so many bytes, or all that are left."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
