"""nginx and Apache in front of this notebook's kernel, which answers by FastCGI."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from ...kernel.responder.responder import Responder
from ..site import Site
from ..sockets import listen_for_servers
from ..stand_in import SETTINGS, command_of_stand_in
from ..wire import Address
from .apache import missing_apache, modules, start_apache
from .contender import Contender, Place, Target, free_ports
from .nginx import missing_nginx, start_nginx

__all__ = ["ApacheToKernel", "NginxToKernel"]

KERNEL_THREADS = 64  # as many as a mount has

_STANDS_FOR = "a process that runs the same responder, so that this notebook goes on"


class _ToKernel(Contender):
    """A web server that passes requests to a responder in this process."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._responder: Responder | None = None
        self._stand_in: Address | None = None

    def _listen(self) -> Path:
        """Let the kernel answer at a Unix socket that the server may connect to, and nobody else.

        :returns: the socket.
        """
        path = self.site.workshop.directory / f"{self.key}.sock"
        listener = listen_for_servers(path)
        self._responder = Responder(
            self.site.observed, name=self.key, listener=listener, threads=KERNEL_THREADS
        )
        return path

    def _start_stand_in(self) -> tuple[Path, int]:
        """Start what stands in for the kernel where that is to be killed.

        :returns: its socket, and the port at which the server is to have it.
        """
        socket = self.site.workshop.directory / f"{self.key}-2.sock"
        (port,) = free_ports(1)
        process = self.site.workshop.start(
            command_of_stand_in(socket),
            directory=self.directory,
            name=f"{self.key}-stand-in",
            environment={SETTINGS: json.dumps(self.site.settings)},
        )
        self._processes.append(process)
        process.wait_until(socket.exists, "The process that stands in for the kernel")
        self._stand_in = self.at(port)
        return socket, port

    def stop(self) -> None:
        responder, self._responder = self._responder, None
        if responder is not None:
            responder.stop(grace=0)
        super().stop()

    @contextlib.contextmanager
    def victim(self) -> Iterator[Target]:
        assert self._stand_in is not None
        yield Target(self._stand_in, self.owns, _STANDS_FOR)


class NginxToKernel(_ToKernel):
    key = "nginx-kernel"
    title = "nginx → this kernel"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "nginx", "nginx", "HTTP"),
        Place("kernel", "This notebook's kernel", "kernel", "FastCGI, Unix socket"),
        Place("app", "Flask app", "kernel", "WSGI"),
    )

    @classmethod
    def missing(cls) -> str:
        return missing_nginx()

    def start(self) -> None:
        socket = self._listen()
        stand_in, port = self._start_stand_in()
        self.address, self.tls_address = start_nginx(
            self, [str(socket)], kernel=True, stand_in=stand_in, stand_in_port=port
        )


class ApacheToKernel(_ToKernel):
    key = "apache-kernel"
    title = "Apache → this kernel"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "Apache", "apache", "HTTP"),
        Place("kernel", "This notebook's kernel", "kernel", "FastCGI, Unix socket"),
        Place("app", "Flask app", "kernel", "WSGI"),
    )

    @classmethod
    def missing(cls) -> str:
        return missing_apache()

    def start(self) -> None:
        socket = self._listen()
        stand_in, port = self._start_stand_in()
        self.address, self.tls_address = start_apache(
            self,
            [str(socket)],
            more_modules=modules("proxy", "proxy_fcgi"),
            kernel=True,
            stand_in=stand_in,
            stand_in_port=port,
        )
