"""Walking many documents at once finds what a plain walk of each document finds."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents import walker as elements
from callviz_dagster.documents.walker import FLATTENED, MAX_DEPTH, REPEAT, Batch, ElementError, Path, Walker
from callviz_dagster_tests.helpers.raw_bson import (
    DOCUMENT,
    INT32,
    MAX_KEY,
    NULL,
    Value,
    array,
    examples,
    nested,
    raw_document,
    read_elements,
    text,
    value,
    values,
)

Elements = dict[tuple[Path, int], list[tuple[int, int]]]
"""By path and type: the row and the position of each value."""

_NAMES = st.sampled_from([b"", b"a", b"b", b"a.b", b"$x", b"exactly8", b"longer than eight", b"\xff", "名".encode()])


def walked_plainly(documents: Sequence[bytes]) -> Elements:
    """Walk the documents one after the other; what the vectorized walk must find."""
    elements: Elements = {}
    raw = b"".join(documents)
    position = 0

    def walk(row: int, start: int, prefix: Path) -> None:
        times_seen: dict[bytes, int] = {}
        for name, kind, begin, end in read_elements(raw, start):
            times_seen[name] = times_seen.get(name, 0) + 1
            repeat = REPEAT + str(times_seen[name]).encode() if times_seen[name] > 1 else b""
            path = (*prefix, name + repeat)
            inner = read_elements(raw, begin) if kind == DOCUMENT else []
            if inner and inner[0].name != b"$ref" and len(path) < MAX_DEPTH:
                elements.setdefault((path, FLATTENED), []).append((row, begin))
                walk(row, begin, path)
            else:
                elements.setdefault((path, kind), []).append((row, begin))
            assert end > begin or kind in (NULL, 0x06, 0xFF, MAX_KEY)

    for row, document in enumerate(documents):
        walk(row, position, ())
        position += len(document)
    return elements


def found_by(batch: Batch) -> Elements:
    """Return a batch's elements as `walked_plainly` does; the rows must come in order."""
    return {
        key: list(zip(elements.rows.tolist(), elements.starts.tolist(), strict=True))
        for key, elements in batch.elements.items()
    }


def assert_walked(documents: Sequence[bytes], walker: Walker | None = None) -> Batch:
    batch = (walker or Walker()).walk(b"".join(documents))
    assert found_by(batch) == walked_plainly(documents)
    assert len(batch) == len(documents)
    return batch


_documents = st.lists(st.tuples(_NAMES, values(_NAMES)), max_size=6).map(raw_document)


@st.composite
def _batches(draw: st.DrawFn) -> list[bytes]:
    """Return batches in which many documents resemble each other, and some do not."""
    shapes = draw(st.lists(_documents, min_size=1, max_size=4))
    order = draw(st.lists(st.integers(0, len(shapes) - 1), max_size=60))
    return [shapes[index] for index in order] + draw(st.lists(_documents, max_size=3))


@examples(150)
@given(_batches(), _batches())
def test_finds_what_a_plain_walk_finds(first: list[bytes], second: list[bytes]) -> None:
    walker = Walker()
    assert_walked(first, walker)
    assert_walked(second, walker)  # what was learned from the first batch changes no result


@examples(150)
@given(_batches())
def test_so_it_does_where_documents_with_little_in_common_are_walked_together(documents: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elements, "_MIN_DOCUMENTS_PER_SWEEP", 2)
        patch.setattr(elements, "_MOST_SWEEPS", 3)
        patch.setattr(elements, "_DOCUMENTS_PER_BLOCK", 7)
        patch.setattr(elements, "_learn", lambda order, names: None)
        assert_walked(documents)


def test_a_rare_field_of_each_document() -> None:
    rare = [
        raw_document([
            ("_id", value(row)),
            (f"rare_{row % 50}" + "x" * (row % 40), nested([("note", text("x")), ("at", value(row))])),
            *([(f"rare_{row % 7}", value(None))] if row % 3 else []),
            *([("_id", value("again"))] if row % 11 == 0 else []),
        ])
        for row in range(3_000)
    ]  # fmt: skip
    batch = assert_walked(rare)
    assert len(batch.elements) > 500


@pytest.mark.parametrize("number", [0, 1, 2, 23, 24, 25, 1_000])
def test_batches_of_any_size(number: int) -> None:
    documents = [
        bson.encode({"_id": row, "caller": {"phone": str(row)}, **({"end": row} if row % 3 else {})})
        for row in range(number)
    ]
    assert_walked(documents)


@pytest.mark.parametrize("together", [1, 40])
def test_a_name_that_occurs_again_is_numbered(together: int) -> None:
    one, two, three = value(1), text("two"), value(3.0)
    repeated = [
        raw_document([("x", one), ("y", one), ("x", two), ("x", three), ("y", one)]),
        raw_document([("x", one), ("x", one)]),
        raw_document([("y", two), ("x", one)]),
        raw_document([("x", nested([("z", one), ("z", two)])), ("x", nested([("z", one)]))]),
    ]
    batch = assert_walked([document for document in repeated for _ in range(together)])
    paths = {path for path, _ in batch.elements}
    assert {(b"x",), (b"x\x002",), (b"x\x003",), (b"y\x002",), (b"x", b"z\x002"), (b"x\x002", b"z")} <= paths


@pytest.mark.slow
def test_a_name_that_occurs_more_often_than_a_small_number_can_count() -> None:
    often = 2**15 + 10
    many = raw_document([("n", (NULL, b""))] * often + [("end", value(1))])
    some = raw_document([("n", (NULL, b""))] * 100)
    batch = assert_walked([many] + [some] * 60)
    assert [row for row, _ in found_by(batch)[(b"n\x00%d" % often,), NULL]] == [0]


@pytest.mark.parametrize("together", [1, 40])
def test_nested_documents_are_walked_down_to_a_depth(together: int) -> None:
    deep: Value = nested([("leaf", value(1))])
    for level in range(30):
        deep = nested([(f"level{level}", deep)])
    batch = assert_walked([raw_document([("top", deep)])] * together)
    assert max(len(path) for path, _ in batch.elements) == MAX_DEPTH
    whole = [(path, kind) for path, kind in batch.elements if kind != FLATTENED]
    assert [(len(path), kind) for path, kind in whole] == [(MAX_DEPTH, DOCUMENT)]


def test_empty_documents_references_and_arrays_stay_whole() -> None:
    reference = nested([("$ref", text("users")), ("$id", value(7))])
    documents = [raw_document([("empty", nested([])), ("reference", reference), ("list", array([nested([])]))])] * 30
    batch = assert_walked(documents)
    assert {path for path, _ in batch.elements} == {(b"empty",), (b"reference",), (b"list",)}


@pytest.mark.slow
def test_more_names_than_are_remembered() -> None:
    names = [f"key{number}" for number in range(1_500)]
    documents = [
        raw_document([("_id", value(row))] + [(names[(row * 37 + i) % 1_500], value(i)) for i in range(700)])
        for row in range(60)
    ]
    walker = Walker()
    assert_walked(documents, walker)
    assert_walked(documents[::-1], walker)


def test_documents_in_any_order_of_fields() -> None:
    fields = [(name, value(place)) for place, name in enumerate(["a", "b", "c", "d", "e", "longer than eight"])]
    documents = [raw_document(fields[turn % 6 :] + fields[: turn % 6]) for turn in range(120)]
    assert_walked(documents)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x05\x00\x00\x00",
        b"\x04\x00\x00\x00\x00",
        struct.pack("<i", 100) + b"\x00",
        struct.pack("<i", -1) + b"\x00",
        raw_document([("a", value(1))])[:-3],
        raw_document([("a", value(1))]) + b"\x07",
        raw_document([("a", (0x42, b""))]),
        raw_document([("a", (0x42, b""))]) * 50,
    ],
)
def test_bytes_that_are_no_documents_are_an_error(broken: bytes) -> None:
    with pytest.raises(ElementError):
        Walker().walk(broken)


def test_values_are_read_where_they_lie() -> None:
    documents = [bson.encode({"i": row, "l": bson.Int64(2**40 + row), "d": row / 2}) for row in range(50)]
    batch = assert_walked(documents)
    assert batch.int32(batch.elements[(b"i",), INT32].starts).tolist() == list(range(50))
    assert batch.int64(batch.elements[(b"l",), 0x12].starts).tolist() == [2**40 + row for row in range(50)]
    assert batch.double(batch.elements[(b"d",), 0x01].starts).tolist() == [row / 2 for row in range(50)]
