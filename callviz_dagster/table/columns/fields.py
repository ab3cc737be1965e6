"""The columns of the documents' other fields, each of its planned kind, and `other_fields` for the rarest."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from callviz_dagster.contract import Kind, arrow_type
from callviz_dagster.documents import walker as el
from callviz_dagster.documents.buffers import Ints, nullable_array, spread_texts
from callviz_dagster.documents.profile import EARLIEST_DATE, LATEST_DATE
from callviz_dagster.documents.values import dotted, plain_path
from callviz_dagster.documents.walker import Batch, Elements
from callviz_dagster.table.batch import BatchContext
from callviz_dagster.table.columns.texts import texts_of
from callviz_dagster.table.options import PlanError
from callviz_dagster.table.plan import FieldColumn

Parts = list[tuple[int, Elements]]
"""The values of a field by BSON type."""


def field_column(context: BatchContext, column: FieldColumn) -> pa.Array:
    """Return a field as a column of the planned kind.

    Raises:
        PlanError: a value does not fit, so the plan was made from another archive.
    """
    parts = [
        (bson_type, elements)
        for bson_type, elements in context.elements_at(column.path)
        if bson_type not in (el.NULL, el.UNDEFINED, el.FLATTENED)
    ]
    kind = column.kind or Kind.TEXT
    if kind is Kind.TEXT:
        return _text_column(context, column, parts)
    values = np.zeros(context.size, _dtype(kind))
    valid = np.zeros(context.size, np.bool_)
    for bson_type, elements in parts:
        if kind is Kind.DATETIME:
            elements = _readable_dates(context, column, bson_type, elements)
        numbers = _read(context.batch, kind, bson_type, elements.starts)
        if len(elements.rows) == context.size:
            return pa.array(numbers.astype(values.dtype, copy=False)).cast(arrow_type(kind))
        values[elements.rows] = numbers
        valid[elements.rows] = True
    return nullable_array(values, valid, arrow_type(kind))


def _dtype(kind: Kind) -> type[np.generic]:
    return {Kind.NUMBER: np.float64, Kind.BOOLEAN: np.bool_}.get(kind, np.int64)


def _read(batch: Batch, kind: Kind, bson_type: int, starts: Ints) -> NDArray[np.generic]:
    """Return values of one BSON type as the kind that was planned."""
    if kind in (Kind.INTEGER, Kind.NUMBER) and bson_type == el.INT32:
        return batch.int32(starts)
    if kind in (Kind.INTEGER, Kind.NUMBER) and bson_type == el.INT64:
        return batch.int64(starts)
    if kind is Kind.NUMBER and bson_type == el.DOUBLE:
        return batch.double(starts)
    if kind is Kind.BOOLEAN and bson_type == el.BOOLEAN:
        return batch.data[starts].astype(np.bool_)
    if kind is Kind.DATETIME and bson_type == el.DATE:
        return batch.int64(starts) * 1000
    raise PlanError("The archive does not fit the manifest beside it; materialize raw_calls again.")


def _readable_dates(context: BatchContext, column: FieldColumn, kind: int, elements: Elements) -> Elements:
    """Return the dates that every reader holds; the others, which often stand for no date, are left empty."""
    milliseconds = context.batch.int64(elements.starts)
    readable = (milliseconds >= EARLIEST_DATE) & (milliseconds < LATEST_DATE)
    if readable.all():
        return elements
    for index in np.flatnonzero(~readable).tolist():
        value = context.quoted(kind, int(elements.starts[index]), column.path)
        reason = "lies outside the years that every reader holds, left empty"
        context.repairs.add(
            elements.rows[index : index + 1],
            f"{column.name}: a date that {reason}",
            [f"{column.name}: {value} {reason}"],
        )
    return Elements(elements.rows[readable], elements.starts[readable])


def _text_column(context: BatchContext, column: FieldColumn, parts: Parts) -> pa.Array:
    path = plain_path(column.path)
    hidden = context.plan.options.secrets.hides(path)
    if not parts:
        return pa.nulls(context.size, pa.string())
    texts = []
    for bson_type, elements in parts:
        texts.append(texts_of(context, bson_type, elements, column.name, path, hidden=hidden))
        if column.usual_type is not None and bson_type != column.usual_type and not hidden:
            context.note_kept_as_text(column.name, bson_type, elements.rows)
    if len(texts) == 1:
        return spread_texts(texts[0], parts[0][1].rows, context.size)
    rows = np.concatenate([elements.rows for _, elements in parts])
    order = np.argsort(rows, kind="stable")
    return spread_texts(pa.concat_arrays(texts).take(pa.array(order)), rows[order], context.size)


def other_fields(context: BatchContext) -> pa.Array:
    """Return the fields that have no column of their own as one JSON object a row; null where there are none."""
    plan = context.plan
    with_column = {column.path for column in plan.fields} | plan.hidden
    members: dict[int, list[tuple[int, str]]] = {}
    for (path, kind), elements in context.batch.elements.items():
        plain = plain_path(path)
        if path in with_column or kind == el.FLATTENED or plan.options.secrets.drops(plain):
            continue
        name = json.dumps(dotted(path), ensure_ascii=False)
        for row, start in zip(elements.rows.tolist(), elements.starts.tolist(), strict=True):
            context.renderer.invalid_text = False
            value = context.renderer.json(kind, start, plain)
            members.setdefault(row, []).append((start, f"{name}: {value}"))
            context.note_invalid_text("other_fields", row)
    texts: list[str | None] = [None] * context.size
    for row, parts in members.items():
        texts[row] = f"{{{', '.join(part for _, part in sorted(parts))}}}"
    return pa.array(texts, pa.string())
