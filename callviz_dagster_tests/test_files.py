"""Files are replaced whole or not at all, whatever happens in the middle."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bson
import pytest

from callviz_dagster.storage.archive import BsonArchiveWriter, digest_of_archive, read_archive
from callviz_dagster.storage.files import FileError, staged, stat_and_hash


def test_file_appears_whole_with_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "calls.csv"
    with staged(target, mode=0o600) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in target.parent.iterdir()] == ["calls.csv"]


def test_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "calls.csv"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), staged(target) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["calls.csv"]


def test_kill_between_write_and_swap_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "calls.csv"
    target.write_bytes(b"old")
    script = (
        "import sys, time; from pathlib import Path; from callviz_dagster.storage.files import staged\n"
        "with staged(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'new'); print('written', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    with staged(target) as temporary:
        temporary.write_bytes(b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["calls.csv"], "what the dead process left is cleared away"
    assert target.read_bytes() == b"newer"


def test_leftovers_of_a_living_process_stay(tmp_path: Path) -> None:
    theirs = tmp_path / f".calls.csv.{os.getpid()}.abc.tmp"
    theirs.write_bytes(b"at work")
    with staged(tmp_path / "calls.csv") as temporary:
        temporary.write_bytes(b"x")
    assert theirs.exists()


def test_folder_without_permission_is_told(tmp_path: Path) -> None:
    folder = tmp_path
    if os.geteuid() == 0:
        folder = Path("/sys")  # the one place where root may not write either
    else:
        folder.chmod(0o500)
    with pytest.raises(FileError, match=r"cannot be written to.*CALLVIZ_PUBLISH_DIR"), staged(folder / "calls.csv"):
        pass


def test_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(FileError, match=r"a file.*CALLVIZ_PUBLISH_DIR"), staged(tmp_path / "out" / "calls.csv"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "calls.csv"
    target.write_bytes(b"old")
    with pytest.raises(FileError, match="The disk is full"), staged(target), Path("/dev/full").open("wb") as full:
        full.write(b"x" * 100_000)
        full.flush()
    assert target.read_bytes() == b"old"


def test_archive_reads_back_document_by_document(tmp_path: Path) -> None:
    documents = [bson.encode({"_id": n, "text": "x" * (n * 7 % 1000)}) for n in range(5000)]
    with BsonArchiveWriter(tmp_path / "a.bson.zst") as archive:
        for start in range(0, 5000, 700):
            part = documents[start : start + 700]
            archive.write(b"".join(part))
    assert archive.bytes == len(b"".join(documents))
    chunks = list(read_archive(tmp_path / "a.bson.zst", chunk=10_000))
    parts = [chunk[first:end] for chunk, starts in chunks for first, end in itertools.pairwise(starts.tolist())]
    assert parts == documents, "each chunk is whole documents, and it is said where they start"
    assert digest_of_archive(tmp_path / "a.bson.zst") == archive.sha256


def test_document_larger_than_a_chunk_is_read(tmp_path: Path) -> None:
    large = bson.encode({"text": "x" * 100_000})
    with BsonArchiveWriter(tmp_path / "a.bson.zst") as archive:
        archive.write(large * 3)
    assert [part[: starts[-1]] for part, starts in read_archive(tmp_path / "a.bson.zst", chunk=1000)] == [large] * 3


def test_cut_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bson.zst"
    with BsonArchiveWriter(path) as archive:
        archive.write(bson.encode({"text": "x" * 1000})[:-1])
    with pytest.raises(FileError, match=r"ends within a document; materialize raw_calls again"):
        list(read_archive(path))


def test_damaged_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bson.zst"
    with BsonArchiveWriter(path) as archive:
        archive.write(bson.encode({"text": os.urandom(100_000)}))
    damaged = bytearray(path.read_bytes())
    path.write_bytes(damaged[: len(damaged) // 2])
    with pytest.raises(FileError, match="materialize raw_calls again"):
        list(read_archive(path))


def test_facts_are_those_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    read = stat_and_hash(tmp_path / "f")
    assert (read.bytes, read.sha256[:8], read.path) == (3, "ba7816bf", tmp_path / "f")
    assert time.time() - (tmp_path / "f").stat().st_mtime < 60
