"""How the address of a Tableau server, the content URL of a site, names and LUIDs are written; errors say how.

Each function returns the value in its one form. What belongs elsewhere: the settings (`settings.py`), and connecting to
a server (`tableau_server/`).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def server_address(value: str) -> str:
    """Return scheme, host and port of a server: https, or http on this machine, because a token travels there.

    Raises:
        ValueError: says what an address is.
    """
    try:
        parts = urlsplit(value)
        bare = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or parts.path.strip("/"))
    except ValueError:
        bare = False
    if not bare or "@" in parts.netloc or parts.scheme not in ("https", "http"):
        raise ValueError("an address of nothing but scheme, host and port, for example https://10ax.online.tableau.com")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("an https address: over http, the token could be read on its way")
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def site_content_url(value: str) -> str:
    """Return the content URL of a site.

    Raises:
        ValueError: says what it is.
    """
    if not re.fullmatch(r"[\w-]+", value, re.ASCII):
        raise ValueError("the part of the site's address after /site/, for example marketing")
    return value


def object_name(value: str) -> str:
    """Return the name of a workbook or a data source: without the characters that Tableau's filters cannot hold.

    Raises:
        ValueError: it has one of them.
    """
    if re.search(r"[/\\&,:]", value):
        raise ValueError("a name without / \\ & , and :, so that Tableau can look it up")
    return value


def luids(value: str) -> tuple[str, ...]:
    """Return comma-separated LUIDs, Tableau's identifiers, in lower case.

    Raises:
        ValueError: one of them is no LUID.
    """
    parts = tuple(part.strip().lower() for part in value.split(","))
    if not all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", part) for part in parts):
        raise ValueError("one or two LUIDs, for example 1f2f3e4e-5d6d-7c8c-9b0b-1a2a3f4f5e6e")
    return parts
