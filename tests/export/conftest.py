"""A project that was exported, and the servers that its files start.

Gunicorn and waitress run as the one who runs the tests. nginx and Apache run as an ordinary user
where root runs them, because that is what their files are written for: then the projects are
Debian's ``www-data``'s, in a directory that it can reach.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import flask
import pytest
from programs import WORKER, find_program, free_ports, missing, program

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from jupyter_processes import Server
from projects import Project

from jupyter_flaskserve.export import Addresses, export, read_notebook

__all__ = ["find_program"]  # a fixture

MOD_WSGI = Path("/usr/lib/apache2/modules/mod_wsgi.so")


@pytest.fixture(scope="session")
def user() -> str:
    """As whom nginx and Apache run; an empty string for the one who runs the tests."""
    return WORKER if os.geteuid() == 0 else ""


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Jupyter Server, for the notebook's own answers."""
    server = Server(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def projects() -> Iterator[Path]:
    """A directory that nginx and Apache can reach, other than pytest's own."""
    with tempfile.TemporaryDirectory(prefix="flaskserve-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def python_home(projects: Path, user: str) -> Callable[[], str]:
    """The environment that mod_wsgi can use: that of the tests or, where mod_wsgi is built for
    another Python or its user cannot read it, one that is made as the project's README says."""
    made: list[str] = []

    def home() -> str:
        if not MOD_WSGI.exists():
            missing("mod_wsgi", "libapache2-mod-wsgi-py3")
        if not made:
            version = MOD_WSGI.resolve().name.partition("-")[2]
            own = f"{sys.version_info.major}.{sys.version_info.minor}"
            who = {"user": user, "group": user, "extra_groups": []} if user else {}
            package = Path(flask.__file__)
            readable = subprocess.run(["test", "-r", str(package)], **who).returncode == 0
            if version == own and readable:
                made.append(sys.prefix)
            else:
                target = projects / "venv"
                python = program(f"python{version}", f"python{version}-venv")
                requirements = next(projects.glob("*/requirements.txt"))
                subprocess.run([python, "-m", "venv", str(target)], check=True)
                subprocess.run(
                    [str(target / "bin/pip"), "install", "-q", "-r", str(requirements)], check=True
                )
                made.append(str(target))
        return made[0]

    return home


@pytest.fixture(scope="session")
def make_project(
    projects: Path, user: str, python_home: Callable[[], str]
) -> Callable[..., Project]:
    """Exports a notebook: takes its file, and what ``export`` takes."""

    def make(
        notebook: Path, *, backends: int = 1, variable: str | None = None, **options: object
    ) -> Project:
        ports = iter(free_ports(2 + backends))
        addresses = Addresses(
            web=f"127.0.0.1:{next(ports)}",
            tls=f"127.0.0.1:{next(ports)}",
            backends=tuple(f"127.0.0.1:{port}" for port in ports),
        )
        directory = Path(tempfile.mkdtemp(prefix=f"{notebook.stem}-", dir=projects))
        directory.chmod(0o755)
        exported = export(
            read_notebook(notebook), directory, variable=variable, addresses=addresses, **options
        )
        logs = directory.with_name(f"{directory.name}-logs")
        logs.mkdir()
        project = Project(exported, addresses, user, logs, python_home)
        project.give(directory)
        return project

    return make
