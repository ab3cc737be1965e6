"""Time a refresh with its threads and without, on one core and on two: `python -m benchmarks.threads`.

Each is a process of its own, in turns. Without threads means the same code with all that would run beside done at
once, in its place. Needs a system that can keep a process on some cores (Linux).
What belongs elsewhere: what the steps of a refresh take (`refresh.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from benchmarks import refresh
from benchmarks.collection import filled, parser
from benchmarks.processes import Ran, in_turns, ratio, rounded

CASES = {
    "threads, one core": ["--cores", "1"],
    "no threads, one core": ["--cores", "1", "--no-threads"],
    "threads, two cores": ["--cores", "2"],
    "no threads, two cores": ["--cores", "2", "--no-threads"],
}
COMPARED = (
    ("threads, one core", "no threads, one core"),
    ("threads, two cores", "no threads, two cores"),
)


class AtOnce(Executor):
    """Does what it is given at once, in its place."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do the work and return its result."""
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # as threads do: raised where the result is asked for
            future.set_exception(error)
        return future


def without_threads() -> None:
    """Let this process refresh without threads."""

    def prefetch(items: Iterable[Any], *_: Any) -> Iterator[Any]:
        return iter(items)

    for module in [loaded for name, loaded in sys.modules.items() if name.startswith("callviz_dagster.")]:
        for name, instead in (("prefetch", prefetch), ("parallel_map", map), ("ThreadPoolExecutor", AtOnce)):
            if hasattr(module, name):
                setattr(module, name, instead)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; with `--cores`, refresh once on that number of cores."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=3, help="how often each runs")
    options.add_argument("--cores", type=int, help="refresh once on this number of cores, and print that")
    options.add_argument("--no-threads", action="store_true", help="with --cores: without threads")
    parsed = options.parse_args(arguments)
    source = ["--database", parsed.database, "--documents", str(parsed.documents), "--untidy", str(parsed.untidy)]
    if parsed.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: parsed.cores])
        if parsed.no_threads:
            without_threads()
        refresh.main([*source, *(["--uri", parsed.uri] if parsed.uri else [])])
        return
    report(measure(parsed, source), parsed.rounds)


def measure(parsed: argparse.Namespace, source: list[str]) -> dict[str, list[Ran]]:
    """Run all cases in turns on the collection that the arguments name, and return what each run took."""
    with contextlib.ExitStack() as stack:
        uri, _ = stack.enter_context(filled(parsed))
        command = [sys.executable, "-m", "benchmarks.threads", "--uri", uri, *source]
        return in_turns({name: [*command, *case] for name, case in CASES.items()}, parsed.rounds)


def report(ran: Mapping[str, Sequence[Ran]], rounds: int) -> None:
    """Print medians and ratios as a table, and as one line of JSON."""
    reports = {name: [json.loads(one.output.splitlines()[-1]) for one in some] for name, some in ran.items()}
    timings = {name: [one["steps"][-1]["seconds"] for one in some] for name, some in reports.items()}
    out = sys.stdout.write
    out(f"{'inside the assets':26}{'seconds':>9}{'from':>7}{'to':>7}{'largest MB':>12}\n")
    for name, some in timings.items():
        largest = max(one["peak_mb"] or 0.0 for one in reports[name])
        out(f"{name:26}{statistics.median(some):9.2f}{min(some):7.2f}{max(some):7.2f}{largest:12,.0f}\n")
    ratios = {f"{name} / {other}": ratio(timings[name], timings[other]) for name, other in COMPARED}
    for name, value in ratios.items():
        out(f"{name:47}{value:8.2f}\n")
    medians = rounded({name: statistics.median(some) for name, some in timings.items()})
    out(json.dumps({"rounds": rounds, "seconds": medians, "ratios": rounded(ratios)}) + "\n")


if __name__ == "__main__":
    main()
