"""jupyter-server-proxy in front of the servers of :mod:`.bare` and of one in a kernel.

Each proxied server is a process of its own: jupyter-server-proxy keeps streams open whose clients
have left, and their threads are lost to whoever asks the server next.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from . import bare, in_kernel
from .contender import Contender

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["start", "start_in_kernel"]

# It streams a response only where the client asks for these and nothing else.
_STREAMING = {"Accept": "text/event-stream"}


def start(stage: Stage, stack: ExitStack, program: str) -> Contender:
    """Start one of :data:`.bare.PROGRAMS` behind the proxy."""
    return _behind_proxy(stage, bare.start(stage, stack, program), f"proxy-{program}")


def start_in_kernel(stage: Stage, stack: ExitStack) -> Contender:
    """Start the development server in a kernel behind the proxy."""
    contender = in_kernel.start(stage, stack, "kernel-flask")
    return _behind_proxy(stage, contender, "proxy-kernel")


def _behind_proxy(stage: Stage, contender: Contender, key: str) -> Contender:
    server = stage.proxy_server
    return replace(
        contender,
        key=key,
        url=f"{server.url}proxy/{contender.port}/",
        headers=server.headers,
        processes={"proxy": server.pid, **contender.processes},
        streaming_headers=_STREAMING,
    )
