"""Request and response of an exchange as Werkzeug's own objects, made of what is kept."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from ... import fastcgi
from ..responder.environ import make_environ
from .recording import TAG_HEADER

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["RecordedRequest", "RecordedResponse", "recorded_request", "recorded_response"]


class RecordedRequest(Request):
    """A request that has been. Where its body was cut, what is parsed of it may be too little;
    see :attr:`Exchange.request_body`.

    :ivar masked_path: its path and query under the mount, without secrets.
    """

    max_content_length = None  # it is kept already
    max_form_memory_size = None
    max_form_parts = 1_000_000
    masked_path = ""

    def __repr__(self) -> str:
        """Without secrets: what a cell shows is saved with its notebook."""
        return f"<{type(self).__name__} {self.masked_path!r} [{self.method}]>"


class RecordedResponse(Response):
    """A response that has been, with the attributes that a test client's has.

    :ivar request: what it answered.
    """

    default_mimetype = None
    request: RecordedRequest

    @property
    def text(self) -> str:
        """The body as text."""
        return self.get_data(as_text=True)


def recorded_request(params: dict[str, str], body: bytes) -> RecordedRequest:
    """A request made of its CGI parameters and its body, as far as they are kept."""
    environ = make_environ(
        fastcgi.encode_pairs(
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in params.items()
            if name != TAG_HEADER and not name.startswith("FLASKSERVE_")
        )
    )
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.errors"] = io.StringIO()
    return RecordedRequest(environ)


def recorded_response(exchange: Exchange) -> RecordedResponse:
    """The response of an exchange that has one."""
    status = f"{exchange.status} {exchange.reason}".rstrip()
    response = RecordedResponse(
        [exchange.response_body.data], status=status, headers=exchange.response_headers
    )
    response.request = exchange.request
    return response
