"""Addresses of folders in object storage, as settings hold them, and the local folders that stand for them.

A folder in a bucket has a local working copy, whose name is the address with `%3A` for `:` and `%2F` for `/`. So every
function that takes a folder takes both kinds. What belongs elsewhere: the working copy (`storage/working_copy.py`).
"""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

SCHEMES = ("s3", "gs", "az")
_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://[A-Za-z0-9][A-Za-z0-9._-]+(/[A-Za-z0-9!_.*'()=+,-]+)*/?")
_NAME = re.compile(rf"({'|'.join(SCHEMES)})%3A%2F%2F")
_LONGEST = 200
"""Of the working copy's name; file systems take 255 bytes."""


def folder(value: str) -> Path:
    """Return a local folder; for a folder in object storage the name of its working copy, which stands in no folder."""
    if "://" not in value:
        return Path(value)
    name = urllib.parse.quote(value.rstrip("/"), safe="")
    if not _ADDRESS.fullmatch(value) or re.search(r"/\.{1,2}(/|$)", value) or len(name) > _LONGEST:
        raise ValueError(
            "a folder, or an address in object storage such as s3://bucket/calls, gs://bucket/calls or "
            f"az://container/calls, in letters, digits and -_.=+ and of fewer than {_LONGEST} characters, without a "
            "password or an option: the cloud's own variables have those"
        )
    return Path(name)


def local_path(value: str) -> Path:
    """Return the path of a local file or folder."""
    if "://" in value:
        raise ValueError("a path on this machine, not an address")
    return Path(value)


def bucket_uri(path: Path) -> str | None:
    """Return the address of the folder in object storage that a local folder is the working copy of, if it is one."""
    return urllib.parse.unquote(path.name) if _NAME.match(path.name) else None


def placed(path: Path, scratch_dir: Path) -> Path:
    """Return a folder; a working copy that stands in no folder yet, in the scratch folder."""
    return scratch_dir / path if bucket_uri(path) and path == Path(path.name) else path


def shared_folder(data_dir: Path, publish_dir: Path) -> str:
    """Return why a data and a publish folder cannot be in one bucket as they are; an empty text where they can."""
    data, publish = bucket_uri(data_dir), bucket_uri(publish_dir)
    if not data or not publish or not (f"{data}/".startswith(f"{publish}/") or f"{publish}/".startswith(f"{data}/")):
        return ""
    return (
        f"CALLVIZ_DATA_DIR ({data}) and CALLVIZ_PUBLISH_DIR ({publish}) share a folder in the bucket: give each its "
        "own, for example s3://bucket/calls/data and s3://bucket/calls/published."
    )
