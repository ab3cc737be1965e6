"""The check of `call_dashboard`: its spec, and the pure function that decides it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from callviz_dagster.assets.checks.results import result, spec
from callviz_dagster.dashboard.payload import Totals

CALL_DASHBOARD_CHECKS = (
    spec(
        "call_dashboard",
        "page_counts_every_call",
        "The counts in the page, read back from the file, add up to the rows of `calls`, and those without a duration "
        "to the rows that have none. Checked before the new page takes the last one's place.",
    ),
)


def page_counts_every_call(
    totals: Sequence[Totals], *, calls: int, without_duration: int, damage: str = ""
) -> dg.AssetCheckResult:
    """Compare the counts in a written page with the numbers of rows in the files of calls.

    Args:
        totals: what the page adds up to, cube by cube.
        calls: the rows.
        without_duration: those that have no duration.
        damage: why the page cannot be read back; empty where it can.
    """
    problems = [damage] if damage else []
    for cube in totals:
        if cube.calls != calls or cube.without_duration not in (without_duration, None):
            durations = cube.without_duration
            more = "" if durations is None else f", {durations:,} of them without a duration"
            problems.append(f"it counts {cube.calls:,} calls{more}")
    expected = f"{calls:,} calls, {without_duration:,} of them without a duration"
    return result(
        "page_counts_every_call",
        not problems,
        f"The page does not fit calls, which has {expected}: {'; '.join(problems)}."
        if problems
        else f"The page counts all {expected}.",
        {"calls": calls, "without duration": without_duration},
    )
