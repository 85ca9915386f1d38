"""The development server in threads of a kernel, at a port that all users of the machine reach."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from .contender import Contender
from .processes import free_port, listens, wait_until

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["STARTERS", "start"]

STARTERS = {"kernel-flask": "start_thread", "kernel-dash": "start_as_dash"}
"""The functions of :mod:`.dev_server` that a cell calls."""


def start(stage: Stage, stack: ExitStack, key: str) -> Contender:
    """Start one of :data:`STARTERS`, in a kernel of its own."""
    port, function = free_port(), STARTERS[key]
    kernel = stage.proxy_server.kernel(f"{key}.ipynb")
    kernel.run(
        "from benchmarks.app import app\n"
        f"from benchmarks.contenders.dev_server import {function}\n"
        f"{function}(app, {port})"
    )
    wait_until(lambda: listens(port), f"what {function} starts")
    url = f"http://127.0.0.1:{port}/"
    return Contender(key, url, {"kernel": kernel.pid}, kernel=kernel)
