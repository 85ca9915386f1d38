"""waitress: a server in pure Python, with one process and several threads."""

from __future__ import annotations

from ..site import MODULE, WORKER_THREADS
from .contender import PYTHON, Contender, Place, free_ports, missing_package

__all__ = ["Waitress"]


class Waitress(Contender):
    key = "waitress"
    title = "waitress"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "waitress", "waitress", "HTTP"),
        Place("worker", "Thread", "waitress", "queue"),
        Place("app", "Flask app", "waitress", "WSGI"),
    )

    @classmethod
    def missing(cls) -> str:
        return missing_package("waitress", "waitress")

    def start(self) -> None:
        project = self.site.project_directory
        (port,) = free_ports(1)
        command = [PYTHON, "-m", "waitress", f"--listen=127.0.0.1:{port}"]
        command += [f"--threads={WORKER_THREADS}", f"{MODULE}:application"]
        address = self.at(port)
        self.await_answer(self.run(command, directory=project), address)
        self.address = address
