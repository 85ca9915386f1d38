"""Who may come in: the one place that decides it, before anything reaches a kernel.

Four questions, in this order: is the request for this host (DNS rebinding), who sent it, does it
come from another site, and may this user run the apps. Jupyter's own machinery answers the first
two and the last; :func:`.admission.foreign` answers the third in the place of Jupyter's XSRF
token, which the forms of an app cannot have.
"""

from __future__ import annotations

import inspect
import re
from asyncio import Future
from collections.abc import Callable
from copy import copy
from typing import Any

from jupyter_server.auth.authorizer import AllowAllAuthorizer
from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.base.handlers import JupyterHandler
from tornado import httputil, web
from traitlets import All

from ..gateway.answer import Answer
from . import pages
from .admission import Access, Admission, foreign
from .credentials import SCHEME, Credentials
from .remembered import Remembered

__all__ = ["RESOURCE", "AdmissionHandler", "JupyterAccess"]

RESOURCE = "flaskserve"
"""The name under which the authorizer is asked."""

_FRAME_ANCESTORS = re.compile(r"(?:^|;)\s*frame-ancestors\s+([^;]+)", re.IGNORECASE)


@web.stream_request_body
class AdmissionHandler(JupyterHandler):
    """Asks the questions through Jupyter's machinery, so that what an administrator has set or
    replaced there holds here too. A request that is refused is answered by it.

    It runs up to the end of :meth:`prepare`, before any of the request's body is read. It never
    becomes the request's handler: who is let in is handed on through ``admit``.
    """

    _asking = False
    _answered = False

    def initialize(self, action: str, admit: Callable[[Admission], None]) -> None:
        """
        :param action: what the authorizer is asked: see :meth:`.admission.Access.ask`.
        :param admit: called with the admission where the request may come in.
        """
        self._action = action
        self._admit = admit

    async def prepare(self) -> None:  # type: ignore[override]
        """Ask. Returns after ``admit`` was called or an answer was written.

        :raises tornado.web.HTTPError: 403, which Tornado makes the answer.
        """
        self._asking = True
        result: Any = super().prepare()
        if inspect.isawaitable(result):
            await result
        if self._answered:  # redirected to the login page
            return
        web.authenticated(_allowed)(self)
        if self._answered:
            return
        self.check_xsrf_cookie()
        allowed: Any = self.authorizer.is_authorized(
            self, self.current_user, self._action, RESOURCE
        )
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if not allowed:
            raise web.HTTPError(403, f"this user is not authorized to {self._action} {RESOURCE}")
        self._admit(self._admission())

    def check_xsrf_cookie(self) -> None:
        """Refuse what another site's page sends, without a token in the form.

        JupyterHub calls it too, before it takes a cookie for a login. Tornado calls it before
        anything is known of the user, which is too early.
        """
        if not self._asking or self.settings.get("disable_check_xsrf", False):
            return
        if hasattr(self, "_jupyter_current_user") and self.token_authenticated:
            return  # who knows the token needs no user's browser to send it
        method = self.request.method or ""
        reason = foreign(
            method, self.request.headers, self.request.headers.get("Host", ""), self._is_trusted
        )
        if reason is not None:
            raise web.HTTPError(403, reason)

    def get_login_url(self) -> str:
        if not pages.wants_html(self.request.headers.get("Accept")):
            raise web.HTTPError(403, "log in to Jupyter, or send its token")
        return super().get_login_url()

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        self._answered = True
        return super().finish(*args, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        reason = error.log_message if isinstance(error, web.HTTPError) else None
        message = f"Jupyter Server refused this request: {reason or self._reason}."
        answer = pages.error(
            status_code, "refused", message, accept=self.request.headers.get("Accept")
        )
        for name, value in answer.headers:
            self.set_header(name, value)
        self.finish(answer.body)

    def _is_trusted(self, origin: str) -> bool:
        """Whether the administrator named this origin. ``*`` names none."""
        if self.allow_origin:
            return self.allow_origin != "*" and self.allow_origin == origin
        pattern = self.allow_origin_pat
        return bool(pattern and re.fullmatch(pattern, origin))

    def _admission(self) -> Admission:
        # A browser that came with the token in the URL is to be remembered; a program that sends
        # its token in a header has no use for a cookie.
        keep = "Authorization" not in self.request.headers
        new_cookies: Any = getattr(self, "_new_cookie", {}) if keep else {}
        return Admission(
            username=getattr(self.current_user, "username", ""),
            credentials=Credentials(self._tokens(), self._cookie_names()),
            set_cookies=tuple(morsel.OutputString(None) for morsel in new_cookies.values()),
            frame_ancestors=self._frame_ancestors(),
        )

    def _tokens(self) -> frozenset[str]:
        """The server's token, or whatever else this request may have been let in by."""
        own = str(self.token or "")
        match = SCHEME.fullmatch(self.request.headers.get("Authorization", "").strip())
        presented = {self.get_query_argument("token", ""), match[1].strip() if match else ""}
        if self.token_authenticated and (not own or own not in presented):
            # JupyterHub's tokens are the hub's to know, so any of these may be one.
            return frozenset({own, *presented} - {""})
        return frozenset({own} - {""})

    def _cookie_names(self) -> frozenset[str]:
        names = {self.settings.get("xsrf_cookie_name", "_xsrf")}
        get_name: Any = getattr(self.identity_provider, "get_cookie_name", None)
        if get_name is not None:
            names.add(get_name(self))
        hub_auth: Any = getattr(self.identity_provider, "hub_auth", None)
        for attribute in ("cookie_name", "state_cookie_name"):
            name = getattr(hub_auth, attribute, None)
            if isinstance(name, str):
                names.add(name)
        return frozenset(names)

    def _frame_ancestors(self) -> str:
        """Jupyter's own ``frame-ancestors``; but JupyterLab must be able to show the app."""
        found = _FRAME_ANCESTORS.search(self.content_security_policy)
        sources = found[1].strip() if found else "'self'"
        return "'self'" if sources == "'none'" else sources


def _allowed(handler: web.RequestHandler) -> None:
    """A method that may be called; it is never the one that answers."""


class JupyterAccess(Access):
    """Asks Jupyter, and remembers its answer for some seconds where it is known what that depends
    on: with Jupyter's own identity provider and authorizer, and no others.

    :param application: Jupyter Server's application.
    :param remember: tells how many seconds an answer holds; 0 asks for each request.
    """

    def __init__(self, application: web.Application, *, remember: Callable[[], float]) -> None:
        self._application = application
        self._remembered = Remembered(remember)
        self._provider: PasswordIdentityProvider | None = None  # whose changes are heard of
        self._decisive: list[object] = []  # the settings when they were last looked at

    def recall(self, request: httputil.HTTPServerRequest, action: str) -> Admission | None:
        return self._remembered.recall(request, action) if self._may_remember() else None

    def forget(self) -> None:
        self._remembered.forget()

    async def ask(self, request: httputil.HTTPServerRequest, action: str) -> Admission | Answer:
        """See :class:`.admission.Access`."""
        may_remember, forgotten = self._may_remember(), self._remembered.forgotten
        admissions: list[Admission] = []
        written = _Written(request)
        asked = _as_known_method(request, written)
        asking = self._application.get_handler_delegate(
            asked, AdmissionHandler, {"action": action, "admit": admissions.append}
        )
        start_line = httputil.RequestStartLine(asked.method or "", asked.uri or "/", asked.version)
        prepared = asking.headers_received(start_line, asked.headers)
        if prepared is not None:
            await prepared
        if not admissions:
            return written.answer()
        asking.on_connection_close()  # its part ends here; it must not wait for a body
        if may_remember and self._may_remember():
            self._remembered.keep(request, action, admissions[0], forgotten)
        return admissions[0]

    def _may_remember(self) -> bool:
        """Whether it is known what Jupyter's answer depends on besides the request. Where that has
        changed, all is forgotten.

        The token, the password and whatever else an identity provider has are its traits, which
        tell of their changes.
        """
        settings = self._application.settings
        provider = settings.get("identity_provider")
        if (
            type(provider) is not PasswordIdentityProvider
            or type(settings.get("authorizer")) is not AllowAllAuthorizer
            or not isinstance(settings.get("cookie_secret"), (str, bytes))
        ):
            return False
        decisive = [*map(settings.get, _DECISIVE), *settings.get("local_hostnames", ())]
        if provider is not self._provider or decisive != self._decisive:
            self._decisive = decisive
            self._follow(provider)
            self._remembered.forget()
        return True

    def _follow(self, provider: PasswordIdentityProvider) -> None:
        """Hear of the changes of this identity provider, and of no other's."""
        if self._provider is not None:
            self._provider.unobserve(self._changed, names=All)
        self._provider = provider
        provider.observe(self._changed, names=All)

    def _changed(self, change: object) -> None:
        self._remembered.forget()


_DECISIVE = (
    "cookie_secret",
    "disable_check_xsrf",
    "allow_remote_access",
    "allow_origin",
    "allow_origin_pat",
)
"""Jupyter's settings on which it depends who may come in, beside ``local_hostnames``."""


class _Written(httputil.HTTPConnection):
    """Takes down what the handler writes, in the place of the client's connection.

    Tornado closes a connection, without a word in the response, on which a response has ended
    before the request has. A proxy in front of it, such as JupyterHub's, may send its next request
    there, and answer that one with an error.
    """

    def __init__(self, request: httputil.HTTPServerRequest) -> None:
        self._connection = request.connection
        self._start = httputil.ResponseStartLine("HTTP/1.1", 500, "Internal Server Error")
        self._headers = httputil.HTTPHeaders({"Content-Length": "0"})
        self._body = b""

    def answer(self) -> Answer:
        headers = tuple(self._headers.get_all())
        return Answer(self._start.code, self._start.reason, headers, self._body)

    def write_headers(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
        chunk: bytes | None = None,
    ) -> Future[None]:
        assert isinstance(start_line, httputil.ResponseStartLine)
        self._start, self._headers = start_line, headers
        return self.write(chunk or b"")

    def write(self, chunk: bytes) -> Future[None]:
        self._body += chunk
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def finish(self) -> None:
        pass

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Nobody writes to the client here, so nobody needs to know that it has left."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _as_known_method(
    request: httputil.HTTPServerRequest, connection: httputil.HTTPConnection
) -> httputil.HTTPServerRequest:
    """The request to ask with. A method that Tornado does not know is asked about as ``POST``."""
    asked = copy(request)
    asked.connection = connection
    if asked.method not in AdmissionHandler.SUPPORTED_METHODS:
        asked.method = "POST"
    return asked
