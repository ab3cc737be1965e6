"""Names, numbers, dates, time zones and choices, as settings hold them.

Each function raises ValueError with what is allowed, as it stands in a sentence. What belongs elsewhere: what a
connection string and the address of a server hold, which have modules of their own.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

_MOST_DAYS = 3650


def text(value: str) -> str:
    """Return any text."""
    return value


def time_zone(value: str) -> str:
    """Return an IANA time zone."""
    try:
        # What these files hold depends on the machine, or is no zone.
        if value in ("localtime", "posixrules", "Factory") or value.startswith(("posix/", "right/")):
            raise ValueError
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("an IANA time zone, for example Europe/Berlin, America/New_York or UTC") from None
    return value


def share(value: str) -> float:
    """Return a share."""
    try:
        # Python reads the digits of all scripts.
        number = float(value) if value.isascii() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise ValueError("a share from 0 (none) to 1 (all), for example 0.05")
    return number


def count(value: str) -> int:
    """Return a whole number from 1."""
    if not re.fullmatch(r"\d+", value, re.ASCII) or int(value) < 1:
        raise ValueError("a whole number from 1")
    return int(value)


def date(value: str) -> dt.date:
    """Return a date."""
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise ValueError("a date, for example 2024-01-01") from None


def first_date(value: str) -> dt.date:
    """Return the first date that is covered."""
    first = date(value)
    if not dt.date(1970, 1, 1) <= first <= dt.datetime.now(dt.UTC).date() + dt.timedelta(1):
        raise ValueError("a date from 1970-01-01 until today, for example 2024-01-01")
    return first


def clock(value: str) -> str:
    """Return a time of day."""
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError("a time of day, for example 03:00")
    return value


def span(value: str) -> dt.timedelta:
    """Return a span of time."""
    match = re.fullmatch(r"(\d+)\s*([mhd])", value, re.ASCII)
    minutes = int(match[1]) * {"m": 1, "h": 60, "d": 1440}[match[2]] if match else 0
    if not 1 <= minutes <= _MOST_DAYS * 1440:
        raise ValueError(f"a number of minutes, hours or days, at most {_MOST_DAYS}d, for example 90m, 24h or 2d")
    return dt.timedelta(minutes=minutes)


def switch(value: str) -> bool:
    """Return true or false."""
    allowed = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if value.lower() not in allowed:
        raise ValueError("true or false")
    return allowed[value.lower()]


def names(value: str) -> tuple[str, ...]:
    """Return names between commas."""
    return tuple(name for name in (part.strip() for part in value.split(",")) if name)


def owners(value: str) -> tuple[str, ...]:
    """Return owners of assets, as Dagster takes them."""
    if wrong := [owner for owner in names(value) if not re.fullmatch(r"team:.+|[^@\s]+@[^@\s]+\.[^@\s]+", owner)]:
        raise ValueError(f"e-mail addresses and teams such as team:analytics, and {wrong[0]} is neither")
    return names(value)


def tags(value: str) -> tuple[str, ...]:
    """Return tags of assets, as Dagster takes them: `name=value`."""
    if wrong := [tag for tag in names(value) if not re.fullmatch(r"[\w.-]{1,63}=[\w.-]{0,63}", tag, re.ASCII)]:
        raise ValueError(
            "tags such as domain=support, whose names and values have at most 63 letters, digits, dots, hyphens and "
            f"underscores, and {wrong[0]} is none"
        )
    return names(value)


def three_names(value: str) -> tuple[str, ...]:
    """Return at most three names between commas."""
    if len(names(value)) > 3:
        raise ValueError("at most three names of columns, for example queue,agent")
    return names(value)


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return the parser of a value that is one of `allowed`."""

    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return value

    return parse


def database_name(value: str) -> str:
    """Return the name of a database."""
    if re.search(r'[/\\. "$\0]', value) or len(value.encode()) > 63:
        raise ValueError('the name of a database: at most 63 bytes, without / \\ . " $ and spaces')
    return value


def collection_name(value: str) -> str:
    """Return the name of a collection."""
    if ".." in value or value.startswith(".") or value.endswith(".") or "$" in value or "\0" in value:
        raise ValueError("the name of a collection: without $, and no full stop at either end or next to another")
    return value
