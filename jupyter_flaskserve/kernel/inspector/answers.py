"""What the inspector answers with: JSON, bytes that no browser runs, or why it does not answer."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.wrappers import Response

__all__ = ["Refusal", "bytes_answer", "json_answer", "refusal_answer"]


class Refusal(Exception):
    """A question that is not answered as asked.

    :ivar status: the HTTP status that says so.
    :ivar code: the kind of refusal as one word for programs, such as ``not-found``.
    :ivar message: what is wrong and what to do, in one or two sentences.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def json_answer(value: Any, status: int = 200) -> Response:
    """An answer in JSON (RFC 8259), in ASCII, so that texts which are not UTF-8 pass as well."""
    try:
        body = _encode(value)
    except ValueError:  # NaN and the infinities, of an app's session for example, have no JSON
        body = _encode(json.loads(json.dumps(value), parse_constant=str))
    return Response(body, status, content_type="application/json")


def refusal_answer(refusal: Refusal) -> Response:
    """The answer to a question that is not answered."""
    return json_answer({"error": refusal.code, "message": refusal.message}, refusal.status)


def bytes_answer(data: bytes, total: int) -> Response:
    """A part of some bytes, which are shown as what they are by nobody but the panels.

    :param total: how many there are in all.
    """
    response = Response(data, content_type="application/octet-stream")
    response.headers["Flaskserve-Total"] = str(total)
    return response


def _encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
