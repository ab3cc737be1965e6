"""The Makefile: targets that the documentation names exist, and a folder that cannot be written to is one sentence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from callviz_dagster_tests.helpers.tables import DOCUMENTS, ROOT

NOBODY = 65534

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def foreign_folder() -> Iterator[Path]:
    """Give a folder with the Makefile that the user of the commands in it may read and not write to."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "Makefile").chmod(0o644)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_targets_that_the_documents_name_exist() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))
    assert {"demo", "dev", "test", "test-fast", "lint", "docs", "release-check"} <= targets
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for command in re.findall(r"(?:`|\$ )make ([a-z][a-z -]*)", text):
            assert set(command.split()) <= targets, f"{document.name} names make {command}"


@pytest.mark.parametrize("target", ["demo", "dev"])
def test_a_folder_that_cannot_be_written_to_is_one_sentence(target: str, foreign_folder: Path) -> None:
    as_root = os.geteuid() == 0  # whom permissions do not stop
    done = subprocess.run(
        ["make", target],
        cwd=foreign_folder,
        capture_output=True,
        text=True,
        user=NOBODY if as_root else None,
        group=NOBODY if as_root else None,
        extra_groups=[] if as_root else None,
    )
    assert done.returncode != 0
    assert done.stderr.startswith(f"{foreign_folder} cannot be written to")
    assert "Traceback" not in done.stdout + done.stderr
