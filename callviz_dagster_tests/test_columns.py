"""Columns over refreshes, fields that are used as maps, and values that must not be seen."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import hashlib
import hmac
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import bson
import dagster as dg
import pyarrow.parquet as pq
import pytest
from pymongo.collection import Collection

from callviz_dagster.definitions import build_definitions
from callviz_dagster.documents import profile as profiles
from callviz_dagster.settings import Settings, SettingsError
from callviz_dagster.table.manifest import Manifest
from callviz_dagster_tests.helpers.raw_bson import raw_document, text, value
from callviz_dagster_tests.helpers.refresh import checks, failure, refresh, some_calls

Document = dict[str, Any]
START = dt.datetime(2024, 3, 1, 10, tzinfo=dt.UTC)


def calls(settings: Settings) -> list[Document]:
    return list(pq.read_table(settings.data_dir / "calls" / "all.parquet").to_pylist())


def header(settings: Settings) -> list[str]:
    with (settings.publish_dir / "calls.csv").open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))[9:]


def refreshed(settings: Settings) -> dg.AssetCheckEvaluation:
    """Refresh and return the result of `columns_stable`."""
    result = refresh(settings)
    assert result.success, failure(result)
    return checks(result)["columns_stable"]


def replace(collection: Collection[Document], *documents: Document) -> None:
    collection.delete_many({})
    collection.insert_many([{"start_time": START, **document} for document in documents])


# Columns stay


def test_a_column_stays_in_its_place_on_the_day_when_no_document_has_it(
    collection: Collection[Document], settings: Settings
) -> None:
    replace(collection, {"a": "1", "b": 2, "c": True})
    first = refreshed(settings)
    assert (first.passed, first.description) == (
        True,
        "First refresh: 13 columns, 3 of them the documents' other fields.",
    )
    assert header(settings) == ["a", "b", "c", "repairs"]

    again = refreshed(settings)
    assert (again.passed, again.description) == (True, "The same 13 columns as before.")

    replace(collection, {"z": 1, "c": False, "a": "2"})
    gone = refreshed(settings)
    assert header(settings) == ["a", "b", "c", "z", "repairs"]
    assert not gone.passed
    assert gone.severity is dg.AssetCheckSeverity.WARN
    assert gone.description == "Columns: z came; b went (no document has it; the column stays)."
    assert calls(settings)[0]["b"] is None

    replace(collection, {"b": 5, "z": 1, "c": False, "a": "2"})
    assert refreshed(settings).description == "Columns: b came back."
    assert header(settings) == ["a", "b", "c", "z", "repairs"]
    assert calls(settings)[0]["b"] == 5


def test_a_type_widens_step_by_step_and_never_narrows(collection: Collection[Document], settings: Settings) -> None:
    descriptions, cells = [], []
    for x in (5, 2.5, 5, "five", 5):
        replace(collection, {"x": x})
        descriptions.append(refreshed(settings).description)
        cells.append(calls(settings)[0]["x"])
    assert descriptions == [
        "First refresh: 11 columns, 1 of them the documents' other fields.",
        "Columns: x changed from integer to number.",
        "The same 11 columns as before.",
        "Columns: x changed from number to text.",
        "The same 11 columns as before.",
    ]
    assert list(map(repr, cells)) == ["5", "2.5", "5.0", "'five'", "'5'"]


def test_a_number_column_becomes_text_rather_than_round_a_long_integer(
    collection: Collection[Document], settings: Settings
) -> None:
    replace(collection, {"x": 2.5})
    refreshed(settings)
    replace(collection, {"x": bson.Int64(2**53 + 1)})
    assert refreshed(settings).description == "Columns: x changed from number to text."
    assert calls(settings)[0]["x"] == str(2**53 + 1)


def test_a_field_that_was_always_null_gets_its_type_from_its_first_value(
    collection: Collection[Document], settings: Settings
) -> None:
    replace(collection, {"x": None, "y": 1})
    refreshed(settings)
    replace(collection, {"y": 1, "x": START})
    refreshed(settings)
    assert header(settings) == ["x", "y", "repairs"]
    assert calls(settings)[0]["x"] == START


def test_a_field_that_is_to_be_dropped_loses_its_column(collection: Collection[Document], settings: Settings) -> None:
    replace(collection, {"a": 1, "b": 2})
    refreshed(settings)
    actual = refreshed(dataclasses.replace(settings, drop_fields=("a",)))
    assert actual.description == "Columns: a was left out."
    assert header(settings) == ["b", "repairs"]


# Maps


def test_a_field_that_is_used_as_a_map_makes_no_thousands_of_columns(
    collection: Collection[Document], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "MOST_FIELDS", 1_000)
    documents = [
        {"note": f"n{row}", "read_by": {f"user{(row * 31 + i * 397) % 2_000}": row for i in range(20)}}
        for row in range(75)
    ]
    replace(collection, *documents)
    settings = dataclasses.replace(settings, max_columns=50)
    actual = refreshed(settings)

    names = header(settings)
    assert len(names) == 50 + len(["other_fields", "repairs"])
    assert (names[0], names[-2:]) == ("note", ["other_fields", "repairs"])
    assert actual.passed
    assert "More fields than CALLVIZ_MAX_COLUMNS (50): the rarest are in other_fields (read_by.*" in str(
        actual.description
    )
    manifest = Manifest.from_json((settings.data_dir / "raw_calls" / "all.json").read_text(encoding="utf-8"))
    assert len(manifest.profile.fields) <= profiles.MOST_FIELDS

    for document, row in zip(documents, calls(settings), strict=True):
        own = {name.removeprefix("read_by_"): cell for name, cell in row.items() if name.startswith("read_by_")}
        others = json.loads(row["other_fields"] or "{}")
        read_by = {name.removeprefix("read_by."): cell for name, cell in others.items()}
        read_by |= {user: cell for user, cell in own.items() if cell is not None}
        assert read_by == document["read_by"]

    again = refreshed(settings)
    assert (again.passed, header(settings)) == (True, names)


def test_other_fields_holds_every_type_and_says_what_is_not_utf_8(
    collection: Collection[Document], settings: Settings
) -> None:
    odd = raw_document(
        [
            *(("_id", value(1)), ("start_time", value(START)), ("most", value(1))),
            *(("x", text(b"\xff")), ("x", value(None)), ("y", value({"a": [START]})), ("z.z", value({}))),
        ]
    )
    collection.insert_many([bson.raw_bson.RawBSONDocument(odd), {"_id": 2, "start_time": START, "most": 2}])
    refreshed(dataclasses.replace(settings, max_columns=1))
    row, other = calls(settings)
    date = '{"$date": "2024-03-01T10:00:00.000Z"}'
    assert row["other_fields"] == f'{{"x": "\\\\xff", "x_2": null, "y.a": [{date}], "z.z": {{}}}}'
    assert row["repairs"] == "other_fields: bytes that are not UTF-8 shown as \\x and hex digits"
    assert (other["other_fields"], other["repairs"]) == (None, "")


# Secrets

KEY = "a key of at least thirty-two bytes!"
PHONE, CARD, NAME = "+4930555000111", "4111-1111-1111-1111", "Ada Lovelace"


def token(plain: str) -> str:
    return hmac.new(KEY.encode(), plain.encode(), hashlib.sha256).hexdigest()[:32]


def confidential(**changed: Any) -> Document:
    return {
        "caller": PHONE,
        "customer": {"phone": PHONE, "card": CARD, "vip": True},
        "parties": [{"phone": PHONE, "name": NAME}, {"phone": [PHONE], "name": {"first": NAME}}],
        "notes": {"of": [NAME, {"card": CARD}]},
        "queue": "sales",
        **changed,
    }


@pytest.fixture
def secretive(collection: Collection[Document], settings: Settings) -> Settings:
    replace(
        collection,
        confidential(),
        confidential(start_time="no time"),
        confidential(end_time="no time", status=" odd "),
        confidential(caller=[PHONE, {"again": PHONE}], customer=[{"phone": PHONE, "card": CARD}]),
        confidential(caller=None, customer={"phone": int(PHONE)}),
    )
    return dataclasses.replace(
        settings,
        pseudonymize=("caller", "customer.phone", "parties.phone"),
        pseudonym_key=KEY,
        drop_fields=("customer.card", "parties.name", "notes"),
        max_rejected=0.5,
    )


def test_the_same_value_has_the_same_token_in_every_place(secretive: Settings) -> None:
    refreshed(secretive)
    one, _, lists, other = calls(secretive)
    tokens = token(PHONE)
    assert (one["caller"], one["customer_phone"], one["customer_vip"]) == (tokens, tokens, True)
    assert json.loads(one["parties"]) == [{"phone": tokens}, {"phone": [tokens]}]
    assert json.loads(lists["caller"]) == [tokens, {"again": tokens}]
    assert json.loads(lists["customer"]) == [{"phone": tokens}]
    assert (other["caller"], other["customer_phone"]) == (None, token(str(int(PHONE))))
    assert header(secretive) == ["caller", "customer", "customer_phone", "customer_vip", "parties", "queue", "repairs"]

    (rejected,) = pq.read_table(secretive.data_dir / "rejected_calls" / "all.parquet").to_pylist()
    document = json.loads(rejected["document"])
    assert document["caller"] == tokens
    assert document["customer"] == {"phone": tokens, "vip": True}
    assert document["parties"] == [{"phone": tokens}, {"phone": [tokens]}]
    assert "notes" not in document


def test_no_hidden_or_dropped_value_is_in_any_file_log_or_metadata(
    secretive: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        job = build_definitions(secretive).resolve_job_def("refresh_calls")
        result = job.execute_in_process(instance=instance)
        events = "\n".join(str(record) for record in instance.all_logs(result.run_id))
    assert result.success
    texts = {"log": "".join(capfd.readouterr()), "events": events}
    archive = secretive.data_dir / "raw_calls" / "all.bson.zst"
    for path in (*secretive.data_dir.rglob("*"), *secretive.publish_dir.rglob("*")):
        if path.suffix == ".parquet":
            texts[path.name] = f"{pq.read_table(path).to_pylist()}{pq.read_metadata(path).metadata}"
        elif path.suffix == ".twbx":
            with zipfile.ZipFile(path) as packed:
                texts |= {name: packed.read(name).decode("utf-8", "replace") for name in packed.namelist()}
        elif path.is_file() and path != archive:
            texts[path.name] = path.read_bytes().decode("utf-8", "replace")
    assert {"calls.csv", "all.parquet", "all.json", "call_dashboard.html"} <= set(texts)
    for secret in (PHONE, PHONE.lstrip("+"), CARD, NAME, KEY):
        assert [name for name, content in texts.items() if secret in content] == []


def test_only_the_owner_may_read_the_archive_which_keeps_the_originals(secretive: Settings) -> None:
    refreshed(secretive)
    for name in ("all.bson.zst", "all.json"):  # the manifest has values of a sample
        assert stat.S_IMODE((secretive.data_dir / "raw_calls" / name).stat().st_mode) == 0o600
    published = secretive.publish_dir / "calls.csv"
    assert stat.S_IMODE(published.stat().st_mode) == 0o644


def test_the_archive_can_be_deleted_after_a_refresh(secretive: Settings) -> None:
    secretive = dataclasses.replace(secretive, keep_raw=False)
    refreshed(secretive)
    archive = secretive.data_dir / "raw_calls" / "all.bson.zst"
    assert not archive.exists()
    assert not list(archive.parent.glob("*.tmp"))
    before = (secretive.publish_dir / "calls.csv").read_bytes()
    refreshed(secretive)
    assert not archive.exists()
    assert (secretive.publish_dir / "calls.csv").read_bytes() == before


def test_the_archive_stays_where_the_audit_forbade_to_publish(secretive: Settings) -> None:
    strict = dataclasses.replace(secretive, keep_raw=False, max_rejected=0.0)
    assert not refresh(strict).success
    assert (secretive.data_dir / "raw_calls" / "all.bson.zst").exists()


def test_a_column_that_is_pseudonymized_later_holds_tokens_from_then_on(
    collection: Collection[Document], settings: Settings
) -> None:
    replace(collection, {"agent": 7, "queue": "sales"})
    refreshed(settings)
    actual = refreshed(dataclasses.replace(settings, pseudonymize=("agent",), pseudonym_key=KEY))
    assert actual.description == "Columns: agent changed from integer to text."
    assert calls(settings)[0]["agent"] == token("7")


@pytest.mark.parametrize("field", ["start_time", "status"])
def test_a_field_that_plays_a_role_cannot_be_pseudonymized(
    field: str, collection: Collection[Document], settings: Settings
) -> None:
    replace(collection, {"status": "completed"})
    result = refresh(dataclasses.replace(settings, pseudonymize=(field,), pseudonym_key=KEY))
    assert not result.success
    assert f"CALLVIZ_PSEUDONYMIZE names {field}, which is the {field.replace('_', ' ')} of the calls" in failure(result)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"CALLVIZ_PSEUDONYMIZE": "caller"}, "CALLVIZ_PSEUDONYMIZE needs CALLVIZ_PSEUDONYM_KEY"),
        ({"CALLVIZ_PSEUDONYMIZE": "caller", "CALLVIZ_PSEUDONYM_KEY": "k" * 31}, "at least 32 bytes"),
        ({"CALLVIZ_PSEUDONYMIZE": "_id", "CALLVIZ_PSEUDONYM_KEY": KEY}, "names _id"),
        ({"CALLVIZ_DROP_FIELDS": "when", "CALLVIZ_FIELD_START_TIME": "when"}, "CALLVIZ_DROP_FIELDS names when"),
    ],
)
def test_settings_that_would_hide_what_the_table_is_built_from_are_refused(
    changed: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.load(changed)


def test_a_misspelt_field_to_hide_is_told(collection: Collection[Document], settings: Settings) -> None:
    some_calls(collection, 3)
    assert refresh(settings).success
    hiding = dataclasses.replace(settings, pseudonymize=("callr",), pseudonym_key="k" * 32)
    warning = checks(refresh(hiding))["columns_stable"]
    assert not warning.passed
    assert "callr, which CALLVIZ_PSEUDONYMIZE or CALLVIZ_DROP_FIELDS names, is in no document" in (
        warning.description or ""
    )
