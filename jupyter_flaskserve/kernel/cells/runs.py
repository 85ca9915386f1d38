"""Which cell is running, and who wants to know when one begins and ends."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .names import names_in

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

__all__ = ["Cells", "Run", "current_run", "is_any_running"]


class Run:
    """One run of one cell.

    :param source: the cell's text.
    :param cell_id: the cell's id where the front end gave one, as JupyterLab does. Without one,
        each run counts as a cell of its own.
    :param transform: makes Python of a cell, as the shell does before it runs one.
    :ivar key: what is the same for all runs of one cell.
    :ivar failed: whether it has ended with an error, or has run code for a cell magic that has.
    """

    def __init__(self, source: str, cell_id: str | None, transform: Callable[[str], str]) -> None:
        self.source = source
        self._transform = transform
        self.key: object = cell_id or object()
        self.failed = False

    @property
    def run(self) -> Run:
        """The run itself: it is one of those that may own a registration."""
        return self

    @cached_property
    def tree(self) -> ast.Module | None:
        """The cell as Python; ``None`` where it does not compile."""
        return self._parse(self.source)

    @cached_property
    def names(self) -> set[str]:
        """The variables that the cell mentions; none where it does not compile."""
        return set() if self.tree is None else names_in(self.tree, self._parse)

    def _parse(self, source: str) -> ast.Module | None:
        try:
            return ast.parse(self._transform(source))
        except (SyntaxError, ValueError):
            return None


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
            runs.append((runs[0][0], info))
        else:
            run = self._run(info.raw_cell or "", getattr(info, "cell_id", None))
            runs.append((run, info))
            for callback in self._before:
                callback(run)

    def _end(self, result: ExecutionResult) -> None:
        runs = _running.get(threading.get_ident(), [])
        if runs and runs[-1][1] is result.info:
            run, _ = runs.pop()
        elif runs:  # a cell without code inside a cell: it has an end, but no beginning
            return
        else:
            run = self._run("", None)  # the cell that loads the extension has begun before it
        if not runs:
            _running.pop(threading.get_ident(), None)
            run.failed |= not result.success
            for callback in self._after:
                callback(run)

    def _run(self, source: str, cell_id: str | None) -> Run:
        shell: Any = self.shell
        return Run(source, cell_id, shell.transform_cell)


# The cell that each thread runs; once more for each run inside it. A thread changes its own only.
_running: dict[int, list[tuple[Run, ExecutionInfo]]] = {}


def current_run() -> Run | None:
    """The run of a cell that the calling code is a part of; ``None`` outside of cells."""
    runs = _running.get(threading.get_ident())
    return runs[0][0] if runs else None


def is_any_running() -> bool:
    """Whether any thread runs a cell: the main thread, or one of a subshell."""
    return bool(_running)
