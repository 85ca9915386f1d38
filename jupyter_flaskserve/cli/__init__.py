"""``jupyter flaskserve``: the command line.

``run`` and ``demo`` start servers as child processes and leave nothing behind; ``list`` and
``stop`` speak to the servers that are running. What a command needs is loaded when it is called, so
that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from jupyter_flaskserve import __version__

from .ending import Failure, Interrupted

__all__ = ["main"]

_EXAMPLES = """\
examples:
  jupyter flaskserve demo                        the lessons, in JupyterLab
  jupyter flaskserve run shop.ipynb              run a notebook and serve its Flask app
  jupyter flaskserve export shop.ipynb           write a project that runs without Jupyter
  jupyter flaskserve list                        what is served now, and where
  jupyter flaskserve stop shop                   stop serving it
"""

_DEMO = """\
Open the teaching notebooks in JupyterLab, with the first one in front.

They are copied into ./flaskserve-notebooks, which is yours to change: a file that
is there already is never overwritten. Press Ctrl-C to stop.
"""

_DEMO_EXAMPLES = """\
examples:
  jupyter flaskserve demo
  jupyter flaskserve demo --no-browser --port 8890
"""

_RUN = """\
Run a notebook's code cells in a kernel of their own and serve its Flask app.

When the cells serve an app with %flaskserve, that one is served; otherwise the
notebook's one Flask or WSGI app. Cells tagged "skip-execution" are left out, and
the notebook's file is not changed. Press Ctrl-C to stop: the app, its kernel and
the server end together.

With --server the app is exported to a temporary place and runs under Gunicorn or
waitress, without Jupyter and without its login.
"""

_RUN_EXAMPLES = """\
examples:
  jupyter flaskserve run shop.ipynb
  jupyter flaskserve run shop.ipynb --app admin --name shop-admin
  jupyter flaskserve run shop.ipynb --no-browser --port 8890 --timeout 60
  jupyter flaskserve run shop.ipynb --server gunicorn --workers 4

exit status:
  0  it served until it was stopped
  1  a cell failed, or a server or kernel ended
  2  the notebook, or what was asked of it, will not do
"""

_EXPORT = """\
Write a project with a notebook's Flask app, which runs without Jupyter.

The project has app.py with what the app needs of the cells, and all that Gunicorn,
nginx, Apache, systemd, Docker and Kubernetes want to serve it; its README.md has a
command for each. No cell is run. Secrets are not written, but read from the
environment. Files that you have changed stay: the new ones are written beside them
as NAME.new.
"""

_EXPORT_EXAMPLES = """\
examples:
  jupyter flaskserve export shop.ipynb
  jupyter flaskserve export shop.ipynb --app admin -o ../admin

exit status:
  0  the project was written
  2  the notebook, or what was asked of it, will not do
"""

_LIST = "List what this user's running Jupyter Servers serve."

_LIST_EXAMPLES = """\
examples:
  jupyter flaskserve list
  jupyter flaskserve list --json
"""

_STOP = "Stop serving the app of this name. Its notebook and kernel go on."

_STOP_EXAMPLES = """\
examples:
  jupyter flaskserve stop shop
  jupyter flaskserve stop shop --server http://127.0.0.1:8889/
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: the words after ``jupyter flaskserve``; ``sys.argv`` has them otherwise.
    :returns: the exit status.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    command = import_module(f".{options.module}", __name__)
    try:
        status: int = getattr(command, options.command)(options)
    except Failure as failure:
        print(f"jupyter flaskserve: {failure}", file=sys.stderr)
        return failure.status
    except Interrupted as interrupted:
        return interrupted.status
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter flaskserve",
        description="Serve the Flask app in a notebook's cells through Jupyter Server.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jupyter-flaskserve {__version__}")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    demo = _command(commands, "demo", "open the lessons in JupyterLab", _DEMO, _DEMO_EXAMPLES)
    demo.set_defaults(module="demo", command="demo")
    _add_server_options(demo)

    run = _command(commands, "run", "run a notebook and serve its app", _RUN, _RUN_EXAMPLES)
    run.set_defaults(module="run", command="run")
    run.add_argument("notebook", metavar="NOTEBOOK.ipynb", type=Path, help="the notebook's file")
    run.add_argument("--app", metavar="VARIABLE", help="the variable that holds the app")
    run.add_argument("--name", help="the name to serve it under, the last part of its address")
    _add_server_options(run)
    run.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        help="how long one cell may run (default: as long as it takes)",
    )
    run.add_argument(
        "--server",
        choices=("gunicorn", "waitress"),
        help="export the app and run it under this server, without Jupyter",
    )
    run.add_argument(
        "--workers",
        metavar="N",
        type=_count,
        help="how many processes Gunicorn runs (default: by the app and the machine)",
    )

    export = _command(
        commands, "export", "write a project that runs without Jupyter", _EXPORT, _EXPORT_EXAMPLES
    )
    export.set_defaults(module="export", command="export_notebook")
    export.add_argument("notebook", metavar="NOTEBOOK.ipynb", type=Path, help="the notebook's file")
    export.add_argument("--app", metavar="VARIABLE", help="the variable that holds the app")
    export.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        help="the folder to write to (default: NOTEBOOK-project)",
    )
    export.add_argument(
        "--all-cells", action="store_true", help="keep plots, displays and experiments too"
    )

    listing = _command(commands, "list", "list what is served", _LIST, _LIST_EXAMPLES)
    listing.set_defaults(module="served", command="list_mounts")
    listing.add_argument("--json", action="store_true", help="print a JSON list of objects")

    stop = _command(commands, "stop", "stop serving an app", _STOP, _STOP_EXAMPLES)
    stop.set_defaults(module="served", command="stop_mount")
    stop.add_argument("name", metavar="NAME", help="the name in `jupyter flaskserve list`")
    stop.add_argument("--server", metavar="URL", help="the server, where several serve that name")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", metavar="N", type=_port, help="the server's port (default: one that is free)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the URL and open no browser"
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
