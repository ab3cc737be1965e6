"""Awkward documents whose duration, type or status is odd, with what they become."""

from __future__ import annotations

import datetime as dt

import bson
from bson import Decimal128

from callviz_dagster_tests.helpers.awkward import (
    START,
    Case,
    call,
    duration_case,
    label_case,
)
from callviz_dagster_tests.helpers.raw_bson import array, nested, text, value

DURATIONS_AND_LABELS: dict[str, list[Case]] = {
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
            'duration_sec: "about 2 minutes" is not a duration, left out',
        ),
        duration_case(
            "dur_endless_exponent",
            '"1e9999999999999999999"',
            text("1e9999999999999999999"),
            120.0,
            'duration_sec: "1e9999999999999999999" is not a duration, left out',
        ),
        duration_case("dur_negative", "-1", value(-1), 120.0, "duration_sec: -1 is negative, left out"),
        duration_case(
            "dur_2p53",
            "Int64 9007199254740993",
            value(bson.Int64(2**53 + 1)),
            120.0,
            "duration_sec: 9007199254740993 is too large, left out",
        ),
        duration_case("dur_nan", "NaN", value(float("nan")), 120.0, "duration_sec: NaN is not a duration, left out"),
        duration_case(
            "dur_infinity", "Infinity", value(float("inf")), 120.0, "duration_sec: Infinity is not a duration, left out"
        ),
        duration_case(
            "dur_decimal_nan",
            "Decimal128 sNaN",
            value(Decimal128("sNaN")),
            120.0,
            "duration_sec: NaN is not a duration, left out",
        ),
        duration_case("dur_bool", "true", value(True), 120.0, "duration_sec: true is not a duration, left out"),
        duration_case(
            "dur_date",
            "a date",
            value(START),
            120.0,
            "duration_sec: 2024-03-01 10:00:00.000 is not a duration, left out",
        ),
        duration_case("dur_array", "[5]", array([value(5)]), 120.0, "duration_sec: [5] is not a duration, left out"),
        Case(
            "dur_object",
            "duration_sec: {s: 5}",
            call(duration_sec=nested([("s", value(5))])),
            {"duration_sec_s": 5, "repairs": 'duration_sec: {"s": 5} is not a duration, left out'},
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
}
