"""An HTTP request as CGI parameters (RFC 3875 §4.1)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from .. import fastcgi
from ..http_fields import FIELD_NAME

__all__ = [
    "HOP_BY_HOP",
    "RequestHead",
    "cgi_params",
    "header_params",
    "split_host",
    "wants_upgrade",
]

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

_SOFTWARE = fastcgi.GATEWAY_SOFTWARE.encode()
_OF_BODY = frozenset((b"CONTENT_TYPE", b"CONTENT_LENGTH"))

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
    :ivar encoded_headers: its header lines, as :func:`header_params` encodes them.
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
    encoded_headers: bytes
    host: str
    scheme: str
    remote_addr: str
    remote_port: str
    prefix: str
    upgrade: bool
    control: bytes = b""


def cgi_params(head: RequestHead) -> bytes:
    """The parameters of a request, encoded (FastCGI 1.0 §3.4)."""
    path = head.path.encode("latin-1")
    query = head.query.encode("latin-1")
    target = b"%b?%b" % (path, query) if query else path
    params = [
        (b"QUERY_STRING", query),
        (b"REQUEST_URI", target),
        (b"RAW_URI", target),
        (b"PATH_INFO", unquote_to_bytes(path[len(head.prefix) :])),
        (fastcgi.RECEIVED_PARAM, b"%.6f" % time.monotonic()),
    ]
    if head.remote_port:
        params.append((b"REMOTE_PORT", head.remote_port.encode("latin-1")))
    if head.upgrade:
        # The app does the handshake itself, so it must see what the client asks.
        params += (
            (b"HTTP_CONNECTION", b"Upgrade"),
            (b"HTTP_UPGRADE", b"websocket"),
            (fastcgi.UPGRADE_PARAM, b"websocket"),
        )
    if head.control:
        params.append((fastcgi.CONTROL_PARAM, head.control))
    of_address = _address_params(
        head.method, head.version, head.scheme, head.host, head.remote_addr, head.prefix
    )
    return of_address + fastcgi.encode_pairs(params) + head.encoded_headers


@lru_cache(maxsize=64)  # a client may spell the host in 64 KiB
def _address_params(
    method: str, version: str, scheme: str, host: str, remote_addr: str, prefix: str
) -> bytes:
    """The parameters that are the same for all requests of a client to an app."""
    name, port = split_host(host)
    params = [
        (b"GATEWAY_INTERFACE", b"CGI/1.1"),
        (b"SERVER_SOFTWARE", _SOFTWARE),
        (b"REQUEST_METHOD", method.encode("latin-1")),
        (b"SERVER_PROTOCOL", version.encode("latin-1")),
        (b"SERVER_NAME", name.encode("latin-1")),
        (b"SERVER_PORT", port.encode("latin-1") or (b"443" if scheme == "https" else b"80")),
        (b"REMOTE_ADDR", remote_addr.encode("latin-1")),
        (b"SCRIPT_NAME", unquote_to_bytes(prefix.encode("latin-1"))),
    ]
    if scheme == "https":
        params.append((b"HTTPS", b"on"))
    return fastcgi.encode_pairs(params)


def header_params(headers: Iterable[tuple[str, str]]) -> bytes:
    """The parameters that header lines become, encoded (FastCGI 1.0 §3.4).

    Header names with an underscore are left out: ``X_A`` and ``X-A`` would be the same parameter,
    and a client could put one in the place of the other.

    :param headers: name and value of each header line.
    """
    lines = list(headers)
    params: dict[bytes, bytes] = {}
    of_this_hop = _named_by_connection(lines)
    for header, text in lines:
        parameter = _parameter(header)
        if parameter is None:
            continue
        if of_this_hop and parameter not in _OF_BODY and header.lower() in of_this_hop:
            continue
        value = text.encode("latin-1")
        if parameter in params and parameter not in _OF_BODY:
            between = b"; " if parameter == b"HTTP_COOKIE" else b", "
            value = params[parameter] + between + value
        params[parameter] = value
    return fastcgi.encode_pairs(params.items())


@lru_cache(maxsize=1024)
def _parameter(header: str) -> bytes | None:
    """The parameter that a header becomes, or ``None`` where it becomes none."""
    lower = header.lower()
    if lower in ("content-type", "content-length"):
        return lower.upper().replace("-", "_").encode()  # they are in _OF_BODY
    # Not all versions of Tornado have seen to it that it is a name at all.
    if lower in _NEVER or "_" in lower or not FIELD_NAME.fullmatch(header):
        return None
    return b"HTTP_" + header.upper().replace("-", "_").encode()


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
        if len(header) == 10 and header.lower() == "connection":
            names.update(option.strip().lower() for option in value.split(","))
    return frozenset(names)
