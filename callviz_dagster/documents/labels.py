"""Known call types and statuses, and the spellings that are written as one label.

What belongs elsewhere: which field holds them (`documents/recognition/`).
"""

from __future__ import annotations

from callviz_dagster.documents.recognition.names import folded

STATUSES = (
    *("abandoned", "accepted", "active", "answered", "busy", "calling", "cancelled", "completed", "congestion"),
    *("connected", "declined", "dialing", "ended", "error", "failed", "forwarding", "in-progress", "initiated"),
    *("missed", "no-answer", "not-connected", "ongoing", "pending", "queued", "refused", "registered", "rejected"),
    *("requested", "ringing", "scheduled", "started", "timeout", "unanswered", "unknown", "voicemail"),
)

TYPES = (
    *("api", "audio", "blocked", "callback", "conference", "disconnect", "external-outbound", "group-audio"),
    *("group-video", "inbound", "inbound-phone-call", "incoming", "internal", "missed", "monitor", "outbound"),
    *("outbound-api", "outbound-dial", "outbound-phone-call", "outgoing", "phone-call", "queue-transfer", "rejected"),
    *("sms", "transfer", "trunking-originating", "trunking-terminating", "unknown", "video", "voice", "voicemail"),
    *("web-call", "webrtc-api"),
)

_OTHER_SPELLINGS = {"canceled": "cancelled", "noanswered": "no-answer", "timedout": "timeout"}
_KNOWN = {
    "call_type": {folded(label): label for label in TYPES},
    "status": {folded(label): label for label in STATUSES} | _OTHER_SPELLINGS,
}


def known_label(role: str, text: str) -> str | None:
    """Return the label of which `text` is a known spelling, for the role `call_type` or `status`."""
    return _KNOWN[role].get(folded(text))
