"""Time a refresh, asset by asset: `python -m benchmarks.refresh --documents 1000000`.

Runs the assets in this process, without Dagster's own start-up, on a collection that it makes in a MongoDB of its own
or on one that is given; prints a table for people and one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from benchmarks.collection import fill
from callviz_dagster.assets.calls import make_window
from callviz_dagster.assets.calls_csv import FILE, publish_csv
from callviz_dagster.assets.raw_calls import archive_window
from callviz_dagster.demo.mongod import running_mongod
from callviz_dagster.mongo import MongoDB
from callviz_dagster.settings import Settings
from callviz_dagster.windows import WHOLE

LOG = logging.getLogger("benchmarks")


@dataclasses.dataclass
class Step:
    """What one asset took."""

    name: str
    seconds: float
    documents: int
    peak_mb: float

    @property
    def rate(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds if self.seconds else 0.0


def refresh(settings: Settings) -> list[Step]:
    """Run the assets and return what each took."""
    steps: list[Step] = []

    def timed(name: str, work: Any) -> Any:
        began = time.perf_counter()
        made = work()
        steps.append(Step(name, time.perf_counter() - began, 0, peak_mb()))
        return made

    manifest, _ = timed("raw_calls", lambda: archive_window(MongoDB(settings), WHOLE, settings.data_dir, LOG))
    timed("calls", lambda: make_window(WHOLE, settings, LOG))
    calls, csv = WHOLE.calls(settings.data_dir), settings.publish_dir / FILE
    timed("calls_csv", lambda: publish_csv([calls], csv, settings.timezone, LOG))
    for step in steps:
        step.documents = manifest.documents
    return steps


def peak_mb() -> float:
    """Return the peak resident memory of this process, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024 / 1024


@contextlib.contextmanager
def measured_collection(given: argparse.Namespace) -> Iterator[Settings]:
    """Give the settings of the collection to measure, which is made where none is given."""
    with contextlib.ExitStack() as stack:
        uri = given.uri
        if uri is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            uri = stack.enter_context(running_mongod(folder, cache_gb=2)).uri
        settings = Settings(mongo_uri=uri, mongo_database=given.database, mongo_collection=given.collection)
        if given.collection == "calls_measured":
            with MongoClient[Any](uri) as client:
                collection = client[given.database][given.collection]
                if collection.estimated_document_count() != given.documents or given.untidy:
                    fill(collection, given.documents, given.untidy)
        yield settings


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that say what to measure."""
    options = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    options.add_argument("--documents", type=int, default=1_000_000, help="how many documents to make")
    options.add_argument("--untidy", type=float, default=0.0, help="share of them that is untidy")
    options.add_argument("--uri", help="a MongoDB to use; by default one is started")
    options.add_argument("--database", default="callviz_benchmarks")
    options.add_argument("--collection", default="calls_measured", help="a collection of yours, left as it is")
    options.add_argument("--timezone", default="Europe/Berlin")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = parser(__doc__).parse_args(arguments)
    with measured_collection(given) as settings, tempfile.TemporaryDirectory() as folder:
        steps = refresh(
            dataclasses.replace(
                settings,
                timezone=given.timezone,
                data_dir=Path(folder, "data"),
                publish_dir=Path(folder, "publish"),
            )
        )
    total = Step("together", sum(step.seconds for step in steps), steps[0].documents, peak_mb())
    out = sys.stdout.write
    out(f"{'':12}{'seconds':>9}{'documents/s':>14}{'peak MB':>9}\n")
    for step in [*steps, total]:
        out(f"{step.name:12}{step.seconds:9.2f}{step.rate:14,.0f}{step.peak_mb:9,.0f}\n")
    out(json.dumps({"documents": total.documents, "steps": [dataclasses.asdict(s) for s in [*steps, total]]}) + "\n")


if __name__ == "__main__":
    main()
