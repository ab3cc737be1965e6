"""A window: the part of the collection that one refresh reads, with its file name and its MongoDB filter.

What belongs elsewhere: reading it (`mongo.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Window:
    """A part of the collection. `WHOLE` is all of it."""

    name: str

    def filter(self) -> dict[str, Any]:
        """Return the MongoDB filter of the window's documents."""
        return {}

    def archive(self, data_dir: Path) -> Path:
        """Return the path of the window's raw archive."""
        return data_dir / "raw_calls" / f"{self.name}.bson.zst"

    def manifest(self, data_dir: Path) -> Path:
        """Return the path of the manifest beside the raw archive."""
        return data_dir / "raw_calls" / f"{self.name}.json"

    def calls(self, data_dir: Path) -> Path:
        """Return the path of the window's `calls`."""
        return data_dir / "calls" / f"{self.name}.parquet"

    def rejected_calls(self, data_dir: Path) -> Path:
        """Return the path of the window's `rejected_calls`."""
        return data_dir / "rejected_calls" / f"{self.name}.parquet"


WHOLE = Window("all")
