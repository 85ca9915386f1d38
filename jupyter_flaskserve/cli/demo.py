"""``jupyter flaskserve demo``: the teaching notebooks in JupyterLab."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import shutil
import sys
import time
from pathlib import Path

from .ending import Failure, Interrupted, Signals
from .process import ServerProcess

__all__ = ["copy_lessons", "demo", "lessons"]

_FOLDER = "flaskserve-notebooks"
_FIRST = "01-hello-flask.ipynb"
_NOT_LESSONS = {".ipynb_checkpoints", "__pycache__"}


def demo(options: argparse.Namespace) -> int:
    """Open the lessons in JupyterLab and stay until Ctrl-C.

    :raises Failure: JupyterLab is not installed, ends, or the lessons cannot be copied.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise Failure(
            "JupyterLab is not installed. Install it with:"
            f" {sys.executable} -m pip install 'jupyter-flaskserve[lab]'"
        )
    folder = Path.cwd() / _FOLDER
    copy_lessons(lessons(), folder)
    print(f"The notebooks are in {folder}", flush=True)
    with Signals() as signals, ServerProcess("jupyterlab", folder, options.port, signals) as server:
        try:
            server.start()
            url = server.api.link(f"{server.api.url}lab/tree/{_FIRST}")
            print(f"JupyterLab: {url}\nPress Ctrl-C to stop.", flush=True)
            if not options.no_browser:
                server.open_browser(url)
            while True:
                server.check()
                time.sleep(0.5)
        except Interrupted:
            with contextlib.suppress(OSError):  # the terminal may be gone
                print("\nStopping JupyterLab and its kernels.", file=sys.stderr)
    return 0


def lessons() -> Path:
    """The directory of the teaching notebooks: in the installed package, or in a checkout.

    :raises Failure: they are in neither.
    """
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "notebooks", package.parent / "notebooks"):
        if (directory / _FIRST).is_file():
            return directory
    raise Failure("This installation has no teaching notebooks. Install jupyter-flaskserve again.")


def copy_lessons(source: Path, folder: Path) -> None:
    """Copy the lessons, and what lies beside them, without overwriting a file.

    :raises Failure: they cannot be copied.
    """
    try:
        for path in sorted(source.rglob("*")):
            part = path.relative_to(source)
            target = folder / part
            if path.is_file() and _NOT_LESSONS.isdisjoint(part.parts) and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    except OSError as error:
        raise Failure(f"The notebooks cannot be copied to {folder}: {error.strerror}.") from error
