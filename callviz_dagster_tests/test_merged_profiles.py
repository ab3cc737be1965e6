"""The profiles and samples of many partitions are what their manifests say, whatever of them is kept."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bson
import pytest

from callviz_dagster.documents.profile import Profile
from callviz_dagster.documents.recognition.evidence import Evidence
from callviz_dagster.documents.walker import Walker
from callviz_dagster.partitions import Partition, Partitioning
from callviz_dagster.storage.files import write_text
from callviz_dagster.table.manifest import Manifest, read_manifest
from callviz_dagster.table.merged_profiles import FILE, merged_profiles
from callviz_dagster_tests.helpers.recognition import gathered

FIRST = dt.date(2024, 3, 1)
DAILY = Partitioning("daily", FIRST, "UTC", "start_time").partitions(dt.datetime(2024, 5, 1, tzinfo=dt.UTC))


def write_manifest(partition: Partition, data_dir: Path, **fields: Any) -> None:
    assert partition.start
    documents = [{"_id": number, "start_time": partition.start, **fields} for number in range(partition.start.day)]
    profile = Profile()
    profile.add(Walker().walk(b"".join(map(bson.encode, documents))))
    manifest = Manifest(
        partition=partition.name,
        source="calls",
        server="standalone",
        point_in_time=False,
        snapshot_time=partition.start.isoformat(),
        cluster_time="",
        counted=len(documents),
        documents=len(documents),
        bytes=profile.bytes,
        documents_sha256="",
        resumed=0,
        profile=profile,
        span=partition.span,
        evidence=gathered(documents),
    )
    write_text(partition.manifest(data_dir), manifest.to_json())


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    for partition in DAILY:
        write_manifest(partition, tmp_path)
    return tmp_path


def merged(data_dir: Path, partitions: Sequence[Partition] = DAILY, unreadable: int = 0) -> tuple[Profile, Evidence]:
    paths: list[Path] = []
    profiles = merged_profiles(partitions, data_dir, paths.append)
    assert len(paths) == unreadable
    return profiles


def of_manifests(data_dir: Path, partitions: Sequence[Partition] = DAILY) -> tuple[Profile, Evidence]:
    profile, evidence = Profile(), Evidence()
    for partition in partitions:
        if manifest := read_manifest(partition.manifest(data_dir)):
            profile.merge(manifest.profile)
            evidence.merge(manifest.evidence or Evidence())
    return profile, evidence


def test_what_is_kept_comes_to_what_the_manifests_say(data_dir: Path) -> None:
    expected = of_manifests(data_dir)
    assert merged(data_dir) == expected
    kept = (data_dir / FILE).read_bytes()
    assert (data_dir / FILE).stat().st_mode & 0o077 == 0, "it has values of documents"
    assert merged(data_dir) == expected
    assert (data_dir / FILE).read_bytes() == kept
    write_manifest(DAILY[40], data_dir, queue="sales")
    assert merged(data_dir) == of_manifests(data_dir) != expected
    DAILY[50].manifest(data_dir).unlink()
    assert merged(data_dir) == of_manifests(data_dir)
    assert merged(data_dir, DAILY[:45]) == of_manifests(data_dir, DAILY[:45])
    assert merged(data_dir, DAILY[:1]) == of_manifests(data_dir, DAILY[:1])


def test_manifests_of_a_block_in_which_nothing_has_changed_are_not_read(data_dir: Path) -> None:
    before = merged(data_dir)
    path = DAILY[40].manifest(data_dir)
    status = path.stat()
    path.write_bytes(b"x" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert merged(data_dir) == before
    write_manifest(DAILY[41], data_dir)
    for _ in range(2):
        assert merged(data_dir, unreadable=1) == of_manifests(data_dir, [*DAILY[:40], *DAILY[41:]])


@pytest.mark.parametrize("place", [3, 100, -100])
def test_a_damaged_line_is_merged_anew(data_dir: Path, place: int) -> None:
    expected = merged(data_dir)
    content = bytearray((data_dir / FILE).read_bytes())
    content[place] ^= 1
    (data_dir / FILE).write_bytes(content)
    assert merged(data_dir) == expected
    (data_dir / FILE).write_bytes(b"\xff\n")
    assert merged(data_dir) == expected


def test_a_manifest_is_read_without_the_part_of_its_sample_that_is_left_out(data_dir: Path) -> None:
    path = DAILY[20].manifest(data_dir)
    whole = read_manifest(path)
    assert whole and whole.evidence
    keys = [document.key for document in whole.evidence.documents]
    for below in (0, keys[0], keys[0] + 1, keys[-1] + 1):
        part = read_manifest(path, evidence_below=below)
        assert part and replace(part, evidence=None) == replace(whole, evidence=None)
        documents = part.evidence.documents if part.evidence else []
        assert documents == [document for document in whole.evidence.documents if document.key < below]
    path.write_text(path.read_text()[:-10])
    assert read_manifest(path, evidence_below=0) is None, "a file that ends early"


def test_no_sample_of_other_partitions_stays_once_there_is_one_partition_alone(data_dir: Path) -> None:
    merged(data_dir)
    assert (data_dir / FILE).exists()
    assert merged(data_dir, DAILY[:1]) == of_manifests(data_dir, DAILY[:1])
    assert not (data_dir / FILE).exists()
