"""Server-sent events: many streams open at once, in an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import NamedTuple

from ..contenders.contender import Contender
from .failed import Failed

__all__ = ["Events", "listen"]

_EVENT = re.compile(rb"data: (\d+)\n\n")
_OPENING = 15.0  # seconds in which all streams have to have given an event
_AT_ONCE = 50  # streams that are being opened at a time
_LIMIT = 2**20  # bytes


class Events(NamedTuple):
    """
    :ivar latencies: seconds from the view's ``yield`` to the client, sorted.
    :ivar opening: seconds until all streams had given their first event.
    """

    latencies: list[float]
    opening: float


def listen(contender: Contender, path: str, *, streams: int, seconds: float) -> Events:
    """Open streams of events that tell when they were made, and read them all.

    :param seconds: how long to listen once all are open.
    :raises Failed: a stream cannot be opened, or ends.
    """
    return asyncio.run(_listen(contender, path, streams, seconds))


async def _listen(contender: Contender, path: str, streams: int, seconds: float) -> Events:
    head = contender.head("GET", path, headers={"Accept": "text/event-stream"})
    latencies: list[float] = []
    opened = 0
    all_open = asyncio.Event()
    measuring = False
    door = asyncio.Semaphore(_AT_ONCE)

    async def follow() -> None:
        nonlocal opened
        writer = None
        try:
            async with door:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", contender.port, limit=_LIMIT
                )
                writer.write(head)
                answer = await reader.readuntil(b"\r\n\r\n")
                if answer.split(b" ", 2)[1] != b"200":
                    raise Failed(f"The answer is {answer.splitlines()[0].decode('latin-1')}.")
                await reader.readuntil(b"\n\n")
            opened += 1
            if opened == streams:
                all_open.set()
            while True:
                data = await reader.readuntil(b"\n\n")
                now = time.monotonic_ns()
                event = _EVENT.search(data)
                if event is None:
                    raise Failed(f"It is no event: {data[:100]!r}.")
                if measuring:
                    latencies.append((now - int(event[1])) / 1e9)
        finally:
            if writer is not None:
                writer.close()

    begin = time.monotonic()
    tasks = [asyncio.create_task(follow()) for _ in range(streams)]
    try:
        opening = asyncio.create_task(all_open.wait())
        done, _ = await asyncio.wait(
            [opening, *tasks], timeout=_OPENING, return_when=asyncio.FIRST_COMPLETED
        )
        if opening not in done:
            opening.cancel()
            if not done:
                raise Failed(f"Of {streams} streams {opened} were open after {_OPENING:g} seconds.")
        else:
            opened_after = time.monotonic() - begin
            measuring = True
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                _raise_of(task)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
    if not latencies:
        raise Failed("Not one event has come.")
    return Events(sorted(latencies), opened_after)


def _raise_of(task: asyncio.Task[None]) -> None:
    error = task.exception()
    if isinstance(error, Failed):
        raise error
    raise Failed(f"A stream ended: {type(error).__name__}: {error}")
