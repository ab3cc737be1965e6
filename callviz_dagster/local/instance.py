"""callviz's own Dagster instance, in the current folder: that of the demo, and of the command without `DAGSTER_HOME`.

What belongs elsewhere: the runs in an instance (`automation/runs.py`), and which instance a command takes
(`cli/collection.py`).
"""

from __future__ import annotations

from pathlib import Path

from callviz_dagster.storage.files import require_writable, write_text

FOLDER = Path(".dagster_home")
_CONFIGURATION = "dagster.yaml"


def own_dagster_home() -> Path:
    """Return the instance's full path, with the configuration that this version of callviz has for it.

    Raises:
        FileError: it cannot be written.
    """
    home = FOLDER.absolute()
    require_writable(home)
    wanted = Path(__file__).with_name(_CONFIGURATION).read_text(encoding="utf-8")
    path = home / _CONFIGURATION
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != wanted:
        write_text(path, wanted)
    return home
