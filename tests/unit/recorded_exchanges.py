"""Runs requests as the responder does, over a link that is no socket, so that tests can look at the
exchanges."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.gateway.environ import RequestHead, cgi_params, header_params, split_host
from jupyter_flaskserve.kernel.exchanges.exchange import Exchange
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchanges
from jupyter_flaskserve.kernel.responder.environ import make_environ
from jupyter_flaskserve.kernel.responder.link import ClientDisconnected
from jupyter_flaskserve.kernel.responder.wsgi import Transaction

App = Callable[..., Iterable[bytes]]

PREFIX = "/base/flaskserve/demo"


class FakeLink:
    """Gives the request's body in records, and takes what is sent."""

    def __init__(self, body: Iterable[bytes], client: Any = None) -> None:
        self._records = deque(fastcgi.Record(fastcgi.STDIN, 1, piece) for piece in (*body, b""))
        self._client = client
        self.sent: list[bytes] = []

    def receive(self) -> fastcgi.Record | None:
        return self._records.popleft() if self._records else None

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def send_ready(self, data: bytes) -> int:
        self.sent.append(data)
        return len(data)

    def take_socket(self) -> Any:
        return self._client


class Recorder:
    """Exchanges, and the app that is asked."""

    def __init__(self, app: App | None = None) -> None:
        self.app = app
        self.exchanges = Exchanges(mount="demo")
        self.environ: dict[str, Any] = {}  # the latest, as the app was given it
        self.sent: list[bytes] = []  # what went out for the latest

    def ask(
        self,
        target: str = "/",
        method: str = "GET",
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | Sequence[bytes] = b"",
        app: App | None = None,
        client: Any = None,
        arrived: float | None = None,
    ) -> Exchange:
        """Run one request to its end.

        :param target: path under the mount and query.
        :param body: the request's body; several pieces come in as many records.
        :param client: the socket that a WebSocket is spoken over.
        """
        pieces = [body] if isinstance(body, bytes) and body else list(body or ())
        headers = [("Host", "example.org:8888"), *headers]
        if pieces:
            headers.append(("Content-Length", str(sum(map(len, pieces)))))
        path, _, query = target.partition("?")
        head = RequestHead(
            method=method,
            path=PREFIX + path,
            query=query,
            version="HTTP/1.1",
            encoded_headers=header_params(headers),
            host=split_host("example.org:8888")[0] + ":8888",
            scheme="http",
            remote_addr="192.0.2.7",
            remote_port="4711",
            prefix=PREFIX,
            upgrade=client is not None,
        )
        params = cgi_params(head)
        environ = make_environ(params)
        exchange = self.exchanges.begin(environ, params, arrived)
        self.environ = environ
        link: Any = FakeLink(pieces, client)
        transaction = Transaction(link, 1, environ, exchange)
        chosen = app or self.app
        assert chosen is not None
        try:
            with exchange:
                transaction.run(chosen)
        except ClientDisconnected:
            pass
        self.sent = link.sent
        return exchange


def answer(
    body: bytes | Sequence[bytes] = b"hello",
    status: str = "200 OK",
    headers: Sequence[tuple[str, str]] = (("Content-Type", "text/plain"),),
    *,
    with_length: bool = True,
) -> App:
    """An app that reads its request's body and gives always the same answer."""
    chunks = [body] if isinstance(body, bytes) else list(body)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        length = [("Content-Length", str(sum(map(len, chunks))))] if with_length else []
        start_response(status, [*headers, *length])
        return iter(chunks)

    return app
