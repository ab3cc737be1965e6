"""Time what partitions cost beside their calls: `python -m benchmarks.partitions --partitions daily`.

Runs the whole command for all partitions, then for one in which a call has changed, against mongoexport, against the
command without partitions, and against assets that are left empty and have the same partitions and checks; and looks up
1,000 deleted calls as the sensor does. Prints a table and one line of JSON. What belongs elsewhere: the steps of the
command without partitions (`command.py`), the work of the first three alone (`refresh.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.collection import DAYS, START, filled, parser
from benchmarks.command import COMMAND, EXPORT, OUTSIDE, commands, steps_of
from benchmarks.processes import Ran, rounded, run
from benchmarks.refresh import one_call_changed, partitioned
from benchmarks.startup import DAGSTER_YAML
from callviz_dagster.automation.poll import partitions_of_ids
from callviz_dagster.definitions import build_definitions
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.settings import Settings

ALL, ONE, WHOLE, EMPTY = "all partitions", "one changed partition", "without partitions", "empty assets"
STEPS = ("raw_calls", "calls", "calls_csv", "call_dashboard", "callviz_workbook")
DELETED = 1_000
EMPTY_ASSETS = """
import dagster as dg

DEFINITIONS = {{
    "daily": dg.DailyPartitionsDefinition,
    "weekly": lambda **options: dg.WeeklyPartitionsDefinition(day_offset=1, **options),
    "monthly": dg.MonthlyPartitionsDefinition,
}}
PARTITIONS = DEFINITIONS[{partitions!r}](start_date={start!r}, end_offset=1)


def empty(name, keys, checks, partitioned):
    options = {{"partitions_def": PARTITIONS}} if partitioned else {{}}

    @dg.multi_asset(
        name=name,
        specs=[dg.AssetSpec(key, deps=deps, **options) for key, deps in keys],
        check_specs=[dg.AssetCheckSpec(check, asset=asset) for asset, check in checks],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def nothing():
        yield from (dg.MaterializeResult(asset_key=key) for key, _ in keys)
        yield from (dg.AssetCheckResult(passed=True, asset_key=asset, check_name=check) for asset, check in checks)

    return nothing


defs = dg.Definitions(assets=[empty(*one) for one in {assets!r}], executor=dg.in_process_executor)
"""


def empty_module(settings: Settings, partitions: str) -> str:
    """Return a module of assets with the same names, partitions and checks that do nothing and import no callviz."""
    import dagster as dg

    assets = [one for one in build_definitions(settings).assets or () if isinstance(one, dg.AssetsDefinition)]
    own = {key for one in assets for key in one.keys}
    described = [
        (
            one.op.name,
            [(spec.key.path, [dep.asset_key.path for dep in spec.deps if dep.asset_key in own]) for spec in one.specs],
            [(check.asset_key.path, check.name) for check in one.check_specs],
            one.partitions_def is not None,
        )
        for one in assets
    ]
    return EMPTY_ASSETS.format(partitions=partitions, start=f"{START:%Y-%m-%d}", assets=described)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--partitions", choices=("monthly", "weekly", "daily"), default="monthly")
    parsed = options.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        uri, name = stack.enter_context(filled(parsed))
        settings = partitioned(
            Settings(
                mongo_uri=uri,
                mongo_database=parsed.database,
                mongo_collection=name,
                data_dir=folder / "data",
                publish_dir=folder / "publish",
            ),
            parsed.partitions,
        )
        report(measured(settings, parsed.partitions, folder), parsed.documents, settings)


def measured(settings: Settings, partitions: str, folder: Path) -> tuple[dict[str, Ran], dict[str, int]]:
    """Run each command once; return what they took, and the bytes of the event log of those that have one."""
    every = Partitioning.of(settings).partitions(dt.datetime.now(dt.UTC))
    changed = every[len(Partitioning.of(settings).partitions(START.replace(tzinfo=dt.UTC) + dt.timedelta(DAYS))) // 2]
    timed = commands(settings.mongo_uri or "", settings.database, settings.mongo_collection, folder)
    module = folder / "empty_assets.py"
    module.write_text(empty_module(settings, partitions), encoding="utf-8")
    empty = [*timed[COMMAND][: timed[COMMAND].index("-m", 2)], "-f", str(module), "--select", "*"]
    ran: dict[str, Ran] = {}
    logs: dict[str, int] = {}

    def once(name: str, command: Sequence[str], home: str, **more: str) -> None:
        ran[name] = run(command, environment_of(settings, folder / home) | more)
        logs[name] = sum(path.stat().st_size for path in (folder / home / "history").rglob("*.db"))

    cut = {"CALLVIZ_PARTITIONS": partitions, "CALLVIZ_PARTITIONS_START": f"{START:%Y-%m-%d}"}
    once(ALL, [*timed[COMMAND], *ranged(every)], "home", **cut)
    with one_call_changed(settings, changed):
        once(ONE, [*timed[COMMAND], *ranged([changed])], "home", **cut)
    once(WHOLE, timed[COMMAND], "whole", CALLVIZ_DATA_DIR=str(folder / "w"), CALLVIZ_PUBLISH_DIR=str(folder / "p"))
    once(EMPTY, [*empty, *ranged(every)], "empty")
    if EXPORT in timed:
        ran[EXPORT] = run(timed[EXPORT])
    return ran, logs


def ranged(partitions: Sequence[Partition]) -> list[str]:
    """Return the options that name a range of partitions."""
    return ["--partition-range", f"{partitions[0].key}...{partitions[-1].key}"]


def environment_of(settings: Settings, home: Path) -> dict[str, str]:
    """Return the environment of a command with an instance of its own."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CALLVIZ_")}
    return inherited | {
        "DAGSTER_HOME": str(home),
        "CALLVIZ_MONGO_URI": settings.mongo_uri or "",
        "CALLVIZ_MONGO_DATABASE": settings.database,
        "CALLVIZ_MONGO_COLLECTION": settings.mongo_collection,
        "CALLVIZ_FIELD_START_TIME": "start_time",
        "CALLVIZ_DATA_DIR": str(settings.data_dir),
        "CALLVIZ_PUBLISH_DIR": str(settings.publish_dir),
    }


def looked_up(settings: Settings, documents: int) -> float:
    """Return the seconds in which the sensor finds the partitions of 1,000 deleted calls, spread over all."""
    step = max(documents // DELETED, 1)
    identifiers = {number.to_bytes(12, "big").hex(): [1, 1] for number in range(0, documents, step)}
    began = time.perf_counter()
    found = partitions_of_ids(identifiers, settings, dt.datetime.now(dt.UTC))
    assert found, "the deleted calls are in what was published"
    return time.perf_counter() - began


def _line(name: str, ran: Ran, five_steps: float | None, log_bytes: int | None) -> str:
    log = f"{log_bytes / 1e6:8.1f}" if log_bytes is not None else ""
    return f"{name:26}{ran.seconds:9.2f}{ran.cpu_seconds:11.2f}{five_steps or 0:12.2f}{log}\n"


def report(measurements: tuple[Mapping[str, Ran], Mapping[str, int]], documents: int, settings: Settings) -> None:
    """Print seconds, processor seconds and ratios as a table, and as one line of JSON."""
    ran, logs = measurements
    out = sys.stdout.write
    out(f"{'':26}{'seconds':>9}{'processor':>11}{'five steps':>12}{'log MB':>8}\n")
    five: dict[str, float] = {}
    for name, one in ran.items():
        steps = steps_of(one)
        if name in (ALL, ONE, WHOLE):
            five[name] = sum(steps.get(step, 0) for step in STEPS)
        out(_line(name, one, five.get(name), logs.get(name)))
        shown = (*STEPS, OUTSIDE) if name in five else ()
        out("".join(f"  {step:24}{seconds:9.2f}\n" for step, seconds in steps.items() if step in shown))
    ratios = {f"{ALL} / ({EMPTY} + {WHOLE})": ran[ALL].cpu_seconds / (ran[EMPTY].cpu_seconds + ran[WHOLE].cpu_seconds)}
    if EXPORT in ran:
        ratios[f"{ONE}, five steps / {EXPORT}"] = five[ONE] / ran[EXPORT].seconds
    seconds = looked_up(settings, documents)
    out("".join(f"{name:60}{value:9.2f}\n" for name, value in ratios.items()))
    out(f"{f'{DELETED:,} deleted calls looked up, seconds':60}{seconds:9.2f}\n")
    figures = {
        "documents": documents,
        "seconds": rounded({name: one.seconds for name, one in ran.items()}),
        "cpu_seconds": rounded({name: one.cpu_seconds for name, one in ran.items()}),
        "five_steps": rounded(five),
        "event_log_bytes": dict(logs),
        "ratios": rounded(ratios),
        "lookup_seconds": round(seconds, 3),
    }
    out(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
