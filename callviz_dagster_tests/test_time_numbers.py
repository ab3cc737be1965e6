"""Numbers as times: counts since 1970 by their magnitude, and calendar times in digits."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster import contract
from callviz_dagster.documents import times
from callviz_dagster.documents.times import (
    AMBIGUOUS,
    OUT_OF_RANGE,
    UNREADABLE,
    Reading,
    read_number,
    read_numbers,
    read_text,
)
from callviz_dagster_tests.helpers.instants import BERLIN, instants, micros
from callviz_dagster_tests.helpers.raw_bson import examples

TEN = "2024-03-01T10:00:00+00:00"
TEXT = "text read as a time"
CONFIRMED = ", confirmed by another time of the document"
TO_MINUTE = f"12 digits read as year to minute in {BERLIN}"
TO_SECOND = f"12 digits read as year (two digits) to second in {BERLIN}"


@pytest.mark.parametrize(
    ("number", "expected", "unit"),
    [
        (100_000_000, "1973-03-03T09:46:40+00:00", "seconds"),
        (99_999_999, None, ""),
        (0, None, ""),
        (-100_000_000, "1966-10-31T14:13:20+00:00", "seconds"),
        (1_709_287_200, TEN, "seconds"),
        (1_709_287_200.25, "2024-03-01T10:00:00.250+00:00", "seconds"),
        (9_214_646_399, "2261-12-31T23:59:59+00:00", "seconds"),
        (1_709_287_200_000, TEN, "milliseconds"),
        (100_000_000_000, "1973-03-03T09:46:40+00:00", "milliseconds"),
        (-1_709_287_200_000, "1915-11-02T14:00:00+00:00", "milliseconds"),
        (1_709_287_200_000_000, TEN, "microseconds"),
        (100_000_000_000_000, "1973-03-03T09:46:40+00:00", "microseconds"),
        (1_709_287_200_000_000_000, TEN, "nanoseconds"),
        (100_000_000_000_000_000, "1973-03-03T09:46:40+00:00", "nanoseconds"),
        (-1_709_287_200_000_000_000, "1915-11-02T14:00:00+00:00", "nanoseconds"),
        (9_214_646_399_999_999_000, "2261-12-31T23:59:59.999999+00:00", "nanoseconds"),
        (Decimal("1.7092872E+18"), TEN, "nanoseconds"),
        (Decimal("1.7092872E+9"), TEN, "seconds"),
        (Decimal("1709287200"), TEN, "seconds"),
    ],
)
def test_numbers_are_seconds_to_nanoseconds_by_magnitude(
    number: float | Decimal, expected: str | None, unit: str
) -> None:
    wanted = UNREADABLE if expected is None else Reading(micros(expected), f"read as {unit} since 1970")
    assert read_number(number) == wanted


@pytest.mark.parametrize(
    "number",
    [
        *(float("nan"), float("inf"), float("-inf"), 5e-324, -0.0),
        *(Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1E-6176"), Decimal("0E+6111")),
    ],
)
def test_numbers_that_are_no_time(number: float | Decimal) -> None:
    assert read_number(number) is UNREADABLE


@pytest.mark.parametrize(
    "number",
    [
        9_214_646_400,
        99_999_999_999,
        10**16,
        -(10**16),
        2**63 - 1,
        -(2**63),
        10**20,
        1e300,
        Decimal("1E+6144"),
        Decimal("-9.9E+6144"),
    ],
)
def test_numbers_outside_the_years_that_every_reader_holds(number: float | Decimal) -> None:
    assert read_number(number) is OUT_OF_RANGE


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (20_240_301_100_000, "2024-03-01T10:00:00+01:00"),
        (20_240_301_100_000.0, "2024-03-01T10:00:00+01:00"),
        (Decimal("20240301100000.25"), "2024-03-01T10:00:00.25+01:00"),
        (20_240_301_100_000_250, "2024-03-01T10:00:00.25+01:00"),
        (Decimal("20240701100000250001"), "2024-07-01T10:00:00.250001+02:00"),
    ],
)
def test_numbers_that_are_calendar_times_in_digits(number: float | Decimal, expected: str) -> None:
    assert read_number(number, zone=BERLIN) == Reading(micros(expected), f"{TEXT} in {BERLIN}")


@pytest.mark.parametrize(
    ("digits", "near", "expected", "note"),
    [
        ("202403011000", TEN, "2024-03-01T10:00:00+01:00", TO_MINUTE),
        ("240301100000", TEN, "2024-03-01T10:00:00+01:00", TO_SECOND),
        ("202403011000", "1976-06-01T00:00:00Z", "1976-05-31T15:03:31+00:00", "read as milliseconds since 1970"),
        ("201203101112", "2012-01-01T00:00:00Z", "2012-03-10T11:12:00+01:00", TO_MINUTE),
        ("201203101112", "2021-11-30T00:00:00Z", "2020-12-03T10:11:12+01:00", TO_SECOND),
        ("690301100000", "1969-01-01T00:00:00Z", "1969-03-01T10:00:00+01:00", TO_SECOND),
        ("680301100000", "2068-01-01T00:00:00Z", "2068-03-01T10:00:00+01:00", TO_SECOND),
        ("070301100000", "2007-03-01T00:00:00Z", "2007-03-01T10:00:00+01:00", TO_SECOND),
        ("638448840000000000", TEN, TEN, "read as ticks of .NET"),
        ("638448840000000000", "1990-03-25T00:00:00Z", "1990-03-26T10:54:00+00:00", "read as nanoseconds since 1970"),
        ("133537608000000000", TEN, TEN, "read as FILETIME of Windows"),
    ],
)
def test_digits_with_several_readings_are_read_beside_another_time_of_the_document(
    digits: str, near: str, expected: str, note: str
) -> None:
    reading = Reading(micros(expected), note + CONFIRMED)
    far = [micros("1950-01-01T00:00:00Z"), micros("2050-01-01T00:00:00Z")]
    assert read_text(digits, zone=BERLIN, near=[*far, micros(near)]) == reading
    assert read_text(digits, zone=BERLIN) is read_text(digits, zone=BERLIN, near=far) is AMBIGUOUS
    if not digits.startswith("0"):
        assert read_number(int(digits), zone=BERLIN, near=[micros(near)]) == reading
        assert read_number(int(digits), zone=BERLIN) is AMBIGUOUS


def test_a_fraction_behind_twelve_digits() -> None:
    near = [micros(TEN)]
    assert read_text("240301100000.0", zone=BERLIN) is AMBIGUOUS
    assert read_text("240301100000.0", zone=BERLIN, near=near) == read_text("240301100000", zone=BERLIN, near=near)
    assert read_number(240_301_100_000.0, zone=BERLIN, near=near) == read_text("240301100000", zone=BERLIN, near=near)
    expected = Reading(micros("2024-03-01T10:00:00.250+01:00"), TO_SECOND + CONFIRMED)
    assert read_number(Decimal("240301100000.25"), zone=BERLIN, near=near) == expected
    assert read_text("202403011000.5", zone=BERLIN, near=near).note.startswith("read as milliseconds")


def test_other_times_count_within_a_year() -> None:
    call, year = micros("2024-03-01T10:00:00Z"), 366 * 86_400_000_000
    for sign in (1, -1):
        assert read_text("202403011000", zone="UTC", near=[call + sign * year]).instant == call
        assert read_text("202403011000", zone="UTC", near=[call + sign * (year + 1)]) is AMBIGUOUS
    assert read_text("202403011000", zone="UTC", near=[call, micros("1976-06-01T00:00:00Z")]) is AMBIGUOUS


@pytest.mark.parametrize("digits", ["912345678901", "199913010000", "203002301000", "212003011000", "202403012400"])
def test_twelve_digits_that_are_no_calendar_time_are_milliseconds(digits: str) -> None:
    expected = Reading(int(digits) * 1000, "read as milliseconds since 1970")
    assert read_text(digits, zone="UTC") == read_number(int(digits)) == expected


def test_the_range_is_that_of_the_contract() -> None:
    assert (micros(contract.EARLIEST), micros(contract.LATEST)) == (times.EARLIEST, times.LATEST)


_calendar_digits = st.datetimes(dt.datetime(1960, 1, 1), dt.datetime(2080, 1, 1)).flatmap(
    lambda moment: st.sampled_from(["%Y%m%d%H%M%S", "%Y%m%d%H%M", "%y%m%d%H%M%S", "%Y%m%d%H%M%S000"]).map(
        lambda form: int(moment.strftime(form))
    )
)
_hundred_nanoseconds = instants().flatmap(
    lambda instant: st.sampled_from([116_444_736_000_000_000, 621_355_968_000_000_000]).map(
        lambda start: min(instant * 10 + start, 2**63 - 1)
    )
)
_numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    instants(),
    instants().map(lambda instant: instant // 10**6),
    instants().map(lambda instant: instant // 10**3),
    instants().map(lambda instant: instant * 1000 + 7),
    st.integers(10**11, 10**12),
    _calendar_digits,
    _hundred_nanoseconds,
)


@examples(300)
@given(st.lists(_numbers, max_size=20))
def test_many_numbers_are_read_as_each_of_them(numbers: list[int]) -> None:
    moment = {
        place: Reading(instant, note)
        for note, places, some in read_numbers(np.array(numbers, np.int64))
        for place, instant in zip(places.tolist(), some.tolist(), strict=True)
    }
    for place, number in enumerate(numbers):
        alone = read_number(number)
        assert moment.get(place, alone) == alone
        counted = alone.note.startswith("read as ") and "confirmed" not in alone.note
        assert place in moment or not counted or 10**11 <= number < 10**12, "a number since 1970 is read at once"
