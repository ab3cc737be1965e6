"""Time the whole command, everything made, against mongoexport: `python -m benchmarks.command --documents 1000000`.

Runs `dagster asset materialize --select '*'` and, where it is on PATH, `mongoexport --type=csv`, in turns; prints what
each step took, the ratios by the clock and in processor time, and one line of JSON. The first refresh finds empty
folders, the others what the one before has left. What belongs elsewhere: the work of the first three steps alone
(`refresh.py`), other ways to a file (`peers.py`), Dagster's own start (`startup.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.collection import FIELDS, filled, parser
from benchmarks.processes import Ran, in_turns, ratio, rounded, seconds
from benchmarks.startup import DAGSTER_YAML

COMMAND, EXPORT = "whole command", "mongoexport --type=csv"
OUTSIDE = "Dagster and imports"
"""The name of what no step takes."""
PROCESSOR = "processor time"
"""The name of the processor seconds of the whole command, which other work on the machine changes less."""
_STEP = re.compile(r'Finished execution of step "(\w+)" in (?:(\d+)m)?([\d.]+)(ms|s)\b')


def commands(uri: str, database: str, collection: str, folder: Path) -> dict[str, list[str]]:
    """Return the commands to time, by name; mongoexport only where it is on PATH."""
    materialize = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "callviz_dagster.definitions"]
    timed = {COMMAND: [*materialize, "--select", "*"]}
    if program := shutil.which("mongoexport"):
        source = ["--quiet", "--uri", uri, "--db", database, "--collection", collection]
        form = ["--type", "csv", "--fields", ",".join(FIELDS), "--out", str(folder / "exported.csv")]
        timed[EXPORT] = [program, *source, *form]
    return timed


def steps_of(ran: Ran) -> dict[str, float]:
    """Return the seconds of each step, as Dagster logged them, and those outside all steps."""
    steps = {
        name: int(minutes or 0) * 60 + float(number) / (1000 if unit == "ms" else 1)
        for name, minutes, number, unit in _STEP.findall(ran.output)
    }
    return {OUTSIDE: ran.seconds - sum(steps.values()), **steps}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3, help="how often each runs")
    parsed = options.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri, name = stack.enter_context(filled(parsed))
        (folder / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CALLVIZ_")}
        environment = inherited | {
            "DAGSTER_HOME": str(folder),
            "CALLVIZ_MONGO_URI": uri,
            "CALLVIZ_MONGO_DATABASE": parsed.database,
            "CALLVIZ_MONGO_COLLECTION": name,
            "CALLVIZ_DATA_DIR": str(folder / "data"),
            "CALLVIZ_PUBLISH_DIR": str(folder / "publish"),
        }
        ran = in_turns(commands(uri, parsed.database, name, folder), parsed.rounds, environment)
    report(ran, parsed.documents)


def report(ran: Mapping[str, Sequence[Ran]], documents: int) -> None:
    """Print medians and ratios as a table, and as one line of JSON."""
    timings, processor = timings_of(ran), {name: [one.cpu_seconds for one in some] for name, some in ran.items()}
    ratios = {}
    if export := timings.get(EXPORT):
        ratios = {name: ratio(some, export) for name, some in timings.items() if name != EXPORT}
        ratios[PROCESSOR] = ratio(processor[COMMAND], processor[EXPORT])
    else:
        sys.stdout.write("Not on PATH: mongoexport, so there is nothing to compare with.\n")
    print_table({**timings, PROCESSOR: processor[COMMAND]}, ratios)
    figures = {
        "documents": documents,
        "seconds": medians(timings),
        "processor_seconds": medians(processor),
        "peak_mb": rounded({name: max(one.peak_mb for one in some) for name, some in ran.items()}),
        "ratios": rounded(ratios),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


def timings_of(ran: Mapping[str, Sequence[Ran]]) -> dict[str, list[float]]:
    """Return the seconds of each command and of each step, round by round."""
    by_step = [steps_of(one) for one in ran[COMMAND]]
    # Dagster ends the process that shows a step's log with the step, and so loses the last line now and then.
    names = dict.fromkeys(name for steps in by_step for name in steps)
    return {name: seconds(some) for name, some in ran.items()} | {
        name: [steps[name] for steps in by_step if name in steps] for name in names
    }


def medians(timings: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each."""
    return rounded({name: statistics.median(some) for name, some in timings.items()})


def print_table(timings: Mapping[str, Sequence[float]], ratios: Mapping[str, float]) -> None:
    """Print the median and the range of each, and its ratio where it has one."""
    lines = [f"{'':26}{'seconds':>9}{'from':>7}{'to':>7}{'/ mongoexport':>15}"]
    for name, some in timings.items():
        compared = f"{ratios[name]:15.2f}" if name in ratios else ""
        lines.append(f"{name:26}{statistics.median(some):9.2f}{min(some):7.2f}{max(some):7.2f}{compared}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
