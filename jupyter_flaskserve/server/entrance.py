"""A request under ``{base_url}flaskserve/``, from its head to its answer.

Tornado gives a request to :class:`Entrance` when its head has come. First :mod:`.access` decides
whether it may come in. Then it goes to the app it names (:mod:`jupyter_flaskserve.gateway`), or is
answered by one of our own pages. Nothing of its body is read before that.

What the panels ask about an app comes in at a path of its own (:class:`InspectorEntrance`), by the
same decision.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from tornado import httputil
from tornado.routing import Router

from .. import fastcgi
from ..gateway.answer import Answer, Answering
from ..gateway.environ import RequestHead, header_params, wants_upgrade
from ..gateway.errors import GatewayError
from ..gateway.forward import Brief, Forwarding
from ..records import INSPECTOR, is_live
from . import pages
from .admission import Admission
from .confine import confine_headers
from .credentials import app_headers, app_query
from .status import mount_status, mounts_status

if TYPE_CHECKING:
    from ..gateway.links import LinkPool
    from ..gateway.response import ResponseHead
    from .registry import ServedMount
    from .serving import FlaskServe

__all__ = ["Entrance", "EntranceRouter", "InspectorEntrance", "StatusEntrance"]

_MOST_REFUSED = 2**20  # bytes that are read of who may not come in, to keep the connection
_APPS_OWN = ("authorization", "cookie")  # headers that are nothing to the inspector


class EntranceRouter(Router):
    """Routes everything under ``{base_url}flaskserve/`` to an :class:`Entrance`, and what is asked
    of the inspectors to an :class:`InspectorEntrance`."""

    def __init__(self, serving: FlaskServe) -> None:
        self._serving = serving
        self._logout = f"{serving.base_url}logout"
        self._entrances: tuple[tuple[str, type[Entrance]], ...] = (
            (f"{serving.base_url}flaskserve", Entrance),
            (f"{serving.base_url}{INSPECTOR}", InspectorEntrance),
        )

    def find_handler(
        self, request: httputil.HTTPServerRequest, **kwargs: object
    ) -> httputil.HTTPMessageDelegate | None:
        if request.path == self._logout:
            self._serving.access.forget()
        for root, entrance in self._entrances:
            prefix = _prefix(request.path, root)
            if prefix is not None:
                return entrance(self._serving, request, prefix)
        return None


def _prefix(path: str, root: str) -> str | None:
    """The part of a request's path that is a root of ours, as the client spelled it."""
    if path.startswith(root):
        if path[len(root) : len(root) + 1] in ("", "/"):
            return root
    elif "%" in path or "%" in root:
        # The client may escape the base URL otherwise than the server does.
        start = "/".join(path.split("/")[: root.count("/") + 1])
        if unquote(start) == unquote(root):
            return start
    return None


class Entrance(httputil.HTTPMessageDelegate):
    """One request: let in or refused, then handed on to who answers it.

    :param serving: what the server serves.
    :param request: the request's head.
    :param root: the start of its path that is ``{base_url}flaskserve``, as the client spelled it.
    """

    def __init__(self, serving: FlaskServe, request: httputil.HTTPServerRequest, root: str) -> None:
        self._serving = serving
        self._request = request
        self._root = root
        # The mount's name that the path names; an empty string for the index.
        self._name = unquote(request.path[len(root) + 1 :].partition("/")[0])
        self._lines = list(request.headers.get_all())
        self._successor: httputil.HTTPMessageDelegate | None = None
        self._admission: Admission | None = None
        self._mount: ServedMount | None = None
        self._started = time.monotonic()
        self._left = False

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        self._admission = self._serving.access.recall(self._request, self._action)
        return self._ask() if self._admission is None else self._enter(self._admission)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._successor.data_received(chunk) if self._successor is not None else None

    def finish(self) -> None:
        if self._successor is not None:
            self._successor.finish()

    def on_connection_close(self) -> None:
        self._left = True
        if self._successor is not None:
            self._successor.on_connection_close()

    @property
    def _action(self) -> str:
        """What the authorizer is asked."""
        return "execute" if self._name else "read"

    async def _ask(self) -> None:
        """Ask whether the request may come in, and let it in or answer it."""
        admission = await self._serving.access.ask(self._request, self._action)
        if isinstance(admission, Answer):
            if not self._left:
                self._answer(admission, most=_MOST_REFUSED)
        elif not self._left:
            self._admission = admission
            entering = self._enter(admission)
            if entering is not None:
                await entering

    def _enter(self, admission: Admission) -> Awaitable[None] | None:
        """Find who answers a request that may come in.

        :returns: ``None``, or what to wait for before more of the request is read.
        """
        name = self._name
        if not name:
            return self._show_index()
        mount = self._serving.registry.find(name)
        if mount is None:
            return self._say_missing(name)
        if self._request.path.count("/") == self._root.count("/") + 1:
            self._answer(self._with_slash())
            return None
        return self._forward(mount, admission)

    def _answer(self, answer: Answer, *, most: float = math.inf) -> None:
        self._successor = Answering(self._request, self._with_login(answer), most=most)
        self._log(answer.status, whole=True)

    @property
    def _login_headers(self) -> list[tuple[str, str]]:
        """By which Jupyter remembers who came with its token in the URL."""
        cookies = self._admission.set_cookies if self._admission is not None else ()
        return [("Set-Cookie", cookie) for cookie in cookies]

    def _with_login(self, answer: Answer) -> Answer:
        return answer._replace(headers=(*answer.headers, *self._login_headers))

    # Our own pages.

    @property
    def _accept(self) -> str | None:
        return self._request.headers.get("Accept")

    async def _show_index(self) -> None:
        if self._request.path == self._root:
            answer = self._with_slash()
        elif self._request.method not in ("GET", "HEAD"):
            answer = pages.error(
                405, "method-not-allowed", "The list of apps is read with GET.", accept=self._accept
            )
        else:
            listed = await self._serving.listed()
            answer = pages.index(listed, base_path=self._serving.base_url, accept=self._accept)
        self._answer(answer)

    async def _say_missing(self, name: str) -> None:
        listed = await self._serving.listed()
        # It has stopped, or has come back while the others were asked.
        stopped = next((mount for mount in listed if mount.name == name), None)
        if stopped is not None:
            self._answer(self._stopped(stopped))
        else:
            self._answer(pages.unknown_mount(name, listed, accept=self._accept))

    def _stopped(self, mount: pages.Listed) -> Answer:
        return pages.stopped_mount(
            mount,
            status_path=self._serving.status_path(mount.name),
            method=self._request.method or "",
            accept=self._accept,
        )

    def _with_slash(self) -> Answer:
        """Relative links in a page need the slash. 308 keeps the method and the body."""
        target = f"{self._request.path}/"
        if self._request.query:
            target += f"?{self._request.query}"
        return Answer(
            308, "Permanent Redirect", (("Location", target), ("Content-Length", "0")), b""
        )

    # The app.

    def _forward(self, mount: ServedMount, admission: Admission) -> Awaitable[None] | None:
        self._mount = mount
        if self._is_too_large():
            self._answer(self._too_large(mount))
            return None
        return self._forward_to(mount, admission)

    def _forward_to(self, mount: ServedMount, admission: Admission) -> Awaitable[None] | None:
        self._serving.touch(mount)
        head = self._head(admission, admission.encoded_headers(self._lines))
        if head.upgrade and not self._serving.may_open_websocket(mount):
            self._answer(
                pages.error(
                    503,
                    "too-many-websockets",
                    f"{mount.record.name}: {self._serving.max_websockets} WebSockets are open"
                    " already (FlaskServe.max_websockets).",
                    accept=self._accept,
                    retry_after=1,
                )
            )
            return None
        forwarding = Forwarding(
            self._request,
            Brief(
                head=head,
                pool=mount.pool,
                limits=self._serving.limits(),
                response_headers=partial(self._response_headers, mount, admission, head.prefix),
                other_pool=self._other_pool,
                on_error=self._app_error,
                on_log=partial(self._serving.log_app, mount.record.name),
                on_end=partial(self._app_ended, mount, head.upgrade),
            ),
        )
        self._successor = forwarding
        mount.websockets += head.upgrade
        return forwarding.start()

    def _is_too_large(self) -> bool:
        """Whether the request's head is larger than the server passes on."""
        size = sum(len(name) + len(value) + 4 for name, value in self._lines)
        return size + len(self._request.uri or "") > self._serving.max_header_size

    def _too_large(self, mount: ServedMount) -> Answer:
        return pages.error(
            431,
            "headers-too-large",
            f"{mount.record.name}: the request's headers and address are larger than"
            f" {self._serving.max_header_size} bytes (FlaskServe.max_header_size).",
            accept=self._accept,
        )

    def _head(self, admission: Admission, encoded_headers: bytes) -> RequestHead:
        """The request as it is passed on: without what is Jupyter's, and as an ordinary one."""
        request = self._request
        context = getattr(request.connection, "context", None)
        address = getattr(context, "address", None)
        port = str(address[1]) if isinstance(address, tuple) else ""
        start = len(self._root) + 1
        return RequestHead(
            method=request.method or "",
            path=request.path,
            query=app_query(request.query, admission.credentials),
            version=request.version,
            encoded_headers=encoded_headers,
            host=request.host,
            scheme=request.protocol,
            remote_addr=request.remote_ip or "",
            remote_port=port if address and address[0] == request.remote_ip else "",
            prefix=request.path[:start] + request.path[start:].partition("/")[0],
            upgrade="Upgrade" in request.headers
            and wants_upgrade(request.method or "", request.version, self._lines),
        )

    def _response_headers(
        self, mount: ServedMount, admission: Admission, prefix: str, head: ResponseHead
    ) -> list[tuple[str, str]]:
        headers, dropped = confine_headers(
            head.headers,
            path=f"{prefix}/",
            frame_ancestors="" if head.status == 101 else admission.frame_ancestors,
            cookie_names=admission.credentials.cookie_names,
        )
        if dropped:
            self._serving.log.warning(
                "flaskserve %s: left out of the app's response, as it would act on Jupyter: %s",
                mount.record.name,
                ", ".join(dropped),
            )
        return [*headers, *self._login_headers]

    def _other_pool(self) -> LinkPool | None:
        """Links to whoever has the name by now."""
        self._mount = self._serving.registry.find(self._name) or self._mount
        return self._mount.pool if self._mount is not None else None

    def _app_error(self, error: Exception) -> Answer:
        """The answer in the place of the app's, which cannot be had."""
        mount = self._mount
        assert mount is not None
        name = mount.record.name
        if isinstance(error, GatewayError):
            answer = pages.error(
                error.status,
                error.code,
                f"{name}: {error.message}",
                accept=self._accept,
                retry_after=error.retry_after,
            )
        elif isinstance(error, (ConnectionRefusedError, FileNotFoundError)) or (
            # A socket that was idle may have been found broken only by writing to it.
            isinstance(error, (BrokenPipeError, ConnectionResetError)) and not is_live(mount.record)
        ):
            # Nobody listens: the kernel has ended and left its record behind.
            self._serving.registry.lost(mount)
            answer = self._stopped(self._serving.listed_stopped(mount.record))
        else:
            answer = pages.error(
                502,
                "kernel-lost",
                f"{name}: the notebook's kernel ended before it answered. It may have done a part"
                " of what was asked.",
                accept=self._accept,
            )
        self._serving.log.warning(
            "flaskserve %s: %s %s: %d: %s",
            name,
            self._request.method,
            self._request.path,
            answer.status,
            error,
        )
        return self._with_login(answer)

    def _app_ended(self, mount: ServedMount, is_websocket: bool, status: int, whole: bool) -> None:
        mount.websockets -= is_websocket
        self._serving.touch(mount)
        self._ended(status, whole)

    def _ended(self, status: int, whole: bool) -> None:
        self._successor = None  # it knows this, and two that know each other are garbage for long
        self._log(status, whole=whole)

    def _log(self, status: int, *, whole: bool) -> None:
        if not self._serving.logs_requests:
            return
        milliseconds = 1000 * (time.monotonic() - self._started)
        self._serving.log.debug(
            "flaskserve: %s %s %s (%s@%s) %.2fms%s",
            status or "-",
            self._request.method,
            quote(self._request.path, safe="/%"),
            self._admission.username if self._admission is not None else "",
            self._request.remote_ip,
            milliseconds,
            "" if whole else " (broken off)",
        )


class StatusEntrance(Entrance):
    """A request for the state of the mounts, where there is no Jupyter Server to route it to
    :mod:`.api`. What it changes there, stopping a mount, is not to be had here.

    :param root: the start of its path, up to ``/mounts``.
    """

    @property
    def _action(self) -> str:
        return "read"

    async def _enter(self, admission: Admission) -> None:
        if self._request.method not in ("GET", "HEAD"):
            answer = pages.error(
                405,
                "method-not-allowed",
                "The state of the apps is read with GET. To stop one, run %flaskserve stop.",
                accept=self._accept,
            )
        elif self._name:
            answer = await mount_status(self._serving, self._name)
        else:
            answer = await mounts_status(self._serving)
        self._answer(answer)


class InspectorEntrance(Entrance):
    """A request of the panels to a mount's inspector: it is let in as one to the app is, but asks
    for more, since it tells what others have sent to the app and can stop it. Then it goes to the
    responder itself.

    The links are others than the app's, so it is answered while the app is busy. It does not count
    as use of the kernel: an open panel asks again and again.

    :param root: the start of its path, up to ``/inspector``.
    """

    @property
    def _accept(self) -> str:
        return "application/json"

    @property
    def _action(self) -> str:
        return "write"

    def _enter(self, admission: Admission) -> Awaitable[None] | None:
        mount = self._serving.registry.find(self._name)
        if mount is None:
            return self._say_missing(self._name)
        return self._forward(mount, admission)

    def _forward_to(self, mount: ServedMount, admission: Admission) -> Awaitable[None] | None:
        lines = app_headers(self._lines, admission.credentials)
        encoded = header_params(line for line in lines if line[0].lower() not in _APPS_OWN)
        head = self._head(admission, encoded)._replace(upgrade=False, control=fastcgi.INSPECT)
        forwarding = Forwarding(
            self._request,
            Brief(
                head=head,
                pool=mount.inspector_pool,
                limits=self._serving.limits()._replace(max_body_size=0),  # it has its own
                response_headers=self._inspector_headers,
                other_pool=self._other_pool,
                on_error=self._app_error,
                on_log=partial(self._serving.log_app, mount.record.name),
                on_end=self._ended,
            ),
        )
        self._successor = forwarding
        return forwarding.start()

    def _inspector_headers(self, head: ResponseHead) -> list[tuple[str, str]]:
        """Its header lines as they are; it has no cookies to set."""
        headers = [(name, value) for name, value in head.headers if name.lower() != "set-cookie"]
        return [*headers, *self._login_headers]

    def _other_pool(self) -> LinkPool | None:
        self._mount = self._serving.registry.find(self._name) or self._mount
        return self._mount.inspector_pool if self._mount is not None else None
