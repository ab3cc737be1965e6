"""Counts of calls, made while streaming the table: all that the charts show, and no single call.

A call is counted in one cell: call type × status × hour × duration × day. Cells are kept sparse and sorted, so that
they take little memory and pack into a few bytes each. Durations are kept as finely as the number of cells allows:
to 1 s, to 10 s, to 60 s; where even that is too much, hours and durations are counted apart.
What belongs elsewhere: counts by further fields (`dashboard/fields.py`), which labels get a place of their own
(`dashboard/axes.py`), how counts are drawn (`dashboard/charts.py`) and how the page holds them
(`dashboard/payload.py`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callviz_dagster.dashboard.axes import CountOptions, label_axes
from callviz_dagster.dashboard.fields import FieldCounts, summed, with_more_calls
from callviz_dagster.documents.outcomes import positions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from callviz_dagster.dashboard.axes import Axis, Read

    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Calls = np.ndarray[Any, np.dtype[np.int32]]
    Section = tuple[Integers, Calls | None]
    Keys = tuple[Sequence[Integers], bool]
    """Keys of the cells of some calls and, behind them, those by each field; whether all durations are whole."""
    Durations = Callable[[float, float], Iterable[tuple[Any, Any]]]

BIN_SECONDS = 60
"""Width of a bar of the duration histogram."""
TAIL_SECONDS = 30 * 60
"""Calls of this length and longer share the histogram's last bar."""
STEPS = (1, 10, BIN_SECONDS)
"""The widths of a duration class in seconds that are tried, finest first; each divides the next."""
MAX_CELLS = 4_000_000
"""Cells that are held in memory before durations are kept more coarsely."""
_CHUNK, _ROWS = 1 << 18, 1 << 16
_KEYS_AT_ONCE = 1 << 20
"""Keys that are added at a time, those by fields included: 8 MB."""
_MOST_BINS = 1 << 20
"""Range of numbers up to which calls are summed in an array with a place for each; beyond, the numbers are sorted."""

# One cell's key, from the highest bits to the lowest: type 8, status 8, hour 5, duration class 24, day 18.
_DAY_BITS, _DURATION_BITS, _HOUR_BITS, _LABEL_BITS = 18, 24, 5, 8
_DURATION_SHIFT = _DAY_BITS
_HOUR_SHIFT = _DURATION_SHIFT + _DURATION_BITS
_STATUS_SHIFT = _HOUR_SHIFT + _HOUR_BITS
_TYPE_SHIFT = _STATUS_SHIFT + _LABEL_BITS
_FIRST_DAY = -110_000  # days before 1970 that come before every start time the contract allows
_LAST_CLASS = (1 << _DURATION_BITS) - 2


@dataclass(frozen=True, eq=False)
class Cube:
    """Sparse counts: sorted keys of cells, and the calls in each."""

    keys: Integers
    calls: Calls
    hours: bool = True
    """Whether cells distinguish hours."""
    durations: bool = True
    """Whether cells distinguish durations."""

    def _part(self, shift: int, bits: int) -> Integers:
        return (self.keys >> shift) & ((1 << bits) - 1)

    @classmethod
    def empty(cls) -> Cube:
        """Return a cube without calls."""
        import numpy as np

        return cls(np.empty(0, np.int64), np.empty(0, np.int32))

    @property
    def call_type(self) -> Integers:
        """Position of each cell's call type in `Counts.types`."""
        return self._part(_TYPE_SHIFT, _LABEL_BITS)

    @property
    def status(self) -> Integers:
        """Position of each cell's status in `Counts.statuses`."""
        return self._part(_STATUS_SHIFT, _LABEL_BITS)

    @property
    def hour(self) -> Integers:
        """Hour of the day of each cell."""
        return self._part(_HOUR_SHIFT, _HOUR_BITS)

    @property
    def duration(self) -> Integers:
        """Duration class of each cell: its seconds divided by `Counts.step`, or -1 for calls without duration."""
        return self._part(_DURATION_SHIFT, _DURATION_BITS) - 1

    @property
    def day(self) -> Integers:
        """Day of each cell, in days since 1970-01-01."""
        return self._part(0, _DAY_BITS) + _FIRST_DAY

    def regrouped(self, change: Callable[[Integers], Integers], **distinguished: bool) -> Cube:
        """Return the same calls under changed keys; `change` keeps call type and status."""
        import numpy as np

        ends = np.flatnonzero(np.diff(self.keys >> _STATUS_SHIFT)) + 1
        keys, calls = [], []
        for old, number in zip(np.split(self.keys, ends), np.split(self.calls, ends), strict=True):
            new, sums = summed(change(old), number)
            keys.append(new)
            calls.append(sums)
        return replace(self, keys=np.concatenate(keys), calls=np.concatenate(calls), **distinguished)

    def renamed(self, types: Integers, statuses: Integers) -> Integers:
        """Return the keys under new positions of call types and statuses; each is given by the old one."""
        return (
            types[self.call_type] << _TYPE_SHIFT
            | statuses[self.status] << _STATUS_SHIFT
            | self.keys & ((1 << _STATUS_SHIFT) - 1)
        )

    def plus(self, keys: Integers, calls: Calls | None = None) -> Cube:
        """Return these counts with this number of further calls for each key, by default one."""
        if not self.hours:
            keys = _cleared(keys, _HOUR_SHIFT, _HOUR_BITS)
        if not self.durations:
            keys = _cleared(keys, _DURATION_SHIFT, _DURATION_BITS)
        keys, calls = with_more_calls(self.keys, self.calls, keys, calls)
        return replace(self, keys=keys, calls=calls)

    def slices(self) -> Iterator[Cube]:
        """Yield the cells in order, some at a time."""
        for start in range(0, self.keys.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            yield replace(self, keys=self.keys[part], calls=self.calls[part])


@dataclass(frozen=True)
class Counts:
    """All calls, counted."""

    types: tuple[str, ...]
    """Call types, most frequent first; the rarest may be grouped in the last one."""
    statuses: tuple[str, ...]
    """Statuses, likewise."""
    grouped_types: bool
    """Whether the last of `types` stands for several."""
    grouped_statuses: bool
    step: int
    """Seconds per duration class."""
    exact: bool
    """Whether all durations of a class are the same, so that a median of any selection is exact."""
    median: float | None
    """Median of all durations in seconds, exact; None where no call has one."""
    cubes: tuple[Cube, ...]
    """One that distinguishes both hours and durations, or one for each."""
    fields: tuple[FieldCounts, ...] = ()
    """The same calls by further fields."""
    options: CountOptions = CountOptions()
    """Which labels count as completed and as missed."""

    @property
    def calls(self) -> int:
        """Number of calls."""
        return int(self.cubes[0].calls.sum())

    @property
    def with_duration(self) -> int:
        """Number of calls that have a duration."""
        classes, calls = self.durations
        return int(calls[classes >= 0].sum())

    @property
    def days(self) -> Integers:
        """The days that have calls, in days since 1970-01-01, in order."""
        return self.by_day.sums[0]

    @property
    def durations(self) -> tuple[Integers, Integers]:
        """The duration classes that occur, -1 for none, in order, and the calls in each."""
        return self.by_duration.sums

    @cached_property
    def by_day(self) -> CallsByType:
        """The calls by day, in days since 1970-01-01."""
        return self._by_type(lambda part: part.day)

    @cached_property
    def by_status(self) -> CallsByType:
        """The calls by the position of their status."""
        return self._by_type(lambda part: part.status)

    @cached_property
    def by_duration(self) -> CallsByType:
        """The calls by duration class, -1 for none."""
        return self._by_type(lambda part: part.duration)

    def _by_type(self, values: Callable[[Cube], Integers]) -> CallsByType:
        number = max(len(self.types), 1)
        pairs, calls = _totals(self.cubes[-1], lambda part: values(part) * number + part.call_type)
        return CallsByType(pairs // number, pairs % number, calls)

    @property
    def completed_statuses(self) -> list[int]:
        """Positions of the statuses that count as completed."""
        return positions(self.statuses, self.options.completed)

    @property
    def completed(self) -> int | None:
        """Number of completed calls; None where no status counts as completed."""
        import numpy as np

        if not self.completed_statuses:
            return None
        statuses, calls = self.by_status.sums
        return int(calls[np.isin(statuses, self.completed_statuses)].sum())


@dataclass(frozen=True)
class CallsByType:
    """The calls by one part of their cells and by call type; the pairs that occur, in order."""

    values: Integers
    """What the part is in each pair."""
    types: Integers
    """Position of its call type in `Counts.types`."""
    calls: Integers

    @cached_property
    def sums(self) -> tuple[Integers, Integers]:
        """The different values in order, and the calls of all types with each."""
        return _calls_in_groups(self.values, self.calls)


def _totals(cube: Cube, group: Callable[[Cube], Integers]) -> tuple[Integers, Integers]:
    """Return the groups that occur in a cube, in order, and the calls in each; `group` gives each cell's group."""
    import numpy as np

    parts = [_calls_in_groups(group(part), part.calls) for part in cube.slices()]
    none = np.empty(0, np.int64)
    groups, sums = (np.concatenate([none, *arrays]) for arrays in zip(*parts, strict=True)) if parts else (none, none)
    return _calls_in_groups(groups, sums)


def _calls_in_groups(groups: Integers, calls: Calls | Integers) -> tuple[Integers, Integers]:
    """Return the different groups in order, and the calls in each."""
    import numpy as np

    first, last = (int(groups.min()), int(groups.max())) if groups.size else (0, 0)
    if last - first >= _MOST_BINS:
        different, bins = np.unique(groups, return_inverse=True)
        return different, np.bincount(bins, calls).astype(np.int64)
    sums: Integers = np.bincount(groups - first, calls).astype(np.int64)
    occurring = np.flatnonzero(sums)
    return occurring + first, sums[occurring]


def date_of(day: int) -> dt.date:
    """Return the date that is `day` days after 1970-01-01."""
    return dt.date(1970, 1, 1) + dt.timedelta(days=int(day))


def read_files(paths: Sequence[Path], since: dt.date | None = None) -> Read:
    """Return what reads the calls of Parquet files batch by batch, those `since` a day.

    A column that a file lacks is empty.
    """

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        for path in paths:
            yield from _tables(path, columns, since)

    return read


COLUMNS = ("call_type", "status", "call_date", "call_hour", "duration_sec")
"""The columns that all calls are counted by."""


def _tables(path: Path, columns: Sequence[str], since: dt.date | None) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from callviz_dagster.table.recent import row_groups_since, rows_since

    with pq.ParquetFile(path, read_dictionary=["call_type", "status"]) as file:
        wanted = {*columns, "call_date"} if since else {*columns}
        held = [name for name in file.schema_arrow.names if name in wanted]
        groups = row_groups_since(file.metadata, since)
        for batch in file.iter_batches(_ROWS, row_groups=groups, columns=held):
            table = pa.Table.from_batches([rows_since(batch, since)])
            for name in wanted.difference(held):
                table = table.append_column(name, pa.nulls(table.num_rows))
            yield table


def count_calls(read: Read, options: CountOptions, *, max_cells: int = MAX_CELLS) -> Counts:
    """Count calls by type, status, hour, duration and day, and by each field.

    Args:
        read: gives the calls; it is asked three times, each time for other columns.
        options: what is counted.
        max_cells: bound of the counts' size.
    """
    axes = label_axes(read, options)
    total = Total(axes, options, max_cells)

    def keys_of_tables() -> Iterator[Keys]:
        for table in read((*COLUMNS, *options.fields)):
            kinds, statuses = (axes[name].codes(table[name]) for name in ("call_type", "status"))
            cells = cells_of(table, kinds, statuses)
            yield (
                [
                    cells.keys,
                    *(
                        field.keys_of(
                            axes[field.name].codes(table[field.name]), kinds, statuses, cells.bins, cells.days
                        )
                        for field in total.fields
                    ),
                ],
                cells.whole,
            )

    for (keys, *by_field), whole in gathered(keys_of_tables()):
        total.add((keys, None), [(field_keys, None) for field_keys in by_field], whole=whole)

    def durations(lower: float, upper: float) -> Iterator[tuple[Any, Any]]:
        return (durations_between(table, lower, upper) for table in read(("duration_sec",)))

    return total.counts(durations)


def gathered(keys_of_tables: Iterable[Keys]) -> Iterator[Keys]:
    """Yield the keys of several tables together: adding a few to many takes as long as adding many."""
    tables: list[Keys] = []
    number = 0
    for keys, whole in keys_of_tables:
        tables.append((keys, whole))
        number += sum(map(len, keys))
        if number >= _KEYS_AT_ONCE:
            yield _end_to_end(tables)
            tables, number = [], 0
    if tables:
        yield _end_to_end(tables)


def _end_to_end(tables: Sequence[Keys]) -> Keys:
    import numpy as np

    keys = zip(*(keys for keys, _ in tables), strict=True)
    return [*map(np.concatenate, keys)], all(whole for _, whole in tables)


@dataclass(frozen=True)
class CallCells:
    """In which cell each of some calls is counted."""

    keys: Integers
    bins: Integers
    """Bars of the duration histogram, for the counts by fields; 0 for calls without duration."""
    days: Integers
    """Days since 1970-01-01."""
    whole: bool
    """Whether all durations are whole seconds, and not too long for a class of their own."""


def cells_of(table: pa.Table, kinds: Integers, statuses: Integers) -> CallCells:
    """Return the cells of some calls, at most 256 types and statuses, given by their positions."""
    import numpy as np
    import pyarrow.compute as pc

    seconds = table["duration_sec"].to_numpy()
    known = ~np.isnan(seconds)
    classes = np.floor(np.where(known, seconds, -1)).clip(-1, _LAST_CLASS).astype(np.int64) + 1
    days = pc.cast(table["call_date"], "int32").to_numpy().astype(np.int64) - _FIRST_DAY
    keys = (
        kinds << _TYPE_SHIFT
        | statuses << _STATUS_SHIFT
        | table["call_hour"].to_numpy() << _HOUR_SHIFT
        | classes << _DURATION_SHIFT
        | days
    )
    bins = np.where(classes > 0, ((classes - 1) // BIN_SECONDS).clip(0, TAIL_SECONDS // BIN_SECONDS) + 1, 0)
    return CallCells(keys, bins, days + _FIRST_DAY, bool((classes[known] - 1 == seconds[known]).all()))


class Total:
    """Adds calls up, as finely as the number of cells allows."""

    def __init__(self, axes: Mapping[str, Axis], options: CountOptions, max_cells: int) -> None:
        self._axes, self._options, self._max_cells = axes, options, max_cells
        self._step, self._whole = STEPS[0], True
        self._cubes: tuple[Cube, ...] = (Cube.empty(),)
        self.fields = tuple(FieldCounts(name, axes[name].labels, axes[name].grouped) for name in options.fields)

    def add(self, cells: Section, by_field: Sequence[Section], *, whole: bool) -> None:
        """Add calls: by cells of the finest duration class, and by each field.

        Args:
            cells: keys, and the calls of each; None: one each.
            by_field: the same for each field.
            whole: whether all their durations are whole seconds.
        """
        keys, calls = cells
        self._whole = self._whole and whole
        self._cubes = tuple(cube.plus(_widened(keys, self._step), calls) for cube in self._cubes)
        while len(self._cubes) == 1 and self._cubes[0].keys.size > self._max_cells:
            self._step, self._cubes = _coarser(self._step, self._cubes)
        self.fields = tuple(field.plus(*section) for field, section in zip(self.fields, by_field, strict=True))

    def counts(self, durations: Durations) -> Counts:
        """Return what was counted; `durations` gives the durations of all calls that lie in a range."""
        types, statuses = self._axes["call_type"], self._axes["status"]
        counted = Counts(
            types=types.labels,
            statuses=statuses.labels,
            grouped_types=types.grouped,
            grouped_statuses=statuses.grouped,
            step=self._step,
            exact=self._whole and self._step == 1,
            median=None,
            cubes=self._cubes,
            fields=self.fields,
            options=self._options,
        )
        return replace(counted, median=_median(counted, durations))


def coarser(counts: Counts) -> Counts:
    """Return the same counts with the next wider duration class, or with hours and durations counted apart.

    Raises:
        ValueError: they already are.
    """
    step, cubes = _coarser(counts.step, counts.cubes)
    return replace(counts, step=step, exact=False, cubes=cubes)


def _coarser(step: int, cubes: tuple[Cube, ...]) -> tuple[int, tuple[Cube, ...]]:
    if len(cubes) > 1:
        raise ValueError("hours and durations are counted apart already")
    (cube,) = cubes
    if step == STEPS[-1]:
        return step, (
            cube.regrouped(lambda keys: _cleared(keys, _DURATION_SHIFT, _DURATION_BITS), durations=False),
            cube.regrouped(lambda keys: _cleared(keys, _HOUR_SHIFT, _HOUR_BITS), hours=False),
        )
    wider = STEPS[STEPS.index(step) + 1]
    return wider, (cube.regrouped(lambda keys: _widened(keys, wider // step)),)


def _cleared(keys: Integers, shift: int, bits: int) -> Integers:
    return keys & ~(((1 << bits) - 1) << shift)


def _widened(keys: Integers, factor: int) -> Integers:
    """Return keys whose duration classes are `factor` times as wide; class 0, no duration, stays."""
    if factor == 1:
        return keys
    classes = (keys >> _DURATION_SHIFT) & ((1 << _DURATION_BITS) - 1)
    wide = (classes - 1) // factor + 1
    return _cleared(keys, _DURATION_SHIFT, _DURATION_BITS) | wide << _DURATION_SHIFT


def durations_between(table: pa.Table, lower: float, upper: float) -> tuple[Any, Any]:
    """Return the different durations of some calls from `lower` to below `upper`, and how often each occurs."""
    import numpy as np

    seconds = table["duration_sec"].to_numpy()
    return np.unique(seconds[(seconds >= lower) & (seconds < upper)], return_counts=True)


def _median(counts: Counts, durations: Durations) -> float | None:
    """Return the exact median: the classes that hold it are known, and their values are looked up."""
    import numpy as np

    total = counts.with_duration
    if total == 0:
        return None
    classes, calls = counts.durations
    reached = np.cumsum(np.where(classes >= 0, calls, 0))
    ranks = ((total - 1) // 2, total // 2)
    low, high = (int(classes[np.searchsorted(reached, rank, side="right")]) for rank in ranks)
    lower = low * counts.step
    upper = (high + 1) * counts.step if (high + 1) * counts.step < _LAST_CLASS else math.inf
    values = [*durations(lower, upper)]
    distinct, positions = np.unique(np.concatenate([seconds for seconds, _ in values]), return_inverse=True)
    upto = np.cumsum(np.bincount(positions, weights=np.concatenate([number for _, number in values])))
    upto += calls[(classes >= 0) & (classes < low)].sum()
    first, second = (float(distinct[np.searchsorted(upto, rank, side="right")]) for rank in ranks)
    return (first + second) / 2
