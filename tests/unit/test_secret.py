"""The secret by which the two ends of a loopback connection know each other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from jupyter_flaskserve import fastcgi, records
from jupyter_flaskserve.kernel.responder.listener import Listener
from jupyter_flaskserve.kernel.responder.responder import Responder
from jupyter_flaskserve.records import MountRecord
from jupyter_flaskserve.server.connect import connect_to

REQUEST = (
    fastcgi.encode_begin_request(1, keep=False)
    + fastcgi.encode_stream(fastcgi.PARAMS, 1, fastcgi.encode_pairs([(b"PATH_INFO", b"/")]))
    + fastcgi.encode_record(fastcgi.PARAMS, 1)
    + fastcgi.encode_record(fastcgi.STDIN, 1)
)


class Served:
    """An app behind a responder on the loopback.

    :ivar asked: the paths it was asked for.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.listener = Listener("tcp", generation="secret", backlog=8)
        self.responder = Responder(self.app, name="secret", listener=self.listener, threads=4)
        self.record = MountRecord(
            name="secret",
            server="0123456789abcdef",
            kernel_id="kernel",
            pid=1,
            generation="0" * 32,
            socket=self.listener.address,
            threads=4,
            title="app",
            notebook="",
            started=0.0,
            transport="tcp",
            secret=self.listener.secret,
        )

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"answer"]

    def send(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own. All that comes back."""
        received = b""
        with socket.create_connection(self.record.tcp_address, timeout=5) as connection:
            connection.sendall(data)
            with contextlib.suppress(OSError):  # who is refused may be told so by a reset
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    received += piece
        return received


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.responder.stop()


def test_who_shows_the_secret_is_shown_one_and_served(served: Served) -> None:
    shown, expected = served.record.secrets
    answer = served.send(shown + REQUEST)
    assert answer.startswith(expected)
    assert b"answer" in answer
    assert served.asked == ["/"]


@pytest.mark.parametrize(
    "show",
    [
        lambda secret: b"",
        lambda secret: secret[:-1],
        lambda secret: bytes([secret[0] ^ 1]) + secret[1:] + REQUEST,
        lambda secret: secret[:-1] + bytes([secret[-1] ^ 1]) + REQUEST,
        lambda secret: bytes(len(secret)) + REQUEST,
        lambda secret: REQUEST * 10,
    ],
    ids=["nothing", "a part", "the first byte wrong", "the last byte wrong", "zeros", "a request"],
)
def test_who_does_not_is_told_nothing_and_not_read(
    served: Served, show: Callable[[bytes], bytes]
) -> None:
    assert served.send(show(served.record.secrets[0])) == b""
    assert served.asked == []
    assert b"answer" in served.send(served.record.secrets[0] + REQUEST), "others are served"


def test_the_two_secrets_differ_and_are_new_for_each_mount(served: Served) -> None:
    other = Listener("tcp", generation="other", backlog=1)
    halves = {served.listener.secret[:64], served.listener.secret[64:]}
    halves |= {other.secret[:64], other.secret[64:]}
    other.close()
    assert len(halves) == 4


def test_it_listens_on_the_loopback_only(served: Served) -> None:
    assert served.listener.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "answer", [b"", b"x" * 31, b"x" * 32, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 2]
)
def test_a_program_that_has_got_the_port_of_a_kernel_is_told_nothing(
    served: Served, answer: bytes
) -> None:
    """The gateway sends the secret, which is of no more use, and not a byte of a request."""

    async def main() -> None:
        received = b""

        async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal received
            received += await reader.readexactly(32)
            writer.write(answer)
            writer.write_eof()
            received += await reader.read()
            writer.close()

        async with await asyncio.start_server(impostor, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            values = {**vars(served.record), "socket": f"127.0.0.1:{port}"}
            record = MountRecord(**values)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.wait_for(connect_to(record)(asyncio.Protocol), 5)
            loop = asyncio.get_running_loop()
            assert not await loop.run_in_executor(None, records.is_live, record)
        assert received == record.secrets[0] * 2

    asyncio.run(main())
    assert records.is_live(served.record)
