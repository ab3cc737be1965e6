"""One refresh at a time where the data folder is in a bucket: a lease, an object that its holder renews.

How to use it:

    with held_lease(bucket, log) as lease:
        ...
        lease.require()                          # just before a record is swapped

No two clocks are compared: a lease has ended when its object has not changed for `LEASE_SECONDS` by the clock of the
process that waits. A holder that was stopped for longer may go on after another one has taken over, so `require` alone
protects nothing: whoever takes over writes each record once (`taken_over`), and a record is swapped only from the
version that was read under the lease, which the one before then no longer has.

What belongs elsewhere: the lock on disk (`lock.py`), which processes of one machine take first.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from callviz_dagster.storage.bucket import Bucket, BucketError, ChangedError, Version
from callviz_dagster.storage.lock import WAIT_SECONDS, BusyError

OBJECT = "lease.json"
LEASE_SECONDS = 60.0
"""How long a lease lasts that is not renewed: longer than a process is kept from its own threads, and than a store
takes to answer; a driver that was killed keeps others waiting for as long."""
_RENEWALS = 4
"""How often a lease is renewed while it lasts, so that three renewals may fail."""
_POLL_SECONDS = 1.0
_LOG_SECONDS = 30.0


@dataclass(frozen=True)
class LeaseState:
    """What the object holds."""

    holder: str
    """Process and machine; empty once the lease was given back."""
    number: int
    """Raised by each holder: the fencing number."""
    expires: str
    """ISO 8601, UTC, by the holder's clock; for people and for the sensor, no holder decides by it."""
    write: str = ""
    """Random: no two states are the same bytes."""

    def to_bytes(self) -> bytes:
        """Return a new state's JSON text."""
        return json.dumps(asdict(self) | {"write": secrets.token_hex(8)}, indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> LeaseState:
        """Return what `to_bytes` wrote; a lease that was given back where it cannot be read."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return cls("", 0, "")


class Lease:
    """A lease that this process holds until another one takes it over."""

    def __init__(self, bucket: Bucket, number: int, version: Version, valid_until: float, *, taken_over: bool) -> None:
        self.number = number
        self.taken_over = taken_over
        """Whether the holder before has not given it back, and may still be at work."""
        # A renewal that waits for the store longer than until the next one helps nobody.
        self._bucket = Bucket(bucket.uri, retry_seconds=LEASE_SECONDS / _RENEWALS)
        self._writing = threading.Lock()
        self._version = version
        self._valid_until = valid_until
        self._lost = False

    def require(self) -> None:
        """Require that no other process has taken the lease over; renew it where it has not been renewed in time.

        Raises:
            BucketError: one has, or the store cannot be reached.
        """
        if time.monotonic() > self._valid_until:
            self.renew()
        if self._lost:
            raise lost(self._bucket)

    def renew(self) -> None:
        """Renew the lease; note where another process has it."""
        began = time.monotonic()
        with self._writing:
            try:
                self._version = self._bucket.write(OBJECT, _state(self.number).to_bytes(), self._version)
                self._valid_until = began + LEASE_SECONDS
            except ChangedError:
                self._lost = True

    def give_back(self) -> None:
        """Let others have the lease at once."""
        if not self._lost:
            with contextlib.suppress(ChangedError):
                self._bucket.write(OBJECT, LeaseState("", self.number, "").to_bytes(), self._version)


def lost(bucket: Bucket) -> BucketError:
    """Return the error of a holder that another one has followed."""
    return BucketError(
        errno.ESTALE,
        f"Another process has taken over the refresh of {bucket.uri}, because this one did not renew its lease for "
        f"{LEASE_SECONDS:.0f} s (it was stopped, or did not reach the store). Nothing more is published by this one.",
    )


@contextlib.contextmanager
def held_lease(bucket: Bucket, log: logging.Logger, *, wait_seconds: float | None = None) -> Iterator[Lease]:
    """Hold the lease on a folder in a bucket, and renew it in a thread; wait for the process that holds it.

    Args:
        bucket: the folder, in a store that honours conditions (`Bucket.require_conditions`).
        log: where waiting is logged.
        wait_seconds: how long to wait at most; `lock.WAIT_SECONDS` without it.

    Raises:
        BusyError: the other one is not done in time.
        BucketError: the store cannot be reached.
    """
    lease = _acquired(bucket, log, WAIT_SECONDS if wait_seconds is None else wait_seconds)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(LEASE_SECONDS / _RENEWALS):
            try:
                lease.renew()
            except BucketError as error:
                log.warning(f"The lease could not be renewed: {error.strerror}")

    renewing = threading.Thread(target=keep, name="lease", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join()
        try:
            lease.give_back()
        except BucketError as error:
            log.warning(f"The lease could not be given back, so others wait {LEASE_SECONDS:.0f} s: {error.strerror}")


def _acquired(bucket: Bucket, log: logging.Logger, limit: float) -> Lease:
    """Return the lease, once it is free."""
    began = seen_since = time.monotonic()
    seen, logged = b"", 0.0
    while True:
        current = bucket.read(OBJECT)
        now = time.monotonic()
        content, version = current or (b"", None)
        state = LeaseState.from_bytes(content)
        if content != seen:
            seen, seen_since = content, now
        ended = now - seen_since >= LEASE_SECONDS
        if not state.holder or ended:
            with contextlib.suppress(ChangedError):
                number = state.number + 1
                taken = bucket.write(OBJECT, _state(number).to_bytes(), version)
                return Lease(bucket, number, taken, now + LEASE_SECONDS, taken_over=bool(state.holder))
            continue
        if now - began >= limit:
            raise BusyError(
                f"{state.holder} is refreshing the files in {bucket.uri} and was not done after {limit:.0f} s. Refresh "
                "again when it has ended."
            )
        if not logged or now - logged >= _LOG_SECONDS:
            logged = now
            log.info(f"Waiting for {state.holder}, which is refreshing {bucket.uri}.")
        time.sleep(_POLL_SECONDS)


def _state(number: int) -> LeaseState:
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=LEASE_SECONDS)
    return LeaseState(f"process {os.getpid()} on {socket.gethostname()}", number, expires.isoformat(timespec="seconds"))


def lease_holder(bucket: Bucket) -> str:
    """Return which process holds the lease, by the clocks of both; an empty text where none does.

    Raises:
        BucketError: the store cannot be read.
    """
    current = bucket.read(OBJECT)
    state = LeaseState.from_bytes(current[0]) if current else LeaseState("", 0, "")
    if not state.holder:
        return ""
    return state.holder if dt.datetime.fromisoformat(state.expires) > dt.datetime.now(dt.UTC) else ""
