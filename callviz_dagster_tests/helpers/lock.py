"""Shared by tests: holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOLD = (
    "import logging, sys, pathlib\n"
    "from callviz_dagster.storage.lock import one_at_a_time\n"
    "with one_at_a_time(pathlib.Path(sys.argv[1]), logging.getLogger()):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def holder(folder: Path) -> subprocess.Popen[str]:
    """Start another process that holds the lock of a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process
