"""``jupyter flaskserve run --server``: the exported app under a production server."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from jupyter_flaskserve.export import Addresses, Exported

from .ending import Failure, Interrupted, Signals
from .export import read, write
from .process import check_port, free_port, how_it_ended

__all__ = ["run_exported"]

_START_SECONDS = 60
_STOP_SECONDS = 40  # Gunicorn gives requests 30 of them to end

# The app's relative paths are those of the notebook, also where its modules are elsewhere. Standard
# input ends when this command does, even where it was killed: then the server is to end, too.
_GUNICORN = """\
import os, shutil, signal, threading

with open("gunicorn.conf.py") as file:
    exec(compile(file.read(), "gunicorn.conf.py", "exec"))

orphaned = threading.Event()


def on_starting(server):
    def wait():
        while os.read(0, 1):
            pass
        orphaned.set()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="waits for the end of the command", daemon=True).start()


def post_fork(server, worker):
    os.chdir({directory!r})


def on_exit(server):
    if orphaned.is_set():
        shutil.rmtree({project!r}, ignore_errors=True)
"""
_WAITRESS = """\
import os, shutil, sys, threading
def wait():
    while os.read(0, 1):
        pass
    shutil.rmtree({project!r}, ignore_errors=True)
    os._exit(0)
threading.Thread(target=wait, name="waits for the end of the command", daemon=True).start()
sys.path.insert(0, os.getcwd())
os.chdir({directory!r})
from waitress import serve
from wsgi import application
serve(application, listen={address!r}, threads={threads}, ident=None)
"""


def run_exported(options: argparse.Namespace) -> int:
    """Export a notebook to a temporary place and run it there until Ctrl-C.

    :returns: the exit status.
    :raises Failure: it cannot be exported, or the server does not start.
    """
    if options.name is not None or options.timeout is not None:
        option = "--name" if options.name is not None else "--timeout"
        raise Failure(f"{option} has no effect with --server, which serves at / and runs once.", 2)
    if options.workers is not None and options.server == "waitress":
        raise Failure("waitress is one process with threads, so it has no --workers.", 2)
    notebook = read(options.notebook)
    if options.port is not None:
        check_port(options.port)
    address = f"127.0.0.1:{options.port or free_port()}"
    with Signals() as signals, _temporary(signals) as directory:
        process: subprocess.Popen[bytes] | None = None
        serving = False
        try:
            exported, python = write(
                notebook, directory, options.app, addresses=Addresses(backends=(address,))
            )
            if exported.is_main_thread and options.server == "waitress":
                raise Failure(
                    "The notebook runs its views on its main thread, which waitress does not: use"
                    " --server gunicorn.",
                    2,
                )
            _check_installed(python, options.server)
            _say_notes(exported, options)
            with signals.held():
                process = _start(exported, python, options, address, notebook.directory)
            _wait_until_it_listens(process, address)
            serving = True
            print(f"Serving {options.notebook.name} with {options.server}")
            print(f"    http://{address}/\nPress Ctrl-C to stop.", flush=True)
            if not options.no_browser:
                threading.Thread(
                    target=lambda: webbrowser.open(f"http://{address}/"), daemon=True
                ).start()
            while process.poll() is None:
                time.sleep(0.2)
            raise Failure(f"{options.server} has ended {how_it_ended(process.returncode)}.")
        except Interrupted as interrupted:
            with contextlib.suppress(OSError):  # the terminal may be gone
                print(f"\nStopping {options.server}.", file=sys.stderr)
            return 0 if serving else interrupted.status
        finally:
            with signals.held():
                if process is not None:
                    _stop(process)


@contextlib.contextmanager
def _temporary(signals: Signals) -> Iterator[Path]:
    with signals.held():
        directory = Path(tempfile.mkdtemp(prefix="flaskserve-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _check_installed(python: str, server: str) -> None:
    done = subprocess.run(  # noqa: S603
        [python, "-c", f"import {server}"], stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode:
        raise Failure(
            f"{server} is not installed. Install it with: {python} -m pip install {server}"
        )


def _say_notes(exported: Exported, options: argparse.Namespace) -> None:
    if exported.state and (options.workers or 1) > 1:
        print(
            f"Views change {', '.join(exported.state)}: each of the {options.workers} workers has"
            " its own copy.",
            file=sys.stderr,
        )


def _start(
    exported: Exported,
    python: str,
    options: argparse.Namespace,
    address: str,
    notebook_directory: Path,
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for name, value in exported.secrets.items():
        if name not in exported.defaults or not environment.get(name):
            environment[name] = value
    environment["TRUSTED_PROXIES"] = "0"
    environment.pop("BIND", None)
    if options.workers is not None:
        environment["WEB_CONCURRENCY"] = str(options.workers)
    places = {"directory": str(notebook_directory), "project": str(exported.directory)}
    if options.server == "gunicorn":
        own = exported.directory / "run" / "gunicorn.conf.py"
        own.write_text(_GUNICORN.format(**places), "utf-8")
        command = [python, "-m", "gunicorn", "-c", str(own), "wsgi:application"]
    else:
        threads = 1 if exported.is_main_thread else 16
        code = _WAITRESS.format(**places, address=address, threads=threads)
        command = [python, "-c", code]
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        cwd=exported.directory,
        env=environment,
        start_new_session=True,  # Ctrl-C is ours to pass on
    )


def _wait_until_it_listens(process: subprocess.Popen[bytes], address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None:
            raise Failure(f"The server has ended {how_it_ended(process.returncode)}; see above.")
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), 1).close()
            return
        if time.monotonic() > deadline:
            raise Failure(f"The server has not started within {_START_SECONDS} s.")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers whose master was killed
