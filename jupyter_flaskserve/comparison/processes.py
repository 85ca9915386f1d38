"""The processes of a comparison: each a group of its own, and none that outlives it.

A program of ours, :mod:`.guard`, watches over them from outside: it ends them and removes their
directory also where the kernel is killed, or an interrupt comes while they are being stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from . import guard

__all__ = ["NotStarted", "Process", "Workshop", "find_program", "group_name", "serving_user"]

Result = TypeVar("Result")

START_SECONDS = 20.0
_PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
_USERS = ("www-data", "nginx", "apache", "http", "_www", "nobody")


class NotStarted(Exception):
    """A server does not run. The message is one line that says why."""


def find_program(*names: str) -> str | None:
    """The path of the first of these programs that is installed, also where only administrators
    look for programs."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_PLACES])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def serving_user() -> str:
    """As whom the workers of nginx and Apache run where this process is root's, since Apache
    refuses to let them be root; an empty string where they run as this process's user."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _USERS if name in known), "nobody")


class Process:
    """One program that runs.

    :ivar pid: its process id, and that of its group.
    """

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self._popen = popen
        self._log = log
        self.pid = popen.pid

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until it has started.

        :raises NotStarted: it has ended instead, or has not started within 20 seconds.
        """
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self.check(what)
            if time.monotonic() > deadline:
                raise NotStarted(
                    f"{what} has not started within {START_SECONDS:g} seconds: {self.said()}"
                )
            time.sleep(0.02)

    def check(self, what: str) -> None:
        """Check that it runs.

        :raises NotStarted: it has ended.
        """
        status = self._popen.poll()
        if status is not None:
            raise NotStarted(f"{what} ended with status {status} as it started: {self.said()}")

    def said(self) -> str:
        """The end of what it has printed, in one line."""
        try:
            lines = self._log.read_text(errors="replace").split("\n")
        except OSError:
            lines = []
        return " / ".join(line.strip() for line in lines if line.strip())[-1000:] or "no word"

    def result(self, seconds: float) -> bytes:
        """Wait for a program that ends by itself.

        :param seconds: how long.
        :returns: what it has printed.
        :raises OSError: it has not ended, or it failed.
        """
        try:
            status = self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise OSError(f"it has not ended within {seconds:g} seconds") from None
        if status:
            raise OSError(f"it ended with status {status}: {self.said()}")
        return self._log.read_bytes()

    def reap(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)


class Workshop:
    """A directory for a comparison, and the processes that run in it.

    It is entered once. When it is left, what runs is stopped, the last first, and the directory is
    removed. Its paths are short, because that of a Unix socket has to be.

    :ivar directory: the directory. Nobody but this user can look into it and, where that is root,
        the user as whom servers serve.
    """

    directory: Path

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _running while a process is started
        self._running: list[Process] = []
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = os.getpid()

    def __enter__(self) -> Workshop:
        self.directory = Path(tempfile.mkdtemp(prefix="flaskserve-"))
        try:
            self.share(self.directory)
            self._guard = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", guard.__file__, str(self.directory), str(self._pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        atexit.register(self._dismiss)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._dismiss()

    def make(self, name: str, *, writable: bool = False) -> Path:
        """A new directory.

        :param writable: whether servers may write to it, too.
        """
        path = self.directory / name
        path.mkdir(mode=0o700)
        self.share(path, writable=writable)
        return path

    def share(self, path: Path, *, writable: bool = False) -> None:
        """Let the user as whom servers serve read a file or directory, where that is another."""
        user = serving_user()
        if user:
            os.chown(path, -1, pwd.getpwnam(user).pw_gid)
            mode = 0o770 if writable else 0o750
            path.chmod(mode if path.is_dir() else mode & 0o660)

    def start(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        name: str,
        environment: Mapping[str, str] | None = None,
        given: bytes = b"",
    ) -> Process:
        """Start a program in the foreground of a group of its own.

        :param directory: where it runs.
        :param name: what the file with its output is named for.
        :param environment: variables beside those of this process.
        :param given: what it can read from its standard input.
        :raises NotStarted: it cannot be started.
        """
        log = self.directory / f"{name}.out"
        return self.uninterrupted(
            lambda: self._start(list(command), directory, log, dict(environment or {}), given)
        )

    def uninterrupted(self, start: Callable[[], Result]) -> Result:
        """Call what starts something and notes it: no interrupt comes in between, since interrupts
        come to the main thread."""
        with ThreadPoolExecutor(1, "flaskserve start") as thread:
            return thread.submit(start).result()

    def delete_at_end(self, url: str, headers: Mapping[str, str]) -> Callable[[], None]:
        """Have something deleted by a request of the method DELETE when all is stopped, also where
        this process is killed.

        :param headers: header fields of that request. They are secret.
        :returns: what is called once it has been deleted.
        :raises NotStarted: the comparison has ended.
        """
        request = json.dumps({"url": url, "headers": dict(headers)})
        with self._lock:
            if self._guard is None:
                raise NotStarted("The comparison has ended.")
            self._tell(f"delete {request}")
        return lambda: self._tell(f"forget {request}")

    def _start(
        self,
        command: list[str],
        directory: Path,
        log: Path,
        environment: dict[str, str],
        given: bytes,
    ) -> Process:
        with self._lock, log.open("wb") as output, tempfile.TemporaryFile() as stdin:
            stdin.write(given)
            stdin.seek(0)
            if self._guard is None:
                raise NotStarted("The comparison has ended.")
            try:
                popen = subprocess.Popen(  # noqa: S603
                    command,
                    stdin=stdin,
                    stdout=output,
                    stderr=output,
                    cwd=directory,
                    env={**_environment(), **environment},
                    start_new_session=True,
                )
            except OSError as error:
                raise NotStarted(f"{command[0]} cannot be started: {error.strerror}") from None
            process = Process(popen, log)
            self._running.append(process)
            self._tell(f"add {process.pid}")
            return process

    def stop(self, processes: Sequence[Process]) -> None:
        """Stop some of the processes, the last first, with all that these have started."""
        for process in reversed(processes):
            _end(process)
            if process in self._running:
                self._running.remove(process)
                self._tell(f"drop {process.pid}")

    def _tell(self, order: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.write(f"{order}\n".encode())
                self._guard.stdin.flush()

    def _dismiss(self) -> None:
        """Stop all. Where an interrupt comes meanwhile, the guard does the rest."""
        if os.getpid() != self._pid:  # a process that a cell has forked, and that now ends
            return
        with self._lock:
            guardian, self._guard = self._guard, None
        if guardian is None or guardian.stdin is None:
            return
        atexit.unregister(self._dismiss)
        try:
            # The guard ends what still runs, whether or not this process gets to wait for it.
            with contextlib.suppress(OSError):
                # A process that a cell has forked may hold the pipe open, so it is said as well.
                guardian.stdin.write(b"end\n")
                guardian.stdin.close()
        finally:
            for process in self._running:
                process.reap(2 * guard.GRACE)
            # What was found is not lost because of a guard that hangs.
            with contextlib.suppress(subprocess.TimeoutExpired):
                guardian.wait(4 * guard.GRACE)


def _end(process: Process) -> None:
    # The process is reaped while its group is asked: a zombie would count as one that runs.
    deadline = time.monotonic() + guard.GRACE
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not guard.is_running(process.pid):
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        process.reap(max(deadline - time.monotonic(), 0.1))
        while guard.is_running(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    process.reap(guard.GRACE)


def _environment() -> dict[str, str]:
    """What servers are told of this process's environment: no debugger's and no hub's secrets."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "JPY_", "PYDEVD", "WERKZEUG_", "GUNICORN_"))
    }


def group_name(user: str) -> str:
    """The name of a user's own group."""
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
