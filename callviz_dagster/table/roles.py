"""Which field of the documents plays which role: the fields of each role, in the order in which they are tried.

Pure. What belongs elsewhere: known names (`documents/recognition/names.py`), the other columns (`table/plan.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from callviz_dagster.contract import ROLES
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.profile import Field
from callviz_dagster.documents.recognition.names import FIELD_NAMES, LAST_RESORT, WRAPPERS, folded
from callviz_dagster.documents.values import dotted, field_name, plain_path
from callviz_dagster.documents.walker import Path
from callviz_dagster.table.options import PlanError, TableOptions

_NEARLY_ALL = 0.8


@dataclass(frozen=True)
class Roles:
    """The fields that play the roles of `contract.ROLES`."""

    paths: Mapping[str, tuple[Path, ...]]
    """For each role the fields that may play it, in the order in which they are tried."""
    usual: Mapping[str, Path]
    """For each role the field that plays it in most documents; taking another is noted in `repairs`."""


def choose_roles(
    known: Mapping[Path, Field], documents: int, options: TableOptions, published: Sequence[Path]
) -> Roles:
    """Choose the fields of all roles.

    Args:
        known: the documents' fields, in the order in which they first appear.
        documents: how many documents there are.
        options: the options of the table.
        published: the fields that are columns of the table published last.

    Raises:
        PlanError: no field is recognized as the start time, several could be meant, or a setting names a field
            that no document has.
    """
    roles = {role: _role_paths(role, known, options, published) for role in ROLES}
    if not roles["start_time"] and documents:
        raise PlanError(_no_start_time(known, documents))
    for role, paths in roles.items():
        if paths and options.secrets.hides(plain_path(paths[0])):
            raise PlanError(
                f"CALLVIZ_PSEUDONYMIZE names {plain_path(paths[0])}, which is the {role.replace('_', ' ')} of the "
                f"calls; leave it out, or name another field with CALLVIZ_FIELD_{role.upper()}."
            )
        roles[role] = tuple(path for path in paths if not options.secrets.hides(plain_path(path)))
    return Roles(roles, {role: _usual_path(paths, known) for role, paths in roles.items() if paths})


def _role_paths(
    role: str, known: Mapping[Path, Field], options: TableOptions, published: Sequence[Path]
) -> tuple[Path, ...]:
    """Return the fields that may play a role, in the order in which they are tried."""
    chosen = options.role_fields.get(role)
    if chosen is not None:
        return _set_by_hand(role, chosen, known, published)
    return _recognized(role, known)


def _set_by_hand(role: str, chosen: str, known: Mapping[Path, Field], published: Sequence[Path]) -> tuple[Path, ...]:
    """Return the field that a setting names, also where its name has dots.

    Raises:
        PlanError: no document has such a field.
    """
    literal, nested = (chosen.encode(),), tuple(part.encode() for part in chosen.split("."))
    paths = tuple(path for path in dict.fromkeys((literal, nested)) if path in known)
    if not paths and known and nested not in published:
        raise PlanError(
            f"CALLVIZ_FIELD_{role.upper()} names {chosen}, which no document has. "
            f"The documents' fields are: {_some(dotted(path) for path in known)}."
        )
    return paths or (nested,)


def _recognized(role: str, known: Mapping[Path, Field]) -> tuple[Path, ...]:
    """Return the fields that are recognized by their names, best first."""
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
            f"Name the one that is with CALLVIZ_FIELD_{role.upper()}."
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
        f"Set CALLVIZ_FIELD_START_TIME to the field that holds it (a dotted path)."
    )


def _some(names: Iterable[str], most: int = 30) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most:,} more" if len(every) > most else "")
