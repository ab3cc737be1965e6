"""The sample calls: the shape of a business, the same bytes for the same seed, and every document in the collection."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from pymongo.collection import Collection

from callviz_dagster.demo import sample_calls
from callviz_dagster.demo.sample_calls import ZONE, sample_batches, seed_collection, trickle

pytestmark = pytest.mark.slow

Document = dict[str, Any]
END = dt.date(2025, 7, 1)
COUNT = 50_000


def _decoded(documents: int, seed: int = 1, end: dt.date = END) -> list[Document]:
    options: CodecOptions[Document] = CodecOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    return [bson.decode(raw, options) for batch in sample_batches(documents, seed=seed, end=end) for raw in batch]


def _digest(documents: int, seed: int = 1, end: dt.date = END) -> str:
    digest = hashlib.sha256()
    for batch in sample_batches(documents, seed=seed, end=end):
        digest.update(b"".join(batch))
    return digest.hexdigest()


@pytest.fixture(scope="module")
def calls() -> list[Document]:
    return _decoded(COUNT)


@pytest.fixture(scope="module")
def local_starts(calls: list[Document]) -> list[dt.datetime]:
    """Start times, in the shop's time zone, of the calls that have a usable one."""
    starts = [call["start_time"] for call in calls if isinstance(call.get("start_time"), dt.datetime)]
    return [start.astimezone(ZONE) for start in starts if start.year < 9999]


def _unreadable(call: Document) -> bool:
    start = call.get("start_time")
    return start in (None, "yesterday", "03/04/2024 10:00") or (isinstance(start, dt.datetime) and start.year == 9999)


def test_same_seed_and_end_give_the_same_bytes() -> None:
    assert _digest(5_000) == _digest(5_000)
    assert len({_digest(5_000), _digest(5_000, seed=2), _digest(5_000, end=END + dt.timedelta(days=1))}) == 3


@pytest.mark.parametrize("documents", [0, 1, 2, 3, 4, 7, 999, 1_501, 20_125])
def test_any_number_is_met_exactly_in_order_of_id(documents: int) -> None:
    calls = _decoded(documents)
    ids = [call["_id"] for call in calls]
    assert len(set(ids)) == documents
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    "end", [dt.date(2024, 1, 1), dt.date(2024, 12, 26), dt.date(2025, 3, 31), dt.date(2025, 3, 30)]
)
def test_order_of_id_is_order_of_start_whatever_the_last_day(end: dt.date) -> None:
    calls = [call for call in _decoded(3_000, end=end) if isinstance(call.get("start_time"), dt.datetime)]
    starts = [call["start_time"] for call in calls if call["start_time"].year < 9999]
    assert starts == sorted(starts)
    assert starts[-1] < dt.datetime.combine(end, dt.time(), ZONE)


def test_all_lie_in_the_eighteen_months_before_the_end(local_starts: list[dt.datetime]) -> None:
    assert min(local_starts).date() == END - dt.timedelta(days=sample_calls.DAYS)
    assert max(local_starts) < dt.datetime.combine(END, dt.time(), ZONE)


def test_weekends_are_quiet(local_starts: list[dt.datetime]) -> None:
    by_weekday = Counter(start.weekday() for start in local_starts)
    workday = sum(by_weekday[day] for day in range(5)) / 5
    assert 0.15 < by_weekday[5] / workday < 0.4
    assert by_weekday[6] / workday < 0.12
    assert by_weekday[0] == max(by_weekday.values())


@pytest.mark.parametrize("months", [(6, 7, 8), (12, 1, 2)], ids=["summer time", "winter time"])
def test_opening_hours_are_kept_in_local_time(local_starts: list[dt.datetime], months: tuple[int, ...]) -> None:
    workdays = [start for start in local_starts if start.weekday() < 5 and start.month in months]
    by_hour = Counter(start.hour for start in workdays)
    assert sum(by_hour[hour] for hour in range(8, 18)) / len(workdays) > 0.9
    assert by_hour.most_common(1)[0][0] in (10, 11)
    assert by_hour[12] < min(by_hour[11], by_hour[14])
    assert by_hour[7] > 5 * by_hour[4]


def test_the_holidays_dip_and_autumn_is_busier_than_summer(local_starts: list[dt.datetime]) -> None:
    by_day = Counter(start.date() for start in local_starts)
    holidays = [dt.date(2024, 12, 24) + dt.timedelta(days=n) for n in range(9)]
    before = [dt.date(2024, 12, 2) + dt.timedelta(days=n) for n in range(14)]
    assert sum(map(by_day.__getitem__, holidays)) / 9 < 0.4 * sum(map(by_day.__getitem__, before)) / 14
    by_month = Counter((start.year, start.month) for start in local_starts)
    assert by_month[2024, 11] > 1.2 * by_month[2024, 6]


def test_lunch_hour_is_missed_more_often(calls: list[Document]) -> None:
    def missed(hours: tuple[int, ...]) -> float:
        kinds = [
            call["call_type"]
            for call in calls
            if isinstance(call.get("start_time"), dt.datetime)
            and call["start_time"].year < 9999
            and call["start_time"].astimezone(ZONE).hour in hours
        ]
        return kinds.count("missed") / len(kinds)

    assert missed((12,)) > 2 * missed((9, 10, 14))


def test_types_and_statuses_with_some_in_other_spellings(calls: list[Document]) -> None:
    types = Counter(call["call_type"] for call in calls)
    statuses = Counter(call["status"] for call in calls)
    assert {"incoming", "outgoing", "missed", "internal", "callback", "Incoming", "INCOMING"} <= types.keys()
    assert {"NO ANSWER", "no_answer", "canceled", "Completed", "in-progress", "voicemail"} <= statuses.keys()
    assert types.most_common(1)[0][0] == "incoming"
    clean = sum(types[name] for name in ("incoming", "outgoing", "missed", "internal", "callback"))
    assert 0.95 < clean / COUNT < 0.99


def test_durations_are_log_normal_and_missed_calls_have_none(calls: list[Document]) -> None:
    completed = sorted(
        call["duration_sec"]
        for call in calls
        if call["status"] == "completed" and isinstance(call["duration_sec"], int) and call["duration_sec"] >= 0
    )
    median, mean = completed[len(completed) // 2], sum(completed) / len(completed)
    assert 100 < median < 200
    # Of a log-normal sample the mean is exp(sigma² / 2) times the median: 1.57 here.
    assert 1.3 < mean / median < 1.9
    for call in calls:
        if call["call_type"] == "missed" and call["status"] != "voicemail":
            assert "duration_sec" not in call
            assert call["end_time"] is None


def test_a_few_calls_still_run(calls: list[Document]) -> None:
    running = [call for call in calls if call["status"] == "in-progress"]
    assert running == calls[-sample_calls.running_documents(COUNT) :]
    assert all("duration_sec" not in call and call["end_time"] is None for call in running)


def test_ends_are_starts_plus_durations(calls: list[Document]) -> None:
    checked = 0
    for call in calls:
        ended = isinstance(call.get("end_time"), dt.datetime) and isinstance(call.get("start_time"), dt.datetime)
        if not ended or not isinstance(call["duration_sec"], int) or call["duration_sec"] < 0 or _unreadable(call):
            continue
        if call["end_time"] >= call["start_time"]:
            lasted = (call["end_time"] - call["start_time"]).total_seconds()
            assert 0 <= lasted - call["duration_sec"] < 0.5
            checked += 1
    assert checked > 0.8 * COUNT


def test_nested_list_and_decimal_fields(calls: list[Document]) -> None:
    assert all(isinstance(call["_id"], ObjectId) for call in calls)
    assert len({call["call_id"] for call in calls}) == COUNT
    outside = [call for call in calls if "customer" in call]
    assert all(set(call["customer"]) == {"phone", "name", "vip"} for call in outside)
    assert all(call["customer"]["phone"] in (call["caller"], call["callee"]) for call in outside)
    assert all(call["caller"].startswith("+49") and len(call["caller"]) >= 12 for call in outside)
    assert {type(call["cost"]) for call in calls if "cost" in call} == {Decimal128}
    assert any(len(call["tags"]) > 1 for call in outside)
    assert any(call["tags"] == [] for call in outside)
    transfers = [call["transfers"] for call in calls if "transfers" in call]
    assert 0.01 * COUNT < len(transfers) < 0.1 * COUNT
    assert all(set(entry) == {"to", "after_sec"} for entries in transfers for entry in entries)
    assert len({call["agent"] for call in calls}) > 10


def test_the_documents_to_reject_and_to_repair_are_as_many_as_said(calls: list[Document]) -> None:
    rejected = [call for call in calls if _unreadable(call)]
    assert len(rejected) == sample_calls.rejected_documents(COUNT) == 50
    assert {str(call.get("start_time")) for call in rejected} == {
        "None",
        "yesterday",
        "03/04/2024 10:00",
        "9999-12-31 00:00:00+00:00",
    }
    repaired = [call for call in calls if not _unreadable(call) and _crooked(call)]
    assert len(repaired) == sample_calls.repaired_documents(COUNT) == 100


def _crooked(call: Document) -> bool:
    start, end, duration = call["start_time"], call["end_time"], call.get("duration_sec")
    if not isinstance(start, dt.datetime) or isinstance(duration, str) or (duration or 0) < 0:
        return True
    return end is not None and end < start


@pytest.fixture
def fresh(collection: Collection[Document]) -> Iterator[Collection[Document]]:
    """Give an empty collection and forget afterwards what was seeded into it."""
    yield collection
    collection.database.client[sample_calls.NOTES_DATABASE]["seeded"].delete_one({"_id": collection.full_name})


def test_every_document_is_inserted_once(fresh: Collection[Document]) -> None:
    assert seed_collection(fresh, 12_000, end=END) == 12_000
    expected = [raw for batch in sample_batches(12_000, end=END) for raw in batch]
    stored: Any = fresh.find_raw_batches(sort=[("_id", 1)])
    assert b"".join(stored) == b"".join(expected)


def test_it_is_not_seeded_again_until_something_else_is_wanted(fresh: Collection[Document]) -> None:
    assert seed_collection(fresh, 500, end=END) == 500
    fresh.insert_one({"call_type": "incoming"})
    assert seed_collection(fresh, 500, end=END) == 0
    assert seed_collection(fresh, 500) == 0
    assert fresh.count_documents({}) == 501
    assert seed_collection(fresh, 400, end=END) == 400
    assert fresh.count_documents({}) == 400


def test_seeding_that_was_cut_short_starts_over(fresh: Collection[Document], monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(documents: int, *, seed: int, end: dt.date) -> Iterator[list[bytes]]:
        yield next(iter(sample_batches(documents, seed=seed, end=end)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sample_calls, "sample_batches", cut_short)
        seed_collection(fresh, 500, end=END)
    assert seed_collection(fresh, 500, end=END) == 500
    assert fresh.count_documents({}) == 500


def test_documents_of_somebody_else_are_left_alone(fresh: Collection[Document]) -> None:
    fresh.insert_one({"mine": True})
    with pytest.raises(ValueError, match="left alone"):
        seed_collection(fresh, 500, end=END)
    assert fresh.count_documents({}) == 1


def test_trickle_begins_calls_and_ends_running_ones(
    fresh: Collection[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    seed_collection(fresh, 500, end=END)
    monkeypatch.setattr(sample_calls, "LONGEST_WATCHED_SECONDS", 0.2)
    stop = threading.Event()
    thread = threading.Thread(target=trickle, args=(fresh,), kwargs={"per_second": 50, "stop": stop})
    thread.start()
    recent = {"start_time": {"$gte": dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)}}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (
        fresh.count_documents(recent) >= 20
        and fresh.count_documents({**recent, "status": "completed", "duration_sec": {"$gte": 0}})
        and not fresh.count_documents({"status": "in-progress", "start_time": {"$lt": dt.datetime(2025, 7, 2)}})
    ):
        time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() < deadline
    for call in fresh.find({**recent, "status": {"$ne": "in-progress"}}):
        assert call["end_time"] is None or call["end_time"] >= call["start_time"]
