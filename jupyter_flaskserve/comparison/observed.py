"""An app with a few addresses more, by which the probes see what its server does.

This file is also copied beside an exported app, so it needs nothing but Python's library. All below
a prefix that nobody can guess is answered here, and everything else by the app, as it is. Both only
where the request shows a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

STREAM_SECONDS = 10.0  # a stream waits no longer than this for its probe
HOLD_SECONDS = 2.0  # nor does a held request last longer
LARGE = 8 * 1024 * 1024  # bytes: more than the buffers of two sockets
HELLO = b"hello"
GREETING = "greet"
KEY_HEADER = "X-Flaskserve-Compare"
KEY_VARIABLE = "HTTP_X_FLASKSERVE_COMPARE"  # the same in an environ

_BLOCK = b"x" * 65536


class Observed:
    """A WSGI app around another one.

    :param app: the other; ``None`` where there is nothing below but a 404.
    :param prefix: a path with a slash at both ends; what is below it is answered here.
    :param notes: a directory that this process may write to, and its probe may read.
    :param marker: a file name. That a request for it has come is noted.
    :param key: what a request has to show in :data:`KEY_HEADER`, so that others who can connect to
        this machine's loopback reach neither the app nor what is below the prefix.
    """

    def __init__(self, app: Any, *, prefix: str, notes: str, marker: str, key: str = "") -> None:
        self._app = app
        self._prefix = prefix
        self._notes = notes
        self._marker = marker
        self._key = key

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        asked = path[len(self._prefix) :] if path.startswith(self._prefix) else None
        if asked is not None and asked.startswith(f"{GREETING}/"):
            # Here it is the app that shows who it is: it has the key, and is not told it.
            return _plain(start_response, greeting(self._key, asked.partition("/")[2]))
        if not hmac.compare_digest(
            environ.get(KEY_VARIABLE, "").encode("latin-1"), self._key.encode()
        ):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This app is here for a comparison, and answers nobody else."]
        if asked is not None:
            return self._answer(asked, environ, start_response)
        if path.endswith(self._marker):
            self._note("marker", str(os.getpid()))
        return self._below(environ, start_response)

    def _below(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if self._app is not None:
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"There is no app here."]

    def _answer(
        self, asked: str, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        what, _, rest = asked.partition("/")
        if what == "trace":
            return self._trace(rest, environ, start_response)
        if what == "who":
            # Held a while, so that requests that come together are answered by several.
            time.sleep(min(float(rest or 0), HOLD_SECONDS))
            who = {
                "pid": os.getpid(),
                "thread": threading.get_ident(),
                "scheme": environ.get("wsgi.url_scheme"),
            }
            return _plain(start_response, json.dumps(who).encode())
        if what == "large":
            fields = [("Content-Type", "text/plain"), ("Content-Length", str(LARGE))]
            start_response("200 OK", fields)
            return (_BLOCK for _ in range(LARGE // len(_BLOCK)))
        if what == "stream":
            fields = [("Content-Type", "text/plain")]
            if environ.get("QUERY_STRING") == "unbuffered":
                fields.append(("X-Accel-Buffering", "no"))
            start_response("200 OK", fields)
            return self._stream(rest)
        return _plain(start_response, HELLO)

    def _stream(self, token: str) -> Iterator[bytes]:
        """Two parts, of which the second is made only when the probe has allowed it."""
        yield b"first\n"
        allowed = os.path.join(self._notes, f"allowed-{os.path.basename(token)}")
        end = time.monotonic() + STREAM_SECONDS
        while not os.path.exists(allowed) and time.monotonic() < end:
            time.sleep(0.01)
        yield b"last\n"

    def _trace(
        self, rest: str, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterator[bytes]:
        """The app's own answer. When the request reached the app and left it is noted."""
        token, _, path = rest.partition("/")
        began = time.monotonic()
        answer = self._below({**environ, "PATH_INFO": f"/{path}"}, start_response)
        try:
            yield from answer
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
            passage = {"began": began, "ended": time.monotonic(), "pid": os.getpid()}
            self._note(f"trace-{os.path.basename(token)}", json.dumps(passage))

    def _note(self, name: str, text: str) -> None:
        # An app that cannot write here goes on; the probe says that it saw nothing.
        with contextlib.suppress(OSError), open(os.path.join(self._notes, name), "a") as file:
            file.write(f"{text}\n")


def greeting(key: str, nonce: str) -> bytes:
    """What an observed app with this key answers to a word that it has not been given before."""
    return hmac.new(key.encode(), nonce.encode(), hashlib.sha256).hexdigest().encode()


def _plain(start_response: Callable[..., Any], body: bytes) -> list[bytes]:
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK", fields)
    return [body]
