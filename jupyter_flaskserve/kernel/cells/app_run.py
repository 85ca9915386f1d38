"""``app.run()`` in a notebook: serves the app through Jupyter and returns.

Code from tutorials ends with it. On Flask's development server it would block the notebook, and
with ``debug=True`` start a second kernel.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, cli
from flask.helpers import get_debug_flag, get_load_dotenv

from ..mount import serve

__all__ = ["serve_by_run"]

# What the development server's other options would do, and what does it here.
_INSTEAD = {
    "ssl_context": "Jupyter's own certificate holds",
    "processes": "one process runs the app, the kernel",
    "static_files": "static files are Flask's",
    "request_handler": "Jupyter Server handles the requests",
}


def serve_by_run(
    app: Flask,
    host: str | None,
    port: int | None,
    debug: bool | None,
    load_dotenv: bool,
    options: dict[str, Any],
) -> None:
    """Do what ``app.run()`` is called for, as far as it makes sense in a notebook.

    :param host: has no effect; Jupyter listens.
    :param port: the same.
    :param debug: turns debug mode on or off: traceback pages in the browser.
    :param load_dotenv: whether to read ``.env`` and ``.flaskenv``, as Flask does.
    :param options: those of Werkzeug's ``run_simple``. ``threaded=False`` answers one request at a
        time; there is no need of ``use_reloader``, because cells are run again by hand.
    :raises ServeError: the app cannot be served.
    """
    if get_load_dotenv(load_dotenv):
        cli.load_dotenv()
        if "FLASK_DEBUG" in os.environ:
            app.debug = get_debug_flag()
    if debug is not None:
        app.debug = bool(debug)
    mount = serve(app) if options.get("threaded", True) else serve(app, threads=1)
    mount.show(panel=False)
    notes = []
    listens = [name for name, value in (("host", host), ("port", port)) if value is not None]
    if listens:
        verb = "have" if len(listens) > 1 else "has"
        notes.append(f"{' and '.join(listens)} {verb} no effect")
    if options.get("use_reloader"):
        notes.append("to reload, run a cell again")
    notes += [text for name, text in _INSTEAD.items() if options.get(name)]
    print("app.run() serves through Jupyter and returns" + "".join(f"; {n}" for n in notes) + ".")
    mount.show_panel()
