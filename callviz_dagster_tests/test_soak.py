"""The short form of the soak test: each fault once, with the daemon really running."""

from __future__ import annotations

from pathlib import Path

import pytest

from callviz_dagster_tests.soak import FAULTS, Fault, break_disk, kill_daemon, kill_refresh, restart_primary, soak

pytestmark = [pytest.mark.server, pytest.mark.no_cover]
SHORT = (kill_refresh, restart_primary, break_disk, kill_daemon)


@pytest.mark.parametrize("faults", [SHORT, pytest.param(FAULTS, marks=pytest.mark.long)], ids=["short", "all"])
def test_after_every_fault_calls_csv_equals_the_collection(tmp_path: Path, faults: tuple[Fault, ...]) -> None:
    done = soak(tmp_path, seconds=1, members=1, seed=7, faults=faults)
    assert {fault.__name__ for fault in faults} <= {*done}
    assert done["writes"] > 0
    assert done["calls"] > 100
