"""Time a refresh against other ways from MongoDB to a file: `python -m benchmarks.peers --documents 1000000`.

Runs each as a process of its own, in turns, on one collection: the plain script, raw batches to a file, mongoexport and
mongodump where they are on PATH, and the refresh; prints the medians and ratios as a table for people and one line of
JSON. What belongs elsewhere: what the steps of a refresh take (`refresh.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.collection import FIELDS, filled, parser
from benchmarks.processes import Ran, in_turns, ratio, rounded, seconds

PLAIN, RAW, EXPORT, DUMP, REFRESH = "plain script", "raw batches", "mongoexport --type=csv", "mongodump", "refresh"
PLAIN_TO_EXPORT = 1.9
DUMP_TO_EXPORT = 0.16
"""What the plain script and mongodump took, as ratios to mongoexport, where all were there: see README.md."""


def commands(uri: str, database: str, collection: str, documents: int, folder: Path) -> dict[str, list[str]]:
    """Return the commands to time, by name; those that are not on PATH are left out."""
    python = [sys.executable, "-m"]
    source = [uri, database, collection]
    options = ["--quiet", "--uri", uri, "--db", database, "--collection", collection]
    paths = {
        PLAIN: [*python, "benchmarks.plain_script", *source, str(folder / "plain.csv")],
        RAW: [*python, "benchmarks.raw_batches", *source, str(folder / "raw.bson")],
    }
    if program := shutil.which("mongoexport"):
        form = ["--type", "csv", "--fields", ",".join(FIELDS), "--out", str(folder / "exported.csv")]
        paths[EXPORT] = [program, *options, *form]
    if program := shutil.which("mongodump"):
        paths[DUMP] = [program, *options, "--out", str(folder / "dump")]
    where = ["--uri", uri, "--database", database, "--collection", collection]
    paths[REFRESH] = [*python, "benchmarks.refresh", *where, "--documents", str(documents)]
    return paths


def ratios(ran: Mapping[str, Sequence[Ran]]) -> dict[str, float]:
    """Return how the refresh compares, inside its assets, with the others; what is not on PATH is derived."""
    steps = {
        name: [step["seconds"] for one in ran[REFRESH] for step in _said(one)["steps"] if step["name"] == name]
        for name in ("raw_calls", "together")
    }
    plain = seconds(ran[PLAIN])
    by_pair = {"refresh / plain script": ratio(steps["together"], plain)}
    if EXPORT in ran:
        by_pair["refresh / mongoexport"] = ratio(steps["together"], seconds(ran[EXPORT]))
        by_pair["plain script / mongoexport"] = ratio(plain, seconds(ran[EXPORT]))
    else:
        by_pair["refresh / mongoexport, derived"] = by_pair["refresh / plain script"] * PLAIN_TO_EXPORT
    if DUMP in ran:
        by_pair["raw_calls / mongodump"] = ratio(steps["raw_calls"], seconds(ran[DUMP]))
    else:
        by_pair["raw_calls / mongodump, derived"] = ratio(steps["raw_calls"], plain) * PLAIN_TO_EXPORT / DUMP_TO_EXPORT
    by_pair["raw_calls / raw batches"] = ratio(steps["raw_calls"], seconds(ran[RAW]))
    return by_pair


def _said(ran: Ran) -> dict[str, Any]:
    """Return the line of JSON that a benchmark has printed last."""
    report: dict[str, Any] = json.loads(ran.output.splitlines()[-1])
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3, help="how often each runs")
    parsed = options.parse_args(arguments)
    ran = measure(parsed)
    inside = [_said(one)["steps"][-1]["seconds"] for one in ran[REFRESH]]
    timings = {name: seconds(some) for name, some in ran.items()} | {"refresh, inside the assets": inside}
    compared = ratios(ran)
    sys.stdout.write(timings_table(timings, ran))
    sys.stdout.write(
        f"\n{'':36}{'ratio':>9}\n" + "".join(f"{name:36}{value:9.2f}\n" for name, value in compared.items())
    )
    figures = {
        "documents": parsed.documents,
        "untidy": parsed.untidy,
        "rounds": parsed.rounds,
        "seconds": rounded({name: statistics.median(some) for name, some in timings.items()}),
        "cpu_seconds": rounded(
            {name: statistics.median(one.cpu_seconds for one in some) for name, some in ran.items()}
        ),
        "peak_mb": rounded({name: max(one.peak_mb for one in some) for name, some in ran.items()}),
        "peak_together_mb": rounded({name: _most_together(some) for name, some in ran.items()}),
        "ratios": rounded(compared),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def measure(parsed: argparse.Namespace) -> dict[str, list[Ran]]:
    """Run all commands in turns on the collection that the arguments name, and return what each run took."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri, name = stack.enter_context(filled(parsed))
        timed = commands(uri, parsed.database, name, parsed.documents, folder)
        away = " and ".join(program.split()[0] for program in (EXPORT, DUMP) if program not in timed)
        if away:
            sys.stdout.write(f"Not on PATH: {away}. Ratios to what is away are derived, see benchmarks/README.md.\n")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CALLVIZ_")}
        return in_turns(timed, parsed.rounds, environment)


def timings_table(timings: Mapping[str, Sequence[float]], ran: Mapping[str, Sequence[Ran]]) -> str:
    """Return seconds, processor seconds and memory as a table in plain text."""
    lines = [f"{'':36}{'seconds':>9}{'from':>7}{'to':>7}{'processor':>11}{'largest MB':>12}{'all MB':>8}"]
    for name, some in timings.items():
        line = f"{name:36}{statistics.median(some):9.2f}{min(some):7.2f}{max(some):7.2f}"
        if runs := ran.get(name):
            line += f"{statistics.median(one.cpu_seconds for one in runs):11.2f}"
            line += f"{max(one.peak_mb for one in runs):12,.0f}{_most_together(runs):8,.0f}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _most_together(runs: Sequence[Ran]) -> float:
    return max(one.together_mb or 0.0 for one in runs)


if __name__ == "__main__":
    main()
