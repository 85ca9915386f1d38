"""The floors: handlers in the server of ``ours`` that return a constant. No app runs.

This module is also the server extension that adds them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ..app import HELLO
from .contender import Contender

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from .stage import Stage

__all__ = ["start"]


class TornadoFloor(web.RequestHandler):
    """As little as Tornado can do, and without a question who asks."""

    def get(self) -> None:
        self.finish(HELLO)


class JupyterFloor(JupyterHandler):
    """What an extension's author writes."""

    @web.authenticated
    async def get(self) -> None:
        await self.finish(HELLO)


_FLOORS: dict[str, type[web.RequestHandler]] = {"tornado": TornadoFloor, "jupyter": JupyterFloor}


def start(stage: Stage, stack: ExitStack, key: str) -> Contender:
    """A floor, which is there with the server: ``tornado`` or ``jupyter``."""
    server = stage.our_server
    url, processes = f"{server.url}benchmarks/{key}/", {"server": server.pid}
    return Contender(key, url, processes, server.headers)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    application: Any = server.web_app
    base_url = application.settings["base_url"]
    application.add_handlers(
        ".*$",
        [(url_path_join(base_url, f"benchmarks/{key}/"), floor) for key, floor in _FLOORS.items()],
    )
