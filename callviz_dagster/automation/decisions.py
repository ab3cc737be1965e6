"""What the sensor decides: its cursor, and from the changes seen and the runs known, whether to refresh and what.

Pure: state in, decision out. What belongs elsewhere: reading MongoDB (`mongodb/resource.py`), asking Dagster
(`automation/sensor.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LONGEST_PAUSE_SECONDS = 3600
PATIENCE_SECONDS = 300
"""While changes keep coming faster than they are read, a refresh waits no longer than this."""

Mark = list[int] | None
"""Cluster time (seconds, number) of the latest change; None where the server has none."""


@dataclass(frozen=True)
class Request:
    """A refresh that was asked for."""

    id: str
    keys: Mapping[str, Mark]
    everything: str
    at: str


@dataclass(frozen=True)
class Cursor:
    """What the sensor remembers between two looks. As JSON it can be read, and edited, in the UI."""

    source: str = ""
    """The collection that it is about."""
    partitioning: str = ""
    token: Mapping[str, Any] | None = None
    """Change stream: where to go on."""
    last_change: Mark = None
    """Change stream: cluster time of the last change; by it a server that was restored from a backup is found out."""
    process: str = ""
    watermark: Any = None
    """Without change streams: number of documents and newest `_id`."""
    looked: str = ""
    """When MongoDB was read last, ISO 8601."""
    quiet_since: str = ""
    """When the last change was seen; before the first one, when the collection was looked at first."""
    pending: Mapping[str, Mark] = field(default_factory=dict)
    """Partitions that changed and are not refreshed yet. Without partitions, the one key is empty."""
    waiting_since: str = ""
    everything: str = ""
    """Why everything is to be refreshed; empty where it is not."""
    requested: Request | None = None
    attempts: int = 0
    """How often the refresh of what is pending has failed."""
    try_again: str = ""
    failure: str = ""

    def to_json(self) -> str:
        """Return it as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | None) -> Cursor:
        """Return what `to_json` wrote; an empty cursor where there is none, or one that cannot be read."""
        try:
            data = json.loads(text or "{}")
            names = {known.name for known in dataclasses.fields(cls)}
            kept = {name: value for name, value in data.items() if name in names}
            request = kept.get("requested")
            return cls(**kept | {"requested": Request(**request) if request else None})
        except (ValueError, TypeError, AttributeError):
            return cls()


class Outcome(StrEnum):
    """What became of the refresh that was asked for."""

    NONE = "none was asked for"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def request_full_refresh(cursor: Cursor, why: str) -> Cursor:
    """Return the cursor with everything to be refreshed; the reason given first stays."""
    return dataclasses.replace(cursor, everything=cursor.everything or why)


def after_run(cursor: Cursor, outcome: Outcome, now: dt.datetime, pause: float, failure: str = "") -> Cursor:
    """Return the cursor after looking at the refresh that was asked for.

    What it was asked for is pending again where it failed, and the next attempt waits twice as long as the last.
    """
    request = cursor.requested
    if request is None or outcome in (Outcome.RUNNING, Outcome.NONE):
        return cursor
    if outcome is Outcome.DONE:
        return dataclasses.replace(cursor, requested=None, attempts=0, try_again="", failure="")
    attempts = cursor.attempts + 1
    wait = min(pause * 2 ** min(attempts - 1, 20), max(LONGEST_PAUSE_SECONDS, pause))
    return dataclasses.replace(
        cursor,
        requested=None,
        # Without marks: it may have failed after the snapshots were published, and before what is made from them.
        pending=latest(cursor.pending, dict.fromkeys(request.keys)),
        everything=cursor.everything or request.everything,
        waiting_since=cursor.waiting_since or request.at,
        attempts=attempts,
        try_again=(now + dt.timedelta(seconds=wait)).isoformat(),
        failure=failure,
    )


def latest(first: Mapping[str, Mark], second: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the keys of both, each with the later mark; no mark is later than any."""
    marks = dict(first)
    for key, mark in second.items():
        before = marks.get(key, mark)
        marks[key] = None if before is None or mark is None else max(before, mark)
    return marks


def still_pending(pending: Mapping[str, Mark], snapshots: Mapping[str, Mark]) -> dict[str, Mark]:
    """Return the keys whose latest change is not in what is published: their snapshot is older, or there is none."""
    kept = {}
    for key, mark in pending.items():
        snapshot = snapshots.get(key)
        if mark is None or snapshot is None or mark > snapshot:
            kept[key] = mark
    return kept


@dataclass(frozen=True)
class Decision:
    """Whether to ask for a refresh: of these keys, of everything, or, with a reason, of nothing."""

    cursor: Cursor
    reason: str = ""
    """Why not; empty where a refresh is asked for."""


def decide(
    cursor: Cursor,
    *,
    keys: Sequence[str],
    now: dt.datetime,
    last_refresh: dt.datetime | None,
    min_seconds: float,
    more: bool,
    documents: int,
    request_id: str,
    clock: dt.tzinfo,
) -> Decision:
    """Decide whether to refresh now.

    Args:
        cursor: what is known, the latest changes among it.
        keys: the partitions that there are now; changes in a later one wait for its day.
        now: the present.
        last_refresh: when the last refresh of any kind was started.
        min_seconds: how long to wait after it.
        more: whether there are more changes to read.
        documents: about how many documents the collection has.
        request_id: identifies the refresh that may be asked for.
        clock: the time zone of times in reasons.
    """

    def at(moment: dt.datetime) -> str:
        return f"{moment.astimezone(clock):%H:%M:%S}"

    due = {key: mark for key, mark in cursor.pending.items() if key in set(keys)}
    if not due and not cursor.everything:
        later = f"; {_number(len(cursor.pending))} in the future" if cursor.pending else ""
        return Decision(
            cursor, f"no changes since {at(_moment(cursor.quiet_since) or now)}, {documents:,} calls{later}"
        )
    waiting = _moment(cursor.waiting_since) or now
    cursor = dataclasses.replace(cursor, waiting_since=waiting.isoformat())
    what = (
        f"everything ({cursor.everything})" if cursor.everything else _number(len(due)) if keys != [""] else "changes"
    )
    again = _moment(cursor.try_again)
    if again and now < again:
        times = "once" if cursor.attempts == 1 else f"{cursor.attempts} times"
        return Decision(
            cursor, f"the last refresh failed {times} ({cursor.failure}); {what} will be tried again at {at(again)}"
        )
    if last_refresh and (now - last_refresh).total_seconds() < min_seconds:
        soon = last_refresh + dt.timedelta(seconds=min_seconds)
        return Decision(cursor, f"{what} waiting until {at(soon)}: CALLVIZ_MIN_REFRESH_SECONDS={min_seconds:g}")
    if more and not cursor.everything and (now - waiting).total_seconds() < PATIENCE_SECONDS:
        return Decision(cursor, f"{what} waiting: more changes are being read")
    request = Request(request_id, due, cursor.everything, now.isoformat())
    pending = {key: mark for key, mark in cursor.pending.items() if key not in due}
    return Decision(
        dataclasses.replace(cursor, requested=request, pending=pending, everything="", waiting_since="", try_again="")
    )


def _number(partitions: int) -> str:
    return f"{partitions:,} partition{'' if partitions == 1 else 's'}"


def _moment(text: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
