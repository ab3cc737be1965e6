"""The documentation says what the code does, and leads where it says."""

from __future__ import annotations

import dataclasses
import re
import tomllib

import pytest

from callviz_dagster import settings
from callviz_dagster_tests.helpers.tables import DOCUMENTS, ENV_EXAMPLE, PAGES, ROOT, env_example, tables, with_tables

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_tables_are_those_of_the_code() -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    for name in tables():
        assert any(f"<!-- {name} -->" in page for page in pages.values()), name
    for path, page in pages.items():
        assert with_tables(page) == page, f"{path.name}: run python -m callviz_dagster_tests.helpers.tables"


def test_the_example_of_an_env_file_has_every_setting_and_sets_none() -> None:
    text = ENV_EXAMPLE.read_text(encoding="utf-8")
    assert text == env_example(), "run python -m callviz_dagster_tests.helpers.tables"
    names = re.findall(r"^# (CALLVIZ_\w+)=$", text, re.MULTILINE)
    assert names == [setting.metadata["name"] for setting in dataclasses.fields(settings.Settings)]
    assert not [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.slow
def test_a_table_that_is_out_of_date_is_noticed() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    assert with_tables(page.replace("`CALLVIZ_TIMEZONE`", "`CALLVIZ_ZONE`")) == page


def test_files_and_pictures_that_the_documents_name_exist() -> None:
    for document in DOCUMENTS:
        text = _FENCE.sub("", document.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (document.parent / target).exists(), f"{document.name} names {target}"


def test_files_that_are_named_in_the_text_exist() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:callviz_dagster|callviz_dagster_tests|benchmarks|docs|tableau)/[\w./]+)`", text):
            generated = name.startswith("tableau/") or name.startswith("docs/_build")
            assert generated or (ROOT / name).exists(), f"{document.name} names {name}"


def test_contributing_answers_its_questions_with_files_that_exist() -> None:
    """Every line of the table is a question and the one file that answers it, so that questions are easily added."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Where is it?")[1].split("\n## ")[0]
    _, _, *lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len(lines) >= 10
    for line in lines:
        match = re.fullmatch(r"\| [^|]+\? \| `([^`|]+)` \|", line)
        assert match, line
        assert (ROOT / match[1]).is_file(), match[1]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120


def test_the_changelog_names_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert version == headings[0]
