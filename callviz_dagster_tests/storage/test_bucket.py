"""A folder in object storage, against real servers: conditions, digests, whole objects, and what errors say."""

from __future__ import annotations

import dataclasses
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callviz_dagster.storage import bucket as module
from callviz_dagster.storage.bucket import Bucket, BucketError, ChangedError, is_object_name, object_name
from callviz_dagster_tests.helpers.object_store import CONDITIONS, Faults
from callviz_dagster_tests.storage.conftest import azure_container

pytestmark = pytest.mark.slow


@pytest.fixture(params=["s3", "az"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Give a folder in a bucket of each kind of server."""
    if request.param == "s3":
        yield request.getfixturevalue("bucket")
        return
    with azure_container(tmp_path / "azurite", monkeypatch) as uri:
        yield Bucket(f"{uri}/calls")


def test_a_store_keeps_files_and_records(store: Bucket, tmp_path: Path) -> None:
    store.require_conditions()
    path = tmp_path / "calls.csv"
    path.write_bytes(b"12345678" * (5 << 18))
    stored = store.upload(path, "calls.csv")
    assert stored.bytes == 10 << 20
    assert is_object_name(stored.object)
    copy = tmp_path / "copy"
    store.download(stored, copy, private=True)
    assert copy.read_bytes() == path.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600

    assert store.read("record.json") is None
    first = store.write("record.json", b"first", None)
    assert store.read("record.json") == (b"first", first)
    with pytest.raises(ChangedError):
        store.write("record.json", b"other", None)
    second = store.write("record.json", b"second", first)
    with pytest.raises(ChangedError):
        store.write("record.json", b"third", first)
    assert store.read("record.json") == (b"second", second)

    assert [each.name for each in store.objects()] == sorted([stored.object, "record.json"])
    store.delete([stored.object, "not-there"])
    assert [each.name for each in store.objects()] == ["record.json"]


def test_only_one_of_many_creates_a_record(bucket: Bucket) -> None:
    def create(content: bytes) -> bool:
        try:
            bucket.write("record.json", content, None)
        except ChangedError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(create, [b"%d" % n for n in range(16)])) == 1


@pytest.mark.parametrize("ignored", [CONDITIONS, CONDITIONS[:1], CONDITIONS[1:]])
def test_a_store_that_ignores_conditions_is_refused(uri: str, faults: Faults, ignored: tuple[str, ...]) -> None:
    faults.ignored_headers = ignored
    with pytest.raises(BucketError, match=r"ignores the conditions of a write .*\. Use a store that honours"):
        Bucket(uri).require_conditions()
    assert Bucket(uri).objects() == []


def test_a_write_whose_answer_is_lost_counts_as_written(uri: str, faults: Faults) -> None:
    lost = iter([True])
    faults.answer_lost = lambda request: request.method == "PUT" and next(lost, False)
    bucket = Bucket(uri)
    version = bucket.write("record.json", b"first", None)
    assert bucket.read("record.json") == (b"first", version)
    lost = iter([True])
    assert bucket.write("record.json", b"second", version) != version
    assert (bucket.read("record.json") or b"")[0] == b"second"


def test_a_store_that_comes_back_is_waited_for(uri: str, faults: Faults) -> None:
    def come_back(_: object) -> None:
        faults.away = len(faults.requests) < 4

    faults.on_request = come_back
    Bucket(uri).write("record.json", b"first", None)
    assert len(faults.requests) == 4


def test_errors_are_one_sentence_without_a_secret(
    uri: str, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Bucket("s3://test-missing/calls")
    for attempt in (lambda: missing.write("record.json", b"1", None), lambda: missing.read("a"), missing.objects):
        with pytest.raises(BucketError, match=r"The bucket test-missing does not exist, or .*: create it, or correct"):
            attempt()
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.5)
    faults.away = True
    for attempt in (lambda: Bucket(uri).read("record.json"), lambda: Bucket(uri).write("record.json", b"first", None)):
        with pytest.raises(BucketError, match="does not answer") as caught:
            attempt()
        assert "not-to-be-shown" not in str(caught.value)
        assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(BucketError, match=r"needs the extra `cloud`: `pip install"):
        Bucket(uri).read("record.json")
    monkeypatch.undo()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "not-to-be-shown")
    with pytest.raises(BucketError, match="its cloud's own variables") as refused:
        Bucket("az://container/calls").read("record.json")
    assert "not-to-be-shown" not in str(refused.value)


@pytest.mark.parametrize("status", [403, 404])
def test_what_the_environment_lacks_is_named(
    status: int, uri: str, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    faults.refusal = lambda request: status
    for attempt in (Bucket(uri).require_conditions, lambda: Bucket(uri).read("a"), Bucket(uri).objects):
        with pytest.raises(BucketError, match=r"No credentials were found .* set AWS_ACCESS_KEY_ID and AWS_SECRET_A"):
            attempt()
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-shown")
    faults.requests.clear()
    with pytest.raises(BucketError, match=r"or set AWS_ALLOW_HTTP=true for one that begins with http://\.$"):
        Bucket(uri).require_conditions()
    assert not faults.requests


def test_a_file_with_another_digest_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    path, copy = tmp_path / "calls.csv", tmp_path / "copy"
    path.write_text("calls")
    copy.write_text("what was there")
    stored = dataclasses.replace(bucket.upload(path, "calls.csv"), sha256="0" * 64)
    with pytest.raises(BucketError, match="its digest is another"):
        bucket.download(stored, copy)
    assert copy.read_text() == "what was there"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["calls.csv", "copy"]


def test_a_bucket_travels_as_its_address() -> None:
    bucket = Bucket("s3://calls/data/")
    assert b"data" in pickle.dumps(bucket)
    assert repr(pickle.loads(pickle.dumps(bucket))) == "Bucket('s3://calls/data')"


def test_names_of_objects_carry_the_digest() -> None:
    name = object_name("raw_calls/2024-05.bson.zst", "ab" * 32)
    assert name.startswith(f"raw_calls/2024-05-{'ab' * 16}-")
    assert name.endswith(".bson.zst")
    assert is_object_name(name)
    assert name != object_name("raw_calls/2024-05.bson.zst", "ab" * 32)
    assert not any(map(is_object_name, ("published.json", "raw_calls/2024-05.bson.zst", "somebody-else.csv")))
