"""All kinds of work, in the order in which they are done."""

from __future__ import annotations

from .events import ServerSentEvents
from .growth import MountGrowth, RouteGrowth
from .imports import Imports
from .small import small_works
from .startup import StartUp
from .transfers import Download, Upload
from .websocket import WebSocketEcho
from .work import Work

__all__ = ["every_work"]


def every_work() -> list[Work]:
    """All of them."""
    return [
        *small_works(),
        WebSocketEcho(),
        Download(),
        Upload(),
        StartUp(),
        Imports(),
        RouteGrowth(),
        MountGrowth(),
        ServerSentEvents(),
    ]
