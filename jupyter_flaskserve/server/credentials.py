"""Jupyter's credentials, and how they are kept from the app.

One place decides what of a request is Jupyter's own: the names of its cookies, and its token
wherever a client may put it. Everything else is the app's and passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_plus

__all__ = ["SCHEME", "Credentials", "app_headers", "app_query", "is_jupyter_cookie"]

_PREFIX = re.compile(r"^__(?:Host|Secure)-")  # RFC 6265bis §4.1.3; not a part of the name proper
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")  # Tornado takes them for spaces in an argument
SCHEME = re.compile(r"(?:token|bearer)\s+(.+)", re.IGNORECASE)
"""An ``Authorization`` header that may hold a token of Jupyter's."""


class Credentials(NamedTuple):
    """What a request carried that is Jupyter's.

    :ivar tokens: the server's token, and the token by which this request was let in.
    :ivar cookie_names: names of Jupyter's cookies beyond those known by their pattern.
    """

    tokens: frozenset[str]
    cookie_names: frozenset[str]


def is_jupyter_cookie(name: str, cookie_names: frozenset[str] = frozenset()) -> bool:
    """Whether a cookie of this name belongs to Jupyter, JupyterHub or a kernel's own server.

    Cookies do not tell ports apart: those of the user's other servers on this host come as well.
    """
    plain = _PREFIX.sub("", name)
    return (
        plain == "_xsrf"
        or plain.startswith(("username-", "jupyterhub-", "jupyter-hub-", "flaskserve-"))
        or name in cookie_names
        or plain in cookie_names
    )


def app_headers(
    headers: Iterable[tuple[str, str]], credentials: Credentials
) -> Iterator[tuple[str, str]]:
    """The header lines of a request without what is Jupyter's."""
    lines = list(headers)
    for name, value in lines:
        lower = name.lower()
        if lower == "cookie":
            value = _app_cookies(value, credentials.cookie_names)
            if not value:
                continue
        elif lower == "authorization":
            match = SCHEME.fullmatch(value.strip())
            if match is not None and match[1].strip() in credentials.tokens:
                continue
        elif lower == "referer":
            value = _app_url(value, credentials)
        elif lower == "x-xsrftoken" and value in _xsrf_values(lines):
            continue
        yield name, value


def app_query(query: str, credentials: Credentials) -> str:
    """A query string without Jupyter's token. An app's own ``token`` passes."""
    if "token" not in query.lower() and "%" not in query:
        return query
    return "&".join(part for part in query.split("&") if not _is_token(part, credentials.tokens))


def _is_token(part: str, tokens: frozenset[str]) -> bool:
    name, _, value = part.partition("=")
    if unquote_plus(name) != "token":
        return False
    return _CONTROLS.sub(" ", unquote_plus(value)).strip() in tokens


def _app_url(url: str, credentials: Credentials) -> str:
    start, mark, rest = url.partition("?")
    if not mark:
        return url
    query, hash_mark, fragment = rest.partition("#")
    query = app_query(query, credentials)
    return start + ("?" + query if query else "") + hash_mark + fragment


def _cookie_name(cookie: str) -> str:
    return cookie.partition("=")[0].strip()


def _app_cookies(value: str, cookie_names: frozenset[str]) -> str:
    cookies = (cookie.strip() for cookie in value.split(";"))
    return "; ".join(
        cookie
        for cookie in cookies
        if cookie and not is_jupyter_cookie(_cookie_name(cookie), cookie_names)
    )


def _xsrf_values(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    return frozenset(
        cookie.partition("=")[2].strip().strip('"')
        for name, value in headers
        if name.lower() == "cookie"
        for cookie in value.split(";")
        if _cookie_name(cookie) == "_xsrf"
    )
