"""Serving the app of a whole notebook, for ``jupyter flaskserve run`` once its cells have run."""

from __future__ import annotations

import difflib
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import JSON

from .apps import app_variables
from .mount import Mount, ServeError, mounts, serve

__all__ = ["serve_notebook"]


def serve_notebook(variable: str | None, name: str | None) -> JSON:
    """Serve the app of the notebook whose cells have run.

    :param variable: the variable that holds it. Without one: what the cells serve already, else the
        one WSGI app among the notebook's variables.
    :param name: the name to serve it under.
    :returns: a list of objects with a mount's ``name`` and ``path``.
    :raises ServeError: there is no such app, there are several, or it cannot be served.
    """
    shell: Any = get_ipython()
    shell.extension_manager.load_extension("jupyter_flaskserve")
    served = _served_by_cells(variable, name)
    if not served:
        if variable is None:
            variable = _only_app(shell.user_ns)
        elif variable not in shell.user_ns:
            raise ServeError(_no_variable(variable, shell.user_ns))
        served = [serve(shell.user_ns[variable], name, variable=variable)]
    return JSON(  # type: ignore[no-untyped-call]
        [{"name": mount.name, "path": mount.path} for mount in served]
    )


def _served_by_cells(variable: str | None, name: str | None) -> list[Mount]:
    if variable is not None:
        return []
    return [mount for mount in mounts() if name is None or mount.name == name]


def _only_app(namespace: dict[str, Any]) -> str:
    apps = app_variables(namespace)
    if not apps:
        raise ServeError(
            "The notebook has no Flask app. Make one in a cell, such as app = Flask(__name__)."
        )
    if len(apps) > 1:
        raise ServeError(
            f"The notebook has {len(apps)} apps: {', '.join(apps)}."
            " Say which one with --app VARIABLE."
        )
    return apps[0]


def _no_variable(variable: str, namespace: dict[str, Any]) -> str:
    apps = app_variables(namespace)
    own = [name for name in namespace if not name.startswith("_")]
    near = difflib.get_close_matches(variable, apps, 1) or difflib.get_close_matches(
        variable, own, 1
    )
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = f" Its apps: {', '.join(apps)}." if apps else " It has no app."
    return f"The notebook has no variable {variable!r}.{hint}{known}"
