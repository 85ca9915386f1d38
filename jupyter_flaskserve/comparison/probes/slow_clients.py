"""Is a normal request answered while many slow clients are connected?

Two kinds: those that send the head of a request a byte at a time, and those that do not read what
they have asked for.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator

from ..cell import NO, PARTLY, YES, Cell
from ..contenders.contender import Contender
from ..wire import Address, ask, connect, head
from .control import failed_control
from .together import together

__all__ = ["probe"]

SENDERS = 32  # more than the threads of all workers together
READERS = 16
NORMAL = 4  # normal requests, all at once
PATIENCE = 2.5  # seconds for each of them

_CONNECT = 5.0  # seconds
_PAUSE = 0.2  # seconds between two bytes of a slow client
_SMALL = 4096  # bytes that a slow reader takes


def probe(contender: Contender) -> Cell:
    address = contender.address
    assert address is not None
    if (failed := failed_control(contender, PATIENCE)) is not None:
        return failed
    prefix = contender.site.prefix
    with _slow_senders(address, f"{prefix}hello") as count:
        sending = _answered(address, f"{prefix}hello")
    senders = f"while {count} clients sent a request's head byte by byte: {_told(sending)}"
    with _slow_readers(address, f"{prefix}large") as count:
        reading = _answered(address, f"{prefix}hello")
    readers = f"while {count} did not read their response of 8 MiB: {_told(reading)}"
    passed = [len(seconds) == NORMAL for seconds in (sending, reading)]
    state = YES if all(passed) else PARTLY if any(passed) else NO
    return Cell(state, f"{senders}; {readers}")


def _told(seconds: list[float]) -> str:
    if not seconds:
        return f"none of {NORMAL} normal requests was answered within {PATIENCE:g} s"
    slowest = f"the slowest after {max(seconds) * 1000:.0f} ms"
    return f"{len(seconds)} of {NORMAL} normal requests were answered, {slowest}"


def _answered(address: Address, path: str) -> list[float]:
    """How long each of some normal requests took that was answered in time, in seconds."""

    def one() -> float | None:
        try:
            answer = ask(address, path, PATIENCE)
        except (OSError, http.client.HTTPException):
            return None
        return answer.seconds if answer.status == 200 and answer.seconds <= PATIENCE else None

    return [seconds for seconds in together(one, NORMAL, NORMAL) if seconds is not None]


@contextlib.contextmanager
def _connections(address: Address, count: int, buffer: int = 0) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(connect(address, _CONNECT, receive_buffer=buffer))
            for _ in range(count)
        ]


@contextlib.contextmanager
def _slow_senders(address: Address, path: str) -> Iterator[int]:
    done = threading.Event()
    with _connections(address, SENDERS) as peers:
        for peer in peers:
            peer.sendall(head(address, path) + b"X-Slow: ")

        def trickle() -> None:
            while not done.wait(_PAUSE):
                for peer in peers:
                    with contextlib.suppress(OSError):  # the server may have had enough of it
                        peer.sendall(b"x")

        thread = threading.Thread(target=trickle, name="flaskserve probe slow", daemon=True)
        thread.start()
        try:
            time.sleep(_PAUSE)  # they are to be there first
            yield len(peers)
        finally:
            done.set()
            thread.join(_CONNECT)


@contextlib.contextmanager
def _slow_readers(address: Address, path: str) -> Iterator[int]:
    with _connections(address, READERS, _SMALL) as peers:
        for peer in peers:
            peer.sendall(head(address, path) + b"\r\n")
        for peer in peers:
            # The first bytes say that whoever answers it is at work.
            with contextlib.suppress(TimeoutError):
                peer.settimeout(PATIENCE / READERS)
                peer.recv(1)
        yield len(peers)
