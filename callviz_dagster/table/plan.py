"""Profile, options and what was published before → the columns of the table.

Pure. The plan is made once per refresh, before any value is read, so the table has one schema from its first row.
What belongs elsewhere: which field plays which role (`table/roles.py`), values (`table/normalize.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callviz_dagster.contract import CONTRACT_NAMES, Column, Kind, table_columns, widen
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.durations import TwoPartClock
from callviz_dagster.documents.profile import Field, Profile, path_from_json, path_to_json
from callviz_dagster.documents.recognition.decision import Standing
from callviz_dagster.documents.recognition.evidence import Evidence
from callviz_dagster.documents.text import csv_header
from callviz_dagster.documents.values import Secrets, dotted, field_name, plain_path
from callviz_dagster.documents.walker import Path
from callviz_dagster.table.options import TableOptions
from callviz_dagster.table.roles import Recognized, Roles, choose_roles

ID = (b"_id",)
NO_NAME = "unnamed"
"""Column of a field whose name is empty."""


@dataclass(frozen=True)
class FieldColumn:
    """A document field that is a column of its own."""

    name: str
    path: Path
    kind: Kind | None
    """None while no document has had a value."""
    usual_type: int | None = None
    """The BSON type that most values have; another one in a text column is noted in `repairs`."""

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

    options: TableOptions
    recognized: Recognized
    fields: tuple[FieldColumn, ...]
    grouped: tuple[str, ...] = ()
    """Fields that go into `other_fields` together, as dotted paths; the first hundred of them."""
    other_fields: bool = False
    unseen: tuple[str, ...] = ()
    """Fields that settings drop or pseudonymize and that no document has, as far as is known: perhaps misspelled."""

    @property
    def roles(self) -> Mapping[str, tuple[Path, ...]]:
        """For each role the fields that may play it, in the order in which they are tried."""
        return self.recognized.roles.paths

    @property
    def usual(self) -> Mapping[str, Path]:
        """For each role the field that plays it in most documents; taking another is noted in `repairs`."""
        return self.recognized.roles.usual

    @property
    def clocks(self) -> Mapping[str, Path]:
        """For each role whose field holds a date alone, the field that holds the time of day."""
        return self.recognized.roles.clocks

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the table."""
        return table_columns([f.column for f in self.fields], other_fields=self.other_fields)

    @property
    def hidden(self) -> frozenset[Path]:
        """Fields that have no column of their own: `_id`, and the first choice of each role, which is the role."""
        return _hidden(self.recognized.roles)

    def duration_unit(self, path: Path) -> str:
        """Return the unit of a stored duration: `s`, `ms`, `us`, `ns`, `min` or `h`."""
        return self.recognized.roles.units[path]

    def two_part_clock(self, path: Path) -> TwoPartClock | None:
        """Return what `05:12` is in a field of durations; None where nothing settles it for the whole field."""
        return self.recognized.roles.two_parts.get(path)


def _hidden(roles: Roles) -> frozenset[Path]:
    return frozenset({ID, *(paths[0] for paths in roles.paths.values() if paths), *roles.clocks.values()})


def make_plan(
    profile: Profile,
    options: TableOptions,
    published: Sequence[FieldColumn] = (),
    *,
    evidence: Evidence | None = None,
    standing: Standing | None = None,
    grouped_before: bool = False,
) -> Plan:
    """Plan the table of these documents.

    Args:
        profile: the fields that the documents have.
        options: the options of the table.
        published: the documents' fields that are columns of the table published last; they stay, in their order.
        evidence: the sample of the documents; without one, the fields' names alone decide which play roles.
        standing: what was decided for the table published last; it stays while it fits.
        grouped_before: whether the table published last had `other_fields`.

    Raises:
        PlanError: no field is recognized as the start time, several could be meant, or a setting names a field
            that no document has.
    """
    secrets = options.secrets
    fields_by_path = {path: field for path, field in profile.ordered() if not secrets.drops(plain_path(path))}
    recognized = choose_roles(
        fields_by_path, profile.documents, options, [column.path for column in published], evidence, standing
    )
    fields, grouped = _field_columns(fields_by_path, _hidden(recognized.roles), options, published)
    return Plan(
        options,
        recognized,
        fields,
        (*(dotted((*path, b"*")) for path in profile.forgotten), *grouped)[:100],
        bool(grouped or profile.forgotten or grouped_before),
        _unseen(profile, (*secrets.dropped, *secrets.pseudonymized)),
    )


def _unseen(profile: Profile, paths: Iterable[str]) -> tuple[str, ...]:
    if not profile.documents or profile.forgotten:
        return ()
    field_paths = {plain_path(path) for path in profile.fields}
    # What is below these is not in the profile.
    whole = {plain_path(path) for path, field in profile.fields.items() if {el.ARRAY, el.DOCUMENT} & set(field.types)}
    return tuple(
        path
        for path in paths
        if not any(other == path or other.startswith(path + ".") for other in field_paths)
        and not any(path.startswith(other + ".") for other in whole)
    )


def _field_columns(
    fields_by_path: Mapping[Path, Field],
    hidden: frozenset[Path],
    options: TableOptions,
    published: Sequence[FieldColumn],
) -> tuple[tuple[FieldColumn, ...], tuple[str, ...]]:
    """Return the columns of the documents' fields, and the fields for which there are not enough columns."""
    columns = [
        _kept_column(before, fields_by_path.get(before.path), options.secrets)
        for before in published
        if not options.secrets.drops(plain_path(before.path))
    ]
    placed = {column.path for column in columns}
    new = [
        path for path, field in fields_by_path.items() if path not in placed and path not in hidden and _is_value(field)
    ]
    room = max(options.max_columns - len(columns), 0)
    chosen = set(sorted(new, key=lambda path: -fields_by_path[path].present)[:room])
    taken_names = {_compared(name) for name in (*CONTRACT_NAMES, *(column.name for column in columns))}
    for path in new:
        if path in chosen:
            name = _free_name("_".join(field_name(part) for part in path) or NO_NAME, taken_names)
            field = fields_by_path[path]
            columns.append(FieldColumn(name, path, _kind(path, field, options.secrets), _usual_type(field)))
    return tuple(columns), tuple(dotted(path) for path in new if path not in chosen)


def _kept_column(before: FieldColumn, field: Field | None, secrets: Secrets) -> FieldColumn:
    """Return a column that was published before, of the kind that holds its values of then and of now."""
    kind = _kind(before.path, field, secrets)
    if kind is None:
        kind = before.kind
    elif before.kind is not None:
        kind = widen(before.kind, kind)
    if kind is Kind.NUMBER and field and field.inexact:
        kind = Kind.TEXT
    return FieldColumn(before.name, before.path, kind, _usual_type(field))


def _usual_type(field: Field | None) -> int | None:
    types = {kind: n for kind, n in field.types.items() if kind not in (el.NULL, el.UNDEFINED)} if field else {}
    return max(types, key=lambda kind: (types[kind], -kind)) if types else None


def _is_value(field: Field) -> bool:
    """Return whether a field holds more than nested documents, whose own fields are columns."""
    return any(kind != el.FLATTENED for kind in field.types)


def _free_name(name: str, taken_names: set[str]) -> str:
    """Return the name, numbered where another column has it."""
    free, number = name, 1
    while _compared(free) in taken_names:
        number += 1
        free = f"{name}_{number}"
    taken_names.add(_compared(free))
    return free


def _compared(name: str) -> str:
    """Return a name as it must not occur twice: in `calls.csv`, and without case (`Queue` is `queue` for Tableau)."""
    return csv_header([Column(name, Kind.TEXT, "")])[0].casefold()


def _kind(path: Path, field: Field | None, secrets: Secrets) -> Kind | None:
    """Return the narrowest kind that holds every value of a field exactly; None where it has no value.

    Among dates, those outside the years 1 to 9999 do not count unless there are no others: they stand for no date.
    """
    if secrets.hides(plain_path(path)):
        return Kind.TEXT
    types = set(field.types) - {el.NULL, el.UNDEFINED, el.FLATTENED} if field else set()
    if field and field.partial:
        return Kind.TEXT
    if not field or not types:
        return None
    if types <= {el.INT32, el.INT64}:
        return Kind.INTEGER
    if types <= {el.INT32, el.INT64, el.DOUBLE} and not field.inexact:
        return Kind.NUMBER
    if types == {el.BOOLEAN}:
        return Kind.BOOLEAN
    if types == {el.DATE} and field.inexact < field.types[el.DATE]:
        return Kind.DATETIME
    return Kind.TEXT
