"""Draws what the Tableau workbook is meant to show: `python docs/draw_workbook.py tableau/calls.csv`.

A drawing, not a Tableau screenshot: the layout, titles and colours are read from `tableau/callviz.twb`, the numbers are
counted in the given `calls.csv`, and the charts are drawn here. It makes the pictures in `tableau/pictures/`.
"""

from __future__ import annotations

import datetime as dt
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

import duckdb

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.dashboard.counts import BIN_SECONDS, TAIL_SECONDS
from callviz_dagster.documents.outcomes import COMPLETED_LABELS
from callviz_dagster.tableau.model import DASHBOARD, HEADLINE, locate, read

WIDTH, HEIGHT = 1200, 760
INK, QUIET, LINE, FADED = "#222222", "#555555", "#d4d4d4", 0.15
NOTE = "Drawing from sample calls, not a Tableau screenshot"

Key = TypeVar("Key")
Cells = Mapping[tuple[object, str], int]
"""Calls by group and call type."""


@dataclass
class Canvas:
    """Collects the elements of an SVG file."""

    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, **more: object) -> None:
        """Write a text whose baseline starts at a point."""
        style = {"font-size": 11, "fill": INK} | {name.replace("_", "-"): value for name, value in more.items()}
        attributes = "".join(f' {name}="{value}"' for name, value in style.items())
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>')

    def box(self, x: float, y: float, w: float, h: float, fill: str, **more: object) -> None:
        """Draw a rectangle."""
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{max(h, 0):.1f}" fill="{fill}"{attributes}/>'
        )

    def boxes(self, boxes: Iterable[tuple[float, float, float, float]], fill: str, **more: object) -> None:
        """Draw rectangles of one colour, each by its left, top, width and height, as one path."""
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        path = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y, w, h in boxes if h > 0)
        self.parts.append(f'<path d="{path}" fill="{fill}"{attributes}/>')

    def line(self, points: Iterable[tuple[float, float]], colour: str, **more: object) -> None:
        """Draw a line through points."""
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"{attributes}/>')

    def svg(self) -> str:
        """Return the file's text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" role="img" aria-label="{NOTE}">'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"


@dataclass
class Calls:
    """What is counted in `calls.csv`, and the colours that the workbook gives to call types."""

    csv: Path
    colours: Mapping[str, str]
    lit: str | None = None
    """The call type that is highlighted."""

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Run a query whose table is `calls`."""
        table = "read_csv(?, header=true, types={'duration_sec': 'DOUBLE', 'call_date': 'DATE'})"
        return duckdb.execute(query.replace("calls", table, 1), [str(self.csv)]).fetchall()

    def cells(self, group: str, where: str = "true") -> dict[tuple[object, str], int]:
        """Count calls by a group and their type."""
        rows = self.rows(f"SELECT {group}, call_type, count(*) FROM calls WHERE {where} GROUP BY ALL ORDER BY ALL")
        return {(key, str(call_type)): int(str(number)) for key, call_type, number in rows}

    def paint(self, call_type: str) -> dict[str, object]:
        """Return the fill of a call type's marks."""
        return {
            "fill": self.colours.get(call_type, "#f0e442"),
            "opacity": 1 if self.lit in (None, call_type) else FADED,
        }


def types_in(cells: Cells) -> list[str]:
    """Return the call types, in the order of the legend: the most calls first."""
    return [*largest_first((call_type, number) for (_, call_type), number in cells.items())]


def totals(cells: Cells) -> dict[object, int]:
    """Return the calls of each group, largest first."""
    return largest_first((group, number) for (group, _), number in cells.items())


def largest_first(numbers: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    """Return the sum of the numbers of each key, largest first."""
    sums: dict[Key, int] = defaultdict(int)
    for key, number in numbers:
        sums[key] += number
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def across(canvas: Canvas, calls: Calls, cells: Cells, area: tuple[float, float, float, float], *, share: bool) -> None:
    """Draw bars to the right, one for each group, stacked by call type."""
    x, y, w, h = area
    sums = totals(cells)
    left, step = (150 if share else 74), (h - 22) / max(len(sums), 1)
    scale = (w - left - (8 if share else 44)) / max(sums.values())
    everything = sum(sums.values())
    for row, (group, total) in enumerate(sums.items()):
        top = y + row * step
        canvas.text(x, top + step * 0.62, str(group))
        if share:
            canvas.text(x + 100, top + step * 0.62, f"{total:,}", text_anchor="end")
            canvas.text(x + 144, top + step * 0.62, f"{total / everything:.1%}", text_anchor="end")
        right = x + left
        for call_type in types_in(cells):
            length = cells.get((group, call_type), 0) * scale
            canvas.box(right, top + step * 0.18, length, step * 0.64, **calls.paint(call_type))  # type: ignore[arg-type]
            right += length
        if not share:
            canvas.text(right + 4, top + step * 0.62, f"{total:,}", fill=QUIET)
    canvas.line([(x + left, y), (x + left, y + h - 20)], LINE)
    canvas.text(x + left, y + h - 4, "Number of calls", fill=QUIET)


def upwards(
    canvas: Canvas,
    calls: Calls,
    cells: Cells,
    area: tuple[float, float, float, float],
    groups: Iterable[object],
    label: Callable[[object], str],
) -> Callable[[int, float], tuple[float, float]]:
    """Draw bars upwards, one for each group in the given order, stacked by call type.

    Returns a function that says where a number stands in the middle of a column.
    """
    x, y, w, h = area
    groups = list(groups)
    sums = totals(cells)
    left, bottom = x + 46, y + h - 20
    step, scale = (w - 50) / len(groups), (h - 26) / max(sums.values())
    tops = [bottom] * len(groups)
    for call_type in types_in(cells):
        boxes = []
        for column, group in enumerate(groups):
            size = cells.get((group, call_type), 0) * scale
            tops[column] -= size
            boxes.append((left + (column + 0.12) * step, tops[column], step * 0.76, size))
        canvas.boxes(boxes, **calls.paint(call_type))  # type: ignore[arg-type]
    for column, group in enumerate(groups):
        if text := label(group):
            canvas.text(left + (column + 0.5) * step, bottom + 13, text, text_anchor="middle", font_size=9)
    axis(canvas, x, y, bottom, max(sums.values()), left, w, "Number of calls")
    return lambda column, number: (left + (column + 0.5) * step, bottom - number * scale)


def axis(
    canvas: Canvas, x: float, y: float, bottom: float, top_value: float, left: float, w: float, title: str
) -> None:
    """Draw the upright axis with its title."""
    canvas.line([(left, bottom), (x + w, bottom)], LINE)
    canvas.text(left - 4, bottom, "0", text_anchor="end", font_size=9, fill=QUIET)
    canvas.text(left - 4, y + 14, f"{top_value:,.0f}", text_anchor="end", font_size=9, fill=QUIET)
    middle = (y + bottom) / 2
    canvas.text(
        x + 10, middle, title, fill=QUIET, text_anchor="middle", transform=f"rotate(-90 {x + 10:.1f} {middle:.1f})"
    )


def daily(canvas: Canvas, calls: Calls, cells: Cells, area: tuple[float, float, float, float]) -> None:
    """Draw a bar for each day, stacked by call type; a day without calls has none; and the mean of seven days."""
    days = sorted(day for day in {key for key, _ in cells} if isinstance(day, dt.date))
    span = [days[0] + dt.timedelta(days=n) for n in range((days[-1] - days[0]).days + 1)]
    labelled = {span[0], span[len(span) // 2], span[-1]}
    place = upwards(canvas, calls, cells, area, span, lambda day: str(day) if day in labelled else "")
    sums = totals(cells)
    number = [sums.get(day, 0) for day in span]
    means = [(column, sum(number[column - 6 : column + 1]) / 7) for column in range(6, len(span)) if number[column]]
    canvas.line([place(column, mean) for column, mean in means], INK, stroke_width=1.5)


def headline(canvas: Canvas, calls: Calls, area: tuple[float, float, float, float]) -> None:
    """Write the line of figures."""
    x, y, w, h = area
    ((number, completed, median, days, without),) = calls.rows(
        f"SELECT count(*), avg(CASE WHEN status IN {COMPLETED_LABELS} THEN 1 ELSE 0 END), median(duration_sec), "
        "max(call_date) - min(call_date) + 1, count(*) - count(duration_sec) FROM calls"
    )
    figures = (
        (f"{number:,}", "calls"),
        (f"{completed:.1%}", "completed"),
        (f"{median:,.1f}", "s median duration"),
        (f"{days:,}", "days covered"),
        (f"{without:,}", "calls without duration"),
    )
    at = x + w * 0.12
    for figure, caption in figures:
        canvas.text(at, y + h * 0.65, figure, font_size=19, font_weight="bold")
        at += 10.6 * len(figure) + 6
        canvas.text(at, y + h * 0.65, caption, font_size=12, fill=QUIET)
        at += 6.2 * len(caption) + 26


def card(canvas: Canvas, title: str, value: str, area: tuple[float, float, float, float]) -> None:
    """Draw a filter or parameter card."""
    x, y, w, _ = area
    canvas.text(x, y + 12, title, font_weight="bold")
    canvas.box(x, y + 20, w, 22, "#ffffff", stroke=LINE)
    canvas.text(x + 6, y + 35, value)


def legend(canvas: Canvas, calls: Calls, area: tuple[float, float, float, float]) -> None:
    """Draw the colours of the call types."""
    x, y, _, _ = area
    canvas.text(x, y + 12, "Call Type", font_weight="bold")
    for row, call_type in enumerate(types_in(calls.cells("1"))):
        canvas.box(x, y + 20 + row * 15, 10, 10, **calls.paint(call_type))  # type: ignore[arg-type]
        canvas.text(x + 16, y + 29 + row * 15, call_type)


def draw(workbook: bytes, csv: Path, lit: str | None = None) -> str:
    """Return the dashboard as SVG.

    Args:
        workbook: the workbook's XML.
        csv: the calls.
        lit: a call type to highlight, as a click on one of its marks would.
    """
    root = ET.fromstring(workbook)
    colours = {item.findtext("bucket", "").strip('"'): item.get("to", "") for item in root.iter("map")}
    calls, canvas = Calls(csv, colours, lit), Canvas()
    titles = {sheet.name: sheet.title.partition(". ")[2] for sheet in read(workbook).sheets}
    canvas.box(0, 0, WIDTH, HEIGHT, "#ffffff")
    for zone in root.iterfind("dashboards/dashboard/zones//zone"):
        draw_zone(canvas, calls, root, zone, titles)
    canvas.text(WIDTH - 10, HEIGHT - 8, NOTE, text_anchor="end", font_style="italic", fill="#b00000")
    return canvas.svg()


def draw_zone(canvas: Canvas, calls: Calls, root: ET.Element, zone: ET.Element, titles: Mapping[str, str]) -> None:
    """Draw one zone of the dashboard: its title, a legend, a card, the line of figures or a sheet."""
    x, y, w, h = (int(zone.get(name, "0")) / 100_000 for name in "xywh")
    area = (8 + x * (WIDTH - 16), 8 + y * (HEIGHT - 40), w * (WIDTH - 16), h * (HEIGHT - 40))
    inner_card = (area[0] + 10, area[1] + 6, area[2] - 14, area[3])
    kind, name = zone.get("type-v2"), zone.get("name", "")
    if kind == "title":
        canvas.text(area[0] + 8, area[1] + 18, DASHBOARD, font_size=16, font_weight="bold")
        runs = root.findall("dashboards/dashboard/layout-options/title/formatted-text/run")
        canvas.text(area[0] + 8, area[1] + 36, runs[-1].text or "", fill=QUIET)
    elif kind == "color":
        legend(canvas, calls, inner_card)
    elif kind in ("filter", "paramctrl"):
        card(canvas, *card_texts(calls, root, zone), inner_card)
    elif kind is None and name == HEADLINE:
        headline(canvas, calls, area)
    elif kind is None and name:
        canvas.box(area[0] + 2, area[1] + 2, area[2] - 4, area[3] - 4, "none", stroke="#eeeeee")
        canvas.text(area[0] + 8, area[1] + 18, name, font_size=13, font_weight="bold")
        canvas.text(area[0] + 8, area[1] + 32, titles[name][: int(area[2] / 4.6)], font_size=9, fill=QUIET)
        chart(canvas, calls, name, (area[0] + 8, area[1] + 38, area[2] - 16, area[3] - 46))


def card_texts(calls: Calls, root: ET.Element, zone: ET.Element) -> tuple[str, str]:
    """Return the title of a filter or parameter card, and the value that it shows."""
    pill = (zone.get("param", "").rpartition(".")[2]).strip("[]")
    column = f"[{pill.split(':')[1]}]" if ":" in pill else f"[{pill}]"
    captions = {
        column.get("name"): column.get("caption", "") for column in root.iter("column") if column.get("caption")
    }
    if zone.get("type-v2") == "paramctrl":
        values = {column.get("name"): column.get("value", "") for column in root.iter("column") if column.get("value")}
        return captions.get(column, column), values.get(column, "")
    ((first, last),) = calls.rows("SELECT min(call_date), max(call_date) FROM calls")
    return captions.get(column, column), f"{first} – {last}" if "date" in column else "(All)"


def chart(canvas: Canvas, calls: Calls, name: str, area: tuple[float, float, float, float]) -> None:
    """Draw one of the five sheets."""
    if name == "Calls by Type":
        across(canvas, calls, calls.cells("call_type"), area, share=False)
    elif name == "Calls by Status":
        across(canvas, calls, calls.cells("status"), area, share=True)
    elif name == "Daily Calls":
        daily(canvas, calls, calls.cells("call_date"), area)
    elif name == "Calls by Weekday":
        upwards(canvas, calls, calls.cells("call_weekday"), area, WEEKDAYS, str)
    else:
        bins = f"CAST(floor(least(duration_sec, {TAIL_SECONDS}) / {BIN_SECONDS}) * {BIN_SECONDS} AS INTEGER)"
        cells = calls.cells(bins, "duration_sec IS NOT NULL")
        starts = range(0, TAIL_SECONDS + BIN_SECONDS, BIN_SECONDS)
        upwards(canvas, calls, cells, area, starts, lambda start: f"{start:,}" if int(str(start)) % 300 == 0 else "")


def main(csv: Path, folder: Path) -> None:
    """Draw the dashboard twice: as it opens, and after a click on a missed call."""
    folder.mkdir(parents=True, exist_ok=True)
    workbook = locate().read_bytes()
    (folder / "calls_overview.svg").write_text(draw(workbook, csv), encoding="utf-8")
    (folder / "calls_overview_highlighted.svg").write_text(draw(workbook, csv, "missed"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parents[1] / "tableau" / "pictures")
