"""What DuckDB counts in the calls, and the comparison of everything that the page shows with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Dashboard
from callviz_dagster_tests.helpers.calls import query

BIN = "if(duration_sec < 1800, floor(duration_sec / 60) * 60, 1800)::int::text"
COLUMNS = {
    "type": "call_type",
    "status": "status",
    "weekday": "call_weekday",
    "duration": BIN,
    "field.queue": "coalesce(queue, '(none)')",
    "field.agent": "coalesce(agent, '(none)')",
    "hour": "call_weekday || '-' || lpad(call_hour::text, 2, '0')",
}


def where(choices: Mapping[str, Sequence[str]], *, leaving: str = "") -> str:
    """Return the condition that choices stand for, leaving those of one dimension aside."""
    conditions = ["true"]
    for name, values in choices.items():
        if name == leaving or (leaving == "days" and name in ("from", "to")):
            continue
        if name in ("from", "to"):
            conditions.append(f"call_date {'>=' if name == 'from' else '<='} date '{values[0]}'")
        else:
            listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
            conditions.append(
                f"({COLUMNS[name]}) in ({listed})"
                if name != "duration"
                else f"{BIN} in ({listed}) and duration_sec is not null"
            )
    return " and ".join(conditions)


def by_bar(calls: pa.Table, choices: Mapping[str, Sequence[str]], dimension: str) -> dict[tuple[str, str], int]:
    """Return the calls of a chart by bar and call type, under all choices but the chart's own."""
    some = "duration_sec is not null" if dimension == "duration" else "true"
    rows = query(
        f"""select {COLUMNS[dimension]}, call_type, count(*) from calls
        where {some} and {where(choices, leaving=dimension)} group by all""",
        calls,
    )
    return {(bar, kind): number for bar, kind, number in rows}


def expected_tables(calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what each chart's table is to say, by chart: calls by bar and call type."""
    by_day = query(
        f"select call_date::text, call_type, count(*) from calls where {where(choices, leaving='days')} group by all",
        calls,
    )
    hours = query(
        f"select {COLUMNS['hour']}, count(*) from calls where {where(choices, leaving='hour')} group by all", calls
    )
    return {
        charts.CALLS_BY_TYPE: by_bar(calls, choices, "type"),
        charts.CALLS_BY_STATUS: by_bar(calls, choices, "status"),
        charts.DAILY_CALLS: {(day, kind): number for day, kind, number in by_day},
        charts.CALLS_BY_WEEKDAY: by_bar(calls, choices, "weekday"),
        charts.DURATION_HISTOGRAM: by_bar(calls, choices, "duration"),
        charts.CALLS_BY_HOUR: dict(hours),
    }


def shown_tables(dashboard: Dashboard) -> dict[str, Any]:
    """Return what each chart's table says in the same form, without zeros; and check its sums and shares."""
    shown: dict[str, Any] = {}
    for chart, (head, *rows) in dashboard.tables().items():
        cells: dict[Any, int] = {}
        total = sum(int(row[head.index("Calls")]) for row in rows) if "Calls" in head else 0
        for number, row in enumerate(rows):
            if chart == charts.CALLS_BY_HOUR:
                for weekday, calls in zip(head[1:], row[1:], strict=True):
                    cells[f"{weekday}-{row[0][:2]}"] = int(calls)
                continue
            last = head.index("Calls")
            bar = str(min(number, 30) * 60) if chart == charts.DURATION_HISTOGRAM else row[0]
            kinds = (
                {row[0]: row[last]}
                if chart == charts.CALLS_BY_TYPE
                else dict(zip(head[1:last], row[1:last], strict=True))
            )
            for kind, calls in kinds.items():
                cells[bar, kind] = int(calls)
            assert int(row[last]) == sum(map(int, kinds.values()))
            if "Share" in head and total:
                assert float(row[head.index("Share")].rstrip("%")) == pytest.approx(
                    int(row[last]) / total * 100, abs=0.051
                )
        shown[chart] = {key: calls for key, calls in cells.items() if calls}
    return shown


COMPLETED = "status = 'completed'"
MISSED = "status != 'completed' and (call_type = 'missed' or status = 'no-answer')"


def expected_headline(calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> tuple[Any, ...]:
    """Return calls, completed calls, median and number of durations, first and last day, and days with calls."""
    return query(
        f"""select count(*), count(*) filter (status = 'completed'), median(duration_sec), count(duration_sec),
            min(call_date), max(call_date), count(distinct call_date)
        from calls where {where(choices)}""",
        calls,
    )[0]


def in_seconds(text: str) -> int:
    """Return the seconds in a text such as `≈ 2 min 5 s`."""
    return sum(int(number) * {"h": 3600, "min": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+) (\w+)", text))


def assert_headline(dashboard: Dashboard, calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> None:
    """Compare the headline figures with DuckDB's."""
    number, completed, median, durations, first, last, days = expected_headline(calls, choices)
    shown = dashboard.headline()
    assert shown["Calls"][0] == f"{number:,}"
    if not number:
        assert shown["Days covered"][0] == "0"
        return
    assert float(shown["Completed"][0].rstrip("%")) == pytest.approx(completed / number * 100, abs=0.051)
    assert shown["Completed"][1] == f"{completed:,} call{'' if completed == 1 else 's'} with status completed"
    if "Missed" in shown:
        ((missed,),) = query(f"select count(*) from calls where {MISSED} and {where(choices)}", calls)
        assert float(shown["Missed"][0].rstrip("%")) == pytest.approx(missed / number * 100, abs=0.051)
    assert shown["Median duration"][1].endswith(
        f"of {durations:,} call{'' if durations == 1 else 's'} with a duration; {number - durations:,} without"
    )
    if shown["Median duration"][0].startswith("≈"):
        assert in_seconds(shown["Median duration"][0]) == pytest.approx(median, abs=1)
    elif durations:
        assert shown["Median duration"][1].startswith(f"{median:,.1f} s, ")
    assert shown["Days covered"][0] == f"{(last - first).days + 1:,}"
    if last > first:
        assert shown["Days covered"][1].endswith(f"; {days:,} with calls")


def assert_shows(dashboard: Dashboard, calls: pa.Table, choices: Mapping[str, Sequence[str]]) -> None:
    """Compare everything that the page shows with DuckDB's counts."""
    assert dashboard.link() == {name: list(values) for name, values in choices.items()}
    assert_headline(dashboard, calls, choices)
    assert shown_tables(dashboard) == expected_tables(calls, choices)
    number = expected_headline(calls, choices)[0]
    all_calls = f"{calls.num_rows:,} call{'' if calls.num_rows == 1 else 's'}"
    shown = f"{number:,} of {all_calls} chosen" if choices else all_calls if calls.num_rows == 1 else f"All {all_calls}"
    assert dashboard.text("#shown") == shown
