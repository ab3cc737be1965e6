"""A choice in words for people: a row for each role, and a sentence with the lines to paste for each doubt. Pure.

What belongs elsewhere: how it is shown (`assets/checks.py`, `fields.py`).
"""

from __future__ import annotations

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
"""Candidates that are named."""
_PREFIX = "CALLVIZ_FIELD_"


@dataclass(frozen=True)
class RoleRow:
    """How a role is played, as a row of a table."""

    role: str
    field: str
    share: str
    """Of the documents, those in which it holds something."""
    unit: str
    known_by: str
    not_taken: str
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
        return text + (f"; not taken: {self.not_taken}" if self.not_taken else "")


def shown(source: Source) -> str:
    """Return what plays a role as settings name it."""
    return "+".join(plain_path(path) for path in source)


def setting_line(role: str, source: Source | None) -> str:
    """Return the line that sets the field of a role by hand."""
    return f"{_PREFIX}{role.upper()}={shown(source) if source else 'none'}"


def role_rows(choice: Choice, fields: Fields) -> list[RoleRow]:
    """Return a row for each role."""
    return [_role_row(role, choice, fields) for role in ROLE_NAMES]


def _role_row(role: str, choice: Choice, fields: Fields) -> RoleRow:
    sources = choice.roles.get(role, ())
    not_taken = [f"{shown(one.source)}: {reason(one, role, choice, fields.facts)}" for one in _others(choice, role)]
    if not sources:
        return RoleRow(role, "", "", "", "", "; ".join(not_taken), "", setting_line(role, None))
    return RoleRow(
        role,
        ", else ".join(map(shown, sources)),
        f"{_share(sources, fields):.0%}",
        _units(choice, sources) if role == "duration" else "",
        _known_by(choice, role, fields),
        "; ".join(not_taken),
        ", ".join(fields.facts.examples(sources[0][-1])),
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
    return f"# {_PREFIX}{role.upper()} names one field: leave it unset to keep {', else '.join(map(shown, sources))}"


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


def _others(choice: Choice, role: str) -> list[Candidate]:
    """Return the candidates that were not taken and are worth a word."""
    taken = {source for sources in choice.roles.values() for source in sources}
    others = [
        one
        for one in choice.candidates.get(role, ())
        if one.source not in taken
        and one.points > -12.0
        and (one.cover > 0 or one.name.strengths[role] >= Strength.WORDS)
    ]
    return others[:_MOST]


def reason(one: Candidate, role: str, choice: Choice, facts: Facts) -> str:
    """Return why a candidate was not taken."""
    values = _values_against(one, role, facts)
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
    if times.filled.any() and times.readable < 0.5:
        return "cannot be read as a time"
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
    others = [one for one in _others(choice, "start_time") if one.cover > 0]
    if others:
        times = ", ".join(shown(one.source) + _in_brackets(one.source, fields.facts) for one in others)
        lines = " or ".join(setting_line("start_time", one.source) for one in others)
        text += f" Other fields that hold times: {times}. Set {lines}."
    if len(source) == 1 and fields.facts.ambiguous(source[0]):
        lines = " or ".join(f"CALLVIZ_DATE_ORDER={order}" for order in date_orders(source[0], fields.facts))
        text += f" Where day and month could change places, set {lines}."
    return text


def sentence(doubt: Doubt, choice: Choice, facts: Facts) -> str:
    """Return a doubt in one sentence, ending in the lines that settle it."""
    text = _WORDS[doubt.kind].format(
        role=ROLE_NAMES[doubt.role],
        field=shown(doubt.source) if doubt.source else "",
        other=shown(doubt.other) if doubt.other else "",
        share=f"{doubt.share:.0%}",
        factor=f"{doubt.factor:,.4g}",
        example=_in_brackets(doubt.source, facts),
    )
    return f"{text} {_remedy(doubt, choice)}"


def example_of(source: Source | None, facts: Facts) -> str:
    """Return one value of what plays a role, of a date and a time of day both; empty where none may be shown."""
    return " ".join(value for path in source or () for value in facts.examples(path, 1))


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
    Kind.CODES: "The {role} is taken from {field}{example}, whose values are codes.",
    Kind.ONE_LABEL: "The {role} is taken from {field}{example}, which is the same for all calls.",
    Kind.UNKNOWN_LABELS: "The {role} is taken from {field}{example}: its name says little, no value is a known type.",
    Kind.OTHER_LABELS: "The {role} is taken from {field}{example}, but its values are those of the other role.",
    Kind.DATE_ORDER: "In {share} of the documents day and month of {field}{example} could change places.",
    Kind.END_BEFORE_START: "{share} of the calls end before they start: {field}{example} lies before {other}.",
    Kind.FACTOR: "Stored durations in {field}{example} are {factor} times end − start in {share} of the calls.",
    Kind.MIDNIGHT: "{share} of the calls start at midnight: {field}{example} is a date, and {other} holds the time of "
    "day.",
    Kind.ONE_SECOND: "{share} of the calls start in one second: {field}{example} says when the records were written, "
    "and {other} differs from call to call.",
}


def _remedy(doubt: Doubt, choice: Choice) -> str:
    """Return what to do: the lines that change the choice, best first, and the one that keeps it."""
    lines = _changes(doubt, choice)
    keep = setting_line(doubt.role, doubt.source)
    if doubt.kind in (Kind.SIZE, Kind.FACTOR):
        keep = f"{_PREFIX}DURATION_UNIT={choice.units[doubt.source[0]].unit}" if doubt.source else keep
    change = f"Set {' or '.join(lines)}" if lines else ""
    if doubt.kind is Kind.DATE_ORDER:
        return f"{change}."
    if doubt.kind is Kind.EMPTY:
        none = f"{setting_line(doubt.role, None)} where the records have none"
        return (
            f"{change}, or {none}."
            if change
            else f"Set {setting_line(doubt.role, None).split('=')[0]} to the field that holds it, or {none}."
        )
    keeps = f"{keep} {'publishes it all the same' if doubt.kind in REFUSED else 'if it is right'}"
    return f"{change}; {keeps}." if change else f"Set {keeps}."


def _changes(doubt: Doubt, choice: Choice) -> list[str]:
    if doubt.kind in (Kind.SIZE, Kind.FACTOR):
        unit = [f"{_PREFIX}DURATION_UNIT={doubt.unit}"] if doubt.unit else []
        return unit or [setting_line("duration", None)]
    if doubt.kind is Kind.DATE_ORDER:
        return [f"CALLVIZ_DATE_ORDER={order}" for order in doubt.orders]
    if doubt.kind is Kind.END_BEFORE_START:
        starts, ends = _better_lines(choice, "start_time", 2), _better_lines(choice, "end_time", 1)
        swapped = f"{setting_line('start_time', doubt.source)} with {setting_line('end_time', doubt.other)}"
        return [*starts, *ends, swapped, setting_line("end_time", None)]
    if doubt.kind is Kind.APART:
        return [*_better_lines(choice, "duration", 1), setting_line("duration", None)]
    if doubt.other:
        return [setting_line(doubt.role, doubt.other)]
    if doubt.kind is Kind.EMPTY:
        return []
    return _better_lines(choice, doubt.role, 2 if doubt.role.endswith("_time") else 1)


def _better_lines(choice: Choice, role: str, most: int) -> list[str]:
    """Return the lines that set the best of the fields that were not taken."""
    return [
        setting_line(role, one.source)
        for one in _others(choice, role)[:most]
        if one.points > 0 and not one.name.says(Word.PLANNED)
    ]
