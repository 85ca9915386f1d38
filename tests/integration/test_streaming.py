"""Bodies that are still on their way, in both directions, and clients that leave."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from jupyter_processes import (
    Kernel,
    Reply,
    Server,
    descriptors,
    read_until,
    status_value,
    wait_until,
)

MIB = 1024 * 1024


def request_head(server: Server, path: str, method: str = "GET", *headers: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: token {server.token}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


# Down

# The second part is made only when somebody asks for /go.
TWO_PARTS = """
import threading
go = threading.Event()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/go":
        go.set()
        start_response("204 No Content", [])
        return []
    go.clear()
    start_response("200 OK", HEADERS)
    def body():
        yield b"first "
        yield b"second" if go.wait(10) else b"nobody asked"
    return body()
"""


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json", "text/event-stream"])
@pytest.mark.parametrize("length", [None, "12"])
def test_the_first_part_arrives_before_the_second_is_made(
    accept: str, length: str | None, kernel: Kernel, name: str
) -> None:
    headers = [("Content-Type", "text/plain")] + ([("Content-Length", length)] if length else [])
    client = kernel.serve(name, f"HEADERS = {headers!r}\n{TWO_PARTS}")
    with client.stream("GET", "", headers={"Accept": accept}) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first "
        client.get("go")
        assert b"".join(parts) == b"second"


def test_the_first_part_arrives_without_any_accept_header(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(name, f"HEADERS = []\n{TWO_PARTS}")
    with server.connect() as connection:
        connection.sendall(request_head(server, f"/flaskserve/{name}/"))
        read_until(connection, b"first ")
        client.get("go")
        read_until(connection, b"second")


def test_parts_given_to_write_arrive_at_once(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        import threading
        go = threading.Event()

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/go":
                go.set()
                start_response("204 No Content", [])
                return []
            write = start_response("200 OK", [])
            write(b"first ")
            write(b"second" if go.wait(10) else b"nobody asked")
            return []
        """,
    )
    with client.stream("GET", "") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first "
        client.get("go")
        assert b"".join(parts) == b"second"


def test_the_last_part_arrives_while_the_generator_still_runs(kernel: Kernel, name: str) -> None:
    """A view that goes on working after its last yield does not keep back what it has given."""
    client = kernel.serve(
        name,
        """
        import threading
        go = threading.Event()

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/go":
                go.set()
                start_response("204 No Content", [])
                return []
            start_response("200 OK", [("Content-Length", "4")])
            def body():
                yield b"done"
                go.wait(10)
            return body()
        """,
    )
    begin = time.monotonic()
    with client.stream("GET", "") as answer:
        assert next(answer.iter_raw()) == b"done"
        assert time.monotonic() - begin < 5
        client.get("go")


def test_server_sent_events_arrive_one_by_one(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        import queue
        from flask import Flask, Response, request
        app = Flask(__name__)
        messages = queue.Queue()

        @app.post("/say")
        def say():
            messages.put(request.get_data(as_text=True))
            return "", 204

        @app.route("/events")
        def events():
            def stream():
                yield "retry: 1000\\n\\n"
                while (message := messages.get(timeout=10)) != "end":
                    yield f"data: {message}\\n\\n"
            return Response(stream(), mimetype="text/event-stream")
        """,
    )
    with client.stream("GET", "events", headers={"Accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == "retry: 1000"
        for message in ("one", "zwei ü", "three"):
            client.post("say", content=message.encode())
            assert next(lines) == f"data: {message}"
        client.post("say", content=b"end")
        assert list(lines) == []


# Up

# /up reads its body in small pieces and tells at /seen what has come so far.
READS_AS_IT_COMES = """
import json
seen = b""

def app(environ, start_response):
    global seen
    if environ["PATH_INFO"] == "/seen":
        answer = seen
    else:
        seen = b""
        while piece := environ["wsgi.input"].read(5):
            seen += piece
        answer = b"complete: " + seen
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""


def test_an_upload_is_read_while_it_arrives(kernel: Kernel, server: Server, name: str) -> None:
    client = kernel.serve(name, READS_AS_IT_COMES)
    with server.connect() as connection:
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/up", "POST", "Content-Length: 10") + b"hello"
        )
        wait_until(lambda: client.get("seen").content == b"hello", seconds=5, what="the first half")
        connection.sendall(b"world")
        assert Reply.parse(read_until(connection, b"world")).content == b"complete: helloworld"


def test_a_chunked_upload_is_read_while_it_arrives(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(name, READS_AS_IT_COMES)
    with server.connect() as connection:
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/up", "POST", "Transfer-Encoding: chunked")
            + b"5\r\nhello\r\n"
        )
        wait_until(lambda: client.get("seen").content == b"hello", seconds=5, what="the first half")
        connection.sendall(b"5\r\nworld\r\n0\r\n\r\n")
        assert Reply.parse(read_until(connection, b"world")).content == b"complete: helloworld"


def test_flask_reads_a_chunked_upload_as_a_stream(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        from flask import Flask, request
        app = Flask(__name__)

        @app.post("/")
        def upload():
            return str(sum(len(piece) for piece in iter(lambda: request.stream.read(1000), b"")))
        """,
    )

    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 1234

    assert client.post("", content=pieces()).text == str(50 * 1234)


def test_an_answer_may_begin_before_the_upload_has_ended(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "10")])
            while piece := environ["wsgi.input"].read(5):
                yield piece.upper()
        """,
    )
    with server.connect() as connection:
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/", "POST", "Content-Length: 10") + b"hello"
        )
        read_until(connection, b"HELLO")
        connection.sendall(b"world")
        read_until(connection, b"WORLD")


def send_until_blocked(connection: socket.socket, total: int) -> int:
    """Send up to ``total`` bytes for as long as the other side takes them; return how many."""
    piece = bytes(MIB)
    sent = 0
    try:
        while sent < total:
            sent += connection.send(piece[: total - sent])
    except TimeoutError:
        pass
    return sent


def test_a_slow_view_slows_the_upload(kernel: Kernel, server: Server, name: str) -> None:
    """Backpressure: what nobody reads stays with the client, not in anybody's memory."""
    client = kernel.serve(
        name,
        """
        import threading
        go = threading.Event()

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/go":
                go.set()
            else:
                go.wait(20)
                while environ["wsgi.input"].read(65536):
                    pass
            start_response("204 No Content", [])
            return []
        """,
    )
    total = 256 * MIB
    with server.connect() as connection:
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/", "POST", f"Content-Length: {total}")
        )
        connection.settimeout(1)
        sent = send_until_blocked(connection, total)
        assert sent < 32 * MIB
        client.get("go")
        connection.settimeout(10)
        connection.sendall(bytes(total - sent))
        assert b" 204 " in read_until(connection, b"\r\n\r\n")


# Two gibibytes


class PeakMemory:
    """How far the resident memory of processes rises above where it was."""

    def __init__(self, *pids: int) -> None:
        self._before = {pid: status_value(pid, "VmRSS") for pid in pids}
        for pid in pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # Resets the peak (proc(5)).

    def rise(self) -> int:
        """The largest rise of any of the processes, in bytes."""
        return max(status_value(pid, "VmHWM") - before for pid, before in self._before.items())


@pytest.mark.slow
def test_two_gibibytes_down_take_little_memory(kernel: Kernel, server: Server, name: str) -> None:
    client = kernel.serve(
        name,
        """
        def app(environ, start_response):
            piece = b"x" * 65536
            size = int(environ["QUERY_STRING"])
            start_response("200 OK", [("Content-Type", "application/octet-stream")])
            return (piece for _ in range(size // len(piece)))
        """,
    )
    assert len(client.get(f"?{16 * MIB}").content) == 16 * MIB
    peak = PeakMemory(server.pid, kernel.pid)
    total = 2048 * MIB
    buffer = bytearray(MIB)
    received = 0
    with server.connect() as connection:
        connection.sendall(request_head(server, f"/flaskserve/{name}/?{total}"))
        end = b""
        while size := connection.recv_into(buffer):
            received += size
            end = (end + buffer[max(0, size - 5) : size])[-5:]
    assert received > total
    assert end == b"0\r\n\r\n"
    assert peak.rise() < 32 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("read", [1 * MIB, 65536])
def test_two_gibibytes_up_take_little_memory(
    read: int, kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        f"""
        def app(environ, start_response):
            total = 0
            while piece := environ["wsgi.input"].read({read}):
                total += len(piece)
            answer = str(total).encode()
            start_response("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        """,
    )
    assert client.post("", content=bytes(16 * MIB)).text == str(16 * MIB)
    peak = PeakMemory(server.pid, kernel.pid)
    total = 2048 * MIB
    piece = bytes(MIB)
    with server.connect(60) as connection:
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/", "POST", f"Content-Length: {total}")
        )
        for _ in range(2048):
            connection.sendall(piece)
        answer = Reply.parse(read_until(connection, str(total).encode()))
    assert answer.status == 200
    assert peak.rise() < 32 * MIB


@pytest.mark.slow
def test_an_upload_in_small_pieces_takes_little_memory(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        def app(environ, start_response):
            total = 0
            while piece := environ["wsgi.input"].read(65536):
                total += len(piece)
            answer = str(total).encode()
            start_response("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        """,
    )
    assert client.post("", content=bytes(16 * MIB)).text == str(16 * MIB)
    peak = PeakMemory(server.pid, kernel.pid)
    piece = bytes(30_000)
    with server.connect(60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/", "POST", "Content-Length: 120000000")
        )
        for _ in range(4_000):
            connection.sendall(piece)
            time.sleep(0.001)  # so that the server reads each piece by itself
        answer = Reply.parse(read_until(connection, b"120000000"))
    assert answer.status == 200
    assert peak.rise() < 32 * MIB


# The client leaves


LEAVING = """
import threading, time
started, ended = [], []

def app(environ, start_response):
    pause = float(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    def body():
        started.append(time.monotonic())
        try:
            while True:
                yield b"more "
                time.sleep(pause)
        finally:
            ended.append((time.monotonic(), threading.current_thread().name))
    return body()
"""


@pytest.mark.parametrize(("pause", "within"), [(0.05, 1.0), (1.5, 3.0)])
def test_the_generator_ends_soon_after_the_client_has_left(
    pause: float, within: float, kernel: Kernel, name: str
) -> None:
    client = kernel.serve(name, LEAVING)
    with client.stream("GET", f"?{pause}") as answer:
        next(answer.iter_raw())
    left = time.monotonic()
    wait_until(
        lambda: kernel.run("print(len(ended))").stdout == "1\n",
        seconds=within + 2,
        what="the generator's finally",
    )
    assert time.monotonic() - left < within
    thread = kernel.run("print(ended[0][1])").stdout
    assert name in thread, "close() belongs in the worker's thread"


def test_the_generator_ends_when_the_client_leaves_in_the_middle_of_a_long_part(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
        ended = []
        def app(environ, start_response):
            start_response("200 OK", [])
            def body():
                try:
                    while True:
                        yield bytes(10_000_000)
                finally:
                    ended.append(True)
            return body()
        """,
    )
    with server.connect() as connection:
        connection.sendall(request_head(server, f"/flaskserve/{name}/"))
        connection.recv(1000)
    wait_until(lambda: kernel.run("print(len(ended))").stdout == "1\n", seconds=3)


def test_an_upload_that_breaks_off_is_an_error_for_the_view_and_not_an_end(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
        outcome = []
        def app(environ, start_response):
            try:
                while environ["wsgi.input"].read(1000):
                    pass
                outcome.append("took it for whole")
            except Exception as error:
                outcome.append("broken off")
                raise
            start_response("204 No Content", [])
            return []
        """,
    )
    for headers, body in (
        ("Content-Length: 1000", b"only this"),
        ("Transfer-Encoding: chunked", b"4\r\nonly\r\n"),
    ):
        with server.connect() as connection:
            connection.sendall(request_head(server, f"/flaskserve/{name}/", "POST", headers) + body)
            time.sleep(0.2)
    wait_until(lambda: kernel.run("print(len(outcome))").stdout == "2\n", seconds=3)
    assert kernel.run("print(*set(outcome))").stdout == "broken off\n"


def test_nothing_stays_behind_when_clients_leave(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    client = kernel.serve(name, LEAVING)

    def leave() -> None:
        with server.connect() as connection:
            connection.sendall(request_head(server, f"/flaskserve/{name}/?0.02"))
            read_until(connection, b"more ")

    def sockets(pid: int) -> int:
        return sum(target.startswith("socket:") for target in descriptors(pid).values())

    def counts() -> tuple[int, int, int, int]:
        return (
            status_value(kernel.pid, "Threads"),
            len(descriptors(kernel.pid)),
            status_value(server.pid, "Threads"),
            sockets(server.pid),
        )

    def all_ended() -> bool:
        return bool(kernel.run("print(len(started) == len(ended))").stdout == "True\n")

    leave()
    wait_until(all_ended, seconds=3)
    time.sleep(0.5)
    client.close()
    before = counts()
    for _ in range(20):
        leave()
    wait_until(all_ended, seconds=5)
    wait_until(
        lambda: all(now <= then for now, then in zip(counts(), before, strict=True)),
        seconds=5,
        what=f"threads and descriptors as before, {before}",
    )
    assert kernel.run("print(len(ended))").stdout == "21\n"


def test_an_app_that_never_answers_is_left_when_its_client_leaves(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        import threading
        go = threading.Event()
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/wait":
                go.wait(10)
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        """,
    )
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(request_head(server, f"/flaskserve/{name}/wait"))
            time.sleep(0.05)
    assert client.get("").text == "ok"
    kernel.run("go.set()")
    assert client.get("").text == "ok"


# The app fails


FAILS = """
import time

def app(environ, start_response):
    start_response("200 OK", HEADERS)
    def body():
        yield b"half of it "
        time.sleep(0.05)
        raise RuntimeError("in the middle")
    return body()
"""


def test_a_view_that_fails_in_the_middle_leaves_its_chunks_unfinished(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(name, f"HEADERS = []\n{FAILS}")
    reply = Reply.parse(server.raw(request_head(server, f"/flaskserve/{name}/")))
    assert reply.header("transfer-encoding") == "chunked"
    assert b"half of it " in reply.body
    assert not reply.body.endswith(b"0\r\n\r\n")
    wait_until(lambda: "in the middle" in server.log, what="the traceback in the log")


def test_a_view_that_fails_in_the_middle_leaves_its_length_unfilled(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(name, f"HEADERS = [('Content-Length', '100')]\n{FAILS}")
    reply = Reply.parse(server.raw(request_head(server, f"/flaskserve/{name}/")))
    assert (reply.header("content-length"), reply.body) == ("100", b"half of it ")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("")


def test_a_body_shorter_than_announced_does_not_end_like_a_complete_one(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "100")])
            return [b"short"]
        """,
    )
    with server.connect() as connection:
        connection.sendall(
            request_head(server, f"/flaskserve/{name}/").replace(b"Connection: close\r\n", b"")
        )
        connection.settimeout(5)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    assert data == b"" or data.endswith(b"short") or b" 500 " in data.split(b"\r\n")[0]


def test_a_slow_client_slows_the_generator(kernel: Kernel, server: Server, name: str) -> None:
    client = kernel.serve(
        name,
        """
        made = 0
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/made":
                answer = str(made).encode()
                start_response("200 OK", [("Content-Length", str(len(answer)))])
                return [answer]
            start_response("200 OK", [])
            def body():
                global made
                for _ in range(256):
                    made += 1
                    yield bytes(1024 * 1024)
            return body()
        """,
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request_head(server, f"/flaskserve/{name}/"))
        connection.recv(1000)
        time.sleep(1)
        made = json.loads(client.get("made").text)
        time.sleep(0.5)
        assert json.loads(client.get("made").text) == made
        assert made < 32
