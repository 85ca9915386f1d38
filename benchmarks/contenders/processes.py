"""Programs that run while contenders are measured, and end with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from ..app import FILES

__all__ = [
    "MissingProgram",
    "environment",
    "find_program",
    "free_port",
    "listens",
    "only_child",
    "running",
    "wait_until",
]

_START = 60.0  # seconds that a program has to start
_END = 10.0  # and to end

_ROOT = Path(__file__).resolve().parents[2]


class MissingProgram(Exception):
    """A program is not installed. The message says how to install it."""


def find_program(name: str, package: str) -> str:
    """The path of a program.

    :param package: the Debian package that has it.
    :raises MissingProgram: it is not installed.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise MissingProgram(f"{name} is not installed. Run: apt-get install {package}")
    return path


def wait_until(
    condition: Callable[[], bool], what: str, *, seconds: float = _START, interval: float = 0.02
) -> None:
    """
    :raises TimeoutError: the condition is still false after that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} has not come within {seconds:g} seconds.")
        time.sleep(interval)


def free_port() -> int:
    """A port of the loopback at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens at a port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def only_child(pid: int) -> int:
    """The one process that a process has started: the worker of a master."""
    wait_until(lambda: bool(psutil.Process(pid).children()), "a worker")
    (child,) = psutil.Process(pid).children()
    return int(child.pid)


def environment(directory: Path) -> dict[str, str]:
    """Environment variables with which nothing of this machine's user is used or changed.

    Python keeps what it has compiled, as it does for packages that are installed.

    :param directory: where the app's files are, and a home directory is made.
    """
    home = directory / "home"
    home.mkdir(exist_ok=True)
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JUPYTER_", "JPY_", "IPYTHON", "FLASK_", "PYTHONDONTWRITEBYTECODE"))
    }
    return {
        **kept,
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": str(_ROOT),
        FILES: str(directory),
    }


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    log: Path,
    variables: Mapping[str, str],
    interval: float = 0.02,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block, in a session of its own.

    :param ready: whether it has started; asked once in ``interval`` seconds.
    :param log: the file for what it prints.
    :param variables: its environment.
    :raises RuntimeError: it ended at its start; the message has what it printed.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(variables),
            cwd=log.parent,
            start_new_session=True,
        )

    def started() -> bool:
        if process.poll() is not None:
            text = log.read_text(errors="replace")
            raise RuntimeError(f"{' '.join(command)} ended at its start:\n{text[-4000:]}")
        return ready()

    try:
        wait_until(started, f"the first answer of {command[0]}", interval=interval)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has started and left behind
