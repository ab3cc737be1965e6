"""The fields that could play a role, and how much speaks for each by itself: its name, and what it holds. Pure.

Points are added up; a name alone is worth at most ten, so what the data say plainly outweighs it. What belongs
elsewhere: fields judged together (`recognition/choice.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from callviz_dagster.documents import walker as el
from callviz_dagster.documents.profile import Field
from callviz_dagster.documents.recognition.facts import Facts, Numbers, Source, share
from callviz_dagster.documents.recognition.names import Name, Strength, name_of, words
from callviz_dagster.documents.recognition.vocabulary import UNIT_OF, Word
from callviz_dagster.documents.values import field_name
from callviz_dagster.documents.walker import REPEAT, Path

POINTS = {Strength.EXACT: 10.0, Strength.WORDS: 8.0, Strength.WEAK: 5.0, Strength.RECORD: 2.0, Strength.NONE: 1.0}
"""What a name is worth."""
RECORD_CONFIRMED = 4.0
"""What it adds that the record was made shortly before the answer or the end, document after document: more than a
weak name is worth, less than a name with the role's words."""
_FOREIGN, _UNREADABLE, _CONTAINER, _MISSING, _RARE = -6.0, -10.0, -20.0, -5.0, -6.0
_ROUNDED = 6.0
"""What it takes away that another field says the same in a finer unit."""
_DEEPEST = 4
_UNNAMED_END = 5.0
"""What it takes away that a time is not called an end: only a stored duration makes it one."""
_ONE_VALUE = frozenset({b"$date", b"seconds", b"_seconds", b"nanos", b"nanoseconds", b"_nanoseconds"})
_SEEN = 5
"""Documents of the sample that a field should be in, so that its absence says that its values are blank."""
_CROWDED = 0.3
"""More than this share of times in seconds that many documents share were written by a machine in one go."""
_NEARLY_ALL, _SOON, _LATER = 0.95, 4 * 3600.0, 3600.0
"""A record is made at most hours before its call ends; a call is answered within an hour of its start."""
_LATE_CLOCK = 3 * 3600.0
"""Seconds: half of all calls are shorter than three hours, and half of all times of day are later than 03:00."""
_NO_TIMES = (Word.CAUSE, Word.STATUS, Word.TYPE, Word.DIRECTION, Word.CODE, Word.DURATION, Word.PERSONAL)
"""What a name speaks of whose values, unseen, are no times: `hangup_cause`."""
_UTC = frozenset({"utc", "gmt"})
_UNANSWERED = 0.05
"""Fewer documents that lack a field are odd ones; as many are calls that never came so far."""


@dataclass(frozen=True)
class Candidate:
    """A field that could play a role, or two fields that do together."""

    source: Source
    name: Name
    present: int
    """Documents of the collection in which it holds something."""
    cover: float
    """Share of the documents in which it can be read."""
    points: float

    @property
    def path(self) -> Path:
        """The field, or the one of two that holds the date."""
        return self.source[0]


@dataclass
class Fields:
    """The fields of a collection with what is known of them."""

    known: Mapping[Path, Field]
    documents: int
    facts: Facts
    hidden: frozenset[Path] = frozenset()
    """Fields whose values are not in the sample because they are pseudonymized."""

    @cached_property
    def one_value(self) -> frozenset[Path]:
        """Nested documents that stand for one time or duration, such as `{seconds, nanos}`."""
        children: dict[Path, set[bytes]] = {}
        for path in self.known:
            children.setdefault(path[:-1], set()).add(path[-1])
        return frozenset(path for path, names in children.items() if path and names <= _ONE_VALUE)

    def named(self) -> list[tuple[Path, Name, Field]]:
        """Return the fields that can be candidates at all."""
        return [
            (path, name_of(path), stored)
            for path, stored in self.known.items()
            if stored.present
            and (path not in self.hidden or name_of(path).ranks)
            and path[:-1] not in self.one_value
            and len(path) <= _DEEPEST
            and path[0] != b"_id"
            and not any(REPEAT in part for part in path)
        ]

    def cover(self, path: Path) -> float:
        """Return the share of the documents that have a field; all of them where names alone decide."""
        if not len(self.facts):
            return 1.0
        return min(self.known[path].present / self.documents, 1.0) if self.documents and path in self.known else 0.0

    def seen(self, path: Path) -> bool:
        """Return whether the sample says something of a field: it has a value, or would have one if any did."""
        if path in self.facts.paths:
            return True
        if path in self.hidden:
            return False
        return len(self.facts) * self.known[path].present >= _SEEN * self.documents > 0


def contains(fields: Fields, path: Path) -> bool:
    """Return whether most values of a field are documents or arrays, which are not what a role needs."""
    stored = fields.known[path]
    if path in fields.one_value and len(fields.facts):
        return False
    containers = sum(stored.types.get(kind, 0) for kind in (el.FLATTENED, el.DOCUMENT, el.ARRAY))
    return 2 * containers > stored.present


def name_points(name: Name, strength: Strength, role: str) -> float:
    """Return what a name is worth, where it stands and what else it speaks of."""
    points = POINTS[strength] - name.depth - 0.5 * min(name.unknown, 2)
    points -= 0.02 * name.ranks.get(role, 0) + 0.01 * (name.order if strength < Strength.WORDS else 0)
    if name.foreign or (role not in name.ranks and name.says(Word.OTHER, Word.PERSONAL)):
        points += _FOREIGN
    return points + (_FOREIGN if name.says(Word.PLANNED) else 0.0)


def start_candidates(fields: Fields) -> list[Candidate]:
    """Return the fields that hold times, or are called like a start time, best first."""
    candidates = []
    for path, name, stored in fields.named():
        strength = name.strengths["start_time"]
        if not _is_time(fields, path, strength, stored):
            continue
        points = name_points(name, strength, "start_time")
        if name.strengths["end_time"] >= Strength.WORDS and strength < Strength.EXACT:
            points -= 9.0
        if name.answer:
            points -= 3.0
        if name.changed:
            points -= 4.0
        if name.says(Word.PART, Word.DURATION) and not name.says(Word.MAYBE_START, Word.START):
            points -= 4.0
        candidates.append(_time_candidate(fields, (path,), name, stored, points))
    candidates = _utc_first([*candidates, *_joined(fields, candidates, "start_time")], fields.facts)
    return sorted(candidates, key=lambda one: -one.points)


def end_candidates(fields: Fields) -> list[Candidate]:
    """Return the fields that hold times and are not called like something else, best first."""
    candidates = []
    for path, name, stored in fields.named():
        strength = name.strengths["end_time"]
        if not _is_time(fields, path, strength, stored) or name.says(Word.MADE, Word.CHANGED):
            continue
        points = name_points(name, strength, "end_time") - (0.0 if strength else _UNNAMED_END)
        if strength == Strength.NONE and (name.strengths["start_time"] >= Strength.WORDS or name.answer):
            points -= 9.0
        if name.says(Word.PART) and "end_time" not in name.ranks:
            points -= 6.0
        candidates.append(_time_candidate(fields, (path,), name, stored, points))
    candidates = _utc_first([*candidates, *_joined(fields, candidates, "end_time")], fields.facts)
    return sorted(candidates, key=lambda one: -one.points)


def _utc_first(candidates: list[Candidate], facts: Facts) -> list[Candidate]:
    """Put `startUtc` before `start`, which is local time, where no setting says of which time zone."""
    if facts.zone != "UTC":
        return candidates
    local = {_words_without_utc(one): one.points for one in candidates if not _says_utc(one)}
    return [
        replace(one, points=max(one.points, local.get(_words_without_utc(one), -math.inf) + 0.5))
        if _says_utc(one)
        else one
        for one in candidates
    ]


def _says_utc(candidate: Candidate) -> bool:
    return any(not _UTC.isdisjoint(words(field_name(path[-1]))) for path in candidate.source)


def _words_without_utc(candidate: Candidate) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    """Return the words of a candidate's fields, so that a time in UTC and the same local time are alike."""
    return tuple(
        (path[:-1], tuple(word for word in words(field_name(path[-1])) if word not in _UTC))
        for path in candidate.source
    )


def _is_time(fields: Fields, path: Path, strength: Strength, stored: Field) -> bool:
    """Return whether a field is a candidate for a time: by its name, or because it holds times."""
    if fields.seen(path):
        readable = fields.facts.times((path,)).readable
        return readable >= 0.5 or (strength >= Strength.WEAK and not fields.facts.clocks(path).any())
    name = name_of(path)
    other = not {"start_time", "end_time"} & set(name.ranks) and name.says(*_NO_TIMES)
    return (strength > Strength.NONE and not other) or (len(fields.facts) > 0 and el.DATE in stored.types)


def _time_candidate(fields: Fields, source: Source, name: Name, stored: Field, points: float) -> Candidate:
    facts = fields.facts
    if contains(fields, source[0]):
        return Candidate(source, name, stored.present, 0.0, points + _CONTAINER)
    if not fields.seen(source[0]):
        cover = fields.cover(source[0])
        return Candidate(source, name, stored.present, cover, points + _MISSING * (1 - cover))
    times = facts.times(source)
    cover = float(np.mean(times.known))
    points += (
        _MISSING * (1 - cover)
        + _UNREADABLE * (1 - times.readable)
        + (_RARE if np.mean(times.filled) < _UNANSWERED else 0.0)
    )
    points -= 3.0 * (share(times.midnight, times.known) > 0.9)
    if (crowded := facts.crowded(source)) > _CROWDED:
        points -= 6.0 * crowded
    points -= 8.0 * (1 - facts.plausible(source)) if times.known.any() else 0.0
    return Candidate(source, name, stored.present, cover, points)


def _joined(fields: Fields, singles: list[Candidate], role: str) -> list[Candidate]:
    """Return the pairs of a date and a time of day that stand in one document and together are times."""
    seen = [path for path, _, _ in fields.named() if fields.seen(path)]
    days = [path for path in seen if _is_a_date(fields.facts, path)]
    clocks = [path for path in seen if path not in days and _is_a_clock(fields.facts, path)]
    pairs = []
    for clock in clocks:
        beside = [day for day in days if day[:-1] == clock[:-1]]
        if beside:
            pairs.append(_pair(fields, max(beside, key=lambda day: _alike(day, clock)), clock, role))
    return [pair for pair in pairs if pair]


def _is_a_date(facts: Facts, path: Path) -> bool:
    """Return whether a field holds dates without a time of day."""
    times = facts.times((path,))
    return times.readable >= 0.9 and share(times.midnight, times.known) > 0.9


def _is_a_clock(facts: Facts, path: Path) -> bool:
    """Return whether a field holds times of day, and is not called like a duration."""
    name = name_of(path)
    if name.strengths["duration"] >= Strength.WORDS and not name.says(Word.CALL, Word.START, Word.END):
        return False
    return share(facts.clocks(path), facts.numbers(path).filled) >= 0.9


def _pair(fields: Fields, day: Path, clock: Path, role: str) -> Candidate | None:
    """Return a date and a time of day as one candidate; None where they are no times together, or not of the role."""
    name = max(name_of(clock), name_of(day), key=lambda one: one.strengths[role])
    strength = name.strengths[role]
    read = fields.facts.times((day, clock))
    if read.readable < 0.9 or (role == "end_time" and strength < Strength.WORDS):
        return None
    points = name_points(name, strength, role) + 2.0 + 0.1 * _alike(day, clock)
    points -= 9.0 * (role == "start_time" and name.strengths["end_time"] >= Strength.WORDS)
    present = min(fields.known[day].present, fields.known[clock].present)
    cover = float(np.mean(read.known))
    return Candidate((day, clock), name, present, cover, points + _MISSING * (1 - cover))


def _alike(day: Path, clock: Path) -> int:
    """Return how many letters two names have in common at their beginning and end."""
    first, second = day[-1].lower(), clock[-1].lower()
    ahead = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return ahead - abs(len(first) - len(second))


def duration_candidates(fields: Fields) -> list[Candidate]:
    """Return the fields that are called like a duration and hold numbers, best first."""
    candidates, split = [], _split_durations(fields)
    for path, name, stored in fields.named():
        if name.strengths["duration"] == Strength.NONE or _is_a_time(fields, path, name):
            continue
        cover, points = _length_points(fields, path)
        points += _length_name_points(name) - (10.0 if path in split else 0.0)
        candidates.append(Candidate((path,), name, stored.present, cover, points))
    candidates = [
        replace(one, points=one.points - _ROUNDED) if _is_rounded(fields, one, candidates) else one
        for one in candidates
    ]
    return sorted(candidates, key=lambda one: -one.points)


def _is_rounded(fields: Fields, one: Candidate, others: list[Candidate]) -> bool:
    """Return whether a field holds the minutes of another that holds the seconds: `Duration` 2 beside 75."""
    if not fields.seen(one.path):
        return False
    minutes = fields.facts.numbers(one.path)
    for other in others:
        seconds = fields.facts.numbers(other.path)
        both = minutes.known & seconds.known & (seconds.values > 0) & ~minutes.clock & ~seconds.clock
        near = np.abs(minutes.values * 60 - seconds.values) < 60
        larger = seconds.values > 60
        if np.count_nonzero(both & larger) >= _SEEN and share(near, both) >= _NEARLY_ALL:
            return True
    return False


def longer_beside(facts: Facts, path: Path, candidates: Sequence[Candidate]) -> Source | None:
    """Return a field that is never shorter than a duration, and longer for most calls: it may be the whole call."""
    name, taken = name_of(path), facts.numbers(path)
    for one in candidates:
        longer = facts.numbers(one.path)
        both = taken.known & longer.known & (longer.values > 0) & (taken.clock == longer.clock)
        another = one.path == path or one.name.unit != name.unit or one.name.says(Word.PART, Word.PLANNED, Word.OTHER)
        if (
            not another
            and np.count_nonzero(both) >= _SEEN
            and share(taken.values <= longer.values, both) >= _NEARLY_ALL
            and share(taken.values < longer.values, both) > 0.5
        ):
            return one.source
    return None


def _length_name_points(name: Name) -> float:
    """Return what the name of a duration is worth."""
    points = name_points(name, name.strengths["duration"], "duration") + (1.0 if name.says(Word.TOTAL) else 0.0)
    if "duration" in name.ranks:
        return points
    points -= 6.0 if name.says(Word.TYPE, Word.START, Word.END, Word.CAUSE) else 0.0
    if name.says(Word.PART):
        return points - 8.0
    return points - 3.0 if name.talk else points


def _length_points(fields: Fields, path: Path) -> tuple[float, float]:
    """Return the share of the documents in which a field is a duration, and what its values are worth."""
    if contains(fields, path):
        return fields.cover(path), _CONTAINER
    if not fields.seen(path):
        return fields.cover(path), -2.0 * (1 - fields.cover(path))
    numbers = fields.facts.numbers(path)
    cover = float(np.mean(numbers.known))
    points = _UNREADABLE * (1 - share(numbers.known, numbers.filled)) - 2.0 * (1 - cover)
    points -= 6.0 * share(numbers.values < 0, numbers.known)
    points -= 10.0 if _are_times_of_day(numbers) else 0.0
    only_zeros = numbers.known.any() and not numbers.values[numbers.known].any()
    return cover, points - (4.0 if only_zeros else 0.0)


def _are_times_of_day(numbers: Numbers) -> bool:
    """Return whether values such as `07:51:51` are too long for calls, so that they say when and not how long."""
    clocks = numbers.values[numbers.known & numbers.clock]
    return len(clocks) > 0 and float(np.median(clocks)) > _LATE_CLOCK


def _split_durations(fields: Fields) -> set[Path]:
    """Return fields that hold one duration together: whole hours in one, the minutes beyond them in another."""
    by_unit: dict[tuple[Path, tuple[str, ...]], dict[str, Path]] = {}
    for path, name, stored in fields.named():
        if name.strengths["duration"] and name.unit in ("h", "min", "s") and stored.present:
            stem = tuple(word for word in words(field_name(path[-1])) if word not in UNIT_OF)
            by_unit.setdefault((path[:-1], stem), {})[name.unit] = path
    return {
        path
        for (_, stem), path_of_unit in by_unit.items()
        if stem
        and len(path_of_unit) > 1
        and not ("s" in path_of_unit and len(path_of_unit) == 2 and "min" in path_of_unit)
        for path in path_of_unit.values()
    }


def _is_a_time(fields: Fields, path: Path, name: Name) -> bool:
    """Return whether a field called like a duration, such as `start_time_unix_secs`, holds times."""
    if name.says(Word.DURATION):
        return False
    stored = fields.known[path]
    if not fields.seen(path):
        return el.DATE in stored.types or "start_time" in name.ranks or "end_time" in name.ranks
    return fields.facts.times((path,)).readable > 0.5


def confirmed_record(facts: Facts, candidate: Candidate, others: list[Candidate]) -> bool | None:
    """Return whether a record was made when its call began: shortly before another time, document after document.

    Returns:
        None where there is no other time to compare with.
    """
    compared = False
    if facts.crowded(candidate.source) > _CROWDED:
        return False
    for other in others:
        if other.source == candidate.source or other.name.says(Word.MADE, Word.CHANGED, Word.PLANNED):
            continue
        seconds, both = facts.elapsed(candidate.source, other.source)
        if np.count_nonzero(both) == 0 or other.name.foreign:
            continue
        compared = True
        if np.mean(seconds[both] >= -1.0) >= _NEARLY_ALL and np.median(seconds[both]) <= _SOON:
            return True
    return False if compared else None


def is_later(facts: Facts, candidate: Candidate, other: Candidate) -> bool:
    """Return whether `candidate` is a later moment of the call than `other`, and one that not all calls reach."""
    if other.name.says(Word.CHANGED, Word.PLANNED) or other.name.foreign or other.points < 0:
        return False
    seconds, both = facts.elapsed(other.source, candidate.source)
    earlier = facts.times(other.source).known
    if not both.any() or np.mean(earlier) < _NEARLY_ALL:
        return False
    return bool(
        share(~both, earlier) >= _UNANSWERED
        and np.mean(seconds[both] >= 0) >= 0.98
        and np.median(seconds[both]) <= _LATER
    )
