"""What is kept of one request and its response.

It costs a request next to nothing: what the responder has in its hands anyway is kept as it is,
the request's ``PARAMS`` and the chunks of both bodies, and looked into only when somebody asks.
"""

from __future__ import annotations

from ... import fastcgi
from ...http_fields import content_length
from ..responder.environ import Environ
from .bodies import BodyRecorder, RecordedBody

__all__ = ["Headers", "Recording", "encode_environ", "header_name"]

Headers = list[tuple[str, str]]

TAG_HEADER = "HTTP_X_FLASKSERVE_TAG"

_HEADER_COST = 200  # bytes that Python takes for a header besides its characters


class Recording:
    """The request and the response of an exchange.

    The request's thread adds to it; any other may read it, and drop parts of it.

    :param params: the content of the request's ``PARAMS`` stream.
    :param limit: how many bytes are kept of each body.
    :ivar status: the response's status line, such as ``200 OK``; empty until there is one.
    :ivar headers: the response's headers as the app gave them.
    :ivar head_size: bytes of the response's head.
    """

    __slots__ = (
        "_declared",
        "_limit",
        "_params",
        "_request",
        "_response",
        "head_size",
        "headers",
        "status",
    )

    def __init__(self, params: bytes, limit: int) -> None:
        self._params = params
        self._limit = limit
        self._declared = 0  # the request's Content-Length, once the params have been dropped
        self._request: BodyRecorder | None = None
        self._response: BodyRecorder | None = None
        self.status = ""
        self.headers: Headers = []
        self.head_size = 0

    def start(self, status: str, headers: Headers) -> None:
        """Note the response's head. It may be replaced by another one."""
        self.status = status
        self.headers = headers

    def add_to_request(self, chunk: bytes) -> None:
        """Note bytes of the request's body that the app has read."""
        if self._request is None:
            self._request = BodyRecorder(self._limit)
        self._request.add(chunk)

    def add_to_response(self, chunk: bytes) -> None:
        """Note bytes of the response's body."""
        if self._response is None:
            self._response = BodyRecorder(self._limit)
        self._response.add(chunk)

    @property
    def params(self) -> dict[str, str]:
        """The request's CGI parameters; none where they have been dropped."""
        return dict(fastcgi.decode_text_pairs(self._params))

    @property
    def request_headers(self) -> Headers:
        """The request's headers as the app saw them."""
        return [
            (header_name(name), value)
            for name, value in self.params.items()
            if (name.startswith("HTTP_") and name not in (TAG_HEADER, "HTTP_PROXY"))
            or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
        ]

    @property
    def request_body(self) -> RecordedBody:
        """What the app has read of the request's body. Its size is what was announced, if that is
        more."""
        recorder = self._request
        size = max(recorder.size if recorder is not None else 0, self._announced)
        return RecordedBody(recorder.data if recorder is not None else b"", size)

    @property
    def response_body(self) -> RecordedBody:
        """The response's body so far."""
        recorder = self._response
        if recorder is None:
            return RecordedBody(b"", 0)
        size = recorder.size  # first, as it may grow
        data = recorder.data
        return RecordedBody(data, max(size, len(data)))

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        weight = len(self._params) + self.head_size + _HEADER_COST * len(self.headers)
        if self._request is not None:
            weight += self._request.weight
        if self._response is not None:
            weight += self._response.weight
        return weight

    def drop_bodies(self) -> None:
        """Keep nothing of the bodies any more, and go on to count them."""
        self._limit = 0
        for recorder in (self._request, self._response):
            if recorder is not None:
                recorder.drop()

    def drop_headers(self) -> None:
        """Keep nothing of the heads any more."""
        self._declared = self._announced
        self._params = b""
        self.headers = []
        self.head_size = 0

    @property
    def _announced(self) -> int:
        """The request's ``Content-Length``, or 0."""
        if not self._params:
            return self._declared
        return content_length(self.params.get("CONTENT_LENGTH", "")) or 0


def header_name(param: str) -> str:
    """The header that a CGI parameter is, in its usual spelling: ``Content-Type``."""
    return param.removeprefix("HTTP_").replace("_", "-").title()


def encode_environ(environ: Environ) -> bytes:
    """The params that a WSGI environ was made of, for one that did not come over a link."""
    return fastcgi.encode_pairs(
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in environ.items()
        if isinstance(value, str) and not name.startswith("wsgi.")
    )
