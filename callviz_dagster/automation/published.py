"""What is published, as the sensor needs it: when each partition's published calls were read.

What belongs elsewhere: the record of what is published (`storage/published.py`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from callviz_dagster.automation.decisions import ClusterTime
from callviz_dagster.partitions import Partition
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV, InputFile, cluster_time
from callviz_dagster.storage.refreshing import read_published
from callviz_dagster.tableau import extract
from callviz_dagster.tableau.model import HYPER_NAME


def published_inputs(settings: Settings, partitions: Sequence[Partition]) -> dict[str, InputFile]:
    """Return, by partition, the `calls` file that every published file was made from.

    A partition counts as published once every published file that there is was made from the same calls. It is left
    out while a file differs.
    """
    record = read_published(settings.publish_dir)
    inputs = record.inputs(CALLS_CSV)
    # An extract that is no longer made, because its extra was uninstalled, waits for nothing.
    current_files = [name for name in record.files if name != HYPER_NAME or extract.installed()]
    sources = [record.sources(name) for name in current_files]
    published: dict[str, InputFile] = {}
    for partition in partitions:
        name = partition.calls(settings.data_dir).relative_to(settings.data_dir).as_posix()
        known = inputs.get(name)
        if known and known.span == partition.span and all((name, known.sha256) in files for files in sources):
            published[partition.key] = known
    return published


def read_but_not_published(
    settings: Settings, partitions: Sequence[Partition], published: Mapping[str, InputFile]
) -> dict[str, ClusterTime]:
    """Return the partitions that were read later than they were published, by partition with the later cluster time.

    Their changes may have been seen by nobody else: a refresh by hand read them, and ended before it published them.
    """
    unpublished: dict[str, ClusterTime] = {}
    for partition in partitions:
        read = _last_read(partition, settings.data_dir)
        known = published.get(partition.key)
        if read and known is None:
            unpublished[partition.key] = None
        elif read and known and _is_later(read, known):
            unpublished[partition.key] = read.cluster_time
    return unpublished


class LastRead(NamedTuple):
    """When a partition was read last."""

    span: str
    cluster_time: ClusterTime
    time: str
    """By the clock, ISO 8601, UTC."""


def _is_later(read: LastRead, known: InputFile) -> bool:
    if read.cluster_time and known.cluster_time:
        return known.cluster_time < read.cluster_time
    return bool(known.time) and known.time < read.time


def _last_read(partition: Partition, data_dir: Path) -> LastRead | None:
    """Return when a partition was read last; None where that is not known, or other documents were in it."""
    path = partition.manifest(data_dir)
    try:
        modified = path.stat().st_mtime_ns
    except OSError:
        return None
    read = _read_manifest(path, modified)
    return read if read and read.span == partition.span else None


@functools.lru_cache(maxsize=10_000)
def _read_manifest(path: Path, modified: int) -> LastRead | None:
    """Return what a manifest says of its read; read again when the file has changed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return LastRead(data.get("span", ""), cluster_time(data.get("cluster_time", "")), data.get("snapshot_time", ""))
    except (OSError, ValueError, AttributeError):
        return None
