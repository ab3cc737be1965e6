"""Awkward documents by name, each with what it must become: expected rows and reasons are written out by hand.

`python -m callviz_dagster_tests.helpers.gallery` writes them as a table into `docs/awkward-documents.md`.
"""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
from pathlib import Path
from typing import Any

from callviz_dagster.documents import labels as known_labels
from callviz_dagster.documents.recognition import vocabulary
from callviz_dagster_tests.helpers.awkward import (
    CLEAN_ROW,
    Case,
    Cells,
)
from callviz_dagster_tests.helpers.gallery_fields import FIELDS
from callviz_dagster_tests.helpers.gallery_forms import OTHER_FORMS
from callviz_dagster_tests.helpers.gallery_roles import DURATIONS_AND_LABELS
from callviz_dagster_tests.helpers.gallery_times import TIMES

SECTIONS: dict[str, list[Case]] = TIMES | DURATIONS_AND_LABELS | FIELDS | OTHER_FORMS
CASES = [case for cases in SECTIONS.values() for case in cases]


# The document

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "awkward-documents.md"
_NAMES, _GALLERY = "<!-- names -->", "<!-- gallery -->"
_LONGEST = 90


def _code(shown: str) -> str:
    """Return text as code in a table's cell."""
    cut = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return f"`{_one_line(cut)}`"


def _one_line(shown: str) -> str:
    """Return text with its line breaks and control characters written out, fit for a table's cell."""
    invisible = {c for c in shown if unicodedata.category(c) in ("Cc", "Zl", "Zp")}
    for character in invisible:
        shown = shown.replace(character, json.dumps(character)[1:-1])
    return shown.replace("|", "\\|")


def _cell(cell: Any) -> str:
    if cell is None:
        return "empty"
    if isinstance(cell, dt.datetime):
        cell = f"{cell:%Y-%m-%d %H:%M:%S}" + (f".{cell.microsecond:06}".rstrip("0") if cell.microsecond else "")
    if cell == "":
        return '`""`'
    if isinstance(cell, float):
        cell = f"{cell:g}".replace("inf", "Infinity") if cell in (float("-inf"), cell // 1) else repr(cell)
    return _code(str(cell))


def _same(row: Cells, column: str) -> bool:
    return bool(row.get(column, CLEAN_ROW[column]) == CLEAN_ROW[column])


def became(case: Case) -> str:
    """Return what a case becomes, as Markdown."""
    if case.rejected:
        reason, name, cell = case.rejected
        return f"rejected: `{reason}`, {name} {_cell(cell) if cell is not None else 'empty'}"
    same = {"repairs"} | {name for name in ("call_date", "call_weekday", "call_hour") if _same(case.row, name)}
    columns = [f"{_one_line(column)} {_cell(cell)}" for column, cell in case.row.items() if column not in same]
    repairs = case.row.get("repairs", "")
    return "; ".join(columns) + (f"<br>*repairs:* {_code(repairs)}" if repairs else "")


def table() -> str:
    """Return all cases as Markdown tables."""
    lines = []
    for section, cases in SECTIONS.items():
        lines += [f"### {section}", "", "| case | in MongoDB | in `calls` |", "|---|---|---|"]
        lines += [f"| {case.name} | {_code(case.stored)} | {became(case)} |" for case in cases]
        lines.append("")
    return "\n".join(lines)


def names() -> str:
    """Return the names and labels that are known as a Markdown table."""
    labels = {"call_type": known_labels.TYPES, "status": known_labels.STATUSES}
    rows = [
        (f"field of the {role.replace('_', ' ')}", names_of_kind)
        for role, names_of_kind in vocabulary.FIELD_NAMES.items()
    ]
    rows.append(("nested documents that are looked into", tuple(sorted(vocabulary.WRAPPERS))))
    rows += [(f"label of the {role.replace('_', ' ')}", names_of_kind) for role, names_of_kind in labels.items()]
    lines = ["| | known names |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| {what} | {', '.join(map(_code, names_of_kind))} |" for what, names_of_kind in rows)]
    )


def with_tables(document: str) -> str:
    """Return the document with the names behind their mark, up to the next heading, and the gallery at the end."""
    before, rest = document.split(_NAMES)
    between = rest[rest.index("\n## ") : rest.index(_GALLERY)]
    return f"{before}{_NAMES}\n\n{names()}\n{between}{_GALLERY}\n\n{table()}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
