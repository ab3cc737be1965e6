"""Time what comes before the first call is read: `python -m benchmarks.startup`.

Compares loading the code location with `import dagster`, and a refresh of an empty collection with the same command on
three empty assets, each as a whole process and in turns; prints a table for people and one line of JSON. What belongs
elsewhere: how long calls take (`automation/sensor.py`, `peers.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from benchmarks.processes import in_turns, ratio, rounded, seconds
from callviz_dagster.demo.mongod import running_mongod

EMPTY_ASSETS = """
import dagster as dg


@dg.asset
def one() -> None: ...


@dg.asset(deps=[one])
def two() -> None: ...


@dg.asset(deps=[two])
def three() -> None: ...


defs = dg.Definitions(assets=[one, two, three])
"""
IN_PROCESS = "\ndefs = dg.Definitions(assets=[one, two, three], executor=dg.in_process_executor)\n"
"""As callviz runs: without a process for each asset, which is Dagster's default and takes longer."""
DAGSTER_YAML = "telemetry: {enabled: false}\nnux: {enabled: false}\n"

COMPARED = (
    ("import of the code location", "import dagster"),
    ("loading its definitions", "import dagster"),
    ("refresh of no calls", "three empty assets"),
    ("refresh of no calls", "three empty assets, in one process"),
)


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the commands to time, by name; writes the modules of empty assets."""
    default, in_process = folder / "empty_assets.py", folder / "empty_assets_in_process.py"
    default.write_text(EMPTY_ASSETS, encoding="utf-8")
    in_process.write_text(EMPTY_ASSETS + IN_PROCESS, encoding="utf-8")
    python = [sys.executable, "-c"]
    materialize = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "*"]
    return {
        "import dagster": [*python, "import dagster"],
        "import of the code location": [*python, "import callviz_dagster.definitions"],
        "loading its definitions": [*python, "from callviz_dagster.definitions import defs; defs()"],
        "three empty assets": [*materialize, "-f", str(default)],
        "three empty assets, in one process": [*materialize, "-f", str(in_process)],
        "refresh of no calls": [*materialize, "-m", "callviz_dagster.definitions"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    options.add_argument(
        "--rounds", type=int, default=7, help="how often each runs; more than once, after once to warm up"
    )
    parsed = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, running_mongod(Path(name, "mongod")) as server:
        folder = Path(name)
        with MongoClient[Any](server.uri) as client:
            client["callviz"].create_collection("calls")
        (folder / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CALLVIZ_")}
        environment = inherited | {
            "DAGSTER_HOME": name,
            "CALLVIZ_MONGO_URI": server.uri,
            "CALLVIZ_DATA_DIR": str(folder / "data"),
            "CALLVIZ_PUBLISH_DIR": str(folder / "publish"),
        }
        timed = commands(folder)
        if parsed.rounds > 1:
            in_turns(timed, 1, environment, folder)
        timings = {name: seconds(ran) for name, ran in in_turns(timed, parsed.rounds, environment, folder).items()}
    ratios = {f"{name} / {other}": ratio(timings[name], timings[other]) for name, other in COMPARED}
    medians = {name: statistics.median(some) for name, some in timings.items()}
    out = sys.stdout.write
    out(f"{'':56}{'seconds':>9}{'from':>7}{'to':>7}\n")
    for name, some in timings.items():
        out(f"{name:56}{medians[name]:9.2f}{min(some):7.2f}{max(some):7.2f}\n")
    out(f"\n{'':56}{'ratio':>9}\n")
    for name, value in ratios.items():
        out(f"{name:56}{value:9.2f}\n")
    out(json.dumps({"rounds": parsed.rounds, "seconds": rounded(medians), "ratios": rounded(ratios)}) + "\n")


if __name__ == "__main__":
    main()
