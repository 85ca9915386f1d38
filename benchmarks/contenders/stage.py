"""Contenders that stay started while they are measured in turns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
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


KINDS: dict[str, Kind] = {
    key: Kind(title, start)
    for key, (title, start) in {
        "ours": ("jupyter_flaskserve", ours.start),
        "ours-off": ("jupyter_flaskserve, recorder off", ours.start_without_recorder),
        "ours-panel": ("jupyter_flaskserve, panel open", ours.start_with_panel),
        "proxy-waitress": ("jupyter-server-proxy → waitress", proxied.start_waitress),
        "proxy-gunicorn": ("jupyter-server-proxy → gunicorn", proxied.start_gunicorn),
        "proxy-flask": ("jupyter-server-proxy → Flask's dev server", proxied.start_flask),
        "proxy-kernel": (
            "jupyter-server-proxy → dev server in the kernel",
            proxied.start_in_kernel,
        ),
        "waitress": ("waitress", bare.start_waitress),
        "gunicorn": ("gunicorn (gthread)", bare.start_gunicorn),
        "cheroot": ("cheroot", bare.start_cheroot),
        "flask": ("Flask's dev server", bare.start_flask),
        "kernel-flask": ("dev server in the kernel", in_kernel.start_flask),
        "kernel-dash": ("threads in the kernel, as Dash does", in_kernel.start_dash),
        "nginx-ours": ("nginx → FastCGI → our responder", nginx.start),
        "tornado": ("floor: a bare Tornado handler", floors.start_tornado),
        "jupyter": ("floor: an ordinary JupyterHandler", floors.start_jupyter),
    }.items()
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
