"""Does it wait for connections?"""

from __future__ import annotations

from ..cell import NO, YES, Cell
from ..contenders.contender import Contender
from ..wire import connect

__all__ = ["probe"]

TIMEOUT = 5.0  # seconds


def probe(contender: Contender) -> Cell:
    address = contender.address
    assert address is not None
    where = f"{address.host}:{address.port}"
    try:
        with connect(address, TIMEOUT) as peer:
            own = peer.getsockname()[1]
    except OSError as error:
        return Cell(NO, f"a connection to {where} failed: {error}")
    return Cell(YES, f"it accepted a connection from port {own} at {where}")
