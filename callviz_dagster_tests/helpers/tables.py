"""The documents, and the tables and outputs in them that come from the code.

`python -m callviz_dagster_tests.helpers.tables` writes these tables, `.env.example`, and the library of the charts.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import textwrap
from pathlib import Path

from callviz_dagster import contract, settings
from callviz_dagster.dashboard import vega
from callviz_dagster.definitions import build_definitions
from callviz_dagster_tests.helpers import recognition_tables

ROOT = Path(__file__).resolve().parent.parent.parent
ENV_EXAMPLE = ROOT / ".env.example"
LIBRARY = ROOT / "callviz_dagster" / "dashboard" / vega.FILE
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/decisions/*.md", "tableau/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
PAGES = tuple(
    ROOT / page
    for page in (
        "docs/settings.md",
        "docs/columns.md",
        "docs/how-it-works.md",
        "docs/recognition.md",
        "tableau/README.md",
    )
)


@functools.cache
def tables() -> dict[str, str]:
    """Return each table by the name of its place."""
    return {
        "settings": settings_table(),
        "columns": contract.markdown_table(contract.table_columns((), other_fields=True)),
        "rejected": contract.markdown_table(contract.REJECTED),
        "checks": checks_table(),
        "recognition": recognition_tables.summary_table(),
        "services": recognition_tables.services_table(),
        "examples": recognition_tables.examples_table(),
        "fields": recognition_tables.fields_output(),
    }


def checks_table() -> str:
    """Return the asset checks as a Markdown table: asset, check, what it holds."""
    definitions = build_definitions(
        settings.Settings(
            tableau_server="https://tableau.example.com",
            tableau_project="Calls",
            tableau_token_name="callviz",
            tableau_token_secret="a secret",
            tableau_publish="both",
        )
    )
    makers = (*(definitions.assets or ()), *(definitions.asset_checks or ()))
    specs = [spec for maker in makers for spec in getattr(maker, "check_specs", ())]
    lines = ["| asset | check | what it holds |", "|---|---|---|"]
    lines += [f"| `{spec.asset_key.to_user_string()}` | `{spec.name}` | {spec.description} |" for spec in specs]
    return "\n".join(lines)


def settings_table() -> str:
    """Return the settings as a Markdown table: variable, meaning, default."""
    lines = ["| variable | meaning | default |", "|---|---|---|"]
    lines += [
        f"| `{f.metadata['name']}` | {f.metadata['meaning']} | {f.metadata['default']} |"
        for f in dataclasses.fields(settings.Settings)
    ]
    return "\n".join(lines)


def env_example() -> str:
    """Return a `.env` file with every setting as a comment: what it means, its default, and a line to fill in."""
    lines = [
        "# Copy this file to .env and set what you need, at least CALLVIZ_MONGO_URI.",
        *textwrap.wrap(settings.PRECEDENCE, 100, initial_indent="# ", subsequent_indent="# "),
    ]
    for setting in dataclasses.fields(settings.Settings):
        meaning = f"{setting.metadata['meaning']}. Default: {setting.metadata['default']}.".replace("`", "")
        text = meaning[0].upper() + meaning[1:]
        lines += ["", *textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)]
        lines.append(f"# {setting.metadata['name']}=")
    return "\n".join(lines) + "\n"


def with_tables(page: str) -> str:
    """Return a page with each `<!-- name -->` followed by its table, in place of the table that was there."""
    for name, table in tables().items():
        mark = f"<!-- {name} -->\n"
        page = re.sub(
            rf"{mark}(\n?((\|.*\n)+|```text\n(.*\n)+?```\n))?", f"{mark}\n{table}\n".replace("\\", r"\\"), page
        )
    return page


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
    LIBRARY.write_text(vega.bundled().to_json(), encoding="utf-8")
