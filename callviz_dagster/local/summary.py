"""The summary of a refresh, for the person who started it.

What belongs elsewhere: refreshing (`cli/refresh.py`, `demo/commands.py`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from callviz_dagster.settings import Settings
from callviz_dagster.storage.published import CALLS_CSV, left_out
from callviz_dagster.storage.refreshing import place, read_published

_PUBLISHED = ("calls.csv", "callviz.twbx", "call_dashboard.html", "calls.hyper")
_ADVICE = {
    "callviz.twbx": "open it in Tableau Desktop or the free Tableau Public",
    "call_dashboard.html": "open it in a browser: the same charts, without Tableau",
}


def summary(settings: Settings, began: float, seconds: float, more: tuple[str, str]) -> str:
    """Say what the refresh that began at `began` (seconds since 1970) made of which documents, and what to do next.

    The last thing to do is `more`, a command and what it gives.
    """
    files = _published_files(settings, began)
    places = {path: _place(path) for path in files}
    width = max((len(shown) for shown in places.values()), default=0)
    sizes = [f"  {places[path]:<{width}}  {_size(path.stat().st_size):>8}" for path in files]
    steps = [(places[path], advice) for path in files if (advice := _ADVICE.get(path.name))]
    steps.append(more)
    width = max(len(step) for step, _ in steps)
    advised = [f"  {step:<{width}}  {advice}" for step, advice in steps]
    done = f"Done in {seconds:.1f} seconds. Next:"
    held = read_published(settings.publish_dir).held(CALLS_CSV)
    limit = ["", left_out(held)] if held.calls_since else []
    return "\n".join(["", *_counts(settings.data_dir), *limit, "", *sizes, "", done, *advised])


def _counts(data_dir: Path) -> list[str]:
    """Return lines with the numbers of documents, calls and, by reason, rejected documents."""
    from callviz_dagster.table.manifest import read_footer
    from callviz_dagster.table.tally import PROBLEMS

    parts = [part for path in sorted((data_dir / "calls").glob("*.parquet")) if (part := read_footer(path))]
    documents, calls, rejected, repaired = (
        sum(getattr(part, name) for part in parts) for name in ("documents", "calls", "rejected", "repaired_rows")
    )
    snapshot_time = max((part.snapshot_time for part in parts), default="")[:19].replace("T", " ")
    width = len(f"{documents:,}")
    lines = [f"  {documents:>{width},} document{_plural(documents)} read, as of {snapshot_time} UTC"]
    lines += [f"  {calls:>{width},} call{_plural(calls)}" + (f", {repaired:,} with a repair" if repaired else "")]
    lines += [f"  {rejected:>{width},} rejected" + (":" if rejected else "")]
    reasons = Counter[str]()
    for part in parts:
        reasons.update(part.rejected_reasons)
    for code, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        lines += [f"  {'':>{width}}   {count:,} {code}: {PROBLEMS.get(code, '')}"]
    return lines


def _published_files(settings: Settings, began: float) -> list[Path]:
    """Return the files that a refresh has made since `began`."""
    files = [*(settings.publish_dir / name for name in _PUBLISHED), *_data_files(settings.data_dir)]
    return [path for path in files if path.is_file() and path.stat().st_mtime >= began - 1]


def _data_files(data_dir: Path) -> list[Path]:
    folders = ("raw_calls", "calls", "rejected_calls")
    return [path for folder in folders for path in sorted((data_dir / folder).glob("*.*")) if path.suffix != ".json"]


def _place(path: Path) -> str:
    shown = place(path)
    return shown if "://" in shown else str(path)


def _plural(number: int) -> str:
    return "" if number == 1 else "s"


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
