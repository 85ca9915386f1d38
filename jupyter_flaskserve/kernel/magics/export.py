"""``%flaskserve export``: the notebook's app as a project that runs without Jupyter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ..apps import app_variables
from ..cells.sources import running_notebook
from .line import Command, Parser

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["EXPORT"]

_PARSER = Parser(add_help=False)
_PARSER.add_argument("variable", nargs="?")
_PARSER.add_argument("--app")
_PARSER.add_argument("-o", "--output")
_PARSER.add_argument("--all-cells", action="store_true")


def export_notebook(words: list[str], shell: InteractiveShell) -> None:
    """Write a project with the app of this notebook, which runs without Jupyter.

    Examples::

        %flaskserve export              the app, into a folder named for the notebook
        %flaskserve export shop         the app in the variable shop, where there are several
        %flaskserve export -o ../shop   into that folder

    The project has app.py with what the app needs of the cells, and all that Gunicorn, nginx,
    Apache, systemd, Docker and Kubernetes want to serve it. Its README.md has a command for each.
    The cells are taken as they ran last. Secrets are not written, but read from the environment.

    Run it again after a change: files that you have changed stay, and the new ones are written
    beside them.

    Options:

      -o, --output DIR  The folder to write to.
      --app VARIABLE    The variable that holds the app.
      --all-cells       Keep plots, displays and experiments too.
    """
    from jupyter_flaskserve.export import (  # only where something is exported
        ExportError,
        export_with_progress,
        project_name,
        report,
    )

    arguments, rest = _PARSER.parse(words)
    if rest or (arguments.variable and arguments.app):
        raise UsageError("%flaskserve export takes one variable, and -o DIR for the folder.")
    notebook = running_notebook(shell)
    variable = _variable(arguments.app or arguments.variable, shell)
    directory = Path(arguments.output or f"{project_name(notebook.name)}-project")
    try:
        exported = export_with_progress(
            notebook, directory, variable=variable, all_cells=arguments.all_cells
        )
    except ExportError as error:
        raise UsageError(str(error)) from None
    print(report(exported))


EXPORT = Command(export_notebook, _PARSER)


def _variable(given: str | None, shell: InteractiveShell) -> str:
    """The variable that holds the app to export."""
    apps = app_variables(shell.user_ns)
    if given is not None:
        if given not in shell.user_ns:
            known = f" The apps here are: {', '.join(apps)}." if apps else ""
            raise UsageError(f"There is no variable {given}.{known}")
        return given
    if not apps:
        raise UsageError("There is no app yet. Run the cell that makes it, then this one again.")
    if len(apps) > 1 and "app" not in apps:
        raise UsageError(f"Which one? There are {', '.join(apps)}: %flaskserve export {apps[0]}")
    return "app" if "app" in apps else apps[0]
