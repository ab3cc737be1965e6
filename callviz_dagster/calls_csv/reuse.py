"""Which bytes of `calls.csv` are which partition's, so that a refresh of few partitions copies the lines of all others.

A part is copied only where its partition's file, the columns, the time zone and the code that writes lines are those
that it was made with. Its digest, recorded when its lines were compared with their rows, must be that of the copy.
What belongs elsewhere: writing and reading back (`calls_csv/publish.py`), and comparing (`calls_csv/audit.py`).
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callviz_dagster.contract import Column

FILE = "calls_csv.json"
"""Name of the record in the data folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever the same values are written as other lines than before, or the record changes."""


class RecordError(Exception):
    """The record cannot be used, so all lines are encoded again. The message says why."""


@dataclass(frozen=True)
class Part:
    """The lines of one partition."""

    source: str
    """What it was made from, see `part_source`."""
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

    return json.dumps([pa.__version__, zone, [[column.name, column.kind] for column in columns]])


def part_source(digest: str, since: dt.date | None) -> str:
    """Return what a part is known by: the digest of the `calls` file, and its first day where that cuts off rows."""
    return f"{digest} since {since}" if since else digest


def to_json(format_key: str, parts: Sequence[Part]) -> str:
    """Return the record as JSON text."""
    data = {
        "format_version": FORMAT_VERSION,
        "format": format_key,
        "parts": [vars(part) for part in parts],
    }
    return json.dumps(data) + "\n"


def from_json(text: str, format_key: str) -> dict[str, Part]:
    """Return the parts by their source; none where the columns, the time zone or Arrow were other ones.

    Raises:
        RecordError: the record is of another version of the format, or cannot be read.
    """
    try:
        data = json.loads(text)
        if data["format_version"] != FORMAT_VERSION:
            raise RecordError(f"{FILE} is of format version {data['format_version']}, not {FORMAT_VERSION}")
        return {part["source"]: Part(**part) for part in data["parts"]} if data["format"] == format_key else {}
    except (ValueError, TypeError, KeyError) as error:
        raise RecordError(f"{FILE} is of another version, or damaged") from error


def parts_read_back(record: Path, csv_bytes: int, format_key: str) -> list[Part]:
    """Return the parts of a `calls.csv` of this size whose values were read back in this form when it was published.

    An empty list where the record is of another file, or cannot be read.
    """
    try:
        parts = [*from_json(record.read_text(encoding="utf-8"), format_key).values()]
    except (OSError, UnicodeDecodeError, RecordError):
        return []
    return parts if csv_bytes == max((part.start + part.bytes for part in parts), default=None) else []


Range = tuple[int, int]
"""Offsets of the first byte and of the one after the last."""


class FileRanges(io.RawIOBase):
    """Ranges of a file, end to end, read as one file."""

    def __init__(self, path: Path, ranges: Sequence[Range]) -> None:
        self._file = path.open("rb")
        self._ranges = [*ranges]
        self.size = sum(end - start for start, end in ranges)

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, or all that remain; fewer at the end of a range."""
        if not self._ranges:
            return b""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        start, end = self._ranges[0]
        self._file.seek(start)
        data = self._file.read(min(size, end - start))
        if data and start + len(data) < end:
            self._ranges[0] = (start + len(data), end)
        else:
            self._ranges.pop(0)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
