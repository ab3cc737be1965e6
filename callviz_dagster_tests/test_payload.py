"""The counts as the page holds them: read back, they add up; damaged, they say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callviz_dagster.dashboard import payload
from callviz_dagster.dashboard.axes import CountOptions
from callviz_dagster.dashboard.counts import MAX_CELLS, Counts, count_calls
from callviz_dagster.dashboard.payload import payload_totals, to_payload
from callviz_dagster_tests.helpers.calls import business, table


def counted(number: int, *, max_cells: int = MAX_CELLS) -> Counts:
    calls = table(business(number))
    return count_calls(lambda columns: [calls.select(list(columns))], CountOptions(), max_cells=max_cells)


@pytest.mark.parametrize("max_cells", [MAX_CELLS, 500])
def test_counts_are_read_back(max_cells: int) -> None:
    without = sum(duration is None for *_, duration in business())
    totals = payload_totals(to_payload(counted(3000, max_cells=max_cells)))
    assert [cube.calls for cube in totals] == [3000] * len(totals)
    assert [cube.without_duration for cube in totals] == ([without] if len(totals) == 1 else [None, without])


def test_days_are_written_as_days_after_the_cell_before() -> None:
    counts = counted(500)
    (cube,) = to_payload(counts)["cubes"]
    steps = payload._decoded(cube["columns"]["day"], cube["cells"])
    days = np.cumsum(steps) % counts.days.size
    assert counts.days[days].tolist() == counts.cubes[0].day.tolist()
    assert steps.max() < counts.days.size


@pytest.mark.parametrize("cells", [1, 49, 0, 10**9])
def test_counts_that_are_incomplete_are_reported(cells: int) -> None:
    data = to_payload(counted(50))
    data["cubes"][0]["cells"] = cells if cells != 1 else data["cubes"][0]["cells"] + 1
    with pytest.raises(ValueError, match="says that it holds"):
        payload_totals(data)


def test_counts_that_cannot_be_inflated_are_reported() -> None:
    data = to_payload(counted(50))
    data["cubes"][0]["columns"]["calls"] = "AAAA"
    with pytest.raises(ValueError, match="damaged"):
        payload_totals(data)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_any_numbers_are_read_back(numbers: list[int]) -> None:
    text = payload._encoded(np.array(numbers, np.int64))
    assert payload._decoded(text, len(numbers)).tolist() == numbers
