"""What the five charts draw of all calls, as the page's scripts make it in the browser.

What belongs elsewhere: the charts (`dashboard/charts.py`), counting (`dashboard/counts.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard.charts import (
    CALLS_BY_TYPE,
    CALLS_BY_WEEKDAY,
    DAILY_CALLS,
    DURATION_HISTOGRAM,
    HEIGHT,
    MOST_POINTS,
    Rows,
)
from callviz_dagster.dashboard.counts import BIN_SECONDS, TAIL_SECONDS, CallsByType, Counts, date_of

if TYPE_CHECKING:
    import numpy as np

    Integers = np.ndarray[Any, np.dtype[np.int64]]

MOST_DAYS, MOST_WEEKS = 190, 160
"""In Daily Calls, before it shows the next longer unit; as in `timeline.js`."""
_MEAN_DAYS, _FEWEST_FOR_MEAN = 7, 21
_MOST_DAYS_APART = 366
_MILLISECONDS_PER_DAY = 86_400_000
Period = tuple[int, int]
"""First and last day."""
_Points = list[list[float]]


def plausible(counts: Counts) -> Counts:
    """Return the counts without a few calls whose dates are far from all others, as the page opens."""
    import numpy as np

    first, last = plausible_span(counts)
    if first <= counts.days[0] and counts.days[-1] <= last:
        return counts
    cubes = []
    for cube in counts.cubes:
        inside = np.concatenate([(part.day >= first) & (part.day <= last) for part in cube.slices()])
        cubes.append(replace(cube, keys=cube.keys[inside], calls=cube.calls[inside]))
    return replace(counts, cubes=tuple(cubes))


def plausible_span(counts: Counts) -> Period:
    """Return the first and the last day that the page opens on, as `CallCounts.plausibleSpan` in `counts.js`."""
    days, calls = counts.by_day.sums
    runs: list[list[int]] = []
    for day, number in zip(days.tolist(), calls.tolist(), strict=True):
        if not runs or day - runs[-1][1] > _MOST_DAYS_APART:
            runs.append([day, day, 0])
        runs[-1][1] = day
        runs[-1][2] += number
    main = max(runs, key=lambda run: run[2])
    apart = sum(run[2] for run in runs) - main[2]
    few = apart <= max(0.01 * main[2], 3) and main[2] >= 10 * apart
    return (main[0], main[1]) if few else (int(days[0]), int(days[-1]))


def rows(counts: Counts, chart: str, *, width: int, last_full_day: int | None = None) -> dict[str, Rows]:
    """Return the rows of one of the five charts for all calls, by data set, as the page's script makes them.

    Args:
        counts: the calls.
        chart: its name.
        width: of the drawing, in pixels.
        last_full_day: the last day that was over when the calls were read, in days since 1970-01-01.
    """
    import numpy as np

    if chart == DAILY_CALLS:
        return _daily(counts, width, last_full_day)
    types = len(counts.types)
    if chart == CALLS_BY_WEEKDAY:
        grid = _grid(counts.by_day, lambda days: (days + 3) % 7, (7, types))
        return {"rows": _stacked("label", WEEKDAYS, grid), "bars": []}
    if chart == DURATION_HISTOGRAM:
        step, last = counts.step, TAIL_SECONDS // BIN_SECONDS
        grid = _grid(
            counts.by_duration, lambda classes: (classes * step // BIN_SECONDS).clip(-1, last) + 1, (last + 2, types)
        )
        stacked = _stacked("from", [number * BIN_SECONDS / 60 for number in range(last + 1)], grid[1:])
        return {"rows": [row | {"to": row["from"] + BIN_SECONDS / 60} for row in stacked], "bars": []}
    labels, grid = counts.statuses, _grid(counts.by_status, lambda statuses: statuses, (len(counts.statuses), types))
    if chart == CALLS_BY_TYPE:
        labels, grid = counts.types, np.diag(grid.sum(axis=0))
    stacked = _stacked("label", labels, grid)
    return {"rows": stacked, "bars": _written(stacked, counts.calls)}


def _grid(calls: CallsByType, group: Callable[[Integers], Integers], shape: tuple[int, int]) -> Integers:
    """Return the calls by group and call type; `group` gives the group of each value."""
    import numpy as np

    grid = np.zeros(shape, np.int64)
    np.add.at(grid, (group(calls.values), calls.types), calls.calls)
    return grid


def _stacked(name: str, keys: Iterable[str | float], grid: Integers) -> Rows:
    """Return a row for each part of each stacked bar."""
    stacked: Rows = []
    for bar, (key, calls) in enumerate(zip(keys, grid.tolist(), strict=True)):
        start = 0
        for code, number in enumerate(calls):
            if number == 0:
                continue
            place = {name: key, "bar": bar, "code": code, "part": bar * len(calls) + code}
            stacked.append(place | {"start": start, "end": start + number, "chosen": True})
            start += number
    return stacked


def _written(parts: Rows, all_calls: int) -> Rows:
    """Return a row for each whole bar with the text beside it."""
    whole = {part["bar"]: part for part in parts}  # the last part of a bar ends where the bar does
    return [
        {"label": part["label"], "bar": bar, "start": 0, "end": end, "text": f"{end:,} · {end / max(all_calls, 1):.1%}"}
        for bar, part in whole.items()
        for end in [part["end"]]
    ]


def _daily(counts: Counts, width: float, last_full_day: int | None) -> dict[str, Rows]:
    """Return the lines of Daily Calls as shapes in a drawing of this width, and what else it draws."""
    import numpy as np

    periods, whole = _periods(int(counts.days[0]), int(counts.days[-1]), last_full_day)
    starts = [first for first, _ in periods]
    shape = len(periods), len(counts.types)
    grid = _grid(counts.by_day, lambda days: np.searchsorted(starts, days, side="right") - 1, shape)
    first, last = periods[0][0], periods[-1][1]
    if first == last:
        first, last = first - 1, last + 1
    top = max(int(grid.max(initial=0)), 1)

    def placed(days: Iterable[float], calls: Iterable[float]) -> _Points:
        return [
            [(day - first) / (last - first) * width, (1 - number / top) * HEIGHT]
            for day, number in zip(days, calls, strict=True)
        ]

    middles = [(start + end) / 2 for start, end in periods]
    daily = all(start == end for start, end in periods)
    with_mean = daily and len(periods) >= _FEWEST_FOR_MEAN
    lines: Rows = []
    points: Rows = []
    for code, calls in enumerate(grid.T.tolist()):
        lines += _lines(code, placed(middles, calls), whole, faint=with_mean)
        if with_mean:
            means = np.convolve(calls, np.full(_MEAN_DAYS, 1 / _MEAN_DAYS), mode="valid").tolist()
            lines.append(_line(code, placed(middles[_MEAN_DAYS - 1 :], means), mean=True))
        if len(periods) <= MOST_POINTS:
            points += [
                {"day": day * _MILLISECONDS_PER_DAY, "code": code, "calls": number}
                for day, number in zip(middles, calls, strict=True)
            ]
    bounds = [{"day": first * _MILLISECONDS_PER_DAY, "calls": 0}, {"day": last * _MILLISECONDS_PER_DAY, "calls": top}]
    return {"rows": lines, "points": points, "bounds": bounds, "chosen": []}


def _lines(code: int, points: _Points, whole: Sequence[bool], *, faint: bool) -> Rows:
    """Return the line of a call type: the part of whole periods, and those at its ends that are not."""
    first = whole.index(True) if True in whole else 0
    last = len(whole) - 1 - whole[::-1].index(True) if True in whole else 0
    lines = [_line(code, points[first : last + 1], faint=faint)]
    lines += [_line(code, points[: first + 1], open=True)] if first else []
    lines += [_line(code, points[last:], open=True)] if last < len(points) - 1 else []
    return lines


def _line(code: int, points: _Points, **more: bool) -> dict[str, Any]:
    return {"code": code, **more, "type": "Feature", "geometry": {"type": "LineString", "coordinates": points}}


def _periods(first: int, last: int, last_full_day: int | None) -> tuple[list[Period], list[bool]]:
    """Return the days, weeks or months of a span, those at its ends cut to it, and which of them are whole."""
    length = last - first + 1
    if length <= MOST_DAYS:
        starts = list(range(first, last + 2))
    elif length <= MOST_WEEKS * 7:
        monday = first - (first + 3) % 7
        starts = list(range(monday, last + 8, 7))
    else:
        months = range(_month_of(first), _month_of(last) + 2)
        starts = [_day_of(dt.date(month // 12, month % 12 + 1, 1)) for month in months]
    spans = [(start, following - 1) for start, following in pairwise(starts) if start <= last]
    over = min(last, max(last if last_full_day is None else last_full_day, first))
    cut = [(max(start, first), min(end, last)) for start, end in spans]
    return cut, [start >= first and end <= over for start, end in spans]


def _month_of(day: int) -> int:
    """Return the months since January of the year 0."""
    return date_of(day).year * 12 + date_of(day).month - 1


def _day_of(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days
