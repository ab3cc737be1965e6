"""Every place where the package reads or makes an array by its raw memory, each as a function of its own.

Arrow's and NumPy's public functions are used everywhere else; these are the few cases in which a copy or a loop in
Python would cost too much. Each function says what layout it relies on.
What belongs elsewhere: what the bytes mean (`documents/walker.py`, `documents/text.py`, `table/columns/`).

Layouts: https://arrow.apache.org/docs/format/Columnar.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

PADDING = 64
"""Bytes behind the end of padded bytes, so that fixed-width reads near the end stay inside them."""
_HEX_DIGITS = np.frombuffer(bytes(range(256)).hex().encode(), np.uint16)
"""Each byte as two hex digits."""


_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)


def padded_bytes(raw: bytes, end: int) -> Bytes:
    """Return bytes as an array, with at least `PADDING` bytes behind `end`; copied only where there are fewer."""
    data = np.frombuffer(raw, np.uint8)
    if len(raw) < end + PADDING:
        data = np.concatenate([data, np.zeros(PADDING, np.uint8)])
    return data


def unaligned_view(data: Bytes, dtype: str) -> NDArray[Any]:
    """Return the number of this type that starts at each position of the bytes, aligned or not, without a copy."""
    size = np.dtype(dtype).itemsize
    return np.ndarray((max(len(data) - size + 1, 0),), dtype, data, strides=(1,))


def hashes_of_slices(data: Bytes, starts: Ints, sizes: Ints) -> NDArray[np.uint64]:
    """Return a hash of each slice, from its size, its first 8 bytes and its last 32; `data` is padded.

    Those differ between the identifiers of one collection, and equal slices always have equal hashes.
    """
    eight_bytes = unaligned_view(data, "<u8")
    if not len(sizes):
        return np.zeros(0, np.uint64)
    shortest, longest = int(sizes.min()), int(sizes.max())
    keys = sizes.astype(np.uint64)
    for count, multiplier in zip(range(min(max(longest - 1, 0), 32) // 8 + 1), _MULTIPLIERS, strict=False):
        part = eight_bytes[np.maximum(starts + sizes - 8 * count, starts) if count else starts]
        if shortest < 8:
            short = np.minimum(sizes, 8).astype(np.uint64)
            part &= np.where(short >= 8, np.uint64(2**64 - 1), (np.uint64(1) << (short * np.uint64(8))) - np.uint64(1))
        mixed = _mixed((keys ^ part) * np.uint64(multiplier))
        # Only bytes of the slice itself count: its hash is the same beside longer ones.
        keys = mixed if count == 0 or shortest > 8 * count else np.where(sizes > 8 * count, mixed, keys)
    return keys


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits of each value over all of its 64."""
    values = values ^ (values >> np.uint64(29))
    return (values * np.uint64(0xBF58476D1CE4E5B9)) ^ (values >> np.uint64(32))


def byte_rows(data: Bytes, starts: Ints, size: int) -> Bytes:
    """Return `size` bytes from each position, one row each."""
    return unaligned_view(data, f"V{size}")[starts].view(np.uint8).reshape(-1, size)


def hex_digits(data: Bytes, starts: Ints, size: int) -> Bytes:
    """Return `size` bytes from each position as hex digits (ASCII), one row each."""
    return _HEX_DIGITS[byte_rows(data, starts, size)].view(np.uint8).reshape(-1, 2 * size)


def rows_as_texts(characters: Bytes) -> pa.StringArray:
    """Return each row of a table of ASCII characters as a text."""
    rows, length = characters.shape
    offsets = np.arange(0, rows * length + 1, length, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters)))


def slices_as_texts(data: Bytes, starts: Ints, lengths: Ints) -> pa.StringArray | None:
    """Return slices of the bytes, which must not overlap and must rise, as texts; None where one is not UTF-8."""
    texts = slices(data, starts, lengths).view(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return texts


def slices(data: Bytes, starts: Ints, lengths: Ints) -> pa.BinaryArray:
    """Return slices of the bytes, which must not overlap and must rise.

    The slices and the gaps between them are the items of one binary array over the bytes; every second item is taken.
    """
    bounds = np.empty(2 * len(starts), np.int32)
    bounds[::2] = starts
    bounds[1::2] = starts + lengths
    items = pa.BinaryArray.from_buffers(
        pa.binary(), max(len(bounds) - 1, 0), [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    )
    return items.take(pa.array(np.arange(0, len(bounds), 2)))


def decimals_as_texts(coefficients: Ints, exponent: int) -> pa.StringArray:
    """Return coefficient × 10^exponent as text; `exponent` from -38 to 0. Arrow's decimals are 128-bit integers."""
    wide = np.column_stack([coefficients, coefficients >> 63])
    decimals = pa.Array.from_buffers(pa.decimal128(38, -exponent), len(coefficients), [None, pa.py_buffer(wide)])
    return decimals.cast(pa.string())


def spread_texts(texts: pa.StringArray, rows: Ints, size: int) -> pa.StringArray:
    """Return `size` texts: each of the given ones in its own row, with rising rows; the other rows are null."""
    if len(texts) == size:
        return texts
    given = text_offsets(texts)
    lengths = np.zeros(size + 1, np.int32)
    lengths[0] = given[0]
    lengths[rows + 1] = np.diff(given)
    valid = np.zeros(size, np.bool_)
    valid[rows] = True
    offsets = np.cumsum(lengths, dtype=np.int32)
    characters = texts.buffers()[2] or pa.py_buffer(b"")
    return pa.StringArray.from_buffers(size, pa.py_buffer(offsets), characters, _bits(valid))


def nullable_array(values: NDArray[Any], valid: Mask, arrow_type: pa.DataType) -> pa.Array:
    """Return values of a fixed width as an Arrow array, null where not valid. Booleans are packed into bits."""
    content = _bits(values) if values.dtype == np.bool_ else pa.py_buffer(values)
    return pa.Array.from_buffers(arrow_type, len(values), [_bits(valid), content])


def _bits(mask: Mask) -> pa.Buffer:
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def text_offsets(texts: pa.StringArray) -> NDArray[np.int32]:
    """Return where each text starts in `text_bytes` and, last, where the last one ends."""
    if not len(texts):
        return np.zeros(1, np.int32)
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]


def text_bytes(texts: pa.StringArray) -> Bytes:
    """Return the bytes that texts lie in, without a copy; others may stand before, between and behind them."""
    characters = texts.buffers()[2]
    return np.zeros(0, np.uint8) if characters is None else np.frombuffer(characters, np.uint8)


def joined_texts(texts: pa.StringArray) -> memoryview:
    """Return texts that lie end to end, as those that Arrow has just made, as one run of bytes, without a copy."""
    offsets = text_offsets(texts)
    return text_bytes(texts)[offsets[0] : offsets[-1]].data


def valid_mask(array: pa.Array) -> Mask:
    """Return which items of an array are not null."""
    validity = array.buffers()[0]
    if validity is None:
        return np.ones(len(array), np.bool_)
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
    return bits[array.offset : array.offset + len(array)].astype(np.bool_)


def any_valid(arrays: Sequence[pa.Array]) -> Mask:
    """Return in which rows one of several arrays of a batch is not null."""
    bitmaps = [array.buffers()[0] for array in arrays]
    if any(bitmap is None or array.offset for bitmap, array in zip(bitmaps, arrays, strict=True)):
        return np.asarray(np.logical_or.reduce([valid_mask(array) for array in arrays]))
    size = len(arrays[0])
    together = np.bitwise_or.reduce([np.frombuffer(bitmap, np.uint8, (size + 7) // 8) for bitmap in bitmaps])
    return np.unpackbits(together, count=size, bitorder="little").astype(np.bool_)


def int64_values(array: pa.Array) -> Ints:
    """Return the 64-bit values of an array, without a copy; undefined where it is null."""
    if not len(array):
        return np.zeros(0, np.int64)
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array)]
