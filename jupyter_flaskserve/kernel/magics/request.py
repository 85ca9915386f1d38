"""``%flaskserve request``: a real request through the address, and its response."""

from __future__ import annotations

import json
import math
import mimetypes
import re
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from IPython.core.error import UsageError
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from ..client.client import RequestFailed, send
from ..client.reply import Reply
from .line import Command, Parser, choose_mount

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..mount import Mount

__all__ = ["REQUEST", "request"]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_TIMEOUT = 60.0  # seconds
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_VARIABLE = re.compile(r"\$([^\W\d]\w*)")


def request(words: list[str], shell: InteractiveShell) -> Reply:
    """Send a request to an app through its address, and show the response.

    Examples::

        %flaskserve request /users/7?full=1             GET, under the app's address
        %flaskserve request DELETE /users/7             another method
        %flaskserve request /users --json '{"a": 1}'    POST with JSON
        %flaskserve request /users --json $user         the same, of a variable
        %flaskserve request /sign -d 'guest=Ada'        POST, as a form sends it
        %flaskserve request /photo -d @photo.jpg        POST with a file's content
        %flaskserve request /photo --form name=Ada photo=@photo.jpg
        reply = %flaskserve request /                   go on with it: reply.json(), reply.headers

    Options:

      -H 'Name: value'  A header field; may be given more than once.
      -d, --data DATA   The body: text, @file or $variable.
      --json DATA       The body as JSON: text, @file or $variable.
      --form A=B …      The body as a form's fields; a field A=@file uploads a file.
      --name NAME       Which app, where the notebook serves several.
      --timeout S       Seconds after which a response is taken as it is by then (60).
      -L, --follow      Follow redirects.
    """
    arguments, rest = _PARSER.parse(words)
    mount = choose_mount(arguments.name, "%flaskserve request PATH --name")
    method, path = _method_and_path([*arguments.words, *rest])
    headers = [_field(text) for text in arguments.header]
    content_type, body = _body(arguments, shell.user_ns)
    if content_type is not None and not any(n.lower() == "content-type" for n, _ in headers):
        headers.append(("Content-Type", content_type))
    try:
        return send(
            mount,
            method or ("GET" if body is None else "POST"),
            _under(mount, path),
            headers,
            body,
            timeout=arguments.timeout,
            follow=arguments.follow,
        )
    except RequestFailed as error:
        raise UsageError(str(error)) from None
    except KeyboardInterrupt:
        raise UsageError("The request was interrupted before its response had come.") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < 1e6:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


_PARSER = Parser(add_help=False, allow_abbrev=False)
_PARSER.add_argument("words", nargs="*")
_PARSER.add_argument("-H", dest="header", action="append", default=[])
_PARSER.add_argument("-d", "--data")
_PARSER.add_argument("--json")
_PARSER.add_argument("--form", nargs="+")
_PARSER.add_argument("--name")
_PARSER.add_argument("--timeout", type=_seconds, default=_TIMEOUT)
_PARSER.add_argument("-L", "--follow", action="store_true")

REQUEST = Command(request, _PARSER, first_words=_METHODS)


def _method_and_path(words: list[str]) -> tuple[str | None, str]:
    method = None
    if words and (words[0].upper() in _METHODS or (len(words) > 1 and _METHOD.fullmatch(words[0]))):
        method, words = words[0].upper(), words[1:]
    if len(words) > 1:
        raise UsageError(
            f"{words[1]!r} is one word too many. Write %flaskserve request [METHOD] PATH, and put"
            " what has spaces between quotation marks."
        )
    return method, words[0] if words else "/"


def _under(mount: Mount, path: str) -> str:
    """A path as it is under the mount's address, which a copied one has in it.

    A copied URL may have any host: the kernel does not know by which one a browser reaches the
    server, behind JupyterHub or another proxy.
    """
    url = re.match(r"[a-z]+://[^/]*", path)
    plain = path[url.end() :] if url is not None else path
    if f"{plain}/".startswith(mount.path):
        return plain[len(mount.path) - 1 :]
    if url is not None:
        raise UsageError(
            f"{path} is not an address of {mount.name}. Give the path under {mount.path}"
        )
    return path


def _field(text: str) -> tuple[str, str]:
    field = _FIELD.fullmatch(text)
    if field is None:
        raise UsageError(f"{text!r} is not a header field. Write -H 'Name: value'")
    return field[1], field[2].strip()


def _body(arguments: Any, namespace: dict[str, Any]) -> tuple[str | None, bytes | None]:
    """The body's type and the body; both are ``None`` where there is none."""
    given = [o for o in ("data", "json", "form") if getattr(arguments, o) is not None]
    if len(given) > 1:
        raise UsageError("A request has one body: give -d, --json or --form.")
    if arguments.json is not None:
        return "application/json", _json(arguments.json, namespace)
    if arguments.form is not None:
        return _form(arguments.form)
    if arguments.data is not None:
        return _data(arguments.data, namespace)
    return None, None


def _json(text: str, namespace: dict[str, Any]) -> bytes:
    if _VARIABLE.fullmatch(text):
        try:
            return json.dumps(_value(text, namespace)).encode()
        except (TypeError, ValueError) as error:
            raise UsageError(f"{text} cannot be JSON: {error}.") from None
    data = _content(text[1:]) if text.startswith("@") else text.encode()
    try:
        json.loads(data)
    except ValueError as error:
        raise UsageError(f"This is not JSON: {error}. To send it as it is, use -d.") from None
    return data


def _data(text: str, namespace: dict[str, Any]) -> tuple[str, bytes]:
    if text.startswith("@"):
        guessed = mimetypes.guess_type(text[1:])[0]
        return guessed or "application/octet-stream", _content(text[1:])
    value = _value(text, namespace) if _VARIABLE.fullmatch(text) else text
    if isinstance(value, str):
        return "application/x-www-form-urlencoded", value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "application/octet-stream", bytes(value)
    raise UsageError(
        f"{text} is of type {type(value).__name__}. Give text or bytes, or send it with --json."
    )


def _form(texts: list[str]) -> tuple[str, bytes]:
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, str]] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{text!r} is not a form's field. Write --form name=value")
        (files if value.startswith("@") else fields).append((name, value))
    if not files:
        return "application/x-www-form-urlencoded", urlencode(fields).encode()
    parts: dict[str, list[Any]] = {}
    for name, value in fields:
        parts.setdefault(name, []).append(value)
    for name, value in files:
        path = Path(value[1:]).expanduser()
        try:
            upload = FileStorage(path.open("rb"), filename=path.name)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
        parts.setdefault(name, []).append(upload)
    try:
        boundary, body = encode_multipart(parts)
    finally:
        for values in parts.values():
            for value in values:
                if isinstance(value, FileStorage):
                    value.close()
    return f"multipart/form-data; boundary={boundary}", body


def _value(text: str, namespace: dict[str, Any]) -> Any:
    name = text[1:]
    if name not in namespace:
        raise UsageError(f"There is no variable {name}.")
    return namespace[name]


def _content(file: str) -> bytes:
    path = Path(file).expanduser()
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
