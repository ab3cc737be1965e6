"""Doing several things at once, with threads: what NumPy, Arrow, zstd and SHA-256 do, they do side by side.

All is bounded: no more items wait than stated. What belongs elsewhere: what is done with the items.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# What bounds memory. Peak memory does not grow with the number of documents: all buffers stay below these.
WORKERS = 2
"""Threads of `parallel_map`. More make the same work wait for Python's lock, and each holds a batch of its own."""
MAX_ROW_GROUP_ROWS = 65_536
"""Rows of a Parquet row group. Fewer compress worse; a reader holds a whole row group."""
MAX_ROW_GROUP_BYTES = 128 << 20
"""Size at which a row group of long rows is closed early: three are in memory, one gathered, one written and one to be
validated."""
MAX_ROWS_VALIDATED = 2 * MAX_ROW_GROUP_ROWS
"""Rows that pandera validates at a time: beside the rows, it takes 25 ms each time."""
MAX_ROWS_READ = 16_384
"""Rows of `calls` that are read at a time: a quarter of a row group, in which calls.csv is encoded fastest."""
MAX_BYTES_READ = 64 << 20
"""About the size of the rows that are read at a time, where rows are long."""
MAX_IDS_IN_MEMORY = 16_000_000
"""Hashes of `_id` that are held at a time in the search for repeated ones: 128 MB; more take several passes."""


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prefetch(items: Iterable[T], most: int = 2) -> Iterator[T]:
    """Yield the same items, made by a thread that stays a bounded number of items ahead; its errors are raised here."""
    iterator = iter(items)
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        pending = deque(pool.submit(next, iterator, end) for _ in range(most))
        while (item := pending.popleft().result()) is not end:
            pending.append(pool.submit(next, iterator, end))
            yield item  # type: ignore[misc]  # everything but `end` is a T
    finally:
        pool.shutdown(cancel_futures=True)


def parallel_map(work: Callable[[T], R], items: Iterable[T], most: int = WORKERS + 1) -> Iterator[R]:
    """Yield what the work makes of each item, in their order; threads work on some of them at a time.

    At most that many items are under way or wait to be used. The work's errors are raised here. On one core no thread
    is started: they would only take turns.
    """
    if _cores() == 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="parallel")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def running_thread(work: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """Run `work` in a thread; at the end, set the event that it is given, and wait until it returns."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), name=name)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def loading(module: str) -> Iterator[None]:
    """Load a module in a thread inside the `with` block, and wait for it at the end; its errors are left to its users.

    For a library that a later step needs, while this one waits for a server or a disk.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="loading") as beside:
        beside.submit(_load, module)
        yield


def _load(module: str) -> None:
    """Load a module without searches for garbage in between, and leave what is loaded then out of later ones.

    A search of all objects of Dagster and pandas takes a fifth of a second, and other threads wait for it.
    """
    if module in sys.modules:
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module(module)
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
