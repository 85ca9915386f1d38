"""The part of ``jupyter flaskserve run`` that is evaluated in the notebook's kernel."""

from __future__ import annotations

import difflib
import inspect
import types
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import JSON

from jupyter_flaskserve.kernel.mount import Mount, ServeError, mounts, serve

__all__ = ["serve_notebook", "wsgi_apps"]


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


def wsgi_apps(namespace: dict[str, Any]) -> list[str]:
    """The variables that hold WSGI apps, one for each app, in the order they were made.

    An app is known by its second argument, ``start_response`` (PEP 3333).
    """
    found: dict[int, str] = {}
    for variable, value in namespace.items():
        if not variable.startswith("_") and _takes_start_response(value):
            found.setdefault(id(value), variable)
    return list(found.values())


def _served_by_cells(variable: str | None, name: str | None) -> list[Mount]:
    if variable is not None:
        return []
    return [mount for mount in mounts() if name is None or mount.name == name]


def _takes_start_response(value: object) -> bool:
    # The type is asked, never the object: a proxy such as flask.request answers for another
    # object, or raises.
    kind = type(value)
    if kind is types.FunctionType or kind is types.MethodType:
        call: Any = value
    else:
        call = inspect.getattr_static(kind, "__call__", None)
    if not isinstance(call, (types.FunctionType, types.MethodType)):
        return False
    code = call.__code__
    return "start_response" in code.co_varnames[: code.co_argcount]


def _only_app(namespace: dict[str, Any]) -> str:
    apps = wsgi_apps(namespace)
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
    apps = wsgi_apps(namespace)
    own = [name for name in namespace if not name.startswith("_")]
    near = difflib.get_close_matches(variable, apps, 1) or difflib.get_close_matches(
        variable, own, 1
    )
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = f" Its apps: {', '.join(apps)}." if apps else " It has no app."
    return f"The notebook has no variable {variable!r}.{hint}{known}"
