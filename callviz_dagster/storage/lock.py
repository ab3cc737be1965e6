"""One refresh at a time, whoever started it: a lock on a file in the data folder.

Dagster's concurrency pools hold within one Dagster instance; a refresh from the command line may use another. The
operating system frees the lock when the process that holds it ends, however it ends.
What belongs elsewhere: what is done under the lock.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from callviz_dagster.storage.files import FileError, explained, forget_leftovers

FILE = ".refresh.lock"
WAIT_SECONDS = 600.0
_TELL_SECONDS = 30.0
_PAUSE_SECONDS = 0.2


class BusyError(RuntimeError):
    """Another process is refreshing the same files. The message says which."""


@contextlib.contextmanager
def one_at_a_time(
    data_dir: Path,
    log: logging.Logger,
    *,
    wait_seconds: float | None = None,
    file: str = FILE,
    work: str = "",
) -> Iterator[None]:
    """Hold a lock in a data folder; wait for the process that holds it, and log that.

    Args:
        data_dir: the folder.
        log: where waiting is logged.
        wait_seconds: how long to wait at most; `WAIT_SECONDS` without it.
        file: name of the lock's file; that of the lock on the folder's files without it.
        work: what is done under the lock, for messages; refreshing the folder's files without it.

    Raises:
        BusyError: the other one is not done after `wait_seconds` (default: `WAIT_SECONDS`).
        FileError: the folder cannot be written to, or the lock file belongs to another user.
    """
    path = data_dir / file
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _explained(error, path) from error
    began = logged = time.monotonic()
    limit = WAIT_SECONDS if wait_seconds is None else wait_seconds
    try:
        while not try_lock(handle):
            now = time.monotonic()
            if now - began >= limit:
                raise BusyError(
                    f"Process {_owner(path)} is {work or f'refreshing the files in {data_dir.absolute()}'} and was not "
                    f"done after {limit:.0f} s. Refresh again when it has ended."
                )
            if now - logged >= _TELL_SECONDS or now - began < _PAUSE_SECONDS:
                logged = now
                log.info(f"Waiting for process {_owner(path)}, which is {work or 'refreshing the same files'}.")
            time.sleep(_PAUSE_SECONDS)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"{os.getpid():<20}".encode())
        forget_leftovers()
        yield
    finally:
        os.close(handle)


def held_by(data_dir: Path) -> str:
    """Return which process on this machine is refreshing the files of a data folder; an empty text where none is.

    Raises:
        FileError: the lock file cannot be opened.
    """
    path = data_dir / FILE
    try:
        handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise _explained(error, path) from error
    try:
        return "" if try_lock(handle, shared=True) else _owner(path)
    finally:
        os.close(handle)


def _explained(error: OSError, path: Path) -> FileError:
    """Return the sentence about a lock file that cannot be opened; about its folder where there is no such file."""
    if not isinstance(error, PermissionError) or not os.access(path.parent, os.W_OK | os.X_OK):
        return explained(error, path)
    return FileError(
        error.errno,
        f"{path.absolute()} cannot be opened: another user has made it. Let both users run as one, remove the file "
        "while no refresh runs, or choose another folder with CALLVIZ_DATA_DIR.",
    )


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Try to take the lock of an open file; return whether it was taken. A shared one only tests whether it is free.

    On Windows every lock is exclusive.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            raise
        return False
    return True


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii").strip() or "unknown"
    return "unknown"
