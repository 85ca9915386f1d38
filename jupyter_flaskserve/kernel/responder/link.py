"""The responder's end of a link: blocking, one thread and one request at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque

from ... import fastcgi

__all__ = ["ClientDisconnected", "Link"]

_RECEIVE_SIZE = 65536  # bytes asked of the socket at a time

# That both directions are closed is always told; on Linux that of one must be asked for, and TCP
# knows of no more when the peer has closed its end.
_PEER_CLOSED = getattr(select, "POLLRDHUP", 0)


class ClientDisconnected(ConnectionError):
    """The client, or the server in between, has left: nobody will read the answer."""


class Link:
    """The responder's end of one connection, used by one thread at a time, blocking.

    :param peer: the connected socket; the link owns it.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._socket = peer
        self._reader = fastcgi.RecordReader()
        self._records: deque[fastcgi.Record] = deque()

    def receive(self) -> fastcgi.Record | None:
        """Wait for the next record.

        :returns: the record, or ``None`` where the peer has closed the link.
        :raises fastcgi.ProtocolError: the peer does not speak FastCGI.
        """
        while not self._records:
            try:
                data = self._socket.recv(_RECEIVE_SIZE)
            except OSError:
                data = b""
            if not data:
                return None
            self._records.extend(self._reader.feed(data))
        return self._records.popleft()

    def fileno(self) -> int:
        """The socket's descriptor, for a selector."""
        return self._socket.fileno()

    def settle(self, request_id: int, *, body_ended: bool) -> bool:
        """Drop what has been received of the body of a request that is over.

        :param body_ended: whether the app has read that body to its end.
        :returns: whether all of the request has been received, and nothing behind it.
        """
        while self._records and not body_ended:
            record = self._records[0]
            if record.type != fastcgi.STDIN or record.request_id != request_id:
                return False
            self._records.popleft()
            body_ended = not record.content
        return body_ended and not self._records and self._reader.between_records

    @property
    def is_cut(self) -> bool:
        """Whether the peer has closed the link, as far as can be told without reading."""
        if self._socket.fileno() < 0 or not hasattr(select, "poll"):
            return self._socket.fileno() < 0
        poll = select.poll()
        poll.register(self._socket, _PEER_CLOSED)
        return bool(poll.poll(0))

    def send(self, data: bytes) -> None:
        """Send all of ``data``, for as long as the peer takes.

        :raises ClientDisconnected: the peer has closed the link.
        """
        try:
            self._socket.sendall(data)
        except OSError:
            raise ClientDisconnected("the client left before the whole response was sent") from None

    def send_ready(self, data: bytes) -> int:
        """Send what the peer takes at once.

        :returns: how many bytes that was.
        """
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except OSError:
            return 0

    def take_socket(self) -> socket.socket:
        """The socket, for bytes that are no records any more."""
        return self._socket

    def wait_until_closed(self, timeout: float) -> None:
        """Wait until the app has closed the socket that it was given, which its library may do in
        another thread after the view has returned.

        :param timeout: how long, in seconds, at the most.
        """
        deadline = time.monotonic() + timeout
        while self._socket.fileno() >= 0 and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop_receiving(self) -> None:
        """Make the thread that waits for a record see the link's end. It may still send."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def interrupt(self) -> None:
        """Make the thread that waits in this link see its end. Safe from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close this process's copy of the socket, and leave the connection as it is."""
        self._socket.close()

    def close(self, *, linger: float = 0.0) -> None:
        """Close the link.

        :param linger: seconds to go on reading first, so that a peer that is still sending gets to
            read the answer.
        """
        if linger:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
                self._socket.settimeout(linger)
                deadline = time.monotonic() + linger
                while self._socket.recv(_RECEIVE_SIZE) and time.monotonic() < deadline:
                    pass
        self.interrupt()  # an app's thread may be waiting in this socket
        self._socket.close()
