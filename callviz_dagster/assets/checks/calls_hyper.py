"""The check of `calls_hyper`: its spec, and the pure function that decides it."""

from __future__ import annotations

import dagster as dg

from callviz_dagster.assets.checks.results import result, spec

CALLS_HYPER_CHECKS = (
    spec(
        "calls_hyper",
        "all_calls_are_in_the_extract",
        "The extract, read back before it replaces the last one, holds every row of `calls`.",
    ),
)


def all_calls_are_in_the_extract(rows: int, calls: int) -> dg.AssetCheckResult:
    """Compare the rows that the extract has with the calls that were written to it."""
    sentence = f"{rows:,} of {calls:,} calls are in the extract."
    counts = {"rows": rows, "calls": calls}
    return result("all_calls_are_in_the_extract", rows == calls, sentence, counts)
