"""The rows of `rejected_calls`: the documents that are in no row of `calls`, each with the reason and as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from callviz_dagster.contract import REJECTED, arrow_schema
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.tally import EXAMPLES, PROBLEMS


class Rejection(NamedTuple):
    """Why a document is not in `calls`."""

    reason: str
    """A key of `tally.PROBLEMS`."""
    field: str
    value: str | None


def rejected_rows(context: BatchContext, ids: pa.Array, rejections: Mapping[int, Rejection]) -> pa.Table:
    """Return the rejected documents, given by row, with the columns of `contract.REJECTED`, and count the reasons."""
    tally = context.tally
    records: list[dict[str, str | None]] = []
    for row, (reason, field, value) in sorted(rejections.items()):
        identifier = ids[row].as_py()
        records.append(
            {
                "_id": identifier,
                "reason": reason,
                "field": field,
                "value": value,
                "explanation": PROBLEMS[reason],
                "document": context.renderer.document(int(context.batch.starts[row]), canonical=True),
            }
        )
        tally.reasons[reason] += 1
        examples = tally.reason_examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(identifier)
    return pa.Table.from_pylist(records, schema=arrow_schema(REJECTED))
