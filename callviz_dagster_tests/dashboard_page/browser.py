"""The page in a browser, as a person uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from playwright.sync_api import ConsoleMessage, Page, Request

from callviz_dagster.dashboard import charts

PATIENCE = 120_000
"""Milliseconds to wait for the page, on a machine that has much else to do."""
LAPTOP, PHONE = (1280, 800), (390, 844)
ALL_TABLES = (*charts.FIVE, charts.CALLS_BY_HOUR)
_READ_TABLES = """async (charts) => {
  const tables = charts.map((chart) => document.querySelector(`figure[data-chart="${chart}"] details`));
  await Promise.all(tables.filter((details) => !details.open).map((details) => new Promise((shown) => {
    details.addEventListener("toggle", shown, { once: true });
    details.open = true;
  })));
  for (const details of tables) details.querySelector(".table > button")?.click();
  return tables.map((details) => {
    const table = details.querySelector("table");
    if (!table.checkVisibility()) throw new Error(`The table ${table.caption.textContent} cannot be seen`);
    return [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  });
}"""


class Dashboard:
    """The page in a browser, as a person uses it."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        self.requests.append(request.url.split("#")[0])

    def open(self, link: Mapping[str, Sequence[str]] | None = None) -> Dashboard:
        """Open the page from the disk, with choices in its link."""
        self.page.goto("about:blank")
        self.page.goto(self.path.as_uri() + (f"#{urlencode(link, doseq=True)}" if link else ""))
        self.page.wait_for_selector("body[data-shown]")
        return self

    def changing(self, act: Callable[[], object]) -> None:
        """Do something, and wait until the page shows another choice."""
        shown = self.page.evaluate("document.body.dataset.shown")
        act()
        self.page.wait_for_function("(was) => document.body.dataset.shown !== was", arg=shown)

    def link(self) -> dict[str, list[str]]:
        """Return the choices in the link."""
        choices: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.page.url.partition("#")[2]):
            choices.setdefault(name, []).append(value)
        return choices

    def figure(self, chart: str) -> str:
        return f'figure[data-chart="{chart}"]'

    def table(self, chart: str) -> list[list[str]]:
        """Open a chart's table and return its rows, header first, without thousands separators."""
        details = self.page.locator(f"{self.figure(chart)} details")
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        self.page.locator(f"{self.figure(chart)} table").wait_for()
        return self.tables([chart])[chart]

    def tables(self, names: Sequence[str] = ALL_TABLES) -> dict[str, list[list[str]]]:
        """Open the tables of charts, all at once, and return their rows by chart, in the form of `table`."""
        tables = self.page.evaluate(_READ_TABLES, list(names))
        return {chart: [list(map(_plain, row)) for row in rows] for chart, rows in zip(names, tables, strict=True)}

    def headline(self) -> dict[str, list[str]]:
        """Return the lines of each headline figure by its name."""
        figures = self.page.eval_on_selector_all(
            ".figure", "all => all.map(f => [...f.children].map(c => c.textContent))"
        )
        return {figure[0]: figure[1:] for figure in figures}

    def bar(self, chart: str, number: int) -> tuple[float, float]:
        """Return the middle of a bar, or of a cell of the heat map, on the screen."""
        self.page.locator(self.figure(chart)).scroll_into_view_if_needed()
        place = self.page.evaluate(
            """([figure, number]) => {
              const marks = [...document.querySelectorAll(`${figure} svg path`)].filter(
                (path) => path.__data__?.datum?.bar === number && path.__data__.mark.marktype === "rect");
              const covered = document.querySelector("#state").getBoundingClientRect().bottom;
              const top = marks.at(-1).getBoundingClientRect().top;
              if (top < covered) scrollBy(0, top - covered - 20);
              const box = marks.at(-1).getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }""",
            [self.figure(chart), number],
        )
        return place[0], place[1]

    def click_bar(self, chart: str, number: int, *, add: bool = False) -> None:
        x, y = self.bar(chart, number)
        if add:
            self.page.keyboard.down("Shift")
        self.changing(lambda: self.page.mouse.click(x, y))
        if add:
            self.page.keyboard.up("Shift")

    def text(self, selector: str) -> str:
        """Return an element's text."""
        return self.page.locator(selector).inner_text()

    def whole(self) -> Page:
        """Make the window as high as the page, for a picture of all of it."""
        width = (self.page.viewport_size or {"width": LAPTOP[0]})["width"]
        height = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size({"width": width, "height": height})
        return self.page


def _plain(cell: str) -> str:
    return cell.replace(",", "") if re.fullmatch(r"[\d,.]+", cell) else cell


Opening = Callable[..., Dashboard]
Taking = Callable[[Page | Callable[[], Page], str], None]
