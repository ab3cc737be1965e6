"""The reading of a value as a time: an instant with a note, or the reason why there is none.

Pure. Instants are microseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

EARLIEST = -9_214_560_000_000_000
"""1678-01-01T00:00:00Z."""
LATEST = 9_214_646_400_000_000
"""2262-01-01T00:00:00Z, the first instant that is too late."""

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DAY = 86_400_000_000
"""Microseconds of a day."""

BESIDE = 366 * DAY
"""A reading lies beside another time of its document if at most this lies between them: the several readings of one
number are decades apart, and a year is enough for records that are imported later."""

READ = "text read as a time"
DIGITS_LOST = ", digits below a microsecond left out"


@dataclass(frozen=True, slots=True)
class Reading:
    """An instant with a note on what was assumed, or no instant and the problem."""

    instant: int | None
    note: str = ""
    problem: str = ""
    """`unreadable`, `ambiguous` or `out_of_range` where there is no instant."""


UNREADABLE = Reading(None, problem="unreadable")
AMBIGUOUS = Reading(None, problem="ambiguous")
OUT_OF_RANGE = Reading(None, problem="out_of_range")


def in_range(instant: int) -> bool:
    """Return whether an instant lies within 1678–2261."""
    return EARLIEST <= instant < LATEST


def reading_of(instant: int, note: str) -> Reading:
    """Return the reading of an instant, which may be out of range."""
    return Reading(instant, note) if in_range(instant) else OUT_OF_RANGE


def settled(readings: Sequence[Reading], near: Collection[int]) -> Reading:
    """Return the one of several readings of a value that its document supports.

    Args:
        readings: what the value can mean, with an instant each.
        near: other times of the document.

    Returns:
        the reading that lies beside one of these times, if it is the only one; else `AMBIGUOUS`.
    """
    supported = {
        reading.instant: reading
        for reading in readings
        if any(abs((reading.instant or 0) - other) <= BESIDE for other in near)
    }
    if len(supported) != 1:
        return AMBIGUOUS
    (reading,) = supported.values()
    return replace(reading, note=f"{reading.note}, confirmed by another time of the document")
