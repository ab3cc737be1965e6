"""The connection string: what pymongo reads in it, and errors that show none of it.

A part of a password that is taken for a host, a database or an option would be shown somewhere, so an ambiguous
string is refused. What belongs elsewhere: connecting (`mongodb/connection.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAME = "CALLVIZ_MONGO_URI"
SCHEMES = ("mongodb://", "mongodb+srv://")
_ENCODE = "percent-encode special characters in the user name and the password: @ as %40, / as %2F, : as %3A, ? as %3F"
_WITH_AT = re.compile(r"appname=[^&;]*", re.IGNORECASE)
"""Azure gives out connection strings that end in `appName=@account@`."""
_UP_TO_LAST_AT = re.compile(r"(mongodb(?:\+srv)?://)\S*@")
_OPTIONS = re.compile(r"(mongodb(?:\+srv)?://[^\s?]*\?)\S*")


class ConnectionStringError(ValueError):
    """The connection string cannot be used. The message says why, and shows no part of it."""


@dataclass(frozen=True)
class ConnectionString:
    """What pymongo reads in a connection string, as far as callviz needs it."""

    database: str | None
    options: Mapping[str, Any]
    """Names in lower case. Of an SRV string, only those that the string itself has."""
    srv: bool


def parse_connection_string(uri: str) -> ConnectionString:
    """Return what pymongo reads in a connection string; nothing is looked up in the network.

    Raises:
        ConnectionStringError: pymongo refuses it, or it can be read in two ways.
    """
    scheme = next((known for known in SCHEMES if uri.startswith(known)), None)
    if scheme is None:
        raise ConnectionStringError(f"{NAME} is not a connection string: it starts with {' or '.join(SCHEMES)}.")
    rest = uri.removeprefix(scheme)
    _refuse_ambiguous(rest)
    location, _, query = rest.partition("?")
    named = re.split("[&;]", query) if query else []
    if "" in named:
        raise ConnectionStringError(f"{NAME} has an empty option: a & too many after the ?.")
    parsed = _parsed(f"mongodb://{location}")
    if parsed is None:
        raise ConnectionStringError(
            f"{NAME} cannot be read: {_ENCODE}, and check the hosts, the ports and the name of the database."
        )
    if parsed["collection"] is not None:
        raise ConnectionStringError(
            f"{NAME} has a full stop in the name of its database, which names a collection: leave it out of {NAME} and "
            "set CALLVIZ_MONGO_COLLECTION."
        )
    for option in named:
        _check_option(option, shown="@" not in query)
    # The options of mongodb+srv:// are refused with the other scheme, which needs no look-up in the network.
    together = "&".join(option for option in named if not option.lower().startswith("srv"))
    complete = _parsed(f"mongodb://{location}?{together}")
    if complete is None:
        raise ConnectionStringError(
            f"{NAME} has options that do not go together, or not with its hosts, for example tls=false with tlsCAFile, "
            "or directConnection=true with several hosts."
        )
    options = {name.lower(): value for name, value in complete["options"].items()}
    return ConnectionString(parsed["database"], options, srv=scheme != SCHEMES[0])


def _refuse_ambiguous(rest: str) -> None:
    location, _, query = rest.partition("?")
    authority, _, path = location.partition("/")
    if "@" in path or "@" in (_WITH_AT.sub("", query) if "@" in authority else query):
        raise ConnectionStringError(f"{NAME} can be read in two ways: {_ENCODE}.")


def _check_option(option: str, *, shown: bool) -> None:
    """Check one option by itself; an unknown one is named only if it cannot be part of a password.

    Raises:
        ConnectionStringError: it is not known, or its value is not allowed.
    """
    from pymongo.common import VALIDATORS

    name = option.partition("=")[0]
    if name.lower() in ("srvmaxhosts", "srvservicename") or _parsed(f"mongodb://host/?{option}") is not None:
        return
    if name.lower() in {known.lower() for known in VALIDATORS}:
        raise ConnectionStringError(f"The option {name} in {NAME} has a value that pymongo does not allow.")
    unknown = f"the option {name}, which" if shown else "an option that"
    raise ConnectionStringError(f"{NAME} has {unknown} pymongo does not know: correct it or leave it out.")


def _parsed(uri: str) -> dict[str, Any] | None:
    """Return what pymongo reads; None where it refuses: its messages show parts of the string."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    try:
        return parse_uri(uri)
    except (PyMongoError, ValueError, TypeError, LookupError, AttributeError):
        return None
    except OSError:
        # A file that an option names is missing; connecting says so, with its name.
        return {"database": None, "collection": None, "options": {}}


def redact(text: str, uri: str | None = None) -> str:
    """Return a text without the credentials and the options of connection strings in it."""
    if uri:
        text = text.replace(uri, "***")
    return _OPTIONS.sub(r"\1***", _UP_TO_LAST_AT.sub(r"\1***@", text))
