"""Where a responder listens: a Unix domain socket, or the loopback with a secret.

One place decides who may connect to a kernel. With a Unix domain socket the file system does, by
the modes of the socket and its directory. On the loopback, where every user of the machine may
connect, a secret does that only the user's own mount record holds.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import sys
import time
from pathlib import Path

from ...records import remove_socket, socket_path

__all__ = ["TRANSPORTS", "TRANSPORT_ENV", "Listener", "default_transport"]

TRANSPORTS = ("unix", "tcp")

TRANSPORT_ENV = "JUPYTER_FLASKSERVE_TRANSPORT"
"""The environment variable with the transport to take where none is asked for."""

_SECRET_SIZE = 32  # bytes, in each direction
_SECRET_TIMEOUT = 1.0  # seconds for a new connection to show its secret


def default_transport() -> str:
    """The transport to take where none is asked for: ``unix`` where there are Unix sockets."""
    chosen = os.environ.get(TRANSPORT_ENV, "")
    if chosen in TRANSPORTS:
        return chosen
    return "unix" if hasattr(socket, "AF_UNIX") and sys.platform != "win32" else "tcp"


class Listener:
    """A listening socket.

    :param transport: ``unix`` or ``tcp``.
    :param generation: the word that names the socket's file.
    :param backlog: how many connections may wait to be accepted.
    :param path: where a Unix socket is to be, if not beside the mount records.
    :ivar address: what the mount record tells: a path, or ``127.0.0.1:PORT``.
    :ivar secret: what the mount record tells of the secret, or an empty string.
    :raises OSError: the socket cannot be made.
    """

    def __init__(
        self, transport: str, *, generation: str, backlog: int, path: Path | None = None
    ) -> None:
        self._expected = self._answer = b""
        self._path: Path | None = None
        self.secret = ""
        if transport == "unix":
            self._path = path or socket_path(generation)
            self.address = str(self._path)
            self.socket = _listen_at(self._path, backlog)
        else:
            self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog)
            self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
            self._expected = secrets.token_bytes(_SECRET_SIZE)
            self._answer = secrets.token_bytes(_SECRET_SIZE)
            self.secret = self._expected.hex() + self._answer.hex()

    def admit(self, peer: socket.socket) -> bool:
        """Whether the other end of a new connection may use it.

        On the loopback the peer has to show the secret, and is shown one in return, before anything
        else is read: a program that has got the port of a kernel that ended cannot answer for it.
        """
        if not self._expected:
            return True
        deadline = time.monotonic() + _SECRET_TIMEOUT
        shown = b""
        try:
            while len(shown) < _SECRET_SIZE:
                peer.settimeout(max(deadline - time.monotonic(), 0.001))
                data = peer.recv(_SECRET_SIZE - len(shown))
                if not data:
                    return False
                shown += data
            if not hmac.compare_digest(shown, self._expected):
                return False
            peer.sendall(self._answer)
            peer.settimeout(None)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return False
        return True

    def wake(self) -> None:
        """Make a thread that waits in ``accept`` return."""
        try:
            with socket.socket(self.socket.family) as waker:
                waker.settimeout(1)
                waker.connect(self.socket.getsockname())
        except OSError:  # the socket's file has been removed; not all systems heed this
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        if self._path is not None:
            remove_socket(self._path)


def _listen_at(path: Path, backlog: int) -> socket.socket:
    """A listening Unix domain socket of mode 0600."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The directory is of mode 0700 (see socket_path), so nobody connects before chmod.
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        remove_socket(path)
        raise
    return listener
