"""Files are replaced whole or not at all, whatever happens in the middle."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bson
import pyarrow as pa
import pytest

from callviz_dagster.calls_csv import publish
from callviz_dagster.storage.archive import BsonArchiveWriter, digest_of_archive, read_archive
from callviz_dagster.storage.files import (
    FileError,
    append_range,
    explained,
    open_for_writing,
    require_writable,
    staged,
    stat_and_hash,
)
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster_tests.helpers.calls import FOOTER, business, table, write
from callviz_dagster_tests.helpers.users import as_nobody, folder_for_everybody

LOG = logging.getLogger("test")


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    with folder_for_everybody() as folder:
        yield folder


def test_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "calls.csv"
    with staged(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert [p.name for p in target.parent.iterdir()] == ["calls.csv"]


def test_a_disk_that_is_full_while_calls_csv_is_read_back_keeps_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        assert path.stat().st_size > 100, "all lines are written"
        raise OSError(errno.ENOSPC, "No space left on device")

    calls = write(tmp_path / "calls" / "all.parquet", table(business()))
    target = tmp_path / "calls.csv"
    target.write_text("the last one", encoding="utf-8")
    monkeypatch.setattr(publish, "flush", full)
    with pytest.raises(FileError, match=r"The disk is full: .*calls\.csv could not be written"):
        publish.publish_csv({calls: FOOTER}, target, "UTC", logging.getLogger(), lambda *_: None)
    assert target.read_text(encoding="utf-8") == "the last one"
    assert {path.name for path in tmp_path.iterdir()} == {"calls", "calls.csv"}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_a_new_file_has_the_permissions_that_the_umask_allows(tmp_path: Path, umask: int, mode: int) -> None:
    script = (
        "import os, sys; from pathlib import Path; from callviz_dagster.storage.files import staged\n"
        "os.umask(int(sys.argv[2]))\n"
        "with staged(Path(sys.argv[1])) as temporary: temporary.write_bytes(b'new')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "calls.csv"), str(umask)], check=True)
    assert (tmp_path / "calls.csv").stat().st_mode & 0o777 == mode


def test_a_replaced_file_keeps_the_permissions_that_it_was_given(tmp_path: Path) -> None:
    target = tmp_path / "calls.csv"
    target.write_bytes(b"old")
    target.chmod(0o604)
    with staged(target) as temporary:
        temporary.unlink()  # as the library does that writes Tableau extracts
        temporary.write_bytes(b"new")
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o604)


def test_a_private_file_is_for_its_owner_alone_while_it_is_written_too(tmp_path: Path) -> None:
    target = tmp_path / "all.parquet"
    target.write_bytes(b"old")
    target.chmod(0o644)
    with staged(target, private=True) as temporary:
        assert temporary.stat().st_mode & 0o777 == 0o600
        temporary.write_bytes(b"new")
    assert target.stat().st_mode & 0o777 == 0o600


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


def test_leftovers_are_removed_also_where_the_process_id_is_always_the_same(tmp_path: Path) -> None:
    """In a container each refresh may be process 1; whoever writes holds the lock, so nobody else is at work."""
    (tmp_path / ".call.csv.1.abc.tmp").write_bytes(b"of another file")
    for _ in range(2):
        with one_at_a_time(tmp_path, LOG, file="lock"), staged(tmp_path / "calls.csv") as temporary:
            temporary.write_bytes(b"x")
        assert sorted(path.name for path in tmp_path.iterdir()) == [".call.csv.1.abc.tmp", "calls.csv", "lock"]
        (tmp_path / f".calls.csv.{os.getpid()}.abc.tmp").write_bytes(b"left by a process that was killed")


IMPORTS = "import sys; from pathlib import Path; from callviz_dagster.storage.files import *"
STAGE = (
    "try:\n"
    "    with staged(Path(sys.argv[1])) as temporary: temporary.write_bytes(b'new')\n"
    "except FileError as error: print(error.strerror)\n"
)


def test_folder_without_permission_is_one_sentence(shared_folder: Path) -> None:
    shared_folder.chmod(0o555)
    message = as_nobody(IMPORTS, STAGE, shared_folder / "calls.csv")
    assert message == (
        f"{shared_folder} cannot be written to. Give this user write permission, or choose another folder with "
        "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR."
    ), "where there is no last good file, none is spoken of"


def test_a_file_that_may_not_be_replaced_is_one_sentence(shared_folder: Path) -> None:
    """As in /tmp: everybody may make files, and only the owner may replace them."""
    shared_folder.chmod(0o1777)
    (shared_folder / "calls.csv").write_bytes(b"old")
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file of another user")
    message = as_nobody(IMPORTS, STAGE, shared_folder / "calls.csv")
    assert message.startswith(f"{shared_folder / 'calls.csv'} cannot be replaced")
    assert message.endswith("The last good file was left as it was.")
    assert [path.name for path in shared_folder.iterdir()] == ["calls.csv"]


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").mkdir()
    with (
        pytest.raises(FileError, match=r"calls.csv is a folder, where a file is to be"),
        staged(tmp_path / "calls.csv"),
    ):
        pass


def test_a_folder_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    require_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"a file .*CALLVIZ_PUBLISH_DIR"):
        require_writable(tmp_path / "file")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can create a folder")
@pytest.mark.parametrize(
    ("folder", "settings"),
    [("/proc/x", "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR"), ("/proc/x/s3%3A%2F%2Fbucket", "CALLVIZ_SCRATCH_DIR")],
)
def test_a_folder_that_cannot_be_created_is_named_with_its_setting(folder: str, settings: str) -> None:
    with pytest.raises(FileError) as refused:
        require_writable(Path(folder))
    assert refused.value.strerror == (
        f"{folder} does not exist and cannot be created. Create it, or choose another folder with {settings}."
    )


def test_a_folder_that_cannot_be_written_to_is_found_when_it_is_tried(shared_folder: Path) -> None:
    shared_folder.chmod(0o555)
    script = "try: require_writable(Path(sys.argv[1]))\nexcept FileError as error: print(error.strerror)\n"
    assert as_nobody(IMPORTS, script, shared_folder).startswith(f"{shared_folder} cannot be written to.")


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


def test_an_archive_without_documents_is_one_empty_frame(tmp_path: Path) -> None:
    with BsonArchiveWriter(tmp_path / "a.bson.zst") as archive:
        pass
    assert pa.decompress((tmp_path / "a.bson.zst").read_bytes(), 0, codec="zstd", asbytes=True) == b""
    assert list(read_archive(tmp_path / "a.bson.zst")) == []
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


def test_an_archive_of_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bson.zst"
    with BsonArchiveWriter(path) as archive:
        archive.write(bytes(100))
    with pytest.raises(FileError, match=r"is damaged; materialize raw_calls again"):
        list(read_archive(path))


def test_a_name_that_is_too_long_is_one_sentence() -> None:
    path = Path("x" * 300)
    told = explained(OSError(errno.ENAMETOOLONG, "File name too long"), path).strerror
    assert told == (
        f"{path.absolute()} could not be written (File name too long): choose another folder with "
        "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR."
    )


def test_facts_are_those_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    read = stat_and_hash(tmp_path / "f")
    assert (read.bytes, read.sha256[:8], read.path) == (3, "ba7816bf", tmp_path / "f")
    assert time.time() - (tmp_path / "f").stat().st_mtime < 60


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize(
    ("start", "size", "appended"), [(0, 9, b"012345678"), (3, 4, b"3456"), (7, 9, b"78"), (9, 1, b"")]
)
def test_a_range_is_appended_also_where_the_system_does_not_copy_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int, size: int, appended: bytes, refused: bool
) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if refused:
        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    source = tmp_path / "source"
    source.write_bytes(b"012345678")
    with open_for_writing(tmp_path / "target") as target:
        target.write(b"before ")
        append_range(source, start, size, target)
        target.write(b" after")
        append_range(source, start, size, target)
    assert (tmp_path / "target").read_bytes() == b"before " + appended + b" after" + appended
