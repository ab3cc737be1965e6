"""What threads make comes in order, is bounded, and fails where it is used."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from callviz_dagster import concurrency as pipeline
from callviz_dagster.concurrency import loading, parallel_map, prefetch

Run = Callable[[Iterable[int]], Iterator[int]]


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"], autouse=True)
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Give the process so many cores."""
    monkeypatch.setattr(pipeline, "_cores", lambda: request.param)
    cores: int = request.param
    return cores


def test_threads_work_where_there_are_cores_for_them(cores: int) -> None:
    names = set(parallel_map(lambda _: threading.current_thread().name.split("_")[0], range(9)))
    assert names == {"MainThread" if cores == 1 else "parallel"}


def own_threads() -> set[threading.Thread]:
    """Return the threads that the tested functions started; libraries start and end threads of their own."""
    return {thread for thread in threading.enumerate() if thread.name.startswith(("prefetch", "parallel"))}


def doubled(items: Iterable[int]) -> Iterator[int]:
    def double(item: int) -> int:
        time.sleep(0.001 * (item % 3))  # so that later ones are done before earlier ones
        return 2 * item

    return parallel_map(double, items)


@pytest.mark.parametrize(("run", "factor"), [(prefetch, 1), (doubled, 2)])
def test_items_come_in_their_order(run: Run, factor: int) -> None:
    assert list(run(iter(range(50)))) == [factor * item for item in range(50)]
    assert list(run([])) == []


@pytest.mark.parametrize("run", [prefetch, doubled])
def test_no_more_items_wait_than_are_said(run: Run) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    for used, _ in enumerate(run(items())):
        assert len(taken) <= used + 4


@pytest.mark.parametrize("run", [prefetch, doubled])
def test_an_error_is_raised_where_the_items_are_used_and_ends_the_threads(run: Run) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the sixth")

    used: list[int] = []
    before = own_threads()
    with pytest.raises(ValueError, match="the sixth"):
        used.extend(run(items()))
    assert len(used) >= 3
    assert own_threads() <= before


def test_an_error_of_the_work_is_raised_and_nothing_after_it_comes() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("the fourth")
        return item

    used: list[int] = []
    with pytest.raises(ValueError, match="the fourth"):
        used.extend(parallel_map(work, range(10)))
    assert used == [0, 1, 2]


def test_whoever_stops_early_ends_the_threads() -> None:
    before = own_threads()
    for item in parallel_map(lambda item: item, prefetch(range(1000))):
        if item == 5:
            assert own_threads() - before
            break
    del item
    assert own_threads() <= before


def test_a_module_is_loaded_at_the_end_of_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needed_by_a_later_step.py").write_text("loaded_in = __import__('threading').current_thread().name\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = own_threads()
    with loading("needed_by_a_later_step"):
        pass
    assert sys.modules["needed_by_a_later_step"].loaded_in.startswith("loading")
    assert own_threads() <= before


def test_no_search_for_garbage_interrupts_loading_and_none_is_missed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"without_searches_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("import gc\nsearches = gc.isenabled()\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with loading(name):
            pass
        assert not sys.modules[name].searches
        assert gc.isenabled()
        assert gc.get_freeze_count() > 1_000
        gc.unfreeze()
        with loading(name):
            pass
        assert gc.get_freeze_count() == 0, "what was loaded before is left alone"
    finally:
        gc.unfreeze()


def test_a_module_that_cannot_be_loaded_fails_where_it_is_used() -> None:
    with loading("no_such_module"):
        pass
    assert gc.isenabled()
    with pytest.raises(ImportError):
        importlib.import_module("no_such_module")
