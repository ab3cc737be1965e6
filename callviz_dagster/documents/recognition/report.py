"""A choice in words for people: a row for each role, and a sentence with the lines to paste for each doubt. Pure.

What belongs elsewhere: how it is shown (`assets/checks.py`, `fields.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from callviz_dagster.documents.recognition.candidates import Candidate, Fields, is_later
from callviz_dagster.documents.recognition.decision import Choice, Standing
from callviz_dagster.documents.recognition.doubts import REFUSED, Doubt, Kind, date_orders
from callviz_dagster.documents.recognition.facts import Facts, Source, share
from callviz_dagster.documents.recognition.names import Strength
from callviz_dagster.documents.recognition.vocabulary import Word
from callviz_dagster.documents.values import plain_path

ROLE_NAMES = {
    "start_time": "start time",
    "end_time": "end time",
    "duration": "duration",
    "call_type": "call type",
    "status": "status",
}
_MOST = 4
"""Candidates that are named, and as many again whose values can play no role."""
_PREFIX = "CALLVIZ_FIELD_"
_NO_MOMENTS = (
    *(Word.CAUSE, Word.STATUS, Word.TYPE, Word.DIRECTION, Word.CODE, Word.OTHER, Word.PERSONAL),
    *(Word.DURATION, Word.PART, Word.TALK),
)
"""What a name speaks of that says nothing of when: `started_by`."""
_HALF = 0.5
"""A field of which fewer values can be read holds something else."""


@dataclass(frozen=True)
class Other:
    """A field that could have played a role and was not taken."""

    field: str
    example: str
    """One of its values; empty where none may be shown."""
    reason: str

    def __str__(self) -> str:
        example = f" (for example {self.example})" if self.example else ""
        return f"{self.field}{example}: {self.reason}"


@dataclass(frozen=True)
class RoleRow:
    """How a role is played, as a row of a table."""

    role: str
    field: str
    share: str
    """Of the documents, those in which it holds something."""
    unit: str
    known_by: str
    not_taken: tuple[Other, ...]
    examples: str
    setting: str
    """The line that keeps this choice; a comment where nothing is to be set."""

    @property
    def line(self) -> str:
        """The row as one line of a log."""
        unit = f", {self.unit}" if self.unit else ""
        text = f"{self.role}: {self.field or 'no field'}{unit}"
        if self.field:
            text += f" (in {self.share} of the documents, {self.known_by})"
        others = "; ".join(f"{one.field}: {one.reason}" for one in self.not_taken)
        return text + (f"; not taken: {others}" if others else "")


def shown(source: Source) -> str:
    """Return what plays a role as settings name it."""
    return "+".join(plain_path(path) for path in source)


def fields_in_words(sources: Sequence[Source]) -> str:
    """Return the fields that play a role, in the order in which they are tried."""
    return ", or where it is empty ".join(map(shown, sources))


def setting_line(role: str, source: Source | None) -> str:
    """Return the line that sets the field of a role by hand."""
    return f"{_PREFIX}{role.upper()}={shown(source) if source else 'none'}"


def role_rows(choice: Choice, fields: Fields) -> list[RoleRow]:
    """Return a row for each role."""
    return [_role_row(role, choice, fields) for role in ROLE_NAMES]


def _role_row(role: str, choice: Choice, fields: Fields) -> RoleRow:
    sources = choice.roles.get(role, ())
    facts = fields.facts
    not_taken = tuple(
        Other(shown(one.source), example_of(one.source, facts), reason(one, role, choice, facts))
        for one in _others(choice, role, facts)
    )
    if not sources:
        return RoleRow(role, "", "", "", "", not_taken, "", setting_line(role, None))
    return RoleRow(
        role,
        fields_in_words(sources),
        f"{_share(sources, fields):.0%}",
        _units(choice, sources) if role == "duration" else "",
        _known_by(choice, role, fields),
        not_taken,
        ", ".join(facts.examples(sources[0])),
        _keeping_line(role, sources),
    )


def _units(choice: Choice, sources: Sequence[Source]) -> str:
    """Return the unit of a field of durations and how it is known; of several fields, each where they differ."""
    units = {source: choice.units[source[0]] for source in sources if source[0] in choice.units}
    texts = {source: f"{unit.unit} (by {unit.known_by})" for source, unit in units.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{shown(source)} in {text}" for source, text in texts.items())


def _keeping_line(role: str, sources: Sequence[Source]) -> str:
    """Return the line that keeps a choice; a comment where several fields are tried, which no setting can name."""
    if len(sources) == 1:
        return setting_line(role, sources[0])
    return f"# {_PREFIX}{role.upper()} names one field: leave it unset to keep {fields_in_words(sources)}"


def role_changes(standing: Standing, choice: Choice) -> list[str]:
    """Return which roles are played by another field than the last time, or read in another unit, in words."""
    changes = []
    for role, name in ROLE_NAMES.items() if standing.roles else ():
        before, now = standing.first(role), next(iter(choice.roles.get(role, ())), None)
        if before != now:
            fields = [f"the field {shown(source)}" if source else "no field" for source in (before, now)]
            changes.append(f"the {name} is taken from {fields[1]} and was taken from {fields[0]} before")
        elif before and before[0] in standing.units and standing.units[before[0]] != choice.units[before[0]].unit:
            now_unit = choice.units[before[0]].unit
            changes.append(f"{shown(before)} is read in {now_unit} and was read in {standing.units[before[0]]} before")
    return changes


def _share(sources: Sequence[Source], fields: Fields) -> float:
    counts = [min(fields.known[path].present if path in fields.known else 0 for path in source) for source in sources]
    return min(sum(counts) / fields.documents, 1.0) if fields.documents else 0.0


def _known_by(choice: Choice, role: str, fields: Fields) -> str:
    if role in choice.by_setting:
        return "by setting"
    if choice.stands:
        return "as in the last refresh"
    source = choice.roles[role][0]
    candidate = next((one for one in choice.candidates.get(role, ()) if one.source == source), None)
    if candidate is None:
        return "by name"
    if len(source) > 1:
        return "date and time of day joined"
    if candidate.name.strengths[role] >= Strength.WORDS:
        return "by name and data" if fields.seen(source[0]) else "by name"
    return "by data"


def _others(choice: Choice, role: str, facts: Facts) -> list[Candidate]:
    """Return the candidates that were not taken and are worth a word, those that cannot play the role last."""
    taken = {source for sources in choice.roles.values() for source in sources}
    named = [
        one
        for one in choice.candidates.get(role, ())
        if one.source not in taken and (one.name.strengths[role] >= Strength.WEAK or one.cover > 0)
    ]
    unusable = [one for one in named if one.name.strengths[role] >= Strength.WEAK and why_unusable(one, role, facts)]
    usable = [one for one in named if one not in unusable and one.points > -12.0 and one.cover > 0]
    return [*usable[:_MOST], *unusable[:_MOST]]


def why_unusable(one: Candidate, role: str, facts: Facts) -> str:
    """Return why the values of a candidate cannot play a role, or hardly; empty where they can."""
    if not facts.numbers(one.path).filled.any():
        return ""
    if role in ("call_type", "status"):
        labels = facts.labels(one.path)
        return "a yes or no" if labels.yes_or_no or labels.yes_or_no_in_words else ""
    if role == "duration":
        numbers = facts.numbers(one.path)
        return "cannot be read as a duration" if share(numbers.known, numbers.filled) < _HALF else ""
    times = facts.times(one.source)
    named = role in one.name.ranks or (one.name.says(Word.TIME, Word.START) and not one.name.says(*_NO_MOMENTS))
    return "cannot be read as a time" if times.readable < _HALF and named else ""


def reason(one: Candidate, role: str, choice: Choice, facts: Facts) -> str:
    """Return why a candidate was not taken."""
    values = why_unusable(one, role, facts) or _values_against(one, role, facts)
    if values:
        return values
    chosen = _chosen(choice, role)
    if role == "start_time" and chosen and is_later(facts, one, chosen):
        return "a later moment that only some calls reach"
    name = one.name
    against = [
        (name.foreign or name.says(Word.OTHER, Word.PERSONAL), "belongs to something else"),
        (name.says(Word.PLANNED), "planned, or a limit"),
        (name.says(Word.CHANGED, Word.MADE) and role.endswith("time"), "names the record's own life"),
        (name.says(Word.PART) and role == "duration", "a part of the call"),
        (name.talk and role == "duration", "the talk alone"),
    ]
    return next((why for holds, why in against if holds), "fits less well")


def _values_against(one: Candidate, role: str, facts: Facts) -> str:
    """Return what the values of a candidate say against it."""
    if role in ("call_type", "status"):
        return "one value for all calls" if len(facts.labels(one.path).counts) == 1 else ""
    if role == "duration":
        return ""
    times = facts.times(one.source)
    if facts.crowded(one.source) > 0.5:
        return "many documents share its second"
    return "a date without a time of day" if share(times.midnight, times.known) > 0.9 else ""


def _chosen(choice: Choice, role: str) -> Candidate | None:
    source = next(iter(choice.roles.get(role, ())), None)
    return next((one for one in choice.candidates.get(role, ()) if one.source == source), None)


def about_the_start(choice: Choice, fields: Fields) -> str:
    """Return what the start time is taken from, and the lines that take it from another field or settle its dates."""
    source = choice.usual.get("start_time")
    if source is None:
        return ""
    text = f"The start time is taken from {shown(source)}{_in_brackets(source, fields.facts)}."
    others = [one for one in _others(choice, "start_time", fields.facts) if one.cover > 0]
    if others:
        times = ", ".join(shown(one.source) + _in_brackets(one.source, fields.facts) for one in others)
        lines = " or ".join(setting_line("start_time", one.source) for one in others)
        text += f" Other fields that hold times: {times}. Set {lines}."
    if fields.facts.ambiguous(source[0]):
        lines = " or ".join(f"CALLVIZ_DATE_ORDER={order}" for order in date_orders(source[0], fields.facts))
        text += f" Where day and month could change places, set {lines}."
    return text


def about_implausible(role: str, choice: Choice, fields: Fields) -> str:
    """Return what implausible times or durations are taken from, and what to do about them."""
    facts, source = fields.facts, choice.usual.get(role)
    if role == "start_time":
        lines = [*_better_lines(choice, role, 2, facts), "CALLVIZ_SOURCE_TIMEZONE to the zone of local times"]
        return f"from {shown(source) if source else 'no field'}; set {' or '.join(lines)}, or correct the documents"
    if source:
        unit = choice.units[source[0]].unit
        lines = [f"{_PREFIX}DURATION_UNIT={'ms' if unit == 's' else 's'}", setting_line(role, None)]
        return f"from {shown(source)} in {unit}; set {' or '.join(lines)}, or correct the documents"
    start, end = choice.usual.get("start_time"), choice.usual.get("end_time")
    between = f"from {shown(start)} to {shown(end)}" if start and end else "from no field"
    lines = [*_better_lines(choice, "end_time", 2, facts), setting_line("end_time", None)]
    return f"{between}; set {' or '.join(lines)}, or correct the documents"


def sentence(doubt: Doubt, choice: Choice, facts: Facts) -> str:
    """Return a doubt in one sentence, ending in the lines that settle it."""
    text = _WORDS[doubt.kind].format(
        role=ROLE_NAMES[doubt.role],
        field=shown(doubt.source) if doubt.source else "",
        other=shown(doubt.other) if doubt.other else "",
        share=f"{doubt.share:.0%}",
        factor=f"{doubt.factor:,.4g}",
        example=_in_brackets(doubt.source, facts),
        since=_since(doubt),
        first="year" if doubt.kind is Kind.NOT_DAY_FIRST and not doubt.orders else "month",
    )
    return f"{text} {_remedy(doubt, choice, facts)}"


def _since(doubt: Doubt) -> str:
    if doubt.since is None:
        return ""
    return f", in a stretch that begins on {dt.datetime.fromtimestamp(doubt.since / 1e6, dt.UTC):%Y-%m-%d}"


def example_of(source: Source | None, facts: Facts) -> str:
    """Return one value of what plays a role, of a date and a time of day both; empty where none may be shown."""
    return next(iter(facts.examples(source, 1)), "") if source else ""


def _in_brackets(source: Source | None, facts: Facts) -> str:
    value = example_of(source, facts)
    return f" (for example {value})" if value else ""


_WORDS = {
    Kind.EMPTY: "The {role} is empty or cannot be read in {share} of the documents.",
    Kind.AMBIGUOUS: "More than one field could be the {role}: {field}, {other}.",
    Kind.WEAK_NAME: "The {role} is taken from {field}{example}, a name that says little.",
    Kind.RECORD: "The {role} is taken from {field}{example}, which says when the record was made.",
    Kind.ANSWER: "The {role} is taken from {field}{example}, which says when the call was answered.",
    Kind.FOREIGN: "The {role} is taken from {field}{example}, which may belong to something else than the call.",
    Kind.DATE_ONLY: "The {role} {field}{example} is a date without a time of day in {share} of the documents.",
    Kind.TALK: "The duration is taken from {field}{example}, which may leave out ringing and waiting.",
    Kind.APART: "Stored durations in {field}{example} differ from end − start: they are {factor} times as long in the "
    "middle.",
    Kind.SIZE: "Durations in {field}{example} are too large for calls in this unit.",
    Kind.UNIT: "Durations in {field}{example} are small and read as seconds, which neither its name nor an end shows.",
    Kind.TWO_UNITS: "Durations in {field}{example} seem to have two units: {share} of them differ from the others by a "
    "factor of about {factor}{since}.",
    Kind.SPAN: "From {other} to {field}{example} half of the calls last longer than {factor} hours, which is long for "
    "calls.",
    Kind.CODES: "The {role} is taken from {field}{example}, whose values are codes.",
    Kind.YES_OR_NO: "The {role} is taken from {field}{example}, whose values say yes or no.",
    Kind.ONE_LABEL: "The {role} is taken from {field}{example}, which is the same for all calls.",
    Kind.UNKNOWN_LABELS: "The {role} is taken from {field}{example}: its name says little, no value is a known type.",
    Kind.OTHER_LABELS: "The {role} is taken from {field}{example}, but its values are those of the other role.",
    Kind.DATE_ORDER: "In {share} of the documents day and month of {field}{example} could change places.",
    Kind.NOT_DAY_FIRST: "Dates in {field}{example} are read with the day first, but in some the {first} comes first.",
    Kind.END_BEFORE_START: "{share} of the calls end before they start: {field}{example} lies before {other}.",
    Kind.FACTOR: "Stored durations in {field}{example} are {factor} times end − start in {share} of the calls.",
    Kind.MIDNIGHT: "{share} of the calls start at midnight: {field}{example} is a date, and {other} holds the time of "
    "day.",
    Kind.ONE_SECOND: "{share} of the calls start in one second: {field}{example} says when the records were written, "
    "and {other} differs from call to call.",
}


def _remedy(doubt: Doubt, choice: Choice, facts: Facts) -> str:
    """Return what to do: the lines that change the choice, best first, and the one that keeps it."""
    lines = _changes(doubt, choice, facts)
    keep = setting_line(doubt.role, doubt.source)
    if doubt.kind in (Kind.SIZE, Kind.UNIT, Kind.FACTOR):
        keep = f"{_PREFIX}DURATION_UNIT={choice.units[doubt.source[0]].unit}" if doubt.source else keep
    change = f"Set {' or '.join(lines)}" if lines else ""
    if doubt.kind in (Kind.DATE_ORDER, Kind.NOT_DAY_FIRST):
        return f"{change}." if lines else "Store them as dates, or with years of four digits."
    if doubt.kind is Kind.TWO_UNITS:
        return (
            f"Give all of them one unit, for example in a view that CALLVIZ_MONGO_COLLECTION names, or set {lines[0]}."
        )
    if doubt.kind is Kind.EMPTY:
        none = f"{setting_line(doubt.role, None)} where the records have none"
        return (
            f"{change}, or {none}."
            if change
            else f"Set {setting_line(doubt.role, None).split('=')[0]} to the field that holds it, or {none}."
        )
    keeps = f"{keep} {'publishes it all the same' if doubt.kind in REFUSED else 'if it is right'}"
    return f"{change}; {keeps}." if change else f"Set {keeps}."


def _changes(doubt: Doubt, choice: Choice, facts: Facts) -> list[str]:
    unit = [f"{_PREFIX}DURATION_UNIT={doubt.unit}"] if doubt.unit else []
    if doubt.kind in (Kind.SIZE, Kind.FACTOR):
        return unit or [setting_line("duration", None)]
    if doubt.kind is Kind.UNIT:
        return [f"{_PREFIX}DURATION_UNIT=min", *unit]
    if doubt.kind in (Kind.DATE_ORDER, Kind.NOT_DAY_FIRST):
        return [f"CALLVIZ_DATE_ORDER={order}" for order in doubt.orders]
    if doubt.kind is Kind.TWO_UNITS:
        return [setting_line("duration", None)]
    if doubt.kind is Kind.END_BEFORE_START:
        starts, ends = _better_lines(choice, "start_time", 2, facts), _better_lines(choice, "end_time", 1, facts)
        swapped = f"{setting_line('start_time', doubt.source)} with {setting_line('end_time', doubt.other)}"
        return [*starts, *ends, swapped, setting_line("end_time", None)]
    if doubt.kind is Kind.SPAN:
        return [*_better_lines(choice, "end_time", 2, facts), setting_line("end_time", None)]
    if doubt.kind is Kind.APART:
        better = [*_better_lines(choice, "duration", 1, facts), *_better_lines(choice, "end_time", 1, facts)]
        return [*unit, *better, setting_line("duration", None), setting_line("end_time", None)]
    if doubt.other:
        return [setting_line(doubt.role, doubt.other)]
    if doubt.kind is Kind.EMPTY:
        return []
    return _better_lines(choice, doubt.role, 2 if doubt.role.endswith("_time") else 1, facts)


def _better_lines(choice: Choice, role: str, most: int, facts: Facts) -> list[str]:
    """Return the lines that set the best of the fields that were not taken."""
    return [
        setting_line(role, one.source)
        for one in _others(choice, role, facts)[:most]
        if one.points > 0 and not one.name.says(Word.PLANNED) and not why_unusable(one, role, facts)
    ]
