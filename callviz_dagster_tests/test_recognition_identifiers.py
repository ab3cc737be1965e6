"""Fields that identify calls, and values of theirs that repeat."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.collection import Collection

from callviz_dagster.assets.checks import calls as checks
from callviz_dagster.documents.recognition.names import identifies_a_call
from callviz_dagster.settings import Settings
from callviz_dagster.table.identifiers import Repetitions, SeenHashes, repeated_values, text_hashes
from callviz_dagster_tests.helpers.raw_bson import examples
from callviz_dagster_tests.helpers.refresh import checks as evaluations
from callviz_dagster_tests.helpers.refresh import refresh


@pytest.mark.parametrize(
    "name", ["call_id", "callId", "CallSid", "callUUID", "sid", "uuid", "uniqueid", "conversation-id", "data.id"]
)
def test_a_field_called_like_the_identifier_of_a_call_identifies_it(name: str) -> None:
    assert identifies_a_call(tuple(part.encode() for part in name.split(".")))


@pytest.mark.parametrize(
    "name", ["agent_id", "account_sid", "parent_call_id", "customer.id", "call", "status", "idle", "leg.uuid", "guide"]
)
def test_no_other_field_does(name: str) -> None:
    assert not identifies_a_call(tuple(part.encode() for part in name.split(".")))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calls") / "all.parquet"


@examples(30)
@given(st.lists(st.none() | st.integers(0, 6), max_size=40), st.integers(1, 50))
def test_values_that_repeat_are_counted_however_few_fit_into_memory(
    file: Path, values: list[int | None], at_once: int
) -> None:
    pq.write_table(pa.table({"call_id": pa.array(values, pa.int64())}), file)
    counts = {str(value): n for value, n in Counter(v for v in values if v is not None).items() if n > 1}
    repeated = repeated_values(file, "call_id", at_once)
    assert (repeated.values, repeated.rows) == (len(counts), sum(counts.values()))
    assert repeated.examples.items() <= counts.items()
    assert sorted(repeated.examples.values()) == sorted(counts.values())[-5:]


@examples(60)
@given(
    st.lists(st.lists(st.none() | st.text("aé0", max_size=45) | st.text("x", min_size=30, max_size=45), max_size=8)),
    st.integers(0, 30),
    st.integers(1, 20),
)
def test_hashes_prove_only_of_different_values_that_none_repeats(
    batches: list[list[str | None]], most: int, sorted_at_once: int
) -> None:
    seen = SeenHashes(most, sorted_at_once)
    for batch in batches:
        # The values lie in the middle of a longer array, as those of a filtered table do.
        seen.add(text_hashes(pa.chunked_array([pa.array(["before", *batch, "after"], pa.string())[1:-1]])))
    values = [value for batch in batches for value in batch if value is not None]
    if len(values) > most or len(set(values)) < len(values):
        assert not seen.all_differ()
    elif all(len(value.encode()) <= 40 for value in values):
        assert seen.all_differ()


def test_the_warning_has_the_numbers_and_no_value_of_a_hidden_field() -> None:
    repeated = {"call_id": Repetitions(2, 5, {"CA1": 3, "CA2": 2}), "uuid": Repetitions(0, 0, {})}
    result = checks.call_identifiers_unique(repeated, 40)
    assert not result.passed and result.severity.value == "WARN"
    assert (result.description or "").startswith(
        "call_id: 2 values stand in 5 rows, for example CA1 (3 times), CA2 (2 times). Where a call is stored"
    )
    assert "CA1" not in (checks.call_identifiers_unique(repeated, 40, ["call_id"]).description or "")
    assert checks.call_identifiers_unique({"uuid": repeated["uuid"]}, 40).description == "No value repeats in uuid."
    assert checks.call_identifiers_unique({}, 40).passed


def test_a_field_with_one_value_in_all_rows_identifies_no_call() -> None:
    of_all = {"call_id": Repetitions(1, 40, {"x": 40})}
    assert checks.call_identifiers_unique(of_all, 40).passed
    in_part = checks.call_identifiers_unique(of_all, 41)
    assert (in_part.description or "").startswith("call_id: 1 value stands in 40 rows, for example x (40 times).")
    assert not checks.call_identifiers_unique({"call_id": Repetitions(1, 3, {"CA1": 3})}, 3).passed


def test_a_refresh_warns_of_a_call_in_two_documents(collection: Collection[Any], settings: Settings) -> None:
    start = dt.datetime(2024, 3, 1, 12)
    collection.insert_many(
        [{"start_time": start, "data": {"id": f"CA{n // 2}"}, "uuid": f"U{n // 2}"} for n in range(4)]
    )
    secretive = dataclasses.replace(settings, pseudonymize=("uuid",), pseudonym_key="k" * 32)
    result = refresh(secretive, "raw_calls", "calls", "rejected_calls")
    repeated = evaluations(result)["call_identifiers_unique"]
    assert result.success and not repeated.passed
    assert "data_id: 2 values stand in 4 rows, for example CA" in (repeated.description or "")
    assert "uuid: 2 values stand in 4 rows. " in (repeated.description or "")
