"""What the Dagster UI shows of the counts: figures, and pictures that are small and that no label can break."""

from __future__ import annotations

import base64
import datetime as dt
import struct
import zlib

import pyarrow as pa
import pytest
import vl_convert

from callviz_dagster.dashboard import charts, pictures
from callviz_dagster.dashboard.counts import Counts
from callviz_dagster_tests.helpers.calls import Call, business, counted, query, table
from callviz_dagster_tests.helpers.forbidden import FORBIDDEN

pytestmark = pytest.mark.slow

DAY = dt.date(2026, 3, 2)


@pytest.fixture(scope="module")
def calls() -> pa.Table:
    return table(business())


@pytest.fixture(scope="module")
def counts(calls: pa.Table) -> Counts:
    return counted(calls)


def test_headline(counts: Counts, calls: pa.Table) -> None:
    ((completed, median),) = query("select avg((status = 'completed')::int), median(duration_sec) from calls", calls)
    assert pictures.headline(counts) == (
        f"**3,000** calls · **{completed:.1%}** completed · **{median:,.1f} s** median duration · "
        "**88** days covered, 1 January 2026 – 29 March 2026"
    )


def test_headline_of_little() -> None:
    assert pictures.headline(counted(table([]))) == "No calls."
    one = pictures.headline(counted(table([("incoming", "ended", DAY, 9, None)])))
    assert one == "**1** call · **1** day covered, 2 March 2026 – 2 March 2026"


def test_the_headline_leaves_wrong_dates_aside_and_says_so() -> None:
    calls = [("incoming", "completed", dt.date(1970, 1, 1), 0, 5.0), *business(300)]
    text = pictures.headline(counted(table(calls)))
    assert text.startswith("**301** calls")
    assert "2026" in text
    assert text.endswith(" · 1 call outside of these days")


def png(markdown: str) -> bytes:
    """Return the picture in Markdown text."""
    assert markdown.startswith("![")
    return base64.b64decode(markdown.split("(data:image/png;base64,")[1].removesuffix(")"))


def palette(picture: bytes) -> list[tuple[int, int, int]]:
    start = picture.index(b"PLTE") + 4
    (length,) = struct.unpack(">I", picture[start - 8 : start - 4])
    return [tuple(picture[start + at : start + at + 3]) for at in range(0, length, 3)]  # type: ignore[misc]


def test_pictures_are_small_and_in_the_charts_colours(counts: Counts) -> None:
    for markdown, height in ((pictures.daily_calls_picture(counts), 250), (pictures.five_pictures(counts), 1000)):
        picture = png(markdown)
        width, tall = struct.unpack(">II", picture[16:24])
        assert 300 <= width <= 420
        assert tall >= height
        assert len(markdown) < 32_000
        colours = palette(picture)
        for colour in charts.colours(counts.types):
            assert tuple(bytes.fromhex(colour[1:])) in colours
    assert "Daily Calls" in pictures.daily_calls_picture(counts)


def test_a_picture_with_a_palette_shows_the_same() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20" fill="#0072b2"/>'
        '<rect x="10" y="5" width="10" height="5" fill="#e69f00"/></svg>'
    )
    small = pictures._with_palette(vl_convert.svg_to_png(svg))
    lines = zlib.decompress(small[small.index(b"IDAT") + 4 :])
    assert small[24] == 4, "bits of a pixel"
    rows = [lines[at + 1 : at + 21] for at in range(0, len(lines), 21)]
    shown = [[palette(small)[index] for byte in row for index in (byte >> 4, byte & 15)] for row in rows]
    blue, orange = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)
    assert shown == [[orange if 10 <= x < 20 and 5 <= y < 10 else blue for x in range(40)] for y in range(20)]


def test_a_rare_colour_of_the_charts_stays_in_the_palette() -> None:
    rectangles = "".join(
        f'<rect x="{3 * number}" width="3" height="5" fill="#{number:02x}0000"/>' for number in range(1, 40)
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="121" height="5">{rectangles}'
    picture = vl_convert.svg_to_png(svg + '<rect width="1" height="1" fill="#0072b2"/></svg>')
    blue = (0x00, 0x72, 0xB2)
    assert blue not in palette(pictures._with_palette(picture))
    assert blue in palette(pictures._with_palette(picture, [bytes(blue)]))


def test_a_picture_that_is_written_otherwise_stays_as_it_is() -> None:
    lines = zlib.compress(bytes([0, 1, 2, 3, 255]))
    other = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 1, 1, 8, 6, 0, 0, 0, 0)
    other += struct.pack(">I4s", len(lines), b"IDAT") + lines
    assert pictures._with_palette(other) == other


def test_pictures_of_no_calls_of_one_and_of_any_labels() -> None:
    assert pictures.five_pictures(counted(table([]))) == "No calls to draw."
    hostile = ["</script>", "__proto__", "'; datum", '"', "\u2028", "a\nb", "x" * 300]
    hostile_calls: list[Call] = [(label, label, DAY, 9, 5.0) for label in hostile]
    for calls in (hostile_calls[:1], hostile_calls):
        assert png(pictures.five_pictures(counted(table(calls)))).startswith(b"\x89PNG")


def test_no_character_in_a_label_ends_the_process() -> None:
    """XML forbids these; the library that draws would abort, which no exception handler sees."""
    calls: list[Call] = [(f"type{character}", f"{character}status", DAY, 9, 5.0) for character in FORBIDDEN]
    for at in range(0, len(calls), 10):
        assert png(pictures.five_pictures(counted(table(calls[at : at + 10])))).startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_is_a_sentence(
    counts: Counts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise ValueError("no font")

    monkeypatch.setattr(vl_convert, "vegalite_to_png", broken)
    assert pictures.daily_calls_picture(counts) == "The picture could not be drawn; the log says why."
    assert "The picture of Daily Calls could not be drawn: no font" in caplog.text
