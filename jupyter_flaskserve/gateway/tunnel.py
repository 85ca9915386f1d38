"""A WebSocket between a client and the app, as the plain bytes that both of them send.

Nobody in between interprets the frames, so subprotocols, compression, pings and close codes are the
app's own. Only the app's answer to the handshake is read here: its header lines are subject to the
same rules as those of any response.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from .links import Link, LinkLost
from .response import MalformedResponse, ResponseHead, parse_head

__all__ = ["Tunnel"]

_CHUNK = 65536  # bytes read from the client at a time
_HEAD_LIMIT = 65536  # bytes of the app's answer to the handshake
_CLOSE_TIMEOUT = 5.0  # seconds for the last bytes to go out in either direction

_STATUS_LINE = re.compile(r"HTTP/1\.1 ([1-5][0-9][0-9])(?: (.*))?")


class Tunnel:
    """Carries bytes between a link and a client's connection.

    :param link: the link, which the responder has just turned into a stream of bytes.
    :param response_headers: turns the header lines of the app's handshake into those that the
        client gets.
    :param on_end: called once, when either side has closed, with what went wrong or ``None``.
    """

    def __init__(
        self,
        link: Link,
        *,
        response_headers: Callable[[ResponseHead], list[tuple[str, str]]],
        on_end: Callable[[str | None], None],
    ) -> None:
        self._link = link
        self._response_headers = response_headers
        self._on_end = on_end
        self._stream: IOStream | None = None
        self._early = b""  # what the app sent before there was a stream to write it to
        self._handshake: bytes | None = b""  # the beginning of the app's answer, until it is whole
        self._last_write: asyncio.Future[None] | None = None
        self._ended = False
        link.user = self
        link.pause_reading()

    def connect(self, stream: IOStream) -> None:
        """Begin. ``stream`` is the client's connection, which is the tunnel's from here on."""
        self._stream = stream
        stream.set_nodelay(True)
        early, self._early = self._early, b""
        self._link.resume_reading()
        if early:
            self.bytes_received(early)
        self._reading = asyncio.ensure_future(self._read_client())

    def records_received(self, records: object) -> None:
        """There are none any more."""

    def bytes_received(self, data: bytes) -> None:
        """The app sent bytes."""
        if self._stream is None:
            self._early += data
            return
        if self._handshake is not None:
            data = self._edit_handshake(data)
        if data and not self._ended:
            try:
                written = self._stream.write(data)
            except StreamClosedError:
                self._end(None)
                return
            self._last_write = written
            if not written.done():
                self._link.pause_reading()
                written.add_done_callback(self._client_took)

    def bytes_ended(self) -> None:
        """The app has said all it has to say, or its kernel has ended.

        The client is told so and may finish what it is sending. To close at once would reset the
        connection, and the app's last words would be lost.
        """
        if self._last_write is None or self._last_write.done():
            self._shut_down()
        else:
            self._last_write.add_done_callback(lambda _: self._shut_down())

    def _shut_down(self) -> None:
        stream = self._stream
        if stream is None or stream.closed() or isinstance(stream, SSLIOStream):
            self._end(None)
            return
        try:
            stream.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._end(None)
            return
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self._end, None)

    def link_lost(self, error: Exception) -> None:
        """The link has ended in both directions."""
        self._end(None if isinstance(error, LinkLost) else str(error))

    def check_time(self, now: float) -> None:
        """A WebSocket may be silent for as long as its two ends like."""

    def _client_took(self, written: asyncio.Future[None]) -> None:
        if written.cancelled() or written.exception() is None:
            self._link.resume_reading()

    def _edit_handshake(self, data: bytes) -> bytes:
        """Take bytes of the app's answer to the handshake.

        :returns: the bytes for the client, once the answer's head is whole.
        """
        assert self._handshake is not None
        self._handshake += data
        head, end, rest = self._handshake.partition(b"\r\n\r\n")
        if not end:
            if len(self._handshake) > _HEAD_LIMIT:
                self._end("the app's answer to the handshake is too long")
            return b""
        self._handshake = None
        try:
            return self._edit_head(head.decode("latin-1")) + rest
        except MalformedResponse as error:
            self._end(f"the app's answer to the handshake is not HTTP: {error}")
            return b""

    def _edit_head(self, text: str) -> bytes:
        status_line, _, fields = text.partition("\r\n")
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise MalformedResponse(f"{status_line[:80]!r} is no status line")
        head = parse_head(fields, keep_hop_by_hop=True) if fields else ResponseHead(200, "", [])
        head = head._replace(status=int(match[1]), reason=match[2] or "")
        lines = [status_line, *(f"{n}: {v}" for n, v in self._response_headers(head))]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def _read_client(self) -> None:
        assert self._stream is not None
        try:
            while True:
                data = await self._stream.read_bytes(_CHUNK, partial=True)
                writable = self._link.write(data)
                if writable is not None:
                    await asyncio.shield(writable)
        except (StreamClosedError, LinkLost):
            self._end(None)

    def _end(self, problem: str | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._link.close(_CLOSE_TIMEOUT)
        stream = self._stream
        if stream is not None and not stream.closed():
            if self._last_write is None or self._last_write.done():
                stream.close()
            else:
                self._last_write.add_done_callback(lambda _: stream.close())
                asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, stream.close)
        self._on_end(problem)
