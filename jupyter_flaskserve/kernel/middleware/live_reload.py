"""Live reload: an open page of an app loads itself again after a cell has changed the app.

:func:`with_reload_script` adds a script to the app's HTML pages. The script asks the server for the
revision of the mount, which the kernel counts up when a cell changes what the app answers.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..responder.environ import Environ
    from ..responder.wsgi import WSGIApp

__all__ = ["RELOAD_SCRIPT_KEY", "with_reload_script"]

RELOAD_SCRIPT_KEY = "flaskserve.reload_script"
"""Where a request's environ has the script's address, for pages that do not pass the wrapper."""

_PAGES = ("document", "iframe", "frame", "embed", "object")  # of Sec-Fetch-Dest
_END_OF_BODY = re.compile(rb"</body\s*>", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]+)", re.IGNORECASE)

# What says something about the bytes of a page, and is wrong once they have changed. A page that
# has no validator is never answered with 304, nor in part.
_OF_THE_BYTES = (
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
)
_CONDITIONS = (
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_RANGE",
    "HTTP_RANGE",
)


def with_reload_script(app: WSGIApp, src: str) -> WSGIApp:
    """Add a script to the HTML pages of an app; everything else passes as it is.

    The script is put before the last ``</body>`` where that is in the last chunk of the page, and
    else at the page's end. No chunk waits for the next one, but for what follows ``</body>``.

    A page is an answer to a browser that is to show it, with a body of type ``text/html`` that is
    not encoded. Its ``Content-Length`` is mended and its validators are dropped. A browser that
    asks for a page with the validators it has from before is given the page as a whole. A page
    that came of a form that was sent is left as it is: to load it again would send the form again.

    :param app: the WSGI app.
    :param src: the script's address.
    """
    tag = f'<script src="{html.escape(src)}" defer></script>'.encode()

    def with_script(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("REQUEST_METHOD") != "GET" or not _asks_for_page(environ):
            return app(environ, start_response)
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            for condition in _CONDITIONS:
                environ.pop(condition, None)
        environ[RELOAD_SCRIPT_KEY] = src
        page = _Page(start_response, tag)
        iterable = app(environ, page.start_response)
        return page.answer(iterable)

    return with_script


def _asks_for_page(environ: Environ) -> bool:
    """Whether the answer may be a page that is shown, and not a part of one that a script loads."""
    return environ.get("HTTP_SEC_FETCH_DEST", "document") in _PAGES


class _Page:
    """The answer to one request."""

    def __init__(self, start_response: Callable[..., Any], tag: bytes) -> None:
        self._start_response = start_response
        self._tag = tag
        self._started = False
        self._is_page = False
        self._missing: int | None = None  # bytes to come of the app's Content-Length, if it has one
        self._held = b""  # a </body> and what follows it, until it is known whether it is the last

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's ``start_response``, as the app sees it."""
        self._started = True
        self._is_page = _is_page(status, headers)
        if self._is_page:
            length = _header(headers, "content-length")
            self._missing = int(length) if length is not None and length.isdecimal() else None
            headers = [field for field in headers if field[0].lower() not in _OF_THE_BYTES]
            if self._missing is not None:
                headers.append(("Content-Length", str(self._missing + len(self._tag))))
            headers.append(("Vary", "Sec-Fetch-Dest"))
        write = self._start_response(status, headers, *([exc_info] if exc_info else []))

        def write_page(data: bytes) -> None:
            write(self._pass(data) if self._is_page else data)

        return write_page

    def answer(self, iterable: Iterable[bytes]) -> Iterable[bytes]:
        """What the server is given in place of what the app returned."""
        if self._started and not self._is_page:
            return iterable
        if isinstance(iterable, (str, bytes)):
            return iterable  # the server says what is wrong with it
        if self._started and isinstance(iterable, (list, tuple)) and self._missing is None:
            whole = b"".join(iterable)
            self._missing = len(whole)
            return [self._pass(whole) if whole else self._end()]
        return _Chunks(self, iterable)

    def chunks(self, iterable: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of the app, and the script in or after the last one."""
        for chunk in iterable:
            yield self._pass(chunk) if self._is_page else chunk
        if self._is_page and (rest := self._end()):
            yield rest

    def _pass(self, chunk: bytes) -> bytes:
        """What is to be sent when the app has given ``chunk``."""
        if not chunk:
            return chunk
        data, self._held = self._held + chunk, b""
        if self._missing is not None:
            self._missing -= len(chunk)
        ends = list(_END_OF_BODY.finditer(chunk))
        if ends:
            position = len(data) - len(chunk) + ends[-1].start()
            data, self._held = data[:position], data[position:]
        if self._missing == 0:
            data += self._end()
        return data

    def _end(self) -> bytes:
        """The script and what was held back, once."""
        rest, self._held, self._tag = self._tag + self._held, b"", b""
        return rest


class _Chunks:
    """An app's iterable with the script in it; its ``close()`` is the app's."""

    def __init__(self, page: _Page, iterable: Iterable[bytes]) -> None:
        self._iterator = page.chunks(iterable)
        close = getattr(iterable, "close", None)
        if close is not None:
            self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._iterator


def _is_page(status: str, headers: list[tuple[str, str]]) -> bool:
    content_type = _header(headers, "content-type") or ""
    charset = _CHARSET.search(content_type)
    return (
        status[:3] not in ("204", "206", "304")
        and content_type.partition(";")[0].strip().lower() == "text/html"
        and (charset is None or _extends_ascii(charset[1]))
        and (_header(headers, "content-encoding") or "identity").lower() == "identity"
        and not (_header(headers, "content-disposition") or "").lower().startswith("attachment")
    )


def _extends_ascii(charset: str) -> bool:
    """Whether the script's tag is the same bytes in a charset: not so in UTF-16."""
    try:
        return codecs.encode("</body>", charset) == b"</body>"
    except LookupError:
        return True  # browsers take it for one that does


def _header(headers: list[tuple[str, str]], name: str) -> str | None:
    return next((value for field, value in headers if field.lower() == name), None)
