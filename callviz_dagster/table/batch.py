"""One batch on its way to rows: its values by field, and what is noted about them. The parts of a row share it.

What belongs elsewhere: what becomes of the values (`table/columns/`), finding them (`documents/walker.py`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from callviz_dagster.documents import times
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints, Mask
from callviz_dagster.documents.values import TYPE_NAMES, Renderer, document_at, dotted, plain_path
from callviz_dagster.documents.walker import Batch, Elements, Path
from callviz_dagster.table.plan import Plan
from callviz_dagster.table.tally import Tally

_MAX_QUOTED = 100
_SPACES = np.zeros(256, np.bool_)
_SPACES[: ord(" ") + 1] = True
_SPACES[[0xC2, 0xE1, 0xE2, 0xE3]] = True
"""First bytes of the characters that `str.strip` removes, in UTF-8."""


class Repairs:
    """The repairs of a batch: texts by row, and counts by kind."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._chunks: list[tuple[Ints, Sequence[str], str]] = []

    def add(self, rows: Ints, kind: str, texts: Sequence[str] | None = None) -> None:
        """Note the same kind of repair in rows; `texts` where its wording differs from row to row."""
        if len(rows):
            self._chunks.append((rows, texts if texts is not None else [kind] * len(rows), kind))

    def texts(self) -> list[str]:
        """Return each row's repairs as one text."""
        texts = [""] * self._rows
        for rows, chunk, _ in self._chunks:
            for row, text in zip(rows.tolist(), chunk, strict=True):
                texts[row] = f"{texts[row]}; {text}" if texts[row] else text
        return texts

    def counts(self, rows_kept: Mask) -> Counter[str]:
        """Return how many kept rows have each kind of repair."""
        counts: Counter[str] = Counter()
        for rows, _, kind in self._chunks:
            counts[kind] += int(np.count_nonzero(rows_kept[rows]))
        return +counts

    def __bool__(self) -> bool:
        return bool(self._chunks)


class BatchContext:
    """A batch, its plan, and what is noted while it becomes rows."""

    def __init__(self, batch: Batch, plan: Plan) -> None:
        self.batch = batch
        self.plan = plan
        self.size = len(batch)
        self.repairs = Repairs(self.size)
        self.tally = Tally(documents=self.size)
        zone = plan.options.timezone
        # No reference to `self`: in a cycle the batch would stay in memory until the garbage collector comes.
        self.renderer = Renderer(
            batch.raw, date_text=lambda ms: times.local_datetime_text(ms, zone), secrets=plan.options.secrets
        )
        self._by_path: dict[Path, list[tuple[int, Elements]]] = {}
        for (path, kind), elements in batch.elements.items():
            self._by_path.setdefault(path, []).append((kind, elements))

    def elements_at(self, path: Path) -> list[tuple[int, Elements]]:
        """Return the elements of a field by BSON type."""
        return self._by_path.get(path, [])

    def role_elements(self, role: str) -> Iterator[tuple[Path, int, Elements]]:
        """Yield the elements that play a role: in each document the first of the role's fields that is not empty."""
        open_rows = np.ones(self.size, np.bool_)
        for path in self.plan.roles[role]:
            taken_rows = []
            for kind, elements in self.elements_at(path):
                usable = open_rows[elements.rows] & self._filled(kind, elements)
                if usable.any():
                    if not usable.all():
                        elements = Elements(elements.rows[usable], elements.starts[usable])
                    taken_rows.append(elements.rows)
                    self._note_use(role, path, elements.rows)
                    yield path, kind, elements
            for rows in taken_rows:
                open_rows[rows] = False

    def _note_use(self, role: str, path: Path, rows: Ints) -> None:
        """Count in how many documents a field plays a role; where it usually does not, note that as a repair."""
        self.tally.fields_used.setdefault(role, Counter())[dotted(path)] += len(rows)
        if path != self.plan.usual[role]:
            column = "duration_sec" if role == "duration" else role
            self.repairs.add(rows, f"{column}: taken from {dotted(path)}")

    def _filled(self, kind: int, elements: Elements) -> Mask:
        """Return which values are neither null nor blank text."""
        if kind in (el.NULL, el.UNDEFINED):
            return np.zeros(len(elements.rows), np.bool_)
        filled = np.ones(len(elements.rows), np.bool_)
        if kind == el.STRING:
            filled = self.batch.int32(elements.starts) > 1
            doubtful = np.flatnonzero(filled & _SPACES[self.batch.data[elements.starts + 4]])
            for index in doubtful:
                filled[index] = bool((self.renderer.text(kind, int(elements.starts[index])) or "").strip())
        return filled

    def text_of(self, kind: int, start: int, path: Path) -> str:
        """Return a value as text."""
        return self.renderer.text(kind, start, plain_path(path)) or ""

    def quoted(self, kind: int, start: int, path: Path) -> str:
        """Return a value as a repair quotes it: text in quotes, long values truncated."""
        text = truncate(self.text_of(kind, start, path))
        return json.dumps(text, ensure_ascii=False) if kind == el.STRING else text

    def document_of(self, start: int, path: Path) -> dict[str, Any]:
        """Return a nested document, decoded, without the fields that are left out or replaced by tokens."""
        secrets, above = self.plan.options.secrets, plain_path(path)
        return {
            name: value
            for name, value in document_at(self.batch.raw, start).items()
            if not secrets.drops(f"{above}.{name}") and not secrets.hides(f"{above}.{name}")
        }

    def note_kept_as_text(self, column: str, kind: int, rows: Ints) -> None:
        """Note that values of an unexpected BSON type were kept as text."""
        self.repairs.add(rows, f"{column}: {TYPE_NAMES[kind]} kept as text")

    def note_invalid_text(self, column: str, row: int) -> None:
        """Note that the renderer has met text that is not UTF-8 in a row, if it has."""
        if self.renderer.invalid_text:
            self.repairs.add(np.array([row]), f"{column}: bytes that are not UTF-8 shown as \\x and hex digits")
            self.renderer.invalid_text = False


def truncate(text: str) -> str:
    """Return text as it is quoted: of a long one only the beginning."""
    return text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…"
