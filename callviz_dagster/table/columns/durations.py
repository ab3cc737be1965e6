"""The column `duration_sec`: the document's own duration where it has a usable one, else end − start.

What belongs elsewhere: how one number, text or document is read as a duration (`documents/durations.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callviz_dagster.contract import END_BEFORE_START
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints
from callviz_dagster.documents.durations import (
    AMBIGUOUS,
    UNREADABLE,
    Duration,
    read_duration,
    read_duration_document,
    read_durations,
)
from callviz_dagster.documents.walker import Elements, Path
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.columns.texts import decimals, valid_strings
from callviz_dagster.table.columns.times import Instants

Doubles = NDArray[np.float64]

_LEFT_OUT = {
    "unreadable": "is not a duration",
    "ambiguous": "could be minutes and seconds, or hours and minutes",
    "negative": "is negative",
    "too_large": "is too large",
}


def durations(context: BatchContext, start: Instants, end: Instants) -> pa.Array:
    """Return the seconds of each call; null where it has neither a usable duration nor both times in order."""
    both = start.known & end.known
    elapsed = np.where(both, (end.values - start.values) / 1e6, np.nan)
    seconds = np.full(context.size, np.nan)
    for path, kind, elements in context.role_elements("duration"):
        seconds[elements.rows] = _read(context, path, kind, elements, elapsed)
    context.repairs.add(np.flatnonzero(elapsed < 0), END_BEFORE_START)
    unknown = np.isnan(seconds)
    derived = unknown & (elapsed >= 0)
    seconds[derived] = elapsed[derived]
    missing = unknown & ~derived
    return pa.array(np.where(missing, 0.0, seconds), mask=missing)


def _read(context: BatchContext, path: Path, kind: int, elements: Elements, elapsed: Doubles) -> Doubles:
    """Return values of one BSON type in seconds; NaN for those that are left out, which is noted."""
    numbers = _numbers(context, kind, elements.starts)
    if numbers is not None:
        seconds, problems = read_durations(numbers, unit=context.plan.duration_unit(path))
        for problem, having in problems.items():
            for index in np.flatnonzero(having).tolist():
                _note_left_out(context, path, kind, elements, index, problem)
            seconds[having] = np.nan
        return seconds
    seconds = np.full(len(elements.starts), np.nan)
    rows_by_note: dict[str, list[int]] = {}
    for index, duration in enumerate(_read_singly(context, path, kind, elements, elapsed)):
        if duration.seconds is None:
            _note_left_out(context, path, kind, elements, index, duration.problem)
            continue
        seconds[index] = duration.seconds
        if duration.note:
            rows_by_note.setdefault(duration.note, []).append(int(elements.rows[index]))
    for note, rows in rows_by_note.items():
        context.repairs.add(np.array(rows, np.int64), f"duration_sec: {note}")
    return seconds


def _numbers(context: BatchContext, kind: int, starts: Ints) -> Doubles | None:
    """Return values as numbers; None where they are of another type."""
    batch = context.batch
    readers = {el.INT32: batch.int32, el.INT64: batch.int64, el.DOUBLE: batch.double}
    return readers[kind](starts).astype(np.float64) if kind in readers else None


def _read_singly(
    context: BatchContext, path: Path, kind: int, elements: Elements, elapsed: Doubles
) -> Iterator[Duration]:
    """Yield each value's duration; the call's own times settle what can be minutes or hours."""
    unit, form = context.plan.duration_unit(path), context.plan.two_part_clock(path)
    if kind in (el.DOCUMENT, el.FLATTENED):
        for start in elements.starts.tolist():
            yield read_duration_document(context.document_of(start, path))
    elif kind == el.DECIMAL128:
        for text in _texts(context, path, kind, elements, decimals(context.batch, elements.starts)):
            yield read_duration(Decimal(text), unit=unit)
    elif kind == el.STRING:
        texts = _texts(context, path, kind, elements, valid_strings(context.batch, elements.starts))
        for row, text in zip(elements.rows.tolist(), texts, strict=True):
            duration = read_duration(text, unit=unit, two_part_clock=form)
            yield read_duration(text, unit=unit, elapsed=float(elapsed[row])) if duration is AMBIGUOUS else duration
    else:
        yield from [UNREADABLE] * len(elements.starts)


def _texts(context: BatchContext, path: Path, kind: int, elements: Elements, at_once: pa.Array | None) -> list[str]:
    if at_once is not None:
        return [str(text) for text in at_once.to_pylist()]
    return [context.text_of(kind, start, path) for start in elements.starts.tolist()]


def _note_left_out(context: BatchContext, path: Path, kind: int, elements: Elements, index: int, problem: str) -> None:
    value, reason = context.quoted(kind, int(elements.starts[index]), path), _LEFT_OUT[problem]
    context.repairs.add(
        elements.rows[index : index + 1],
        f"duration_sec: a value that {reason}, left out",
        [f"duration_sec: {value} {reason}, left out"],
    )
