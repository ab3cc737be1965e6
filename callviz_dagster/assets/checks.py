"""The asset checks: what each one holds, as specs, and the pure functions that decide them.

Specs stand apart from results, so a clean refresh is a row in each check's history too. The assets run the
checks before they swap a file in, for a check that runs afterwards protects nothing.
What belongs elsewhere: counting (`table/normalize.py`), reading and writing (`assets/`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.documents.labels import STATUSES, TYPES
from callviz_dagster.table.manifest import Coverage
from callviz_dagster.table.tally import PROBLEMS, Tally

if TYPE_CHECKING:
    from callviz_dagster.table.plan import FieldColumn, Plan

EXAMPLES = 10


def _spec(asset: str, name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=asset, description=description)


RAW_CALLS_CHECKS = (
    _spec("raw_calls", "archive_complete", "The archive, read back, holds every document that the server counted."),
    _spec("raw_calls", "collection_not_empty", "The collection holds documents; warns where it is plainly empty."),
    _spec(
        "raw_calls",
        "documents_covered",
        "Every document is in a partition. Those that are in none (no date as start time, before the first partition, "
        "in the future) are counted; too many without a usable start time stop the refresh.",
    ),
    _spec("raw_calls", "start_time_indexed", "With partitions, an index finds the documents of each."),
)
CALLS_CHECKS = (
    _spec(
        "calls",
        "every_document_accounted_for",
        "Documents in the snapshot = rows of calls + rows of rejected_calls; both files were read back and counted.",
    ),
    _spec(
        "calls",
        "rejected_within_limit",
        "No larger share of the documents is rejected than CALLVIZ_MAX_REJECTED allows; beyond it the last good "
        "calls stay, and rejected_calls shows what is wrong.",
    ),
    _spec("calls", "schema_holds", "Every row holds to the calls contract (pandera, all failures listed)."),
    _spec("calls", "columns_stable", "No column came, went or changed its type since the last refresh."),
    _spec("calls", "labels_known", "No type or status appeared that is neither well known nor seen before."),
    _spec("calls", "times_plausible", "No call is in the future, before 1990 or longer than a day."),
    _spec("calls", "ids_unique", "Every call has an _id of its own."),
)
CALLS_CSV_CHECKS = (
    _spec(
        "calls_csv",
        "csv_reads_back",
        "All lines of calls.csv, parsed again, equal calls value for value, and the file, read back, has their digest. "
        "Lines of partitions that have not changed are compared by digest with those that were parsed back then.",
    ),
    _spec(
        "calls_csv",
        "collection_accounted_for",
        "Rows of calls.csv + rejected documents + documents that no partition covers = documents of the collection.",
    ),
)


def blocking(results: Iterable[dg.AssetCheckResult]) -> list[dg.AssetCheckResult]:
    """Return the results that forbid to publish: failed, and no mere warnings."""
    return [r for r in results if not r.passed and r.severity is dg.AssetCheckSeverity.ERROR]


def result(
    asset: str,
    name: str,
    passed: bool,
    description: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    warn: bool = False,
) -> dg.AssetCheckResult:
    """Return a check's result, described in a sentence."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=dict(metadata or {}),
    )


def archive_complete(*, counted: int, archived: int, same_bytes: bool, point_in_time: bool) -> dg.AssetCheckResult:
    """Compare what the server counted with what the archive, read back, holds."""
    passed = same_bytes and (archived == counted or not point_in_time)
    words = f"{archived:,} documents archived, {counted:,} counted by the server"
    if not point_in_time:
        words += " (no replica set: documents may have come or gone during the read)"
    if not same_bytes:
        words += "; the archive does not read back as it was written"
    counts = {"documents counted": counted, "documents archived": archived}
    return result("raw_calls", "archive_complete", passed, words + ".", counts)


def collection_not_empty(documents: int, source: str) -> dg.AssetCheckResult:
    """Warn of an empty collection."""
    words = f"{documents:,} documents." if documents else f"{source} is empty: tables without rows are published."
    return result("raw_calls", "collection_not_empty", documents > 0, words, warn=True)


def documents_covered(coverage: Coverage | None, limit: float) -> dg.AssetCheckResult:
    """Warn of documents that are in no partition; fail where more have no usable start time than may be rejected."""
    if coverage is None:
        return result("raw_calls", "documents_covered", True, "No partitions: every document is read.", warn=True)
    kinds = [
        (
            "no date",
            coverage.no_date,
            "whose start time is missing or no date; store it as a date, or refresh with CALLVIZ_PARTITIONS=none",
        ),
        ("before", coverage.before, "before the first partition; set CALLVIZ_PARTITIONS_START to an earlier date"),
        ("ahead", coverage.ahead, "in the future, which are covered when their day comes"),
    ]
    words = "; ".join(
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
        words += f". That is {share:.2%} without a usable start time; the limit CALLVIZ_MAX_REJECTED is {limit:.2%}"
    return result(
        "raw_calls",
        "documents_covered",
        not coverage.uncovered,
        f"{total} {'In none: ' + words + '.' if words else ''}".strip(),
        metadata,
        warn=share <= limit,
    )


def start_time_indexed(coverage: Coverage | None) -> dg.AssetCheckResult:
    """Warn where no index finds the documents of a partition."""
    if coverage is None:
        words = "No partitions: no index is needed."
    elif coverage.create_index:
        words = (
            f"No index finds the start times, so each partition is searched for in the whole collection. Create "
            f"one in mongosh: {coverage.create_index}"
        )
    else:
        words = "An index finds the documents of each partition."
    return result("raw_calls", "start_time_indexed", not (coverage and coverage.create_index), words, warn=True)


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


def nothing_to_do(asset: str, name: str) -> dg.AssetCheckResult:
    """Return the result of a check where there was nothing to check."""
    return result(asset, name, True, "Nothing had changed.")


def combine_partitions(results: Sequence[tuple[str, dg.AssetCheckResult]]) -> dg.AssetCheckResult:
    """Return the results of one check in several partitions as one; counts are added up."""
    if len(results) == 1:
        return results[0][1]
    failed = [(key, one) for key, one in results if not one.passed]
    worst = next((one for _, one in failed if one.severity is dg.AssetCheckSeverity.ERROR), None)
    shown = failed[:EXAMPLES] or results[-1:]
    words = f"{len(failed):,} of {len(results):,} partitions: " if failed else f"All {len(results):,} partitions; "
    words += " ".join(f"{key}: {one.description}" for key, one in shown)
    totals: dict[str, Any] = {}
    for _, one in results:
        for name, value in one.metadata.items():
            if isinstance(value, dg.IntMetadataValue):
                totals[name] = totals.get(name, 0) + (value.value or 0)
    first = (worst or shown[0][1]).metadata if failed else {}
    base = results[0][1]
    return dg.AssetCheckResult(
        asset_key=base.asset_key,
        check_name=base.check_name,
        passed=not failed,
        severity=(worst or (failed or results)[0][1]).severity,
        description=words,
        metadata={**first, **totals},
    )


def every_document_accounted_for(*, documents: int, archived: int, calls: int, rejected: int) -> dg.AssetCheckResult:
    """Compare the snapshot's documents with the rows of both files, as read back."""
    passed = documents == archived == calls + rejected
    words = f"{documents:,} documents = {calls:,} calls + {rejected:,} rejected."
    if not passed:
        words = (
            f"{documents:,} documents in the snapshot and {archived:,} in the archive are not "
            f"{calls:,} calls + {rejected:,} rejected; materialize raw_calls again."
        )
    counts = {"documents": documents, "archived": archived, "calls": calls, "rejected": rejected}
    return result("calls", "every_document_accounted_for", passed, words, counts)


def rejected_within_limit(tally: Tally, limit: float) -> dg.AssetCheckResult:
    """Compare the share of rejected documents with the limit."""
    share = tally.rejected / tally.documents if tally.documents else 0.0
    passed = share <= limit
    words = f"{tally.rejected:,} of {tally.documents:,} documents rejected ({share:.2%}; the limit is {limit:.2%})."
    if not passed:
        most, count = tally.reasons.most_common(1)[0]
        words += f" Most often ({count:,}): {PROBLEMS[most]} Look at rejected_calls, or raise CALLVIZ_MAX_REJECTED."
    metadata = {
        "share": share,
        "limit": limit,
        "reasons": rows_table(
            {"reason": reason, "documents": count, "_id examples": ", ".join(tally.reason_examples.get(reason, []))}
            for reason, count in tally.reasons.most_common()
        ),
    }
    return result("calls", "rejected_within_limit", passed, words, metadata)


def schema_holds(rows: int, failures: Sequence[Mapping[str, Any]], total: int) -> dg.AssetCheckResult:
    """Tell whether pandera found rows that break the contract; `failures` are examples of all `total`."""
    words = f"All {rows:,} rows hold to the contract."
    if total:
        words = f"{total:,} values break the contract; the last good calls were kept."
    return result("calls", "schema_holds", not total, words, {"failures": rows_table(failures)})


def columns_stable(
    before: Sequence[FieldColumn] | None, present_before: Collection[str], plan: Plan, present: Collection[str]
) -> dg.AssetCheckResult:
    """Compare the documents' columns with those published before."""
    if before is None:
        words = f"First refresh: {len(plan.fields)} columns of the documents' other fields."
        return result("calls", "columns_stable", True, words + _grouped(plan), warn=True)
    kinds = {column.name: column.kind for column in before}
    now = {column.name: column.kind for column in plan.fields}
    changes = [
        *(
            f"{path}, which CALLVIZ_PSEUDONYMIZE or CALLVIZ_DROP_FIELDS names, is in no document"
            for path in plan.unseen
        ),
        *(f"{name} came" for name in now if name not in kinds),
        *(f"{name} came back" for name in now if name in kinds and name in present and name not in present_before),
        *(
            f"{name} went (no document has it; the column stays)"
            for name in present_before
            if name not in present and name in now
        ),
        *(f"{name} was left out" for name in kinds if name not in now),
        *(
            f"{name} changed from {kinds[name]} to {kind}"
            for name, kind in now.items()
            if kinds.get(name) and kind != kinds[name]
        ),
    ]
    words = f"Columns: {'; '.join(changes)}." if changes else f"The same {len(now)} columns as before."
    return result("calls", "columns_stable", not changes, words + _grouped(plan), {"changes": changes}, warn=True)


def _grouped(plan: Plan) -> str:
    if not plan.grouped:
        return ""
    return (
        f" More fields than CALLVIZ_MAX_COLUMNS ({plan.options.max_columns}): the rarest are in other_fields "
        f"({', '.join(plan.grouped[:EXAMPLES])}{', …' if len(plan.grouped) > EXAMPLES else ''})."
    )


def labels_known(tally: Tally, before: Mapping[str, Collection[str]]) -> dg.AssetCheckResult:
    """Tell which types and statuses are neither well known nor seen in an earlier refresh."""
    known = {"call_type": set(TYPES), "status": set(STATUSES)}
    new = {
        role: {label: count for label, count in labels.items() if label not in known[role] | set(before.get(role, ()))}
        for role, labels in tally.labels.items()
    }
    found = [f"{role} {label!r} ({count:,} calls)" for role, labels in new.items() for label, count in labels.items()]
    words = "All types and statuses are known."
    if found:
        words = (
            "New labels: "
            + ", ".join(found[:EXAMPLES])
            + (f" and {len(found) - EXAMPLES} more." if len(found) > EXAMPLES else ".")
        )
    tables = {
        f"{role} labels": rows_table({"label": label, "calls": count} for label, count in labels.most_common(50))
        for role, labels in tally.labels.items()
    }
    return result("calls", "labels_known", not found, words, tables, warn=True)


def times_plausible(tally: Tally) -> dg.AssetCheckResult:
    """Tell how many calls have times or durations that are possible but hard to believe."""
    found = [
        f"{count:,} {words} (for example _id {', '.join(tally.implausible_examples.get(words, []))})"
        for words, count in tally.implausible.most_common()
    ]
    words = (
        f"Calls that are hard to believe: {'; '.join(found)}." if found else "All times and durations are plausible."
    )
    return result("calls", "times_plausible", not found, words, dict(tally.implausible), warn=True)


def ids_unique(rows: int, repeated: Sequence[str], total: int, *, one_type: bool) -> dg.AssetCheckResult:
    """Tell whether an `_id` occurs twice; a warning where identifiers of two BSON types may read alike."""
    words = f"All {rows:,} rows have an _id of their own."
    if total:
        words = f"{total:,} rows repeat the _id of another, for example {', '.join(repeated[:EXAMPLES])}."
        if not one_type:
            words += " The collection has identifiers of several BSON types, which may read alike as text."
    return result("calls", "ids_unique", not total, words, {"repeated": total}, warn=not one_type)


def csv_reads_back(rows: int, differences: Sequence[str], sha256: str) -> dg.AssetCheckResult:
    """Tell whether the CSV, parsed again, equals the table."""
    words = f"All {rows:,} rows read back as they are in calls."
    if differences:
        words = f"calls.csv does not read back as it was written: {differences[0]}. The last good file was kept."
    metadata = {"rows": rows, "sha256": sha256, "differences": list(differences[:EXAMPLES])}
    return result("calls_csv", "csv_reads_back", not differences, words, metadata)


def rows_table(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    """Return rows as a table of metadata; text where there is none."""
    records = [dg.TableRecord({key: _cell(value) for key, value in row.items()}) for row in rows]
    return dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none")


def _cell(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
