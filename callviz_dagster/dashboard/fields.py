"""Counts of calls by a further field, such as queue or agent: with type, status, duration and day, without hours.

Where they take too much room, days become months. What belongs elsewhere: the counts that all charts share
(`dashboard/counts.py`), and how the page holds them (`dashboard/payload.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Calls = np.ndarray[Any, np.dtype[np.int32]]

MAX_FIELD_CELLS = 1_500_000
"""Cells of one field that are held in memory before days become months."""

# One cell's key, from the highest bits to the lowest: value 20, type 8, status 8, duration bin 5, day 18.
_DAY_BITS, _BIN_BITS, _LABEL_BITS, _VALUE_BITS = 18, 5, 8, 20
_BIN_SHIFT = _DAY_BITS
_STATUS_SHIFT = _BIN_SHIFT + _BIN_BITS
_TYPE_SHIFT = _STATUS_SHIFT + _LABEL_BITS
_VALUE_SHIFT = _TYPE_SHIFT + _LABEL_BITS
_FIRST_DAY = -110_000


def _no_keys() -> Integers:
    import numpy as np

    return np.empty(0, np.int64)


def _no_calls() -> Calls:
    import numpy as np

    return np.empty(0, np.int32)


@dataclass(frozen=True, eq=False)
class FieldCounts:
    """Sparse counts by the values of a field: sorted keys of cells, and the calls in each."""

    name: str
    """The column."""
    values: tuple[str, ...]
    """Its values, most frequent first; the rarest may be grouped in the last one."""
    grouped: bool
    monthly: bool = False
    """Whether a cell's day is the first of its month."""
    keys: Integers = field(default_factory=_no_keys)
    calls: Calls = field(default_factory=_no_calls)

    def part(self, name: str) -> Integers:
        """Return a part of each cell: `value`, `type`, `status`, `bin` (0: no duration) or `day` since 1970-01-01."""
        shift, bits, first = {
            "value": (_VALUE_SHIFT, _VALUE_BITS, 0),
            "type": (_TYPE_SHIFT, _LABEL_BITS, 0),
            "status": (_STATUS_SHIFT, _LABEL_BITS, 0),
            "bin": (_BIN_SHIFT, _BIN_BITS, 0),
            "day": (0, _DAY_BITS, _FIRST_DAY),
        }[name]
        return ((self.keys >> shift) & ((1 << bits) - 1)) + first

    def keys_of(
        self, values: Integers, types: Integers, statuses: Integers, bins: Integers, days: Integers
    ) -> Integers:
        """Return the key of each call's cell."""
        keys = values << _VALUE_SHIFT | types << _TYPE_SHIFT | statuses << _STATUS_SHIFT | bins << _BIN_SHIFT
        return keys | (days - _FIRST_DAY)

    def plus(self, keys: Integers, calls: Calls | None = None) -> FieldCounts:
        """Return these counts with this number of further calls for each key of a cell, by default one."""
        if self.monthly:
            keys = _monthly(keys)
        keys, calls = with_more_calls(self.keys, self.calls, keys, calls)
        counts = replace(self, keys=keys, calls=calls)
        return counts if self.monthly or keys.size <= MAX_FIELD_CELLS else by_month(counts)

    def renamed(self, values: Integers, types: Integers, statuses: Integers) -> Integers:
        """Return the keys under new positions of values, types and statuses; each is given by the old one."""
        return (
            values[self.part("value")] << _VALUE_SHIFT
            | types[self.part("type")] << _TYPE_SHIFT
            | statuses[self.part("status")] << _STATUS_SHIFT
            | self.keys & ((1 << _STATUS_SHIFT) - 1)
        )


def by_month(counts: FieldCounts) -> FieldCounts:
    """Return the same calls by month."""
    keys, calls = summed(_monthly(counts.keys), counts.calls)
    return replace(counts, monthly=True, keys=keys, calls=calls)


def _monthly(keys: Integers) -> Integers:
    """Return keys whose day is the first of its month."""
    import numpy as np

    days = (keys & ((1 << _DAY_BITS) - 1)) + _FIRST_DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return (keys >> _DAY_BITS) << _DAY_BITS | (months.astype("datetime64[D]").astype(np.int64) - _FIRST_DAY)


def with_more_calls(
    keys: Integers, calls: Calls, more: Integers, number: Calls | None = None
) -> tuple[Integers, Calls]:
    """Return sorted keys of cells and the calls in each, with `number` further calls for each key in `more`, or one."""
    import numpy as np

    cells, added = summed(more, number)
    if not keys.size:
        return cells, added
    at = np.searchsorted(keys, cells)
    known = np.append(keys, -1)[at] == cells
    sums = calls.copy()
    sums[at[known]] += added[known]
    new = ~known
    return np.insert(keys, at[new], cells[new]), np.insert(sums, at[new], added[new])


def summed(keys: Integers, calls: Calls | None) -> tuple[Integers, Calls]:
    """Return the different keys in order, and the calls of each."""
    import numpy as np

    if calls is None:
        cells, number = np.unique(keys, return_counts=True)
        return cells, number.astype(np.int32)
    # Parts of the keys are in order already, which a stable sort makes use of.
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: ordered.size])
    return ordered[starts], np.add.reduceat(calls[order], starts).astype(np.int32) if starts.size else calls
