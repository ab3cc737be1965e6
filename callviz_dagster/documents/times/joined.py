"""A date and a time of day that stand in two fields → one instant.

Pure. What belongs elsewhere: which two fields they are (`documents/recognition/`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

from callviz_dagster.documents.times.clock import Clock, parse_clock, parse_clock_digits
from callviz_dagster.documents.times.forms import WrittenTime, parse_time, with_clock
from callviz_dagster.documents.times.reading import EPOCH, UNREADABLE, Reading

_JOINED = "date and time of day joined"
_MIDNIGHT = dt.time()
_DAYS_OF_NO_DATE = frozenset(
    {dt.date(1, 1, 1), dt.date(1899, 12, 30), dt.date(1899, 12, 31), dt.date(1900, 1, 1), dt.date(1970, 1, 1)}
)
"""What stands in place of a date in times of day alone: by .NET and Go, spreadsheets, databases, and Unix."""


def join_date_and_clock(date: str | int, clock: str | int, *, zone: str, date_order: str | None = None) -> Reading:
    """Read a date and a time of day that stand in two fields.

    Args:
        date: text that `read_text` reads, without a time of day or with midnight; or an instant that is midnight in
            UTC or in `zone`.
        clock: text of a 12- or 24-hour clock, also with an offset or a zone, or `HHMM` or `HHMMSS`; or an instant on
            one of the days that stand for no date, such as 1970-01-01, of which the time of day in UTC counts.
        zone: IANA zone of times without one.
        date_order: `dmy` or `mdy`, where day and month could change places; without it such a date is ambiguous.
    """
    day = _date_in_text(date.strip(), date_order) if isinstance(date, str) else _date_of_instant(date, zone)
    if isinstance(day, Reading):
        return day
    time_of_day = _clock_in_text(clock.strip()) if isinstance(clock, str) else _clock_of_instant(clock)
    if time_of_day is None:
        return UNREADABLE
    moment = day.moment
    time = with_clock(moment.year, moment.month, moment.day, time_of_day)
    return time if isinstance(time, Reading) else replace(time, order=day.order).reading(zone, _JOINED)


def _date_in_text(text: str, date_order: str | None) -> WrittenTime | Reading:
    time = parse_time(text, date_order)
    if isinstance(time, Reading):
        return time
    return time if time.moment.time() == _MIDNIGHT and not time.assumed else UNREADABLE


def _clock_in_text(text: str) -> Clock | None:
    return parse_clock_digits(text) or parse_clock(text)


def _date_of_instant(instant: int, zone: str) -> WrittenTime | Reading:
    moment = _moment(instant)
    if moment is None:
        return UNREADABLE
    local = moment.astimezone(ZoneInfo(zone))
    days = [shown.replace(tzinfo=None) for shown in (moment, local) if shown.time() == _MIDNIGHT]
    return WrittenTime(days[0]) if days else UNREADABLE


def _clock_of_instant(instant: int) -> Clock | None:
    moment = _moment(instant)
    if moment is None or moment.date() not in _DAYS_OF_NO_DATE:
        return None
    return Clock(moment.hour, moment.minute, moment.second, f"{moment.microsecond:06}")


def _moment(instant: int) -> dt.datetime | None:
    try:
        return EPOCH + dt.timedelta(microseconds=instant)
    except OverflowError:
        return None
