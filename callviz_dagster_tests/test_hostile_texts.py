"""Labels, field names and values that are meant to break what shows them: a refresh publishes all of them."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from lxml import etree
from pymongo.collection import Collection

from callviz_dagster.dashboard import page
from callviz_dagster.definitions import build_definitions
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.raw_bson import MORE
from callviz_dagster_tests.helpers.refresh import empty_instance, failure

START = dt.datetime(2024, 3, 1, 9, tzinfo=dt.UTC)
ATTACKS = (
    "",
    " ",
    "=cmd|' /C calc'!A0",
    "+1+2",
    "@SUM(1)",
    "</script><script>alert(1)</script>",
    "<!--",
    "]]>",
    "<img src=x onerror=alert(1)>",
    "| a | b |",
    "](javascript:alert(1))",
    "[Calls].[status]",
    "a]b[c",
    '"',
    "'",
    "\\",
    "\r\n",
    "\t",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\u2028",
    "\ufeff",
    "\ufffe",
    "\x7f",
    "{{ 7 * 7 }}",
    "${HOME}",
    "%s%n",
    "__proto__",
    "constructor",
    "null",
    "NaN",
    "1e999",
    "../../etc/passwd",
    "x" * 10_000,
    "repairs",
    "call_date",
    "Calls",
)
TEXTS: st.SearchStrategy[str] = st.one_of(st.sampled_from(ATTACKS), st.text(max_size=12))
ROLES = ("_id", "start_time", "call_type", "status")
# Tableau's engine refuses a character like U+1D800 in the name of a column, which has a message of its own.
NAMES = TEXTS.map(
    lambda name: "".join(c for c in name if c != "\x00" and not 0xD800 <= ord(c) & 0xFFFF <= 0xDFFF)
).filter(lambda name: name not in ROLES)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """Return a call without its `_id`."""
    return {
        "start_time": START + dt.timedelta(minutes=draw(st.integers(0, 10_000))),
        "call_type": draw(TEXTS),
        "status": draw(TEXTS),
        **draw(st.dictionaries(NAMES, TEXTS, max_size=3)),
    }


def assert_published(
    documents: list[dict[str, Any]], settings: Settings, collection: Collection[dict[str, Any]], data_dir: Path
) -> None:
    """Refresh a collection of these calls, and read in what was published that every call is there."""
    collection.delete_many({})
    collection.insert_many({"_id": number, **document} for number, document in enumerate(documents))
    by_hand = dataclasses.replace(
        settings,
        field_start_time="start_time",
        field_end_time="none",
        field_duration="none",
        field_call_type="call_type",
        field_status="status",
        data_dir=data_dir,
    )
    job = build_definitions(by_hand).resolve_job_def("refresh_calls")
    result = job.execute_in_process(raise_on_error=False, instance=empty_instance())
    assert result.success, failure(result)
    with (settings.publish_dir / "calls.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert len(rows) == len(documents)
    assert {len(row) for row in rows} == {len(header)}
    html = (settings.publish_dir / "call_dashboard.html").read_text(encoding="utf-8")
    assert {totals.calls for totals in page.totals(html)} == {len(documents)}
    with zipfile.ZipFile(settings.publish_dir / "callviz.twbx") as package:
        etree.fromstring(package.read("callviz.twb"))


@pytest.mark.slow
def test_each_hostile_text_is_published_as_label_name_and_value(
    settings: Settings, collection: Collection[dict[str, Any]], tmp_path: Path
) -> None:
    documents = [
        {text.replace("\x00", ""): text, "start_time": START, "call_type": text, "status": text} for text in ATTACKS
    ]
    assert_published(documents, settings, collection, tmp_path / "data")


@pytest.mark.long
@examples(
    max_examples=max(round(10 * MORE), 1),
    deadline=None,
    derandomize=MORE <= 1,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(documents=st.lists(calls(), min_size=20, max_size=30))
def test_hostile_texts_together_are_published_and_end_nothing(
    documents: list[dict[str, Any]], settings: Settings, collection: Collection[dict[str, Any]], tmp_path: Path
) -> None:
    assert_published(documents, settings, collection, tmp_path / f"data{len(list(tmp_path.iterdir()))}")
