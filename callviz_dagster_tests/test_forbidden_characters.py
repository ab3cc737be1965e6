"""Characters that XML forbids, in labels, field names and values: a refresh succeeds and shows a substitute."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import zipfile
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from lxml import etree
from pymongo.collection import Collection

from callviz_dagster.definitions import build_definitions
from callviz_dagster.documents.display import display_text
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.forbidden import FORBIDDEN, SURROGATES, allowed_in_xml
from callviz_dagster_tests.helpers.raw_bson import raw_document, text, value
from callviz_dagster_tests.helpers.refresh import empty_instance

START = dt.datetime(2024, 3, 1, 9, tzinfo=dt.UTC)
IN_NAMES = FORBIDDEN[1:]
"""A name in BSON ends at NUL, which it therefore cannot hold."""


def documents() -> list[RawBSONDocument]:
    """Return calls whose type, status, own field's name and value each have a forbidden character.

    Each character is in three of them, for a text that is another one in every call is no label.
    """
    characters = [character.encode(errors="surrogatepass") for character in (*FORBIDDEN, *SURROGATES)] * 3
    return [
        RawBSONDocument(
            raw_document(
                [
                    ("_id", value(bson.ObjectId(f"{number:024x}"))),
                    ("call_type", text(b"i" + character + b"n")),
                    ("status", text(b"d" + character + b"one")),
                    ("start_time", value(START + dt.timedelta(hours=number))),
                    ("duration_sec", value(number)),
                    ("note", text(b"a" + character + b"b")),
                    *([(b"f" + character + b"g", value(1))] if character != b"\x00" else []),
                ]
            )
        )
        for number, character in enumerate(characters)
    ]


@pytest.fixture
def published(settings: Settings, collection: Collection[Any]) -> Settings:
    collection.insert_many(documents())
    settings = dataclasses.replace(settings, dashboard_labels=100)
    job = build_definitions(settings).resolve_job_def("refresh_calls")
    result = job.execute_in_process(raise_on_error=False, instance=empty_instance())
    assert result.success
    for event in result.get_asset_materialization_events():
        for name, shown in event.materialization.metadata.items():
            assert "could not be drawn" not in str(shown.value), name
    return settings


def test_a_refresh_succeeds_and_shows_a_substitute_everywhere(published: Settings) -> None:
    page = (published.publish_dir / "call_dashboard.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    counts = json.loads(data[1])["counts"]
    assert len(counts["types"]) == len(counts["statuses"]) == len(FORBIDDEN) + len(SURROGATES)
    assert all(allowed_in_xml(character) for label in counts["types"] + counts["statuses"] for character in label)
    assert {"i␀n", "i␛n", "i␟n", "i\ufffdn", r"i\xed\xa0\x80n"} <= set(counts["types"])

    with zipfile.ZipFile(published.publish_dir / "callviz.twbx") as archive:
        workbook = etree.fromstring(archive.read("callviz.twb"))
        csv = archive.read("Data/calls/calls.csv").decode()
    pinned = [record.findtext("remote-name") for record in workbook.findall(".//metadata-record[@class='column']")]
    names = {f"f{display_text(character)}g" for character in IN_NAMES}
    assert names <= set(pinned)
    assert csv.partition("\n")[0] == ",".join(f'"{name}"' for name in pinned)
    assert not set(FORBIDDEN[:-2]) & set(csv)
