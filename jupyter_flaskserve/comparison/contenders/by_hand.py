"""No server at all: the app is called, as any function is."""

from __future__ import annotations

import contextlib
import http.client
import io
import time
from collections.abc import Iterable
from typing import Any

from ..observed import KEY_VARIABLE
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

    def call(self, path: str) -> Answer:
        """Call the observed app with a GET request, and read the response to its end.

        :raises AppFailed: the app raised.
        """
        began = time.monotonic()
        head: list[Any] = []
        # What a view prints is not for the cell: a load would print it thousands of times.
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                answer = self.call_app(path, head)
                try:
                    body = b"".join(answer)
                finally:
                    close = getattr(answer, "close", None)
                    if close is not None:
                        close()
        except Exception as error:  # an app may raise anything
            raise AppFailed(f"the app raised {type(error).__name__}: {error}") from error
        fields = {name.lower(): value for name, value in head[1]}
        return Answer(int(head[0].split()[0]), fields, body, time.monotonic() - began)
