"""Links to one responder, and the pool that lends them to requests.

A link is one byte stream that carries one request at a time. What the stream is made of (a Unix
domain socket, a TCP connection, messages of something else) is known only to the ``connect`` that
the pool is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from .. import fastcgi
from .errors import GatewayError

__all__ = ["Connect", "Link", "LinkLost", "LinkPool", "LinkUser"]

_TICK = 1.0  # seconds
_READ_SIZE = 262144  # bytes read at a time
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
_RESET_WAIT, _RESET_TICK = 0.1, 0.005  # seconds that a reset may come behind an end

Connect = Callable[
    [Callable[[], asyncio.BaseProtocol]],
    Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]],
]
"""Opens a byte stream and attaches the protocol that the given function makes, as asyncio's
``loop.create_connection`` does. It raises ``OSError`` where nobody listens."""


class LinkLost(ConnectionError):
    """The link ended in the middle of a request."""


class LinkUser(Protocol):
    """The request that has a link at the moment."""

    def records_received(self, records: list[fastcgi.Record]) -> None:
        """The responder sent records."""

    def bytes_received(self, data: bytes) -> None:
        """Bytes came over a link that carries no records any more."""

    def bytes_ended(self) -> None:
        """The responder will send no more bytes, but may still take some."""

    def link_lost(self, error: Exception) -> None:
        """The link ended, or what came over it was not FastCGI. There will be no more records."""

    def check_time(self, now: float) -> None:
        """Called about once a second, with the time of the monotonic clock."""


class _Buffer(threading.local):
    """What the links of one thread, and so of one event loop, read into, one after the other.

    To let asyncio make new memory for each read costs more than a small response does otherwise.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ_SIZE))


_buffer = _Buffer()


class Link(asyncio.BufferedProtocol):
    """One connection to a responder.

    :ivar user: the request that the link carries now; ``None`` while it is idle.
    :ivar is_answering: whether anything has come since its user got it.
    :ivar is_raw: whether it has become a stream of bytes.
    """

    def __init__(self, on_lost: Callable[[Link], None]) -> None:
        self.user: LinkUser | None = None
        self.idle_since = 0.0
        self.is_answering = False
        self._on_lost = on_lost
        self._reader = fastcgi.RecordReader()
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reading = True
        self._record_by_record = False
        self.is_raw = False

    @property
    def is_lost(self) -> bool:
        """Whether it has ended, and its user been told if it had one then."""
        return self._transport is None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_ready(self) -> bool:
        """Whether it may carry another request: open, and with nothing left over of the last."""
        return self.is_open and self._reader.between_records

    @property
    def is_congested(self) -> bool:
        """Whether the responder does not keep up with what is written."""
        return self._writable is not None

    def write(self, data: bytes) -> asyncio.Future[None] | None:
        """Send bytes to the responder.

        :returns: ``None``, or a future that is done when the responder has taken enough of what was
            written for more to be written. It fails with :exc:`LinkLost` when the link ends.
        """
        if self._transport is None:
            raise LinkLost("the link is closed")
        self._transport.write(data)
        return self._writable

    def pause_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def expect_upgrade(self) -> None:
        """Hand over one record at a time: any may be the last before plain bytes."""
        self._record_by_record = True

    def expect_records(self) -> None:
        """Hand over all records that have come at once, as at the beginning."""
        self._record_by_record = False

    def upgrade(self) -> None:
        """The record just received was the last. From here on the link is a stream of bytes."""
        self.is_raw = True

    def close(self, timeout: float) -> None:
        """Close the link once what was written has gone out, at the latest after ``timeout``
        seconds. Its user hears nothing more."""
        self.user = None
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(timeout, self.abort)

    def abort(self) -> None:
        """Close the link at once, so that the responder's next write fails. Its user hears nothing
        more."""
        self.user = None
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            if connection is not None and connection.family == socket.AF_INET:
                # TCP would take one more write unless it is reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer.view

    def buffer_updated(self, nbytes: int) -> None:
        self.take(_buffer.view[:nbytes])

    def take(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the responder. They are not kept where they are."""
        self.is_answering = True
        if self.is_raw:
            if self.user is not None:
                self.user.bytes_received(bytes(data))
            return
        if self._record_by_record:
            self._step(data)
            return
        try:
            records = self._reader.feed(data)
        except fastcgi.ProtocolError as error:
            self._fail(error)
            return
        if self.user is not None:
            if records:
                self.user.records_received(records)
        elif records or not self._reader.between_records:
            self.abort()  # a responder has nothing to say while it is not asked

    def _step(self, data: bytes | memoryview) -> None:
        try:
            while not self.is_raw and self.user is not None:
                records = self._reader.feed(data, limit=1)
                data = b""
                if not records:
                    return
                self.user.records_received(records)
        except fastcgi.ProtocolError as error:
            self._fail(error)
            return
        rest = self._reader.take_rest()
        if rest and self.user is not None:
            self.user.bytes_received(rest)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def eof_received(self) -> bool:
        if self.user is None:
            return False
        if self.is_raw:
            self.user.bytes_ended()
            return True  # asyncio then leaves the other direction open
        if not self.is_answering:
            self._wait_for_reset(time.monotonic() + _RESET_WAIT)
            return True
        self._fail(LinkLost("the link ended"))
        return False

    def _wait_for_reset(self, deadline: float) -> None:
        """Fail as soon as it is known whether the responder had read what was sent to it.

        When a responder closes a link in which something is unread, the link is reset. It may be
        the plain end that comes first.
        """
        if self._transport is None or self.user is None:
            return
        connection = self._transport.get_extra_info("socket")
        number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._fail(OSError(number, os.strerror(number)))
        elif time.monotonic() >= deadline:
            self._fail(LinkLost("the link ended"))
        else:
            asyncio.get_running_loop().call_later(_RESET_TICK, self._wait_for_reset, deadline)

    def connection_lost(self, error: Exception | None) -> None:
        transport, self._transport = self._transport, None
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_exception(LinkLost("the link ended"))
            writable.exception()  # nobody may be waiting
        try:
            if error is not None and transport is not None:
                self._take_unread(transport)
        finally:
            self._on_lost(self)
            if self.user is not None:
                self._fail(error or LinkLost("the link ended"))

    def _take_unread(self, transport: asyncio.Transport) -> None:
        """Take what had arrived when a write failed, which asyncio leaves unread.

        A responder may have answered, and closed the link, before it was sent the whole request.
        """
        connection = transport.get_extra_info("socket")  # open until connection_lost() returns
        if connection is None:
            return
        try:
            unread = connection.dup()
        except OSError:  # there are no more descriptors
            return
        with unread:
            unread.setblocking(False)
            while self.user is not None:
                try:
                    data = unread.recv(_READ_SIZE)
                except OSError:
                    return
                if not data:
                    return
                self.take(data)

    def _fail(self, error: Exception) -> None:
        user = self.user
        self.abort()
        if user is not None:
            user.link_lost(error)


class LinkPool:
    """The links to one responder. Keeps idle ones, opens more up to a limit, and makes the rest
    wait their turn, first come first served.

    :param connect: opens a connection.
    :param limit: the most links at once; the responder's number of threads.
    :param queue_length: how many requests may wait for a link.
    :param queue_timeout: how long one may wait, in seconds.
    :param connect_timeout: how long opening a connection may take, in seconds.
    :param idle_timeout: how long an idle link is kept, in seconds.
    :param places: what there are ``limit`` of, for the message where all are busy.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        limit: int,
        queue_length: int,
        queue_timeout: float,
        connect_timeout: float,
        idle_timeout: float,
        places: str = "threads of this app",
    ) -> None:
        self._connect = connect
        self._limit = limit
        self._queue_length = queue_length
        self._queue_timeout = queue_timeout
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._places = places
        self._idle: list[Link] = []  # the most lately used last
        self._lent: set[Link] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Link | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def in_use(self) -> int:
        """How many requests have a link or wait for one."""
        return len(self._lent) + self._opening + len(self._waiting)

    def take_idle(self, user: LinkUser) -> Link | None:
        """Lend an idle link, without waiting."""
        while self._idle and not self._waiting:
            link = self._idle.pop()
            if link.is_open:
                return self._lend(link, user)
        return None

    async def take(self, user: LinkUser) -> Link:
        """Lend a link; wait for one where all are in use.

        :raises OSError: nobody listens at the other end.
        :raises GatewayError: 503 when the queue is full or the wait was too long; 504 when the
            connection could not be opened in time.
        """
        link = self.take_idle(user)
        if link is not None:
            return link
        if self._waiting or len(self._lent) + self._opening >= self._limit:
            waited = await self._wait_for_turn()
            if waited is not None:
                return self._lend(waited, user)
            # A place is free and counted as ours: see _pass_on.
        else:
            self._opening += 1
        # The connection is made in a task of its own: a request that is cancelled meanwhile must
        # not leave a connection behind that nobody knows of.
        opening = asyncio.ensure_future(self._open())
        try:
            link = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._adopt)
            raise
        except BaseException:
            self._opening -= 1
            self._pass_on(None)
            raise
        self._opening -= 1
        return self._lend(link, user)

    def give_back(self, link: Link) -> None:
        """Take back a link whose request ended well."""
        self._lent.discard(link)
        link.user = None
        link.expect_records()
        if self._closed or not link.is_ready:
            link.abort()
            self._pass_on(None)
        else:
            self._pass_on(link)

    def discard(self, link: Link) -> None:
        """Close a lent link whose request did not end well."""
        self._lent.discard(link)
        link.abort()
        self._pass_on(None)

    def retire(self, link: Link) -> None:
        """Take note that a lent link has become something else, and has ended as that."""
        self._lent.discard(link)
        self._pass_on(None)

    def close(self) -> None:
        """Lend no more links and close the idle ones. Requests that have one go on with it."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        for link in self._idle:
            link.abort()
        self._idle.clear()

    def _lend(self, link: Link, user: LinkUser) -> Link:
        link.user = user
        link.is_answering = False
        self._lent.add(link)
        if self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(_TICK, self._tick)
        return link

    def _tick(self) -> None:
        """Let the requests that have a link look at the clock. One timer serves them all."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        try:
            for link in list(self._lent):
                if link.user is not None:
                    link.user.check_time(now)
        finally:
            self._clock = loop.call_later(_TICK, self._tick) if self._lent else None

    async def _open(self) -> Link:
        try:
            _, link = await asyncio.wait_for(
                self._connect(lambda: Link(self._forget)), self._connect_timeout
            )
        except asyncio.TimeoutError:
            raise GatewayError(
                504,
                "connect-timeout",
                f"The kernel did not take the connection within {self._connect_timeout:g} seconds"
                " (FlaskServe.connect_timeout). Is it stopped or very busy?",
            ) from None
        return cast(Link, link)

    async def _wait_for_turn(self) -> Link | None:
        """Wait for a link, or for the place of one that has been closed (``None``)."""
        if len(self._waiting) >= self._queue_length:
            raise GatewayError(
                503,
                "queue-full",
                f"All {self._limit} {self._places} are busy and {self._queue_length} more requests"
                " are waiting (FlaskServe.queue_length). Try again in a moment.",
                retry_after=1,
            )
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Link | None] = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(self._queue_timeout, self._expire, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)
            if not turn.cancelled() and turn.exception() is None:
                self._return_turn(turn.result())
            raise
        finally:
            timer.cancel()

    def _expire(self, turn: asyncio.Future[Link | None]) -> None:
        if not turn.done():
            self._waiting.remove(turn)
            turn.set_exception(
                GatewayError(
                    503,
                    "queue-timeout",
                    f"All {self._limit} {self._places} were busy for {self._queue_timeout:g}"
                    " seconds (FlaskServe.queue_timeout). Try again in a moment.",
                    retry_after=max(1, round(self._queue_timeout)),
                )
            )

    def _adopt(self, opening: asyncio.Future[Link]) -> None:
        """Take in a link whose request left while it was being opened."""
        self._opening -= 1
        failed = opening.cancelled() or opening.exception() is not None
        self._pass_on(None if failed else opening.result())

    def _return_turn(self, link: Link | None) -> None:
        """Pass on what was given to a request that had left by then."""
        if link is None:
            self._opening -= 1
        else:
            self._lent.discard(link)
        self._pass_on(link)

    def _pass_on(self, link: Link | None) -> None:
        """Give a link, or the place of a closed one, to who has waited longest."""
        while self._waiting:
            if link is None and len(self._lent) + self._opening >= self._limit:
                return
            turn = self._waiting.popleft()
            if not turn.done():
                # It is counted from now on, not from when the one who waits goes on: somebody else
                # may ask before, and would open a link too many.
                if link is None:
                    self._opening += 1
                else:
                    self._lent.add(link)
                turn.set_result(link)
                return
        if link is not None and (self._closed or not link.is_open):
            link.abort()
        elif link is not None:
            link.idle_since = time.monotonic()
            self._idle.append(link)
            if self._reaper is None:
                self._reaper = asyncio.get_running_loop().call_later(self._idle_timeout, self._reap)

    def _reap(self) -> None:
        """Close the links that have been idle for long enough."""
        self._reaper = None
        oldest = time.monotonic() - self._idle_timeout
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).abort()
        if self._idle:
            delay = self._idle[0].idle_since - oldest
            self._reaper = asyncio.get_running_loop().call_later(delay, self._reap)

    def _forget(self, link: Link) -> None:
        if link in self._idle:
            self._idle.remove(link)
