"""An app behind a responder, and programs of others that are started beside it.

The socket of a mount is of mode 0600, so the processes of nginx and Apache that open it have to run
as the user of the kernel. They do where an ordinary user runs the tests. Where root does, they
cannot: Apache refuses ``User root``. Then the app's process and the workers of both servers run as
Debian's ``www-data``, in a directory of its own: pytest's ``tmp_path`` is closed to it.

Run as a program this file is the process of the app.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import werkzeug
from programs import SECONDS, WORKER, find_program, running

from jupyter_flaskserve.kernel.responder.listener import Listener
from jupyter_flaskserve.kernel.responder.responder import Responder

__all__ = ["find_program"]  # a fixture

Start = Callable[..., "subprocess.Popen[bytes]"]

MANY = 32  # requests that are to run at once


# Programs


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts programs that are to run to the end of the module; takes what :func:`running` does."""
    with contextlib.ExitStack() as stack:
        yield lambda command, **options: stack.enter_context(running(command, **options))


@pytest.fixture(scope="session")
def worker() -> str:
    """The user as whom others' processes have to serve; an empty string for the one who runs the
    tests."""
    return WORKER if os.geteuid() == 0 else ""


@pytest.fixture(scope="session")
def run_directory(worker: str) -> Iterator[Path]:
    """A directory for configurations, logs, temporary files and sockets."""
    with tempfile.TemporaryDirectory(prefix="flaskserve-") as name:
        if worker:
            user = pwd.getpwnam(worker)
            os.chown(name, user.pw_uid, user.pw_gid)
        yield Path(name)


# The app


@contextlib.contextmanager
def app_process(
    run_directory: Path, worker: str, generation: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve :func:`make_app` in a process of its own: its Unix socket and the process."""
    told = run_directory / f"{generation}.log"
    told.unlink(missing_ok=True)
    command = [sys.executable, __file__, worker, generation]
    environment = {
        "JUPYTER_RUNTIME_DIR": str(run_directory / "runtime"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }

    def ready() -> bool:
        return "listening at " in told.read_text()

    with running(command, ready=ready, log=told, environment=environment) as process:
        yield told.read_text().partition("listening at ")[2].strip(), process


@pytest.fixture(scope="session")
def app_socket(run_directory: Path, worker: str) -> Iterator[str]:
    """The Unix socket of a responder that serves :func:`make_app`."""
    with app_process(run_directory, worker, "interop") as (address, _):
        yield address


@pytest.fixture(scope="session")
def doomed_socket(app_socket: str) -> str:
    """Where the app of :func:`doomed` listens."""
    return str(Path(app_socket).with_name("doomed.sock"))


@pytest.fixture
def doomed(
    run_directory: Path, worker: str, doomed_socket: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The process of an app that a test may kill."""
    Path(doomed_socket).unlink(missing_ok=True)
    with app_process(run_directory, worker, "doomed") as (address, process):
        assert address == doomed_socket
        yield process


def make_app() -> flask.Flask:
    """The app that the servers of others serve."""
    app = flask.Flask("interop")
    released: defaultdict[str, threading.Event] = defaultdict(threading.Event)
    events: defaultdict[str, list[str]] = defaultdict(list)
    barrier = threading.Barrier(MANY)

    @app.route("/")
    def page() -> str:
        return "hello from the app"

    @app.route("/environ/", defaults={"rest": ""})
    @app.route("/environ/<path:rest>", methods=["GET", "POST"])
    def environ(rest: str) -> dict[str, Any]:
        found = {k: v for k, v in flask.request.environ.items() if isinstance(v, str)}
        return {**found, "url_for": flask.url_for("page", _external=True)}

    @app.post("/upload")
    def upload() -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        while data := flask.request.stream.read(65536):
            digest.update(data)
            size += len(data)
        return {"size": size, "sha256": digest.hexdigest()}

    @app.post("/form")
    def form() -> dict[str, Any]:
        file = flask.request.files["file"]
        return {"text": flask.request.form["text"], "name": file.filename, "size": len(file.read())}

    @app.post("/while-arriving")
    def while_arriving() -> flask.Response:
        stream = flask.request.environ["wsgi.input"]

        def answer() -> Iterator[bytes]:
            while data := stream.read1():
                yield b"<%s>" % data

        return flask.Response(answer())

    @app.get("/stream/<token>")
    def stream(token: str) -> flask.Response:
        def parts() -> Iterator[bytes]:
            yield b"first"
            assert released[token].wait(SECONDS)
            yield b"last"

        response = flask.Response(parts(), mimetype="text/plain")
        if "unbuffered" in flask.request.args:
            response.headers["X-Accel-Buffering"] = "no"
        return response

    @app.post("/release/<token>")
    def release(token: str) -> str:
        released[token].set()
        return ""

    @app.get("/endless/<token>")
    def endless(token: str) -> flask.Response:
        def parts() -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                events[token].append("finally")

        return flask.Response(parts())

    @app.get("/events/<token>")
    def told(token: str) -> list[str]:
        return events[token]

    @app.get("/large")
    def large() -> flask.Response:
        size = int(flask.request.args["size"])
        block = bytes(range(256)) * 256
        return flask.Response(block for _ in range(size // len(block)))

    @app.get("/fail")
    def fail() -> str:
        raise RuntimeError("the view failed")

    @app.get("/fail-midway")
    def fail_midway() -> flask.Response:
        def parts() -> Iterator[bytes]:
            yield b"begun" * int(flask.request.args.get("times", "1"))
            raise RuntimeError("the generator failed")

        response = flask.Response(flask.stream_with_context(parts()))
        if "length" in flask.request.args:
            response.headers["Content-Length"] = flask.request.args["length"]
        return response

    @app.get("/unfinished")
    def unfinished() -> flask.Response:
        times = int(flask.request.args["times"])

        def parts() -> Iterator[bytes]:
            yield b"begun" * times
            threading.Event().wait(SECONDS)

        response = flask.Response(parts(), headers={"X-Accel-Buffering": "no"})
        if "length" in flask.request.args:
            response.headers["Content-Length"] = flask.request.args["length"]
        return response

    @app.get("/status/<int:code>")
    def status(code: int) -> flask.Response:
        return flask.Response(f"this is {code}", status=f"{code} As The App Says")

    @app.get("/empty")
    def empty() -> tuple[str, int]:
        return "", 204

    @app.get("/cookies")
    def cookies() -> flask.Response:
        response = flask.Response("set")
        for number in range(3):
            response.set_cookie(f"c{number}", str(number))
        return response

    @app.get("/headers")
    def headers() -> flask.Response:
        response = flask.Response(str(len(flask.request.headers.get("X-Large", ""))))
        for number in range(int(flask.request.args["count"])):
            response.headers[f"X-Part-{number}"] = "v" * 1000
        return response

    @app.get("/tagged")
    def tagged() -> Any:
        response = flask.Response("tagged")
        response.set_etag("the-tag")
        return response.make_conditional(flask.request)

    @app.get("/together")
    def together() -> str:
        try:
            barrier.wait(SECONDS)
        except threading.BrokenBarrierError:
            barrier.reset()
            raise
        return flask.request.args["number"]

    @app.get("/log")
    def log() -> str:
        print(flask.request.args["text"], file=flask.request.environ["wsgi.errors"])
        return "logged"

    return app


def serve(user: str, generation: str) -> None:
    """Serve the app until the process is terminated.

    :param user: whom to become first, where that is not an empty string.
    :param generation: what the socket is named for.
    """
    app = make_app()
    # Whoever serves may not be able to read the installation, so what is imported late comes first.
    client = app.test_client()
    for path in ("/environ/", "/tagged", "/cookies", "/missing"):
        client.get(path, environ_base={"HTTP_USER_AGENT": f"werkzeug {werkzeug.__name__}"})
    if user:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.umask(0o077)
    listener = Listener("unix", generation=generation, backlog=128)
    # A link that a server keeps open holds a thread, and there are several servers.
    Responder(app, name="interop", listener=listener, threads=256)
    print(f"listening at {listener.address}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
