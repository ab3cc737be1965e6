"""Times as a calendar and a clock show them → instants.

Pure. What belongs elsewhere: the forms in which text has them (`documents/times/text.py`, `documents/times/digits.py`).
"""

from __future__ import annotations

import datetime as dt

from callviz_dagster.documents.times.reading import DIGITS_LOST, EPOCH, MICROSECOND, Reading, reading_of
from callviz_dagster.documents.times.zones import instant_of_local

MIDNIGHT_24 = ", 24:00 read as the next midnight"
SECOND_60 = ", second 60 read as the start of the next minute"


def moment_of(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, *, fraction: str = ""
) -> tuple[dt.datetime, str] | None:
    """Return a time of the calendar and a note on what was assumed; None where the calendar has no such time.

    24:00:00 is the next midnight, and second 60 the start of the next minute. Of `fraction`, the digits behind the
    second's point, those below a microsecond are left out.
    """
    micro, lost = (int(fraction[:6].ljust(6, "0")), fraction[6:].strip("0")) if fraction else (0, "")
    note, added = DIGITS_LOST if lost else "", dt.timedelta()
    if hour == 24 and not (minute or second or micro or lost):
        hour, note, added = 0, MIDNIGHT_24, dt.timedelta(days=1)
    elif second == 60:
        second, note, added = 59, SECOND_60 + note, dt.timedelta(seconds=1)
    try:
        return dt.datetime(year, month, day, hour, minute, second, micro) + added, note
    except (ValueError, OverflowError):
        return None


def reading_of_moment(moment: dt.datetime, zone: str, note: str, assumed: str = "") -> Reading:
    """Return the reading of a time of the calendar, which is local time in `zone` if it has no `tzinfo`.

    Args:
        moment: the time.
        zone: IANA name.
        note: how it was read; the zone and a doubt follow where it is a local time.
        assumed: what follows that.
    """
    if moment.tzinfo is not None:
        return reading_of((moment - EPOCH) // MICROSECOND, note + assumed)
    instant, doubt = instant_of_local(moment, zone)
    return reading_of(instant, f"{note} in {zone}" + (f" ({doubt})" if doubt else "") + assumed)
