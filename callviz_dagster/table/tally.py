"""What is counted while documents become rows: the tally, and the reasons for which a document is rejected.

Apart from `table/normalize.py`, which fills it, so that whoever only reads the counts loads neither NumPy nor Arrow; so
nothing heavy may be imported here. What belongs elsewhere: what the counts forbid (`assets/checks/`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

EXAMPLES = 5
"""How many documents a check names."""

_MOST_LABELS = 1_000

STARTS_LATER, STARTS_EARLY, LASTS_LONG = "starts after the snapshot", "starts before 1990", "longer than a day"
"""What is implausible of a call, though possible."""

PROBLEMS = {
    "start_missing": "The document has no start time.",
    "start_unreadable": "The start time cannot be read as a time.",
    "start_ambiguous": "The start time is ambiguous; if day and month could be swapped, set CALLVIZ_DATE_ORDER.",
    "start_out_of_range": "The start time lies outside the years 1678 to 2261, which is what every reader can hold.",
}
"""Reason codes of rejected documents, with what each means."""


@dataclass
class Tally:
    """What was counted while documents became rows; adds up over batches."""

    documents: int = 0
    calls: int = 0
    rejected: int = 0
    repaired_rows: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    reason_examples: dict[str, list[str]] = field(default_factory=dict)
    fields_used: dict[str, Counter[str]] = field(default_factory=dict)
    """For each role, how many documents each field played it in."""
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    """For `call_type` and `status`, how many calls have each label; long labels are cut."""
    implausible: Counter[str] = field(default_factory=Counter)
    implausible_examples: dict[str, list[str]] = field(default_factory=dict)
    """For each of these the `_id` of some calls, with the value that is implausible."""

    def add(self, other: Tally) -> None:
        """Add the tally of another batch."""
        self.documents += other.documents
        self.calls += other.calls
        self.rejected += other.rejected
        self.repaired_rows += other.repaired_rows
        self.repairs.update(other.repairs)
        self.reasons.update(other.reasons)
        self.implausible.update(other.implausible)
        for role, used in other.fields_used.items():
            self.fields_used.setdefault(role, Counter()).update(used)
        for role, labels in other.labels.items():
            mine = self.labels.setdefault(role, Counter())
            for label, count in labels.items():
                if label in mine or len(mine) < _MOST_LABELS:
                    mine[label] += count
        for mine_by, theirs in (
            (self.reason_examples, other.reason_examples),
            (self.implausible_examples, other.implausible_examples),
        ):
            for key, examples in theirs.items():
                mine_by[key] = [*mine_by.get(key, []), *examples][:EXAMPLES]
