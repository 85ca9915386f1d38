"""The files around the app: for WSGI servers, web servers, containers and services."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["Addresses", "configuration"]

# What each server is told about the types of files. They are those that Flask finds, so that the
# answer is the same whoever gives it.
_TYPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("text/html", ("html", "htm")),
    ("text/css", ("css",)),
    ("text/csv", ("csv",)),
    ("text/javascript", ("js", "mjs")),
    ("text/markdown", ("md",)),
    ("text/plain", ("txt",)),
    ("text/xml", ("xml",)),
    ("application/json", ("json", "map")),
    ("application/manifest+json", ("webmanifest",)),
    ("application/pdf", ("pdf",)),
    ("application/wasm", ("wasm",)),
    ("application/zip", ("zip",)),
    ("audio/mpeg", ("mp3",)),
    ("font/otf", ("otf",)),
    ("font/ttf", ("ttf",)),
    ("font/woff", ("woff",)),
    ("font/woff2", ("woff2",)),
    ("image/gif", ("gif",)),
    ("image/jpeg", ("jpg", "jpeg")),
    ("image/png", ("png",)),
    ("image/svg+xml", ("svg",)),
    ("image/vnd.microsoft.icon", ("ico",)),
    ("image/webp", ("webp",)),
    ("video/mp4", ("mp4",)),
    ("video/webm", ("webm",)),
)

_NAMES = {
    "wsgi.py": "wsgi.py.j2",
    "gunicorn.conf.py": "gunicorn.conf.py.j2",
    "nginx.conf": "nginx.conf.j2",
    "apache.conf": "apache.conf.j2",
    "Dockerfile": "Dockerfile.j2",
    "compose.yaml": "compose.yaml.j2",
    "kubernetes.yaml": "kubernetes.yaml.j2",
    "README.md": "README.md.j2",
}

_IGNORED = ".env\n.venv/\n__pycache__/\n*.pyc\nrun/\ntls/\n*.new\n"


@dataclass(frozen=True)
class Addresses:
    """Where the servers listen, as ``host:port``.

    :ivar web: nginx and Apache.
    :ivar tls: nginx, with TLS.
    :ivar backends: the Gunicorns behind nginx; the first one is the project's own.
    :ivar python_home: the environment with the project's packages, for mod_wsgi.
    """

    web: str = "127.0.0.1:8080"
    tls: str = "127.0.0.1:8443"
    backends: tuple[str, ...] = ("127.0.0.1:8000",)
    python_home: str = "${PWD}/.venv"


def configuration(addresses: Addresses, about: Mapping[str, Any]) -> dict[str, bytes]:
    """The files, by their names.

    :param about: what the templates say about the app.
    """
    environment = _environment()
    values = {
        **about,
        "address": addresses.web,
        "tls_address": addresses.tls,
        "http_port": addresses.web.rpartition(":")[2],
        "tls_port": addresses.tls.rpartition(":")[2],
        "backend": addresses.backends[0],
        "backends": addresses.backends,
        "python_home": addresses.python_home,
        # What the name of a service in Kubernetes begins with is a letter, RFC 1035 §2.3.1.
        "service": about["name"] if about["name"][0].isalpha() else f"app-{about['name']}",
        "types": _TYPES,
    }
    names = {**_NAMES, f"{about['name']}.service": "unit.service.j2"}
    files = {
        name: environment.get_template(template).render(values).encode()
        for name, template in names.items()
    }
    files[".gitignore"] = _IGNORED.encode()
    files[".dockerignore"] = f"{_IGNORED}.git/\n.flaskserve-export.json\n".encode()
    for folder in ("run", "tls"):
        files[f"{folder}/.gitignore"] = b"*\n"
    if about["secrets"]:
        lines = ["# Write the values behind the signs, and keep the file .env to yourself."]
        lines += [f"# {cell.place}\n{key}=" for key, cell in about["secrets"].items()]
        files[".env.example"] = ("\n".join(lines) + "\n").encode()
    return files


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("jupyter_flaskserve.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- no HTML is made
    )
    environment.filters["pylist"] = lambda names: repr(list(names))
    environment.filters["code_list"] = _code_list
    return environment


def _code_list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
