"""Batches without pymongo's detour: the same bytes with the private hook and without it."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Int64
from pymongo.collection import Collection
from pymongo.cursor import RawBatchCursor

from callviz_dagster.mongodb import raw_batches
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.mongo import snapshot

Document = dict[str, Any]
HOOK = ((bson, "_array_of_documents_to_buffer"), (RawBatchCursor, "_unpack_response"))


@pytest.fixture
def awkward_replies(collection: Collection[Document]) -> Collection[Document]:
    """Give a collection whose documents look like the server's replies, or fill one alone."""
    collection.insert_many([
        *({"_id": n, "text": "é\x00" * n, "list": [{"cursor": {"firstBatch": []}}] * n} for n in range(30)),
        {"_id": "cursor", "cursor": {"firstBatch": [{}], "id": Int64(0)}, "firstBatch": [1], "nextBatch": []},
        {"_id": "large", "filler": "x" * 3_000_000},
    ])  # fmt: skip
    return collection


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_batches_are_those_of_pymongo_byte_for_byte(
    settings: Settings, awkward_replies: Collection[Document], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("callviz_dagster.mongodb.snapshot.BATCH_SIZE", size)
    unpacked: list[int] = []
    good = raw_batches.unpack_reply

    def unpack(*given: Any, **named: Any) -> list[Document]:
        unpacked.append(1)
        return good(*given, **named)

    monkeypatch.setattr(raw_batches, "unpack_reply", unpack)
    with snapshot(settings) as read:
        batches = list(read)
    plain: list[Any] = list(awkward_replies.find_raw_batches(batch_size=size, sort=[("_id", 1)]))
    assert batches == plain
    assert len(unpacked) >= len(batches), "pymongo no longer asks the hook; reads are correct and slow"


@pytest.mark.each_case
@pytest.mark.parametrize("missing", HOOK, ids=lambda place: place[1])
def test_a_pymongo_without_the_hook_gives_the_same_batches(
    settings: Settings, awkward_replies: Collection[Document], monkeypatch: pytest.MonkeyPatch, missing: tuple[Any, str]
) -> None:
    with snapshot(settings) as read:
        quickly = list(read)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("the hook is used though pymongo lacks a part of it")

    monkeypatch.setattr(raw_batches, "unpack_reply", fail)
    monkeypatch.setattr(raw_batches, "HOOK", ((missing[0], f"{missing[1]}_renamed"),))
    with snapshot(settings) as read:
        assert list(read) == quickly


def test_this_pymongo_has_the_hook() -> None:
    assert raw_batches.HOOK == HOOK
    assert all(hasattr(owner, name) for owner, name in HOOK), "look for the new names, or leave the hook out"
