"""Time a refresh, asset by asset: `python -m benchmarks.refresh --documents 1000000`.

Runs the assets in this process, without Dagster's own start-up, on a collection that it makes in a MongoDB of its own
or on one that is given; prints a table for people and one line of JSON. With `--partitions`, also refreshes the one
partition in which a call has changed. What belongs elsewhere: other ways to a CSV file (`peers.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pymongo import MongoClient

from benchmarks.collection import DAYS, START, filled, parser
from benchmarks.processes import Watch, watching
from callviz_dagster.assets.calls import make_partitions, plan_tables
from callviz_dagster.assets.calls_csv import require_good
from callviz_dagster.assets.common import PartitionSelection
from callviz_dagster.assets.raw_calls import check_coverage
from callviz_dagster.calls_csv.publish import publish_csv
from callviz_dagster.engine.archive import archive_partitions
from callviz_dagster.mongodb.connection import MongoDB
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV
from callviz_dagster.table.manifest import existing_partitions

LOG = logging.getLogger("benchmarks")

PartitionResult = TypeVar("PartitionResult")


@dataclasses.dataclass
class Step:
    """What one asset took."""

    name: str
    seconds: float
    documents: int
    peak_mb: float | None
    """Of the largest process so far."""

    @property
    def rate(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return dataclasses.asdict(self) | {"documents_per_second": round(self.rate)}


def refresh(
    settings: Settings, all_partitions: Sequence[Partition], partitions: Sequence[Partition], watch: Watch
) -> list[Step]:
    """Do the work of the assets for some of all partitions; return what each took, and all together."""
    steps: list[Step] = []

    def timed(name: str, work: Callable[[], PartitionResult]) -> PartitionResult:
        began = time.perf_counter()
        result_of_step = work()
        elapsed = time.perf_counter() - began
        watch.look()
        steps.append(Step(name, elapsed, 0, watch.largest_mb))
        return result_of_step

    def read() -> int:
        mongo = MongoDB(settings)
        check_coverage(
            mongo, PartitionSelection(Partitioning.of(settings), [*all_partitions], [*partitions]), settings, LOG
        )
        return sum(
            archived.manifest.documents for archived in archive_partitions(mongo, partitions, settings.data_dir, LOG)
        )

    def normalize() -> None:
        tables = plan_tables(all_partitions, settings, LOG)
        for partition, made in zip(partitions, make_partitions(partitions, settings, LOG, tables), strict=True):
            if not made.calls:
                raise SystemExit(f"The audit forbids to publish the calls of partition {partition.name}.")

    documents = timed("raw_calls", read)
    timed("calls", normalize)
    footers = existing_partitions(all_partitions, settings.data_dir)
    calls = {partition.calls(settings.data_dir): footer for partition, footer in footers.items()}
    csv = settings.publish_dir / CALLS_CSV
    timed("calls_csv", lambda: publish_csv(calls, csv, settings.timezone, LOG, require_good))
    steps.append(Step("together", sum(step.seconds for step in steps), 0, watch.largest_mb))
    for step in steps:
        step.documents = documents
    return steps


@contextlib.contextmanager
def one_call_changed(settings: Settings, partition: Partition) -> Iterator[None]:
    """Change one call of a partition, and change it back afterwards."""
    with MongoClient[Any](settings.mongo_uri) as client:
        collection = client[settings.database][settings.mongo_collection]
        call = collection.find_one(partition.filter(), sort=[("_id", 1)])
        assert call is not None, f"partition {partition.name} has no calls"
        collection.update_one({"_id": call["_id"]}, {"$set": {"status": "cancelled"}})
        try:
            yield
        finally:
            collection.replace_one({"_id": call["_id"]}, call)


def partitioned(settings: Settings, partitions: str) -> Settings:
    """Return the settings that cut the collection into partitions, with the index that they need."""
    with MongoClient[Any](settings.mongo_uri) as client:
        client[settings.database][settings.mongo_collection].create_index("start_time")
    return dataclasses.replace(
        settings, partitions=partitions, partitions_start=START.date(), field_start_time="start_time"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--collection", help="a collection of yours, left as it is; by default one is made")
    options.add_argument("--timezone", default="Europe/Berlin")
    options.add_argument(
        "--partitions",
        choices=("monthly", "weekly", "daily"),
        help="cut the collection so, and refresh one partition after all of them",
    )
    parsed = options.parse_args(arguments)
    if parsed.partitions and parsed.collection:
        options.error("--partitions changes a call, so it takes no collection of yours")
    with filled(parsed) as (uri, collection), tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            mongo_uri=uri,
            mongo_database=parsed.database,
            mongo_collection=collection,
            timezone=parsed.timezone,
            data_dir=Path(folder, "data"),
            publish_dir=Path(folder, "publish"),
        )
        if parsed.partitions:
            settings = partitioned(settings, parsed.partitions)
        all_partitions = Partitioning.of(settings).partitions(
            START.replace(tzinfo=dt.UTC) + dt.timedelta(days=DAYS - 1)
        )
        if parsed.partitions:
            # The first run loads the libraries; without that, one partition and all are compared fairly.
            refresh(settings, all_partitions[:1], all_partitions[:1], Watch(os.getpid()))
        with watching(os.getpid()) as watch:
            steps = refresh(settings, all_partitions, all_partitions, watch)
        figures = {
            "documents": steps[0].documents,
            "untidy": parsed.untidy,
            "steps": [step.to_json() for step in steps],
            "peak_mb": watch.largest_mb,
            "peak_together_mb": watch.together_mb,
        }
        table(steps, f"{len(all_partitions)} partitions" if parsed.partitions else "")
        if watch.together_mb is not None:
            sys.stdout.write(f"{'all processes':37}{watch.together_mb:9,.0f}\n")
        if parsed.partitions:
            changed = all_partitions[len(all_partitions) // 2]
            with one_call_changed(settings, changed), watching(os.getpid()) as watch:
                steps_again = refresh(settings, all_partitions, [changed], watch)
            ratio = steps_again[-1].seconds / steps[-1].seconds
            table(steps_again, "one of them")
            sys.stdout.write(f"ratio {ratio:.3f}\n")
            figures["one_partition"] = {"steps": [step.to_json() for step in steps_again], "ratio": ratio}
    sys.stdout.write(json.dumps(figures) + "\n")


def table(steps: Sequence[Step], title: str) -> None:
    """Print what each step took."""
    out = sys.stdout.write
    out(f"{title:14}{'seconds':>9}{'documents/s':>14}{'peak MB':>9}\n")
    for step in steps:
        peak = f"{step.peak_mb:9,.0f}" if step.peak_mb is not None else ""
        out(f"{step.name:14}{step.seconds:9.2f}{step.rate:14,.0f}{peak}\n")


if __name__ == "__main__":
    main()
