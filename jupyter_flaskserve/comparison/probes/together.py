"""Requests that are sent at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["together"]

Result = TypeVar("Result")


def together(ask: Callable[[], Result], count: int, at_once: int) -> list[Result]:
    """Call a function again and again from several threads, and return what it returned.

    :param count: how often.
    :param at_once: by how many threads.
    :raises KeyboardInterrupt: it was interrupted; what has begun ends by itself.
    """
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="flaskserve probe")
    try:
        return [future.result() for future in [pool.submit(ask) for _ in range(count)]]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
