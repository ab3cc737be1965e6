"""Which values are labels of a call's type or status, word by word: evidence for a field, whatever its name.

What belongs elsewhere: the spellings that are written as one label (`documents/labels.py`).
"""

from __future__ import annotations

from collections import Counter

from callviz_dagster.documents.labels import known_label
from callviz_dagster.documents.recognition.facts import Labels
from callviz_dagster.documents.recognition.names import Name, words
from callviz_dagster.documents.recognition.vocabulary import Word

_WORDS = {
    "call_type": (
        "in inbound incoming ingoing out outbound outgoing internal external local intern extern audio video voice "
        "phone web webrtc pstn sip conference group direct peer invite callback transfer monitor consult domestic "
        "international national mobile landline entrante saliente eingehend ausgehend entrant sortant entrata "
        "uscita ingresso inkomend uitgaand recibida recebida efetuada realizada mo mt moc mtc"
    ),
    "status": (
        "answered answer unanswered accepted completed complete connected finished ended done success successful ok "
        "busy missed failed failure rejected declined refused cancelled canceled cancel abandoned noanswer "
        "voicemail timeout unavailable unreachable congestion ringing queued active progress inprogress ongoing "
        "dialing calling initiated pending scheduled planned held disconnected clearing normal error blocked wrong "
        "lost dropped hangup bye delivered undeliverable received invalid machine beantwortet besetzt verpasst "
        "abgelehnt abgebrochen contestada perdida ocupado completada fallida buzon repondu manque occupe echec "
        "risposta persa occupato atendida ocupada gemist beantwoord bezet sale"
    ),
}
_KNOWN = {role: frozenset(text.split()) for role, text in _WORDS.items()}
_NUMBER_TYPES = frozenset({"mobile", "cell", "landline", "fixed", "fixedline", "tollfree"})
_PHRASES = ("no answer", "not answered", "not available", "left message", "hung up", "not connected", "en curso")


def known_share(role: str, counts: Counter[str]) -> float:
    """Return the share of the values that are known labels of a role, or are made of words of such."""
    total = counts.total()
    return sum(n for label, n in counts.items() if _known(role, label)) / total if total else 0.0


def _known(role: str, label: str) -> bool:
    if known_label(role, label) and known_label(role, label) != "unknown":
        return True
    parts = words(label)
    phrases = _PHRASES if role == "status" else ()
    return not _KNOWN[role].isdisjoint(parts) or any(phrase in " ".join(parts) for phrase in phrases)


def _are_number_types(counts: Counter[str]) -> bool:
    """Return whether all values are kinds of telephone numbers."""
    return bool(counts) and all(not _NUMBER_TYPES.isdisjoint(words(label)) for label in counts)


def are_places(counts: Counter[str]) -> bool:
    """Return whether the values look like codes of states or countries: two capitals each."""
    return bool(counts) and all(len(label) == 2 and label.isalpha() and label.isupper() for label in counts)


def say_no_type(name: Name, labels: Labels) -> bool:
    """Return whether labels are unknown words, or kinds of telephone numbers in a field such as `type`."""
    if _are_number_types(labels.counts):
        return not name.says(Word.CALL, Word.DIRECTION)
    return "call_type" not in name.ranks and _are_unknown_words(labels)


def _are_unknown_words(labels: Labels) -> bool:
    """Return whether none of several labels is a known type of call; a yes or no, or a number, is no word."""
    is_words = labels.kinds == {"text"} and not labels.yes_or_no
    return is_words and len(labels.counts) > 1 and not known_share("call_type", labels.counts)
