"""The Apache HTTP Server, with mod_wsgi or in front of this notebook's kernel."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..observed import KEY_HEADER
from ..processes import NotStarted, find_program, group_name, serving_user
from ..site import MODULE, WORKER_THREADS, WORKERS, render
from ..wire import Address
from .contender import Contender, Place, free_ports

__all__ = ["Apache", "missing_apache", "modules", "start_apache"]

_MODULES = (
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/opt/homebrew/lib/httpd/modules",
    "/usr/libexec/apache2",
)

_ALWAYS = ("mpm_event", "unixd", "authz_core", "alias", "env", "ssl")


class Apache(Contender):
    key = "apache"
    title = "Apache with mod_wsgi"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "Apache", "apache", "HTTP"),
        Place("worker", f"{WORKERS} mod_wsgi daemons", "daemon", "Unix socket"),
        Place("app", "Flask app", "daemon", "WSGI", WORKERS),
    )

    @classmethod
    def missing(cls) -> str:
        missing = missing_apache()
        if missing:
            return f"{missing} libapache2-mod-wsgi-py3"
        file = _mod_wsgi()
        if file is None:
            return "apt-get install libapache2-mod-wsgi-py3"
        built = _python_of(file)
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        if built not in ("", here):
            return (
                f"apt-get install apache2-dev && pip install mod_wsgi"
                f" (the mod_wsgi here is built for Python {built}, and this kernel runs {here})"
            )
        return ""

    def start(self) -> None:
        project = self.site.project_directory
        file = _mod_wsgi()
        self.address, self.tls_address = start_apache(
            self,
            (),
            more_modules=[("wsgi_module", str(file))],
            script=project / f"{MODULE}.py",
            python_path=":".join([str(project), *_packages()]),
            workers=WORKERS,
            threads=WORKER_THREADS,
        )


def missing_apache() -> str:
    if find_program("apache2", "httpd") and _module("mpm_event"):
        return ""
    return "apt-get install apache2"


def start_apache(
    contender: Contender,
    sockets: Sequence[str],
    *,
    more_modules: Sequence[tuple[str, str]],
    **values: Any,
) -> tuple[Address, Address | None]:
    """Start Apache.

    :param sockets: the Unix socket of who runs the app, if that is not mod_wsgi.
    :param more_modules: modules beyond those for any site: names and files.
    :param values: more for the configuration.
    :returns: where it listens, and the same over TLS.
    :raises NotStarted: it does not run.
    """
    program = find_program("apache2", "httpd")
    if program is None:
        raise NotStarted(missing_apache())
    context = contender.site
    found = modules(*_ALWAYS)
    certificate = context.certificate if _module("ssl") else None
    port, tls_port = free_ports(2)
    user = serving_user()
    admission = contender.write(
        "admission.conf",
        f"Require expr \"%{{HTTP:{KEY_HEADER}}} == '{context.key}'\"\n",
        is_shown=False,
    )
    text = render(
        "apache.conf",
        **{
            "directory": contender.directory,
            "user": user,
            "group": group_name(user) if user else "",
            "modules": [*found, *more_modules],
            "sockets": sockets,
            "port": port,
            "tls_port": tls_port,
            "certificate": certificate,
            "static": context.static,
            "static_url": context.static_url,
            "admission": admission,
            "kernel": False,
            **values,
        },
    )
    file = contender.write("apache.conf", text)
    process = contender.run([program, "-f", str(file), "-DFOREGROUND"])
    address = contender.at(port)
    contender.await_answer(process, address, contender.directory / "error.log")
    return address, contender.at(tls_port, certificate) if certificate else None


def modules(*names: str) -> list[tuple[str, str]]:
    """Modules of Apache with their files."""
    return [(f"{name}_module", file) for name in names if (file := _module(name))]


def _module(name: str) -> str | None:
    """A module's file; ``None`` where it is not there, or built into the program."""
    places = [Path(directory) / f"mod_{name}.so" for directory in _MODULES]
    return next((str(place) for place in places if place.exists()), None)


def _mod_wsgi() -> Path | None:
    """The file of mod_wsgi: this environment's own before the system's."""
    package = importlib.util.find_spec("mod_wsgi")
    for place in (package.submodule_search_locations or ()) if package else ():
        for file in sorted(Path(place, "server").glob("mod_wsgi*.so")):
            return file
    file_name = _module("wsgi")
    return Path(file_name) if file_name else None


def _python_of(file: Path) -> str:
    """The version of Python that mod_wsgi is built for, such as ``3.11``; empty if unknown."""
    found = re.search(rb"libpython(3\.\d+)", file.read_bytes())
    return found[1].decode() if found else ""


def _packages() -> list[str]:
    """The directories in which this process finds modules that are not Python's own."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    own |= {os.path.join(path, "lib-dynload") for path in own}
    return [path for path in sys.path if path not in own and os.path.isdir(path)]
