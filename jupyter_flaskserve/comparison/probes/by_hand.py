"""The same questions where no server is: the app is called in this process, and nothing else."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat

from ..cell import DOES_NOT_APPLY, NO, UNKNOWN, YES, Cell
from ..contenders.by_hand import ByHand
from ..contenders.contender import Contender, free_ports
from .static_files import NO_FOLDER

__all__ = [
    "balances",
    "listens",
    "parses",
    "slow_clients",
    "static_files",
    "streams",
    "survives",
    "tls",
]

REQUESTS = 8


def _knock(told: str) -> Cell:
    """Whether a connection can be made, while the app exists and nobody serves it.

    :param told: what else there is to tell.
    """
    (port,) = free_ports(1)
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        return Cell(NO, f"{told}; a connection to 127.0.0.1:{port}: {error.strerror or error}")
    return Cell(UNKNOWN, f"somebody else has begun to listen at port {port}")


def listens(contender: Contender) -> Cell:
    assert isinstance(contender, ByHand)
    before = _listening()
    status = contender.call(f"{contender.site.prefix}hello").status
    opened = len(_listening() - before)
    told = f"the call returned {status} and opened {opened} listening sockets"
    return Cell(YES, told) if opened else _knock(told)


def parses(contender: Contender) -> Cell:
    assert isinstance(contender, ByHand)
    word = secrets.token_hex(8)
    request = f"GET /{word} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    told = "called with the bytes of a request"
    try:
        said = contender.call_with_bytes(request)
    except Exception as error:  # whatever the app makes of it
        return Cell(NO, f"{told}: {type(error).__name__}: {error}")
    told += f", it answered with {len(said)} bytes"
    if word.encode() in said:
        return Cell(YES, f"{told}, in which the path is that was asked for")
    return Cell(NO, f"{told}, in which the path that was asked for is not: it did not read them")


def static_files(contender: Contender) -> Cell:
    assert isinstance(contender, ByHand)
    site = contender.site
    if not site.static_url:
        return NO_FOLDER
    noted = site.notes / "marker"
    noted.unlink(missing_ok=True)
    answer = contender.call(f"{site.static_url}{site.marker}")
    if noted.exists():
        return Cell(NO, f"there is nobody but the app to ask; it said {answer.status}")
    return Cell(YES, f"the app was not asked, and {answer.status} came")


def balances(contender: Contender) -> Cell:
    assert isinstance(contender, ByHand)
    answers = [contender.call(f"{contender.site.prefix}who") for _ in range(REQUESTS)]
    pids = {answer.json()["pid"] for answer in answers}
    told = f"{REQUESTS} calls ran in {len(pids)} process, one after the other"
    return Cell(NO if len(pids) == 1 else YES, told)


def tls(contender: Contender) -> Cell:
    return Cell(DOES_NOT_APPLY, "a function call goes over no connection that could be encrypted")


def streams(contender: Contender) -> Cell:
    assert isinstance(contender, ByHand)
    site = contender.site
    token = secrets.token_hex(8)
    allowed = site.notes / f"allowed-{token}"
    parts = iter(contender.call_app(f"{site.prefix}stream/{token}"))
    first = next(parts)
    early = not allowed.exists()  # the last part is made only when this is there
    allowed.touch()
    rest = b"".join(parts)
    told = f"iterating gave {first!r} before {rest!r} was made"
    return Cell(YES if early and b"first" in first and b"last" in rest else NO, told)


def slow_clients(contender: Contender) -> Cell:
    return Cell(DOES_NOT_APPLY, "nobody is connected who could be slow")


def survives(contender: Contender) -> Cell:
    return Cell(DOES_NOT_APPLY, "the app is called in this process, and there is no other to kill")


def _listening() -> set[int]:
    """The descriptors of this process's sockets that listen."""
    found = set()
    for number in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):  # it was closed meanwhile
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                with socket.socket(fileno=os.dup(number)) as copy:
                    if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        found.add(number)
    return found
