"""A Jupyter Server, or JupyterLab, as a child process that ends when the command ends."""

from __future__ import annotations

import contextlib
import errno
import html
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_flaskserve.records import API, read_all, release
from jupyter_flaskserve.running_servers import exists

from .api import ServerAPI
from .ending import Failure, Signals

__all__ = ["ServerProcess", "check_port", "exists", "free_port", "how_it_ended"]

_START_SECONDS = 60
_STOP_SECONDS = 20  # a kernel may take ten of them
_LOG_LINES = 20
_FIRST_PORT = 8888


class ServerProcess:
    """One server on loopback. On leaving the ``with`` block it and its kernels have ended.

    :ivar api: the server's REST API, once it has started.
    """

    api: ServerAPI

    def __init__(self, module: str, root: Path, port: int | None, signals: Signals) -> None:
        """
        :param module: what to run: ``jupyter_server`` or ``jupyterlab``.
        :param root: the directory whose files the server shows.
        :param port: its port; without one, a free port is found.
        :param signals: they are held back while a process starts or ends.
        """
        self._module = module
        self._root = root
        self._port = port
        self._signals = signals
        self._process: subprocess.Popen[bytes] | None = None
        self._kernels: list[tuple[int, Path]] = []
        self._directory: Path | None = None
        self._browser_page: Path | None = None

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._signals.held():
            self._stop()

    def start(self) -> None:
        """Start the server and wait until it answers.

        :raises Failure: the port is taken, or the server does not start.
        """
        port = self._port
        if port is None:
            port = free_port()
        else:
            check_port(port)
        environment = os.environ.copy()
        if not environment.get("JUPYTER_TOKEN"):
            environment["JUPYTER_TOKEN"] = secrets.token_hex(24)
        # Kernels otherwise print lines about Python's debugger as they start.
        environment.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        with self._signals.held():
            # The server runs in a directory of our own: its modules are not to be mistaken for
            # files of the notebook's folder that happen to have their names.
            self._directory = Path(tempfile.mkdtemp(prefix="flaskserve-"))
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command(port),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._directory,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is ours to pass on
                )
        deadline = time.monotonic() + _START_SECONDS
        info = self._wait_for_info(self._process.pid, deadline)
        self.api = ServerAPI(info["url"], info["token"])
        self._check_extension(deadline)

    def watch_kernel(self, pid: int, connection_file: Path) -> None:
        """Take care that this kernel too has ended when the server has."""
        self._kernels.append((pid, connection_file))

    def check(self) -> None:
        """Check that the server runs.

        :raises Failure: it has ended.
        """
        status = self._process.poll() if self._process is not None else None
        if status is not None:
            raise Failure(f"{self._what} has ended {how_it_ended(status)}.{self._log_tail()}")

    def open_browser(self, url: str) -> None:
        """Open a URL in the person's browser, if there is one.

        The browser is given a private file that leads there, because the words of a command can be
        read by all users of a machine, and the URL has the token in it.
        """
        self._browser_page = Path(jupyter_runtime_dir()) / f"flaskserve-{os.getpid()}-open.html"
        escaped = html.escape(url)
        page = (
            '<!doctype html><meta charset="utf-8"><title>Opening</title>'
            f'<meta http-equiv="refresh" content="0;url={escaped}"><a href="{escaped}">Open</a>'
        )
        with open(self._browser_page, "w", opener=_private) as file:
            file.write(page)
        page_url = self._browser_page.as_uri()
        threading.Thread(
            target=lambda: webbrowser.open(page_url), name="flaskserve-browser", daemon=True
        ).start()

    def _command(self, port: int) -> Sequence[str]:
        command = [
            sys.executable,
            "-m",
            self._module,
            f"--ServerApp.root_dir={self._root}",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            f"--ServerApp.port_retries={50 if self._port is None else 0}",
            "--ServerApp.open_browser=False",
            "--ServerApp.certfile=",
            '--ServerApp.jpserver_extensions={"jupyter_flaskserve": True}',
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")  # the kernel is root's as well
        return command

    def _wait_for_info(self, pid: int, deadline: float) -> dict[str, Any]:
        """What the server says about itself in the file by which Jupyter announces servers."""
        file = Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json"
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                info = json.loads(file.read_bytes())
                if isinstance(info, dict):
                    return info
            self.check()
            time.sleep(0.05)
        raise Failure(f"{self._what} did not start within {_START_SECONDS} s.{self._log_tail()}")

    def _check_extension(self, deadline: float) -> None:
        path, timeout = f"{API}/mounts", _START_SECONDS
        while True:
            try:
                status, answer = self.api.request("GET", path, timeout=timeout)
                break
            except OSError as error:  # it announces itself a moment before it listens
                self.check()
                if time.monotonic() > deadline:
                    text = f"{self._what} does not answer: {error}.{self._log_tail()}"
                    raise Failure(text) from error
                time.sleep(0.05)
        if status == 404:
            raise Failure(f"{self._what} could not load jupyter_flaskserve.{self._log_tail()}")
        if status != 200 or not isinstance(answer, dict):
            raise Failure(f"{self._what} answers with status {status}.{self._log_tail()}")

    def _stop(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            # A server that was killed leaves its files behind.
            for path in Path(jupyter_runtime_dir()).glob(f"jpserver-{self._process.pid}[.-]*"):
                path.unlink(missing_ok=True)
        for pid, connection_file in self._kernels:
            _end(pid)
            _release_mounts(pid)
            connection_file.unlink(missing_ok=True)
        if self._browser_page is not None:
            self._browser_page.unlink(missing_ok=True)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _what(self) -> str:
        return "JupyterLab" if self._module == "jupyterlab" else "The Jupyter Server"

    @property
    def _log(self) -> Path:
        assert self._directory is not None
        return self._directory / "server.log"

    def _log_tail(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        if not lines:
            return ""
        return "\nThe end of its log:\n" + "\n".join(f"    {line}" for line in lines)


def _end(pid: int) -> None:
    """Wait for a process that is about to end by itself; kill it where it does not."""
    for wait, number in ((3.0, getattr(signal, "SIGKILL", signal.SIGTERM)), (3.0, None)):
        deadline = time.monotonic() + wait
        while exists(pid):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return
        if number is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def _release_mounts(pid: int) -> None:
    """Remove the mount records of a kernel that has ended, where its server has not done so."""
    for record in read_all():
        if record.pid == pid:
            release(record)


def how_it_ended(status: int) -> str:
    """In words, how a process of that exit status has ended."""
    if status >= 0:
        return f"with exit status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"


def free_port() -> int:
    """A port nobody listens on: Jupyter's usual one or, where that is taken, any."""
    for port in (_FIRST_PORT, 0):
        with contextlib.suppress(OSError), _bound(port) as free:
            return int(free.getsockname()[1])
    raise Failure("No port on 127.0.0.1 is free.")


def check_port(port: int) -> None:
    """Check that a port of the loopback can be listened at.

    :raises Failure: it cannot.
    """
    try:
        _bound(port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} is taken. Choose another with --port, or leave it out."
        else:
            message = f"Port {port} cannot be used: {error.strerror}."
        raise Failure(message) from None


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
