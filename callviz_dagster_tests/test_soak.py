"""The short form of the soak test: each fault once, with the daemon really running."""

from __future__ import annotations

from pathlib import Path

import pytest

from callviz_dagster_tests.soak import soak

pytestmark = pytest.mark.server


def test_after_every_fault_calls_csv_equals_the_collection(tmp_path: Path) -> None:
    done = soak(tmp_path, seconds=1, members=1, seed=7)
    assert done["restarted primaries"] == done["failing disks"] == done["killed refreshes"] == 1
    assert done["writes"] > 0
    assert done["calls"] > 100
