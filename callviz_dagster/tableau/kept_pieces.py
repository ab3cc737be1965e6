"""The pieces of the package that was published last, so that those that have not changed are not deflated again.

A record in the data folder says where they are in the package; the package itself holds them. The record counts only
where its own digest is right, and a piece only where its deflated bytes have the digest that the record gives; all
others are deflated anew. What belongs elsewhere: deflating (`tableau/deflate.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from callviz_dagster.tableau.deflate import DEFLATED_BY, Deflated, Piece
from callviz_dagster.tableau.pack import PackedData

FILE = "callviz_workbook.json"
"""Name of the record in the data folder."""
FORMAT_VERSION = 1
"""Raised by hand whenever the record changes its meaning."""


class KeptPieces:
    """Finds deflated pieces in the package that was published last, by the digest of their bytes."""

    def __init__(self, package: Path, start: int, pieces: Sequence[Piece]) -> None:
        self._package = package
        ends = itertools.accumulate((piece.deflated_bytes for piece in pieces), initial=start)
        self._pieces = {piece.sha256: (piece, offset) for piece, offset in zip(pieces, ends, strict=False)}

    @classmethod
    def of(cls, record: Path, package: Path) -> KeptPieces:
        """Return those of a record; none where it is missing, damaged, or of another version of callviz or ISA-L."""
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            undamaged = content.pop("sha256") == _digest(content)
            if undamaged and (content["format_version"], content["deflated_by"]) == (FORMAT_VERSION, DEFLATED_BY):
                return cls(package, content["start"], [Piece(**piece) for piece in content["pieces"]])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return cls(package, 0, [])

    def find_deflated(self, sha256: str) -> Deflated | None:
        """Return the deflated bytes of a piece; None where the package does not have them as they were."""
        if sha256 not in self._pieces:
            return None
        piece, offset = self._pieces[sha256]
        try:
            with self._package.open("rb") as file:
                file.seek(offset)
                content = file.read(piece.deflated_bytes)
        except OSError:
            return None
        deflated = Deflated(content, hashlib.sha256(content).hexdigest())
        return deflated if deflated.sha256 == piece.deflated_sha256 else None


def to_json(packed: PackedData) -> str:
    """Return the record as JSON text."""
    content = {
        "format_version": FORMAT_VERSION,
        "deflated_by": DEFLATED_BY,
        "start": packed.start,
        "pieces": [vars(piece) for piece in packed.pieces],
    }
    return json.dumps({**content, "sha256": _digest(content)}) + "\n"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
