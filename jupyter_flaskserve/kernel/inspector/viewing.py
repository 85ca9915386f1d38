"""What is kept of a body, as people look at it: unpacked, and without secrets unless they ask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from werkzeug.http import parse_options_header

from ..exchanges import content_coding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..exchanges.bodies import RecordedBody
    from ..exchanges.exchange import Exchange
    from .discretion import Discretion

__all__ = ["Body", "request_body", "response_body"]

_UNPACKED_LIMIT = 8 * 1024 * 1024  # bytes of an unpacked body
_FIELDS_LIMIT = 500  # fields of a form that are listed
_VALUE_LIMIT = 16 * 1024  # characters of one that are shown

_JSON = re.compile(r"application/(?:.*\+)?json|text/json")
_TEXT = re.compile(r"text/.*|application/(?:.*\+)?(?:xml|javascript|ecmascript|yaml|toml|sql)")
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_SNIFFED = 1024  # bytes by which a body of no known type is judged


@dataclass(frozen=True)
class Body:
    """A body and what its headers say of it.

    :ivar recorded: what is kept, as it went over the wire.
    :ivar content_type: its ``Content-Type``, or an empty string.
    :ivar encoding: its ``Content-Encoding`` in lower case, or an empty string.
    :ivar exchange: the exchange whose request's body it is; ``None`` for a response's.
    """

    recorded: RecordedBody
    content_type: str
    encoding: str
    exchange: Exchange | None = None

    def data(self, discretion: Discretion) -> bytes:
        """The body as it is shown, as far as it is kept."""
        data = self._unpacked
        return self.recorded.data if data is None else discretion.body(data, self.content_type)

    def describe(self, discretion: Discretion) -> dict[str, Any]:
        """What the panels are told of it, without the data."""
        data = self._unpacked
        kind = self._kind(data)
        return {
            "size": self.recorded.size,
            "kept": len(self.recorded.data),
            "type": self._media_type,
            "charset": self._charset,
            "kind": kind,
            "encoding": self.encoding,
            "masked": data is not None and discretion.body(data, self.content_type) != data,
            "fields": None if data is None else self._fields(kind, data, discretion),
        }

    @property
    def _unpacked(self) -> bytes | None:
        """The body without its content coding; ``None`` where that is none we know."""
        if self.encoding in ("", "identity"):
            return self.recorded.data
        return content_coding.decode(self.recorded.data, self.encoding, _UNPACKED_LIMIT)

    @property
    def _media_type(self) -> str:
        return parse_options_header(self.content_type)[0].lower()

    @property
    def _charset(self) -> str:
        return parse_options_header(self.content_type)[1].get("charset", "").lower()

    def _kind(self, data: bytes | None) -> str:
        media_type = self._media_type
        if not self.recorded.size:
            return "empty"
        if data is None:
            return "binary"
        for kind, applies in (
            ("json", _JSON.fullmatch(media_type)),
            ("form", media_type == "application/x-www-form-urlencoded"),
            ("multipart", media_type == "multipart/form-data"),
            ("html", media_type in ("text/html", "application/xhtml+xml")),
            ("image", media_type.startswith("image/")),
            ("text", _TEXT.fullmatch(media_type)),
            ("text", not media_type and data and not _CONTROLS.search(data[:_SNIFFED])),
        ):
            if applies:
                return kind
        return "binary"

    def _fields(
        self, kind: str, data: bytes, discretion: Discretion
    ) -> list[tuple[str, str, bool, str | None]] | None:
        """Name, value, whether that is masked, and a file's name, of each field of a form."""
        files: list[tuple[str, str, bool, str | None]] = []
        pairs: Iterable[tuple[str, str]]
        if kind == "form":
            text = data.decode("utf-8", "replace")
            pairs = parse_qsl(text, keep_blank_values=True, errors="replace")
        elif kind == "multipart" and self.exchange is not None and not self.encoding:
            try:
                with self.exchange.request as request:
                    pairs = list(request.form.items(multi=True))
                    for name, file in request.files.items(multi=True):
                        size = len(file.stream.read())
                        files.append((name, f"{size} bytes", False, file.filename or ""))
            except ValueError:  # it was cut, or is malformed
                return None
        else:
            return None
        fields = discretion.fields((name, _cut(value)) for name, value in pairs)
        return [*((*field, None) for field in fields), *files][:_FIELDS_LIMIT]


def request_body(exchange: Exchange) -> Body:
    """The body of an exchange's request."""
    headers = exchange.request_headers
    return _body(exchange.request_body, headers, exchange)


def response_body(exchange: Exchange) -> Body:
    """The body of an exchange's response."""
    return _body(exchange.response_body, exchange.response_headers, None)


def _body(
    recorded: RecordedBody, headers: list[tuple[str, str]], exchange: Exchange | None
) -> Body:
    found = {name.lower(): value for name, value in headers}
    return Body(
        recorded,
        found.get("content-type", ""),
        found.get("content-encoding", "").strip().lower(),
        exchange,
    )


def _cut(value: str) -> str:
    more = len(value) - _VALUE_LIMIT
    return value if more <= 0 else f"{value[:_VALUE_LIMIT]}… [{more} more characters]"
