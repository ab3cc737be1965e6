"""Times as documents hold them → instants: text, numbers since 1970, and local clocks; and instants → local clocks.

Pure. All instants are microseconds since 1970-01-01T00:00:00Z. Nothing ambiguous is guessed. Time zones are those
of `zoneinfo` alone: Arrow's own local times know no daylight saving after 2037, and need files of the system.
What belongs elsewhere: which field holds a time (`documents/recognition/names.py`) and what becomes of a bad one
(`table/normalize.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]

EARLIEST = -9_214_560_000_000_000
"""1678-01-01T00:00:00Z."""
LATEST = 9_214_646_400_000_000
"""2262-01-01T00:00:00Z, the first instant that is too late."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_DAY = 86_400_000_000
_UNITS = ((8, 10, 10**6, "seconds"), (11, 13, 10**3, "milliseconds"), (14, 16, 1, "microseconds"))
"""A number is seconds, milliseconds or microseconds since 1970 by its magnitude: powers of ten, factor, name.

So seconds reach from 1973 to the year 5138, and the ranges of the three do not overlap.
"""

_ISO = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?"
_ISO_LOCAL, _ISO_OFFSET = _ISO + "$", _ISO + r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
"""The forms of time in which Arrow reads the same instants as `read_text`."""

_LONGEST = 100
"""Longer text is no time; what is matched against it could otherwise take for ever."""
_COMPACT = re.compile(r"(19|20)[0-9]{12}")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_NUMERIC_DATE = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:,?[ T]+(.+))?")
_YEAR_FIRST = re.compile(r"(\d{4})([/.-])(\d{1,2})\2(\d{1,2})(?:,?[ T]+(.+))?")
_WEEKDAY = r"(?:(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?,?\s+)?"
_DAY_MONTH = re.compile(_WEEKDAY + r"(\d{1,2})\s+([a-z]{3,9})\.?,?\s+(\d{4})(?:,?\s+(.+))?", re.IGNORECASE)
_MONTH_DAY = re.compile(_WEEKDAY + r"([a-z]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4})(?:,?\s+(.+))?", re.IGNORECASE)
_UNIX_DATE = re.compile(
    _WEEKDAY + r"([a-z]{3})\s+(\d{1,2})\s+(\d{1,2}:\d{2}:\d{2}(?:\s+(?:UTC|GMT))?)\s+(\d{4})", re.IGNORECASE
)
_CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AaPp]\.?[Mm]\.?)?"
    r"\s*(Z|(?:UTC|GMT)?[+-]\d{2}:?\d{2}(?:\s+(?:UTC|GMT))?|UTC|GMT|[A-Z]{2,3})?(?:\s*\([^)]*\))?"
)
_RFC_2822_ZONES = {
    **{"UT": "Z", "EST": "-0500", "EDT": "-0400", "CST": "-0600", "CDT": "-0500"},
    **{"MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700"},
}
"""Names of zones in mail dates; elsewhere they mean different zones in different countries and are not read."""
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
_READ = "text read as a time"
_LEFT_OUT = ", digits below a microsecond left out"


def in_range(instant: int) -> bool:
    """Tell whether an instant lies within 1678–2261."""
    return EARLIEST <= instant < LATEST


def read_number(number: int | float | Decimal) -> Reading:
    """Read a number as seconds, milliseconds or microseconds since 1970, told apart by magnitude.

    Below 100,000,000 (1973 in seconds) it is taken for no time at all.
    """
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if not exact.is_finite() or not exact:
        return UNREADABLE
    # The power of ten of the first digit; arithmetic would overflow on the exponents that text can have.
    magnitude = exact.adjusted()
    for lowest, highest, factor, unit in _UNITS:
        if lowest <= magnitude <= highest:
            precise = exact * factor
            instant = precise.to_integral_value(ROUND_FLOOR)
            note = f"read as {unit} since 1970" + (_LEFT_OUT if instant != precise else "")
            return Reading(int(instant), note) if in_range(int(instant)) else OUT_OF_RANGE
    return UNREADABLE if magnitude < _UNITS[0][0] else OUT_OF_RANGE


def read_numbers(numbers: Ints) -> Iterator[tuple[str, Ints, Ints]]:
    """Read many whole numbers as `read_number` reads each of them.

    Yields:
        a note, the places of the numbers that it belongs to, and their instants. Places that are in none are numbers
        that are no time, or none in range.
    """
    sizes = np.abs(numbers)
    for lowest, highest, factor, unit in _UNITS:
        places = np.flatnonzero((sizes >= 10**lowest) & (sizes < 10 ** (highest + 1)))
        instants = numbers[places] * factor
        fits = (instants >= EARLIEST) & (instants < LATEST)
        if fits.any():
            yield f"read as {unit} since 1970", places[fits], instants[fits]


def read_text(text: str, *, zone: str, date_order: str | None = None) -> Reading:
    """Read a time written as text; without an offset it is local time in `zone`.

    Understood are ISO 8601 and RFC 3339 (also with a space, `/` or `.`, and as 14 digits), RFC 2822, dates with
    the month as an English word, numbers since 1970, and `day/month/year` dates with a 12- or 24-hour clock.
    Where day and month could change places, `date_order` (`dmy` or `mdy`) decides; without it the text is
    ambiguous. A date without a time of day is midnight. A zone that is a name, other than UTC, GMT and those of
    RFC 2822 in a date of that form, is not guessed.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return UNREADABLE
    if _COMPACT.fullmatch(text):
        text = f"{text[:8]}T{text[8:]}"
    if _NUMBER.fullmatch(text) and len(text) != len("20240301"):
        return read_number(Decimal(text))
    try:
        moment = dt.datetime.fromisoformat(text.upper())
    except ValueError:
        return _read_other(text, zone, date_order)
    return _reading(moment, zone, _lost_digits(text), date_only=len(text) <= len("2024-03-01"))


def read_texts(texts: pa.StringArray, *, zone: str) -> Iterator[tuple[str, Ints, Ints]]:
    """Read the usual forms of ISO 8601 among many texts at once, as `read_text` reads each of them.

    Yields:
        a note, the places of the texts that it belongs to, and their instants. Places that are in none are texts that
        only `read_text` can tell.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for form, kind in ((_ISO_OFFSET, pa.timestamp("us", "UTC")), (_ISO_LOCAL, pa.timestamp("us"))):
        places = np.flatnonzero(pc.match_substring_regex(texts, form).to_numpy(zero_copy_only=False))
        if not len(places):
            continue
        try:
            instants = texts.take(pa.array(places)).cast(kind).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:  # one of them is no time, as the 30th of February
            continue
        sure = (instants >= EARLIEST + _DAY) & (instants < LATEST - _DAY)
        places, instants = places[sure], instants[sure]
        if form is _ISO_OFFSET:
            yield _READ, places, instants
            continue
        instants, doubts = from_local_clock(instants, zone)
        clear = np.ones(len(places), np.bool_)
        for doubt, some in doubts.items():
            clear[some] = False
            yield f"{_READ} in {zone} ({doubt})", places[some], instants[some]
        yield f"{_READ} in {zone}", places[clear], instants[clear]


def _read_other(text: str, zone: str, date_order: str | None) -> Reading:
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
    if match := _DAY_MONTH.fullmatch(text):
        return _from_parts(int(match[3]), _month(match[2]), int(match[1]), match[4], zone, mail=True)
    if match := _MONTH_DAY.fullmatch(text):
        return _from_parts(int(match[3]), _month(match[1]), int(match[2]), match[4], zone)
    if match := _UNIX_DATE.fullmatch(text):
        return _from_parts(int(match[4]), _month(match[1]), int(match[2]), match[3], zone)
    return UNREADABLE


def _month(word: str) -> int:
    """Return the number of a month's English name or its abbreviation; 0, which is no month, for another word."""
    word = word.lower()
    known = word in _MONTH_NAMES or word in (*_MONTHS, "sept")
    return _MONTHS.index(word[:3]) + 1 if known else 0


def _from_parts(year: int, month: int, day: int, clock: str | None, zone: str, *, mail: bool = False) -> Reading:
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
            digits = re.sub(r"UTC|GMT|[:\s]", "", match[6]) or "Z"
            digits = _RFC_2822_ZONES.get(digits, digits) if mail else digits
            if digits[0] in "+-":
                size = dt.timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
                if size >= dt.timedelta(days=1):
                    return UNREADABLE
                offset = dt.timezone(size if digits[0] == "+" else -size)
            elif digits == "Z":
                offset = dt.UTC
            else:
                return UNREADABLE
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
    note = "date without a time of day read as midnight" if date_only else _READ
    if moment.tzinfo is None:
        doubt = _local_note(moment, zone)
        note += f" in {zone}" + (f" ({doubt})" if doubt else "")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    instant = (moment - _EPOCH) // _MICROSECOND
    return Reading(instant, note + (_LEFT_OUT if lost else "")) if in_range(instant) else OUT_OF_RANGE


def _local_note(moment: dt.datetime, zone: str) -> str:
    """Say so where the local clock shows this time twice or never."""
    info = ZoneInfo(zone)
    first, second = moment.replace(tzinfo=info, fold=0), moment.replace(tzinfo=info, fold=1)
    if first.utcoffset() == second.utcoffset():
        return ""
    back = first.astimezone(dt.UTC).astimezone(info).replace(tzinfo=None)
    if back != moment:
        return "a local time that was skipped when the clocks went forward"
    return "a local time that came twice when the clocks went back: the first was taken"


def local_datetime_text(milliseconds: int, zone: str) -> str:
    """Return an instant as `YYYY-MM-DD HH:MM:SS.mmm` on the clock of a zone.

    In the hour that comes twice when the clocks go back the offset follows, so no two instants have one text.
    Outside the years 1 to 9999 it is Extended JSON, which is exact.
    """
    try:
        moment = (_EPOCH + dt.timedelta(milliseconds=milliseconds)).astimezone(ZoneInfo(zone))
    except OverflowError:
        return f'{{"$date": {{"$numberLong": "{milliseconds}"}}}}'
    if moment.utcoffset() == moment.replace(fold=1 - moment.fold).utcoffset():
        moment = moment.replace(tzinfo=None)
    return moment.isoformat(" ", "milliseconds")


def local_clock(instants: Ints, zone: str) -> Ints:
    """Return what the clock in a zone shows at these instants, as microseconds of a calendar without zones."""
    if zone == "UTC":
        return instants
    offsets = _offsets(zone)
    seconds = offsets.by_day(np.floor_divide(instants, _DAY))
    local: Ints = instants + seconds.astype(np.int64) * 1_000_000
    if (changing := seconds == _CHANGES).any():
        local[changing] = _each_once(instants[changing], offsets.local)
    return local


def from_local_clock(wall: Ints, zone: str) -> tuple[Ints, dict[str, list[int]]]:
    """Return the instants at which the clock in a zone shows these times, and what is doubtful of which.

    A time that the clock shows twice is taken for the first of the two; one that it skips, as if it had not yet
    been put forward. Both are told: the words, with the places in `wall`.
    """
    offsets = _offsets(zone)
    days = np.floor_divide(wall, _DAY)
    seconds = offsets.by_day(days)
    # The instant may lie on the day before or after the local date.
    sure = (seconds != _CHANGES) & (offsets.by_day(days - 1) == seconds) & (offsets.by_day(days + 1) == seconds)
    instants: Ints = wall - seconds.astype(np.int64) * 1_000_000
    doubts: dict[str, list[int]] = {}
    for place in np.flatnonzero(~sure).tolist():
        instants[place], words = _instant_of_local(int(wall[place]), zone)
        if words:
            doubts.setdefault(words, []).append(place)
    return instants, doubts


@lru_cache(maxsize=65536)
def _instant_of_local(wall: int, zone: str) -> tuple[int, str]:
    moment = (_EPOCH + dt.timedelta(microseconds=wall)).replace(tzinfo=None)
    return (moment.replace(tzinfo=ZoneInfo(zone)) - _EPOCH) // _MICROSECOND, _local_note(moment, zone)


_FIRST_DAY, _LAST_DAY = EARLIEST // _DAY - 3, LATEST // _DAY + 3
_UNKNOWN, _CHANGES = -(2**31), 2**31 - 1


class _Offsets:
    """A zone's offset from UTC on each day (of UTC) on which it does not change, found when first asked for."""

    def __init__(self, zone: str) -> None:
        self._info = ZoneInfo(zone)
        self._seconds = np.full(_LAST_DAY - _FIRST_DAY, _UNKNOWN, np.int32)
        self._seconds[[0, -1]] = _CHANGES  # stand for all days before and after

    def by_day(self, days: Ints) -> NDArray[np.int32]:
        """Return seconds for each day since 1970, `_CHANGES` where they change or the day is too far away."""
        places = np.clip(days - _FIRST_DAY, 0, len(self._seconds) - 1)
        seconds: NDArray[np.int32] = self._seconds[places]
        if (unknown := seconds == _UNKNOWN).any():
            for place in np.unique(places[unknown]).tolist():
                start = (place + _FIRST_DAY) * _DAY
                seen = {self.at(start + part * _DAY // 8) for part in range(8)} | {self.at(start + _DAY - 1)}
                self._seconds[place] = seen.pop() if len(seen) == 1 else _CHANGES
            seconds = self._seconds[places]
        return seconds

    def at(self, instant: int) -> int:
        offset = (_EPOCH + dt.timedelta(microseconds=instant)).astimezone(self._info).utcoffset()
        return offset // dt.timedelta(seconds=1) if offset is not None else 0

    def local(self, instant: int) -> int:
        return instant + self.at(instant) * 1_000_000


@lru_cache(maxsize=64)
def _offsets(zone: str) -> _Offsets:
    return _Offsets(zone)


def _each_once(values: Ints, function: Callable[[int], int]) -> Ints:
    """Return the function's value for each of the values, asked once for those that are the same."""
    different, places = np.unique(values, return_inverse=True)
    return np.array([function(value) for value in different.tolist()], np.int64)[places]
