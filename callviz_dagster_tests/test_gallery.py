"""Every awkward document of the gallery becomes what is written there, alone and all of them together."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import bson
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from callviz_dagster.settings import Settings
from callviz_dagster.table.tally import PROBLEMS
from callviz_dagster_tests.helpers import gallery
from callviz_dagster_tests.helpers.awkward import CLEAN, CLEAN_ROW, ID, Case
from callviz_dagster_tests.helpers.gallery import CASES
from callviz_dagster_tests.helpers.normalized import assert_same_cell, csv_of, normalized
from callviz_dagster_tests.helpers.raw_bson import raw_document, read_elements, value
from callviz_dagster_tests.helpers.refresh import checks, refresh


def test_names_are_used_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def tidy(number: int) -> bytes:
    identifier = value(bson.ObjectId(f"{number:024x}"))
    return raw_document([*(CLEAN | {"_id": identifier}).items()])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_awkward_document_becomes_what_the_gallery_says(case: Case) -> None:
    settings = Settings.load({"CALLVIZ_TIMEZONE": "UTC", **case.settings})
    _, calls, rejected, _ = normalized([tidy(1), tidy(2), case.document, tidy(3)], settings)
    if case.rejected:
        reason, name, shown = case.rejected
        (row,) = rejected.to_pylist()
        assert (row["reason"], row["field"], row["value"]) == (reason, name, shown)
        assert row["explanation"] == PROBLEMS[reason]
        assert row["_id"] == CLEAN_ROW["_id"]
        assert calls.num_rows == 3
    else:
        assert (calls.num_rows, rejected.num_rows) == (4, 0)
        row = calls.to_pylist()[2]
        expected = CLEAN_ROW | case.row
        if "attempts" in case.row and isinstance(case.row["attempts"], float):
            expected["attempts"] = float(expected["attempts"])
        assert set(row) == set(expected)
        for column, cell in expected.items():
            assert_same_cell(column, row[column], cell)


@pytest.mark.no_cover
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_tidy_rows_beside_it_come_out_as_they_do_without_it(case: Case) -> None:
    settings = Settings.load({"CALLVIZ_TIMEZONE": "UTC", **case.settings})

    def cells(documents: list[bytes]) -> list[dict[Any, Any]]:
        plan, calls, _, _ = normalized(documents, settings)
        rows = pd.read_csv(io.BytesIO(csv_of(plan, calls, "UTC")), dtype=str, keep_default_na=False).to_dict("records")
        return [row for row in rows if row["_id"] in {f"{number:024x}" for number in (1, 2, 3)}]

    alone = cells([tidy(1), tidy(2), tidy(3)])
    beside = cells([tidy(1), tidy(2), case.document, tidy(3)])
    assert [{column: row.pop(column) for column in alone[0]} for row in beside] == alone
    assert {cell for row in beside for cell in row.values()} <= {""}


def stored(case: Case, number: int) -> RawBSONDocument:
    """Return a case's document with an `_id` of its own, where its `_id` is not what it is about."""
    (own,) = [e for e in read_elements(case.document, 0) if e.name == b"_id"]
    tidy_id = case.document[own.start : own.end] == ID.binary
    elements = [
        (name, value(bson.ObjectId(f"{number:024x}")) if name == "_id" and tidy_id else raw_value)
        for name, raw_value in case.elements
    ]
    return RawBSONDocument(raw_document(elements))


def test_a_collection_of_nothing_but_awkward_documents_is_refreshed(
    collection: Collection[Any], settings: Settings
) -> None:
    cases = [case for case in CASES if case.name != "id_missing" and not case.settings]
    collection.insert_many([stored(case, number) for number, case in enumerate(cases)])
    result = refresh(dataclasses.replace(settings, max_rejected=1.0))
    assert result.success
    assert {name for name, check in checks(result).items() if not check.passed} == {"times_plausible"}

    rows = {row["_id"]: row for row in pq.read_table(settings.data_dir / "calls" / "all.parquet").to_pylist()}
    rejected = pq.read_table(settings.data_dir / "rejected_calls" / "all.parquet").to_pylist()
    outcasts = {row["_id"]: row for row in rejected}
    assert len(rows) + len(outcasts) == len(cases) == collection.count_documents({})
    for number, case in enumerate(cases):
        identifier = case.row.get("_id", f"{number:024x}")
        if case.rejected:
            row = outcasts[identifier]
            assert (row["reason"], row["field"], row["value"]) == case.rejected
        else:
            expected = CLEAN_ROW | case.row | {"_id": identifier}
            for column in (*list(CLEAN_ROW)[:9], "queue"):
                assert_same_cell(f"{case.name}, {column}", rows[identifier][column], expected[column])
    read = pd.read_csv(settings.publish_dir / "calls.csv", dtype=str, keep_default_na=False)
    assert set(read["_id"]) == set(rows)


def test_the_document_shows_the_gallery_as_it_is() -> None:
    document = gallery.DOCUMENT.read_text(encoding="utf-8")
    assert document == gallery.with_tables(document), "run python -m callviz_dagster_tests.helpers.gallery"
