"""The profiles and samples of many partitions as one, kept so that a refresh reads only the manifests near a change.

Kept is what each block of consecutive partitions comes to, known by the size, time and inode of their manifests.
Nothing is published from it: it decides the columns and the fields of the roles, and an archive that does not fit them
is refused when it is normalized. Whatever is damaged, or of another version, is merged anew. What belongs elsewhere:
what a manifest holds (`manifest.py`), and the plan (`plan.py`).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.evidence import Evidence
from callviz_dagster.partitions import Partition
from callviz_dagster.storage.files import write_text
from callviz_dagster.table.manifest import read_manifest

FILE = "profiles.txt"
"""Name of the file in the data folder: a line for each block, with a checksum, its state and what it comes to."""
_FORMAT_VERSION = 1
"""Raised by hand whenever a profile, a sample or the way they are merged changes."""
_BLOCK = 32
"""Partitions that are merged and kept together."""


def merged_profiles(
    partitions: Sequence[Partition], data_dir: Path, unreadable: Callable[[Path], None]
) -> tuple[Profile, Evidence]:
    """Return the profiles and the samples of the archives of all partitions, merged in their order.

    Args:
        partitions: all partitions, in time order.
        data_dir: the data folder.
        unreadable: called with each manifest that cannot be read; it is left out.

    Raises:
        FileError: what is kept cannot be written.
    """
    if len(partitions) == 1:
        # What is kept of other partitions holds samples of their calls.
        (data_dir / FILE).unlink(missing_ok=True)
        return _merged(partitions, data_dir, unreadable)[:2]
    profile, evidence = Profile(), Evidence()
    before, kept = _read(data_dir / FILE), dict[str, str]()
    for start in range(0, len(partitions), _BLOCK):
        block = partitions[start : start + _BLOCK]
        state = _state(block, data_dir)
        if state in before:
            kept[state] = before[state]
            data = json.loads(before[state])
            block_profile = Profile.from_json(data["profile"])
            block_evidence = Evidence.from_json(data["evidence"], below=evidence.limit)
        else:
            block_profile, block_evidence, complete = _merged(block, data_dir, unreadable)
            if complete:
                kept[state] = json.dumps({"profile": block_profile.to_json(), "evidence": block_evidence.to_json()})
        profile.merge(block_profile)
        evidence.merge(block_evidence)
    if kept != before:
        lines = (f"{state} {text}" for state, text in kept.items())
        write_text(data_dir / FILE, "".join(f"{_checksum(line)} {line}\n" for line in lines), private=True)
    return profile, evidence


def _merged(
    block: Sequence[Partition], data_dir: Path, unreadable: Callable[[Path], None]
) -> tuple[Profile, Evidence, bool]:
    """Return what the manifests of a block come to, and whether all that are there can be read."""
    profile, evidence, complete = Profile(), Evidence(), True
    for partition in block:
        path = partition.manifest(data_dir)
        manifest = read_manifest(path, evidence_below=evidence.limit)
        if manifest is None:
            if path.exists():
                unreadable(path)
                complete = False
        elif manifest.span == partition.span:
            profile.merge(manifest.profile)
            evidence.merge(manifest.evidence or Evidence())
    return profile, evidence, complete


def _state(block: Sequence[Partition], data_dir: Path) -> str:
    """Return a text without spaces that differs wherever one of the manifests, or what its partition takes, does."""
    states: list[object] = [_FORMAT_VERSION]
    for partition in block:
        try:
            status = partition.manifest(data_dir).stat()
            states.append([partition.span, status.st_size, status.st_mtime_ns, status.st_ino])
        except OSError:
            states.append([partition.span])
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def _read(path: Path) -> dict[str, str]:
    """Return the JSON text of each block by its state; without lines that are damaged."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    parts = [line.split(" ", 2) for line in lines]
    return {part[1]: part[2] for part in parts if len(part) == 3 and part[0] == _checksum(f"{part[1]} {part[2]}")}


def _checksum(line: str) -> str:
    return f"{zlib.crc32(line.encode()):08x}"
