"""Awkward documents whose values have less common forms, or whose labels look alike, with what they become."""

from __future__ import annotations

import bson
from bson import Decimal128

from callviz_dagster_tests.helpers.awkward import (
    END,
    READ_UTC,
    Case,
    call,
    duration_case,
    end_case,
    label_case,
    no_start_case,
    start_case,
)
from callviz_dagster_tests.helpers.raw_bson import nested, text, value

_READ = "text read as a time"
_DOCUMENT = "document read as a time"
_CONFIRMED = ", confirmed by another time of the document"
_PARTS = "duration_sec: text read as a number with units"
_ISO = "duration_sec: text read as a duration of ISO 8601"
_CLOCK = "duration_sec: text read as hours, minutes and seconds"
_MINUTES = "duration_sec: text read as minutes and seconds"


def _start_text(name: str, written: str, note: str = _READ, start: str = "") -> Case:
    return start_case(name, f'"{written}"', text(written), note, start)


def _duration_text(name: str, written: str, seconds: float, repairs: str) -> Case:
    return duration_case(name, f'"{written}"', text(written), seconds, repairs)


OTHER_FORMS: dict[str, list[Case]] = {
    "Start times in other forms": [
        _start_text("start_go", "2024-03-01 11:00:00 +0100 CET"),
        _start_text("start_go_clock", "2024-03-01 10:00:00 +0000 UTC m=+0.012345"),
        _start_text("start_java", "2024-03-01T11:00:00+01:00[Europe/Berlin]"),
        _start_text("start_region", "2024-03-01T11:00:00[Europe/Berlin]", f"{_READ} in Europe/Berlin"),
        _start_text("start_asp_net", "/Date(1709287200000)/"),
        _start_text("start_asp_net_offset", "/Date(1709287200000+0100)/"),
        _start_text("start_month_word", "01-Mar-2024 10:00:00", READ_UTC),
        _start_text("start_web_server", "01/Mar/2024:10:00:00 +0000"),
        _start_text("start_db2", "2024-03-01-10.00.00.000000", READ_UTC),
        _start_text("start_intl", "March 1, 2024 at 11:00:00 AM UTC+1"),
        _start_text("start_percent", "2024-03-01%2010%3A00%3A00", f"percent-encoded {READ_UTC}"),
        _start_text(
            "start_second_60", "2024-03-01T09:59:60Z", f"{_READ}, second 60 read as the start of the next minute"
        ),
        _start_text(
            "start_hour_24",
            "2024-02-29T24:00:00Z",
            f"{_READ}, 24:00 read as the next midnight",
            "2024-03-01T00:00:00+00:00",
        ),
        _start_text("start_compact_fraction", "20240301100000.25", READ_UTC, "2024-03-01T10:00:00.250+00:00"),
        _start_text("start_compact_milliseconds", "20240301100000250", READ_UTC, "2024-03-01T10:00:00.250+00:00"),
        start_case("start_compact_number", "Int64 20240301100000", value(bson.Int64(20_240_301_100_000)), READ_UTC),
        start_case(
            "start_epoch_ns",
            "Int64 1709287200000000000",
            value(bson.Int64(1_709_287_200_000_000_000)),
            "read as nanoseconds since 1970",
        ),
        start_case(
            "start_timestamp_2096",
            "Timestamp(4000000000, 1)",
            value(bson.Timestamp(4_000_000_000, 1)),
            "BSON timestamp read as a time",
            "2096-10-02T07:06:40+00:00",
            repairs="start_time: BSON timestamp read as a time; end_time: before start_time",
        ),
        _start_text("start_year_to_minute", "202403011000", f"12 digits read as year to minute in UTC{_CONFIRMED}"),
        _start_text(
            "start_short_year", "240301100000", f"12 digits read as year (two digits) to second in UTC{_CONFIRMED}"
        ),
        start_case(
            "start_ticks",
            "Int64 638448840000000000",
            value(bson.Int64(638_448_840_000_000_000)),
            f"read as ticks of .NET{_CONFIRMED}",
        ),
        start_case(
            "start_extended_json",
            '{$date: "2024-03-01T10:00:00Z"}',
            nested([("$date", text("2024-03-01T10:00:00Z"))]),
            _READ,
            **{"start_time_$date": "2024-03-01T10:00:00Z"},
        ),
        start_case(
            "start_firestore",
            "{_seconds: 1709287200, _nanoseconds: 0}",
            nested([("_seconds", value(1_709_287_200)), ("_nanoseconds", value(0))]),
            _DOCUMENT,
            start_time__seconds=1_709_287_200,
            start_time__nanoseconds=0,
        ),
        start_case(
            "start_protobuf",
            "{seconds: Int64 1709287200, nanos: 0}",
            nested([("seconds", value(bson.Int64(1_709_287_200))), ("nanos", value(0))]),
            _DOCUMENT,
            start_time_seconds=1_709_287_200,
            start_time_nanos=0,
        ),
        no_start_case("start_digits", '"201203101112"', text("201203101112"), "ambiguous", "201203101112"),
        no_start_case(
            "start_zone_contradicts",
            '"2024-03-01T10:00:00+03:00[Europe/Berlin]"',
            text("2024-03-01T10:00:00+03:00[Europe/Berlin]"),
            "ambiguous",
            "2024-03-01T10:00:00+03:00[Europe/Berlin]",
        ),
        no_start_case(
            "start_date_or_clock", '"2024-03-01-10:00"', text("2024-03-01-10:00"), "ambiguous", "2024-03-01-10:00"
        ),
        no_start_case(
            "start_offset_24",
            '"2024-03-01T10:00:00+24:00"',
            text("2024-03-01T10:00:00+24:00"),
            "unreadable",
            "2024-03-01T10:00:00+24:00",
        ),
        end_case("end_asp_net", '"/Date(1709287320000)/"', text("/Date(1709287320000)/"), END, f"end_time: {_READ}"),
    ],
    "Durations in other forms": [
        _duration_text("dur_iso", "PT2M5S", 125.0, _ISO),
        _duration_text("dur_units", "2m 5s", 125.0, _PARTS),
        _duration_text("dur_units_closed", "1m30s", 90.0, _PARTS),
        _duration_text("dur_seconds", "540s", 540.0, _PARTS),
        _duration_text("dur_words", "1 hour, 2 minutes and 5 seconds", 3725.0, _PARTS),
        _duration_text("dur_clock_comma", "00:02:05,5", 125.5, _CLOCK),
        _duration_text("dur_clock_days", "0 days 00:02:05", 125.0, _CLOCK),
        _duration_text("dur_clock_net", "1.00:02:05", 86_525.0, _CLOCK),
        _duration_text("dur_minutes", "01:55", 115.0, _MINUTES),
        _duration_text("dur_many_minutes", "75:30", 4530.0, _MINUTES),
        Case(
            "dur_minutes_or_hours",
            'duration_sec: "01:55", no end_time',
            call(without="end_time", duration_sec=text("01:55")),
            {
                "end_time": None,
                "duration_sec": None,
                "repairs": 'duration_sec: "01:55" could be minutes and seconds, or hours and minutes, left out',
            },
        ),
        Case(
            "dur_clock_in_milliseconds",
            'durationMs: "00:02:05" instead of duration_sec',
            call(("durationMs", text("00:02:05")), without="duration_sec"),
            {
                "duration_sec": 125.0,
                "durationMs": "00:02:05",
                "repairs": f"duration_sec: taken from durationMs; {_CLOCK}",
            },
        ),
        Case(
            "dur_protobuf",
            "duration_sec: {seconds: 125, nanos: 500000000}",
            call(duration_sec=nested([("seconds", value(125)), ("nanos", value(500_000_000))])),
            {
                "duration_sec": 125.5,
                "duration_sec_seconds": 125,
                "duration_sec_nanos": 500_000_000,
                "repairs": "duration_sec: document read as a duration",
            },
        ),
        duration_case("dur_decimal_small", "Decimal128 0.00005", value(Decimal128("0.00005")), 0.00005),
    ],
    "Labels that look alike": [
        label_case(
            "status",
            "status_zero_width",
            '"busy\\u200b"',
            text("busy\u200b"),
            "busy",
            'status: "busy\\u200b" written as busy',
        ),
        label_case(
            "status",
            "status_byte_order_mark",
            '"\\ufeffNO ANSWER"',
            text("\ufeffNO ANSWER"),
            "no-answer",
            'status: "\\ufeffNO ANSWER" written as no-answer',
        ),
        label_case(
            "status",
            "status_decomposed",
            '"refuse\\u0301"',
            text("refuse\u0301"),
            "refus\u00e9",
            'status: "refuse\u0301" written as refus\u00e9',
        ),
        label_case("status", "status_joined_emoji", '"👩‍👩‍👧"', text("👩‍👩‍👧"), "👩‍👩‍👧"),
        Case(
            "status_named_object",
            'status: {id: 3, name: "Busy"}',
            call(status=nested([("id", value(3)), ("name", text("Busy"))])),
            {
                "status": "busy",
                "status_id": 3,
                "status_name": "Busy",
                "repairs": 'status: name "Busy" written as busy',
            },
        ),
    ],
}
