"""A Jupyter Server that is the benchmarks' own, and kernels in it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.blocking.client import BlockingKernelClient

from .processes import environment, free_port, running, wait_until

__all__ = ["CellFailed", "JupyterServer", "Kernel", "jupyter_server"]

_EXTENSIONS = (
    "jupyter_flaskserve", "jupyter_lsp", "jupyter_server_proxy", "jupyter_server_terminals",
    "jupyterlab", "notebook", "notebook_shim",
)  # fmt: skip
_CELL = 120.0  # seconds that a cell may take
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class CellFailed(Exception):
    """A cell has raised. The message is its traceback."""


class JupyterServer:
    """A Jupyter Server with token authentication. Made by :func:`jupyter_server`.

    :ivar pid: its process.
    """

    def __init__(self, port: int, token: str, runtime_dir: Path) -> None:
        self.port = port
        self.token = token
        self.runtime_dir = runtime_dir
        self.pid = 0
        self._kernels: list[Kernel] = []

    @property
    def url(self) -> str:
        """Its address, with a slash at its end."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"token {self.token}"}

    def ask(self, method: str, path: str, content: object = None) -> Any:
        """Ask its REST interface.

        :returns: the answer, from JSON.
        :raises http.client.HTTPException: it refuses.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, f"/{path}", json.dumps(content), self.headers)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status >= 300:
            raise http.client.HTTPException(f"{method} {path}: {answer.status} {body[:500]!r}")
        return json.loads(body) if body else None

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            self.ask("GET", "api/status")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def kernel(self, name: str) -> Kernel:
        """Start a kernel, which runs as long as the server does.

        :param name: the notebook's name, which need not exist.
        """
        kernel = Kernel(self, name)
        self._kernels.append(kernel)
        return kernel

    def mount_socket(self, name: str) -> str:
        """The Unix socket of the responder that serves a mount of this server."""
        for file in (self.runtime_dir / "flaskserve").glob(f"*-{name}.json"):
            record = json.loads(file.read_text())
            if record["name"] == name:
                return str(record["socket"])
        raise LookupError(f"There is no record of the mount {name}.")

    def close(self) -> None:
        """Shut its kernels down."""
        for kernel in self._kernels:
            kernel.close()


class Kernel:
    """A kernel of a server."""

    def __init__(self, server: JupyterServer, name: str) -> None:
        self.server = server
        model = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        self.session: str = (session := server.ask("POST", "api/sessions", model))["id"]
        self.id: str = session["kernel"]["id"]
        file = server.runtime_dir / f"kernel-{self.id}.json"
        self._client = BlockingKernelClient(connection_file=str(file))
        self._client.load_connection_file()
        self._client.start_channels(hb=False)  # on a loaded machine it takes it for dead
        self._client.wait_for_ready(timeout=60)
        self.pid = int(self.run("import os; print(os.getpid())"))

    def run(self, code: str) -> str:
        """Run a cell to its end.

        :returns: what it printed.
        :raises CellFailed: it has raised.
        """
        printed = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self._client.execute_interactive(
            code, output_hook=take, timeout=_CELL, allow_stdin=False
        )
        _check(reply)
        return "".join(printed)

    def start(self, code: str) -> str:
        """Send a cell, and wait for nothing.

        :returns: the id of its message, for :meth:`wait`.
        """
        return str(self._client.execute(code, allow_stdin=False))

    def wait(self, message_id: str) -> None:
        """Wait for the end of a cell.

        :raises CellFailed: it has raised.
        """
        _check(self._reply_to(message_id))

    @contextlib.contextmanager
    def busy(self, code: str) -> Iterator[None]:
        """Run a cell that does not end by itself until the end of the block.

        :param code: a cell that prints a line once it has begun.
        """
        message_id = self.start(code)
        deadline = time.monotonic() + _CELL
        while True:
            message = self._client.get_iopub_msg(timeout=deadline - time.monotonic())
            if message["parent_header"].get("msg_id") == message_id:
                if message["msg_type"] == "stream":
                    break
                if message["msg_type"] == "error":
                    _check({"content": {"status": "error", **message["content"]}})
        try:
            yield
        finally:
            self.server.ask("POST", f"api/kernels/{self.id}/interrupt")
            self._reply_to(message_id)

    def close(self) -> None:
        """Shut it down, if it runs still."""
        self._client.stop_channels()
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.server.ask("DELETE", f"api/sessions/{self.session}")
        try:
            wait_until(lambda: not psutil.pid_exists(self.pid), "the kernel's end", seconds=5)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _reply_to(self, message_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + _CELL
        while True:
            try:
                reply: dict[str, Any] = self._client.get_shell_msg(
                    timeout=max(0.0, deadline - time.monotonic())
                )
            except queue.Empty:
                raise TimeoutError(f"A cell has not ended within {_CELL:g} seconds.") from None
            if reply["parent_header"].get("msg_id") == message_id:
                return reply


def _check(reply: dict[str, Any]) -> None:
    if reply["content"]["status"] != "ok":
        raise CellFailed(_COLOUR.sub("", "\n".join(reply["content"].get("traceback", ()))))


@contextlib.contextmanager
def jupyter_server(
    directory: Path, name: str, extensions: Iterable[str], config: str = ""
) -> Iterator[JupyterServer]:
    """Run a Jupyter Server until the end of the block.

    :param directory: where the app's files are; the server's own go into a directory in it.
    :param extensions: the modules of the server extensions that it has; it has no others.
    :param config: more lines of its configuration.
    """
    own = directory / name
    for part in ("config", "data", "run", "notebooks"):
        (own / part).mkdir(parents=True)
    (own / "run").chmod(0o700)
    enabled = dict.fromkeys(_EXTENSIONS, False) | dict.fromkeys(extensions, True)
    (own / "config" / "jupyter_server_config.py").write_text(
        f"c.ServerApp.jpserver_extensions = {enabled}\n{config}\n"
    )
    server = JupyterServer(free_port(), secrets.token_hex(16), own / "run")
    command = [
        sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={server.port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={own / 'notebooks'}",
        f"--IdentityProvider.token={server.token}",
    ]  # fmt: skip
    variables = {
        **environment(directory),
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTER_RUNTIME_DIR": str(own / "run"),
    }
    log = own / "server.log"
    with running(command, ready=server.is_ready, log=log, variables=variables) as process:
        server.pid = process.pid
        try:
            yield server
        finally:
            server.close()
