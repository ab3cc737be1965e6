"""Shared by tests: the data folders that version 0.1.0 wrote, and the documents that they were made from."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import bson
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster.storage.archive import read_archive

FOLDER = Path(__file__).parents[1] / "data" / "version_0_1_0"
MONTHS = ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]


def data_folder(name: str, settings: Settings, collection: Collection[dict[str, Any]]) -> Settings:
    """Copy a data folder to where the settings say and insert its documents; return the settings that it needs."""
    shutil.copytree(FOLDER / name / "data", settings.data_dir)
    shutil.copytree(FOLDER / name / "publish", settings.publish_dir)
    for content, _ in read_archive(FOLDER / "whole" / "data" / "raw_calls" / "all.bson.zst"):
        collection.insert_many(bson.decode_all(content))
    settings = dataclasses.replace(settings, timezone="Europe/Berlin", max_columns=14)
    if name == "whole":
        return settings
    collection.create_index("start_time")
    return dataclasses.replace(
        settings, partitions="monthly", partitions_start=dt.date(2024, 1, 1), field_start_time="start_time"
    )
