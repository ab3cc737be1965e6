"""What is published, as the sensor needs it: of which cluster time each partition's published calls are.

What belongs elsewhere: the record of what is published (`storage/published.py`).
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

from callviz_dagster.automation.decisions import ClusterTime
from callviz_dagster.partitions import Partition
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV, cluster_time, read_record
from callviz_dagster.tableau.model import HYPER_NAME


def published_cluster_times(settings: Settings, partitions: Sequence[Partition]) -> dict[str, ClusterTime]:
    """Return, by partition, the cluster time that its published calls were read at.

    A partition counts as published once every published file that there is was made from the same calls. It has no
    cluster time while a file differs, or where the server has none.
    """
    record = read_record(settings.publish_dir)
    inputs = record.inputs(CALLS_CSV)
    # An extract that is no longer made, because its extra was uninstalled, waits for nothing.
    current_files = [name for name in record.files if name != HYPER_NAME or importlib.util.find_spec("pantab")]
    sources = [record.sources(name) for name in current_files]
    published: dict[str, ClusterTime] = {}
    for partition in partitions:
        name = partition.calls(settings.data_dir).relative_to(settings.data_dir).as_posix()
        known = inputs.get(name)
        if known and known.span == partition.span and all((name, known.sha256) in files for files in sources):
            published[partition.key] = known.cluster_time
    return published


def read_but_not_published(
    settings: Settings, partitions: Sequence[Partition], published: dict[str, ClusterTime]
) -> dict[str, ClusterTime]:
    """Return the partitions that were read later than they were published, by partition with the later cluster time.

    Their changes may have been seen by nobody else: a refresh by hand read them, and ended before it published them.
    """
    unpublished: dict[str, ClusterTime] = {}
    for partition in partitions:
        read = _read_at(partition, settings.data_dir)
        if read and partition.key in published:
            known = published[partition.key]
            if known is None or known < read:
                unpublished[partition.key] = read
        elif read:
            unpublished[partition.key] = None
    return unpublished


def _read_at(partition: Partition, data_dir: Path) -> ClusterTime:
    """Return the cluster time at which a partition was read last; None where it is not known."""
    path = partition.manifest(data_dir)
    try:
        modified = path.stat().st_mtime_ns
    except OSError:
        return None
    span, time = _manifest(path, modified)
    return time if span == partition.span else None


@functools.lru_cache(maxsize=10_000)
def _manifest(path: Path, modified: int) -> tuple[str, ClusterTime]:
    """Return the documents that a manifest is of, and their cluster time; read again when the file has changed."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return data.get("span", ""), cluster_time(data.get("cluster_time", ""))
    except (OSError, ValueError, AttributeError):
        return "", None
