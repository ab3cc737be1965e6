"""Local clocks of time zones: instants as they show them, and read back; zoneinfo is what they are compared with."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents import times
from callviz_dagster.documents.times import Reading, read_text
from callviz_dagster_tests.helpers.instants import (
    BERLIN,
    CAME_TWICE,
    EPOCH,
    LOS_ANGELES,
    NEW_YORK,
    SKIPPED,
    ZONES,
    instants,
    micros,
    shortly_around_changes,
)
from callviz_dagster_tests.helpers.raw_bson import examples

TEXT = "text read as a time"
SAO_PAULO = "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("zone", "text", "expected", "doubt"),
    [
        (NEW_YORK, "2024-11-03 01:30:00", "2024-11-03T01:30:00-04:00", CAME_TWICE),
        (NEW_YORK, "2024-03-10 02:30:00", "2024-03-10T03:30:00-04:00", SKIPPED),
        (NEW_YORK, "2024-03-10 03:00:00", "2024-03-10T03:00:00-04:00", ""),
        (NEW_YORK, "2024-11-03 02:00:00", "2024-11-03T02:00:00-05:00", ""),
        # Clocks that change at midnight: in UTC the change lies on the day after the local date, or on the day before.
        (SAO_PAULO, "2018-02-17 23:30:00", "2018-02-17T23:30:00-02:00", CAME_TWICE),
        (SAO_PAULO, "2018-02-17 22:59:59", "2018-02-17T22:59:59-02:00", ""),
        (SAO_PAULO, "2018-02-18 00:00:00", "2018-02-18T00:00:00-03:00", ""),
        (SAO_PAULO, "2017-10-15 00:30:00", "2017-10-15T01:30:00-02:00", SKIPPED),
        (BERLIN, "2024-10-27 02:30:00", "2024-10-27T02:30:00+02:00", CAME_TWICE),
        ("Asia/Beirut", "2024-03-31 00:30:00", "2024-03-31T01:30:00+03:00", SKIPPED),
        ("Asia/Beirut", "2024-10-26 23:30:00", "2024-10-26T23:30:00+03:00", CAME_TWICE),
        ("Australia/Lord_Howe", "2024-04-07 01:45:00", "2024-04-07T01:45:00+11:00", CAME_TWICE),
        ("Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T12:00:00-10:00", SKIPPED),
        ("Pacific/Apia", "2011-12-31 12:00:00", "2011-12-31T12:00:00+14:00", ""),
    ],
)
def test_local_times_that_the_clock_shows_twice_or_never_are_noted(
    zone: str, text: str, expected: str, doubt: str
) -> None:
    note = f"{TEXT} in {zone}" + (f" ({doubt})" if doubt else "")
    assert read_text(text, zone=zone) == Reading(micros(expected), note)
    local = micros(text + "+00:00")
    before, after = local - 40 * 86_400_000_000, local + 40 * 86_400_000_000
    instants, doubts = times.from_local_clock(np.array([before, local, after]), zone)
    assert instants[1] == micros(expected)
    assert doubts == ({doubt: [1]} if doubt else {})


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
def test_no_two_instants_have_the_same_text(milliseconds: int, zone: str, expected: str) -> None:
    assert times.local_datetime_text(milliseconds, zone) == expected


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1942, 2024, 2050])
def test_local_clocks_agree_with_zoneinfo_in_every_half_hour_of_a_year(zone: str, year: int) -> None:
    first, info, half = dt.datetime(year, 1, 1, tzinfo=dt.UTC), zoneinfo.ZoneInfo(zone), dt.timedelta(minutes=30)
    moments = [first + place * half for place in range(366 * 48)]
    local = [moment.astimezone(info).replace(tzinfo=dt.UTC) - EPOCH for moment in moments]
    actual = times.local_clock(np.array([(moment - EPOCH) // half for moment in moments]) * 1_800_000_000, zone)
    assert actual.tolist() == [span // dt.timedelta(microseconds=1) for span in local]


@examples(40)
@given(st.sampled_from(ZONES), st.lists(instants() | shortly_around_changes(), min_size=1, max_size=50))
def test_local_clocks_agree_with_zoneinfo_at_every_instant(zone: str, some: list[int]) -> None:
    info = zoneinfo.ZoneInfo(zone)
    moments = [(EPOCH + dt.timedelta(microseconds=i)).astimezone(info).replace(tzinfo=dt.UTC) for i in some]
    expected = [(moment - EPOCH) // dt.timedelta(microseconds=1) for moment in moments]
    assert times.local_clock(np.array(some), zone).tolist() == expected


@examples(40)
@given(st.sampled_from(ZONES), st.lists(instants() | shortly_around_changes(), min_size=1, max_size=50))
def test_a_local_clock_read_back_is_the_same_instant_but_for_the_hour_that_comes_twice(
    zone: str, some: list[int]
) -> None:
    there = times.local_clock(np.array(some), zone)
    back, doubts = times.from_local_clock(there, zone)
    doubtful = {place for places in doubts.values() for place in places}
    for place, (instant, actual) in enumerate(zip(some, back.tolist(), strict=True)):
        assert actual == instant or (place in doubtful and actual < instant)


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
