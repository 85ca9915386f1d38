"""One real request on its way through a server to the app and back, with its times."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass

from .contenders.by_hand import ByHand
from .contenders.contender import Contender
from .site import WORKERS
from .wire import ask

__all__ = ["Passage", "trace"]

_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Passage:
    """When one request was where, in seconds since it was sent.

    :ivar path: what was asked for.
    :ivar status: that of the response.
    :ivar reached: when the app was called.
    :ivar left: when the app had given the last part of its response.
    :ivar returned: when the client had read it.
    :ivar pid: the process in which the app ran.
    """

    path: str
    status: int
    reached: float
    left: float
    returned: float
    pid: int


def trace(contender: Contender, path: str) -> Passage:
    """Send one request to the app, and note when it passes.

    The clock is the machine's monotonic one, which all its processes share.

    :raises OSError: it did not reach the app.
    :raises http.client.HTTPException: no response came.
    """
    # Some before, so that each worker has done what is done only once.
    for _ in range(2 * WORKERS):
        _send(contender, secrets.token_hex(8), path)
    token = secrets.token_hex(8)
    sent, status, returned = _send(contender, token, path)
    note = contender.site.notes / f"trace-{token}"
    deadline = returned + _TIMEOUT
    while not (note.exists() and note.read_text().endswith("\n")):  # written after the response
        if time.monotonic() > deadline:
            raise OSError("the request did not reach the app")
        time.sleep(0.01)
    noted = json.loads(note.read_text())
    return Passage(
        path=path,
        status=status,
        reached=noted["began"] - sent,
        left=noted["ended"] - sent,
        returned=returned - sent,
        pid=noted["pid"],
    )


def _send(contender: Contender, token: str, path: str) -> tuple[float, int, float]:
    """When the request was sent, the status of the response, and when that was read."""
    target = f"{contender.site.prefix}trace/{token}/{path.lstrip('/')}"
    sent = time.monotonic()
    if isinstance(contender, ByHand):
        status = contender.call(target).status
    else:
        assert contender.address is not None
        status = ask(contender.address, target, _TIMEOUT).status
    return sent, status, time.monotonic()
