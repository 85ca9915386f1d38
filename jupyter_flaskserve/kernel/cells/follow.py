"""After a cell has run: what is served follows the notebook.

A mount serves what its variable holds. Its revision counts the changes that an open page should
show: another app, other routes or templates, or a cell that mentions something its views use.
"""

from __future__ import annotations

import operator
from typing import Any

from ..apps import is_app
from ..mount import Mount, mounts
from . import files as cell_files
from .names import names_used_by
from .rerun import published_of
from .runs import Cells, Run

__all__ = ["Follower"]


class Follower:
    """Keeps the mounts of a notebook up to date.

    :param cells: the cells of the notebook.
    """

    def __init__(self, cells: Cells) -> None:
        self._namespace: dict[str, Any] = cells.shell.user_ns
        # The states of all mounts before each running cell. A cell's thread changes its own only.
        self._seen: dict[Run, dict[Mount, tuple[object, ...]]] = {}
        cells.follow(self._before, self._after)

    def _before(self, run: Run) -> None:
        self._seen[run] = {mount: self._state_of(mount) for mount in mounts()}

    def _after(self, run: Run) -> None:
        seen = self._seen.pop(run, {})
        for mount in mounts():
            app: Any = self._value(mount.variable)
            if not run.failed and app is not mount.app and is_app(app):
                mount.follow(app)
            before = seen.get(mount)
            if before is None:
                continue
            is_another = any(map(operator.is_not, self._state_of(mount), before))
            if is_another or not run.names.isdisjoint(names_used_by(mount.app)):
                mount.mark_changed()
            if is_another:
                mount.refresh_line()

    def _state_of(self, mount: Mount) -> tuple[object, ...]:
        """What is replaced, and never changed, when the app is not what it was."""
        return (mount.app, published_of(mount.app), cell_files.state())

    def _value(self, path: str | None) -> object:
        """What a variable, which may be dotted, holds; ``None`` where there is none."""
        first, *attributes = (path or "").split(".")
        value = self._namespace.get(first)
        for attribute in attributes:
            try:
                value = getattr(value, attribute)
            except Exception:  # whatever a property of the notebook's raises
                return None
        return value
