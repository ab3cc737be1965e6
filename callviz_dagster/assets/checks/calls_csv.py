"""The checks of `calls_csv`: specs, and the pure functions that decide them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from callviz_dagster.assets.checks.results import EXAMPLES, result, spec
from callviz_dagster.storage.published import RowsHeld
from callviz_dagster.table.manifest import Coverage

CALLS_CSV_CHECKS = (
    spec(
        "calls_csv",
        "csv_reads_back",
        "All lines of calls.csv, parsed again, equal calls value for value, and the file, read back, has their digest. "
        "Lines of partitions that have not changed are compared by digest with those that were parsed back then. Rows "
        "of the file + older calls that CALLVIZ_CSV_MONTHS leaves out = rows of calls.",
    ),
    spec("calls_csv", "calls_in_one_partition", "No call is in two partitions; otherwise the last good file stays."),
    spec(
        "calls_csv",
        "collection_accounted_for",
        "Rows of calls.csv + calls that CALLVIZ_CSV_MONTHS leaves out + rejected documents + documents that no "
        "partition covers = documents of the collection.",
    ),
)


def calls_in_one_partition(partitions_by_id: Mapping[str, Sequence[str]], *, one_type: bool) -> dg.AssetCheckResult:
    """Refuse an `_id` that several partitions have; only warn where identifiers of two BSON types may read alike."""
    description = "No call is in two partitions."
    if partitions_by_id:
        names = sorted({name for names in partitions_by_id.values() for name in names})
        description = (
            f"{len(partitions_by_id):,} calls are in several partitions, for example _id "
            f"{', '.join([*partitions_by_id][:3])}: their start time changed after one of the partitions was read. "
            f"Refresh the partitions {', '.join(names[:EXAMPLES])}{' and more' if len(names) > EXAMPLES else ''}."
        )
        if not one_type:
            description += " The collection has identifiers of several BSON types, which may read alike as text."
    counts = {"calls in several partitions": len(partitions_by_id)}
    return result("calls_in_one_partition", not partitions_by_id, description, counts, warn=not one_type)


def collection_accounted_for(
    rows: int, rejected: int, coverage: Coverage | None, documents: int, held: RowsHeld
) -> dg.AssetCheckResult:
    """Compare what all files hold with what the collection held; calls are `rows` and those older than them."""
    calls = rows + held.older_calls
    uncovered = coverage.uncovered if coverage else 0
    total = coverage.documents if coverage else documents
    difference = total - calls - rejected - uncovered
    description = f"{total:,} documents = {calls:,} calls + {rejected:,} rejected"
    description += f" + {uncovered:,} that no partition covers." if coverage else "."
    if held.calls_since:
        description += f" Of the calls, {held.older_calls:,} are older than {held.calls_since}, and not in calls.csv."
    if difference:
        description = (
            f"{total:,} documents in the collection, but {calls:,} calls + {rejected:,} rejected + {uncovered:,} that "
            f"no partition covers in the files: {abs(difference):,} came or went since their partitions were read. The "
            "sensor calls_changed or a refresh of all partitions catches up."
        )
    counts = {"documents": total, "calls": calls, "rejected": rejected, "uncovered": uncovered}
    counts |= {"older calls left out": held.older_calls} if held.calls_since else {}
    return result("collection_accounted_for", not difference, description, counts, warn=True)


def csv_reads_back(rows: int, differences: Sequence[str], sha256: str) -> dg.AssetCheckResult:
    """Report whether the CSV, parsed again, equals the table."""
    description = f"All {rows:,} rows read back as they are in calls."
    if differences:
        description = f"calls.csv does not read back as it was written: {differences[0]}."
    metadata = {"rows": rows, "sha256": sha256, "differences": list(differences[:EXAMPLES])}
    return result("csv_reads_back", not differences, description, metadata)
