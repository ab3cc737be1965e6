"""Values as documents hold them → durations in seconds.

Pure. Nothing ambiguous is guessed: `05:12` is read only where something says that it is not five hours. What belongs
elsewhere: which field holds a duration and in which unit (`documents/recognition/`), and what becomes of a value that
is not a duration (`table/`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from callviz_dagster.documents.times.subdocuments import seconds_and_nanoseconds

Floats = NDArray[np.float64]
TwoPartClock = Literal["mm:ss", "hh:mm"]

UNITS: dict[str, tuple[int, int]] = {
    "ns": (1, 1_000_000_000),
    "us": (1, 1_000_000),
    "ms": (1, 1_000),
    "s": (1, 1),
    "min": (60, 1),
    "h": (3600, 1),
}
"""Factor and divisor that turn a number in this unit into seconds."""
TOO_LARGE = 2.0**53
"""Numbers and seconds from here on are no durations: a double does not hold each of them."""

_LONGEST = 100
"""Longer text is a number or no duration."""
_LENIENT = Context(traps=[])
"""Gives NaN for a number with an exponent beyond what `Decimal` holds."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_FRACTION = r"(?:[.,](?P<fraction>\d+))?"
_CLOCK = re.compile(
    r"(?P<sign>[+-])?(?:(?P<days>\d{1,6})(?:\.|\s+|\s*d(?:ays?)?,?\s+\+?))?"
    rf"(?P<hours>\d{{1,9}}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d){_FRACTION}"
)
"""Hours, minutes and seconds, also behind days as .NET, Python, pandas and PostgreSQL write them."""
_TWO_PARTS = re.compile(rf"(?P<sign>[+-])?(?P<first>\d{{1,9}}):(?P<second>[0-5]\d){_FRACTION}")
_AMOUNT = r"[+-]?\d+(?:[.,]\d+)?"
_ISO = re.compile(
    rf"(?P<sign>[+-])?P(?=.*\d)(?:0+Y)?(?:0+M)?(?:(?P<days>{_AMOUNT})D)?"
    rf"(?:T(?=.)(?:(?P<hours>{_AMOUNT})H)?(?:(?P<minutes>{_AMOUNT})M)?(?:(?P<seconds>{_AMOUNT})S)?)?",
    re.IGNORECASE,
)
"""Durations of ISO 8601 without years and months, which have no fixed length."""
_PART = r"\d+(?:\.\d+)?\s*[a-zµμ]+\.?"
_PARTS = re.compile(rf"(?P<sign>[+-])?{_PART}(?:(?:\s*,\s*|\s+and\s+|\s*){_PART})*", re.IGNORECASE)
_AMOUNT_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµμ]+)")
_SECONDS = {
    name: unit
    for unit, names in (
        (Decimal(86_400), "d day days"),
        (Decimal(3600), "h hr hrs hour hours std stunde stunden heure heures hora horas ore uur"),
        (Decimal(60), "m min mins minute minutes minuten minuto minutos minuti"),
        (Decimal(1), "s sec secs second seconds sek sekunde sekunden seconde secondes segundos secondi seconden"),
        (Decimal("1e-3"), "ms msec msecs millis millisecond milliseconds"),
        (Decimal("1e-6"), "us µs μs usec usecs microsecond microseconds"),
        (Decimal("1e-9"), "ns nsec nsecs nanosecond nanoseconds"),
    )
    for name in names.split()
}
"""Seconds of the units that can stand behind a number in text."""


_AS_NUMBER = "text read as a number"
_AS_MINUTES = "text read as minutes and seconds"
_ROUNDED = "decimal rounded to a number"


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration with a note on what was assumed, or none with the problem."""

    seconds: float | None
    note: str = ""
    problem: str = ""
    """`unreadable`, `ambiguous`, `negative` or `too_large` where there are no seconds."""


UNREADABLE = Duration(None, problem="unreadable")
AMBIGUOUS = Duration(None, problem="ambiguous")
NEGATIVE = Duration(None, problem="negative")
TOO_LONG = Duration(None, problem="too_large")


def read_duration(
    value: str | int | float | Decimal,
    *,
    unit: str = "s",
    elapsed: float | None = None,
    two_part_clock: TwoPartClock | None = None,
) -> Duration:
    """Read a number or text as a duration.

    Understood in text are numbers, `00:05:12`, `0 days 00:05:12`, `PT5M12S`, `5m 12s`, `540s`, and `05:12` where it can
    be no hours and minutes: where its first part is more than 59, where it has a fraction, or where `elapsed` says so.

    Args:
        value: the value.
        unit: one of `UNITS`, which numbers are in; text with units or colons says itself what it is.
        elapsed: seconds from the start to the end of the same call; None or NaN where they are not known.
        two_part_clock: what two numbers with a colon are in this field, if that is known.
    """
    if not isinstance(value, str):
        return _in_seconds(Decimal(repr(value)) if isinstance(value, float) else Decimal(value), "", unit)
    text = value.strip()
    if len(text) > _LONGEST:
        return _in_seconds(Decimal(text, _LENIENT), _AS_NUMBER, unit) if _NUMBER.fullmatch(text) else UNREADABLE
    duration = _read_short_text(text, unit)
    return _settled(text, elapsed, two_part_clock) if duration is AMBIGUOUS else duration


def read_durations(
    numbers: NDArray[np.float64], *, unit: str
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
    """Read many numbers at once as `read_duration` reads each of them.

    Returns:
        seconds, and for each problem the numbers that have it; their seconds mean nothing.
    """
    factor, divisor = UNITS[unit]
    with np.errstate(over="ignore"):
        seconds = numbers * factor / divisor + 0.0
    infinite = ~np.isfinite(numbers)
    negative = ~infinite & (numbers < 0)
    too_large = ~infinite & ((numbers >= TOO_LARGE) | (seconds >= TOO_LARGE))
    return seconds, {"unreadable": infinite, "negative": negative, "too_large": too_large}


def read_duration_document(document: Mapping[str, Any]) -> Duration:
    """Read a document that stands for a duration: `{seconds, nanos}`, also with the other names of these two."""
    parts = seconds_and_nanoseconds(document)
    if parts is None:
        return UNREADABLE
    return _in_seconds(Decimal(parts[0]) + Decimal(parts[1]).scaleb(-9), "document read as a duration", "s")


def _in_seconds(number: Decimal, note: str, unit: str) -> Duration:
    value = math.nan if number.is_nan() else float(number)
    if not math.isfinite(value):
        return UNREADABLE
    if value < 0:
        return NEGATIVE
    factor, divisor = UNITS[unit]
    seconds = value * factor / divisor + 0.0
    if value >= TOO_LARGE or seconds >= TOO_LARGE:
        return TOO_LONG
    return Duration(seconds, note if Decimal(repr(value)) == number else _ROUNDED)


@lru_cache(maxsize=16_384)
def _read_short_text(text: str, unit: str) -> Duration:
    """Read text; `AMBIGUOUS` is what can be minutes and seconds, or hours and minutes."""
    if _NUMBER.fullmatch(text):
        return _in_seconds(Decimal(text, _LENIENT), _AS_NUMBER, unit)
    if match := _CLOCK.fullmatch(text):
        if match["days"] and int(match["hours"]) >= 24:
            return UNREADABLE
        return _sum(match, "text read as hours, minutes and seconds")
    if match := _TWO_PARTS.fullmatch(text):
        seconds = _minutes_and_seconds(match)
        certain = match["fraction"] or int(match["first"]) > 59 or seconds <= 0
        return _in_seconds(seconds, _AS_MINUTES, "s") if certain else AMBIGUOUS
    if match := _ISO.fullmatch(text):
        return _sum(match, "text read as a duration of ISO 8601")
    return _read_parts(text)


def _sum(match: re.Match[str], note: str) -> Duration:
    """Return the duration of a match with days, hours, minutes and seconds."""
    parts = match.groupdict()
    if parts.get("fraction"):
        parts["seconds"] = f"{parts['seconds']}.{parts['fraction']}"
    total = sum(
        (
            Decimal((parts[name] or "0").replace(",", ".")) * seconds
            for name, seconds in (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
        ),
        Decimal(),
    )
    return _in_seconds(-total if parts["sign"] == "-" else total, note, "s")


def _read_parts(text: str) -> Duration:
    """Read numbers with units behind them, the largest unit first, each once."""
    match = _PARTS.fullmatch(text)
    if match is None:
        return UNREADABLE
    parts = [(Decimal(amount), _SECONDS.get(name)) for amount, name in _AMOUNT_AND_UNIT.findall(text.lower())]
    units = [unit for _, unit in parts if unit is not None]
    if len(units) < len(parts) or sorted(set(units), reverse=True) != units:
        return UNREADABLE
    total = sum((amount * unit for amount, unit in parts if unit is not None), Decimal())
    return _in_seconds(-total if match["sign"] == "-" else total, "text read as a number with units", "s")


def _settled(text: str, elapsed: float | None, two_part_clock: TwoPartClock | None) -> Duration:
    """Read `05:12`, which can be minutes and seconds, or hours and minutes."""
    match = _TWO_PARTS.fullmatch(text)
    seconds = _minutes_and_seconds(match) if match else Decimal()
    if two_part_clock == "hh:mm":
        return _in_seconds(seconds * 60, "text read as hours and minutes", "s")
    if two_part_clock == "mm:ss" or (elapsed is not None and _only_minutes_fit(abs(float(seconds)), elapsed)):
        return _in_seconds(seconds, _AS_MINUTES, "s")
    return AMBIGUOUS


def _only_minutes_fit(seconds: float, elapsed: float) -> bool:
    """Return whether a call of `elapsed` seconds can have lasted this long, but not sixty times as long.

    Clocks differ a little, and a clock without seconds leaves up to a minute out.
    """
    most = elapsed * 1.05
    return elapsed > 0 and seconds <= most + 2 and seconds * 60 > most + 60


def _minutes_and_seconds(match: re.Match[str]) -> Decimal:
    seconds = int(match["first"]) * 60 + Decimal(f"{match['second']}.{match['fraction'] or 0}")
    return -seconds if match["sign"] == "-" else seconds
