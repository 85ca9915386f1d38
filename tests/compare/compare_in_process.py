"""A comparison in a process of its own, as a notebook's kernel is one. Run as a program.

It is given the keys of the contenders, says ``KEY WHAT`` before each step, and in the end all that
was found, as JSON. ``print`` in the app would come between, so there is none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jupyter_flaskserve.comparison.project import Folders, Project

APP = """
from flask import Flask

app = Flask(__name__)
calls = 0


@app.get("/")
def home():
    return "hello from the app"


@app.get("/counted")
def counted():
    global calls
    calls += 1
    return str(calls)
"""


def write_project(directory: Path) -> Project:
    directory.mkdir()
    (directory / "wsgi.py").write_text(APP)
    return Project({}, Folders())


def main(options: list[str]) -> None:
    from jupyter_flaskserve import compare

    seconds, path, *only = options
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(APP, namespace)
    comparison = compare(
        namespace["app"],
        only=only,
        seconds=float(seconds),
        path=path,
        write_project=write_project,
        on_step=lambda _, step: print(step.key, step.what, flush=True),
    )
    print(json.dumps(comparison.as_json()))


if __name__ == "__main__":
    main(sys.argv[1:])
