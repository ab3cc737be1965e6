"""The table of faults names tests that exist, and every fault has one."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parent / "docs" / "faults.md").read_text(encoding="utf-8")
TABLES = [paragraph.splitlines() for paragraph in PAGE.split("\n\n") if paragraph.startswith("| fault |")]
ROWS = [row for _, _, *rows in TABLES for row in rows]


@functools.cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_every_fault_is_backed_by_a_test_that_exists(row: str) -> None:
    named = re.findall(r"`((?:\w+/)?test_\w+\.py)::(test_\w+)`", row.split("|")[-2])
    assert named
    for file, test in named:
        assert test in functions_of(file), f"{file}::{test}"
