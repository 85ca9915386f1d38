"""The responder: runs a WSGI app for the requests that come over its links (FastCGI 1.0 §6.2).

Which thread does what:

- *accept*, one a responder, waits for links. It takes at most a few more than twice ``threads``;
  what comes beyond them waits in the socket's backlog, untouched.
- *worker*, as many as there are links: blocks in ``recv`` for a request, waits until fewer than
  ``threads`` of them run the app, runs it, blocks in ``send`` for the answer, and waits for the
  next request. Everything of a request happens here: reading its body, iterating the response,
  ``close()``. A request for the inspector waits for no other. Each worker has a link of its own;
  where many requests come at once, one of them answers many links in turn (see :mod:`.turns`).
- *late responses*, one a process: see :mod:`.wsgi`.
- *the kernel's main thread* starts and stops responders and never waits for a worker.

Threads that block are the point. While a cell holds the interpreter, each system call that gives
the interpreter away costs up to one switch interval (see :mod:`.switching`) to get it back. A small
request makes two such calls here, ``recv`` and ``send``; an event loop makes six or more. Links
take turns only where requests compute, and not while a cell does.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable

from ... import fastcgi
from ..exchanges.exchanges import Exchanges
from .environ import Environ, make_environ
from .link import ClientDisconnected, Link
from .listener import Listener
from .switching import brisk_switching
from .turns import Turns
from .wsgi import UPGRADE, Transaction, WSGIApp

__all__ = ["Responder"]

_PARAMS_LIMIT = 1024 * 1024  # bytes of a request's PARAMS; a web server sends a few thousand
_LINGER = 5.0  # seconds to read on after a request whose link is closed with it
_BREATH = 0.1  # seconds
_MAX_STRANGERS = 64  # connections that have not shown their secret yet
# Links beyond those of the app: four for the inspector, as many as a gateway opens, and some for
# requests to stop. The app can have twice as many as threads: while clients of requests that run
# have left, a gateway opens as many again.
_SPARE_LINKS = 8
_PATIENCE = 0.5  # seconds that a request waits for a place before looking whether its client left
_CLOSE_TIMEOUT = 1.0  # seconds for an app's library to end its WebSocket after the view has
_GRACE = 5.0  # seconds that running requests have when the responder stops

_CONTROL = fastcgi.CONTROL_PARAM.decode()
_STOP = fastcgi.STOP.decode()
_INSPECT = fastcgi.INSPECT.decode()


class Responder:
    """Answers FastCGI requests by running a WSGI app.

    :param app: the WSGI app. It may be replaced at any time; a request that has begun goes on with
        the app it began with.
    :param name: the mount's name, for the names of the threads.
    :param listener: where links come in; the responder's from here on.
    :param threads: how many requests are answered at once.
    :param exchanges: where each request is noted.
    :param on_stop: called, in a worker thread, when the server asks for the mount to be stopped.
    :param inspector: the WSGI app that tells of the mount. Its requests are noted nowhere and take
        no place of the app's.
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        name: str,
        listener: Listener,
        threads: int,
        exchanges: Exchanges | None = None,
        on_stop: Callable[[], None] | None = None,
        inspector: WSGIApp | None = None,
    ) -> None:
        self.app = app
        self.name = name
        self.threads = threads
        self.exchanges = Exchanges() if exchanges is None else exchanges
        self._on_stop = on_stop
        self._inspector = inspector
        # Those of requests to the inspector, at which nobody looks. What is printed on the way goes
        # to them, and so into no cell.
        self._aside = Exchanges()
        self._aside.limit = 1
        self._aside.recording = False
        self._listener = listener
        # Guards all below up to _accepting, and wakes who waits for a place.
        self._state = threading.Condition()
        self._links: dict[Link, bool] = {}  # each open link, and whether a request runs on it
        self._strangers = 0  # connections that have not been admitted yet
        self._running = 0  # requests that the app is being run for
        self._begun = 0  # and those that it was run for, ever
        self._stopping = False
        self._accepting = True  # whether links may still come
        self._turns = Turns()
        _responders.add(self)
        threading.Thread(
            target=self._accept_links, name=f"flaskserve {name} accept", daemon=True
        ).start()

    def stop(self, grace: float = _GRACE) -> None:
        """Take no more requests. Those that run have a while, then their links are cut.

        It does not wait, and may be called from any thread, more than once. What comes too late is
        declined, so that the gateway sends it elsewhere; of an upload that is just coming it may
        learn only that the link has ended.

        :param grace: how long that while is, in seconds.
        """
        with self._state:
            self._stopping = True
            idle = [link for link, busy in self._links.items() if not busy]
            busy_links = len(idle) < len(self._links)
            self._state.notify_all()
        for link in idle:
            link.stop_receiving()  # it may have a request by now, which is then declined
        self._listener.wake()
        if busy_links and not grace:
            self._cut_links()
        elif busy_links:
            timer = threading.Timer(grace, self._cut_links)
            timer.name = f"flaskserve {self.name} stop"
            timer.daemon = True
            timer.start()

    def forget(self) -> None:
        """Close this process's copies of the sockets, in a child process made by ``fork``.

        Without this a child would keep the socket, and so the mount, alive after the kernel died.
        """
        self._listener.socket.close()
        for link in list(self._links):
            link.forget()
        self._turns.close()

    def _cut_links(self) -> None:
        with self._state:
            links = list(self._links.items())
        for link, busy in links:
            if busy:
                link.interrupt()
            else:
                link.stop_receiving()  # what it has been sent is still declined

    def _accept_links(self) -> None:
        try:
            with brisk_switching():
                self._accept_until_stopped()
        finally:
            with self._state:
                self._accepting = False
                self._close_if_over()

    def _accept_until_stopped(self) -> None:
        number = 0
        with contextlib.closing(self._listener):
            while True:
                with self._state:
                    self._state.wait_for(self._may_accept)
                    if self._stopping:
                        return
                try:
                    peer, _ = self._listener.socket.accept()
                except OSError:
                    if self._listener.socket.fileno() < 0:
                        return
                    time.sleep(_BREATH)  # descriptors or memory ran out; waiting may help
                    continue
                number += 1
                with self._state:
                    self._strangers += 1
                worker = threading.Thread(
                    target=self._serve_peer,
                    args=(peer,),
                    name=f"flaskserve {self.name} worker {number}",
                    daemon=True,
                )
                try:
                    worker.start()
                except RuntimeError:  # the system has no more threads
                    peer.close()
                    with self._state:
                        self._strangers -= 1
                    time.sleep(_BREATH)

    def _serve_peer(self, peer: socket.socket) -> None:
        """The life of a worker."""
        admitted = self._listener.admit(peer)
        link = Link(peer)
        with self._state:
            self._strangers -= 1
            if admitted:
                self._links[link] = False
                if self._stopping:
                    link.stop_receiving()
            else:
                self._close_if_over()
            self._state.notify_all()
        if admitted:
            self._serve_links(link)
        else:
            link.close()

    def _serve_links(self, link: Link) -> None:
        """Answer request after request, on the link of this worker or on those that take turns,
        until one of them ends.

        :param link: its link at first.
        """
        linger = 0.0
        try:
            while True:
                request = _receive_request(link)
                if request is None:
                    return
                request_id, keep, environ, params = request
                arrived = time.monotonic()
                control = environ.get(_CONTROL)
                inspector = self._inspector if control == _INSPECT else None
                if control is not None and inspector is None:
                    self._obey(link, request_id, environ)
                    return
                if not self._begin(link, for_app=inspector is None):
                    link.send(fastcgi.encode_end_request(request_id, 0, fastcgi.OVERLOADED))
                    linger = _LINGER
                    return
                begun = self._begun
                if UPGRADE in environ:
                    self._turns.hold(link)
                if inspector is None:
                    app, exchange = self.app, self.exchanges.begin(environ, params, arrived)
                else:
                    app, exchange = inspector, self._aside.begin(environ)
                transaction = Transaction(link, request_id, environ, exchange)
                try:
                    with exchange:
                        transaction.run(app)
                finally:
                    if transaction.upgraded:
                        link.wait_until_closed(_CLOSE_TIMEOUT)
                        linger = _LINGER
                    self._end(link, for_app=inspector is None)
                if not keep:
                    linger = 0.0 if transaction.body.ended else _LINGER
                    return
                if self._stopping:
                    # The gateway may have sent another request by now, which must not be lost: it
                    # is received and declined like all that come.
                    if not (transaction.body.ended or transaction.body_lost):
                        _skip_body(link, request_id)
                    link.stop_receiving()
                settled = link.settle(request_id, body_ended=transaction.body.ended)
                crowded = self._begun != begun and inspector is None  # which has links of its own
                # Nothing of a request is kept while its worker waits for the next one.
                del request, environ, params, exchange, transaction
                link = self._turns.next(link, settled=settled, crowded=crowded)
        except (ClientDisconnected, fastcgi.ProtocolError):
            return
        finally:
            self._turns.hold(link)
            self._drop(link, linger=linger)

    def _may_accept(self) -> bool:
        return self._stopping or (
            len(self._links) < 2 * self.threads + _SPARE_LINKS and self._strangers < _MAX_STRANGERS
        )

    def _begin(self, link: Link, *, for_app: bool) -> bool:
        """Take a place among those that run the app, or wait for one; not if the responder stops.
        What is not for the app takes none.

        :raises ClientDisconnected: the client left before there was one.
        """
        with self._state:
            while for_app and not self._stopping and self._running >= self.threads:
                self._state.wait_for(self._has_place, _PATIENCE)
                if link.is_cut and not self._stopping:  # a stop cuts it too, and declines it below
                    raise ClientDisconnected("the client left before the app was run")
            if self._stopping:
                return False
            self._running += for_app
            self._begun += for_app
            self._links[link] = True
            return True

    def _has_place(self) -> bool:
        return self._stopping or self._running < self.threads

    def _end(self, link: Link, *, for_app: bool) -> None:
        with self._state:
            self._links[link] = False
            if for_app:
                if self._running >= self.threads:  # somebody may wait for the place
                    self._state.notify_all()
                self._running -= 1

    def _obey(self, link: Link, request_id: int, environ: Environ) -> None:
        """Answer a request that is meant for the responder itself."""
        known = environ[_CONTROL] == _STOP and self._on_stop is not None
        head = (
            b"Status: 204 No Content\r\n\r\n" if known else b"Status: 501 Not Implemented\r\n\r\n"
        )
        if known and self._on_stop is not None:
            self._on_stop()
        link.send(
            fastcgi.encode_stream(fastcgi.STDOUT, request_id, head)
            + fastcgi.encode_end_request(request_id)
        )

    def _drop(self, link: Link, *, linger: float = 0.0) -> None:
        link.close(linger=linger)
        with self._state:
            self._links.pop(link, None)
            self._close_if_over()
            self._state.notify_all()

    def _close_if_over(self) -> None:
        """Close what is left when the last worker ends and no more will come. Under the lock."""
        if not (self._accepting or self._links or self._strangers):
            self._turns.close()


def _receive_request(link: Link) -> tuple[int, bool, Environ, bytes] | None:
    """Wait for the next request of a link, up to the end of its PARAMS.

    Records of requests that are over are passed by; management records are answered (§4).

    :returns: its id, whether the link stays open afterwards, its environ, and the content of its
        PARAMS that this was made of; ``None`` where the peer closed the link.
    :raises fastcgi.ProtocolError: the peer does not speak FastCGI.
    :raises ClientDisconnected: the peer closed the link while it was being answered.
    """
    current = 0
    keep = False
    params: list[bytes] = []
    size = 0
    while (record := link.receive()) is not None:
        if record.type == fastcgi.BEGIN_REQUEST and record.request_id:
            begin = fastcgi.decode_begin_request(record.content)
            if begin.role != fastcgi.RESPONDER:
                link.send(fastcgi.encode_end_request(record.request_id, 0, fastcgi.UNKNOWN_ROLE))
                if not begin.flags & fastcgi.KEEP_CONN:
                    return None
            elif current:
                link.send(fastcgi.encode_end_request(record.request_id, 0, fastcgi.CANT_MPX_CONN))
            else:
                current = record.request_id
                keep = bool(begin.flags & fastcgi.KEEP_CONN)
        elif record.request_id == fastcgi.NULL_REQUEST_ID:
            link.send(_answer_management(record))
        elif record.request_id != current:
            continue
        elif record.type == fastcgi.PARAMS:
            if not record.content:
                content = b"".join(params)
                return current, keep, make_environ(content), content
            size += len(record.content)
            if size > _PARAMS_LIMIT:
                raise fastcgi.ProtocolError(f"the PARAMS of a request exceed {_PARAMS_LIMIT} bytes")
            params.append(record.content)
        elif record.type == fastcgi.ABORT_REQUEST:
            link.send(fastcgi.encode_end_request(current))
            if not keep:
                return None
            current, size = 0, 0
            params.clear()
    return None


def _skip_body(link: Link, request_id: int) -> None:
    """Receive what is left of the body of a request that has been answered.

    :raises fastcgi.ProtocolError: the peer does not speak FastCGI, or has begun another request.
    """
    while (record := link.receive()) is not None:
        if record.type == fastcgi.BEGIN_REQUEST:
            raise fastcgi.ProtocolError("a request begins before the last one has ended")
        if record.request_id == request_id and (
            record.type == fastcgi.ABORT_REQUEST
            or (record.type == fastcgi.STDIN and not record.content)
        ):
            return


def _answer_management(record: fastcgi.Record) -> bytes:
    if record.type != fastcgi.GET_VALUES:
        return fastcgi.encode_unknown_type(record.type)
    known = {b"FCGI_MPXS_CONNS": b"0"}
    asked = {name for name, _ in fastcgi.decode_pairs(record.content)}
    values = fastcgi.encode_pairs((name, known[name]) for name in asked if name in known)
    return fastcgi.encode_record(
        fastcgi.GET_VALUES_RESULT, fastcgi.NULL_REQUEST_ID, values[: fastcgi.MAX_CONTENT]
    )


_responders: weakref.WeakSet[Responder] = weakref.WeakSet()


def _forget_all() -> None:
    for responder in list(_responders):
        responder.forget()


def _cut_all() -> None:
    """End all requests before the notebook's variables go, which views may need."""
    for responder in list(_responders):
        responder.stop(grace=0)


# Of what is to be done at exit, what was registered last is done first: before IPython empties the
# notebook's namespace.
atexit.register(_cut_all)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
