"""Messages of a WebSocket are counted as their bytes go by, however these are cut."""

from __future__ import annotations

import array
import itertools
import random
import socket
import struct
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_exchanges import Recorder

from jupyter_flaskserve.kernel.exchanges.frames import FrameCounter

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(
    payload: bytes = b"", opcode: int = TEXT, *, fin: bool = True, masked: bool = False
) -> bytes:
    """One frame (RFC 6455 §5.2)."""
    size = len(payload)
    first = (0x80 if fin else 0) | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 65536:
        head = bytes((first, mask | 126)) + struct.pack("!H", size)
    else:
        head = bytes((first, mask | 127)) + struct.pack("!Q", size)
    return head + (b"\1\2\3\4" if masked else b"") + payload


CONVERSATION = b"".join(
    (
        frame(b"a", masked=True),
        frame(b"", masked=False),
        frame(b"x" * 125),
        frame(b"x" * 126, masked=True),
        frame(b"\x81\x05" * 5000, BINARY),
        frame(b"x" * 65536, masked=True),
        frame(b"ping", PING),
        frame(b"one", TEXT, fin=False),
        frame(b"", PONG, masked=True),
        frame(b"two", CONTINUATION, fin=False),
        frame(b"three", CONTINUATION),
        frame(b"\x03\xe8", CLOSE),
    )
)
MESSAGES = 7


@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=60))
def test_messages_are_counted_however_the_bytes_are_cut(cuts: list[int]) -> None:
    counter = FrameCounter()
    edges = sorted({0, len(CONVERSATION), *cuts})
    for start, end in itertools.pairwise(edges):
        counter.feed(CONVERSATION[start:end])
    assert (counter.messages, counter.size) == (MESSAGES, len(CONVERSATION))


def test_one_byte_at_a_time_will_do() -> None:
    counter = FrameCounter(after_head=True)
    for byte in SWITCH + CONVERSATION:
        counter.feed(bytes((byte,)))
    assert (counter.messages, counter.size) == (MESSAGES, len(CONVERSATION))


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 20))
def test_whatever_the_bytes_are_nothing_is_raised(data: bytes, after_head: bool, step: int) -> None:
    counter = FrameCounter(after_head=after_head)
    for start in range(0, len(data), step):
        counter.feed(data[start : start + step])
    assert len(counter._partial) < 14


def test_all_kinds_of_buffers_are_taken() -> None:
    counter = FrameCounter()
    counter.feed(bytearray(frame(b"a")))
    counter.feed(memoryview(frame(b"b")))
    counter.feed(memoryview(array.array("H", frame(b"even"))))
    counter.feed(memoryview(frame(b"c"))[::-1])  # in no order in which a socket would take it
    assert counter.messages == 3
    counter.feed(array.array("H", frame(b"of these six bytes the first eight")), 8)
    assert (counter.messages, counter.size) == (4, 3 + 3 + 6 + 8)


def test_a_finalizer_may_send_in_the_middle() -> None:
    class Interrupted(FrameCounter):
        def _count(self, data: Any) -> None:
            if not self.messages:
                self.messages = 1
                self.feed(frame(b"from a finalizer"))
            super()._count(data)

    counter = Interrupted()
    thread = threading.Thread(target=counter.feed, args=(frame(b"a"),), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert counter.messages == 3


def test_a_handshake_that_is_refused_has_no_messages() -> None:
    counter = FrameCounter(after_head=True)
    counter.feed(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\n")
    counter.feed(frame(b"hello"))
    assert (counter.messages, counter.size) == (0, 0)


def test_a_head_without_end_is_not_kept() -> None:
    counter = FrameCounter(after_head=True)
    for _ in range(100):
        counter.feed(b"HTTP/1.1 101 " + b"x" * 10_000)
    assert counter._head is not None
    assert len(counter._head) < 100_000
    counter.feed(b"\r\n\r\n" + frame(b"a"))
    assert counter.messages == 1


# In an exchange


@pytest.fixture
def ends() -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_websocket_is_open_and_counted_while_it_lasts(ends: Any) -> None:
    ours, theirs = ends
    recorder = Recorder()
    seen: list[Any] = []
    peeked: list[bytes] = []
    heard: list[str] = []
    recorder.exchanges.listen(lambda: heard.append(recorder.exchanges.last.kind))

    def app(environ: Any, start_response: Any) -> list[bytes]:
        peer = environ["werkzeug.socket"]
        exchange = recorder.exchanges.last
        seen.append(exchange.kind)
        peer.sendall(SWITCH)
        theirs.sendall(frame(b"hello", masked=True) * 3)
        peeked.append(peer.recv(4, socket.MSG_PEEK))
        first = peer.recv(5)
        buffer = bytearray(100)
        count = peer.recv_into(buffer)
        peeked.append(first + bytes(buffer[:count]))
        peer.send(frame(b"one"))
        peer.sendall(bytearray(frame(b"two")))
        seen.append((exchange.kind, exchange.is_open, exchange.status, exchange.size))
        seen.append((exchange.messages_in, exchange.messages_out))
        peer.settimeout(3)
        seen.append((peer.fileno() == ours.fileno(), ours.gettimeout()))
        return []

    exchange = recorder.ask(app=app, client=ours)
    assert seen == ["http", ("websocket", True, 101, 10), (3, 2), (True, 3)]
    assert peeked == [frame(b"hello", masked=True)[:4], frame(b"hello", masked=True) * 3]
    assert (exchange.kind, exchange.is_open, exchange.status) == ("websocket", False, 101)
    assert exchange.response is not None
    assert exchange.response.status_code == 101
    assert heard == ["http", "websocket", "websocket"]
    assert theirs.recv(200) == SWITCH + frame(b"one") + frame(b"two")


def test_of_what_the_socket_took_in_part_only_that_is_counted(ends: Any) -> None:
    ours, _ = ends
    recorder = Recorder()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        peer = environ["werkzeug.socket"]
        peer.send(SWITCH)
        peer.setblocking(False)
        data = frame(random.randbytes(50_000_000))
        taken.append(peer.send(data))
        return []

    taken: list[int] = []
    exchange = recorder.ask(app=app, client=ours)
    assert taken[0] < 50_000_000
    assert (exchange.messages_out, exchange.size) == (1, taken[0])


def test_an_upgrade_that_nobody_wanted_is_an_ordinary_response(ends: Any) -> None:
    ours, _ = ends

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"no"]

    exchange = Recorder(app).ask(client=ours)
    assert (exchange.kind, exchange.status, exchange.size) == ("http", 200, 2)
