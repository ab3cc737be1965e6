"""Times as documents hold them, and what they are read as; expected values are written out by hand."""

from __future__ import annotations

import zoneinfo
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents import times
from callviz_dagster.documents.times import (
    AMBIGUOUS,
    OUT_OF_RANGE,
    UNREADABLE,
    Reading,
    read_number,
    read_text,
)
from callviz_dagster_tests.helpers.instants import (
    BERLIN,
    NEW_YORK,
    ZONES,
    micros,
    moment,
    shortly_around_changes,
)
from callviz_dagster_tests.helpers.raw_bson import examples

TEN = "2024-03-01T10:00:00+00:00"
TEXT = "text read as a time"
LEFT_OUT = ", digits below a microsecond left out"
CONFIRMED = ", confirmed by another time of the document"


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
        ("2024-03-01 11:00:00 +0100 CET", TEN),
        ("2024-03-01 15:30:00 +0530 +0530", TEN),
        ("2024-03-01 10:00:00.25 +0000 UTC m=+0.012345", "2024-03-01T10:00:00.250+00:00"),
        ("/Date(1709287200000)/", TEN),
        ("/Date(1709287200000+0100)/", TEN),
        ("\\/Date(1709287200000-0800)\\/", TEN),
        ("/Date(-5)/", "1969-12-31T23:59:59.995+00:00"),
        ("2024-03-01T11:00:00+01:00[Europe/Berlin]", TEN),
        ("2024-03-01T11:00+01:00[Europe/Berlin]", TEN),
        ("2024-03-01T10:00:00Z[Europe/Berlin]", TEN),
        ("2024-03-01T11:00:00[Europe/Berlin]", TEN),
        ("2024-03-01T10:00:00Z[UTC]", TEN),
        ("2024-03-01T10:00:00[GMT]", TEN),
        ("2024-03-01 05:00:00 America/New_York", TEN),
        ("2024-03-01 05:00 AM America/New_York", TEN),
        ("01-Mar-2024 10:00:00 UTC", TEN),
        ("2024-Mar-01 10:00:00Z", TEN),
        ("01/Mar/2024:10:00:00 +0000", TEN),
        ("Friday, March 1, 2024 at 11:00:00 AM UTC+1", TEN),
        ("March 1, 2024 at 10:00:00\u202fAM UTC", TEN),
        ("Mar 1, 2024, 03:30 PM GMT+5:30", TEN),
        ("2024-03-01 11:00:00 +01", TEN),
        ("2024-02-29T24:00:00Z", "2024-03-01T00:00:00+00:00"),
        ("2024-12-31 24:00 +0000", "2025-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500+00:00"),
        ("2024-03-01T10%3A00%3A00Z", TEN),
        ("2024-03-01T11%3A00%3A00%2B01%3A00", TEN),
        ("2024-03-01T11%3A00%3A00+01%3A00", TEN),
        ("2024-03-01T10:00:00+23:59", "2024-02-29T10:01:00+00:00"),
        ("2024-3-1 10:00:00 -23:59", "2024-03-02T09:59:00+00:00"),
        ("1709287200", TEN),
        ("1709287200.5", "2024-03-01T10:00:00.500+00:00"),
        ("1709287200000", TEN),
        ("1709287200123", "2024-03-01T10:00:00.123+00:00"),
        ("1709287200123456", "2024-03-01T10:00:00.123456+00:00"),
        ("1709287200123456000", "2024-03-01T10:00:00.123456+00:00"),
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
        ("20240301100000.25", "2024-03-01T10:00:00.250+01:00"),
        ("20240301100000,25", "2024-03-01T10:00:00.250+01:00"),
        ("20240301100000250", "2024-03-01T10:00:00.250+01:00"),
        ("20240301100000250001", "2024-03-01T10:00:00.250001+01:00"),
        ("20240701100000", "2024-07-01T10:00:00+02:00"),
        ("01-Mar-2024 10:00:00", "2024-03-01T10:00:00+01:00"),
        ("1-MAR-2024 10:00:00.5 PM", "2024-03-01T22:00:00.500+01:00"),
        ("2024-03-01-10.00.00.250000", "2024-03-01T10:00:00.250+01:00"),
        ("2024-03-01 10.00.00", "2024-03-01T10:00:00+01:00"),
        ("2024.03.01 10:00:00", "2024-03-01T10:00:00+01:00"),
        ("31/01/2024 23:59", "2024-01-31T23:59:00+01:00"),
        ("12/31/2024 11:59:59 PM", "2024-12-31T23:59:59+01:00"),
        ("31.12.2024, 23:59:59,5", "2024-12-31T23:59:59.500+01:00"),
        ("31-12-2024T23:59", "2024-12-31T23:59:00+01:00"),
        ("1/31/2024 12:00 AM", "2024-01-31T00:00:00+01:00"),
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


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        ("2024-02-29T24:00:00", "2024-03-01T00:00:00+01:00", ", 24:00 read as the next midnight"),
        ("20240229240000", "2024-03-01T00:00:00+01:00", ", 24:00 read as the next midnight"),
        ("29.02.2024 24:00", "2024-03-01T00:00:00+01:00", ", 24:00 read as the next midnight"),
        ("2024-03-01 09:59:60", "2024-03-01T10:00:00+01:00", ", second 60 read as the start of the next minute"),
        ("20240301095960", "2024-03-01T10:00:00+01:00", ", second 60 read as the start of the next minute"),
        (
            "2024-03-01 09:59:60.1234567",
            "2024-03-01T10:00:00.123456+01:00",
            ", second 60 read as the start of the next minute, digits below a microsecond left out",
        ),
        ("20240301100000.1234567", "2024-03-01T10:00:00.123456+01:00", ", digits below a microsecond left out"),
    ],
)
def test_clocks_that_go_beyond_a_day_or_a_minute_are_noted(text: str, expected: str, note: str) -> None:
    assert read_text(text, zone=BERLIN) == Reading(micros(expected), f"{TEXT} in {BERLIN}{note}")


def test_percent_encoded_text_is_noted() -> None:
    for text in ("2024-03-01%2010%3A00%3A00", "2024-03-01+10%3A00%3A00", "2024-03-01%252010%253A00%253A00"):
        reading = read_text(text, zone=BERLIN)
        assert reading.instant == micros("2024-03-01T10:00:00+01:00")
        assert reading.note.endswith(f"percent-encoded {TEXT} in {BERLIN}")
    assert read_text("2024-03-01%20x", zone=BERLIN) is UNREADABLE
    assert read_text("03%2F04%2F2024", zone=BERLIN) is AMBIGUOUS


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01+01:00",  # a date with an offset, or a time of day
        "2024-03-01-10:00",
        "2024-03-01T10:00:00+03:00[Europe/Berlin]",
        "2024-03-01T10:00:00-01:00[Europe/Berlin]",
    ],
)
def test_text_with_two_meanings_is_ambiguous(text: str) -> None:
    assert read_text(text, zone="UTC") is AMBIGUOUS


@pytest.mark.parametrize("text", ["2024-03-01", "20240301", "1 Mar 2024", "March 1, 2024", "2024/03/01", "01-Mar-2024"])
def test_a_date_without_a_time_of_day_is_midnight(text: str) -> None:
    note = f"date without a time of day read as midnight in {NEW_YORK}"
    assert read_text(text, zone=NEW_YORK) == Reading(micros("2024-03-01T05:00:00+00:00"), note)


@pytest.mark.parametrize(
    ("text", "dmy", "mdy"),
    [
        ("01/02/2024 10:00", "2024-02-01T10:00:00+00:00", "2024-01-02T10:00:00+00:00"),
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
        *("", " ", "yesterday", "n/a", "null", "NaN", "12:00", "10:00:00", "2024", "2024-03", "March 2024"),
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
        *("2024-03-01 10:00:00 +99:00", "Fri Mar  1 10:00:00 CET 2024"),
        *("2024-03-01T10:00:00+24:00", "2024-03-01 10:00:00 -24:00", "2024-3-1 10:00:00 +2400", "2024-3-1 10:00 +0060"),
        *("2024-03-01T10:00:00+01:75", "2024-03-01 10:00:00 +0175", "20240301T100000-0160"),
        *("2024-03-01T10:00:00Z[Europe/Nowhere]", "2024-03-01T10:00:00Z[localtime]", "2024-03-01[Europe/Berlin]"),
        *("2024-03-01T10:00:00Z[u-ca=gregory]", "2024-03-01 10:00:00 Europe/Nowhere", "x[Europe/Berlin]"),
        *("2024-02-29T24:00:01Z", "2024-02-29T24:01", "2024-02-29 24:00:00.5", "2024-02-29T25:00", "20240229240001"),
        *("2024-03-01T10:60:00Z", "2024-03-01T10:00:61Z", "20240301100061", "20240301T240000Z", "9999-12-31T24:00:00"),
        *("/Date(x)/", "Date(1709287200000)", "/Date(1709287200000.5)/", "01-Mur-2024", "2024-Foo-01"),
        *("2024-03-01 10.00:00", "10:00 at March 1, 2024", "20241301100000.5", "2024-03-01%2G10:00"),
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
        *(
            "1" * 14,
            "1" * 17,
            "1" * 21,
            "16770101000000",
            "/Date(-62135596800000)/",
            "/Date(" + "9" * 18 + ")/",
        ),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", NEW_YORK])
def test_text_outside_the_years_that_every_reader_holds(text: str, zone: str) -> None:
    assert read_text(text, zone=zone) is OUT_OF_RANGE


def test_digits_below_a_microsecond_are_left_out_and_noted() -> None:
    expected = micros("2024-03-01T10:00:00.123456+00:00")
    assert read_text("2024-03-01T10:00:00.123456789Z", zone="UTC") == Reading(expected, TEXT + LEFT_OUT)
    assert read_text("2024-03-01 10:00:00.123456789 +0000", zone="UTC") == Reading(expected, TEXT + LEFT_OUT)
    note = "read as seconds since 1970"
    assert read_text("1709287200.1234569", zone="UTC") == Reading(expected, note + LEFT_OUT)
    assert read_number(Decimal("1709287200.123456")) == Reading(expected, note)
    assert read_number(Decimal("1709287199." + "9" * 80)).note == note + LEFT_OUT
    assert read_number(Decimal("1709287199." + "9" * 80)).instant == micros("2024-03-01T09:59:59.999999+00:00")
    assert read_number(1_709_287_200_123_456_789) == Reading(expected, "read as nanoseconds since 1970" + LEFT_OUT)
    assert read_number(-1_709_287_200_123_456_001).instant == -micros("2024-03-01T10:00:00.123457+00:00")


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
    lambda instant, zone: moment(instant).astimezone(zone).isoformat(" ")[:-6],
    shortly_around_changes(),
    st.sampled_from(ZONES).map(zoneinfo.ZoneInfo),
)


@examples(300)
@given(st.lists(_iso | _around_changes | st.text(max_size=5), max_size=12), st.sampled_from(ZONES))
def test_many_texts_are_read_as_each_of_them(texts: list[str], zone: str) -> None:
    places_read: set[int] = set()
    for note, places, some in times.read_texts(pa.array(texts, pa.string()), zone=zone):
        for place, instant in zip(places.tolist(), some.tolist(), strict=True):
            assert read_text(texts[place], zone=zone) == Reading(instant, note)
            assert place not in places_read
            places_read.add(place)


def test_texts_of_the_usual_forms_are_read_at_once() -> None:
    texts = [
        "2024-03-01T10:00:00Z",
        "2024-03-01 10:00:00.123+05:30",
        "2024-03-31 02:30:00",
        "2024-03-01T10:00:00.123456",
    ]
    others = [" 2024-03-01T10:00:00Z", "2024-03-01T10:00:00.1234567Z", "1677-12-31T23:00:00Z", "x"]
    others += ["2024-03-01T24:00:00Z", "2024-03-01T23:59:60Z"]
    places_by_form = [places for _, places, _ in times.read_texts(pa.array(texts + others), zone=BERLIN)]
    assert sorted(place for places in places_by_form for place in places) == [0, 1, 2, 3]
    assert not list(times.read_texts(pa.array(["2024-02-30 10:00:00", "2024-02-28 10:00:00"]), zone=BERLIN))
