"""Times as documents hold them, and what they are read as; expected values are written out by hand."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster import contract
from callviz_dagster.documents import times
from callviz_dagster.documents.times import AMBIGUOUS, OUT_OF_RANGE, UNREADABLE, Reading, read_number, read_text
from callviz_dagster_tests.helpers.raw_bson import examples

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TEN = "2024-03-01T10:00:00+00:00"
TEXT = "text read as a time"
BERLIN, NEW_YORK, LOS_ANGELES = "Europe/Berlin", "America/New_York", "America/Los_Angeles"


def micros(iso: str) -> int:
    return (dt.datetime.fromisoformat(iso) - EPOCH) // dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01T10:00:00Z", TEN),
        ("2024-03-01T10:00:00.000Z", TEN),
        ("2024-03-01T10:00:00+00:00", TEN),
        ("2024-03-01T15:30:00+05:30", TEN),
        ("2024-03-01T15:30:00+0530", TEN),
        ("2024-03-01T05:00:00-05", TEN),
        ("2024-03-01 10:00:00Z", TEN),
        ("2024-03-01 10:00:00 +0000", TEN),
        ("2024-03-01 11:00:00 +0100", TEN),
        ("2024-03-01 10:00:00 UTC", TEN),
        ("2024-03-01 10:00:00 +0000 UTC", TEN),
        ("2024-03-01 10:00:00.25 UTC", "2024-03-01T10:00:00.250+00:00"),
        ("20240301T100000Z", TEN),
        ("2024-03-01t10:00:00z", TEN),
        ("2024-W09-5T10:00:00Z", TEN),
        ("2024-03-01T10:00:00.123456Z", "2024-03-01T10:00:00.123456+00:00"),
        ("2024-03-01T10:00:00.123456000Z", "2024-03-01T10:00:00.123456+00:00"),
        ("  2024-03-01T10:00:00Z \n", TEN),
        ("Fri, 01 Mar 2024 10:00:00 +0000", TEN),
        ("Fri, 1 Mar 2024 10:00:00 GMT", TEN),
        ("01 Mar 2024 10:00:00 +0000", TEN),
        ("Fri, 01 Mar 2024 10:00:00 -0000", TEN),
        ("Fri, 01 Mar 2024 05:00:00 EST", TEN),
        ("Fri, 01 Mar 2024 02:00:00 PST", TEN),
        ("Fri, 01 Mar 2024 10:00:00 UT", TEN),
        ("Fri, 01 Mar 2024 10:00:00 +0000 (Coordinated Universal Time)", TEN),
        ("Fri Mar 01 2024 11:00:00 GMT+0100 (Central European Standard Time)", TEN),
        ("March 1, 2024 10:00 AM UTC", TEN),
        ("1 September 2024 00:00 UTC", "2024-09-01T00:00:00+00:00"),
        ("1 Sept 2024 00:00 UTC", "2024-09-01T00:00:00+00:00"),
        ("Fri Mar  1 10:00:00 UTC 2024", TEN),
        ("2024/03/01 10:00:00Z", TEN),
        ("1709287200", TEN),
        ("1709287200.5", "2024-03-01T10:00:00.500+00:00"),
        ("1709287200000", TEN),
        ("1709287200123", "2024-03-01T10:00:00.123+00:00"),
        ("1709287200123456", "2024-03-01T10:00:00.123456+00:00"),
        ("-200000000", "1963-08-31T04:26:40+00:00"),
        ("1678-01-01T00:00:00Z", "1678-01-01T00:00:00+00:00"),
        ("2261-12-31T23:59:59.999999Z", "2261-12-31T23:59:59.999999+00:00"),
    ],
)
def test_text_with_an_offset_is_the_same_instant_in_every_zone(text: str, expected: str) -> None:
    assert {read_text(text, zone=zone).instant for zone in ("UTC", BERLIN, "Asia/Kathmandu")} == {micros(expected)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01T10:00:00", "2024-03-01T10:00:00+01:00"),
        ("2024-07-01T10:00:00", "2024-07-01T10:00:00+02:00"),
        ("2024-03-01 10:00", "2024-03-01T10:00:00+01:00"),
        ("2024-3-1 9:05 PM", "2024-03-01T21:05:00+01:00"),
        ("20240301100000", "2024-03-01T10:00:00+01:00"),
        ("20240301T100000", "2024-03-01T10:00:00+01:00"),
        ("2024.03.01 10:00:00", "2024-03-01T10:00:00+01:00"),
        ("31/12/2024 23:59", "2024-12-31T23:59:00+01:00"),
        ("12/31/2024 11:59:59 PM", "2024-12-31T23:59:59+01:00"),
        ("31.12.2024, 23:59:59,5", "2024-12-31T23:59:59.500+01:00"),
        ("31-12-2024T23:59", "2024-12-31T23:59:00+01:00"),
        ("12/31/2024 12:00 AM", "2024-12-31T00:00:00+01:00"),
        ("12/31/2024 12:00 p.m.", "2024-12-31T12:00:00+01:00"),
        ("05/05/2024 10:00", "2024-05-05T10:00:00+02:00"),
        ("Fri Mar  1 10:00:00 2024", "2024-03-01T10:00:00+01:00"),
        ("1 Mar 2024 10:00", "2024-03-01T10:00:00+01:00"),
        ("Mar 1, 2024, 10:00:00 AM", "2024-03-01T10:00:00+01:00"),
        ("1700-06-01 12:00:00", "1700-06-01T11:06:32+00:00"),
        ("2099-07-01 12:00:00", "2099-07-01T12:00:00+02:00"),
    ],
)
def test_text_without_an_offset_is_local_time_of_the_source(text: str, expected: str) -> None:
    assert read_text(text, zone=BERLIN) == Reading(micros(expected), f"{TEXT} in {BERLIN}")


@pytest.mark.parametrize("text", ["2024-03-01", "20240301", "1 Mar 2024", "March 1, 2024", "2024/03/01", "2024-W09-5"])
def test_a_date_without_a_time_of_day_is_midnight(text: str) -> None:
    note = f"date without a time of day read as midnight in {NEW_YORK}"
    assert read_text(text, zone=NEW_YORK) == Reading(micros("2024-03-01T05:00:00+00:00"), note)


@pytest.mark.parametrize(
    ("text", "dmy", "mdy"),
    [
        ("03/04/2024 10:00", "2024-04-03T10:00:00+00:00", "2024-03-04T10:00:00+00:00"),
        ("3-4-2024", "2024-04-03T00:00:00+00:00", "2024-03-04T00:00:00+00:00"),
        ("03.04.2024 10:00:00 PM", "2024-04-03T22:00:00+00:00", "2024-03-04T22:00:00+00:00"),
        ("12/11/2024", "2024-11-12T00:00:00+00:00", "2024-12-11T00:00:00+00:00"),
    ],
)
def test_day_and_month_that_could_change_places_are_never_guessed(text: str, dmy: str, mdy: str) -> None:
    assert read_text(text, zone="UTC") is AMBIGUOUS
    assert read_text(text, zone="UTC", date_order="dmy").instant == micros(dmy)
    assert read_text(text, zone="UTC", date_order="mdy").instant == micros(mdy)


@pytest.mark.parametrize(("text", "order"), [("31/12/2024", "mdy"), ("12/31/2024", "dmy")])
def test_a_date_that_contradicts_the_order_that_was_set_is_not_read(text: str, order: str) -> None:
    assert read_text(text, zone="UTC", date_order=order) is UNREADABLE


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "yesterday", "n/a", "null", "NaN", "12:00", "10:00:00", "2024", "2024-03", "March 2024", "03/04/24"),
        *("2024-02-30", "2024-13-01T10:00:00Z", "31/02/2024", "13/13/2024", "00/05/2024", "2024-03-01T25:00:00Z"),
        *(
            "2024-03-01 10:61",
            "2024-03-01 13:00 PM",
            "2024-03-01 0:30 AM",
            "20241301100000",
            "20000000000000",
            "99999999",
            "12345",
        ),
        *("1 Foo 2024", "Foo 1, 2024", "until 1 Mar 2024", "Fri, 01 Mar 2024 10:00:00 foo bar", "1e9", "0x65e1"),
        # Names of zones that mean different zones in different countries.
        *("Fri, 01 Mar 2024 10:00:00 CET", "2024-03-01 10:00:00 CST", "2024-03-01 10:00:00 IST", "2024-03-01 10:00 A"),
        *("2024-03-01 10:00:00 +99:00", "Fri Mar  1 10:00:00 CET 2024", "2024-03-01T10:00:00Z[Europe/Berlin]"),
        *("1" * 5_000, "9" * 1_000_001, "1" * 99 + "." + "1" * 99, "10:00" + " " * 100_000 + "x"),
        *("2024-03-01 10:00" + " " * 100_000 + "x", "2024-03-01\n\n" + "(" * 100_000),
    ],
    ids=lambda text: ascii(text[:40]),
)
@pytest.mark.parametrize("order", [None, "dmy", "mdy"])
def test_text_that_is_no_time(text: str, order: str | None) -> None:
    assert read_text(text, zone="UTC", date_order=order) is UNREADABLE


@pytest.mark.parametrize(
    "text",
    [
        *("0001-01-01T00:00:00Z", "1677-12-31T23:59:59.999999Z", "2262-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        *("0001-01-01", "9999-12-31 23:59:59", "9999-12-31T23:59:59.999999-14:00", "0001-01-01T00:00:00+14:00"),
        "1" * 18,
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", NEW_YORK])
def test_text_outside_the_years_that_every_reader_holds(text: str, zone: str) -> None:
    assert read_text(text, zone=zone) is OUT_OF_RANGE


def test_digits_below_a_microsecond_are_left_out_and_told() -> None:
    expected = micros("2024-03-01T10:00:00.123456+00:00")
    left_out = ", digits below a microsecond left out"
    assert read_text("2024-03-01T10:00:00.123456789Z", zone="UTC") == Reading(expected, TEXT + left_out)
    assert read_text("2024-03-01 10:00:00.123456789 +0000", zone="UTC") == Reading(expected, TEXT + left_out)
    note = "read as seconds since 1970"
    assert read_text("1709287200.1234569", zone="UTC") == Reading(expected, note + left_out)
    assert read_number(Decimal("1709287200.123456")) == Reading(expected, note)


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        (
            "2024-11-03 01:30:00",
            "2024-11-03T01:30:00-04:00",
            "a local time that came twice when the clocks went back: the first was taken",
        ),
        (
            "2024-03-10 02:30:00",
            "2024-03-10T03:30:00-04:00",
            "a local time that was skipped when the clocks went forward",
        ),
        ("2024-03-10 03:00:00", "2024-03-10T03:00:00-04:00", ""),
        ("2024-11-03 02:00:00", "2024-11-03T02:00:00-05:00", ""),
    ],
)
def test_local_times_that_the_clock_shows_twice_or_never_are_told(text: str, expected: str, note: str) -> None:
    assert read_text(text, zone=NEW_YORK) == Reading(
        micros(expected), f"{TEXT} in {NEW_YORK}" + (f" ({note})" if note else "")
    )
    local = dt.datetime.fromisoformat(text + "+00:00")
    instants, doubts = times.from_local_clock(np.array([(local - EPOCH) // dt.timedelta(microseconds=1)]), NEW_YORK)
    assert instants.tolist() == [micros(expected)]
    assert doubts == ({note: [0]} if note else {})


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
        (Decimal("1.7092872E+9"), TEN, "seconds"),
        (Decimal("1709287200"), TEN, "seconds"),
    ],
)
def test_numbers_are_seconds_milliseconds_or_microseconds_by_magnitude(
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
    [9_214_646_400, 99_999_999_999, 10**17, -(2**63), 1e300, Decimal("1E+6144"), Decimal("-9.9E+6144")],
)
def test_numbers_outside_the_years_that_every_reader_holds(number: float | Decimal) -> None:
    assert read_number(number) is OUT_OF_RANGE


def test_the_range_is_that_of_the_contract() -> None:
    assert (micros(contract.EARLIEST), micros(contract.LATEST)) == (times.EARLIEST, times.LATEST)


@pytest.mark.parametrize(
    ("milliseconds", "zone", "expected"),
    [
        (1_709_287_200_000, "UTC", "2024-03-01 10:00:00.000"),
        (1_709_287_200_001, LOS_ANGELES, "2024-03-01 02:00:00.001"),
        (-1, "UTC", "1969-12-31 23:59:59.999"),
        (1_730_622_600_000, LOS_ANGELES, "2024-11-03 01:30:00.000-07:00"),
        (1_730_626_200_000, LOS_ANGELES, "2024-11-03 01:30:00.000-08:00"),
        (1_730_629_800_000, LOS_ANGELES, "2024-11-03 02:30:00.000"),
        (253_402_300_799_999, "UTC", "9999-12-31 23:59:59.999"),
        (253_402_300_799_999, "Asia/Tokyo", '{"$date": {"$numberLong": "253402300799999"}}'),
        (253_402_300_800_000, "UTC", '{"$date": {"$numberLong": "253402300800000"}}'),
        (-62_135_596_800_000, "UTC", "0001-01-01 00:00:00.000"),
        (-62_135_596_800_000, LOS_ANGELES, '{"$date": {"$numberLong": "-62135596800000"}}'),
        (2**63 - 1, LOS_ANGELES, '{"$date": {"$numberLong": "9223372036854775807"}}'),
        (-(2**63), "UTC", '{"$date": {"$numberLong": "-9223372036854775808"}}'),
    ],
)
def test_dates_as_text_tell_every_instant_apart(milliseconds: int, zone: str, expected: str) -> None:
    assert times.local_datetime_text(milliseconds, zone) == expected


ZONES = [
    *("UTC", BERLIN, NEW_YORK, LOS_ANGELES, "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "Etc/GMT+12"),
    *("Pacific/Apia", "Pacific/Kiritimati", "Asia/Tehran", "America/St_Johns", "Europe/Dublin", "Africa/Monrovia"),
]
_instants = st.integers(times.EARLIEST, times.LATEST - 1)
_shortly_around_changes = st.builds(
    lambda year, month, seconds: micros(f"{year}-{month:02}-25T00:00:00+00:00") + seconds * 1_000_000,
    st.integers(1900, 2261),
    st.sampled_from([3, 4, 9, 10, 11]),
    st.integers(-1_700_000, 700_000),
)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1942, 2024, 2050])
def test_local_clocks_agree_with_zoneinfo_in_every_half_hour_of_a_year(zone: str, year: int) -> None:
    first, info, half = dt.datetime(year, 1, 1, tzinfo=dt.UTC), zoneinfo.ZoneInfo(zone), dt.timedelta(minutes=30)
    moments = [first + place * half for place in range(366 * 48)]
    local = [moment.astimezone(info).replace(tzinfo=dt.UTC) - EPOCH for moment in moments]
    found = times.local_clock(np.array([(moment - EPOCH) // half for moment in moments]) * 1_800_000_000, zone)
    assert found.tolist() == [span // dt.timedelta(microseconds=1) for span in local]


@examples(40)
@given(st.sampled_from(ZONES), st.lists(_instants | _shortly_around_changes, min_size=1, max_size=50))
def test_local_clocks_agree_with_zoneinfo_at_every_instant(zone: str, instants: list[int]) -> None:
    info = zoneinfo.ZoneInfo(zone)
    moments = [(EPOCH + dt.timedelta(microseconds=i)).astimezone(info).replace(tzinfo=dt.UTC) for i in instants]
    expected = [(moment - EPOCH) // dt.timedelta(microseconds=1) for moment in moments]
    assert times.local_clock(np.array(instants), zone).tolist() == expected


@examples(40)
@given(st.sampled_from(ZONES), st.lists(_instants | _shortly_around_changes, min_size=1, max_size=50))
def test_a_local_clock_read_back_is_the_same_instant_but_for_the_hour_that_comes_twice(
    zone: str, instants: list[int]
) -> None:
    there = times.local_clock(np.array(instants), zone)
    back, doubts = times.from_local_clock(there, zone)
    doubtful = {place for places in doubts.values() for place in places}
    for place, (instant, found) in enumerate(zip(instants, back.tolist(), strict=True)):
        assert found == instant or (place in doubtful and found < instant)


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        ("2037-07-01T12:00:00+00:00", "2037-07-01T05:00:00+00:00"),
        ("2050-07-01T12:00:00+00:00", "2050-07-01T05:00:00+00:00"),
        ("2261-07-01T12:00:00+00:00", "2261-07-01T05:00:00+00:00"),
        ("2050-01-01T12:00:00+00:00", "2050-01-01T04:00:00+00:00"),
        ("1700-01-01T12:00:00+00:00", "1700-01-01T04:07:02+00:00"),
    ],
)
def test_daylight_saving_goes_on_after_2037(utc: str, local: str) -> None:
    assert times.local_clock(np.array([micros(utc)]), LOS_ANGELES).tolist() == [micros(local)]


@examples(200)
@given(st.text(max_size=40) | st.from_regex(r"[0-9 :/.,+TZ-]{1,30}", fullmatch=True), st.sampled_from(ZONES))
def test_no_text_raises(text: str, zone: str) -> None:
    for order in (None, "dmy", "mdy"):
        reading = read_text(text, zone=zone, date_order=order)
        assert (reading.instant is None) == bool(reading.problem)
        assert reading.instant is None or times.in_range(reading.instant)


_iso = st.from_regex(
    r"(19|20|16|22|00)\d\d-(0[1-9]|1[012])-([012]\d|3[01])[T ]([01]\d|2\d):[0-5]\d:([0-5]\d|60)(\.\d{1,7})?"
    r"(Z|z|[+-]\d\d:?[0-5]\d|)",
    fullmatch=True,
)
_around_changes = st.builds(
    lambda instant, zone: (EPOCH + dt.timedelta(microseconds=instant)).astimezone(zone).isoformat(" ")[:-6],
    _shortly_around_changes,
    st.sampled_from(ZONES).map(zoneinfo.ZoneInfo),
)


@examples(300)
@given(st.lists(_iso | _around_changes | st.text(max_size=5), max_size=12), st.sampled_from(ZONES))
def test_many_texts_are_read_as_each_of_them(texts: list[str], zone: str) -> None:
    seen: set[int] = set()
    for note, places, instants in times.read_texts(pa.array(texts, pa.string()), zone=zone):
        for place, instant in zip(places.tolist(), instants.tolist(), strict=True):
            assert read_text(texts[place], zone=zone) == Reading(instant, note)
            assert place not in seen
            seen.add(place)


def test_texts_of_the_usual_forms_are_read_at_once() -> None:
    texts = [
        "2024-03-01T10:00:00Z",
        "2024-03-01 10:00:00.123+05:30",
        "2024-03-31 02:30:00",
        "2024-03-01T10:00:00.123456",
    ]
    others = [" 2024-03-01T10:00:00Z", "2024-03-01T10:00:00.1234567Z", "1677-12-31T23:00:00Z", "x"]
    found = [places for _, places, _ in times.read_texts(pa.array(texts + others), zone=BERLIN)]
    assert sorted(place for places in found for place in places) == [0, 1, 2, 3]
    assert not list(times.read_texts(pa.array(["2024-02-30 10:00:00", "2024-02-28 10:00:00"]), zone=BERLIN))


@examples(200)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | _instants | _instants.map(lambda i: i // 10**6), max_size=20))
def test_many_numbers_are_read_as_each_of_them(numbers: list[int]) -> None:
    found = {
        place: Reading(instant, note)
        for note, places, instants in times.read_numbers(np.array(numbers, np.int64))
        for place, instant in zip(places.tolist(), instants.tolist(), strict=True)
    }
    for place, number in enumerate(numbers):
        alone = read_number(number)
        assert found.get(place, alone) == alone
        assert (place in found) == (alone.instant is not None), "each one that is a time is read at once"
