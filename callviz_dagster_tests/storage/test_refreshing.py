"""Steps on folders in a bucket: drivers that are killed, stalled or at work at once, and stores that go away."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from callviz_dagster.setting_values.bucket_uri import folder
from callviz_dagster.storage import bucket, lease, refreshing, working_copy
from callviz_dagster.storage.bucket import BucketError, ChangedError
from callviz_dagster.storage.bucket_publication import PublicationRecord
from callviz_dagster.storage.files import stat_and_hash, write_text
from callviz_dagster.storage.published import InputFile, Snapshot, record_file
from callviz_dagster.storage.refreshing import changed_published, read_published, refreshing_process, require_reachable
from callviz_dagster.storage.shared_ranges import SharedRange
from callviz_dagster.tableau_server.record import Place, ServerRecord, read_server_record, write_server_record
from callviz_dagster_tests.helpers.cloud import objects, read_json
from callviz_dagster_tests.helpers.object_store import CONDITIONS, Faults, Request

pytestmark = pytest.mark.slow
LOG = logging.getLogger(__name__)
FILE = "calls/all.parquet"
NAMES = ("data", "published")
_KILLED = """
import os, signal, sys
from pathlib import Path
from callviz_dagster.storage.bucket import Bucket
from callviz_dagster_tests.storage.test_refreshing import Machine
write = Bucket.write
def dying(bucket, name, content, expected):
    if name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(bucket, name, content, expected)
Bucket.write = dying
Machine(sys.argv[1], Path(sys.argv[2])).publish("newer")
"""


@dataclass(frozen=True)
class Machine:
    """A machine with a scratch folder of its own."""

    uri: str
    scratch_dir: Path

    @property
    def data_dir(self) -> Path:
        return self.scratch_dir / folder(f"{self.uri}/data")

    @property
    def publish_dir(self) -> Path:
        return self.scratch_dir / folder(f"{self.uri}/published")

    def step(self, *needs: str) -> contextlib.AbstractContextManager[refreshing.WorkingCopies]:
        return refreshing.refreshing(self.data_dir, self.publish_dir, LOG, lambda name: name in needs)

    def publish(self, text: str, *names: str) -> None:
        """Make `calls` of a text, and the published files from it, in a step each."""
        with self.step():
            write_text(self.data_dir / FILE, text)
        for name in names or ("calls.csv", "call_dashboard.html"):
            with self.step(FILE):
                write_text(self.publish_dir / name, f"{name} of {text}")
                made_from = {FILE: InputFile(stat_and_hash(self.data_dir / FILE).sha256)}
                snapshot = Snapshot(time=dt.datetime.now(dt.UTC).isoformat(), source=text)
                record_file(stat_and_hash(self.publish_dir / name), made_from, snapshot)

    def published(self) -> dict[str, str]:
        """Return what readers see; the Parquet files by their names."""
        record = read_json(self.publish_dir, "published.json")
        store = bucket.Bucket(f"{self.uri}/published")
        return {
            name: (store.read(entry["object"]) or (b"",))[0].decode()
            for name, entry in {**record["files"], **{each["name"]: each for each in record["parquet"]}}.items()
        }


@pytest.fixture
def machines(uri: str, tmp_path: Path) -> tuple[Machine, Machine]:
    """Two machines that share a bucket and nothing else."""
    return Machine(uri, tmp_path / "one"), Machine(uri, tmp_path / "two")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    monkeypatch.setattr(lease, "_POLL_SECONDS", 0.05)


def of(text: str) -> dict[str, str]:
    return {"calls.csv": f"calls.csv of {text}", "call_dashboard.html": f"call_dashboard.html of {text}", FILE: text}


def test_readers_see_files_that_belong_together(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.publish("old")
    assert one.published() == of("old")
    two.publish("newer", "calls.csv")
    assert one.published() == of("old"), "the page is not of these calls yet"
    assert read_published(one.publish_dir).snapshot.source == "old"
    assert read_published(one.publish_dir, pending=True).snapshot.source == "newer"
    assert changed_published(one.publish_dir, read_published(one.publish_dir)) == []
    # On the first machine, whose own files are the old ones.
    with one.step(FILE, "calls.csv"):
        assert (one.publish_dir / "calls.csv").read_text() == "calls.csv of newer"
        assert (one.data_dir / FILE).read_text() == "newer"
        write_text(one.publish_dir / "call_dashboard.html", "call_dashboard.html of newer")
        made_from = {FILE: InputFile(stat_and_hash(one.data_dir / FILE).sha256)}
        record_file(stat_and_hash(one.publish_dir / "call_dashboard.html"), made_from, Snapshot(source="newer"))
    assert one.published() == of("newer")
    # A reader may still follow the record before.
    old = objects(one.publish_dir) - {"published.json"}
    assert len(old) == 6
    monkeypatch.setattr(working_copy, "KEPT", dt.timedelta(seconds=-1))
    for text in ("newest", "newest of all"):
        one.publish(text)
        assert one.published() == of(text)
    assert not old & objects(one.publish_dir)
    assert len(objects(one.publish_dir)) <= 7, "those that readers see, and those that the last write has replaced"
    bucket.Bucket(f"{one.uri}/published").delete([name for name in objects(one.publish_dir) if "dashboard" in name])
    assert changed_published(one.publish_dir, read_published(one.publish_dir)) == ["call_dashboard.html"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_deleted_object_of_the_data_folder_counts_as_a_file_that_is_not_there(
    elsewhere: bool, machines: tuple[Machine, Machine], caplog: pytest.LogCaptureFixture
) -> None:
    """On the machine that has the file it is uploaded again; elsewhere a refresh writes it as if it were new."""
    one, two = machines
    one.publish("old")
    data = bucket.Bucket(f"{one.uri}/data")
    gone = read_json(one.data_dir, "files.json")["files"][FILE]["object"]
    data.delete([gone])
    machine = two if elsewhere else one
    with machine.step(FILE):
        assert (machine.data_dir / FILE).exists() is not elsewhere
    assert f"{one.uri}/data: the objects of {FILE} are missing or have another size." in caplog.text
    assert (FILE in read_json(one.data_dir, "files.json")["files"]) is not elsewhere
    machine.publish("old")
    with dataclasses.replace(two, scratch_dir=two.scratch_dir / "third").step(FILE):
        pass
    assert read_json(one.data_dir, "files.json")["files"][FILE]["object"] in objects(one.data_dir) - {gone}
    assert one.published() == of("old")


def test_an_object_that_a_list_of_the_store_does_not_show_yet_is_not_missing(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.publish("old")
    copy = working_copy.WorkingCopy(bucket.Bucket(f"{one.uri}/data"), two.data_dir)
    copy.read()
    monkeypatch.setattr(copy.bucket, "objects", list)
    assert copy.record.files
    assert copy.find_missing() == []


def test_a_deleted_published_object_is_uploaded_again_from_the_files_that_are_there(
    machines: tuple[Machine, Machine],
) -> None:
    """A Parquet file is in the data folder, so any machine can; `calls.csv` is made again elsewhere."""
    one, two = machines
    one.publish("old")
    publish = bucket.Bucket(f"{one.uri}/published")

    def delete(*names: str) -> None:
        record = read_json(one.publish_dir, "published.json")
        entries = {each["name"]: each for each in record["parquet"]} | record["files"]
        publish.delete([entries[name]["object"] for name in names])
        assert {*changed_published(one.publish_dir, read_published(one.publish_dir))} == {*names}

    for machine, names in ((two, [FILE]), (one, [FILE, "calls.csv"])):
        delete(*names)
        with machine.step(FILE):
            pass
        assert one.published() == of("old")
    delete("calls.csv", "call_dashboard.html")
    with two.step(FILE):
        pass
    two.publish("old")
    assert one.published() == of("old")
    assert changed_published(one.publish_dir, read_published(one.publish_dir)) == []


def test_objects_of_a_collection_in_a_folder_below_are_let_alone(
    machines: tuple[Machine, Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = machines
    file = tmp_path / "file"
    file.write_text("of another collection")
    names = ("below/calls.csv", "below/calls/all.parquet", "below/raw_calls/all.json", "calls/calls.csv")
    below = {bucket.Bucket(f"{one.uri}/{outer}").upload(file, name).object for outer in NAMES for name in names}
    monkeypatch.setattr(working_copy, "KEPT", dt.timedelta(seconds=-1))
    for text in ("old", "newer"):
        one.publish(text)
    assert below <= objects(one.data_dir) | objects(one.publish_dir)


@pytest.mark.parametrize("record", ["files.json", pytest.param("published.json", marks=pytest.mark.long)])
def test_a_driver_that_is_killed_between_upload_and_swap_publishes_nothing(
    record: str, machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.publish("old")
    before = objects(one.data_dir) | objects(one.publish_dir)
    done = subprocess.run([sys.executable, "-c", _KILLED, one.uri, str(one.scratch_dir), record])
    assert done.returncode == -signal.SIGKILL
    left = (objects(one.data_dir) | objects(one.publish_dir)) - before
    assert left, "what it has uploaded is there, and no record names it"
    assert one.published() == of("old")
    monkeypatch.setattr(working_copy, "KEPT", dt.timedelta(seconds=-1))
    for machine, text in ((one, "newer"), (two, "newer still"), (one, "newest")):
        machine.publish(text)
        assert machine.published() == of(text)
    assert not left & (objects(one.data_dir) | objects(one.publish_dir))


def test_two_drivers_at_once_take_turns(machines: tuple[Machine, Machine]) -> None:
    def count(machine: Machine) -> None:
        for _ in range(5):
            with machine.step(FILE):
                path = machine.data_dir / FILE
                number = int(path.read_text()) if path.exists() else 0
                write_text(path, str(number + 1))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, machines))
    with machines[0].step(FILE):
        assert (machines[0].data_dir / FILE).read_text() == "10"


def test_a_driver_that_was_stopped_cannot_publish_over_a_newer_one(
    machines: tuple[Machine, Machine], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped at the worst moment: after it has seen that it holds the lease, and before it swaps the record."""
    one, two = machines
    one.publish("old")
    stopped, goes_on = threading.Event(), threading.Event()

    def stop(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith("data/files.json") and not stopped.is_set():
            stopped.set()
            goes_on.wait(60)

    faults.on_request = stop
    monkeypatch.setattr(lease.Lease, "renew", lambda self: None)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(one.publish, "late")
        assert stopped.wait(60)
        with two.step(FILE) as copies:
            assert copies.data
            assert copies.published
            elsewhere = dataclasses.replace(one, scratch_dir=one.scratch_dir / "elsewhere")
            assert refreshing_process(elsewhere.data_dir).startswith(f"process {os.getpid()} on ")
            write_text(two.data_dir / FILE, "newer")
            # The newer one has not swapped yet: the older one is refused all the same.
            goes_on.set()
            with pytest.raises(ChangedError, match=r"files\.json was written by another process"):
                late.result()
    with two.step(FILE):
        assert (two.data_dir / FILE).read_text() == "newer"
    assert two.published() == of("old")


def test_a_store_that_is_away_for_a_while_is_waited_for(machines: tuple[Machine, Machine], faults: Faults) -> None:
    one, _ = machines
    one.publish("old")
    refused: list[str] = []

    def away(request: Request) -> None:
        faults.away = request.method == "PUT" and len(refused) < 3
        if faults.away:
            refused.append(request.path)

    faults.on_request = away
    one.publish("newer")
    assert len(refused) == 3
    assert one.published() == of("newer")


def test_a_store_that_stays_away_is_one_sentence_and_the_last_good_record_stays(
    machines: tuple[Machine, Machine], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.publish("old")
    monkeypatch.setattr(bucket, "RETRY_SECONDS", 1.0)

    def fail(request: Request) -> None:
        faults.away = request.method == "PUT" and f"/{FILE.partition('.')[0]}" in request.path

    faults.on_request = fail
    with pytest.raises(BucketError, match=r"^\[Errno \d+\] The store of s3://\S+ does not answer \(status 503\)"):
        one.publish("newer")
    faults.on_request = lambda request: None
    faults.away = False
    assert one.published() == of("old")
    for machine in (one, two):
        with machine.step(FILE):
            assert (machine.data_dir / FILE).read_text() == "old"


def test_a_step_that_fails_keeps_what_it_has_replaced(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    one.publish("old")
    with pytest.raises(ValueError, match="audit"), one.step():
        write_text(one.data_dir / "rejected_calls/all.parquet", "rejected")
        raise ValueError("audit")
    with two.step("rejected_calls/all.parquet"):
        assert (two.data_dir / "rejected_calls/all.parquet").read_text() == "rejected"
        assert not (two.data_dir / FILE).exists(), "not needed, so it stays in the bucket"
        (two.data_dir / "rejected_calls/all.parquet").unlink()
    assert read_json(one.data_dir, "files.json")["files"].keys() == {FILE}
    assert not any("rejected" in name for name in objects(one.data_dir)), "whole documents go at once"
    assert one.published() == of("old")


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(
    machines: tuple[Machine, Machine], faults: Faults
) -> None:
    faults.ignored_headers = CONDITIONS
    one, _ = machines
    with pytest.raises(BucketError, match="ignores the conditions of a write"):
        one.publish("old")
    with pytest.raises(BucketError, match="ignores the conditions of a write"):
        require_reachable(one.data_dir)
    assert objects(one.data_dir) == objects(one.publish_dir) == set()
    faults.ignored_headers = ()
    assert require_reachable(one.data_dir).startswith(f"{one.uri}/data can be written to, and its store honours")


def test_each_step_may_be_on_a_machine_of_its_own(uri: str, tmp_path: Path) -> None:
    for text in ("old", "newer"):
        Machine(uri, tmp_path / f"{text} calls").publish(text, "calls.csv")
        page = Machine(uri, tmp_path / f"{text} page")
        page.publish(text, "call_dashboard.html")
        assert not (page.publish_dir / "calls.csv").exists(), "not needed, so it stays in the bucket"
        assert page.published() == of(text)


@pytest.mark.parametrize("on_disk", ["data", "published"])
def test_one_of_the_folders_may_be_on_disk(on_disk: str, uri: str, tmp_path: Path) -> None:
    places = {
        name: tmp_path / "disk" / name if name == on_disk else tmp_path / folder(f"{uri}/{name}") for name in NAMES
    }
    data_dir, publish_dir = places["data"], places["published"]
    for text in ("old", "newer"):
        with refreshing.refreshing(data_dir, publish_dir, LOG, lambda name: True):
            write_text(data_dir / FILE, text)
            write_text(publish_dir / "calls.csv", f"calls.csv of {text}")
            made_from = {FILE: InputFile(stat_and_hash(data_dir / FILE).sha256)}
            record_file(stat_and_hash(publish_dir / "calls.csv"), made_from, Snapshot(source=text))
        assert read_published(publish_dir).files["calls.csv"].bytes == len(f"calls.csv of {text}")
    record = "published.json" if on_disk == "data" else "files.json"
    in_bucket = objects(places["published" if on_disk == "data" else "data"])
    assert record in in_bucket
    assert ("lease.json" in in_bucket) == (on_disk == "published")


def test_a_record_that_is_no_part_of_a_refresh_is_in_the_bucket_too(machines: tuple[Machine, Machine]) -> None:
    """What was published to a Tableau server is recorded under a lock of its own."""
    one, two = machines
    assert read_server_record(one.data_dir) == ServerRecord()
    for creating in (("first",), ("first", "second")):
        record = ServerRecord(creating=tuple(Place("server", "site", "project", "workbook", name) for name in creating))
        write_server_record(one.data_dir, record)
        one.publish(creating[-1])
        assert read_server_record(two.data_dir) == record


def test_a_record_of_another_version_is_refused(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    one.publish("old")
    store = bucket.Bucket(f"{one.uri}/data")
    content, version = store.read("files.json") or (b"", None)
    store.write("files.json", content.replace(b'"format_version": 1', b'"format_version": 2'), version)
    with pytest.raises(BucketError, match=r"files\.json is damaged, or was written by another version"), one.step():
        pass
    with pytest.raises(BucketError, match=r"files\.json is damaged"):
        require_reachable(one.data_dir)
    assert dataclasses.replace(one).published() == of("old")


@pytest.mark.parametrize("key", ["files", "parquet", "pending", "replaced", "snapshot"])
def test_a_record_with_wrong_types_is_refused_by_check_and_may_be_deleted(
    key: str, machines: tuple[Machine, Machine]
) -> None:
    one, two = machines
    record = PublicationRecord().to_json(1) | {"format_version": 1}
    store = bucket.Bucket(f"{one.uri}/published")
    store.write("published.json", json.dumps(record | {key: [1]}).encode(), None)
    with pytest.raises(BucketError, match=r"published\.json is damaged.*or delete it and refresh everything\.$"):
        require_reachable(one.publish_dir)
    if key == "files":
        store.delete(["published.json"])
        one.publish("old")
        store.delete(["published.json"])
        bucket.Bucket(f"{one.uri}/data").delete(["files.json"])
        for machine in (one, two):
            machine.publish("newer")
            assert machine.published() == of("newer")


def test_bytes_that_the_last_version_has_are_not_sent_again(
    machines: tuple[Machine, Machine], faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the store does not copy them, the whole file is."""
    caplog.set_level(logging.INFO)
    one, _ = machines
    lines = "a line of calls\n" * 700_000

    def publish(text: str) -> int:
        faults.requests.clear()
        with one.step("calls.csv") as copies:
            assert copies.published
            write_text(one.publish_dir / "calls.csv", text)
            copies.published.share("calls.csv", [SharedRange(0, 0, len(lines))])
            record_file(stat_and_hash(one.publish_dir / "calls.csv"), {}, Snapshot(time=str(len(text))))
        record = read_json(one.publish_dir, "published.json")
        content, _ = bucket.Bucket(f"{one.uri}/published").read(record["files"]["calls.csv"]["object"]) or (b"", None)
        assert content == text.encode()
        return faults.bytes_put("/published/calls-")

    assert publish(lines) == len(lines)
    assert publish(f"{lines}one more") == len("one more")
    assert "calls.csv: 0.0 of 11.2 MB were sent." in caplog.text
    faults.refusal = lambda request: 501 * ("x-amz-copy-source" in request.headers)
    assert publish(f"{lines}one other") == len(lines) + len("one other")
    assert "calls.csv is uploaded whole: the store answers UploadPartCopy with 501." in caplog.text
