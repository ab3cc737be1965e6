"""The dashboard page: counts, charts, provenance, styles and scripts in one file that needs nothing else.

The page loads nothing, sends nothing and runs no script but its own: its content security policy forbids the rest,
whatever a label from a document may say. What belongs elsewhere: counting (`dashboard/counts.py`), the charts
(`dashboard/charts.py`), and writing the file (`assets/call_dashboard.py`).
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from typing import Any
from zoneinfo import ZoneInfo

from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard.counts import Counts, Totals, coarser, packed, packed_bytes, unpacked_totals
from callviz_dagster.table.manifest import TableFooter

SCRIPTS = ("words.js", "counts.js", "charts.js", "dashboard.js")
"""The page's own scripts, in the order in which they build on each other."""
_EXPORT = "window.vegaEmbed = vegaEmbed;"
MAX_COUNTS_BYTES = 4_300_000
"""Size of the counts in the page at which they are made coarser, so that the whole page stays below 5 MB."""


@dataclass(frozen=True)
class Page:
    """The finished page."""

    html: str
    counts: Counts
    """The counts as the page holds them."""


@dataclass(frozen=True)
class Library:
    """Vega-Embed with Vega and Vega-Lite, as the page holds it."""

    deflated: str
    """The script, deflated, as base64."""
    digest: str
    """As a content security policy names a script."""

    def to_json(self) -> str:
        """Return it as JSON text, with what it was made from."""
        return json.dumps({"made from": _versions(), "digest": self.digest, "deflated": self.deflated})

    @classmethod
    def from_json(cls, text: str) -> Library | None:
        """Return what `to_json` described; None where it was made from other versions, or is damaged."""
        try:
            data = json.loads(text)
            script = zlib.decompress(base64.b64decode(data["deflated"]), -15).decode()
            usable = data["made from"] == _versions() and data["digest"] == _digest(script)
            return cls(data["deflated"], data["digest"]) if usable else None
        except (ValueError, KeyError, TypeError, zlib.error):
            return None


@cache
def bundled() -> Library:
    """Return the library from the package that draws the pictures too, which takes a second to make."""
    import vl_convert

    script = vl_convert.javascript_bundle(_EXPORT, vl_version=charts.VEGA_LITE)
    return Library(_deflated(script), _digest(script))


def _versions() -> list[str]:
    return [metadata.version("vl-convert-python"), charts.VEGA_LITE, _EXPORT]


def render(
    counts: Counts, footers: Sequence[TableFooter], library: Library | None = None, *, uncovered: int = 0
) -> Page:
    """Return the page for these counts and what is known of the refreshes that they come from.

    Args:
        counts: the counts.
        footers: what is known of the refreshes.
        library: what draws the charts; bundled where none is given. A page without calls holds none.
        uncovered: the number of documents that no partition covers.
    """
    data = packed(counts)
    while packed_bytes(data) > MAX_COUNTS_BYTES and len(counts.cubes) == 1:
        counts = coarser(counts)
        data = packed(counts)
    content = {
        "counts": data,
        "specs": charts.specs(counts),
        "config": charts.CONFIG,
        "subtitles": charts.SUBTITLES,
        "frame": {"height": charts.HEIGHT, "mostPoints": charts.MOST_POINTS},
        "colours": charts.colours(counts.types, grouped=counts.grouped_types),
        "provenance": provenance(footers, counts.calls, uncovered=uncovered),
    }
    library = (library or bundled()) if counts.calls else Library(_deflated(""), _digest(""))
    script = "".join(map(_file, SCRIPTS))
    parts = {
        "policy": "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {_digest(script)} {library.digest}",
        "style": _file("dashboard.css"),
        "licences": _file("licences.txt"),
        "data": embedded_json(content),
        "library": library.deflated,
        "script": script,
    }
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("dashboard.html")), counts)


def provenance(footers: Sequence[TableFooter], calls: int, *, uncovered: int = 0) -> dict[str, Any]:
    """Return where the numbers come from, in words for the page."""
    documents = sum(footer.documents for footer in footers) + uncovered
    rejected = sum(footer.rejected for footer in footers)
    reasons: Counter[str] = Counter()
    repairs: Counter[str] = Counter()
    for footer in footers:
        reasons.update(footer.rejected_reasons)
        repairs.update(footer.repairs)
    equation = f"{_many(documents, 'document')}, {_many(calls, 'call')} on this page, {rejected:,} rejected"
    equation += f", {uncovered:,} that no partition covers" if uncovered else ""
    complete = documents == calls + rejected + uncovered
    return {
        "refreshed": _refreshed(footers),
        "source": ", ".join(sorted({footer.source for footer in footers})) or "unknown",
        "timezone": ", ".join(sorted({footer.timezone for footer in footers})) or "unknown",
        "documents": documents,
        "uncovered": uncovered,
        "rejected": rejected,
        "reasons": [[_reason(code), number] for code, number in reasons.most_common()],
        "repaired": sum(footer.repaired_rows for footer in footers),
        "repairs": [[words, number] for words, number in repairs.most_common()],
        "accounted": f"Every document is accounted for: {equation}."
        if complete
        else f"Mind that the numbers do not add up: {equation}.",
    }


def _refreshed(footers: Sequence[TableFooter]) -> str:
    """Say when the documents were read, in the time zone of the calls."""
    if not footers:
        return ""
    times = sorted(dt.datetime.fromisoformat(footer.snapshot_time) for footer in footers)
    zone = ZoneInfo(footers[0].timezone)
    first, last = (
        f"{time.day} {time:%B %Y, %H:%M}" for time in (times[0].astimezone(zone), times[-1].astimezone(zone))
    )
    span = f"Refreshed {last}" if first == last else f"Refreshed between {first} and {last}"
    return f"{span}, time zone {footers[0].timezone}"


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _reason(code: str) -> str:
    from callviz_dagster.table.tally import PROBLEMS

    return PROBLEMS.get(code, code.replace("_", " "))


def totals(html: str) -> list[Totals]:
    """Return what the counts in a page add up to, cube by cube, read from the page itself.

    Raises:
        ValueError: the page does not hold its counts.
    """
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    cubes = unpacked_totals(json.loads(found[1])["counts"]) if found else []
    if not cubes:
        raise ValueError("it has no counts")
    return cubes


def embedded_json(content: Any) -> str:
    """Return JSON that cannot end the script element it stands in, nor begin a comment or another element."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _deflated(text: str) -> str:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(deflate.compress(text.encode()) + deflate.flush()).decode()


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
