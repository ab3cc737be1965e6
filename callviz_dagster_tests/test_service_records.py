"""Call records as 24 services deliver them, with nothing set: each column is right, or a check says what to set."""

from __future__ import annotations

import datetime as dt
from typing import Any

import bson
import pytest
from bson import json_util

from callviz_dagster.assets.common import table_options
from callviz_dagster.documents.labels import label_of_text
from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.doubts import doubts
from callviz_dagster.documents.recognition.evidence import Gatherer
from callviz_dagster.documents.walker import Walker
from callviz_dagster.settings import Settings
from callviz_dagster.table.normalize import normalize
from callviz_dagster.table.plan import Plan, make_plan
from callviz_dagster_tests.helpers.recognition import EXPECTED, RECORDS

NOW = 1_800_000_000_000_000
IMPORTED = dt.datetime(2025, 6, 1, 12)
COLUMNS = {
    "start": "start_time",
    "end": "end_time",
    "duration": "duration_sec",
    "type": "call_type",
    "status": "status",
}


def documents(shape: str, mongoose: bool) -> list[dict[str, Any]]:
    """Return the records of a service, also as an application stores them that keeps times of its own."""
    found = [json_util.loads(line) for line in (RECORDS / f"{shape}.jsonl").read_text(encoding="utf-8").splitlines()]
    if mongoose:
        for number, document in enumerate(found):
            imported = IMPORTED + dt.timedelta(milliseconds=3 * number)
            for name, value in (("createdAt", imported), ("updatedAt", imported), ("__v", 0)):
                document.setdefault(name, value)
    return found


def refreshed(records: list[dict[str, Any]], settings: Settings) -> tuple[Plan, dict[str, dict[str, Any]]]:
    batch = Walker().walk(b"".join(bson.encode(document) for document in records))
    profile, gatherer = Profile(), Gatherer()
    profile.add(batch)
    gatherer.add(batch)
    plan = make_plan(profile, table_options(settings), evidence=gatherer.evidence())
    return plan, {row["_id"]: row for row in normalize(batch, plan, now=NOW).calls.to_pylist()}


def is_right(column: str, found: Any, expected: Any) -> bool:
    """Return whether a cell is one of those expected; null where a label is unknown."""
    every = expected if isinstance(expected, list) else [expected]
    return any(_same(column, found, one) for one in every)


def _same(column: str, found: Any, expected: Any) -> bool:
    if column in ("type", "status"):
        label = label_of_text(COLUMNS[column], str(expected)).text if expected else "unknown"
        return bool(found == label)
    if column == "duration" and expected is None and found == 0:
        return True  # a call that is still running may store a duration of nothing
    if found is None or expected is None:
        return found is None and expected is None
    if column == "duration":
        return bool(abs(found - expected) < 0.01)
    return bool(found == dt.datetime.fromisoformat(expected))


def wrong_columns(shape: str, rows: dict[str, dict[str, Any]]) -> set[str]:
    wrong = set()
    for expected in EXPECTED[shape]["rows"]:
        row = rows.get(expected["_id"], {})
        wrong |= {column for column, name in COLUMNS.items() if not is_right(column, row.get(name), expected[column])}
    return wrong


@pytest.mark.parametrize("mongoose", [False, True], ids=["plain", "mongoose"])
@pytest.mark.parametrize("shape", EXPECTED)
def test_every_column_is_right_or_reported(shape: str, mongoose: bool) -> None:
    plan, rows = refreshed(documents(shape, mongoose), Settings())
    wrong = wrong_columns(shape, rows)
    reported = {doubt.role for doubt in doubts(plan.recognized.choice, plan.recognized.fields)}
    names = {"start": "start_time", "end": "end_time", "duration": "duration", "type": "call_type", "status": "status"}
    assert {names[column] for column in wrong} <= reported


@pytest.mark.parametrize("mongoose", [False, True], ids=["plain", "mongoose"])
def test_most_services_are_all_right_without_a_setting(mongoose: bool) -> None:
    right = [s for s in EXPECTED if not wrong_columns(s, refreshed(documents(s, mongoose), Settings())[1])]
    assert len(right) >= 20, sorted(set(EXPECTED) - set(right))
