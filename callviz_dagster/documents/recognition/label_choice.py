"""Which fields hold the type and the status of a call: known labels among the values count more than the name. Pure.

What belongs elsewhere: times and durations (`recognition/choice.py`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from callviz_dagster.documents.labels import label_of_boolean
from callviz_dagster.documents.recognition.candidates import Candidate, Fields, contains, name_points
from callviz_dagster.documents.recognition.facts import Facts, Source, share
from callviz_dagster.documents.recognition.label_words import are_places, known_share
from callviz_dagster.documents.recognition.names import Name, Strength, name_of
from callviz_dagster.documents.recognition.vocabulary import Word
from callviz_dagster.documents.values import field_name
from callviz_dagster.documents.walker import Path

_YES_OR_NO, _NO_LABEL = -3.0, -8.0
"""A yes or no tells two outcomes apart; without a word for them it tells none."""
LEAST = 3.0
"""A field with fewer points is not taken."""
_EMPTY, _TOO_MANY, _NUMBERS, _PLACES = -8.0, -20.0, -2.0, -6.0
"""What values are worth that are blank, differ in every call, are numbers, or look like states and countries."""
_KNOWN = 6.0
"""What it is worth that all values are known labels."""
_ONE_FOR_ALL = -4.0
"""One value for all calls tells none from another."""
_ALL_KNOWN = 0.9
"""With this share of known labels, values speak of a role though the name does not."""
_MOST_LABELS = 40
"""With more labels than this, or a different one in every second document, a field holds no labels."""


@dataclass
class LabelChoice:
    """The fields of type and status."""

    roles: dict[str, tuple[Source, ...]] = field(default_factory=dict)
    candidates: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    ambiguous: dict[str, tuple[Source, ...]] = field(default_factory=dict)


def choose_labels(
    fields: Fields,
    fixed: Mapping[str, tuple[Source, ...]],
    before: Mapping[str, tuple[Source, ...]],
    taken: Collection[Path],
) -> LabelChoice:
    """Choose the fields of type and status; `taken` are fields that play another role."""
    choice = LabelChoice()
    used = {path for candidates in fixed.values() for source in candidates for path in source} | set(taken)
    for role in ("call_type", "status"):
        candidates = [one for one in label_candidates(fields, role) if one.path not in used or role in fixed]
        choice.candidates[role] = tuple(candidates)
        choice.roles[role] = () if role in fixed else _chosen(role, candidates, fields.facts, before.get(role, ()))
        used |= {path for source in choice.roles[role][:1] for path in source}
    return choice


def _chosen(role: str, candidates: list[Candidate], facts: Facts, before: tuple[Source, ...]) -> tuple[Source, ...]:
    """Return the best of the candidates, or the one of before where it is still usable, and those that stand in."""
    usable = [one for one in candidates if one.points >= LEAST or not len(facts)]
    stays = [one for one in usable if one.source in before[:1]]
    chosen = next(iter([*stays, *usable]), None)
    if chosen is None:
        return ()
    others = [one for one in candidates if _stands_in(role, facts, chosen, one)]
    return (chosen.source, *(one.source for one in others))


def _stands_in(role: str, facts: Facts, chosen: Candidate, other: Candidate) -> bool:
    """Return whether a field is the role's in documents of another form: hardly any document has both."""
    if other is chosen or (other.points < LEAST and other.name.strengths[role] < Strength.EXACT):
        return False
    ours, theirs = facts.labels(chosen.path).filled, facts.labels(other.path).filled
    return other.name.strengths[role] != Strength.NONE and share(ours, theirs) < 0.5


def label_candidates(fields: Fields, role: str) -> list[Candidate]:
    """Return the fields that could hold the labels of a role, best first."""
    candidates = []
    for path, name, stored in fields.named():
        strength = name.strengths[role]
        by_values = fields.seen(path) and _may_be_by_values(fields.facts, path, role, name)
        if (strength == Strength.NONE and not by_values) or _inside_another(fields, path, role):
            continue
        points = name_points(name, strength, role) + _words_points(name, role)
        cover = fields.cover(path)
        if contains(fields, path):
            points -= 20.0
        elif fields.seen(path):
            cover = float(np.mean(fields.facts.labels(path).filled))
            points += _value_points(fields.facts, path, role, name, strength)
        points -= 3.0 * (1 - cover)
        candidates.append(Candidate((path,), name, stored.present, cover, points))
    return sorted(_varied_first(candidates, fields, role), key=lambda one: -one.points)


def _may_be_by_values(facts: Facts, path: Path, role: str, name: Name) -> bool:
    """Return whether a field without the role's name may hold its labels, as far as its values say."""
    labels = facts.labels(path)
    if role == "status":
        return name.strengths["call_type"] >= Strength.WEAK or (labels.yes_or_no and name.answer)
    return 1 < len(labels.counts) <= _MOST_LABELS and known_share(role, labels.counts) >= _ALL_KNOWN


def _varied_first(candidates: list[Candidate], fields: Fields, role: str) -> list[Candidate]:
    """Put the field that tells calls apart before those that are the same for all of them.

    Where its values are known labels, before all of these; else before those whose single label nobody knows.
    """
    labels_of = {one.path: fields.facts.labels(one.path) for one in candidates if fields.seen(one.path)}
    known = {path: known_share(role, labels.counts) for path, labels in labels_of.items()}
    varied = {path for path, labels in labels_of.items() if len(labels.counts) > 1}
    best = _best_varied([one for one in candidates if one.path in varied and one.points > 0], known, role)
    if best is None:
        return candidates
    most = 1.0 if known[best.path] >= _ALL_KNOWN else 0.0
    alike = {path for path in labels_of.keys() - varied if known[path] <= most}
    lower = [_with_at_most(one, best.points - 1) if one.path in alike else one for one in candidates]
    return [dataclasses.replace(best, points=max(best.points, LEAST)), *(one for one in lower if one is not best)]


def _best_varied(varied: list[Candidate], known: Mapping[Path, float], role: str) -> Candidate | None:
    """Return the best of several fields whose values are known labels of a role; else of those with the role's name."""
    well_known = [one for one in varied if known[one.path] >= _ALL_KNOWN]
    return max(
        well_known or [one for one in varied if role in one.name.ranks], key=lambda one: one.points, default=None
    )


def _with_at_most(candidate: Candidate, points: float) -> Candidate:
    return dataclasses.replace(candidate, points=min(candidate.points, points))


def _inside_another(fields: Fields, path: Path, role: str) -> bool:
    """Return whether, as far as names alone say, a field is part of a role's label, such as `status.name`."""
    return not len(fields.facts) and len(path) > 1 and role in name_of(path[:-1]).ranks


def _words_points(name: Name, role: str) -> float:
    """Return what other words of a name take away: `record_type`, `status_code`, `callback_status`, `ended_by`."""
    if role in name.ranks:
        return 0.0
    points = 0.0
    if name.says(Word.DURATION, Word.PART, Word.CHANGED, Word.MADE):
        points -= 6.0
    if role == "call_type" and name.says(Word.END, Word.STATUS, Word.OUTCOME, Word.CAUSE):
        points -= 4.0
    if name.says(Word.CODE):
        points -= 1.0
    if role == "status" and name.says(Word.TIME):
        points -= 6.0
    if role == "status" and name.strengths["status"] == Strength.NONE:
        points += 3.0  # called like a type, and judged by its values alone
    elif role == "status" and not name.says(Word.STATUS, Word.OUTCOME):
        points -= 1.0
    return points + (0.5 if name.says(Word.CALL) else 0.0)


def _value_points(facts: Facts, path: Path, role: str, name: Name, strength: Strength) -> float:
    labels = facts.labels(path)
    total = labels.counts.total()
    if not total:
        return _EMPTY
    if len(labels.counts) > min(_MOST_LABELS, max(total / 2, 3)):
        return _TOO_MANY
    known = known_share(role, labels.counts)
    points = _KNOWN * known
    if len(labels.counts) == 1 and total >= 5:
        points = _ONE_FOR_ALL + (_KNOWN * known if strength > Strength.NONE else 0.0)
    if labels.yes_or_no:
        means = label_of_boolean(field_name(path[-1]), True)
        return points + _YES_OR_NO if means and known_share(role, Counter([means])) else _NO_LABEL
    points += _NUMBERS if labels.kinds == {"number"} else 0.0
    points += _PLACES if are_places(labels.counts) else 0.0
    if strength == Strength.NONE:
        points -= 8.0 if known < 0.8 else 0.0
        points -= _KNOWN * known_share("call_type", labels.counts) if role == "status" else 0.0
    return points
