"""The tables in the documentation that come from the code: `python -m callviz_dagster_tests.tables` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from callviz_dagster import contract, settings

ROOT = Path(__file__).resolve().parent.parent


def tables() -> dict[str, str]:
    """Return each table by the name of its place."""
    return {
        "columns": contract.markdown_table(contract.table_columns(())),
        "settings": settings.markdown_table(),
    }


def with_tables(text: str) -> str:
    """Return a document with each `<!-- name -->` followed by its table, in place of the table that was there."""
    for name, table in tables().items():
        place = f"<!-- {name} -->\n"
        text = re.sub(rf"{place}(\n?(\|.*\n)+)?", f"{place}\n{table}\n".replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    for path in (ROOT / "README.md",):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
