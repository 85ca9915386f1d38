"""Unix sockets for the web servers of a comparison."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from ..kernel.responder.listener import Listener
from .processes import serving_user

__all__ = ["listen_for_servers"]


def listen_for_servers(path: Path) -> Listener:
    """A Unix socket that this user alone may connect to or, where that is root, the user as whom
    the workers of nginx and Apache serve."""
    listener = Listener("unix", generation="", backlog=128, path=path)
    user = serving_user()
    if user:
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    return listener
