"""What the sensor decides: nothing is lost, nothing refreshed twice, and the reason is one that people understand."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.automation.decisions import (
    PATIENCE_SECONDS,
    Cursor,
    Decision,
    Outcome,
    Request,
    Situation,
    after_run,
    decide,
    latest,
    request_full_refresh,
    still_pending,
)

NOW = dt.datetime(2024, 5, 2, 12, 3, 7, tzinfo=dt.UTC)
KEYS = ["2024-05-01", "2024-05-02"]


def decided(cursor: Cursor, **given: Any) -> Decision:
    usual: dict[str, Any] = {
        "keys": KEYS, "now": NOW, "last_refresh": None, "min_seconds": 60, "more": False, "documents": 1_203_344,
        "clock": dt.UTC,
    }  # fmt: skip
    return decide(cursor, Situation(**usual | given), request_id="r1")


def test_nothing_changed_is_told_with_time_and_number() -> None:
    decision = decided(Cursor(quiet_since=NOW.isoformat()), clock=dt.timezone(dt.timedelta(hours=2)))
    assert decision.reason == "no changes since 14:03:07 UTC+02:00, 1,203,344 calls"


def test_what_is_pending_is_requested_and_no_longer_pending() -> None:
    cursor = decided(Cursor(pending={KEYS[0]: [5, 1]})).cursor
    assert cursor.requested == Request("r1", {KEYS[0]: [5, 1]}, "", NOW.isoformat())
    assert not cursor.pending


def test_a_partition_that_lies_ahead_waits_for_its_day() -> None:
    cursor = Cursor(pending={"2024-05-03": [5, 1]}, quiet_since=NOW.isoformat())
    assert decided(cursor).reason.endswith("1 partition in the future")
    later = decided(cursor, keys=[*KEYS, "2024-05-03"]).cursor
    assert later.requested is not None


def test_a_trickle_waits_for_the_shortest_pause() -> None:
    cursor = Cursor(pending={KEYS[0]: None})
    decision = decided(cursor, last_refresh=NOW - dt.timedelta(seconds=20))
    assert decision.reason == "1 partition waiting until 12:03:47 UTC: CALLVIZ_MIN_REFRESH_SECONDS=60"
    assert decision.cursor.pending == {KEYS[0]: None}
    assert not decided(cursor, last_refresh=NOW - dt.timedelta(seconds=60)).reason


def test_a_burst_is_read_to_its_end_but_not_for_ever() -> None:
    cursor = Cursor(pending={KEYS[0]: None})
    waiting = decided(cursor, more=True)
    assert waiting.reason == "1 partition waiting: more changes are being read"
    late = decided(waiting.cursor, more=True, now=NOW + dt.timedelta(seconds=PATIENCE_SECONDS))
    assert late.cursor.requested is not None


def test_a_failed_refresh_is_tried_again_after_pauses_that_grow() -> None:
    cursor = decided(request_full_refresh(Cursor(pending={KEYS[1]: [5, 1]}), "the oplog has rolled over")).cursor
    now, pauses = NOW, []
    for _ in range(9):
        cursor = after_run(cursor, Outcome.FAILED, now, 60, "run 1a2b was a failure")
        assert cursor.pending == {KEYS[1]: None}
        assert cursor.full_refresh == "the oplog has rolled over"
        again = dt.datetime.fromisoformat(cursor.try_again)
        pauses.append((again - now).total_seconds())
        told = decided(cursor, now=again - dt.timedelta(seconds=1)).reason
        assert "run 1a2b was a failure" in told
        assert f"will be tried again at {again:%H:%M:%S} UTC" in told
        now = again
        cursor = decided(cursor, now=now).cursor
        assert cursor.requested is not None
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert after_run(cursor, Outcome.DONE, now, 60, published={KEYS[1]: [9, 1]}).attempts == 0


def test_changes_that_a_snapshot_has_read_are_not_pending() -> None:
    pending = {"a": [10, 1], "b": [10, 2], "c": [9, 9], "d": None, "e": [1, 1]}
    snapshots = {"a": [10, 1], "b": [10, 1], "c": [10, 1], "d": [99, 1]}
    assert still_pending(pending, snapshots) == {"b": [10, 2], "d": None, "e": [1, 1]}


marks = st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(0, 9)).map(list))


@given(st.dictionaries(st.sampled_from("abc"), marks), st.dictionaries(st.sampled_from("abc"), marks))
def test_merging_keeps_every_key_and_no_earlier_mark(first: dict[str, Any], second: dict[str, Any]) -> None:
    both = latest(first, second)
    assert both.keys() == first.keys() | second.keys()
    for key, mark in both.items():
        for given_mark in (first.get(key), second.get(key)):
            assert mark is None or given_mark is None or mark >= given_mark
        # A change without a mark can never be taken for one that a snapshot has read.
        if None in (first.get(key, 0), second.get(key, 0)):
            assert still_pending({key: mark}, {key: [99, 0]}) == {key: None}


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.FAILED])
def test_the_cursor_is_readable_json_and_survives_it(outcome: Outcome) -> None:
    cursor = Cursor(source="callviz.calls", token={"_data": "82"}, pending={KEYS[0]: [5, 1]}, polled=NOW.isoformat())
    requested = decided(cursor).cursor
    for state in (cursor, requested, after_run(requested, outcome, NOW, 60, "why")):
        assert Cursor.from_json(state.to_json()) == state
    assert '"pending": {\n' in cursor.to_json()


@pytest.mark.parametrize("text", [None, "", "no JSON", "[]", '{"pending": 3, "unknown": 1, "requested": {"x": 1}}'])
def test_an_unreadable_cursor_is_an_empty_one(text: str | None) -> None:
    assert Cursor.from_json(text) == Cursor()


def test_a_run_still_on_its_way_changes_nothing() -> None:
    cursor = dataclasses.replace(Cursor(), requested=Request("r", {"": None}, "", NOW.isoformat()))
    assert after_run(cursor, Outcome.RUNNING, NOW, 60) == cursor


def requested(**given: Any) -> Cursor:
    return Cursor(requested=Request("r", **{"keys": {}, "full_refresh": "", "at": NOW.isoformat()} | given))


@pytest.mark.parametrize(
    ("request_of", "published", "missed"),
    [
        ({"keys": {"": [5, 1]}}, {"": [5, 1]}, False),
        ({"keys": {"": [5, 1]}}, {"": [5, 0]}, True),
        ({"keys": {"": [5, 1]}}, {"": None}, False),
        ({"keys": {"": None}}, {"": [1, 1]}, False),
        ({"keys": {"": [5, 1]}}, {}, True),
        ({"keys": {"a": [5, 1], "b": [4, 1]}}, {"a": [5, 1], "b": [3, 1]}, True),
        ({"full_refresh": "why", "since": [7, 1]}, {"a": [7, 1], "b": [8, 1], "c": None}, False),
        ({"full_refresh": "why", "since": [7, 1]}, {"a": [6, 9], "b": [8, 1]}, True),
    ],
)
def test_a_refresh_that_succeeded_without_the_changes_counts_as_failed(
    request_of: dict[str, Any], published: dict[str, Any], missed: bool
) -> None:
    """A member that lags behind reads an older state, and a run may have been repeated in parts."""
    cursor = after_run(requested(**request_of), Outcome.DONE, NOW, 60, published=published)
    assert (cursor.attempts, cursor.requested) == (int(missed), None)
    assert cursor.pending.keys() == (request_of.get("keys", {}).keys() if missed else set())
    assert cursor.full_refresh == (request_of.get("full_refresh", "") if missed else "")
    if missed:
        assert cursor.since == request_of.get("since")
        assert "the changes are not in what it has published" in decided(cursor, keys=["", "a", "b"]).reason


def test_a_full_refresh_that_is_wanted_while_another_refresh_fails_is_not_lost() -> None:
    waiting = request_full_refresh(requested(keys={KEYS[0]: [5, 1]}), "the oplog has rolled over", [8, 1])
    assert after_run(waiting, Outcome.FAILED, NOW, 60).full_refresh == "the oplog has rolled over"
    both = request_full_refresh(requested(full_refresh="first", since=[7, 1]), "second", [8, 1])
    failed = after_run(both, Outcome.FAILED, NOW, 60)
    assert (failed.full_refresh, failed.since) == ("second", [8, 1])


def test_the_next_change_waits_anew_after_a_refresh_was_requested() -> None:
    waiting = decided(Cursor(pending={KEYS[0]: None}), more=True).cursor
    assert waiting.waiting_since == NOW.isoformat()
    later = NOW + dt.timedelta(seconds=PATIENCE_SECONDS)
    cursor = decided(waiting, more=True, now=later).cursor
    assert cursor.requested is not None
    assert cursor.waiting_since == ""
    again = dataclasses.replace(cursor, requested=None, pending={KEYS[0]: None})
    assert decided(again, more=True, now=later).reason == "1 partition waiting: more changes are being read"


def test_a_full_refresh_does_not_wait_for_more_changes() -> None:
    assert not decided(request_full_refresh(Cursor(), "the oplog has rolled over"), more=True).reason


def test_a_pause_of_more_than_an_hour_stays_as_long_after_failures() -> None:
    cursor = requested(keys={KEYS[0]: None})
    for _ in range(3):
        cursor = after_run(cursor, Outcome.FAILED, NOW, 7200)
        assert dt.datetime.fromisoformat(cursor.try_again) - NOW == dt.timedelta(seconds=7200)
        cursor = dataclasses.replace(cursor, requested=Request("r", {KEYS[0]: None}, "", NOW.isoformat()))


def test_times_of_another_day_are_shown_with_their_date() -> None:
    yesterday = NOW - dt.timedelta(days=1)
    assert decided(Cursor(quiet_since=yesterday.isoformat())).reason.startswith(
        "no changes since 2024-05-01 12:03:07 UTC,"
    )


CURSOR_OF_0_1_0 = """{
 "source": "callviz.calls",
 "partitioning": "none",
 "token": {"_data": "8265"},
 "last_change": [1717245296, 3],
 "process": "65f1 7fff",
 "watermark": null,
 "looked": "2024-05-02T12:03:07+00:00",
 "quiet_since": "2024-05-02T12:00:00+00:00",
 "pending": {"": [1717245296, 3]},
 "waiting_since": "2024-05-02T12:03:00+00:00",
 "everything": "",
 "requested": {"id": "20240502T120000.000000", "keys": {"": null}, "everything": "the oplog has rolled over", "at": ""},
 "attempts": 2,
 "try_again": "2024-05-02T12:10:00+00:00",
 "failure": "run 1a2b3c4d was a failure"
}"""


def test_a_cursor_of_version_0_1_0_is_read() -> None:
    cursor = Cursor.from_json(CURSOR_OF_0_1_0)
    assert cursor == Cursor(
        source="callviz.calls",
        partitioning="none",
        token={"_data": "8265"},
        last_change=[1717245296, 3],
        process="65f1 7fff",
        polled="2024-05-02T12:03:07+00:00",
        quiet_since="2024-05-02T12:00:00+00:00",
        pending={"": [1717245296, 3]},
        waiting_since="2024-05-02T12:03:00+00:00",
        requested=Request("20240502T120000.000000", {"": None}, "the oplog has rolled over", ""),
        attempts=2,
        try_again="2024-05-02T12:10:00+00:00",
        failure="run 1a2b3c4d was a failure",
    )
    assert Cursor.from_json(cursor.to_json()) == cursor


def test_a_cursor_of_a_later_version_is_an_empty_one() -> None:
    assert Cursor.from_json('{"format_version": 3, "token": {"_data": "8265"}}') == Cursor()
