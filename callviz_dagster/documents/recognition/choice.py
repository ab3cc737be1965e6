"""Which fields play which roles: start, end, duration and its unit as the set that fits together best. Pure.

What belongs elsewhere: what speaks for one field by itself (`recognition/candidates.py`), what durations say of their
unit (`recognition/units.py`), type and status (`recognition/label_choice.py`), what is doubtful of the choice
(`recognition/doubts.py`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from callviz_dagster.documents.recognition.candidates import (
    RECORD_CONFIRMED,
    Candidate,
    Fields,
    confirmed_record,
    duration_candidates,
    end_candidates,
    is_later,
    start_candidates,
)
from callviz_dagster.documents.recognition.decision import Choice, Standing, Unit
from callviz_dagster.documents.recognition.facts import Facts, Source, share
from callviz_dagster.documents.recognition.label_choice import choose_labels
from callviz_dagster.documents.recognition.names import Strength, name_of
from callviz_dagster.documents.recognition.units import too_large, unit_by_data
from callviz_dagster.documents.recognition.vocabulary import Word
from callviz_dagster.documents.walker import Path

_LATER = -6.0
"""What it takes away from a time that only calls reach that were answered."""
_STAYS = 6.0
"""What it adds that a field played the role in the table published last: more than a better name does, and less than
values that cannot be read or contradict other times take away."""
_LIMIT = 30.0
"""What it takes away that a duration is the same for all calls, however long they are."""
_CONTRADICTED = 8.0
"""What it takes away that a duration is longer than end − start in most calls, or a small part of it, and not the same
multiple in all: that would be a matter of the unit."""
_PROVEN = 12.0
"""What it adds to a time whose name says nothing of an end that a stored duration leads to it from the start, call by
call: more than a better name does."""
_COARSE = {"min": 0.1, "h": 0.2}
"""What it takes away that a unit is coarser than that of a field that says the same."""
_MOST = 8
"""Candidates of each role that are tried together."""
_LEAST = {"start_time": -12.0, "end_time": -6.0, "duration": 0.0}
"""Candidates with fewer points are not tried."""
_GAP = 0.5
"""Fewer points between two candidates do not tell them apart."""
_NEARLY_ALL = 0.8
_ALL_BUT_ODD, _LONGEST_RINGING = 0.95, 300.0
"""Nearly no call rings for more than five minutes (seconds)."""
_HALF_A_DAY = 12 * 3600.0
_NEAR, _VERY_NEAR = 4 * 3600.0, 120.0
"""Seconds: two times of one call are hours apart at most, and two names of its start minutes."""


@dataclass(frozen=True)
class Wishes:
    """What is known before the data are looked at."""

    fixed: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    """Roles set by hand; an empty tuple where the records have no such field."""
    unit: str | None = None
    """The unit of durations, set by hand."""
    standing: Standing = field(default_factory=Standing)
    """What was chosen the last time; it stays while it fits."""


@dataclass(frozen=True)
class _Set:
    """Start, end and duration that were judged together."""

    points: float
    start: Candidate | None
    end: Candidate | None
    duration: Candidate | None


def choose(fields: Fields, wishes: Wishes | None = None) -> Choice:
    """Choose the fields of all roles.

    Without a sample the decision of the refresh before stands; where there was none, names alone decide.
    """
    wishes = wishes or Wishes()
    facts = fields.facts
    starts, ends, durations = _time_candidates(fields, wishes)
    best = _best_set(facts, starts, ends, durations, wishes)
    candidates = {"start_time": tuple(starts), "end_time": tuple(ends), "duration": tuple(durations)}
    ambiguous = {}
    stands = wishes.standing.roles if not len(facts) else {}
    if best.start and not stands and (rivals := _rivals(best.start, starts)):
        ambiguous["start_time"] = (best.start.source, *rivals)
    roles: dict[str, tuple[Source, ...]] = {
        "start_time": _starts_to_try(facts, best, starts),
        "end_time": _to_try("end_time", facts, best.end, ends),
        "duration": _to_try("duration", facts, best.duration, durations),
    }
    taken = {path for sources in roles.values() for source in sources for path in source}
    labels = choose_labels(fields, wishes.fixed, wishes.standing.roles, taken)
    roles |= labels.roles | dict(stands) | dict(wishes.fixed)
    durations_used = [source[0] for source in roles["duration"]]
    return Choice(
        roles,
        {role: _usual(sources, fields) for role, sources in roles.items() if sources},
        {path: unit_of(facts, path, wishes, best.start, best.end) for path in durations_used},
        {path: facts.two_parts[path] for path in durations_used if path in facts.two_parts},
        candidates | labels.candidates,
        frozenset(wishes.fixed),
        ambiguous | labels.ambiguous,
        bool(stands),
    )


def _time_candidates(fields: Fields, wishes: Wishes) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    fields.facts.two_parts.update(wishes.standing.two_parts)
    starts, ends, durations = start_candidates(fields), end_candidates(fields), duration_candidates(fields)
    starts = _with_relations(fields.facts, starts)
    start, end = (
        _expected(role, candidates, wishes) for role, candidates in (("start_time", starts), ("end_time", ends))
    )
    for one in durations:
        fields.facts.settle_two_parts(one.path, start, end)
    return (
        _with_standing("start_time", starts, wishes.standing),
        _with_standing("end_time", ends, wishes.standing),
        _with_standing("duration", duration_candidates(fields), wishes.standing),
    )


def _expected(role: str, candidates: Sequence[Candidate], wishes: Wishes) -> Source | None:
    """Return what a role is expected to be played by, before start and end are chosen as a set."""
    return next(
        iter([*wishes.fixed.get(role, ()), *(one.source for one in candidates if role not in wishes.fixed)]), None
    )


def _with_standing(role: str, candidates: Sequence[Candidate], standing: Standing) -> list[Candidate]:
    """Return the candidates of a role, best first, with what it adds that one has played it before."""
    before = standing.first(role)
    raised = [dataclasses.replace(one, points=one.points + _STAYS * (one.source == before)) for one in candidates]
    return sorted(raised, key=lambda one: -one.points)


def _with_relations(facts: Facts, starts: list[Candidate]) -> list[Candidate]:
    """Return the candidates for the start with what other times say of them, best first."""
    judged = []
    for one in starts:
        points = one.points
        if one.name.strengths["start_time"] == Strength.RECORD and not one.name.changed and len(facts):
            confirmed = confirmed_record(facts, one, starts)
            points += RECORD_CONFIRMED if confirmed else -2.0 if confirmed is False else 0.0
        judged.append(dataclasses.replace(one, points=points))
    related = [
        dataclasses.replace(
            one,
            points=one.points
            + _LATER * (_is_answer(facts, one, judged) or _is_later_that_day(facts, one, judged))
            - _unfilled(facts, one, judged),
        )
        for one in judged
    ]
    return sorted(related, key=lambda one: -one.points)


def _is_answer(facts: Facts, one: Candidate, starts: list[Candidate]) -> bool:
    """Return whether another time of the call is its start, and this one a moment that only some calls reach."""
    return any(
        other is not one
        and is_later(facts, one, other)
        and (
            other.name.strengths["start_time"] >= Strength.WEAK
            or (other.points > 2 and (one.name.answer or _rang_before(facts, one, other, starts)))
        )
        for other in starts
    )


def _is_later_that_day(facts: Facts, one: Candidate, starts: list[Candidate]) -> bool:
    """Return whether a time of day follows another one of the same date, under a name that says as much.

    The date is that of the first moment: of two times of day, the one that the other follows within half a day.
    """
    return any(
        len(one.source) == len(other.source) == 2
        and one.source[0] == other.source[0]
        and other.name.strengths["start_time"] >= one.name.strengths["start_time"]
        and not other.name.foreign
        and not other.name.says(Word.PLANNED, Word.CHANGED)
        and other.cover >= _ALL_BUT_ODD
        and _follows(facts, other.source, one.source)
        for other in starts
        if other is not one
    )


def _follows(facts: Facts, first: Source, second: Source) -> bool:
    seconds, both = facts.elapsed(first, second)
    return bool(both.any() and np.mean((seconds[both] > 0) & (seconds[both] < _HALF_A_DAY)) >= _ALL_BUT_ODD)


def _rang_before(facts: Facts, one: Candidate, record: Candidate, starts: list[Candidate]) -> bool:
    """Return whether calls rang from when their records were made: minutes before the answer, or until an end alone.

    Calls that have neither the later time nor an end have not begun, and a record made earlier fills their start.
    """
    seconds, both = facts.elapsed(record.source, one.source)
    never_answered = facts.times(record.source).known & ~both
    ends = [other for other in starts if other.name.strengths["end_time"] >= Strength.WORDS]
    ended = any(share(facts.times(end.source).known, never_answered) > 0.5 for end in ends)
    return ended and bool(np.quantile(seconds[both], _ALL_BUT_ODD) <= _LONGEST_RINGING)


def _unfilled(facts: Facts, one: Candidate, starts: list[Candidate]) -> float:
    """Return what it takes away that documents have neither this time nor another that stands in for it."""
    if not len(facts):
        return 0.0
    known = facts.times(one.source).known.copy()
    for other in starts:
        if other.points > 1 and _may_stand_in("start_time", one, other) and _fills(facts, one, other, None):
            known |= facts.times(other.source).known
    return 8.0 * (1 - float(np.mean(known)))


def _best_set(
    facts: Facts, starts: list[Candidate], ends: list[Candidate], durations: list[Candidate], wishes: Wishes
) -> _Set:
    """Return the start, end and duration that fit together best."""
    tried = {
        role: _tried(role, candidates, wishes, len(facts) > 0)
        for role, candidates in (("start_time", starts), ("end_time", ends), ("duration", durations))
    }
    no_end = _missing(ends, "end_time", len(facts) > 0)
    best = _Set(-np.inf, None, None, None)
    for start, end in itertools.product(tried["start_time"], tried["end_time"]):
        if start is None or end is None or start.source != end.source:
            pair = _alone(start, 0.0) + _alone(end, no_end) + _pair_points(facts, start, end)
            best = _best_of(best, _with_duration(facts, _Set(pair, start, end, None), tried["duration"], wishes))
    return best


def _with_duration(facts: Facts, pair: _Set, durations: Sequence[Candidate | None], wishes: Wishes) -> _Set:
    """Return a start and an end with the duration that fits them best; none that is a part of them."""
    used = {path for one in (pair.start, pair.end) if one for path in one.source}
    free = [one for one in durations if one and one.path not in used]
    missing = _missing(free, "duration", len(facts) > 0)
    best = _Set(-np.inf, None, None, None)
    for duration in [*free, None] if None in durations else free:
        points = pair.points + _alone(duration, missing)
        points += _duration_points(facts, duration, pair.start, pair.end, wishes)
        best = _best_of(best, dataclasses.replace(pair, points=points, duration=duration))
    return best


def _best_of(first: _Set, second: _Set) -> _Set:
    """Return the set with more points; of equal ones the first."""
    return second if second.points > first.points + 1e-9 else first


def _tried(role: str, candidates: list[Candidate], wishes: Wishes, sampled: bool) -> list[Candidate | None]:
    if role in wishes.fixed:
        fixed = wishes.fixed[role]
        return [_of(fixed[0], candidates)] if fixed else [None]
    least = _LEAST[role] if sampled else -np.inf
    return [*(one for one in candidates[:_MOST] if one.points > least), None]


def _of(source: Source, candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate of a source; one made up where the source is none."""
    candidate = next((one for one in candidates if one.source == source), None)
    return candidate or Candidate(source, name_of(source[0]), 0, 0.0, 0.0)


def _alone(candidate: Candidate | None, missing: float) -> float:
    return missing if candidate is None else candidate.points


def _missing(candidates: Sequence[Candidate], role: str, sampled: bool) -> float:
    """Return what it costs to leave a role empty: much where a field is called like it, and can be read.

    A field with just the role's name plays it even where nothing in it can be read: `repairs` says so of each call.
    """

    def counts(one: Candidate) -> bool:
        if not sampled or (one.points > 0 and one.cover > 0):
            return one.name.strengths[role] >= Strength.WORDS
        return one.name.strengths[role] == Strength.EXACT and one.points > _LEAST[role]

    return -15.0 if any(counts(one) and not one.name.foreign for one in candidates) else 0.0


def _pair_points(facts: Facts, start: Candidate | None, end: Candidate | None) -> float:
    if start is None:
        return -30.0
    if end is None:
        return 0.0
    seconds, both = facts.elapsed(start.source, end.source)
    if not both.any():
        return 0.0
    seconds = seconds[both]
    backwards = float(np.mean(seconds < 0))
    points = 3.0 * (1 - backwards) - 12.0 * backwards
    if len(seconds) >= 5 and np.mean(seconds == 0) > 0.9:
        points -= 3.0
    return points - (4.0 if np.median(seconds) > 2 * 86_400 else 0.0)


def _duration_points(
    facts: Facts, duration: Candidate | None, start: Candidate | None, end: Candidate | None, wishes: Wishes
) -> float:
    if duration is None or start is None:
        return 0.0
    unit = unit_of(facts, duration.path, wishes, start, end)
    fit = facts.fit(duration.path, unit.unit, start.source, end.source) if end else None
    if fit is None:
        return -3.0 if too_large(facts, duration.path, unit.unit) else 0.0
    points = 4.0 * fit.equal + fit.within - 6.0 * (1 - fit.within)
    points -= _LIMIT * (fit.constant and fit.documents >= 5) + _COARSE.get(unit.unit, 0.0)
    is_another = fit.alike < _NEARLY_ALL and (fit.within < 0.5 or fit.ratio < 0.2)
    points -= _CONTRADICTED * (fit.documents >= 5 and is_another)
    if end and end.name.strengths["end_time"] == Strength.NONE:
        # A time that its name does not call the end is one where a stored duration proves it.
        proven = fit.exact >= 0.9 and fit.documents >= 3 and not duration.name.says(Word.PART, Word.OTHER)
        points += _PROVEN if proven else -12.0
    return points


def unit_of(facts: Facts, path: Path, wishes: Wishes, start: Candidate | None, end: Candidate | None) -> Unit:
    """Return the unit of a field of durations: the one set, or named, or that the data show, or of before, or s."""
    if wishes.unit:
        return Unit(wishes.unit, "setting")
    if named := name_of(path).unit:
        return Unit(named, "name")
    shown = unit_by_data(facts, path, start.source, end.source) if start and end else None
    if shown:
        return Unit(shown, "data")
    if path in wishes.standing.units:
        return Unit(wishes.standing.units[path], "earlier refresh")
    clock = facts.numbers(path).clock
    return Unit("s", "form" if clock.any() and clock.sum() == facts.numbers(path).known.sum() else "default")


def _starts_to_try(facts: Facts, best: _Set, starts: list[Candidate]) -> tuple[Source, ...]:
    """Return the start, and the fields that fill it where it is empty."""
    if best.start is None:
        return ()
    chosen = best.start
    end = best.end.source if best.end else None
    others = [
        one.source
        for one in starts
        if _may_stand_in("start_time", chosen, one) and not one.name.changed and _fills(facts, chosen, one, end)
    ]
    return (chosen.source, *others)


def _may_stand_in(role: str, chosen: Candidate, other: Candidate) -> bool:
    """Return whether the name of a field allows that it plays a role where the chosen one is empty."""
    name = other.name
    if other is chosen or len(other.source) > 1 or len(chosen.source) > 1 or name.foreign or name.says(Word.PLANNED):
        return False
    least = Strength.RECORD if role == "start_time" else Strength.WORDS
    odd = name.strengths[role] < Strength.EXACT and name.says(Word.OTHER, Word.PERSONAL, Word.PART)
    return name.strengths[role] >= least and not odd


def _fills(facts: Facts, chosen: Candidate, other: Candidate, end: Source | None) -> bool:
    """Return whether a time may stand in for the start: near it where both are, and never after the end."""
    seconds, both = facts.elapsed(chosen.source, other.source)
    near = _NEAR if other.name.strengths["start_time"] >= Strength.WORDS else _VERY_NEAR
    if both.any() and np.mean(np.abs(seconds[both]) <= near) < _NEARLY_ALL:
        return False
    if end is not None:
        until_end, both = facts.elapsed(other.source, end)
        if both.any() and np.mean(until_end[both] >= 0) < 0.95:
            return False
    times = facts.times(other.source)
    return not times.filled.any() or times.readable >= 0.5


def _to_try(role: str, facts: Facts, chosen: Candidate | None, candidates: list[Candidate]) -> tuple[Source, ...]:
    """Return a field, and those that stand in for it in documents of another form: that hardly ever have both."""
    if chosen is None:
        return ()
    others = [
        one.source
        for one in candidates
        if _may_stand_in(role, chosen, one) and complementary(facts, chosen.source, one.source)
    ]
    return (chosen.source, *others)


def complementary(facts: Facts, first: Source, second: Source) -> bool:
    """Return whether two fields belong to documents of different forms: hardly any document has both."""
    ours = np.array([value is not None for value in facts.values(first[0])], np.bool_)
    theirs = np.array([value is not None for value in facts.values(second[0])], np.bool_)
    return share(ours, theirs) < 0.5


def _rivals(best: Candidate, candidates: Sequence[Candidate]) -> tuple[Source, ...]:
    """Return other fields as good as the best that stand in other nested documents, where none is in nearly all."""
    if len(best.path) < 2 or len(best.source) > 1:
        return ()
    rivals = [
        one
        for one in candidates
        if one is not best
        and len(one.source) == 1
        and one.path[:-1] != best.path[:-1]
        and abs(best.points - one.points) < _GAP
        and len(one.path) >= 2
    ]
    total = best.present + sum(one.present for one in rivals)
    return tuple(one.source for one in rivals) if best.present < _NEARLY_ALL * total else ()


def _usual(sources: Sequence[Source], fields: Fields) -> Source:
    """Return what plays a role in most documents: the first that half of those have that have any."""
    counts = [min(fields.known[path].present if path in fields.known else 0 for path in source) for source in sources]
    return next(source for source, count in zip(sources, counts, strict=True) if 2 * count >= max(counts))
