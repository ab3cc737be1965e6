"""Tables in metadata as Markdown: a third of the event text that Dagster's own tables take, and shown just as well.

What belongs elsewhere: what a table shows (the module of its asset or check).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from callviz_dagster.documents.display import display_text

if TYPE_CHECKING:
    import pyarrow as pa

PREVIEW_ROWS = 5
_MOST_PREVIEWED = 80
"""Characters of a value in a preview."""
_MARKDOWN = re.compile(r"[\\`*_\[\]<>&|~]")


def rows_table(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    """Return rows, which have the same keys, as a table; the text `none` where there are no rows."""
    lines = [*rows]
    if not lines:
        return dg.MetadataValue.text("none")
    return _table([*lines[0]], [[_cell(value) for value in row.values()] for row in lines])


def preview(table: pa.Table | None) -> dg.MetadataValue:
    """Return the first rows of a table, long values cut; the text `no rows` where there are none."""
    rows = table.slice(0, PREVIEW_ROWS).to_pylist() if table is not None else []
    if not rows:
        return dg.MetadataValue.text("no rows")
    return _table(
        [_cell(name, _MOST_PREVIEWED) for name in rows[0]],
        [[_cell(value, _MOST_PREVIEWED) for value in row.values()] for row in rows],
    )


def _table(header: list[str], lines: list[list[str]]) -> dg.MetadataValue:
    first, *rest = (f"|{'|'.join(cells)}|" for cells in (header, *lines))
    return dg.MetadataValue.md("\n".join([first, "|---" * len(header) + "|", *rest]))


def _cell(value: Any, most: int | None = None) -> str:
    """Return a value as the text of a cell that it cannot leave, cut where it has more than `most` characters."""
    text = " ".join(display_text("" if value is None else str(value)).split())
    shown = text if most is None or len(text) <= most else text[: most - 1] + "…"
    return _MARKDOWN.sub(r"\\\g<0>", shown)
