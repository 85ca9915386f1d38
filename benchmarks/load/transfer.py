"""One large body, in one direction. The client blocks: it costs less than an event loop's."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..contenders.contender import Contender
from .failed import Failed

__all__ = ["Memory", "Transfer", "download", "memory", "upload"]

_PIECE = 256 * 1024  # bytes
_TIMEOUT = 60.0  # seconds without a byte
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")


class Transfer(NamedTuple):
    """
    :ivar seconds: from the request's first byte to the response's last.
    :ivar first_byte: from the request's first byte to the first one of the response's body.
    """

    seconds: float
    first_byte: float


class Memory(NamedTuple):
    """
    :ivar peak: the greatest resident set, in bytes.
    :ivar growth: how much more that is than before.
    """

    peak: int
    growth: int


def download(contender: Contender, path: str, size: int, headers: Mapping[str, str]) -> Transfer:
    """Get a body of that many bytes.

    :raises Failed: it does not come, or not whole.
    """
    with _connected(contender) as connection:
        begin = time.perf_counter()
        connection.sendall(contender.head("GET", path, headers=headers))
        head, rest = _read_head(connection)
        length = _LENGTH.search(head)
        if length is None and _CHUNKED.search(head):
            first, received = _read_chunks(connection, rest)
        else:
            first, received = _read_body(connection, rest, int(length[1]) if length else None)
        end = time.perf_counter()
    if received != size:
        raise Failed(f"Of {size} bytes {received} have come.")
    return Transfer(end - begin, first - begin)


def upload(contender: Contender, path: str, size: int) -> Transfer:
    """Post a body of that many bytes to a view that counts them.

    :raises Failed: the view is not asked, or counts otherwise.
    """
    piece = bytes(_PIECE)
    with _connected(contender) as connection:
        begin = time.perf_counter()
        kind = {"Content-Type": "application/octet-stream"}
        connection.sendall(contender.head("POST", path, length=size, headers=kind))
        try:
            for _ in range(size // _PIECE):
                connection.sendall(piece)
        except ConnectionError:
            pass  # what it says, it may have said before
        head, rest = _read_head(connection)
        length = _LENGTH.search(head)
        if length is None:
            raise Failed("The answer to the upload has no length.")
        while len(rest) < int(length[1]):
            rest += _receive(connection)
        end = time.perf_counter()
    if rest != str(size).encode():
        raise Failed(f"The view answers {rest[:100]!r} and not {size}.")
    return Transfer(end - begin, end - begin)


@contextlib.contextmanager
def memory(processes: Mapping[str, int]) -> Iterator[dict[str, Memory]]:
    """How much memory processes take at their peak, by what they are.

    :returns: a dictionary that is filled at the end of the block.
    """
    taken: dict[str, Memory] = {}
    before = {}
    for name, pid in processes.items():
        # The peak begins anew (proc(5), clear_refs).
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        before[name] = _status(pid, "VmRSS")
    yield taken
    for name, pid in processes.items():
        peak = _status(pid, "VmHWM")
        taken[name] = Memory(peak, max(0, peak - before[name]))


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


@contextlib.contextmanager
def _connected(contender: Contender) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", contender.port), timeout=_TIMEOUT) as connection:
        try:
            yield connection
        except OSError as error:
            raise Failed(f"{type(error).__name__}: {error}") from None


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(_PIECE)
    if not data:
        raise Failed("The connection ended too early.")
    return data


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """
    :returns: the head of the response, and what came of its body with it.
    :raises Failed: its status is not 200.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, rest = data.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1] != b"200":
        raise Failed(f"The answer is {head.splitlines()[0].decode('latin-1')}.")
    return head, rest


def _read_body(connection: socket.socket, rest: bytes, length: int | None) -> tuple[float, int]:
    """Read as many bytes or, where there is no length, to the end.

    :returns: when the first byte came, and how many there were.
    """
    received = len(rest)
    first = time.perf_counter() if rest else 0.0
    buffer = bytearray(_PIECE)
    while length is None or received < length:
        count = connection.recv_into(buffer)
        if not count:
            break
        first = first or time.perf_counter()
        received += count
    return first, received


def _read_chunks(connection: socket.socket, rest: bytes) -> tuple[float, int]:
    """The same of a body in chunks (RFC 9112 §7.1)."""
    first, received = 0.0, 0
    while True:
        while b"\r\n" not in rest:
            rest += _receive(connection)
        line, _, rest = rest.partition(b"\r\n")
        missing = int(line.partition(b";")[0], 16)
        if not missing:
            return first, received
        first = first or time.perf_counter()
        received += missing
        missing += 2  # the line's end after it
        while missing > len(rest):
            missing -= len(rest)
            rest = _receive(connection)
        rest = rest[missing:]
