"""Labels stay text, and no other script runs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from playwright.sync_api import Browser

from callviz_dagster.dashboard import charts
from callviz_dagster_tests.dashboard_page.browser import Opening, Taking
from callviz_dagster_tests.helpers.calls import Call, query, table

DAY = dt.date(2026, 3, 2)


HOSTILE = (
    "<script>hacked = 1</script>",
    "</script><img src=x onerror='hacked = 1'>",
    '"><svg onload="hacked = 1">',
    "{{data}}",
    "<!--",
    "__proto__",
    "constructor",
    "javascript:hacked=1",
    "' or datum.hacked = 1",
    "a\nb\tc\u2028d",
    "\u202eright to left",
    "x" * 300,
)


def title_label(title: str) -> str:
    return title.rpartition(": ")[0]


def test_labels_stay_text(opened: Opening, screenshots: Taking) -> None:
    made_calls: list[Call] = [
        (kind, status, DAY + dt.timedelta(days=(at + number) % 9), (at + number) % 24, float(at * number))
        for at, kind in enumerate(HOSTILE)
        for number, status in enumerate(HOSTILE)
        for _ in range(at + number + 1)
    ]
    calls = table(made_calls)
    dashboard = opened(calls, labels=20)
    screenshots(dashboard.page, "page-hostile-labels.png")
    cut = [label if len(label) <= 120 else label[:120] + "…" for label in HOSTILE]
    named = dict(zip(cut, HOSTILE, strict=True))
    titles = dashboard.page.eval_on_selector_all("#types button", "all => all.map((one) => one.title)")
    assert sorted(map(title_label, titles)) == sorted(cut)
    _, *rows = dashboard.table(charts.CALLS_BY_TYPE)
    numbers = dict(query("select call_type, count(*) from calls group by all", calls))
    assert {named[row[0]]: int(row[1]) for row in rows} == numbers
    chosen = 0
    for label in HOSTILE[:8]:
        dashboard.changing(
            dashboard.page.locator("#types button").nth(list(map(title_label, titles)).index(label)).click
        )
        chosen += numbers[label]
        assert dashboard.headline()["Calls"][0] == f"{chosen:,}"
    link = dashboard.link()
    assert len(link["type"]) == 8
    dashboard.open(link)
    assert dashboard.link() == link
    assert dashboard.headline()["Calls"][0] == f"{chosen:,}"
    dashboard.changing(lambda: dashboard.page.keyboard.press("Escape"))
    dashboard.tables()
    x, y = dashboard.bar(charts.CALLS_BY_STATUS, 0)
    dashboard.page.mouse.move(x, y)
    assert dashboard.text("#tip").startswith(HOSTILE[-1][:20])
    assert dashboard.page.evaluate("typeof hacked") == "undefined"
    assert dashboard.page.locator("main img, main script, #filters img, #filters svg").count() == 0


def test_the_policy_forbids_other_scripts_and_requests(browser: Browser, written: Path) -> None:
    page = browser.new_page()
    page.goto(written.as_uri())
    page.wait_for_selector("body[data-shown]")
    tried = page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<img src='x.png' onerror='hacked = 1'>");
          setTimeout("window.hacked = 1", 0);
          let fetched = false;
          try { await fetch("http://127.0.0.1:9/"); fetched = true; } catch {}
          await new Promise((done) => setTimeout(done, 200));
          return [window.hacked === undefined, fetched];
        }"""
    )
    assert tried == [True, False]
    page.close()
