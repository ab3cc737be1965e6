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

# One cell's key, from the highest bits to the lowest: value 5, type 8, status 8, duration bin 5, day 18.
_DAY_BITS, _BIN_BITS, _LABEL_BITS = 18, 5, 8
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


@dataclass(frozen=True)
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
            "value": (_VALUE_SHIFT, _BIN_BITS, 0),
            "type": (_TYPE_SHIFT, _LABEL_BITS, 0),
            "status": (_STATUS_SHIFT, _LABEL_BITS, 0),
            "bin": (_BIN_SHIFT, _BIN_BITS, 0),
            "day": (0, _DAY_BITS, _FIRST_DAY),
        }[name]
        return ((self.keys >> shift) & ((1 << bits) - 1)) + first

    def plus(
        self, values: Integers, types: Integers, statuses: Integers, bins: Integers, days: Integers
    ) -> FieldCounts:
        """Return these counts with one call more for each row."""
        keys = values << _VALUE_SHIFT | types << _TYPE_SHIFT | statuses << _STATUS_SHIFT | bins << _BIN_SHIFT
        keys |= (_month_starts(days) if self.monthly else days) - _FIRST_DAY
        keys, calls = with_more_calls(self.keys, self.calls, keys)
        counts = replace(self, keys=keys, calls=calls)
        return counts if self.monthly or keys.size <= MAX_FIELD_CELLS else by_month(counts)


def by_month(counts: FieldCounts) -> FieldCounts:
    """Return the same calls by month."""
    import numpy as np

    days = counts.part("day")
    keys = (counts.keys >> _DAY_BITS) << _DAY_BITS | (_month_starts(days) - _FIRST_DAY)
    keys, positions = np.unique(keys, return_inverse=True)
    calls = np.bincount(positions, weights=counts.calls).astype(np.int32)
    return replace(counts, monthly=True, keys=keys, calls=calls)


def _month_starts(days: Integers) -> Integers:
    """Return the first day of the month of each day, in days since 1970-01-01."""
    import numpy as np

    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64)


def with_more_calls(keys: Integers, calls: Calls, more: Integers) -> tuple[Integers, Calls]:
    """Return sorted keys of cells and the calls in each, with one call more for each key in `more`."""
    import numpy as np

    cells, number = np.unique(more, return_counts=True)
    added = number.astype(np.int32)
    at = np.searchsorted(keys, cells)
    known = np.append(keys, -1)[at] == cells
    sums = calls.copy()
    sums[at[known]] += added[known]
    new = ~known
    return np.insert(keys, at[new], cells[new]), np.insert(sums, at[new], added[new])
