"""The cells of the running notebook: the text with which each ran last without failing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..naming import notebook_path
from .runs import Cells, Run, current_run

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_flaskserve.export.cells import Cell, Notebook

__all__ = ["Sources", "install", "running_notebook", "uninstall"]


@dataclass(frozen=True)
class _Source:
    number: int  # what stands in the brackets before the cell
    text: str


class Sources:
    """Keeps the texts of a notebook's cells.

    :param cells: the cells, as they run. Those that ran before are in the shell's history.
    """

    def __init__(self, cells: Cells) -> None:
        shell: Any = cells.shell
        self._shell = shell
        self._texts: dict[object, _Source] = {}
        for number, text in enumerate(shell.history_manager.input_hist_raw):
            if text.strip():
                self._texts[number] = _Source(number, text)
        cells.follow(lambda run: None, self._after)

    def _after(self, run: Run) -> None:
        if not run.failed:
            self._keep(run)

    def _keep(self, run: Run) -> None:
        if not run.source.strip():
            return
        number = len(self._shell.history_manager.input_hist_raw) - 1  # the place of the latest
        source = _Source(number, run.source)
        same = [key for key, old in self._texts.items() if old.text == run.source]
        if run.key not in self._texts and same and isinstance(same[0], int):
            # It ran before the extension was loaded, when nobody knew its id.
            self._texts = {
                run.key if key == same[0] else key: source if key == same[0] else old
                for key, old in self._texts.items()
            }
        else:
            self._texts[run.key] = source  # a cell that runs again keeps its place

    def cells(self, order: Mapping[object, int]) -> list[Cell]:
        """The cells, those whose place in the notebook is known in that order. The one that runs
        is among them, though it may still fail."""
        from jupyter_flaskserve.export.cells import Cell  # only where something is exported

        run = current_run()
        if run is not None:
            self._keep(run)
        places: dict[object, float] = {}
        last = -1.0
        for key in self._texts:
            last = places[key] = float(order.get(key, last + 1e-6))
        return [
            Cell(self._texts[key].number, self._texts[key].text)
            for key in sorted(self._texts, key=lambda key: places[key])
        ]


_sources: dict[int, Sources] = {}  # by the id of their shell, of which a process has one at a time


def install(cells: Cells) -> None:
    """Keep the texts of a shell's cells from now on."""
    _sources[id(cells.shell)] = Sources(cells)


def uninstall() -> None:
    _sources.clear()


def running_notebook(shell: InteractiveShell) -> Notebook:
    """The notebook that runs in a shell. Its saved file tells the order of the cells; the ones it
    does not know come after those before which they ran.

    :raises LookupError: the extension is not loaded in the shell.
    """
    from jupyter_flaskserve.export.cells import Notebook

    sources = _sources[id(shell)]
    path = notebook_path(shell.user_ns)
    name = Path(path).stem if path else "notebook"
    return Notebook(name, Path.cwd(), sources.cells(_order(path)))


def _order(path: str) -> dict[object, int]:
    """The places of the cells in a notebook's file, by their ids."""
    file = Path.cwd() / os.path.basename(path)
    try:
        cells = json.loads(file.read_bytes())["cells"]
        return {cell["id"]: place for place, cell in enumerate(cells) if "id" in cell}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
