"""WSGI servers by themselves, one process each: nobody is asked who they are.

Each has as many threads as the others. waitress takes as many connections as come, and not 100, and
bodies of 1 GiB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from .contender import Contender
from .processes import environment, free_port, listens, only_child, running

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["PROGRAMS", "serving", "start"]

_APP = "benchmarks.app:app"

PROGRAMS: dict[str, tuple[str, ...]] = {
    "waitress": (
        "waitress", "--host=127.0.0.1", "--port={port}", "--threads={threads}",
        "--connection-limit=2000", "--max-request-body-size=4294967296", _APP,
    ),
    "gunicorn": (
        "gunicorn", "--bind=127.0.0.1:{port}", "--worker-class=gthread", "--workers=1",
        "--threads={threads}", "--log-level=warning", _APP,
    ),
    "cheroot": ("cheroot", "--bind=127.0.0.1:{port}", "--threads={threads}", _APP),
    "flask": ("benchmarks.contenders.dev_server", "{port}"),
}  # fmt: skip
"""The modules that are run, with their arguments."""


@contextmanager
def serving(stage: Stage, key: str, port: int, interval: float = 0.02) -> Iterator[int]:
    """Run one of :data:`PROGRAMS` until the end of the block.

    :param interval: in how many seconds it is seen whether it listens.
    :returns: its process.
    """
    arguments = [word.format(port=port, threads=stage.threads) for word in PROGRAMS[key]]
    with running(
        [sys.executable, "-m", *arguments],
        ready=lambda: listens(port),
        log=stage.directory / f"{key}.log",
        variables=environment(stage.directory),
        interval=interval,
    ) as process:
        yield process.pid


def start(stage: Stage, stack: ExitStack, program: str) -> Contender:
    """Start one of :data:`PROGRAMS`."""
    port = free_port()
    pid = stack.enter_context(serving(stage, program, port))
    if program == "gunicorn":
        pid = only_child(pid)
    return Contender(program, f"http://127.0.0.1:{port}/", {program: pid})
