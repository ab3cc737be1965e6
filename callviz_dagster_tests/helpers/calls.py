"""Tables of calls made up for tests, in the form that the calls contract gives them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from callviz_dagster.contract import LEADING, REPAIRS, WEEKDAYS, Kind, arrow_schema
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import Counts, count_calls
from callviz_dagster.table.manifest import FOOTER_KEY, TableFooter

SCHEMA = arrow_schema((*LEADING, REPAIRS))
FOOTER = TableFooter(
    source="telephony.calls on db.example.internal",
    snapshot_time="2026-03-29T21:59:00+00:00",
    timezone="Europe/Berlin",
    rejected=7,
    rejected_reasons={"start_missing": 5, "start_unreadable": 2},
    repaired_rows=11,
    repairs={"start time read from text": 8, "negative duration emptied": 3},
)

DUCKDB_TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.NUMBER: "DOUBLE",
    Kind.INTEGER: "BIGINT",
    Kind.DATE: "DATE",
    Kind.DATETIME: "TIMESTAMP",
    Kind.BOOLEAN: "BOOLEAN",
}
"""DuckDB's types of the columns of `calls.csv`."""

Call = tuple[str, str, dt.date, int, float | None]
"""Type, status, date, hour and duration of a call."""


def table(calls: Iterable[Call]) -> pa.Table:
    """Return a table with a row for each call."""
    return pa.Table.from_pylist(
        [
            {
                "_id": f"{number:024x}",
                "call_type": kind,
                "status": status,
                "start_time": dt.datetime.combine(date, dt.time(hour), dt.UTC),
                "end_time": None,
                "duration_sec": duration,
                "call_date": date,
                "call_weekday": WEEKDAYS[date.weekday()],
                "call_hour": hour,
                "repairs": "",
            }
            for number, (kind, status, date, hour, duration) in enumerate(calls)
        ],
        schema=SCHEMA,
    )


def business(
    number: int = 3000,
    *,
    first: dt.date = dt.date(2026, 1, 1),
    days: int = 88,
    types: Sequence[str] = ("incoming", "outgoing", "missed", "internal"),
    statuses: Sequence[str] = ("completed", "no-answer", "busy", "failed", "unknown"),
    seed: int = 1,
) -> list[Call]:
    """Return calls of a business: more of the first types and statuses, few on Sundays, some days without any."""
    chance = random.Random(seed)
    calls: list[Call] = []
    while len(calls) < number:
        date = first + dt.timedelta(days=chance.randrange(days))
        if date.weekday() == 6 and chance.random() < 0.97:
            continue
        kind = types[min(int(chance.expovariate(1)), len(types) - 1)]
        status = statuses[min(int(chance.expovariate(0.8)), len(statuses) - 1)]
        hour = min(23, max(0, int(chance.gauss(13, 4))))
        duration = float(int(chance.lognormvariate(5, 1.2))) if status == statuses[0] or chance.random() < 0.2 else None
        calls.append((kind, status, date, hour, duration))
    return calls


def write(path: Path, calls: pa.Table, footer: TableFooter = FOOTER) -> Path:
    """Write calls as the asset `calls` does, with the footer of a refresh; documents are made to add up."""
    known = dataclasses.replace(footer, calls=calls.num_rows, documents=calls.num_rows + footer.rejected)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(calls.replace_schema_metadata({FOOTER_KEY: known.to_json()}), path)
    return path


def query(sql: str, calls: pa.Table) -> list[tuple[Any, ...]]:
    """Return DuckDB's answer about a table named `calls`."""
    connection = _duckdb()
    connection.register("calls", calls)
    return connection.execute(sql).fetchall()


@functools.cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def counted(calls: pa.Table, labels: int = 12) -> Counts:
    """Count calls as the page does, with at most `labels` types and statuses of their own."""
    return count_calls(lambda columns: [calls.select(list(columns))], CountOptions(labels))
