"""Which cell is running, and who wants to know when one begins and ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

__all__ = ["Cells", "Run", "current_run"]


class Run:
    """One run of one cell.

    :param source: the cell's text.
    :param cell_id: the cell's id where the front end gave one, as JupyterLab does. Without one,
        each run counts as a cell of its own.
    :ivar key: what is the same for all runs of one cell.
    :ivar failed: whether it has ended with an error, or a run inside it has.
    """

    def __init__(self, source: str, cell_id: str | None) -> None:
        self.source = source
        self.key: object = cell_id or object()
        self.failed = False

    @property
    def run(self) -> Run:
        """The run itself: it is one of those that may own a registration."""
        return self


class Cells:
    """The cells of one shell as they run.

    :param shell: the shell whose events are followed until :meth:`close`.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._events: Any = shell.events
        self._before: list[Callable[[Run], None]] = []
        self._after: list[Callable[[Run], None]] = []
        self._events.register("pre_run_cell", self._begin)
        self._events.register("post_run_cell", self._end)

    def follow(self, before: Callable[[Run], None], after: Callable[[Run], None]) -> None:
        """Have functions called before and after each cell, in the cell's thread."""
        self._before.append(before)
        self._after.append(after)

    def close(self) -> None:
        """Follow no more."""
        _running.clear()
        self._events.unregister("pre_run_cell", self._begin)
        self._events.unregister("post_run_cell", self._end)

    def _begin(self, info: ExecutionInfo) -> None:
        runs = _running.setdefault(threading.get_ident(), [])
        if runs:  # a run inside a cell, such as that of a cell magic, is that cell's
            runs.append(runs[0])
        else:
            runs.append(Run(info.raw_cell or "", getattr(info, "cell_id", None)))
            for callback in self._before:
                callback(runs[0])

    def _end(self, result: ExecutionResult) -> None:
        runs = _running.get(threading.get_ident()) or [Run("", None)]  # that loads the extension
        run = runs.pop()
        run.failed |= not result.success
        if not runs:
            _running.pop(threading.get_ident(), None)
            for callback in self._after:
                callback(run)


# The cell that each thread runs; once more for each run inside it. A thread changes its own only.
_running: dict[int, list[Run]] = {}


def current_run() -> Run | None:
    """The run of a cell that the calling code is a part of; ``None`` outside of cells."""
    runs = _running.get(threading.get_ident())
    return runs[0] if runs else None
