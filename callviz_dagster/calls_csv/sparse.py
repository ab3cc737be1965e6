"""Where columns side by side are empty in nearly every row, as those of rare fields are.

What belongs elsewhere: how cells are written (`calls_csv/format.py`) and compared (`calls_csv/audit.py`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from callviz_dagster.documents.buffers import Mask, any_valid

MARKER = "\x01"
"""What stands for those columns in a line; no cell has this character, for control characters are shown by others."""
_FEWEST = 8
"""Columns, with which it pays to take lines apart."""
_RARE = 16
"""A column is sparse where at most one cell of this many has a value."""


@dataclass(frozen=True)
class SparseColumns:
    """The longest run of sparse columns."""

    start: int
    stop: int
    filled: Mask
    """Which rows have a value in one of them."""

    @property
    def commas(self) -> str:
        """What a line has between the columns beside them where they are all empty, without the outer commas."""
        return "," * (self.stop - self.start - 1)


def sparse_columns(rows: pa.RecordBatch) -> SparseColumns | None:
    """Return the longest run of sparse columns; None where it is short, or half of the rows have a value in it."""
    size = rows.num_rows
    sparse = [_RARE * (size - array.null_count) <= size for array in rows.columns]
    runs = [[*run] for is_sparse, run in itertools.groupby(range(len(sparse)), sparse.__getitem__) if is_sparse]
    longest = max(runs, key=len, default=[])
    if len(longest) < _FEWEST:
        return None
    filled = any_valid([rows.column(place) for place in longest])
    if 2 * np.count_nonzero(filled) > size:
        return None
    return SparseColumns(longest[0], longest[-1] + 1, filled)
