"""The checks of `calls` and `rejected_calls`: specs, and the pure functions that decide them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.assets.checks.results import EXAMPLES, result, spec
from callviz_dagster.assets.markdown import rows_table
from callviz_dagster.documents.labels import STATUSES, TYPES
from callviz_dagster.table.tally import LASTS_LONG, PROBLEMS, Tally

if TYPE_CHECKING:
    from callviz_dagster.table.identifiers import Repetitions
    from callviz_dagster.table.plan import FieldColumn, Plan
    from callviz_dagster.table.roles import Recognized

_LONGEST = 40
"""Characters of a value that is shown as an example."""
_SEVERAL = 10
"""A call is in fewer documents than this."""
_MOST = 0.5
"""Where more documents than this are rejected, another field is the start time: a higher limit is no remedy."""

CALLS_CHECKS = (
    spec(
        "calls",
        "every_document_accounted_for",
        "Documents in the snapshot = rows of calls + rows of rejected_calls; both files were read back and counted.",
    ),
    spec(
        "calls",
        "rejected_within_limit",
        "No larger share of the documents is rejected than CALLVIZ_MAX_REJECTED allows; beyond it the last good "
        "calls stay, and rejected_calls shows what is wrong.",
    ),
    spec("calls", "schema_holds", "Every row keeps the contract of calls (validated by pandera, all failures listed)."),
    spec(
        "calls",
        "columns_stable",
        "No column came, went, changed its type or is taken from another field than in the last refresh.",
    ),
    spec("calls", "labels_known", "No type or status appeared that is neither well known nor seen before."),
    spec("calls", "times_plausible", "No call is in the future, before 1990 or longer than a day."),
    spec("calls", "ids_unique", "Every call has an _id of its own."),
    spec(
        "calls",
        "call_identifiers_unique",
        "No field that is called like the identifier of a call, such as call_id, holds a value twice within a "
        "partition. Warns where one call may be stored in several documents.",
    ),
    spec(
        "calls",
        "roles_recognized",
        "Start, end, duration, type and status are taken from fields that leave no doubt. Warns with the settings to "
        "paste where one is empty in nearly all calls, or has a name that says little.",
    ),
    spec(
        "calls",
        "roles_plausible",
        "The data agree with the fields and the unit that were chosen: calls end after they start, stored durations "
        "fit end − start, and starts differ. Where they do not, nothing is published unless a setting names the field. "
        "Warns of durations whose unit changes.",
    ),
)


def every_document_accounted_for(
    *, documents: int, archived: int | None, calls: int, rejected: int
) -> dg.AssetCheckResult:
    """Compare the snapshot's documents with the rows of both files, as read back.

    `archived` is the number of documents in the archive; None where they are not those that the manifest describes.
    """
    passed = documents == archived == calls + rejected
    description = f"{documents:,} documents = {calls:,} calls + {rejected:,} rejected."
    if archived is None:
        description = (
            "The documents in the archive are not those that its manifest describes; materialize raw_calls again."
        )
    elif not passed:
        description = (
            f"{documents:,} documents in the snapshot and {archived:,} in the archive are not "
            f"{calls:,} calls + {rejected:,} rejected; materialize raw_calls again."
        )
    counts = {"documents": documents, "calls": calls, "rejected": rejected}
    if archived is not None:
        counts["archived"] = archived
    return result("every_document_accounted_for", passed, description, counts)


def rejected_within_limit(tally: Tally, limit: float, recognized: Recognized | None = None) -> dg.AssetCheckResult:
    """Compare the share of rejected documents with the limit; where most are rejected, name the fields with times."""
    share = tally.rejected / tally.documents if tally.documents else 0.0
    passed = share <= limit
    description = (
        f"{tally.rejected:,} of {tally.documents:,} documents rejected ({share:.2%}; the limit is {limit:.2%})."
    )
    if not passed:
        most, count = tally.reasons.most_common(1)[0]
        description += f" Most often ({count:,}): {PROBLEMS[most]} Look at rejected_calls"
        description += "." if share > _MOST else ", or raise CALLVIZ_MAX_REJECTED."
        if recognized and (share > _MOST or most == "start_ambiguous"):
            description += f" {_about_the_start(recognized)}"
    metadata = {
        "share": share,
        "limit": limit,
        "reasons": rows_table(
            {"reason": reason, "documents": count, "_id examples": ", ".join(tally.reason_examples.get(reason, []))}
            for reason, count in tally.reasons.most_common()
        ),
    }
    return result("rejected_within_limit", passed, description, metadata)


def _about_the_start(recognized: Recognized) -> str:
    from callviz_dagster.documents.recognition.report import about_the_start

    return about_the_start(recognized.choice, recognized.fields)


def schema_holds(rows: int, failures: Sequence[Mapping[str, Any]], total: int) -> dg.AssetCheckResult:
    """Report the values that break the contract, found by pandera; `failures` are examples of all `total`."""
    description = f"All {rows:,} rows keep the contract."
    if total:
        description = f"{total:,} values break the contract."
    return result("schema_holds", not total, description, {"failures": rows_table(failures)})


def columns_stable(
    before: Sequence[FieldColumn] | None,
    present_before: Collection[str],
    plan: Plan,
    present: Collection[str],
    role_changes: Sequence[str] = (),
) -> dg.AssetCheckResult:
    """Compare the documents' columns with those published before."""
    if before is None:
        description = (
            f"First refresh: {len(plan.columns)} columns, {len(plan.fields)} of them the documents' other fields."
        )
        return result("columns_stable", True, description + _grouped(plan), warn=True)
    kinds = {column.name: column.kind for column in before}
    now = {column.name: column.kind for column in plan.fields}
    changes = [
        *role_changes,
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
    description = f"Columns: {'; '.join(changes)}." if changes else f"The same {len(plan.columns)} columns as before."
    return result("columns_stable", not changes, description + _grouped(plan), {"changes": changes}, warn=True)


def _grouped(plan: Plan) -> str:
    if not plan.grouped:
        return ""
    return (
        f" More fields than CALLVIZ_MAX_COLUMNS ({plan.options.max_columns}): the rarest are in other_fields "
        f"({', '.join(plan.grouped[:EXAMPLES])}{', …' if len(plan.grouped) > EXAMPLES else ''})."
    )


def labels_known(tally: Tally, before: Mapping[str, Collection[str]] | None) -> dg.AssetCheckResult:
    """Warn of types and statuses that are neither well known nor published before."""
    known = {"call_type": set(TYPES), "status": set(STATUSES)}
    published_labels = before or {}
    new = {
        role: {
            label: count
            for label, count in labels.items()
            if label not in known[role] | set(published_labels.get(role, ()))
        }
        for role, labels in tally.labels.items()
        if before is not None
    }
    new_labels = [
        f"{role} {label!r} ({count:,} calls)" for role, labels in new.items() for label, count in labels.items()
    ]
    description = "All types and statuses are known." if before is not None else "First refresh: every label is new."
    if new_labels:
        description = (
            "New labels: "
            + ", ".join(new_labels[:EXAMPLES])
            + (f" and {len(new_labels) - EXAMPLES} more." if len(new_labels) > EXAMPLES else ".")
        )
    tables = {
        f"{role} labels": rows_table({"label": label, "calls": count} for label, count in labels.most_common(50))
        for role, labels in tally.labels.items()
    }
    return result("labels_known", not new_labels, description, tables, warn=True)


def times_plausible(tally: Tally, recognized: Recognized) -> dg.AssetCheckResult:
    """Count the calls whose times or durations are possible but implausible; name documents, field and remedy."""
    implausible = [
        f"{count:,} {doubt} (for example _id {', '.join(tally.implausible_examples.get(doubt, []))}; "
        f"{_about_implausible(doubt, recognized)})."
        for doubt, count in tally.implausible.most_common()
    ]
    description = (
        f"Implausible calls: {' '.join(implausible)}" if implausible else "All times and durations are plausible."
    )
    return result("times_plausible", not implausible, description, dict(tally.implausible), warn=True)


def _about_implausible(doubt: str, recognized: Recognized) -> str:
    from callviz_dagster.documents.recognition.report import about_implausible

    role = "duration" if doubt == LASTS_LONG else "start_time"
    return about_implausible(role, recognized.choice, recognized.fields)


def ids_unique(rows: int, repeated: Sequence[str], total: int, *, one_type: bool) -> dg.AssetCheckResult:
    """Refuse an `_id` that occurs twice; only warn where identifiers of two BSON types may read alike."""
    description = f"All {rows:,} rows have an _id of their own."
    if total:
        description = f"{total:,} rows repeat the _id of another, for example {', '.join(repeated[:EXAMPLES])}."
        if not one_type:
            description += " The collection has identifiers of several BSON types, which may read alike as text."
    return result("ids_unique", not total, description, {"repeated": total}, warn=not one_type)


def call_identifiers_unique(
    all_repetitions: Mapping[str, Repetitions], rows: int, hidden: Collection[str] = ()
) -> dg.AssetCheckResult:
    """Warn of values that repeat in columns that identify calls; of `hidden` columns none is shown.

    A column with one value in all of several `rows` identifies no call.
    """
    repetitions = {
        column: of_column
        for column, of_column in all_repetitions.items()
        if rows < _SEVERAL or (of_column.values, of_column.rows) != (1, rows)
    }
    sentences = [
        _repeats(column, of_column, shown=column not in hidden)
        for column, of_column in repetitions.items()
        if of_column.values
    ]
    description = f"No value repeats in {', '.join(repetitions)}."
    if not repetitions:
        description = "No field is called like the identifier of a call."
    if sentences:
        description = (
            f"{' '.join(sentences)} Where a call is stored in several documents, such as one for each change of its "
            "status, it is counted several times: keep one of them in a view, and name that in "
            "CALLVIZ_MONGO_COLLECTION."
        )
    counts = {f"rows in which {column} repeats": of_column.rows for column, of_column in repetitions.items()}
    return result("call_identifiers_unique", not sentences, description, counts, warn=True)


def _repeats(column: str, repetitions: Repetitions, *, shown: bool) -> str:
    values = "1 value stands" if repetitions.values == 1 else f"{repetitions.values:,} values stand"
    description = f"{column}: {values} in {repetitions.rows:,} rows"
    examples = ", ".join(f"{value[:_LONGEST]} ({count:,} times)" for value, count in repetitions.examples.items())
    return f"{description}, for example {examples}." if shown else f"{description}."


def roles_recognized(recognized: Recognized) -> dg.AssetCheckResult:
    """Warn of fields that were chosen with a doubt, and of roles that hardly any document fills."""
    from callviz_dagster.documents.recognition.doubts import IMPLAUSIBLE
    from callviz_dagster.documents.recognition.report import sentence

    choice, facts = recognized.choice, recognized.fields.facts
    sentences = [sentence(doubt, choice, facts) for doubt in recognized.doubts if doubt.kind not in IMPLAUSIBLE]
    description = " ".join(sentences) or "The fields of all roles are recognized."
    return result("roles_recognized", not sentences, description, {"roles": roles_table(recognized)}, warn=True)


def roles_plausible(recognized: Recognized) -> dg.AssetCheckResult:
    """Refuse fields that contradict the data; only warn of those that a setting names, and of units that change."""
    from callviz_dagster.documents.recognition.doubts import IMPLAUSIBLE, REFUSED, set_by_hand
    from callviz_dagster.documents.recognition.report import sentence

    choice, facts = recognized.choice, recognized.fields.facts
    implausible = [doubt for doubt in recognized.doubts if doubt.kind in IMPLAUSIBLE]
    description = (
        " ".join(sentence(doubt, choice, facts) for doubt in implausible) or "The data agree with the fields chosen."
    )
    refused = [doubt for doubt in implausible if doubt.kind in REFUSED and not set_by_hand(doubt, choice)]
    # How each role is played is in `roles_recognized`, unless this check ends the refresh before that one is reported.
    table = {"roles": roles_table(recognized)} if refused else {}
    return result("roles_plausible", not implausible, description, table, warn=not refused)


def roles_table(recognized: Recognized) -> dg.MetadataValue:
    """Return how each role is played as a table: its field, and the line that sets it by hand."""
    return rows_table(
        {
            "role": row.role,
            "field": row.field,
            "in share of documents": row.share,
            "unit (how it is known)": row.unit,
            "recognized": row.known_by,
            "example values": row.examples,
            "other fields, and why not": "; ".join(map(str, row.not_taken)),
            "line that keeps this choice": row.setting,
        }
        for row in recognized.rows
    )
