"""What a request to the inspector says: the query's values and the JSON of a body, checked."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from werkzeug.wrappers import Request

from .answers import Refusal

__all__ = ["base64_field", "flag", "json_object", "number_of", "text_field", "whole"]

_BODY_LIMIT = 1024 * 1024  # bytes
_BIGGEST = 2**53 - 1  # the largest whole number that JSON carries everywhere


def flag(request: Request, name: str) -> bool:
    """A value of the query that is ``0``, which is the default, or ``1``.

    :raises Refusal: it is anything else.
    """
    given = request.args.get(name, "0")
    if given not in ("0", "1"):
        raise Refusal(400, "bad-request", f"The value of {name!r} in the query must be 0 or 1.")
    return given == "1"


def number_of(request: Request, name: str, default: int) -> int:
    """A value of the query that is a whole number, not below 0.

    :raises Refusal: it is anything else.
    """
    given = request.args.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < 16):
        raise Refusal(
            400, "bad-request", f"The value of {name!r} in the query must be a whole number."
        )
    return int(given)


def json_object(request: Request, limit: int = _BODY_LIMIT) -> dict[str, Any]:
    """The JSON object that is the request's body.

    Only such bodies are taken, which no form of another page can send.

    :param limit: the largest body, in bytes.
    :raises Refusal: it is not one, or it is too large.
    """
    if request.mimetype != "application/json":
        raise Refusal(400, "bad-request", "Send JSON, with Content-Type: application/json.")
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    data = request.stream.read(limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "bad-request", "The body must be a JSON object.")
    return found


def text_field(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text in a JSON object.

    :param default: what stands for one that is missing; without it there must be one.
    :raises Refusal: it is missing or no text.
    """
    found = body.get(name)
    if found is None and default is not None:
        return default
    if not isinstance(found, str):
        raise Refusal(400, "bad-request", f"{name!r} in the body must be a text.")
    return found


def base64_field(body: dict[str, Any], name: str) -> bytes:
    """Bytes in a JSON object, as base64; none where it is missing.

    :raises Refusal: it is no base64.
    """
    try:
        return base64.b64decode(text_field(body, name, ""), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, "bad-request", f"{name!r} in the body must be base64.") from None


def whole(value: object, name: str) -> int:
    """A whole number in a JSON object, not below 0.

    :raises Refusal: it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _BIGGEST:
        raise Refusal(400, "bad-request", f"{name!r} in the body must be a whole number.")
    return value


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "too-large", f"The body must not be larger than {limit} bytes.")
