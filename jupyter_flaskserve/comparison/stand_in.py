"""A process that answers by FastCGI as a notebook's kernel does, and that may be killed.

Run as a program, by what :func:`command_of_stand_in` gives.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from ..kernel.responder.responder import Responder
from .observed import Observed
from .sockets import listen_for_servers

__all__ = ["command_of_stand_in"]

THREADS = 16


def command_of_stand_in(socket: Path, *, prefix: str, notes: Path, marker: str) -> list[str]:
    """What starts it. It listens at a Unix socket, and has nothing but what the probes ask for."""
    return [sys.executable, "-m", __name__, str(socket), prefix, str(notes), marker]


def serve(socket: str, prefix: str, notes: str, marker: str) -> None:
    """Answer until the process is ended."""
    app = Observed(None, prefix=prefix, notes=notes, marker=marker)
    listener = listen_for_servers(Path(socket))
    Responder(app, name="stand-in", listener=listener, threads=THREADS)
    threading.Event().wait()


if __name__ == "__main__":
    serve(*sys.argv[1:])
