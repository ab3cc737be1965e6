"""Times that are documents of their own → instants: Extended JSON, and what Firestore and protobuf write.

Pure. What belongs elsewhere: decoding BSON (`documents/values.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from callviz_dagster.documents.times.reading import DIGITS_LOST, UNREADABLE, Reading, reading_of
from callviz_dagster.documents.times.text import read_text

_NOTE = "document read as a time"
_SECONDS = ("seconds", "_seconds")
_NANOSECONDS = ("nanos", "nanoseconds", "_nanoseconds")
_FIRST_SECOND = 100_000_000
"""Fewer seconds (before 1973) are no time, as in `read_number`."""
_DIGITS = re.compile(r"[+-]?[0-9]{1,19}")


def read_subdocument(document: Mapping[str, Any], *, zone: str, date_order: str | None = None) -> Reading:
    """Read a document that stands for a time.

    Understood are `{$date: …}` with text or milliseconds, `{$timestamp: {t, i}}`, and `{seconds, nanos}`, also with the
    names `_seconds`, `_nanoseconds` and `nanoseconds`. Whole numbers can be of any numeric type, text, or
    `{$numberLong: "…"}`.

    Args:
        document: the decoded document.
        zone: IANA zone of text without one.
        date_order: as for `read_text`.
    """
    names = set(document) - {"type"}
    if names == {"$date"}:
        if isinstance(document["$date"], str) and not _DIGITS.fullmatch(document["$date"]):
            return read_text(document["$date"], zone=zone, date_order=date_order)
        milliseconds = whole_number(document["$date"])
        return reading_of(milliseconds * 1000, _NOTE) if milliseconds is not None else UNREADABLE
    if names == {"$timestamp"} and isinstance(document["$timestamp"], Mapping):
        names, document = {"seconds"}, {"seconds": document["$timestamp"].get("t")}
    parts = seconds_and_nanoseconds({name: document[name] for name in names})
    if parts is None or abs(parts[0]) < _FIRST_SECOND:
        return UNREADABLE
    seconds, nanoseconds = parts
    return reading_of(seconds * 1_000_000 + nanoseconds // 1000, _NOTE + (DIGITS_LOST if nanoseconds % 1000 else ""))


def seconds_and_nanoseconds(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the numbers of `{seconds, nanos}` and documents like it; None for other documents."""
    seconds = [document[name] for name in _SECONDS if name in document]
    nanoseconds = [document[name] for name in _NANOSECONDS if name in document]
    if len(seconds) != 1 or len(document) != 1 + len(nanoseconds) or len(nanoseconds) > 1:
        return None
    whole = [whole_number(value) for value in (*seconds, *(nanoseconds or [0]))]
    if whole[0] is None or whole[1] is None or not 0 <= whole[1] < 1_000_000_000:
        return None
    return whole[0], whole[1]


def whole_number(value: object) -> int | None:
    """Return a whole number of any type that holds one: also text, `{$numberLong: "…"}` and `{low, high, unsigned}`."""
    if isinstance(value, Mapping):
        return _whole_number_in(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _whole_number_in(document: Mapping[str, Any]) -> int | None:
    names = set(document)
    if names == {"low", "high", "unsigned"}:
        low, high = whole_number(document["low"]), whole_number(document["high"])
        return None if low is None or high is None else (high << 32) + (low & 0xFFFFFFFF)
    texts = [value for name, value in document.items() if name in ("$numberLong", "$numberInt")]
    return whole_number(texts[0]) if len(names) == 1 and texts and isinstance(texts[0], str) else None
