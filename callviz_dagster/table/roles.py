"""Which field of the documents plays which role: what is set by hand, and what is recognized for the rest.

Pure. What belongs elsewhere: recognizing (`documents/recognition/`), the other columns (`table/plan.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from callviz_dagster.contract import ROLES
from callviz_dagster.documents.durations import TwoPartClock
from callviz_dagster.documents.profile import Field
from callviz_dagster.documents.recognition.candidates import Candidate, Fields
from callviz_dagster.documents.recognition.choice import Wishes, choose
from callviz_dagster.documents.recognition.decision import Choice, Standing
from callviz_dagster.documents.recognition.doubts import Doubt
from callviz_dagster.documents.recognition.doubts import doubts as find_doubts
from callviz_dagster.documents.recognition.evidence import Evidence
from callviz_dagster.documents.recognition.facts import Facts, Source
from callviz_dagster.documents.recognition.report import (
    ROLE_NAMES,
    RoleRow,
    example_of,
    role_rows,
    setting_line,
    shown,
    why_unusable,
)
from callviz_dagster.documents.values import dotted, plain_path
from callviz_dagster.documents.walker import Path
from callviz_dagster.table.options import PlanError, TableOptions

NONE = "none"
"""What a setting says of a role that the records do not have."""
_MOST = 10


@dataclass(frozen=True)
class Roles:
    """The fields that play the roles of `contract.ROLES`."""

    paths: Mapping[str, tuple[Path, ...]]
    """For each role the fields that may play it, in the order in which they are tried."""
    usual: Mapping[str, Path]
    """For each role the field that plays it in most documents; taking another is noted in `repairs`."""
    clocks: Mapping[str, Path] = field(default_factory=dict)
    """For each role whose field holds a date alone, the field that holds the time of day."""
    units: Mapping[Path, str] = field(default_factory=dict)
    """For each field of durations its unit."""
    two_parts: Mapping[Path, TwoPartClock] = field(default_factory=dict)
    """For fields of durations in two parts, whether these are minutes and seconds or hours and minutes, where known."""


@dataclass(frozen=True)
class Recognized:
    """The roles, with all that explains them."""

    roles: Roles
    choice: Choice
    fields: Fields

    @cached_property
    def doubts(self) -> tuple[Doubt, ...]:
        """What contradicts the choice, or makes it doubtful; the same for all partitions of a refresh."""
        return find_doubts(self.choice, self.fields)

    @cached_property
    def rows(self) -> list[RoleRow]:
        """How each role is played, in words."""
        return role_rows(self.choice, self.fields)


def choose_roles(
    known: Mapping[Path, Field],
    documents: int,
    options: TableOptions,
    published: Sequence[Path] = (),
    evidence: Evidence | None = None,
    standing: Standing | None = None,
) -> Recognized:
    """Choose the fields of all roles.

    Args:
        known: the documents' fields, in the order in which they first appear.
        documents: how many documents there are.
        options: the options of the table.
        published: the fields that are columns of the table published last.
        evidence: the sample of the documents; without one, names alone decide.
        standing: what was chosen the last time; it stays while it fits.

    Raises:
        PlanError: no field is recognized as the start time, several could be meant, or a setting names a field
            that no document has.
    """
    fixed = {role: _set_by_hand(role, name, known, published) for role, name in options.role_fields.items()}
    facts = Facts((evidence or Evidence()).without(options.secrets), options.source_timezone, options.date_order)
    hidden = frozenset(path for path in known if options.secrets.hides(plain_path(path)))
    fields = Fields(known, documents, facts, hidden)
    choice = choose(fields, Wishes(fixed, options.duration_unit, standing or Standing()))
    if "start_time" in choice.ambiguous and "start_time" not in fixed:
        raise PlanError(_ambiguous(choice.ambiguous["start_time"]))
    if not choice.roles["start_time"] and documents:
        raise PlanError(_no_start_time(choice, fields))
    _require_visible(choice, hidden)
    return Recognized(_as_paths(choice, hidden), choice, fields)


def _require_visible(choice: Choice, hidden: frozenset[Path]) -> None:
    """Raise an error where a field that plays a role is pseudonymized.

    Raises:
        PlanError: one is.
    """
    for role, sources in choice.roles.items():
        for path in hidden.intersection(*sources[:1]) if sources else ():
            raise PlanError(
                f"CALLVIZ_PSEUDONYMIZE names {plain_path(path)}, which is the {ROLE_NAMES[role]} of the calls; "
                f"leave it out, or name another field with CALLVIZ_FIELD_{role.upper()}."
            )


def _as_paths(choice: Choice, hidden: frozenset[Path]) -> Roles:
    return Roles(
        {role: tuple(source[0] for source in choice.roles.get(role, ()) if source[0] not in hidden) for role in ROLES},
        {role: source[0] for role, source in choice.usual.items()},
        {role: sources[0][1] for role, sources in choice.roles.items() if sources and len(sources[0]) > 1},
        {path: unit.unit for path, unit in choice.units.items()},
        choice.two_parts,
    )


def _set_by_hand(role: str, chosen: str, known: Mapping[Path, Field], published: Sequence[Path]) -> tuple[Source, ...]:
    """Return what a setting names: a field, also one with dots in its name, or a date and a time of day.

    Raises:
        PlanError: no document has such a field.
    """
    if chosen == NONE:
        return ()
    paths = _fields_named(chosen, known)
    if paths:
        return tuple((path,) for path in paths)
    names = [name.strip() for name in chosen.split("+")] if role.endswith("_time") else [chosen]
    nested = tuple(_nested(name) for name in names)
    parts = [next(iter(_fields_named(name, known)), path) for name, path in zip(names, nested, strict=True)]
    if len(parts) <= 2 and all(not known or part in known or part in published for part in parts):
        return (tuple(parts),)
    raise PlanError(
        f"CALLVIZ_FIELD_{role.upper()} names {chosen}, which no document has. "
        f"The documents' fields are: {_some(dotted(path) for path in known)}."
    )


def _fields_named(name: str, known: Mapping[Path, Field]) -> list[Path]:
    return [path for path in dict.fromkeys(((name.encode(),), _nested(name))) if path in known]


def _nested(name: str) -> Path:
    return tuple(part.encode() for part in name.split("."))


def _ambiguous(sources: Sequence[Source]) -> str:
    lines = " or ".join(setting_line("start_time", source) for source in sources)
    return f"More than one field could be the start time: {_some(sorted(map(shown, sources)))}. Set {lines}."


def _no_start_time(choice: Choice, fields: Fields) -> str:
    """Say which fields hold times or are called like one, with a value of each, and what to set."""
    candidates = [one for one in choice.candidates["start_time"] if one.present][:_MOST]
    if not candidates:
        return (
            "No field was recognized as the start time of the calls. "
            f"The documents' fields are: {_some(dotted(path) for path in fields.known)}. "
            "Set CALLVIZ_FIELD_START_TIME to the field that holds it (a dotted path)."
        )
    readable = [one for one in candidates if not why_unusable(one, "start_time", fields.facts)]
    parts = [
        _with_examples("Fields that hold times", readable, fields),
        _with_examples("Fields that cannot be read as times", [x for x in candidates if x not in readable], fields),
    ]
    lines = " or ".join(setting_line("start_time", one.source) for one in (readable or candidates)[:3])
    return f"No field was recognized as the start time of the calls. {''.join(parts)}Set {lines}."


def _with_examples(heading: str, candidates: Sequence[Candidate], fields: Fields) -> str:
    seen = []
    for one in candidates:
        value = example_of(one.source, fields.facts)
        example = f", for example {value}" if value else ""
        seen.append(f"{shown(one.source)} (in {one.present:,} of {fields.documents:,} documents{example})")
    return f"{heading}: {', '.join(seen)}. " if seen else ""


def _some(names: Iterable[str], most: int = 30) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most:,} more" if len(every) > most else "")
