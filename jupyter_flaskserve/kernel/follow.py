"""After a cell has run: what is served follows the notebook.

A mount serves what its variable holds. Its revision counts the changes that an open page should
show: another app, other routes or templates, or a cell that mentions something its views use.
"""

from __future__ import annotations

import weakref
from typing import Any

from . import cell_files
from .apps import is_app
from .cells import Cells, Run
from .live_reload import cell_touches, names_used_by
from .mount import Mount, mounts
from .rerun import revision_of

__all__ = ["Follower"]


class Follower:
    """Keeps the mounts of a notebook up to date.

    :param cells: the cells of the notebook.
    """

    def __init__(self, cells: Cells) -> None:
        self._namespace: dict[str, Any] = cells.shell.user_ns
        self._files = 0  # how often a template or static cell has changed
        self._seen: weakref.WeakKeyDictionary[Mount, tuple[object, ...]] = (
            weakref.WeakKeyDictionary()
        )
        cells.follow(self._before, self._after)
        cell_files.on_change.append(self._count_file)

    def close(self) -> None:
        """Follow template and static cells no more; the cells are closed by their owner."""
        cell_files.on_change.remove(self._count_file)

    def _count_file(self, kind: str, name: str) -> None:
        self._files += 1

    def _before(self, run: Run) -> None:
        for mount in mounts():
            self._seen[mount] = self._state_of(mount)

    def _after(self, run: Run) -> None:
        for mount in mounts():
            app: Any = self._value(mount.variable)
            if not run.failed and app is not mount.app and is_app(app):
                mount.follow(app)
            before = self._seen.get(mount)
            if before is not None and (
                self._state_of(mount) != before
                or cell_touches(run.source, names_used_by(mount.app))
            ):
                mount.mark_changed()

    def _state_of(self, mount: Mount) -> tuple[object, ...]:
        return (id(mount.app), revision_of(mount.app), self._files)

    def _value(self, path: str | None) -> object:
        """What a variable, which may be dotted, holds; ``None`` where there is none."""
        first, *attributes = (path or "").split(".")
        value = self._namespace.get(first)
        for attribute in attributes:
            value = getattr(value, attribute, None)
        return value
