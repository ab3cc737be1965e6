"""Profile, settings and what was published before → which field plays which role, and the columns of the table.

Pure. The plan is made once per refresh, before any value is read, so the table has one schema from its first row.
What belongs elsewhere: known names (`vocabulary.py`), values (`normalize.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from callviz_dagster import elements as el
from callviz_dagster.contract import CONTRACT_NAMES, Column, Kind, table_columns, widen
from callviz_dagster.elements import Path
from callviz_dagster.profile import Field, Profile, path_from_json, path_to_json
from callviz_dagster.settings import PREFIX, ROLES, Settings
from callviz_dagster.values import Secrets, dotted, field_name, plain_path
from callviz_dagster.vocabulary import FIELD_NAMES, WRAPPERS, duration_unit, folded

ID = (b"_id",)
NO_NAME = "unnamed"
"""Column of a field whose name is empty."""


class PlanError(ValueError):
    """The table cannot be planned. The message names the fields seen and the setting that would settle it."""


@dataclass(frozen=True)
class FieldColumn:
    """A document field that is a column of its own."""

    name: str
    path: Path
    kind: Kind | None
    """None while no document has had a value."""
    usual_type: int | None = None
    """The BSON type that most values have; another one in a text column is told in `repairs`."""

    @property
    def column(self) -> Column:
        """The column of the table."""
        return Column(
            self.name, self.kind or Kind.TEXT, f"The document's field {dotted(self.path)}.", source=dotted(self.path)
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"name": self.name, "path": path_to_json(self.path), "kind": self.kind}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FieldColumn:
        """Return what `to_json` described."""
        return cls(data["name"], path_from_json(data["path"]), Kind(data["kind"]) if data["kind"] else None)


@dataclass(frozen=True)
class Plan:
    """How documents become rows."""

    settings: Settings
    roles: Mapping[str, tuple[Path, ...]]
    """For each role the fields that may play it, in the order in which they are tried."""
    usual: Mapping[str, Path]
    """For each role the field that most documents have; taking another is told in `repairs`."""
    fields: tuple[FieldColumn, ...]
    grouped: tuple[str, ...] = ()
    """Fields that go into `other_fields` together, as dotted paths; the first hundred of them."""
    other_fields: bool = False
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the table."""
        return table_columns([f.column for f in self.fields], other_fields=self.other_fields)

    @property
    def hidden(self) -> frozenset[Path]:
        """Fields that have no column of their own: `_id`, and the first choice of each role, which is the role."""
        return frozenset({ID, *(paths[0] for paths in self.roles.values() if paths)})

    def duration_unit(self, path: Path) -> str:
        """Return the unit of a stored duration, `s` or `ms`."""
        return self.settings.field_duration_unit or duration_unit(field_name(path[-1]))


def make_plan(
    profile: Profile, settings: Settings, published: Sequence[FieldColumn] = (), *, grouped_before: bool = False
) -> Plan:
    """Plan the table of these documents.

    Args:
        profile: the fields that the documents have.
        settings: the settings.
        published: the documents' fields that are columns of the table published last; they stay, in their order.
        grouped_before: whether the table published last had `other_fields`.

    Raises:
        PlanError: no field is recognized as the start time, several could be meant, or a setting names a field
            that no document has.
    """
    secrets = Secrets(settings.drop_fields, settings.pseudonymize, (settings.pseudonym_key or "").encode())
    known = {path: found for path, found in profile.ordered() if not secrets.drops(plain_path(path))}
    roles = {role: _role_paths(role, known, settings, published) for role in ROLES}
    if not roles["start_time"] and profile.documents:
        raise PlanError(_no_start_time(known, profile.documents))
    for role, paths in roles.items():
        for path in paths:
            if secrets.hides(plain_path(path)):
                raise PlanError(
                    f"{PREFIX}PSEUDONYMIZE names {plain_path(path)}, which is the {role.replace('_', ' ')} of the "
                    f"calls; leave it out, or name another field with {PREFIX}FIELD_{role.upper()}."
                )
    usual = {
        role: max(paths, key=lambda p: known[p].present if p in known else 0) for role, paths in roles.items() if paths
    }
    hidden = {ID, *(paths[0] for paths in roles.values() if paths)}
    fields, grouped = _field_columns(known, hidden, settings, published, secrets)
    return Plan(
        settings, roles, usual, fields, grouped[:100], bool(grouped or profile.forgotten or grouped_before), secrets
    )


def _role_paths(
    role: str, known: Mapping[Path, Field], settings: Settings, published: Sequence[FieldColumn]
) -> tuple[Path, ...]:
    chosen = settings.role_field(role)
    if chosen is not None:
        literal = (chosen.encode(),)
        nested = tuple(part.encode() for part in chosen.split("."))
        for path in (literal, nested):
            if path in known:
                return (path,)
        if known and nested not in {column.path for column in published}:
            raise PlanError(
                f"{PREFIX}FIELD_{role.upper()} names {chosen}, which no document has. "
                f"The documents' fields are: {_some(dotted(path) for path in known)}."
            )
        return (nested,)
    ranks: dict[str, int] = {}
    for rank, name in enumerate(FIELD_NAMES[role]):
        ranks.setdefault(folded(name), rank)
    found: dict[int, list[Path]] = {}
    nested_found: dict[int, list[Path]] = {}
    for path in known:
        place = ranks.get(folded(field_name(path[-1]))) if el.REPEAT not in path[-1] else None
        if place is None:
            continue
        if len(path) == 1:
            found.setdefault(place, []).append(path)
        elif len(path) == 2 and folded(field_name(path[0])) in WRAPPERS:
            nested_found.setdefault(place, []).append(path)
    if not found and nested_found:
        best = nested_found[min(nested_found)]
        if len({path[:-1] for path in best}) > 1:
            raise PlanError(
                f"More than one field could be the {role.replace('_', ' ')}: {_some(map(dotted, best))}. "
                f"Name the one that is with {PREFIX}FIELD_{role.upper()}."
            )
        parent = best[0][:-1]
        found = {rank: [p for p in paths if p[:-1] == parent] for rank, paths in nested_found.items()}
    names = FIELD_NAMES[role]
    return tuple(
        path for rank in sorted(found) for path in sorted(found[rank], key=lambda p: _place(names, field_name(p[-1])))
    )


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _no_start_time(known: Mapping[Path, Field], documents: int) -> str:
    times = [path for path, found in known.items() if el.DATE in found.types]
    words = ("time", "date", "start", "stamp", "_at", "begin")
    times += [p for p in known if p not in times and any(word in dotted(p).lower() for word in words)]
    if times:
        seen = ", ".join(f"{dotted(p)} (in {known[p].present:,} of {documents:,} documents)" for p in times[:10])
        candidates = f"Fields that look like times: {seen}."
    else:
        candidates = f"The documents' fields are: {_some(dotted(path) for path in known)}."
    return (
        f"No field was recognized as the start time of the calls. {candidates} "
        f"Set {PREFIX}FIELD_START_TIME to the field that holds it (a dotted path)."
    )


def _some(names: Iterable[str], most: int = 30) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most:,} more" if len(every) > most else "")


def _field_columns(
    known: Mapping[Path, Field],
    hidden: set[Path],
    settings: Settings,
    published: Sequence[FieldColumn],
    secrets: Secrets,
) -> tuple[tuple[FieldColumn, ...], tuple[str, ...]]:
    columns: list[FieldColumn] = []
    for before in published:
        if secrets.drops(plain_path(before.path)):
            continue
        found = known.get(before.path)
        kind = _kind(before.path, found, secrets)
        kind = before.kind if kind is None else kind if before.kind is None else widen(before.kind, kind)
        if kind is Kind.NUMBER and found and found.inexact:
            kind = Kind.TEXT
        columns.append(FieldColumn(before.name, before.path, kind, _usual_type(found)))
    placed = {column.path for column in columns}
    new = [path for path, found in known.items() if path not in placed and path not in hidden and _is_value(found)]
    room = max(settings.max_columns - len(columns), 0)
    chosen = set(sorted(new, key=lambda path: -known[path].present)[:room])
    taken = {name.casefold() for name in CONTRACT_NAMES} | {column.name.casefold() for column in columns}
    for path in new:
        if path in chosen:
            name = _free_name("_".join(field_name(part) for part in path) or NO_NAME, taken)
            found = known[path]
            columns.append(FieldColumn(name, path, _kind(path, found, secrets), _usual_type(found)))
    return tuple(columns), tuple(dotted(path) for path in new if path not in chosen)


def _usual_type(found: Field | None) -> int | None:
    types = {kind: n for kind, n in found.types.items() if kind not in (el.NULL, el.UNDEFINED)} if found else {}
    return max(types, key=lambda kind: (types[kind], -kind)) if types else None


def _is_value(found: Field) -> bool:
    """Tell whether a field holds more than nested documents, whose own fields are columns."""
    return any(kind != el.FLATTENED for kind in found.types)


def _free_name(name: str, taken: set[str]) -> str:
    """Return the name, numbered where another column has it (Tableau takes `Queue` and `queue` for one)."""
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free.casefold())
    return free


def _kind(path: Path, found: Field | None, secrets: Secrets) -> Kind | None:
    """Return the narrowest kind that holds every value of a field exactly; None where it has no value."""
    if secrets.hides(plain_path(path)):
        return Kind.TEXT
    types = set(found.types) - {el.NULL, el.UNDEFINED, el.FLATTENED} if found else set()
    if not found or not types:
        return None
    if types <= {el.INT32, el.INT64}:
        return Kind.INTEGER
    if types <= {el.INT32, el.INT64, el.DOUBLE} and not found.inexact:
        return Kind.NUMBER
    if types == {el.BOOLEAN}:
        return Kind.BOOLEAN
    if types == {el.DATE} and not found.inexact:
        return Kind.DATETIME
    return Kind.TEXT
