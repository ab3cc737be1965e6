"""Instants and time zones for tests of times; nothing here uses the code under test, but for the range of years."""

from __future__ import annotations

import datetime as dt

from hypothesis import strategies as st

from callviz_dagster.contract import EARLIEST, LATEST

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
BERLIN, NEW_YORK, LOS_ANGELES = "Europe/Berlin", "America/New_York", "America/Los_Angeles"
CAME_TWICE = "a local time that came twice when the clocks went back: the first was taken"
SKIPPED = "a local time that was skipped when the clocks went forward"
"""How notes call local times that are not one instant."""
ZONES = [
    *("UTC", BERLIN, NEW_YORK, LOS_ANGELES, "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "Etc/GMT+12"),
    *("Pacific/Apia", "Pacific/Kiritimati", "Asia/Tehran", "America/St_Johns", "Europe/Dublin", "Africa/Monrovia"),
]


def micros(iso: str) -> int:
    """Return an instant in ISO 8601 as microseconds since 1970."""
    return (dt.datetime.fromisoformat(iso) - EPOCH) // dt.timedelta(microseconds=1)


def moment(instant: int) -> dt.datetime:
    """Return an instant as a datetime in UTC."""
    return EPOCH + dt.timedelta(microseconds=instant)


def instants() -> st.SearchStrategy[int]:
    """Return instants within the years that are read."""
    first, last = (micros(day) for day in (EARLIEST, LATEST))
    return st.integers(first, last - 1)


def shortly_around_changes() -> st.SearchStrategy[int]:
    """Return instants within three weeks of the days on which clocks are changed."""
    return st.builds(
        lambda year, month, seconds: micros(f"{year}-{month:02}-25T00:00:00+00:00") + seconds * 1_000_000,
        st.integers(1900, 2261),
        st.sampled_from([3, 4, 9, 10, 11]),
        st.integers(-1_700_000, 700_000),
    )
