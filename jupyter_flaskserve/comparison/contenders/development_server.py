"""Flask's development server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..site import render
from ..wire import Address
from .contender import PYTHON, Contender, Place, free_ports

if TYPE_CHECKING:
    from ..certificate import Certificate

__all__ = ["DevelopmentServer"]


class DevelopmentServer(Contender):
    """What ``app.run()`` and ``flask run`` start."""

    key = "flask"
    title = "Flask's development server"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "Development server", "python", "HTTP"),
        Place("app", "Flask app", "python", "WSGI"),
    )

    def start(self) -> None:
        port, tls_port = free_ports(2)
        self.address = self._start(port, None)
        certificate = self.site.certificate
        if certificate is not None:
            self.tls_address = self._start(tls_port, certificate)

    def _start(self, port: int, certificate: Certificate | None) -> Address:
        project = self.site.project_directory
        name = "serve_tls.py" if certificate else "serve.py"
        text = render("development_server.py", port=port, certificate=certificate)
        self.write(name, text, project)
        address = self.at(port, certificate)
        self.await_answer(self.run([PYTHON, name], directory=project), address)
        return address
