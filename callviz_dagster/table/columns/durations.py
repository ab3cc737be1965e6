"""The column `duration_sec`: the document's own duration where it has a usable one, else end − start."""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callviz_dagster.contract import END_BEFORE_START
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Mask
from callviz_dagster.documents.walker import Elements, Path
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.columns.texts import decimals, valid_strings
from callviz_dagster.table.columns.times import Instants

Doubles = NDArray[np.float64]

_MAX_SECONDS = 2**53
_MAX_CACHED_TEXT = 100
"""Longer texts are not kept in the cache of texts read before."""
_SECONDS = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_HOURS = re.compile(r"(\d{1,9}):([0-5]\d):([0-5]\d)(\.\d+)?")
_LENIENT = Context(traps=[])
"""Gives NaN for a number whose exponent is beyond what `Decimal` holds."""


def durations(context: BatchContext, start: Instants, end: Instants) -> pa.Array:
    """Return the seconds of each call; null where it has neither a usable duration nor both times in order."""
    seconds = np.zeros(context.size, np.float64)
    known = np.zeros(context.size, np.bool_)
    for path, kind, elements in context.role_elements("duration"):
        factor = _units_per_second(context, path)
        values, readable = _read(context, kind, elements, path, factor)
        usable = _note_unusable(context, kind, elements, path, values, readable)
        rows = elements.rows[usable]
        seconds[rows] = values[usable] / factor + 0.0
        known[rows] = True
    both = start.known & end.known
    elapsed = np.where(both, end.values - start.values, 0)
    context.repairs.add(np.flatnonzero(both & (elapsed < 0)), END_BEFORE_START)
    derived = both & ~known & (elapsed >= 0)
    seconds[derived] = elapsed[derived] / 1e6
    return pa.array(seconds, mask=~(known | derived))


def _units_per_second(context: BatchContext, path: Path) -> int:
    return 1000 if context.plan.duration_unit(path) == "ms" else 1


def _note_unusable(
    context: BatchContext, kind: int, elements: Elements, path: Path, values: Doubles, readable: Mask
) -> Mask:
    """Return which values are durations; the others are left out, and noted."""
    infinite = ~np.isfinite(values)
    problems = {
        "is no duration": ~readable | infinite,
        "is negative": values < 0,
        "is too large": values >= _MAX_SECONDS,
    }
    usable = np.ones(len(values), np.bool_)
    for problem, unusable in problems.items():
        for index in np.flatnonzero(unusable & usable).tolist():
            value = context.quoted(kind, int(elements.starts[index]), path)
            context.repairs.add(
                elements.rows[index : index + 1],
                f"duration_sec: a value that {problem}, left out",
                [f"duration_sec: {value} {problem}, left out"],
            )
        usable &= ~unusable
    return usable


def _read(context: BatchContext, kind: int, elements: Elements, path: Path, factor: int) -> tuple[Doubles, Mask]:
    """Return values of one BSON type as numbers, in the field's unit, and which of them could be read."""
    batch, starts = context.batch, elements.starts
    readable = np.ones(len(starts), np.bool_)
    if kind == el.INT32:
        return batch.int32(starts).astype(np.float64), readable
    if kind == el.INT64:
        return batch.int64(starts).astype(np.float64), readable
    if kind == el.DOUBLE:
        return batch.double(starts), readable
    values = np.zeros(len(starts), np.float64)
    rows_by_note: dict[str, list[int]] = {}
    for index, text in enumerate(_texts(context, kind, elements, path)):
        read = _read_text if len(text) <= _MAX_CACHED_TEXT else _read_text.__wrapped__
        number, note = read(text, kind, factor)
        if number is None:
            readable[index] = False
            continue
        values[index] = number
        if note:
            rows_by_note.setdefault(note, []).append(int(elements.rows[index]))
    for note, rows in rows_by_note.items():
        context.repairs.add(np.array(rows, np.int64), f"duration_sec: {note}")
    return values, readable


def _texts(context: BatchContext, kind: int, elements: Elements, path: Path) -> list[str]:
    at_once = None
    if kind == el.STRING:
        at_once = valid_strings(context.batch, elements.starts)
    elif kind == el.DECIMAL128:
        at_once = decimals(context.batch, elements.starts)
    if at_once is not None:
        return at_once.to_pylist()
    return [context.text_of(kind, start, path) for start in elements.starts.tolist()]


@lru_cache(maxsize=16_384)
def _read_text(text: str, kind: int, factor: int) -> tuple[float | None, str]:
    """Read text or a decimal as a duration; return the number, None where it is not one, and what was assumed.

    Hours, minutes and seconds are multiplied by `factor`, the number of the field's units in a second.
    """
    text = text.strip()
    if kind == el.DECIMAL128 or (kind == el.STRING and _SECONDS.fullmatch(text)):
        number = Decimal(text, _LENIENT)
        value = float("nan") if number.is_nan() else float(number)
        if not math.isfinite(value):
            return value, ""
        if Decimal(repr(value)) != number:
            return value, "decimal rounded to a number"
        return value, "text read as a number" if kind == el.STRING else ""
    if kind == el.STRING and (clock := _HOURS.fullmatch(text)):
        total = int(clock[1]) * 3600 + int(clock[2]) * 60 + Decimal(clock[3] + (clock[4] or ""))
        return float(total) * factor, "text read as hours, minutes and seconds"
    return None, ""
