"""Durations as documents hold them, and the seconds that they are read as; expected values are written out by hand."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.durations import (
    AMBIGUOUS,
    NEGATIVE,
    TOO_LONG,
    UNITS,
    UNREADABLE,
    Duration,
    read_duration,
    read_duration_document,
    read_durations,
)
from callviz_dagster_tests.helpers.raw_bson import examples

CLOCK = "text read as hours, minutes and seconds"
ISO = "text read as a duration of ISO 8601"
PARTS = "text read as a number with units"
NUMBER = "text read as a number"
MINUTES = "text read as minutes and seconds"
ROUNDED = "decimal rounded to a number"


@pytest.mark.parametrize(
    ("text", "seconds", "note"),
    [
        ("125", 125.0, NUMBER),
        (" 12.5\n", 12.5, NUMBER),
        ("1e3", 1000.0, NUMBER),
        ("5e-05", 0.00005, NUMBER),
        (".5", 0.5, NUMBER),
        ("-0", 0.0, NUMBER),
        ("١٢", 12.0, NUMBER),
        ("0.1234567890123456789", 0.12345678901234568, ROUNDED),
        ("0:02:05", 125.0, CLOCK),
        ("00:05:12,5", 312.5, CLOCK),
        ("00:05:12.25", 312.25, CLOCK),
        ("100:00:01", 360_001.0, CLOCK),
        ("0 days 00:05:12", 312.0, CLOCK),
        ("0 days 00:05:12.500000", 312.5, CLOCK),
        ("1 day, 0:05:12", 86_712.0, CLOCK),
        ("1 day 00:05:12", 86_712.0, CLOCK),
        ("1d 23:59:59", 172_799.0, CLOCK),
        ("1 02:03:04", 93_784.0, CLOCK),
        ("1.02:03:04.5", 93_784.5, CLOCK),
        ("PT5M12S", 312.0, ISO),
        ("PT312.5S", 312.5, ISO),
        ("PT312,5S", 312.5, ISO),
        ("P1DT2H", 93_600.0, ISO),
        ("P1D", 86_400.0, ISO),
        ("PT0S", 0.0, ISO),
        ("P0Y0M0DT0H5M12S", 312.0, ISO),
        ("pt1h", 3600.0, ISO),
        ("+PT1H-1M", 3540.0, ISO),
        ("5m 12s", 312.0, PARTS),
        ("1m30s", 90.0, PARTS),
        ("540s", 540.0, PARTS),
        ("1.5s", 1.5, PARTS),
        ("1h2m3.5s", 3723.5, PARTS),
        ("500ms", 0.5, PARTS),
        ("1500µs", 0.0015, PARTS),
        ("1500μs", 0.0015, PARTS),
        ("7ns", 7e-9, PARTS),
        ("2 Hours", 7200.0, PARTS),
        ("5 min 12 sec", 312.0, PARTS),
        ("1 hour, 5 minutes and 3 seconds", 3903.0, PARTS),
        ("2 days 1 hr", 176_400.0, PARTS),
        ("75:30", 4530.0, MINUTES),
        ("60:00", 3600.0, MINUTES),
        ("05:12.5", 312.5, MINUTES),
        ("05:12,5", 312.5, MINUTES),
        ("00:00", 0.0, MINUTES),
    ],
)
@pytest.mark.parametrize("unit", ["s", "ms", "h"])
def test_text_that_says_what_it_is(text: str, seconds: float, note: str, unit: str) -> None:
    """Whatever unit the field has: it counts for numbers alone."""
    if note in (NUMBER, ROUNDED):
        factor, divisor = UNITS[unit]
        seconds = float(Decimal(repr(seconds))) * factor / divisor
    assert read_duration(text, unit=unit) == Duration(seconds, note)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "NaN",
            "1:60",
            "1:5",
            "1:2:3",
            "00:60:00",
            "00:00:60",
            "1:02:03:04",
            "1.24:00:00",
            "2 days 24:00:00",
        ),
        *("P", "PT", "P1DT", "P1M", "P1Y", "P1W", "PT5", "5M12S PT", "PTS", "P5S", "PT5S5M"),
        *("5s 3m", "5m 5m", "5 parsecs", "m", "5m,", "5m 12", "12 5m", "1,5h", "3,5", "1,234", "5m and", "and 5m"),
        *("1e9999999999999999999", "9" * 5_000 + ":00:00", "5m" + " " * 200 + "12s", "PT" + "9" * 200 + "S"),
        *("about 5 minutes", "5 minutes ago", "-", "+", ":", "5:", ":12", "--5s"),
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_text_that_is_no_duration(text: str) -> None:
    assert read_duration(text, elapsed=312) is UNREADABLE


@pytest.mark.parametrize(
    "value",
    [
        *("-1", "-1.5e3", "-00:00:05", "-1 day, 23:59:50", "-1 days +23:59:50", "-0.00:00:01", "-PT5S", "PT-5M"),
        *("-5m", "-05:12", "-75:30", -1, -0.5, Decimal("-1")),
    ],
)
def test_negative_durations(value: str | float | Decimal) -> None:
    assert read_duration(value, elapsed=312) is NEGATIVE


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (2**53, "s"),
        (2**53, "ns"),
        ("9007199254740992", "ms"),
        ("9" * 200, "s"),
        (2**53 / 3600, "h"),
        (2**53 / 60, "min"),
        ("9007199254740992 s", "ms"),
        (f"{2**53 // 3600 + 1}h", "s"),
        (Decimal("1E+300"), "s"),
    ],
)
def test_durations_that_are_too_large(value: str | float | Decimal, unit: str) -> None:
    assert read_duration(value, unit=unit) is TOO_LONG


def test_the_largest_durations() -> None:
    assert read_duration(2**53 - 1).seconds == 2**53 - 1
    assert read_duration(2**53 - 1, unit="ns").seconds == pytest.approx(9_007_199.25)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Decimal("sNaN"), Decimal("-Infinity")])
def test_numbers_that_are_no_duration(value: float | Decimal) -> None:
    assert read_duration(value) is UNREADABLE


@pytest.mark.parametrize(
    ("unit", "seconds"), [("ns", 5e-9), ("us", 5e-6), ("ms", 0.005), ("s", 5.0), ("min", 300.0), ("h", 18_000.0)]
)
def test_units_of_numbers(unit: str, seconds: float) -> None:
    assert read_duration(5, unit=unit) == Duration(seconds)
    assert read_duration(5.0, unit=unit) == Duration(seconds)
    assert read_duration(Decimal(5), unit=unit) == Duration(seconds)
    assert read_duration("5", unit=unit) == Duration(seconds, NUMBER)
    assert read_durations(np.array([5.0]), unit=unit)[0].tolist() == [seconds]


def test_a_decimal_that_no_double_holds_is_noted() -> None:
    assert read_duration(Decimal("12.345678901234567890123456789012")) == Duration(12.345678901234567, ROUNDED)
    assert read_duration(Decimal("12.5")) == Duration(12.5)


# Two numbers with a colon


@pytest.mark.parametrize(
    ("elapsed", "seconds"),
    [
        (312, 312.0),
        (325.5, 312.0),  # it rang for a while
        (296, 312.0),  # two clocks
        (295, None),  # 312 seconds cannot be within 295
        (3600, 312.0),  # a long wait, but no 5 hours
        (17_760, 312.0),
        (17_800, None),  # 5:12 hours in 4:57 hours, with the minute that is not shown
        (18_720, None),
        (100_000, None),
        (0, None),
        (-312, None),
        (None, None),
    ],
)
def test_minutes_and_seconds_are_read_where_the_call_was_too_short_for_hours(
    elapsed: float | None, seconds: float | None
) -> None:
    expected = AMBIGUOUS if seconds is None else Duration(seconds, MINUTES)
    assert read_duration("05:12", elapsed=elapsed) == expected
    assert read_duration(" 5:12 ", elapsed=elapsed, unit="ms") == expected


def test_a_short_call_settles_nothing_between_a_second_and_a_minute() -> None:
    assert read_duration("00:01", elapsed=30) is AMBIGUOUS
    assert read_duration("00:02", elapsed=30) == Duration(2.0, MINUTES)
    assert read_duration("00:02", elapsed=0) is AMBIGUOUS
    assert read_duration("59:59", elapsed=3600) == Duration(3599.0, MINUTES)
    assert read_duration("59:59") is AMBIGUOUS


def test_what_is_known_of_the_field_settles_it() -> None:
    assert read_duration("05:12") is AMBIGUOUS
    assert read_duration("05:12", two_part_clock="mm:ss", elapsed=18_720) == Duration(312.0, MINUTES)
    assert read_duration("05:12", two_part_clock="hh:mm", elapsed=312) == Duration(
        18_720.0, "text read as hours and minutes"
    )
    assert read_duration("0:05:12", two_part_clock="hh:mm") == Duration(312.0, CLOCK)


# Documents


def test_documents_that_are_durations() -> None:
    note = "document read as a duration"
    assert read_duration_document({"seconds": 312, "nanos": 500_000_000}) == Duration(312.5, note)
    assert read_duration_document({"seconds": "312"}) == Duration(312.0, note)
    assert read_duration_document({"seconds": -5, "nanos": 0}) is NEGATIVE
    assert read_duration_document({"seconds": 312, "x": 0}) is UNREADABLE
    assert read_duration_document({"s": 5}) is UNREADABLE


# Any duration, written in each form

_seconds = st.integers(0, 10**12).map(lambda thousandths: Decimal(thousandths) / 1000)


def _parts(seconds: Decimal) -> tuple[int, int, Decimal]:
    hours, minutes = divmod(int(seconds // 60), 60)
    return hours, minutes, seconds % 60


def _clock(seconds: Decimal, point: str = ".") -> str:
    hours, minutes, rest = _parts(seconds)
    return f"{hours:02}:{minutes:02}:{rest:06.3f}".replace(".", point)


def _days(seconds: Decimal, form: str) -> str:
    days, rest = divmod(seconds, 86_400)
    return form.format(int(days), _clock(rest))


FORMS: dict[str, Callable[[Decimal], str]] = {
    "number": str,
    "hours": _clock,
    "hours, with a comma": lambda seconds: _clock(seconds, ","),
    "pandas": lambda seconds: _days(seconds, "{} days {}"),
    "Python": lambda seconds: str(dt.timedelta(milliseconds=int(seconds * 1000))),
    ".NET": lambda seconds: _days(seconds, "{}.{}"),
    "minutes": lambda seconds: f"{int(seconds // 60)}:{seconds % 60:06.3f}",
    "ISO 8601": lambda seconds: "PT{}H{}M{}S".format(*_parts(seconds)),
    "ISO 8601 in seconds": lambda seconds: f"PT{seconds}S",
    "Go": lambda seconds: "{}h{}m{}s".format(*_parts(seconds)),
    "protobuf": lambda seconds: f"{seconds}s",
    "words": lambda seconds: "{} hours, {} minutes and {} seconds".format(*_parts(seconds)),
    "milliseconds": lambda seconds: f"{int(seconds * 1000)} ms",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_duration_is_read_back(form: str) -> None:
    @examples(80)
    @given(_seconds)
    def check(seconds: Decimal) -> None:
        assert read_duration(FORMS[form](seconds)).seconds == float(seconds)

    check()


@examples(200)
@given(st.text(max_size=40) | st.from_regex(r"[-+]?[0-9 :.,PTDHMSdhmsundayi]{1,20}", fullmatch=True))
def test_no_text_raises(text: str) -> None:
    for elapsed in (None, 60.0):
        duration = read_duration(text, elapsed=elapsed)
        assert (duration.seconds is None) == bool(duration.problem)
        assert duration.seconds is None or 0 <= duration.seconds < 2**53


@examples(200)
@given(
    st.lists(st.floats() | st.integers(-(2**63), 2**63 - 1).map(float) | st.floats(0, 1e6), max_size=20),
    st.sampled_from(list(UNITS)),
)
def test_many_numbers_are_read_as_each_of_them(numbers: list[float], unit: str) -> None:
    seconds, problems = read_durations(np.array(numbers), unit=unit)
    for place, number in enumerate(numbers):
        (problem,) = [name for name, having in problems.items() if having[place]] or [""]
        expected = None if problem else seconds[place]
        assert read_duration(number, unit=unit) == Duration(expected, problem=problem)
