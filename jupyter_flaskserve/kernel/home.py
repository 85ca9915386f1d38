"""Where this kernel's apps are served: by the Jupyter Server that started it or, where there is
none with the extension, by a server of the kernel's own."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol
from urllib.parse import urljoin

from .. import records

__all__ = ["OWN_SERVER_NOTICE", "Home", "OwnServer", "find_home", "known_home"]

_KERNEL_FILE = re.compile(r"kernel-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json")


OWN_SERVER_NOTICE = (
    "No Jupyter Server with jupyter_flaskserve started this kernel, so the kernel serves the app"
    " itself, on this machine only. The link lets one browser in, once; %flaskserve gives another."
    " To serve through Jupyter: pip install jupyter-flaskserve where Jupyter Server runs, restart"
    " it, and run this in one of its notebooks."
)


class OwnServer(Protocol):
    """The kernel's own server: see :mod:`jupyter_flaskserve.standalone`."""

    id: str
    kernel_id: str
    url: str
    token: str

    def ticket(self) -> str:
        """A word that lets one browser in, once."""


@dataclass(frozen=True)
class Home:
    """A server that serves this kernel's apps.

    :ivar server: its id.
    :ivar kernel_id: the kernel's id in it.
    :ivar base_url: the path under which everything is, with a slash at both ends.
    :ivar url: its full URL for programs on this machine, or an empty string.
    :ivar own: the kernel's own server; ``None`` where it is a Jupyter Server.
    """

    server: str
    kernel_id: str
    base_url: str
    url: str
    own: OwnServer | None = None

    def url_of(self, path: str) -> str:
        """The full URL of a path, without credentials."""
        return urljoin(self.url, path)

    def link_to(self, path: str) -> str:
        """What a person is to click on: a path under Jupyter, whose login holds; elsewhere a URL
        with a ticket, which is worth nothing once it has been used."""
        if self.own is None:
            return path
        return f"{self.url_of(path)}?token={self.own.ticket()}"


def known_home() -> Home | None:
    """The server that serves this kernel's apps, if there is one by now."""
    server, kernel_id = os.environ.get(records.SERVER_ENV), _kernel_id()
    if server and kernel_id:
        base_url = os.environ.get(records.BASE_URL_ENV, "/")
        return Home(server, kernel_id, base_url, os.environ.get(records.SERVER_URL_ENV, ""))
    return _own_home


def find_home() -> Home:
    """The server that serves this kernel's apps. A kernel without one is given one of its own.

    :raises OSError: that cannot be started.
    """
    global _own_home
    home = known_home()
    if home is None:
        # Imported only here: kernels of a Jupyter Server have no use for it.
        own: OwnServer = import_module("jupyter_flaskserve.standalone").start()
        home = _own_home = Home(own.id, own.kernel_id, "/", own.url, own)
    return home


_own_home: Home | None = None  # guarded by the lock of kernel.mount


def _forget_own_home() -> None:
    """A child process has none of its parent's threads, and so not its server."""
    global _own_home
    _own_home = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_own_home)


def _kernel_id() -> str | None:
    """This kernel's id in a Jupyter Server, which is in the name of its connection file."""
    ipykernel = sys.modules.get("ipykernel")
    try:
        file = ipykernel.get_connection_file() if ipykernel is not None else ""
    except RuntimeError:
        file = ""
    found = _KERNEL_FILE.fullmatch(os.path.basename(file))
    return found[1] if found is not None else None
