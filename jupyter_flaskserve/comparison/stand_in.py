"""A process that answers by FastCGI as a notebook's kernel does, and that may be killed.

Run as a program, by what :func:`command_of_stand_in` gives, with its settings in the environment
variable :data:`SETTINGS`: a command line can be read by every user of the machine.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from ..kernel.responder.responder import Responder
from .observed import Observed
from .sockets import listen_for_servers

__all__ = ["SETTINGS", "command_of_stand_in"]

THREADS = 16
SETTINGS = "FLASKSERVE_STAND_IN"
"""The variable with what :class:`.Observed` is given, as JSON."""


def command_of_stand_in(socket: Path) -> list[str]:
    """What starts it. It listens at a Unix socket, and has nothing but what the probes ask for."""
    return [sys.executable, "-m", __name__, str(socket)]


def serve(socket: str) -> None:
    """Answer until the process is ended."""
    app = Observed(None, **json.loads(os.environ.pop(SETTINGS)))
    listener = listen_for_servers(Path(socket))
    Responder(app, name="stand-in", listener=listener, threads=THREADS)
    threading.Event().wait()


if __name__ == "__main__":
    serve(*sys.argv[1:])
