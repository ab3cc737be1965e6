"""What the sensor decides: its cursor, and from the changes seen and the runs known, whether to refresh and what.

Pure: state in, decision out. What belongs elsewhere: polling MongoDB (`poll.py`), asking Dagster (`runs.py`).
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
FORMAT_VERSION = 2
"""Of the cursor's JSON."""
_RENAMED = {"looked": "polled", "everything": "full_refresh"}
"""Names in the cursor of version 1, which did not state its version."""

ClusterTime = list[int] | None
"""MongoDB's cluster time (seconds, number); None where it is not known."""


@dataclass(frozen=True)
class Request:
    """A refresh that was requested."""

    id: str
    keys: Mapping[str, ClusterTime]
    """The partitions, each with the cluster time of its latest change. Without partitions, the one key is empty."""
    full_refresh: str
    """Why all partitions are to be refreshed; empty where only `keys` are."""
    at: str
    since: ClusterTime = None
    """Of a full refresh: the cluster time up to which no change is known by itself."""


@dataclass(frozen=True)
class Cursor:
    """What the sensor remembers between two ticks. As JSON it can be read, and edited, in the UI."""

    source: str = ""
    """The collection that it is about."""
    partitioning: str = ""
    token: Mapping[str, Any] | None = None
    """Change stream: resume token."""
    last_change: ClusterTime = None
    """Change stream: cluster time of the last change; shows whether a server was restored from a backup."""
    process: str = ""
    watermark: Any = None
    """Without change streams: number of documents and newest `_id`."""
    polled: str = ""
    """When MongoDB was polled last, ISO 8601."""
    quiet_since: str = ""
    """When the last change was seen; before the first one, when the collection was polled first."""
    pending: Mapping[str, ClusterTime] = field(default_factory=dict)
    """Partitions that changed and are not published yet. Without partitions, the one key is empty."""
    waiting_since: str = ""
    full_refresh: str = ""
    """Why all partitions are to be refreshed; empty where they are not."""
    since: ClusterTime = None
    """Of a full refresh, see `Request.since`."""
    requested: Request | None = None
    attempts: int = 0
    """How often the refresh of what is pending has failed."""
    try_again: str = ""
    failure: str = ""

    def to_json(self) -> str:
        """Return it as JSON text."""
        return json.dumps({"format_version": FORMAT_VERSION} | dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | None) -> Cursor:
        """Return what `to_json` wrote; an empty cursor where there is none, or one that cannot be read."""
        try:
            data = json.loads(text or "{}")
            if "format_version" not in data:
                data = _renamed(data) | {"requested": data.get("requested") and _renamed(data["requested"])}
            elif data["format_version"] != FORMAT_VERSION:
                return cls()
            names = {known.name for known in dataclasses.fields(cls)}
            known_values = {name: value for name, value in data.items() if name in names}
            request = known_values.get("requested")
            return cls(**known_values | {"requested": Request(**request) if request else None})
        except (ValueError, TypeError, AttributeError):
            return cls()


def _renamed(data: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in data.items()}


class Outcome(StrEnum):
    """What became of the refresh that was requested."""

    NONE = "none was requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def request_full_refresh(cursor: Cursor, why: str, since: ClusterTime = None) -> Cursor:
    """Return the cursor with all partitions to be refreshed; the reason given first stays, and the latest `since`."""
    later = max(filter(None, (cursor.since, since)), default=None)
    return dataclasses.replace(cursor, full_refresh=cursor.full_refresh or why, since=later)


def after_run(
    cursor: Cursor,
    outcome: Outcome,
    now: dt.datetime,
    pause: float,
    failure: str = "",
    published: Mapping[str, ClusterTime] | None = None,
) -> Cursor:
    """Return the cursor after the requested refresh has been looked up.

    Its partitions are pending again where it failed, and the next attempt waits twice as long as the last one.

    Args:
        cursor: as it was.
        outcome: what became of the refresh.
        now: the present.
        pause: the first attempt's pause, in seconds.
        failure: why it failed.
        published: by partition, the cluster time of what is published.
    """
    request = cursor.requested
    if request is None or outcome in (Outcome.RUNNING, Outcome.NONE):
        return cursor
    if outcome is Outcome.DONE and not _missed(request, published or {}):
        return dataclasses.replace(cursor, requested=None, attempts=0, try_again="", failure="")
    attempts = cursor.attempts + 1
    wait = min(pause * 2 ** min(attempts - 1, 20), max(LONGEST_PAUSE_SECONDS, pause))
    return dataclasses.replace(
        cursor,
        requested=None,
        # Without cluster times: it may have failed after the snapshots were taken, and before they were published.
        pending=latest(cursor.pending, dict.fromkeys(request.keys)),
        full_refresh=cursor.full_refresh or request.full_refresh,
        since=cursor.since or request.since,
        waiting_since=cursor.waiting_since or request.at,
        attempts=attempts,
        try_again=(now + dt.timedelta(seconds=wait)).isoformat(),
        failure=failure or "the changes are not in what it has published",
    )


def _missed(request: Request, published: Mapping[str, ClusterTime]) -> bool:
    """Return whether what is published is without the changes that a refresh was requested for.

    A member that lags behind reads an older state, and a run may have been repeated in parts.
    """
    if request.since and any(time and time < request.since for time in published.values()):
        return True
    return any(
        key not in published or bool(change and snapshot and snapshot < change)
        for key, change in request.keys.items()
        for snapshot in [published.get(key)]
    )


def latest(first: Mapping[str, ClusterTime], second: Mapping[str, ClusterTime]) -> dict[str, ClusterTime]:
    """Return the keys of both, each with the later cluster time; an unknown one is later than any."""
    times = dict(first)
    for key, time in second.items():
        before = times.get(key, time)
        times[key] = None if before is None or time is None else max(before, time)
    return times


def still_pending(pending: Mapping[str, ClusterTime], published: Mapping[str, ClusterTime]) -> dict[str, ClusterTime]:
    """Return the keys whose latest change is not published: what is published is older, or there is nothing."""
    unpublished = {}
    for key, change in pending.items():
        snapshot = published.get(key)
        if change is None or snapshot is None or change > snapshot:
            unpublished[key] = change
    return unpublished


@dataclass(frozen=True)
class Decision:
    """Whether to request a refresh: of some partitions, of all, or, with a reason, of nothing."""

    cursor: Cursor
    reason: str = ""
    """Why not; empty where a refresh is requested."""


@dataclass(frozen=True)
class Situation:
    """What is known besides the cursor."""

    keys: Sequence[str]
    """The partitions that there are now; changes in a later one wait for its day."""
    now: dt.datetime
    last_refresh: dt.datetime | None
    """When the last refresh of any kind was started."""
    min_seconds: float
    """How long to wait after it."""
    more: bool
    """Whether there are more changes to read."""
    documents: int
    """About how many documents the collection has."""
    clock: dt.tzinfo
    """The time zone of times in reasons."""
    note: str = ""
    """What a user should know about how changes are found."""
    refused: str = ""
    """Why the last refresh was refused, and what to do; empty where it was not."""

    def at(self, moment: dt.datetime) -> str:
        """Return a moment as text, with its date unless that is today's."""
        local, today = moment.astimezone(self.clock), self.now.astimezone(self.clock).date()
        return f"{local:%H:%M:%S %Z}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S %Z}"


def decide(cursor: Cursor, situation: Situation, request_id: str) -> Decision:
    """Decide whether to refresh now; `request_id` identifies the refresh that may be requested."""
    now = situation.now
    due = {key: time for key, time in cursor.pending.items() if key in set(situation.keys)}
    if not due and not cursor.full_refresh:
        return Decision(cursor, _nothing_changed(cursor, situation))
    cursor = dataclasses.replace(cursor, waiting_since=(_moment(cursor.waiting_since) or now).isoformat())
    if reason := _why_wait(cursor, situation, _described(cursor, due, situation)):
        return Decision(cursor, reason)
    since = cursor.since if cursor.full_refresh else None
    request = Request(request_id, due, cursor.full_refresh, now.isoformat(), since)
    pending = {key: time for key, time in cursor.pending.items() if key not in due}
    return Decision(
        dataclasses.replace(
            cursor,
            requested=request,
            pending=pending,
            full_refresh="",
            since=None,
            waiting_since="",
            try_again="",
        )
    )


def _nothing_changed(cursor: Cursor, situation: Situation) -> str:
    since = situation.at(_moment(cursor.quiet_since) or situation.now)
    later = f"; {_number(len(cursor.pending))} in the future" if cursor.pending else ""
    note = f"; {situation.note}" if situation.note else ""
    return f"no changes since {since}, {situation.documents:,} calls{later}{note}"


def _described(cursor: Cursor, due: Mapping[str, ClusterTime], situation: Situation) -> str:
    if cursor.full_refresh:
        return f"everything ({cursor.full_refresh})"
    return _number(len(due)) if [*situation.keys] != [""] else "changes"


def _why_wait(cursor: Cursor, situation: Situation, changed: str) -> str:
    """Return why what has changed is not refreshed now; an empty text where it is."""
    now = situation.now
    if situation.refused:
        return f"{changed} waiting: {situation.refused}"
    try_again = _moment(cursor.try_again)
    if try_again and now < try_again:
        times = "once" if cursor.attempts == 1 else f"{cursor.attempts} times"
        when = situation.at(try_again)
        return f"the last refresh failed {times} ({cursor.failure}); {changed} will be tried again at {when}"
    soonest = situation.last_refresh and situation.last_refresh + dt.timedelta(seconds=situation.min_seconds)
    if soonest and now < soonest:
        setting = f"CALLVIZ_MIN_REFRESH_SECONDS={situation.min_seconds:g}"
        return f"{changed} waiting until {situation.at(soonest)}: {setting}"
    waited = now - (_moment(cursor.waiting_since) or now)
    if situation.more and not cursor.full_refresh and waited < dt.timedelta(seconds=PATIENCE_SECONDS):
        return f"{changed} waiting: more changes are being read"
    return ""


def _number(partitions: int) -> str:
    return f"{partitions:,} partition{'' if partitions == 1 else 's'}"


def _moment(text: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
