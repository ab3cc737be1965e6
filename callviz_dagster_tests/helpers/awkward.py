"""An awkward document and what it must become: the cases of the gallery, and the tidy call that they differ from."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from dataclasses import dataclass, field
from typing import Any

import bson

from callviz_dagster_tests.helpers import raw_bson as raw
from callviz_dagster_tests.helpers.raw_bson import Value, nested, raw_document, text, value

Elements = list[tuple[str | bytes, Value]]
Cells = dict[str, Any]

START = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)
END = dt.datetime(2024, 3, 1, 10, 2, tzinfo=dt.UTC)
ID = bson.ObjectId("65e1a7c0a1b2c3d4e5f60718")
UUID = uuid.UUID("12345678-1234-5678-9abc-123456789abc")

CLEAN: dict[str, Value] = {
    "_id": value(ID),
    "call_type": text("incoming"),
    "status": text("completed"),
    "start_time": value(START),
    "end_time": value(END),
    "duration_sec": value(120),
    "queue": text("sales"),
    "attempts": value(1),
}
CLEAN_ROW: dict[str, Any] = {
    "_id": str(ID),
    "call_type": "incoming",
    "status": "completed",
    "start_time": START,
    "end_time": END,
    "duration_sec": 120.0,
    "call_date": START.date(),
    "call_weekday": "Friday",
    "call_hour": 10,
    "queue": "sales",
    "attempts": 1,
    "repairs": "",
}


@dataclass(frozen=True)
class Case:
    """One awkward document and what it becomes, in a collection of otherwise tidy ones."""

    name: str
    stored: str
    """The awkward part, for people."""
    elements: Elements
    row: Cells = field(default_factory=dict)
    """Cells that differ from a tidy row's, `repairs` among them."""
    rejected: tuple[str, str, str | None] | None = None
    """Reason, field and value, where it is in `rejected_calls`."""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> bytes:
        return raw_document(self.elements)


def call(*extra: tuple[str | bytes, Value], without: str = "", **changed: Value) -> Elements:
    """Return the elements of a tidy call with some changed, left out or added."""
    elements: Elements = [
        (name, changed.pop(name, raw_value)) for name, raw_value in CLEAN.items() if name not in without.split()
    ]
    return [*elements, *changed.items(), *extra]


def start_case(name: str, stored: str, raw_value: Value, note: str = "", start: str = "", **more: Any) -> Case:
    """Return a case of a start time that is read as `start` (ISO, UTC), 10:00 where it is not given."""
    moment = dt.datetime.fromisoformat(start or "2024-03-01T10:00:00+00:00")
    row: dict[str, Any] = {"start_time": moment, "repairs": f"start_time: {note}" if note else ""}
    if start:
        row |= {"call_date": moment.date(), "call_weekday": f"{moment:%A}", "call_hour": moment.hour}
    return Case(name, f"start_time: {stored}", call(start_time=raw_value), row | more)


def no_start_case(name: str, stored: str, raw_value: Value | None, reason: str, shown: str | None) -> Case:
    elements = call(without="start_time") if raw_value is None else call(start_time=raw_value)
    return Case(name, f"start_time: {stored}", elements, rejected=(f"start_{reason}", "start_time", shown))


def end_case(
    name: str, stored: str, raw_value: Value | None, end: dt.datetime | None, repairs: str = "", **more: Any
) -> Case:
    elements = call(without="end_time") if raw_value is None else call(end_time=raw_value)
    return Case(name, f"end_time: {stored}", elements, {"end_time": end, "repairs": repairs} | more)


def duration_case(name: str, stored: str, raw_value: Value | None, seconds: float | None, repairs: str = "") -> Case:
    """Return a case of a duration; where it cannot be used, the 120 seconds from start to end stand in."""
    elements = call(without="duration_sec") if raw_value is None else call(duration_sec=raw_value)
    return Case(name, f"duration_sec: {stored}", elements, {"duration_sec": seconds, "repairs": repairs})


def label_case(role: str, name: str, stored: str, raw_value: Value | None, label: str, repairs: str = "") -> Case:
    elements = [
        (key, raw_value or tidy) if key == role else (key, tidy)
        for key, tidy in call(without="" if raw_value else role)
    ]
    return Case(name, f"{role}: {stored}", elements, {role: label, "repairs": repairs})


def queue_case(
    name: str, stored: str, raw_value: Value | None, cell: str | None, repairs: str = "", **more: Any
) -> Case:
    elements = call(without="queue") if raw_value is None else call(queue=raw_value)
    return Case(name, f"queue: {stored}", elements, {"queue": cell, "repairs": repairs} | more)


def typed_case(name: str, stored: str, raw_value: Value, cell: str, type_name: str) -> Case:
    """Return a case of a value of another type in a field that is text elsewhere."""
    return queue_case(name, stored, raw_value, cell, f"queue: {type_name} kept as text")


def extra_case(name: str, stored: str, *extra: tuple[str | bytes, Value], **cells: Any) -> Case:
    return Case(name, stored, call(*extra), cells)


def named_case(name: str, stored: str, extra: Elements, cells: Cells) -> Case:
    return Case(name, stored, call(*extra), cells)


def id_case(name: str, stored: str, raw_value: Value, identifier: str, repairs: str = "") -> Case:
    return Case(name, f"_id: {stored}", call(_id=raw_value), {"_id": identifier, "repairs": repairs})


def binary(content: bytes, subtype: int) -> Value:
    return raw.BINARY, struct.pack("<iB", len(content), subtype) + content


def code_with_scope(code: str, scope: Elements) -> Value:
    body = text(code)[1] + raw_document(scope)
    return raw.CODE_WITH_SCOPE, struct.pack("<i", len(body) + 4) + body


def deep(levels: int) -> Value:
    raw_value = value(1)
    for level in range(levels, 0, -1):
        raw_value = nested([(f"level{level}", raw_value)])
    return raw_value


READ_UTC = "text read as a time in UTC"
