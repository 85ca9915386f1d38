"""A web server's end of a link, that speaks FastCGI to a responder in this process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.kernel.responder.responder import Responder

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

SECONDS = 10  # for what must come at once


@dataclass
class Answer:
    """What came for one request."""

    stdout: bytes = b""
    stderr: str = ""
    app_status: int = -1
    protocol_status: int = -1

    @property
    def head(self) -> list[str]:
        """The header lines, ``Status`` first."""
        return self.stdout.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")

    @property
    def status(self) -> str:
        return self.head[0].removeprefix("Status: ")

    @property
    def body(self) -> bytes:
        return self.stdout.partition(b"\r\n\r\n")[2]


class LinkEnded(Exception):
    """The responder closed the link before the request's end. Its argument is what came."""


class Client:
    """A web server's end of one link."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._reader = fastcgi.RecordReader()
        self._records: list[fastcgi.Record] = []

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def record(self) -> fastcgi.Record | None:
        """The next record; ``None`` where the responder has closed the link."""
        while not self._records:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._records = self._reader.feed(data)
        return self._records.pop(0)

    def read(self, request_id: int = 1) -> Answer:
        """Read to the end of a request.

        :raises LinkEnded: the link ended before it.
        """
        answer = Answer()
        while (record := self.record()) is not None:
            assert record.request_id == request_id
            if record.type == fastcgi.STDOUT:
                answer.stdout += record.content
            elif record.type == fastcgi.STDERR:
                answer.stderr += record.content.decode()
            else:
                assert record.type == fastcgi.END_REQUEST
                end = fastcgi.decode_end_request(record.content)
                answer.app_status, answer.protocol_status = end
                return answer
        raise LinkEnded(answer)

    def read_stdout(self, size: int) -> bytes:
        """Read ``STDOUT`` until it has ``size`` bytes, without the head."""
        data = b""
        while len(data.partition(b"\r\n\r\n")[2]) < size:
            record = self.record()
            assert record is not None
            assert record.type == fastcgi.STDOUT
            data += record.content
        return data.partition(b"\r\n\r\n")[2]

    def ask(self, method: str = "GET", path: str = "/", body: bytes = b"", **params: str) -> Answer:
        """Make a request and read its answer."""
        self.send(request(method, path, body, **params))
        return self.read()

    def is_closed(self) -> bool:
        return self.record() is None

    def close(self) -> None:
        self.socket.close()


def head(
    method: str = "GET",
    path: str = "/",
    params: dict[str, str] | None = None,
    *,
    request_id: int = 1,
    keep: bool = True,
) -> bytes:
    """A request up to the end of its ``PARAMS``."""
    named = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "SERVER_SOFTWARE": fastcgi.GATEWAY_SOFTWARE,
        **(params or {}),
    }
    pairs = fastcgi.encode_pairs((k.encode(), v.encode("latin-1")) for k, v in named.items())
    return b"".join(
        (
            fastcgi.encode_begin_request(request_id, keep=keep),
            fastcgi.encode_stream(fastcgi.PARAMS, request_id, pairs),
            fastcgi.encode_record(fastcgi.PARAMS, request_id),
        )
    )


def stdin(data: bytes = b"", request_id: int = 1) -> bytes:
    """A piece of a request's body, or its end."""
    return fastcgi.encode_record(fastcgi.STDIN, request_id, data)


def request(method: str = "GET", path: str = "/", body: bytes = b"", **params: str) -> bytes:
    """A whole request."""
    if body:
        params = {"CONTENT_LENGTH": str(len(body)), **params}
    stream = fastcgi.encode_stream(fastcgi.STDIN, 1, body)
    return head(method, path, params) + stream + stdin()


class CountingSocket(socket.socket):
    """A listening socket whose connections count the calls that move bytes.

    :cvar on_accept: called when it has accepted one.
    :cvar calls: ``recv`` once it has returned, ``send`` before it is made.
    """

    calls: list[str]
    on_accept: Callable[[], object] | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        peer, address = super().accept()
        if self.on_accept is not None:
            self.on_accept()
        connection = CountingSocket(fileno=peer.detach())
        connection.calls = self.calls
        return connection, address

    def recv(self, *args: Any) -> bytes:
        data = super().recv(*args)
        self.calls.append("recv")
        return data

    def send(self, *args: Any) -> int:
        self.calls.append("send")
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        self.calls.append("send")
        super().sendall(*args)


@dataclass
class Served:
    """A responder for one app.

    :ivar listening: the socket it accepts links from.
    :ivar calls: the calls of ``recv`` and ``send`` on its links.
    """

    responder: Responder
    address: str
    listening: CountingSocket
    calls: list[str]
    clients: list[Client] = field(default_factory=list)

    def connect(self) -> Client:
        self.clients.append(Client(self.address))
        return self.clients[-1]


Serve = Callable[[App], Served]


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what must come at once."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.005)
