"""Call records as services deliver them, the rows that are right for them, and what becomes of them without a server.

`KNOWN` are the services with which recognition was made, `OTHER` are further ones. Field names follow the services'
public documentation, all values are invented.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson import json_util

from callviz_dagster.cli.fields import FieldsReport, fields_report
from callviz_dagster.documents.labels import label_of_text
from callviz_dagster.documents.recognition.decision import Choice
from callviz_dagster.documents.recognition.report import sentence, shown
from callviz_dagster.mongodb.sample import CollectionSample
from callviz_dagster.settings import PREFIX, Settings
from callviz_dagster.table.options import PlanError

COLUMNS = {
    "start": "start_time",
    "end": "end_time",
    "duration": "duration_sec",
    "type": "call_type",
    "status": "status",
}
"""The column of `calls` for each column of the expected rows."""
_ROLES = {"start": "start_time", "end": "end_time", "duration": "duration", "type": "call_type", "status": "status"}
_DATA = Path(__file__).resolve().parent.parent / "data"
_IMPORTED = dt.datetime(2025, 6, 1, 12)
_MOST_TRIED = 64
_NOTHING_SET = Settings()
_LINE = re.compile(rf"{PREFIX}(\w+)=([^\s;,]+?)(?=[.;,]?(?:\s|$))")


@dataclass(frozen=True, eq=False)
class Service:
    """The records of one service."""

    name: str
    folder: Path
    expected: Mapping[str, Any]

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The rows that are right; a list in a cell holds every right value."""
        rows: Sequence[Mapping[str, Any]] = self.expected["rows"]
        return rows

    def documents(self, *, mongoose: bool = False) -> list[dict[str, Any]]:
        """Return the records, also as an application stores them that adds times of its own to each document."""
        lines = (self.folder / f"{self.name}.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json_util.loads(line) for line in lines]
        for number, record in enumerate(records if mongoose else ()):
            imported = _IMPORTED + dt.timedelta(milliseconds=3 * number)
            for name, value in (("createdAt", imported), ("updatedAt", imported), ("__v", 0)):
                record.setdefault(name, value)
        return records

    def wrong_columns(self, rows: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Return the columns in which some row of `calls`, by `_id`, is not as expected."""
        return {
            column
            for expected in self.rows
            for column, name in COLUMNS.items()
            if not is_right(column, rows.get(expected["_id"], {}).get(name), expected[column])
        }


def _services(folder: Path) -> dict[str, Service]:
    all_expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return {name: Service(name, folder, expected) for name, expected in all_expected.items()}


KNOWN = _services(_DATA / "service_records")
OTHER = _services(_DATA / "other_service_records")


def is_right(column: str, actual: Any, expected: Any) -> bool:
    """Return whether a cell is one of those expected; null where a label is unknown."""
    all_expected = expected if isinstance(expected, list) else [expected]
    return any(_same(column, actual, one) for one in all_expected)


def _same(column: str, actual: Any, expected: Any) -> bool:
    if column in ("type", "status"):
        label = label_of_text(COLUMNS[column], str(expected)).text if expected else "unknown"
        return bool(actual == label)
    if column == "duration" and expected is None and actual == 0:
        return True  # a call that is still running may store a duration of nothing
    if actual is None or expected is None:
        return actual is None and expected is None
    if column == "duration":
        return bool(abs(actual - expected) < 0.01)
    return bool(actual == dt.datetime.fromisoformat(expected))


@dataclass(frozen=True)
class Outcome:
    """What became of the records of a service."""

    wrong: frozenset[str]
    """Columns that are not right."""
    reported: frozenset[str]
    """Columns that a failed check or a refusal speaks of."""
    refused: bool
    messages: tuple[str, ...]
    fields: tuple[str, str] = ("", "")
    """What the start time and the duration are taken from, as settings name it."""

    @property
    def silent(self) -> frozenset[str]:
        """Columns that are wrong, and nothing says so."""
        return frozenset() if self.refused and self.reported else self.wrong - self.reported

    @property
    def is_right(self) -> bool:
        """Whether every column is right, also where a check doubts one."""
        return not self.wrong and not self.refused

    @property
    def word(self) -> str:
        """The outcome in one word for a table."""
        if self.refused:
            return "refused"
        if self.wrong:
            return "wrong in silence" if self.silent else "reported"
        return "right, with a warning" if self.reported else "right"


@functools.cache
def report_of(service: Service, *, mongoose: bool = False, settings: Settings = _NOTHING_SET) -> FieldsReport:
    """Choose the fields of all roles from the records of a service, without a server.

    Raises:
        PlanError: the start time is not recognized.
    """
    documents = service.documents(mongoose=mongoose)
    sample = CollectionSample("shop.calls", len(documents), b"".join(map(bson.encode, documents)))
    return fields_report(sample, settings)


@functools.cache
def outcome(service: Service, *, mongoose: bool = False, settings: Settings = _NOTHING_SET) -> Outcome:
    """Refresh the records of a service up to `calls`, without a server, and compare the rows."""
    try:
        found = report_of(service, mongoose=mongoose, settings=settings)
    except PlanError as error:
        return Outcome(frozenset(COLUMNS), frozenset(COLUMNS), True, (str(error),))
    choice, facts = found.plan.recognized.choice, found.plan.recognized.fields.facts
    rows = {row["_id"]: row for row in found.normalized.calls.to_pylist()}
    return Outcome(
        frozenset(service.wrong_columns(rows)),
        frozenset(
            column
            for column, role in _ROLES.items()
            if any(doubt.role == role for doubt in found.plan.recognized.doubts)
        ),
        found.refused,
        tuple(sentence(doubt, choice, facts) for doubt in found.plan.recognized.doubts),
        (_taken(choice, "start_time"), _taken(choice, "duration")),
    )


def _taken(choice: Choice, role: str) -> str:
    return next((shown(source) for source in choice.roles[role]), "")


def outcome_with_lines_pasted(service: Service, *, mongoose: bool = False) -> Outcome:
    """Return what becomes of the records with settings that the messages of the first refresh print.

    Where a message names several lines, the one that is right is a person's to choose: all are tried.
    """
    first = outcome(service, mongoose=mongoose)
    best = first
    for settings in itertools.islice(_pasted(first.messages), _MOST_TRIED):
        if best.is_right:
            break
        again = outcome(service, mongoose=mongoose, settings=settings)
        if (again.refused, len(again.wrong)) < (best.refused, len(best.wrong)):
            best = again
    return best


def _pasted(messages: Sequence[str]) -> Iterator[Settings]:
    """Yield settings with one printed line, or none, for each name that has one."""
    options: dict[str, list[str | None]] = {}
    for name, value in _LINE.findall(" ".join(messages)):
        options.setdefault(name.lower(), [None]).append(value)
    for values in itertools.product(*options.values()):
        given: dict[str, Any] = {name: value for name, value in zip(options, values, strict=True) if value}
        if given:
            yield Settings(**given)
