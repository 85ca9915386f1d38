"""Bytes that nobody should send, at both ends of a link: a responder that is sent them, and a
gateway that is answered with them. Neither crashes, hangs, grows or mixes up its requests."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import re
import select
import socket
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import h11
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.netutil import bind_unix_socket
from tornado.routing import Router

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.gateway.answer import Answer
from jupyter_flaskserve.gateway.environ import RequestHead, cgi_params, header_params, wants_upgrade
from jupyter_flaskserve.gateway.forward import Brief, Forwarding, Limits
from jupyter_flaskserve.gateway.links import LinkPool
from jupyter_flaskserve.gateway.response import HeadParser, MalformedResponse, ResponseHead
from jupyter_flaskserve.kernel.responder.environ import make_environ
from jupyter_flaskserve.kernel.responder.listener import Listener
from jupyter_flaskserve.kernel.responder.responder import Responder

MIB = 1024 * 1024
SECONDS = 5  # for what must come at once

fuzzed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

cuts = st.lists(st.integers(0, 400), max_size=6)


def split(data: bytes, places: list[int]) -> list[bytes]:
    """Cut data at the given places."""
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} has not come"
        time.sleep(0.002)


# Records as a peer might send them that has lost its mind, or has none.

types = st.one_of(st.sampled_from(range(1, 12)), st.integers(0, 255))
request_ids = st.sampled_from([0, 1, 1, 1, 2, 65535])
names = st.sampled_from(
    [
        b"REQUEST_METHOD",
        b"PATH_INFO",
        b"CONTENT_LENGTH",
        b"HTTP_PROXY",
        b"wsgi.input",
        b"FLASKSERVE_CONTROL",
        b"FCGI_MPXS_CONNS",
        b"",
    ]
)
pair_lists = st.lists(
    st.tuples(
        names | st.binary(max_size=9),
        st.sampled_from([b"stop", b"HEAD", b"-1"]) | st.binary(max_size=200),
    ),
    max_size=5,
)
contents = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    pair_lists.map(fastcgi.encode_pairs),
    st.sampled_from([b"\0\1\1\0\0\0\0\0", b"\0\1\0\0\0\0\0\0", b"\0\2\1\0\0\0\0\0", b"\0" * 8]),
    st.sampled_from([1000, 65535]).map(bytes),
)


def record(type: int, request_id: int, content: bytes, padding: int = 0) -> bytes:
    header = bytes((1, type)) + request_id.to_bytes(2, "big") + len(content).to_bytes(2, "big")
    return header + bytes((padding, 0)) + content + bytes(padding)


record_bytes = st.builds(record, types, request_ids, contents, st.integers(0, 255) | st.just(0))
requests = st.builds(
    lambda keep, params, body, request_id: b"".join(
        (
            fastcgi.encode_begin_request(request_id, keep=keep),
            fastcgi.encode_stream(fastcgi.PARAMS, request_id, fastcgi.encode_pairs(params)),
            fastcgi.encode_record(fastcgi.PARAMS, request_id),
            fastcgi.encode_stream(fastcgi.STDIN, request_id, body),
            fastcgi.encode_record(fastcgi.STDIN, request_id),
        )
    ),
    st.booleans(),
    pair_lists,
    st.binary(max_size=100),
    st.sampled_from([1, 2, 65535]),
)


def changed(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """Bytes of which some have become others."""
    array = bytearray(data)
    for place, value in changes:
        if array:
            array[place % len(array)] = value
    return bytes(array)


record_streams = st.lists(record_bytes | requests, max_size=8).map(b"".join)
spoilt_streams = st.builds(
    changed,
    st.lists(requests, min_size=1, max_size=3).map(b"".join),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
)


# The responder


class Fuzzed:
    """A responder in this process, and what it and its threads write to ``sys.stderr``."""

    def __init__(self) -> None:
        self.listener = Listener("unix", generation="fuzz", backlog=16)
        self.address = self.listener.address
        self.responder = Responder(self.app, name="fuzz", listener=self.listener, threads=4)

    @staticmethod
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Reads all of the body, and gives it back."""
        body = environ["wsgi.input"].read()
        if environ["REQUEST_METHOD"] == "FAIL":
            raise RuntimeError("as it was asked to")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode("latin-1"), body]

    def send(self, pieces: Iterable[bytes]) -> bytes:
        """Send bytes on a link of their own. All that comes back, up to the link's end."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(SECONDS)
            link.connect(self.address)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    link.sendall(piece)
                link.shutdown(socket.SHUT_WR)
            data = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := link.recv(65536):
                    data += piece
            return data

    def ask(self) -> bytes:
        """What a good request gets."""
        params = fastcgi.encode_pairs([(b"REQUEST_METHOD", b"POST"), (b"PATH_INFO", b"/good ")])
        return self.send(
            [
                fastcgi.encode_begin_request(7, keep=False)
                + fastcgi.encode_stream(fastcgi.PARAMS, 7, params)
                + fastcgi.encode_record(fastcgi.PARAMS, 7)
                + fastcgi.encode_stream(fastcgi.STDIN, 7, b"body")
                + fastcgi.encode_record(fastcgi.STDIN, 7)
            ]
        )

    @staticmethod
    def workers() -> int:
        return sum("flaskserve fuzz worker" in thread.name for thread in threading.enumerate())

    def survives(self, data: bytes, places: list[int]) -> list[fastcgi.Record]:
        """Send bytes and check that nothing was harmed. The records that came back."""
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            reader = fastcgi.RecordReader()
            records = reader.feed(self.send(split(data, places)))
            assert reader.between_records, "an answer broke off inside a record"
            good = fastcgi.RecordReader().feed(self.ask())
            wait_until(lambda: self.workers() == 0, "the end of the links' threads")
        assert [(type, request_id) for type, request_id, _ in good] == [
            (fastcgi.STDOUT, 7),
            (fastcgi.STDOUT, 7),
            (fastcgi.END_REQUEST, 7),
        ]
        assert b"".join(content for _, _, content in good[:2]).endswith(b"\r\n\r\n/good body")
        assert stderr.getvalue() == ""
        return records


@pytest.fixture(scope="module")
def responder() -> Iterator[Fuzzed]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        patch.setenv("JUPYTER_RUNTIME_DIR", directory)
        patch.setattr(threading, "excepthook", threading.__excepthook__)  # writes to sys.stderr
        fuzzed = Fuzzed()
        yield fuzzed
        fuzzed.responder.stop()


def check_answers(records: list[fastcgi.Record], sent: bytes) -> None:
    """What a responder says is an answer to something it was asked (FastCGI 1.0 §3.3, §4, §5)."""
    begun = set()
    with contextlib.suppress(fastcgi.ProtocolError):
        reader = fastcgi.RecordReader()
        found = reader.feed(sent, limit=1)  # one by one: what follows may be no record
        while found:
            if found[0].type == fastcgi.BEGIN_REQUEST:
                begun.add(found[0].request_id)
            found = reader.feed(b"", limit=1)
    for type, request_id, content in records:
        if request_id == fastcgi.NULL_REQUEST_ID:
            assert type in (fastcgi.GET_VALUES_RESULT, fastcgi.UNKNOWN_TYPE)
        else:
            assert type in (fastcgi.STDOUT, fastcgi.STDERR, fastcgi.END_REQUEST)
            assert request_id in begun
        if type == fastcgi.END_REQUEST:
            fastcgi.decode_end_request(content)
        if type == fastcgi.GET_VALUES_RESULT:
            assert set(fastcgi.decode_pairs(content)) <= {(b"FCGI_MPXS_CONNS", b"0")}


@fuzzed
@given(st.binary(max_size=400), cuts)
@example(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [])
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [3])
@example(b"\x01" * 8, [])
def test_arbitrary_bytes_do_not_harm_a_responder(
    responder: Fuzzed, data: bytes, places: list[int]
) -> None:
    check_answers(responder.survives(data, places), data)


@fuzzed
@given(record_streams, cuts)
@example(fastcgi.encode_begin_request(1) + fastcgi.encode_record(fastcgi.PARAMS, 1), [])
@example(fastcgi.encode_begin_request(1, role=99) * 5, [4])
@example(
    fastcgi.encode_record(
        fastcgi.GET_VALUES, 0, fastcgi.encode_pairs([(b"FCGI_MPXS_CONNS", b"")] * 3855)
    ),
    [],
)
def test_arbitrary_records_do_not_harm_a_responder(
    responder: Fuzzed, data: bytes, places: list[int]
) -> None:
    check_answers(responder.survives(data, places), data)


@fuzzed
@given(spoilt_streams, cuts)
def test_requests_with_changed_bytes_do_not_harm_a_responder(
    responder: Fuzzed, data: bytes, places: list[int]
) -> None:
    check_answers(responder.survives(data, places), data)


FLOODS = {
    "of records of no request": [fastcgi.encode_record(fastcgi.STDIN, 9, bytes(60_000))],
    "of padding": [record(fastcgi.STDIN, 9, b"", 255) * 100],
    "of unknown types": [record(200, 0, bytes(1000)) * 20],
    "of questions": [record(fastcgi.GET_VALUES, 0, b"\x0f\0FCGI_MPXS_CONNS") * 100],
    "of requests that are not wanted": [
        fastcgi.encode_begin_request(1),
        fastcgi.encode_begin_request(2) * 100,
    ],
    "of requests that are broken off": [
        (
            fastcgi.encode_begin_request(1)
            + fastcgi.encode_stream(fastcgi.PARAMS, 1, bytes(40_000))
            + fastcgi.encode_record(fastcgi.ABORT_REQUEST, 1)
        )
    ],
    "of parameters": [
        fastcgi.encode_begin_request(1),
        fastcgi.encode_stream(fastcgi.PARAMS, 1, bytes(60_000)),
    ],
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("reads", [True, False], ids=["a peer that reads", "a peer that does not"])
def test_a_flood_does_not_fill_the_memory(responder: Fuzzed, kind: str, reads: bool) -> None:
    *first, more = FLOODS[kind]
    tracemalloc.start()
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(0.5)
            link.connect(responder.address)
            done = threading.Event()

            def read() -> None:
                with contextlib.suppress(OSError):
                    while not done.is_set() and link.recv(65536):
                        pass

            reader = threading.Thread(target=read)
            if reads:
                reader.start()
            tracemalloc.reset_peak()
            with contextlib.suppress(OSError):  # closed, or not read from any more
                for piece in first:
                    link.sendall(piece)
                sent, end = 0, time.monotonic() + 0.8
                while sent < 16 * MIB and time.monotonic() < end:
                    link.sendall(more)
                    sent += len(more)
            peak = tracemalloc.get_traced_memory()[1]
            done.set()
            if reads:
                link.shutdown(socket.SHUT_RDWR)
                reader.join()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB
    assert responder.ask()
    wait_until(lambda: responder.workers() == 0, "the end of the links' threads")


# The gateway


class Exchange(HTTPMessageDelegate):
    """What :class:`jupyter_flaskserve.server.entrance.Entrance` does, without its rules."""

    def __init__(self, gateway: Gateway, request: HTTPServerRequest) -> None:
        method, lines = request.method or "", list(request.headers.get_all())
        head = RequestHead(
            method=method,
            path=request.path,
            query=request.query,
            version=request.version,
            encoded_headers=header_params(lines),
            host=request.host,
            scheme="http",
            remote_addr="127.0.0.1",
            remote_port="",
            prefix="",
            upgrade=wants_upgrade(method, request.version, lines),
        )
        gateway.begun += 1
        self._forwarding = Forwarding(
            request,
            Brief(
                head=head,
                pool=gateway.pool,
                limits=Limits(0, 0, 0),
                response_headers=lambda head: head.headers,
                other_pool=lambda: None,
                on_error=gateway.on_error,
                on_log=gateway.logged.append,
                on_end=lambda status, whole: gateway.ends.append((status, whole)),
            ),
        )

    async def headers_received(self, start_line: Any, headers: Any) -> None:
        waiting = self._forwarding.start()
        if waiting is not None:
            await waiting

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._forwarding.data_received(chunk)

    def finish(self) -> None:
        self._forwarding.finish()

    def on_connection_close(self) -> None:
        self._forwarding.on_connection_close()


class Lie(NamedTuple):
    """What a responder sends when a request has come, piece by piece, and whether it then closes
    the link."""

    pieces: list[bytes]
    close: bool = True


class Outcome(NamedTuple):
    """What an HTTP client made of what it got.

    :ivar end: ``whole``, ``cut`` where the connection ended before the response did, ``raw`` where
        the protocol was switched, or ``pending`` where neither had come when it stopped waiting.
    """

    end: str
    status: int
    body: bytes


GOOD = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ngood"
TRUTH = Lie(
    [fastcgi.encode_stream(fastcgi.STDOUT, 1, GOOD) + fastcgi.encode_end_request(1)], close=False
)


class Gateway(Router):
    """A Tornado HTTP server whose apps' responder lies, in an event loop in a thread.

    :ivar lie: what the next request is answered with.
    """

    def __init__(self, directory: str) -> None:
        self.address = f"{directory}/http"
        self.lie = Lie([])
        self.begun = 0
        self.ends: list[tuple[int, bool]] = []
        self.errors: list[Exception] = []
        self.logged: list[str] = []
        self.unexpected: list[str] = []
        self.links: set[asyncio.Task[None]] = set()
        self.sent = threading.Event()  # whether the lie has been told
        self._responder = f"{directory}/fastcgi"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._ready.wait(SECONDS)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.unexpected.append(str(context)))
        self._stopped = asyncio.Event()
        self.pool = LinkPool(
            lambda make: self.loop.create_unix_connection(make, self._responder),
            limit=4,
            queue_length=4,
            queue_timeout=SECONDS,
            connect_timeout=SECONDS,
            idle_timeout=SECONDS,
        )
        http = HTTPServer(self)
        http.add_socket(bind_unix_socket(self.address))
        async with await asyncio.start_unix_server(self._answer, self._responder):
            self._ready.set()
            await self._stopped.wait()
            self.pool.close()
            http.stop()
            await http.close_all_connections()
            for link in self.links:
                link.cancel()
            await asyncio.gather(*self.links, return_exceptions=True)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def find_handler(self, request: HTTPServerRequest, **_: Any) -> HTTPMessageDelegate:
        return Exchange(self, request)

    def on_error(self, error: Exception) -> Answer:
        self.errors.append(error)
        body = b"the answer of the gateway"
        return Answer(502, "Bad Gateway", (("Content-Length", str(len(body))),), body)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link of the responder that lies."""
        task = asyncio.current_task()
        assert task is not None
        self.links.add(task)
        try:
            records = fastcgi.RecordReader()
            while data := await reader.read(65536):
                for type, _, content in records.feed(data):
                    if type != fastcgi.STDIN or content:
                        continue
                    lie = self.lie
                    for piece in lie.pieces:
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0)
                        await asyncio.sleep(0)
                    self.sent.set()
                    if lie.close:
                        return
        except ConnectionError:
            self.sent.set()  # it is not listened to any more
        finally:
            writer.close()
            self.links.discard(task)

    def settle(self) -> None:
        """Wait until the event loop has seen to all that has come."""
        for _ in range(5):
            turned = threading.Event()
            self.loop.call_soon_threadsafe(turned.set)
            assert turned.wait(SECONDS), "the event loop hangs"

    def ask(self, request: Request, lie: Lie) -> Outcome:
        """Make a request, which is answered with a lie, on a connection of its own."""
        with self.connect() as connection:
            return self.ask_on(connection, request, lie)

    @contextlib.contextmanager
    def connect(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SECONDS)
            connection.connect(self.address)
            yield connection

    def ask_on(self, connection: socket.socket, request: Request, lie: Lie) -> Outcome:
        self.lie = lie
        self.sent.clear()
        connection.sendall(request.to_bytes())
        assert self.sent.wait(SECONDS), "the request did not reach the responder"
        self.settle()
        connection.settimeout(SECONDS if lie.close else 0.1)
        return read_response(connection, request)

    def check_next(self) -> None:
        """The next request works, on a new connection, and gets its own answer."""
        assert self.ask(Request("GET"), TRUTH) == ("whole", 200, b"good")


class Request(NamedTuple):
    method: str
    version: str = "1.1"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def to_bytes(self) -> bytes:
        lines = [f"{self.method} /path HTTP/{self.version}", "Host: x"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def is_open(connection: socket.socket) -> bool:
    """Whether the server has left a connection open, and has not sent more than it should."""
    readable, _, _ = select.select([connection], [], [], 0)
    assert not readable or connection.recv(1, socket.MSG_PEEK) == b""
    return not readable


def read_response(connection: socket.socket, request: Request) -> Outcome:
    """Read one response, with a parser that takes nothing but HTTP/1.1 by the book.

    :raises h11.RemoteProtocolError: what came is no HTTP response.
    """
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=200_000)
    client.send(
        h11.Request(method=request.method, target="/", headers=[("Host", "x"), *request.headers])
    )
    client.send(h11.EndOfMessage())
    status, body = 0, b""
    while True:
        event = client.next_event()
        if isinstance(event, (h11.Response, h11.InformationalResponse)):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return Outcome("whole", status, body)
        elif event is h11.PAUSED:
            return Outcome("raw", status, b"")
        elif event is h11.ConnectionClosed:
            return Outcome("cut", status, body)
        else:
            try:
                data = connection.recv(65536)
            except ConnectionResetError:
                return Outcome("cut", status, body)
            except TimeoutError:
                return Outcome("pending", status, body)
            if data:
                client.receive_data(data)
                continue
            try:
                client.receive_data(b"")
                event = client.next_event()
            except h11.RemoteProtocolError:
                return Outcome("cut", status, body)
            return Outcome("whole" if type(event) is h11.EndOfMessage else "cut", status, body)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory() as directory:
        gateway = Gateway(directory)
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: gateway.unexpected.append(record.getMessage())  # type: ignore[method-assign]
        loggers = [logging.getLogger(name) for name in ("asyncio", "tornado")]
        for logger in loggers:
            logger.addHandler(handler)
        yield gateway
        for logger in loggers:
            logger.removeHandler(handler)
        gateway.stop()


http_requests = st.sampled_from(
    [
        Request("GET"),
        Request("GET"),
        Request("HEAD"),
        Request("POST", body=b"the body"),
        Request("GET", version="1.0"),
        Request(
            "GET",
            headers=(
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Version", "13"),
            ),
        ),
    ]
)
head_lines = st.one_of(
    st.sampled_from(
        [
            b"Status: 200 OK",
            b"Status: 204 No Content",
            b"Status: 304",
            b"Status: 404 \xff\xfe",
            b"Status: 500",
            b"Status: 101 Switching Protocols",
            b"Status: 103 Early Hints",
            b"Status: 999 \x7f",
            b"Content-Length: 0",
            b"Content-Length: 5",
            b"Content-Length: 005",
            b"Content-Length: 99999999999999999999",
            b"Content-Length: -1",
            b"content-length: 7",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Connection: Content-Length, Status",
            b"Location: /elsewhere",
            b"Set-Cookie: a=b",
            b"Upgrade: h2c",
            b"Trailer: X",
            b"X-A:",
            b": empty",
            b" folded",
            b"X-B: \x00",
            b"X-B: a\rb",
            b"HTTP/1.1 200 OK",
        ]
    ),
    st.binary(max_size=20),
    st.builds(
        lambda name, value: name + b": " + value, st.binary(max_size=6), st.binary(max_size=9)
    ),
)
heads = st.builds(
    lambda lines, newline, body: newline.join([*lines, b"", body]),
    st.lists(head_lines, max_size=5),
    st.sampled_from([b"\r\n", b"\n"]),
    st.binary(max_size=30) | st.just(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
)
ends = st.one_of(
    st.just(fastcgi.encode_end_request(1)),
    st.builds(fastcgi.encode_end_request, st.just(1), st.integers(0, 2), st.integers(0, 4)),
    st.just(b""),
)
answers = st.builds(
    lambda head, places, errors, end: b"".join(
        [
            *(fastcgi.encode_record(fastcgi.STDERR, 1, text) for text in errors),
            *(fastcgi.encode_record(fastcgi.STDOUT, 1, piece) for piece in split(head, places)),
            end,
        ]
    ),
    heads,
    st.lists(st.integers(0, 60), max_size=3),
    st.lists(st.binary(max_size=20), max_size=2),
    ends,
)
answer_records = st.lists(
    st.builds(
        record,
        st.sampled_from([fastcgi.STDOUT] * 4 + [fastcgi.STDERR, fastcgi.END_REQUEST]) | types,
        request_ids,
        st.sampled_from([GOOD, GOOD[:-4], b"Status: 101\r\n\r\n", b"\0" * 8]) | contents,
        st.integers(0, 255) | st.just(0),
    ),
    max_size=6,
).map(b"".join)
lies = st.one_of(st.binary(max_size=300), answer_records, answers)


def check_lie(gateway: Gateway, request: Request, lie: Lie) -> None:
    """A lie ends as a whole HTTP response or as a connection that ends, and harms nobody else."""
    for seen in (gateway.ends, gateway.errors, gateway.logged, gateway.unexpected):
        seen.clear()
    gateway.begun = 0
    with gateway.connect() as connection:
        outcome = gateway.ask_on(connection, request, lie)
    if outcome.end == "whole":
        assert outcome.status >= 200
    if lie.close:
        assert outcome.end in ("whole", "cut", "raw")
    wait_until(lambda: len(gateway.ends) == gateway.begun, "the end of the exchange")
    assert gateway.begun == 1, "a part of a response was taken for another request"
    (status, whole) = gateway.ends[0]
    if outcome.end == "whole" and status != 101:
        assert status == outcome.status
    if outcome.end == "cut" and status != 101:  # a WebSocket may end before its first byte
        assert not whole
    assert len(gateway.errors) <= 1, "one line in the log"
    assert gateway.unexpected == []
    gateway.check_next()
    assert gateway.unexpected == []


@fuzzed
@given(http_requests, lies, cuts)
@example(Request("GET"), fastcgi.encode_stream(fastcgi.STDOUT, 1, GOOD * 2), [])
@example(
    Request("GET"),
    fastcgi.encode_stream(
        fastcgi.STDOUT, 1, b"Status: 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx"
    ),
    [],
)
@example(
    Request("GET"),
    fastcgi.encode_stream(fastcgi.STDOUT, 1, b"Status: 200 OK\r\nX-A: a\x0bb\r\n\r\nx")
    + fastcgi.encode_end_request(1),
    [],
)
def test_whatever_a_responder_answers_the_client_gets_http_or_an_end(
    gateway: Gateway, asked: Request, data: bytes, places: list[int]
) -> None:
    check_lie(gateway, asked, Lie(split(data, places)))


@settings(fuzzed, max_examples=40)
@given(http_requests, lies, cuts)
def test_whatever_a_responder_leaves_unsaid_holds_up_nobody_else(
    gateway: Gateway, asked: Request, data: bytes, places: list[int]
) -> None:
    check_lie(gateway, asked, Lie(split(data, places), close=False))
    wait_until(lambda: len(gateway.links) <= 1, "the end of the links that were left")


@fuzzed
@given(lies, lies, cuts)
def test_nothing_of_a_response_is_in_the_next_one_on_the_same_connection(
    gateway: Gateway, first: bytes, second: bytes, places: list[int]
) -> None:
    request = Request("GET")
    with gateway.connect() as connection:
        for data in (first, second):
            outcome = gateway.ask_on(connection, request, Lie(split(data, places)))
            gateway.settle()
            if outcome.end != "whole" or not is_open(connection):
                return
            assert gateway.ask_on(connection, request, TRUTH) == ("whole", 200, b"good")
            assert is_open(connection)


@pytest.mark.parametrize(
    "more",
    [
        fastcgi.encode_record(fastcgi.STDOUT, 1, b"X-A: " + b"x" * 60_000),
        fastcgi.encode_record(fastcgi.STDOUT, 2, bytes(60_000)),
        fastcgi.encode_record(fastcgi.GET_VALUES_RESULT, 0, bytes(60_000)),
        fastcgi.encode_record(fastcgi.STDOUT, 1),
        record(fastcgi.STDOUT, 1, b"", 255) * 100,
        fastcgi.encode_record(fastcgi.STDERR, 1, bytes(60_000)),
        bytes(60_000),
    ],
    ids=["head", "another's", "management", "empty", "padding", "errors", "no records"],
)
def test_a_flood_of_answers_does_not_fill_the_memory(gateway: Gateway, more: bytes) -> None:
    gateway.logged.clear()
    tracemalloc.start()
    try:
        lie = Lie([more] * (8 * MIB // max(len(more), 4000)))
        outcome = gateway.ask(Request("GET"), lie)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (outcome.end, outcome.status) == ("whole", 502)
    gateway_log = sum(map(len, gateway.logged))
    assert peak - gateway_log < 4 * MIB
    gateway.check_next()


# Heads, parameters and environs


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | heads, cuts)
@example(b"Status: 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", [])
def test_a_head_is_the_same_however_it_is_split(data: bytes, places: list[int]) -> None:
    def parse(pieces: Iterable[bytes]) -> tuple[ResponseHead, bytes] | str | None:
        parser = HeadParser(10_000)
        found: tuple[ResponseHead, bytes] | None = None
        try:
            for piece in pieces:
                found = parser.feed(piece) if found is None else (found[0], found[1] + piece)
        except MalformedResponse as error:
            return str(error)
        return found

    whole = parse([data])
    assert parse(split(data, places)) == whole
    assert parse(bytes((byte,)) for byte in data) == whole
    if isinstance(whole, tuple):
        (status, reason, headers), body = whole
        assert status == 101 or 200 <= status <= 999
        assert data.endswith(body)
        assert not re.search(r"[\r\n\0]", reason)
        for name, value in headers:
            assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
            assert not re.search(r"[\r\n\0]", value)


@given(st.lists(st.binary(max_size=60), max_size=20), st.integers(0, 50))
def test_a_head_parser_holds_no_more_than_its_limit(pieces: list[bytes], limit: int) -> None:
    parser = HeadParser(limit)
    held = 0
    with contextlib.suppress(MalformedResponse):
        for piece in pieces:
            assert held <= limit, "it took more than it may hold and asked for more still"
            if parser.feed(piece) is not None:
                return
            held += len(piece)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | pair_lists.map(fastcgi.encode_pairs))
def test_arbitrary_parameters_are_an_environ_or_a_protocol_error(data: bytes) -> None:
    try:
        environ = make_environ(data)
    except fastcgi.ProtocolError:
        with pytest.raises(fastcgi.ProtocolError):
            fastcgi.decode_pairs(data)
        return
    given_names = {name.decode("latin-1") for name, _ in fastcgi.decode_pairs(data)}
    added = {"wsgi.version", "wsgi.url_scheme", "wsgi.multithread", "wsgi.file_wrapper"}
    added |= {"wsgi.multiprocess", "wsgi.run_once", "wsgi.input_terminated"}
    added |= {"SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "SERVER_NAME"}
    added |= {"SERVER_PORT", "SERVER_PROTOCOL"}
    assert added <= environ.keys() <= added | given_names
    assert "HTTP_PROXY" not in environ
    assert environ["wsgi.url_scheme"] in ("http", "https")
    assert all(type(value) is str for name, value in environ.items() if "wsgi." not in name)


latin = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=12)
header_names = st.sampled_from(
    [
        "Host",
        "Proxy",
        "PROXY",
        "X-A",
        "X_A",
        "x-a",
        "Content-Length",
        "Content_Length",
        "Cookie",
        "Connection",
        "Upgrade",
        "Transfer-Encoding",
        "Expect",
        "FLASKSERVE-CONTROL",
    ]
)


@given(
    st.lists(st.tuples(header_names | latin.filter(bool), latin), max_size=8),
    st.text("/ab%2fF .;?", max_size=12),
    latin,
    latin,
)
def test_arbitrary_requests_come_through_as_an_environ(
    headers: list[tuple[str, str]], rest: str, query: str, host: str
) -> None:
    prefix = "/base%20url/flaskserve/demo"
    head = RequestHead(
        method="GET",
        path=prefix + rest,
        query=query,
        version="HTTP/1.1",
        encoded_headers=header_params(headers),
        host=host,
        scheme="http",
        remote_addr="::1",
        remote_port="1",
        prefix=prefix,
        upgrade=wants_upgrade("GET", "HTTP/1.1", headers),
    )
    params = cgi_params(head)
    names = [name for name, _ in fastcgi.decode_pairs(params)]
    assert len(set(names)) == len(names), "no name comes twice"
    environ = make_environ(params)
    assert environ["SCRIPT_NAME"] == "/base url/flaskserve/demo"
    assert environ["PATH_INFO"].encode("latin-1") == unquote_to_bytes(rest)
    assert environ["QUERY_STRING"] == query
    assert not {"HTTP_PROXY", "HTTP_CONTENT_LENGTH", "FLASKSERVE_CONTROL"} & environ.keys()
    sent = [name.encode("latin-1").upper().decode("latin-1") for name, _ in headers]
    from_client = {"HTTP_" + name.replace("-", "_") for name in sent if "_" not in name}
    of_connection = {"HTTP_CONNECTION", "HTTP_UPGRADE"}
    found = {name for name in environ if name.startswith("HTTP_")}
    assert found <= from_client | of_connection
