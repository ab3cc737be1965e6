"""The five charts, once: what each shows, and in which colours.

A chart is a Vega-Lite specification without data. What belongs elsewhere: the rows that it draws (`dashboard/rows.py`,
and in the browser the page's scripts), counting (`dashboard/counts.py`), pictures (`dashboard/pictures.py`), and the
page (`dashboard/page.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard.counts import BIN_SECONDS, TAIL_SECONDS, Counts

if TYPE_CHECKING:
    import numpy as np

    Integers = np.ndarray[Any, np.dtype[np.int64]]

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

CALLS_BY_TYPE = "Calls by Type"
CALLS_BY_STATUS = "Calls by Status"
DAILY_CALLS = "Daily Calls"
CALLS_BY_WEEKDAY = "Calls by Weekday"
DURATION_HISTOGRAM = "Duration Histogram"
CALLS_BY_HOUR = "Calls by Hour and Weekday"
MISSED_SHARE = "Share of Missed Calls"
FIVE = (CALLS_BY_TYPE, CALLS_BY_STATUS, DAILY_CALLS, CALLS_BY_WEEKDAY, DURATION_HISTOGRAM)

SUBTITLES = {
    CALLS_BY_TYPE: "Number of calls of each type",
    CALLS_BY_STATUS: "Number and share of all calls, coloured by type",
    DAILY_CALLS: "One line for each type; a day without calls is drawn as 0",
    CALLS_BY_WEEKDAY: "Number of calls, coloured by type",
    DURATION_HISTOGRAM: f"Bars of {BIN_SECONDS} s, the last for all longer calls",
    CALLS_BY_HOUR: "Number of calls in each hour of the week",
    MISSED_SHARE: "Missed calls as a share of all calls",
}

COLOURS = {
    "audio": "#56b4e9",
    "callback": "#cc79a7",
    "inbound": "#0072b2",
    "incoming": "#0072b2",
    "internal": "#009e73",
    "missed": "#d55e00",
    "outbound": "#e69f00",
    "outgoing": "#e69f00",
    "rejected": "#000000",
    "unknown": "#5f5f5f",
    "video": "#009e73",
    "voice": "#56b4e9",
    "voicemail": "#cc79a7",
}
"""Colours of common call types, as in the workbook: the palette by Okabe and Ito, made for all kinds of vision."""
MORE_COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442"),
    *("#999933", "#882255", "#44aa99", "#ddcc77", "#aa4499", "#88ccee", "#117733"),
)
"""Colours of all other types: the same palette first, then that by Paul Tol."""
GREY = COLOURS["unknown"]

CONFIG: Spec = {
    "font": "sans-serif",
    "aria": False,
    "view": {"stroke": None},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8},
    "text": {"fontSize": 12},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "title": {"fontSize": 14, "anchor": "start", "offset": 10},
    "mark": {"invalid": None},
}
"""How all charts look; the page adds its own font and, by its style sheet, its colours of text and lines."""

MOST_POINTS = 31
"""Up to this many days, Daily Calls marks each."""
HEIGHT = 190
MISSED_HEIGHT = 110


def colours(types: Sequence[str], *, grouped: bool = False) -> list[str]:
    """Return a colour for each call type; a type has the same one however many calls it has."""
    chosen: dict[str, str] = {types[-1]: GREY} if grouped else {}
    for label in sorted(types):
        if label in COLOURS and COLOURS[label] not in chosen.values():
            chosen.setdefault(label, COLOURS[label])
    free = [colour for colour in MORE_COLOURS if colour not in chosen.values()] or list(MORE_COLOURS)
    for position, label in enumerate(sorted(set(types) - chosen.keys())):
        chosen[label] = free[position % len(free)]
    return [chosen[label] for label in types]


def specs(counts: Counts, *, legend: Spec | None = None) -> dict[str, Spec]:
    """Return the Vega-Lite specification of each chart, without data.

    Rows go into the data set `rows`; one row for a whole bar into `bars`; the chosen span of days into `chosen`.
    Call types are written as their positions in `Counts.types`, which only a legend turns into words.
    """
    colour = {
        "field": "code",
        "type": "nominal",
        "scale": {
            "domain": list(range(len(counts.types))),
            "range": colours(counts.types, grouped=counts.grouped_types),
        },
        "legend": legend,
    }
    return {
        CALLS_BY_TYPE: _bars(counts.types, "Call type", colour),
        CALLS_BY_STATUS: _bars(counts.statuses, "Status", colour),
        DAILY_CALLS: _daily(colour),
        CALLS_BY_WEEKDAY: _weekdays(colour),
        DURATION_HISTOGRAM: _durations(colour),
        CALLS_BY_HOUR: _hours(),
    }


def missed_share() -> Spec:
    """Return the specification of the share of missed calls over time, drawn as Daily Calls is; `target` is a line."""
    x, y = _daily_axes("share", {"title": "Missed", "format": ".0%", "tickCount": 3})
    return {
        "height": MISSED_HEIGHT,
        "layer": [
            {"data": {"name": "bounds"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"x": x, "y": y}},
            _shapes({"value": COLOURS["missed"]}),
            {
                "data": {"name": "target"},
                "mark": {"type": "rule", "color": "#5f5f5f", "strokeDash": [6, 4], "strokeWidth": 1.5},
                "encoding": {"y": {"field": "share", "type": "quantitative"}},
            },
        ],
    }


_CALLS_AXIS: Spec = {
    "title": "Calls",
    "tickCount": 4,
    "tickMinStep": 1,
    "labelExpr": "datum.value % 1 ? '' : format(datum.value, ',d')",
    "labelOverlap": True,
    "labelSeparation": 10,
}
_KEY_OF_BAR: Spec = {"field": "bar"}
_KEY_OF_PART: Spec = {"field": "part"}
"""A mark that stays is moved, which is faster than to remove it and to draw another one."""
_FADED: Spec = {"condition": {"test": "datum.chosen", "value": 1}, "value": 0.25}


_SHORT_LABEL = "length(datum.label) > 20 ? slice(datum.label, 0, 9) + '…' + slice(datum.label, -9) : datum.label"
"""Long labels without their middle, because they often differ at their ends."""


def _bars(labels: Sequence[str], title: str, colour: Spec) -> Spec:
    """Horizontal bars, in the order of `labels`, stacked by call type, with their number and share written beside."""
    # The domain is given, and room for the text is kept free to the right of the longest bar.
    y = {
        "field": "label",
        "type": "nominal",
        "scale": {"domain": list(labels), "paddingInner": 0.2},
        "axis": {"title": title, "labelExpr": _SHORT_LABEL, "labelLimit": 190, "domain": False, "ticks": False},
    }
    x = {
        "field": "start",
        "type": "quantitative",
        "scale": {"range": [0, {"expr": "max(width - 110, 40)"}], "nice": False},
        "axis": _CALLS_AXIS,
    }
    return {
        "data": {"name": "rows"},
        "height": 26 * max(len(labels), 1),
        "encoding": {"y": y},
        "layer": [
            _target("x"),
            {
                "mark": {"type": "bar", "cursor": "pointer"},
                "encoding": {
                    "key": _KEY_OF_PART,
                    "x": x,
                    "x2": {"field": "end"},
                    "color": colour,
                    "opacity": _FADED,
                },
            },
            {
                "data": {"name": "bars"},
                "mark": {"type": "text", "align": "left", "dx": 5, "cursor": "pointer"},
                "encoding": {
                    "key": _KEY_OF_BAR,
                    "x": {"field": "end", "type": "quantitative"},
                    "text": {"field": "text"},
                },
            },
        ],
    }


def _target(across: str) -> Spec:
    """An invisible mark behind each whole bar, so that a short one can be hit too."""
    return {
        "data": {"name": "bars"},
        "mark": {"type": "rect", "fill": "transparent", "cursor": "pointer"},
        "encoding": {
            "key": _KEY_OF_BAR,
            across: {"value": 0},
            f"{across}2": {"value": "width" if across == "x" else "height"},
        },
    }


_DAY_FORMAT = {
    **dict.fromkeys(("year", "quarter", "month"), "%b %Y"),
    **dict.fromkeys(("week", "date", "day"), "%-d %b"),
    **dict.fromkeys(("hours", "minutes", "seconds", "milliseconds"), " "),
}
"""How a tick is labelled, by the unit at whose start it stands."""


def _daily(colour: Spec) -> Spec:
    """A line per call type over all days; a day without calls is a point at 0.

    The lines come as shapes in pixels, for drawing them point by point takes longer than a click may.
    The data set `bounds` holds the corners of what is drawn, which the axes follow; `points` marks single days where
    there are few.
    """
    x, y = _daily_axes("calls", _CALLS_AXIS)
    place = {"x": {"field": "day", "type": "temporal"}, "y": {"field": "calls", "type": "quantitative"}}
    return {
        "height": HEIGHT,
        "layer": [
            {"data": {"name": "bounds"}, "mark": {"type": "point", "opacity": 0}, "encoding": {"x": x, "y": y}},
            {
                "data": {"name": "chosen"},
                "mark": {"type": "rect", "color": "#888888", "opacity": 0.2},
                "encoding": {"x": {"field": "from", "type": "temporal"}, "x2": {"field": "to"}},
            },
            _shapes(colour),
            {
                "data": {"name": "points"},
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 40},
                "encoding": place | {"color": colour},
            },
        ],
    }


def _daily_axes(field: str, y_axis: Spec) -> tuple[Spec, Spec]:
    """Return the axis of days and an upright one, which follow the corners in `bounds`."""
    axis: Spec = {"title": None, "labelFlush": True, "labelOverlap": True, "labelSeparation": 12, "grid": False}
    axis |= {"tickCount": 6, "tickMinStep": 86_400_000, "format": _DAY_FORMAT}
    x = {"field": "day", "type": "temporal", "scale": {"type": "utc", "nice": False}, "axis": axis}
    return x, {"field": field, "type": "quantitative", "scale": {"nice": False}, "axis": y_axis}


def _shapes(colour: Spec) -> Spec:
    """Lines that come as shapes in pixels: means strong, days faint where there is a mean, open periods dashed."""
    return {
        "data": {"name": "rows"},
        "mark": {"type": "geoshape", "filled": False, "strokeJoin": "round"},
        "projection": {"type": "identity", "scale": 1, "translate": [0, 0]},
        "encoding": {
            "color": colour,
            "strokeWidth": {"condition": {"test": "datum.mean", "value": 2.4}, "value": 1.4},
            "strokeOpacity": {"condition": {"test": "datum.faint", "value": 0.35}, "value": 1},
            "strokeDash": {"condition": {"test": "datum.open", "value": [4, 3]}, "value": [1, 0]},
        },
    }


def _weekdays(colour: Spec) -> Spec:
    """Upright bars from Monday to Sunday, stacked by call type."""
    x = {
        "field": "label",
        "type": "nominal",
        "scale": {"domain": list(WEEKDAYS), "paddingInner": 0.2},
        "axis": {"title": "Weekday", "labelExpr": "slice(datum.value, 0, 3)", "labelAngle": 0, "ticks": False},
    }
    return _upright(x, {}, colour, {"data": {"name": "bars"}})


def _durations(colour: Spec) -> Spec:
    """A histogram in bins of equal width; the last bar holds all longer calls.

    Its parameters, in minutes: the `width` of a bar is in its rows; `tail` is where the last one starts, `end` where it
    ends, and `tick` the distance between labels.
    """
    width, tail = BIN_SECONDS / 60, TAIL_SECONDS / 60
    x = {
        "field": "from",
        "type": "quantitative",
        "scale": {"domain": [0, {"expr": "end"}], "nice": False},
        "axis": {
            "title": "Minutes",
            "values": {"expr": "sequence(0, tail + tick / 2, tick)"},
            "labelExpr": "abs(datum.value - tail) < tick / 2 ? format(tail, '~r') + '+' : format(datum.value, '~r')",
            "grid": False,
        },
    }
    parameters = {"tail": tail, "end": tail + width, "tick": 5}
    upright = _upright(x, {"x2": {"field": "to"}}, colour, {"data": {"name": "bars"}})
    return upright | {"params": [{"name": name, "value": value} for name, value in parameters.items()]}


def _upright(x: Spec, x2: Spec, colour: Spec, bars: Spec) -> Spec:
    y = {"field": "start", "type": "quantitative", "scale": {"nice": True}, "axis": _CALLS_AXIS}
    return {
        "data": {"name": "rows"},
        "height": HEIGHT,
        "encoding": {"x": x, **x2},
        "layer": [
            _target("y") | bars,
            {
                "mark": {"type": "rect" if x2 else "bar", "cursor": "pointer"},
                "encoding": {
                    "key": _KEY_OF_PART,
                    "y": y,
                    "y2": {"field": "end"},
                    "color": colour,
                    "opacity": _FADED,
                },
            },
        ],
    }


def _hours() -> Spec:
    """A heat map of hours and weekdays."""
    return {
        "data": {"name": "rows"},
        "height": 22 * 7,
        "mark": {"type": "rect", "cursor": "pointer", "color": "#0072b2"},
        "encoding": {
            "key": _KEY_OF_BAR,
            "x": {
                "field": "hour",
                "type": "ordinal",
                "scale": {"domain": list(range(24)), "paddingInner": 0.06},
                "axis": {"title": "Hour of the day", "labelAngle": 0, "labelOverlap": True, "ticks": False},
            },
            "y": {
                "field": "label",
                "type": "nominal",
                "scale": {"domain": list(WEEKDAYS), "paddingInner": 0.06},
                "axis": {"title": None, "labelExpr": "slice(datum.value, 0, 3)", "domain": False, "ticks": False},
            },
            # In few steps that the rows bring with them, so that one very busy hour does not wash out all others.
            "fillOpacity": {"field": "strength", "type": "quantitative", "scale": None, "legend": None},
            "opacity": _FADED,
        },
    }
