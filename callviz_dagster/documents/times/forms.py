"""The forms in which text has a date, with or without a time of day: text → a time of the calendar and its zone.

Pure. Nothing ambiguous is guessed. What belongs elsewhere: times of day (`documents/times/clock.py`), digits alone
(`documents/times/digits.py`), words of dates (`documents/times/date_words.py`), and which instant it is
(`documents/times/text.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from callviz_dagster.documents.times.calendar import moment_of, reading_of_moment
from callviz_dagster.documents.times.clock import Clock, parse_clock, region
from callviz_dagster.documents.times.date_words import is_weekday, month_number
from callviz_dagster.documents.times.reading import (
    AMBIGUOUS,
    DIGITS_LOST,
    OUT_OF_RANGE,
    READ,
    UNREADABLE,
    Reading,
)

DATE_ONLY = "date without a time of day read as midnight"
DAY_FIRST = ", day before month and year"

_DATE = len("2024-03-01")
_REGION_BEHIND = re.compile(r"(?P<time>.+)\[(?P<region>[A-Za-z][A-Za-z0-9_+/-]*)\]")
_DATE_WITH_OFFSET = re.compile(r"\d{4}-\d{2}-\d{2}[+-]\d{2}:\d{2}")
"""A date of XML Schema with an offset, or a date and a time of day."""
_HOUR_24_OR_SECOND_60 = re.compile(r"(?<=\d)[^\d:.,+/-]24|:60")
"""Which of them `fromisoformat` reads depends on the version of Python."""
_NO_OFFSET = re.compile(r"[+-]\d{2}(:?\d{2})?:?[6-9]\d$")
"""An offset with more than 59 minutes or seconds, which `fromisoformat` reads all the same."""
_LOST_DIGITS = re.compile(r"[.,]\d{6}0*[1-9]")

_BEFORE_THE_CLOCK = r"(?:(?:at|um|om|kl\.?|à|às|alle|ore|a\s+las?)\s+)?"
_REST = rf"(?:(?:,?\s+(?:[-–]\s+)?{_BEFORE_THE_CLOCK}|,?T|:|-(?=\d{{2}}[.:]\d{{2}}[.:]))(?P<clock>.+))?"
_WEEKDAY = r"(?:(?P<weekday>[^\W\d_]{2,13})\.?,?\s+)?"
_MONTH = r"(?P<month>[^\W\d_]{3,10})"
_OF = r"(?:del?\s+)?"
_NUMERIC_DATE = re.compile(
    _WEEKDAY + r"(?P<first>\d{1,2})(?P<by>[/.-])(?P<second>\d{1,2})(?P=by)(?P<year>\d{4}|\d{2})" + _REST
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?P<by>[/.-])(?P<month>\d{1,2}|[^\W\d_]{3,10})(?P=by)(?P<day>\d{1,2})" + _REST, re.IGNORECASE
)
_DAY_FIRST = re.compile(
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:er)?(?:\.?\s+{_OF}|\.|[/-]){_MONTH}(?:\.?,?\s+{_OF}|[/-])(?P<year>\d{{4}}|\d{{2}}){_REST}",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(_WEEKDAY + _MONTH + r"\.?\s+(?P<day>\d{1,2}),?\s+(?P<year>\d{4})" + _REST, re.IGNORECASE)
_UNIX = re.compile(
    _WEEKDAY
    + r"(?P<month>[a-z]{3})\s+(?P<day>\d{1,2})\s+(?P<clock>\d{1,2}:\d{2}:\d{2}(?:\s+(?:UTC|GMT))?)\s+(?P<year>\d{4})",
    re.IGNORECASE,
)
_HALF_OF_A_DAY = re.compile(r"\d\s*[ap]\.?m\b", re.IGNORECASE)
_HOURS_AND_MINUTES = re.compile(r"(\d{1,2})\s?h\s?(\d{2})")
"""`14h05`, as French writes it; without a date before it, it would be a duration."""
_LAST_SHORT_YEAR = 68
"""Two digits of a year stand for 1969 to 2068, as in POSIX."""


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A time of the calendar as text has it, and the zone behind it."""

    moment: dt.datetime
    """Without `tzinfo`."""
    zone: dt.tzinfo | None = None
    assumed: str = ""
    date_only: bool = False
    order: str = ""
    """What was assumed of the order of day, month and year."""

    def reading(self, zone: str, note: str = READ) -> Reading:
        """Return the instant; `zone` is that of times without one, `note` says how it was read."""
        if isinstance(self.zone, ZoneInfo):
            return reading_of_moment(self.moment, self.zone.key, note, self.order + self.assumed)
        return reading_of_moment(
            self.moment.replace(tzinfo=self.zone),
            zone,
            DATE_ONLY if self.date_only else note,
            self.order + self.assumed,
        )


def parse_time(text: str, date_order: str | None) -> WrittenTime | Reading:
    """Return the time that a text has, or the reading that says why there is none.

    Args:
        text: without spaces around it, of bounded length.
        date_order: `dmy` or `mdy`, where day and month could change places.
    """
    if text.endswith("]") and (match := _REGION_BEHIND.fullmatch(text)):
        return _in_region(parse_time(match["time"], date_order), match["region"])
    if _DATE_WITH_OFFSET.fullmatch(text):
        return AMBIGUOUS
    if not _HOUR_24_OR_SECOND_60.search(text):
        try:
            moment = dt.datetime.fromisoformat(text.upper())
        except ValueError:
            pass
        else:
            if _NO_OFFSET.search(text):
                return UNREADABLE
            lost = DIGITS_LOST if _LOST_DIGITS.search(text) else ""
            return WrittenTime(moment.replace(tzinfo=None), moment.tzinfo, lost, date_only=len(text) <= _DATE)
    return _parse_other(text, date_order)


def with_clock(year: int, month: int, day: int, clock: Clock | None) -> WrittenTime | Reading:
    """Return a date with a time of day, or without one; `UNREADABLE` where the calendar has no such time."""
    shown = clock or Clock()
    moment = moment_of(year, month, day, shown.hour, shown.minute, shown.second, fraction=shown.fraction)
    if moment is None:
        return UNREADABLE
    return WrittenTime(moment[0], shown.zone, moment[1], date_only=clock is None)


def _in_region(time: WrittenTime | Reading, name: str) -> WrittenTime | Reading:
    """Return a time with the zone in brackets behind it, as Java writes it and RFC 9557 has it.

    An offset says which instant it is; where it is not that of the zone, nor zero, the time is ambiguous.
    """
    zone = dt.UTC if name in ("UTC", "GMT", "Z") else region(name)
    if isinstance(time, Reading):
        return time
    if zone is None or time.date_only:
        return UNREADABLE
    if time.zone is None:
        return replace(time, zone=zone)
    moment = time.moment.replace(tzinfo=time.zone)
    try:
        agrees = moment.utcoffset() in (dt.timedelta(), moment.astimezone(zone).utcoffset())
    except OverflowError:
        return OUT_OF_RANGE
    return time if agrees else AMBIGUOUS


def _parse_other(text: str, date_order: str | None) -> WrittenTime | Reading:
    for form in (_NUMERIC_DATE, _YEAR_FIRST, _DAY_FIRST, _MONTH_FIRST, _UNIX):
        match = form.fullmatch(text)
        if match is None or not is_weekday(match.groupdict().get("weekday")):
            continue
        if form is _NUMERIC_DATE:
            return _parse_numeric_date(match, date_order)
        month, year = month_number(match["month"]), _whole_year(match["year"])
        time = _with_clock_text(year, month, int(match["day"]), match["clock"], form is _DAY_FIRST)
        if isinstance(time, Reading) or len(match["year"]) > 2:
            return time
        return replace(time, order=DAY_FIRST)
    return UNREADABLE


def _whole_year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) > 2 else year + (2000 if year <= _LAST_SHORT_YEAR else 1900)


def _parse_numeric_date(match: re.Match[str], date_order: str | None) -> WrittenTime | Reading:
    """Return the time of a date in three numbers, the year last.

    Where points stand between the numbers, the day comes first: no country writes the month first with points. A
    clock of twelve hours behind them says that somebody does all the same. Two digits at each end, with other signs
    between them, can have the year at either.
    """
    first, second = int(match["first"]), int(match["second"])
    order = date_order or _order_by_sign(match)
    if order is None and _can_be_year_first(match):
        return AMBIGUOUS
    possible = [one for one, month in (("dmy", second), ("mdy", first)) if 1 <= month <= 12 and order in (None, one)]
    if len(possible) > 1 and first != second:
        return AMBIGUOUS
    if not possible:
        return UNREADABLE
    day, month = (first, second) if possible[0] == "dmy" else (second, first)
    time = _with_clock_text(_whole_year(match["year"]), month, day, match["clock"])
    assumed = possible[0] == "dmy" and day != month and order != date_order
    return replace(time, order=DAY_FIRST) if assumed and isinstance(time, WrittenTime) else time


def _order_by_sign(match: re.Match[str]) -> str | None:
    """Return `dmy` where points stand between numbers of which the first two can be day and month."""
    either = int(match["first"]) <= 12 and 1 <= int(match["second"]) <= 12
    return "dmy" if match["by"] == "." and either and not _HALF_OF_A_DAY.search(match["clock"] or "") else None


def _can_be_year_first(match: re.Match[str]) -> bool:
    two_digits = len(match["first"]) == len(match["year"]) == 2 and match["by"] != "."
    return two_digits and 1 <= int(match["second"]) <= 12 and 1 <= int(match["year"]) <= 31


def _with_clock_text(year: int, month: int, day: int, text: str | None, mail: bool = False) -> WrittenTime | Reading:
    if text is None:
        return with_clock(year, month, day, None)
    clock = parse_clock(_HOURS_AND_MINUTES.sub(r"\1:\2", text), mail=mail)
    return with_clock(year, month, day, clock) if clock else UNREADABLE
