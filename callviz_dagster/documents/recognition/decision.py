"""What was decided: the fields of all roles, the unit of durations, and what of it the next refresh starts from. Pure.

What belongs elsewhere: deciding (`recognition/choice.py`), and what is doubtful (`recognition/doubts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from callviz_dagster.documents.durations import TwoPartClock
from callviz_dagster.documents.recognition.candidates import Candidate
from callviz_dagster.documents.recognition.facts import Source
from callviz_dagster.documents.walker import Path

FORMAT_VERSION = 2
"""Of the JSON form."""


@dataclass(frozen=True)
class Unit:
    """The unit of a stored duration, and how it was known."""

    unit: str
    """`s`, `ms`, `us`, `ns`, `min` or `h`."""
    known_by: str
    """`setting`, `name`, `data`, `form`, `earlier refresh` or `default`."""


@dataclass(frozen=True)
class Standing:
    """What was decided in the refresh before this one, which stands while it fits."""

    roles: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    units: Mapping[Path, str] = field(default_factory=dict)
    two_parts: Mapping[Path, TwoPartClock] = field(default_factory=dict)

    def first(self, role: str) -> Source | None:
        """Return what played a role first; None where nothing did."""
        return next(iter(self.roles.get(role, ())), None)

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Standing:
        """Return what `Choice.to_json` gave; nothing where that is of another version."""
        if not data or data.get("format_version") != FORMAT_VERSION:
            return cls()
        return cls(
            {role: tuple(map(_source, sources)) for role, sources in data["roles"].items()},
            {_path(names): unit for names, unit in data["units"]},
            {_path(names): form for names, form in data["two_parts"]},
        )


@dataclass(frozen=True)
class Choice:
    """What was chosen."""

    roles: Mapping[str, tuple[Source, ...]]
    """For each role of `vocabulary.FIELD_NAMES` what plays it, in the order in which it is tried."""
    usual: Mapping[str, Source]
    """For each role what plays it in most documents."""
    units: Mapping[Path, Unit] = field(default_factory=dict)
    """For each field of durations its unit."""
    two_parts: Mapping[Path, TwoPartClock] = field(default_factory=dict)
    """For fields of durations in two parts, whether these are minutes and seconds or hours and minutes, where known."""
    candidates: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    """For each role everything that was looked at, best first."""
    by_setting: frozenset[str] = frozenset()
    """Roles whose field, or that there is none, was set by hand."""
    ambiguous: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    """Roles for which several fields could be meant."""
    stands: bool = False
    """Whether it is that of the refresh before, because there is no sample of the documents."""

    def to_json(self) -> dict[str, Any]:
        """Return what the next refresh starts from as plain JSON data."""
        return {
            "format_version": FORMAT_VERSION,
            "roles": {role: [list(map(_names, source)) for source in sources] for role, sources in self.roles.items()},
            "units": [[_names(path), unit.unit] for path, unit in self.units.items()],
            "two_parts": [[_names(path), form] for path, form in self.two_parts.items()],
        }


def _names(path: Path) -> list[str]:
    return [name.decode(errors="surrogateescape") for name in path]


def _path(names: Sequence[str]) -> Path:
    return tuple(name.encode(errors="surrogateescape") for name in names)


def _source(paths: Sequence[Sequence[str]]) -> Source:
    return tuple(map(_path, paths))
