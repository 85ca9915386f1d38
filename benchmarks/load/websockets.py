"""WebSocket echo: messages there and back.

The messages of a client are the same bytes each time, and so is the echo, so that the client costs
as little as can be. The mask is no secret here.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
import time
from typing import NamedTuple

from ..contenders.contender import Contender
from .failed import Failed

__all__ = ["Echoes", "echo"]

_SIZE = 64  # bytes of a message
_MASK = b"\x12\x34\x56\x78"
_KEY = base64.b64encode(bytes(range(16)))
_ACCEPT = base64.b64encode(
    hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
)  # RFC 6455 §4.2.2
_PAYLOAD = b"x" * _SIZE
_SENT = (
    struct.pack("!BB", 0x81, 0x80 | _SIZE)
    + _MASK
    + bytes(byte ^ _MASK[index % 4] for index, byte in enumerate(_PAYLOAD))
)
_ECHOED = struct.pack("!BB", 0x81, _SIZE) + _PAYLOAD
_OPENING = 15.0  # seconds


class Echoes(NamedTuple):
    """
    :ivar rate: messages that have come back, a second.
    :ivar round_trips: seconds from sending a message to its echo, sorted.
    """

    rate: float
    round_trips: list[float]


def echo(
    contender: Contender, path: str, *, connections: int, window: int, seconds: float
) -> Echoes:
    """Send messages to a view that sends them back.

    :param window: how many messages of a connection are under way at once.
    :raises Failed: a WebSocket cannot be opened, ends, or gives back something else.
    """
    return asyncio.run(_echo(contender, path, connections, window, seconds))


class _Client(asyncio.Protocol):
    """One WebSocket."""

    def __init__(self, head: bytes, window: int, ended: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.round_trips: list[float] = []
        self._ended = ended
        self._head = head
        self._window = window
        self._sent: list[float] = []  # when, of the messages under way; oldest first
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self.opened.done():
            head, end, self._data = self._data.partition(b"\r\n\r\n")
            if not end:
                self._data = head
            elif b" 101 " not in head.partition(b"\r\n")[0] or _ACCEPT not in head:
                self._fail(f"The answer is {head.splitlines()[0].decode('latin-1')}.")
            else:
                self.opened.set_result(None)
            return
        count, rest = divmod(len(self._data), len(_ECHOED))
        if self._data[: count * len(_ECHOED)] != _ECHOED * count:
            self._fail(f"Another message has come back: {self._data[:100]!r}.")
            return
        self._data = self._data[-rest:] if rest else b""
        now = time.perf_counter()
        for _ in range(count):
            self.round_trips.append(now - self._sent.pop(0))
        self._send(count)

    def begin(self) -> None:
        """Send the first messages."""
        self._send(self._window)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"The WebSocket ended{f': {error}' if error else '.'}")

    def _send(self, count: int) -> None:
        if count:
            self._sent += [time.perf_counter()] * count
            self.transport.write(_SENT * count)

    def _fail(self, reason: str) -> None:
        for future in (self._ended, self.opened):
            if not future.done():
                future.set_exception(Failed(reason))
        self.transport.close()


async def _echo(
    contender: Contender, path: str, connections: int, window: int, seconds: float
) -> Echoes:
    loop = asyncio.get_running_loop()
    head = contender.head(
        "GET",
        path,
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": _KEY.decode(),
        },
    )
    ended: asyncio.Future[None] = loop.create_future()
    clients = [_Client(head, window, ended) for _ in range(connections)]
    try:
        for client in clients:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", contender.port)  # type: ignore[misc]
        await asyncio.wait_for(asyncio.gather(*(c.opened for c in clients)), _OPENING)
        begin = time.perf_counter()
        for client in clients:
            client.begin()
        await asyncio.wait([ended], timeout=seconds)
        elapsed = time.perf_counter() - begin
        if ended.done():
            ended.result()
        round_trips = sorted(trip for client in clients for trip in client.round_trips)
    except asyncio.TimeoutError:
        raise Failed(f"The WebSockets were not open after {_OPENING:g} seconds.") from None
    finally:
        for client in clients:
            if not client.opened.done():
                client.opened.cancel()
            if hasattr(client, "transport"):
                client.transport.abort()
        await asyncio.sleep(0)  # the clients hear of their end
        if ended.done() and not ended.cancelled():
            ended.exception()
        else:
            ended.cancel()
    if not round_trips:
        raise Failed("Not one message has come back.")
    return Echoes(len(round_trips) / elapsed, round_trips)
