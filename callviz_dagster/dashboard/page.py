"""The dashboard page: counts, charts, provenance, styles and scripts in one file that needs nothing else.

The page loads nothing, sends nothing and runs no script but its own: its content security policy forbids the rest,
however hostile a label from a document may be. What belongs elsewhere: counting (`dashboard/counts.py`), the charts
(`dashboard/charts.py`), and writing the file (`assets/call_dashboard.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from callviz_dagster.dashboard import charts
from callviz_dagster.dashboard.counts import Counts, Cube, coarser
from callviz_dagster.dashboard.fields import FieldCounts, by_month
from callviz_dagster.dashboard.payload import Totals, payload_bytes, payload_totals, to_payload
from callviz_dagster.dashboard.vega import Library, digest, library
from callviz_dagster.documents.display import display_content
from callviz_dagster.table.manifest import TableFooter, last_full_day

SCRIPTS = (
    *("words.js", "elements.js", "cells.js", "cube.js", "fields.js", "counts.js", "choice.js", "timeline.js"),
    *("daily.js", "missed.js", "charts.js", "figures.js", "tables.js", "export.js", "filters.js", "drawing.js"),
    "dashboard.js",
)
"""The page's own scripts, in the order in which they build on each other."""
MAX_COUNTS_BYTES = 4_300_000
"""Size of the counts in the page at which they are made coarser, so that the whole page stays below 5 MB."""


@dataclass(frozen=True)
class Context:
    """What a page says beside the counts."""

    uncovered: int = 0
    """Documents that no partition covers."""
    snapshot: str = ""
    """A sentence about the snapshot of the collection that the calls are of."""
    stale_after: dt.timedelta = dt.timedelta(days=7)
    """Age from which the page says that its data is old."""
    target_missed: float | None = None
    """Share of missed calls not to exceed."""
    missing_fields: tuple[str, ...] = ()
    """Fields that were asked for, and that the calls do not have."""


@dataclass(frozen=True)
class Page:
    """The finished page."""

    html: str
    counts: Counts
    """The counts as the page holds them."""
    content: str
    """Digest of the page, but for the snapshot that it names."""


def render(counts: Counts, footers: Sequence[TableFooter], context: Context | None = None) -> Page:
    """Return the page for these counts and what is known of the refreshes that they come from.

    Args:
        counts: the counts.
        footers: what is known of the refreshes.
        context: what else the page says.
    """
    context = context or Context()
    counts, payload = _small_enough(counts)
    texts = provenance(footers, counts.calls, uncovered=context.uncovered)
    texts |= {"snapshot": context.snapshot or "unknown", "missingFields": list(context.missing_fields)}
    content = {
        "counts": payload,
        "specs": _specs(counts, payload),
        "config": charts.CONFIG,
        "subtitles": charts.SUBTITLES,
        "frame": {
            "height": charts.HEIGHT,
            "missedHeight": charts.MISSED_HEIGHT,
            "mostPoints": charts.MOST_POINTS,
            "lastFullDay": last_full_day(footers),
            "targetMissed": context.target_missed,
        },
        "refreshedAt": _last_refresh(footers),
        "staleAfter": context.stale_after / dt.timedelta(milliseconds=1),
        "colours": charts.colours(counts.types, grouped=counts.grouped_types),
        "provenance": texts,
    }
    shown = display_content(content)
    charts_library = library() if counts.calls else Library.of("")
    script = "".join(map(_file, SCRIPTS))
    parts = {
        "policy": "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src {digest(script)} {charts_library.digest}",
        "style": _file("dashboard.css"),
        "licences": _file("licences.txt"),
        "data": embedded_json(shown),
        "library": charts_library.deflated,
        "script": script,
    }
    undated = shown | {"refreshedAt": None, "provenance": shown["provenance"] | {"refreshed": "", "snapshot": ""}}
    same_for_same_calls = _filled(parts | {"data": embedded_json(undated)})
    return Page(_filled(parts), counts, hashlib.sha256(same_for_same_calls.encode()).hexdigest())


def _filled(parts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("dashboard.html"))


def _specs(counts: Counts, payload: Mapping[str, Any]) -> dict[str, charts.Spec]:
    """Return the specifications of the page's charts in their order; of missed calls only where a label counts so."""
    missed = {charts.MISSED_SHARE: charts.missed_share()} if payload["missedTypes"] or payload["missedStatuses"] else {}
    specs = charts.specs(counts)
    last = charts.FIVE.index(charts.DAILY_CALLS) + 1
    return {name: specs[name] for name in charts.FIVE[:last]} | missed | specs


def _small_enough(counts: Counts) -> tuple[Counts, dict[str, Any]]:
    """Return counts made coarser until the page can hold them, and as the page holds them.

    Fields are counted by month first, the largest before the others, for they serve one table each.
    """
    encoded: dict[Cube | FieldCounts, dict[str, Any]] = {}
    payload = to_payload(counts, encoded)
    while payload_bytes(payload) > MAX_COUNTS_BYTES:
        daily = [field for field in counts.fields if not field.monthly]
        if daily:
            largest = max(daily, key=lambda field: field.keys.size)
            fields = (by_month(field) if field is largest else field for field in counts.fields)
            counts = replace(counts, fields=tuple(fields))
        elif len(counts.cubes) == 1:
            counts = coarser(counts)
        else:
            break
        payload = to_payload(counts, encoded)
    return counts, payload


def provenance(footers: Sequence[TableFooter], calls: int, *, uncovered: int = 0) -> dict[str, Any]:
    """Return where the numbers come from, as text for the page."""
    documents = sum(footer.documents for footer in footers) + uncovered
    rejected = sum(footer.rejected for footer in footers)
    reasons: Counter[str] = Counter()
    repairs: Counter[str] = Counter()
    for footer in footers:
        reasons.update(footer.rejected_reasons)
        repairs.update(footer.repairs)
    equation = f"{_plural(documents, 'document')}, {_plural(calls, 'call')} on this page, {rejected:,} rejected"
    equation += f", {uncovered:,} in no partition" if uncovered else ""
    complete = documents == calls + rejected + uncovered
    return {
        "refreshed": _refreshed(footers),
        "source": ", ".join(sorted({footer.source for footer in footers})) or "unknown",
        "fields": _fields_used(footers),
        "timezone": ", ".join(sorted({footer.timezone for footer in footers})) or "unknown",
        "documents": documents,
        "uncovered": uncovered,
        "rejected": rejected,
        "reasons": [[_reason(code), number] for code, number in reasons.most_common()],
        "repaired": sum(footer.repaired_rows for footer in footers),
        "repairs": [[repair, number] for repair, number in repairs.most_common()],
        "accounted": f"Every document is accounted for: {equation}."
        if complete
        else f"The numbers do not add up: {equation}.",
    }


def _fields_used(footers: Sequence[TableFooter]) -> str:
    """Say which field of the documents plays which role, as of the last refresh."""
    if not footers:
        return ""
    used = max(footers, key=lambda footer: footer.snapshot_time).fields_used
    return "; ".join(f"{role.replace('_', ' ')}: {name or 'no field'}" for role, name in used.items())


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


def _last_refresh(footers: Sequence[TableFooter]) -> float | None:
    """Return when the documents were read last, in milliseconds since 1970-01-01 UTC."""
    return max((dt.datetime.fromisoformat(footer.snapshot_time).timestamp() * 1000 for footer in footers), default=None)


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _reason(code: str) -> str:
    from callviz_dagster.table.tally import PROBLEMS

    return PROBLEMS.get(code, code.replace("_", " "))


def totals(html: str) -> list[Totals]:
    """Return what the counts in a page add up to, cube by cube, read from the page itself.

    Raises:
        ValueError: the page does not hold its counts.
    """
    _, _, rest = html.partition('<script type="application/json" id="data">')
    data, end, _ = rest.partition("</script>")
    cubes = payload_totals(json.loads(data)["counts"]) if end else []
    if not cubes:
        raise ValueError("it has no counts")
    return cubes


def embedded_json(content: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
