"""The numbers of each sheet: the query that it stands for, on `calls.csv`, against MongoDB's own count.

The queries are made from the workbook: its shelves are the groups, its formulas the measures. A formula that is changed
there has no translation here, and the test says so. Two zones with daylight saving, one of them half an hour off;
collections with no other fields, with 40, with fields named like those of the workbook, and without any duration.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import random
import re
import statistics
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import duckdb
import pytest
from lxml import etree
from pymongo.collection import Collection

from callviz_dagster.contract import LEADING, WEEKDAYS
from callviz_dagster.definitions import build_definitions
from callviz_dagster.documents.outcomes import COMPLETED_LABELS, completed_formula
from callviz_dagster.settings import Settings
from callviz_dagster.tableau.model import HEADLINE
from callviz_dagster_tests.helpers.calls import DUCKDB_TYPES
from callviz_dagster_tests.helpers.refresh import empty_instance, metadata, refresh
from callviz_dagster_tests.helpers.workbook_rules import REFERENCE, ROOT, bare, fields, sheet, shelf

Document = dict[str, Any]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]

CALLS = 2_500
LIKE_OURS = ("Duration (bin)", "Calculation_1001", "calculation_1014", "Date", "CALLS", "Median Duration", "repairs")
"""Names and captions of fields of the workbook, and of a column, which a document may use for something else."""
BIN, LONGEST = 60, 1800


def other_fields(some: random.Random) -> Document:
    """Return 40 further fields of a document, some of them named like fields of the workbook."""
    values = {f"field_{number:02d}": some.choice((number, f"text {number}", None)) for number in range(40)}
    renamed = dict(zip(LIKE_OURS, values.values(), strict=False))
    return renamed | dict([*values.items()][len(LIKE_OURS) :])


def documents(seed: int, shape: str) -> list[Document]:
    """Return calls around both clock changes of a year, with gaps of days, unknown types and missing durations."""
    some = random.Random(seed)
    with_duration = shape != "without a duration"
    changes = [(3, 10), (3, 31), (10, 27), (11, 3)]
    days = [dt.datetime(2024, 3, 8, tzinfo=dt.UTC) + dt.timedelta(days=n) for n in range(250)]
    days = [day for day in days if some.random() < 0.35 or (day.month, day.day) in changes]
    calls_made: list[Document] = []
    for number in range(CALLS):
        start = some.choice(days) + dt.timedelta(milliseconds=some.randrange(86_400_000))
        seconds = round(some.expovariate(1 / 500), some.choice((0, 0, 1)))
        call: Document = {
            "_id": number,
            "call_type": some.choices(("incoming", "outgoing", "missed", "internal"), (5, 4, 2, 1))[0],
            "status": some.choices(("completed", "no-answer", "busy", "failed"), (6, 2, 1, 1))[0],
            "start_time": start,
        }
        chance = some.random()
        if chance < 0.6 and with_duration:
            call["duration_sec"] = seconds
        elif chance < 0.85 and with_duration:
            call["end_time"] = start + dt.timedelta(milliseconds=round(seconds * 1000))
        for field in ("call_type", "status"):
            if some.random() < 0.03:
                del call[field]
        calls_made.append(call | (other_fields(some) if shape == "40 other fields" else {}))
    if not with_duration:
        return calls_made
    calls_made[0] |= {"duration_sec": 1799.5}
    calls_made[1] |= {"duration_sec": 1800}
    calls_made[2] |= {"duration_sec": 60}
    calls_made[3] |= {"duration_sec": 0}
    return calls_made


@dataclasses.dataclass(frozen=True)
class Filters:
    """What the three filter cards of the dashboard are set to; by default to all values."""

    first: dt.date | None = None
    last: dt.date | None = None
    types: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()

    def sql(self) -> str:
        tests = ["true"]
        if self.first and self.last:
            tests.append(f"call_date BETWEEN DATE '{self.first}' AND DATE '{self.last}'")
        tests += [
            f"{name} IN ({', '.join(repr(value) for value in values)})"
            for name, values in (("call_type", self.types), ("status", self.statuses))
            if values
        ]
        return " AND ".join(tests)

    def mongo(self) -> Document:
        match: Document = {}
        if self.first and self.last:
            match["day"] = {"$gte": str(self.first), "$lte": str(self.last)}
        for name, values in (("call_type", self.types), ("status", self.statuses)):
            if values:
                match[name] = {"$in": list(values)}
        return {"$match": match}


FILTERS = (
    Filters(),
    Filters(
        first=dt.date(2024, 3, 20),
        last=dt.date(2024, 10, 27),
        types=("incoming", "missed", "unknown"),
        statuses=("completed", "busy"),
    ),
)


@pytest.fixture(
    params=[
        ("no other fields", "Europe/Berlin"),
        ("40 other fields", "America/St_Johns"),
        pytest.param(("without a duration", "Europe/Berlin"), marks=pytest.mark.long),
    ],
    ids=lambda shape_and_zone: shape_and_zone[0],
)
def published(request: pytest.FixtureRequest, settings: Settings, collection: Collection[Document]) -> Settings:
    """Carry calls from MongoDB to `calls.csv` and return the settings with which that was done."""
    shape, zone = request.param
    collection.insert_many(documents(len(shape), shape))
    local = dataclasses.replace(settings, timezone=zone)
    job = build_definitions(local).resolve_job_def("refresh_calls")
    assert job.execute_in_process(instance=empty_instance()).success
    return local


# The workbook's side


def formula(number: int) -> str:
    return str(fields()[f"Calculation_{number}"].find("calculation").get("formula"))


def read_calls(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Open `calls.csv` under the names that the packed workbook gives its columns; its sheets are those read here."""
    with zipfile.ZipFile(settings.publish_dir / "callviz.twbx") as package:
        packed = etree.fromstring(package.read(package.namelist()[0]))
    assert etree.tostring(packed.find("worksheets")) == etree.tostring(ROOT.find("worksheets"))
    records = packed.findall(".//metadata-record[@class='column']")
    names = {one.findtext("remote-name"): bare(one.findtext("local-name")) for one in records}
    calculated = {name.casefold() for name, field in fields().items() if field.find("calculation") is not None}
    assert calculated.isdisjoint(name.casefold() for name in names.values())
    kinds = {column.name: DUCKDB_TYPES[column.kind] for column in LEADING}
    with (settings.publish_dir / "calls.csv").open(encoding="utf-8", newline="") as file:
        columns = {names[name]: kinds.get(name, "VARCHAR") for name in next(csv.reader(file))}
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE calls AS SELECT * FROM read_csv(?, header=true, auto_detect=false, columns={columns})",
        [str(settings.publish_dir / "calls.csv")],
    )
    return connection


BOUNDED = f"least(duration_sec, {LONGEST})"
GROUPS = {
    "none:call_type:nk": "call_type",
    "none:status:nk": "status",
    "none:call_weekday:nk": "call_weekday",
    "tdy:call_date:qk": "date_trunc('day', call_date)",
    "none:Duration (bin):ok": f"CAST(floor({BOUNDED} / {BIN}) * {BIN} AS INTEGER)",
}
MEAN_OF_7_DAYS = (
    "IF DATEDIFF('day', WINDOW_MIN(MIN([call_date])), MIN([call_date])) >= 6 THEN (COUNT([_id]) + "
    + " + ".join(
        f"IIF(DATEDIFF('day', LOOKUP(MIN([call_date]), -{n}), MIN([call_date])) < 7, LOOKUP(COUNT([_id]), -{n}), 0, 0)"
        for n in range(1, 7)
    )
    + ") / 7 END"
)
WEEK = "{ EXCLUDE [call_type], [call_weekday] : %s([call_date]) }"
MEASURES: dict[str, Callable[[list[str]], str]] = {
    # `groups` are those of the sheet; EXCLUDE leaves some of them out.
    "COUNT([_id])": lambda groups: "count(_id)",
    "MIN({ EXCLUDE [call_type] : COUNT([_id]) })": lambda groups: over("sum(count(_id))", groups, {"call_type"}),
    "MIN({ EXCLUDE [call_type], [status] : COUNT([_id]) })": lambda groups: over(
        "sum(count(_id))", groups, {"call_type", "status"}
    ),
    "1 + INT(DATEDIFF('day', MIN("
    + WEEK % "MIN"
    + "), MIN([call_date])) / 7) + INT(DATEDIFF('day', MIN([call_date]), MAX("
    + WEEK % "MAX"
    + ")) / 7)": lambda groups: (
        f"1 + trunc((min(call_date) - {over('min(min(call_date))', groups, {'call_type', 'call_weekday'})}) / 7)"
        f" + trunc(({over('max(max(call_date))', groups, {'call_type', 'call_weekday'})} - min(call_date)) / 7)"
    ),
    "SUM(IF [Calculation_1013] THEN 1 ELSE 0 END) / COUNT([_id])": lambda groups: (
        "sum(CASE WHEN status = 'completed' THEN 1 ELSE 0 END) / count(_id)"
    ),
    # A table calculation runs over the marks from left to right, of which there is one for each day with calls.
    MEAN_OF_7_DAYS: lambda groups: (
        "CASE WHEN min(call_date) - min(min(call_date)) OVER () >= 6 THEN (count(_id) + "
        + " + ".join(
            f"CASE WHEN min(call_date) - lag(min(call_date), {n}) OVER (ORDER BY min(call_date)) < 7 "
            f"THEN lag(count(_id), {n}) OVER (ORDER BY min(call_date)) ELSE 0 END"
            for n in range(1, 7)
        )
        + ") / 7 END"
    ),
    "MEDIAN([duration_sec])": lambda groups: "median(duration_sec)",
    "DATEDIFF('day', MIN([call_date]), MAX([call_date])) + 1": lambda groups: "max(call_date) - min(call_date) + 1",
    "COUNTD([call_date])": lambda groups: "count(DISTINCT call_date)",
    "SUM(IF ISNULL([duration_sec]) THEN 1 ELSE 0 END)": lambda groups: (
        "sum(CASE WHEN duration_sec IS NULL THEN 1 ELSE 0 END)"
    ),
}


def over(aggregate: str, groups: list[str], excluded: set[str]) -> str:
    dimensions = [group for group in groups if group not in excluded]
    return f"{aggregate} OVER (PARTITION BY {', '.join(dimensions)})" if dimensions else f"{aggregate} OVER ()"


def measure(number: int, groups: list[str]) -> str:
    """Return a formula of the workbook as SQL."""
    text = formula(number)
    if re.fullmatch(r"\[Calculation_\d+\] / \[Calculation_\d+\]", text):
        first, second = (measure(int(one), groups) for one in re.findall(r"\d+", text))
        return f"({first}) / ({second})"
    assert text in MEASURES, f"no translation for {text}"
    return MEASURES[text](groups)


def sheet_rows(
    calls: duckdb.DuckDBPyConnection, name: str, measures: Iterable[int], filters: Filters, *, coloured: bool = True
) -> Rows:
    """Run the query that a sheet, or marks of it that have no colour, stands for: its groups → its measures."""
    on_sheet = [pill for _, pill in REFERENCE.findall(shelf(name, "rows") + shelf(name, "cols"))]
    if coloured:
        on_sheet += [REFERENCE.findall(one.get("column"))[0][1] for one in sheet(name).iter("color")]
    groups = [GROUPS[pill] for pill in dict.fromkeys(on_sheet) if pill in GROUPS]
    where = [filters.sql()]
    for one in sheet(name).findall("table/view/filter"):
        assert (one.get("class"), one.get("included-values")) == ("quantitative", "non-null")
        where.append(f"{REFERENCE.findall(one.get('column'))[0][1].split(':')[1]} IS NOT NULL")
    columns = [*groups, *(measure(number, groups) for number in measures)]
    query = f"SELECT {', '.join(columns)} FROM calls WHERE {' AND '.join(where)}"
    rows = calls.execute(f"{query} GROUP BY {', '.join(groups)}" if groups else query).fetchall()
    return {tuple(map(plain, row[: len(groups)])): tuple(map(plain, row[len(groups) :])) for row in rows}


def plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.date()
    return round(float(value), 9) if isinstance(value, float) else value


# MongoDB's side


def counted(collection: Collection[Document], zone: str, filters: Filters, *stages: Document) -> list[Document]:
    """Aggregate the collection; each call has its day and weekday in a zone, its labels, and its duration."""
    prepared: list[Document] = [
        {
            "$set": {
                "day": {"$dateToString": {"date": "$start_time", "timezone": zone, "format": "%Y-%m-%d"}},
                "weekday": {"$isoDayOfWeek": {"date": "$start_time", "timezone": zone}},
                "call_type": {"$ifNull": ["$call_type", "unknown"]},
                "status": {"$ifNull": ["$status", "unknown"]},
                "seconds": {
                    "$ifNull": ["$duration_sec", {"$divide": [{"$subtract": ["$end_time", "$start_time"]}, 1000]}]
                },
            }
        },
        filters.mongo(),
    ]
    return list(collection.aggregate([*prepared, *stages]))


def grouped(*names: str) -> Document:
    return {"$group": {"_id": {name: f"${name}" for name in names}, "calls": {"$sum": 1}}}


def by(rows: list[Document], *names: str) -> dict[tuple[Any, ...], int]:
    return {tuple(row["_id"][name] for name in names): row["calls"] for row in rows}


def share(part: int, whole: int) -> float:
    return round(part / whole, 9)


def test_every_sheet_shows_what_mongodb_counts(published: Settings, collection: Collection[Document]) -> None:
    calls = read_calls(published)
    for filters in FILTERS:
        assert_sheets_show(calls, collection, published.timezone, filters)


@pytest.mark.long
def test_every_sheet_shows_what_mongodb_counts_of_the_last_months(
    published: Settings, collection: Collection[Document]
) -> None:
    result = refresh(dataclasses.replace(published, csv_months=3), "calls_csv", "callviz_workbook")
    assert result.success
    first = dt.date.fromisoformat(metadata(result, "calls_csv")["calls since"])
    calls = read_calls(published)
    days = calls.execute("SELECT min(call_date), max(call_date) FROM calls").fetchone()
    assert days is not None
    assert first <= days[0] < first + dt.timedelta(days=31)
    assert_sheets_show(calls, collection, published.timezone, Filters(first, days[1]))


def assert_sheets_show(
    calls: duckdb.DuckDBPyConnection, collection: Collection[Document], zone: str, filters: Filters
) -> None:
    total = counted(collection, zone, filters, {"$count": "calls"})[0]["calls"]
    assert total > 100

    # Calls by Type: number, share of all calls.
    types = by(counted(collection, zone, filters, grouped("call_type")), "call_type")
    assert sheet_rows(calls, "Calls by Type", (1001, 1004), filters) == {
        group: (number, share(number, total)) for group, number in types.items()
    }

    # Calls by Status: number of each type, number and share whatever the type.
    statuses = by(counted(collection, zone, filters, grouped("status")), "status")
    both = by(counted(collection, zone, filters, grouped("status", "call_type")), "status", "call_type")
    assert sheet_rows(calls, "Calls by Status", (1001, 1002, 1005), filters) == {
        (status, call_type): (number, statuses[status,], share(statuses[status,], total))
        for (status, call_type), number in both.items()
    }

    # Daily Calls: a bar for each day that has calls.
    days = counted(
        collection,
        zone,
        filters,
        {"$group": {"_id": {"day": "$day", "call_type": "$call_type"}, "calls": {"$sum": 1}}},
    )
    bars = sheet_rows(calls, "Daily Calls", (1001,), filters)
    assert {(str(day), call_type): number for (day, call_type), (number,) in bars.items()} == {
        (day["_id"]["day"], day["_id"]["call_type"]): day["calls"] for day in days
    }
    first, last = min(day for day, _ in bars), max(day for day, _ in bars)
    assert len({day for day, _ in bars}) < (last - first).days, "some days have no calls"

    # Its line: the mean of seven days of the calendar, on each day that has calls.
    calls_on = {day: 0 for day, _ in bars}
    for (day, _), (number,) in bars.items():
        calls_on[day] += number
    week = [dt.timedelta(days=n) for n in range(7)]
    assert sheet_rows(calls, "Daily Calls", (1019,), filters, coloured=False) == {
        (day,): (share(sum(calls_on.get(day - before, 0) for before in week), 7) if day - first > week[5] else None,)
        for day in calls_on
    }

    # Calls by Weekday: number, how many such days there were, the averages.
    weekdays = by(counted(collection, zone, filters, grouped("weekday", "call_type")), "weekday", "call_type")
    of_all_types = by(counted(collection, zone, filters, grouped("weekday")), "weekday")
    calendar = [(first + dt.timedelta(days=n)).isoweekday() for n in range((last - first).days + 1)]
    assert sheet_rows(calls, "Calls by Weekday", (1001, 1007, 1008, 1009), filters) == {
        (WEEKDAYS[weekday - 1], call_type): (
            number,
            calendar.count(weekday),
            share(number, calendar.count(weekday)),
            share(of_all_types[weekday,], calendar.count(weekday)),
        )
        for (weekday, call_type), number in weekdays.items()
    }

    # Duration Histogram: bins of a minute, one for all long calls, none for calls without a duration.
    bins = by(
        counted(
            collection,
            zone,
            filters,
            {"$match": {"seconds": {"$ne": None}}},
            {"$set": {"bin": {"$floor": {"$divide": [{"$min": ["$seconds", LONGEST]}, BIN]}}}},
            grouped("bin", "call_type"),
        ),
        "bin",
        "call_type",
    )
    assert sheet_rows(calls, "Duration Histogram", (1001,), filters) == {
        (int(number) * BIN, call_type): (calls_in_bin,) for (number, call_type), calls_in_bin in bins.items()
    }
    assert not bins or LONGEST in {int(number) * BIN for number, _ in bins}

    # Headline Figures.
    (headline,) = counted(
        collection,
        zone,
        filters,
        {"$sort": {"seconds": 1}},
        {
            "$group": {
                "_id": None,
                "calls": {"$sum": 1},
                "completed": {"$sum": {"$cond": [{"$eq": ["$status", "completed"]}, 1, 0]}},
                "seconds": {"$push": "$seconds"},
                "first": {"$min": "$day"},
                "last": {"$max": "$day"},
                "days": {"$addToSet": "$day"},
            }
        },
    )
    seconds = [value for value in headline["seconds"] if value is not None]
    middle = statistics.median(seconds) if seconds else None
    covered = (dt.date.fromisoformat(headline["last"]) - dt.date.fromisoformat(headline["first"])).days + 1
    assert formula(1013) == completed_formula(COMPLETED_LABELS)
    assert sheet_rows(calls, HEADLINE, (1001, 1014, 1015, 1016, 1017, 1018), filters) == {
        (): (
            headline["calls"],
            share(headline["completed"], headline["calls"]),
            plain(middle),
            covered,
            len(headline["days"]),
            len(headline["seconds"]) - len(seconds),
        )
    }


def test_days_of_the_weekday_are_counted_with_the_calendar() -> None:
    """The formula for how many Mondays there were is right for every span and weekday."""
    start = dt.date(2024, 2, 20)
    for length in range(1, 40):
        span = [start + dt.timedelta(days=n) for n in range(length)]
        for day in span:
            expected = sum(other.weekday() == day.weekday() for other in span)
            assert 1 + (day - span[0]).days // 7 + (span[-1] - day).days // 7 == expected
