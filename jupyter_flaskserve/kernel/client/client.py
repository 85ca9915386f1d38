"""Requests from the notebook to its own apps, through the address that browsers use.

A request goes through the server and is let in as the user's: with the token of this user's running
server, of the kernel's own server, or of JupyterHub. It is sent by a thread of its own, so that the
main thread can run the views that it waits for (:mod:`..middleware.main_thread`).
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlencode, urljoin, urlsplit

from ...running_servers import running_server
from ..home import known_home
from ..middleware.main_thread import pump
from ..mount import Mount
from .reply import Reply, Sent

__all__ = ["RequestFailed", "send", "token_for"]

_BODY_LIMIT = 64 * 1024 * 1024  # bytes of a response's body that are kept
_READ_SIZE = 64 * 1024  # bytes
_MAX_REDIRECTS = 10
_JUPYTER_COOKIES = ("_xsrf=", "username-", "jupyterhub-", "flaskserve-")


class RequestFailed(Exception):
    """There is no response. The message is one line that says what to do."""


def send(
    mount: Mount,
    method: str,
    path: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    *,
    timeout: float,
    follow: bool = False,
) -> Reply:
    """Send a request to an app and wait for the response.

    On the main thread, views that run on it are run while it waits.

    :param path: what to ask for under the mount's address, with the query, such as ``/users?x=1``.
    :param body: the request's body, if it has one.
    :param timeout: seconds after which a response is taken as it is by then.
    :param follow: whether redirects to other addresses of the app are followed. The token is for
        nobody else, so a redirect that leads elsewhere is the response.
    :raises RequestFailed: no response has come.
    :raises KeyboardInterrupt: the wait was interrupted; the connection is closed.
    """
    token = token_for(mount)
    root = urlsplit(mount.url)
    url = root.geturl().rstrip("/") + "/" + _quoted(path).lstrip("/")
    request = Sent(method, url, tuple(headers), body or b"")
    reply = _send_one(request, body is not None, token, timeout)
    history: list[Reply] = []
    while follow and (target := _target(reply, mount)) is not None:
        if len(history) == _MAX_REDIRECTS:
            raise RequestFailed(
                f"There were more than {_MAX_REDIRECTS} redirects, at last to {target}"
            )
        history.append(reply)
        request = _redirected(reply, target)
        reply = _send_one(request, bool(request.body), token, timeout)
    return replace(reply, history=tuple(history))


def token_for(mount: Mount) -> str:
    """What lets a request in: a token, or an empty string where none is needed or known.

    :raises RequestFailed: it is not known where the server is.
    """
    home = known_home()
    if home is None or not urlsplit(mount.url).scheme.startswith("http"):
        raise RequestFailed(
            "The kernel does not know the address of its server. Restart the kernel and run the"
            " cells again."
        )
    if mount.token is not None:
        return mount.token
    # JupyterHub gives each server a token by which it may be accessed itself, and no more.
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix is not None and prefix.strip("/") == home.base_url.strip("/"):
        return os.environ.get("JUPYTERHUB_API_TOKEN", "")
    server = running_server(home.url)
    return server.token if server is not None else ""


def _send_one(request: Sent, has_body: bool, token: str, timeout: float) -> Reply:
    sending = _Sending(request, has_body, token, timeout)
    try:
        reply = pump(sending.start())
    except KeyboardInterrupt:
        sending.abort()
        raise
    if not token and _is_refusal(reply):
        raise RequestFailed(
            "Jupyter Server let nobody in, because it has no token that the kernel can find. Open"
            f" {request.url} in a browser that has logged in, or start the server with a token:"
            " --IdentityProvider.token=WORD"
        )
    return reply


class _Sending:
    """One request on a connection of its own, in a thread of its own."""

    def __init__(self, request: Sent, has_body: bool, token: str, timeout: float) -> None:
        self._request = request
        self._has_body = has_body
        self._token = token
        self._timeout = timeout
        self._started = time.monotonic()
        self._connection = _connection(urlsplit(request.url), timeout)
        self._result: Future[Reply] = Future()
        # Kept, because the connection lets go of it where the response ends the connection.
        self._socket: socket.socket | None = None
        self._is_aborted = False

    def start(self) -> Future[Reply]:
        thread = threading.Thread(target=self._run, name="flaskserve request", daemon=True)
        thread.start()
        return self._result

    def abort(self) -> None:
        """End the wait of the thread, from another one. Nothing is sent any more."""
        self._is_aborted = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._result.set_result(self._ask())
        except (OSError, http.client.HTTPException) as error:
            url = self._request.url
            if isinstance(error, TimeoutError):
                text = f"{url} has not answered within {self._timeout:g} seconds."
                text += " Give it more with --timeout."
            elif isinstance(error, ssl.SSLError):
                text = f"{url} cannot be trusted: {error}"
            else:
                text = f"{url} does not answer: {error or type(error).__name__}"
            self._result.set_exception(RequestFailed(text))
        except BaseException as error:
            self._result.set_exception(error)
        finally:
            self._connection.close()

    def _ask(self) -> Reply:
        connection = self._connection
        connection.connect()
        self._socket = connection.sock
        if self._is_aborted:
            raise ConnectionAbortedError("the request was given up")
        connected = self._seconds
        self._send()
        self._limit()
        with connection.getresponse() as response:
            begun = self._seconds
            body, note = self._read(response)
        return Reply(
            status=response.status,
            reason=response.reason,
            headers=tuple(
                (name, self._without_token(value))
                for name, value in response.getheaders()
                if not _is_jupyters(name, value)
            ),
            body=body,
            request=self._request,
            connect_seconds=connected,
            first_byte_seconds=begun,
            seconds=self._seconds,
            note=note,
        )

    def _without_token(self, value: str) -> str:
        """A header field's value without the token, which a redirect may have taken from the
        query: it is not for the notebook's file."""
        if not self._token:
            return value
        parameter = "token=" + quote(self._token, safe="")
        for text in (f"&{parameter}", f"{parameter}&", f"?{parameter}", parameter, self._token):
            value = value.replace(text, "")
        return value

    def _send(self) -> None:
        url = urlsplit(self._request.url)
        target = url.path + (f"?{url.query}" if url.query else "")
        given = {name.lower() for name, _ in self._request.headers}
        headers = list(self._request.headers)
        if self._token and "authorization" in given:  # which is the app's
            target += ("&" if url.query else "?") + urlencode({"token": self._token})
        elif self._token:
            headers.append(("Authorization", f"token {self._token}"))
        connection = self._connection
        connection.putrequest(
            self._request.method, target, skip_host="host" in given, skip_accept_encoding=True
        )
        for name, value in headers:
            connection.putheader(name, value.encode())
        if self._has_body and not given & {"content-length", "transfer-encoding"}:
            connection.putheader("Content-Length", str(len(self._request.body)))
        connection.endheaders(self._request.body if self._has_body else None)

    def _read(self, response: http.client.HTTPResponse) -> tuple[bytes, str]:
        """The body, and why it is not whole if it is not."""
        parts: list[bytes] = []
        size = 0
        try:
            while size <= _BODY_LIMIT:
                self._limit()
                part = response.read1(_READ_SIZE)
                if not part:
                    missing = response.length
                    return b"".join(parts), "The response broke off." if missing else ""
                parts.append(part)
                size += len(part)
            return b"".join(parts)[:_BODY_LIMIT], f"The body goes on after {_BODY_LIMIT} bytes."
        except TimeoutError:
            note = f"The response was not at its end after {self._timeout:g} seconds."
        except (OSError, http.client.HTTPException):
            note = "The response broke off."
        return b"".join(parts), note

    def _limit(self) -> None:
        """Let what is read next take no longer than the rest of the time."""
        if self._socket is not None:
            self._socket.settimeout(max(self._timeout - self._seconds, 0.001))

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _connection(url: SplitResult, timeout: float) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme != "https":
        return http.client.HTTPConnection(host, url.port, timeout=timeout)
    context = ssl.create_default_context()
    if _is_loopback(host):
        # A server on this machine has a certificate for its public name, or one it signed itself.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, url.port, timeout=timeout, context=context)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _quoted(path: str) -> str:
    """A path and query as they are sent: what is not ASCII, and spaces, are escaped."""
    return quote(path.partition("#")[0], safe="%/:?@!$&'()*+,;=-._~[]")


def _target(reply: Reply, mount: Mount) -> str | None:
    """Where a redirect leads, if that is another address of the app."""
    location = reply.header("Location") if reply.status in (301, 302, 303, 307, 308) else None
    if location is None:
        return None
    try:
        parts = urlsplit(urljoin(reply.url, location))
        same_origin = _origin(parts) == _origin(urlsplit(mount.url))
    except ValueError:  # no URL
        return None
    inside = f"{parts.path}/".startswith(mount.path)
    if not same_origin or not inside or ".." in unquote(parts.path).split("/"):
        return None
    return parts._replace(path=_quoted(parts.path), query=_quoted(parts.query)).geturl()


def _redirected(reply: Reply, target: str) -> Sent:
    """The request that follows a redirect (RFC 9110 §15.4)."""
    request = replace(reply.request, url=target.partition("#")[0])
    if reply.status in (307, 308) or request.method in ("GET", "HEAD"):
        return request
    headers = tuple(
        field for field in request.headers if not field[0].lower().startswith("content-")
    )
    return replace(request, method="GET", headers=headers, body=b"")


class _Origin(NamedTuple):
    scheme: str
    host: str | None
    port: int | None


def _origin(url: SplitResult) -> _Origin:
    return _Origin(url.scheme, url.hostname, url.port)


def _is_refusal(reply: Reply) -> bool:
    """Whether the server has answered in the place of the app: that one must log in."""
    try:
        return reply.status == 403 and reply.json().get("error") == "refused"
    except (ValueError, AttributeError):
        return False


def _is_jupyters(name: str, value: str) -> bool:
    """Whether a header field of the response sets a cookie by which Jupyter knows the user."""
    return name.lower() == "set-cookie" and value.lstrip().startswith(_JUPYTER_COOKIES)
