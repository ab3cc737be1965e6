"""Shared by tests that start processes: listens, wait_for."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 240.0


def listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    """Return what a look returns as soon as it is true; an `OSError` counts as not yet.

    Raises:
        AssertionError: it did not become true.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if result := look():
                return result
        time.sleep(0.5)
    raise AssertionError(f"{what} did not come")
