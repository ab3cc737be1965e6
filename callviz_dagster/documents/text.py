"""Columns of values as text: numbers, datetimes on a local clock, and texts that are safe in a spreadsheet.

Pure: Arrow arrays in, Arrow arrays out. What belongs elsewhere: single values of documents (`documents/values.py`),
lines of `calls.csv` (`calls_csv/format.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from callviz_dagster.contract import LEADING, Column, Kind
from callviz_dagster.documents.buffers import Ints, int64_values, nullable_array, text_bytes, text_offsets, valid_mask
from callviz_dagster.documents.display import display_text
from callviz_dagster.documents.times import local_clock as local_microseconds
from callviz_dagster.documents.values import number_text

WHOLE_SECONDS = frozenset(column.name for column in LEADING if column.kind is Kind.DATETIME)
_HARMLESS = r"^[+-][0-9 ().\-/]*$|^[+-][0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$|^-Infinity$"
_PHONE, _PHONE_TRIMMED = "0123456789 ().-/", pa.array(["+", ""])
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D)}
_DANGEROUS = np.zeros(256, np.bool_)
_DANGEROUS[[ord(character) for character in "=@\t\r+-"]] = True
_SUSPICIOUS = _DANGEROUS.copy()
_SUSPICIOUS[:0x20] = True


def defused(texts: pa.Array) -> tuple[pa.Array, int]:
    """Make texts harmless for spreadsheets; return them and how many were changed.

    A `'` is put before what would be run as a formula: text that starts with `=`, `@`, a tab or a carriage return,
    or with `+` or `-` unless it is a number or a phone number (digits, spaces, brackets, dots, hyphens and slashes).
    Control characters that no spreadsheet file can hold, and at which many readers of CSV stop, NUL above all, are
    shown by the characters that Unicode has for them (`␀`); tab, line feed and carriage return stay.
    Sources: OWASP, CSV Injection; XML 1.0, 2.2.
    """
    characters = text_bytes(texts)
    if len(characters) < len(texts) and not _SUSPICIOUS[characters].any():
        return texts, 0
    texts, shown = _controls_shown(texts)
    texts, marked = _formulas_marked(texts)
    return texts, int(np.count_nonzero(shown | marked))


def _controls_shown(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    changed = np.zeros(len(texts), np.bool_)
    if text_bytes(texts).min(initial=0x20) >= 0x20:
        return texts, changed
    changed = pc.fill_null(pc.match_substring_regex(texts, _CONTROLS), False).to_numpy(zero_copy_only=False)
    if changed.any():
        shown = [text.translate(_PICTURES) for text in texts.filter(pa.array(changed)).to_pylist()]
        texts = pc.replace_with_mask(texts, pa.array(changed), pa.array(shown, pa.string()))
    return texts, changed


def _formulas_marked(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    mask = np.zeros(len(texts), np.bool_)
    suspects = _suspects(texts)
    if not len(suspects):
        return texts, mask
    some = texts.take(pa.array(suspects))
    # Of a phone number only the plus is left, or nothing; most suspects are one, and a pattern takes far longer.
    doubtful = ~pc.is_in(pc.ascii_rtrim(some, _PHONE), _PHONE_TRIMMED).to_numpy(zero_copy_only=False)
    suspects, some = suspects[doubtful], some.filter(pa.array(doubtful))
    dangerous = suspects[~pc.match_substring_regex(some, _HARMLESS).to_numpy(zero_copy_only=False)]
    if not len(dangerous):
        return texts, mask
    mask[dangerous] = True
    marked = pc.binary_join_element_wise("'", texts.take(pa.array(dangerous)), "")
    return pc.replace_with_mask(texts, pa.array(mask), marked), mask


def _suspects(texts: pa.Array) -> Ints:
    """Return the places of texts that may be formulas, by their first byte; none where all are phone numbers."""
    offsets = text_offsets(texts)
    filled = np.flatnonzero((offsets[1:] > offsets[:-1]) & valid_mask(texts))
    first = text_bytes(texts).take(offsets.take(filled))
    suspects = filled.compress(_DANGEROUS.take(first))
    if len(suspects) and _without_phones(texts, offsets) == b"+" * np.count_nonzero(first == ord("+")):
        return suspects[:0]
    return suspects


def _without_phones(texts: pa.Array, offsets: NDArray[np.int32]) -> bytes:
    """Return the bytes of texts without the characters of phone numbers; the plus that they may start with is left."""
    return text_bytes(texts)[offsets[0] : offsets[-1]].tobytes().translate(None, _PHONE.encode())


def csv_header(columns: Sequence[Column]) -> list[str]:
    """Return the names in the first line, in which every character can be shown."""
    names, _ = defused(pa.array([display_text(column.name) for column in columns], pa.string()))
    return [str(name) for name in names.to_pylist()]


def plain_texts(array: pa.Array, column: Column, zone: str) -> pa.Array:
    """Return values that are no text as `calls.csv` writes them; missing ones stay null."""
    if column.kind is Kind.NUMBER:
        return number_texts(array)
    if column.kind is Kind.DATETIME:
        array = local_clock(array, zone, whole_seconds=column.name in WHOLE_SECONDS)
    return array.cast(pa.string())


def local_clock(instants: pa.Array, zone: str, *, whole_seconds: bool) -> pa.Array:
    """Return what the clock in a zone shows at these instants, in whole seconds or milliseconds (both rounded down)."""
    unit, length = ("s", 1_000_000) if whole_seconds else ("ms", 1_000)
    if not len(instants):
        return pa.array([], pa.timestamp(unit))
    moments = int64_values(instants)
    if not instants.null_count:
        return pa.array(np.floor_divide(local_microseconds(moments, zone), length)).cast(pa.timestamp(unit))
    valid = valid_mask(instants)
    places = np.flatnonzero(valid)
    values = np.zeros(len(instants), np.int64)
    values[places] = np.floor_divide(local_microseconds(moments[places], zone), length)
    return nullable_array(values, valid, pa.timestamp(unit))


def differs_from_arrow(numbers: pa.Array) -> np.ndarray:
    """Return which numbers Arrow writes differently from `number_text`."""
    values = np.abs(numbers.fill_null(0).to_numpy())
    return np.asarray(~(values < 1e10) | ((values < 1e-4) & (values > 0)))


def number_texts(numbers: pa.Array) -> pa.Array:
    """Return numbers as text, as `number_text` writes them; Arrow's own text where it is the same."""
    texts = numbers.cast(pa.string())
    odd = differs_from_arrow(numbers)
    if odd.any():
        rewritten = [number_text(number) for number in numbers.filter(pa.array(odd)).to_pylist()]
        texts = pc.replace_with_mask(texts, pa.array(odd), pa.array(rewritten, pa.string()))
    return texts
