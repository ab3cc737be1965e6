"""The checks of `raw_calls`: specs, and the pure functions that decide them."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from callviz_dagster.assets.checks.results import result, spec
from callviz_dagster.assets.markdown import rows_table
from callviz_dagster.engine.archive import ArchiveCounts
from callviz_dagster.table.manifest import Coverage, Manifest
from callviz_dagster.table.volume import how_to_accept, is_refused

RAW_CALLS_CHECKS = (
    spec("raw_calls", "archive_complete", "The archive, read back, holds every document that the server counted."),
    spec("raw_calls", "collection_not_empty", "The collection holds documents; warns where it is plainly empty."),
    spec(
        "raw_calls",
        "documents_covered",
        "Every document is in a partition. Those that are in none (no date as start time, before the first partition, "
        "in the future) are counted; too many without a usable start time stop the refresh.",
    ),
    spec(
        "raw_calls",
        "volume_stable",
        "The collection has not lost more documents since the last published refresh than CALLVIZ_MAX_DROP allows, and "
        "not all of them; beyond that, nothing is replaced, not even the archive.",
    ),
    spec("raw_calls", "start_time_indexed", "With partitions, an index finds the documents of each."),
    spec(
        "raw_calls",
        "one_instant",
        "All partitions that a refresh reads are of one instant; warns where they are of several.",
    ),
)


def archive_complete(counts: ArchiveCounts) -> dg.AssetCheckResult:
    """Compare what the server counted with what the archive, read back, holds."""
    description = f"{counts.archived:,} documents archived, {counts.counted:,} counted by the server"
    if counts.no_snapshot:
        description += (
            f"; read without a snapshot ({counts.no_snapshot}), so documents may have come or gone during the read"
        )
    if not counts.same_bytes:
        description += "; the archive does not read back as it was written"
    metadata = {"documents counted": counts.counted, "documents archived": counts.archived}
    return result("archive_complete", counts.complete, description + ".", metadata)


def collection_not_empty(documents: int, source: str) -> dg.AssetCheckResult:
    """Warn of an empty collection."""
    description = f"{documents:,} documents." if documents else f"{source} is empty: tables without rows are published."
    return result("collection_not_empty", documents > 0, description, warn=True)


def documents_covered(coverage: Coverage | None, limit: float) -> dg.AssetCheckResult:
    """Warn of documents that are in no partition; fail where more have no usable start time than may be rejected."""
    if coverage is None:
        return result("documents_covered", True, "No partitions: every document is read.", warn=True)
    kinds = [
        (
            "no date",
            coverage.no_date,
            "whose start time is missing or no date; store it as a date, or refresh with CALLVIZ_PARTITIONS=none",
        ),
        ("before", coverage.before, "before the first partition; set CALLVIZ_PARTITIONS_START to an earlier date"),
        ("ahead", coverage.ahead, "in the future, which are covered when their day comes"),
    ]
    uncovered_text = "; ".join(
        f"{count:,} {why} (for example _id {', '.join(coverage.examples.get(kind, [])[:3])})"
        for kind, count, why in kinds
        if count
    )
    share = coverage.no_date / coverage.documents if coverage.documents else 0.0
    total = f"{coverage.documents:,} documents = {coverage.covered:,} in partitions + {coverage.uncovered:,} in none."
    metadata = {
        "documents": coverage.documents,
        "in partitions": coverage.covered,
        "no date as start time": coverage.no_date,
        "before the first partition": coverage.before,
        "in the future": coverage.ahead,
        "examples": rows_table(
            {"kind": kind, "_id": identifier} for kind, some in coverage.examples.items() for identifier in some
        ),
    }
    if share > limit:
        uncovered_text += (
            f". That is {share:.2%} without a usable start time; the limit CALLVIZ_MAX_REJECTED is {limit:.2%}"
        )
    return result(
        "documents_covered",
        not coverage.uncovered,
        f"{total} {'In none: ' + uncovered_text + '.' if uncovered_text else ''}".strip(),
        metadata,
        warn=share <= limit,
    )


def volume_stable(before: int, documents: int, *, max_drop: float, accepted: int | None = None) -> dg.AssetCheckResult:
    """Compare the documents of the whole collection with those at the last published refresh, see `is_refused`."""
    refused = is_refused(before, documents, max_drop=max_drop, accepted=accepted)
    description = f"{documents:,} documents; "
    description += f"{before:,} in the last published refresh" if before else "nothing was published before"
    if refused:
        limit = "all are gone" if not documents else f"more than {max_drop:.0%} are gone"
        description += f": {limit}, so nothing is replaced. {how_to_accept(documents)}"
    else:
        description += "."
    metadata = {"documents before": before, "documents": documents, "limit": max_drop}
    return result("volume_stable", not refused, description, metadata)


def start_time_indexed(coverage: Coverage | None) -> dg.AssetCheckResult:
    """Warn where no index finds the documents of a partition."""
    if coverage is None:
        description = "No partitions: no index is needed."
    elif coverage.create_index:
        description = (
            f"No index finds the start times, so each partition is searched for in the whole collection. Create "
            f"one in mongosh: {coverage.create_index}"
        )
    else:
        description = "An index finds the documents of each partition."
    return result("start_time_indexed", not (coverage and coverage.create_index), description, warn=True)


def one_instant(manifests: Sequence[Manifest]) -> dg.AssetCheckResult:
    """Warn where the partitions that a refresh has read are of several instants."""
    # Snapshot times are whole seconds; two instants of one second differ in their cluster times.
    times = {manifest.cluster_time or manifest.snapshot_time: manifest.snapshot_time for manifest in manifests}
    if not all(manifest.point_in_time for manifest in manifests):
        description = "The server has no snapshots: the documents were read one after the other, not as of one instant."
        return result("one_instant", True, description, warn=True)
    first, last = min(times.values(), default=""), max(times.values(), default="")
    description = f"All documents are as they were at {first}." if times else "Nothing was read."
    if len(times) > 1:
        description = (
            f"The partitions are of {len(times)} instants, from {first} to {last}, because the server did not keep the "
            "first snapshot long enough: a call that moved from one partition to another in between is in both or in "
            "none. Refresh fewer partitions at a time, or let the server keep its history for longer "
            "(minSnapshotHistoryWindowInSeconds)."
        )
    counts = {"instants": len(times)}
    return result("one_instant", len(times) <= 1, description, counts, warn=True)
