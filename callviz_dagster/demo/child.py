"""A process that does not outlive the one that started it.

What belongs elsewhere: which processes those are (`mongod.py`, `__main__.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

# A parent that is killed cannot stop its child. The watcher holds the reading end of a pipe whose writing end only
# the parent has: when the parent is gone, however it went, the read ends and the watcher stops the child. Unlike
# Linux's PR_SET_PDEATHSIG this works on every system, and does not fire when the thread that started it ends.
_WATCHER = """
import os, signal, sys
if not sys.stdin.buffer.read(1):
    try:
        os.kill(int(sys.argv[1]), signal.SIGTERM)
    except OSError:
        pass
"""


class Child:
    """A running process in a session of its own: Ctrl-C in the terminal is for the parent, which ends it in turn.

    Args:
        command: the program and its arguments.
        options: those of `subprocess.Popen`.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCHER, str(self.process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self, timeout: float = 30) -> None:
        """Ask the process to end, wait for it, and kill it and its children if that takes longer than `timeout`."""
        self._watcher.kill()
        self._watcher.communicate()
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process and its children at once, as a power cut would."""
        self._watcher.kill()
        self._watcher.communicate()
        if self.process.poll() is None:
            if os.name == "nt":
                self.process.kill()
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
