"""Labels of call types and statuses: one for one thing, however it is written."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.labels import (
    STATUSES,
    TYPES,
    Label,
    label_in_document,
    label_of_boolean,
    label_of_text,
    quoted,
    visible_text,
)
from callviz_dagster_tests.helpers.raw_bson import examples

SPACES = "spaces around it removed"
LOOK_ALIKE = "look-alike written in one way"


@pytest.mark.parametrize(
    ("text", "label", "change"),
    [
        ("no-answer", "no-answer", ""),
        ("NO_ANSWER", "no-answer", "a known spelling written as no-answer"),
        (" No Answer ", "no-answer", "a known spelling written as no-answer"),
        ("no\u00a0answer", "no-answer", "a known spelling written as no-answer"),
        ("canceled", "cancelled", "a known spelling written as cancelled"),
        ("canceled\u200b", "cancelled", "a known spelling written as cancelled"),
        ("teleported", "teleported", ""),
        (" teleported\n", "teleported", SPACES),
        ("busy\u200b", "busy", LOOK_ALIKE),  # zero-width space
        ("\ufeffbusy", "busy", LOOK_ALIKE),  # byte order mark
        ("\u202ebusy\u202c", "busy", LOOK_ALIKE),  # marks of a direction
        ("\u2067busy\u2069\u200f", "busy", LOOK_ALIKE),
        ("bu\u00adsy", "busy", LOOK_ALIKE),  # soft hyphen
        ("bu\u2060sy", "busy", LOOK_ALIKE),  # word joiner
        ("bu\u200dsy\u200c", "busy", LOOK_ALIKE),
        ("\u200b \u200b", "", LOOK_ALIKE),
        ("\u00a0", "", SPACES),
        ("caf\u0065\u0301", "caf\u00e9", LOOK_ALIKE),
        ("e\u200b\u0301", "\u00e9", LOOK_ALIKE),
        ("caf\u00e9", "caf\u00e9", ""),
        ("sent\u2003twice", "sent twice", LOOK_ALIKE),
        ("👩\u200d👩\u200d👧 שלום", "👩\u200d👩\u200d👧 שלום", ""),
        ("می\u200cشود", "می\u200cشود", ""),
        ("👩\u200d", "👩", LOOK_ALIKE),
        ("\u0600١٢", "\u0600١٢", ""),
    ],
)
def test_labels_of_text(text: str, label: str, change: str) -> None:
    assert label_of_text("status", text) == Label(label, change)


@examples(200)
@given(st.text(max_size=12), st.text("\u200b\ufeff\u00ad\u2060\u200e\u2066", max_size=3), st.integers(0, 12))
def test_texts_that_look_alike_have_one_label(text: str, invisible: str, place: int) -> None:
    label = label_of_text("status", text).text
    hidden = text[:place] + invisible + text[place:]
    if not unicodedata.combining((text[place : place + 1] or " ")[0]):
        assert label_of_text("status", hidden).text == label
    assert label_of_text("status", unicodedata.normalize("NFD", text)).text == label
    assert label_of_text("status", f"\u3000{text}\u00a0").text == label
    assert label_of_text("status", label) == Label(label)
    assert visible_text(label) == label


def test_known_labels_are_their_own_labels() -> None:
    for role, labels in (("call_type", TYPES), ("status", STATUSES)):
        for label in labels:
            assert label_of_text(role, label) == Label(label)
            assert label_of_text(role, label.upper().replace("-", "_")).text == label


def test_invisible_characters_are_quoted_so_that_they_can_be_seen() -> None:
    assert quoted("busy\u200b") == '"busy\\u200b"'
    assert quoted('a\u00a0"b"\n é ') == '"a\\u00a0\\"b\\"\\n é "'


@pytest.mark.parametrize(
    ("document", "field_and_text"),
    [
        ({"id": 3, "name": "busy"}, ("name", "busy")),
        (
            {"groupName": "DELIVERED", "name": "DELIVERED_TO_HANDSET", "description": "x"},
            ("name", "DELIVERED_TO_HANDSET"),
        ),
        ({"value": "b", "label": "Busy"}, ("label", "Busy")),
        ({"value": "busy"}, ("value", "busy")),
        ({"name": " \u200b", "title": "Busy"}, ("title", "Busy")),
        ({"name": 3, "text": "busy"}, ("text", "busy")),
        ({"code": "busy"}, None),
        ({"name": None}, None),
        ({"name": {"en": "busy"}}, None),
        ({}, None),
    ],
)
def test_what_a_document_is_called(document: dict[str, Any], field_and_text: tuple[str, str] | None) -> None:
    assert label_in_document(document) == field_and_text


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("answered", "answered", "missed"),
        ("isAnswered", "answered", "missed"),
        ("was_answered", "answered", "missed"),
        ("Call Answered", "answered", "missed"),
        ("missed", "missed", "not-missed"),
        ("has_voicemail", "voicemail", "not-voicemail"),
        ("is_video_call", "video", "not-video"),
        ("connected", "connected", "not-connected"),
        ("isIncoming", "incoming", "outgoing"),
        ("outbound_flag", "outbound", "inbound"),
        ("internal", "internal", "external"),
    ],
)
def test_yes_and_no_in_a_field_that_is_named_like_a_label(name: str, yes: str, no: str) -> None:
    assert (label_of_boolean(name, True), label_of_boolean(name, False)) == (yes, no)
    assert (label_of_boolean(name, 1), label_of_boolean(name, 0)) == (yes, no)
    assert label_of_boolean(name, 2) is None


@pytest.mark.parametrize("name", ["archived", "status", "unknown", "is_call", "", "calling back", "vip", "recorded"])
def test_yes_and_no_in_other_fields_mean_no_label(name: str) -> None:
    assert label_of_boolean(name, True) is label_of_boolean(name, False) is None
