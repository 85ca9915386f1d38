"""WebSockets between clients and apps: flask-sock, Flask-SocketIO and apps that take the socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import socketio
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
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
)
from websockets.frames import Close, Frame, Opcode
from websockets.sync.client import ClientConnection, connect

MIB = 1024 * 1024

SOCKETS = """
import threading
import time
from flask import Flask, Response, request
from flask_sock import Sock

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["chat.v2", "chat.v1"]}
sock = Sock(app)
begun = 0
ended = []  # how each view's receive ended: the close code and reason
sent = 0
done = False

@app.before_request
def count():
    global begun
    begun += 1
    if request.path == "/426":
        return Response("upgrade to something else", 426, {"Upgrade": "something/2"})

@app.route("/page")
def page():
    return "a page"

@sock.route("/echo")
def echo(ws):
    try:
        while True:
            ws.send(ws.receive())
    except Exception as error:
        ended.append((int(ws.close_reason), ws.close_message))
        raise

@sock.route("/release")
def release(ws):
    global done
    while not done:
        message = ws.receive()
        done = message == "done"
        ws.send(message)

@sock.route("/length")
def length(ws):
    while True:
        message = ws.receive()
        ws.send(f"{type(message).__name__} {len(message)}")

@sock.route("/large/<int:size>")
def large(ws, size):
    ws.send(bytes(range(256)) * (size // 256))
    ws.receive()

@sock.route("/subprotocol")
def subprotocol(ws):
    ws.send(str(ws.subprotocol))

@sock.route("/extensions")
def extensions(ws):
    ws.send(request.headers.get("Sec-WebSocket-Extensions", ""))

@sock.route("/push")
def push(ws):
    for number in range(5):
        ws.send(str(number))
        time.sleep(0.1)

@sock.route("/headers")
def headers(ws):
    import json
    ws.send(json.dumps([request.query_string.decode(), *map(list, request.headers)]))

@sock.route("/close")
def close(ws):
    ws.close(4001, "enough of it")

@sock.route("/return")
def returns(ws):
    ws.send("the last words")

@sock.route("/read-one")
def read_one(ws):
    ws.receive()
    ws.send(bytes(1024 * 1024))

@sock.route("/fail")
def fail(ws):
    ws.receive()
    raise RuntimeError("the view fails")

@sock.route("/flood")
def flood(ws):
    global sent
    sent = 0
    for _ in range(200):
        ws.send(bytes(1024 * 1024))
        sent += 1
"""

# An app that does what no library would: the kernel's side of these tests by hand.
BY_HAND = """
import base64
import hashlib
import time

taken = 0
failed = []

def accept(environ):
    key = environ["HTTP_SEC_WEBSOCKET_KEY"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key.encode()).digest())

def answer(environ, *lines):
    head = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + accept(environ), *lines]
    return b"\\r\\n".join([*head, b"", b""])

def app(environ, start_response):
    global taken
    sock = environ["werkzeug.socket"]
    path = environ["PATH_INFO"]
    if path == "/pieces":
        whole = answer(environ) + b"\\x81\\x05first" + b"\\x81\\x06second"
        middle = whole.index(b"Connection")
        sock.sendall(whole[:middle])
        time.sleep(0.3)
        sock.sendall(whole[middle:])
    elif path == "/bytes":
        for byte in answer(environ) + b"\\x81\\x05first":
            sock.sendall(bytes([byte]))
    elif path == "/cookies":
        sock.sendall(answer(environ, b"Set-Cookie: own=1", b"Set-Cookie: wide=2; Path=/",
                            b"Set-Cookie: _xsrf=3; Path=/", b"Set-Cookie: far=4; Domain=0.0.1"))
    elif path == "/no-http":
        sock.sendall(b"220 an answer in another protocol\\r\\n\\r\\n")
    elif path == "/silent":
        time.sleep(0.6)
        try:
            sock.sendall(answer(environ))
        except OSError as error:
            failed.append(error)
            raise
    elif path == "/hold":
        sock.sendall(answer(environ))
        while not release:
            time.sleep(0.05)
        while data := sock.recv(65536):
            taken += len(data)
        return []
    while sock.recv(65536):
        pass
    return []

release = False
"""


def path_of(name: str, path: str) -> str:
    return f"/flaskserve/{name}/{path}"


def open_socket(server: Server, name: str, path: str, **options: Any) -> ClientConnection:
    """A WebSocket that answers pings and sends none of its own, without compression."""
    settings: dict[str, Any] = {
        "additional_headers": server.authorization,
        "compression": None,
        "max_size": None,
        "ping_interval": None,
        "proxy": None,
        "close_timeout": 5,
        **options,
    }
    url = f"ws://127.0.0.1:{server.port}{path_of(name, path)}"
    connection: ClientConnection = connect(url, **settings)
    return connection


def handshake(server: Server, target: str, *lines: str, authorized: bool = True) -> bytes:
    """A request for a WebSocket, as a client writes it."""
    authorization = [f"{key}: {value}" for key, value in server.authorization.items()]
    head = [
        f"GET {target} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(authorization if authorized else []),
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3: the answer to the key above


def frame(opcode: Opcode, data: bytes, *, final: bool = True) -> bytes:
    return Frame(opcode, data, final).serialize(mask=True)


def text(data: str) -> bytes:
    return frame(Opcode.TEXT, data.encode())


class BareSocket:
    """A WebSocket that sends what it is told and answers nothing by itself."""

    def __init__(self, connection: socket.socket, request: bytes) -> None:
        self.connection = connection
        connection.sendall(request)
        head, _, self._rest = read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
        self.reply = Reply.parse(head + b"\r\n\r\n")

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def read(self) -> tuple[Opcode, bytes]:
        """The next frame."""
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return Opcode(first & 0x0F), self._take(size)

    def read_to_end(self) -> bytes:
        return self._rest + read_to_end(self.connection)

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            piece = self.connection.recv(65536)
            if not piece:
                raise EOFError(f"the connection was closed after {self._rest!r}")
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def reset(connection: socket.socket) -> None:
    """Close a connection as a machine does that has lost its memory of it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def number(kernel: Kernel, expression: str) -> int:
    return int(kernel.run(f"print({expression})").stdout)


def footprint(kernel: Kernel, server: Server) -> tuple[int, int, int]:
    """The threads and descriptors of a kernel, and the sockets of its server."""
    sockets = sum(target.startswith("socket:") for target in descriptors(server.pid).values())
    return status_value(kernel.pid, "Threads"), len(descriptors(kernel.pid)), sockets


def settled(kernel: Kernel, server: Server, before: tuple[int, int, int]) -> bool:
    """Whether there is no more of anything than there was before."""
    return all(now <= then for now, then in zip(footprint(kernel, server), before, strict=True))


@pytest.fixture(scope="module")
def sockets(kernel: Kernel) -> str:
    """The name of a flask-sock app."""
    kernel.serve("sockets", SOCKETS)
    return "sockets"


@pytest.fixture
def by_hand(kernel: Kernel, name: str) -> str:
    """The name of an app that speaks WebSocket by hand."""
    kernel.serve(name, BY_HAND.replace("app(", "by_hand("), app="by_hand")
    return name


@pytest.fixture
def bare(server: Server) -> Iterator[Callable[..., BareSocket]]:
    """Opens bare WebSockets; takes the name, the path and further header lines."""
    with contextlib.ExitStack() as connections:

        def bare(name: str, path: str, *lines: str) -> BareSocket:
            connection = connections.enter_context(server.connect())
            return BareSocket(connection, handshake(server, path_of(name, path), *lines))

        yield bare


# Messages


@pytest.mark.parametrize(
    "message",
    ["hello", "", "Grüße ✓ 🎉", b"\x00\xff binary", b"", "x" * 125, "x" * 126, b"y" * 65536],
    ids=lambda message: f"{type(message).__name__}-{len(message)}",
)
def test_a_message_comes_back_as_it_was_sent(
    message: str | bytes, server: Server, sockets: str
) -> None:
    with open_socket(server, sockets, "echo") as ws:
        ws.send(message)
        assert ws.recv(timeout=10) == message


def test_messages_come_back_in_order(server: Server, sockets: str) -> None:
    with open_socket(server, sockets, "echo") as ws:
        for position in range(500):
            ws.send(str(position))
        assert [ws.recv(timeout=10) for _ in range(500)] == [str(n) for n in range(500)]


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_fragmented_message_arrives_whole(
    compression: str | None, server: Server, sockets: str
) -> None:
    with open_socket(server, sockets, "echo", compression=compression) as ws:
        ws.send(["one ", "two ", "", "thrée"])
        assert ws.recv(timeout=10) == "one two thrée"
        ws.send([b"one ", b"two"])
        assert ws.recv(timeout=10) == b"one two"


def test_a_control_frame_may_come_between_fragments(
    bare: Callable[..., BareSocket], sockets: str
) -> None:
    ws = bare(sockets, "echo")
    ws.send(frame(Opcode.TEXT, b"one ", final=False))
    ws.send(frame(Opcode.PING, b"between"))
    assert ws.read() == (Opcode.PONG, b"between")
    ws.send(frame(Opcode.CONT, b"two"))
    assert ws.read() == (Opcode.TEXT, b"one two")


def test_a_frame_may_arrive_in_pieces(bare: Callable[..., BareSocket], sockets: str) -> None:
    ws = bare(sockets, "echo")
    for byte in text("slowly"):
        ws.send(bytes([byte]))
        time.sleep(0.01)
    assert ws.read() == (Opcode.TEXT, b"slowly")


def test_16_mebibytes_go_up_in_one_message(server: Server, sockets: str) -> None:
    with open_socket(server, sockets, "length") as ws:
        ws.send(os.urandom(16 * MIB))
        assert ws.recv(timeout=60) == f"bytes {16 * MIB}"


def test_16_mebibytes_come_down_in_one_message(server: Server, sockets: str) -> None:
    with open_socket(server, sockets, f"large/{16 * MIB}") as ws:
        assert ws.recv(timeout=60) == bytes(range(256)) * (16 * MIB // 256)


def test_16_mebibytes_come_back_as_they_were_sent(server: Server, sockets: str) -> None:
    message = os.urandom(16 * MIB)
    with open_socket(server, sockets, "echo") as ws:
        ws.send(message)
        assert ws.recv(timeout=60) == message
        ws.send("and on")
        assert ws.recv(timeout=10) == "and on"


def test_the_app_sends_without_having_been_sent_anything(server: Server, sockets: str) -> None:
    with open_socket(server, sockets, "push") as ws:
        times = []
        for expected in range(5):
            assert ws.recv(timeout=10) == str(expected)
            times.append(time.monotonic())
        assert times[-1] - times[0] > 0.3, "each message came when it was sent"


# The handshake


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (["chat.v1"], "chat.v1"),
        (["chat.v1", "chat.v2"], "chat.v1"),
        (["other"], None),
        (None, None),
    ],
)
def test_the_subprotocol_is_the_one_the_app_chose(
    asked: list[str] | None, chosen: str | None, server: Server, sockets: str
) -> None:
    with open_socket(server, sockets, "subprotocol", subprotocols=asked) as ws:
        assert ws.subprotocol == chosen
        assert ws.recv(timeout=10) == str(chosen)


def test_compression_is_negotiated_and_used(
    bare: Callable[..., BareSocket], server: Server, sockets: str
) -> None:
    message = "over and over again " * 5000
    with open_socket(server, sockets, "echo", compression="deflate") as ws:
        assert ws.response is not None
        assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
        ws.send(message)
        assert ws.recv(timeout=10) == message
    compressed = bare(sockets, "push", "Sec-WebSocket-Extensions: permessage-deflate")
    opcode, data = compressed.read()
    assert (opcode, len(data)) == (Opcode.TEXT, 3)
    assert data != b"0", "it is compressed"


def test_without_an_offer_there_is_no_compression(
    bare: Callable[..., BareSocket], sockets: str
) -> None:
    ws = bare(sockets, "echo")
    assert ws.reply.status == 101
    assert ws.reply.header("sec-websocket-accept") == ACCEPT
    assert ws.reply.header("sec-websocket-extensions") is None
    ws.send(text("plain"))
    assert ws.read() == (Opcode.TEXT, b"plain")


@pytest.mark.parametrize("way", ["pieces", "bytes"])
def test_the_answer_to_a_handshake_may_come_in_pieces(
    way: str, bare: Callable[..., BareSocket], by_hand: str
) -> None:
    ws = bare(by_hand, way)
    assert ws.reply.status == 101
    assert ws.reply.header("sec-websocket-accept") == ACCEPT
    assert ws.read() == (Opcode.TEXT, b"first")
    if way == "pieces":
        assert ws.read() == (Opcode.TEXT, b"second")


def test_frames_right_behind_the_request_are_not_lost(server: Server, sockets: str) -> None:
    with server.connect() as connection:
        request = handshake(server, path_of(sockets, "echo")) + text("early") + text("bird")
        ws = BareSocket(connection, request)
        assert ws.reply.status == 101
        assert ws.read() == (Opcode.TEXT, b"early")
        assert ws.read() == (Opcode.TEXT, b"bird")


def test_an_answer_that_is_no_http_does_not_reach_the_client(server: Server, by_hand: str) -> None:
    reply = server.raw(handshake(server, path_of(by_hand, "no-http")))
    assert b"220" not in reply
    problem = f"flaskserve {by_hand}: the app's answer to the handshake is not HTTP"
    wait_until(lambda: problem in server.log, seconds=2, what="the line in the log")


@pytest.mark.parametrize(("path", "status"), [("nothing-here", 404), ("426", 426)])
def test_an_ordinary_answer_is_delivered_and_the_connection_goes_on(
    path: str, status: int, server: Server, sockets: str
) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(server, sockets, path):
        pass
    assert refused.value.response.status_code == status
    assert b"upgrade" in refused.value.response.body or status == 404

    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(handshake(server, path_of(sockets, path)))
            head = read_until(connection, b"\r\n\r\n")
            reply = Reply.parse(head)
            assert reply.status == status
            missing = int(reply.header("content-length") or 0) - len(reply.body)
            while missing > 0:
                missing -= len(connection.recv(missing))
        ws = BareSocket(connection, handshake(server, path_of(sockets, "echo")))
        assert ws.reply.status == 101
        ws.send(text("at last"))
        assert ws.read() == (Opcode.TEXT, b"at last")


def test_a_websocket_may_follow_ordinary_requests_on_a_connection(
    server: Server, sockets: str
) -> None:
    page = handshake(server, path_of(sockets, "page")).replace(b"Upgrade: websocket\r\n", b"")
    page = page.replace(b"Connection: Upgrade", b"Connection: keep-alive")
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(page)
            assert b" 200 " in read_until(connection, b"a page")
        ws = BareSocket(connection, handshake(server, path_of(sockets, "echo")))
        ws.send(text("hello"))
        assert ws.read() == (Opcode.TEXT, b"hello")


def test_the_apps_cookies_are_confined_to_its_address(
    bare: Callable[..., BareSocket], by_hand: str
) -> None:
    ws = bare(by_hand, "cookies")
    cookies = [value for key, value in ws.reply.headers if key == "set-cookie"]
    here = f"/flaskserve/{by_hand}"
    assert len(cookies) == 3, cookies
    assert cookies[0] == "own=1"
    assert cookies[1].startswith("wide=2")
    assert f"path={here}" in cookies[1].lower()
    assert cookies[2].strip(" ;") == "far=4"


# Who may come in


@pytest.fixture
def browser(server: Server) -> dict[str, str]:
    """The cookie header of a browser that has logged in."""
    cookies = server.login()
    assert cookies
    return {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "token wrong"}, {"Cookie": "username-127-0-0-1-8888=x; _xsrf=y"}],
    ids=["nothing", "wrong-token", "wrong-cookie"],
)
def test_without_a_login_there_is_no_handshake(
    headers: dict[str, str], server: Server, kernel: Kernel, sockets: str
) -> None:
    before = number(kernel, "begun")
    with (
        pytest.raises(InvalidStatus) as refused,
        open_socket(server, sockets, "echo", additional_headers=headers),
    ):
        pass
    assert refused.value.response.status_code in (302, 401, 403)
    assert number(kernel, "begun") == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_another_sites_page_gets_no_handshake(
    headers: dict[str, str],
    server: Server,
    kernel: Kernel,
    sockets: str,
    browser: dict[str, str],
) -> None:
    before = number(kernel, "begun")
    with (
        pytest.raises(InvalidStatus) as refused,
        open_socket(server, sockets, "echo", additional_headers={**browser, **headers}),
    ):
        pass
    assert refused.value.response.status_code == 403
    assert number(kernel, "begun") == before


def test_the_apps_own_page_opens_a_websocket_with_the_cookie(
    server: Server, sockets: str, browser: dict[str, str]
) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    with open_socket(
        server, sockets, "echo", additional_headers={**browser, "Origin": origin}
    ) as ws:
        ws.send("from the page")
        assert ws.recv(timeout=10) == "from the page"


def test_the_app_sees_nothing_of_jupyters(
    server: Server, sockets: str, browser: dict[str, str]
) -> None:
    with open_socket(
        server,
        sockets,
        f"headers?a=1&token={server.token}",
        additional_headers={"Cookie": f"{browser['Cookie']}; own=1"},
    ) as ws:
        query, *headers = json.loads(ws.recv(timeout=10))
    assert query == "a=1"
    assert dict(headers)["Cookie"] == "own=1"
    with open_socket(server, sockets, "headers") as ws:
        seen = ws.recv(timeout=10)
    assert "Authorization" not in seen
    assert server.token not in seen


# Pings and closing


def test_the_app_answers_the_clients_pings(server: Server, sockets: str) -> None:
    with open_socket(server, sockets, "echo") as ws:
        assert ws.ping("are you there").wait(timeout=5)
        ws.send("yes")
        assert ws.recv(timeout=5) == "yes"


PINGING = """
from flask import Flask
from flask_sock import Sock
pinging = Flask(__name__)
pinging.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 0.4}
sock = Sock(pinging)

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())
"""


def test_the_apps_pings_reach_the_client_and_its_pongs_the_app(
    kernel: Kernel, server: Server, bare: Callable[..., BareSocket], name: str
) -> None:
    kernel.serve(name, PINGING, app="pinging")
    with open_socket(server, name, "echo") as answering:
        silent = bare(name, "echo")
        assert silent.read() == (Opcode.PING, b"")
        opcode, data = silent.read()
        assert opcode == Opcode.CLOSE, "a client that does not answer is left"
        assert Close.parse(data) == Close(1008, "Ping/Pong timeout")
        time.sleep(0.8)
        answering.send("still here")
        assert answering.recv(timeout=5) == "still here"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, ""), (1001, "going away"), (3000, "ein Grund: ü"), (4999, "x" * 123)],
    ids=lambda value: str(value)[:10],
)
def test_the_clients_close_code_and_reason_reach_the_app(
    code: int, reason: str, server: Server, kernel: Kernel, sockets: str
) -> None:
    kernel.run("ended.clear()")
    for turn in range(10):
        with open_socket(server, sockets, "echo") as ws:
            ws.close(code, reason)
            assert ws.close_code == code, f"the app answers with the same code, {turn}"
    wait_until(lambda: number(kernel, "len(ended)") == 10, seconds=5, what="the end of the views")
    told = json.loads(kernel.run("import json; print(json.dumps(ended))").stdout)
    assert [[code, reason or ""] for code, reason in told] == [[code, reason]] * 10


def test_the_apps_close_code_and_reason_reach_the_client(server: Server, sockets: str) -> None:
    with (
        pytest.raises(ConnectionClosedError) as closed,
        open_socket(server, sockets, "close") as ws,
    ):
        ws.recv(timeout=5)
    assert closed.value.rcvd == Close(4001, "enough of it")


def test_a_view_that_returns_ends_its_websocket(
    bare: Callable[..., BareSocket], server: Server, sockets: str
) -> None:
    with open_socket(server, sockets, "return") as ws:
        assert ws.recv(timeout=5) == "the last words"
        with pytest.raises(ConnectionClosedOK) as closed:
            ws.recv(timeout=5)
    assert closed.value.rcvd == Close(1000, "")
    silent = bare(sockets, "return")
    begin = time.monotonic()
    assert silent.read() == (Opcode.TEXT, b"the last words")
    assert silent.read() == (Opcode.CLOSE, b"\x03\xe8")
    assert silent.read_to_end() == b"", "nothing follows the close frame"
    assert time.monotonic() - begin < 7, "the connection ends, whatever the client does"


def test_a_client_that_is_still_sending_gets_all_that_the_app_has_said(
    server: Server, sockets: str
) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(5)
        connection.connect(("127.0.0.1", server.port))
        ws = BareSocket(connection, handshake(server, path_of(sockets, "read-one")))
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(50):
                ws.send(frame(Opcode.BINARY, bytes(1024)))
                time.sleep(0.01)
        assert ws.read() == (Opcode.BINARY, bytes(MIB))
        assert ws.read() == (Opcode.CLOSE, b"\x03\xe8")


def test_a_view_that_fails_ends_its_websocket(server: Server, kernel: Kernel, sockets: str) -> None:
    with open_socket(server, sockets, "fail") as ws:
        ws.send("go")
        begin = time.monotonic()
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=10)
        assert time.monotonic() - begin < 2
    with open_socket(server, sockets, "echo") as ws:
        ws.send("the next")
        assert ws.recv(timeout=5) == "the next"


# Clients and kernels that vanish


@pytest.mark.parametrize("way", ["reset", "close", "half-close"])
def test_a_client_that_vanishes_ends_the_views_receive(
    way: str, server: Server, kernel: Kernel, sockets: str
) -> None:
    kernel.run("ended.clear()")
    with server.connect() as connection:
        ws = BareSocket(connection, handshake(server, path_of(sockets, "echo")))
        ws.send(text("hello"))
        assert ws.read() == (Opcode.TEXT, b"hello")
        if way == "reset":
            reset(connection)
        elif way == "close":
            connection.close()
        else:
            connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: number(kernel, "len(ended)"), seconds=1, what="the end of receive")


def test_a_client_that_leaves_during_the_handshake_leaves_nothing_behind(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    kernel.serve(name, BY_HAND)
    request = handshake(server, path_of(name, "silent"))
    with server.connect() as connection:
        BareSocket(connection, request)
    time.sleep(0.5)
    before = footprint(kernel, server)
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(request)
            time.sleep(0.3)  # by now the app has it
    wait_until(lambda: number(kernel, "len(failed)") == 5, seconds=5, what="the app's errors")
    wait_until(lambda: settled(kernel, server, before), what=f"{before} threads and descriptors")
    with server.connect() as connection:
        assert BareSocket(connection, request).reply.status == 101


@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_a_killed_kernel_closes_its_websockets_at_once(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    kernel.serve(name, SOCKETS)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(open_socket(server, name, "echo")) for _ in range(5)]
        for ws in many:
            ws.send("hello")
            assert ws.recv(timeout=5) == "hello"
        begin = time.monotonic()
        kernel.kill9()
        for ws in many:
            with pytest.raises(ConnectionClosedError) as closed:
                ws.recv(timeout=5)
            assert closed.value.rcvd is None, "nobody has said goodbye"
        assert time.monotonic() - begin < 1
    kernel.reconnect()
    kernel.serve(name, SOCKETS)
    with open_socket(server, name, "echo") as ws:
        ws.send("again")
        assert ws.recv(timeout=5) == "again"


def test_a_mount_that_stops_closes_its_websockets(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    kernel.serve(name, SOCKETS)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(open_socket(server, name, "echo")) for _ in range(3)]
        begin = time.monotonic()
        kernel.run("_mount.stop()")
        many[0].send("until the end of the grace time")
        assert many[0].recv(timeout=2) == "until the end of the grace time"
        for ws in many:
            with pytest.raises(ConnectionClosed):
                ws.recv(timeout=10)
        assert time.monotonic() - begin < 7
    wait_until(lambda: number(kernel, "len(ended)") == 3, what="the end of the views")


# Many, large and slow


def test_200_websockets_at_once_leave_nothing_behind(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    kernel.serve(name, SOCKETS, threads=250)
    with open_socket(server, name, "echo") as ws:
        ws.send("warm")
        assert ws.recv(timeout=5) == "warm"
    wait_until(lambda: number(kernel, "len(ended)") == 1)
    time.sleep(0.5)
    before = footprint(kernel, server)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(open_socket(server, name, "echo")) for _ in range(200)]
        for turn in range(3):
            for position, ws in enumerate(many):
                ws.send(f"{position}-{turn}")
            for position, ws in enumerate(many):
                assert ws.recv(timeout=20) == f"{position}-{turn}"
        assert status_value(kernel.pid, "Threads") > 200
        with ThreadPoolExecutor(50) as threads:
            list(threads.map(lambda ws: ws.close(), many))
    wait_until(lambda: number(kernel, "len(ended)") == 201, what="the end of all views")
    wait_until(lambda: settled(kernel, server, before), what=f"{before} threads and descriptors")


def test_a_client_that_does_not_read_slows_the_app(
    server: Server, kernel: Kernel, sockets: str
) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", server.port))
        memory = status_value(server.pid, "VmRSS")
        ws = BareSocket(connection, handshake(server, path_of(sockets, "flood")))
        time.sleep(1.5)
        sent = number(kernel, "sent")
        time.sleep(0.5)
        assert number(kernel, "sent") == sent, "the app waits"
        assert sent < 32
        assert status_value(server.pid, "VmRSS") - memory < 32 * MIB
        for _ in range(sent + 20):
            assert ws.read() == (Opcode.BINARY, bytes(MIB))
        assert number(kernel, "sent") > sent, "it goes on when the client reads on"
        assert status_value(server.pid, "VmRSS") - memory < 32 * MIB


def test_an_app_that_does_not_read_slows_the_client(
    server: Server, kernel: Kernel, by_hand: str
) -> None:
    with server.connect() as connection:
        ws = BareSocket(connection, handshake(server, path_of(by_hand, "hold")))
        memory = status_value(server.pid, "VmRSS")
        sent = 0
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < 200 * MIB:
                sent += connection.send(bytes(65536))
        assert sent < 32 * MIB, "the client has to wait"
        assert status_value(server.pid, "VmRSS") - memory < 32 * MIB
        kernel.run("release = True")
        connection.settimeout(10)
        connection.shutdown(socket.SHUT_WR)
        assert ws.read_to_end() == b""
    wait_until(lambda: number(kernel, "taken") == sent, what="all bytes that were sent")


def test_a_cell_that_runs_does_not_stop_the_echo(
    server: Server, kernel: Kernel, sockets: str
) -> None:
    with open_socket(server, sockets, "release") as ws:
        cell = kernel.start("while not done: pass")
        time.sleep(0.3)
        begin = time.monotonic()
        for position in range(20):
            ws.send(str(position))
            assert ws.recv(timeout=5) == str(position)
        assert time.monotonic() - begin < 5
        ws.send("done")
        cell.wait(10)


def test_websockets_do_not_hold_up_ordinary_requests(
    server: Server, kernel: Kernel, sockets: str
) -> None:
    with contextlib.ExitStack() as many:
        for _ in range(10):
            many.enter_context(open_socket(server, sockets, "echo"))
        begin = time.monotonic()
        for _ in range(10):
            assert server.ask(path_of(sockets, "page")).content == b"a page"
        assert time.monotonic() - begin < 3


# Flask-SocketIO

EVENTS = """
import threading
from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

events = Flask(__name__)
socketio = SocketIO(events, async_mode="threading")
gone = []

@events.route("/page")
def page():
    return "a page"

@socketio.on("connect")
def connected():
    emit("welcome", {"client": request.sid})

@socketio.on("transport")
def transport():
    return socketio.server.transport(request.sid)

@socketio.on("disconnect")
def disconnected(reason=None):
    gone.append(request.sid)

@socketio.on("echo")
def echo(data):
    return data

@socketio.on("join")
def join(room):
    join_room(room)
    return "joined"

@socketio.on("say")
def say(room, words):
    emit("said", words, to=room)

@socketio.on("count")
def count(limit):
    def push(sid):
        for number in range(limit):
            socketio.sleep(0.05)
            socketio.emit("number", number, to=sid)
    socketio.start_background_task(push, request.sid)
"""

TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}


class EventClient:
    """A Socket.IO client that keeps the events it gets."""

    def __init__(self, server: Server, name: str, transports: list[str]) -> None:
        session = requests.Session()
        session.trust_env = False
        session.headers.update(server.authorization)  # for the requests after the first
        self.io = socketio.Client(reconnection=False, http_session=session)
        self.events: list[tuple[Any, ...]] = []
        self._came = threading.Condition()
        self.io.on("*", self._take)
        self.io.connect(
            f"http://127.0.0.1:{server.port}",
            headers=server.authorization,
            socketio_path=path_of(name, "socket.io"),
            transports=transports,
            wait_timeout=10,
        )

    def _take(self, *event: Any) -> None:
        with self._came:
            self.events.append(event)
            self._came.notify_all()

    def wait(self, count: int) -> list[tuple[Any, ...]]:
        """The events so far, once there are so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.events) >= count, timeout=10), self.events
            return list(self.events)


@pytest.fixture(scope="module")
def events(kernel: Kernel) -> str:
    """The name of a Flask-SocketIO app."""
    kernel.serve("events", EVENTS, app="events")
    return "events"


@pytest.fixture(params=TRANSPORTS)
def transports(request: pytest.FixtureRequest) -> list[str]:
    return TRANSPORTS[request.param]


@pytest.fixture
def event_client(
    server: Server, events: str, transports: list[str]
) -> Iterator[Callable[[], EventClient]]:
    clients: list[EventClient] = []

    def event_client() -> EventClient:
        clients.append(EventClient(server, events, transports))
        return clients[-1]

    yield event_client
    for client in clients:
        client.io.disconnect()


def test_events_are_answered_over_each_transport(
    event_client: Callable[[], EventClient], transports: list[str]
) -> None:
    client = event_client()
    assert client.wait(1) == [("welcome", {"client": client.io.get_sid()})]
    assert client.io.transport() == transports[-1]
    assert client.io.call("transport", timeout=10) == transports[-1]
    for data in ("text", {"a": [1, None, "ü"]}, b"\x00\xff binary", "x" * 100_000):
        assert client.io.call("echo", data, timeout=10) == data


def test_events_are_pushed_over_each_transport(event_client: Callable[[], EventClient]) -> None:
    client = event_client()
    client.io.emit("count", 5)
    assert client.wait(6)[1:] == [("number", position) for position in range(5)]


def test_events_reach_the_other_clients_of_a_room(
    event_client: Callable[[], EventClient],
) -> None:
    first, second, third = event_client(), event_client(), event_client()
    for client in (first, second):
        assert client.io.call("join", "here", timeout=10) == "joined"
    third.io.emit("say", ("here", "hello"))
    assert first.wait(2)[1:] == [("said", "hello")]
    assert second.wait(2)[1:] == [("said", "hello")]
    assert third.wait(1)[1:] == []


def test_a_client_that_disconnects_is_noticed(
    event_client: Callable[[], EventClient], kernel: Kernel
) -> None:
    kernel.run("gone.clear()")
    client = event_client()
    client.wait(1)
    client.io.disconnect()
    wait_until(lambda: number(kernel, "len(gone)"), seconds=5, what="the disconnect event")


def test_pages_and_events_share_an_app(
    event_client: Callable[[], EventClient], server: Server, events: str
) -> None:
    client = event_client()
    assert server.ask(path_of(events, "page")).content == b"a page"
    assert client.io.call("echo", "and on", timeout=10) == "and on"
