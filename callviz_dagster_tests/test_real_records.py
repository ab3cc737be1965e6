"""Real call records, stored as applications store them: what `calls` counts is what MongoDB itself counts."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import bson
import duckdb
import pytest
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.refresh import checks, failure, refresh

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
ZONE = "America/Los_Angeles"

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.skipif(not DATA.exists(), reason=f"there are no call records in {DATA}"),
]

Document = dict[str, Any]
Expression = Any


@lru_cache(maxsize=1)
def records(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return [{key: cell for key, cell in row.items() if cell != ""} for row in csv.DictReader(file)]


def wall(text: str) -> dt.datetime:
    """Return what the clock in San Francisco showed."""
    return dt.datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p")


def moment(text: str) -> dt.datetime:
    return wall(text).replace(tzinfo=ZoneInfo(ZONE))


@dataclass(frozen=True)
class Shape:
    """One way to store the calls of `sffd.csv`."""

    start: str
    end: str
    call_type: str
    status: str
    time: Callable[[str], Any]
    """From the file's text to what is stored."""
    instant: Callable[[Expression], Expression]
    """MongoDB's own expression for the instant that a stored time means."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def document(self, record: Mapping[str, str]) -> Document:
        names = {
            "Received DtTm": self.start,
            "Available DtTm": self.end,
            "Call Type": self.call_type,
            "Call Final Disposition": self.status,
        }
        times = {"Received DtTm", "Available DtTm"}
        return {
            "_id": bson.ObjectId(),
            **{names.get(key, key): self.time(cell) if key in times else cell for key, cell in record.items()},
        }


def _from_wall(text: Expression) -> Expression:
    return {"$dateFromString": {"dateString": text, "timezone": ZONE}}


def _from_twelve_hours(text: Expression) -> Expression:
    """Turn `MM/DD/YYYY hh:mm:ss AM` into an instant; MongoDB 6 knows no 12-hour clock."""

    def part(start: int, length: int) -> Expression:
        return {"$substrBytes": [text, start, length]}

    hour = {
        "$add": [
            {"$mod": [{"$toInt": part(11, 2)}, 12]},
            {"$cond": [{"$eq": [part(20, 2), "PM"]}, 12, 0]},
        ]
    }
    parts = {"year": {"$toInt": part(6, 4)}, "month": {"$toInt": part(0, 2)}, "day": {"$toInt": part(3, 2)}}
    clock = {"hour": hour, "minute": {"$toInt": part(14, 2)}, "second": {"$toInt": part(17, 2)}}
    return {"$cond": [{"$gt": [text, None]}, {"$dateFromParts": {**parts, **clock, "timezone": ZONE}}, None]}


SHAPES = {
    "as it was published, with dates": Shape(
        *("Received DtTm", "Available DtTm", "Call Type", "Call Final Disposition"), moment, lambda date: date
    ),
    "names of applications": Shape(*("startedAt", "endedAt", "type", "status"), moment, lambda date: date),
    "ISO text with an offset": Shape(
        *("start_time", "end_time", "call_type", "call_status"),
        lambda text: moment(text).isoformat(),
        lambda text: {"$dateFromString": {"dateString": text}},
    ),
    "ISO text without an offset": Shape(
        *("callStartTime", "callEndTime", "callType", "callStatus"),
        lambda text: wall(text).isoformat(),
        _from_wall,
        {"source_timezone": ZONE},
    ),
    "text of a 12-hour clock, month first": Shape(
        *("Received DtTm", "Available DtTm", "type", "status"),
        lambda text: text,
        _from_twelve_hours,
        {"source_timezone": ZONE, "date_order": "mdy"},
    ),
    "epoch seconds": Shape(
        *("started_at", "ended_at", "direction", "disposition"),
        lambda text: int(moment(text).timestamp()),
        lambda number: {"$toDate": {"$multiply": [{"$toLong": number}, 1000]}},
    ),
    "epoch milliseconds": Shape(
        *("start_timestamp", "end_timestamp", "call_type", "call_status"),
        lambda text: bson.Int64(int(moment(text).timestamp() * 1000)),
        lambda number: {"$toDate": number},
    ),
    "the local clock stored as if it were UTC": Shape(
        *("timeStart", "timeEnd", "type", "outcome"),
        wall,
        lambda date: _from_wall({"$dateToString": {"date": date, "format": "%Y-%m-%dT%H:%M:%S.%L"}}),
        {"source_timezone": ZONE, "source_dates": "local"},
    ),
}
LABELS = {"Cancelled": "cancelled", "Other": "Other"}


def counted_by_mongodb(collection: Collection[Any], shape: Shape) -> dict[str, Counter[Any]]:
    """Let MongoDB count the calls by type, status, local date, weekday, hour and minutes of duration."""
    local = {"date": "$start", "timezone": ZONE}

    def count(by: Expression) -> list[Expression]:
        return [{"$group": {"_id": by, "calls": {"$sum": 1}}}]

    seconds = {"$divide": [{"$subtract": ["$end", "$start"]}, 1000]}
    (aggregated,) = collection.aggregate(
        [
            {
                "$project": {
                    "start": shape.instant({"$getField": shape.start}),
                    "end": shape.instant({"$getField": shape.end}),
                    "type": {"$ifNull": [{"$getField": shape.call_type}, "unknown"]},
                    "status": {"$ifNull": [{"$getField": shape.status}, "unknown"]},
                }
            },
            {
                "$facet": {
                    "call_type": count("$type"),
                    "status": count("$status"),
                    "call_date": count({"$dateToString": {**local, "format": "%Y-%m-%d"}}),
                    "call_weekday": count({"$isoDayOfWeek": local}),
                    "call_hour": count({"$hour": local}),
                    "minutes": count({"$cond": [{"$gte": [seconds, 0]}, {"$floor": {"$divide": [seconds, 60]}}, None]}),
                    "first and last": [
                        {"$group": {"_id": None, "first": {"$min": "$start"}, "last": {"$max": "$start"}}}
                    ],
                }
            },
        ]
    )
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    counts = {
        name: Counter({group["_id"]: group["calls"] for group in groups})
        for name, groups in aggregated.items()
        if name != "first and last"
    }
    (span,) = aggregated["first and last"]
    counts["status"] = Counter({LABELS.get(label, label): n for label, n in counts["status"].items()})
    counts["call_weekday"] = Counter({days[number - 1]: n for number, n in counts["call_weekday"].items()})
    counts["first and last"] = Counter([span["first"].isoformat(), span["last"].isoformat()])
    return counts


def counted_in_calls(path: Path) -> dict[str, Counter[Any]]:
    """Count the same in the Parquet file."""
    columns = {
        **{name: name for name in ("call_type", "status", "call_weekday", "call_hour")},
        "call_date": "strftime(call_date, '%Y-%m-%d')",
        "minutes": "floor(duration_sec / 60)",
    }
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        counts = {
            name: Counter(
                dict(
                    connection.execute(f"SELECT {by}, count(*) FROM read_parquet(?) GROUP BY 1", [str(path)]).fetchall()
                )
            )
            for name, by in columns.items()
        }
        span = connection.execute(
            "SELECT min(start_time)::TIMESTAMP, max(start_time)::TIMESTAMP FROM read_parquet(?)", [str(path)]
        ).fetchone()
    assert span is not None
    counts["first and last"] = Counter([time.isoformat() for time in span])
    return counts


SHORT = ("as it was published, with dates", "names of applications", "text of a 12-hour clock, month first")


@pytest.mark.parametrize(
    "name", [*SHORT, *(pytest.param(name, marks=pytest.mark.long) for name in SHAPES if name not in SHORT)]
)
def test_calls_of_a_fire_department_are_counted_as_mongodb_counts_them(
    name: str, collection: Collection[Any], settings: Settings
) -> None:
    shape = SHAPES[name]
    collection.insert_many([shape.document(record) for record in records("sffd.csv")])
    settings = dataclasses.replace(settings, timezone=ZONE, **shape.settings)
    result = refresh(settings)
    assert result.success, failure(result)
    assert {name for name, check in checks(result).items() if not check.passed} <= {"labels_known"}

    calls = settings.data_dir / "calls" / "all.parquet"
    expected, actual = counted_by_mongodb(collection, shape), counted_in_calls(calls)
    for column, counts in expected.items():
        assert actual[column] == counts, column
    assert actual["call_type"].total() == 7_704
    assert actual["minutes"][None] == 5  # calls without an end
    with (settings.publish_dir / "calls.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["start_time"][:10] for row in rows) == expected["call_date"]
    assert Counter(int(row["start_time"][11:13]) for row in rows) == expected["call_hour"]


@pytest.mark.parametrize(
    ("start", "duration", "factor"), [("timestamp", "duration", 1), ("start_timestamp", "duration_ms", 1000)]
)
def test_calls_of_students_are_counted_as_mongodb_counts_them(
    start: str, duration: str, factor: int, collection: Collection[Any], settings: Settings
) -> None:
    """Missed calls have the duration -1."""
    began = 1_391_212_800
    collection.insert_many(
        {
            start: bson.Int64((began + int(record["timestamp"])) * factor),
            "caller": int(record["caller"]),
            "callee": int(record["callee"]),
            duration: int(record["duration"]) * (factor if int(record["duration"]) > 0 else 1),
        }
        for record in records("copenhagen.csv")
    )
    settings = dataclasses.replace(settings, timezone="Europe/Copenhagen")
    result = refresh(settings)
    assert result.success, failure(result)

    seconds = {"$divide": [f"${duration}", factor]}
    local = {"date": {"$toDate": {"$multiply": [f"${start}", 1000 // factor]}}, "timezone": "Europe/Copenhagen"}
    (expected,) = collection.aggregate(
        [
            {
                "$group": {
                    "_id": None,
                    "calls": {"$sum": 1},
                    "missed": {"$sum": {"$cond": [{"$lt": [f"${duration}", 0]}, 1, 0]}},
                    "seconds": {"$sum": {"$cond": [{"$lt": [f"${duration}", 0]}, 0, seconds]}},
                    "nights": {"$sum": {"$cond": [{"$lt": [{"$hour": local}, 6]}, 1, 0]}},
                    "sundays": {"$sum": {"$cond": [{"$eq": [{"$dayOfWeek": local}, 1]}, 1, 0]}},
                    "callers": {"$sum": "$caller"},
                }
            }
        ]
    )
    calls = str(settings.data_dir / "calls" / "all.parquet")
    query = """
        SELECT count(*) AS calls, count(*) FILTER (repairs LIKE '%-1 is negative%') AS missed,
               sum(duration_sec) AS seconds, count(*) FILTER (call_hour < 6) AS nights,
               count(*) FILTER (call_weekday = 'Sunday') AS sundays, sum(caller) AS callers,
               count(*) FILTER (duration_sec IS NULL) AS without
        FROM read_parquet(?)
    """
    with duckdb.connect() as connection:
        (counts,) = connection.execute(query, [calls]).df().to_dict("records")
    assert counts == {**{key: n for key, n in expected.items() if key != "_id"}, "without": expected["missed"]}
    assert expected["calls"] == 3_600
    assert expected["missed"] > 0
