"""What came back of a request, to look at in the notebook and to go on with in Python."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from email.message import Message
from typing import Any

__all__ = ["Reply", "Sent"]

_TEXT_LIMIT = 10_000  # characters of a body that are shown
_HEX_LIMIT = 256  # the same in bytes, of a body that is not text
_IMAGE_LIMIT = 2_000_000  # bytes of an image that is shown
_TEXT_TYPES = re.compile(r"text/.*|application/(?:.*\+)?(?:xml|javascript|x-www-form-urlencoded)")
_JSON_TYPES = re.compile(r"application/(?:.*\+)?json")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Sent:
    """The request of a reply, without what let it in to Jupyter.

    :ivar headers: the header fields that the caller gave.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, repr=False)
class Reply:
    """A response.

    :ivar status: its status, such as ``200``.
    :ivar reason: its reason phrase, as it came.
    :ivar headers: its header fields in order, duplicates included.
    :ivar body: its body.
    :ivar request: what it answers.
    :ivar connect_seconds: how long connecting took.
    :ivar first_byte_seconds: how long it took until the response began, from the start.
    :ivar seconds: how long it took to its end, from the start.
    :ivar note: why the body is not whole, if it is not; otherwise empty.
    :ivar history: the redirects that were followed, oldest first.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    request: Sent
    connect_seconds: float
    first_byte_seconds: float
    seconds: float
    note: str = ""
    history: tuple[Reply, ...] = ()

    @property
    def url(self) -> str:
        """What was asked for."""
        return self.request.url

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def text(self) -> str:
        """The body as text, in the charset that the response names or in UTF-8."""
        try:
            return self.body.decode(self._charset, "replace")
        except (LookupError, ValueError):  # there is no such charset
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body, which is JSON.

        :raises ValueError: it is not.
        """
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of a header field, or ``None`` where there is none."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    def __repr__(self) -> str:
        return f"<Reply {self._status_line} · {self.request.method} {_printable(self.url)}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self._as_text(), "text/html": self._as_html()}

    def _as_text(self) -> str:
        redirects = [f"{each._status_line} {_printable(each.url)}" for each in self.history]
        fields = [_printable(f"{name}: {value}") for name, value in self.headers]
        lines = [*redirects, f"{self._status_line} · {self._asked}", self._timing, "", *fields]
        if self.body:
            lines += ["", self._body_as_text()]
        if self.note:
            lines += ["", f"[{self.note}]"]
        return "\n".join(lines)

    def _as_html(self) -> str:
        redirects = "".join(
            f"<div>{html.escape(f'{each._status_line} {_printable(each.url)}')}</div>"
            for each in self.history
        )
        fields = "".join(
            f"<div><b>{html.escape(_printable(name))}</b>: {html.escape(_printable(value))}</div>"
            for name, value in self.headers
        )
        note = f"<div><em>{html.escape(self.note)}</em></div>" if self.note else ""
        return (
            f"{redirects}<div><b>{html.escape(self._status_line)}</b> · {html.escape(self._asked)}"
            f"</div><div><small>{html.escape(self._timing)}</small></div>"
            f'<details open><summary>{len(self.headers)} headers</summary><div style="font-family:'
            f' monospace; overflow-wrap: anywhere">{fields}</div></details>'
            f"{self._body_as_html()}{note}"
        )

    @property
    def _status_line(self) -> str:
        return f"{self.status} {_printable(self.reason)}".rstrip()

    @property
    def _asked(self) -> str:
        return f"{self.request.method} {_printable(self.url)}"

    @property
    def _timing(self) -> str:
        return (
            f"connected in {_milliseconds(self.connect_seconds)}, first byte after"
            f" {_milliseconds(self.first_byte_seconds)}, {_size(self.body)} after"
            f" {_milliseconds(self.seconds)}"
        )

    @property
    def _type(self) -> Message:
        message = Message()
        message["Content-Type"] = self.header("Content-Type") or "application/octet-stream"
        return message

    @property
    def _charset(self) -> str:
        return self._type.get_content_charset("utf-8")

    def _body_as_text(self) -> str:
        text = self._pretty()
        if text is None:
            media_type = self._type.get_content_type()
            if media_type.startswith("image/"):
                return f"[{media_type}, {_size(self.body)}]"
            return _hex(self.body)
        return _cut(_printable(text))

    def _body_as_html(self) -> str:
        if not self.body:
            return ""
        media_type = self._type.get_content_type()
        if media_type.startswith("image/") and not self._is_encoded:
            if len(self.body) <= _IMAGE_LIMIT:
                data = base64.b64encode(self.body).decode()
                return (
                    f'<img src="data:{html.escape(media_type)};base64,{data}"'
                    ' alt="the body of the response" style="max-width: 100%">'
                )
            return f"<div>[{html.escape(media_type)}, {_size(self.body)}]</div>"
        return f'<pre style="white-space: pre-wrap">{html.escape(self._body_as_text())}</pre>'

    @property
    def _is_encoded(self) -> bool:
        return (self.header("Content-Encoding") or "identity").lower() != "identity"

    def _pretty(self) -> str | None:
        """The body as text for people; ``None`` where it is no text."""
        media_type = self._type.get_content_type()
        if self._is_encoded or (media_type.startswith("image/") and "svg" not in media_type):
            return None
        if _JSON_TYPES.fullmatch(media_type):
            try:
                return json.dumps(self.json(), indent=2, ensure_ascii=False)
            except (ValueError, RecursionError):
                return self.text
        if _TEXT_TYPES.fullmatch(media_type) or "svg" in media_type:
            return self.text
        try:
            text = self.body.decode()
        except UnicodeDecodeError:
            return None
        return None if _CONTROLS.search(text.replace("\r", "")) else text


def _printable(text: str) -> str:
    """Text without characters that would move the cursor or colour what follows."""
    text = text.replace("\r\n", "\n")
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _cut(text: str) -> str:
    more = len(text) - _TEXT_LIMIT
    return text if more <= 0 else f"{text[:_TEXT_LIMIT]}\n… [{more} more characters]"


def _hex(data: bytes) -> str:
    lines = []
    for start in range(0, min(len(data), _HEX_LIMIT), 16):
        part = data[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):47}  {shown}")
    if len(data) > _HEX_LIMIT:
        lines.append(f"… [{len(data) - _HEX_LIMIT} more bytes]")
    return "\n".join(lines)


def _size(data: bytes) -> str:
    return "1 byte" if len(data) == 1 else f"{len(data)} bytes"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
