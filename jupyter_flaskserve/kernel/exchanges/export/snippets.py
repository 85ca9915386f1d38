"""Code that sends a request once more: for a shell, for ``requests``, for Flask's test client."""

from __future__ import annotations

import base64
import shlex
from typing import TYPE_CHECKING

from .. import masking
from .shown import shown_headers, shown_request_body, shown_target, shown_url

if TYPE_CHECKING:
    from ..exchange import Exchange

__all__ = ["curl", "flask_client", "requests"]

# What the client makes itself, or what belongs to one hop.
_MADE = frozenset(("host", "content-length", "connection", "transfer-encoding", "accept-encoding"))
_ARGUMENT = 60_000  # bytes that surely fit into one argument of a command


def curl(exchange: Exchange, *, reveal: bool = False) -> str:
    """A command for a POSIX shell.

    A body that is no text goes through ``base64``, because an argument cannot hold all bytes.
    """
    words = ["curl", "--globoff"]
    if exchange.method == "HEAD":
        words.append("--head")
    elif exchange.method != "GET":
        words.append(f"--request {shlex.quote(exchange.method)}")
    lines = [" ".join([*words, shlex.quote(_as_utf8(shown_url(exchange, reveal=reveal)))])]
    headers = shown_headers(exchange.request_headers, reveal=reveal)
    for name, value in headers:
        lower = name.lower()
        if lower == "accept-encoding":
            lines.append("--compressed")
        elif lower not in _MADE:
            line = f"{name}: {_as_utf8(value)}" if value else f"{name};"
            lines.append(f"--header {shlex.quote(line)}")
    body = shown_request_body(exchange, reveal=reveal)
    source = ""
    if body:
        if not any(name.lower() == "content-type" for name, _ in headers):
            lines.append("--header 'Content-Type:'")
        text = _plain(body)
        if text is None:
            source = f"printf %s '{base64.b64encode(body).decode()}' | base64 -d | "
            lines.append("--data-binary @-")
        else:
            lines.append(f"--data-raw {shlex.quote(text)}")
    notes = "".join(f"# {note}\n" for note in _notes(exchange, reveal))
    return notes + source + " \\\n  ".join(lines) + "\n"


def requests(exchange: Exchange, *, reveal: bool = False) -> str:
    """Python code with the library ``requests``."""
    arguments = [repr(exchange.method), repr(shown_url(exchange, reveal=reveal))]
    headers = [
        (name, value)
        for name, value in shown_headers(exchange.request_headers, reveal=reveal)
        if name.lower() not in _MADE
    ]
    if headers:
        pairs = "".join(f"        {name!r}: {value!r},\n" for name, value in headers)
        arguments.append(f"headers={{\n{pairs}    }}")
    body = shown_request_body(exchange, reveal=reveal)
    if body:
        arguments.append(f"data={body!r}")
    arguments.append("allow_redirects=False")
    return (
        _comments(exchange, reveal)
        + "import requests\n\nresponse = requests.request(\n"
        + "".join(f"    {argument},\n" for argument in arguments)
        + ")\nprint(response.status_code, response.text)\n"
    )


def flask_client(exchange: Exchange, *, reveal: bool = False) -> str:
    """Python code with the test client of the Flask app ``app``."""
    arguments = [
        repr(shown_target(exchange, reveal=reveal)),
        f"method={exchange.method!r}",
    ]
    headers = [
        (name, value)
        for name, value in shown_headers(exchange.request_headers, reveal=reveal)
        if name.lower() not in _MADE
    ]
    if headers:
        pairs = "".join(f"        ({name!r}, {value!r}),\n" for name, value in headers)
        arguments.append(f"headers=[\n{pairs}    ]")
    body = shown_request_body(exchange, reveal=reveal)
    if body:
        arguments.append(f"data={body!r}")
    return (
        _comments(exchange, reveal, through_server=False)
        # With cookies of its own the client would drop the header.
        + "response = app.test_client(use_cookies=False).open(\n"
        + "".join(f"    {argument},\n" for argument in arguments)
        + ")\nprint(response.status_code, response.text)\n"
    )


def _comments(exchange: Exchange, reveal: bool, *, through_server: bool = True) -> str:
    notes = _notes(exchange, reveal, through_server=through_server)
    return "".join(f"# {note}\n" for note in notes)


def _notes(exchange: Exchange, reveal: bool, *, through_server: bool = True) -> list[str]:
    """What a person has to know before the code does the same."""
    notes = []
    if through_server and exchange.is_through_gateway:
        notes.append(
            "Jupyter asks who you are: where it does, add its token as the header"
            " Authorization: token ..."
        )
    body = exchange.request_body
    if not body.is_complete:
        notes.append(f"Of the body's {body.size} bytes only {len(body.data)} were kept.")
    if not reveal and (
        shown_url(exchange, reveal=False) != exchange.url
        or shown_headers(exchange.request_headers, reveal=False) != exchange.request_headers
        or shown_request_body(exchange, reveal=False) != body.data
    ):
        notes.append(f"Secrets are masked: {masking.MASK}")
    return notes


def _plain(body: bytes) -> str | None:
    """A body as an argument of a command, if it can be one."""
    if len(body) > _ARGUMENT or b"\0" in body:
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _as_utf8(text: str) -> str:
    """Bytes that were decoded as ISO-8859-1 as the shell will write them."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
