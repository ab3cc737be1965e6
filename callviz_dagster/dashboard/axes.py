"""What is counted: which labels of a column are distinguished, and the position of each; the rarer ones are grouped.

What belongs elsewhere: counting (`dashboard/counts.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from callviz_dagster.documents.display import display_text
from callviz_dagster.documents.outcomes import COMPLETED_LABELS, MISSED_LABELS, positions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from callviz_dagster.settings import Settings
    from callviz_dagster.table.manifest import TableFooter

    Integers = np.ndarray[Any, np.dtype[np.int64]]

    Read = Callable[[Sequence[str]], Iterable[pa.Table]]
    """Gives the named columns of all calls, table by table, from the start each time it is called."""

MAX_LABELS = 250
MAX_VALUES = 30
"""Values of a further field that are counted on their own."""
NO_VALUE = "(none)"
"""Stands for calls without a value in a further field."""
MAX_DISTINCT = 50_000
"""Labels of a column above which only the frequent ones are counted."""
_MAX_LABEL_LENGTH = 120


@dataclass(frozen=True)
class CountOptions:
    """What is counted, and how finely."""

    labels: int = 12
    """How many types and how many statuses are distinguished; the rarer ones are grouped."""
    completed: tuple[str, ...] = COMPLETED_LABELS
    """Statuses that count as completed."""
    missed: tuple[str, ...] = MISSED_LABELS
    """Statuses and types that count as missed, where the call is not completed."""
    fields: tuple[str, ...] = ()
    """Columns by which calls are counted, too."""

    @classmethod
    def of(cls, settings: Settings) -> CountOptions:
        """Return the options that the settings name."""
        return cls(
            settings.dashboard_labels, settings.completed_labels, settings.missed_labels, settings.dashboard_fields
        )

    def with_columns_of(self, footers: Iterable[TableFooter]) -> tuple[CountOptions, tuple[str, ...]]:
        """Return the options with those fields alone that are columns of the calls, and the names of the others."""
        known = {field.column.name for footer in footers for field in footer.fields}
        missing = tuple(name for name in self.fields if name not in known)
        return replace(self, fields=tuple(name for name in self.fields if name in known)), missing


@dataclass(frozen=True)
class Axis:
    """The labels of a column that are distinguished, and the group of all others."""

    labels: tuple[str, ...]
    grouped: bool
    positions: Mapping[str, int]

    def codes(self, column: pa.ChunkedArray) -> Integers:
        """Return each value's position in `labels`."""
        return codes_of(column, lambda labels: [self.position(label) for label in labels])

    def position(self, label: str) -> int:
        """Return the position of a label, or that of the group."""
        return self.positions.get(label, len(self.labels) - 1)


def codes_of(column: pa.ChunkedArray, positions_of: Callable[[Sequence[str]], Sequence[int]]) -> Integers:
    """Return the position of each value of a column; `positions_of` gives those of its different values."""
    import numpy as np
    import pyarrow as pa

    encoded = texts(column)
    if not isinstance(encoded, pa.DictionaryArray):
        encoded = encoded.dictionary_encode()
    codes: Integers = np.array(positions_of(encoded.dictionary.to_pylist()), dtype=np.int64)[encoded.indices.to_numpy()]
    return codes


def label_axes(read: Read, options: CountOptions) -> dict[str, Axis]:
    """Return the axis of each label column: its most frequent labels, and those that count as completed or missed."""
    import pyarrow.compute as pc

    counters: dict[str, Counter[str]] = {name: Counter() for name in ("call_type", "status", *options.fields)}
    pruned = dict.fromkeys(counters, False)
    for table in read(tuple(counters)):
        for name, counter in counters.items():
            for entry in pc.value_counts(texts(table[name])).to_pylist():
                counter[entry["values"]] += entry["counts"]
            if len(counter) > MAX_DISTINCT:
                # Labels that are all different are no labels; only the frequent ones are worth the memory.
                counters[name] = Counter(dict(counter.most_common(MAX_DISTINCT // 2)))
                pruned[name] = True
    return axes_of(counters, options, pruned)


def axes_of(
    counters: Mapping[str, Counter[str]], options: CountOptions, pruned: Mapping[str, bool] | None = None
) -> dict[str, Axis]:
    """Return the axis of each column from its labels and their numbers of calls.

    Args:
        counters: the calls of each label, by column.
        options: what is counted.
        pruned: of which columns there are more labels than these.
    """
    plurals = {"call_type": "types", "status": "statuses"}
    outcomes = {"call_type": options.missed, "status": (*options.completed, *options.missed)}
    axes = {}
    for name, counter in counters.items():
        limit = MAX_VALUES if name in options.fields else min(options.labels, MAX_LABELS)
        labels = list(counter)
        kept = {labels[position] for position in positions(labels, outcomes.get(name, ()))}
        more = pruned is not None and pruned[name]
        axes[name] = _axis(counter, limit, plurals.get(name, "values"), more=more, kept=kept)
    return axes


def texts(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type) and not array.null_count:
        return array
    return pc.fill_null(array.cast(pa.string()), NO_VALUE)


def _axis(counter: Counter[str], limit: int, plural: str, *, more: bool, kept: Set[str]) -> Axis:
    """Return the axis of the `limit` most frequent labels, those `kept` first; `more` were not even counted."""
    ranked = sorted(counter, key=lambda label: (-counter[label], label))
    chosen = sorted(ranked, key=lambda label: label not in kept)[:limit]
    chosen.sort(key=ranked.index)
    rest = len(ranked) - len(chosen)
    names = list(chosen)
    if rest or more:
        names.append(f"other ({'more than ' if more else ''}{rest:,} {plural})")
    return Axis(_distinct(names), rest > 0 or more, {label: position for position, label in enumerate(chosen)})


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return names that can be shown, are short, and differ from each other."""
    shown: list[str] = []
    for name in map(display_text, names):
        short = name if len(name) <= _MAX_LABEL_LENGTH else name[:_MAX_LABEL_LENGTH] + "…"
        number = 2
        unique = short
        while unique in shown:
            unique = f"{short} ({number})"
            number += 1
        shown.append(unique)
    return tuple(shown)
