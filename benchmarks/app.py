"""The app that every contender serves.

Its files are in the directory that the environment variable :data:`FILES` names; see
:func:`write_files`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, render_template, request
from flask_sock import Sock
from jinja2 import DictLoader

__all__ = ["FILES", "HELLO", "PIECE", "app", "make_app", "write_files"]

FILES = "FLASKSERVE_BENCHMARK_FILES"
HELLO = "Hello, World!"
PIECE = 64 * 1024  # bytes of a body that are made or read at a time

_STATIC_SIZE = 100 * 1024  # bytes
_JSON_SIZE = 10 * 1024  # bytes, about

_PAGE = """<!doctype html>
<html lang="en">
<head><title>{{ title }}</title><link rel="stylesheet" href="static/style.css"></head>
<body>
<h1>{{ title }}</h1>
<table>
{%- for row in rows %}
<tr class="{{ loop.cycle('odd', 'even') }}">
<td>{{ row.number }}</td>
<td><a href="teas/{{ row.number }}">{{ row.name }}</a></td>
<td>{{ '%.2f' % row.price }}</td>
</tr>
{%- endfor %}
</table>
</body>
</html>
"""  # links are relative, so that the page is the same at each address


def write_files(directory: Path) -> None:
    """Write the files that the app serves."""
    (directory / "data.bin").write_bytes(bytes(range(256)) * (_STATIC_SIZE // 256))


def _identity(id: int) -> str:
    return str(id)


def make_app(files: str | None = None, routes: int = 0) -> Flask:
    """
    :param files: the directory of its files.
    :param routes: how many rules it has besides those that are measured.
    """
    app = Flask("benchmarks", static_folder=files, static_url_path="/static")
    app.jinja_loader = DictLoader({"page.html": _PAGE})
    sock = Sock(app)
    records = [{"id": number, "name": f"record {number}", "on": True} for number in range(1000)]
    records = records[: next(n for n in range(1000) if len(json.dumps(records[:n])) > _JSON_SIZE)]
    rows = [{"number": n, "name": f"Tea <{n}> & more", "price": n * 1.25} for n in range(40)]

    @app.get("/")
    def hello() -> str:
        return HELLO

    @app.get("/json")
    def json_() -> list[dict[str, object]]:
        return records

    @app.get("/page")
    def page() -> str:
        return render_template("page.html", title="Teas", rows=rows)

    @app.post("/form")
    def form() -> dict[str, object]:
        return {"name": request.form["name"], "count": int(request.form["count"])}

    @app.get("/download/<int:size>")
    def download(size: int) -> Response:
        piece = bytes(PIECE)
        pieces = (piece for _ in range(size // PIECE))
        return Response(pieces, headers={"Content-Length": str(size)}, mimetype="text/plain")

    @app.post("/upload")
    def upload() -> str:
        size = 0
        while data := request.stream.read(PIECE):
            size += len(data)
        return str(size)

    @app.get("/events/<int:interval>")
    def events(interval: int) -> Response:
        """One event in that many milliseconds: the time of the machine's monotonic clock, in
        nanoseconds."""

        def pieces() -> Iterator[str]:
            while True:
                yield f"data: {time.monotonic_ns()}\n\n"
                time.sleep(interval / 1000)

        return Response(pieces(), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})

    @sock.route("/echo")  # type: ignore[untyped-decorator]
    def echo(ws: Any) -> None:
        while True:
            ws.send(ws.receive())

    for number in range(routes):
        app.add_url_rule(f"/more/{number}/<int:id>", f"more-{number}", _identity)
    return app


app = make_app(os.environ.get(FILES))
