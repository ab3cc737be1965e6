"""Awkward documents whose start or end is odd, with what they become."""

from __future__ import annotations

import datetime as dt

import bson
from bson import Decimal128

from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.awkward import (
    END,
    ID,
    READ_UTC,
    START,
    Case,
    call,
    end_case,
    no_start_case,
    start_case,
)
from callviz_dagster_tests.helpers.raw_bson import array, date, nested, text, value

_TAKEN = "start_time: taken from"

TIMES: dict[str, list[Case]] = {
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
        no_start_case("start_two_digit_year", '"03/04/24"', text("03/04/24"), "ambiguous", "03/04/24"),
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
            'end_time: "still talking" is not a time, left empty',
        ),
        end_case(
            "end_ambiguous",
            '"03/04/2024 10:00"',
            text("03/04/2024 10:00"),
            None,
            'end_time: "03/04/2024 10:00" is ambiguous (CALLVIZ_DATE_ORDER sets the order of day and '
            "month), left empty",
        ),
        end_case(
            "end_9999",
            "9999-12-31T23:59:59.999",
            date(253_402_300_799_999),
            None,
            "end_time: 9999-12-31 23:59:59.999 lies outside 1678–2261, left empty",
        ),
        end_case("end_bool", "false", value(False), None, "end_time: false is not a time, left empty"),
        end_case("end_object", "{}", nested([]), None, "end_time: {} is not a time, left empty"),
        Case(
            "call_still_running",
            "no end_time, no duration_sec",
            call(without="end_time duration_sec"),
            {"end_time": None, "duration_sec": None},
        ),
    ],
}
