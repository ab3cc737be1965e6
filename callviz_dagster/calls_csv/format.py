r"""The text of `calls.csv`: how each kind of value is written, and which texts a spreadsheet would run.

Pure: tables in, tables out. What belongs elsewhere: writing the file (`assets/calls_csv.py`, `storage/files.py`).

CSV is RFC 4180 with `\n` line ends, UTF-8; text is always quoted, so that an empty text (`""`) and a missing
value (nothing) stay two things. A byte order mark is written only where it is asked for.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from callviz_dagster.contract import Column, Kind
from callviz_dagster.documents.buffers import joined_texts, text_bytes
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
    arrays: list[pa.Array] = []
    count = longest = 0
    odd = False
    for column, array in zip(columns, calls.columns, strict=True):
        if column.kind is Kind.TEXT:
            array, some = defused(array)
            count += some
            longest += 2 * (pc.max(pc.binary_length(array)).as_py() or 0)
        elif column.kind is Kind.DATETIME:
            array = local_clock(array, zone, whole_seconds=column.name in WHOLE_SECONDS)
        elif column.kind is Kind.NUMBER:
            odd = odd or bool(differs_from_arrow(array).any())
        arrays.append(array)
    write = _joined if odd else _written
    return EncodedRows(write(arrays), count, longest + _MOST_CELL * len(columns))


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
