"""Contenders that stay started while they are measured in turns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from . import bare, floors, in_kernel, nginx, ours, proxied
from .contender import Contender
from .jupyter import JupyterServer, jupyter_server

__all__ = ["KINDS", "Kind", "Stage", "Start"]

Entered = TypeVar("Entered")

# Jupyter's own limit of 512 MiB would refuse the upload of 1 GiB before the proxy has seen it.
_LARGE_BODIES = "c.ServerApp.max_body_size = 4 * 2**30"

Start = Callable[["Stage", ExitStack], Contender]


class Kind(NamedTuple):
    """A kind of contender.

    :ivar title: what it is, for people.
    :ivar start: starts one. What is its own goes onto the stack, what it shares onto the stage.
    """

    title: str
    start: Start


KINDS = {
    "ours": Kind("jupyter_flaskserve", ours.start),
    "ours-off": Kind("jupyter_flaskserve, recorder off", ours.start_without_recorder),
    "ours-panel": Kind("jupyter_flaskserve, panel open", ours.start_with_panel),
    "proxy-waitress": Kind(
        "jupyter-server-proxy → waitress", partial(proxied.start, program="waitress")
    ),
    "proxy-gunicorn": Kind(
        "jupyter-server-proxy → gunicorn", partial(proxied.start, program="gunicorn")
    ),
    "proxy-flask": Kind(
        "jupyter-server-proxy → Flask's dev server", partial(proxied.start, program="flask")
    ),
    "proxy-kernel": Kind(
        "jupyter-server-proxy → dev server in the kernel", proxied.start_in_kernel
    ),
    "waitress": Kind("waitress", partial(bare.start, program="waitress")),
    "gunicorn": Kind("gunicorn (gthread)", partial(bare.start, program="gunicorn")),
    "cheroot": Kind("cheroot", partial(bare.start, program="cheroot")),
    "flask": Kind("Flask's dev server", partial(bare.start, program="flask")),
    "kernel-flask": Kind("dev server in the kernel", partial(in_kernel.start, key="kernel-flask")),
    "kernel-dash": Kind(
        "threads in the kernel, as Dash does", partial(in_kernel.start, key="kernel-dash")
    ),
    "nginx-ours": Kind("nginx → FastCGI → our responder", nginx.start),
    "tornado": Kind("floor: a bare Tornado handler", partial(floors.start, key="tornado")),
    "jupyter": Kind("floor: an ordinary JupyterHandler", partial(floors.start, key="jupyter")),
}


class Stage:
    """Starts contenders when they are first wanted and keeps them to its end.

    :param directory: an empty directory for all that they read and write.
    :param threads: how many requests each of them answers at once.
    """

    def __init__(self, directory: Path, threads: int) -> None:
        self.directory = directory
        self.threads = threads
        self._contenders: dict[str, tuple[Contender, ExitStack]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def enter(self, context: AbstractContextManager[Entered]) -> Entered:
        """Enter a context that lasts as long as the stage."""
        return self._stack.enter_context(context)

    def contender(self, key: str, start: Start | None = None) -> Contender:
        """A contender; started, if it is not yet.

        :param key: one of :data:`KINDS`, or a word for what ``start`` starts.
        """
        if key not in self._contenders:
            stack = self.enter(ExitStack())
            self._contenders[key] = (start or KINDS[key].start)(self, stack), stack
        return self._contenders[key][0]

    def stop(self, key: str) -> None:
        """Stop what is a contender's own. It is started again when it is next wanted."""
        _, stack = self._contenders.pop(key)
        stack.close()

    @cached_property
    def our_server(self) -> JupyterServer:
        """The Jupyter Server with our extension and the floors."""
        extensions = ("jupyter_flaskserve", floors.__name__)
        return self.enter(jupyter_server(self.directory, "ours", extensions))

    @cached_property
    def proxy_server(self) -> JupyterServer:
        """The Jupyter Server with jupyter-server-proxy, and without our extension."""
        extensions = ("jupyter_server_proxy",)
        return self.enter(jupyter_server(self.directory, "proxy", extensions, _LARGE_BODIES))
