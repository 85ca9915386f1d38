"""What wrk prints, and the clients for what wrk cannot do, against servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from benchmarks.contenders.contender import Contender
from benchmarks.load.events import listen
from benchmarks.load.failed import Failed
from benchmarks.load.one_by_one import one_by_one
from benchmarks.load.transfer import download, upload
from benchmarks.load.websockets import echo
from benchmarks.load.wrk import parse, run_wrk

OUTPUT = """Running 1m test @ http://127.0.0.1:1/
  1 threads and 2 connections
Requests/sec:   1000.00
Transfer/sec:      1.00MB

JSON {"requests": 2000, "bytes": 9, "seconds": 2.0, "p50": 250, "p90": 300, "p99": 1500, \
"max": 2000, "connect": 0, "read": 1, "write": 0, "status": 20, "timeout": 0}
"""


def test_what_wrk_has_measured_is_read() -> None:
    load = parse(OUTPUT)
    assert load.answered == 1980
    assert load.rate == 990.0  # answers with a status from 400 do not count
    assert (load.p50, load.p90, load.p99, load.longest) == (0.00025, 0.0003, 0.0015, 0.002)
    assert load.errors == {"read": 1, "status": 20}


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("unable to connect to 127.0.0.1:1 Connection refused\n", "Connection refused"),
        (OUTPUT.replace("2000,", "0,", 1), "Not one request"),
    ],
)
def test_what_wrk_has_not_measured_is_no_result(output: str, reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        parse(output)


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[Contender]:
    """A contender that answers each connection with a function, and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Contender("it", f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def saying(response: bytes) -> Callable[[socket.socket], None]:
    """Answers the head of a request, and reads what comes after it."""

    def answer(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return
            data += more
        connection.sendall(response)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    return answer


def test_it_takes_as_long_as_it_was_told_to(wrk: str) -> None:
    begin = time.monotonic()
    with server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as contender:
        run_wrk(contender, "", connections=1, seconds=0.5)
    assert 0.5 <= time.monotonic() - begin < 20


def test_a_port_at_which_nobody_listens_is_no_result(wrk: str) -> None:
    with pytest.raises(Failed, match="Connection refused"):
        run_wrk(Contender("it", "http://127.0.0.1:1/", {}), "", connections=1, seconds=5)


def test_one_by_one_each_latency_counts_once_and_errors_are_told() -> None:
    answers = iter([0.05, 0.3, 0.05, None, 0.05, 0.05])
    answered = []

    def answer(connection: socket.socket) -> None:
        wait = next(answers, 2.0)
        status = "500 No" if wait is None else "200 OK"
        answered.append(wait)
        threading.Event().wait(wait or 0)
        saying(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())(
            connection
        )

    with server(answer) as contender:
        load = one_by_one(contender, "", seconds=0.5)
    good = [wait for wait in answered if wait is not None]
    assert load.answered == len(good)
    assert load.errors == ({"status": 1} if None in answered else {})
    assert sorted(good)[len(good) // 2] <= load.p50
    assert load.longest >= max(good)


def test_errors_are_counted(wrk: str) -> None:
    with server(saying(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")) as contender:
        load = run_wrk(contender, "", connections=1, seconds=0.3)
    assert load.rate == 0.0
    assert load.errors["status"] > 0


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwhole!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nwh\r\n4;a=b\r\nole!\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nwhole!",
    ],
    ids=["a length", "chunks", "the end of the connection"],
)
def test_a_download_is_read_to_its_end(response: bytes) -> None:
    with server(saying(response)) as contender:
        transfer = download(contender, "", 6, {})
    assert 0 < transfer.first_byte <= transfer.seconds


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (b"HTTP/1.1 599 Unknown\r\nContent-Length: 0\r\n\r\n", "599"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwho", "Of 6 bytes 3"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n", "too early"),
        (b"", "too early"),
    ],
)
def test_a_download_that_is_not_whole_is_no_result(response: bytes, reason: str) -> None:
    with server(saying(response)) as contender, pytest.raises(Failed, match=reason):
        download(contender, "", 6, {})


def test_an_upload_that_the_view_has_not_counted_is_no_result() -> None:
    size = 2**20
    with (
        server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n512")) as contender,
        pytest.raises(Failed, match="answers b'512' and not 1048576"),
    ):
        upload(contender, "", size)


def test_a_stream_that_ends_is_no_result() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with (
        server(saying(head + b"data: 1\n\ndata: 2\n\n")) as contender,
        pytest.raises(Failed, match="ended"),
    ):
        listen(contender, "", streams=1, seconds=5)


def test_a_websocket_that_is_refused_is_no_result() -> None:
    with (
        server(saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as contender,
        pytest.raises(Failed, match="404"),
    ):
        echo(contender, "", connections=1, window=1, seconds=5)
