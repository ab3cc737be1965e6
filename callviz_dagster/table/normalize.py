"""A batch of raw documents → rows of `calls` and rows of `rejected_calls`. Pure: no I/O, no Dagster.

Works column by column: the values of one field and BSON type are read together where NumPy or Arrow reads them
exactly, one by one where not; both give the same rows. Every document of the batch is a row of exactly one of
the two tables.
What belongs elsewhere: finding elements (`documents/walker.py`), single values (`documents/values.py`,
`documents/times/`), choosing fields and column types (`table/plan.py`).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from callviz_dagster.contract import REJECTED, UNKNOWN, WEEKDAYS, Kind, arrow_schema, arrow_type
from callviz_dagster.documents import times
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.labels import known_label
from callviz_dagster.documents.text import number_texts
from callviz_dagster.documents.times import Reading
from callviz_dagster.documents.values import Renderer, date_text, dotted, plain_path
from callviz_dagster.documents.walker import Batch, Elements, Ints, Path, unaligned_view
from callviz_dagster.table.options import PlanError
from callviz_dagster.table.plan import ID, FieldColumn, Plan
from callviz_dagster.table.tally import EXAMPLES, PROBLEMS, Tally

Mask = NDArray[np.bool_]

_DAY = 86_400_000_000
_DAY_SECONDS = 86_400
_YEAR_1990 = 631_152_000_000_000
_EXACT = 2**53
_MOST_QUOTED = 100
_FEW = 64
"""Fewer texts than this are decoded one by one."""
_SECONDS = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_HOURS = re.compile(r"(\d{1,9}):([0-5]\d):([0-5]\d)(\.\d+)?")
_LENIENT = Context(traps=[])
"""Gives NaN for a number whose exponent is beyond what `Decimal` holds."""
_TWO_DIGITS = np.frombuffer(bytes(range(256)).hex().encode(), np.uint16)
"""Each byte as two hex digits."""
_DECIMAL_BITS, _DECIMAL_BIAS = 49, 6176
"""Bits of the upper half of a decimal that belong to its coefficient, and what is added to its exponent."""
_UUID = 4
"""Binary subtype."""
_UUID_DIGITS = [place for place in range(36) if place not in (8, 13, 18, 23)]
_SPACES = np.zeros(256, np.bool_)
_SPACES[: ord(" ") + 1] = True
_SPACES[[0xC2, 0xE1, 0xE2, 0xE3]] = True
"""First bytes of the characters that `str.strip` removes, in UTF-8."""

_LEFT_EMPTY = {
    "unreadable": "is no time",
    "ambiguous": "could mean two dates (set CALLVIZ_DATE_ORDER)",
    "out_of_range": "lies outside 1678–2261",
}


@dataclass(frozen=True)
class Normalized:
    """The rows of one batch."""

    calls: pa.Table
    rejected: pa.Table
    tally: Tally


def normalize(batch: Batch, plan: Plan, *, now: int) -> Normalized:
    """Turn a batch of documents into rows.

    Args:
        batch: the documents, walked.
        plan: the plan of the table; must be made from a profile that covers the batch.
        now: the instant of the snapshot, in microseconds since 1970 UTC; later calls are told as implausible.

    Returns:
        `calls` with the columns of `plan.columns`, `rejected` with those of `contract.REJECTED`, both in the order
        of the documents, and what was counted.
    """
    return _BatchNormalizer(batch, plan, now).run()


class _Notes:
    """The repairs of a batch: texts by row, and counts by kind."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._chunks: list[tuple[Ints, Sequence[str], str]] = []

    def add(self, rows: Ints, kind: str, texts: Sequence[str] | None = None) -> None:
        """Note the same repair in rows; `texts` where its words differ from row to row."""
        if len(rows):
            self._chunks.append((rows, texts if texts is not None else [kind] * len(rows), kind))

    def texts(self) -> list[str]:
        """Return each row's repairs as one text."""
        texts = [""] * self._rows
        for rows, chunk, _ in self._chunks:
            for row, text in zip(rows.tolist(), chunk, strict=True):
                texts[row] = f"{texts[row]}; {text}" if texts[row] else text
        return texts

    def counts(self, kept: Mask) -> Counter[str]:
        """Return how many kept rows have each kind of repair."""
        counts: Counter[str] = Counter()
        for rows, _, kind in self._chunks:
            counts[kind] += int(np.count_nonzero(kept[rows]))
        return +counts

    def __bool__(self) -> bool:
        return bool(self._chunks)


@dataclass
class _Times:
    """Instants by row, with the rows that have one."""

    instants: Ints
    known: Mask


class _BatchNormalizer:
    """The state of one batch on its way."""

    def __init__(self, batch: Batch, plan: Plan, now: int) -> None:
        self.batch = batch
        self.plan = plan
        self.now = now
        self.size = len(batch)
        self.notes = _Notes(self.size)
        self.tally = Tally(documents=self.size)
        self.zone = zone = plan.options.timezone
        # No reference to `self`: in a cycle the batch would stay in memory until the garbage collector comes.
        self.renderer = Renderer(
            batch.raw, date_text=lambda ms: times.local_datetime_text(ms, zone), secrets=plan.options.secrets
        )
        self.by_path: dict[Path, list[tuple[int, Elements]]] = {}
        for (path, kind), found in batch.elements.items():
            self.by_path.setdefault(path, []).append((kind, found))
        self.rejections: dict[int, tuple[str, str, str | None]] = {}

    def run(self) -> Normalized:
        plan, tally = self.plan, self.tally
        ids = self.ids()
        start = self.start_times()
        kept = start.known
        end = self.end_times()
        duration, has_duration = self.durations(start, end)
        call_type = self.labels("call_type")
        status = self.labels("status")
        arrays: list[pa.Array] = [
            ids,
            call_type,
            status,
            _instants(start),
            _instants(end),
            pa.array(duration, mask=~has_duration),
            *_local_parts(start, self.zone),
            *(self.field(column) for column in plan.fields),
        ]
        if plan.other_fields:
            arrays.append(self.other_fields())
        arrays.append(pa.array(self.notes.texts(), pa.string()) if self.notes else _constant("", self.size))
        calls = pa.Table.from_arrays(arrays, schema=_nullable(arrow_schema(plan.columns)))
        if not kept.all():
            calls = calls.filter(pa.array(kept))
        rejected = self.rejected(ids)
        tally.calls, tally.rejected = calls.num_rows, rejected.num_rows
        tally.repairs = self.notes.counts(kept)
        repairs = calls.column("repairs")
        tally.repaired_rows = pc.sum(pc.not_equal(repairs, "")).as_py() or 0
        for role in ("call_type", "status"):
            labels = tally.labels.setdefault(role, Counter())
            for entry in pc.value_counts(calls.column(role).combine_chunks()).to_pylist():
                labels[_truncate(entry["values"])] += entry["counts"]
        self.implausible(calls)
        return Normalized(calls.cast(arrow_schema(plan.columns)), rejected, tally)

    # Fields and what is chosen of them

    def role_elements(self, role: str) -> Iterator[tuple[Path, int, Elements]]:
        """Yield the elements that play a role: in each document the first of the role's fields that is not empty."""
        remaining = np.ones(self.size, np.bool_)
        used = self.tally.fields_used.setdefault(role, Counter())
        for path in self.plan.roles[role]:
            taken = []
            for kind, found in self.by_path.get(path, []):
                open_rows = remaining[found.rows] & self.filled(kind, found)
                if open_rows.any():
                    chosen = found if open_rows.all() else Elements(found.rows[open_rows], found.starts[open_rows])
                    taken.append(chosen.rows)
                    used[dotted(path)] += len(chosen.rows)
                    if path != self.plan.usual[role]:
                        self.notes.add(chosen.rows, f"{_column(role)}: taken from {dotted(path)}")
                    yield path, kind, chosen
            for rows in taken:
                remaining[rows] = False

    def filled(self, kind: int, found: Elements) -> Mask:
        """Tell which values are something: not null and no blank text."""
        if kind in (el.NULL, el.UNDEFINED):
            return np.zeros(len(found.rows), np.bool_)
        filled = np.ones(len(found.rows), np.bool_)
        if kind == el.STRING:
            filled = self.batch.int32(found.starts) > 1
            doubtful = np.flatnonzero(filled & _SPACES[self.batch.data[found.starts + 4]])
            for index in doubtful:
                filled[index] = bool((self.renderer.text(kind, int(found.starts[index])) or "").strip())
        return filled

    def text_of(self, kind: int, start: int, path: Path) -> str:
        return self.renderer.text(kind, start, plain_path(path)) or ""

    def quoted(self, kind: int, start: int, path: Path) -> str:
        """Return a value as a note quotes it: text in quotes, long ones cut."""
        text = _truncate(self.text_of(kind, start, path))
        return json.dumps(text, ensure_ascii=False) if kind == el.STRING else text

    # Columns of the contract

    def ids(self) -> pa.Array:
        parts = self.by_path.get(ID, [])
        if len(parts) == 1 and len(parts[0][1].rows) == self.size:
            known = self.texts_at_once(*parts[0], "_id", self.plan.options.secrets.hides("_id"))
            if known is not None:
                return known
        texts = [""] * self.size
        for kind, found in parts:
            self.renderer.invalid_text = False
            for row, start in zip(found.rows.tolist(), found.starts.tolist(), strict=True):
                texts[row] = self.identifier(kind, start)
                self.note_invalid(row, "_id")
        present = np.zeros(self.size, np.bool_)
        for _, found in parts:
            present[found.rows] = True
        self.notes.add(np.flatnonzero(~present), "_id: missing")
        return pa.array(texts, pa.string())

    def identifier(self, kind: int, start: int) -> str:
        """Return an `_id` as text; dates in UTC, for on a local clock two of them could read alike."""
        if kind == el.DATE:
            return date_text(int(self.batch.int64(np.array([start]))[0]))
        text = self.renderer.text(kind, start, "_id")
        return "null" if text is None else text

    def hex_digits(self, starts: Ints, size: int) -> NDArray[np.uint8]:
        """Return so many bytes at each position as hex digits, a row for each."""
        raw = unaligned_view(self.batch.data, f"V{size}")[starts].view(np.uint8)
        return _TWO_DIGITS[raw].view(np.uint8).reshape(-1, 2 * size)

    def object_ids(self, found: Elements) -> pa.Array:
        """Return ObjectIds as 24 hex digits, all at once."""
        return _lines_of(self.hex_digits(found.starts, 12))

    def decimals(self, found: Elements) -> pa.Array | None:
        """Return decimals as text, all at once; None where one of them is none that Arrow holds and writes the same.

        Their layout is that of IEEE 754-2008 decimal128 with a binary coefficient.
        """
        low, high = (self.batch.int64(found.starts + at) for at in (0, 8))
        exponents = (high >> _DECIMAL_BITS & 0x3FFF) - _DECIMAL_BIAS
        small = (low >= 0) & (high & ((1 << _DECIMAL_BITS) - 1) == 0) & (high >> 61 & 3 != 3)
        if not (small & (exponents <= 0) & (exponents >= -30) & ((low > 0) | (high >= 0))).all():
            return None
        coefficients = np.where(high < 0, -low, low)
        texts, places = [], []
        for exponent in np.unique(exponents).tolist():
            some = np.flatnonzero(exponents == exponent)
            whole = np.column_stack([coefficients[some], coefficients[some] >> 63])
            kind = pa.decimal128(38, -exponent)
            texts.append(pa.Array.from_buffers(kind, len(some), [None, pa.py_buffer(whole)]).cast(pa.string()))
            places.append(some)
        return (
            texts[0] if len(texts) == 1 else pa.concat_arrays(texts).take(pa.array(np.argsort(np.concatenate(places))))
        )

    def uuids(self, found: Elements) -> pa.Array | None:
        """Return UUIDs in their canonical form, all at once; None where one of the values is other binary data."""
        length, subtype = self.batch.int32(found.starts), self.batch.data[found.starts + 4]
        if not ((length == 16) & (subtype == _UUID)).all():
            return None
        text = np.full((len(found.starts), 36), ord("-"), np.uint8)
        text[:, _UUID_DIGITS] = self.hex_digits(found.starts + 5, 16)
        return _lines_of(text)

    def start_times(self) -> _Times:
        start = _Times(np.zeros(self.size, np.int64), np.zeros(self.size, np.bool_))
        seen = np.zeros(self.size, np.bool_)
        for path, kind, found in self.role_elements("start_time"):
            seen[found.rows] = True
            for index, problem in self.read_times("start_time", kind, found, start, path):
                begin = int(found.starts[index])
                self.rejections[int(found.rows[index])] = (
                    f"start_{problem}",
                    dotted(path),
                    self.text_of(kind, begin, path),
                )
        paths = self.plan.roles["start_time"]
        missing = dotted(paths[0]) if paths else "start_time"
        for row in np.flatnonzero(~seen).tolist():
            self.rejections[row] = ("start_missing", missing, None)
        return start

    def end_times(self) -> _Times:
        end = _Times(np.zeros(self.size, np.int64), np.zeros(self.size, np.bool_))
        for path, kind, found in self.role_elements("end_time"):
            for index, problem in self.read_times("end_time", kind, found, end, path):
                value = self.quoted(kind, int(found.starts[index]), path)
                words = _LEFT_EMPTY[problem]
                self.notes.add(
                    found.rows[index : index + 1],
                    f"end_time: a value that {words}, left empty",
                    [f"end_time: {value} {words}, left empty"],
                )
        return end

    def read_times(self, role: str, kind: int, found: Elements, into: _Times, path: Path) -> Iterator[tuple[int, str]]:
        """Read values of one type as instants; yield the index and the problem of each that is none."""
        rows, starts = found.rows, found.starts
        if kind == el.DATE:
            instants, fits = self.read_dates(role, found)
            into.instants[rows], into.known[rows] = instants, fits
            for index in np.flatnonzero(~fits).tolist():
                yield index, "out_of_range"
            return
        left = np.ones(len(rows), np.bool_)
        for note, places, instants in self.times_at_once(kind, found):
            into.instants[rows[places]], into.known[rows[places]], left[places] = instants, True, False
            self.notes.add(rows[places], f"{role}: {note}")
        read = self.reader(kind)
        notes: dict[str, list[int]] = {}
        for index in np.flatnonzero(left).tolist():
            row, reading = int(rows[index]), read(int(starts[index]))
            if reading.instant is None:
                yield index, reading.problem
                continue
            into.instants[row], into.known[row] = reading.instant, True
            notes.setdefault(reading.note, []).append(row)
        for note, noted in notes.items():
            self.notes.add(np.array(noted, np.int64), f"{role}: {note}")

    def times_at_once(self, kind: int, found: Elements) -> Iterator[tuple[str, Ints, Ints]]:
        """Yield notes with the places and instants of those values that can be read all at once."""
        if kind == el.STRING:
            texts = self.valid_strings(found)
            if texts is not None:
                yield from times.read_texts(texts, zone=self.plan.options.source_timezone)
        elif kind in (el.INT32, el.INT64):
            yield from times.read_numbers((self.batch.int32 if kind == el.INT32 else self.batch.int64)(found.starts))
        elif kind == el.DOUBLE:
            values = self.batch.double(found.starts)
            whole = np.flatnonzero((np.abs(values) < _EXACT) & (np.floor(values) == values))
            for note, places, instants in times.read_numbers(values[whole].astype(np.int64)):
                yield note, whole[places], instants

    def read_dates(self, role: str, found: Elements) -> tuple[Ints, Mask]:
        """Return BSON dates as instants, and which of them lie within the range."""
        milliseconds = self.batch.int64(found.starts)
        local = self.plan.options.source_dates == "local"
        # A local clock differs from UTC by less than a day; whether the instant fits is known once it is found.
        margin = _DAY_SECONDS * 1000 if local else 0
        earliest, latest = times.EARLIEST // 1000, times.LATEST // 1000
        fits = (milliseconds >= earliest - margin) & (milliseconds < latest + margin)
        instants = np.where(fits, milliseconds, 0) * 1000
        if local:
            wall = instants[fits]
            instants[fits], doubts = times.from_local_clock(wall, self.plan.options.source_timezone)
            for words, places in doubts.items():
                self.notes.add(found.rows[fits][places], f"{role}: {words}")
            fits &= (instants >= times.EARLIEST) & (instants < times.LATEST)
        return np.where(fits, instants, 0), fits

    def reader(self, kind: int) -> Callable[[int], Reading]:
        """Return the function that reads the value at a position as a time."""
        options = self.plan.options
        if kind == el.STRING:
            return lambda at: times.read_text(
                self.renderer.text(kind, at) or "", zone=options.source_timezone, date_order=options.date_order
            )
        if kind in (el.INT32, el.INT64, el.DECIMAL128):
            return lambda at: times.read_number(Decimal(self.renderer.text(kind, at) or "NaN"))
        if kind == el.DOUBLE:
            return lambda at: times.read_number(float(self.batch.double(np.array([at]))[0]))
        if kind == el.TIMESTAMP:
            return lambda at: Reading(
                int(self.batch.int32(np.array([at + 4]))[0] & 0xFFFFFFFF) * 1_000_000, "BSON timestamp read as a time"
            )
        return lambda at: times.UNREADABLE

    def durations(self, start: _Times, end: _Times) -> tuple[NDArray[np.float64], Mask]:
        """Return seconds and which rows have them: the document's own, else end − start."""
        seconds = np.zeros(self.size, np.float64)
        known = np.zeros(self.size, np.bool_)
        for path, kind, found in self.role_elements("duration"):
            values, problems = self.read_durations(kind, found, path)
            factor = 1000.0 if self.plan.duration_unit(path) == "ms" else 1.0
            usable = (
                np.array([not problem for problem in problems], np.bool_)
                if problems
                else np.ones(len(values), np.bool_)
            )
            negative = usable & (values < 0)
            infinite = usable & ~np.isfinite(values)
            huge = usable & ~infinite & (values >= _EXACT)
            for index in np.flatnonzero(~usable | negative | infinite | huge).tolist():
                words = (
                    "is no duration" if not usable[index] or infinite[index]
                    else "is negative" if negative[index] else "is too large"
                )  # fmt: skip
                value = self.quoted(kind, int(found.starts[index]), path)
                self.notes.add(
                    found.rows[index : index + 1],
                    f"duration_sec: a value that {words}, left out",
                    [f"duration_sec: {value} {words}, left out"],
                )
            usable &= ~(negative | infinite | huge)
            rows = found.rows[usable]
            seconds[rows] = values[usable] / factor + 0.0
            known[rows] = True
        both = start.known & end.known
        elapsed = np.where(both, end.instants - start.instants, 0)
        self.notes.add(np.flatnonzero(both & (elapsed < 0)), "end_time: before start_time")
        derived = both & ~known & (elapsed >= 0)
        seconds[derived] = elapsed[derived] / 1e6
        return seconds, known | derived

    def read_durations(self, kind: int, found: Elements, path: Path) -> tuple[NDArray[np.float64], list[str]]:
        """Return values as numbers, and for types that are none by nature which could not be read."""
        if kind == el.INT32:
            return self.batch.int32(found.starts).astype(np.float64), []
        if kind == el.INT64:
            return self.batch.int64(found.starts).astype(np.float64), []
        if kind == el.DOUBLE:
            return self.batch.double(found.starts), []
        values = np.zeros(len(found.rows), np.float64)
        problems = [""] * len(found.rows)
        read_as: dict[str, list[int]] = {}
        strings = {el.STRING: self.valid_strings, el.DECIMAL128: self.decimals}.get(kind, lambda _: None)(found)
        texts = (
            strings.to_pylist()
            if strings is not None
            else [self.text_of(kind, start, path) for start in found.starts.tolist()]
        )
        factor = 1000 if self.plan.duration_unit(path) == "ms" else 1
        for index, text in enumerate(texts):
            read = _read_duration if len(text) <= _MOST_QUOTED else _read_duration.__wrapped__
            values[index], note, problems[index] = read(text, kind, factor)
            if note:
                read_as.setdefault(note, []).append(int(found.rows[index]))
        for note, rows in read_as.items():
            self.notes.add(np.array(rows, np.int64), f"duration_sec: {note}")
        return values, problems

    def labels(self, role: str) -> pa.Array:
        """Return the labels of a role; known spellings become one label."""
        labels: dict[str, int] = {UNKNOWN: 0}
        codes = np.zeros(self.size, np.int64)

        def code_of(label: str) -> int:
            return labels.setdefault(label, len(labels))

        for path, kind, found in self.role_elements(role):
            if kind == el.STRING:
                encoded = self.strings(found, role).dictionary_encode()
                places = encoded.indices.to_numpy()
                become = []
                for place, text in enumerate(encoded.dictionary.to_pylist()):
                    trimmed = text.strip()
                    label = known_label(role, trimmed) or trimmed
                    become.append(code_of(label))
                    if label != text:
                        kind_of_note = f"{role}: a known spelling written as {label}"
                        if label == trimmed:
                            kind_of_note = f"{role}: spaces around it removed"
                        rows = found.rows[places == place]
                        words = (
                            f"{role}: {json.dumps(_truncate(text), ensure_ascii=False)} written as {_truncate(label)}"
                        )
                        self.notes.add(rows, kind_of_note, [words] * len(rows))
                codes[found.rows] = np.array([*become, 0])[places]
            elif (texts := self.texts_at_once(kind, found, role, hidden=False)) is not None:
                encoded = texts.dictionary_encode()
                become = [code_of(text) for text in encoded.dictionary.to_pylist()]
                codes[found.rows] = np.array(become)[encoded.indices.to_numpy()]
                self.notes.add(found.rows, f"{role}: {el.TYPE_NAMES[kind]} kept as text")
            else:
                for row, start in zip(found.rows.tolist(), found.starts.tolist(), strict=True):
                    self.renderer.invalid_text = False
                    codes[row] = code_of(self.text_of(kind, start, path).strip() or UNKNOWN)
                    self.note_invalid(row, role)
                self.notes.add(found.rows, f"{role}: {el.TYPE_NAMES[kind]} kept as text")
        return pa.array(list(labels), pa.string()).take(pa.array(codes))

    # Columns of the documents' other fields

    def field(self, column: FieldColumn) -> pa.Array:
        """Return a field as a column of the planned kind."""
        parts = [
            (kind, found)
            for kind, found in self.by_path.get(column.path, [])
            if kind not in (el.NULL, el.UNDEFINED, el.FLATTENED)
        ]
        kind = column.kind or Kind.TEXT
        if kind is Kind.TEXT:
            return self.text_field(column, parts)
        there = np.zeros(self.size, np.bool_)
        values: NDArray[np.int64] | NDArray[np.float64] | Mask
        values = np.zeros(self.size, {Kind.NUMBER: np.float64, Kind.BOOLEAN: np.bool_}.get(kind, np.int64))
        readers: dict[tuple[Kind, int], Callable[[Ints], NDArray[np.generic]]] = {
            (Kind.INTEGER, el.INT32): self.batch.int32,
            (Kind.INTEGER, el.INT64): self.batch.int64,
            (Kind.NUMBER, el.INT32): self.batch.int32,
            (Kind.NUMBER, el.INT64): self.batch.int64,
            (Kind.NUMBER, el.DOUBLE): self.batch.double,
            (Kind.BOOLEAN, el.BOOLEAN): lambda starts: self.batch.data[starts].astype(np.bool_),
            (Kind.DATETIME, el.DATE): lambda starts: self.batch.int64(starts) * 1000,
        }
        for bson_type, found in parts:
            if (kind, bson_type) not in readers:
                raise PlanError("The archive does not fit the manifest beside it; materialize raw_calls again.")
            read = readers[kind, bson_type](found.starts)
            if len(found.rows) == self.size:
                return pa.array(read.astype(values.dtype, copy=False)).cast(arrow_type(kind))
            values[found.rows] = read
            there[found.rows] = True
        bits = pa.py_buffer(np.packbits(there, bitorder="little"))
        content = pa.py_buffer(np.packbits(values, bitorder="little") if kind is Kind.BOOLEAN else values)
        return pa.Array.from_buffers(arrow_type(kind), self.size, [bits, content])

    def text_field(self, column: FieldColumn, parts: list[tuple[int, Elements]]) -> pa.Array:
        hidden = self.plan.options.secrets.hides(plain_path(column.path))
        if not parts:
            return pa.nulls(self.size, pa.string())
        texts = []
        for kind, found in parts:
            texts.append(self.texts(kind, found, column, hidden))
            if column.usual_type is not None and kind != column.usual_type and not hidden:
                self.notes.add(found.rows, f"{column.name}: {el.TYPE_NAMES[kind]} kept as text")
        if len(texts) == 1:
            return _spread(texts[0], parts[0][1].rows, self.size)
        rows = np.concatenate([found.rows for _, found in parts])
        order = np.argsort(rows, kind="stable")
        return _spread(pa.concat_arrays(texts).take(pa.array(order)), rows[order], self.size)

    def texts(self, kind: int, found: Elements, column: FieldColumn, hidden: bool) -> pa.Array:
        """Return values of one type as text, in the elements' order: all at once where Arrow writes them the same."""
        known = self.texts_at_once(kind, found, column.name, hidden)
        if known is not None:
            return known
        path = plain_path(column.path)
        texts = []
        for row, start in zip(found.rows.tolist(), found.starts.tolist(), strict=True):
            self.renderer.invalid_text = False
            texts.append(self.renderer.text(kind, start, path))
            if not hidden:
                self.note_invalid(row, column.name)
        return pa.array(texts, pa.string())

    def texts_at_once(self, kind: int, found: Elements, name: str, hidden: bool) -> pa.Array | None:
        """Return values of one type as text, all at once; None where that cannot be done."""
        if hidden:
            return None
        if kind == el.STRING:
            return self.strings(found, name)
        if kind == el.INT32:
            return pa.array(self.batch.int32(found.starts)).cast(pa.string())
        if kind == el.INT64:
            return pa.array(self.batch.int64(found.starts)).cast(pa.string())
        if kind == el.DOUBLE:
            return number_texts(pa.array(self.batch.double(found.starts)))
        if kind == el.OBJECT_ID:
            return self.object_ids(found)
        if kind == el.BINARY:
            return self.uuids(found)
        if kind == el.DECIMAL128:
            return self.decimals(found)
        return None

    def strings(self, found: Elements, name: str) -> pa.Array:
        """Return BSON strings as an Arrow array, in the elements' order."""
        array = self.valid_strings(found)
        return self.invalid_strings(found, name) if array is None else array

    def valid_strings(self, found: Elements) -> pa.Array | None:
        """Return BSON strings as an Arrow array, in the elements' order; None where one of them is not UTF-8."""
        if len(found.starts) < _FEW:
            places = zip(found.starts.tolist(), self.batch.int32(found.starts).tolist(), strict=True)
            try:
                return pa.array([self.batch.raw[at + 4 : at + 3 + size].decode() for at, size in places], pa.string())
            except UnicodeDecodeError:
                return None
        # Texts and the gaps between them are the items of one array over the batch's own bytes; every second is taken.
        bounds = np.empty(2 * len(found.starts), np.int32)
        bounds[::2] = found.starts + 4
        bounds[1::2] = bounds[::2] + self.batch.int32(found.starts) - 1
        items = pa.BinaryArray.from_buffers(
            pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(self.batch.data)]
        )
        array = items.take(pa.array(np.arange(0, len(bounds), 2))).view(pa.string())
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            return None
        return array

    def invalid_strings(self, found: Elements, name: str) -> pa.Array:
        texts = []
        for row, start in zip(found.rows.tolist(), found.starts.tolist(), strict=True):
            self.renderer.invalid_text = False
            texts.append(self.renderer.text(el.STRING, start))
            self.note_invalid(row, name)
        return pa.array(texts, pa.string())

    def note_invalid(self, row: int, name: str) -> None:
        if self.renderer.invalid_text:
            self.notes.add(np.array([row]), f"{name}: bytes that are not UTF-8 shown as \\x and hex digits")
            self.renderer.invalid_text = False

    def other_fields(self) -> pa.Array:
        """Return the fields that have no column of their own as one JSON object a row."""
        own = {column.path for column in self.plan.fields} | self.plan.hidden
        objects: dict[int, list[tuple[int, str]]] = {}
        for (path, kind), found in self.batch.elements.items():
            plain = plain_path(path)
            if path in own or kind == el.FLATTENED or self.plan.options.secrets.drops(plain):
                continue
            name = json.dumps(dotted(path), ensure_ascii=False)
            for row, start in zip(found.rows.tolist(), found.starts.tolist(), strict=True):
                self.renderer.invalid_text = False
                objects.setdefault(row, []).append((start, f"{name}: {self.renderer.json(kind, start, plain)}"))
                self.note_invalid(row, "other_fields")
        texts: list[str | None] = [None] * self.size
        for row, parts in objects.items():
            texts[row] = f"{{{', '.join(part for _, part in sorted(parts))}}}"
        return pa.array(texts, pa.string())

    # What did not fit

    def rejected(self, ids: pa.Array) -> pa.Table:
        rows: list[dict[str, str | None]] = []
        for row, (reason, name, value) in sorted(self.rejections.items()):
            identifier = ids[row].as_py()
            rows.append(
                {
                    "_id": identifier,
                    "reason": reason,
                    "field": name,
                    "value": value,
                    "explanation": PROBLEMS[reason],
                    "document": self.renderer.document(int(self.batch.starts[row]), canonical=True),
                }
            )
            self.tally.reasons[reason] += 1
            examples = self.tally.reason_examples.setdefault(reason, [])
            if len(examples) < EXAMPLES:
                examples.append(identifier)
        return pa.Table.from_pylist(rows, schema=arrow_schema(REJECTED))

    def implausible(self, calls: pa.Table) -> None:
        """Count calls in the future, before 1990, and of more than a day."""
        start = calls.column("start_time").cast(pa.int64())
        doubts = {
            "starts after the snapshot": pc.greater(start, self.now),
            "starts before 1990": pc.less(start, _YEAR_1990),
            "longer than a day": pc.fill_null(pc.greater(calls.column("duration_sec"), _DAY_SECONDS), False),
        }
        for words, doubtful in doubts.items():
            count = pc.sum(doubtful).as_py() or 0
            if count:
                self.tally.implausible[words] = count
                examples = calls.column("_id").filter(doubtful).slice(0, EXAMPLES)
                self.tally.implausible_examples[words] = examples.to_pylist()


@lru_cache(maxsize=16_384)
def _read_duration(text: str, kind: int, factor: int) -> tuple[float, str, str]:
    """Read text or a decimal as a duration; return the number, what was assumed, and the problem if it is none.

    Hours, minutes and seconds are multiplied by `factor`: by what the field's own unit is smaller than a second.
    """
    text = text.strip()
    if kind == el.DECIMAL128 or (kind == el.STRING and _SECONDS.fullmatch(text)):
        number = Decimal(text, _LENIENT)
        value = float("nan") if number.is_nan() else float(number)
        if not math.isfinite(value):
            return value, "", ""
        if Decimal(repr(value)) != number:
            return value, "decimal rounded to a number", ""
        return value, "text read as a number" if kind == el.STRING else "", ""
    if kind == el.STRING and (match := _HOURS.fullmatch(text)):
        total = int(match[1]) * 3600 + int(match[2]) * 60 + Decimal(match[3] + (match[4] or ""))
        return float(total) * factor, "text read as hours, minutes and seconds", ""
    return 0.0, "", "unreadable"


def _lines_of(characters: NDArray[np.uint8]) -> pa.StringArray:
    """Return the rows of a table of ASCII characters as texts."""
    rows, length = characters.shape
    offsets = np.arange(0, rows * length + 1, length, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters)))


def _spread(texts: pa.StringArray, rows: Ints, size: int) -> pa.StringArray:
    """Return texts as a column of so many rows, each in its own row, which rise; the other rows are null."""
    if len(texts) == size:
        return texts
    _, offset_buffer, characters = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.zeros(size + 1, np.int32)
    lengths[0] = offsets[0]
    lengths[rows + 1] = np.diff(offsets)
    there = np.zeros(size, np.bool_)
    there[rows] = True
    starts = np.cumsum(lengths, dtype=np.int32)
    return pa.StringArray.from_buffers(
        size, pa.py_buffer(starts), characters or pa.py_buffer(b""), pa.py_buffer(np.packbits(there, bitorder="little"))
    )


def _truncate(text: str) -> str:
    return text if len(text) <= _MOST_QUOTED else text[: _MOST_QUOTED - 1] + "…"


def _column(role: str) -> str:
    return "duration_sec" if role == "duration" else role


def _instants(moments: _Times) -> pa.Array:
    return pa.array(moments.instants, mask=~moments.known).cast(pa.timestamp("us", tz="UTC"))


def _constant(text: str, size: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), size)


def _local_parts(start: _Times, zone: str) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return date, weekday name and hour of the start times in a time zone."""
    local = times.local_clock(start.instants, zone)
    days = np.floor_divide(local, _DAY)
    hours = (local - days * _DAY) // 3_600_000_000
    weekdays = pa.DictionaryArray.from_arrays(((days + 3) % 7).astype(np.int8), pa.array(WEEKDAYS))
    return (
        pa.array(days.astype(np.int32)).cast(pa.date32()),
        weekdays.cast(pa.string()),
        pa.array(hours),
    )


def _nullable(schema: pa.Schema) -> pa.Schema:
    """Return the schema with every column nullable: before rejected rows are taken out, their cells are null."""
    return pa.schema([f.with_nullable(True) for f in schema])
