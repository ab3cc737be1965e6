"""The counts as the page holds them: plain values, and a column of whole numbers for each part of a cell.

A column is written in planes: the lowest byte of all its numbers, then the next higher byte of all, for as many bytes
as the largest number has; then deflated, and in base64. That is small, and `cells.js` reads it without a library.
What belongs elsewhere: counting (`dashboard/counts.py`), the page around the counts (`dashboard/page.py`).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callviz_dagster.dashboard.counts import BIN_SECONDS, TAIL_SECONDS, Counts, Cube
from callviz_dagster.dashboard.fields import FieldCounts
from callviz_dagster.documents.display import display_text
from callviz_dagster.documents.outcomes import positions

if TYPE_CHECKING:
    from callviz_dagster.dashboard.counts import Integers

_LEVEL = 6
"""Of deflate: 8 takes four times as long for 1 % less."""


def to_payload(counts: Counts, encoded: dict[Cube | FieldCounts, dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return counts as plain values for JSON; the page's script and `payload_totals` read them.

    The days that have calls and the duration classes that occur are lists, and cells hold positions in them. Cells are
    sorted by type, status, hour, duration and day; a day is written as the number of days that follow the one of the
    cell before, starting again with the first day after the last.

    Args:
        counts: the counts.
        encoded: cubes and fields of the same calls that are encoded already; further ones are added to them.
    """
    encoded = {} if encoded is None else encoded
    encoded |= {cube: _cube(cube, counts) for cube in counts.cubes if cube not in encoded}
    encoded |= {field: _field(field, counts) for field in counts.fields if field not in encoded}
    return {
        "types": list(counts.types),
        "statuses": list(counts.statuses),
        "completed": counts.completed_statuses,
        "missedTypes": positions(counts.types, counts.options.missed),
        "missedStatuses": positions(counts.statuses, counts.options.missed),
        "days": counts.days.tolist(),
        "step": counts.step,
        "exact": counts.exact,
        "median": counts.median,
        "durations": _classes(counts).tolist(),
        "binSeconds": BIN_SECONDS,
        "tailSeconds": TAIL_SECONDS,
        "cubes": [encoded[cube] for cube in counts.cubes],
        "fields": [encoded[field] for field in counts.fields],
    }


def _classes(counts: Counts) -> Integers:
    """Return the duration classes that occur, after -1 for calls without a duration."""
    import numpy as np

    return np.union1d([-1], counts.durations[0])


def _cube(cube: Cube, counts: Counts) -> dict[str, Any]:
    import numpy as np

    day = np.searchsorted(counts.days, cube.day)
    return {
        "hasHours": cube.hours,
        "hasDurations": cube.durations,
        "cells": int(cube.keys.size),
        "columns": {
            "type": _encoded(cube.call_type),
            "status": _encoded(cube.status),
            "hour": _encoded(cube.hour),
            "duration": _encoded(np.searchsorted(_classes(counts), cube.duration)),
            # Days and calls follow no pattern here: looking for one takes twenty times as long, and saves nothing.
            "day": _encoded(np.diff(day, prepend=0) % max(counts.days.size, 1), zlib.Z_RLE),
            "calls": _encoded(cube.calls.astype(np.int64), zlib.Z_RLE),
        },
    }


def _field(field: FieldCounts, counts: Counts) -> dict[str, Any]:
    """Return the cells of a field; a month stands at its first day that has calls."""
    import numpy as np

    day = np.searchsorted(counts.days, field.part("day"))
    return {
        "name": display_text(field.name),
        "values": list(field.values),
        "grouped": field.grouped,
        "monthly": field.monthly,
        "cells": int(field.keys.size),
        "columns": {
            **{name: _encoded(field.part(name)) for name in ("value", "type", "status", "bin")},
            "day": _encoded(np.diff(day, prepend=0) % max(counts.days.size, 1), zlib.Z_FILTERED),
            "calls": _encoded(field.calls.astype(np.int64), zlib.Z_FILTERED),
        },
    }


def payload_bytes(payload: Mapping[str, Any]) -> int:
    """Return the size of the cells in a payload."""
    parts = [*payload["cubes"], *payload["fields"]]
    return sum(len(column) for part in parts for column in part["columns"].values())


@dataclass(frozen=True)
class Totals:
    """What a cube in a payload, or the cells of a field, add up to."""

    calls: int
    without_duration: int | None
    """None where the cube does not distinguish durations."""


def payload_totals(payload: Mapping[str, Any]) -> list[Totals]:
    """Return what each cube in a payload, and the cells of each field, add up to, read from their columns.

    Raises:
        ValueError: a column does not hold as many numbers as the cube has cells.
    """
    cubes = [_totals(cube, "duration", distinguished=cube["hasDurations"]) for cube in payload["cubes"]]
    return cubes + [_totals(field, "bin") for field in payload["fields"]]


def _totals(part: Mapping[str, Any], durations: str, *, distinguished: bool = True) -> Totals:
    calls = _decoded(part["columns"]["calls"], part["cells"])
    classes = _decoded(part["columns"][durations], part["cells"])
    return Totals(int(calls.sum()), int(calls[classes == 0].sum()) if distinguished else None)


def _encoded(numbers: Integers, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> str:
    """Write whole numbers from 0 in planes of bytes, deflated by a strategy of zlib, in base64."""
    import numpy as np

    width = max((int(numbers.max(initial=0)).bit_length() + 7) // 8, 1)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=strategy)
    planes = [deflate.compress((numbers >> 8 * place & 255).astype(np.uint8).tobytes()) for place in range(width)]
    return base64.b64encode(b"".join([*planes, deflate.flush()])).decode()


def _decoded(text: str, length: int) -> Integers:
    """Return the numbers that `_encoded` wrote.

    Raises:
        ValueError: they are not as many as `length`, or damaged.
    """
    import numpy as np

    try:
        stored = np.frombuffer(zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS), np.uint8)
    except zlib.error as error:
        raise ValueError(f"its counts are damaged ({error})") from None
    width, rest = divmod(stored.size, length) if length else (0, stored.size)
    if rest or (length and not width):
        raise ValueError(f"it says that it holds {length:,} counts, and has {stored.size:,} bytes of them")
    planes = stored.reshape(width, length).astype(np.int64)
    return sum((plane << 8 * place for place, plane in enumerate(planes)), start=np.zeros(length, np.int64))
