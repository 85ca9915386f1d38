"""A whole response of our own, written in the place of the app's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import NamedTuple

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    ResponseStartLine,
)

from ..http_fields import content_length
from .response import HeaderLines

__all__ = ["LINGER", "Answer", "Answering", "expects_continue", "write_answer"]

LINGER = 30.0
"""Seconds for which the rest of an upload is read, and dropped, once its response is complete. To
close at once would reset the connection and take the response away from a client that is still
sending."""


class Answer(NamedTuple):
    """A response that is complete in memory.

    :ivar headers: its header lines; ``Content-Length`` among them.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def write_answer(connection: HTTPConnection, method: str, answer: Answer) -> None:
    """Write an answer without ending the exchange."""
    start = ResponseStartLine("HTTP/1.1", answer.status, answer.reason)
    body = b"" if method == "HEAD" else answer.body
    connection.write_headers(start, HeaderLines(answer.headers), body)


def expects_continue(request: HTTPServerRequest) -> bool:
    """Whether the client waits for ``100 Continue`` before it sends its request's body."""
    return request.headers.get("Expect", "").lower() == "100-continue"


class Answering(HTTPMessageDelegate):
    """Gives an answer to a request and reads the rest of the request, which it drops.

    :param most: how many bytes of the request's body are read; with more the connection is closed.
    """

    def __init__(
        self, request: HTTPServerRequest, answer: Answer, *, most: float = math.inf
    ) -> None:
        assert request.connection is not None
        self._connection = request.connection
        self._left = most
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        if isinstance(self._connection, HTTP1Connection):
            self._connection.set_max_body_size(2**62)  # `most` is the limit
        write_answer(self._connection, request.method or "", answer)
        if expects_continue(request) or not _has_known_end(request.headers):
            self.finish()  # or Tornado would now ask for the body, or answer once more
        else:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self.finish)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._left -= len(chunk)
        if self._left < 0:
            self.finish()  # Tornado closes the connection when the request has not ended yet
        return None

    def finish(self) -> None:
        if not self._ended:
            self._end()
            self._connection.finish()

    def on_connection_close(self) -> None:
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()  # it would keep all of the request until then


def _has_known_end(headers: HTTPHeaders) -> bool:
    """Whether the headers of a request say in a valid way where its body ends (RFC 9112 §6.3)."""
    lengths = ",".join(headers.get_list("Content-Length")).split(",")
    codings = headers.get_list("Transfer-Encoding")
    if codings:
        return lengths == [""] and [coding.strip().lower() for coding in codings] == ["chunked"]
    return len({length.strip() for length in lengths}) == 1 and (
        lengths == [""] or content_length(lengths[0].strip()) is not None
    )
