"""Serve the Flask app in a notebook's cells through Jupyter Server.

The names here are loaded when they are first used, so that the server loads nothing of the kernel's
side and the kernel nothing of the server's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from jupyter_server.serverapp import ServerApp

    from .comparison.compare import compare
    from .comparison.running import running
    from .kernel.mount import Mount, ServeError, mounts, serve

__version__ = "0.1.0"

__all__ = ["Mount", "ServeError", "compare", "mounts", "running", "serve"]

# Of what is not in kernel.mount.
_MODULES = {"compare": ".comparison.compare", "running": ".comparison.running"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(_MODULES.get(name, ".kernel.mount"), __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add ``%flaskserve`` to IPython. This is what ``%load_ext jupyter_flaskserve`` calls."""
    import_module(".kernel.extension", __name__).load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take ``%flaskserve`` away again and stop what this kernel serves."""
    import_module(".kernel.extension", __name__).unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "jupyter_flaskserve"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    import_module(".server.extension", __name__).load(server)
