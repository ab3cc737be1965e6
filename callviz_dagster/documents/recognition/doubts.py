"""What is doubtful of a choice, and what contradicts the data so plainly that nothing should be published. Pure.

What belongs elsewhere: choosing (`recognition/choice.py`), checks and their words for people (`recognition/report.py`,
`assets/checks.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from callviz_dagster.documents.labels import label_of_boolean
from callviz_dagster.documents.recognition.candidates import Candidate, Fields, is_later, longer_beside
from callviz_dagster.documents.recognition.decision import Choice
from callviz_dagster.documents.recognition.facts import SECONDS, Facts, Fit, Labels, Source, share
from callviz_dagster.documents.recognition.label_choice import LEAST
from callviz_dagster.documents.recognition.label_words import known_share, say_no_type
from callviz_dagster.documents.recognition.names import Name, Strength, name_of
from callviz_dagster.documents.recognition.units import (
    are_long,
    are_zeros,
    is_open,
    median,
    too_large,
    two_units,
    unit_by_data,
)
from callviz_dagster.documents.recognition.vocabulary import Word
from callviz_dagster.documents.values import field_name
from callviz_dagster.documents.walker import Path

EMPTY = 0.95
"""A role that is empty in as many documents is missed: calls that are still running, or failed, are fewer."""
BACKWARDS = 0.5
"""Where most calls end before they start, one of the two fields is another time; clocks that differ do it to few."""
FACTOR, FACTOR_ROWS = 0.05, 0.9
"""A stored duration that is the same multiple of end − start, within a twentieth, in nine tenths of the rows has
another unit: talk times and rounding differ from call to call."""
PROVEN = 0.9
"""Where the stored duration is end − start in nine tenths of the calls, start and end are those of the call."""
APART, LEAST_RATIO = 0.5, 0.2
"""Stored durations that are longer than end − start in most calls, or a fifth of it in the middle, are something else:
people talk for most of a call that is not only ringing."""
SAME = 0.9
"""Nine tenths of all calls at midnight, or in one second: what they share is the date, or the import."""
ODD = 0.05
"""Fewer documents that differ from all others are odd ones, each with a repair or a reason of its own."""
FEW = 5
"""With fewer documents than this, a share says nothing."""
_DIGITS_OF_CODES = 3
"""Causes that people know, of SIP and Q.850, have three digits at most."""
_ASSUMED = frozenset({"default", "name", "earlier refresh"})
"""How a unit was known that no end − start has shown: in an earlier refresh it may have been the default."""
_LONGEST_RINGING = 300.0
"""Seconds: nearly no call rings for longer."""
_DAY = 86_400_000_000


class Kind(StrEnum):
    """What is doubtful."""

    EMPTY = "empty"
    AMBIGUOUS = "ambiguous"
    WEAK_NAME = "weak name"
    RECORD = "record's life"
    ANSWER = "answered"
    FOREIGN = "another thing"
    DATE_ONLY = "date only"
    TALK = "talk time"
    APART = "differs from end − start"
    SIZE = "implausible size"
    UNIT = "unit by default"
    TWO_UNITS = "two units"
    SPAN = "implausible span"
    CODES = "codes"
    YES_OR_NO = "yes or no"
    ONE_LABEL = "one label"
    UNKNOWN_LABELS = "unknown labels"
    OTHER_LABELS = "labels of another role"
    DATE_ORDER = "date order"
    NOT_DAY_FIRST = "not day first"
    END_BEFORE_START = "end before start"
    FACTOR = "constant factor"
    MIDNIGHT = "midnight"
    ONE_SECOND = "one second"


REFUSED = frozenset({Kind.END_BEFORE_START, Kind.FACTOR, Kind.MIDNIGHT, Kind.ONE_SECOND, Kind.NOT_DAY_FIRST})
"""Kinds that contradict the data: nothing is published, unless the field was chosen by setting."""
IMPLAUSIBLE = REFUSED | {Kind.TWO_UNITS}
"""Kinds that the data show, also where a field was chosen by setting."""


_SETTLED_BY_LENGTH = frozenset({Kind.RECORD, Kind.WEAK_NAME})
"""Kinds that are no doubt where end − start is the stored duration, call by call: no other time would be that."""


@dataclass(frozen=True)
class Doubt:
    """One doubt about a role."""

    kind: Kind
    role: str
    source: Source | None
    share: float = 0.0
    """Of the documents that can tell, those that it is about."""
    other: Source | None = None
    """A field that contradicts, or would be better."""
    unit: str | None = None
    """The unit that would fit."""
    orders: tuple[str, ...] = ()
    """Orders of day and month in which the dates can be written."""
    factor: float = 1.0
    """What stored durations are a multiple of."""
    since: int | None = None
    """The instant (microseconds) with which a stretch of calls begins that differ from the others."""


def doubts(choice: Choice, fields: Fields) -> tuple[Doubt, ...]:
    """Return all doubts about a choice, those that forbid to publish first."""
    raised = [*_contradictions(choice, fields.facts), *_about_names(choice, fields), *_empty(choice, fields)]
    open_doubts = [doubt for doubt in raised if doubt.kind in IMPLAUSIBLE or not set_by_hand(doubt, choice)]
    return tuple(sorted(open_doubts, key=lambda doubt: doubt.kind not in REFUSED))


def set_by_hand(doubt: Doubt, choice: Choice) -> bool:
    """Return whether a setting names the field, or the unit, that a doubt is about."""
    unit = choice.units.get(doubt.source[0]) if doubt.source and doubt.role == "duration" else None
    about_unit = doubt.kind in (Kind.SIZE, Kind.UNIT, Kind.FACTOR) and unit is not None and unit.known_by == "setting"
    return doubt.role in choice.by_setting or about_unit


def _contradictions(choice: Choice, facts: Facts) -> list[Doubt]:
    start, end = choice.usual.get("start_time"), choice.usual.get("end_time")
    raised = []
    if start and end:
        seconds, both = facts.elapsed(start, end)
        backwards = float(np.mean(seconds[both] < 0)) if both.any() else 0.0
        if np.count_nonzero(both) >= FEW and backwards > BACKWARDS:
            raised.append(Doubt(Kind.END_BEFORE_START, "end_time", end, backwards, other=start))
        raised += [*_factor(choice, facts, start, end), *_span(choice, facts, start, end)]
    if start:
        raised += _same_moment(choice, facts, start)
    return raised


def _factor(choice: Choice, facts: Facts, start: Source, end: Source) -> list[Doubt]:
    stored = choice.usual.get("duration")
    if stored is None or stored[0] not in choice.units:
        return []
    numbers, unit = facts.numbers(stored[0]), choice.units[stored[0]].unit
    elapsed, both = facts.elapsed(start, end)
    usable = numbers.known & both & (numbers.values > 0) & (elapsed > 0)
    if np.count_nonzero(usable) < FEW:
        return []
    seconds = np.where(numbers.clock, numbers.values, numbers.values * SECONDS[unit])[usable]
    total = elapsed[usable]
    middle = float(np.median(seconds / total))
    alike = np.abs(seconds / total / middle - 1) <= FACTOR
    equal = np.abs(seconds - total) <= max(1.5, SECONDS[unit])
    if float(np.mean(alike & ~equal)) < FACTOR_ROWS or abs(middle - 1) <= FACTOR:
        return []
    shown = unit_by_data(facts, stored[0], start, end)
    return [Doubt(Kind.FACTOR, "duration", stored, float(np.mean(alike)), unit=shown, factor=middle)]


def _span(choice: Choice, facts: Facts, start: Source, end: Source) -> list[Doubt]:
    """Return the doubt about an end that is hours after the start, where no stored duration says how long calls are."""
    elapsed, both = facts.elapsed(start, end)
    spans = elapsed[both & (elapsed > 0)]
    if choice.usual.get("duration") or len(spans) < FEW or not are_long(spans):
        return []
    return [Doubt(Kind.SPAN, "end_time", end, other=start, factor=float(np.median(spans)) / 3600)]


def _same_moment(choice: Choice, facts: Facts, start: Source) -> list[Doubt]:
    times = facts.times(start)
    if np.count_nonzero(times.known) < FEW:
        return []
    midnight = share(times.midnight, times.known)
    if midnight >= SAME and len(start) == 1:
        other = _holds_the_clock(choice, facts, start)
        return [Doubt(Kind.MIDNIGHT if other else Kind.DATE_ONLY, "start_time", start, midnight, other=other)]
    _, counts = np.unique(times.instants[times.known] // 1_000_000, return_counts=True)
    most = float(counts.max() / counts.sum())
    if most >= SAME:
        other = next((one.source for one in _rivals(choice, start) if _varies(facts, one)), None)
        if other:
            return [Doubt(Kind.ONE_SECOND, "start_time", start, most, other=other)]
    return []


def _rivals(choice: Choice, start: Source) -> list[Candidate]:
    """Return other times of the call, as far as their names allow that."""
    return [
        one
        for one in choice.candidates.get("start_time", ())
        if one.source != start and not one.name.foreign and not one.name.changed and not _is_no_start(one.name)
    ]


def _is_no_start(name: Name) -> bool:
    """Return whether a name speaks of the end of a call, or of a moment that was planned."""
    return name.says(Word.PLANNED) or (name.strengths["end_time"] >= Strength.WORDS and "start_time" not in name.ranks)


def _varies(facts: Facts, candidate: Candidate) -> bool:
    times = facts.times(candidate.source)
    seconds = times.instants[times.known] // 1_000_000
    return len(seconds) >= FEW and len(np.unique(seconds)) > 0.5 * len(seconds)


def _holds_the_clock(choice: Choice, facts: Facts, start: Source) -> Source | None:
    """Return a field that holds the time of day of the calls: a time on the same day, or a clock beside."""
    times = facts.times(start)
    for one in _rivals(choice, start):
        other = facts.times(one.source)
        both = times.known & other.known
        later = other.instants - times.instants
        if (
            np.count_nonzero(both) >= FEW
            and share(other.midnight, both) < 0.5
            and np.mean((later[both] >= -_DAY // 2) & (later[both] < 1.5 * _DAY)) > 0.8
        ):
            return one.source
    for path in facts.paths:
        if path[:-1] == start[0][:-1] and share(facts.clocks(path), facts.numbers(path).filled) > 0.8:
            name = name_of(path)
            if name.strengths["start_time"] >= Strength.WEAK and not name.says(Word.DURATION, Word.TALK, Word.PART):
                return (*start, path)
    return None


def _about_names(choice: Choice, fields: Fields) -> list[Doubt]:
    raised = []
    fit = _fit(choice, fields.facts, choice.usual.get("duration"))
    proven = fit is not None and fit.documents >= FEW and fit.equal >= PROVEN
    for role, source in choice.usual.items():
        if role in choice.ambiguous:
            raised.append(Doubt(Kind.AMBIGUOUS, role, source, other=choice.ambiguous[role][-1]))
        settled = proven or (role == "start_time" and _made_when_it_rang(choice, fields.facts, source))
        kinds = [kind for kind in _named(role, source) if not (settled and kind in _SETTLED_BY_LENGTH)]
        raised += [Doubt(kind, role, source) for kind in kinds]
    return [*raised, *_durations(choice, fields.facts), *_labels(choice, fields.facts), *_order(choice, fields.facts)]


def _order(choice: Choice, facts: Facts) -> list[Doubt]:
    start = choice.usual.get("start_time")
    if not start or not len(facts):
        return []
    first = "" if facts.date_order else facts.contradicts_day_first(start[0])
    if first:
        return [Doubt(Kind.NOT_DAY_FIRST, "start_time", start, orders=("mdy",) if first == "month" else ())]
    ambiguous = facts.ambiguous(start[0]) / len(facts)
    if ambiguous <= ODD:
        return []
    return [Doubt(Kind.DATE_ORDER, "start_time", start, ambiguous, orders=date_orders(start[0], facts))]


def _made_when_it_rang(choice: Choice, facts: Facts, start: Source) -> bool:
    """Return whether a record was made minutes before the answer, call by call, and calls that nobody took have one."""
    candidates = choice.candidates.get("start_time", ())
    chosen = next((one for one in candidates if one.source == start), None)
    for other in candidates:
        if chosen and other.source in choice.roles["start_time"][1:] and is_later(facts, other, chosen):
            seconds, both = facts.elapsed(start, other.source)
            if np.quantile(seconds[both], 0.95) <= _LONGEST_RINGING and np.median(seconds[both]) > 0:
                return other.name.strengths["start_time"] >= Strength.WORDS
    return False


def _named(role: str, source: Source) -> list[Kind]:
    """Return what is doubtful of a field's name."""
    name = name_of(source[0])
    kinds = [_of_a_time(role, name)] if role.endswith("_time") and len(source) == 1 else []
    if name.foreign or (role not in name.ranks and name.says(Word.OTHER, Word.PLANNED)):
        kinds.append(Kind.FOREIGN)
    return [kind for kind in kinds if kind]


def date_orders(path: Path, facts: Facts) -> tuple[str, ...]:
    """Return the orders of day and month that the dates of a field allow: one where other dates of it show that."""
    shown = facts.shown_date_order(path)
    return (shown,) if shown else ("mdy", "dmy")


def _of_a_time(role: str, name: Name) -> Kind | None:
    strength = name.strengths[role]
    if role == "start_time" and name.answer:
        return Kind.ANSWER
    if strength == Strength.RECORD:
        return Kind.RECORD
    return Kind.WEAK_NAME if strength < Strength.WORDS else None


def _durations(choice: Choice, facts: Facts) -> list[Doubt]:
    """Return the doubts about the fields of durations: each has a unit of its own, also one that stands in."""
    return [doubt for source in choice.roles.get("duration", ()) for doubt in _of_a_duration(choice, facts, source)]


def _of_a_duration(choice: Choice, facts: Facts, source: Source) -> list[Doubt]:
    fit = _fit(choice, facts, source)
    return [*_of_talk(choice, facts, source, fit), *_of_size(choice, facts, source, fit)]


def _of_talk(choice: Choice, facts: Facts, source: Source, fit: Fit | None) -> list[Doubt]:
    name = name_of(source[0])
    if source != choice.usual.get("duration") or "duration" in name.ranks or (fit and fit.equal >= 0.9):
        return []
    longer = None if fit else longer_beside(facts, source[0], choice.candidates.get("duration", ()))
    return [Doubt(Kind.TALK, "duration", source, other=longer)] if name.talk or longer else []


def _of_size(choice: Choice, facts: Facts, source: Source, fit: Fit | None) -> list[Doubt]:
    start, end = choice.usual.get("start_time"), choice.usual.get("end_time")
    if several := two_units(facts, source[0], choice.units[source[0]].unit, start, end):
        return [Doubt(Kind.TWO_UNITS, "duration", source, several.share, factor=several.factor, since=several.since)]
    if start and end and are_zeros(facts, source[0], start, end):
        return [Doubt(Kind.APART, "duration", source, factor=0.0)]
    if fit is None or fit.documents < FEW:
        return _without_an_end(choice, facts, source)
    if not fit.constant and fit.within >= APART and fit.ratio >= LEAST_RATIO:
        return []
    other = None if fit.constant or not (start and end) else _unit_that_fits(facts, source[0], start, end)
    return [Doubt(Kind.APART, "duration", source, factor=fit.ratio, unit=other)]


def _without_an_end(choice: Choice, facts: Facts, source: Source) -> list[Doubt]:
    """Return the doubt about the unit of a field that no end − start has shown, or that of a few calls alone."""
    unit = choice.units[source[0]]
    if unit.known_by not in _ASSUMED:
        return []
    if too_large(facts, source[0], unit.unit):
        return [Doubt(Kind.SIZE, "duration", source, unit="ms" if unit.unit == "s" else "s")]
    if unit.known_by == "name" or unit.unit != "s" or not is_open(facts, source[0]):
        return []
    return [Doubt(Kind.UNIT, "duration", source, unit="h" if median(facts, source[0]) < 1 else None)]


def _unit_that_fits(facts: Facts, path: Path, start: Source, end: Source) -> str | None:
    """Return the one unit in which a stored duration is the talk of the calls: no longer, and no small part of them."""
    fits = {unit: facts.fit(path, unit, start, end) for unit in SECONDS}
    usable = [unit for unit, fit in fits.items() if fit and fit.within >= PROVEN and fit.ratio >= LEAST_RATIO]
    return usable[0] if len(usable) == 1 else None


def _fit(choice: Choice, facts: Facts, stored: Source | None) -> Fit | None:
    """Return how a stored duration agrees with end − start; None where nothing can tell."""
    start, end = choice.usual.get("start_time"), choice.usual.get("end_time")
    if not (start and end and stored):
        return None
    return facts.fit(stored[0], choice.units[stored[0]].unit, start, end)


def _labels(choice: Choice, facts: Facts) -> list[Doubt]:
    """Return the doubts about the fields of type and status."""
    raised = []
    for role in ("call_type", "status"):
        source = choice.usual.get(role)
        if source is None:
            continue
        name, labels = name_of(source[0]), facts.labels(source[0])
        raised += [Doubt(kind, role, source) for kind in _kinds_of_labels(role, name, labels, source[0])]
        if len(labels.counts) == 1 and labels.counts.total() >= FEW:
            other = _varied(choice, facts, role)
            if other or role not in name.ranks:
                raised.append(Doubt(Kind.ONE_LABEL, role, source, other=other))
    return raised


def _varied(choice: Choice, facts: Facts, role: str) -> Source | None:
    """Return a field that was not taken, could play the role, and tells calls apart."""
    taken = {source for sources in choice.roles.values() for source in sources}
    others = (
        one.source
        for one in choice.candidates.get(role, ())
        if one.source not in taken and one.points >= LEAST and len(facts.labels(one.path).counts) > 1
    )
    return next(others, None)


def _kinds_of_labels(role: str, name: Name, labels: Labels, path: Path) -> list[Kind]:
    kinds = []
    in_words = labels.yes_or_no and label_of_boolean(field_name(path[-1]), True)
    standard = all(len(code.split(".")[0]) <= _DIGITS_OF_CODES for code in labels.counts)
    known_code = in_words or (standard and role in name.ranks and name.says(Word.CAUSE, Word.CODE))
    if labels.kinds == {"number"} and not known_code:
        kinds.append(Kind.CODES)
    if labels.yes_or_no_in_words:
        kinds.append(Kind.YES_OR_NO)
    if role == "call_type" and say_no_type(name, labels):
        kinds.append(Kind.UNKNOWN_LABELS)
    if _are_labels_of_another_role(role, labels):
        kinds.append(Kind.OTHER_LABELS)
    return kinds


def _are_labels_of_another_role(role: str, labels: Labels) -> bool:
    other = "status" if role == "call_type" else "call_type"
    return known_share(other, labels.counts) >= PROVEN and known_share(role, labels.counts) < 1 - PROVEN


def _empty(choice: Choice, fields: Fields) -> list[Doubt]:
    """Return the roles that hardly any document fills, but for those that others stand in for."""
    filled = {role: _filled(role, choice.roles.get(role, ()), fields) for role in choice.roles}
    missing = [role for role, part in filled.items() if fields.documents and part <= 1 - EMPTY and role != "start_time"]
    raised = []
    for role in missing:
        better = _not_taken(choice, fields, role)
        if role == "duration" and filled.get("end_time", 0.0) > 1 - EMPTY:
            continue  # it is end − start
        if role == "end_time" and better is None and filled.get("duration", 0.0) > 1 - EMPTY:
            continue  # the duration says as much, and no field could be the end
        source = choice.usual.get(role)
        raised.append(Doubt(Kind.EMPTY, role, source, 1 - filled[role], other=better))
    return raised


def _filled(role: str, sources: tuple[Source, ...], fields: Fields) -> float:
    """Return the share of the documents in which one of the fields holds something readable, as far as is known."""
    counts = [
        _readable(role, source, fields.facts)
        * min(fields.known[path].present if path in fields.known else 0 for path in source)
        for source in sources
    ]
    return min(sum(counts) / fields.documents, 1.0) if fields.documents else 0.0


def _readable(role: str, source: Source, facts: Facts) -> float:
    """Return the share of a field's values that can be read; 1 where the sample has none."""
    if source[0] not in facts.paths or role in ("call_type", "status"):
        return 1.0
    if role == "duration":
        numbers = facts.numbers(source[0])
        return share(numbers.known, numbers.filled)
    return facts.times(source).readable


def _not_taken(choice: Choice, fields: Fields, role: str) -> Source | None:
    """Return the best field that is called like a role and was not taken."""
    for one in choice.candidates.get(role, ()):
        taken = any(one.source == source for sources in choice.roles.values() for source in sources[:1])
        named = one.name.strengths[role] >= Strength.WEAK and not one.name.says(Word.PERSONAL)
        if not taken and one.present and named and not _is_another(one, role, fields):
            return one.source
    return None


def _is_another(one: Candidate, role: str, fields: Fields) -> bool:
    """Return whether values say that a field is another: no times for an end, such as `hangup_cause`, or no numbers."""
    if role == "duration" and one.name.strengths[role] < Strength.WORDS and fields.seen(one.path):
        return _readable(role, one.source, fields.facts) < 0.5
    if not role.endswith("_time") or role in one.name.ranks or not fields.seen(one.path):
        return False
    return fields.facts.times(one.source).readable < 0.5 and not one.name.says(Word.TIME)
