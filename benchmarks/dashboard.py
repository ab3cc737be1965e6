"""Size of the page of ten million calls over five years, and the time from a click to the page that answers it.

`python -m benchmarks.dashboard` makes the calls, counts them by type, status, hour, duration, day and three further
fields, opens the page in Chromium and clicks filters, bars, cells and values of fields, first with all calls and then
with those of a year chosen. Needs the extra `dev` and Chromium.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from callviz_dagster.dashboard import page
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import count_calls
from callviz_dagster.table.manifest import TableFooter

ROWS = 500_000
"""Calls that are made at once."""
DAYS = 1826
FIELDS = {"agent": 40, "queue": 12, "line": 30}
"""Further fields, and how many values each has."""
_CLICK_EACH = """async () => {
  const bars = (chart) => {
    const marks = [...document.querySelectorAll(`figure[data-chart="${chart}"] svg path`)];
    const found = new Map(marks.map((mark) => [mark.__data__?.datum?.bar, mark]));
    found.delete(undefined);
    return [...found.values()];
  };
  const buttons = (selector) => [...document.querySelectorAll(selector)].filter((one) => !one.hidden);
  const kinds = {
    "dates": () => buttons("#presets button"),
    "call type": () => buttons("#types button"),
    "status": () => buttons("#statuses button"),
    "weekday": () => bars("Calls by Weekday"),
    "hour": () => bars("Calls by Hour and Weekday").filter((_, at) => at % 12 === 0),
    "duration": () => bars("Duration Histogram").filter((_, at) => at % 3 === 0),
    "field": () => buttons("#fields button.value").filter((_, at) => at % 6 === 0),
  };
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = done;
    port2.postMessage(null);
  }));
  const shownNow = () => new Promise((done) => {
    const observer = new MutationObserver(() => { observer.disconnect(); done(); });
    observer.observe(document.body, { attributeFilter: ["data-shown"] });
  });
  const inView = () => [...document.querySelectorAll("figure, #headline, #state")].filter((one) => {
    const { top, bottom } = one.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  const answer = async (mark) => {
    mark.scrollIntoView({ block: "center" });
    for (let frame = 0; frame < 2; frame++) await painted();
    const shown = shownNow(), start = performance.now();
    mark.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    await painted();
    const seen = performance.now() - start, parts = inView().map((one) => [one, one.innerHTML]);
    await shown;
    await painted();
    const all = performance.now() - start;
    if (parts.some(([one, html]) => one.innerHTML !== html)) throw new Error("what was in view changed later");
    return [seen, all];
  };
  const clear = document.getElementById("clear");
  const milliseconds = [];
  for (const before of ["all calls", "last 365 days"]) {
    for (const [kind, marks] of Object.entries(kinds)) {
      for (let at = 0; at < marks().length; at++) {
        if (!clear.hidden) await answer(clear);
        if (before !== "all calls" && kind !== "dates") await answer(buttons("#presets button").at(-1));
        const mark = marks()[at];
        if (mark) milliseconds.push([`${kind}, ${before}`, ...await answer(mark)]);
      }
    }
  }
  return milliseconds;
}"""


def some_calls(part: int) -> pa.Table:
    """Return calls of five years, eight types and twelve statuses; other ones for each part."""
    days = np.arange(DAYS)
    weekly = np.array([1.1, 1.05, 1, 1, 0.95, 0.3, 0.15])[(days + 3) % 7]

    def chosen(number: int, weights: Any) -> Any:
        chance = np.random.default_rng([part, number]).random(ROWS)
        return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], chance).astype("int32")

    def labels(number: int, name: str, weights: Any) -> pa.DictionaryArray:
        names = [f"{name} {at:02d}" for at in range(weights.size)]
        return pa.DictionaryArray.from_arrays(chosen(number, weights), names)

    status = chosen(1, 0.65 ** np.arange(12))
    seconds = np.floor(np.random.default_rng([part, 9]).lognormal(5, 1, ROWS))
    statuses = ["completed", "missed", *(f"status {number}" for number in range(10))]
    return pa.table(
        {
            "call_type": labels(0, "type", 0.6 ** np.arange(8)),
            "status": pa.DictionaryArray.from_arrays(status, statuses),
            "call_date": pa.array(chosen(2, weekly * (1 + 0.2 * np.sin(days / 58))) + 19_000).cast(pa.date32()),
            "call_hour": pa.array(chosen(3, np.exp(-(((np.arange(24) - 13) / 4) ** 2)) + 0.01).astype("int64")),
            "duration_sec": pa.array(seconds, mask=status % 2 == 1),
            **{
                name: labels(10 + at, name, np.exp(-3 * np.arange(values) / values))
                for at, (name, values) in enumerate(FIELDS.items())
            },
        }
    )


def page_of(parts: int) -> str:
    """Count the calls of some parts and return their page."""

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        return (some_calls(part).select(list(columns)) for part in range(parts))

    refreshed = dt.datetime.fromordinal(dt.date(1970, 1, 1).toordinal() + 19_000 + DAYS)
    footer = TableFooter("benchmark", f"{refreshed.isoformat()}+00:00", "UTC", parts * ROWS, parts * ROWS)
    return page.render(count_calls(read, CountOptions(fields=tuple(FIELDS))), [footer]).html


def clicks(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds by kind of click: until the parts of the page in view are painted, and until all parts are.

    A mark is scrolled to before it is clicked.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        window = browser.new_page(viewport={"width": 1280, "height": 800})
        window.goto(path.as_uri())
        window.wait_for_selector("body[data-shown]", timeout=120_000)
        by_kind: dict[str, list[tuple[float, float]]] = {}
        for kind, in_view, everywhere in window.evaluate(_CLICK_EACH):
            by_kind.setdefault(kind, []).append((in_view, everywhere))
        browser.close()
    return by_kind


def main() -> None:
    """Print the size of the page and the time of its clicks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=20, help=f"parts of {ROWS:,} calls")
    parts = parser.parse_args().parts
    started = time.monotonic()
    html = page_of(parts)
    sys.stdout.write(f"{parts * ROWS:,} calls, {time.monotonic() - started:.1f} s, {len(html.encode()):,} bytes\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(html, encoding="utf-8")
        by_kind = clicks(path)
    for kind, times in sorted(by_kind.items(), key=lambda one: statistics.median(seen for seen, _ in one[1])):
        sys.stdout.write(f"{kind}: {_described(times)}\n")
    sys.stdout.write(f"all kinds: {_described([one for times in by_kind.values() for one in times])}\n")


def _described(times: Sequence[tuple[float, float]]) -> str:
    """Return the median of some clicks, and the time within which 95 % of them are answered."""
    figures = []
    for milliseconds in zip(*times, strict=True):
        last = sorted(milliseconds)[int(0.95 * len(milliseconds))]
        figures.append(f"median {statistics.median(milliseconds):.0f} ms, 95 % within {last:.0f} ms")
    return f"{len(times)} clicks, in view {figures[0]}; everywhere {figures[1]}"


if __name__ == "__main__":
    main()
