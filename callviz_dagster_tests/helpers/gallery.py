"""Awkward documents by name, each with what it must become: expected rows and reasons are written out by hand.

`python -m callviz_dagster_tests.helpers.gallery` writes them as a table into `docs/awkward-documents.md`.
"""

from __future__ import annotations

import datetime as dt
import json
import struct
import unicodedata
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bson
from bson import Decimal128
from bson.binary import Binary, UuidRepresentation

from callviz_dagster.documents import labels as known_labels
from callviz_dagster.documents.recognition import names as vocabulary
from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.raw_bson import Value, array, date, nested, raw_document, text, value

Elements = list[tuple[str | bytes, Value]]
Cells = dict[str, Any]

START = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)
END = dt.datetime(2024, 3, 1, 10, 2, tzinfo=dt.UTC)
ID = bson.ObjectId("65e1a7c0a1b2c3d4e5f60718")
UUID = uuid.UUID("12345678-1234-5678-9abc-123456789abc")

CLEAN: dict[str, Value] = {
    "_id": value(ID),
    "call_type": text("incoming"),
    "status": text("completed"),
    "start_time": value(START),
    "end_time": value(END),
    "duration_sec": value(120),
    "queue": text("sales"),
    "attempts": value(1),
}
CLEAN_ROW: dict[str, Any] = {
    "_id": str(ID),
    "call_type": "incoming",
    "status": "completed",
    "start_time": START,
    "end_time": END,
    "duration_sec": 120.0,
    "call_date": START.date(),
    "call_weekday": "Friday",
    "call_hour": 10,
    "queue": "sales",
    "attempts": 1,
    "repairs": "",
}


@dataclass(frozen=True)
class Case:
    """One awkward document and what it becomes, in a collection of otherwise tidy ones."""

    name: str
    stored: str
    """The awkward part, for people."""
    elements: Elements
    row: Cells = field(default_factory=dict)
    """Cells that differ from a tidy row's, `repairs` among them."""
    rejected: tuple[str, str, str | None] | None = None
    """Reason, field and value, where it is in `rejected_calls`."""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> bytes:
        return raw_document(self.elements)


def call(*extra: tuple[str | bytes, Value], without: str = "", **changed: Value) -> Elements:
    """Return the elements of a tidy call with some changed, left out or added."""
    elements: Elements = [
        (name, changed.pop(name, found)) for name, found in CLEAN.items() if name not in without.split()
    ]
    return [*elements, *changed.items(), *extra]


def _start(name: str, stored: str, found: Value, note: str = "", start: str = "", **more: Any) -> Case:
    """Return a case of a start time that is read as `start` (ISO, UTC), 10:00 where it is not given."""
    moment = dt.datetime.fromisoformat(start or "2024-03-01T10:00:00+00:00")
    row: dict[str, Any] = {"start_time": moment, "repairs": f"start_time: {note}" if note else ""}
    if start:
        row |= {"call_date": moment.date(), "call_weekday": f"{moment:%A}", "call_hour": moment.hour}
    return Case(name, f"start_time: {stored}", call(start_time=found), row | more)


def _no_start(name: str, stored: str, found: Value | None, reason: str, shown: str | None) -> Case:
    elements = call(without="start_time") if found is None else call(start_time=found)
    return Case(name, f"start_time: {stored}", elements, rejected=(f"start_{reason}", "start_time", shown))


def _end(name: str, stored: str, found: Value | None, end: dt.datetime | None, repairs: str = "", **more: Any) -> Case:
    elements = call(without="end_time") if found is None else call(end_time=found)
    return Case(name, f"end_time: {stored}", elements, {"end_time": end, "repairs": repairs} | more)


def _duration(name: str, stored: str, found: Value | None, seconds: float | None, repairs: str = "") -> Case:
    """Return a case of a duration; where it cannot be used, the 120 seconds from start to end stand in."""
    elements = call(without="duration_sec") if found is None else call(duration_sec=found)
    return Case(name, f"duration_sec: {stored}", elements, {"duration_sec": seconds, "repairs": repairs})


def _label(role: str, name: str, stored: str, found: Value | None, label: str, repairs: str = "") -> Case:
    elements = [
        (key, found or tidy) if key == role else (key, tidy) for key, tidy in call(without="" if found else role)
    ]
    return Case(name, f"{role}: {stored}", elements, {role: label, "repairs": repairs})


def _queue(name: str, stored: str, found: Value | None, cell: str | None, repairs: str = "", **more: Any) -> Case:
    elements = call(without="queue") if found is None else call(queue=found)
    return Case(name, f"queue: {stored}", elements, {"queue": cell, "repairs": repairs} | more)


def _typed(name: str, stored: str, found: Value, cell: str, type_name: str) -> Case:
    """Return a case of a value of another type in a field that is text elsewhere."""
    return _queue(name, stored, found, cell, f"queue: {type_name} kept as text")


def _extra(name: str, stored: str, *extra: tuple[str | bytes, Value], **cells: Any) -> Case:
    return Case(name, stored, call(*extra), cells)


def _named(name: str, stored: str, extra: Elements, cells: Cells) -> Case:
    return Case(name, stored, call(*extra), cells)


def _id(name: str, stored: str, found: Value, identifier: str) -> Case:
    return Case(name, f"_id: {stored}", call(_id=found), {"_id": identifier})


def _binary(content: bytes, subtype: int) -> Value:
    return raw.BINARY, struct.pack("<iB", len(content), subtype) + content


def _with_scope(code: str, scope: Elements) -> Value:
    body = text(code)[1] + raw_document(scope)
    return raw.CODE_WITH_SCOPE, struct.pack("<i", len(body) + 4) + body


def _deep(levels: int) -> Value:
    found = value(1)
    for level in range(levels, 0, -1):
        found = nested([(f"level{level}", found)])
    return found


_LONG = "long " * 200_000
_TAKEN = "start_time: taken from"
_READ_UTC = "text read as a time in UTC"

SECTIONS: dict[str, list[Case]] = {
    "Start times that are read": [
        _start("start_iso_z", '"2024-03-01T10:00:00Z"', text("2024-03-01T10:00:00Z"), "text read as a time"),
        _start(
            "start_iso_offset", '"2024-03-01T15:30:00+05:30"', text("2024-03-01T15:30:00+05:30"), "text read as a time"
        ),
        _start(
            "start_iso_without_zone",
            '"2024-03-01T10:00:00.250"',
            text("2024-03-01T10:00:00.250"),
            _READ_UTC,
            "2024-03-01T10:00:00.250+00:00",
        ),
        _start(
            "start_iso_nanoseconds",
            '"2024-03-01T10:00:00.123456789Z"',
            text("2024-03-01T10:00:00.123456789Z"),
            "text read as a time, digits below a microsecond left out",
            "2024-03-01T10:00:00.123456+00:00",
        ),
        _start(
            "start_rfc_2822",
            '"Fri, 01 Mar 2024 05:00:00 -0500"',
            text("Fri, 01 Mar 2024 05:00:00 -0500"),
            "text read as a time",
        ),
        _start(
            "start_rfc_2822_zone_name",
            '"Fri, 01 Mar 2024 05:00:00 EST"',
            text("Fri, 01 Mar 2024 05:00:00 EST"),
            "text read as a time",
        ),
        _start(
            "start_javascript",
            '"Fri Mar 01 2024 11:00:00 GMT+0100 (CET)"',
            text("Fri Mar 01 2024 11:00:00 GMT+0100 (CET)"),
            "text read as a time",
        ),
        _start(
            "start_text_with_space_and_offset",
            '"2024-03-01 10:00:00 +0000"',
            text("2024-03-01 10:00:00 +0000"),
            "text read as a time",
        ),
        _start(
            "start_spaces_around", '" 2024-03-01T10:00:00Z\\n"', text(" 2024-03-01T10:00:00Z\n"), "text read as a time"
        ),
        _start(
            "start_twelve_hour_clock",
            '"12/31/2023 11:59:30 PM"',
            text("12/31/2023 11:59:30 PM"),
            _READ_UTC,
            "2023-12-31T23:59:30+00:00",
        ),
        _start(
            "start_day_first", '"31.12.2023 23:59"', text("31.12.2023 23:59"), _READ_UTC, "2023-12-31T23:59:00+00:00"
        ),
        _start(
            "start_same_day_and_month",
            '"03/03/2024 10:00"',
            text("03/03/2024 10:00"),
            _READ_UTC,
            "2024-03-03T10:00:00+00:00",
            repairs=f"start_time: {_READ_UTC}; end_time: before start_time",
        ),
        _start("start_compact", '"20240301100000"', text("20240301100000"), _READ_UTC),
        _start(
            "start_date_only",
            '"2024-03-01"',
            text("2024-03-01"),
            "date without a time of day read as midnight in UTC",
            "2024-03-01T00:00:00+00:00",
        ),
        _start("start_epoch_s", "Int32 1709287200", value(1_709_287_200), "read as seconds since 1970"),
        _start(
            "start_epoch_s_double",
            "1709287200.25",
            value(1_709_287_200.25),
            "read as seconds since 1970",
            "2024-03-01T10:00:00.250+00:00",
        ),
        _start(
            "start_epoch_ms",
            "Int64 1709287200000",
            value(bson.Int64(1_709_287_200_000)),
            "read as milliseconds since 1970",
        ),
        _start(
            "start_epoch_us",
            "Int64 1709287200000000",
            value(bson.Int64(1_709_287_200_000_000)),
            "read as microseconds since 1970",
        ),
        _start("start_epoch_text", '"1709287200000"', text("1709287200000"), "read as milliseconds since 1970"),
        _start(
            "start_epoch_decimal",
            "Decimal128 1709287200.5",
            value(Decimal128("1709287200.5")),
            "read as seconds since 1970",
            "2024-03-01T10:00:00.500+00:00",
        ),
        _start(
            "start_timestamp",
            "Timestamp(1709287200, 7)",
            value(bson.Timestamp(1_709_287_200, 7)),
            "BSON timestamp read as a time",
        ),
        _start(
            "date_before_1970", "1969-07-20T20:17:40.001", date(-14_182_939_999), "", "1969-07-20T20:17:40.001+00:00"
        ),
        _start("date_1678", "1678-01-01T00:00:00", date(-9_214_560_000_000), "", "1678-01-01T00:00:00+00:00"),
        _start(
            "date_2261",
            "2261-12-31T23:59:59.999",
            date(9_214_646_399_999),
            "",
            "2261-12-31T23:59:59.999+00:00",
            repairs="end_time: before start_time",
        ),
        Case(
            "start_other_name",
            "startedAt instead of start_time",
            call(("startedAt", value(START)), without="start_time"),
            {"startedAt": START, "repairs": f"{_TAKEN} startedAt"},
        ),
        Case(
            "start_null_other_name",
            "start_time: null, createdAt: a date",
            call(("createdAt", value(START)), start_time=value(None)),
            {"createdAt": START, "repairs": f"{_TAKEN} createdAt"},
        ),
        Case(
            "start_blank_other_name",
            "start_time: (a no-break space), createdAt: a date",
            call(("createdAt", value(START)), start_time=text("\u00a0")),
            {"createdAt": START, "repairs": f"{_TAKEN} createdAt"},
        ),
        Case(
            "start_nested",
            "call: {startTime} instead of start_time",
            call(("call", nested([("startTime", value(START))])), without="start_time"),
            {"call_startTime": START, "repairs": f"{_TAKEN} call.startTime"},
        ),
        Case("start_twice", "start_time twice", call(("start_time", value(END))), {"start_time_2": END}),
        Case(
            "start_ambiguous_but_settled",
            '"03/04/2024 10:00" with CALLVIZ_DATE_ORDER=dmy',
            call(start_time=text("03/04/2024 10:00"), end_time=value(None)),
            {
                "start_time": dt.datetime(2024, 4, 3, 10, tzinfo=dt.UTC),
                "call_date": dt.date(2024, 4, 3),
                "call_weekday": "Wednesday",
                "end_time": None,
                "repairs": f"start_time: {_READ_UTC}",
            },
            settings={"CALLVIZ_DATE_ORDER": "dmy"},
        ),
        Case(
            "start_local_text",
            '"2024-03-01T10:00:00" with CALLVIZ_SOURCE_TIMEZONE=Europe/Berlin',
            call(start_time=text("2024-03-01T10:00:00")),
            {
                "start_time": dt.datetime(2024, 3, 1, 9, tzinfo=dt.UTC),
                "call_hour": 9,
                "repairs": "start_time: text read as a time in Europe/Berlin",
            },
            settings={"CALLVIZ_SOURCE_TIMEZONE": "Europe/Berlin"},
        ),
        Case(
            "start_local_text_twice",
            '"2023-10-29T02:30:00" with CALLVIZ_SOURCE_TIMEZONE=Europe/Berlin',
            call(start_time=text("2023-10-29T02:30:00")),
            {
                "start_time": dt.datetime(2023, 10, 29, 0, 30, tzinfo=dt.UTC),
                "call_date": dt.date(2023, 10, 29),
                "call_weekday": "Sunday",
                "call_hour": 0,
                "repairs": "start_time: text read as a time in Europe/Berlin (a local time that came twice when the "
                "clocks went back: the first was taken)",
            },
            settings={"CALLVIZ_SOURCE_TIMEZONE": "Europe/Berlin"},
        ),
    ],
    "Start times for which a document is rejected": [
        _no_start("start_missing", "(missing)", None, "missing", None),
        _no_start("start_null", "null", value(None), "missing", None),
        _no_start("start_undefined", "undefined", (raw.UNDEFINED, b""), "missing", None),
        _no_start("start_empty", '""', text(""), "missing", None),
        _no_start("start_blank", '" \\t"', text(" \t"), "missing", None),
        _no_start("start_words", '"yesterday"', text("yesterday"), "unreadable", "yesterday"),
        _no_start("start_time_of_day", '"10:00"', text("10:00"), "unreadable", "10:00"),
        _no_start("start_no_such_day", '"2024-02-30"', text("2024-02-30"), "unreadable", "2024-02-30"),
        _no_start(
            "start_zone_name",
            '"Fri, 01 Mar 2024 10:00:00 CET"',
            text("Fri, 01 Mar 2024 10:00:00 CET"),
            "unreadable",
            "Fri, 01 Mar 2024 10:00:00 CET",
        ),
        _no_start("start_two_digit_year", '"03/04/24"', text("03/04/24"), "unreadable", "03/04/24"),
        _no_start("start_invalid_utf8", "bytes 61 ff 62", text(b"a\xffb"), "unreadable", "a\\xffb"),
        _no_start("start_endless_digits", '"999…" (5,000 digits)', text("9" * 5_000), "unreadable", "9" * 5_000),
        _no_start("start_ambiguous", '"03/04/2024 10:00"', text("03/04/2024 10:00"), "ambiguous", "03/04/2024 10:00"),
        _no_start("start_small_number", "42", value(42), "unreadable", "42"),
        _no_start("start_nan", "NaN", value(float("nan")), "unreadable", "NaN"),
        _no_start("start_infinity", "Infinity", value(float("inf")), "unreadable", "Infinity"),
        _no_start("start_decimal_nan", "Decimal128 sNaN", value(Decimal128("sNaN")), "unreadable", "NaN"),
        _no_start(
            "start_decimal_huge",
            "Decimal128 1E+6144",
            value(Decimal128("1E+6144")),
            "out_of_range",
            "1.000000000000000000000000000000000E+6144",
        ),
        _no_start("start_bool", "true", value(True), "unreadable", "true"),
        _no_start("start_objectid", "ObjectId", value(ID), "unreadable", str(ID)),
        _no_start(
            "start_array", "[a date]", array([value(START)]), "unreadable", '[{"$date": "2024-03-01T10:00:00.000Z"}]'
        ),
        _no_start("start_empty_object", "{}", nested([]), "unreadable", "{}"),
        _no_start(
            "date_1677", "1677-12-31T23:59:59.999", date(-9_214_560_000_001), "out_of_range", "1677-12-31 23:59:59.999"
        ),
        _no_start(
            "date_2262", "2262-01-01T00:00:00", date(9_214_646_400_000), "out_of_range", "2262-01-01 00:00:00.000"
        ),
        _no_start(
            "date_9999", "9999-12-31T23:59:59.999", date(253_402_300_799_999), "out_of_range", "9999-12-31 23:59:59.999"
        ),
        _no_start(
            "date_year_10000",
            "DatetimeMS(253402300800000)",
            date(253_402_300_800_000),
            "out_of_range",
            '{"$date": {"$numberLong": "253402300800000"}}',
        ),
        _no_start(
            "date_year_0",
            "DatetimeMS(-62135596800001)",
            date(-62_135_596_800_001),
            "out_of_range",
            '{"$date": {"$numberLong": "-62135596800001"}}',
        ),
        _no_start(
            "date_last",
            "DatetimeMS(2^63 - 1)",
            date(2**63 - 1),
            "out_of_range",
            '{"$date": {"$numberLong": "9223372036854775807"}}',
        ),
        Case(
            "start_object",
            "start_time: {at: a date}",
            call(start_time=nested([("at", value(START))])),
            rejected=("start_unreadable", "start_time", '{"at": {"$date": "2024-03-01T10:00:00.000Z"}}'),
        ),
    ],
    "End times": [
        _end("end_missing", "(missing)", None, None),
        _end("end_null", "null", value(None), None),
        _end("end_empty", '""', text(""), None),
        _end(
            "end_iso",
            '"2024-03-01T10:05:00Z"',
            text("2024-03-01T10:05:00Z"),
            dt.datetime(2024, 3, 1, 10, 5, tzinfo=dt.UTC),
            "end_time: text read as a time",
        ),
        _end(
            "end_before_start",
            "an hour before the start",
            value(START - dt.timedelta(hours=1)),
            START - dt.timedelta(hours=1),
            "end_time: before start_time",
        ),
        _end(
            "end_words",
            '"still talking"',
            text("still talking"),
            None,
            'end_time: "still talking" is no time, left empty',
        ),
        _end(
            "end_ambiguous",
            '"03/04/2024 10:00"',
            text("03/04/2024 10:00"),
            None,
            'end_time: "03/04/2024 10:00" could mean two dates (set CALLVIZ_DATE_ORDER), left empty',
        ),
        _end(
            "end_9999",
            "9999-12-31T23:59:59.999",
            date(253_402_300_799_999),
            None,
            "end_time: 9999-12-31 23:59:59.999 lies outside 1678–2261, left empty",
        ),
        _end("end_bool", "false", value(False), None, "end_time: false is no time, left empty"),
        _end("end_object", "{}", nested([]), None, "end_time: {} is no time, left empty"),
        Case(
            "call_still_running",
            "no end_time, no duration_sec",
            call(without="end_time duration_sec"),
            {"end_time": None, "duration_sec": None},
        ),
    ],
    "Durations": [
        _duration("dur_missing", "(missing)", None, 120.0),
        _duration("dur_null", "null", value(None), 120.0),
        _duration("dur_empty", '""', text(""), 120.0),
        _duration("dur_zero", "0", value(0), 0.0),
        _duration("dur_minus_zero", "-0.0", value(-0.0), 0.0),
        _duration("dur_double", "2.5", value(2.5), 2.5),
        _duration("dur_decimal", "Decimal128 12.5", value(Decimal128("12.5")), 12.5),
        _duration(
            "dur_long_decimal",
            "Decimal128 12.345678901234567890123456789012",
            value(Decimal128("12.345678901234567890123456789012")),
            12.345678901234567,
            "duration_sec: decimal rounded to a number",
        ),
        _duration("dur_string", '"125"', text("125"), 125.0, "duration_sec: text read as a number"),
        _duration(
            "dur_clock", '"0:02:05"', text("0:02:05"), 125.0, "duration_sec: text read as hours, minutes and seconds"
        ),
        _duration("dur_string_junk", '"2m 5s"', text("2m 5s"), 120.0, 'duration_sec: "2m 5s" is no duration, left out'),
        _duration(
            "dur_endless_exponent",
            '"1e9999999999999999999"',
            text("1e9999999999999999999"),
            120.0,
            'duration_sec: "1e9999999999999999999" is no duration, left out',
        ),
        _duration("dur_negative", "-1", value(-1), 120.0, "duration_sec: -1 is negative, left out"),
        _duration(
            "dur_2p53",
            "Int64 9007199254740993",
            value(bson.Int64(2**53 + 1)),
            120.0,
            "duration_sec: 9007199254740993 is too large, left out",
        ),
        _duration("dur_nan", "NaN", value(float("nan")), 120.0, "duration_sec: NaN is no duration, left out"),
        _duration(
            "dur_infinity", "Infinity", value(float("inf")), 120.0, "duration_sec: Infinity is no duration, left out"
        ),
        _duration(
            "dur_decimal_nan",
            "Decimal128 sNaN",
            value(Decimal128("sNaN")),
            120.0,
            "duration_sec: NaN is no duration, left out",
        ),
        _duration("dur_bool", "true", value(True), 120.0, "duration_sec: true is no duration, left out"),
        _duration(
            "dur_date", "a date", value(START), 120.0, "duration_sec: 2024-03-01 10:00:00.000 is no duration, left out"
        ),
        _duration("dur_array", "[5]", array([value(5)]), 120.0, "duration_sec: [5] is no duration, left out"),
        Case(
            "dur_object",
            "duration_sec: {s: 5}",
            call(duration_sec=nested([("s", value(5))])),
            {"duration_sec_s": 5, "repairs": 'duration_sec: {"s": 5} is no duration, left out'},
        ),
        Case(
            "dur_milliseconds",
            "durationMs: 125000 instead of duration_sec",
            call(("durationMs", value(125_000)), without="duration_sec"),
            {"duration_sec": 125.0, "durationMs": 125_000, "repairs": "duration_sec: taken from durationMs"},
        ),
        Case(
            "dur_negative_and_no_end",
            "duration_sec: -1, no end_time",
            call(without="end_time", duration_sec=value(-1)),
            {"end_time": None, "duration_sec": None, "repairs": "duration_sec: -1 is negative, left out"},
        ),
        Case(
            "dur_missing_end_before_start",
            "no duration_sec, end_time before start_time",
            call(without="duration_sec", end_time=value(START - dt.timedelta(hours=1))),
            {"end_time": START - dt.timedelta(hours=1), "duration_sec": None, "repairs": "end_time: before start_time"},
        ),
    ],
    "Types and statuses": [
        _label("call_type", "type_missing", "(missing)", None, "unknown"),
        _label("call_type", "type_null", "null", value(None), "unknown"),
        _label("call_type", "type_empty", '""', text(""), "unknown"),
        _label("call_type", "type_blank", '" " (no-break and ideographic spaces)', text("\u00a0\u3000"), "unknown"),
        _label(
            "call_type",
            "type_mixed_case",
            '"InComing"',
            text("InComing"),
            "incoming",
            'call_type: "InComing" written as incoming',
        ),
        _label(
            "call_type",
            "type_whitespace",
            '" incoming "',
            text(" incoming "),
            "incoming",
            'call_type: " incoming " written as incoming',
        ),
        _label(
            "call_type",
            "type_unknown_label",
            '" Überraschung "',
            text(" Überraschung "),
            "Überraschung",
            'call_type: " Überraschung " written as Überraschung',
        ),
        _label("call_type", "type_int", "1", value(1), "1", "call_type: int kept as text"),
        _label("call_type", "type_bool", "true", value(True), "true", "call_type: bool kept as text"),
        _label("call_type", "type_array", '["a"]', array([text("a")]), '["a"]', "call_type: array kept as text"),
        _label(
            "call_type",
            "type_invalid_utf8",
            "bytes 61 ff",
            text(b"a\xff"),
            "a\\xff",
            "call_type: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
        _label("status", "status_missing", "(missing)", None, "unknown"),
        _label("status", "status_unknown", '"teleported"', text("teleported"), "teleported"),
        _label(
            "status",
            "status_other_spelling",
            '"NO_ANSWER"',
            text("NO_ANSWER"),
            "no-answer",
            'status: "NO_ANSWER" written as no-answer',
        ),
        _label(
            "status",
            "status_canceled",
            '"canceled"',
            text("canceled"),
            "cancelled",
            'status: "canceled" written as cancelled',
        ),
        _label("status", "status_rtl_emoji", '"שלום 📞"', text("שלום 📞"), "שלום 📞"),
        _label("status", "status_nan", "NaN", value(float("nan")), "NaN", "status: double kept as text"),
        Case(
            "status_object",
            'status: {code: "busy"}',
            call(status=nested([("code", text("busy"))])),
            {"status": '{"code": "busy"}', "status_code": "busy", "repairs": "status: object kept as text"},
        ),
        Case(
            "status_other_name",
            'state: "busy" instead of status',
            call(("state", text("busy")), without="status"),
            {"status": "busy", "state": "busy", "repairs": "status: taken from state"},
        ),
    ],
    "Text": [
        _queue("null_value", "null", value(None), None),
        _queue("missing_value", "(missing)", None, None),
        _queue("undefined_value", "undefined", (raw.UNDEFINED, b""), None),
        _queue("empty_string", '""', text(""), ""),
        _queue("leading_space", '"  sales "', text("  sales "), "  sales "),
        _queue("null_word", '"NULL"', text("NULL"), "NULL"),
        _queue("leading_zero", '"0044123"', text("0044123"), "0044123"),
        _queue("phone", '"+15550001234"', text("+15550001234"), "+15550001234"),
        _queue("comma_quote", '"a,\\"b\\""', text('a,"b"'), 'a,"b"'),
        _queue("newline", '"a\\nb"', text("a\nb"), "a\nb"),
        _queue("carriage_return", '"a\\rb"', text("a\rb"), "a\rb"),
        _queue("crlf", '"a\\r\\nb"', text("a\r\nb"), "a\r\nb"),
        _queue("other_line_breaks", '"a\\u0085b\\u2028c\\u000bd"', text("a\x85b\u2028c\x0bd"), "a\x85b\u2028c\x0bd"),
        _queue("tab", '"a\\tb"', text("a\tb"), "a\tb"),
        _queue("backslash", '"a\\\\nb"', text("a\\nb"), "a\\nb"),
        _queue("nul", '"a\\u0000b"', text("a\x00b"), "a\x00b"),
        _queue("formula_eq", '"=HYPERLINK(1)"', text("=HYPERLINK(1)"), "=HYPERLINK(1)"),
        _queue("formula_at", '"@SUM(1)"', text("@SUM(1)"), "@SUM(1)"),
        _queue("formula_minus", "\"-2+3+cmd|' /C calc'!A0\"", text("-2+3+cmd|' /C calc'!A0"), "-2+3+cmd|' /C calc'!A0"),
        _queue("emoji_rtl", '"👩‍👩‍👧 שלום"', text("👩‍👩‍👧 שלום"), "👩‍👩‍👧 שלום"),
        _queue("long_1mb", "a million characters", text(_LONG), _LONG),
        _queue(
            "invalid_utf8",
            "bytes 61 ff 62",
            text(b"a\xffb"),
            "a\\xffb",
            "queue: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
        _queue(
            "half_surrogate",
            "bytes ed a0 80",
            text(b"\xed\xa0\x80"),
            "\\xed\\xa0\\x80",
            "queue: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
    ],
    "Other BSON types where the field is text elsewhere": [
        _typed("text_int", "5", value(5), "5", "int"),
        _typed("text_int64", "Int64 9007199254740993", value(bson.Int64(2**53 + 1)), "9007199254740993", "long"),
        _typed("text_double", "2.5", value(2.5), "2.5", "double"),
        _typed("text_nan", "NaN", value(float("nan")), "NaN", "double"),
        _typed("text_minus_zero", "-0.0", value(-0.0), "-0", "double"),
        _typed(
            "text_decimal",
            "Decimal128 12.345678901234567890123456789012",
            value(Decimal128("12.345678901234567890123456789012")),
            "12.345678901234567890123456789012",
            "decimal",
        ),
        _typed("text_bool", "true", value(True), "true", "bool"),
        _typed("text_date", "2024-03-01T10:00:00", value(START), "2024-03-01 10:00:00.000", "date"),
        _typed(
            "text_date_10000",
            "DatetimeMS(253402300800000)",
            date(253_402_300_800_000),
            '{"$date": {"$numberLong": "253402300800000"}}',
            "date",
        ),
        _typed("bson_objectid", "ObjectId", value(ID), str(ID), "objectId"),
        _typed("bson_uuid", "UUID", value(UUID), str(UUID), "binData"),
        _typed(
            "bson_uuid_legacy",
            "UUID, subtype 3",
            value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY)),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',
            "binData",
        ),
        _typed(
            "bson_binary",
            "bytes ff 00",
            _binary(b"\xff\x00", 0),
            '{"$binary": {"base64": "/wA=", "subType": "00"}}',
            "binData",
        ),
        _typed(
            "bson_binary_old",
            "bytes ff 00, subtype 2",
            _binary(b"\x02\x00\x00\x00\xff\x00", 2),
            '{"$binary": {"base64": "/wA=", "subType": "02"}}',
            "binData",
        ),
        _typed(
            "bson_binary_md5",
            "16 bytes, subtype 5",
            _binary(UUID.bytes, 5),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "05"}}',
            "binData",
        ),
        _typed(
            "bson_binary_own",
            "bytes ff 00, subtype 128",
            _binary(b"\xff\x00", 128),
            '{"$binary": {"base64": "/wA=", "subType": "80"}}',
            "binData",
        ),
        _typed(
            "bson_timestamp",
            "Timestamp(1709287200, 7)",
            value(bson.Timestamp(1_709_287_200, 7)),
            '{"$timestamp": {"t": 1709287200, "i": 7}}',
            "timestamp",
        ),
        _typed(
            "bson_regex",
            "/^a.*/i",
            (raw.REGEX, b"^a.*\x00i\x00"),
            '{"$regularExpression": {"pattern": "^a.*", "options": "i"}}',
            "regex",
        ),
        _typed("bson_code", "Code f()", (raw.CODE, text("f()")[1]), '{"$code": "f()"}', "javascript"),
        _typed(
            "bson_code_with_scope",
            "Code f(x) with {x: 1}",
            _with_scope("f(x)", [("x", value(1))]),
            '{"$code": "f(x)", "$scope": {"x": 1}}',
            "javascriptWithScope",
        ),
        _typed("bson_symbol", "Symbol sales", (raw.SYMBOL, text("sales")[1]), "sales", "symbol"),
        _typed(
            "bson_dbpointer",
            "DBPointer",
            (raw.DB_POINTER, text("users")[1] + ID.binary),
            f'{{"$dbPointer": {{"$ref": "users", "$id": {{"$oid": "{ID}"}}}}}}',
            "dbPointer",
        ),
        _typed(
            "bson_dbref", 'DBRef("users", 7)', value(bson.DBRef("users", 7)), '{"$ref": "users", "$id": 7}', "object"
        ),
        _typed("bson_minkey", "MinKey", (raw.MIN_KEY, b""), '{"$minKey": 1}', "minKey"),
        _typed("bson_maxkey", "MaxKey", (raw.MAX_KEY, b""), '{"$maxKey": 1}', "maxKey"),
        _typed("text_array", '["a", 1, null]', array([text("a"), value(1), value(None)]), '["a", 1, null]', "array"),
        _typed("text_empty_array", "[]", array([]), "[]", "array"),
        _typed("text_empty_object", "{}", nested([]), "{}", "object"),
        Case("text_object", "queue: {id: 7}", call(queue=nested([("id", value(7))])), {"queue": None, "queue_id": 7}),
    ],
    "Numbers": [
        Case("number_missing", "attempts: (missing)", call(without="attempts"), {"attempts": None}),
        Case(
            "number_int64",
            "attempts: Int64 9007199254740993",
            call(attempts=value(bson.Int64(2**53 + 1))),
            {"attempts": 2**53 + 1},
        ),
        Case(
            "number_first_int64",
            "attempts: Int64 -9223372036854775808",
            call(attempts=value(bson.Int64(-(2**63)))),
            {"attempts": -(2**63)},
        ),
        Case("number_double", "attempts: 2.5", call(attempts=value(2.5)), {"attempts": 2.5}),
        Case(
            "number_infinity", "attempts: -Infinity", call(attempts=value(float("-inf"))), {"attempts": float("-inf")}
        ),
        Case(
            "number_text",
            'attempts: "twice"',
            call(attempts=text("twice")),
            {"attempts": "twice", "repairs": "attempts: string kept as text"},
        ),
        Case(
            "number_bool",
            "attempts: true",
            call(attempts=value(True)),
            {"attempts": "true", "repairs": "attempts: bool kept as text"},
        ),
        Case(
            "number_decimal",
            "attempts: Decimal128 1.10",
            call(attempts=value(Decimal128("1.10"))),
            {"attempts": "1.10", "repairs": "attempts: decimal kept as text"},
        ),
    ],
    "Fields that only some documents have": [
        _extra("extra_field_late", 'surprise: "only here"', ("surprise", text("only here")), surprise="only here"),
        _extra("extra_null", "surprise: null", ("surprise", value(None)), surprise=None),
        _extra(
            "extra_date",
            "expires: 9999-12-29T23:59:59",
            ("expires", date(253_402_127_999_000)),
            expires=dt.datetime(9999, 12, 29, 23, 59, 59, tzinfo=dt.UTC),
        ),
        _extra(
            "extra_date_too_late",
            "expires: DatetimeMS(253402300800000)",
            ("expires", date(253_402_300_800_000)),
            expires='{"$date": {"$numberLong": "253402300800000"}}',
        ),
        _extra(
            "nested_caller",
            'caller: {number: "+1555", name: "Ann"}',
            ("caller", nested([("number", text("+1555")), ("name", text("Ann"))])),
            caller_number="+1555",
            caller_name="Ann",
        ),
        _extra(
            "tags_array", 'tags: ["vip", "a,b"]', ("tags", array([text("vip"), text("a,b")])), tags='["vip", "a,b"]'
        ),
        _extra(
            "transfers_array",
            "transfers: [{agent: 7, at: a date}]",
            ("transfers", array([nested([("agent", value(7)), ("at", value(START))])])),
            transfers='[{"agent": 7, "at": {"$date": "2024-03-01T10:00:00.000Z"}}]',
        ),
        _extra(
            "nested_10_deep",
            "deep: {level1: {level2: … {level10: 1}}}",
            ("deep", _deep(10)),
            deep_level1_level2_level3_level4_level5_level6_level7='{"level8": {"level9": {"level10": 1}}}',
        ),
        _extra("dup_call_id", 'call_id: "c-1", as another document has it', ("call_id", text("c-1")), call_id="c-1"),
    ],
    "Names of fields": [
        _named("key_dot", '"a.b": "dot"', [("a.b", text("dot"))], {"a.b": "dot"}),
        _named(
            "key_dot_collision",
            '"a.b": "dot" beside a: {b: "nested"}',
            [("a.b", text("dot")), ("a", nested([("b", text("nested"))]))],
            {"a.b": "dot", "a_b": "nested"},
        ),
        _named(
            "key_flattening_collision",
            'a_b: "flat" beside a: {b: "nested"}',
            [("a_b", text("flat")), ("a", nested([("b", text("nested"))]))],
            {"a_b": "flat", "a_b_2": "nested"},
        ),
        _named("key_dollar", '"$price": 5', [("$price", value(5))], {"$price": 5}),
        _named("key_unicode", '"名前 x": "v"', [("名前 x", text("v"))], {"名前 x": "v"}),
        _named(
            "key_slash_plus_digit",
            '"a/b": 1, "+c": 2, "1st": 3',
            [("a/b", value(1)), ("+c", value(2)), ("1st", value(3))],
            {"a/b": 1, "+c": 2, "1st": 3},
        ),
        _named("key_case_clash", 'Queue: "Q2" beside queue', [("Queue", text("Q2"))], {"Queue_2": "Q2"}),
        _named(
            "key_contract_clash",
            'call_date: "x", Repairs: "y"',
            [("call_date", text("x")), ("Repairs", text("y"))],
            {"call_date_2": "x", "Repairs_2": "y"},
        ),
        _named("key_empty", '"": "v"', [("", text("v"))], {"unnamed": "v"}),
        _named("key_formula", '"=cmd": "v"', [("=cmd", text("v"))], {"=cmd": "v"}),
        _named("key_line_break", '"a\\nb": "v"', [("a\nb", text("v"))], {"a\nb": "v"}),
        _named("key_invalid_utf8", "bytes 6b ff as a name", [(b"k\xff", text("v"))], {"k\\xff": "v"}),
        _named(
            "dup_key",
            'note: "one", note: "two"',
            [("note", text("one")), ("note", text("two"))],
            {"note": "one", "note_2": "two"},
        ),
        _named(
            "dup_key_nested",
            "a: {b: 1}, a: {b: 2, b: 3}",
            [("a", nested([("b", value(1))])), ("a", nested([("b", value(2)), ("b", value(3))]))],
            {"a_b": 1, "a_2_b": 2, "a_2_b_2": 3},
        ),
        _named(
            "dup_key_in_array",
            "list: [{b: 1, b: 2}]",
            [("list", array([nested([("b", value(1)), ("b", value(2))])]))],
            {"list": '[{"b": 1, "b": 2}]'},
        ),
    ],
    "Identifiers": [
        _id("id_string", '"call-77"', text("call-77"), "call-77"),
        _id("id_empty_string", '""', text(""), ""),
        _id("id_int", "42", value(42), "42"),
        _id("id_double", "2.5", value(2.5), "2.5"),
        _id("id_uuid", "UUID", value(UUID), str(UUID)),
        _id(
            "id_uuid_legacy",
            "UUID, subtype 3",
            value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY)),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',
        ),
        _id("id_bytes", "bytes ff 00", _binary(b"\xff\x00", 0), '{"$binary": {"base64": "/wA=", "subType": "00"}}'),
        _id("id_date", "2024-03-01T10:00:00", value(START), "2024-03-01T10:00:00.000Z"),
        _id("id_null", "null", value(None), "null"),
        _id("id_minkey", "MinKey", (raw.MIN_KEY, b""), '{"$minKey": 1}'),
        Case(
            "id_object",
            "_id: {tenant: 1, n: 7}",
            call(_id=nested([("tenant", value(1)), ("n", value(7))])),
            {"_id": '{"tenant": 1, "n": 7}', "_id_tenant": 1, "_id_n": 7},
        ),
        Case(
            "id_invalid_utf8",
            "_id: bytes 61 ff",
            call(_id=text(b"a\xff")),
            {"_id": "a\\xff", "repairs": "_id: bytes that are not UTF-8 shown as \\x and hex digits"},
        ),
        Case(
            "id_missing",
            "_id: (missing), as only a file can hold it",
            call(without="_id"),
            {"_id": "", "repairs": "_id: missing"},
        ),
    ],
}
CASES = [case for cases in SECTIONS.values() for case in cases]


# The document

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "awkward-documents.md"
_NAMES, _GALLERY = "<!-- names -->", "<!-- gallery -->"
_LONGEST = 90


def _code(shown: str) -> str:
    """Return text as code in a table's cell."""
    cut = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return f"`{_one_line(cut)}`"


def _one_line(shown: str) -> str:
    """Return text with its line breaks and control characters written out, fit for a table's cell."""
    invisible = {c for c in shown if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
    for character in invisible:
        shown = shown.replace(character, json.dumps(character)[1:-1])
    return shown.replace("|", "\\|")


def _cell(found: Any) -> str:
    if found is None:
        return "empty"
    if isinstance(found, dt.datetime):
        found = f"{found:%Y-%m-%d %H:%M:%S}" + (f".{found.microsecond:06}".rstrip("0") if found.microsecond else "")
    if found == "":
        return '`""`'
    if isinstance(found, float):
        found = f"{found:g}".replace("inf", "Infinity") if found in (float("-inf"), found // 1) else repr(found)
    return _code(str(found))


def _same(row: Cells, column: str) -> bool:
    return bool(row.get(column, CLEAN_ROW[column]) == CLEAN_ROW[column])


def became(case: Case) -> str:
    """Return what a case becomes, in words."""
    if case.rejected:
        reason, name, found = case.rejected
        return f"rejected: `{reason}`, {name} {_cell(found) if found is not None else 'empty'}"
    same = {"repairs"} | {name for name in ("call_date", "call_weekday", "call_hour") if _same(case.row, name)}
    columns = [f"{_one_line(column)} {_cell(found)}" for column, found in case.row.items() if column not in same]
    repairs = case.row.get("repairs", "")
    return "; ".join(columns) + (f"<br>*repairs:* {_code(repairs)}" if repairs else "")


def table() -> str:
    """Return all cases as Markdown tables."""
    lines = []
    for section, cases in SECTIONS.items():
        lines += [f"### {section}", "", "| case | in MongoDB | in `calls` |", "|---|---|---|"]
        lines += [f"| {case.name} | {_code(case.stored)} | {became(case)} |" for case in cases]
        lines.append("")
    return "\n".join(lines)


def names() -> str:
    """Return the names and labels that are known as a Markdown table."""
    labels = {"call_type": known_labels.TYPES, "status": known_labels.STATUSES}
    rows = [(f"field of the {role.replace('_', ' ')}", found) for role, found in vocabulary.FIELD_NAMES.items()]
    rows.append(("nested documents that are looked into", tuple(sorted(vocabulary.WRAPPERS))))
    rows += [(f"label of the {role.replace('_', ' ')}", found) for role, found in labels.items()]
    lines = ["| | known names |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {', '.join(map(_code, found))} |" for what, found in rows)])


def with_tables(document: str) -> str:
    """Return the document with the names behind their mark, up to the next heading, and the gallery at the end."""
    before, rest = document.split(_NAMES)
    between = rest[rest.index("\n## ") : rest.index(_GALLERY)]
    return f"{before}{_NAMES}\n\n{names()}\n{between}{_GALLERY}\n\n{table()}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
