"""The contract of `calls` and `calls.csv`, written once.

Every column's name, kind, unit, nullability, meaning and source stands here; the pandera schema, the Arrow and
pandas types, Dagster's `TableSchema`, the CSV order and the tables in the documentation are derived from it.
What belongs elsewhere: how a document becomes a row (`table/normalize.py`), which document field plays which role
(`documents/recognition/names.py`), and anything that reads or writes a file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd
    import pandera.pandas as pandera
    import pyarrow as pa
    from pandera.engines import pandas_engine

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ROLES = ("call_type", "status", "start_time", "end_time", "duration")
"""What a field of the documents can be to a call."""
UNKNOWN = "unknown"
"""The label of a call whose type or status is absent."""

END_BEFORE_START = "end_time: before start_time"
"""The repair of a call that ends before it starts; both times stay as the document has them."""

EARLIEST, LATEST = "1678-01-01T00:00:00Z", "2262-01-01T00:00:00Z"
"""The span of start times (half open) that pandas, Arrow, DuckDB, Hyper and Tableau all hold."""


class Kind(StrEnum):
    """What a column holds. Widens from left to right in `widen`, never back."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    TEXT = "text"


def widen(first: Kind, second: Kind) -> Kind:
    """Return the kind that holds every value of both: integer → number → text; any other mixture is text."""
    if first == second:
        return first
    if {first, second} == {Kind.INTEGER, Kind.NUMBER}:
        return Kind.NUMBER
    return Kind.TEXT


@dataclass(frozen=True)
class Column:
    """One column of `calls`: its name, what it holds, and what an analyst needs to know about it."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = True
    unit: str = ""
    source: str = ""
    """Where the values come from; for a field of the documents, its path."""


LEADING = (
    Column(
        "_id",
        Kind.TEXT,
        "The document's `_id` as text: an ObjectId as 24 hex digits, a UUID in canonical form, anything else "
        "as its plain text. Look a call up in MongoDB by it.",
        nullable=False,
        source="_id",
    ),
    Column(
        "call_type",
        Kind.TEXT,
        "Kind of call, for example incoming or outgoing; `unknown` where the document has none. Known "
        "spellings are written as one label.",
        nullable=False,
        source="the field recognized as type",
    ),
    Column(
        "status",
        Kind.TEXT,
        "Outcome of the call, for example completed or no-answer; `unknown` where the document has none. "
        "Known spellings are written as one label.",
        nullable=False,
        source="the field recognized as status",
    ),
    Column(
        "start_time",
        Kind.DATETIME,
        "When the call started. In calls.csv it is local time in the configured time zone, in whole seconds; "
        "the Parquet file keeps the exact instant in UTC.",
        nullable=False,
        source="the field recognized as start time",
    ),
    Column(
        "end_time",
        Kind.DATETIME,
        "When the call ended, written as start_time is; empty while the call runs or where it is not recorded.",
        source="the field recognized as end time",
    ),
    Column(
        "duration_sec",
        Kind.NUMBER,
        "Length of the call: the document's own duration where it has a usable one, else end_time − "
        "start_time, else empty. Never negative.",
        unit="seconds",
        source="the field recognized as duration, else end time − start time",
    ),
    Column(
        "call_date",
        Kind.DATE,
        "Date of start_time in the configured time zone.",
        nullable=False,
        source="start_time",
    ),
    Column(
        "call_weekday",
        Kind.TEXT,
        "Weekday of start_time in the configured time zone, Monday to Sunday.",
        nullable=False,
        source="start_time",
    ),
    Column(
        "call_hour",
        Kind.INTEGER,
        "Hour of the day of start_time in the configured time zone, 0 to 23.",
        nullable=False,
        unit="hour",
        source="start_time",
    ),
)
"""The columns that every calls table starts with, in this order; the documents' other fields follow them."""

OTHER_FIELDS = Column(
    "other_fields",
    Kind.TEXT,
    "The rarest fields as one JSON object, where the documents have more fields than the table may have columns.",
    source="every field beyond the column limit",
)

REPAIRS = Column(
    "repairs",
    Kind.TEXT,
    "What was changed to make the document fit; empty for a row that was taken as it stands.",
    source="callviz",
)

CONTRACT_NAMES = frozenset(column.name for column in (*LEADING, OTHER_FIELDS, REPAIRS))

REJECTED = (
    Column("_id", Kind.TEXT, "The document's `_id` as text; look it up in MongoDB by it.", source="_id"),
    Column("reason", Kind.TEXT, "Why the document is not in `calls`, as a code.", nullable=False),
    Column("field", Kind.TEXT, "The field that is the reason.", nullable=False),
    Column("value", Kind.TEXT, "That field's value as text; empty where it is missing."),
    Column("explanation", Kind.TEXT, "The reason as a sentence, with the remedy.", nullable=False),
    Column("document", Kind.TEXT, "The whole document as canonical Extended JSON.", nullable=False),
)
"""The columns of `rejected_calls`."""


def table_columns(fields: Iterable[Column], *, other_fields: bool = False) -> tuple[Column, ...]:
    """Return all columns of a calls table in CSV order: the contract's, `fields` of the documents, repairs."""
    return (*LEADING, *fields, *((OTHER_FIELDS,) if other_fields else ()), REPAIRS)


def arrow_type(kind: Kind) -> pa.DataType:
    """Return the Arrow (and so the Parquet) type of a kind. Datetimes are microseconds in UTC."""
    import pyarrow as pa

    return {
        Kind.BOOLEAN: pa.bool_(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.DATE: pa.date32(),
        Kind.DATETIME: pa.timestamp("us", tz="UTC"),
        Kind.TEXT: pa.string(),
    }[kind]


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of a table with these columns, each column's meaning kept as field metadata."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, arrow_type(column.kind), nullable=column.nullable) for column in columns])


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table of calls as a pandas DataFrame.

    Text is `str`, integers are `int64` (`Int64` where the contract allows a missing value), numbers `float64`,
    datetimes `datetime64[us, UTC]`, dates `datetime64[s]` at midnight without a zone, booleans `boolean`.
    """
    import pandas as pd
    import pyarrow as pa

    for position, field in enumerate(table.schema):
        if field.type == pa.date32():
            table = table.set_column(position, field.name, table.column(position).cast(pa.timestamp("s")))
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    for column in LEADING:
        if column.kind is Kind.INTEGER and not column.nullable and column.name in frame:
            frame[column.name] = frame[column.name].astype("int64")
    return frame


def pandera_schema(columns: Sequence[Column] = LEADING, zone: str | None = None) -> pandera.DataFrameSchema:
    """Return the pandera schema of `to_frame`'s DataFrame; strict about the columns named, in their order.

    Beyond types and nullability it requires that labels are not blank, that times lie within `EARLIEST`–`LATEST`, that
    durations are finite and not negative, that weekday and hour are possible, and that no `_id` is empty and no call
    ends before it starts, unless its repairs say so. Where a `zone` is given, date, weekday and hour must be
    those of the start time in it. Uniqueness of `_id` is not among these rules because it concerns all rows of all
    files: see the check `ids_unique`.
    """
    import pandas as pd
    import pandera.pandas as pandera

    dtypes: dict[Kind, object] = {
        Kind.BOOLEAN: pd.BooleanDtype(),
        Kind.INTEGER: pd.Int64Dtype(),
        Kind.NUMBER: "float64",
        Kind.DATE: "datetime64[s]",
        Kind.DATETIME: pd.DatetimeTZDtype(unit="us", tz="UTC"),
        Kind.TEXT: _text_dtype(),
    }
    span = pandera.Check.in_range(pd.Timestamp(EARLIEST), pd.Timestamp(LATEST), include_max=False)
    not_blank = pandera.Check(lambda text: text.str.strip().str.len() > 0, name="not_blank")
    checks = {
        "_id": [],
        "call_type": [not_blank],
        "status": [not_blank],
        "start_time": [span],
        "end_time": [span],
        "duration_sec": [pandera.Check.in_range(0, float("inf"), include_max=False)],
        "call_weekday": [pandera.Check.isin(WEEKDAYS)],
        "call_hour": [pandera.Check.in_range(0, 23)],
    }
    names = {column.name for column in columns}
    # One answer for all rows: pandera would take minutes to list the rows of a table, cell by cell.
    row_checks = [
        pandera.Check(lambda calls, rule=rule: bool(rule(calls).all()), name=name)
        for name, rule in row_rules(zone).items()
        if {"_id", "start_time", "end_time", "repairs"} <= names
    ]
    return pandera.DataFrameSchema(
        {
            column.name: pandera.Column(
                "int64" if column.kind is Kind.INTEGER and not column.nullable else dtypes[column.kind],
                checks=checks.get(column.name, []) if column in LEADING else [],
                nullable=column.nullable,
                description=column.meaning,
            )
            for column in columns
        },
        checks=row_checks,
        strict=True,
        ordered=True,
    )


def _text_dtype() -> pandas_engine.DataType:
    """Return pandas' `str` for pandera, compared as every other type is.

    Pandera's own gives an answer for each row, from which a table of no failures is made and rendered for a message, in
    every text column of every partition.
    """
    from pandera.engines import pandas_engine

    class Text(pandas_engine.STRING):
        def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:
            return bool(super().check(pandera_dtype))

    return Text(None)


def row_rules(zone: str | None) -> dict[str, Callable[[pd.DataFrame], pd.Series[bool]]]:
    """Return the rules across the columns of a row, by name; each returns which rows of a DataFrame keep it."""
    rules: dict[str, Callable[[pd.DataFrame], pd.Series[bool]]] = {
        "id_not_empty": lambda calls: _unless_repaired(calls, calls["_id"].str.len() == 0, "_id: "),
        "end_time_not_before_start_time": lambda calls: _unless_repaired(
            calls, calls["end_time"] < calls["start_time"], END_BEFORE_START
        ),
    }
    if zone:
        rules["date_weekday_and_hour_of_start_time"] = lambda calls: _on_clock(calls, zone)
    return rules


def _unless_repaired(calls: pd.DataFrame, doubtful: pd.Series[bool], repair: str) -> pd.Series[bool]:
    """Return which rows are not doubtful, or name the doubt in `repairs`."""
    if doubtful.any():
        doubtful &= ~calls["repairs"].str.contains(repair, regex=False).fillna(False).astype(bool)
    return ~doubtful


def _on_clock(calls: pd.DataFrame, zone: str) -> pd.Series[bool]:
    """Return which calls have the date, weekday and hour that the clock in a zone shows at their start.

    Independent of `documents/times/`, which made them. The zone is asked twice a day of UTC; of days on which its
    offset changes, at every start.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    clock = ZoneInfo(zone)

    def offset(second: int) -> int:
        moment = dt.datetime.fromtimestamp(second, dt.UTC).astimezone(clock)
        return int((moment.utcoffset() or dt.timedelta()).total_seconds())

    seconds = calls["start_time"].to_numpy("datetime64[us]").astype(np.int64) // 1_000_000
    days, place = np.unique(seconds // 86_400, return_inverse=True)
    first = np.array([offset(day * 86_400) for day in days.tolist()], np.int64)
    last = np.array([offset(day * 86_400 + 86_399) for day in days.tolist()], np.int64)
    offsets = first[place]
    for row in np.flatnonzero((first != last)[place]).tolist():
        offsets[row] = offset(int(seconds[row]))
    local_days, hours = np.divmod((seconds + offsets) // 3600, 24)
    weekdays = pc.index_in(pa.array(calls["call_weekday"]), pa.array(WEEKDAYS))
    return pd.Series(
        (calls["call_date"].to_numpy("datetime64[D]").astype(np.int64) == local_days)
        & (calls["call_hour"].to_numpy(np.int64) == hours)
        & (weekdays.fill_null(-1).to_numpy() == (local_days + 3) % 7),
        calls.index,
    )


def table_schema(columns: Sequence[Column], defined: Sequence[Column] = ()) -> dg.TableSchema:
    """Return Dagster's table schema, as the UI's Columns tab shows it.

    Args:
        columns: the columns of the table.
        defined: those in the schema of the asset's definition, from where the UI takes their descriptions. Dagster
            stores this schema with each materialization, so nothing is repeated there, nor is a field's own name.
    """
    import dagster as dg

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.kind.value,
                description=None
                if column in defined or (defined and column.source == column.name)
                else column.meaning + (f" Unit: {column.unit}." if column.unit else ""),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ]
    )


def markdown_table(columns: Sequence[Column]) -> str:
    """Return the columns as a Markdown table: name, kind, unit, whether it may be empty, meaning."""
    lines = ["| column | kind | unit | may be empty | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {c.kind} | {c.unit or '–'} | {'yes' if c.nullable else 'no'} | {c.meaning} |" for c in columns
    ]
    return "\n".join(lines)
