"""Text made fit to be shown: nothing that XML forbids is left, and nothing else changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.documents.display import display_content, display_text
from callviz_dagster_tests.helpers.forbidden import FORBIDDEN, SURROGATES, allowed_in_xml


def test_each_forbidden_character_has_a_visible_substitute() -> None:
    for character in (*FORBIDDEN, *SURROGATES, "\x7f"):
        substitute = display_text(f"a{character}b")
        assert len(substitute) == 3
        assert substitute[1].isprintable()
        assert substitute[1] != character
    assert display_text("\x00\x1b\x7f\ud800\uffff") == "␀␛␡\ufffd\ufffd"


def test_all_that_xml_allows_stays() -> None:
    allowed = "".join(chr(code) for code in range(0x110000) if allowed_in_xml(chr(code)) and code != 0x7F)
    assert display_text(allowed) == allowed


@given(st.text(st.characters(codec=None), max_size=30))
def test_any_text_becomes_one_that_xml_allows(text: str) -> None:
    assert all(map(allowed_in_xml, display_text(text)))
    display_text(text).encode()


def test_every_text_of_plain_data_is_changed() -> None:
    content = {"a\x00": ["b\x01", 1, None, ("c\x02", {"d": "\uffff"})]}
    assert display_content(content) == {"a␀": ["b␁", 1, None, ["c␂", {"d": "\ufffd"}]]}
