"""Requests to the app that the kernel sends itself, where the page cannot."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from ...http_fields import FIELD_NAME
from .answers import Refusal, json_answer
from .questions import base64_field, json_object, text_field

if TYPE_CHECKING:
    from ..mount import Mount

__all__ = ["send_to_app"]

_QUESTION_LIMIT = 16 * 1024 * 1024  # bytes
_BODY_LIMIT = 8 * 1024 * 1024  # bytes of a response that are passed on
_TIMEOUT = 60.0  # seconds
_AT_ONCE = 2  # each holds one of the few links that the panels have
_TAG_HEADER = "X-Flaskserve-Tag"

_places = threading.BoundedSemaphore(_AT_ONCE)


def send_to_app(mount: Mount, request: Request) -> Response:
    """``POST send``: send a request through the mount's address and tell what came back."""
    from ..client.client import RequestFailed, send

    asked = json_object(request, _QUESTION_LIMIT)
    method = text_field(asked, "method", "GET").upper()
    target = text_field(asked, "target", "/")
    headers = _headers(asked)
    if tag := text_field(asked, "tag", ""):
        headers.append((_TAG_HEADER, tag))
    body = base64_field(asked, "body_base64")
    if not FIELD_NAME.fullmatch(method):
        raise Refusal(400, "bad-request", f"{method!r} is not the name of a method.")
    if ".." in unquote(target.partition("?")[0]).replace("\\", "/").split("/"):
        raise Refusal(400, "bad-request", f"The path {target} leads out of the app.")
    if not _places.acquire(blocking=False):
        raise Refusal(
            409, "busy", f"{_AT_ONCE} requests are being sent already. Wait until one has ended."
        )
    try:
        reply = send(mount, method, target, headers, body or None, timeout=_TIMEOUT)
    except RequestFailed as failure:
        raise Refusal(502, "no-answer", str(failure)) from None
    except ValueError as error:  # a method, path or header that cannot be written
        raise Refusal(400, "bad-request", f"This request cannot be sent: {error}.") from None
    finally:
        _places.release()
    notes = [reply.note] if reply.note else []
    if len(reply.body) > _BODY_LIMIT:
        notes.append(f"Only the first {_BODY_LIMIT} bytes of the body are here.")
    return json_answer(
        {
            "status": reply.status,
            "reason": reply.reason,
            "headers": reply.headers,
            "body_base64": base64.b64encode(reply.body[:_BODY_LIMIT]).decode(),
            "ms": round(reply.seconds * 1000, 3),
            "url": reply.url,
            "note": " ".join(notes),
        }
    )


def _headers(asked: dict[str, Any]) -> list[tuple[str, str]]:
    """
    :raises Refusal: they are not a list of names and values.
    """
    headers = []
    given = asked.get("headers", [])
    for field in given if isinstance(given, list) else [None]:
        if not isinstance(field, list) or not all(isinstance(part, str) for part in field):
            break
        if len(field) != 2:
            break
        if field[0].lower() != _TAG_HEADER.lower():
            headers.append((field[0], field[1]))
    else:
        return headers
    raise Refusal(400, "bad-request", "'headers' in the body must be a list of [name, value].")
