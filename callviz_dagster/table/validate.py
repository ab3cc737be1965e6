"""Rows of `calls` held against the pandera schema, row group by row group; what breaks it is counted and quoted.

What belongs elsewhere: the schema itself (`contract.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandera.errors
import pandera.pandas
import pyarrow as pa

from callviz_dagster.contract import Column, pandera_schema, row_rules, to_frame

_MAX_EXAMPLES = 100


@dataclass
class Violations:
    """The values that break the contract: how many, and examples."""

    total: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    """`_id`, column, value and check of each."""

    def add(self, identifier: object, column: object, value: object, check: object) -> None:
        """Count one more, and keep it while there are few."""
        self.total += 1
        if len(self.examples) < _MAX_EXAMPLES:
            identifier_text = None if identifier is None else str(identifier)
            self.examples.append(
                {"_id": identifier_text, "column": str(column), "value": str(value), "check": str(check)}
            )


@lru_cache(maxsize=1)
def _schema(columns: tuple[Column, ...], zone: str) -> pandera.pandas.DataFrameSchema:
    """Return the schema, which is the same for all partitions of a run."""
    return pandera_schema(columns, zone)


class Validator:
    """Validates whole rows, the documents' own columns included."""

    def __init__(self, columns: Sequence[Column], zone: str) -> None:
        self._columns, self._zone = tuple(columns), zone

    def validate(self, rows: pa.Table, violations: Violations) -> None:
        """Add what breaks the contract to the violations."""
        frame = to_frame(rows)
        try:
            _schema(self._columns, self._zone).validate(frame, lazy=True, inplace=True)
        except pandera.errors.SchemaErrors as error:
            rules = row_rules(self._zone)
            for case in error.failure_cases.to_dict("records"):
                rule = rules.get(str(case["check"]))
                if rule is not None:
                    for row in (~rule(frame)).to_numpy().nonzero()[0].tolist():
                        violations.add(
                            frame["_id"].iloc[row], "start_time", frame["start_time"].iloc[row], case["check"]
                        )
                    continue
                row = case["index"]
                identifier = None if row is None or row != row else frame["_id"].iloc[int(row)]
                violations.add(identifier, case["column"], case["failure_case"], case["check"])
