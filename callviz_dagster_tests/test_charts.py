"""The charts: what they draw equals DuckDB's counts, in the workbook's colours."""

from __future__ import annotations

import datetime as dt
import random
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import vl_convert

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard.counts import Counts
from callviz_dagster.dashboard.rows import plausible, rows
from callviz_dagster.dashboard.vega import VEGA_LITE
from callviz_dagster_tests.helpers.calls import Call, business, counted, query, table

DAY = dt.date(2026, 3, 2)
WORKBOOK = Path(__file__).resolve().parent.parent / "tableau" / "callviz.twb"


@pytest.fixture(scope="module")
def calls() -> pa.Table:
    return table(business())


@pytest.fixture(scope="module")
def counts(calls: pa.Table) -> Counts:
    return counted(calls)


def drawn(counts: Counts, chart: str) -> Counter[tuple[Any, str]]:
    """Return the length of each drawn part of a bar, by the bar and the call type."""
    return Counter(
        {
            (row.get("label", row.get("from")), counts.types[row["code"]]): row["end"] - row["start"]
            for row in rows(counts, chart, width=300)["rows"]
        }
    )


@pytest.mark.parametrize(
    ("chart", "bar"),
    [
        (charts.CALLS_BY_TYPE, "call_type"),
        (charts.CALLS_BY_STATUS, "status"),
        (charts.CALLS_BY_WEEKDAY, "call_weekday"),
        (charts.DURATION_HISTOGRAM, "if(duration_sec < 1800, floor(duration_sec / 60), 30)"),
    ],
)
def test_bars_equal_duckdbs_counts(chart: str, bar: str, counts: Counts, calls: pa.Table) -> None:
    some = "duration_sec is not null" if chart == charts.DURATION_HISTOGRAM else "true"
    actual = query(f"select {bar}, call_type, count(*) from calls where {some} group by all", calls)
    assert drawn(counts, chart) == {(value, kind): number for value, kind, number in actual}


def test_stacked_parts_follow_each_other_without_gaps(counts: Counts) -> None:
    for chart in (charts.CALLS_BY_STATUS, charts.CALLS_BY_WEEKDAY, charts.DURATION_HISTOGRAM):
        ends: dict[Any, int] = {}
        for row in rows(counts, chart, width=300)["rows"]:
            bar = row.get("label", row.get("from"))
            assert row["start"] == ends.get(bar, 0)
            ends[bar] = row["end"]


def test_bars_tell_number_and_share(counts: Counts, calls: pa.Table) -> None:
    bars = rows(counts, charts.CALLS_BY_STATUS, width=300)["bars"]
    ((completed,),) = query("select count(*) from calls where status = 'completed'", calls)
    assert bars[0] == {
        "label": "completed",
        "bar": 0,
        "start": 0,
        "end": completed,
        "text": f"{completed:,} · {completed / 3000:.1%}",
    }


def lines(counts: Counts) -> dict[str, list[tuple[float, float]]]:
    """Return the points of Daily Calls in pixels, by call type, those of periods that are not whole among them."""
    points: dict[str, set[tuple[float, float]]] = {}
    for row in rows(counts, charts.DAILY_CALLS, width=300)["rows"]:
        if not row.get("mean"):
            points.setdefault(counts.types[row["code"]], set()).update(map(tuple, row["geometry"]["coordinates"]))
    return {kind: sorted(of_kind) for kind, of_kind in points.items()}


def test_daily_calls_has_a_point_at_0_for_a_day_without_calls() -> None:
    calls: list[Call] = [("incoming", "completed", DAY, 9, None)] * 4
    calls += [("missed", "completed", DAY + dt.timedelta(days=1), 9, None)] * 2
    calls += [("incoming", "completed", DAY + dt.timedelta(days=10), 9, None)] * 1
    points = lines(counted(table(calls)))
    width, height = 300, charts.HEIGHT
    at = [width * day / 10 for day in range(11)]
    incoming, missed = [4, *[0] * 9, 1], [0, 2, *[0] * 9]
    for kind, numbers in (("incoming", incoming), ("missed", missed)):
        heights = [(1 - number / 4) * height for number in numbers]
        assert points[kind] == [pytest.approx(point) for point in zip(at, heights, strict=True)]


@pytest.mark.parametrize(("days", "unit"), [(150, "day"), (500, "week"), (1800, "month")])
def test_many_days_are_drawn_by_week_and_then_by_month(days: int, unit: str) -> None:
    calls = table(business(4000, first=dt.date(2021, 3, 10), days=days))
    numbers = query(
        f"""select date_trunc('{unit}', call_date) as period, count(*) filter (call_type = 'incoming')
        from calls group by all order by period""",
        calls,
    )
    data = rows(counted(calls), charts.DAILY_CALLS, width=300)
    top = data["bounds"][1]["calls"]
    drawn = [(1 - y / charts.HEIGHT) * top for _, y in lines(counted(calls))["incoming"]]
    assert [round(number) for number in drawn if number > 0.5] == [number for _, number in numbers if number]
    means = [row for row in data["rows"] if row.get("mean")]
    assert len(means) == (4 if unit == "day" else 0)
    if means:
        assert means[0]["geometry"]["coordinates"][0][1] == pytest.approx(
            (1 - sum(drawn[:7]) / 7 / top) * charts.HEIGHT
        )


@pytest.mark.parametrize(
    ("days", "first", "last"),
    [
        (30, [], [28, 29]),  # the last day
        (400, [], [56, 57]),  # the last week
        (1500, [0, 1], [48, 49]),  # the first and the last month
    ],
)
def test_a_period_that_is_not_over_is_dashed(days: int, first: list[int], last: list[int]) -> None:
    start = dt.date(2021, 3, 8)  # a Monday
    dates = [start + dt.timedelta(days=day) for day in range(days)]
    counts = counted(table([("incoming", "completed", date, 9, None) for date in dates]))
    data = rows(counts, charts.DAILY_CALLS, width=300, last_full_day=int(counts.days[-1]) - 1)["rows"]
    points = [row["geometry"]["coordinates"] for row in data if not row.get("mean")]
    (whole,) = [row["geometry"]["coordinates"] for row in data if "faint" in row]
    dashed = [row["geometry"]["coordinates"] for row in data if row.get("open")]
    assert len(points) == len(dashed) + 1
    assert len(whole) == (last[0] - (first or [0])[-1]) + 1
    assert [len(line) for line in dashed] == [2] * len([one for one in (first, last) if one])
    assert whole[-1] == dashed[-1][0]
    assert dashed[-1][1][0] > whole[-1][0]
    assert not first or dashed[0][1] == whole[0]


def test_a_call_with_a_wrong_date_is_not_drawn() -> None:
    calls = business(300)
    counts = counted(table([("incoming", "completed", dt.date(1970, 1, 1), 0, 5.0), *calls]))
    assert plausible(counts).calls == 300
    assert plausible(plausible(counts)).days[0] == counted(table(calls)).days[0]
    far_apart = counted(table([("incoming", "completed", date, 9, None) for date in (dt.date(1700, 1, 1), DAY)]))
    assert plausible(far_apart).calls == 2
    assert len(lines(far_apart)["incoming"]) < 5000


def test_a_single_day_stands_in_the_middle() -> None:
    data = rows(counted(table([("incoming", "completed", DAY, 9, None)])), charts.DAILY_CALLS, width=300)
    assert data["rows"][0]["geometry"]["coordinates"] == [[150, 0]]
    assert [point["calls"] for point in data["points"]] == [1]


# Colours


def workbook_colours() -> dict[str, str]:
    """Return the colour of each call type in the workbook."""
    maps = ET.parse(WORKBOOK).iterfind(".//encoding[@attr='color']/map")
    return {(entry.findtext("bucket") or "").strip('"'): entry.get("to", "") for entry in maps}


def test_the_colours_are_those_of_the_workbook() -> None:
    assert workbook_colours() == charts.COLOURS


def test_a_type_keeps_its_colour_whatever_its_rank() -> None:
    types = ["incoming", "outgoing", "missed", "one of ours", "another", "unknown"]
    first = dict(zip(types, charts.colours(types), strict=True))
    random.Random(1).shuffle(types)
    assert dict(zip(types, charts.colours(types), strict=True)) == first
    assert first["missed"] == charts.COLOURS["missed"]


def test_different_types_have_different_colours() -> None:
    known = sorted(charts.COLOURS)[:12]
    assert len(set(charts.colours(known))) == 12
    assert len(set(charts.colours([f"type {number}" for number in range(12)]))) == 12


def test_the_group_of_the_rarest_types_is_grey() -> None:
    counts = counted(table(business()), labels=2)
    colours = charts.colours(counts.types, grouped=counts.grouped_types)
    assert colours[-1] == charts.GREY
    assert charts.GREY not in colours[:-1]


# Specifications


def test_specifications_hold_no_data_and_are_understood(counts: Counts) -> None:
    for spec in charts.specs(counts).values():
        assert "values" not in str(spec.get("data"))
        assert vl_convert.vegalite_to_vega(spec, vl_version=VEGA_LITE)["marks"]


def test_weekdays_stand_from_monday_to_sunday(counts: Counts) -> None:
    x = charts.specs(counts)[charts.CALLS_BY_WEEKDAY]["encoding"]["x"]
    assert x["scale"]["domain"] == list(WEEKDAYS)
