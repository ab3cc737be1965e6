"""Code that runs as a user without privileges: for root, permissions do not bite."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOBODY = 65534
_BECOME_NOBODY = f"import os\nif os.geteuid() == 0:\n    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"


def as_nobody(imports: str, script: str, *arguments: object) -> str:
    """Run Python code as a user who owns nothing, after its imports were made; return what it printed."""
    command = [sys.executable, "-c", f"{imports}\n{_BECOME_NOBODY}{script}", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.removesuffix("\n")


@contextlib.contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """Give an empty folder that every user can reach; pytest's own are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="callviz-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)
