"""The engine, as `CALLVIZ_ENGINE` names it: this process, or the scheduler of a Dask cluster.

What belongs elsewhere: connecting to it (`engine/cluster.py`).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

LOCAL = "local"
_ALLOWED = "`local`, dask://127.0.0.1:8786 or tls://scheduler.example.com:8786"


def engine_address(value: str) -> str:
    """Return `local`, or the address of a scheduler; without TLS it must be on this machine.

    Raises:
        ValueError: with what is allowed, as it stands in a sentence.
    """
    if value == LOCAL:
        return value
    parts = urlsplit(value)
    try:
        whole = parts.scheme in ("dask", "tls") and parts.hostname and parts.port
    except ValueError:
        whole = None
    if not whole or "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(_ALLOWED)
    if parts.scheme == "dask" and not is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{_ALLOWED}: without TLS a scheduler runs the code of anyone who reaches it, so dask:// is for a "
            "scheduler on this machine alone, and any other needs tls:// and certificates"
        )
    return value


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, where no other one reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
