"""The lease on a folder in a bucket: one holder at a time, also after a holder was killed or stopped."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from callviz_dagster.storage import lease as module
from callviz_dagster.storage.bucket import Bucket, BucketError
from callviz_dagster.storage.lease import held_lease, lease_holder
from callviz_dagster.storage.lock import BusyError
from callviz_dagster_tests.helpers.object_store import Faults
from callviz_dagster_tests.helpers.processes import wait_for

pytestmark = pytest.mark.slow
LOG = logging.getLogger(__name__)
_HOLD = """
import logging, sys, time
from callviz_dagster.storage.bucket import Bucket
from callviz_dagster.storage.lease import held_lease
with held_lease(Bucket(sys.argv[1]), logging.getLogger()):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)


def test_of_16_drivers_one_gets_the_lease(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 120.0)
    refused = threading.Semaphore(0)

    def take(_: int) -> int:
        try:
            with held_lease(bucket, LOG, wait_seconds=0) as lease:
                for _ in range(15):
                    assert refused.acquire(timeout=60), "two hold the lease"
                lease.require()
                return lease.number
        except BusyError:
            refused.release()
            return 0

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(take, range(16))) == [0] * 15 + [1]
    assert lease_holder(bucket) == ""


def test_a_lease_that_is_renewed_is_not_taken_over(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with held_lease(bucket, LOG) as lease:
        assert lease_holder(bucket).startswith(f"process {os.getpid()} on ")
        refused = pytest.raises(BusyError, match=f"process {os.getpid()} on .* is refreshing the files in s3://")
        with refused, held_lease(bucket, LOG, wait_seconds=4.0):
            pass
        lease.require()
    assert len([text for text in caplog.messages if text.startswith("Waiting for process")]) == 1


def test_the_lease_of_a_killed_process_is_taken_over(bucket: Bucket) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLD, bucket.uri], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"
        process.kill()
    with held_lease(bucket, LOG) as lease:
        assert lease.number == 2
        assert lease.taken_over
    with held_lease(bucket, LOG) as next_lease:
        assert not next_lease.taken_over


def test_a_holder_that_was_stopped_has_lost_the_lease(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stopped:
        stopped.setattr(module.Lease, "renew", lambda self: None)
        with held_lease(bucket, LOG) as lease:
            with held_lease(bucket, LOG) as newer:
                assert newer.taken_over
                stopped.undo()
                wait_for("the end of the first lease", lambda: not _holds(lease))
                newer.require()
            assert not _holds(lease)
    assert lease_holder(bucket) == ""


def _holds(lease: module.Lease) -> bool:
    try:
        lease.require()
    except BucketError as error:
        assert re.search(r"has taken over the refresh of s3://|does not answer", str(error))
        return False
    return True


def test_a_holder_that_does_not_reach_the_store_cannot_publish(
    uri: str, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket(uri)
    with held_lease(bucket, LOG) as lease:
        faults.away = True
        wait_for("the end of the lease", lambda: not _holds(lease))
        assert any("could not be renewed" in text for text in caplog.messages)
        faults.away = False
        assert _holds(lease), "nobody has taken it over"
