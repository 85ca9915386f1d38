"""Gunicorn: a master process that starts workers, and starts them again when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..site import MODULE, WORKER_THREADS, WORKERS, render
from .contender import PYTHON, Contender, Place, free_ports, missing_package

if TYPE_CHECKING:
    from ..certificate import Certificate
    from ..processes import Process

__all__ = ["Gunicorn", "missing_gunicorn", "start_gunicorn"]


class Gunicorn(Contender):
    key = "gunicorn"
    title = "Gunicorn"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "Gunicorn's socket", "master", "HTTP"),
        Place("worker", f"{WORKERS} workers", "worker", "accept"),
        Place("app", "Flask app", "worker", "WSGI", WORKERS),
    )

    @classmethod
    def missing(cls) -> str:
        return missing_gunicorn()

    def start(self) -> None:
        port, tls_port = free_ports(2)
        address = self.at(port)
        self.await_answer(start_gunicorn(self, "gunicorn", f"127.0.0.1:{port}"), address)
        self.address = address
        certificate = self.site.certificate
        if certificate is not None:
            tls_address = self.at(tls_port, certificate)
            process = start_gunicorn(
                self, "gunicorn_tls", f"127.0.0.1:{tls_port}", certificate=certificate
            )
            self.await_answer(process, tls_address)
            self.tls_address = tls_address


def missing_gunicorn() -> str:
    return missing_package("gunicorn", "gunicorn")


def start_gunicorn(
    contender: Contender,
    name: str,
    bind: str,
    *,
    workers: int = WORKERS,
    certificate: Certificate | None = None,
) -> Process:
    """Start one Gunicorn.

    :param name: what its configuration is named for.
    :param bind: where it listens: a host and port, or ``unix:PATH``.
    :param workers: how many processes run the app.
    """
    text = render(
        "gunicorn.conf.py",
        bind=bind,
        workers=workers,
        threads=WORKER_THREADS,
        certificate=certificate,
    )
    file = contender.write(f"{name}.conf.py", text)
    command = [PYTHON, "-m", "gunicorn", "--config", str(file), f"{MODULE}:application"]
    return contender.run(command, directory=contender.site.project_directory)
