"""Does the first part of a response arrive before the last one is made?"""

from __future__ import annotations

import secrets
import time

from ..cell import NO, PARTLY, YES, Cell
from ..contenders.contender import Contender
from ..wire import connect, head
from .control import failed_control

__all__ = ["probe"]

TIMEOUT = 15.0  # seconds for the whole
PATIENCE = 1.5  # seconds in which the first part is to come


def probe(contender: Contender) -> Cell:
    if (failed := failed_control(contender, PATIENCE)) is not None:
        return failed
    seconds = first_part_after(contender, "")
    if seconds is not None:
        return Cell(YES, f"the first part came after {_ms(seconds)}, before the last one was made")
    held = f"the first part did not come within {PATIENCE:g} s, but only with the last one"
    seconds = first_part_after(contender, "?unbuffered")
    if seconds is None:
        # It may have become so busy meanwhile that it answers nothing in that time.
        return failed_control(contender, PATIENCE) or Cell(NO, held)
    return Cell(
        PARTLY,
        f"{held}; where the app sends X-Accel-Buffering: no, it came after {_ms(seconds)}",
    )


def first_part_after(contender: Contender, query: str) -> float | None:
    """After how many seconds the first part came; ``None`` where it came only with the last.

    :raises OSError: no part came at all.
    """
    site, address = contender.site, contender.address
    assert address is not None
    token = secrets.token_hex(8)
    allowed = site.notes / f"allowed-{token}"
    began = time.monotonic()
    early: float | None = None
    try:
        with connect(address, PATIENCE) as peer:
            path = f"{site.prefix}stream/{token}{query}"
            peer.sendall(head(address, path, extra=["Connection: close"]) + b"\r\n")
            data = b""
            try:
                while b"first" not in data:
                    part = peer.recv(4096)
                    if not part:
                        raise ConnectionError("the response ended before its first part")
                    data += part
                early = time.monotonic() - began
            except TimeoutError:
                pass
            allowed.touch()  # and only now is the last part made
            deadline = began + TIMEOUT
            while b"last" not in data:
                peer.settimeout(max(deadline - time.monotonic(), 0.01))
                part = peer.recv(4096)
                if not part:
                    raise ConnectionError("the response ended before its last part")
                data += part
    finally:
        allowed.touch()
    return early


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
