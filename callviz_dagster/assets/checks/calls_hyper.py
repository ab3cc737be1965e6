"""The check of `calls_hyper`: its spec, and the pure function that decides it."""

from __future__ import annotations

import dagster as dg

from callviz_dagster.assets.checks.results import result, spec
from callviz_dagster.storage.published import RowsHeld

CALLS_HYPER_CHECKS = (
    spec(
        "calls_hyper",
        "all_calls_are_in_the_extract",
        "The extract, read back before it replaces the last one, holds every row of `calls`; with CALLVIZ_CSV_MONTHS, "
        "its rows + older calls = rows of `calls`.",
    ),
)


def all_calls_are_in_the_extract(rows: int, calls: int, held: RowsHeld) -> dg.AssetCheckResult:
    """Compare the rows that the extract has, and the older calls that it leaves out, with the rows of `calls`."""
    sentence = f"{rows:,} of {calls:,} calls are in the extract"
    sentence += f"; {held.older_calls:,} are older than {held.calls_since}." if held.calls_since else "."
    counts = {"rows": rows, "older calls": held.older_calls, "calls": calls}
    return result("all_calls_are_in_the_extract", rows + held.older_calls == calls, sentence, counts)
