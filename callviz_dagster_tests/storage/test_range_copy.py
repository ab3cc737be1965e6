"""New versions of an object of which the store copies what the last one has: same bytes, fewer of them sent."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import from_url

from callviz_dagster.storage.bucket import Bucket, StoredFile
from callviz_dagster.storage.range_copy import RangeCopyError, upload_shared
from callviz_dagster.storage.shared_ranges import SharedRange, parts_of
from callviz_dagster_tests.helpers.object_store import Faults, Request

MB = 1 << 20
LEAST = 5 * MB
OLD = bytes(range(256)) * (20 * MB // 256)
CHANGE = b"one changed day"
AT = 8 * MB + 123
NEW = OLD[:AT] + CHANGE + OLD[AT + 7 :]
SHARED = [SharedRange(0, 0, AT), SharedRange(AT + 7, AT + len(CHANGE), len(OLD) - AT - 7)]


@pytest.fixture
def last(uri: str, tmp_path: Path) -> StoredFile:
    """The last version, in the bucket."""
    (tmp_path / "last.csv").write_bytes(OLD)
    return Bucket(f"{uri}/calls").upload(tmp_path / "last.csv", "calls.csv")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """The file of which a part has changed."""
    path = tmp_path / "calls.csv"
    path.write_bytes(NEW)
    return path


@pytest.mark.slow
def test_the_store_copies_what_the_last_version_has(
    uri: str, last: StoredFile, new: Path, tmp_path: Path, faults: Faults
) -> None:
    bucket = Bucket(f"{uri}/calls")
    upload = upload_shared(bucket, new, "calls.csv", last, SHARED)
    assert upload
    assert upload.sent == faults.bytes_put() == LEAST
    bucket.download(upload.stored, tmp_path / "copy.csv")
    assert (tmp_path / "copy.csv").read_bytes() == NEW
    copies = [request.headers for request in faults.requests if "x-amz-copy-source" in request.headers]
    assert len(copies) == 2
    assert all(re.fullmatch('"[0-9a-f]{32}-4"', headers["x-amz-copy-source-if-match"]) for headers in copies)
    assert upload_shared(bucket, new, "calls.csv", last, [SharedRange(0, 0, MB)]) is None


def refusing_copies(uri: str, last: StoredFile, faults: Faults) -> None:
    faults.refusal = lambda request: 501 * ("x-amz-copy-source" in request.headers)


def ignoring_copies(uri: str, last: StoredFile, faults: Faults) -> None:
    faults.ignored_headers = ("x-amz-copy-source",)


def changed_since(uri: str, last: StoredFile, faults: Faults) -> None:
    from_url(f"{uri}/calls").put(last.object, OLD[::-1])


def cut_since(uri: str, last: StoredFile, faults: Faults) -> None:
    from_url(f"{uri}/calls").put(last.object, OLD[:AT])


def collected(uri: str, last: StoredFile, faults: Faults) -> None:
    Bucket(f"{uri}/calls").delete([last.object])


def collected_meanwhile(uri: str, last: StoredFile, faults: Faults) -> None:
    def collect(request: Request) -> None:
        if "uploads" in request.path:
            Bucket(f"{uri}/calls").delete([last.object])

    faults.on_request = collect


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (changed_since, "does not show that it has copied"),
        (refusing_copies, "answers UploadPartCopy with 501"),
        (ignoring_copies, "does not show that it has copied"),
        (cut_since, r"/calls/calls-\w+-\w+\.csv is not what its record says"),
        (collected, "answers HeadObject with 404"),
        (collected_meanwhile, "answers UploadPartCopy with 404"),
    ],
)
def test_a_copy_that_fails_leaves_nothing(
    fault: Callable[[str, StoredFile, Faults], None], reason: str, uri: str, last: StoredFile, new: Path, faults: Faults
) -> None:
    fault(uri, last, faults)
    with pytest.raises(RangeCopyError, match=reason):
        upload_shared(Bucket(f"{uri}/calls"), new, "calls.csv", last, SHARED)
    assert uploads_under_way(uri) == 0
    assert {each.name for each in Bucket(f"{uri}/calls").objects()} <= {last.object}


def uploads_under_way(uri: str) -> int:
    """Return how many multipart uploads there are in a bucket that are neither complete nor aborted."""
    address = f"{os.environ['AWS_ENDPOINT_URL']}/{uri.removeprefix('s3://')}?uploads"
    with urllib.request.urlopen(address) as answer:
        return int(answer.read().count(b"<UploadId>"))


@pytest.mark.long
def test_an_upload_that_ends_early_is_aborted(uri: str, last: StoredFile, new: Path, faults: Faults) -> None:
    def remove(request: Request) -> None:
        if "uploads" in request.path:
            new.unlink(missing_ok=True)

    faults.on_request = remove
    with pytest.raises(FileNotFoundError):
        upload_shared(Bucket(uri), new, "calls.csv", dataclasses.replace(last, object=f"calls/{last.object}"), SHARED)
    assert any("uploads" in request.path for request in faults.requests)
    assert uploads_under_way(uri) == 0


def test_where_no_ranges_can_be_copied_the_reason_is_given(new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = StoredFile("calls.csv", "", len(OLD))
    with pytest.raises(RangeCopyError, match="on S3 alone"):
        upload_shared(Bucket("az://container/calls"), new, "calls.csv", last, SHARED)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "botocore.exceptions", None)
        with pytest.raises(RangeCopyError, match="botocore is not installed"):
            upload_shared(Bucket("s3://bucket/calls"), new, "calls.csv", last, SHARED)
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms")
    with pytest.raises(RangeCopyError, match="would not have the encryption of the environment"):
        upload_shared(Bucket("s3://bucket/calls"), new, "calls.csv", last, SHARED)


@given(st.lists(st.tuples(st.integers(0, 40 * MB), st.integers(1, 300 * MB), st.integers(0, 40 * MB))), st.booleans())
def test_parts_are_the_whole_file_in_pieces_that_a_store_takes(
    ranges: list[tuple[int, int, int]], has_end: bool
) -> None:
    """Each range comes after bytes of the last version alone, and bytes of the new one alone."""
    shared, old, size = [], 0, 0
    for old_alone, length, new_alone in ranges:
        old, size = old + old_alone, size + new_alone
        shared.append(SharedRange(old, size, length))
        old, size = old + length, size + length
    size += MB * has_end
    parts = parts_of(size, shared)
    assert [part.start for part in parts] == [sum(part.bytes for part in parts[:n]) for n in range(len(parts))]
    assert sum(part.bytes for part in parts) == size
    assert all(part.bytes >= LEAST for part in parts[:-1])
    for part in parts:
        assert part.bytes < 5 << 30
        if part.source is not None:
            offset = part.source - part.start
            covered = sorted(
                (each.new_start, each.bytes) for each in shared if each.old_start - each.new_start == offset
            )
            assert (
                sum(
                    max(0, min(start + length, part.start + part.bytes) - max(start, part.start))
                    for start, length in covered
                )
                == part.bytes
            )


def test_one_changed_day_of_a_large_file_is_few_parts() -> None:
    size, day = 200_000_000_000, 100_000_000
    shared = [
        SharedRange(0, 0, 1_000 * day),
        SharedRange(1_001 * day, 1_001 * day + 20, size - 1_001 * day - 20),
    ]
    parts = parts_of(size, shared)
    assert len(parts) < 10_000
    assert sum(part.bytes for part in parts if part.source is None) == day + 20
