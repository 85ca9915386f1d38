"""Exchanges as an HTTP Archive (HAR 1.2), which the network panels of browsers open."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from werkzeug.http import parse_cookie

from .. import masking
from ..content_coding import decode
from .shown import field, shown_headers, shown_request_body, shown_url

if TYPE_CHECKING:
    from ..exchange import Exchange
    from ..recording import Headers

__all__ = ["har"]

_DECODED = 4 * 1024 * 1024  # bytes of one body without its content coding
_ALL_BODIES = 96 * 1024 * 1024  # characters of the bodies of all responses but the last one shown
_TEXT_TYPES = ("json", "xml", "javascript", "x-www-form-urlencoded", "graphql")


def har(exchanges: Iterable[Exchange], *, reveal: bool = False) -> dict[str, Any]:
    """The archive as a JSON object.

    :param reveal: whether secrets are in it.
    """
    entries = []
    room = _ALL_BODIES
    for exchange in exchanges:
        entry = _entry(exchange, reveal, room)
        room -= len(entry["response"]["content"].get("text", ""))
        entries.append(entry)
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "jupyter_flaskserve", "version": _version()},
            "entries": entries,
        }
    }


def _version() -> str:
    """This package's version. It is not imported from there, because the package itself knows the
    server's side."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def _entry(exchange: Exchange, reveal: bool, room: int) -> dict[str, Any]:
    timing = exchange.timing
    timings = {
        "blocked": _milliseconds(timing.queue),
        "dns": -1,
        "connect": -1,
        "ssl": -1,
        "send": 0,
        "wait": max(_milliseconds(timing.view), 0),
        "receive": max(_milliseconds(timing.streaming), 0),
    }
    arrived = exchange.started - (timing.queue or 0.0)
    entry = {
        "startedDateTime": datetime.fromtimestamp(arrived, timezone.utc).isoformat(),
        "time": sum(value for value in timings.values() if value > 0),
        "request": _request(exchange, reveal),
        "response": _response(exchange, reveal, room),
        "cache": {},
        "timings": timings,
    }
    if exchange.is_open:
        entry["comment"] = "It has not ended."
    return entry


def _milliseconds(seconds: float | None) -> float:
    return -1 if seconds is None else round(seconds * 1000, 3)


def _request(exchange: Exchange, reveal: bool) -> dict[str, Any]:
    headers = exchange.request_headers
    url = shown_url(exchange, reveal=reveal)
    query = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    cookies = parse_cookie(field(headers, "cookie"))
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": url,
        "httpVersion": exchange.version or "unknown",
        "cookies": [
            {"name": name, "value": value if reveal else masking.MASK}
            for name, value in cookies.items(multi=True)
        ],
        "headers": _named(shown_headers(headers, reveal=reveal)),
        "queryString": _named(query),
        "headersSize": -1,
        "bodySize": exchange.request_body.size,
    }
    body = shown_request_body(exchange, reveal=reveal)
    if body:
        kind = field(headers, "content-type")
        text = _text(body, kind)
        data: dict[str, Any] = {"mimeType": kind, "text": text}
        if text is None:
            data |= {"text": base64.b64encode(body).decode(), "_encoding": "base64"}
        if not exchange.request_body.is_complete:
            data["comment"] = _cut(len(exchange.request_body.data))
        request["postData"] = data
    return request


def _response(exchange: Exchange, reveal: bool, room: int) -> dict[str, Any]:
    headers = exchange.response_headers
    return {
        "status": exchange.status or 0,
        "statusText": exchange.reason,
        "httpVersion": exchange.version or "unknown",
        "cookies": [
            _cookie(value, reveal) for name, value in headers if name.lower() == "set-cookie"
        ],
        "headers": _named(shown_headers(headers, reveal=reveal)),
        "content": _content(exchange, headers, reveal, room),
        "redirectURL": _location(headers, reveal),
        "headersSize": -1,
        "bodySize": exchange.size,
    }


def _content(exchange: Exchange, headers: Headers, reveal: bool, room: int) -> dict[str, Any]:
    body = exchange.response_body
    kind = field(headers, "content-type")
    coding = field(headers, "content-encoding")
    if room <= 0 and body.data:  # before it is decoded, because that takes time
        return {
            "size": body.size,
            "mimeType": kind or "x-unknown",
            "comment": "It is left out, because the archive would get too large.",
        }
    plain = decode(body.data, coding, _DECODED)
    size = body.size if plain is None or not coding else len(plain)
    content: dict[str, Any] = {"size": size, "mimeType": kind or "x-unknown"}
    if coding and body.is_complete and plain is not None:
        content["compression"] = size - body.size
    if plain is None and not reveal:
        content["comment"] = f"Its coding, {coding}, is not known here, so it cannot be masked."
        return content
    shown = body.data if plain is None else plain if reveal else masking.mask_body(plain, kind)
    if not shown:
        return content
    text = _text(shown, kind)
    if text is None:
        content |= {"text": base64.b64encode(shown).decode(), "encoding": "base64"}
    else:
        content["text"] = text
    if not body.is_complete:
        content["comment"] = _cut(len(body.data))
    return content


def _cut(kept: int) -> str:
    return f"Only the first {kept} bytes were kept."


def _text(body: bytes, kind: str) -> str | None:
    """A body as text, where its type says that it is one and its bytes agree."""
    media_type = kind.partition(";")[0].strip().lower()
    if not media_type.startswith("text/") and not any(word in media_type for word in _TEXT_TYPES):
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _named(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _cookie(line: str, reveal: bool) -> dict[str, Any]:
    first, *attributes = (part.strip() for part in line.split(";"))
    name, _, value = first.partition("=")
    cookie: dict[str, Any] = {"name": name, "value": value if reveal else masking.MASK}
    for attribute in attributes:
        key, _, setting = attribute.partition("=")
        if key.lower() in ("path", "domain"):
            cookie[key.lower()] = setting
        elif key.lower() in ("httponly", "secure"):
            cookie[{"httponly": "httpOnly", "secure": "secure"}[key.lower()]] = True
        elif key.lower() == "expires":
            cookie["comment"] = f"expires {setting}"
    return cookie


def _location(headers: Headers, reveal: bool) -> str:
    location = field(headers, "location")
    return location if reveal else masking.mask_header("location", location)
