"""The columns `call_type` and `status`: one label for one thing; values that are no text are kept as text.

What belongs elsewhere: how a text, a document or a boolean becomes a label (`documents/labels.py`).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from callviz_dagster.contract import UNKNOWN
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints
from callviz_dagster.documents.labels import Label, label_in_document, label_of_boolean, label_of_text, quoted
from callviz_dagster.documents.values import field_name
from callviz_dagster.documents.walker import Elements, Path
from callviz_dagster.table.batch import BatchContext, truncate
from callviz_dagster.table.columns.texts import strings, texts_at_once

_YES_OR_NO, _NEITHER = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}, -1
"""Values that answer a field named like a label, such as `answered`."""


class _Codes:
    """The labels of a batch as codes, numbered in the order in which they are met; 0 is `unknown`."""

    def __init__(self, size: int) -> None:
        self._numbers: dict[str, int] = {UNKNOWN: 0}
        self.by_row = np.zeros(size, np.int64)

    def number(self, label: str) -> int:
        return self._numbers.setdefault(label, len(self._numbers))

    def set(self, rows: Ints, texts: pa.DictionaryArray, labels: list[str]) -> None:
        """Give each row the label that its text became."""
        numbers = np.array([*(self.number(label) for label in labels), 0])
        self.by_row[rows] = numbers[texts.indices.to_numpy()]

    def array(self) -> pa.Array:
        return pa.array(list(self._numbers), pa.string()).take(pa.array(self.by_row))


def labels(context: BatchContext, role: str) -> pa.Array:
    """Return the labels of the role `call_type` or `status`; `unknown` where a document has none."""
    codes = _Codes(context.size)
    for path, kind, elements in context.role_elements(role):
        if kind == el.STRING:
            _label_strings(context, role, path, elements, codes)
            continue
        yes_or_no = label_of_boolean(field_name(path[-1]), True) is not None
        texts = None if yes_or_no else texts_at_once(context, kind, elements, role)
        if texts is None:
            _label_singly(context, role, path, kind, elements, codes)
            continue
        encoded = texts.dictionary_encode()
        codes.set(elements.rows, encoded, encoded.dictionary.to_pylist())
        context.note_kept_as_text(role, kind, elements.rows)
    return codes.array()


def _label_strings(context: BatchContext, role: str, path: Path, elements: Elements, codes: _Codes) -> None:
    encoded = strings(context, elements, role).dictionary_encode()
    places = encoded.indices.to_numpy()
    chosen_labels = []
    for place, text in enumerate(encoded.dictionary.to_pylist()):
        meaning = label_of_boolean(field_name(path[-1]), _YES_OR_NO.get(text.strip().casefold(), _NEITHER))
        label = Label(meaning, "a boolean written as a label") if meaning else label_of_text(role, text)
        chosen_labels.append(label.text or UNKNOWN)
        if label.change:
            rows = elements.rows[places == place]
            _note_label(context, role, rows, label.change, quoted(truncate(text)), chosen_labels[-1])
    codes.set(elements.rows, encoded, chosen_labels)


def _label_singly(context: BatchContext, role: str, path: Path, kind: int, elements: Elements, codes: _Codes) -> None:
    rows_kept_as_text = []
    for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
        label = _label_in_value(context, role, path, kind, start, row)
        if label is None:
            rows_kept_as_text.append(row)
            context.renderer.invalid_text = False
            label = context.text_of(kind, start, path).strip()
            context.note_invalid_text(role, row)
        codes.by_row[row] = codes.number(label or UNKNOWN)
    context.note_kept_as_text(role, kind, np.array(rows_kept_as_text, np.int64))


def _label_in_value(context: BatchContext, role: str, path: Path, kind: int, start: int, row: int) -> str | None:
    """Return the label that a nested document or a boolean stands for, and note that; None for other values."""
    if kind in (el.BOOLEAN, el.INT32, el.INT64, el.DOUBLE):
        value, change = context.text_of(kind, start, path), "a boolean written as a label"
        label = label_of_boolean(field_name(path[-1]), _YES_OR_NO.get(value, _NEITHER))
    elif kind in (el.DOCUMENT, el.FLATTENED):
        field_and_text = label_in_document(context.document_of(start, path))
        field, text = field_and_text or ("", "")
        label = label_of_text(role, text).text or None
        value, change = f"{field} {quoted(truncate(text))}", f"taken from {field} of a document"
    else:
        return None
    if label is not None:
        _note_label(context, role, np.array([row]), change, value, label)
    return label


def _note_label(context: BatchContext, role: str, rows: Ints, change: str, value: str, label: str) -> None:
    repair = f"{role}: {value} written as {truncate(label)}"
    context.repairs.add(rows, f"{role}: {change}", [repair] * len(rows))
