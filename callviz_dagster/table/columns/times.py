"""Start and end times as instants, and the date, weekday and hour of the start on the clock of the table's zone.

What belongs elsewhere: how one text, number or local clock is read as a time (`documents/times/`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

from callviz_dagster.contract import WEEKDAYS
from callviz_dagster.documents import times
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints, Mask, unaligned_view
from callviz_dagster.documents.times import Reading
from callviz_dagster.documents.values import dotted
from callviz_dagster.documents.walker import Elements, Path
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.columns.texts import valid_strings
from callviz_dagster.table.plan import ID
from callviz_dagster.table.rejected import Rejection

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_DAY_MILLISECONDS = 86_400_000
_MAX_EXACT_DOUBLE = 2**53
_LEFT_EMPTY = {
    "unreadable": "is not a time",
    "ambiguous": "is ambiguous (CALLVIZ_DATE_ORDER sets the order of day and month)",
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
        for index, problem in _read(context, "start_time", path, kind, elements, start):
            value = context.text_of(kind, int(elements.starts[index]), path)
            rejections[int(elements.rows[index])] = Rejection(f"start_{problem}", dotted(path), value)
    paths = context.plan.roles["start_time"]
    missing = Rejection("start_missing", dotted(paths[0]) if paths else "start_time", None)
    return start, rejections | dict.fromkeys(np.flatnonzero(~present).tolist(), missing)


def end_times(context: BatchContext) -> Instants:
    """Return the end times; those that cannot be read are left empty."""
    end = Instants.none(context.size)
    for path, kind, elements in context.role_elements("end_time"):
        for index, problem in _read(context, "end_time", path, kind, elements, end):
            value = context.quoted(kind, int(elements.starts[index]), path)
            reason = _LEFT_EMPTY[problem]
            context.repairs.add(
                elements.rows[index : index + 1],
                f"end_time: a value that {reason}, left empty",
                [f"end_time: {value} {reason}, left empty"],
            )
    return end


def move_past_midnight(context: BatchContext, start: Instants, end: Instants) -> None:
    """Let calls end on the day after their start where one field holds the date of both, and the clock is earlier."""
    plan = context.plan
    if not plan.clocks.keys() >= {"start_time", "end_time"} or plan.roles["start_time"] != plan.roles["end_time"]:
        return
    rows = np.flatnonzero(start.known & end.known & (end.values < start.values))
    if len(rows):
        zone = plan.options.source_timezone
        next_day = times.local_clock(end.values[rows], zone) + _DAY
        end.values[rows] = times.from_local_clock(next_day, zone)[0]
        context.repairs.add(rows, "end_time: on the day after, for its time of day is before that of the start")


def local_parts(start: Instants, zone: str) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return date, weekday name and hour of the start times in a time zone."""
    local = times.local_clock(start.values, zone)
    days = np.floor_divide(local, _DAY)
    hours = (local - days * _DAY) // _HOUR
    weekdays = pa.DictionaryArray.from_arrays(((days + 3) % 7).astype(np.int8), pa.array(WEEKDAYS))
    return pa.array(days.astype(np.int32)).cast(pa.date32()), weekdays.cast(pa.string()), pa.array(hours)


def _read(
    context: BatchContext, role: str, path: Path, kind: int, elements: Elements, into: Instants
) -> Iterator[tuple[int, str]]:
    """Read values of one BSON type as instants; yield index and problem of each that is not read."""
    rows, starts = elements.rows, elements.starts
    joined = role in context.plan.clocks
    if kind == el.DATE and not joined:
        instants, fits = _read_dates(context, role, elements)
        into.values[rows], into.known[rows] = instants, fits
        for index in np.flatnonzero(~fits).tolist():
            yield index, "out_of_range"
        return
    unread = np.ones(len(rows), np.bool_)
    for note, places, instants in () if joined else _read_at_once(context, kind, starts):
        into.values[rows[places]], into.known[rows[places]], unread[places] = instants, True, False
        context.repairs.add(rows[places], f"{role}: {note}")
    rows_by_note: dict[str, list[int]] = {}
    indices = np.flatnonzero(unread)
    readings = (
        _read_joined(context, context.plan.clocks[role], kind, elements, indices)
        if joined
        else _read_singly(context, path, kind, elements, indices)
    )
    for index, reading in readings:
        if reading.instant is None:
            yield index, reading.problem
            continue
        row = int(rows[index])
        into.values[row], into.known[row] = reading.instant, True
        rows_by_note.setdefault(reading.note, []).append(row)
    for note, noted in rows_by_note.items():
        context.repairs.add(np.array(noted, np.int64), f"{role}: {note}")


def _read_singly(
    context: BatchContext, path: Path, kind: int, elements: Elements, indices: Ints
) -> Iterator[tuple[int, Reading]]:
    """Yield the index and the reading of values that are read one by one; other times of their document settle some."""
    read = _reader(context, path, kind)
    times_by_row: dict[int, list[int]] | None = None
    for index in indices.tolist():
        at, row = int(elements.starts[index]), int(elements.rows[index])
        reading = read(at, times_by_row.get(row, ()) if times_by_row else ())
        if reading is times.AMBIGUOUS and times_by_row is None:
            times_by_row = _times_by_row(context)
            reading = read(at, times_by_row.get(row, ()))
        yield index, reading


def _read_joined(
    context: BatchContext, clock_path: Path, kind: int, elements: Elements, indices: Ints
) -> Iterator[tuple[int, Reading]]:
    """Yield the index and the reading of dates, each joined with the time of day in another field of its document."""
    options = context.plan.options
    clocks = {
        row: (clock_kind, at)
        for clock_kind, clock_elements in context.elements_at(clock_path)
        for row, at in zip(clock_elements.rows.tolist(), clock_elements.starts.tolist(), strict=True)
    }
    for index in indices.tolist():
        clock = clocks.get(int(elements.rows[index]))
        if clock is None:
            yield index, times.UNREADABLE
            continue
        parts = [_part(context, *one) for one in ((kind, int(elements.starts[index])), clock)]
        yield index, times.join_date_and_clock(*parts, zone=options.source_timezone, date_order=options.date_order)


def _part(context: BatchContext, kind: int, at: int) -> str | int:
    """Return a date or a time of day: a BSON date as an instant, anything else as text."""
    if kind == el.DATE:
        return int(context.batch.int64(np.array([at]))[0]) * 1000
    return context.renderer.text(kind, at) or ""


def _times_by_row(context: BatchContext) -> dict[int, list[int]]:
    """Return the instants that documents hold for certain: their BSON dates, and the time in an ObjectId as `_id`."""
    batch, by_row = context.batch, dict[int, list[int]]()
    for (path, kind), elements in batch.elements.items():
        if kind == el.DATE:
            instants = np.clip(batch.int64(elements.starts), times.EARLIEST // 1000, times.LATEST // 1000) * 1000
        elif kind == el.OBJECT_ID and path == ID:
            instants = unaligned_view(batch.data, ">u4")[elements.starts].astype(np.int64) * 1_000_000
        else:
            continue
        for row, instant in zip(elements.rows.tolist(), instants.tolist(), strict=True):
            by_row.setdefault(row, []).append(instant)
    return by_row


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


def _reader(context: BatchContext, path: Path, kind: int) -> Callable[[int, Collection[int]], Reading]:
    """Return the function that reads the value at a position as a time, beside other times of its document."""
    batch, renderer, options = context.batch, context.renderer, context.plan.options
    zone = options.source_timezone
    if kind == el.STRING:
        return lambda at, near: times.read_text(
            renderer.text(kind, at) or "", zone=zone, date_order=options.date_order, near=near
        )
    if kind in (el.INT32, el.INT64, el.DECIMAL128):
        return lambda at, near: times.read_number(Decimal(renderer.text(kind, at) or "NaN"), zone=zone, near=near)
    if kind == el.DOUBLE:
        return lambda at, near: times.read_number(float(batch.double(np.array([at]))[0]), zone=zone, near=near)
    if kind == el.TIMESTAMP:
        return lambda at, _: Reading(
            int(unaligned_view(batch.data, "<u4")[at + 4]) * 1_000_000, "BSON timestamp read as a time"
        )
    if kind in (el.DOCUMENT, el.FLATTENED):
        return lambda at, _: times.read_subdocument(
            context.document_of(at, path), zone=zone, date_order=options.date_order
        )
    return lambda at, _: times.UNREADABLE
