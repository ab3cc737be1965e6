"""Each way of reading raw memory gives what Arrow's or Python's own way gives, on slices and odd sizes too."""

from __future__ import annotations

import itertools
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from callviz_dagster.documents import buffers

TEXTS = ["", "a", "größer", "\U0001f4de", "x" * 300, "b\x00c"]
NULLABLE = ["first", None, "", "größer", None, "x" * 100, "last"]


def test_numbers_are_read_at_any_position() -> None:
    raw = b"\x01" + struct.pack("<iqd", -7, 2**62, 2.5) + b"\x02"
    data = np.frombuffer(raw, np.uint8)
    assert buffers.unaligned_view(data, "<i4")[1] == -7
    assert buffers.unaligned_view(data, "<i8")[5] == 2**62
    assert buffers.unaligned_view(data, "<f8")[13] == 2.5
    assert len(buffers.unaligned_view(data, "<f8")) == len(raw) - 7
    assert len(buffers.unaligned_view(data[:3], "<i4")) == 0


@pytest.mark.parametrize("behind", [0, 1, buffers.PADDING - 1, buffers.PADDING, buffers.PADDING + 1])
def test_padded_bytes_can_be_read_beyond_their_end(behind: int) -> None:
    raw = b"documents" + b"\xff" * behind
    padded = buffers.padded_bytes(raw, 9)
    assert padded[: len(raw)].tobytes() == raw
    assert len(padded) >= 9 + buffers.PADDING
    buffers.byte_rows(padded, np.array([8]), 32)


def test_bytes_at_positions_are_rows() -> None:
    data = np.arange(256, dtype=np.uint8)
    starts = np.array([3, 250, 0])
    assert buffers.byte_rows(data, starts, 4).tolist() == [[3, 4, 5, 6], [250, 251, 252, 253], [0, 1, 2, 3]]
    assert buffers.byte_rows(data, starts[:0], 4).shape == (0, 4)


def test_hex_digits_are_those_of_python() -> None:
    data = np.arange(256, dtype=np.uint8)
    starts = np.arange(0, 245)
    texts = buffers.rows_as_texts(buffers.hex_digits(data, starts, 12)).to_pylist()
    assert texts == [bytes(range(start, start + 12)).hex() for start in range(245)]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_rows_of_characters_become_texts(rows: int) -> None:
    characters = np.frombuffer(b"abc" * rows, np.uint8).reshape(rows, 3)
    texts = buffers.rows_as_texts(characters)
    texts.validate(full=True)
    assert texts.to_pylist() == ["abc"] * rows
    by_column = np.asfortranarray(characters)
    assert buffers.rows_as_texts(by_column).to_pylist() == ["abc"] * rows


@pytest.mark.parametrize("count", range(len(TEXTS) + 1))
def test_slices_become_texts(count: int) -> None:
    raw, starts, lengths = b"\xff", [], []
    for text in TEXTS[:count]:
        starts.append(len(raw))
        lengths.append(len(text.encode()))
        raw += text.encode() + b"\xfe\x00"
    texts = buffers.slices_as_texts(np.frombuffer(raw, np.uint8), np.array(starts, int), np.array(lengths, int))
    assert texts is not None
    texts.validate(full=True)
    assert texts.to_pylist() == TEXTS[:count]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", "ü".encode()[:1] + b"x", b"\xed\xa0\x80"])
def test_slices_that_are_not_utf_8_are_refused(bad: bytes) -> None:
    raw = b"good" + bad + b"good"
    lengths = np.array([4, len(bad), 4])
    assert buffers.slices_as_texts(np.frombuffer(raw, np.uint8), np.array([0, 4, 4 + len(bad)]), lengths) is None


@pytest.mark.parametrize("exponent", [0, -1, -5, -30, -38])
def test_decimals_become_texts(exponent: int) -> None:
    coefficients = [0, 1, -1, 123456789, -(2**63), 2**63 - 1]
    texts = buffers.decimals_as_texts(np.array(coefficients, np.int64), exponent).to_pylist()
    assert [Decimal(text) for text in texts] == [Decimal(number).scaleb(exponent) for number in coefficients]


@pytest.mark.parametrize("slice_of", [slice(None), slice(1, None), slice(2, 5), slice(3, 3)])
def test_texts_are_spread_over_rows(slice_of: slice) -> None:
    texts = pa.array(TEXTS)[slice_of.start : slice_of.stop]
    rows = np.arange(len(texts)) * 2 + 1
    spread = buffers.spread_texts(texts, rows, 20)
    spread.validate(full=True)
    expected: list[str | None] = [None] * 20
    for row, text in zip(rows.tolist(), texts.to_pylist(), strict=True):
        expected[row] = text
    assert spread.to_pylist() == expected
    assert spread.null_count == 20 - len(texts)


def test_as_many_texts_as_rows_stay_as_they_are() -> None:
    texts = pa.array(TEXTS)
    assert buffers.spread_texts(texts, np.arange(len(TEXTS)), len(TEXTS)) is texts


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 65])
@pytest.mark.parametrize(
    ("dtype", "arrow_type"),
    [(np.int64, pa.int64()), (np.float64, pa.float64()), (np.bool_, pa.bool_()), (np.int64, pa.timestamp("us", "UTC"))],
)
def test_nullable_arrays_are_those_of_arrow(size: int, dtype: type[np.generic], arrow_type: pa.DataType) -> None:
    values = (np.arange(size) % 3).astype(dtype)
    valid = np.arange(size) % 4 != 1
    array = buffers.nullable_array(values, valid, arrow_type)
    array.validate(full=True)
    assert array.equals(pa.array(values, mask=~valid).cast(arrow_type))
    assert buffers.valid_mask(array).tolist() == valid.tolist()


@pytest.mark.parametrize("first", [0, 1, 9])
@pytest.mark.parametrize("size", [0, 1, 8, 21])
@pytest.mark.parametrize("full", [False, True])
def test_rows_with_a_value_in_one_of_several_arrays(first: int, size: int, full: bool) -> None:
    numbers = pa.array([None if number % 3 else number for number in range(30)], pa.int64())
    texts = pa.array(["x" if full or number % 5 == 2 else None for number in range(30)])
    arrays = [array.slice(first, size) for array in (numbers, texts)]
    expected = [number % 3 == 0 or full or number % 5 == 2 for number in range(first, first + size)]
    assert buffers.any_valid(arrays).tolist() == expected


@pytest.mark.parametrize("first", range(len(NULLABLE) + 1))
def test_offsets_bytes_and_nulls_of_a_slice(first: int) -> None:
    texts = pa.array(NULLABLE, pa.string())[first:]
    offsets, characters = buffers.text_offsets(texts), buffers.text_bytes(texts)
    actual = [characters[a:b].tobytes().decode() for a, b in itertools.pairwise(offsets)]
    assert actual == [text or "" for text in NULLABLE[first:]]
    assert buffers.valid_mask(texts).tolist() == [text is not None for text in NULLABLE[first:]]
    assert bytes(buffers.joined_texts(texts)) == "".join(actual).encode()


def test_texts_without_a_single_byte() -> None:
    for texts in (pa.array([], pa.string()), pa.nulls(3, pa.string()), pa.array(["", ""])):
        assert len(buffers.text_offsets(texts)) == len(texts) + 1
        assert bytes(buffers.joined_texts(texts)) == b""


def test_64_bit_values_of_a_slice() -> None:
    instants = pa.array([1, None, -3, 4], pa.timestamp("us", "UTC"))
    assert buffers.int64_values(instants[2:]).tolist() == [-3, 4]
    assert buffers.int64_values(instants[4:]).tolist() == []
    assert buffers.int64_values(instants)[[0, 2]].tolist() == [1, -3]
