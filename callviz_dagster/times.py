"""Times as documents hold them → instants: text, numbers since 1970, and local clocks.

Pure. All instants are microseconds since 1970-01-01T00:00:00Z. Nothing ambiguous is guessed.
What belongs elsewhere: which field holds a time (`vocabulary.py`) and what becomes of a bad one (`normalize.py`).
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

EARLIEST = -9_214_560_000_000_000
"""1678-01-01T00:00:00Z."""
LATEST = 9_214_646_400_000_000
"""2262-01-01T00:00:00Z, the first instant that is too late."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_UNITS = (
    (10**8, 10**11, 1_000_000, "seconds"),
    (10**11, 10**14, 1_000, "milliseconds"),
    (10**14, 10**17, 1, "microseconds"),
)
"""A number is seconds, milliseconds or microseconds since 1970 by its magnitude: from, below, factor, name.

So seconds reach from 1973 to the year 5138, and the ranges of the three do not overlap.
"""

_COMPACT = re.compile(r"(19|20)\d{12}")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_NUMERIC_DATE = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:,?[ T]+(.+))?")
_YEAR_FIRST = re.compile(r"(\d{4})([/.])(\d{1,2})\2(\d{1,2})(?:,?[ T]+(.+))?")
_MONTH_WORD = re.compile(
    r"(?:[A-Za-z]+,?\s+)?(?:(\d{1,2})\s+([A-Za-z]{3,9})\.?|([A-Za-z]{3,9})\.?\s+(\d{1,2})),?\s+(\d{4})(?:,?\s+(.+))?"
)
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp]\.?[Mm]\.?)?"
    r"\s*(Z|(?:UTC|GMT)?[+-]\d{2}:?\d{2}|UTC|GMT)?(?:\s*\([^)]*\))?"
)
_ASCTIME = re.compile(r"([A-Za-z]{3}\s+)?([A-Za-z]{3})\s+(\d{1,2})\s+(\d{1,2}:\d{2}:\d{2})\s+(\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAMES = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a value reads as: an instant with a note on what was assumed, or none with the reason."""

    instant: int | None
    note: str = ""
    problem: str = ""
    """`unreadable`, `ambiguous` or `out_of_range` where there is no instant."""


UNREADABLE = Reading(None, problem="unreadable")
AMBIGUOUS = Reading(None, problem="ambiguous")
OUT_OF_RANGE = Reading(None, problem="out_of_range")


def in_range(instant: int) -> bool:
    """Tell whether an instant lies within 1678–2261."""
    return EARLIEST <= instant < LATEST


def read_number(number: int | float | Decimal) -> Reading:
    """Read a number as seconds, milliseconds or microseconds since 1970, told apart by magnitude.

    Below 100,000,000 (1973 in seconds) it is taken for no time at all.
    """
    if isinstance(number, float):
        if number != number or number in (float("inf"), float("-inf")):
            return UNREADABLE
        number = Decimal(repr(number))
    elif isinstance(number, Decimal) and not number.is_finite():
        return UNREADABLE
    exact = Decimal(number)
    for lowest, beyond, factor, unit in _UNITS:
        if lowest <= abs(exact) < beyond:
            instant = int((exact * factor).to_integral_value())
            return Reading(instant, f"read as {unit} since 1970") if in_range(instant) else OUT_OF_RANGE
    return UNREADABLE if abs(exact) < _UNITS[0][0] else OUT_OF_RANGE


def read_text(text: str, *, zone: str, date_order: str | None = None) -> Reading:
    """Read a time written as text; without an offset it is local time in `zone`.

    Understood are ISO 8601 and RFC 3339 (also with a space, `/` or `.`, and as 14 digits), RFC 2822, dates with
    the month as an English word, numbers since 1970, and `day/month/year` dates with a 12- or 24-hour clock.
    Where day and month could change places, `date_order` (`dmy` or `mdy`) decides; without it the text is
    ambiguous. A date without a time of day is midnight.
    """
    text = text.strip()
    if not text:
        return UNREADABLE
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return _read_other(text, zone, date_order)
    if text.isdecimal() and len(text) not in (8, 14):
        return read_number(int(text))
    return _reading(moment, zone, _lost_digits(text), date_only=len(text) <= 10)


def _read_other(text: str, zone: str, date_order: str | None) -> Reading:
    if _COMPACT.fullmatch(text):
        try:
            return _reading(dt.datetime.strptime(text, "%Y%m%d%H%M%S"), zone)
        except ValueError:
            return UNREADABLE
    if _NUMBER.fullmatch(text):
        return read_number(Decimal(text))
    if match := _NUMERIC_DATE.fullmatch(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        possible = [order for order, month in (("dmy", second), ("mdy", first)) if 1 <= month <= 12]
        if date_order is not None:
            possible = [order for order in possible if order == date_order]
        if first == second:
            possible = possible[:1]
        if len(possible) > 1:
            return AMBIGUOUS
        if not possible:
            return UNREADABLE
        day, month = (first, second) if possible[0] == "dmy" else (second, first)
        return _from_parts(year, month, day, match[5], zone)
    if match := _YEAR_FIRST.fullmatch(text):
        return _from_parts(int(match[1]), int(match[3]), int(match[4]), match[5], zone)
    if match := _ASCTIME.fullmatch(text):
        text = f"{match[3]} {match[2]} {match[5]} {match[4]}"
    if match := _MONTH_WORD.fullmatch(text):
        word = (match[2] or match[3]).lower()
        if word in _MONTH_NAMES or word in (*_MONTHS, "sept"):
            month = _MONTHS.index(word[:3]) + 1
            reading = _from_parts(int(match[5]), month, int(match[1] or match[4]), match[6], zone)
            if reading.instant is not None or reading.problem != "unreadable":
                return reading
    if re.search(r"\d\s+[A-Za-z]{3}\s+\d{4}\s+\d", text):
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return UNREADABLE
        return _reading(moment, zone)
    for end in ("UTC", "GMT"):
        if text.endswith(end) and text[: -len(end)].strip() != text:
            try:
                moment = dt.datetime.fromisoformat(text[: -len(end)].strip())
            except ValueError:
                return UNREADABLE
            return _reading(moment.replace(tzinfo=dt.UTC), zone) if moment.tzinfo is None else UNREADABLE
    return UNREADABLE


def _from_parts(year: int, month: int, day: int, clock: str | None, zone: str) -> Reading:
    hour = minute = second = micro = 0
    offset: dt.tzinfo | None = None
    lost = ""
    if clock is not None:
        match = _CLOCK.fullmatch(clock.strip())
        if not match:
            return UNREADABLE
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        fraction = (match[4] or "").ljust(6, "0")
        micro, lost = int(fraction[:6]), fraction[6:].strip("0")
        if match[5]:
            if not 1 <= hour <= 12:
                return UNREADABLE
            hour = hour % 12 + (12 if match[5][0] in "Pp" else 0)
        if match[6]:
            digits = match[6].replace(":", "").removeprefix("UTC").removeprefix("GMT") or "Z"
            offset = dt.UTC
            if digits[0] in "+-":
                size = dt.timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
                if size >= dt.timedelta(days=1):
                    return UNREADABLE
                offset = dt.timezone(size if digits[0] == "+" else -size)
    try:
        moment = dt.datetime(year, month, day, hour, minute, second, micro, tzinfo=offset)
    except ValueError:
        return UNREADABLE
    return _reading(moment, zone, bool(lost), date_only=clock is None)


def _lost_digits(text: str) -> bool:
    """Tell whether ISO text has digits below a microsecond that are not zero."""
    match = re.search(r"[.,](\d{7,})", text)
    return bool(match and match[1][6:].strip("0"))


def _reading(moment: dt.datetime, zone: str, lost: bool = False, *, date_only: bool = False) -> Reading:
    note = "text read as a time"
    if date_only:
        note = "date without a time of day read as midnight"
    if moment.tzinfo is None:
        local_note = _local_note(moment, zone)
        try:
            instant = (moment.replace(tzinfo=ZoneInfo(zone)) - _EPOCH) // _MICROSECOND
        except OverflowError:
            return OUT_OF_RANGE
        note += f" in {zone}{local_note}"
    else:
        try:
            instant = (moment - _EPOCH) // _MICROSECOND
        except OverflowError:
            return OUT_OF_RANGE
    if lost:
        note += ", digits below a microsecond left out"
    return Reading(instant, note) if in_range(instant) else OUT_OF_RANGE


def _local_note(moment: dt.datetime, zone: str) -> str:
    """Say so where the local clock shows this time twice or never."""
    info = ZoneInfo(zone)
    first, second = moment.replace(tzinfo=info, fold=0), moment.replace(tzinfo=info, fold=1)
    if first.utcoffset() == second.utcoffset():
        return ""
    back = first.astimezone(dt.UTC).astimezone(info).replace(tzinfo=None)
    if back != moment:
        return " (a local time that was skipped when the clocks went forward)"
    return " (a local time that came twice when the clocks went back: the first was taken)"


@lru_cache(maxsize=65536)
def local_wall_to_instant(wall: int, zone: str) -> tuple[int, str]:
    """Turn a local clock reading that was stored as if it were UTC (microseconds) into the instant, with a note."""
    moment = (_EPOCH + dt.timedelta(microseconds=wall)).replace(tzinfo=None)
    return (moment.replace(tzinfo=ZoneInfo(zone)) - _EPOCH) // _MICROSECOND, _local_note(moment, zone)
