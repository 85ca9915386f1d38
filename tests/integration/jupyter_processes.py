"""A real Jupyter Server and real kernels, each a process of its own.

A :class:`Server` lives in a directory of its own: home, configuration, data, runtime files,
notebooks and log. Whatever it starts is stopped with it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

import httpx
import psutil
from jupyter_client import KernelManager
from jupyter_client.blocking.client import BlockingKernelClient
from validation import MODULE, Validation

Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result], *, seconds: float = 10, what: str = "the condition"
) -> Result:
    """Ask again and again until the answer is true, and return it.

    :raises TimeoutError: the answer is still false after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} has not come within {seconds} seconds; last: {answer!r}")
        time.sleep(0.02)


@dataclass
class Arrangement:
    """How all servers and kernels are set up.

    :ivar transport: how servers reach the apps: ``unix``, which is the default, or ``tcp``.
    :ivar validation: what checks each request by the rules of WSGI, if anything does.
    """

    transport: str = "unix"
    validation: Validation | None = None

    def environment(self, directory: Path) -> dict[str, str]:
        """Environment variables for a server or kernel that has IPython's files in ``directory``,
        which must be new."""
        directory.mkdir()
        if self.validation is not None:
            self.validation.prepare(directory)
        variables = {"IPYTHONDIR": str(directory)}
        if self.transport != "unix":
            variables["JUPYTER_FLASKSERVE_TRANSPORT"] = self.transport
        return variables


arrangement = Arrangement()


class CellError(AssertionError):
    """A cell failed. The message is its traceback."""


@dataclass
class Output:
    """What a cell put out.

    :ivar displays: the MIME bundles of results and displays, in order.
    """

    stdout: str = ""
    stderr: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)


class RunningCell:
    """A cell that was sent to the kernel and may still be running."""

    def __init__(self, client: BlockingKernelClient, code: str) -> None:
        self._client = client
        # A kernel would abort what comes just after a failure.
        self._message = client.execute(textwrap.dedent(code), allow_stdin=True, stop_on_error=False)
        self._output = Output()

    def wait(self, seconds: float = 30) -> Output:
        """Wait until the cell has ended.

        :raises CellError: the cell failed.
        :raises TimeoutError: it is still running after ``seconds``.
        """
        failure = None
        deadline = time.monotonic() + seconds
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=deadline - time.monotonic())
            except (queue.Empty, ValueError):
                raise TimeoutError(f"the cell is still running after {seconds} seconds") from None
            if message["parent_header"].get("msg_id") != self._message:
                continue
            content = message["content"]
            kind = message["msg_type"]
            if kind == "stream" and content["name"] == "stdout":
                self._output.stdout += content["text"]
            elif kind == "stream":
                self._output.stderr += content["text"]
            elif kind in ("execute_result", "display_data"):
                self._output.displays.append(content["data"])
            elif kind == "error":
                failure = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        if failure is not None:
            raise CellError(failure)
        return self._output

    def wait_for_input(self, seconds: float = 10) -> None:
        """Wait until the cell asks for input."""
        self._client.get_stdin_msg(timeout=seconds)

    def answer(self, text: str) -> None:
        """Give the cell the input it waits for."""
        self._client.input(text)


class Kernel:
    """A kernel that a server has started for a notebook."""

    def __init__(self, server: Server, notebook: str) -> None:
        self.server = server
        self.notebook = notebook
        answer = server.http.post(
            "api/sessions",
            json={
                "path": notebook,
                "name": notebook,
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        )
        answer.raise_for_status()
        session = answer.json()
        self.session_id: str = session["id"]
        self.id: str = session["kernel"]["id"]
        self._connect()

    def _connect(self) -> None:
        self._connect_to(self.server.runtime_dir / f"kernel-{self.id}.json")

    def _connect_to(self, file: Path) -> None:
        self._client = BlockingKernelClient(connection_file=str(file))
        self._client.load_connection_file()
        self._client.start_channels()
        wait_until(self._is_heard, seconds=60, what="the kernel's first answer")
        self.pid = int(self.run("print(__import__('os').getpid())").stdout)
        if arrangement.validation is not None:
            self.run(f"assert {MODULE!r} in __import__('sys').modules, 'nothing is validated'")

    def _is_heard(self) -> bool:
        """Whether the kernel answers, and what it publishes arrives too."""
        question = self._client.kernel_info()
        try:
            while self._client.get_iopub_msg(timeout=1)["parent_header"].get("msg_id") != question:
                pass
            while self._client.get_shell_msg(timeout=1)["parent_header"].get("msg_id") != question:
                pass
        except queue.Empty:
            return False
        return True

    def run(self, code: str, *, seconds: float = 30) -> Output:
        """Run a cell to its end.

        :raises CellError: the cell failed.
        """
        return self.start(code).wait(seconds)

    def start(self, code: str) -> RunningCell:
        """Start a cell that keeps running."""
        return RunningCell(self._client, code)

    def serve(self, name: str, code: str, *, app: str = "app", **options: object) -> httpx.Client:
        """Run a cell that makes an app, and serve it.

        :returns: a client of the app, with the server's token.
        """
        arguments = "".join(f", {key}={value!r}" for key, value in options.items())
        self.run(
            textwrap.dedent(code)
            + "\nfrom jupyter_flaskserve.kernel.mount import serve as _serve"
            + f"\n_mount = _serve({app}, name={name!r}{arguments})\n"
        )
        return self.server.client(name)

    def interrupt(self) -> None:
        """Interrupt the running cell, as the stop button does."""
        self.server.http.post(f"api/kernels/{self.id}/interrupt").raise_for_status()

    def restart(self) -> None:
        """Restart the kernel and wait until it is ready again."""
        self._client.stop_channels()
        self.server.http.post(f"api/kernels/{self.id}/restart").raise_for_status()
        self._connect()

    def kill9(self) -> None:
        """Kill the kernel's process. The server starts another one within some seconds."""
        self._client.stop_channels()
        process = psutil.Process(self.pid)
        process.kill()
        wait_until(
            lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE,
            what="the end of the kernel's process",
        )

    def reconnect(self) -> None:
        """Wait for the process that the server starts after :meth:`kill9`."""

        def started() -> bool:
            children = psutil.Process(self.server.pid).children()
            return any(
                child.pid != self.pid and any(self.id in word for word in child.cmdline())
                for child in children
            )

        wait_until(started, what="the kernel's new process")
        self._connect()

    def shutdown(self) -> None:
        """Shut the kernel down through the server, as closing the notebook's session does."""
        self._client.stop_channels()
        self.server.http.delete(f"api/sessions/{self.session_id}").raise_for_status()

    def disconnect(self) -> None:
        """Close the connections to the kernel and let it run."""
        self._client.stop_channels()

    def close(self) -> None:
        """Shut the kernel down if it is there still."""
        self.disconnect()
        with contextlib.suppress(httpx.HTTPError):
            self.server.http.delete(f"api/sessions/{self.session_id}")


def environment_in(directory: Path, runtime_dir: Path) -> dict[str, str]:
    """Environment variables with which nothing of this machine's user is used or changed."""
    return {
        **{
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("JUPYTER_", "JPY_", "IPYTHON"))
        },
        **arrangement.environment(directory / "ipython"),
        "HOME": str(directory / "home"),
        "JUPYTER_RUNTIME_DIR": str(runtime_dir),
        "PYTHONUNBUFFERED": "1",
    }


class Web:
    """What serves apps at a port, as its clients see it.

    :ivar http: a client of it that has its token.
    """

    running: ClassVar[list[Web]] = []

    port: int
    token: str
    pid: int
    http: httpx.Client
    log_file: Path
    runtime_dir: Path
    notebooks: Path

    def __init__(self) -> None:
        self._clients: list[httpx.Client] = []

    @property
    def url(self) -> str:
        """The address all others begin with, ending in a slash."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the token."""
        return {"Authorization": f"token {self.token}"}

    def login(self) -> dict[str, str]:
        """The cookies of a browser that has been let in."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """What the server and its kernels have written so far."""
        return self.log_file.read_text(errors="replace")

    def client(self, name: str, **options: Any) -> httpx.Client:
        """A new HTTP client of one mount, which lasts until :meth:`close_clients`."""
        options.setdefault("headers", self.authorization)
        client = httpx.Client(
            base_url=f"{self.url}flaskserve/{name}/", timeout=20, trust_env=False, **options
        )
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """Close the clients that :meth:`client` has made."""
        while self._clients:
            self._clients.pop().close()

    def mounts(self) -> dict[str, dict[str, Any]]:
        """What the server says it serves, by name."""
        answer = self.http.get("api/flaskserve/mounts")
        answer.raise_for_status()
        return {mount["name"]: mount for mount in answer.json()["mounts"]}

    @contextlib.contextmanager
    def connect(self, seconds: float = 10) -> Iterator[socket.socket]:
        """A bare connection to the server."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            yield connection

    def raw(self, request: bytes, seconds: float = 10) -> bytes:
        """Send bytes and return all that comes back until the server closes the connection."""
        with self.connect(seconds) as connection:
            connection.sendall(request)
            return read_to_end(connection)

    def ask(
        self,
        target: str,
        method: str = "GET",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        authorized: bool = True,
    ) -> Reply:
        """Send one request as it is written here, on a connection of its own.

        ``Host`` and ``Connection: close`` are added, and the token, and ``Content-Length`` where
        there is a body. Text becomes bytes as ISO-8859-1.
        """
        lines = [f"{method} {target} HTTP/1.1", "Connection: close"]
        given = {name.lower() for name, _ in headers}
        if "host" not in given:
            lines.append(f"Host: 127.0.0.1:{self.port}")
        if authorized:
            lines += [f"{name}: {value}" for name, value in self.authorization.items()]
        if body and not given & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return Reply.parse(self.raw(head + body))

    def _ended(self) -> None:
        self.close_clients()
        self.http.close()
        with contextlib.suppress(ValueError):
            self.running.remove(self)


class Server(Web):
    """A Jupyter Server in a process of its own.

    :param directory: an empty directory for everything it reads and writes.
    :param config: the text of its ``jupyter_server_config.py``.
    :param token: its token, or an empty string for none.
    :param base_url: the path all its addresses begin with.
    :param runtime_dir: its runtime directory, where it is not to be one of its own.
    :param environment: environment variables it gets besides those of every test.
    """

    def __init__(
        self,
        directory: Path,
        *,
        config: str = "",
        token: str = "the-servers-own-token",
        base_url: str = "/",
        runtime_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.directory = directory
        self.token = token
        self.base_url = base_url
        self.notebooks = directory / "notebooks"
        self.runtime_dir = runtime_dir or directory / "run"
        self.config_dir = directory / "config"
        self.log_file = directory / "server.log"
        for name in ("home", "notebooks", "config", "data"):
            (directory / name).mkdir()
        self.runtime_dir.mkdir(mode=0o700, exist_ok=True)
        self._environment = {
            **environment_in(directory, self.runtime_dir),
            "JUPYTER_CONFIG_DIR": str(self.config_dir),
            "JUPYTER_DATA_DIR": str(directory / "data"),
            **(environment or {}),
        }
        (self.config_dir / "jupyter_server_config.py").write_text(
            "c.ServerApp.jpserver_extensions = {name: False for name in "
            "('jupyter_lsp', 'jupyter_server_proxy', 'jupyterlab', 'notebook', 'notebook_shim')}\n"
            + textwrap.dedent(config)
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.kernels: list[Kernel] = []
        self.start()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.http = httpx.Client(
            base_url=self.url, headers=self.authorization, timeout=20, trust_env=False
        )
        with self.log_file.open("ab") as log:
            self._start_process(log)
        self.running.append(self)
        self.pid = self.process.pid
        try:
            wait_until(self._answers, seconds=30, what="the server's first answer")
        except BaseException:
            self.stop()
            raise

    def _start_process(self, log: BinaryIO) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyter_server",
                "--allow-root",
                "--no-browser",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.port}",
                "--ServerApp.port_retries=0",
                f"--ServerApp.base_url={self.base_url}",
                f"--ServerApp.root_dir={self.notebooks}",
                f"--IdentityProvider.token={self.token}",
            ],
            env=self._environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended at its start:\n{self.log}")
        try:
            return self.http.get("api/status").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def url(self) -> str:
        """The address all others begin with, ending in a slash."""
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the token; without one, what Jupyter asks of a browser."""
        if self.token:
            return {"Authorization": f"token {self.token}"}
        return {"Cookie": "_xsrf=xsrf", "X-XSRFToken": "xsrf"}

    def login(self) -> dict[str, str]:
        """The cookies of a browser that has logged in with the token."""
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=10) as browser:
            browser.get(f"{self.url}login", params={"token": self.token})
            return dict(browser.cookies.items())

    def kernel(self, notebook: str = "Lesson 1.ipynb") -> Kernel:
        """Start a kernel for a notebook, which need not exist."""
        kernel = Kernel(self, notebook)
        self.kernels.append(kernel)
        return kernel

    def kill9(self) -> None:
        """Kill the server's process; its kernels notice and end by themselves."""
        self.process.kill()
        self.process.wait()
        self._ended()

    def stop(self) -> None:
        """Stop the server and everything it has started."""
        for kernel in self.kernels:
            kernel.disconnect()
        self.kernels.clear()
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._ended()
        _, left = psutil.wait_procs(self._processes(), timeout=2)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)

    def restart(self) -> None:
        """Stop the server and its kernels, and start it again at the same address."""
        self.stop()
        self.start()

    def _processes(self) -> list[psutil.Process]:
        """All processes that have this server's configuration in their environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("JUPYTER_CONFIG_DIR") == str(self.config_dir):
                    found.append(process)
        return found


class KernelsOwnServer(Web):
    """The server of a kernel that nothing but this test has started, in the kernel's process."""

    def __init__(self, kernel: LoneKernel, user: LoneKernels, log_file: Path) -> None:
        super().__init__()
        self._kernel = kernel
        self.runtime_dir = user.runtime_dir
        self.notebooks = user.notebooks
        self.log_file = log_file

    def started(self) -> None:
        """Take note of a new process of the kernel's."""
        self.ended()
        self.pid = self._kernel.pid
        url, self.token = self._kernel.value("find_home().url, find_home().own.token")
        self.port = httpx.URL(url).port or 80
        self.http = httpx.Client(
            base_url=self.url, headers=self.authorization, timeout=20, trust_env=False
        )
        self.running.append(self)

    def ended(self) -> None:
        """Take note that the kernel's process has ended."""
        if self in self.running:
            self._ended()

    def login(self) -> dict[str, str]:
        (ticket,) = self._kernel.value("find_home().own.ticket(),")
        with httpx.Client(trust_env=False, timeout=10) as browser:
            browser.get(f"{self.url}flaskserve/", params={"token": ticket})
            return dict(browser.cookies.items())


class KernelEnded(Exception):
    """The process of a kernel ended before it answered. The argument ends with what it logged."""


class LoneKernel(Kernel):
    """A kernel without a Jupyter Server, as an editor starts it.

    :param user: whose kernel it is.
    :param directory: an empty directory for what is its own.
    :param notebook: the notebook's path in the user's ``notebooks``.
    """

    def __init__(self, user: LoneKernels, directory: Path, notebook: str) -> None:
        self._user = user
        self.notebook = notebook
        working_directory = (user.notebooks / notebook).parent
        working_directory.mkdir(parents=True, exist_ok=True)
        self.server = KernelsOwnServer(self, user, directory / "kernel.log")
        self._log = self.server.log_file.open("ab")  # for the processes of restarts too
        self._environment = environment_in(directory, user.runtime_dir)
        self._working_directory = working_directory
        try:
            try:
                self._start()
            except KernelEnded as error:
                if "Address already in use" not in str(error):
                    raise
                # Another process took one of its ports before it did.
                self._manager.shutdown_kernel(now=True)
                self._start()
        except BaseException:
            self._manager.shutdown_kernel(now=True)
            self._log.close()
            raise

    def _start(self) -> None:
        self._file = self._user.runtime_dir / f"kernel-{uuid.uuid4()}.json"
        self._manager = KernelManager(kernel_name="python3", connection_file=str(self._file))
        self._manager.start_kernel(
            env=self._environment,
            cwd=str(self._working_directory),
            stdout=self._log,
            stderr=self._log,
        )
        self._connect()

    def _is_heard(self) -> bool:
        if not self._manager.is_alive():
            self._client.stop_channels()
            log = self.server.log_file.read_text(errors="replace")
            raise KernelEnded(f"the kernel has ended before its first answer: {log[-2000:]}")
        return super()._is_heard()

    def _connect(self) -> None:
        self._connect_to(self._file)
        self.server.started()
        (self.id,) = self.value("find_home().kernel_id,")

    def value(self, expression: str) -> tuple[str, ...]:
        """A tuple of words that an expression is in the kernel."""
        cell = f"from jupyter_flaskserve.kernel.home import find_home\nprint(*({expression}))"
        return tuple(self.run(f"{cell}\ndel find_home").stdout.split())

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        self._client.stop_channels()
        self._manager.restart_kernel()
        self._connect()

    def reconnect(self) -> None:
        """Start a process in the place of the one that :meth:`kill9` has ended."""
        self._manager.restart_kernel(now=True)
        self._connect()

    def shutdown(self) -> None:
        self.disconnect()
        self._manager.shutdown_kernel()

    def close(self) -> None:
        self.disconnect()
        self._manager.shutdown_kernel(now=True)
        self._log.close()
        self.server.ended()
        self._user.kernels.remove(self)


class LoneKernels:
    """In the place of a Jupyter Server: kernels that each serve their apps themselves.

    What is asked of it is asked of the server of the kernel that was started last.

    :param directory: an empty directory for everything they read and write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started = 0
        self.notebooks = directory / "notebooks"
        self.runtime_dir = directory / "run"
        self.runtime_dir.mkdir(mode=0o700)
        self.kernels: list[LoneKernel] = []

    def kernel(self, notebook: str = "Lesson 1.ipynb") -> LoneKernel:
        """Start a kernel."""
        self._started += 1
        directory = self._directory / str(self._started)
        (directory / "home").mkdir(parents=True)
        kernel = LoneKernel(self, directory, notebook)
        self.kernels.append(kernel)
        return kernel

    def stop(self) -> None:
        """Shut down all that run."""
        for kernel in list(self.kernels):
            kernel.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernels[-1].server, name)


@dataclass
class Reply:
    """One HTTP response, as the bytes say it.

    :ivar reason: the reason phrase, as it came.
    :ivar headers: names in lower case, in order, duplicates included.
    :ivar body: all that follows the head, in its transfer coding.
    """

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> Reply:
        """Read a response.

        :raises ValueError: the bytes do not begin with a complete head.
        """
        head, separator, body = data.partition(b"\r\n\r\n")
        if not separator:
            raise ValueError(f"no complete head in {data!r}")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        headers = [
            (name.lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        ]
        return cls(version, int(status), reason, headers, body)

    def header(self, name: str) -> str | None:
        """The only value of a header, or ``None`` where there is none."""
        values = [value for key, value in self.headers if key == name.lower()]
        if len(values) > 1:
            raise ValueError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None

    @property
    def content(self) -> bytes:
        """The body without its chunked coding.

        :raises ValueError: the last chunk is missing, or the body is not as long as announced.
        """
        if self.header("transfer-encoding") != "chunked":
            announced = self.header("content-length")
            if announced is not None and int(announced) != len(self.body):
                raise ValueError(f"{len(self.body)} bytes came of {announced}")
            return self.body
        pieces, position = [], 0
        while True:
            end = self.body.find(b"\r\n", position)
            if end < 0:
                raise ValueError("the last chunk is missing")
            length = int(self.body[position:end], 16)
            if length == 0:
                return b"".join(pieces)
            pieces.append(self.body[end + 2 : end + 2 + length])
            position = end + 2 + length + 2


def read_to_end(connection: socket.socket) -> bytes:
    """Read a connection until the other side closes or resets it."""
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read a connection up to some bytes.

    :raises EOFError: the connection was closed before they came.
    """
    data = b""
    while end not in data:
        piece = connection.recv(65536)
        if not piece:
            raise EOFError(f"the connection was closed after {data!r}")
        data += piece
    return data


def status_value(pid: int, key: str) -> int:
    """A number from ``/proc/PID/status``; sizes are in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            number, *unit = value.split()
            return int(number) * (1024 if unit == ["kB"] else 1)
    raise KeyError(key)


def descriptors(pid: int) -> dict[str, str]:
    """The open file descriptors of a process, and what each leads to."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = os.readlink(entry)
    return found
