"""What an export shows of an exchange: all of it, or without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import masking

if TYPE_CHECKING:
    from ..exchange import Exchange
    from ..recording import Headers

__all__ = ["field", "shown_headers", "shown_request_body", "shown_target", "shown_url"]


def shown_url(exchange: Exchange, *, reveal: bool) -> str:
    """The whole address."""
    return exchange.url if reveal else _masked(exchange, exchange.url)


def shown_target(exchange: Exchange, *, reveal: bool) -> str:
    """The path under the mount and the query."""
    return exchange.target if reveal else _masked(exchange, exchange.target)


def shown_headers(headers: Headers, *, reveal: bool) -> Headers:
    """Names and values of headers."""
    return (
        headers if reveal else [(name, shown) for name, shown, _ in masking.mask_headers(headers)]
    )


def shown_request_body(exchange: Exchange, *, reveal: bool) -> bytes:
    """The request's body. One with a content coding is masked as a whole."""
    data = exchange.request_body.data
    if reveal or not data:
        return data
    if field(exchange.request_headers, "content-encoding"):
        return masking.MASK.encode()
    return masking.mask_body(data, field(exchange.request_headers, "content-type"))


def field(headers: Headers, name: str) -> str:
    """The value of the first header with a name, given in lower case; empty where there is none."""
    return next((value for known, value in headers if known.lower() == name), "")


def _masked(exchange: Exchange, url: str) -> str:
    path, mark, query = url.partition("?")
    masked = masking.mask_path(masking.mask_url(path), exchange.arguments)
    return masked + mark + masking.mask_query(query)
