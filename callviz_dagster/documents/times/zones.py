"""Instants ↔ what the clock in a time zone shows.

Pure. Instants are microseconds since 1970-01-01T00:00:00Z, local clocks microseconds of a calendar without zones. Time
zones are those of `zoneinfo` alone: Arrow's own local times have no daylight saving time after 2037, and need files of
the system. What belongs elsewhere: reading text (`documents/times/text.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from callviz_dagster.documents.times.reading import DAY, EARLIEST, EPOCH, LATEST, MICROSECOND, Ints

CAME_TWICE = "a local time that came twice when the clocks went back: the first was taken"
SKIPPED = "a local time that was skipped when the clocks went forward"


def instant_of_local(moment: dt.datetime, zone: str) -> tuple[int, str]:
    """Return the instant at which the clock in a zone shows a time, and a note on the doubt about it, if there is one.

    Args:
        moment: what the clock shows, without `tzinfo`.
        zone: IANA name.
    """
    info = ZoneInfo(zone)
    first, second = moment.replace(tzinfo=info, fold=0), moment.replace(tzinfo=info, fold=1)
    instant = (first - EPOCH) // MICROSECOND
    if first.utcoffset() == second.utcoffset():
        return instant, ""
    shown = first.astimezone(dt.UTC).astimezone(info).replace(tzinfo=None)
    return instant, CAME_TWICE if shown == moment else SKIPPED


def local_datetime_text(milliseconds: int, zone: str) -> str:
    """Return an instant as `YYYY-MM-DD HH:MM:SS.mmm` on the clock of a zone.

    In the hour that comes twice when the clocks go back the offset follows, so no two instants have one text.
    Outside the years 1 to 9999 it is Extended JSON, which is exact.
    """
    try:
        moment = (EPOCH + dt.timedelta(milliseconds=milliseconds)).astimezone(ZoneInfo(zone))
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
    seconds = offsets.by_day(np.floor_divide(instants, DAY))
    local: Ints = instants + seconds.astype(np.int64) * 1_000_000
    if (changing := seconds == _CHANGES).any():
        local[changing] = _each_once(instants[changing], offsets.local)
    return local


def from_local_clock(wall: Ints, zone: str) -> tuple[Ints, dict[str, list[int]]]:
    """Return the instants at which the clock in a zone shows these times, and which of them are doubtful.

    A time that the clock shows twice is taken for the first of the two; one that it skips, as if it had not yet
    been put forward. Both are returned as doubts: the note, with the places in `wall`.
    """
    offsets = _offsets(zone)
    days = np.floor_divide(wall, DAY)
    seconds = offsets.by_day(days)
    # The instant may lie on the day before or after the local date.
    sure = (seconds != _CHANGES) & (offsets.by_day(days - 1) == seconds) & (offsets.by_day(days + 1) == seconds)
    instants: Ints = wall - seconds.astype(np.int64) * 1_000_000
    doubts: dict[str, list[int]] = {}
    for place in np.flatnonzero(~sure).tolist():
        instants[place], doubt = _instant_of_wall(int(wall[place]), zone)
        if doubt:
            doubts.setdefault(doubt, []).append(place)
    return instants, doubts


@lru_cache(maxsize=65536)
def _instant_of_wall(wall: int, zone: str) -> tuple[int, str]:
    return instant_of_local((EPOCH + dt.timedelta(microseconds=wall)).replace(tzinfo=None), zone)


_FIRST_DAY, _LAST_DAY = EARLIEST // DAY - 3, LATEST // DAY + 3
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
                start = (place + _FIRST_DAY) * DAY
                day_offsets = {self.at(start + part * DAY // 8) for part in range(8)} | {self.at(start + DAY - 1)}
                self._seconds[place] = day_offsets.pop() if len(day_offsets) == 1 else _CHANGES
            seconds = self._seconds[places]
        return seconds

    def at(self, instant: int) -> int:
        offset = (EPOCH + dt.timedelta(microseconds=instant)).astimezone(self._info).utcoffset()
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
