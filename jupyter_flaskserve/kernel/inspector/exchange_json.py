"""An exchange in JSON: its row in the list, and all that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import UUID

from werkzeug.http import parse_cookie

from ..exchanges import masking, sessions, tracebacks
from ..exchanges.representation import LATE, within
from .discretion import Discretion
from .viewing import request_body, response_body

if TYPE_CHECKING:
    from ..exchanges.exchange import Exchange
    from ..mount import Mount

__all__ = ["detail", "row"]

_PATIENCE = 2.0  # seconds for the reprs of the notebook's objects
_PLAIN = (str, int, float, UUID)  # whose repr is quick


def row(exchange: Exchange) -> dict[str, Any]:
    """What the list shows of an exchange."""
    duration = exchange.duration
    return {
        "n": exchange.number,
        "method": exchange.method,
        "path": exchange.masked_path,
        "status": exchange.status,
        "ms": _milliseconds(duration),
        "size": exchange.size,
        "at": exchange.started,
        "endpoint": exchange.endpoint,
        "kind": exchange.kind,
        "open": duration is None,
        "failed": exchange.failed,
        "in": exchange.messages_in,
        "out": exchange.messages_out,
        "tag": exchange.tag,
    }


def detail(mount: Mount, exchange: Exchange, *, reveal: bool) -> dict[str, Any]:
    """All that is known of an exchange, but for the data of its bodies.

    :param reveal: whether secrets are shown.
    """
    discretion = Discretion(reveal)
    start, output = exchange.output_from(0)
    queue, view, streaming, total = map(_milliseconds, exchange.timing)
    found = {
        "row": row(exchange),
        "request": _request(exchange, discretion),
        "response": None if exchange.status is None else _response(exchange, discretion),
        "timing": {
            "queue_ms": queue,
            "view_ms": view,
            "streaming_ms": streaming,
            "total_ms": total,
        },
        "rule": exchange.rule,
        "output": {"text": output, "before": start},
        "arguments": _arguments(exchange, discretion),
        "traceback": _traceback(exchange, discretion),
        "session": _session(mount, exchange, discretion),
    }
    return {
        **found,
        "revealed": reveal,
        "has_secrets": discretion.found,
        "debug": f"%flaskserve debug {mount.name} {exchange.number}",
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _request(exchange: Exchange, discretion: Discretion) -> dict[str, Any]:
    headers = exchange.request_headers
    cookies = [value for name, value in headers if name.lower() == "cookie"]
    url = exchange.url
    address, mark, query = url.partition("?")
    address = masking.mask_path(masking.mask_url(address), exchange.arguments)
    pairs = parse_qsl(query, keep_blank_values=True, errors="replace")
    return {
        "method": exchange.method,
        "url": discretion.choose(url, address + mark + masking.mask_query(query)),
        "version": exchange.version,
        "client": exchange.client,
        "headers": discretion.headers(headers),
        "args": discretion.fields(pairs),
        "cookies": discretion.fields(
            parse_cookie("; ".join(cookies)).items(multi=True), every=True
        ),
        "body": request_body(exchange).describe(discretion),
    }


def _response(exchange: Exchange, discretion: Discretion) -> dict[str, Any]:
    headers = exchange.response_headers
    cookies = []
    for name, value in headers:
        if name.lower() == "set-cookie":
            cookie, _, attributes = value.partition(";")
            key, _, content = cookie.partition("=")
            [(key, content, masked)] = discretion.fields([(key.strip(), content)], every=True)
            cookies.append((key, content, attributes.strip(), masked))
    return {
        "status": exchange.status,
        "reason": exchange.reason,
        "headers": discretion.headers(headers),
        "cookies": cookies,
        "body": response_body(exchange).describe(discretion),
    }


def _arguments(exchange: Exchange, discretion: Discretion) -> dict[str, str]:
    """The arguments of the rule, which may be objects of a converter of the notebook's own."""
    made: dict[str, str] = {}

    def make() -> None:
        for name, value in exchange.arguments.items():
            made[name] = discretion.variable(name, value)

    if all(type(value) in _PLAIN for value in exchange.arguments.values()):
        make()
    else:
        within(_PATIENCE, make)
    return {name: made.get(name, LATE) for name in exchange.arguments}


def _traceback(exchange: Exchange, discretion: Discretion) -> dict[str, Any] | None:
    trace = tracebacks.describe(exchange, reveal=discretion.reveal)
    for frame in trace["frames"] if trace is not None else ():
        for name, _, is_masked in frame["variables"]:
            discretion.found = discretion.found or is_masked or masking.is_secret(name)
    return trace


def _session(mount: Mount, exchange: Exchange, discretion: Discretion) -> dict[str, Any] | None:
    masked = sessions.decode(mount.app, exchange)
    return discretion.choose(sessions.decode(mount.app, exchange, reveal=True), masked)
