"""Sample calls that look like those of a business, the same for the same seed.

A shop in Berlin: opening hours, quiet weekends, a summer low, a holiday dip, an overrun lunch hour. About one
document in a thousand cannot be put on the time axis and one in five hundred needs a repair, as in collections that
have grown over years. The phone numbers are from the ranges that Germany reserves for films and are not in use.
What belongs elsewhere: the server (`mongod.py`) and everything that reads calls.
"""

from __future__ import annotations

import datetime as dt
import math
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import bson
import numpy as np
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.write_concern import WriteConcern

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymongo.collection import Collection

Document = dict[str, Any]

ZONE = ZoneInfo("Europe/Berlin")
DAYS = 548
"""Length of the story: the eighteen months before its end."""
SEED = 1
NOTES_DATABASE = "callviz_demo"
"""Database of the notes about what was seeded, beside the calls so that they stay as a user's would be."""

LONGEST_WATCHED_SECONDS = 120.0
"""How long a call of `trickle` runs at most, so that one can watch it end."""

_REJECT_EVERY, _REPAIR_EVERY = 1000, 500
_BATCH = 5000

_TYPES = ("incoming", "outgoing", "missed", "internal", "callback")
_STATUSES = ("completed", "voicemail", "busy", "failed", "no-answer", "cancelled")
_INCOMING, _OUTGOING, _MISSED, _INTERNAL, _CALLBACK = range(5)
_COMPLETED, _VOICEMAIL, _BUSY, _FAILED, _NO_ANSWER, _CANCELLED = range(6)

_TYPE_SHARES = (0.55, 0.27, 0.07, 0.08, 0.03)
_TYPE_SHARES_WHEN_BUSY = (0.47, 0.22, 0.22, 0.06, 0.03)
_STATUS_SHARES = (
    (0.88, 0.06, 0.02, 0.03, 0.00, 0.01),
    (0.73, 0.03, 0.06, 0.03, 0.14, 0.01),
    (0.00, 0.05, 0.10, 0.00, 0.67, 0.18),
    (0.93, 0.00, 0.03, 0.00, 0.04, 0.00),
    (0.80, 0.03, 0.05, 0.02, 0.08, 0.02),
)
_MEDIAN_SECONDS = (175.0, 130.0, 60.0, 55.0, 240.0)
_OTHER_SPELLINGS = {
    "incoming": ("Incoming", "INCOMING"),
    "outgoing": ("Outgoing", "OUTGOING"),
    "completed": ("Completed", "COMPLETED"),
    "no-answer": ("NO ANSWER", "no_answer"),
    "cancelled": ("canceled", "Cancelled"),
}

_WEEKDAY_WEIGHTS = (1.18, 1.08, 1.0, 1.0, 0.86, 0.26, 0.06)
_PUBLIC_HOLIDAYS = ((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))
# Shares of a day's calls in each hour of the local day. Nights are the emergency line.
_OFFICE_HOURS = (*[0.1] * 6, 0.3, 2, 7, 11, 13, 11.5, 7.5, 10, 12, 11, 8, 4.5, 1.2, 0.6, 0.3, 0.2, 0.1, 0.1)
_WEEKEND_HOURS = (*[0.2] * 8, 2, 12, 16, 15, 12, 9, 3, 1, *[0.4] * 8)
_BUSY_HOURS = (12, 17)

_AREAS = ("+493023125", "+494066969", "+492214710", "+498999998", "+496990009")
_QUEUES = ("sales", "support", "billing", "returns")
_LINES = tuple(f"+493023125{line:03d}" for line in range(4))
_AGENTS = tuple(f"agent-{number:02d}" for number in range(1, 17))
_TAGS = ("order", "complaint", "delivery", "invoice", "new customer", "callback wanted", "warranty")
_PRICE_PER_MINUTE = 19
"""Thousandths of a euro."""


def sample_batches(documents: int, *, seed: int = SEED, end: dt.date) -> Iterator[list[bytes]]:
    """Make `documents` calls of the eighteen months before `end` and yield them as BSON, in order of `_id`.

    Args:
        documents: how many.
        seed: the same seed and end give the same bytes.
        end: the first day, in the shop's time zone, that has no calls any more.

    Yields:
        Lists of encoded documents, a few thousand each.
    """
    generator = np.random.default_rng([seed, DAYS])
    days = [end - dt.timedelta(days=DAYS - n) for n in range(DAYS)]
    weights = np.array([_day_weight(day) for day in days]) * np.exp(generator.normal(0, 0.07, DAYS))
    running = running_documents(documents)
    until = np.rint(np.cumsum(weights) / weights.sum() * (documents - running)).astype(int).tolist()
    customers = min(4500, max(40, documents // 10))
    last_half_hour = _instant(end) - 1_800_000

    batch: list[bytes] = []
    first = 0
    for number, (day, beyond) in enumerate(zip(days, until, strict=True)):
        by_day = np.random.default_rng([seed, number])
        starts = np.minimum(_starts(by_day, day, beyond - first), last_half_hour)
        batch += map(bson.encode, _documents(by_day, starts, first, customers, seed))
        first = beyond
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    starts = np.sort(last_half_hour + generator.integers(1000, 1_800_000, running))
    yield batch + [bson.encode(call) for call in _documents(generator, starts, first, customers, seed, running=True)]


def rejected_documents(documents: int) -> int:
    """Return how many of `documents` sample calls cannot be put on the time axis."""
    return len(range(_REJECT_EVERY // 2, documents, _REJECT_EVERY))


def repaired_documents(documents: int) -> int:
    """Return how many of `documents` sample calls need a repair."""
    return len(range(_REPAIR_EVERY // 4, documents - running_documents(documents), _REPAIR_EVERY))


def running_documents(documents: int) -> int:
    """Return how many of `documents` sample calls still run at their end."""
    return min(documents, max(3, documents // 10_000))


def seed_collection(
    collection: Collection[Document], documents: int, *, seed: int = SEED, end: dt.date | None = None
) -> int:
    """Fill a collection with sample calls, unless it holds as many of the same seed already.

    What was seeded is noted in the database `callviz_demo`. Calls of another seed, number or end are replaced;
    documents that this function did not write are left alone.

    Args:
        collection: where to.
        documents: how many.
        seed: which.
        end: the first day without calls; by default today, or that of an earlier time with this seed and number.

    Returns:
        How many documents were inserted: `documents`, or 0 where they were there already.

    Raises:
        ValueError: the collection holds documents that are not from here.
    """
    notes = collection.database.client[NOTES_DATABASE]["seeded"]
    note = notes.find_one({"_id": collection.full_name})
    parameters = {"documents": documents, "seed": seed} | ({"end": end.isoformat()} if end else {})
    if note is None and collection.find_one({}) is not None:
        raise ValueError(f"{collection.full_name} holds documents that are not sample calls; they were left alone.")
    if note is not None and note["complete"] and parameters.items() <= note.items():
        return 0

    end = end or dt.datetime.now(ZONE).date()
    note = {"documents": documents, "seed": seed, "end": end.isoformat(), "complete": False}
    notes.replace_one({"_id": collection.full_name}, note, upsert=True)
    collection.drop()
    # Not waiting for the disk after each batch; the note, written last, does.
    quick = collection.with_options(write_concern=WriteConcern(w=1))
    with ThreadPoolExecutor(1) as inserter:
        inserting: Future[Any] | None = None
        for batch in sample_batches(documents, seed=seed, end=end):
            raw = [RawBSONDocument(document) for document in batch]
            if inserting is not None:
                inserting.result()
            inserting = inserter.submit(quick.insert_many, raw, ordered=False)
        if inserting is not None:
            inserting.result()
    collection.create_index("start_time")
    notes.update_one({"_id": collection.full_name}, {"$set": {"complete": True}})
    return documents


def trickle(collection: Collection[Document], *, per_second: float, stop: threading.Event) -> None:
    """Keep a collection alive until `stop` is set: calls begin, about `per_second` of them, and running ones end."""
    generator = np.random.default_rng()
    ends: dict[Any, tuple[float, Document]] = {}
    for call in collection.find({"status": "in-progress"}, {"_id": 1}):
        due = time.monotonic() + random.uniform(0.1, 0.5) * LONGEST_WATCHED_SECONDS
        ends[call["_id"]] = (due, {"status": "no-answer"})
    while not stop.wait(random.expovariate(per_second)):
        (call,) = _documents(generator, np.array([int(time.time() * 1000)]), 0, 4500, 0)
        seconds = min(call.get("duration_sec", 20), LONGEST_WATCHED_SECONDS)
        end: Document = {"status": call["status"]}
        if "duration_sec" in call:
            end |= {
                "duration_sec": int(seconds),
                "end_time": call["start_time"] + dt.timedelta(seconds=seconds),
            }
        _still_running(call)
        call["_id"] = ObjectId()
        collection.insert_one(call)
        ends[call["_id"]] = (time.monotonic() + seconds, end)
        for key in [key for key, (due, _) in ends.items() if due <= time.monotonic()]:
            collection.update_one({"_id": key}, {"$set": ends.pop(key)[1]})


def _day_weight(day: dt.date) -> float:
    weight: float = _WEEKDAY_WEIGHTS[day.weekday()]
    # A year with its peak in November and its low in late July, on a business that grows by a tenth a year.
    weight *= 1 + 0.15 * _wave(day)
    weight *= 1.1 ** ((day - dt.date(2020, 1, 1)).days / 365.25)
    if (day.month, day.day) in _PUBLIC_HOLIDAYS:
        weight *= 0.1
    elif (day.month == 12 and day.day >= 24) or (day.month == 1 and day.day <= 2):
        weight *= 0.3
    return weight


def _wave(day: dt.date) -> float:
    return math.cos((day.timetuple().tm_yday - 325) / 365.25 * 2 * math.pi)


def _instant(day: dt.date, hour: int = 0) -> int:
    """Return milliseconds since 1970 at an hour of a day in the shop's time zone."""
    return int(dt.datetime.combine(day, dt.time(hour), ZONE).timestamp() * 1000)


def _starts(generator: np.random.Generator, day: dt.date, number: int) -> NDArray[np.int64]:
    """Return the starts of a day's calls in order, in milliseconds since 1970."""
    shares = np.array(_OFFICE_HOURS if day.weekday() < 5 else _WEEKEND_HOURS)
    hours = _pick(generator, shares, number)
    since_midnight = hours * 3_600_000 + generator.integers(0, 3_600_000, number)
    # Clocks change in the small hours: from then on the day's offset is that of its noon.
    noon = _instant(day, 12) - 12 * 3_600_000
    return np.sort(np.where(hours >= 3, noon, _instant(day)) + since_midnight)


def _pick(generator: np.random.Generator, shares: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Draw indices of `shares`, which need not add up to one."""
    until = np.cumsum(shares) / shares.sum()
    return np.searchsorted(until, generator.random(number), side="right")


class _Draw(NamedTuple):
    """What chance has decided about one call; kind, status, queue and agent are positions in their lists."""

    number: int
    start_second: int
    start: dt.datetime
    end: dt.datetime
    kind: int
    status: int
    seconds: int
    has_end: bool
    customer: int
    queue: int
    agent: int
    colleague: int
    other_spelling: bool
    tag_count: int
    first_tag: int
    transferred: bool


def _draws(
    generator: np.random.Generator, starts: NDArray[np.int64], first: int, customers: int
) -> tuple[list[_Draw], str]:
    """Draw the calls that begin at `starts`, all in one day; with them 32 hex digits a call, for the `call_id`s."""
    count = len(starts)
    numbers = np.arange(first, first + count)
    kinds = np.where(
        np.isin(_local_hours(starts), _BUSY_HOURS),
        _pick(generator, np.array(_TYPE_SHARES_WHEN_BUSY), count),
        _pick(generator, np.array(_TYPE_SHARES), count),
    )
    status_until = np.cumsum(_STATUS_SHARES, axis=1)[:, :-1]
    statuses = (generator.random(count)[:, None] >= status_until[kinds]).sum(axis=1)
    repaired = numbers % _REPAIR_EVERY == _REPAIR_EVERY // 4
    kinds[repaired], statuses[repaired] = _INCOMING, _COMPLETED

    talk = generator.lognormal(np.log(np.array(_MEDIAN_SECONDS))[kinds], 0.95)
    talk = np.where(statuses == _VOICEMAIL, generator.uniform(4, 60, count), np.clip(talk, 2, 7200))
    seconds = np.where(statuses == _FAILED, 0, np.rint(talk).astype(int))
    milliseconds = np.where(seconds > 0, generator.integers(0, 500, count), 0)

    customer = (generator.random(count) ** 2 * customers).astype(int)
    queues = generator.integers(0, len(_QUEUES), count)
    agents = queues * 4 + generator.integers(0, 4, count)
    columns = (
        numbers,
        starts // 1000,
        starts.astype("datetime64[ms]"),
        (starts + seconds * 1000 + milliseconds).astype("datetime64[ms]"),
        kinds,
        statuses,
        seconds,
        np.isin(statuses, (_COMPLETED, _VOICEMAIL, _FAILED)),
        customer,
        queues,
        agents,
        (agents + generator.integers(1, len(_AGENTS), count)) % len(_AGENTS),
        generator.random(count) < 0.03,
        np.minimum(generator.poisson(0.9, count), 3),
        generator.integers(0, len(_TAGS), count),
        (generator.random(count) < 0.06) & (statuses == _COMPLETED) & (kinds == _INCOMING),
    )
    draws = [_Draw(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
    return draws, generator.bytes(16 * count).hex()


def _local_hours(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the hours of the day in the shop's time zone of instants of one day."""
    if not len(starts):
        return starts
    offset = dt.datetime.fromtimestamp(int(starts[-1]) // 1000, ZONE).utcoffset() or dt.timedelta()
    return ((starts // 3_600_000) % 24 + int(offset.total_seconds()) // 3600) % 24


def _documents(
    generator: np.random.Generator,
    starts: NDArray[np.int64],
    first: int,
    customers: int,
    seed: int,
    *,
    running: bool = False,
) -> list[Document]:
    """Make the calls that begin at `starts`, all in one day; `first` is the first one's number among all calls."""
    draws, digits = _draws(generator, starts, first, customers)
    machine = seed.to_bytes(5, "big")
    documents: list[Document] = []
    for position, draw in enumerate(draws):
        document = _document(draw, digits[32 * position : 32 * position + 32], machine)
        if draw.number % _REJECT_EVERY == _REJECT_EVERY // 2:
            _make_unreadable(document, draw.number // _REJECT_EVERY)
        elif running:
            _still_running(document)
        elif draw.number % _REPAIR_EVERY == _REPAIR_EVERY // 4:
            _make_crooked(document, draw.number // _REPAIR_EVERY)
        documents.append(document)
    return documents


def _document(draw: _Draw, digits: str, machine: bytes) -> Document:
    """Return a call as a careful application would store it."""
    call_type, status = _TYPES[draw.kind], _STATUSES[draw.status]
    if draw.other_spelling:
        call_type, status = _other_spelling(call_type, draw.number), _other_spelling(status, draw.number)
    phone = f"{_AREAS[draw.customer % 5]}{100 + draw.customer // 5}"
    caller, callee = _parties(draw, phone)
    number = (draw.number & 0xFFFFFF).to_bytes(3, "big")
    document: Document = {
        "_id": ObjectId(draw.start_second.to_bytes(4, "big") + machine + number),
        "call_id": f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
        "caller": caller,
        "callee": callee,
        "call_type": call_type,
        "status": status,
        "start_time": draw.start,
        "end_time": draw.end if draw.has_end else None,
    }
    if draw.has_end:
        document["duration_sec"] = draw.seconds
    document["agent"] = _AGENTS[draw.agent] if draw.kind != _MISSED else None
    if draw.kind != _INTERNAL:
        document["queue"] = _QUEUES[draw.queue]
        document["customer"] = {
            "phone": phone,
            "name": f"Customer № {draw.customer:04d}",
            "vip": draw.customer % 33 == 0,
        }
        document["tags"] = [_TAGS[(draw.first_tag + n) % len(_TAGS)] for n in range(draw.tag_count)]
    if draw.transferred:
        next_queue = _QUEUES[(draw.queue + 1) % len(_QUEUES)]
        document["transfers"] = [{"to": next_queue, "after_sec": draw.seconds // 3}]
    if draw.seconds and draw.kind in (_OUTGOING, _CALLBACK):
        document["cost"] = Decimal128(f"{-(-draw.seconds // 60) * _PRICE_PER_MINUTE / 1000:.3f}")
    return document


def _parties(draw: _Draw, phone: str) -> tuple[str, str]:
    """Return caller and callee."""
    if draw.kind == _INTERNAL:
        return str(201 + draw.agent), str(201 + draw.colleague)
    if draw.kind in (_OUTGOING, _CALLBACK):
        return _LINES[draw.queue], phone
    return phone, _LINES[draw.queue]


def _other_spelling(label: str, number: int) -> str:
    spellings = _OTHER_SPELLINGS.get(label, (label,))
    return spellings[number % len(spellings)]


def _still_running(document: Document) -> None:
    document |= {"status": "in-progress", "end_time": None}
    for name in ("duration_sec", "cost", "transfers"):
        document.pop(name, None)


def _make_unreadable(document: Document, turn: int) -> None:
    """Take from a call what puts it on the time axis, in one of four ways."""
    del document["start_time"]
    if turn % 4:
        document["start_time"] = (None, "yesterday", "03/04/2024 10:00", dt.datetime(9999, 12, 31))[turn % 4]


def _make_crooked(document: Document, turn: int) -> None:
    """Change a completed call as careless writers do, in one of five ways."""
    start: dt.datetime = document["start_time"]
    local = start.replace(tzinfo=dt.UTC).astimezone(ZONE)
    changes: tuple[Document, ...] = (
        {"start_time": local.isoformat(timespec="milliseconds")},
        {"start_time": Int64(start.replace(tzinfo=dt.UTC).timestamp() * 1000)},
        {"duration_sec": str(document["duration_sec"])},
        {"duration_sec": -1},
        {"end_time": start - dt.timedelta(minutes=2)},
    )
    document |= changes[turn % 5]
