"""This user's running Jupyter Servers, as they announce themselves, and the token of each.

A server writes ``jpserver-PID.json`` into Jupyter's runtime directory, which only its user may
read. Everything in this module may be imported by the command line and by the kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jupyter_core.paths import jupyter_runtime_dir

__all__ = ["RunningServer", "exists", "running_server", "running_servers", "server_key"]


class RunningServer(NamedTuple):
    """One server.

    :ivar url: its base URL, which ends in a slash.
    :ivar token: its token, or an empty string.
    :ivar socket: the path of its Unix socket, where it listens on nothing else; otherwise empty.
    """

    url: str
    token: str
    socket: str


def running_servers() -> Iterator[RunningServer]:
    """The servers whose processes there are. What cannot be read is passed by."""
    for path in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            info: dict[str, Any] = json.loads(path.read_bytes())
            if exists(int(info["pid"])):
                yield RunningServer(
                    url=str(info["url"]),
                    token=str(info["token"]),
                    socket=str(info.get("sock") or ""),
                )


def running_server(url: str) -> RunningServer | None:
    """The server at a URL; ``None`` where none of this user's is there.

    :param url: the server's base URL for programs on this machine. A server that listens at all
        addresses announces itself by another host name.
    """
    wanted = server_key(url)
    near = [server for server in running_servers() if server_key(server.url)[1:] == wanted[1:]]
    exact = [server for server in near if server_key(server.url) == wanted]
    return next(iter([*exact, *near]), None)


def server_key(url: str) -> tuple[str, int | None, str]:
    """What tells one server from another: its host, port and base URL. ``localhost`` is the same
    host as ``127.0.0.1``."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError:
        port = None
    return ("127.0.0.1" if host == "localhost" else host, port, parts.path.strip("/"))


def exists(pid: int) -> bool:
    """Whether there is a process of this id. Windows cannot be asked: there it is so."""
    if sys.platform == "win32":  # where to ask would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
