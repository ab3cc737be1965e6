"""Awkward documents by name, each with what it must become: expected rows and reasons are written out by hand.

`python -m callviz_dagster_tests.helpers.gallery` writes them as a table into `docs/awkward-documents.md`.
"""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
from pathlib import Path
from typing import Any

import bson
from bson import Decimal128
from bson.binary import Binary, UuidRepresentation

from callviz_dagster.documents import labels as known_labels
from callviz_dagster.documents.recognition import names as vocabulary
from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.awkward import (
    CLEAN_ROW,
    END,
    ID,
    READ_UTC,
    START,
    UUID,
    Case,
    Cells,
    binary,
    call,
    code_with_scope,
    deep,
    duration_case,
    end_case,
    extra_case,
    id_case,
    label_case,
    named_case,
    no_start_case,
    queue_case,
    start_case,
    typed_case,
)
from callviz_dagster_tests.helpers.gallery_forms import OTHER_FORMS
from callviz_dagster_tests.helpers.raw_bson import array, date, nested, text, value

_LONG = "long " * 200_000
_TAKEN = "start_time: taken from"

SECTIONS: dict[str, list[Case]] = {
    "Start times that are read": [
        start_case("start_iso_z", '"2024-03-01T10:00:00Z"', text("2024-03-01T10:00:00Z"), "text read as a time"),
        start_case(
            "start_iso_offset", '"2024-03-01T15:30:00+05:30"', text("2024-03-01T15:30:00+05:30"), "text read as a time"
        ),
        start_case(
            "start_iso_without_zone",
            '"2024-03-01T10:00:00.250"',
            text("2024-03-01T10:00:00.250"),
            READ_UTC,
            "2024-03-01T10:00:00.250+00:00",
        ),
        start_case(
            "start_iso_nanoseconds",
            '"2024-03-01T10:00:00.123456789Z"',
            text("2024-03-01T10:00:00.123456789Z"),
            "text read as a time, digits below a microsecond left out",
            "2024-03-01T10:00:00.123456+00:00",
        ),
        start_case(
            "start_rfc_2822",
            '"Fri, 01 Mar 2024 05:00:00 -0500"',
            text("Fri, 01 Mar 2024 05:00:00 -0500"),
            "text read as a time",
        ),
        start_case(
            "start_rfc_2822_zone_name",
            '"Fri, 01 Mar 2024 05:00:00 EST"',
            text("Fri, 01 Mar 2024 05:00:00 EST"),
            "text read as a time",
        ),
        start_case(
            "start_javascript",
            '"Fri Mar 01 2024 11:00:00 GMT+0100 (CET)"',
            text("Fri Mar 01 2024 11:00:00 GMT+0100 (CET)"),
            "text read as a time",
        ),
        start_case(
            "start_text_with_space_and_offset",
            '"2024-03-01 10:00:00 +0000"',
            text("2024-03-01 10:00:00 +0000"),
            "text read as a time",
        ),
        start_case(
            "start_spaces_around", '" 2024-03-01T10:00:00Z\\n"', text(" 2024-03-01T10:00:00Z\n"), "text read as a time"
        ),
        start_case(
            "start_twelve_hour_clock",
            '"12/31/2023 11:59:30 PM"',
            text("12/31/2023 11:59:30 PM"),
            READ_UTC,
            "2023-12-31T23:59:30+00:00",
        ),
        start_case(
            "start_day_first", '"31.12.2023 23:59"', text("31.12.2023 23:59"), READ_UTC, "2023-12-31T23:59:00+00:00"
        ),
        start_case(
            "start_same_day_and_month",
            '"03/03/2024 10:00"',
            text("03/03/2024 10:00"),
            READ_UTC,
            "2024-03-03T10:00:00+00:00",
            repairs=f"start_time: {READ_UTC}; end_time: before start_time",
        ),
        start_case("start_compact", '"20240301100000"', text("20240301100000"), READ_UTC),
        start_case(
            "start_date_only",
            '"2024-03-01"',
            text("2024-03-01"),
            "date without a time of day read as midnight in UTC",
            "2024-03-01T00:00:00+00:00",
        ),
        start_case("start_epoch_s", "Int32 1709287200", value(1_709_287_200), "read as seconds since 1970"),
        start_case(
            "start_epoch_s_double",
            "1709287200.25",
            value(1_709_287_200.25),
            "read as seconds since 1970",
            "2024-03-01T10:00:00.250+00:00",
        ),
        start_case(
            "start_epoch_ms",
            "Int64 1709287200000",
            value(bson.Int64(1_709_287_200_000)),
            "read as milliseconds since 1970",
        ),
        start_case(
            "start_epoch_us",
            "Int64 1709287200000000",
            value(bson.Int64(1_709_287_200_000_000)),
            "read as microseconds since 1970",
        ),
        start_case("start_epoch_text", '"1709287200000"', text("1709287200000"), "read as milliseconds since 1970"),
        start_case(
            "start_epoch_decimal",
            "Decimal128 1709287200.5",
            value(Decimal128("1709287200.5")),
            "read as seconds since 1970",
            "2024-03-01T10:00:00.500+00:00",
        ),
        start_case(
            "start_timestamp",
            "Timestamp(1709287200, 7)",
            value(bson.Timestamp(1_709_287_200, 7)),
            "BSON timestamp read as a time",
        ),
        start_case(
            "date_before_1970", "1969-07-20T20:17:40.001", date(-14_182_939_999), "", "1969-07-20T20:17:40.001+00:00"
        ),
        start_case("date_1678", "1678-01-01T00:00:00", date(-9_214_560_000_000), "", "1678-01-01T00:00:00+00:00"),
        start_case(
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
                "repairs": f"start_time: {READ_UTC}",
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
        no_start_case("start_missing", "(missing)", None, "missing", None),
        no_start_case("start_null", "null", value(None), "missing", None),
        no_start_case("start_undefined", "undefined", (raw.UNDEFINED, b""), "missing", None),
        no_start_case("start_empty", '""', text(""), "missing", None),
        no_start_case("start_blank", '" \\t"', text(" \t"), "missing", None),
        no_start_case("start_words", '"yesterday"', text("yesterday"), "unreadable", "yesterday"),
        no_start_case("start_time_of_day", '"10:00"', text("10:00"), "unreadable", "10:00"),
        no_start_case("start_no_such_day", '"2024-02-30"', text("2024-02-30"), "unreadable", "2024-02-30"),
        no_start_case(
            "start_zone_name",
            '"Fri, 01 Mar 2024 10:00:00 CET"',
            text("Fri, 01 Mar 2024 10:00:00 CET"),
            "unreadable",
            "Fri, 01 Mar 2024 10:00:00 CET",
        ),
        no_start_case("start_two_digit_year", '"03/04/24"', text("03/04/24"), "unreadable", "03/04/24"),
        no_start_case("start_invalid_utf8", "bytes 61 ff 62", text(b"a\xffb"), "unreadable", "a\\xffb"),
        no_start_case("start_endless_digits", '"999…" (5,000 digits)', text("9" * 5_000), "unreadable", "9" * 5_000),
        no_start_case(
            "start_ambiguous", '"03/04/2024 10:00"', text("03/04/2024 10:00"), "ambiguous", "03/04/2024 10:00"
        ),
        no_start_case("start_small_number", "42", value(42), "unreadable", "42"),
        no_start_case("start_nan", "NaN", value(float("nan")), "unreadable", "NaN"),
        no_start_case("start_infinity", "Infinity", value(float("inf")), "unreadable", "Infinity"),
        no_start_case("start_decimal_nan", "Decimal128 sNaN", value(Decimal128("sNaN")), "unreadable", "NaN"),
        no_start_case(
            "start_decimal_huge",
            "Decimal128 1E+6144",
            value(Decimal128("1E+6144")),
            "out_of_range",
            "1.000000000000000000000000000000000E+6144",
        ),
        no_start_case("start_bool", "true", value(True), "unreadable", "true"),
        no_start_case("start_objectid", "ObjectId", value(ID), "unreadable", str(ID)),
        no_start_case(
            "start_array", "[a date]", array([value(START)]), "unreadable", '[{"$date": "2024-03-01T10:00:00.000Z"}]'
        ),
        no_start_case("start_empty_object", "{}", nested([]), "unreadable", "{}"),
        no_start_case(
            "date_1677", "1677-12-31T23:59:59.999", date(-9_214_560_000_001), "out_of_range", "1677-12-31 23:59:59.999"
        ),
        no_start_case(
            "date_2262", "2262-01-01T00:00:00", date(9_214_646_400_000), "out_of_range", "2262-01-01 00:00:00.000"
        ),
        no_start_case(
            "date_9999", "9999-12-31T23:59:59.999", date(253_402_300_799_999), "out_of_range", "9999-12-31 23:59:59.999"
        ),
        no_start_case(
            "date_year_10000",
            "DatetimeMS(253402300800000)",
            date(253_402_300_800_000),
            "out_of_range",
            '{"$date": {"$numberLong": "253402300800000"}}',
        ),
        no_start_case(
            "date_year_0",
            "DatetimeMS(-62135596800001)",
            date(-62_135_596_800_001),
            "out_of_range",
            '{"$date": {"$numberLong": "-62135596800001"}}',
        ),
        no_start_case(
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
        end_case("end_missing", "(missing)", None, None),
        end_case("end_null", "null", value(None), None),
        end_case("end_empty", '""', text(""), None),
        end_case(
            "end_iso",
            '"2024-03-01T10:05:00Z"',
            text("2024-03-01T10:05:00Z"),
            dt.datetime(2024, 3, 1, 10, 5, tzinfo=dt.UTC),
            "end_time: text read as a time",
        ),
        end_case(
            "end_before_start",
            "an hour before the start",
            value(START - dt.timedelta(hours=1)),
            START - dt.timedelta(hours=1),
            "end_time: before start_time",
        ),
        end_case(
            "end_words",
            '"still talking"',
            text("still talking"),
            None,
            'end_time: "still talking" is no time, left empty',
        ),
        end_case(
            "end_ambiguous",
            '"03/04/2024 10:00"',
            text("03/04/2024 10:00"),
            None,
            'end_time: "03/04/2024 10:00" could mean several times (CALLVIZ_DATE_ORDER settles the order of day and '
            "month), left empty",
        ),
        end_case(
            "end_9999",
            "9999-12-31T23:59:59.999",
            date(253_402_300_799_999),
            None,
            "end_time: 9999-12-31 23:59:59.999 lies outside 1678–2261, left empty",
        ),
        end_case("end_bool", "false", value(False), None, "end_time: false is no time, left empty"),
        end_case("end_object", "{}", nested([]), None, "end_time: {} is no time, left empty"),
        Case(
            "call_still_running",
            "no end_time, no duration_sec",
            call(without="end_time duration_sec"),
            {"end_time": None, "duration_sec": None},
        ),
    ],
    "Durations": [
        duration_case("dur_missing", "(missing)", None, 120.0),
        duration_case("dur_null", "null", value(None), 120.0),
        duration_case("dur_empty", '""', text(""), 120.0),
        duration_case("dur_zero", "0", value(0), 0.0),
        duration_case("dur_minus_zero", "-0.0", value(-0.0), 0.0),
        duration_case("dur_double", "2.5", value(2.5), 2.5),
        duration_case("dur_decimal", "Decimal128 12.5", value(Decimal128("12.5")), 12.5),
        duration_case(
            "dur_long_decimal",
            "Decimal128 12.345678901234567890123456789012",
            value(Decimal128("12.345678901234567890123456789012")),
            12.345678901234567,
            "duration_sec: decimal rounded to a number",
        ),
        duration_case("dur_string", '"125"', text("125"), 125.0, "duration_sec: text read as a number"),
        duration_case(
            "dur_clock", '"0:02:05"', text("0:02:05"), 125.0, "duration_sec: text read as hours, minutes and seconds"
        ),
        duration_case(
            "dur_string_junk",
            '"about 2 minutes"',
            text("about 2 minutes"),
            120.0,
            'duration_sec: "about 2 minutes" is no duration, left out',
        ),
        duration_case(
            "dur_endless_exponent",
            '"1e9999999999999999999"',
            text("1e9999999999999999999"),
            120.0,
            'duration_sec: "1e9999999999999999999" is no duration, left out',
        ),
        duration_case("dur_negative", "-1", value(-1), 120.0, "duration_sec: -1 is negative, left out"),
        duration_case(
            "dur_2p53",
            "Int64 9007199254740993",
            value(bson.Int64(2**53 + 1)),
            120.0,
            "duration_sec: 9007199254740993 is too large, left out",
        ),
        duration_case("dur_nan", "NaN", value(float("nan")), 120.0, "duration_sec: NaN is no duration, left out"),
        duration_case(
            "dur_infinity", "Infinity", value(float("inf")), 120.0, "duration_sec: Infinity is no duration, left out"
        ),
        duration_case(
            "dur_decimal_nan",
            "Decimal128 sNaN",
            value(Decimal128("sNaN")),
            120.0,
            "duration_sec: NaN is no duration, left out",
        ),
        duration_case("dur_bool", "true", value(True), 120.0, "duration_sec: true is no duration, left out"),
        duration_case(
            "dur_date", "a date", value(START), 120.0, "duration_sec: 2024-03-01 10:00:00.000 is no duration, left out"
        ),
        duration_case("dur_array", "[5]", array([value(5)]), 120.0, "duration_sec: [5] is no duration, left out"),
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
        label_case("call_type", "type_missing", "(missing)", None, "unknown"),
        label_case("call_type", "type_null", "null", value(None), "unknown"),
        label_case("call_type", "type_empty", '""', text(""), "unknown"),
        label_case("call_type", "type_blank", '" " (no-break and ideographic spaces)', text("\u00a0\u3000"), "unknown"),
        label_case(
            "call_type",
            "type_mixed_case",
            '"InComing"',
            text("InComing"),
            "incoming",
            'call_type: "InComing" written as incoming',
        ),
        label_case(
            "call_type",
            "type_whitespace",
            '" incoming "',
            text(" incoming "),
            "incoming",
            'call_type: " incoming " written as incoming',
        ),
        label_case(
            "call_type",
            "type_unknown_label",
            '" Überraschung "',
            text(" Überraschung "),
            "Überraschung",
            'call_type: " Überraschung " written as Überraschung',
        ),
        label_case("call_type", "type_int", "1", value(1), "1", "call_type: int kept as text"),
        label_case("call_type", "type_bool", "true", value(True), "true", "call_type: bool kept as text"),
        label_case("call_type", "type_array", '["a"]', array([text("a")]), '["a"]', "call_type: array kept as text"),
        label_case(
            "call_type",
            "type_invalid_utf8",
            "bytes 61 ff",
            text(b"a\xff"),
            "a\\xff",
            "call_type: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
        label_case("status", "status_missing", "(missing)", None, "unknown"),
        label_case("status", "status_unknown", '"teleported"', text("teleported"), "teleported"),
        label_case(
            "status",
            "status_other_spelling",
            '"NO_ANSWER"',
            text("NO_ANSWER"),
            "no-answer",
            'status: "NO_ANSWER" written as no-answer',
        ),
        label_case(
            "status",
            "status_canceled",
            '"canceled"',
            text("canceled"),
            "cancelled",
            'status: "canceled" written as cancelled',
        ),
        label_case("status", "status_rtl_emoji", '"שלום 📞"', text("שלום 📞"), "שלום 📞"),
        label_case("status", "status_nan", "NaN", value(float("nan")), "NaN", "status: double kept as text"),
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
        queue_case("null_value", "null", value(None), None),
        queue_case("missing_value", "(missing)", None, None),
        queue_case("undefined_value", "undefined", (raw.UNDEFINED, b""), None),
        queue_case("empty_string", '""', text(""), ""),
        queue_case("leading_space", '"  sales "', text("  sales "), "  sales "),
        queue_case("null_word", '"NULL"', text("NULL"), "NULL"),
        queue_case("leading_zero", '"0044123"', text("0044123"), "0044123"),
        queue_case("phone", '"+15550001234"', text("+15550001234"), "+15550001234"),
        queue_case("comma_quote", '"a,\\"b\\""', text('a,"b"'), 'a,"b"'),
        queue_case("newline", '"a\\nb"', text("a\nb"), "a\nb"),
        queue_case("carriage_return", '"a\\rb"', text("a\rb"), "a\rb"),
        queue_case("crlf", '"a\\r\\nb"', text("a\r\nb"), "a\r\nb"),
        queue_case(
            "other_line_breaks", '"a\\u0085b\\u2028c\\u000bd"', text("a\x85b\u2028c\x0bd"), "a\x85b\u2028c\x0bd"
        ),
        queue_case("tab", '"a\\tb"', text("a\tb"), "a\tb"),
        queue_case("backslash", '"a\\\\nb"', text("a\\nb"), "a\\nb"),
        queue_case("nul", '"a\\u0000b"', text("a\x00b"), "a\x00b"),
        queue_case("formula_eq", '"=HYPERLINK(1)"', text("=HYPERLINK(1)"), "=HYPERLINK(1)"),
        queue_case("formula_at", '"@SUM(1)"', text("@SUM(1)"), "@SUM(1)"),
        queue_case(
            "formula_minus", "\"-2+3+cmd|' /C calc'!A0\"", text("-2+3+cmd|' /C calc'!A0"), "-2+3+cmd|' /C calc'!A0"
        ),
        queue_case("emoji_rtl", '"👩‍👩‍👧 שלום"', text("👩‍👩‍👧 שלום"), "👩‍👩‍👧 שלום"),
        queue_case("long_1mb", "a million characters", text(_LONG), _LONG),
        queue_case(
            "invalid_utf8",
            "bytes 61 ff 62",
            text(b"a\xffb"),
            "a\\xffb",
            "queue: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
        queue_case(
            "half_surrogate",
            "bytes ed a0 80",
            text(b"\xed\xa0\x80"),
            "\\xed\\xa0\\x80",
            "queue: bytes that are not UTF-8 shown as \\x and hex digits",
        ),
    ],
    "Other BSON types where the field is text elsewhere": [
        typed_case("text_int", "5", value(5), "5", "int"),
        typed_case("text_int64", "Int64 9007199254740993", value(bson.Int64(2**53 + 1)), "9007199254740993", "long"),
        typed_case("text_double", "2.5", value(2.5), "2.5", "double"),
        typed_case("text_nan", "NaN", value(float("nan")), "NaN", "double"),
        typed_case("text_minus_zero", "-0.0", value(-0.0), "-0", "double"),
        typed_case(
            "text_decimal",
            "Decimal128 12.345678901234567890123456789012",
            value(Decimal128("12.345678901234567890123456789012")),
            "12.345678901234567890123456789012",
            "decimal",
        ),
        typed_case("text_bool", "true", value(True), "true", "bool"),
        typed_case("text_date", "2024-03-01T10:00:00", value(START), "2024-03-01 10:00:00.000", "date"),
        typed_case(
            "text_date_10000",
            "DatetimeMS(253402300800000)",
            date(253_402_300_800_000),
            '{"$date": {"$numberLong": "253402300800000"}}',
            "date",
        ),
        typed_case("bson_objectid", "ObjectId", value(ID), str(ID), "objectId"),
        typed_case("bson_uuid", "UUID", value(UUID), str(UUID), "binData"),
        typed_case(
            "bson_uuid_legacy",
            "UUID, subtype 3",
            value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY)),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',
            "binData",
        ),
        typed_case(
            "bson_binary",
            "bytes ff 00",
            binary(b"\xff\x00", 0),
            '{"$binary": {"base64": "/wA=", "subType": "00"}}',
            "binData",
        ),
        typed_case(
            "bson_binary_old",
            "bytes ff 00, subtype 2",
            binary(b"\x02\x00\x00\x00\xff\x00", 2),
            '{"$binary": {"base64": "/wA=", "subType": "02"}}',
            "binData",
        ),
        typed_case(
            "bson_binary_md5",
            "16 bytes, subtype 5",
            binary(UUID.bytes, 5),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "05"}}',
            "binData",
        ),
        typed_case(
            "bson_binary_own",
            "bytes ff 00, subtype 128",
            binary(b"\xff\x00", 128),
            '{"$binary": {"base64": "/wA=", "subType": "80"}}',
            "binData",
        ),
        typed_case(
            "bson_timestamp",
            "Timestamp(1709287200, 7)",
            value(bson.Timestamp(1_709_287_200, 7)),
            '{"$timestamp": {"t": 1709287200, "i": 7}}',
            "timestamp",
        ),
        typed_case(
            "bson_regex",
            "/^a.*/i",
            (raw.REGEX, b"^a.*\x00i\x00"),
            '{"$regularExpression": {"pattern": "^a.*", "options": "i"}}',
            "regex",
        ),
        typed_case("bson_code", "Code f()", (raw.CODE, text("f()")[1]), '{"$code": "f()"}', "javascript"),
        typed_case(
            "bson_code_with_scope",
            "Code f(x) with {x: 1}",
            code_with_scope("f(x)", [("x", value(1))]),
            '{"$code": "f(x)", "$scope": {"x": 1}}',
            "javascriptWithScope",
        ),
        typed_case("bson_symbol", "Symbol sales", (raw.SYMBOL, text("sales")[1]), "sales", "symbol"),
        typed_case(
            "bson_dbpointer",
            "DBPointer",
            (raw.DB_POINTER, text("users")[1] + ID.binary),
            f'{{"$dbPointer": {{"$ref": "users", "$id": {{"$oid": "{ID}"}}}}}}',
            "dbPointer",
        ),
        typed_case(
            "bson_dbref", 'DBRef("users", 7)', value(bson.DBRef("users", 7)), '{"$ref": "users", "$id": 7}', "object"
        ),
        typed_case("bson_minkey", "MinKey", (raw.MIN_KEY, b""), '{"$minKey": 1}', "minKey"),
        typed_case("bson_maxkey", "MaxKey", (raw.MAX_KEY, b""), '{"$maxKey": 1}', "maxKey"),
        typed_case(
            "text_array", '["a", 1, null]', array([text("a"), value(1), value(None)]), '["a", 1, null]', "array"
        ),
        typed_case("text_empty_array", "[]", array([]), "[]", "array"),
        typed_case("text_empty_object", "{}", nested([]), "{}", "object"),
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
        extra_case("extra_field_late", 'surprise: "only here"', ("surprise", text("only here")), surprise="only here"),
        extra_case("extra_null", "surprise: null", ("surprise", value(None)), surprise=None),
        extra_case(
            "extra_date",
            "expires: 9999-12-29T23:59:59",
            ("expires", date(253_402_127_999_000)),
            expires=dt.datetime(9999, 12, 29, 23, 59, 59, tzinfo=dt.UTC),
        ),
        extra_case(
            "extra_date_too_late",
            "expires: DatetimeMS(253402300800000)",
            ("expires", date(253_402_300_800_000)),
            expires='{"$date": {"$numberLong": "253402300800000"}}',
        ),
        extra_case(
            "nested_caller",
            'caller: {number: "+1555", name: "Ann"}',
            ("caller", nested([("number", text("+1555")), ("name", text("Ann"))])),
            caller_number="+1555",
            caller_name="Ann",
        ),
        extra_case(
            "tags_array", 'tags: ["vip", "a,b"]', ("tags", array([text("vip"), text("a,b")])), tags='["vip", "a,b"]'
        ),
        extra_case(
            "transfers_array",
            "transfers: [{agent: 7, at: a date}]",
            ("transfers", array([nested([("agent", value(7)), ("at", value(START))])])),
            transfers='[{"agent": 7, "at": {"$date": "2024-03-01T10:00:00.000Z"}}]',
        ),
        extra_case(
            "nested_10_deep",
            "deep: {level1: {level2: … {level10: 1}}}",
            ("deep", deep(10)),
            deep_level1_level2_level3_level4_level5_level6_level7='{"level8": {"level9": {"level10": 1}}}',
        ),
        extra_case(
            "dup_call_id", 'call_id: "c-1", as another document has it', ("call_id", text("c-1")), call_id="c-1"
        ),
    ],
    "Names of fields": [
        named_case("key_dot", '"a.b": "dot"', [("a.b", text("dot"))], {"a.b": "dot"}),
        named_case(
            "key_dot_collision",
            '"a.b": "dot" beside a: {b: "nested"}',
            [("a.b", text("dot")), ("a", nested([("b", text("nested"))]))],
            {"a.b": "dot", "a_b": "nested"},
        ),
        named_case(
            "key_flattening_collision",
            'a_b: "flat" beside a: {b: "nested"}',
            [("a_b", text("flat")), ("a", nested([("b", text("nested"))]))],
            {"a_b": "flat", "a_b_2": "nested"},
        ),
        named_case("key_dollar", '"$price": 5', [("$price", value(5))], {"$price": 5}),
        named_case("key_unicode", '"名前 x": "v"', [("名前 x", text("v"))], {"名前 x": "v"}),
        named_case(
            "key_slash_plus_digit",
            '"a/b": 1, "+c": 2, "1st": 3',
            [("a/b", value(1)), ("+c", value(2)), ("1st", value(3))],
            {"a/b": 1, "+c": 2, "1st": 3},
        ),
        named_case("key_case_clash", 'Queue: "Q2" beside queue', [("Queue", text("Q2"))], {"Queue_2": "Q2"}),
        named_case(
            "key_contract_clash",
            'call_date: "x", Repairs: "y"',
            [("call_date", text("x")), ("Repairs", text("y"))],
            {"call_date_2": "x", "Repairs_2": "y"},
        ),
        named_case("key_empty", '"": "v"', [("", text("v"))], {"unnamed": "v"}),
        named_case("key_formula", '"=cmd": "v"', [("=cmd", text("v"))], {"=cmd": "v"}),
        named_case("key_line_break", '"a\\nb": "v"', [("a\nb", text("v"))], {"a\nb": "v"}),
        named_case("key_invalid_utf8", "bytes 6b ff as a name", [(b"k\xff", text("v"))], {"k\\xff": "v"}),
        named_case(
            "dup_key",
            'note: "one", note: "two"',
            [("note", text("one")), ("note", text("two"))],
            {"note": "one", "note_2": "two"},
        ),
        named_case(
            "dup_key_nested",
            "a: {b: 1}, a: {b: 2, b: 3}",
            [("a", nested([("b", value(1))])), ("a", nested([("b", value(2)), ("b", value(3))]))],
            {"a_b": 1, "a_2_b": 2, "a_2_b_2": 3},
        ),
        named_case(
            "dup_key_in_array",
            "list: [{b: 1, b: 2}]",
            [("list", array([nested([("b", value(1)), ("b", value(2))])]))],
            {"list": '[{"b": 1, "b": 2}]'},
        ),
    ],
    "Identifiers": [
        id_case("id_string", '"call-77"', text("call-77"), "call-77"),
        id_case("id_empty_string", '""', text(""), "", "_id: empty"),
        id_case("id_int", "42", value(42), "42"),
        id_case("id_double", "2.5", value(2.5), "2.5"),
        id_case("id_uuid", "UUID", value(UUID), str(UUID)),
        id_case(
            "id_uuid_legacy",
            "UUID, subtype 3",
            value(Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY)),
            '{"$binary": {"base64": "EjRWeBI0VniavBI0VniavA==", "subType": "03"}}',
        ),
        id_case("id_bytes", "bytes ff 00", binary(b"\xff\x00", 0), '{"$binary": {"base64": "/wA=", "subType": "00"}}'),
        id_case("id_date", "2024-03-01T10:00:00", value(START), "2024-03-01T10:00:00.000Z"),
        id_case("id_null", "null", value(None), "null"),
        id_case("id_minkey", "MinKey", (raw.MIN_KEY, b""), '{"$minKey": 1}'),
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
SECTIONS |= OTHER_FORMS
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


def _cell(cell: Any) -> str:
    if cell is None:
        return "empty"
    if isinstance(cell, dt.datetime):
        cell = f"{cell:%Y-%m-%d %H:%M:%S}" + (f".{cell.microsecond:06}".rstrip("0") if cell.microsecond else "")
    if cell == "":
        return '`""`'
    if isinstance(cell, float):
        cell = f"{cell:g}".replace("inf", "Infinity") if cell in (float("-inf"), cell // 1) else repr(cell)
    return _code(str(cell))


def _same(row: Cells, column: str) -> bool:
    return bool(row.get(column, CLEAN_ROW[column]) == CLEAN_ROW[column])


def became(case: Case) -> str:
    """Return what a case becomes, in words."""
    if case.rejected:
        reason, name, cell = case.rejected
        return f"rejected: `{reason}`, {name} {_cell(cell) if cell is not None else 'empty'}"
    same = {"repairs"} | {name for name in ("call_date", "call_weekday", "call_hour") if _same(case.row, name)}
    columns = [f"{_one_line(column)} {_cell(cell)}" for column, cell in case.row.items() if column not in same]
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
    rows = [
        (f"field of the {role.replace('_', ' ')}", names_of_kind)
        for role, names_of_kind in vocabulary.FIELD_NAMES.items()
    ]
    rows.append(("nested documents that are looked into", tuple(sorted(vocabulary.WRAPPERS))))
    rows += [(f"label of the {role.replace('_', ' ')}", names_of_kind) for role, names_of_kind in labels.items()]
    lines = ["| | known names |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| {what} | {', '.join(map(_code, names_of_kind))} |" for what, names_of_kind in rows)]
    )


def with_tables(document: str) -> str:
    """Return the document with the names behind their mark, up to the next heading, and the gallery at the end."""
    before, rest = document.split(_NAMES)
    between = rest[rest.index("\n## ") : rest.index(_GALLERY)]
    return f"{before}{_NAMES}\n\n{names()}\n{between}{_GALLERY}\n\n{table()}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
