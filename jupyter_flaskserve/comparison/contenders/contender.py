"""What all contenders are: something that starts, can be asked, and stops."""

from __future__ import annotations

import contextlib
import hmac
import http.client
import importlib.util
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple

from ..certificate import Certificate
from ..observed import GREETING, KEY_HEADER, greeting
from ..processes import NotStarted, Process
from ..site import Site
from ..wire import Address, ask

__all__ = ["Contender", "Place", "Target", "free_ports", "missing_package"]

_STEP = 5.0  # seconds for an answer while a server starts


class Place(NamedTuple):
    """One of those a request goes through.

    :ivar kind: ``client``, ``server``, ``worker``, ``kernel`` or ``app``.
    :ivar title: what it is called.
    :ivar process: those with the same word here are one process.
    :ivar link: how the one before reaches it, such as ``HTTP``; empty for the first.
    :ivar copies: how many such processes there are.
    """

    kind: str
    title: str
    process: str
    link: str = ""
    copies: int = 1


class Target(NamedTuple):
    """A worker that may be killed.

    :ivar address: where it can be asked.
    :ivar may_be_killed: tells of a process id, which whoever answered there has named, whether it
        is one that was started for the comparison.
    :ivar stands_for: what it stands for, where it is not what runs the app otherwise; else empty.
    """

    address: Address
    may_be_killed: Callable[[int], bool]
    stands_for: str = ""


class Contender:
    """A way to run an app.

    :cvar key: the word that names it.
    :cvar title: what people call it.
    :cvar places: who talks to whom, from the client to the app.
    :ivar address: where it listens, once it has started; ``None`` where it never does.
    :ivar tls_address: the same over TLS; ``None`` where it has no setting for that.
    :ivar configuration: what it was started with: texts by file name, and the command.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    places: ClassVar[tuple[Place, ...]]

    def __init__(self, site: Site) -> None:
        self.site = site
        self.address: Address | None = None
        self.tls_address: Address | None = None
        self.configuration: dict[str, str] = {}
        self._processes: list[Process] = []

    @classmethod
    def missing(cls) -> str:
        """How to install what is missing, such as ``apt-get install nginx``; else empty."""
        return ""

    def start(self) -> None:
        """Start, and wait until it answers.

        :raises NotStarted: it does not.
        :raises NotExported: it needs the app as a project, and there is none.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Stop all that was started. It may be called at any time and more than once."""
        processes, self._processes = self._processes, []
        self.site.workshop.stop(processes)

    @contextlib.contextmanager
    def victim(self) -> Iterator[Target]:
        """A worker to kill, with which the contender itself may end."""
        assert self.address is not None
        yield Target(self.address, self.owns)

    def owns(self, pid: int) -> bool:
        """Whether a process is one of those that this contender has started, or of theirs."""
        if pid <= 1:  # to the system, these are no processes but many of them
            return False
        try:
            return os.getpgid(pid) in {process.pid for process in self._processes}
        except OSError:
            return False

    @property
    def directory(self) -> Path:
        """A directory of its own, made when it is first asked for."""
        path = self.site.workshop.directory / self.key
        return path if path.exists() else self.site.workshop.make(self.key)

    def at(self, port: int, certificate: Certificate | None = None) -> Address:
        """The address of a port, with what the app wants to be shown.

        :param certificate: that of the server, where it speaks TLS there.
        """
        return Address(
            port,
            headers=((KEY_HEADER, self.site.key),),
            authority=str(certificate.file) if certificate else "",
        )

    def write(
        self, name: str, text: str, directory: Path | None = None, *, is_shown: bool = True
    ) -> Path:
        """Write a part of the configuration.

        :param is_shown: whether it may be shown, because there is no secret in it.
        """
        path = (directory or self.directory) / name
        path.write_text(text)
        self.site.workshop.share(path)
        if is_shown:
            self.configuration[name] = text
        return path

    def run(self, command: Sequence[str], *, directory: Path | None = None) -> Process:
        """Start a program that belongs to it, and show the command."""
        shown = self.configuration.get("command")
        line = shlex.join(command)
        self.configuration["command"] = line if shown is None else f"{shown}\n{line}"
        process = self.site.workshop.start(
            command,
            directory=directory or self.directory,
            name=f"{self.key}-{len(self._processes)}",
            environment=self.site.environment,
        )
        self._processes.append(process)
        return process

    def await_answer(self, process: Process, address: Address, log: Path | None = None) -> None:
        """Wait until the observed app answers at an address.

        Somebody else may have taken the port, so the app has to show that it is the one, before it
        is sent the key.

        :param log: where the server writes what is wrong, if not to its output.
        :raises NotStarted: it does not.
        """
        said: list[str] = []
        stranger = replace(address, headers=())

        def answers() -> bool:
            for other in self._processes:
                other.check(self.title)
            nonce = secrets.token_hex(16)
            try:
                answer = ask(stranger, f"{self.site.prefix}{GREETING}/{nonce}", _STEP)
            except (OSError, http.client.HTTPException) as error:
                said[:] = [str(error)]
                return False
            said[:] = [f"it answers with status {answer.status}"]
            return hmac.compare_digest(answer.body, greeting(self.site.key, nonce))

        try:
            process.wait_until(answers, self.title)
        except NotStarted as error:
            tail = _tail(log)
            raise NotStarted(" / ".join(filter(None, [str(error), *said, tail]))) from None


def _tail(log: Path | None) -> str:
    try:
        lines = log.read_text(errors="replace").strip().split("\n") if log is not None else []
    except OSError:
        lines = []
    return " / ".join(lines[-4:])


def free_ports(count: int) -> list[int]:
    """Ports of the loopback at which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
            for _ in range(count)
        ]
        return [taken.getsockname()[1] for taken in sockets]


def missing_package(module: str, package: str) -> str:
    """How to install a package of Python that this environment has not got; else empty."""
    return "" if importlib.util.find_spec(module) else f"pip install {package}"


PYTHON = sys.executable
"""The kernel's own Python, which has what the app imports."""
