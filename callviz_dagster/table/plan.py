"""Profile, settings and what was published before → which field plays which role, and the columns of the table.

Pure. The plan is made once per refresh, before any value is read, so the table has one schema from its first row.
What belongs elsewhere: known names (`documents/recognition/names.py`), values (`table/normalize.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from callviz_dagster.contract import CONTRACT_NAMES, Column, Kind, table_columns, widen
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.profile import Field, Profile, path_from_json, path_to_json
from callviz_dagster.documents.recognition.names import FIELD_NAMES, LAST_RESORT, WRAPPERS, duration_unit, folded
from callviz_dagster.documents.text import csv_header
from callviz_dagster.documents.values import Secrets, dotted, field_name, plain_path
from callviz_dagster.documents.walker import Path
from callviz_dagster.settings import PREFIX, ROLES, Settings

ID = (b"_id",)
NO_NAME = "unnamed"
"""Column of a field whose name is empty."""
_NEARLY_ALL = 0.8


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
    """For each role the field that plays it in most documents; taking another is told in `repairs`."""
    fields: tuple[FieldColumn, ...]
    grouped: tuple[str, ...] = ()
    """Fields that go into `other_fields` together, as dotted paths; the first hundred of them."""
    other_fields: bool = False
    secrets: Secrets = field(default_factory=Secrets)
    unseen: tuple[str, ...] = ()
    """Fields that settings drop or pseudonymize and that no document has, as far as is known: perhaps misspelled."""

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
        if paths and secrets.hides(plain_path(paths[0])):
            raise PlanError(
                f"{PREFIX}PSEUDONYMIZE names {plain_path(paths[0])}, which is the {role.replace('_', ' ')} of the "
                f"calls; leave it out, or name another field with {PREFIX}FIELD_{role.upper()}."
            )
        roles[role] = tuple(path for path in paths if not secrets.hides(plain_path(path)))
    usual = {role: _usual_path(paths, known) for role, paths in roles.items() if paths}
    hidden = {ID, *(paths[0] for paths in roles.values() if paths)}
    fields, grouped = _field_columns(known, hidden, settings, published, secrets)
    return Plan(
        settings,
        roles,
        usual,
        fields,
        (*(dotted((*path, b"*")) for path in profile.forgotten), *grouped)[:100],
        bool(grouped or profile.forgotten or grouped_before),
        secrets,
        _unseen(profile, (*settings.drop_fields, *settings.pseudonymize)),
    )


def _unseen(profile: Profile, paths: Iterable[str]) -> tuple[str, ...]:
    if not profile.documents or profile.forgotten:
        return ()
    seen = {plain_path(path) for path in profile.fields}
    # What is below these is not in the profile.
    whole = {plain_path(path) for path, found in profile.fields.items() if {el.ARRAY, el.DOCUMENT} & set(found.types)}
    return tuple(
        path
        for path in paths
        if not any(other == path or other.startswith(path + ".") for other in seen)
        and not any(path.startswith(other + ".") for other in whole)
    )


def _role_paths(
    role: str, known: Mapping[Path, Field], settings: Settings, published: Sequence[FieldColumn]
) -> tuple[Path, ...]:
    """Return the fields that may play a role, in the order in which they are tried."""
    chosen = settings.role_field(role)
    if chosen is not None:
        literal, nested = (chosen.encode(),), tuple(part.encode() for part in chosen.split("."))
        paths = tuple(path for path in dict.fromkeys((literal, nested)) if path in known)
        if not paths and known and nested not in {column.path for column in published}:
            raise PlanError(
                f"{PREFIX}FIELD_{role.upper()} names {chosen}, which no document has. "
                f"The documents' fields are: {_some(dotted(path) for path in known)}."
            )
        return paths or (nested,)
    ranks: dict[str, int] = {}
    for rank, name in enumerate(FIELD_NAMES[role]):
        ranks.setdefault(folded(name), rank)

    def rank_of(path: Path) -> tuple[int, int]:
        """Place in the order of the names: first the names as compared, then as they are spelled."""
        name = field_name(path[-1])
        spellings = FIELD_NAMES[role]
        return ranks[folded(name)], spellings.index(name) if name in spellings else len(spellings)

    named = [path for path in known if el.REPEAT not in path[-1] and folded(field_name(path[-1])) in ranks]
    top = [path for path in named if len(path) == 1]
    wrapped = [path for path in named if len(path) == 2 and folded(field_name(path[0])) in WRAPPERS]
    candidates = top + _of_one_wrapper(role, wrapped, top, known, rank_of)

    def place(path: Path) -> tuple[bool, bool, int, tuple[int, int]]:
        last_resort = folded(field_name(path[-1])) in LAST_RESORT
        return _mostly_contains(known[path]), last_resort, len(path), rank_of(path)

    return tuple(sorted(candidates, key=place))


def _mostly_contains(found: Field) -> bool:
    """Tell whether most values of a field are documents or arrays, which are not what a role needs."""
    containers = sum(found.types.get(kind, 0) for kind in (el.FLATTENED, el.DOCUMENT, el.ARRAY))
    return 2 * containers > found.present


def _of_one_wrapper(
    role: str,
    wrapped: Sequence[Path],
    top: Sequence[Path],
    known: Mapping[Path, Field],
    rank_of: Callable[[Path], tuple[int, int]],
) -> list[Path]:
    """Return those of the nested fields that stand in one document with the one whose name comes first.

    Raises:
        PlanError: several are named alike, no one of them is in nearly all documents that have any, and at the
            top level of the documents there is not mostly another.
    """
    if not wrapped:
        return []
    first = min(rank_of(path)[0] for path in wrapped)
    best = sorted((path for path in wrapped if rank_of(path)[0] == first), key=lambda path: -known[path].present)
    counts = {path[:-1]: known[path].present for path in reversed(best)}
    parent = best[0][:-1]
    if counts[parent] < _NEARLY_ALL * sum(counts.values()):
        if max((known[path].present for path in top), default=0) >= sum(counts.values()):
            return []
        raise PlanError(
            f"More than one field could be the {role.replace('_', ' ')}: {_some(map(dotted, sorted(best)))}. "
            f"Name the one that is with {PREFIX}FIELD_{role.upper()}."
        )
    return [path for path in wrapped if path[:-1] == parent]


def _usual_path(paths: Sequence[Path], known: Mapping[Path, Field]) -> Path:
    """Return the field that plays the role in most documents: the first that half of those have that have any."""
    counts = [known[path].present if path in known else 0 for path in paths]
    return next(path for path, count in zip(paths, counts, strict=True) if 2 * count >= max(counts))


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
    taken = {_compared(name) for name in (*CONTRACT_NAMES, *(column.name for column in columns))}
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
    """Return the name, numbered where another column has it."""
    free, number = name, 1
    while _compared(free) in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(_compared(free))
    return free


def _compared(name: str) -> str:
    """Return a name as it must not occur twice: in `calls.csv`, and without case (`Queue` is `queue` for Tableau)."""
    return csv_header([Column(name, Kind.TEXT, "")])[0].casefold()


def _kind(path: Path, found: Field | None, secrets: Secrets) -> Kind | None:
    """Return the narrowest kind that holds every value of a field exactly; None where it has no value."""
    if secrets.hides(plain_path(path)):
        return Kind.TEXT
    types = set(found.types) - {el.NULL, el.UNDEFINED, el.FLATTENED} if found else set()
    if found and found.partial:
        return Kind.TEXT
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
