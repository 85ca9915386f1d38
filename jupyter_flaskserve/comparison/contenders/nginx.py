"""nginx, in front of two Gunicorns or of this notebook's kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..observed import KEY_HEADER
from ..processes import NotStarted, Process, find_program, group_name, serving_user
from ..site import WORKERS, render
from ..wire import Address
from .contender import Contender, Place, free_ports
from .gunicorn import missing_gunicorn, start_gunicorn

__all__ = ["Nginx", "missing_nginx", "start_nginx"]


class Nginx(Contender):
    key = "nginx"
    title = "nginx → Gunicorn"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "nginx", "nginx", "HTTP"),
        Place("worker", f"{WORKERS} Gunicorns", "gunicorn", "HTTP, Unix socket"),
        Place("app", "Flask app", "gunicorn", "WSGI", WORKERS),
    )

    @classmethod
    def missing(cls) -> str:
        return " && ".join(filter(None, [missing_nginx(), missing_gunicorn()]))

    def start(self) -> None:
        sockets = []
        for number in range(1, WORKERS + 1):
            socket = self.site.workshop.directory / f"gunicorn-{number}.sock"
            sockets.append(str(socket))
            process = start_gunicorn(self, f"gunicorn_{number}", f"unix:{socket}", workers=1)
            process.wait_until(socket.exists, "Gunicorn")
        self.address, self.tls_address = start_nginx(self, sockets)


def missing_nginx() -> str:
    return "" if find_program("nginx") else "apt-get install nginx"


def start_nginx(
    contender: Contender, sockets: Sequence[str], **values: Any
) -> tuple[Address, Address | None]:
    """Start nginx.

    :param sockets: the Unix sockets of those who run the app.
    :param values: more for the configuration.
    :returns: where it listens, and the same over TLS.
    :raises NotStarted: it does not run.
    """
    program = find_program("nginx")
    if program is None:
        raise NotStarted(missing_nginx())
    site = contender.site
    port, tls_port = free_ports(2)
    user = serving_user()
    field = KEY_HEADER.lower().replace("-", "_")
    admission = contender.write(
        "admission.conf",
        f'if ($http_{field} != "{site.key}") {{ return 403; }}\n',
        is_shown=False,
    )
    text = render(
        "nginx.conf",
        **{
            "directory": contender.directory,
            "user": user,
            "group": group_name(user) if user else "",
            "sockets": sockets,
            "port": port,
            "tls_port": tls_port,
            "certificate": site.certificate,
            "static": site.static,
            "static_url": site.static_url,
            "admission": admission,
            "kernel": False,
            **values,
        },
    )
    file = contender.write("nginx.conf", text)
    log = contender.directory / "error.log"
    command = [program, "-c", str(file), "-p", str(contender.directory), "-e", str(log)]
    process: Process = contender.run(command)
    address = contender.at(port)
    contender.await_answer(process, address, log)
    certificate = site.certificate
    return address, contender.at(tls_port, certificate) if certificate else None
