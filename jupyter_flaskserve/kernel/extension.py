"""What ``%load_ext jupyter_flaskserve`` adds to IPython, and ``%unload_ext`` takes away."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .cells import rerun, sources
from .cells.files import clear as clear_cell_files
from .cells.follow import Follower
from .cells.runs import Cells
from .exchanges import failures, outputs
from .magics.cell_files import CellFileMagics
from .magics.flaskserve import FlaskServeMagics
from .mount import before_serving, mounts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load", "unload"]

_MAGICS = (FlaskServeMagics, CellFileMagics)


class Extension:
    """What was added to a shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._magics = [make(shell) for make in _MAGICS]
        for magics in self._magics:
            shell.register_magics(magics)
            shell.Completer.custom_matchers.append(magics.complete)
        outputs.install(shell)
        failures.install(shell)
        self._cells = Cells(shell)
        rerun.install(self._cells)
        Follower(self._cells)
        sources.install(self._cells)
        before_serving.append(rerun.publish)

    def take_away(self) -> None:
        """Make the shell, and Flask, what they were."""
        before_serving.remove(rerun.publish)
        rerun.uninstall()
        sources.uninstall()
        self._cells.close()
        for mount in mounts():
            mount.stop()
        if panels := sys.modules.get("jupyter_flaskserve.widgets.mount_panel"):
            panels.close_all()
        clear_cell_files()
        failures.uninstall()
        outputs.uninstall()
        manager = self.shell.magics_manager
        for magics in self._magics:
            self.shell.Completer.custom_matchers.remove(magics.complete)
            self.shell.configurables.remove(magics)  # type: ignore[arg-type]
            del manager.registry[type(magics).__name__]
            for kind, names in type(magics).magics.items():
                for name in names:
                    del manager.magics[kind][name]


_loaded: Extension | None = None


def load(shell: InteractiveShell) -> None:
    """Add the magics, and all that makes Flask fit a notebook, to a shell that has not got them
    yet. A process has one shell at a time."""
    global _loaded
    if _loaded is None or _loaded.shell is not shell:
        if _loaded is not None:
            _loaded.take_away()
        _loaded = Extension(shell)


def unload(shell: InteractiveShell) -> None:
    """Take away what :func:`load` added, and stop what this kernel serves."""
    global _loaded
    if _loaded is not None and _loaded.shell is shell:
        _loaded.take_away()
        _loaded = None
