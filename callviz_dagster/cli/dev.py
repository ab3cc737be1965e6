"""`callviz dev`: the Dagster UI and daemon, on this machine alone, until Ctrl-C.

What belongs elsewhere: the demo, which has its own with calls coming in (`demo/`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from callviz_dagster.cli.collection import dagster_home

HOST = "127.0.0.1"
_WORKSPACE = """# Written by `callviz dev`: the code location has the same name however it is started.
load_from:
  - python_module:
      module_name: callviz_dagster.definitions
      location_name: callviz_dagster
"""


def dev_command(port: int) -> list[str]:
    """Return the command that runs Dagster for a dg project in the current folder, else for callviz alone.

    Raises:
        FileError: the folder of the Dagster instance cannot be written to.
    """
    home = dagster_home()
    command = [sys.executable, "-m", "dagster", "dev", "-h", HOST, "-p", str(port)]
    if is_dg_project(Path.cwd()):
        return command
    workspace = home / "callviz_workspace.yaml"
    workspace.write_text(_WORKSPACE, encoding="utf-8")
    return [*command, "-w", str(workspace)]


def is_dg_project(folder: Path) -> bool:
    """Return whether Dagster takes its definitions from the folder's `pyproject.toml`."""
    import tomllib

    try:
        tool = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    except (OSError, tomllib.TOMLDecodeError):
        return False
    return "dg" in tool or "dagster" in tool


def dev(port: int) -> None:
    """Become Dagster, so that signals reach it as they are."""
    command = dev_command(port)
    sys.stderr.write(f"The Dagster UI will be at http://{HOST}:{port}; Ctrl-C stops it.\n")
    sys.stderr.flush()
    os.execv(command[0], command)
