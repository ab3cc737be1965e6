"""Counts of the calls of one file by its own labels, and the counts of all files that are added up from them.

A file's counts depend on the file and on the fields that are counted, on nothing else, so they can be kept; added up,
they equal what `count_calls` counts. Pure. What belongs elsewhere: keeping them (`dashboard/kept_counts.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callviz_dagster.dashboard.axes import MAX_DISTINCT, Axis, CountOptions, axes_of, codes_of
from callviz_dagster.dashboard.counts import MAX_CELLS, Counts, Cube, Total, cells_of, gathered
from callviz_dagster.dashboard.fields import FieldCounts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from callviz_dagster.dashboard.counts import Keys

    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Section = tuple[Integers, np.ndarray[Any, np.dtype[np.int32]]]

MAX_FILE_CELLS = 1_000_000
"""Cells of a file, or of a field in it, above which its counts are not kept: 12 MB."""
_MAX_LABELS, _MAX_VALUES = 256, 10_000
"""Labels and values of a file above which its counts are not kept; a cell can name no more labels."""
_LABELS = ("call_type", "status")
_AT_ONCE = 2_000_000
"""Cells that are added up at a time."""


@dataclass(frozen=True)
class FileCounts:
    """The calls of a file, counted as finely as they ever are."""

    types: tuple[str, ...]
    """Its call types, in the order of their positions in the cells."""
    statuses: tuple[str, ...]
    whole: bool
    """Whether the cells hold the exact durations, because all are whole seconds."""
    cube: Cube
    fields: tuple[FieldCounts, ...] = ()

    @property
    def calls(self) -> int:
        """Number of calls."""
        return int(self.cube.calls.sum())

    def label_calls(self) -> dict[str, Counter[str]]:
        """Return by column how many calls have each label."""
        calls = {
            "call_type": _calls_of(self.types, self.cube.call_type, self.cube.calls),
            "status": _calls_of(self.statuses, self.cube.status, self.cube.calls),
        }
        return calls | {field.name: _calls_of(field.values, field.part("value"), field.calls) for field in self.fields}

    def durations_between(self, lower: float, upper: float) -> tuple[Any, Any]:
        """Return the different durations from `lower` to below `upper` and how often each occurs; all must be whole."""
        import numpy as np

        seconds = self.cube.duration
        inside = (seconds >= max(lower, 0)) & (seconds < upper)
        distinct, positions = np.unique(seconds[inside], return_inverse=True)
        return distinct.astype(np.float64), np.bincount(positions, self.cube.calls[inside], distinct.size)


def _calls_of(labels: Sequence[str], codes: Integers, calls: Any) -> Counter[str]:
    import numpy as np

    numbers = np.bincount(codes, calls, len(labels)).astype(np.int64).tolist()
    return Counter({label: number for label, number in zip(labels, numbers, strict=True) if number})


def count_file(tables: Iterable[pa.Table], fields: Sequence[str]) -> FileCounts | None:
    """Count the calls of a file; None where it has too many cells or labels to be kept.

    Args:
        tables: the calls, with the columns `counts.COLUMNS` and the fields.
        fields: columns by which they are counted, too.
    """
    positions: dict[str, dict[str, int]] = {name: {} for name in (*_LABELS, *fields)}
    cube, counted = Cube.empty(), [FieldCounts(name, (), grouped=False) for name in fields]
    whole = True
    for (keys, *by_field), all_whole in gathered(_keys(tables, positions)):
        whole = whole and all_whole
        cube = cube.plus(keys)
        counted = [field.plus(field_keys) for field, field_keys in zip(counted, by_field, strict=True)]
        if max(cube.keys.size, *(field.keys.size for field in counted), 0) > MAX_FILE_CELLS:
            return None
    if _too_many(positions):
        return None
    labels = {name: tuple(known) for name, known in positions.items()}
    return FileCounts(
        labels["call_type"],
        labels["status"],
        whole,
        cube,
        tuple(FieldCounts(one.name, labels[one.name], one.grouped, keys=one.keys, calls=one.calls) for one in counted),
    )


def _keys(tables: Iterable[pa.Table], positions: Mapping[str, dict[str, int]]) -> Iterator[Keys]:
    """Yield the keys of each table, until there are too many labels; new labels get the next positions."""
    fields = [FieldCounts(name, (), grouped=False) for name in positions if name not in _LABELS]
    for table in tables:
        codes = {name: codes_of(table[name], _numbered(known)) for name, known in positions.items()}
        if _too_many(positions):
            return
        kinds, statuses = (codes[name] for name in _LABELS)
        cells = cells_of(table, kinds, statuses)
        by_field = (field.keys_of(codes[field.name], kinds, statuses, cells.bins, cells.days) for field in fields)
        yield [cells.keys, *by_field], cells.whole


def _too_many(positions: Mapping[str, Mapping[str, int]]) -> bool:
    """Return whether there are more labels or values than are kept."""
    return any(len(known) > (_MAX_LABELS if name in _LABELS else _MAX_VALUES) for name, known in positions.items())


def _numbered(known: dict[str, int]) -> Callable[[Sequence[str]], list[int]]:
    """Return what gives labels their positions; new ones get the next."""
    return lambda labels: [known.setdefault(label, len(known)) for label in labels]


def added_up(
    files: Sequence[FileCounts],
    options: CountOptions,
    durations: Callable[[int, float, float], Iterable[tuple[Any, Any]]],
    *,
    max_cells: int = MAX_CELLS,
) -> Counts | None:
    """Return the counts of all files together; None where they have more labels than are counted on their own.

    Args:
        files: the counts of each; they are gone through three times, and may be read anew each time.
        options: what is counted; the fields are among those of the files.
        durations: gives the durations of a file, by its number, from one number to below another, where its cells do
            not hold them exactly: different ones, and how often each occurs.
        max_cells: bound of the counts' size.
    """
    counters: dict[str, Counter[str]] = {name: Counter() for name in (*_LABELS, *options.fields)}
    for file in files:
        calls_by_label = file.label_calls()
        for name, counter in counters.items():
            counter.update(calls_by_label[name])
            if len(counter) > MAX_DISTINCT:
                return None
    axes = axes_of(counters, options)
    total = Total(axes, options, max_cells)
    for chunk in _chunks(files):
        sections = zip(*(_sections(file, axes, options.fields) for file in chunk), strict=True)
        cells, *by_field = map(_end_to_end, sections)
        total.add(cells, by_field, whole=all(file.whole for file in chunk))

    def between(lower: float, upper: float) -> Iterator[tuple[Any, Any]]:
        for number, file in enumerate(files):
            if file.whole:
                yield file.durations_between(lower, upper)
            else:
                yield from durations(number, lower, upper)

    return total.counts(between)


def _chunks(files: Iterable[FileCounts]) -> Iterator[list[FileCounts]]:
    """Yield the files some at a time: adding a few cells to many takes as long as adding many."""
    chunk: list[FileCounts] = []
    cells = 0
    for file in files:
        if file.cube.keys.size:
            chunk.append(file)
            cells += file.cube.keys.size
        if cells > _AT_ONCE:
            yield chunk
            chunk, cells = [], 0
    if chunk:
        yield chunk


def _end_to_end(parts: Sequence[Section]) -> Section:
    import numpy as np

    return np.concatenate([keys for keys, _ in parts]), np.concatenate([calls for _, calls in parts])


def _sections(file: FileCounts, axes: Mapping[str, Axis], fields: Sequence[str]) -> list[Section]:
    """Return the cells of a file, and those of each field, under the positions that labels have in the axes."""
    import numpy as np

    def positions(name: str, labels: Sequence[str]) -> Integers:
        return np.array([axes[name].position(label) for label in labels], np.int64)

    types, statuses = positions("call_type", file.types), positions("status", file.statuses)
    by_name = {field.name: field for field in file.fields}
    chosen = [by_name[name] for name in fields]
    by_field = [(field.renamed(positions(field.name, field.values), types, statuses), field.calls) for field in chosen]
    return [(file.cube.renamed(types, statuses), file.cube.calls), *by_field]
