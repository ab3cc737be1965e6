"""What the Dagster UI shows of the counts, as Markdown: the headline figures, and pictures of the charts.

Pictures only decorate: where one cannot be drawn, a sentence stands in its place. What belongs elsewhere: what a chart
shows (`dashboard/charts.py`).
"""

from __future__ import annotations

import base64
import datetime as dt
import logging
import struct
import zlib
from collections.abc import Mapping, Sequence

from callviz_dagster.dashboard.charts import CONFIG, DAILY_CALLS, FIVE, Rows, Spec, colours, specs
from callviz_dagster.dashboard.counts import Counts, date_of
from callviz_dagster.dashboard.rows import plausible, plausible_span, rows
from callviz_dagster.dashboard.vega import VEGA_LITE
from callviz_dagster.documents.display import display_content

_log = logging.getLogger(__name__)
_INK = ("#ffffff", "#000000")
_WIDTH = 300
"""Of a chart, in pixels: with its axis about as wide as a cell of the Dagster UI's tables."""
_MOST_COLOURS = 16
"""The most that four bits distinguish."""
_GREYS = 3
"""Shades of a picture beside white, black and the colours of its call types: enough for letters to look smooth."""


def headline(counts: Counts) -> str:
    """Return the headline figures as Markdown, for the Dagster UI."""
    if not counts.calls:
        return "No calls."
    parts = [f"**{counts.calls:,}** call{'s' if counts.calls != 1 else ''}"]
    if counts.completed is not None:
        parts.append(f"**{counts.completed / counts.calls:.1%}** completed")
    if counts.median is not None:
        parts.append(f"**{counts.median:,.1f} s** median duration")
    first, last = plausible_span(counts)
    covered = last - first + 1
    parts.append(
        f"**{covered:,}** day{'s' if covered != 1 else ''} covered, {_day(date_of(first))} – {_day(date_of(last))}"
    )
    days, calls = counts.by_day.sums
    if outside := int(calls[(days < first) | (days > last)].sum()):
        parts.append(f"{outside:,} call{'s' if outside != 1 else ''} outside of these days")
    return " · ".join(parts)


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%B %Y}"


def daily_calls_picture(counts: Counts, last_full_day: int | None = None) -> str:
    """Return a small picture of Daily Calls as Markdown, for the Dagster UI.

    `last_full_day` is the last day that was over when the calls were read, in days since 1970-01-01.
    """
    return _picture(counts, (DAILY_CALLS,), last_full_day)


def five_pictures(counts: Counts, last_full_day: int | None = None) -> str:
    """Return one picture of all five charts as Markdown, for the Dagster UI; `last_full_day` as above."""
    return _picture(counts, FIVE, last_full_day)


def _picture(counts: Counts, names: Sequence[str], last_full_day: int | None) -> str:
    if not counts.calls:
        return "No calls to draw."
    try:
        png = _with_palette(
            _drawn(counts, names, last_full_day), [bytes.fromhex(c[1:]) for c in (*_INK, *colours(counts.types))]
        )
    except Exception as error:  # noqa: BLE001  # the library raises many kinds, and no picture may end a refresh
        _log.warning(f"The picture of {', '.join(names)} could not be drawn: {error}")
        return "The picture could not be drawn; the log says why."
    alternative = f"{', '.join(names)}: {headline(counts).replace('**', '')}"
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _drawn(counts: Counts, names: Sequence[str], last_full_day: int | None) -> bytes:
    """Draw charts below each other, as PNG."""
    import vl_convert

    legend = {"title": None, "orient": "top", "columns": 3, "labelExpr": "types[datum.value]", "labelLimit": 110}
    counts = plausible(counts)
    unfilled = specs(counts, legend=legend)
    charts = [
        _filled(unfilled[name], rows(counts, name, width=_WIDTH, last_full_day=last_full_day))
        | {"title": name, "width": _WIDTH}
        for name in names
    ]
    params = [param for chart in charts for param in chart.pop("params", [])]
    spec = {
        "vconcat": charts,
        "params": [{"name": "types", "value": counts.types}, *params],
        "config": CONFIG | {"background": "white"},
    }
    # A character that XML forbids would abort the whole process there, and no exception handler would see it.
    return vl_convert.vegalite_to_png(display_content(spec), vl_version=VEGA_LITE)


def _with_palette(png: bytes, kept: Sequence[bytes] = ()) -> bytes:
    """Return a picture in few colours, which makes it small in Dagster's event log and in the lists of its UI.

    Args:
        png: the picture, as vl-convert writes it.
        kept: colours (red, green, blue) that stay as they are where they occur; `_GREYS` others follow, the most
            frequent first.
    """
    import numpy as np

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    width, height = struct.unpack(">II", png[16:24])
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    lines = np.frombuffer(zlib.decompress(png[start + 4 : start + 4 + length]), np.uint8).reshape(height, -1)
    if not (lines[:, 0] == 1).all():
        return png  # not written as vl-convert writes: each value as the difference from the one to its left
    pixels = np.cumsum(lines[:, 1:].reshape(height, width, -1), axis=1, dtype=np.uint8).reshape(height * width, -1)
    red, green, blue = (pixels[:, channel].astype(np.int32) for channel in range(3))
    numbers = red << 16 | green << 8 | blue
    run_starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    run_lengths = np.diff(run_starts, append=numbers.size)
    values, positions = np.unique(numbers[run_starts], return_inverse=True)
    frequencies = np.bincount(positions, run_lengths)
    first = np.isin(values, [int.from_bytes(colour) for colour in kept])
    palette_order = np.lexsort([-frequencies, ~first])
    all_colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    palette = all_colours[palette_order[: min(_MOST_COLOURS, len(kept) + _GREYS)]]
    nearest = ((all_colours[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1).astype(np.uint8)
    indices = np.pad(np.repeat(nearest[positions], run_lengths).reshape(height, width), ((0, 0), (0, width % 2)))
    unfiltered = np.pad(indices[:, ::2] << 4 | indices[:, 1::2], ((0, 0), (1, 0)))
    return b"".join(
        [
            png[:8],
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)),
            chunk(b"PLTE", palette.astype(np.uint8).tobytes()),
            chunk(b"IDAT", zlib.compress(unfiltered.tobytes(), 9)),
            chunk(b"IEND", b""),
        ]
    )


def _filled(spec: Spec, values: Mapping[str, Rows]) -> Spec:
    """Return a specification with rows in the place of the names of its data sets."""
    filled = dict(spec)
    if "data" in spec:
        filled["data"] = {"values": values[spec["data"]["name"]]}
    if "layer" in spec:
        filled["layer"] = [_filled(layer, values) for layer in spec["layer"]]
    return filled
