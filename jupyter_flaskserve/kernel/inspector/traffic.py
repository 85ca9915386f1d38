"""The exchanges of a mount, as the panel of requests asks for them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from . import viewing
from .answers import Refusal, bytes_answer, json_answer
from .discretion import Discretion
from .exchange_json import detail as exchange_detail
from .exchange_json import row
from .questions import flag, json_object, number_of, text_field, whole

if TYPE_CHECKING:
    from ..exchanges.exchange import Exchange
    from ..mount import Mount

__all__ = [
    "copy",
    "detail",
    "har",
    "request_body",
    "resend",
    "response_body",
    "rows",
    "statistics",
]

_PIECE = 65536  # bytes of a body given at a time, where nothing else is asked for
_LARGEST_PIECE = 8 * 1024 * 1024

# Headers of a connection, and those that a browser or the server sets itself.
_NOT_RESENT = frozenset(
    ("connection", "content-length", "cookie", "expect", "host", "upgrade", "x-xsrftoken")
)


def rows(mount: Mount, request: Request) -> Response:
    """``POST rows``: the exchanges that are new, and those that were open, as they are now."""
    asked = json_object(request)
    exchanges = mount.requests
    generation = exchanges.generation
    after = whole(asked.get("after", 0), "after")
    again = asked.get("open", [])
    if not isinstance(again, list):
        raise Refusal(400, "bad-request", "'open' in the body must be a list of numbers.")
    numbers = {whole(number, "open") for number in again}
    if asked.get("generation") != generation:
        after, numbers = 0, set()
    tag = text_field(asked, "tag", "")
    revision, last, cleared = mount.revision, exchanges.last_number, exchanges.cleared
    kept = exchanges.since(0)  # first and last are told as of this moment, so none is missed
    if kept:
        last = kept[-1].number
    return json_answer(
        {
            "generation": generation,
            "revision": revision,
            "stopped": mount.stopped,
            "first": kept[0].number if kept else last + 1,
            "last": last,
            "cleared": cleared,
            "rows": [
                row(exchange)
                for exchange in kept
                if (exchange.number > after or exchange.number in numbers)
                and (not tag or exchange.tag == tag)
            ],
        }
    )


def detail(mount: Mount, request: Request, number: int) -> Response:
    """``GET exchanges/N``: all that is known of an exchange."""
    exchange = _exchange(mount, number)
    return json_answer(exchange_detail(mount, exchange, reveal=flag(request, "reveal")))


def request_body(mount: Mount, request: Request, number: int) -> Response:
    """``GET exchanges/N/request-body``: a part of the request's body."""
    return _piece(viewing.request_body, mount, request, number)


def response_body(mount: Mount, request: Request, number: int) -> Response:
    """``GET exchanges/N/response-body``: a part of the response's body."""
    return _piece(viewing.response_body, mount, request, number)


def copy(mount: Mount, request: Request, number: int) -> Response:
    """``GET exchanges/N/copy?as=curl``: code that sends the request again."""
    exchange = _exchange(mount, number)
    reveal = flag(request, "reveal")
    forms: dict[str | None, Callable[..., str]] = {
        "curl": exchange.as_curl,
        "requests": exchange.as_requests,
        "test_client": exchange.as_test_client,
    }
    make = forms.get(request.args.get("as"))
    if make is None:
        raise Refusal(400, "bad-request", "It can be copied as curl, requests or test_client.")
    return json_answer({"text": make(reveal=reveal)})


def resend(mount: Mount, request: Request, number: int) -> Response:
    """``GET exchanges/N/resend``: what is to be sent to ask the same again, secrets included."""
    exchange = _exchange(mount, number)
    body = exchange.request_body
    return json_answer(
        {
            "method": exchange.method,
            "target": exchange.target,
            "headers": [
                (name, value)
                for name, value in exchange.request_headers
                if name.lower() not in _NOT_RESENT
            ],
            "body_base64": base64.b64encode(body.data).decode(),
            "complete": body.is_complete,
        }
    )


def statistics(mount: Mount, request: Request) -> Response:
    """``GET statistics``: how many there were of each endpoint, and how long they took."""
    return json_answer(mount.requests.statistics.as_dict())


def har(mount: Mount, request: Request) -> Response:
    """``GET har``: all exchanges as an HTTP Archive."""
    return json_answer(mount.requests.to_har(reveal=flag(request, "reveal")))


def _piece(
    body_of: Callable[[Exchange], viewing.Body], mount: Mount, request: Request, number: int
) -> Response:
    offset = number_of(request, "offset", 0)
    limit = min(number_of(request, "limit", _PIECE), _LARGEST_PIECE)
    data = body_of(_exchange(mount, number)).data(Discretion(flag(request, "reveal")))
    return bytes_answer(data[offset : offset + limit], len(data))


def _exchange(mount: Mount, number: int) -> Exchange:
    """
    :raises Refusal: it is not kept.
    """
    exchanges = mount.requests
    exchange = exchanges.numbered(number)
    if exchange is not None:
        return exchange
    if not 0 < number <= exchanges.last_number:
        message = f"There has been no request number {number}."
    elif number <= exchanges.cleared:
        message = f"Request number {number} has been cleared."
    else:
        message = f"Request number {number} is not kept any more: there were too many since."
    raise Refusal(404, "not-found", message)
