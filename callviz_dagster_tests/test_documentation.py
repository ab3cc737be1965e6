"""The documentation says what the code does."""

from __future__ import annotations

import re

from callviz_dagster_tests.tables import ROOT, tables, with_tables


def test_tables_of_the_readme_are_those_of_the_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in text for name in tables())
    assert with_tables(text) == text, "run: python -m callviz_dagster_tests.tables"


def test_files_and_pictures_that_the_documents_name_exist() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tableau").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} names {target}"


def test_modules_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:callviz_dagster)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
