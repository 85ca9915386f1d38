"""Who was let in a moment ago, so that not every request is asked about again.

Asking Jupyter costs more than all the rest of a small request. What it answered is remembered for
some seconds, and holds for requests that present the same again: the same method, host, scheme and
client address, the same token in the URL, and the same header lines, but for those that say nothing
of who sends the request or from where (:data:`NEUTRAL`). A header that is not known here counts.

What is refused is never remembered, nor is an answer that sets a cookie.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from tornado import httputil

if TYPE_CHECKING:
    from .admission import Admission

__all__ = ["NEUTRAL", "Remembered"]

NEUTRAL = frozenset(
    (
        "Accept",
        "Accept-Charset",
        "Accept-Encoding",
        "Accept-Language",
        "Cache-Control",
        "Content-Encoding",
        "Content-Language",
        "Content-Length",
        "Content-Type",
        "Dnt",
        "Expect",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Last-Event-Id",
        "Pragma",
        "Priority",
        "Range",
        "Save-Data",
        "Sec-Websocket-Extensions",
        "Sec-Websocket-Key",
        "Sec-Websocket-Protocol",
        "Sec-Websocket-Version",
        "Te",
        "Transfer-Encoding",
        "Upgrade-Insecure-Requests",
        "User-Agent",
    )
)
"""Header names, spelled as Tornado spells them, on which it does not depend who may come in."""

_LIMIT = 1024  # presentations remembered; beyond that all are forgotten


class Remembered:
    """The admissions of the last seconds.

    :param seconds: tells how long an admission holds, in seconds; 0 remembers none.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._known: dict[Hashable, tuple[float, Admission]] = {}

    def recall(
        self, request: httputil.HTTPServerRequest, action: str, state: Hashable
    ) -> Admission | None:
        """The admission of a request that presents what another has presented just before.

        :param action: what the authorizer was asked.
        :param state: whatever else the answer depended on.
        """
        if not self._known:
            return None
        key = _presented(request, action, state)
        deadline, admission = self._known.get(key, (0.0, None))
        if admission is not None and time.monotonic() >= deadline:
            del self._known[key]
            return None
        return admission

    def keep(
        self,
        request: httputil.HTTPServerRequest,
        action: str,
        state: Hashable,
        admission: Admission,
    ) -> None:
        """Remember an admission."""
        seconds = self._seconds()
        if seconds <= 0 or admission.set_cookies:
            return
        if len(self._known) >= _LIMIT:
            self.forget()
        key = _presented(request, action, state)
        self._known[key] = time.monotonic() + seconds, admission

    def forget(self) -> None:
        """Remember nothing any more: somebody has logged out, or a credential has changed."""
        self._known.clear()


def _presented(request: httputil.HTTPServerRequest, action: str, state: Hashable) -> Hashable:
    """All that decides whether a request may come in."""
    return (
        action,
        request.method,
        request.host,
        request.protocol,
        request.remote_ip,
        tuple(request.arguments.get("token", ())),
        tuple(line for line in request.headers.get_all() if line[0] not in NEUTRAL),
        state,
    )
