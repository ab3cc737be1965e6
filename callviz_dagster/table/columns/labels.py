"""The columns `call_type` and `status`: known spellings become one label, other values stay, trimmed.

What belongs elsewhere: which labels are known (`documents/labels.py`).
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from callviz_dagster.contract import UNKNOWN
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints
from callviz_dagster.documents.labels import known_label
from callviz_dagster.documents.walker import Elements, Path
from callviz_dagster.table.batch import BatchContext, truncate
from callviz_dagster.table.columns.texts import strings, texts_at_once


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
            _label_strings(context, role, elements, codes)
            continue
        texts = texts_at_once(context, kind, elements, role)
        if texts is None:
            _label_singly(context, role, path, kind, elements, codes)
        else:
            encoded = texts.dictionary_encode()
            codes.set(elements.rows, encoded, encoded.dictionary.to_pylist())
        context.note_kept_as_text(role, kind, elements.rows)
    return codes.array()


def _label_strings(context: BatchContext, role: str, elements: Elements, codes: _Codes) -> None:
    encoded = strings(context, elements, role).dictionary_encode()
    places = encoded.indices.to_numpy()
    chosen_labels = []
    for place, text in enumerate(encoded.dictionary.to_pylist()):
        trimmed = text.strip()
        label = known_label(role, trimmed) or trimmed
        chosen_labels.append(label)
        if label == text:
            continue
        kind_of_repair = f"{role}: a known spelling written as {label}"
        if label == trimmed:
            kind_of_repair = f"{role}: spaces around it removed"
        rows = elements.rows[places == place]
        repair = f"{role}: {json.dumps(truncate(text), ensure_ascii=False)} written as {truncate(label)}"
        context.repairs.add(rows, kind_of_repair, [repair] * len(rows))
    codes.set(elements.rows, encoded, chosen_labels)


def _label_singly(context: BatchContext, role: str, path: Path, kind: int, elements: Elements, codes: _Codes) -> None:
    for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
        context.renderer.invalid_text = False
        codes.by_row[row] = codes.number(context.text_of(kind, start, path).strip() or UNKNOWN)
        context.note_invalid_text(role, row)
