"""A batch of raw documents → rows of `calls` and rows of `rejected_calls`. Pure: no I/O, no Dagster, no settings.

Works column by column: the values of one field and BSON type are read together where NumPy or Arrow reads them
exactly, one by one where not; both give the same rows. Every document of the batch is a row of exactly one of
the two tables.
What belongs elsewhere: finding elements (`documents/walker.py`), the columns one by one (`table/columns/`), choosing
fields and column types (`table/plan.py`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from callviz_dagster.contract import arrow_schema
from callviz_dagster.documents.buffers import Mask
from callviz_dagster.documents.walker import Batch
from callviz_dagster.table.batch import BatchContext, truncate
from callviz_dagster.table.columns.durations import durations
from callviz_dagster.table.columns.fields import field_column, other_fields
from callviz_dagster.table.columns.labels import labels
from callviz_dagster.table.columns.texts import identifiers
from callviz_dagster.table.columns.times import end_times, local_parts, move_past_midnight, start_times
from callviz_dagster.table.plan import Plan
from callviz_dagster.table.rejected import rejected_rows
from callviz_dagster.table.tally import EXAMPLES, LASTS_LONG, STARTS_EARLY, STARTS_LATER, Tally

_YEAR_1990 = 631_152_000_000_000
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Normalized:
    """The rows of one batch."""

    calls: pa.Table
    rejected: pa.Table
    tally: Tally


def normalize(batch: Batch, plan: Plan, *, now: int) -> Normalized:
    """Turn a batch of documents into rows.

    Args:
        batch: the documents, walked.
        plan: the plan of the table; must be made from a profile that covers the batch.
        now: the instant of the snapshot, in microseconds since 1970 UTC; later calls are counted as implausible.

    Returns:
        `calls` with the columns of `plan.columns`, `rejected` with those of `contract.REJECTED`, both in the order
        of the documents, and what was counted.

    Raises:
        PlanError: a value does not fit the plan.
    """
    context = BatchContext(batch, plan)
    ids = identifiers(context)
    start, rejections = start_times(context)
    end = end_times(context)
    move_past_midnight(context, start, end)
    duration = durations(context, start, end)
    call_type, status = labels(context, "call_type"), labels(context, "status")
    columns: list[pa.Array] = [
        *(ids, call_type, status, start.array(), end.array(), duration),
        *local_parts(start, plan.options.timezone),
        *(field_column(context, column) for column in plan.fields),
    ]
    if plan.other_fields:
        columns.append(other_fields(context))
    columns.append(_repairs(context))
    calls = _kept_rows(columns, plan, start.known)
    rejected = rejected_rows(context, ids, rejections)
    _count(context.tally, calls, rejected, context.repairs.counts(start.known))
    _count_implausible(context.tally, calls, now)
    return Normalized(calls, rejected, context.tally)


def _repairs(context: BatchContext) -> pa.Array:
    if not context.repairs:
        return pa.repeat(pa.scalar(""), context.size)
    return pa.array(context.repairs.texts(), pa.string())


def _kept_rows(columns: list[pa.Array], plan: Plan, rows_kept: Mask) -> pa.Table:
    """Return the table without the rows that are rejected; until these are taken out, their cells may be null."""
    schema = arrow_schema(plan.columns)
    table = pa.Table.from_arrays(columns, schema=pa.schema([field.with_nullable(True) for field in schema]))
    return (table if rows_kept.all() else table.filter(pa.array(rows_kept))).cast(schema)


def _count(tally: Tally, calls: pa.Table, rejected: pa.Table, repairs: Counter[str]) -> None:
    tally.calls, tally.rejected, tally.repairs = calls.num_rows, rejected.num_rows, repairs
    tally.repaired_rows = pc.sum(pc.not_equal(calls.column("repairs"), "")).as_py() or 0
    for role in ("call_type", "status"):
        counts = tally.labels.setdefault(role, Counter())
        for entry in pc.value_counts(calls.column(role).combine_chunks()).to_pylist():
            counts[truncate(entry["values"])] += entry["counts"]


def _count_implausible(tally: Tally, calls: pa.Table, now: int) -> None:
    """Count calls in the future, before 1990, and of more than a day."""
    start = calls.column("start_time").cast(pa.int64())
    doubts = {
        STARTS_LATER: ("start_time", pc.greater(start, now)),
        STARTS_EARLY: ("start_time", pc.less(start, _YEAR_1990)),
        LASTS_LONG: ("duration_sec", pc.fill_null(pc.greater(calls.column("duration_sec"), _DAY_SECONDS), False)),
    }
    for doubt, (column, doubtful) in doubts.items():
        count = pc.sum(doubtful).as_py() or 0
        if count:
            rows = calls.select(["_id", column]).filter(doubtful).slice(0, EXAMPLES).to_pylist()
            tally.implausible[doubt] = count
            tally.implausible_examples[doubt] = [f"{row['_id']} ({_shown(row[column])})" for row in rows]


def _shown(value: dt.datetime | float) -> str:
    """Return a time in UTC, or seconds, as a check shows them."""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{value:,.0f} s"
