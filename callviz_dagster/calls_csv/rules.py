"""The rules of `calls.csv` in plain Python, one value at a time: the statement that the audit compares with.

Shares no code with what writes the file (`documents/text.py`, `calls_csv/format.py`), and so sees its faults. What
belongs elsewhere: which values are compared (`calls_csv/audit.py`).
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from functools import lru_cache
from zoneinfo import ZoneInfo

_PHONE = re.compile(r"[+-][0-9 ().\-/]*")
_NUMBER = re.compile(r"[+-]([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND = dt.timedelta(seconds=1)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would interpret a text as a formula; numbers and phone numbers are none."""
    if text[:1] in ("=", "@", "\t", "\r") and text:
        return True
    if text[:1] not in ("+", "-") or not text:
        return False
    return not (_PHONE.fullmatch(text) or _NUMBER.fullmatch(text) or text == "-Infinity")


def text_cell(text: str) -> str:
    """Return the cell of a text: control characters as the characters that show them, a `'` before a formula."""
    visible = "".join(chr(0x2400 + ord(c)) if ord(c) < 0x20 and c not in "\t\n\r" else c for c in text)
    return f"'{visible}" if is_formula(text) else visible


def header_cell(name: str) -> str:
    """Return the cell of a column's name: that of a text, in which no character is left that XML forbids."""
    return text_cell(name.translate({0x7F: "\u2421", 0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}))


def number_cell(number: float) -> str:
    """Return the cell of a number: in the fewest digits that read as the same number, whole ones without a point."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    shortest = decimal.Decimal(repr(number))
    if abs(shortest) < decimal.Decimal(10) ** 16 and shortest == shortest.to_integral_value():
        return f"{shortest:f}".split(".")[0]
    return repr(number)


def clock(instant: dt.datetime, zone: str) -> dt.datetime:
    """Return what the clock in a zone shows at an instant."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@lru_cache(maxsize=1 << 16)
def offset_of_span(start: int, seconds: int, zone: str) -> int | None:
    """Return by how many seconds the clock is ahead of UTC in a span of time; None where that changes in it.

    None, too, at the ends of the calendar, where Python has no dates. `start` is in seconds since 1970, UTC.
    """
    info = ZoneInfo(zone)
    try:
        first = _EPOCH + dt.timedelta(seconds=start)
        moments = [first + dt.timedelta(seconds=after) for after in (*range(0, seconds, 3600), seconds - 1)]
        offsets = {moment.astimezone(info).utcoffset() for moment in moments}
    except OverflowError:
        return None
    offset = offsets.pop()
    return None if offsets or offset is None else offset // _SECOND
