"""Times of day written as text, with the offset or the zone that follows them.

Pure. What belongs elsewhere: dates (`documents/times/text.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_OFFSET = r"(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?|(?:UTC|GMT)[+-]\d(?::\d{2})?"
_NAME_OF_OFFSET = r"(?:\s+(?:[A-Z]{2,5}|[+-]\d{2}(?:\d{2})?))?(?:\s+m=[+-][\d.]+)?"
"""What Go prints behind an offset: the zone's abbreviation, or the offset once more, and its other clock."""
_REGION = r"[A-Z][A-Za-z]+(?:/[A-Za-z][A-Za-z0-9_+-]*)+"
_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?P<colon>[:.])(?P<minute>\d{2})(?:(?P=colon)(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?:\s*(?P<half>[AaPp]\.?[Mm]\.?)|\s*Uhr|\s+hs?\.?)?"
    rf"\s*(?:(?P<offset>{_OFFSET}){_NAME_OF_OFFSET}|(?P<region>{_REGION})|(?P<name>[A-Z]{{1,3}}))?(?:\s*\([^)]*\))?"
)
_DIGITS = re.compile(r"(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?")
_UTC_NAMES = ("Z", "UTC", "GMT")
_RFC_2822_ZONES = {
    **{"UT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
}
"""Offsets in hours of the zone names in mail dates; elsewhere they mean different zones in different countries."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day as it is written, and the zone that is written behind it."""

    hour: int = 0
    minute: int = 0
    second: int = 0
    fraction: str = ""
    zone: dt.tzinfo | None = None


def parse_clock(text: str, *, mail: bool = False) -> Clock | None:
    """Return a time of day of 12 or 24 hours; None where the text is not one, or names an ambiguous zone.

    Args:
        text: hour and minute, also with seconds, a fraction, AM or PM, `Uhr` or `h`, an offset, UTC, GMT or an IANA
            zone.
        mail: whether the zone names of RFC 2822 are read.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"][0] in "Pp" else 0)
    zone = _zone(match, mail)
    if zone is None and (match["offset"] or match["region"] or match["name"]):
        return None
    return Clock(hour, int(match["minute"]), int(match["second"] or 0), match["fraction"] or "", zone)


def parse_clock_digits(text: str) -> Clock | None:
    """Return the time of day that `HHMM` or `HHMMSS` is; None for other text."""
    match = _DIGITS.fullmatch(text)
    return Clock(int(match["hour"]), int(match["minute"]), int(match["second"] or 0)) if match else None


def _zone(match: re.Match[str], mail: bool) -> dt.tzinfo | None:
    if match["region"]:
        return region(match["region"])
    if match["offset"]:
        return parse_offset(match["offset"])
    if match["name"] in _UTC_NAMES:
        return dt.UTC
    if mail and match["name"] in _RFC_2822_ZONES:
        return dt.timezone(dt.timedelta(hours=_RFC_2822_ZONES[match["name"]]))
    return None


def parse_offset(text: str) -> dt.timezone | None:
    """Return the zone of an offset such as `+01:00`, `-0530` or `UTC+1`; None where there is no such offset."""
    digits = re.sub(r"\D", "", text)
    hours, minutes = (digits[:1], digits[1:]) if len(digits) % 2 else (digits[:2], digits[2:])
    size = dt.timedelta(hours=int(hours), minutes=int(minutes or 0))
    if size >= dt.timedelta(days=1) or int(minutes or 0) >= 60:
        return None
    return dt.timezone(-size if "-" in text else size)


def region(name: str) -> ZoneInfo | None:
    """Return the IANA zone of a name with a slash; names without one, such as `localtime`, depend on the machine."""
    return ZoneInfo(name) if name in _regions() else None


@cache
def _regions() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if "/" in name)
