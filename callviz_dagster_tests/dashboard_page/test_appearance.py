"""How the page looks: layout, contrast, text alternatives, print."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import LAPTOP, PHONE, Opening
from callviz_dagster_tests.helpers.calls import query

LOOKS = [
    (LAPTOP, False),
    (PHONE, True),
    pytest.param(LAPTOP, True, marks=pytest.mark.long),
    pytest.param(PHONE, False, marks=pytest.mark.long),
]


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_nothing_overlaps_or_sticks_out(size: tuple[int, int], dark: bool, opened: Opening, written: Path) -> None:
    dashboard = opened(written, size=size, dark=dark, link={"from": ["2026-02-01"], "type": ["incoming", "missed"]})
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    overlaps = dashboard.page.evaluate(
        """() => {
          const crossing = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
          const found = [];
          const compare = (name, elements) => {
            const boxes = elements.map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
              .filter(([, box]) => box.width && box.height);
            boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
              if (crossing(a, b)) found.push(`${name}: ${one} | ${other}`);
            }));
          };
          compare("blocks", [...document.querySelectorAll(
            "header, .filter, .figure, #comparison, figure, #provenance")]);
          for (const figure of document.querySelectorAll("figure")) {
            compare(figure.dataset.chart, [...figure.querySelectorAll("svg text")].filter(
              (text) => Number(getComputedStyle(text).opacity) > 0));
            compare(figure.dataset.chart, [...figure.children]);
            const frame = figure.getBoundingClientRect();
            for (const text of figure.querySelectorAll("svg text")) {
              const box = text.getBoundingClientRect();
              const out = box.right > frame.right + 1 || box.left < frame.left - 1;
              if (box.width && out) found.push(`out: ${text.textContent}`);
            }
          }
          return found;
        }"""
    )
    assert overlaps == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_background(dark: bool, opened: Opening, written: Path) -> None:
    dashboard = opened(written, dark=dark, link={"type": ["incoming"]})
    dashboard.table(charts.CALLS_BY_TYPE)
    colours = dashboard.page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
            && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
          .map((one) => {
            let behind = one;
            const clear = "rgba(0, 0, 0, 0)";
            while (behind && getComputedStyle(behind).backgroundColor === clear) behind = behind.parentElement;
            const style = getComputedStyle(one);
            return [one.textContent.trim().slice(0, 30), one.closest("svg") ? style.fill : style.color,
              getComputedStyle(behind ?? document.documentElement).backgroundColor];
          })"""
    )

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert len(colours) > 80
    for text, ink, paper in colours:
        lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, text


def test_every_chart_has_a_text_alternative_that_follows_the_choices(
    opened: Opening, written: Path, calls: pa.Table
) -> None:
    dashboard = opened(written, link={"type": ["missed"]})
    for chart in (*charts.FIVE, charts.MISSED_SHARE, charts.CALLS_BY_HOUR):
        assert len(dashboard.page.get_by_role("img", name=chart).get_attribute("aria-label") or "") < 250
    label = dashboard.page.get_by_role("img", name=charts.CALLS_BY_STATUS).get_attribute("aria-label") or ""
    ((number,),) = query("select count(*) from calls where call_type = 'missed' and status = 'completed'", calls)
    assert f"completed {number:,}, " in label


@pytest.mark.parametrize(
    "width", [1280, pytest.param(1024, marks=pytest.mark.long), pytest.param(390, marks=pytest.mark.long)]
)
def test_nothing_moves_under_the_pointer(width: int, opened: Opening, by_field: Path) -> None:
    dashboard = opened(by_field, size=(width, 800))
    places = "() => [...document.querySelectorAll('figure')].map((one) => one.getBoundingClientRect().y + scrollY)"
    before = dashboard.page.evaluate(places)

    def moved() -> list[float]:
        now = dashboard.page.evaluate(places)
        return [round(y - was) for y, was in zip(now, before, strict=True) if abs(y - was) > 1]

    for _ in range(2):  # the second click on the same place lets the bar go
        dashboard.click_bar(charts.CALLS_BY_STATUS, 1)
        assert moved() == []
    assert dashboard.link() == {}
    dashboard.click_bar(charts.CALLS_BY_HOUR, 13)
    assert moved() == []
    for button in (
        dashboard.page.get_by_role("button", name="Last 30 days"),
        dashboard.page.locator("#types").get_by_role("button", name="missed"),
        dashboard.page.locator('[data-field="queue"]').get_by_role("button", name="sales"),
    ):
        dashboard.changing(button.click)
        assert moved() == []
    for chart in (charts.CALLS_BY_TYPE, charts.CALLS_BY_WEEKDAY, charts.DURATION_HISTOGRAM):
        dashboard.click_bar(chart, 1)
        assert moved() == []


def test_the_legend_stays_in_view_and_is_printed(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    assert dashboard.page.locator("#legend bdi").all_inner_texts() == ["incoming", "outgoing", "missed", "internal"]
    dashboard.page.locator("#provenance").scroll_into_view_if_needed()
    dashboard.page.mouse.wheel(0, 5000)
    box = dashboard.page.locator("#legend").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < LAPTOP[1] / 2
    dashboard.page.emulate_media(media="print")
    assert dashboard.page.locator("#legend").is_visible()
    assert dashboard.page.locator("#shown").is_visible()
    assert dashboard.page.locator("#filters").is_hidden()
    background = dashboard.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"


def test_charts_are_drawn_for_paper_when_the_page_is_printed(opened: Opening, by_field: Path) -> None:
    dashboard = opened(by_field)
    widths = """() => [...document.querySelectorAll("figure[data-chart] .drawing svg")]
      .map((one) => Number(one.getAttribute("width")))"""
    before = dashboard.page.evaluate(widths)
    dashboard.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    paper = dashboard.page.evaluate(widths)
    assert len(paper) == 7
    assert all(width < 700 for width in paper)
    assert max(before) > 1000
    dashboard.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert dashboard.page.evaluate(widths) == [pytest.approx(width, abs=1) for width in before]
    sheets = re.findall(rb"/Type\s*/Page\b", dashboard.page.pdf(format="A4"))
    assert len(sheets) == 3, "two of charts, one of both tables"


def test_a_window_that_changes_its_width_is_filled_again(opened: Opening, written: Path) -> None:
    dashboard = opened(written)
    dashboard.page.set_viewport_size({"width": 700, "height": 800})
    dashboard.page.wait_for_function(
        """() => [...document.querySelectorAll("figure")].every((figure) =>
          figure.querySelector("svg").getBoundingClientRect().right <= figure.getBoundingClientRect().right)"""
    )
    line = dashboard.page.evaluate(
        """() => Math.max(...[...document.querySelectorAll('figure[data-chart="Daily Calls"] svg path')]
          .filter((path) => path.__data__?.datum?.geometry).map((path) => path.getBoundingClientRect().right))"""
    )
    assert 600 < line < 700
