"""Known call types and statuses, and how a value becomes a label: one label for one thing, however it is written.

Pure. What belongs elsewhere: which field holds them (`documents/recognition/`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

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


def folded(text: str) -> str:
    """Return text as it is compared: without case, hyphens, underscores and spaces."""
    return re.sub(r"[-_\s]", "", text).casefold()


_KNOWN = {
    "call_type": {folded(label): label for label in TYPES},
    "status": {folded(label): label for label in STATUSES} | _OTHER_SPELLINGS,
}

_JOINERS = "\u200c\u200d"
"""They change how letters of some scripts are joined, and make one emoji of several."""
_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Signs around numbers, which can be seen, though Unicode counts them with the invisible format characters."""
_KEPT = re.compile(rf"(?<=[^\x00-\x7f{_JOINERS}])[{_JOINERS}](?=[^\x00-\x7f{_JOINERS}])")
_TEXT_FIELDS = ("name", "label", "title", "displayName", "display_name", "text", "value")
"""Fields of a document that hold what it is called, the best first."""
_OPPOSITES = {
    "answered": "missed",
    "connected": "not-connected",
    "inbound": "outbound",
    "incoming": "outgoing",
    "internal": "external",
    "outbound": "inbound",
    "outgoing": "incoming",
}
_WORDS_AROUND = re.compile(r"^(is|was|has|been|did|got|call)+|(call|flag)+$")
_YES_OR_NO = {folded(label): label for label in (*STATUSES, *TYPES) if label not in ("unknown", "api")}


class Label(NamedTuple):
    """A label and what was done to the text that it comes from, if anything."""

    text: str
    change: str = ""


def known_label(role: str, text: str) -> str | None:
    """Return the label of which `text` is a known spelling, for the role `call_type` or `status`."""
    return _KNOWN[role].get(folded(text))


def label_of_text(role: str, text: str) -> Label:
    """Return the label of a text, which is blank for blank text.

    Spaces around it are removed, and so are characters that cannot be seen; other spaces become plain ones, and
    characters that can be written in several ways are composed (NFC). Labels that look the same are then the same.

    Args:
        role: `call_type` or `status`, whose known spellings become one label.
        text: the text.
    """
    visible = visible_text(text)
    label = known_label(role, visible) or visible
    if label == text:
        return Label(text)
    if label != visible:
        return Label(label, f"a known spelling written as {label}")
    return Label(label, "spaces around it removed" if label == text.strip() else "look-alike written in one way")


def visible_text(text: str) -> str:
    """Return what can be seen of a text, in NFC, with plain spaces and none around it.

    Two characters stay though they are invisible: the joiner and the non-joiner between letters that are not Latin, as
    in Persian words, and between emoji.
    """
    if text.isascii():
        return text.strip()
    composed = unicodedata.normalize("NFC", text)
    joiners = {match.start() for match in _KEPT.finditer(composed)}
    shown = (character for place, character in enumerate(composed) if place in joiners or not _invisible(character))
    plain = "".join(" " if unicodedata.category(character) == "Zs" else character for character in shown)
    return unicodedata.normalize("NFC", plain).strip()


def _invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" and character not in _VISIBLE_FORMATS


def quoted(text: str) -> str:
    r"""Return text in quotes, with characters that cannot be seen written as `\u200b`."""
    shown = json.dumps(text, ensure_ascii=False)
    hidden = {character for character in shown if unicodedata.category(character) in ("Cf", "Zs") and character != " "}
    return "".join(json.dumps(character)[1:-1] if character in hidden else character for character in shown)


def label_in_document(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the field of a document that holds its name, and the text of that field; None without one.

    Args:
        document: the decoded document, such as `{"id": 3, "name": "busy"}`.
    """
    for field in _TEXT_FIELDS:
        text = document.get(field)
        if isinstance(text, str) and visible_text(text):
            return field, text
    return None


def label_of_boolean(field_name: str, value: bool | int) -> str | None:
    """Return the label that a boolean in a field means: `answered: true` is answered, false is unanswered.

    Args:
        field_name: a known label, also with a word such as `is` before it.
        value: a boolean, or 0 or 1.

    Returns:
        None where the name is no known label, or the value another number. Where the language has no word for the
        opposite, it is the label with `not-` before it.
    """
    label = _YES_OR_NO.get(_WORDS_AROUND.sub("", folded(field_name)))
    if label is None or value not in (0, 1):
        return None
    return label if value else _OPPOSITES.get(label, f"not-{label}")
