"""Names of fields taken apart: their words, how strongly they speak of a role, and the unit that they say."""

from __future__ import annotations

import pytest

from callviz_dagster.documents.recognition.names import Strength, name_of, words
from callviz_dagster.documents.recognition.vocabulary import FIELD_NAMES, Word


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("callStartedAt", ["call", "started", "at"]),
        ("call_started_at", ["call", "started", "at"]),
        ("Call Started At", ["call", "started", "at"]),
        ("CALL_START_TIME", ["call", "start", "time"]),
        ("SIPCallID", ["sip", "call", "id"]),
        ("hs_call_direction", ["hs", "call", "direction"]),
        ("leg2Duration", ["leg", "duration"]),
        ("BILL TIME (ROUNDED)", ["bill", "time", "rounded"]),
        ("actualstart", ["actual", "start"]),
        ("timestart", ["time", "start"]),
        ("startedat", ["started", "at"]),
        ("billsec", ["bill", "sec"]),
        ("callduraction", ["call", "duration"]),
        ("starTime", ["start", "time"]),
        ("durée", ["duree"]),
        ("Gesprächsdauer", ["gesprachsdauer"]),
        ("名前", ["名前"]),
        ("", []),
        ("42", []),
    ],
)
def test_a_name_is_taken_apart_into_words(name: str, expected: list[str]) -> None:
    assert list(words(name)) == expected


@pytest.mark.parametrize("name", ["sendtime", "star", "starts_with", "campaign", "stat", "amended", "attended"])
def test_a_word_that_only_resembles_another_is_not_corrected(name: str) -> None:
    assert not name_of((name.encode(),)).says(Word.END)
    assert name_of((b"star",)).strengths["start_time"] is Strength.NONE


@pytest.mark.parametrize(
    ("path", "role", "strength"),
    [
        ("start_time", "start_time", Strength.EXACT),
        ("START-TIME", "start_time", Strength.EXACT),
        ("legStartedAt", "start_time", Strength.WORDS),
        ("call_received_datetime", "start_time", Strength.WORDS),
        ("incident_date", "start_time", Strength.WORDS),
        ("received_at", "start_time", Strength.WEAK),
        ("timestamp", "start_time", Strength.WEAK),
        ("createdAt", "start_time", Strength.RECORD),
        ("hs_lastmodifieddate", "start_time", Strength.RECORD),
        ("caller", "start_time", Strength.NONE),
        ("end_time", "start_time", Strength.NONE),
        ("legEndedAt", "end_time", Strength.WORDS),
        ("fecha_fin", "end_time", Strength.WORDS),
        ("start_time", "end_time", Strength.NONE),
        ("recordedSeconds", "duration", Strength.WEAK),
        ("talk_seconds", "duration", Strength.WORDS),
        ("CALL TIME", "duration", Strength.WORDS),
        ("Gesprächsdauer", "duration", Strength.WORDS),
        ("start_time", "duration", Strength.NONE),
        ("inbound_direction", "call_type", Strength.WORDS),
        ("kind", "call_type", Strength.WEAK),
        ("status_msg", "status", Strength.WORDS),
        ("sip_reason", "status", Strength.WEAK),
        ("start.at", "start_time", Strength.WORDS),
        ("status.name", "status", Strength.WORDS),
    ],
)
def test_a_name_speaks_of_a_role_as_strongly_as_its_words_do(path: str, role: str, strength: Strength) -> None:
    assert name_of(tuple(part.encode() for part in path.split("."))).strengths[role] is strength


@pytest.mark.parametrize("role", FIELD_NAMES)
def test_known_names_are_the_strongest_and_ranked_in_their_order(role: str) -> None:
    names = [name_of((name.encode(),)) for name in FIELD_NAMES[role]]
    assert {name.strengths[role] for name in names} == {Strength.EXACT}
    ranks = [name.ranks[role] for name in names]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("duration", None),
        ("durationMs", "ms"),
        ("ms_duration", "ms"),
        ("duration_millis", "ms"),
        ("call_length_usec", "us"),
        ("elapsedNanos", "ns"),
        ("duration_in_minutes", "min"),
        ("TotalHours", "h"),
        ("billsec", "s"),
        ("duration_s", "s"),
        ("hs_call_duration", "ms"),
        ("items", None),
        ("programs", None),
        ("s_duration", None),
    ],
)
def test_a_unit_is_a_word_of_its_own(name: str, unit: str | None) -> None:
    assert name_of((name.encode(),)).unit == unit


def test_where_a_field_stands_is_told_from_what_it_is_called() -> None:
    top, wrapped, inside, foreign = (
        name_of(path) for path in ((b"status",), (b"data", b"status"), (b"thing", b"status"), (b"customer", b"status"))
    )
    assert [name.depth for name in (top, wrapped, inside)] == [0, 0.5, 1]
    assert [name.foreign for name in (top, wrapped, inside, foreign)] == [False, False, False, True]
