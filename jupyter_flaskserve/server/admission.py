"""What it takes to be let in: the outcome, and whether another site's page sent the request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from tornado import httputil

from ..gateway.answer import Answer
from ..gateway.environ import header_params
from .credentials import Credentials, app_headers

__all__ = ["Access", "Admission", "foreign"]

_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))  # RFC 9110 §9.2.1

_LONGEST = 4096  # bytes of the encoded headers that an admission keeps


@dataclass(eq=False)
class Admission:
    """What is known of a request that may come in, and of those that present the same.

    :ivar username: who sent it, for the log.
    :ivar credentials: what it carries that is Jupyter's.
    :ivar set_cookies: ``Set-Cookie`` values by which Jupyter wants to remember the login.
    :ivar frame_ancestors: who may show the response in a frame, as a CSP source list.
    """

    username: str
    credentials: Credentials
    set_cookies: tuple[str, ...]
    frame_ancestors: str
    _lines: list[tuple[str, str]] = field(default_factory=list, init=False, repr=False)
    _params: bytes = field(default=b"", init=False, repr=False)

    def encoded_headers(self, lines: list[tuple[str, str]]) -> bytes:
        """A request's header lines without what is Jupyter's, encoded for the app.

        The last are kept, unless they are long: the next request of a client mostly has the same.
        """
        if lines == self._lines:
            return self._params
        params = header_params(app_headers(lines, self.credentials))
        if len(params) <= _LONGEST:
            self._lines, self._params = lines, params
        return params


def foreign(
    method: str,
    headers: httputil.HTTPHeaders,
    host: str,
    is_trusted: Callable[[str], bool],
) -> str | None:
    """Whether a request was made by another site's page.

    A browser adds the user's cookies to requests that other sites make. Browsers say where a
    request comes from (Fetch Metadata; RFC 6454 §7); a request that says nothing was not made by a
    browser. Following a link from another site to the app is allowed; using the app's pages as
    images, scripts or data there is not.

    :param host: the ``Host`` the request was sent to.
    :param is_trusted: whether the administrator allows an origin.
    :returns: ``None``, or why the request is refused.
    """
    origin = headers.get("Origin")
    if origin is not None and is_trusted(origin):
        return None
    safe = method in _SAFE and "Upgrade" not in headers
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        if site in ("same-origin", "none"):
            return None
        if safe and headers.get("Sec-Fetch-Mode") == "navigate":
            return None
        return f"a page of another site sent it (Sec-Fetch-Site: {site})"
    if origin is not None:
        if _host_of(origin) == host.lower():
            return None
        return f"a page of another site sent it (Origin: {origin})"
    referer = headers.get("Referer")
    if referer is not None and not safe and _host_of(referer) != host.lower():
        return "a page of another site sent it (Referer)"
    return None


def _host_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()


class Access(ABC):
    """Decides who may come in."""

    def recall(self, request: httputil.HTTPServerRequest, action: str) -> Admission | None:
        """The admission of a request, where it is known without asking.

        :param action: as for :meth:`ask`.
        :returns: the admission, or ``None`` where it must be asked for.
        """
        return None

    def forget(self) -> None:
        """Know no admission any more without asking: somebody has logged out."""
        return

    @abstractmethod
    async def ask(self, request: httputil.HTTPServerRequest, action: str) -> Admission | Answer:
        """Ask whether a request may come in, before any of its body is read.

        :param action: ``execute`` for an app, ``write`` for what the panels ask about it, ``read``
            for the list of apps.
        :returns: the admission; or the answer to one that may not.
        """
