"""The limits that an administrator can set: what happens at each, and that all is well after it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
from jupyter_processes import (
    Kernel,
    Reply,
    Server,
    descriptors,
    read_to_end,
    read_until,
    status_value,
    wait_until,
)
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.jupyter_server("it sets the limits in its configuration")

LIMITS = """
c.FlaskServe.max_body_size = 100_000
c.FlaskServe.max_header_size = 4096
c.FlaskServe.max_websockets = 3
c.FlaskServe.response_timeout = 2
c.FlaskServe.stream_timeout = 2
c.FlaskServe.queue_timeout = 1
c.FlaskServe.connect_timeout = 1
c.FlaskServe.idle_link_timeout = 1
"""

APP = """
import threading
import time
from flask import Flask, Response, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)
go = threading.Event()
begun = 0  # views
sizes = []  # of the bodies that came whole
broken = []  # the errors in the place of the others

@app.before_request
def count():
    global begun
    begun += 1

@app.get("/")
def hello():
    return "hello"

@app.post("/")
def read():
    try:
        sizes.append(len(request.stream.read()))
    except Exception as error:
        broken.append(type(error).__name__)
        raise
    return str(sizes[-1])

@app.get("/wait")
def wait():
    go.wait(20)
    return "waited"

@app.get("/silence")
def silence():
    def body():
        yield "begun "
        go.wait(20)
        yield "ended"
    return Response(body())

@app.get("/steady")
def steady():
    def body():
        for _ in range(10):
            time.sleep(0.4)
            yield "more "
    return Response(body())

@app.get("/large")
def large():
    return Response(bytes(1024 * 1024) for _ in range(30))

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

@app.get("/late-echo", websocket=True)
def late_echo():
    go.wait(20)
    return echo_at_last()

def echo_at_last():
    import simple_websocket
    ws = simple_websocket.Server.accept(request.environ)
    try:
        while True:
            ws.send(ws.receive())
    except simple_websocket.ConnectionClosed:
        return ""
"""


class LimitedApp:
    """The app, through a server with small limits."""

    def __init__(self, kernel: Kernel, name: str, **options: Any) -> None:
        self.kernel = kernel
        self.server = kernel.server
        self.name = name
        self.path = f"/flaskserve/{name}/"
        kernel.serve(name, APP, **options)
        assert self.ask().content == b"hello"

    def ask(
        self, path: str = "", method: str = "GET", *headers: tuple[str, str], body: bytes = b""
    ) -> Reply:
        """Send a request on a connection of its own."""
        return self.server.ask(self.path + path, method, headers, body)

    def head(self, path: str, method: str, *lines: str) -> bytes:
        """The head of a request on a connection that is to be kept."""
        authorization = [f"{key}: {value}" for key, value in self.server.authorization.items()]
        start = [f"{method} {self.path}{path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}"]
        return "\r\n".join([*start, *authorization, *lines, "", ""]).encode()

    def open_socket(self, path: str = "echo") -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{self.server.port}{self.path}{path}",
            additional_headers=self.server.authorization,
            ping_interval=None,
            proxy=None,
        )

    def value(self, expression: str) -> str:
        """What an expression is in the kernel, as ``print`` writes it."""
        return self.kernel.run(f"print({expression})").stdout.strip()

    def refusal(self, reply: Reply, status: int, error: str, setting: str) -> None:
        """Check that a reply is the refusal that names a setting."""
        assert reply.status == status, reply
        answer = httpx.Response(status, content=reply.content).json()
        assert (answer["status"], answer["error"]) == (status, error)
        assert f"FlaskServe.{setting}" in answer["message"]

    def footprint(self) -> tuple[int, int, int]:
        """The kernel's threads and descriptors and the server's sockets, when nothing is asked."""
        wait_until(lambda: self.workers == 0, seconds=15, what="the end of all workers")
        opened = descriptors(self.server.pid).values()
        return (
            status_value(self.kernel.pid, "Threads"),
            len(descriptors(self.kernel.pid)),
            sum(target.startswith("socket:") for target in opened),
        )

    def is_as_before(self, before: tuple[int, int, int]) -> bool:
        """Whether there is no more of anything than there was before."""
        return all(now <= then for now, then in zip(self.footprint(), before, strict=True))

    @property
    def workers(self) -> int:
        """How many threads of the app's there are."""
        names = "thread.name for thread in threading.enumerate()"
        return int(self.value(f"sum('{self.name} worker' in name for name in ({names}))"))


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel of a server with small limits."""
    server = Server(tmp_path_factory.mktemp("server"), config=LIMITS)
    yield server.kernel()
    server.stop()


@pytest.fixture
def app(limited: Kernel, name: str) -> Iterator[LimitedApp]:
    """The app. What a test does to it must leave no thread, descriptor or socket behind."""
    app = LimitedApp(limited, name)
    app.ask("steady", "HEAD")
    before = app.footprint()
    yield app
    limited.run("go.set()")
    assert app.ask().content == b"hello", "it answers as before"
    wait_until(lambda: app.is_as_before(before), what=f"{before} threads, descriptors and sockets")
    limited.run("_mount.stop()")


@pytest.fixture
def threads() -> Iterator[Callable[..., Future[Reply]]]:
    """Starts calls in threads."""
    with ThreadPoolExecutor(20) as executor:
        yield executor.submit


# max_body_size


def test_a_body_of_the_limit_is_read(app: LimitedApp) -> None:
    assert app.ask("", "POST", body=bytes(100_000)).content == b"100000"
    chunked = ("Transfer-Encoding", "chunked")
    body = b"186a0\r\n" + bytes(100_000) + b"\r\n0\r\n\r\n"
    assert app.ask("", "POST", chunked, body=body).content == b"100000"


def test_a_body_that_is_announced_too_large_does_not_reach_the_view(app: LimitedApp) -> None:
    begun = app.value("begun")
    reply = app.ask("", "POST", body=bytes(100_001))
    app.refusal(reply, 413, "body-too-large", "max_body_size")
    assert app.value("begun") == begun


def test_a_chunked_body_that_grows_too_large_is_not_read_as_a_whole_one(app: LimitedApp) -> None:
    body = b"".join(b"8000\r\n" + bytes(0x8000) + b"\r\n" for _ in range(8)) + b"0\r\n\r\n"
    reply = app.ask("", "POST", ("Transfer-Encoding", "chunked"), body=body)
    app.refusal(reply, 413, "body-too-large", "max_body_size")
    wait_until(lambda: app.value("len(broken)") == "1", what="the error in the view")
    assert app.value("sizes") == "[]"


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_client_that_sends_on_reads_the_413_and_asks_again(coding: str, app: LimitedApp) -> None:
    size = 20_000_000
    if coding == "length":
        head = app.head("", "POST", f"Content-Length: {size}")
        body = bytes(size)
    else:
        head = app.head("", "POST", "Transfer-Encoding: chunked")
        body = (b"f4240\r\n" + bytes(1_000_000) + b"\r\n") * 20 + b"0\r\n\r\n"
    with app.server.connect() as connection:
        connection.sendall(head)
        connection.sendall(body)
        data = read_until(connection, b"}")
        app.refusal(Reply.parse(data), 413, "body-too-large", "max_body_size")
        connection.sendall(app.head("", "GET", "Connection: close"))
        assert Reply.parse(read_to_end(connection)).content == b"hello"


# Expect: 100-continue (RFC 9110 §10.1.1)


def answers(connection: socket.socket, seconds: float = 1) -> bytes:
    """All that comes within some time."""
    data = b""
    connection.settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        while piece := connection.recv(65536):
            data += piece
    return data


def test_a_body_within_the_limit_is_asked_for(app: LimitedApp) -> None:
    with app.server.connect() as connection:
        connection.sendall(app.head("", "POST", "Content-Length: 5", "Expect: 100-continue"))
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"12345")
        assert Reply.parse(read_until(connection, b"\r\n\r\n5")).status == 200


@pytest.mark.parametrize(
    ("name_asked", "lines", "status"),
    [
        (None, ("Content-Length: 100001",), 413),
        (None, ("Content-Length: 5", "X-Long: " + "x" * 5000), 431),
        ("nothing-here", ("Content-Length: 5",), 404),
    ],
    ids=["too-large-a-body", "too-large-a-head", "no-such-app"],
)
def test_the_body_of_a_request_that_is_refused_is_not_asked_for(
    name_asked: str | None, lines: tuple[str, ...], status: int, app: LimitedApp
) -> None:
    head = app.head("", "POST", *lines, "Expect: 100-continue")
    if name_asked is not None:
        head = head.replace(app.name.encode(), name_asked.encode())
    with app.server.connect() as connection:
        connection.sendall(head)
        data = answers(connection)
    assert data.startswith(f"HTTP/1.1 {status} ".encode()), data
    assert b" 100 " not in data, data


def test_the_body_of_a_stranger_is_not_asked_for(app: LimitedApp) -> None:
    head = app.head("", "POST", "Content-Length: 5", "Expect: 100-continue")
    with app.server.connect() as connection:
        connection.sendall(head.replace(app.server.token.encode(), b"not-the-token"))
        data = answers(connection)
    assert data.startswith(b"HTTP/1.1 403 "), data
    assert b" 100 " not in data, data


# max_header_size


@pytest.mark.parametrize("where", ["one-header", "many-headers", "address"])
def test_a_head_that_is_too_large_is_a_431(where: str, app: LimitedApp) -> None:
    begun = app.value("begun")
    lines = {
        "one-header": ("X-Long: " + "x" * 4000,),
        "many-headers": tuple(f"X-{number}: {'x' * 30}" for number in range(120)),
        "address": (),
    }[where]
    path = "?" + "x" * 4000 if where == "address" else ""
    with app.server.connect() as connection:
        connection.sendall(app.head(path, "GET", *lines))
        reply = Reply.parse(read_until(connection, b"}"))
        app.refusal(reply, 431, "headers-too-large", "max_header_size")
        assert app.value("begun") == begun
        connection.sendall(app.head("?" + "x" * 3000, "GET", "Connection: close"))
        assert Reply.parse(read_to_end(connection)).content == b"hello"


# queue_timeout; see also test_busy.py


def test_websockets_hold_threads_and_requests_wait_for_them(limited: Kernel, name: str) -> None:
    app = LimitedApp(limited, name, threads=2)
    with app.open_socket(), app.open_socket():
        begin = time.monotonic()
        reply = app.ask()
        assert 0.9 < time.monotonic() - begin < 4
        app.refusal(reply, 503, "queue-timeout", "queue_timeout")
        assert int(reply.header("retry-after") or 0) >= 1
    wait_until(lambda: app.ask().status == 200, what="a free thread")
    limited.run("_mount.stop()")


# response_timeout


def test_a_view_that_does_not_answer_is_a_504(
    app: LimitedApp, threads: Callable[..., Future[Reply]]
) -> None:
    begin = time.monotonic()
    waiting = threads(app.ask, "wait")
    wait_until(lambda: app.workers > 0)
    assert app.ask().content == b"hello", "other requests are answered"
    reply = waiting.result()
    assert 1.9 < time.monotonic() - begin < 6
    app.refusal(reply, 504, "response-timeout", "response_timeout")


def test_a_504_is_a_page_for_a_browser(app: LimitedApp) -> None:
    reply = app.ask("wait", "GET", ("Accept", "text/html"))
    assert reply.status == 504
    assert str(reply.header("content-type")).startswith("text/html")
    assert b"FlaskServe.response_timeout" in reply.content


def test_the_time_an_upload_takes_does_not_count(app: LimitedApp) -> None:
    with app.server.connect() as connection:
        connection.sendall(app.head("", "POST", "Content-Length: 8", "Connection: close"))
        connection.sendall(b"half")
        time.sleep(4.5)
        connection.sendall(b"half")
        assert Reply.parse(read_to_end(connection)).content == b"8"


def test_a_websocket_that_the_view_does_not_take_up_is_a_504(app: LimitedApp) -> None:
    begin = time.monotonic()
    with pytest.raises(InvalidStatus) as refused, app.open_socket("late-echo"):
        pass
    assert refused.value.response.status_code == 504
    assert b"FlaskServe.response_timeout" in refused.value.response.body
    assert 1.9 < time.monotonic() - begin < 6


def test_a_websocket_may_be_silent_for_longer(app: LimitedApp) -> None:
    with app.open_socket() as ws:
        time.sleep(4.5)
        ws.send("hello")
        assert ws.recv(timeout=5) == "hello"


def test_a_kernel_that_is_stopped_is_a_504_until_it_goes_on(
    limited: Kernel, threads: Callable[..., Future[Reply]], name: str
) -> None:
    app = LimitedApp(limited, name, transport="unix")
    before = app.footprint()
    other_kernel = app.server.kernel("other.ipynb")
    other = LimitedApp(other_kernel, f"{name}-2")
    process = psutil.Process(app.kernel.pid)
    process.suspend()
    try:
        begin = time.monotonic()
        asked = [threads(app.ask) for _ in range(5)]
        for _ in range(5):
            assert other.ask().content == b"hello"
        assert name in app.server.mounts()
        assert time.monotonic() - begin < 1.5, "nothing else is held up"
        for one in asked:
            app.refusal(one.result(), 504, "response-timeout", "response_timeout")
        assert 1.9 < time.monotonic() - begin < 6
    finally:
        process.resume()
    assert app.ask().content == b"hello"
    other_kernel.close()
    wait_until(lambda: app.is_as_before(before), what=f"{before} threads, descriptors and sockets")
    limited.run("_mount.stop()")


# connect_timeout


def test_a_kernel_that_takes_no_connection_is_a_504(limited: Kernel, name: str) -> None:
    app = LimitedApp(limited, name, transport="tcp")
    before = app.footprint()
    process = psutil.Process(limited.pid)
    process.suspend()
    try:
        begin = time.monotonic()
        reply = app.ask()
        assert 0.9 < time.monotonic() - begin < 1.9
        app.refusal(reply, 504, "connect-timeout", "connect_timeout")
    finally:
        process.resume()
    assert app.ask().content == b"hello"
    wait_until(lambda: app.is_as_before(before), what=f"{before} threads, descriptors and sockets")
    limited.run("_mount.stop()")


# stream_timeout


def test_a_stream_that_falls_silent_is_broken_off(app: LimitedApp) -> None:
    begin = time.monotonic()
    reply = app.ask("silence")
    assert 1.9 < time.monotonic() - begin < 6
    assert (reply.status, reply.body) == (200, b"6\r\nbegun \r\n")
    with pytest.raises(ValueError, match="the last chunk is missing"):
        _ = reply.content
    assert f"flaskserve {app.name}: closed a response after 2 seconds" in app.server.log
    assert "FlaskServe.stream_timeout" in app.server.log


def test_a_stream_that_goes_on_is_not_broken_off(app: LimitedApp) -> None:
    assert app.ask("steady").content == b"more " * 10


def test_a_slow_client_is_not_a_silent_stream(app: LimitedApp) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", app.server.port))
        connection.sendall(app.head("large", "GET", "Connection: close"))
        time.sleep(4.5)
        assert Reply.parse(read_to_end(connection)).content == bytes(30 * 1024 * 1024)


# idle_link_timeout


def test_idle_links_and_their_threads_end(
    app: LimitedApp, threads: Callable[..., Future[Reply]]
) -> None:
    waiting = [threads(app.ask, "wait") for _ in range(5)]
    wait_until(lambda: app.workers == 5, seconds=1.5, what="five workers")
    app.kernel.run("go.set()")
    assert [one.result().content for one in waiting] == [b"waited"] * 5
    time.sleep(0.3)
    assert app.workers == 5, "they are kept for the next requests"
    wait_until(lambda: app.workers == 0, seconds=3, what="the end of the workers")
    assert app.ask().content == b"hello"


# max_websockets


def test_one_websocket_too_many_is_a_503(app: LimitedApp) -> None:
    with contextlib.ExitStack() as many:
        opened = [many.enter_context(app.open_socket()) for _ in range(3)]
        begun = app.value("begun")
        with pytest.raises(InvalidStatus) as refused, app.open_socket():
            pass
        response = refused.value.response
        assert response.status_code == 503
        assert b"FlaskServe.max_websockets" in response.body
        assert b"too-many-websockets" in response.body
        assert int(response.headers["Retry-After"]) >= 1
        assert app.value("begun") == begun, "the view does not run"
        assert app.ask().content == b"hello", "other requests are answered"
        for ws in opened:
            ws.send("and on")
            assert ws.recv(timeout=5) == "and on"
        opened[0].close()
        with app.open_socket() as ws:
            ws.send("in its place")
            assert ws.recv(timeout=5) == "in its place"


def test_websockets_that_are_being_opened_count(app: LimitedApp) -> None:
    statuses: list[int] = []
    done = threading.Event()

    def open_one() -> None:
        try:
            with app.open_socket("late-echo"):
                statuses.append(101)
                done.wait(10)
        except InvalidStatus as refused:
            statuses.append(refused.response.status_code)

    with ThreadPoolExecutor(8) as executor:
        for _ in range(8):
            executor.submit(open_one)
        try:
            time.sleep(0.7)
            app.kernel.run("go.set()")
            wait_until(lambda: len(statuses) == 8, what="all answers")
        finally:
            done.set()
    assert sorted(statuses) == [101] * 3 + [503] * 5


# The largest head


def test_a_head_beyond_jupyters_own_limit_is_closed_without_reaching_the_view(
    app: LimitedApp,
) -> None:
    begun = app.value("begun")
    head = app.head("", "GET", *(f"X-{number}: {'x' * 4000}" for number in range(20)))
    with contextlib.suppress(ConnectionError):
        assert b" 200 " not in app.server.raw(head)
    assert app.value("begun") == begun
