"""Exported projects, and the servers that their files start."""

from __future__ import annotations

import contextlib
import os
import pwd
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from programs import listens, program, running

from jupyter_flaskserve.export import Addresses, Exported

__all__ = ["LESSONS", "Project", "write_notebook"]

LESSONS = Path(__file__).parents[2] / "notebooks"


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
