"""One refresh at a time: the second waits, says for whom, and goes on even where the first was killed."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from pymongo.collection import Collection

from callviz_dagster import demo
from callviz_dagster.assets.calls import calls
from callviz_dagster.assets.calls_csv import calls_csv
from callviz_dagster.assets.common import POOL
from callviz_dagster.assets.raw_calls import raw_calls
from callviz_dagster.settings import Settings
from callviz_dagster.storage.lock import BusyError, one_at_a_time
from callviz_dagster_tests.helpers.lock import holder
from callviz_dagster_tests.helpers.refresh import failure, refresh, some_calls

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
        told = failure(refresh(settings, "raw_calls"))
    finally:
        first.communicate()
    assert f"Process {first.pid} is refreshing the files in {settings.data_dir.absolute()}" in told
    assert refresh(settings, "raw_calls").success


@pytest.mark.parametrize("asset", [raw_calls, calls, calls_csv], ids=["raw_calls", "calls", "calls_csv"])
def test_assets_that_write_shared_files_are_in_one_pool(asset: dg.AssetsDefinition) -> None:
    assert asset.op.pool == POOL


def test_the_demos_instance_lets_one_run_at_a_time_into_the_pool(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_bytes((Path(demo.__file__).parent / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        config = instance.get_concurrency_config()
        assert config.run_queue_config is not None
        assert config.run_queue_config.max_concurrent_runs == 1
        assert config.pool_config.default_pool_limit == 1
        assert config.pool_config.pool_granularity is PoolGranularity.RUN
