"""One server in front of an app, for as long as a person wants to talk to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .contenders import Contender, find
from .contenders.by_hand import ByHand
from .processes import NotStarted, Workshop
from .project import WriteProject, project_of_notebook
from .site import make_site
from .wire import Answer, ask

__all__ = ["Running", "running"]

_TIMEOUT = 30.0  # seconds


class Running:
    """A server that runs. Made by :func:`running`.

    :ivar title: what people call it.
    :ivar configuration: what it was started with: texts by file name, and the command.
    """

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self.title = contender.title
        self.configuration = contender.configuration

    def get(self, path: str = "/", *, tls: bool = False) -> Answer:
        """Send a GET request on a connection of its own, and wait for the response.

        :param path: what to ask for.
        :param tls: whether to speak TLS, with a certificate that is checked.
        :raises OSError: no response has come.
        :raises http.client.HTTPException: what has come is none.
        """
        if isinstance(self._contender, ByHand):
            return self._contender.call(path)
        address = self._contender.tls_address if tls else self._contender.address
        if address is None:
            raise ConnectionRefusedError(f"{self.title} does not speak TLS here.")
        return ask(address, path, _TIMEOUT)

    def __repr__(self) -> str:
        return f"<{self.title}, in front of an app>"


@contextmanager
def running(app: Any, key: str, *, write_project: WriteProject | None = None) -> Iterator[Running]:
    """Start one server in front of an app; it is stopped at the end of the ``with`` block::

        with running(app, "nginx") as nginx:
            print(nginx.get("/").text)

    :param app: the WSGI app.
    :param key: which server, by the words of ``%flaskserve compare --only``.
    :param write_project: see :func:`.compare.compare`.
    :raises CannotCompare: there is no such server.
    :raises NotStarted: it is not installed, or does not start.
    :raises NotExported: the app cannot be written as a project.
    """
    kind = find(key)
    if missing := kind.missing():
        raise NotStarted(f"{kind.title} is not installed: {missing}")
    with Workshop() as workshop:
        contender = kind(make_site(workshop, app, write_project or project_of_notebook(app)))
        try:
            contender.start()
            yield Running(contender)
        finally:
            contender.stop()
