"""A process that has refreshed ends without searching all of its objects for garbage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import atexit, gc, logging, sys
from pathlib import Path
from callviz_dagster.assets.common import working_files
from callviz_dagster.settings import Settings

# Functions that are registered first run last.
atexit.register(lambda: print(gc.get_freeze_count()))
settings = Settings(data_dir=Path("data"), publish_dir=Path("publish"))
for _ in range(int(sys.argv[1])):
    with working_files(settings, logging.getLogger()):
        assert not gc.get_freeze_count()
"""


def frozen_objects(steps: int, folder: Path) -> int:
    """Return how many objects are left out of the search at the end of a process with this number of steps."""
    command = [sys.executable, "-c", _PROGRAM, str(steps)]
    return int(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)


def test_a_process_ends_without_a_search_for_garbage_once_it_has_refreshed(tmp_path: Path) -> None:
    assert frozen_objects(0, tmp_path) == 0
    assert frozen_objects(2, tmp_path) > 10_000
