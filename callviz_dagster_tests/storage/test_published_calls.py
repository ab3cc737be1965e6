"""The calls that readers get: those that were published, from a bucket or from disk, or an error."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from callviz_dagster.notebook import load_calls
from callviz_dagster.settings import Settings
from callviz_dagster.storage.bucket import Bucket, BucketError
from callviz_dagster.storage.files import FileError, stat_and_hash, write_text
from callviz_dagster.storage.published import InputFile, Snapshot, record_file
from callviz_dagster.storage.refreshing import place, published_calls
from callviz_dagster_tests.helpers.cloud import objects, read_json
from callviz_dagster_tests.helpers.object_store import Faults, Request
from callviz_dagster_tests.storage.test_refreshing import FILE, Machine

DAY = "calls/2024-05-01.parquet"


def texts(data_dir: Path, publish_dir: Path) -> dict[str, str]:
    with published_calls(data_dir, publish_dir) as paths:
        return {path.name: path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture
def machine(uri: str, tmp_path: Path) -> Machine:
    """A machine that has published into a bucket."""
    machine = Machine(uri, tmp_path / "one")
    machine.publish("old", "calls.csv")
    return machine


def parquet_object(machine: Machine) -> str:
    (entry,) = read_json(machine.publish_dir, "published.json")["parquet"]
    name: str = entry["object"]
    return name


def test_after_an_interrupted_publish_readers_get_the_calls_that_were_published(machine: Machine) -> None:
    machine.publish("old", "call_dashboard.html")
    machine.publish("newer", "calls.csv")
    assert read_json(machine.publish_dir, "published.json")["pending"], "the page is not of these calls yet"
    data = Bucket(place(machine.data_dir))
    data.delete([*objects(machine.data_dir)])
    shutil.rmtree(machine.scratch_dir)
    assert texts(machine.data_dir, machine.publish_dir) == {"all.parquet": "old"}
    assert not machine.scratch_dir.exists()


def test_a_damaged_object_is_refused(machine: Machine) -> None:
    store, name = Bucket(place(machine.publish_dir)), parquet_object(machine)
    assert texts(machine.data_dir, machine.publish_dir) == {"all.parquet": "old"}
    stored = store.read(name)
    assert stored
    store.write(name, b"odd", stored[1])
    with pytest.raises(BucketError, match=f"{re.escape(name)} is not the file that its record names"):
        texts(machine.data_dir, machine.publish_dir)


def test_for_an_object_that_is_gone_the_record_is_read_again_once(machine: Machine, faults: Faults) -> None:
    store, name = Bucket(place(machine.publish_dir)), parquet_object(machine)

    def swap(request: Request) -> None:
        if name in request.path:
            faults.on_request = lambda request: None
            machine.publish("newer", "calls.csv")
            store.delete([name])

    faults.on_request = swap
    assert texts(machine.data_dir, machine.publish_dir) == {"all.parquet": "newer"}

    store.delete([parquet_object(machine)])
    faults.requests.clear()
    with pytest.raises(BucketError, match=r"calls/all-.*\.parquet is not there"):
        texts(machine.data_dir, machine.publish_dir)
    assert len([each for each in faults.requests if each.path.endswith("/published.json")]) == 2


def test_before_the_first_refresh_the_error_names_the_command(uri: str, tmp_path: Path) -> None:
    machine = Machine(uri, tmp_path)
    for publish_dir in (machine.publish_dir, tmp_path / "on disk"):
        with pytest.raises(FileNotFoundError, match=f"published in {re.escape(place(publish_dir))} yet: run"):
            texts(tmp_path, publish_dir)


def publish_on_disk(folder: Path, *names: str) -> None:
    """Write `calls` files into a data folder, and `calls.csv` that was made from them into a publish folder."""
    for name in names:
        write_text(folder / "data" / name, f"{name} as published")
    write_text(folder / "publish/calls.csv", "calls")
    made_from = {name: InputFile(stat_and_hash(folder / "data" / name).sha256) for name in names}
    record_file(stat_and_hash(folder / "publish/calls.csv"), made_from, Snapshot())


def test_on_disk_files_of_a_partitioning_that_was_not_published_are_passed_over(tmp_path: Path) -> None:
    publish_on_disk(tmp_path, FILE)
    write_text(tmp_path / "data" / DAY, "a part of the calls")
    assert texts(tmp_path / "data", tmp_path / "publish") == {"all.parquet": f"{FILE} as published"}


@pytest.mark.parametrize("fault", ["missing", "newer"])
def test_on_disk_calls_that_were_not_published_are_refused(tmp_path: Path, fault: str) -> None:
    publish_on_disk(tmp_path, DAY, FILE)
    if fault == "missing":
        (tmp_path / "data" / DAY).unlink()
    else:
        write_text(tmp_path / "data" / DAY, "newer")
    with pytest.raises(FileError, match=rf"{DAY} is missing or has changed \(1 of 2 files\)"):
        texts(tmp_path / "data", tmp_path / "publish")


def test_on_disk_calls_that_are_replaced_while_they_are_read_are_refused(tmp_path: Path) -> None:
    publish_on_disk(tmp_path, DAY)
    with (
        pytest.raises(FileError, match="has changed"),
        published_calls(tmp_path / "data", tmp_path / "publish") as (path,),
    ):
        write_text(path, "newer")


def test_a_file_of_another_version_is_never_left_out(tmp_path: Path) -> None:
    publish_on_disk(tmp_path, DAY)
    with pytest.raises(FileError, match=r"written by another version of callviz \(2024-05-01\.parquet\)"):
        load_calls(Settings(data_dir=tmp_path / "data", publish_dir=tmp_path / "publish"))
