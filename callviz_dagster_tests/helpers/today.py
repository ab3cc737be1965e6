"""Today in a time zone in which it is about noon, so that no test that refreshes partitions runs over midnight."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

_NOW = dt.datetime.now(dt.UTC)
ZONE = f"Etc/GMT{_NOW.hour - 12:+d}"
TODAY = dt.datetime.combine(_NOW.astimezone(ZoneInfo(ZONE)).date(), dt.time(), ZoneInfo(ZONE))
"""Its first instant."""
