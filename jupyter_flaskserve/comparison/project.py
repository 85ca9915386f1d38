"""The notebook's app as a project, for the servers that run it in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.getipython import get_ipython

from ..export import ExportError, export
from ..export.files import Folders
from ..kernel.cells.sources import running_notebook

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Folders", "NotExported", "Project", "WriteProject", "project_of_notebook"]


class Project(NamedTuple):
    """The app as a project.

    :ivar environment: variables of the environment that it needs.
    :ivar folders: where it has its static files; ``None`` where it has none, or none of which web
        servers can be told.
    """

    environment: dict[str, str]
    folders: Folders | None


WriteProject = Callable[[Path], Project]
"""Writes the app into a directory that does not exist yet: ``wsgi.py`` with ``application`` or
``app``, and perhaps static files. It raises :exc:`NotExported`."""


class NotExported(Exception):
    """The app cannot be written as a project. The message is one line that says why."""


def project_of_notebook(app: Any) -> WriteProject:
    """What writes an app of the notebook that runs here."""

    def write(directory: Path) -> Project:
        shell: InteractiveShell | None = get_ipython()
        variable = _variable_of(app, shell)
        if shell is None or variable is None:
            raise NotExported("the app is in no variable of a notebook, so it cannot be exported")
        try:
            notebook = running_notebook(shell)
            exported = export(notebook, directory, variable=variable, python=sys.executable)
        except ExportError as error:
            raise NotExported(f"the app cannot be exported: {error}") from None
        except LookupError:
            raise NotExported("the cells are not known: run %load_ext jupyter_flaskserve") from None
        return Project(exported.secrets, exported.folders)

    return write


def _variable_of(app: object, shell: Any) -> str | None:
    if shell is None:
        return None
    names = (name for name, value in list(shell.user_ns.items()) if value is app)
    return next((name for name in names if not name.startswith("_")), None)
