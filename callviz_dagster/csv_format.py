r"""The text of `calls.csv`: how each kind of value is written, and which texts a spreadsheet would run.

Pure: tables in, text tables out. What belongs elsewhere: writing the file (`assets/calls_csv.py`, `files.py`).

CSV is RFC 4180 with `\n` line ends, UTF-8; text is always quoted, so that an empty text (`""`) and a missing
value (nothing) stay two things.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def local_datetime_text(milliseconds: int, zone: str) -> str:
    """Return an instant as `calls.csv` writes it, `YYYY-MM-DD HH:MM:SS.mmm` in the zone.

    Outside the years 1 to 9999 it is Extended JSON, which is exact.
    """
    try:
        moment = (_EPOCH + dt.timedelta(milliseconds=milliseconds)).astimezone(ZoneInfo(zone))
    except OverflowError:
        return f'{{"$date": {{"$numberLong": "{milliseconds}"}}}}'
    return moment.replace(tzinfo=None).isoformat(" ", "milliseconds")
