"""Doing two things at once: a thread that makes items ahead of the one who uses them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], most: int = 2) -> Iterator[T]:
    """Yield the same items, made by a thread that stays at most so many ahead; its errors are raised here."""
    iterator = iter(items)
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        pending = deque(pool.submit(next, iterator, end) for _ in range(most))
        while (item := pending.popleft().result()) is not end:
            pending.append(pool.submit(next, iterator, end))
            yield item  # type: ignore[misc]  # everything but `end` is a T
    finally:
        pool.shutdown(cancel_futures=True)
