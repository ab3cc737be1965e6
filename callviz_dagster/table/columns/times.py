"""Start and end times as instants, and the date, weekday and hour of the start on the clock of the table's zone.

What belongs elsewhere: how one text, number or local clock is read as a time (`documents/times/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.documents import times
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints, Mask
from callviz_dagster.documents.times import Reading
from callviz_dagster.documents.values import dotted
from callviz_dagster.documents.walker import Elements
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.columns.texts import valid_strings
from callviz_dagster.table.rejected import Rejection

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_DAY_MILLISECONDS = 86_400_000
_MAX_EXACT_DOUBLE = 2**53
_LEFT_EMPTY = {
    "unreadable": "is no time",
    "ambiguous": "could mean two dates (set CALLVIZ_DATE_ORDER)",
    "out_of_range": "lies outside 1678–2261",
}


@dataclass
class Instants:
    """An instant by row, in microseconds since 1970 UTC, and which rows have one."""

    values: Ints
    known: Mask

    @classmethod
    def none(cls, size: int) -> Instants:
        """Return as many rows without an instant."""
        return cls(np.zeros(size, np.int64), np.zeros(size, np.bool_))

    def array(self) -> pa.Array:
        """Return them as a column."""
        return pa.array(self.values, mask=~self.known).cast(pa.timestamp("us", tz="UTC"))


def start_times(context: BatchContext) -> tuple[Instants, dict[int, Rejection]]:
    """Return the start times, and why each row that has none is rejected."""
    start = Instants.none(context.size)
    rejections: dict[int, Rejection] = {}
    present = np.zeros(context.size, np.bool_)
    for path, kind, elements in context.role_elements("start_time"):
        present[elements.rows] = True
        for index, problem in _read(context, "start_time", kind, elements, start):
            value = context.text_of(kind, int(elements.starts[index]), path)
            rejections[int(elements.rows[index])] = Rejection(f"start_{problem}", dotted(path), value)
    paths = context.plan.roles["start_time"]
    missing = Rejection("start_missing", dotted(paths[0]) if paths else "start_time", None)
    return start, rejections | dict.fromkeys(np.flatnonzero(~present).tolist(), missing)


def end_times(context: BatchContext) -> Instants:
    """Return the end times; those that cannot be read are left empty."""
    end = Instants.none(context.size)
    for path, kind, elements in context.role_elements("end_time"):
        for index, problem in _read(context, "end_time", kind, elements, end):
            value = context.quoted(kind, int(elements.starts[index]), path)
            reason = _LEFT_EMPTY[problem]
            context.repairs.add(
                elements.rows[index : index + 1],
                f"end_time: a value that {reason}, left empty",
                [f"end_time: {value} {reason}, left empty"],
            )
    return end


def local_parts(start: Instants, zone: str) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return date, weekday name and hour of the start times in a time zone."""
    local = times.local_clock(start.values, zone)
    days = np.floor_divide(local, _DAY)
    hours = (local - days * _DAY) // _HOUR
    weekdays = pa.DictionaryArray.from_arrays(((days + 3) % 7).astype(np.int8), pa.array(WEEKDAYS))
    return pa.array(days.astype(np.int32)).cast(pa.date32()), weekdays.cast(pa.string()), pa.array(hours)


def _read(context: BatchContext, role: str, kind: int, elements: Elements, into: Instants) -> Iterator[tuple[int, str]]:
    """Read values of one BSON type as instants; yield index and problem of each that is not read."""
    rows, starts = elements.rows, elements.starts
    if kind == el.DATE:
        instants, fits = _read_dates(context, role, elements)
        into.values[rows], into.known[rows] = instants, fits
        for index in np.flatnonzero(~fits).tolist():
            yield index, "out_of_range"
        return
    unread = np.ones(len(rows), np.bool_)
    for note, places, instants in _read_at_once(context, kind, starts):
        into.values[rows[places]], into.known[rows[places]], unread[places] = instants, True, False
        context.repairs.add(rows[places], f"{role}: {note}")
    read = _reader(context, kind)
    rows_by_note: dict[str, list[int]] = {}
    for index in np.flatnonzero(unread).tolist():
        row, reading = int(rows[index]), read(int(starts[index]))
        if reading.instant is None:
            yield index, reading.problem
            continue
        into.values[row], into.known[row] = reading.instant, True
        rows_by_note.setdefault(reading.note, []).append(row)
    for note, noted in rows_by_note.items():
        context.repairs.add(np.array(noted, np.int64), f"{role}: {note}")


def _read_at_once(context: BatchContext, kind: int, starts: Ints) -> Iterator[tuple[str, Ints, Ints]]:
    """Yield notes with the places and instants of those values that can be read all at once."""
    batch = context.batch
    if kind == el.STRING:
        texts = valid_strings(batch, starts)
        if texts is not None:
            yield from times.read_texts(texts, zone=context.plan.options.source_timezone)
    elif kind in (el.INT32, el.INT64):
        yield from times.read_numbers((batch.int32 if kind == el.INT32 else batch.int64)(starts))
    elif kind == el.DOUBLE:
        values = batch.double(starts)
        whole = np.flatnonzero((np.abs(values) < _MAX_EXACT_DOUBLE) & (np.floor(values) == values))
        for note, places, instants in times.read_numbers(values[whole].astype(np.int64)):
            yield note, whole[places], instants


def _read_dates(context: BatchContext, role: str, elements: Elements) -> tuple[Ints, Mask]:
    """Return BSON dates as instants, and which of them lie within the range."""
    options = context.plan.options
    milliseconds = context.batch.int64(elements.starts)
    local = options.source_dates == "local"
    # A local clock differs from UTC by less than a day; whether the instant fits is known once it is found.
    margin = _DAY_MILLISECONDS if local else 0
    earliest, latest = times.EARLIEST // 1000, times.LATEST // 1000
    fits = (milliseconds >= earliest - margin) & (milliseconds < latest + margin)
    instants = np.where(fits, milliseconds, 0) * 1000
    if local:
        wall = instants[fits]
        instants[fits], doubts = times.from_local_clock(wall, options.source_timezone)
        for doubt, places in doubts.items():
            context.repairs.add(elements.rows[fits][places], f"{role}: {doubt}")
        fits &= (instants >= times.EARLIEST) & (instants < times.LATEST)
    return np.where(fits, instants, 0), fits


def _reader(context: BatchContext, kind: int) -> Callable[[int], Reading]:
    """Return the function that reads the value at a position as a time."""
    batch, renderer, options = context.batch, context.renderer, context.plan.options
    if kind == el.STRING:
        return lambda at: times.read_text(
            renderer.text(kind, at) or "", zone=options.source_timezone, date_order=options.date_order
        )
    if kind in (el.INT32, el.INT64, el.DECIMAL128):
        return lambda at: times.read_number(Decimal(renderer.text(kind, at) or "NaN"))
    if kind == el.DOUBLE:
        return lambda at: times.read_number(float(batch.double(np.array([at]))[0]))
    if kind == el.TIMESTAMP:
        return lambda at: Reading(
            int(batch.int32(np.array([at + 4]))[0] & 0xFFFFFFFF) * 1_000_000, "BSON timestamp read as a time"
        )
    return lambda at: times.UNREADABLE
