"""Calls by a further field: the table, its order, and the filter."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard import fields as field_counts
from callviz_dagster_tests.dashboard_page.browser import Dashboard, Opening
from callviz_dagster_tests.dashboard_page.expected import (
    COMPLETED,
    MISSED,
    expected_headline,
    expected_tables,
    in_seconds,
    shown_tables,
    where,
)
from callviz_dagster_tests.helpers.calls import query


def shown(dashboard: Dashboard, field: str) -> list[list[str]]:
    rows: list[list[str]] = dashboard.page.eval_on_selector(
        f'[data-field="{field}"] table', "t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))"
    )
    return rows


def expected(calls: pa.Table, field: str, condition: str = "true") -> list[list[str]]:
    """Return the rows of a field's table but for the median, the most frequent value first."""
    rows = query(
        f"""select coalesce({field}, '(none)') as value, count(*) as n, count(*) filter ({COMPLETED}),
            count(*) filter ({MISSED}) from calls where {condition} group by all order by n desc, value""",
        calls,
    )
    total = sum(number for _, number, *_ in rows)
    return [
        [value, f"{number:,}", f"{number / total:.1%}", *(f"{part / number:.1%}" for part in parts)]
        for value, number, *parts in rows
    ]


def test_a_table_says_what_duckdb_counts_and_can_be_sorted(
    opened: Opening, by_field: Path, calls_by_field: pa.Table
) -> None:
    dashboard = opened(by_field)
    rows = shown(dashboard, "queue")
    assert [row[:-1] for row in rows] == expected(calls_by_field, "queue")
    medians = dict(
        query("select coalesce(queue, '(none)'), median(duration_sec) from calls group by all", calls_by_field)
    )
    for row in rows:
        assert row[-1].startswith("≈ ")
        assert in_seconds(row[-1]) == pytest.approx(medians[row[0]], abs=60)
    agents = shown(dashboard, "agent")
    assert len(agents) == 31
    assert agents[-1][0].startswith("other (")
    in_all = expected(calls_by_field, "agent")
    assert [row[:-1] for row in agents[:-1]] == in_all[:30]
    assert agents[-1][1] == f"{sum(int(row[1].replace(',', '')) for row in in_all[30:]):,}"
    table = dashboard.page.locator('[data-field="agent"] table')
    for name, order in (("agent", sorted), ("Missed", lambda values: sorted(values, reverse=True))):
        table.get_by_role("button", name=name, exact=True).click()
        column = 0 if name == "agent" else 4
        values = [row[column] for row in shown(dashboard, "agent")[:-1]]
        keys = values if name == "agent" else [float(value.rstrip("%")) for value in values]
        assert keys == order(keys)
        assert table.locator(f"thead th:nth-child({column + 1})").get_attribute("aria-sort") != "none"
        assert shown(dashboard, "agent")[-1][0].startswith("other (")


def test_one_field_at_a_time_filters_all_charts(opened: Opening, by_field: Path, calls_by_field: pa.Table) -> None:
    choices = {"type": ["incoming", "missed"], "from": ["2026-02-01"], "duration": ["60", "120"]}
    dashboard = opened(by_field, link=choices)
    condition = where(choices)
    assert [row[:-1] for row in shown(dashboard, "queue")] == expected(calls_by_field, "queue", condition)
    table = dashboard.page.locator('[data-field="queue"] table')
    dashboard.changing(table.get_by_role("button", name="sales").click)
    choices = {**choices, "field.queue": ["sales"]}
    assert dashboard.link() == choices
    tables = expected_tables(calls_by_field, choices)
    others = {name: values for name, values in choices.items() if name != "field.queue"}
    tables[charts.CALLS_BY_HOUR] = expected_tables(calls_by_field, others)[charts.CALLS_BY_HOUR]
    assert shown_tables(dashboard) == tables
    number, completed, median, *_ = expected_headline(calls_by_field, choices)
    headline = dashboard.headline()
    assert headline["Calls"][0] == f"{number:,}"
    assert headline["Completed"][0] == f"{completed / number:.1%}"
    assert in_seconds(headline["Median duration"][0]) == pytest.approx(median, abs=60)
    ((missed,),) = query(f"select count(*) from calls where {MISSED} and {where(choices)}", calls_by_field)
    assert headline["Missed"][0] == f"{missed / number:.1%}"
    assert dashboard.text(f"{dashboard.figure(charts.CALLS_BY_HOUR)} .note") == "Shown for all values of queue."
    assert dashboard.text('[data-field="agent"] .note') == "Not filtered by queue."
    agents = dashboard.page.locator('[data-field="agent"] table')
    dashboard.changing(agents.get_by_role("button", name="agent 00").click)
    assert dashboard.link().get("field.agent") == ["agent 00"]
    assert "field.queue" not in dashboard.link()
    dashboard.click_bar(charts.CALLS_BY_HOUR, 13)
    assert "field.agent" not in dashboard.link()


def test_a_field_with_too_many_cells_is_counted_by_month(
    opened: Opening, calls_by_field: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_counts, "MAX_FIELD_CELLS", 100)
    dashboard = opened(
        calls_by_field, fields=("queue",), link={"from": ["2026-02-10"], "to": ["2026-02-20"], "field.queue": ["sales"]}
    )
    february = "call_date between '2026-02-01' and '2026-02-28'"
    assert [row[:-1] for row in shown(dashboard, "queue")] == expected(calls_by_field, "queue", february)
    assert dashboard.text('[data-field="queue"] .note') == "Whole months: 1 Feb 2026 to 28 Feb 2026."
    ((number,),) = query(f"select count(*) from calls where queue = 'sales' and {february}", calls_by_field)
    assert dashboard.headline()["Calls"][0] == f"{number:,}"
    assert dashboard.text(f"{dashboard.figure(charts.DAILY_CALLS)} .subtitle").startswith("Calls per month")
    _, *rows = dashboard.table(charts.DAILY_CALLS)
    assert rows[0][0] == "2026-02-01"
    assert int(rows[0][-1]) == number
    assert dashboard.text(f"{dashboard.figure(charts.CALLS_BY_WEEKDAY)} .note") == "Shown for all values of queue."
