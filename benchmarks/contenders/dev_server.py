"""Flask's development server, without the line it prints for each request."""

from __future__ import annotations

import logging
import sys
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

__all__ = ["run", "start_as_dash", "start_thread"]


def run(app: Flask, port: int) -> None:
    """Serve the app until the process ends, as ``app.run()`` does."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run("127.0.0.1", port)


def start_thread(app: Flask, port: int) -> None:
    """The same from a thread, which people start in notebooks."""
    Thread(target=run, args=(app, port), daemon=True).start()


def start_as_dash(app: Flask, port: int) -> None:
    """Serve the app from a thread as Dash does for a notebook."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", port, app, threaded=True, processes=0)
    Thread(target=server.serve_forever, daemon=True).start()


if __name__ == "__main__":
    from benchmarks.app import app

    run(app, int(sys.argv[1]))
