"""One request over a connection of its own, and its whole response."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from ..contenders.contender import Contender
from .failed import Failed

__all__ = ["Answer", "ask"]


class Answer(NamedTuple):
    """A response.

    :ivar content_type: without its parameters.
    """

    status: int
    content_type: str
    body: bytes


def ask(
    contender: Contender,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 30,
) -> Answer:
    """Send one request.

    :param path: a path under the app's address.
    :param seconds: how long it may take.
    :raises Failed: there is no response.
    """
    url = urlsplit(contender.url + path)
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=seconds)
    with contextlib.closing(connection):
        try:
            connection.request(method, url.path, body, {**contender.headers, **(headers or {})})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{method} {path}: {type(error).__name__}: {error}") from None
    kind = response.getheader("Content-Type", "").partition(";")[0]
    return Answer(response.status, kind, content)
