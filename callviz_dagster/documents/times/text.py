"""Text → instants, one text or many at once.

Pure. Nothing ambiguous is guessed. What belongs elsewhere: the forms of text (`documents/times/forms.py`), which field
holds a time (`documents/recognition/`) and what becomes of a text that is not a time (`table/`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

import numpy as np

from callviz_dagster.documents.times.forms import parse_time
from callviz_dagster.documents.times.numbers import read_digits
from callviz_dagster.documents.times.reading import (
    DAY,
    EARLIEST,
    LATEST,
    READ,
    UNREADABLE,
    Ints,
    Reading,
    reading_of,
)
from callviz_dagster.documents.times.zones import from_local_clock

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 100
"""Longer text is not a time: matching it could take very long."""

_ISO = r"^\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
_ISO_LOCAL, _ISO_OFFSET = _ISO + "$", _ISO + r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
"""The forms of time in which Arrow reads the same instants as `read_text`."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?|(19|20)[0-9]{12},[0-9]{1,9}")
_DATE_DIGITS = len("20240301")
_MILLISECONDS = re.compile(r"\\?/Date\(([+-]?\d{1,18})(?:[+-]\d{4})?\)\\?/")
"""The form of ASP.NET: milliseconds in UTC; an offset may follow and changes nothing."""
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


def read_text(text: str, *, zone: str, date_order: str | None = None, near: Collection[int] = ()) -> Reading:
    """Read a time written as text.

    Understood are ISO 8601 and RFC 3339 (also with a space, `/` or `.`, and as digits alone), RFC 2822, dates with the
    month as an English word, `day/month/year` dates with a 12- or 24-hour clock, numbers since 1970, the forms of
    ASP.NET (`/Date(…)/`), Go, Java and JavaScript, and all of these percent-encoded. A date without a time of day is
    midnight. A zone that is a name is read where it is UTC, GMT, one of IANA such as `Europe/Berlin`, or one of
    RFC 2822 in a date of that form.

    Args:
        text: the text; spaces around it do not count.
        zone: IANA zone of times without one.
        date_order: `dmy` or `mdy`, where day and month could change places; without it such text is ambiguous.
        near: other times of the document, as instants. They settle which reading of 12 or 18 digits is meant.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return UNREADABLE
    if _NUMBER.fullmatch(text) and len(text) != _DATE_DIGITS:
        return read_digits(text, zone=zone, near=near)
    if text.endswith("/") and (match := _MILLISECONDS.fullmatch(text)):
        return reading_of(int(match[1]) * 1000, READ)
    if "%" in text and _PERCENT.search(text):
        return _read_percent_encoded(text, zone, date_order, near)
    time = parse_time(text, date_order)
    return time if isinstance(time, Reading) else time.reading(zone)


def _read_percent_encoded(text: str, zone: str, date_order: str | None, near: Collection[int]) -> Reading:
    """Read percent-encoded text, in which a plus is a space, or else a plus."""
    for decode in (unquote_plus, unquote):
        reading = read_text(decode(text), zone=zone, date_order=date_order, near=near)
        if reading is not UNREADABLE:
            break
    return replace(reading, note=f"percent-encoded {reading.note}") if reading.note else reading


def read_texts(texts: pa.StringArray, *, zone: str) -> Iterator[tuple[str, Ints, Ints]]:
    """Read the usual forms of ISO 8601 among many texts at once, as `read_text` reads each of them.

    Yields:
        a note, the places of the texts that it belongs to, and their instants. Texts in none of the places are left to
        `read_text`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for form, kind in ((_ISO_OFFSET, pa.timestamp("us", "UTC")), (_ISO_LOCAL, pa.timestamp("us"))):
        places = np.flatnonzero(pc.match_substring_regex(texts, form).to_numpy(zero_copy_only=False))
        if not len(places):
            continue
        try:
            instants = texts.take(pa.array(places)).cast(kind).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid:  # one of them is not a time, such as 30 February
            continue
        sure = (instants >= EARLIEST + DAY) & (instants < LATEST - DAY)
        places, instants = places[sure], instants[sure]
        if form is _ISO_OFFSET:
            yield READ, places, instants
            continue
        instants, doubts = from_local_clock(instants, zone)
        clear = np.ones(len(places), np.bool_)
        for doubt, some in doubts.items():
            clear[some] = False
            yield f"{READ} in {zone} ({doubt})", places[some], instants[some]
        yield f"{READ} in {zone}", places[clear], instants[clear]
