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
        "request_id": "r1", "clock": dt.UTC,
    }  # fmt: skip
    return decide(cursor, **usual | given)


def test_nothing_changed_is_told_with_time_and_number() -> None:
    decision = decided(Cursor(quiet_since=NOW.isoformat()), clock=dt.timezone(dt.timedelta(hours=2)))
    assert decision.reason == "no changes since 14:03:07, 1,203,344 calls"


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
    assert decision.reason == "1 partition waiting until 12:03:47: CALLVIZ_MIN_REFRESH_SECONDS=60"
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
        assert cursor.everything == "the oplog has rolled over"
        again = dt.datetime.fromisoformat(cursor.try_again)
        pauses.append((again - now).total_seconds())
        told = decided(cursor, now=again - dt.timedelta(seconds=1)).reason
        assert "run 1a2b was a failure" in told
        assert f"will be tried again at {again:%H:%M:%S}" in told
        now = again
        cursor = decided(cursor, now=now).cursor
        assert cursor.requested is not None
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert after_run(cursor, Outcome.DONE, now, 60).attempts == 0


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
    cursor = Cursor(source="callviz.calls", token={"_data": "82"}, pending={KEYS[0]: [5, 1]}, looked=NOW.isoformat())
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
