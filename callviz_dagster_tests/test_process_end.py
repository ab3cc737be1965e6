"""A process that has refreshed ends without searching all of its objects for garbage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import atexit, gc, logging
from pathlib import Path
from callviz_dagster.assets.common import working_files
from callviz_dagster.settings import Settings

# Functions that are registered first run last.
atexit.register(lambda: print(gc.get_freeze_count()))
settings = Settings(data_dir=Path("data"), publish_dir=Path("publish"))
for _ in range(2):
    with working_files(settings, logging.getLogger()):
        assert not gc.get_freeze_count()
"""


def test_a_process_ends_without_a_search_for_garbage_once_it_has_refreshed(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert int(finished.stdout) > 10_000
