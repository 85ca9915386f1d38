"""What ``%load_ext jupyter_flaskserve`` adds to IPython, and ``%unload_ext`` takes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..mount import mounts
from .flaskserve import FlaskServeMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load", "unload"]


def load(shell: InteractiveShell) -> None:
    """Add ``%flaskserve`` and its completion to a shell that has not got them yet."""
    if _loaded(shell) is None:
        magics = FlaskServeMagics(shell)
        shell.register_magics(magics)
        shell.Completer.custom_matchers.append(magics.complete)


def unload(shell: InteractiveShell) -> None:
    """Take away what :func:`load` added, and stop what this kernel serves."""
    magics = _loaded(shell)
    if magics is None:
        return
    shell.Completer.custom_matchers.remove(magics.complete)
    shell.configurables.remove(magics)  # type: ignore[arg-type]
    del shell.magics_manager.registry[FlaskServeMagics.__name__]
    del shell.magics_manager.magics["line"]["flaskserve"]
    for mount in mounts():
        mount.stop()


def _loaded(shell: InteractiveShell) -> FlaskServeMagics | None:
    magics: FlaskServeMagics | None = shell.magics_manager.registry.get(FlaskServeMagics.__name__)
    return magics
