"""A URL that a person typed, bound to an app's URL map as Flask binds a request's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from werkzeug.routing import MapAdapter

from .table import RuleTable

__all__ = ["Target", "bound", "default_host", "target_of"]

_START = re.compile(r"(?P<scheme>https?|wss?)://(?P<host>[^/?#]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """What a URL asks for.

    :ivar scheme: ``http``, ``https``, ``ws`` or ``wss``.
    :ivar host: with its port.
    :ivar script_name: the prefix the app is mounted under.
    :ivar path: under the app, decoded, with one slash at its start.
    :ivar query: what is after the question mark.
    """

    scheme: str
    host: str
    script_name: str
    path: str
    query: str = ""

    @property
    def websocket(self) -> bool:
        return self.scheme in ("ws", "wss")


def target_of(url: str, mount_path: str, host: str) -> Target:
    """What a typed URL asks for.

    :param url: a full one, one with the mount's prefix, or one under the app; its first slash may
        be missing.
    :param mount_path: the mount's prefix, such as ``/flaskserve/demo/``.
    :param host: the host where the URL names none.
    """
    text = url.strip()
    full = _START.match(text)
    rest, _, _ = text[full.end() if full else 0 :].partition("#")
    rest, _, query = rest.partition("?")
    path = "/" + unquote_to_bytes(rest.encode("utf-8", "replace")).decode(
        "utf-8", "replace"
    ).lstrip("/")
    prefix = "/" + unquote(mount_path).strip("/")
    if prefix != "/" and (path == prefix or path.startswith(prefix + "/")):
        path = "/" + path[len(prefix) :].lstrip("/")
    return Target(
        scheme=full["scheme"].lower() if full else "http",
        host=full["host"].rpartition("@")[2] if full else host,
        script_name="" if prefix == "/" else prefix,
        path=path,
        query=query,
    )


def default_host(table: RuleTable) -> str:
    """The host that a request is taken to be for where nothing says it."""
    return str(table.app.config.get("SERVER_NAME") or "localhost")


def bound(table: RuleTable, target: Target, method: str) -> MapAdapter:
    """Werkzeug's adapter for a request.

    :raises werkzeug.exceptions.HTTPException: if Flask refuses the host.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": _wsgi_text(target.script_name),
        "PATH_INFO": _wsgi_text(target.path),
        "QUERY_STRING": _wsgi_text(target.query),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": _wsgi_text(target.host),
        "wsgi.url_scheme": "https" if target.scheme in ("https", "wss") else "http",
    }
    if target.websocket:
        environ |= {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"}
    adapter = table.app.create_url_adapter(table.app.request_class(environ))
    if adapter is None:  # an app's own method may give none
        adapter = table.url_map.bind_to_environ(environ)
    adapter.map = table.url_map
    return adapter


def _wsgi_text(text: str) -> str:
    """Text as an environ has it (PEP 3333, Unicode Issues)."""
    return text.encode("utf-8", "replace").decode("latin-1")
