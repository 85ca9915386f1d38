"""A project that was exported, and the servers that its files start.

Gunicorn and waitress run as the one who runs the tests. nginx and Apache run as an ordinary user
where root runs them, because that is what their files are written for: then the projects are
Debian's ``www-data``'s, in a directory that it can reach.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import flask
import nbformat
import pytest
from programs import WORKER, find_program, free_ports, listens, missing, program, running

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from jupyter_processes import Server

from jupyter_flaskserve.export import Addresses, Exported, export, read_notebook

__all__ = ["find_program"]  # a fixture

LESSONS = Path(__file__).parents[2] / "notebooks"
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


def write_notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of code cells."""
    node = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "3"}},
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
    )
    nbformat.write(node, path)
    return path


@dataclass
class Project:
    """An exported project and where its servers listen.

    :ivar logs: the directory for what the servers print.
    """

    exported: Exported
    addresses: Addresses
    user: str
    logs: Path
    python_home: Callable[[], str]

    @property
    def directory(self) -> Path:
        return self.exported.directory

    def port(self, address: str) -> int:
        return int(address.rpartition(":")[2])

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts the certificate that was made for this project."""
        return ssl.create_default_context(cafile=self.directory / "tls" / "cert.pem")

    def start(
        self, name: str, command: list[str], address: str, **environment: str
    ) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """Run a server in the project's folder until the end of the block."""
        is_web_server = name in ("nginx", "apache")
        return running(
            command,
            ready=lambda: listens(self.port(address)),
            log=self.logs / f"{name}.log",
            directory=self.directory,
            user=self.user if is_web_server else "",
            environment={
                **self.exported.secrets,
                "PWD": str(self.directory),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
        )

    def gunicorn(
        self, address: str | None = None, **environment: str
    ) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        address = address or self.addresses.backends[0]
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"]
        return self.start(f"gunicorn-{address}", command, address, BIND=address, **environment)

    def waitress(self, address: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "waitress", f"--listen={address}", "wsgi:application"]
        return self.start("waitress", command, address)

    def nginx(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        self.make_certificate()
        command = [program("nginx", "nginx"), *self.nginx_words]
        return self.start("nginx", command, self.addresses.web)

    @property
    def nginx_words(self) -> list[str]:
        return ["-e", "stderr", "-p", str(self.directory), "-c", "nginx.conf"]

    def apache(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        self.make_environment()
        command = [program("apache2", "apache2"), *self.apache_words, "-D", "FOREGROUND"]
        return self.start("apache", command, self.addresses.web)

    @property
    def apache_words(self) -> list[str]:
        return ["-d", str(self.directory), "-f", "apache.conf"]

    def make_certificate(self) -> None:
        """Make a certificate by the command that the project's nginx.conf has."""
        key = self.directory / "tls" / "key.pem"
        if key.exists():
            return
        text = (self.directory / "nginx.conf").read_text()
        start = text.index("openssl req")
        lines = text[start : text.index("tls/cert.pem", start) + len("tls/cert.pem")].splitlines()
        command = " ".join(line.lstrip("# ").rstrip("\\") for line in lines)
        subprocess.run(
            command, shell=True, cwd=self.directory, check=True, capture_output=True, timeout=60
        )
        self.give(self.directory / "tls")

    def make_environment(self) -> None:
        """Make the environment ``.venv`` of the project, in which mod_wsgi looks for packages."""
        link = self.directory / ".venv"
        if not link.exists():
            link.symlink_to(self.python_home())

    def give(self, *places: Path) -> None:
        """Let the user of nginx and Apache have some files and folders."""
        if self.user:
            entry = pwd.getpwnam(self.user)
            for place in places:
                for path in (place, *place.rglob("*")):
                    os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def as_user(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a program to its end as nginx and Apache run."""
        who = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        environment = {**os.environ, "PWD": str(self.directory), **self.exported.secrets}
        return subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            **who,
        )


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
