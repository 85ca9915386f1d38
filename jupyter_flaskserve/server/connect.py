"""How a server reaches a responder: the other end of what the kernel listens at."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Callable

from ..gateway.links import Connect
from ..records import MountRecord

__all__ = ["connect_to"]

_BACKLOG_PAUSE = 0.02  # seconds

_Connection = tuple[asyncio.BaseTransport, asyncio.BaseProtocol]


def connect_to(record: MountRecord) -> Connect:
    """Opens connections to a mount's responder."""

    async def connect_unix(make: Callable[[], asyncio.BaseProtocol]) -> _Connection:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            while True:
                try:
                    connection.connect(record.socket)
                    break
                except BlockingIOError:  # the backlog is full
                    await asyncio.sleep(_BACKLOG_PAUSE)
            loop = asyncio.get_running_loop()
            return await loop.create_unix_connection(make, sock=connection)
        except BaseException:
            connection.close()
            raise

    async def connect_tcp(make: Callable[[], asyncio.BaseProtocol]) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(connection, record.tcp_address)
            sent, expected = record.secrets
            await loop.sock_sendall(connection, sent)
            answer = b""
            while len(answer) < len(expected):
                data = await loop.sock_recv(connection, len(expected) - len(answer))
                if not data:
                    break
                answer += data
            if not hmac.compare_digest(answer, expected):
                raise ConnectionRefusedError("another program has the port of the kernel")
            return await loop.create_connection(make, sock=connection)
        except BaseException:
            connection.close()
            raise

    return connect_tcp if record.transport == "tcp" else connect_unix
