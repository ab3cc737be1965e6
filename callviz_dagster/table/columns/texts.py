"""Values as text: identifiers, and what a column of text takes. All at once where Arrow or NumPy write the same.

What belongs elsewhere: single values (`documents/values.py`), text that is read as something (`table/columns/times.py`,
`table/columns/durations.py`, `table/columns/labels.py`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import (
    Ints,
    decimals_as_texts,
    hex_digits,
    rows_as_texts,
    slices_as_texts,
)
from callviz_dagster.documents.text import number_texts
from callviz_dagster.documents.values import date_text
from callviz_dagster.documents.walker import Batch, Elements
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.plan import ID

_MAX_DECODED_SINGLY = 64
"""Fewer texts than this are decoded one by one, which takes less time than one call of Arrow."""
_DECIMAL_BITS, _DECIMAL_BIAS = 49, 6176
"""Bits of the upper half of a decimal that belong to its coefficient, and what is added to its exponent."""
_MIN_EXPONENT = -30
_UUID_SUBTYPE = 4
_UUID_DIGITS = [place for place in range(36) if place not in (8, 13, 18, 23)]


def identifiers(context: BatchContext) -> pa.Array:
    """Return the column `_id`: a text for every document, empty where it has none."""
    parts = context.elements_at(ID)
    for kind, elements in parts:
        if kind in (el.STRING, el.SYMBOL):
            context.repairs.add(elements.rows[context.batch.int32(elements.starts) == 1], "_id: empty")
    if len(parts) == 1 and len(parts[0][1].rows) == context.size and not context.plan.options.secrets.hides("_id"):
        texts_array = texts_at_once(context, *parts[0], "_id")
        if texts_array is not None:
            return texts_array
    texts = [""] * context.size
    present = np.zeros(context.size, np.bool_)
    for kind, elements in parts:
        present[elements.rows] = True
        context.renderer.invalid_text = False
        for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
            texts[row] = _identifier(context, kind, start)
            context.note_invalid_text("_id", row)
    context.repairs.add(np.flatnonzero(~present), "_id: missing")
    return pa.array(texts, pa.string())


def _identifier(context: BatchContext, kind: int, start: int) -> str:
    """Return an `_id` as text; dates in UTC, for on a local clock two of them could read alike."""
    if kind == el.DATE:
        return date_text(int(context.batch.int64(np.array([start]))[0]))
    text = context.renderer.text(kind, start, "_id")
    return "null" if text is None else text


def texts_of(context: BatchContext, kind: int, elements: Elements, column: str, path: str, *, hidden: bool) -> pa.Array:
    """Return values of one BSON type as text, in the elements' order; tokens where the field is `hidden`."""
    texts_array = None if hidden else texts_at_once(context, kind, elements, column)
    if texts_array is not None:
        return texts_array
    texts = []
    for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
        context.renderer.invalid_text = False
        texts.append(context.renderer.text(kind, start, path))
        if not hidden:
            context.note_invalid_text(column, row)
    return pa.array(texts, pa.string())


def texts_at_once(context: BatchContext, kind: int, elements: Elements, column: str) -> pa.Array | None:
    """Return values of one BSON type as text, all at once; None where that cannot be done."""
    batch, starts = context.batch, elements.starts
    if kind == el.STRING:
        return strings(context, elements, column)
    if kind == el.INT32:
        return pa.array(batch.int32(starts)).cast(pa.string())
    if kind == el.INT64:
        return pa.array(batch.int64(starts)).cast(pa.string())
    if kind == el.DOUBLE:
        return number_texts(pa.array(batch.double(starts)))
    if kind == el.OBJECT_ID:
        return rows_as_texts(hex_digits(batch.data, starts, 12))
    if kind == el.BINARY:
        return uuids(batch, starts)
    if kind == el.DECIMAL128:
        return decimals(batch, starts)
    return None


def strings(context: BatchContext, elements: Elements, column: str) -> pa.Array:
    """Return BSON strings as an Arrow array, in the elements' order; what is not UTF-8 is shown as hex digits."""
    texts = valid_strings(context.batch, elements.starts)
    return _invalid_strings(context, elements, column) if texts is None else texts


def valid_strings(batch: Batch, starts: Ints) -> pa.Array | None:
    """Return BSON strings as an Arrow array, in their order; None where one of them is not UTF-8."""
    sizes = batch.int32(starts)
    if len(starts) >= _MAX_DECODED_SINGLY:
        return slices_as_texts(batch.data, starts + 4, sizes - 1)
    places = zip(starts.tolist(), sizes.tolist(), strict=True)
    try:
        return pa.array([batch.raw[at + 4 : at + 3 + size].decode() for at, size in places], pa.string())
    except UnicodeDecodeError:
        return None


def _invalid_strings(context: BatchContext, elements: Elements, column: str) -> pa.Array:
    texts = []
    for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
        context.renderer.invalid_text = False
        texts.append(context.renderer.text(el.STRING, start))
        context.note_invalid_text(column, row)
    return pa.array(texts, pa.string())


def decimals(batch: Batch, starts: Ints) -> pa.Array | None:
    """Return decimals as text, all at once; None where Arrow cannot hold one of them or writes it differently.

    Their layout is that of IEEE 754-2008 decimal128 with a binary coefficient.
    """
    low, high = (batch.int64(starts + at) for at in (0, 8))
    exponents = (high >> _DECIMAL_BITS & 0x3FFF) - _DECIMAL_BIAS
    small = (low >= 0) & (high & ((1 << _DECIMAL_BITS) - 1) == 0) & (high >> 61 & 3 != 3)
    in_range = (exponents <= 0) & (exponents >= _MIN_EXPONENT)
    negative_zero = (low == 0) & (high < 0)
    if not (small & in_range & ~negative_zero).all():
        return None
    coefficients = np.where(high < 0, -low, low)
    texts, places = [], []
    for exponent in np.unique(exponents).tolist():
        some = np.flatnonzero(exponents == exponent)
        texts.append(decimals_as_texts(coefficients[some], exponent))
        places.append(some)
    if len(texts) == 1:
        return texts[0]
    return pa.concat_arrays(texts).take(pa.array(np.argsort(np.concatenate(places))))


def uuids(batch: Batch, starts: Ints) -> pa.Array | None:
    """Return UUIDs in their canonical form, all at once; None where one of the values is other binary data."""
    if not ((batch.int32(starts) == 16) & (batch.data[starts + 4] == _UUID_SUBTYPE)).all():
        return None
    text = np.full((len(starts), 36), ord("-"), np.uint8)
    text[:, _UUID_DIGITS] = hex_digits(batch.data, starts + 5, 16)
    return rows_as_texts(text)
