r"""The text of `calls.csv`: how each kind of value is written, and which texts a spreadsheet would run.

Pure: tables in, tables out. What belongs elsewhere: writing the file (`assets/calls_csv.py`, `storage/files.py`).

CSV is RFC 4180 with `\n` line ends, UTF-8; text is always quoted, so that an empty text (`""`) and a missing
value (nothing) stay two things. A byte order mark is written only where it is asked for.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from callviz_dagster.calls_csv.sparse import MARKER, SparseColumns, sparse_columns
from callviz_dagster.contract import Column, Kind
from callviz_dagster.documents.buffers import joined_texts, slices, text_bytes
from callviz_dagster.documents.text import (
    WHOLE_SECONDS,
    csv_header,
    defused,
    differs_from_arrow,
    local_clock,
    number_texts,
)

_AS_THEY_ARE = pa.csv.WriteOptions(include_header=False, batch_size=4096)
_MOST_CELL = 40
"""No value that is no text is longer, with its comma or quotes."""


def header_line(columns: Sequence[Column], *, bom: bool = False) -> bytes:
    """Return the first line; with `bom` after a byte order mark."""
    return (codecs.BOM_UTF8 if bom else b"") + (
        ",".join('"' + name.replace('"', '""') + '"' for name in csv_header(columns)) + "\n"
    ).encode()


class EncodedRows(NamedTuple):
    """Lines of `calls.csv`, the number of defused texts, and an upper bound of the longest line in bytes."""

    text: memoryview
    defused: int
    longest: int


def csv_lines(calls: pa.RecordBatch, columns: Sequence[Column], zone: str) -> EncodedRows:
    """Return rows as the lines of `calls.csv`.

    Start and end are local time without a zone in whole seconds, other datetimes in milliseconds. How a value is
    written depends on the value and its column alone, not on the rows around it.
    """
    if not calls.num_rows:
        return EncodedRows(memoryview(b""), 0, 0)
    sparse = sparse_columns(calls)
    if sparse is None:
        cells = _cells(calls.columns, columns, zone)
        return EncodedRows(_lines(cells, cells.arrays), cells.defused, cells.longest)
    return _sparse_lines(calls, columns, zone, sparse)


class _Cells(NamedTuple):
    """Columns as their cells are written, and what `EncodedRows` says of them."""

    arrays: Sequence[pa.Array]
    defused: int
    longest: int
    odd: bool
    """Whether a number is written in another way than Arrow's."""


def _cells(arrays: Sequence[pa.Array], columns: Sequence[Column], zone: str) -> _Cells:
    cells = [*arrays]
    count = longest = 0
    odd = False
    for place, column in enumerate(columns):
        if column.kind is Kind.TEXT:
            cells[place], some = defused(cells[place])
            count += some
            longest += 2 * (pc.max(pc.binary_length(cells[place])).as_py() or 0)
        elif column.kind is Kind.NUMBER:
            odd = odd or bool(differs_from_arrow(cells[place]).any())
    for whole_seconds in (True, False):
        _show_local_clock(
            cells,
            [
                place
                for place, column in enumerate(columns)
                if column.kind is Kind.DATETIME and (column.name in WHOLE_SECONDS) is whole_seconds
            ],
            zone,
            whole_seconds=whole_seconds,
        )
    return _Cells(cells, count, longest + _MOST_CELL * len(columns), odd)


def _show_local_clock(cells: list[pa.Array], places: Sequence[int], zone: str, *, whole_seconds: bool) -> None:
    """Replace the instants of columns by what the clock shows, all of them at once: each call takes its time."""
    if not places:
        return
    size = len(cells[places[0]])
    together = local_clock(pa.concat_arrays([cells[place] for place in places]), zone, whole_seconds=whole_seconds)
    for number, place in enumerate(places):
        cells[place] = together.slice(number * size, size)


def _sparse_lines(calls: pa.RecordBatch, columns: Sequence[Column], zone: str, sparse: SparseColumns) -> EncodedRows:
    """Return the same lines; the sparse columns are written for rows that have values there, and put into the others.

    A marker stands for them in the lines of the other columns, and ends their own lines.
    """
    start, stop, filled = sparse.start, sparse.stop, pa.array(sparse.filled)
    rare = _cells(calls.select(range(start, stop)).filter(filled).columns, columns[start:stop], zone)
    arrays = calls.columns
    dense = _cells([*arrays[:start], *arrays[stop:]], [*columns[:start], *columns[stop:]], zone)
    marker = pa.repeat(MARKER, calls.num_rows)
    pieces = _between_markers(_lines(dense, [*dense.arrays[:start], marker, *dense.arrays[start:]]), '"', '"')
    values = _between_markers(_lines(rare, [*rare.arrays, marker[: len(rare.arrays[0])]]), ',"', '"\n')[:-1]
    sparse_cells = pc.replace_with_mask(pa.repeat(sparse.commas, calls.num_rows).cast(pa.binary()), filled, values)
    lines = pc.binary_join_element_wise(pieces, pa.concat_arrays([sparse_cells, pa.array([b""])]), b"")
    return EncodedRows(joined_texts(lines), dense.defused + rare.defused, dense.longest + rare.longest)


def _between_markers(lines: memoryview, before: str, after: str) -> pa.BinaryArray:
    """Return what stands between the markers, without the characters on both sides of each."""
    characters = np.frombuffer(lines, np.uint8)
    places = np.flatnonzero(characters == ord(MARKER))
    starts = np.concatenate([[0], places + 1 + len(after)])
    ends = np.concatenate([places - len(before), [len(characters)]])
    return slices(characters, starts, ends - starts)


def _lines(cells: _Cells, arrays: Sequence[pa.Array]) -> memoryview:
    """Return rows of these arrays, which are cells with a marker at most, as lines."""
    return (_joined if cells.odd else _written)(arrays)


def _written(arrays: Sequence[pa.Array]) -> memoryview:
    """Return rows as Arrow writes them, which quotes all text and nothing else."""
    rows = pa.RecordBatch.from_arrays(arrays, [str(place) for place in range(len(arrays))])
    sink = pa.BufferOutputStream()
    with pa.csv.CSVWriter(sink, rows.schema, write_options=_AS_THEY_ARE) as writer:
        writer.write_batch(rows)
    return memoryview(sink.getvalue())


def _joined(arrays: Sequence[pa.Array]) -> memoryview:
    """Return the same lines, with numbers as Arrow's writer has no way to write them."""
    parts: list[pa.Array | str] = []
    for array in arrays:
        parts.append("," if parts else "")
        if not pa.types.is_string(array.type):
            text = number_texts(array) if pa.types.is_floating(array.type) else array.cast(pa.string())
            parts.append(pc.fill_null(text, "") if text.null_count else text)
        elif array.null_count:
            parts.append(pc.fill_null(pc.binary_join_element_wise('"', _escaped(array), '"', ""), ""))
        else:
            parts += ['"', _escaped(array), '"']
    lines = pc.binary_join_element_wise(*_merged([*parts, "\n"]), "")
    return joined_texts(lines)


def _escaped(texts: pa.Array) -> pa.Array:
    if not (text_bytes(texts) == ord('"')).any():
        return texts
    return pc.replace_substring(texts, '"', '""')


def _merged(parts: Sequence[pa.Array | str]) -> list[pa.Array | str]:
    """Return the parts with literals that follow each other as one."""
    merged: list[pa.Array | str] = []
    for part in parts:
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
