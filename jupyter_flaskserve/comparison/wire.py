"""Requests as bytes on a socket, for what a well-behaved client would never send."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Address", "Answer", "ask", "connect", "exchange", "head"]


@dataclass(frozen=True)
class Address:
    """Where a server listens, and what is to be sent with each request.

    :ivar root: the path of the app, with a slash at its end.
    :ivar headers: header fields that let a request in. They are secret.
    :ivar authority: the certificate file to trust; with it, or where ``tls`` is set, all goes
        through TLS.
    :ivar tls: whether to use TLS with any certificate, on this machine's own Jupyter Server.
    """

    port: int
    root: str = "/"
    host: str = "127.0.0.1"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    authority: str = ""
    tls: bool = False

    def path(self, rest: str) -> str:
        """A path of the app, such as ``/static/x``, as it is asked for."""
        return self.root + rest.lstrip("/")

    @property
    def url(self) -> str:
        scheme = "https" if self.tls or self.authority else "http"
        return f"{scheme}://{self.host}:{self.port}{self.root}"


@dataclass(frozen=True)
class Answer:
    """A response.

    :ivar headers: its header fields, by their names in lower case.
    :ivar seconds: how long it took, from before the connection to the last byte.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


def connect(address: Address, timeout: float, *, receive_buffer: int = 0) -> socket.socket:
    """A connection.

    :param timeout: seconds for it, and for each thing that is done with it.
    :param receive_buffer: bytes that the system is to hold for it, where not as many as it likes.
    :raises OSError: there is none; ``ssl.SSLError`` where the other end does not speak TLS.
    """
    plain = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    try:
        plain.settimeout(timeout)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect((address.host, address.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not address.tls and not address.authority:
            return plain
        context = ssl.create_default_context(cafile=address.authority or None)
        if not address.authority:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


def head(address: Address, path: str, *, extra: Iterable[str] = ()) -> bytes:
    """The head of a GET request without the empty line at its end."""
    fields = [f"{name}: {value}" for name, value in address.headers]
    lines = [f"GET {address.path(path)} HTTP/1.1", f"Host: {address.host}:{address.port}"]
    return "\r\n".join([*lines, *fields, *extra]).encode() + b"\r\n"


def ask(address: Address, path: str, timeout: float) -> Answer:
    """Send a GET request and wait for the whole response.

    :raises OSError: no response has come.
    :raises http.client.HTTPException: what has come is none.
    """
    began = time.monotonic()
    with connect(address, timeout) as peer:
        peer.sendall(head(address, path, extra=["Connection: close"]) + b"\r\n")
        with http.client.HTTPResponse(peer, method="GET") as response:
            response.begin()
            body = response.read()
            fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, body, time.monotonic() - began)


def exchange(address: Address, request: bytes, timeout: float, limit: int = 4096) -> bytes:
    """Send bytes and return the first that come back; none where the connection is closed."""
    with connect(address, timeout) as peer:
        peer.sendall(request)
        return peer.recv(limit)
