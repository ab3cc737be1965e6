"""Which document fields play which role, and the known spellings of types and statuses.

Counted in public application models and read from the documentation of telephony services (Twilio, Vonage,
Asterisk, FreeSWITCH, Genesys Cloud, Aircall, Amazon Connect, Vapi, Retell, Android, Google CCAI).
What belongs elsewhere: choosing the fields of one collection (`table/plan.py`) and reading their values
(`documents/times/`, `documents/durations.py`).
"""

from __future__ import annotations

import re

FIELD_NAMES: dict[str, tuple[str, ...]] = {
    "start_time": (
        *("start_time", "startTime", "started_at", "startedAt", "call_start_time", "callStartTime"),
        *("call_started_at", "callStartedAt", "call_startedAt", "callStart", "call_start", "timeStart"),
        *("start_timestamp", "startTimestamp", "start_stamp", "start_uepoch", "start_epoch", "Received DtTm"),
        *("conversationStart", "InitiationTimestamp", "calldate", "call_date_time", "called_at", "calledAt"),
        *("requestedAt", "requested_at", "start", "dateTime", "datetime", "timestamp", "@timestamp", "time", "date"),
        *("created_at", "createdAt", "date_created"),
    ),
    "end_time": (
        *("end_time", "endTime", "ended_at", "endedAt", "call_end_time", "callEndTime"),
        *("call_ended_at", "callEndedAt", "call_endedAt", "callEnd", "call_end", "timeEnd"),
        *("end_timestamp", "endTimestamp", "end_stamp", "end_uepoch", "end_epoch"),
        *("conversationEnd", "DisconnectTimestamp", "finished_at", "finishedAt", "ends_at", "end", "Available DtTm"),
    ),
    "duration": (
        *("duration_sec", "durationSec", "duration_seconds", "durationSeconds", "duration_s", "duration"),
        *("call_duration", "callDuration", "call_duration_sec", "callDurationSec", "duration_ms", "durationMs"),
        *("durationMillis", "duration_millis", "duration_msec", "billsec", "talk_duration", "talkDuration"),
    ),
    "call_type": (
        *("call_type", "callType", "type", "direction", "call_direction", "callDirection", "originatingDirection"),
        *("InitiationMethod", "callMode", "call_mode", "Call Type Group"),
    ),
    "status": (
        *("status", "call_status", "callStatus", "state", "disposition", "disposition_name", "outcome"),
        *("call_outcome", "callOutcome", "call_verdict", "lastCallStatus", "hangup_cause", "DisconnectReason"),
        *("Call Final Disposition",),
    ),
}
"""For each role, the names of its field in the order in which they are tried. The first that is not empty wins."""

WRAPPERS = frozenset(
    {
        *("attributes", "body", "call", "calldata", "cdr", "conversation", "data", "detail", "details", "doc"),
        *("document", "event", "fields", "info", "payload", "properties", "raw", "rawpayload", "record", "session"),
        "variables",
    }
)
"""Nested documents in which a role's field is looked for behind the top level; compared by `folded`."""

LAST_RESORT = frozenset({"createdat", "datecreated"})
"""Names that come last wherever they stand, for they tell when a record was made; compared by `folded`."""

_MILLISECONDS = re.compile(r"(ms|msec|millis|milliseconds)$", re.IGNORECASE)


def folded(text: str) -> str:
    """Return text as it is compared: without case, hyphens, underscores and spaces."""
    return re.sub(r"[-_\s]", "", text).casefold()


def duration_unit(field_name: str) -> str:
    """Return the unit that a duration field's name tells: `ms`, else `s`."""
    return "ms" if _MILLISECONDS.search(field_name) else "s"
