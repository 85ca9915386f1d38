"""Does it turn the bytes of a request into one, and refuse what is none (RFC 9112)?"""

from __future__ import annotations

import re

from ..cell import NO, PARTLY, YES, Cell
from ..contenders.contender import Contender
from ..wire import Address, exchange, head

__all__ = ["probe"]

TIMEOUT = 5.0  # seconds for an answer

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def probe(contender: Contender) -> Cell:
    address = contender.address
    assert address is not None
    path = f"{contender.site.prefix}hello"
    close = b"Connection: close\r\n\r\n"
    good = _status(address, head(address, path) + close)
    if good != 200:
        return Cell(NO, f"a GET request was answered with {_words(good)}")
    malformed = {
        "no version of HTTP": head(address, path).replace(b"HTTP/1.1", b"HTTP/x.y", 1),
        "a header without a colon": head(address, path, extra=["no colon here"]),
        "a Content-Length that is no number": head(address, path, extra=["Content-Length: 5x"]),
    }
    answers = {what: _status(address, request + close) for what, request in malformed.items()}
    refused = [what for what, status in answers.items() if status is None or 400 <= status < 600]
    told = "; ".join(f"{what}: {_words(status)}" for what, status in answers.items())
    state = YES if len(refused) == len(malformed) else PARTLY
    return Cell(state, f"a GET request: 200; {told}")


def _status(address: Address, request: bytes) -> int | None:
    """The status of the response; ``None`` where the connection was closed, or none of HTTP came.

    :raises OSError: nothing came at all.
    """
    try:
        answer = exchange(address, request, TIMEOUT)
    except ConnectionError:
        return None
    found = _STATUS.match(answer)
    return int(found[1]) if found else None


def _words(status: int | None) -> str:
    return "a closed connection, or no HTTP" if status is None else str(status)
