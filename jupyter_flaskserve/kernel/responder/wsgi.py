"""One request and the app's answer to it, by the rules of WSGI (PEP 3333).

:class:`Transaction` runs the app for one FastCGI request. What the app returns goes out as it
comes: each chunk is sent before the next one is asked for. Only the end of a response is held
back: once the app has given all the bytes its ``Content-Length`` announced, those bytes wait for
``END_REQUEST`` so that a small response costs one ``send``. An app that lingers there, in the last
step of a generator or in ``close()``, does not keep its client waiting: :data:`late` sends what
was held for longer than a moment.
"""

from __future__ import annotations

import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, cast

from ... import fastcgi
from ...http_fields import FIELD_NAME, NOT_IN_VALUE, content_length
from ..exchanges.code_places import name_cells
from ..exchanges.exchange import Exchange
from ..exchanges.failures import advice
from ..exchanges.frames import FrameCounter
from .environ import Environ
from .link import ClientDisconnected, Link
from .streams import BodyInput, ErrorStream

__all__ = ["UPGRADE", "Transaction", "WSGIApp"]

WSGIApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

UPGRADE = fastcgi.UPGRADE_PARAM.decode()
"""The environ's name for a request that may become a WebSocket, until the app is run."""

_SEND_SIZE = 1024 * 1024  # bytes of a chunk framed and sent at a time
_HELD_SECONDS = 0.02

_STATUS = re.compile(r"[2-9][0-9][0-9](?: [^\x00-\x08\x0a-\x1f\x7f]*)?")


class BrokenApp(Exception):
    """The app did what PEP 3333 does not allow."""


class UpgradableSocket:
    """``environ["werkzeug.socket"]``: the link's socket, for an app that speaks WebSocket itself.

    The first use of any of its attributes turns the link into a plain stream of bytes between the
    app and the client. It is what Werkzeug's server offers under this name, and what flask-sock and
    Flask-SocketIO look for.

    What goes through the four methods below is counted; what goes through others, such as
    ``makefile()``, is not.

    :ivar received: counts the messages from the client.
    :ivar sent: counts those to the client.
    """

    def __init__(self, upgrade: Callable[[], socket.socket]) -> None:
        self._upgrade = upgrade
        self.received = FrameCounter()
        self.sent = FrameCounter(after_head=True)

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = self._upgrade().recv(size, flags)
        if not flags & socket.MSG_PEEK:
            self.received.feed(data)
        return data

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, flags: int = 0) -> int:
        count = self._upgrade().recv_into(buffer, size, flags)
        if not flags & socket.MSG_PEEK:
            self.received.feed(buffer, count)
        return count

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        count = self._upgrade().send(data, flags)
        self.sent.feed(data, count)
        return count

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        self._upgrade().sendall(data, flags)
        self.sent.feed(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upgrade(), name)


class Transaction:
    """One FastCGI request and the app's answer to it, in the thread that called :meth:`run`.

    :param link: where the request came from.
    :param request_id: its FastCGI request id.
    :param environ: its environ, to which ``wsgi.input`` and ``wsgi.errors`` are added.
    :param exchange: where its status, its log and its failure are noted.
    """

    def __init__(self, link: Link, request_id: int, environ: Environ, exchange: Exchange) -> None:
        self._link = link
        self._request_id = request_id
        self._environ = environ
        self._exchange = exchange
        self._errors = ErrorStream(exchange.write)
        self.body = BodyInput(self._pull)
        self.body_lost = False  # whether the link ended before the request's body did
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"
        # nginx and Apache pass over the app status and would end the response as if it were whole.
        self._gateway_heeds_status = environ.get("SERVER_SOFTWARE") == fastcgi.GATEWAY_SOFTWARE
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._head_out = False
        self._bodyless = False
        self._remaining: int | None = None  # bytes until Content-Length, where there is one
        self._cut = False  # whether the app gave more than that
        self._over = False  # whether the link may carry another request already
        self._socket: UpgradableSocket | None = None  # what the app may upgrade the link with
        self._upgraded: socket.socket | None = None  # the socket, once the app has it
        # The bytes that wait for END_REQUEST. The worker thread and `late` both take them, and
        # whoever sends does so under the lock.
        self._held = b""
        self._send_lock = threading.Lock()

    def run(self, app: WSGIApp) -> None:
        """Call the app and send its answer, whatever the app does.

        :raises ClientDisconnected: the client left; the app's iterable has been closed.
        """
        self._environ["wsgi.input"] = self.body
        self._environ["wsgi.errors"] = self._errors
        if self._environ.pop(UPGRADE, None) is not None:
            self._socket = UpgradableSocket(self._upgrade)
            self._environ["werkzeug.socket"] = self._socket
        try:
            self._end(self._app_status(app))
        finally:
            self._over = True
            # What a request leaves behind goes at once, and needs no garbage collector.
            self.body.end()
            self._environ = {}

    def _app_status(self, app: WSGIApp) -> int:
        """Send the app's answer, or one for the app where it fails.

        :returns: what ``END_REQUEST`` says of the app.
        """
        try:
            self._answer(app)
        except ClientDisconnected:
            raise
        except BaseException as error:  # SystemExit in a view must not end the thread silently
            if self.body_lost:
                raise ClientDisconnected("the client left before its request ended") from error
            if self._upgraded is not None:
                raise ClientDisconnected("the app has ended its WebSocket") from error
            return self._fail(error)
        return 0

    @property
    def upgraded(self) -> bool:
        """Whether the link has become the app's stream of bytes. It carries no more requests."""
        return self._upgraded is not None

    def _answer(self, app: WSGIApp) -> None:
        self._exchange.note_call()
        iterable = app(self._environ, self._start_response)
        try:
            if isinstance(iterable, (str, bytes)) and iterable:
                raise BrokenApp(
                    f"it returned a {type(iterable).__name__}; it must return an iterable of bytes,"
                    f" such as [b'...']"
                )
            whole = len(iterable) == 1 if isinstance(iterable, (list, tuple)) else False
            for chunk in iterable:
                if chunk and self._is_sated:
                    self._write(chunk)  # checked and dropped
                    break
                self._write(chunk, last=whole)
            self._write_head()
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                self._close(close)
        if self._remaining and not self._bodyless:
            raise BrokenApp(
                f"it gave {self._remaining} bytes fewer than the Content-Length it announced"
            )

    @property
    def _is_sated(self) -> bool:
        """Whether the client has all it can get. An app that goes on might do so for ever."""
        return self._head_out and (self._bodyless or self._remaining == 0)

    def _close(self, close: Callable[[], object]) -> None:
        """Call the iterable's ``close()``. The response is whole, so a failure is only logged."""
        try:
            close()
        except Exception as error:
            self._log_failure(error, "its iterable's close() failed")

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``."""
        if exc_info is not None:
            try:
                if self._head_out:
                    raise cast(BaseException, exc_info[1]).with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise BrokenApp("it called start_response twice without exc_info")
        remaining = _check_head(status, headers)
        self._status = status
        self._headers = list(headers)
        self._exchange.note_start(status, self._headers, has_length=remaining is not None)
        self._remaining = remaining
        self._bodyless = self._is_head or status[:3] in ("204", "304")
        return self._write

    def _head(self) -> bytes:
        """The response's head as CGI gives it (RFC 3875 §6.3), which now goes out."""
        lines = [f"Status: {self._status}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in self._headers]
        lines.append("\r\n")
        head = "".join(lines).encode("latin-1")
        self._exchange.note_head_out(len(head))
        return head

    def _write_head(self) -> None:
        """Make sure that the head goes out where the app gave no bytes at all."""
        if not self._head_out:
            if not self._status:
                raise BrokenApp("it did not call start_response")
            self._head_out = True
            self._send(self._head(), hold=True)

    def _write(self, chunk: bytes, *, last: bool = False) -> None:
        """Send a chunk; PEP 3333's ``write``. The head goes out with the first bytes there are.

        :raises ClientDisconnected: the client left, or the request is over and the link another's.
        """
        self._refuse_if_over()
        if not isinstance(chunk, bytes):
            raise BrokenApp(f"it gave {type(chunk).__name__} where bytes are wanted")
        if not self._status:
            raise BrokenApp("it gave a part of the body before it called start_response")
        if not chunk:
            return
        if self._bodyless:
            chunk = b""
        elif self._remaining is not None:
            if len(chunk) > self._remaining:
                if not self._cut:
                    self._cut = True
                    self._log(
                        "it gave more bytes than its Content-Length announced; the rest is dropped"
                    )
                chunk = chunk[: self._remaining]
            self._remaining -= len(chunk)
            last = self._remaining == 0
        if chunk:
            self._exchange.note_chunk(chunk)
        if self._head_out:
            if chunk:
                self._send(chunk, hold=last)
        else:
            self._head_out = True
            self._send(self._head() + chunk, hold=last or self._bodyless)

    def _send(self, data: bytes, *, hold: bool) -> None:
        if self._upgraded is not None:
            raise ClientDisconnected("the link belongs to the app's WebSocket")
        for start in range(0, len(data), _SEND_SIZE):
            piece = data if len(data) <= _SEND_SIZE else data[start : start + _SEND_SIZE]
            final = start + _SEND_SIZE >= len(data)
            frames = fastcgi.encode_stream(fastcgi.STDOUT, self._request_id, piece)
            frames = self._error_frames() + frames
            if hold and final:
                with self._send_lock:
                    self._refuse_if_over()
                    self._held += frames
                late.watch(self)
            else:
                with self._send_lock:
                    self._refuse_if_over()
                    held, self._held = self._held, b""
                    self._link.send(held + frames)

    def _refuse_if_over(self) -> None:
        if self._over:
            raise ClientDisconnected("the request is over, so no more can be written")

    def send_held(self) -> None:
        """Send what waits for the end of the request. Called by :data:`late`; it never waits."""
        if self._send_lock.acquire(blocking=False):
            try:
                if self._held:
                    self._held = self._held[self._link.send_ready(self._held) :]
                if self._held:
                    late.watch(self)
            finally:
                self._send_lock.release()

    def _end(self, app_status: int) -> None:
        if self._upgraded is not None:
            raise ClientDisconnected("the app has ended its WebSocket")
        late.forget(self)
        if app_status and not self._gateway_heeds_status:
            end = fastcgi.BREAK
        else:
            end = fastcgi.encode_end_request(self._request_id, app_status)
        with self._send_lock:
            self._over = True
            held, self._held = self._held, b""
            self._link.send(held + self._error_frames() + end)
        if end is fastcgi.BREAK:
            raise ClientDisconnected("the response was broken off")

    def _error_frames(self) -> bytes:
        text = self._errors.take()
        if b'File "' in text:
            text = name_cells(text.decode()).encode()
        return fastcgi.encode_stream(fastcgi.STDERR, self._request_id, text) if text else b""

    def _upgrade(self) -> socket.socket:
        """Turn the link into a stream of bytes, once.

        :raises OSError: the response has begun, or the client has left.
        """
        if self._upgraded is None:
            assert self._socket is not None
            if self._head_out:
                raise OSError("the response has begun, so this request can no longer be upgraded")
            while self.body.read1():
                pass  # up to the end of STDIN: what follows are the client's bytes
            head = fastcgi.encode_stream(
                fastcgi.STDOUT, self._request_id, b"Status: 101 Switching Protocols\r\n\r\n"
            )
            with self._send_lock:
                self._link.send(self._error_frames() + head)
            self._head_out = True
            self._exchange.note_upgrade(self._socket.received, self._socket.sent)
            self._upgraded = self._link.take_socket()
        return self._upgraded

    def _fail(self, error: BaseException) -> int:
        """Answer for an app that raised or broke the rules.

        :returns: the app status: 0 where the client still gets a whole response, otherwise 1.
        """
        self._log_failure(error, "")
        if not self._exchange.failed and advice(error):
            self._log(advice(error))
        self._exchange.fail(error)
        if self._head_out:
            return int(self._remaining != 0)
        if isinstance(error, BrokenApp):
            text = f"The app breaks the rules of WSGI (PEP 3333): {error}."
        else:
            text = "The app failed: " + traceback.format_exception_only(type(error), error)[-1]
        text = text.rstrip() + "\nThe traceback is in the server's log.\n"
        content_type = "text/plain; charset=utf-8"
        if self._exchange.debug:  # then Flask is there, and with it what the page is made with
            from ..exchanges.traceback_page import failure_response

            content_type, text = failure_response(error, self._exchange, self._environ)
        body = text.encode("utf-8", "replace")
        self._status = "500 Internal Server Error"
        self._headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
        ]
        self._exchange.note_start(self._status, self._headers, has_length=True)
        self._head_out = True
        if self._is_head:
            body = b""
        else:
            self._exchange.note_chunk(body)
        self._send(self._head() + body, hold=True)
        return 0

    def _log(self, text: str) -> None:
        self._errors.write(
            f"{self._environ['REQUEST_METHOD']} {self._environ['PATH_INFO']}: {text}\n"
        )

    def _log_failure(self, error: BaseException, text: str) -> None:
        if isinstance(error, BrokenApp):
            self._log(f"the app breaks the rules of WSGI (PEP 3333): {error}")
        else:
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self._log((text or "the app failed") + "\n" + trace.rstrip())

    def _pull(self) -> bytes:
        """The next bytes of the request's body."""
        while True:
            try:
                record = self._link.receive()
            except fastcgi.ProtocolError:
                record = None
            if record is None:
                self.body_lost = True
                raise ClientDisconnected("the client left before its whole request had arrived")
            if record.request_id != self._request_id:
                if record.type == fastcgi.BEGIN_REQUEST and record.request_id:
                    self._link.send(
                        fastcgi.encode_end_request(record.request_id, 0, fastcgi.CANT_MPX_CONN)
                    )
            elif record.type == fastcgi.STDIN:
                if record.content:
                    self._exchange.note_request_chunk(record.content)
                return record.content
            elif record.type == fastcgi.ABORT_REQUEST:
                self.body_lost = True
                raise ClientDisconnected("the client left before its whole request had arrived")


def _check_head(status: object, headers: object) -> int | None:
    """Check what the app gave to ``start_response``.

    :returns: its ``Content-Length`` in bytes, where it gave one.
    :raises BrokenApp: PEP 3333 does not allow it; the message says what and how to mend it.
    """
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        raise BrokenApp(f"its status is {status!r}; it must be a str such as '200 OK'")
    if not isinstance(headers, list):
        raise BrokenApp(
            f"its headers are a {type(headers).__name__}; they must be a list of tuples"
        )
    length = None
    text = status
    for header in headers:
        try:
            name, value = header
        except (TypeError, ValueError):
            raise BrokenApp(f"its header {header!r} is not a tuple (name, value)") from None
        if not isinstance(name, str) or not isinstance(value, str):
            raise BrokenApp(f"its header {header!r} is not a tuple of two str")
        if not FIELD_NAME.fullmatch(name):
            raise BrokenApp(f"its header name {name!r} has characters that a name may not have")
        if NOT_IN_VALUE.search(value):
            raise BrokenApp(f"its header {name!r} has a line break or NUL in its value")
        text += value
        if len(name) == 14 and name.lower() == "content-length":
            given = content_length(value)
            if given is None:
                raise BrokenApp(f"its Content-Length is {value!r}, not a number")
            if length is not None and length != given:
                raise BrokenApp("it gave two Content-Lengths that differ")
            length = given
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        raise BrokenApp("its status or headers have characters beyond ISO-8859-1") from None
    return length


class _LateSender:
    """Sends what a transaction held back for ``END_REQUEST`` when that takes longer than a moment.

    Its thread sleeps while nothing is held.
    """

    def __init__(self) -> None:
        # Transactions and the time they were seen first. Each operation on it is atomic.
        self._held: dict[Transaction, float] = {}
        self._wake = threading.Event()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, transaction: Transaction) -> None:
        self._held[transaction] = time.monotonic()
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def forget(self, transaction: Transaction) -> None:
        self._held.pop(transaction, None)

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="flaskserve late responses", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_HELD_SECONDS)
            self._wake.clear()
            then = time.monotonic() - _HELD_SECONDS
            for transaction, since in list(self._held.items()):
                if since <= then:
                    self.forget(transaction)
                    transaction.send_held()
            if self._held:
                self._wake.set()


late = _LateSender()
