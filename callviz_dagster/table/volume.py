"""Whether a refresh is refused because the collection lost too many documents, and the record of a refused one.

Pure but for reading and writing the record. What belongs elsewhere: counting the documents (`mongodb/`), the check
`volume_stable` (`assets/checks/raw_calls.py`).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from callviz_dagster.storage.files import write_text

ACCEPT_DROP_TAG = "callviz/accept_drop"
"""Run tag: the refused number of documents, which this one run accepts."""
RECORD = "refused_drop.json"
"""Name of the record in the data folder; it is there from a refused refresh to the next one that is not."""
FORMAT_VERSION = 1


@dataclass(frozen=True)
class RefusedDrop:
    """A refresh that was refused because the collection has lost too many documents."""

    before: int
    """Documents of the collection at the last published refresh."""
    documents: int
    """Documents of the collection when the refresh was refused."""


def is_refused(before: int, documents: int, *, max_drop: float, accepted: int | None = None) -> bool:
    """Return whether a collection of so few documents is not to be published.

    Args:
        before: documents of the whole collection at the last published refresh.
        documents: documents now.
        max_drop: the share of `before` that may be missing; a drop to zero is always refused.
        accepted: the number of documents that a user has accepted; fewer are refused nevertheless.
    """
    if documents >= before or (accepted is not None and documents >= accepted):
        return False
    return not documents or before - documents > max_drop * before


def how_to_accept(documents: int) -> str:
    """Return the sentence that says how a refused drop is accepted."""
    return (
        f"If that is right, accept it once: run callviz refresh --accept-drop {documents}, or start the job in the "
        f"launchpad with the run tag {ACCEPT_DROP_TAG}={documents}. CALLVIZ_MAX_DROP sets the limit."
    )


def accepted_documents(tag: str | None) -> int | None:
    """Return the number of documents that a run's tag accepts; None where it accepts none."""
    return int(tag) if tag and tag.isdecimal() else None


def refused_drop(data_dir: Path) -> RefusedDrop | None:
    """Return the drop that the last refresh was refused for; None where it was not refused."""
    try:
        data = json.loads((data_dir / RECORD).read_text(encoding="utf-8"))
        return RefusedDrop(data["before"], data["documents"]) if data["format_version"] == FORMAT_VERSION else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def record_refused_drop(data_dir: Path, drop: RefusedDrop | None) -> None:
    """Write the drop that a refresh was refused for; None removes the record."""
    if drop is None:
        (data_dir / RECORD).unlink(missing_ok=True)
    else:
        data = {"format_version": FORMAT_VERSION} | dataclasses.asdict(drop)
        write_text(data_dir / RECORD, json.dumps(data, indent=1) + "\n")


def why_to_wait(data_dir: Path, documents: int, *, max_drop: float) -> str:
    """Return why the sensor asks for no refresh, as a sentence; an empty text where no drop was refused.

    Once the collection has enough documents again, there is nothing to wait for.

    Args:
        data_dir: the data folder.
        documents: about how many documents the collection has now.
        max_drop: see `is_refused`.
    """
    drop = refused_drop(data_dir)
    if drop is None or not is_refused(drop.before, documents, max_drop=max_drop):
        return ""
    return (
        f"the last refresh was refused: {drop.documents:,} documents in the collection, {drop.before:,} in the last "
        f"published refresh. {how_to_accept(drop.documents)}"
    )
