"""Tables that Dagster's UI shows: Markdown that no value can break."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from callviz_dagster.assets.markdown import preview, rows_table


def shown_text(table: pa.Table | None) -> str:
    return str(preview(table).value)


def test_the_first_rows_are_a_markdown_table() -> None:
    start = dt.datetime(2024, 3, 1, 9, 30)
    table = pa.table({"_id": range(1, 9), "start": [start] * 8, "team": [None, *"ABCDEFG"]})
    assert shown_text(table).splitlines()[:4] == [
        r"|\_id|start|team|",
        "|---|---|---|",
        "|1|2024-03-01 09:30:00||",
        "|2|2024-03-01 09:30:00|A|",
    ]
    assert len(shown_text(table).splitlines()) == 2 + 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a | b", r"a \| b"),
        ("a\\|b", r"a\\\|b"),
        ("a\r\nb\tc", "a b c"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[a](b)", r"\[a\](b)"),
        ("&lt;", r"\&lt;"),
        ("**bold** `code`", r"\*\*bold\*\* \`code\`"),
        ("a\x00\ufffeb", "a\u2400\ufffdb"),
        ("---", "---"),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
def test_a_value_stays_in_its_cell(text: str, shown: str) -> None:
    assert shown_text(pa.table({text: [text]})) == f"|{shown}|\n|---|\n|{shown}|"


def test_no_rows() -> None:
    assert shown_text(None) == shown_text(pa.table({"a": pa.array([], pa.string())})) == "no rows"


def test_rows_are_a_table_with_their_values_whole() -> None:
    rows: list[dict[str, object]] = [{"label": "a|b", "calls": 2_000}, {"label": None, "calls": "x" * 200}]
    assert rows_table(rows).value == f"|label|calls|\n|---|---|\n|a\\|b|2000|\n||{'x' * 200}|"
    assert rows_table([]).value == "none"
