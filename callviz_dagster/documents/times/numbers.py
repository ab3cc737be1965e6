"""Numbers → instants: seconds, milliseconds, microseconds or nanoseconds since 1970, distinguished by magnitude.

Pure. A number that is a calendar time in digits is read as one where nothing else is possible; one that has several
readings only where another time of its document settles it. What belongs elsewhere: text (`documents/times/text.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import ROUND_FLOOR, Context, Decimal

import numpy as np
from numpy.typing import NDArray

from callviz_dagster.documents.times.digits import read_calendar_digits, twelve_digit_readings
from callviz_dagster.documents.times.reading import (
    DIGITS_LOST,
    EARLIEST,
    LATEST,
    OUT_OF_RANGE,
    UNREADABLE,
    Ints,
    Reading,
    reading_of,
    settled,
)

_UNITS = ((8, 10, 6, "seconds"), (11, 13, 3, "milliseconds"), (14, 16, 0, "microseconds"), (17, 19, -3, "nanoseconds"))
"""Lowest and highest power of ten of a number, the power of ten that makes microseconds of it, and the unit.

So each unit reaches from 1973 to the year 5138, and the ranges do not overlap.
"""
_DIGIT_MAGNITUDES = (11, 13, 16, 17, 19)
"""Powers of ten of the numbers that can be something else than a count since 1970."""
_TWELVE_DIGITS = (10**11, 10**12)
_HUNDRED_NANOSECONDS = (
    (621_355_968_000_000_000, "ticks of .NET"),
    (116_444_736_000_000_000, "FILETIME of Windows"),
)
"""Units of 100 ns from the years 1 and 1601 to 1970: counts of 18 digits, which nanoseconds since 1970 have as well."""
_HUNDRED_NANOSECONDS_MAGNITUDE = 17
_YEAR_1990, _YEAR_2100 = 6_311_520_000_000_000, 41_024_448_000_000_000
"""Units of 100 ns since 1970: counts from other years are looked for between these."""
_MOST = 2**63 - 1
_EXACT = Context(prec=200)
"""Holds every digit of the longest text that is read."""


def read_number(number: int | float | Decimal, *, zone: str = "UTC", near: Collection[int] = ()) -> Reading:
    """Read a number as a time.

    Below 100,000,000 (1973 in seconds) it is not a time. 14, 17 or 20 digits can be a calendar time.

    Args:
        number: of any numeric type.
        zone: time zone of calendar times.
        near: other times of the document, as instants. Of the readings that 12 or 18 digits can have, the one beside
            them is taken; without them such a number is ambiguous.
    """
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if not exact.is_finite() or not exact:
        return UNREADABLE
    # The power of ten of the first digit: arithmetic would overflow on the exponents that text can have.
    magnitude = exact.adjusted()
    if magnitude < _UNITS[0][0]:
        return UNREADABLE
    if magnitude > _UNITS[-1][1]:
        return OUT_OF_RANGE
    if magnitude not in _DIGIT_MAGNITUDES:
        return _since_1970(exact)
    return read_digits(format(exact, "f"), zone=zone, near=near)


def read_digits(digits: str, *, zone: str, near: Collection[int]) -> Reading:
    """Read a number as it is written, leading zeros included; the rest is as with `read_number`."""
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    calendar = read_calendar_digits(digits, zone)
    if calendar is not None:
        return calendar
    number = Decimal(digits)
    since_1970 = _since_1970(number)
    others = [*twelve_digit_readings(digits, zone), *_hundred_nanoseconds(number)]
    if not others:
        return since_1970
    return settled([reading for reading in (since_1970, *others) if reading.instant is not None], near)


def _since_1970(number: Decimal) -> Reading:
    magnitude = number.adjusted()
    for lowest, highest, exponent, unit in _UNITS:
        if lowest <= magnitude <= highest:
            precise = number.scaleb(exponent, _EXACT)
            instant = precise.to_integral_value(ROUND_FLOOR)
            return reading_of(int(instant), f"read as {unit} since 1970" + (DIGITS_LOST if instant != precise else ""))
    return UNREADABLE if magnitude < _UNITS[0][0] else OUT_OF_RANGE


def _hundred_nanoseconds(number: Decimal) -> Iterator[Reading]:
    if number.adjusted() != _HUNDRED_NANOSECONDS_MAGNITUDE or number != number.to_integral_value():
        return
    for start, name in _HUNDRED_NANOSECONDS:
        since_1970 = int(number) - start
        if _YEAR_1990 <= since_1970 < _YEAR_2100:
            yield reading_of(since_1970 // 10, f"read as {name}" + (DIGITS_LOST if since_1970 % 10 else ""))


def read_numbers(numbers: Ints) -> Iterator[tuple[str, Ints, Ints]]:
    """Read many whole numbers at once as `read_number` reads each of them.

    Yields:
        a note, the places of the numbers that it belongs to, and their instants. Numbers in none of the places are no
        times, out of range, or to be read one by one.
    """
    sizes = np.abs(numbers)
    several = _may_have_several_readings(numbers)
    for lowest, highest, exponent, unit in _UNITS:
        places = np.flatnonzero((sizes >= 10**lowest) & (sizes < min(10 ** (highest + 1), _MOST)) & ~several)
        if not len(places):
            continue
        chosen, divisor = numbers[places], 10 ** max(-exponent, 0)
        instants = np.floor_divide(chosen, divisor) * 10 ** max(exponent, 0)
        fits = (instants >= EARLIEST) & (instants < LATEST)
        lost = chosen % divisor != 0
        for note, some in (("", fits & ~lost), (DIGITS_LOST, fits & lost)):
            if some.any():
                yield f"read as {unit} since 1970{note}", places[some], instants[some]


def _may_have_several_readings(numbers: Ints) -> NDArray[np.bool_]:
    """Return which numbers have 12 digits that can be a calendar time, or can be a count from another year."""
    several = np.zeros(len(numbers), np.bool_)
    twelve = np.flatnonzero((numbers >= _TWELVE_DIGITS[0]) & (numbers < _TWELVE_DIGITS[1]))
    if len(twelve):
        months = [numbers[twelve] // 10**power % 100 for power in (6, 8)]
        several[twelve] = np.any([(month >= 1) & (month <= 12) for month in months], axis=0)
    for start, _ in _HUNDRED_NANOSECONDS:
        several |= (numbers >= start + _YEAR_1990) & (numbers < start + _YEAR_2100)
    return several
