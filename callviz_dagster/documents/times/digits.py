"""Calendar times written as digits alone: `20240301100000`, and the 12 digits that have several readings.

Pure. What belongs elsewhere: numbers since 1970 (`documents/times/numbers.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from callviz_dagster.documents.times.calendar import moment_of, reading_of_moment
from callviz_dagster.documents.times.reading import DIGITS_LOST, READ, UNREADABLE, Reading

_FULL = re.compile(r"((?:19|20)[0-9]{12})(?:[.,]([0-9]{1,9})|([0-9]{3}|[0-9]{6}))?")
"""Year to second, with a fraction after a point, or with milliseconds or microseconds directly behind it."""
_TWELVE = re.compile(r"([0-9]{12})(?:[.]([0-9]{1,9}))?")


def read_calendar_digits(digits: str, zone: str) -> Reading | None:
    """Read `YYYYMMDDHHMMSS`, also with a fraction, milliseconds or microseconds behind it, as local time in `zone`.

    No number since 1970 with that many digits lies within the years that are read, so it has no other meaning.

    Returns:
        None where the digits are of another form.
    """
    match = _FULL.fullmatch(digits)
    if match is None:
        return None
    moment = moment_of(int(digits[:4]), *_pairs(digits[4:14]), fraction=match[2] or match[3] or "")
    return reading_of_moment(moment[0], zone, READ, moment[1]) if moment else UNREADABLE


def twelve_digit_readings(digits: str, zone: str) -> Iterator[Reading]:
    """Yield what 12 digits can mean as a calendar time in `zone`: `YYYYMMDDHHMM` and `YYMMDDHHMMSS`.

    Two digits of a year stand for 1969 to 2068, as in POSIX.
    """
    match = _TWELVE.fullmatch(digits)
    if match is None:
        return
    short, fraction = int(digits[:2]), match[2] or ""
    readings = [("year (two digits) to second", short + (1900 if short >= 69 else 2000), digits[2:12])]
    if short in (19, 20) and not fraction:
        readings.append(("year to minute", int(digits[:4]), digits[4:]))
    for form, year, rest in readings:
        moment = moment_of(year, *_pairs(rest), fraction=fraction)
        if moment and moment[1] in ("", DIGITS_LOST):
            yield reading_of_moment(moment[0], zone, f"12 digits read as {form}", moment[1])


def _pairs(digits: str) -> list[int]:
    return [int(digits[place : place + 2]) for place in range(0, len(digits), 2)]
