"""An HTTP request as CGI parameters (RFC 3875 §4.1)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .. import fastcgi
from ..http_fields import FIELD_NAME

__all__ = ["HOP_BY_HOP", "RequestHead", "cgi_params", "split_host", "wants_upgrade"]

HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Header names, in lower case, that belong to one hop and go no further (RFC 9110 §7.6.1)."""

_UPGRADE = fastcgi.UPGRADE_PARAM.decode()

_NEVER = HOP_BY_HOP | {"expect", "proxy", "content-length", "content-type"}
"""Names that get no ``HTTP_`` parameter: those of the hop; ``Expect``, which the front server has
answered; ``Proxy``, which would look like the setting ``HTTP_PROXY``; and two with names of their
own in CGI."""


class RequestHead(NamedTuple):
    """What the gateway needs of a request, after the caller has taken out what the app may not see.

    Text is as Tornado gives it: bytes decoded as ISO-8859-1.

    :ivar method: the request's method.
    :ivar path: its path, percent-encoded as it came.
    :ivar query: its query string, without ``?``.
    :ivar version: ``HTTP/1.0`` or ``HTTP/1.1``.
    :ivar headers: name and value of each header line.
    :ivar host: the host the client addressed, with the port where it gave one.
    :ivar scheme: ``http`` or ``https``, as the client sees it.
    :ivar remote_addr: the client's address.
    :ivar remote_port: its port, or an empty string.
    :ivar prefix: the percent-encoded start of ``path`` that leads to the app, without a slash at
        its end.
    :ivar upgrade: whether it asks to speak WebSocket from here on: :func:`wants_upgrade`.
    :ivar control: what is asked of the responder itself, a value of
        :data:`..fastcgi.CONTROL_PARAM`; empty where the request is the app's.
    """

    method: str
    path: str
    query: str
    version: str
    headers: Sequence[tuple[str, str]]
    host: str
    scheme: str
    remote_addr: str
    remote_port: str
    prefix: str
    upgrade: bool
    control: bytes = b""


def cgi_params(head: RequestHead) -> list[tuple[bytes, bytes]]:
    """The parameters of a request, names and values as bytes.

    Header names with an underscore are left out: ``X_A`` and ``X-A`` would be the same parameter,
    and a client could put one in the place of the other.
    """
    target = f"{head.path}?{head.query}" if head.query else head.path
    name, port = split_host(head.host)
    params = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": fastcgi.GATEWAY_SOFTWARE,
        "REQUEST_METHOD": head.method,
        "QUERY_STRING": head.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_PROTOCOL": head.version,
        "SERVER_NAME": name,
        "SERVER_PORT": port or ("443" if head.scheme == "https" else "80"),
        "REMOTE_ADDR": head.remote_addr,
    }
    if head.remote_port:
        params["REMOTE_PORT"] = head.remote_port
    if head.scheme == "https":
        params["HTTPS"] = "on"
    if head.upgrade:
        # The app does the handshake itself, so it must see what the client asks.
        params |= {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"}
        params[_UPGRADE] = "websocket"
    of_this_hop = _named_by_connection(head.headers)
    for header, value in head.headers:
        lower = header.lower()
        if lower == "content-type":
            params["CONTENT_TYPE"] = value
        elif lower == "content-length":
            params["CONTENT_LENGTH"] = value
        elif lower in _NEVER or lower in of_this_hop or "_" in lower:
            continue
        elif FIELD_NAME.fullmatch(header):  # not all versions of Tornado have seen to that
            key = "HTTP_" + header.upper().replace("-", "_")
            if key in params:
                value = params[key] + ("; " if lower == "cookie" else ", ") + value
            params[key] = value
    pairs = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in params.items()]
    path = head.path.encode("latin-1")
    cut = len(head.prefix)
    pairs.append((b"SCRIPT_NAME", unquote_to_bytes(path[:cut])))
    pairs.append((b"PATH_INFO", unquote_to_bytes(path[cut:])))
    pairs.append((fastcgi.RECEIVED_PARAM, b"%.6f" % time.monotonic()))
    if head.control:
        pairs.append((fastcgi.CONTROL_PARAM, head.control))
    return pairs


def wants_upgrade(method: str, version: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a request asks to speak WebSocket from here on (RFC 6455 §4.2.1).

    :param version: ``HTTP/1.0`` or ``HTTP/1.1``.
    :param headers: name and value of each header line.
    """
    if method != "GET" or version != "HTTP/1.1":
        return False
    found = {name.lower(): value.strip().lower() for name, value in headers}
    return (
        found.get("upgrade") == "websocket"
        and "upgrade" in (option.strip() for option in found.get("connection", "").split(","))
        and found.get("content-length", "0") == "0"
        and "transfer-encoding" not in found
    )


def split_host(host: str) -> tuple[str, str]:
    """Cut ``host:port`` into its two parts; the port may be missing, and IPv6 has brackets."""
    if host.startswith("["):
        end = host.find("]") + 1
        return host[:end], host[end + 1 :]
    name, _, port = host.partition(":")
    return name, port


def _named_by_connection(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The header names, in lower case, that ``Connection`` declares to be of this hop."""
    names: set[str] = set()
    for header, value in headers:
        if header.lower() == "connection":
            names.update(option.strip().lower() for option in value.split(","))
    return frozenset(names)
