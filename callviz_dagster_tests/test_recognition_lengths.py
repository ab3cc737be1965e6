"""Which field is the duration, in which unit, and which holds labels; what does not agree is reported."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from callviz_dagster.documents.recognition.choice import choose
from callviz_dagster.documents.recognition.doubts import Kind, doubts
from callviz_dagster.documents.recognition.report import role_rows, sentence
from callviz_dagster_tests.helpers.recognition import chosen, fields_of, first_fields, gathered

Document = dict[str, Any]
NOON = dt.datetime(2024, 3, 1, 12)


def calls(**durations: Any) -> list[Document]:
    """Return calls with fields of durations, each made by a function of the call's length in seconds, or constant."""
    documents = []
    for number in range(40):
        start, length = NOON + dt.timedelta(minutes=173 * number), 20 + 37 * (number * 7 % 40)
        made = {name: value(length) if callable(value) else value for name, value in durations.items()}
        documents.append({"_id": number, "start_time": start, "end_time": start + dt.timedelta(seconds=length)} | made)
    return documents


def kinds(documents: list[Document], role: str = "duration") -> set[Kind]:
    fields = fields_of(documents)
    return {doubt.kind for doubt in doubts(choose(fields), fields) if doubt.role == role}


@pytest.mark.parametrize("shortest", [5, 16])
def test_fractions_are_no_whole_hours(shortest: int) -> None:
    documents = calls(talk_time=lambda length: (length - length % shortest) / 86_400)
    units = choose(fields_of(documents)).units
    assert [unit.known_by for unit in units.values()] == ["default"]
    assert kinds(documents) & {Kind.APART, Kind.FACTOR}


def test_a_limit_that_is_the_same_for_all_calls_is_no_duration() -> None:
    assert "duration" not in chosen(calls(call_length="3600s"))
    assert chosen(calls(maxDuration="3600s", billedDuration=lambda length: f"{length - 3}s"))["duration"] == (
        "billedDuration"
    )


def test_durations_longer_than_the_calls_are_reported() -> None:
    assert kinds(calls(duration=lambda length: length + 900 + length * 13 % 700)) == {Kind.APART}


def test_of_two_fields_that_say_the_same_the_finer_one_is_taken() -> None:
    documents = calls(
        BillableMinutes=lambda length: round((length - 3) / 60, 2), BillableSeconds=lambda length: length - 3
    )
    assert chosen(documents)["duration"] == "BillableSeconds"


def test_a_duration_beside_one_that_is_never_shorter_is_doubted_where_no_end_tells() -> None:
    documents = [
        {name: value for name, value in document.items() if name != "end_time"}
        for document in calls(**{"Time(sec)": lambda length: length - 7, "Inbound Time(sec)": lambda length: length})
    ]
    fields = fields_of(documents)
    choice = choose(fields)
    (doubt,) = (doubt for doubt in doubts(choice, fields) if doubt.kind is Kind.TALK)
    assert "CALLVIZ_FIELD_DURATION=Inbound Time(sec)" in sentence(doubt, choice, fields.facts)


@pytest.mark.parametrize("names", [("CallDuration", "Duration"), ("length", "duration")])
def test_of_seconds_and_their_minutes_rounded_up_the_seconds_are_taken_without_an_end(names: tuple[str, str]) -> None:
    fine, coarse = names
    documents = [
        {"_id": one["_id"], "start_time": one["start_time"], fine: str(length(one)), coarse: str(-(-length(one) // 60))}
        for one in calls()
    ]
    assert chosen(documents)["duration"] == fine
    assert not kinds(documents)


def test_a_label_of_another_role_that_never_varies_is_not_taken() -> None:
    documents = [
        one | {"direction": ("in", "out")[one["_id"] % 2], "type": "Normal", "releaseCause": 16 + one["_id"] % 3}
        for one in calls()
    ]
    assert chosen(documents)["status"] == "releaseCause"


def test_the_key_of_a_document_does_not_depend_on_the_others_of_its_batch() -> None:
    short, long = {"_id": 7}, {"_id": "an identifier of more than thirty-two characters"}
    alone = {one.key for document in (short, long) for one in gathered([document]).documents}
    assert {one.key for one in gathered([short, long]).documents} == alone


def test_a_type_with_the_role_s_name_comes_before_one_that_never_varies() -> None:
    documents = [
        {"type": "call.ended", "call": one | {"direction": ("USER_MADE", "SHOP_MADE")[one["_id"] % 2]}}
        for one in calls()
    ]
    assert chosen(documents)["call_type"] == "call.direction"


def of_two_applications() -> list[Document]:
    """Return the calls of two applications in one collection, of which the second has milliseconds and no end."""
    first = [
        {"startedAt": one["start_time"], "endedAt": one["end_time"], "duration": length(one)} for one in calls()[:24]
    ]
    second = [
        {"begin": int(one["start_time"].timestamp() * 1000), "length": 1000 * length(one)} for one in calls()[24:]
    ]
    return [{"_id": number} | one for number, one in enumerate([*first, *second])]


def length(call: Document) -> int:
    seconds: float = (call["end_time"] - call["start_time"]).total_seconds()
    return round(seconds)


def test_a_field_that_stands_in_is_doubted_in_its_own_unit() -> None:
    fields = fields_of(of_two_applications())
    choice = choose(fields)
    assert first_fields(choice)["duration"] == "duration"
    (doubt,) = [one for one in doubts(choice, fields) if one.role == "duration"]
    assert (doubt.kind, doubt.source) == (Kind.SIZE, ((b"length",),))
    assert "in s (by default)" in role_rows(choice, fields)[2].unit


def test_no_line_is_printed_for_a_choice_of_two_fields_that_none_can_set() -> None:
    fields = fields_of(of_two_applications())
    (start, *_) = role_rows(choose(fields), fields)
    assert start.field == "startedAt, or where it is empty begin"
    assert start.setting == (
        "# CALLVIZ_FIELD_START_TIME names one field: leave it unset to keep startedAt, or where it is empty begin"
    )


# Labels


def labelled(**fields: Any) -> list[Document]:
    """Return calls with more fields, each made from the number of the call, or the same for all."""
    return [
        one | {name: value(one["_id"]) if callable(value) else value for name, value in fields.items()}
        for one in calls()
    ]


def one_of(*labels: Any) -> Any:
    return lambda number: labels[number % len(labels)]


@pytest.mark.parametrize("name", ["direction", "way", "traffic_flow", "Richtung", "Rufart"])
def test_a_known_type_that_is_the_same_for_all_calls_gives_way_to_one_that_varies(name: str) -> None:
    documents = [
        {"_id": one.pop("_id"), name: one.pop("way"), "payload": one | {"type": "voice"}}
        for one in labelled(way=one_of("inbound", "outbound"))
    ]
    assert chosen(documents)["call_type"] == name
    assert not kinds(documents, "call_type")


def test_a_known_status_that_is_the_same_for_all_calls_gives_way_to_one_that_varies() -> None:
    assert chosen(labelled(status="completed", result=one_of("busy", "answered")))["status"] == "result"


def test_one_label_for_all_calls_is_doubted_where_another_field_tells_them_apart() -> None:
    documents = labelled(call_type="voice", direction=one_of("A", "B"), status=one_of("busy", "answered"))
    fields = fields_of(documents)
    choice = choose(fields)
    (doubt,) = [one for one in doubts(choice, fields) if one.role == "call_type"]
    assert doubt.kind is Kind.ONE_LABEL
    assert "CALLVIZ_FIELD_CALL_TYPE=direction" in sentence(doubt, choice, fields.facts)


@pytest.mark.parametrize("answers", [("yes", "no"), ("Y", "N"), ("Ja", "Nein")])
def test_yes_or_no_in_words_is_doubted_as_a_status(answers: tuple[str, str]) -> None:
    assert kinds(labelled(answered=one_of(*answers)), "status") == {Kind.YES_OR_NO}


def test_fields_that_cannot_play_a_role_are_listed_with_a_value_and_the_reason() -> None:
    documents = labelled(
        status=one_of("busy", "answered"),
        answered=one_of(True, False),
        voicemail=one_of("yes", "no"),
        startTime="in the morning",
        timestamp=one_of("n/a", "unknown"),
        call_length="long",
    )
    fields = fields_of(documents)
    rows = {row.role: [*map(str, row.not_taken)] for row in role_rows(choose(fields), fields)}
    for role, reasons in {
        "start_time": [
            "startTime (for example in the morning): cannot be read as a time",
            "timestamp (for example n/a): cannot be read as a time",
        ],
        "duration": ["call_length (for example long): cannot be read as a duration"],
        "status": ["answered (for example true): a yes or no", "voicemail (for example yes): a yes or no"],
    }.items():
        for reason in reasons:
            assert reason in rows[role], role


def test_labels_of_the_other_role_are_doubted() -> None:
    documents = [
        one | {"direction": ("answered", "busy")[one["_id"] % 2], "result": ("inbound", "outbound")[one["_id"] % 2]}
        for one in calls()
    ]
    assert kinds(documents, "call_type") == kinds(documents, "status") == {Kind.OTHER_LABELS}


def test_a_field_whose_name_and_values_say_little_is_doubted() -> None:
    documents = [one | {"action_type": ("DIAL", "VM")[one["_id"] % 2]} for one in calls()]
    assert kinds(documents, "call_type") == {Kind.UNKNOWN_LABELS}
    known = [one | {"action_type": ("inbound", "outbound")[one["_id"] % 2]} for one in calls()]
    assert not kinds(known, "call_type")
