"""Which bytes of `calls.csv` are which window's, so that a refresh of few windows copies the lines of all others.

A part is copied only where its window's file, the columns, the time zone and the code that writes lines are those that
it was made with. Its digest, recorded when its lines were compared with their rows, must be that of the copy.
What belongs elsewhere: writing and reading back (`assets/calls_csv.py`), and comparing (`csv_audit.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callviz_dagster.contract import Column

FILE = "calls_csv.json"
"""Name of the record in the data folder."""
_CODE = ("csv_format.py", "tables.py", "times.py", "values.py")
"""What decides how a value is written."""


@dataclass(frozen=True)
class Part:
    """The lines of one window."""

    source: str
    """Digest of the window's `calls` file."""
    start: int
    """Offset of its first line in `calls.csv`."""
    bytes: int
    sha256: str
    rows: int
    defused: int
    longest: int
    """At least the length in bytes of the longest line."""


def form(columns: Sequence[Column], zone: str) -> str:
    """Return a text that changes whenever the same values would be written as other lines."""
    import pyarrow as pa

    code = hashlib.sha256()
    for name in _CODE:
        code.update(Path(__file__).with_name(name).read_bytes())
    return json.dumps([code.hexdigest(), pa.__version__, zone, [[column.name, column.kind] for column in columns]])


def to_json(form: str, parts: Sequence[Part]) -> str:
    """Return the record as JSON text."""
    return json.dumps({"form": form, "parts": [dataclasses.asdict(part) for part in parts]}, indent=1) + "\n"


def from_json(text: str, form: str) -> dict[str, Part]:
    """Return the parts by their source; none where they were made in another form, or cannot be read."""
    try:
        data = json.loads(text)
        return {part["source"]: Part(**part) for part in data["parts"]} if data["form"] == form else {}
    except (ValueError, TypeError, KeyError):
        return {}
