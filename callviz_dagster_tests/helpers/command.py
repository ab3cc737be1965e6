"""Shared by tests: the command `callviz` in an empty folder, with settings of the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from callviz_dagster.cli.main import main

Command = Callable[..., tuple[int, str, str]]
"""Takes arguments; returns exit code, output and errors."""


def command_in(
    folder: Path, settings: Mapping[str, str | None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Return the command in a folder, with these settings by their names without the prefix."""
    monkeypatch.chdir(folder)
    for name, value in settings.items():
        monkeypatch.setenv(f"CALLVIZ_{name}", str(value))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        capfd.readouterr()
        code = main(arguments)
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run
