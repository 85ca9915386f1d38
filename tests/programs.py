"""Programs of others that tests start: web servers and the like."""

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

import pytest

__all__ = ["SECONDS", "WORKER", "find_program", "free_ports", "listens", "program", "running"]

WORKER = "www-data"  # who serves where root runs the tests
SECONDS = 20  # for a process to start


def program(name: str, package: str) -> str:
    """Find a program by its name and the Debian package that has it. Where it is not there, the
    test is skipped, or fails on the machine that runs all tests."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        missing(name, package)
    assert path is not None
    return path


def missing(name: str, package: str) -> None:
    """Skip or fail a test, because a program is not installed."""
    reason = f"{name} is not installed: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def find_program() -> Callable[[str, str], str]:
    """Finds a program by its name and the Debian package that has it."""
    return program


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    user: str = "",
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the foreground until the end of the block.

    :param ready: whether it has started.
    :param log: the file for what it prints.
    :param user: whom it runs as, where that is not the one who runs the tests.
    """
    options = {"user": user, "group": user, "extra_groups": []} if user else {}
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            **options,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + SECONDS
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    text = log.read_text(errors="replace")
                    raise AssertionError(f"{command[0]} has not started:\n{text}")
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # some leave their children behind


def free_ports(count: int) -> list[int]:
    """Ports of the loopback at which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
            for _ in range(count)
        ]
        return [taken.getsockname()[1] for taken in sockets]


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
