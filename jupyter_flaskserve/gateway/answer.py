"""A whole response of our own, written in the place of the app's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import NamedTuple

from tornado.httputil import (
    HTTPConnection,
    HTTPMessageDelegate,
    HTTPServerRequest,
    ResponseStartLine,
)

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
        self._ended = False
        write_answer(self._connection, request.method or "", answer)
        if expects_continue(request):
            self.finish()  # or Tornado would now ask for the body
        else:
            asyncio.get_running_loop().call_later(LINGER, self.finish)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._left -= len(chunk)
        if self._left < 0:
            self.finish()  # Tornado closes the connection when the request has not ended yet
        return None

    def finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._connection.finish()

    def on_connection_close(self) -> None:
        self._ended = True
