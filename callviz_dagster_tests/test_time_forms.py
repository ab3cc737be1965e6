"""Any instant, written in each form, is read back; dates and times of day in two fields; documents that are times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.times import (
    AMBIGUOUS,
    OUT_OF_RANGE,
    UNREADABLE,
    Reading,
    join_date_and_clock,
    read_number,
    read_subdocument,
    read_text,
)
from callviz_dagster_tests.helpers.instants import BERLIN, CAME_TWICE, NEW_YORK, instants, micros, moment
from callviz_dagster_tests.helpers.raw_bson import examples

TEN = "2024-03-01T10:00:00+00:00"
JOINED = "date and time of day joined"
AS_DOCUMENT = "document read as a time"
KATHMANDU = "Asia/Kathmandu"

_moments = st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2099, 12, 30), timezones=st.just(dt.UTC))
_whole_seconds = _moments.map(lambda local_time: local_time.replace(microsecond=0))

WITH_ZONE: dict[str, Callable[[dt.datetime], str]] = {
    "Go": lambda m: m.astimezone(ZoneInfo(BERLIN)).strftime("%Y-%m-%d %H:%M:%S.%f %z %Z"),
    "Go, a zone without a name": lambda m: m.astimezone(ZoneInfo(KATHMANDU)).strftime("%Y-%m-%d %H:%M:%S.%f %z %Z"),
    "Go, with its second clock": lambda m: f"{m:%Y-%m-%d %H:%M:%S.%f} +0000 UTC m=+12.{m.microsecond:09}",
    "Java": lambda m: f"{m.astimezone(ZoneInfo(BERLIN)).isoformat()}[{BERLIN}]",
    "Java, in UTC": lambda m: f"{m:%Y-%m-%dT%H:%M:%S.%f}Z[UTC]",
    "RFC 9557": lambda m: f"{m:%Y-%m-%dT%H:%M:%S.%f}Z[{BERLIN}]",
    "PostgreSQL": lambda m: m.astimezone(ZoneInfo(NEW_YORK)).isoformat(" "),
    "log of a web server": lambda m: m.strftime("%d/%b/%Y:%H:%M:%S.%f +0000"),
    "JavaScript": lambda m: m.astimezone(ZoneInfo(BERLIN)).strftime("%a %b %d %Y %H:%M:%S.%f GMT%z (%Z)"),
    "12-hour clock": lambda m: m.strftime("%B %d, %Y at %I:%M:%S.%f %p UTC"),
    "a percent sign for all": lambda m: quote(m.isoformat(" "), safe=""),
    "encoded like a form": lambda m: quote_plus(m.isoformat(" ")),
    "half encoded": lambda m: m.isoformat().replace(":", "%3A"),
}
LOCAL: dict[str, Callable[[dt.datetime], str]] = {
    "digits and a fraction": lambda m: m.strftime("%Y%m%d%H%M%S.%f"),
    "digits and microseconds": lambda m: m.strftime("%Y%m%d%H%M%S%f"),
    "month as a word": lambda m: m.strftime("%d-%b-%Y %H:%M:%S.%f"),
    "month as a word behind the year": lambda m: m.strftime("%Y-%b-%d %H:%M:%S.%f"),
    "DB2": lambda m: m.strftime("%Y-%m-%d-%H.%M.%S.%f"),
    "12-hour clock": lambda m: m.strftime("%d-%b-%Y %I.%M.%S.%f %p"),
    "encoded": lambda m: m.strftime("%Y-%m-%d%%20%H%%3A%M%%3A%S.%f"),
}


@pytest.mark.parametrize("form", WITH_ZONE)
def test_an_instant_with_its_offset_or_zone_is_read_back(form: str) -> None:
    @examples(60)
    @given(_moments, st.sampled_from(["UTC", BERLIN, KATHMANDU]))
    def check(local_time: dt.datetime, zone: str) -> None:
        assert moment(read_text(WITH_ZONE[form](local_time), zone=zone).instant or 0) == local_time

    check()


@pytest.mark.parametrize("form", LOCAL)
@pytest.mark.parametrize("zone", ["UTC", KATHMANDU])
def test_a_local_time_is_read_back(form: str, zone: str) -> None:
    """In zones whose clocks were never put back in these years."""

    @examples(60)
    @given(st.datetimes(dt.datetime(1987, 1, 1), dt.datetime(2099, 12, 30)))
    def check(local_time: dt.datetime) -> None:
        reading = read_text(LOCAL[form](local_time), zone=zone)
        assert moment(reading.instant or 0) == local_time.replace(tzinfo=ZoneInfo(zone))
        assert zone in reading.note

    check()


@examples(100)
@given(_moments, st.sampled_from(["+0100", "-1130", ""]), st.booleans())
def test_milliseconds_of_asp_net_are_read_back(moment: dt.datetime, offset: str, escaped: bool) -> None:
    milliseconds = micros(moment.isoformat()) // 1000
    text = f"/Date({milliseconds}{offset})/"
    reading = read_text(text.replace("/", "\\/") if escaped else text, zone=BERLIN)
    assert reading.instant == milliseconds * 1000


TWO_YEARS = 2 * 366 * 86_400_000_000


@examples(100)
@given(_moments)
def test_nanoseconds_are_read_back(moment: dt.datetime) -> None:
    instant = micros(moment.isoformat())
    near = [instant + 1_000_000]
    as_ticks = instant * 100 - 62_135_596_800_000_000
    # In 1989 and 1990 the same number read as ticks of .NET is a moment of these years too.
    if instant >= 100_000_000_000_000 and abs(as_ticks - instant) > TWO_YEARS:
        assert read_number(instant * 1000, near=near).instant == instant
        assert read_text(f"{instant * 1000 + 999}", zone=BERLIN, near=near).instant == instant


@pytest.mark.parametrize("form", ["%Y%m%d%H%M", "%y%m%d%H%M%S"])
def test_twelve_digits_are_read_back_where_the_document_has_another_time(form: str) -> None:
    @examples(100)
    @given(_whole_seconds, st.integers(-300, 300))
    def check(local_time: dt.datetime, days: int) -> None:
        if form.startswith("%y"):
            local_time = local_time.replace(year=min(local_time.year, 2068), day=min(local_time.day, 28))
        else:
            local_time = local_time.replace(second=0)
        near = [micros((local_time + dt.timedelta(days=days)).isoformat())]
        reading = read_text(local_time.strftime(form), zone="UTC", near=near)
        assert reading is AMBIGUOUS or moment(reading.instant or 0) == local_time
        assert reading is not AMBIGUOUS or local_time.year < 1980 or local_time.year in (2000, 2019, 2020, 2021)

    check()


@examples(100)
@given(_moments)
def test_an_hour_of_24_is_the_next_midnight_and_a_second_of_60_the_next_minute(local_time: dt.datetime) -> None:
    before = (local_time - dt.timedelta(days=1)).date()
    midnight = dt.datetime.combine(local_time.date(), dt.time(), dt.UTC)
    for text in (f"{before}T24:00:00Z", f"{before:%d %b %Y} 24:00 UTC", f"{before:%Y/%m/%d} 24:00:00.000 GMT"):
        assert moment(read_text(text, zone=BERLIN).instant or 0) == midnight
    minute = local_time.replace(second=0, microsecond=0)
    earlier = minute - dt.timedelta(minutes=1)
    assert moment(read_text(f"{earlier:%Y-%m-%dT%H:%M}:60Z", zone=BERLIN).instant or 0) == minute


# Two fields


@pytest.mark.parametrize(
    ("date", "clock", "expected", "where"),
    [
        ("2024-03-01", "11:00:00", TEN, f" in {BERLIN}"),
        ("2024-03-01 ", " 11:00", TEN, f" in {BERLIN}"),
        ("20240301", "110000", TEN, f" in {BERLIN}"),
        ("20240301", "1100", TEN, f" in {BERLIN}"),
        ("01-Mar-2024", "11:00 AM", TEN, f" in {BERLIN}"),
        ("March 1, 2024", "11:00:00.5 am", "2024-03-01T10:00:00.500+00:00", f" in {BERLIN}"),
        ("31/12/2024", "12:15:00 a.m.", "2024-12-30T23:15:00+00:00", f" in {BERLIN}"),
        ("2024-03-01", "10:00:00Z", TEN, ""),
        ("2024-03-01", "05:00:00 -0500", TEN, ""),
        ("2024-03-01T00:00:00.000Z", "11:00:00", TEN, f" in {BERLIN}"),
        ("2024-03-01 00:00:00", "11:00:00", TEN, f" in {BERLIN}"),
        ("2024-02-29", "24:00", "2024-02-29T23:00:00+00:00", f" in {BERLIN}, 24:00 read as the next midnight"),
        ("2023-10-29", "02:30", "2023-10-29T00:30:00+00:00", f" in {BERLIN} ({CAME_TWICE})"),
        (micros("2024-03-01T00:00:00Z"), "11:00:00", TEN, f" in {BERLIN}"),
        (micros("2024-02-29T23:00:00Z"), "11:00:00", TEN, f" in {BERLIN}"),
        ("2024-03-01", micros("1970-01-01T11:00:00Z"), TEN, f" in {BERLIN}"),
        ("2024-03-01", micros("1899-12-30T11:00:00Z"), TEN, f" in {BERLIN}"),
        ("2024-03-01", micros("0001-01-01T11:00:00.5Z"), "2024-03-01T10:00:00.500+00:00", f" in {BERLIN}"),
    ],
)
def test_a_date_and_a_time_of_day_are_joined(date: str | int, clock: str | int, expected: str, where: str) -> None:
    assert join_date_and_clock(date, clock, zone=BERLIN) == Reading(micros(expected), JOINED + where)


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("2024-03-01", "x"),
        ("2024-03-01", ""),
        ("2024-03-01", "25:00"),
        ("2024-03-01", "1"),
        ("2024-03-01", "10:00 CET"),
        ("2024-02-30", "10:00"),
        ("2024-03-01T01:00:00", "10:00"),
        ("2024-02-29T24:00:00", "10:00"),
        ("10:00", "2024-03-01"),
        (micros("2024-03-01T01:00:00Z"), "10:00"),
        ("2024-03-01", micros("2024-03-01T10:00:00Z")),
        (2**62, "10:00"),
        ("2024-03-01", -(2**62)),
    ],
)
def test_what_is_no_date_and_no_time_of_day_is_not_joined(date: str | int, clock: str | int) -> None:
    assert join_date_and_clock(date, clock, zone=BERLIN) is UNREADABLE


def test_the_order_of_a_joined_date_is_not_guessed() -> None:
    assert join_date_and_clock("03/04/2024", "10:00", zone="UTC") is AMBIGUOUS
    assert join_date_and_clock("03/04/2024", "10:00", zone="UTC", date_order="dmy").instant == micros(
        "2024-04-03T10:00:00Z"
    )
    assert join_date_and_clock("1600-01-01", "10:00", zone="UTC") is OUT_OF_RANGE


@examples(100)
@given(
    _moments, st.sampled_from(["%Y-%m-%d", "%d-%b-%Y", "%Y%m%d"]), st.sampled_from(["%H:%M:%S.%f", "%I:%M:%S.%f %p"])
)
def test_a_joined_time_is_read_back(local_time: dt.datetime, day: str, clock: str) -> None:
    local = local_time.replace(tzinfo=None)
    reading = join_date_and_clock(local.strftime(day), local.strftime(clock), zone="UTC")
    assert moment(reading.instant or 0) == local_time
    stands_for_no_date = micros(f"1970-01-01T{local:%H:%M:%S.%f}Z")
    midnight = micros(f"{local:%Y-%m-%d}T00:00:00Z")
    assert join_date_and_clock(midnight, stands_for_no_date, zone="UTC") == reading


# Documents


@pytest.mark.parametrize(
    "document",
    [
        {"$date": 1_709_287_200_000},
        {"$date": 1_709_287_200_000.0},
        {"$date": "1709287200000"},
        {"$date": {"$numberLong": "1709287200000"}},
        {"$timestamp": {"t": 1_709_287_200, "i": 7}},
        {"seconds": 1_709_287_200, "nanos": 0},
        {"seconds": bson.Int64(1_709_287_200), "nanos": bson.Int64(0)},
        {"seconds": 1_709_287_200.0, "nanoseconds": 0},
        {"_seconds": 1_709_287_200, "_nanoseconds": 0},
        {"seconds": "1709287200", "nanos": 0},
        {"seconds": {"$numberLong": "1709287200"}, "nanos": {"$numberInt": "0"}},
        {"seconds": {"low": 1_709_287_200, "high": 0, "unsigned": False}, "nanos": 0},
        {"seconds": 1_709_287_200},
        {"type": "firestore/timestamp/1.0", "seconds": 1_709_287_200, "nanoseconds": 0},
    ],
)
def test_documents_that_are_times(document: dict[str, Any]) -> None:
    assert read_subdocument(document, zone=BERLIN) == Reading(micros(TEN), AS_DOCUMENT)


def test_extended_json_with_text() -> None:
    assert read_subdocument({"$date": "2024-03-01T10:00:00Z"}, zone=BERLIN) == read_text(TEN, zone=BERLIN)
    assert read_subdocument({"$date": "2024-03-01T11:00:00"}, zone=BERLIN).instant == micros(TEN)
    assert read_subdocument({"$date": "03/04/2024"}, zone=BERLIN) is AMBIGUOUS
    assert read_subdocument({"$date": "03/04/2024"}, zone=BERLIN, date_order="dmy").instant is not None
    assert read_subdocument({"$date": 5}, zone=BERLIN).instant == 5_000
    assert read_subdocument({"seconds": 100_000_000, "nanos": 0}, zone=BERLIN).instant == 100_000_000_000_000
    assert read_subdocument({"$date": {"$numberLong": "-62135596800000"}}, zone=BERLIN) is OUT_OF_RANGE
    assert read_subdocument({"seconds": -62_135_596_800, "nanos": 0}, zone=BERLIN) is OUT_OF_RANGE


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"type": "call"},
        {"$date": True},
        {"$date": None},
        {"$date": {"$numberDouble": "1709287200000"}},
        {"$date": {"$numberLong": 1_709_287_200_000}},
        {"$date": 1_709_287_200_000, "x": 1},
        {"$timestamp": 1_709_287_200},
        {"$timestamp": {"i": 1}},
        {"seconds": 5, "nanos": 0},
        {"seconds": 99_999_999, "nanos": 0},
        {"seconds": 1_709_287_200.5},
        {"seconds": True, "nanos": 0},
        {"seconds": 1_709_287_200, "nanos": -1},
        {"seconds": 1_709_287_200, "nanos": 1_000_000_000},
        {"seconds": 1_709_287_200, "nanos": None},
        {"seconds": 1_709_287_200, "x": 0},
        {"seconds": 1_709_287_200, "_seconds": 1_709_287_200},
        {"nanos": 1_709_287_200},
        {"seconds": float("nan"), "nanos": 0},
        {"seconds": {"low": None, "high": 0, "unsigned": False}},
    ],
)
def test_documents_that_are_no_times(document: dict[str, Any]) -> None:
    assert read_subdocument(document, zone=BERLIN) is UNREADABLE


@examples(100)
@given(instants(), st.integers(0, 999))
def test_seconds_and_nanoseconds_are_read_back(instant: int, below: int) -> None:
    seconds, fraction = divmod(instant, 1_000_000)
    parts = {"seconds": seconds, "nanos": fraction * 1000 + below}
    low = (seconds & 0xFFFFFFFF) - (2**32 if seconds & 0x80000000 else 0)
    halves = parts | {"seconds": {"low": low, "high": seconds >> 32, "unsigned": False}}
    lost = ", digits below a microsecond left out" if below else ""
    expected = UNREADABLE if abs(seconds) < 10**8 else Reading(instant, AS_DOCUMENT + lost)
    assert read_subdocument(parts, zone=BERLIN) == read_subdocument(halves, zone=BERLIN) == expected


# Dates as people write them, in the languages of call records


@pytest.mark.parametrize(
    "text",
    [
        *("03.07.24 14:05", "3.7.24 14:05", "03.07.2024 14:05", "03.07.2024, 14:05 Uhr", "03.07.2024 14.05 Uhr"),
        *("03.07.2024 um 14:05 Uhr", "Mi., 03.07.24 14:05", "Mittwoch, 03.07.2024 14:05", "03.07.2024 - 14:05"),
        *("03-JUL-24 02.05.00.000000 PM", "3 Jul 24 14:05", "Wed, 03 Jul 24 14:05"),
    ],
)
def test_the_day_comes_first_where_points_stand_between_or_the_month_is_a_word(text: str) -> None:
    expected = Reading(
        micros("2024-07-03T14:05:00+02:00"), f"text read as a time in {BERLIN}, day before month and year"
    )
    assert read_text(text, zone=BERLIN) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "3. Juli 2024 14:05 Uhr",
            "Mittwoch, 3. Juli 2024 um 14:05 Uhr",
            "3 juillet 2024 à 14h05",
            "3 de julio de 2024 14:05",
        ),
        *(
            "3 luglio 2024 alle 14:05",
            "3 de julho de 2024 às 14:05",
            "3 juli 2024 om 14:05",
            "7/3/2024 14:05",
            "03-Jul-2024 14:05 h",
        ),
    ],
)
def test_months_are_read_in_the_languages_of_the_names(text: str) -> None:
    assert read_text(text, zone="UTC", date_order="mdy").instant == micros("2024-07-03T14:05:00+00:00")


@pytest.mark.parametrize(
    ("text", "dmy", "mdy"),
    [
        ("03/07/24 14:05", "2024-07-03T14:05:00+00:00", "2024-03-07T14:05:00+00:00"),
        ("03-07-24 14:05", "2024-07-03T14:05:00+00:00", "2024-03-07T14:05:00+00:00"),
        ("25/01/24 14:05", "2024-01-25T14:05:00+00:00", None),  # or the year first
        ("03.07.24 02:05 PM", "2024-07-03T14:05:00+00:00", "2024-03-07T14:05:00+00:00"),
        ("05/05/24 14:05", "2024-05-05T14:05:00+00:00", "2024-05-05T14:05:00+00:00"),
    ],
)
def test_two_digits_of_a_year_are_never_guessed_where_it_could_stand_first(
    text: str, dmy: str, mdy: str | None
) -> None:
    assert read_text(text, zone="UTC") is AMBIGUOUS
    assert read_text(text, zone="UTC", date_order="dmy").instant == micros(dmy)
    assert read_text(text, zone="UTC", date_order="mdy").instant == (micros(mdy) if mdy else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7/25/24 2:05 PM", "2024-07-25T14:05:00+00:00"),
        ("31.12.68 23:59", "2068-12-31T23:59:00+00:00"),
        ("31.12.69 23:59", "1969-12-31T23:59:00+00:00"),
        ("05.01.24 14:05", "2024-01-05T14:05:00+00:00"),
    ],
)
def test_two_digits_of_a_year_that_have_one_meaning_are_read(text: str, expected: str) -> None:
    assert read_text(text, zone="UTC").instant == micros(expected)


@pytest.mark.parametrize(
    "text", ["10.12.14.15", "03.07.24.", "3. Juli", "14:05 Uhr", "Foo, 03.07.2024 14:05", "3 Juno 2024"]
)
def test_what_only_resembles_such_a_date_is_no_time(text: str) -> None:
    assert read_text(text, zone="UTC") is UNREADABLE


def test_a_short_date_and_a_time_of_day_in_two_fields_are_joined() -> None:
    assert join_date_and_clock("03.07.24", "14.05 Uhr", zone="UTC") == Reading(
        micros("2024-07-03T14:05:00+00:00"), f"{JOINED} in UTC, day before month and year"
    )
