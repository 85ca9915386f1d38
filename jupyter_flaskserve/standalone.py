"""A server in the kernel's own process, for kernels that no Jupyter Server has started: IPython in
a terminal, or an editor that starts kernels itself.

It is the same gateway and the same pages, on a Tornado server in a thread of its own, on the
loopback. Who may come in is decided here: a program that has the token, or a browser that came once
with a ticket and has had a cookie since. Tickets stand in what cells show, and so in saved
notebooks; each is worth nothing once it has been used, or after ten minutes.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import socket
import sys
import threading
import time
from typing import Any, TextIO
from zlib import crc32

from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.routing import Router

from .gateway.answer import Answer, Answering
from .gateway.environ import split_host
from .records import API
from .server import pages
from .server.admission import Access, Admission, foreign
from .server.credentials import SCHEME, Credentials
from .server.entrance import EntranceRouter, StatusEntrance
from .server.reload_script import ReloadScriptRouter
from .server.serving import FlaskServe

__all__ = ["OwnAccess", "OwnServer", "start"]

_ADDRESS = "127.0.0.1"
_LOCAL_NAMES = ("127.0.0.1", "localhost")
_FIRST_PORT, _PORTS = 20_000, 10_000  # the range of ports to prefer
_START_TIMEOUT = 10.0  # seconds
_TICKET_LIFETIME = 600.0  # seconds
_STATUS_PATH = f"/{API}/mounts"
_LOG_FORMAT = "[%(levelname).1s %(asctime)s] %(message)s"


class OwnAccess(Access):
    """Who may come in. See :class:`.server.admission.Access`.

    :param port: the server's port; cookies do not tell ports apart.
    :ivar token: what programs send as ``Authorization: token …``.
    """

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._cookie_name = f"flaskserve-{port}"
        self._cookie = secrets.token_urlsafe(32)
        # Tickets are issued in the kernel's threads and taken in the server's.
        self._lock = threading.Lock()  # guards the three below
        self._ticket = ""  # the one that has not been used
        self._ticket_issued = 0.0  # when, by the monotonic clock
        self._last_used = ""  # the browser may still show it in its address

    def ticket(self) -> str:
        """A word that lets one browser in, once. It is the same until it has been used, for a few
        minutes."""
        with self._lock:
            if not self._ticket_is_valid():
                self._ticket = secrets.token_urlsafe(16)
                self._ticket_issued = time.monotonic()
            return self._ticket

    async def ask(self, request: httputil.HTTPServerRequest, action: str) -> Admission | Answer:
        accept = request.headers.get("Accept")
        if split_host(request.host)[0] not in _LOCAL_NAMES:
            return pages.error(
                403, "refused", "This server is for this machine only.", accept=accept
            )
        match = SCHEME.fullmatch(request.headers.get("Authorization", "").strip())
        shown = [value.decode("utf-8", "replace") for value in request.arguments.get("token", [])]
        knows_token = any(
            hmac.compare_digest(word.encode(), self.token.encode())
            for word in [*shown, match[1].strip() if match else ""]
        )
        if not knows_token:
            reason = foreign(
                request.method or "", request.headers, request.headers.get("Host", ""), _nobody
            )
            if reason is not None:
                return pages.error(
                    403, "refused", f"This request was refused: {reason}.", accept=accept
                )
        set_cookies: tuple[str, ...] = ()
        if self._take_ticket(shown) or (knows_token and shown):
            set_cookies = (f"{self._cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Lax",)
        elif not knows_token and not self._has_cookie(request):
            return pages.error(
                403,
                "refused",
                "This browser is not known here. Run %flaskserve in the notebook, and open the link"
                " that it shows.",
                accept=accept,
            )
        tokens = frozenset({self.token, self._last_used} - {""})
        return Admission(
            username="",
            credentials=Credentials(tokens, frozenset({self._cookie_name})),
            set_cookies=set_cookies,
            frame_ancestors="'self'",
        )

    def _take_ticket(self, shown: list[str]) -> bool:
        with self._lock:
            for word in shown:
                same = hmac.compare_digest(word.encode(), self._ticket.encode())
                if same and self._ticket_is_valid():
                    self._ticket, self._last_used = "", word
                    return True
        return False

    def _ticket_is_valid(self) -> bool:
        return bool(self._ticket) and time.monotonic() - self._ticket_issued < _TICKET_LIFETIME

    def _has_cookie(self, request: httputil.HTTPServerRequest) -> bool:
        # There may be several of a name, and the server's own need not be the last: any program at
        # another port of this host can set one for a longer path.
        cookies = (
            cookie.partition("=")
            for line in request.headers.get_list("Cookie")
            for cookie in line.split(";")
        )
        return any(
            hmac.compare_digest(value.strip().encode(), self._cookie.encode())
            for name, _, value in cookies
            if name.strip() == self._cookie_name
        )


class OwnServer:
    """The running server.

    :ivar id: its id, as records have it.
    :ivar kernel_id: the id of the one kernel whose apps it serves.
    :ivar url: its URL, which ends in a slash.
    :ivar token: what programs send as ``Authorization: token …``.
    """

    def __init__(self) -> None:
        self.kernel_id = f"process-{os.getpid()}"
        self._listener = _listen()
        port = self._listener.getsockname()[1]
        self.url = f"http://{_ADDRESS}:{port}/"
        self._access = OwnAccess(port)
        self.token = self._access.token
        self._serving = FlaskServe(
            self._access,
            base_url="/",
            log=_own_log(),
            is_own_kernel=self.kernel_id.__eq__,
        )
        self.id = self._serving.id
        if hasattr(os, "register_at_fork"):
            # A child process must not keep the port when the kernel ends.
            os.register_at_fork(after_in_child=self._listener.close)
        self._started = threading.Event()
        threading.Thread(
            target=asyncio.run, args=(self._serve(),), name="flaskserve server", daemon=True
        ).start()
        if not self._started.wait(_START_TIMEOUT):
            raise OSError("the server's thread has not begun to serve")

    def ticket(self) -> str:
        """A word that lets one browser in, once."""
        return self._access.ticket()

    async def _serve(self) -> None:
        HTTPServer(_OwnRouter(self._serving)).add_socket(self._listener)
        self._started.set()
        await asyncio.Event().wait()  # for as long as the process lives


class _OwnRouter(Router):
    """Leads to the apps and their state, and from everywhere else to the list of them."""

    def __init__(self, serving: FlaskServe) -> None:
        self._serving = serving
        self._routers = (EntranceRouter(serving), ReloadScriptRouter("/"))

    def find_handler(
        self, request: httputil.HTTPServerRequest, **kwargs: Any
    ) -> httputil.HTTPMessageDelegate:
        for router in self._routers:
            found = router.find_handler(request)
            if found is not None:
                return found
        if f"{request.path}/".startswith(f"{_STATUS_PATH}/"):
            return StatusEntrance(self._serving, request, _STATUS_PATH)
        headers = (("Location", "/flaskserve/"), ("Content-Length", "0"))
        return Answering(request, Answer(302, "Found", headers, b""))


def start() -> OwnServer:
    """Start the server.

    :raises OSError: it cannot listen.
    """
    return OwnServer()


def _nobody(origin: str) -> bool:
    """Which other sites are trusted: none."""
    return False


def _own_log() -> logging.Logger:
    """The log of the server and of what apps write to ``wsgi.errors``.

    Unless the user has set it up otherwise it goes to the process's own standard error. The root
    logger's way leads to ``sys.stderr``, which in a kernel is the output of whichever cell runs.
    """
    log = logging.getLogger("jupyter_flaskserve")
    if not log.handlers and log.propagate:
        stream = _process_stderr()
        handler = logging.StreamHandler(stream) if stream is not None else logging.NullHandler()
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        log.addHandler(handler)
        log.propagate = False
    return log


def _process_stderr() -> TextIO | None:
    # ipykernel also takes what is written to descriptor 2, and keeps a copy of the real one.
    real = getattr(sys.stderr, "_original_stdstream_copy", None)
    if isinstance(real, int):
        return open(real, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    return sys.__stderr__


def _listen() -> socket.socket:
    """Listen at a port that is the same each time in this directory, if it is free, so that
    addresses stay when the kernel is restarted."""
    try:
        listener = socket.create_server((_ADDRESS, _FIRST_PORT + crc32(os.getcwdb()) % _PORTS))
    except OSError:
        listener = socket.create_server((_ADDRESS, 0))
    listener.setblocking(False)
    return listener
