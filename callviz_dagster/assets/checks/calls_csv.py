"""The checks of `calls_csv`: specs, and the pure functions that decide them."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from callviz_dagster.assets.checks.results import EXAMPLES, result, spec
from callviz_dagster.table.manifest import Coverage

CALLS_CSV_CHECKS = (
    spec(
        "calls_csv",
        "csv_reads_back",
        "All lines of calls.csv, parsed again, equal calls value for value, and the file, read back, has their digest. "
        "Lines of partitions that have not changed are compared by digest with those that were parsed back then.",
    ),
    spec(
        "calls_csv",
        "collection_accounted_for",
        "Rows of calls.csv + rejected documents + documents that no partition covers = documents of the collection.",
    ),
)


def collection_accounted_for(
    calls: int, rejected: int, coverage: Coverage | None, documents: int
) -> dg.AssetCheckResult:
    """Compare what all files hold with what the collection held."""
    uncovered = coverage.uncovered if coverage else 0
    there = coverage.documents if coverage else documents
    difference = there - calls - rejected - uncovered
    words = f"{there:,} documents = {calls:,} calls + {rejected:,} rejected"
    words += f" + {uncovered:,} that no partition covers." if coverage else "."
    if difference:
        words = (
            f"{there:,} documents in the collection, but {calls:,} calls + {rejected:,} rejected + {uncovered:,} that "
            f"no partition covers in the files: {abs(difference):,} came or went since their partitions were read. The "
            "sensor calls_changed or a refresh of all partitions catches up."
        )
    counts = {"documents": there, "calls": calls, "rejected": rejected, "uncovered": uncovered}
    return result("calls_csv", "collection_accounted_for", not difference, words, counts, warn=True)


def csv_reads_back(rows: int, differences: Sequence[str], sha256: str) -> dg.AssetCheckResult:
    """Tell whether the CSV, parsed again, equals the table."""
    words = f"All {rows:,} rows read back as they are in calls."
    if differences:
        words = f"calls.csv does not read back as it was written: {differences[0]}."
    metadata = {"rows": rows, "sha256": sha256, "differences": list(differences[:EXAMPLES])}
    return result("calls_csv", "csv_reads_back", not differences, words, metadata)
