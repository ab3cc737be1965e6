"""Deployments whose folders are in a bucket: their settings, and what a reader finds in the bucket.

What belongs elsewhere: the servers (`object_store.py`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from obstore.store import from_url

from callviz_dagster.setting_values.bucket_uri import bucket_uri, folder
from callviz_dagster.settings import Settings


def in_bucket(settings: Settings, uri: str, scratch_dir: Path) -> Settings:
    """Return the settings of a machine with this scratch folder; data and publish folders are in the bucket."""
    return dataclasses.replace(
        settings,
        data_dir=folder(f"{uri}/calls/data"),
        publish_dir=folder(f"{uri}/calls/published"),
        scratch_dir=scratch_dir,
    )


def on_another_machine(settings: Settings, scratch_dir: Path) -> Settings:
    """Return the settings of a machine whose scratch folder is another one."""
    return dataclasses.replace(
        settings,
        data_dir=Path(settings.data_dir.name),
        publish_dir=Path(settings.publish_dir.name),
        scratch_dir=scratch_dir,
    )


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Return a record in the bucket that a working copy stands for."""
    content: dict[str, Any] = json.loads(_content(path, name))
    return content


def data_files(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return what the record of the data folder says of each file."""
    files: dict[str, dict[str, Any]] = read_json(settings.data_dir, "files.json")["files"]
    return files


def published(settings: Settings) -> dict[str, bytes]:
    """Read what `published.json` names, as a reader does that knows nothing of callviz; Parquet files by their names.

    Raises:
        AssertionError: an object is missing, or has other bytes than the record says.
    """
    record = read_json(settings.publish_dir, "published.json")
    contents = {}
    for name, entry in {**record["files"], **{each["name"]: each for each in record["parquet"]}}.items():
        contents[name] = _content(settings.publish_dir, entry["object"])
        assert len(contents[name]) == entry["bytes"]
        assert hashlib.sha256(contents[name]).hexdigest() == entry["sha256"]
    return contents


def objects(path: Path) -> set[str]:
    """Return the names of all objects in the bucket that a working copy stands for."""
    return {each["path"] for chunk in _store(path).list() for each in chunk}


def _content(path: Path, name: str) -> bytes:
    return bytes(_store(path).get(name).bytes())


def _store(path: Path) -> Any:
    uri = bucket_uri(path)
    assert uri
    return from_url(uri)
