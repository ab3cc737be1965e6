"""One refresh at a time: the second waits, says for whom, and goes on even where the first was killed."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from pymongo.collection import Collection

import callviz_dagster
from callviz_dagster.assets.calls import build_calls
from callviz_dagster.assets.calls_csv import build_calls_csv
from callviz_dagster.assets.raw_calls import build_raw_calls
from callviz_dagster.names import STAND_ALONE, Names
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import FileError
from callviz_dagster.storage.lock import FILE, BusyError, held_by, one_at_a_time
from callviz_dagster_tests.helpers.lock import holder
from callviz_dagster_tests.helpers.refresh import failure, refresh, some_calls
from callviz_dagster_tests.helpers.users import as_nobody, folder_for_everybody

LOG = logging.getLogger("test")


def test_the_second_waits_until_the_first_is_done_and_says_for_whom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = holder(tmp_path)
    assert first.stdin is not None
    threading.Timer(0.5, first.stdin.close).start()
    with one_at_a_time(tmp_path, LOG):
        assert first.wait() == 0
    assert f"Waiting for process {first.pid}, which is refreshing the same files" in caplog.text


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    first = holder(tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    with one_at_a_time(tmp_path, LOG, wait_seconds=30):
        pass


def test_folders_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path / "a", LOG), one_at_a_time(tmp_path / "b", LOG, wait_seconds=0):
        pass


def test_whoever_waits_too_long_is_told_who_is_at_it(tmp_path: Path) -> None:
    first = holder(tmp_path)
    try:
        with (
            pytest.raises(BusyError, match=f"Process {first.pid} is refreshing the files in"),
            one_at_a_time(tmp_path, LOG, wait_seconds=0.1),
        ):
            pass
    finally:
        first.communicate()


def test_a_refresh_that_cannot_start_says_why(
    settings: Settings, collection: Collection[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    some_calls(collection)
    monkeypatch.setattr("callviz_dagster.storage.lock.WAIT_SECONDS", 0.1)
    first = holder(settings.data_dir)
    try:
        message = failure(refresh(settings, "raw_calls"))
    finally:
        first.communicate()
    assert f"Process {first.pid} is refreshing the files in {settings.data_dir.absolute()}" in message
    assert refresh(settings, "raw_calls").success


LOCK_AND_LOOK = (
    "for attempt in (lambda: one_at_a_time(Path(sys.argv[1]), logging.getLogger()).__enter__(), "
    "lambda: held_by(Path(sys.argv[1]))):\n"
    "    try: print(attempt())\n"
    "    except FileError as error: print(error.strerror)\n"
)
IMPORTS = (
    "import fcntl, logging, sys; from pathlib import Path\n"
    "from callviz_dagster.storage.lock import FileError, held_by, one_at_a_time"
)


def test_a_data_folder_that_cannot_be_written_to_is_one_sentence() -> None:
    with folder_for_everybody() as folder:
        folder.chmod(0o555)
        taken, holder_shown = as_nobody(IMPORTS, LOCK_AND_LOOK, folder).split("\n")
    assert taken == (
        f"{folder} cannot be written to. Give this user write permission, or choose another folder with "
        "CALLVIZ_DATA_DIR or CALLVIZ_PUBLISH_DIR."
    )
    assert holder_shown == "", "where there is no lock file, nobody is refreshing"


def test_a_lock_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(FileError, match="cannot be a folder because a file"),
        one_at_a_time(tmp_path / "file" / "data", LOG),
    ):
        pass
    assert held_by(tmp_path / "file") == "", "where there is no folder, nobody is refreshing"
    (tmp_path / FILE).symlink_to(FILE)
    for attempt in (lambda: one_at_a_time(tmp_path, LOG).__enter__(), lambda: held_by(tmp_path)):
        with pytest.raises(FileError, match=f"{FILE} could not be written"):
            attempt()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a file of another user")
@pytest.mark.parametrize(("mode", "holder_shown"), [(0o644, ""), (0o600, "cannot be opened: another user has made it")])
def test_a_lock_file_of_another_user_is_one_sentence(mode: int, holder_shown: str) -> None:
    with folder_for_everybody() as folder:
        folder.chmod(0o777)
        (folder / FILE).touch()
        (folder / FILE).chmod(mode)
        lines = [*as_nobody(IMPORTS, LOCK_AND_LOOK, folder).split("\n"), ""][:2]
    assert lines[0].startswith(f"{folder / FILE} cannot be opened: another user has made it. ")
    assert holder_shown in lines[1]


@pytest.mark.parametrize("build", [build_raw_calls, build_calls, build_calls_csv])
def test_assets_that_write_shared_files_are_in_one_pool(build: Callable[[Names], dg.AssetsDefinition]) -> None:
    assert build(STAND_ALONE).op.pool == "callviz"
    assert build(Names("support_calls")).op.pool == "callviz_support_calls"


@pytest.mark.slow
def test_the_demos_instance_lets_one_run_at_a_time_into_the_pool(tmp_path: Path) -> None:
    configuration = Path(callviz_dagster.__file__).parent / "local" / "dagster.yaml"
    (tmp_path / "dagster.yaml").write_bytes(configuration.read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        config = instance.get_concurrency_config()
        assert config.run_queue_config is not None
        assert config.run_queue_config.max_concurrent_runs == 1
        assert config.pool_config.default_pool_limit == 1
        assert config.pool_config.pool_granularity is PoolGranularity.RUN
