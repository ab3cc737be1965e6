"""The exit codes of `callviz`, for cron and scripts."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command returns; after Ctrl-C it is 130."""

    DONE = 0
    FAILED = 1
    SETTINGS = 2
    """A setting or an argument is not allowed, or missing."""
    BUSY = 3
    """Another process refreshes the same files, and was not done in time."""
    REFUSED = 4
    """A check forbids publishing; the last good files stay."""
