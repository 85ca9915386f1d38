"""No server at all: the app is called, as any function is."""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Iterable
from typing import Any

from ...kernel.exchanges.exchanges import Exchange, Exchanges
from ..observed import KEY_VARIABLE
from ..site import Site
from ..wire import Answer
from .contender import Contender, Place

__all__ = ["AppFailed", "ByHand"]

_EXAMPLE = """\
# The whole of it: the app is a function of two arguments (PEP 3333).
from wsgiref.util import setup_testing_defaults

environ = {"PATH_INFO": "/"}
setup_testing_defaults(environ)  # as though a GET request had come


def start_response(status, headers, exc_info=None):
    print(status, headers)


body = b"".join(app(environ, start_response))
"""


class AppFailed(http.client.HTTPException):
    """The app raised, where a server would answer with an error. The message says what."""


class _Nowhere(io.TextIOBase):
    """Takes what an app logs. A cell is no place for that."""

    def write(self, text: str) -> int:
        return len(text)


class ByHand(Contender):
    key = "by-hand"
    title = "Called by hand, no server"
    places = (
        Place("client", "Your Python code", "kernel"),
        Place("app", "Flask app", "kernel", "a call"),
    )

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._exchanges = Exchanges()

    def start(self) -> None:
        self.configuration["call.py"] = _EXAMPLE

    def call_app(self, path: str, head: list[Any] | None = None) -> Iterable[bytes]:
        """Call the observed app with a GET request.

        :param head: gets the status and the header fields.
        :returns: what it returned; that is iterated and closed by the caller.
        """
        path_info, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path_info,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "REMOTE_ADDR": "127.0.0.1",
            KEY_VARIABLE: self.site.key,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": _Nowhere(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            if head is not None:
                head[:] = [status, headers]
            return lambda data: None

        return self.site.observed(environ, start_response)

    def call_with_bytes(self, request: bytes) -> bytes:
        """Call the app itself with the bytes of a request, which no app has to understand.

        :returns: what it answered.
        :raises Exception: whatever it raises.
        """
        with self._exchange("/"):
            return _read(self.site.app(request, lambda *_: None))

    def _exchange(self, path: str) -> Exchange:
        """To it goes what a view prints, not to the cell: a load would print it thousands of times.
        No other thread of the kernel is disturbed by that."""
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": ""}
        return Exchange(0, environ, self._exchanges)

    def call(self, path: str) -> Answer:
        """Call the observed app with a GET request, and read the response to its end.

        :raises AppFailed: the app raised.
        """
        began = time.monotonic()
        head: list[Any] = []
        try:
            with self._exchange(path):
                body = _read(self.call_app(path, head))
        except Exception as error:  # an app may raise anything
            raise AppFailed(f"the app raised {type(error).__name__}: {error}") from error
        fields = {name.lower(): value for name, value in head[1]}
        return Answer(int(head[0].split()[0]), fields, body, time.monotonic() - began)


def _read(answer: Iterable[bytes]) -> bytes:
    """Read what an app has returned to its end, and close it."""
    try:
        return b"".join(answer)
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
