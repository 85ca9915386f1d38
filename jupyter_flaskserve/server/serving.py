"""What a server serves, and what an administrator can set. Knows nothing of Jupyter Server."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from traitlets import Float, Int, observe
from traitlets.config import Configurable

from .. import fastcgi
from ..gateway.forward import Limits
from ..gateway.links import LinkPool
from ..records import API, MountRecord
from .admission import Access
from .connect import connect_to
from .pages import Listed
from .registry import Registry, ServedMount

__all__ = ["FlaskServe", "Log"]

_STOP_TIMEOUT = 5.0  # seconds for a kernel to take the request to stop a mount
_INSPECTOR_LINKS = 4  # to each mount; the responder has room for them beside those of the app

Log = logging.Logger | logging.LoggerAdapter[Any]


class FlaskServe(Configurable):
    """Serves the apps of kernels under ``{base_url}flaskserve/``.

    :param access: decides who may come in.
    :param base_url: the path under which everything is, with a slash at both ends.
    :param log: the server's log.
    :param is_own_kernel: whether a kernel of that id belongs to this server.
    :ivar id: the id by which its kernels know it.
    """

    max_body_size = Int(
        0,
        min=0,
        help="""The largest request body that is passed on to an app, in bytes; larger ones are
        answered with 413. 0 sets no limit: bodies are streamed, so the server does not hold them,
        but the app may.""",
    ).tag(config=True)

    max_header_size = Int(
        32768,
        min=1024,
        help="""The most bytes that the address and the headers of a request may have together;
        larger ones are answered with 431. Jupyter Server itself closes the connection beyond
        65536.""",
    ).tag(config=True)

    max_websockets = Int(
        256,
        min=0,
        help="""How many WebSockets of one app may be open. Further ones are answered with 503. Each
        holds a thread of the app, so the app's own number of threads (64 unless the notebook says
        otherwise) is a limit too. 0 sets no other.""",
    ).tag(config=True)

    response_timeout = Float(
        600.0,
        min=0.0,
        help="""How long an app may take to begin its response, in seconds, before the client is
        answered with 504. A kernel that was stopped (SIGSTOP, a debugger) is noticed by this. 0
        waits for ever.""",
    ).tag(config=True)

    stream_timeout = Float(
        0.0,
        min=0.0,
        help="""How long a response that has begun may be silent, in seconds, before it is broken
        off. 0 lets a stream be silent for ever.""",
    ).tag(config=True)

    queue_length = Int(
        256,
        min=0,
        help="""How many requests may wait for one app when all its threads are busy (64 threads
        unless the notebook says otherwise). Further ones are answered with 503.""",
    ).tag(config=True)

    queue_timeout = Float(
        30.0,
        min=0.0,
        help="""How long a request waits for a free thread of its app, in seconds, before it is
        answered with 503.""",
    ).tag(config=True)

    connect_timeout = Float(
        10.0,
        min=0.0,
        help="""How long to wait for a kernel to take a connection, in seconds, before the request
        is answered with 504.""",
    ).tag(config=True)

    idle_link_timeout = Float(
        60.0,
        min=0.0,
        help="""How long an unused connection to a kernel is kept, in seconds. Each holds one
        sleeping thread in the kernel.""",
    ).tag(config=True)

    remember_login = Float(
        5.0,
        min=0.0,
        max=60.0,
        help="""How long Jupyter Server's answer that a request may come in holds for requests that
        present the same, in seconds. After a logout, and when the token or the password has
        changed, Jupyter Server is asked again at once. 0 asks for each request. Other identity
        providers than Jupyter Server's own, such as JupyterHub's, and other authorizers are asked
        for each request anyway.""",
    ).tag(config=True)

    def __init__(
        self,
        access: Access,
        *,
        base_url: str,
        log: Log,
        is_own_kernel: Callable[[str], bool],
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.access = access
        self.base_url = base_url
        self.log = log
        self.id = secrets.token_hex(8)
        self._limits: Limits | None = None
        self._debug_is_seen = False
        self._debug_asked_next = 0.0  # when that is to be found out again, on the monotonic clock
        self.registry = Registry(self.id, is_own_kernel=is_own_kernel, serve=self._serve, log=log)

    def limits(self) -> Limits:
        """What one exchange with an app may take."""
        if self._limits is None:
            self._limits = Limits(self.max_body_size, self.response_timeout, self.stream_timeout)
        return self._limits

    @observe("max_body_size", "response_timeout", "stream_timeout")
    def _forget_limits(self, change: object) -> None:
        self._limits = None

    def may_open_websocket(self, mount: ServedMount) -> bool:
        """Whether an app has room for one more WebSocket."""
        return not self.max_websockets or mount.websockets < self.max_websockets

    def status_path(self, name: str) -> str:
        """The path at which programs ask for the state of a mount."""
        return f"{self.base_url}{API}/mounts/{name}"

    @property
    def logs_requests(self) -> bool:
        """Whether anybody sees what is logged at the level ``DEBUG``. Jupyter's logger takes all
        levels, and its handlers drop what is not asked for. A change is heeded within a second."""
        now = time.monotonic()
        if now >= self._debug_asked_next:
            self._debug_asked_next = now + 1
            self._debug_is_seen = self._is_debug_seen()
        return self._debug_is_seen

    def _is_debug_seen(self) -> bool:
        log = self.log.logger if isinstance(self.log, logging.LoggerAdapter) else self.log
        if not log.isEnabledFor(logging.DEBUG):
            return False
        while log is not None:
            if any(handler.level <= logging.DEBUG for handler in log.handlers):
                return True
            log = log.parent if log.propagate else None
        return False

    def touch(self, mount: ServedMount) -> None:
        """Note that a mount's kernel is in use."""

    def log_app(self, name: str, text: str) -> None:
        """Log what an app wrote to ``wsgi.errors``."""
        self.log.warning("flaskserve %s: %s", name, text)

    async def listed(self) -> list[Listed]:
        """The mounts for people and programs: the live ones, then those whose kernel stopped."""
        notebooks = await self.notebooks()
        live = [mount.record for mount in await self.registry.all()]
        stopped = self.registry.all_stopped()
        return [self._listed(record, "serving", notebooks) for record in live] + [
            self._listed(record, "stopped", notebooks) for record in stopped
        ]

    async def listed_as(self, name: str) -> Listed | None:
        """One mount for programs. No other kernel than its own is asked."""
        mount = await self.registry.find_live(name)
        if mount is not None:
            return self._listed(mount.record, "serving", await self.notebooks())
        return next(
            (
                self.listed_stopped(record)
                for record in self.registry.all_stopped()
                if record.name == name
            ),
            None,
        )

    def listed_stopped(self, record: MountRecord) -> Listed:
        """A mount whose kernel has stopped."""
        return self._listed(record, "stopped", {})

    async def stop(self, name: str) -> None:
        """Stop a mount. Its kernel is asked to, which works while a cell runs there; a mount whose
        kernel has stopped is forgotten.

        :raises OSError: the kernel does not answer.
        :raises asyncio.TimeoutError: the same.
        """
        mount = self.registry.find(name)
        if mount is None:
            self.registry.forget(name)
        else:
            await asyncio.wait_for(_send_stop(mount.record), _STOP_TIMEOUT)

    async def notebooks(self) -> dict[str, str]:
        """The notebooks' paths by the ids of their kernels, as far as the server knows them."""
        return {}

    def notebook_path(self, record: MountRecord) -> str:
        """The path of a mount's notebook in the server, to judge by its record; or an empty
        string."""
        return ""

    def notebook_url(self, path: str) -> str | None:
        """Where a notebook can be opened, as a URL path."""
        return None

    def _listed(self, record: MountRecord, state: Any, notebooks: dict[str, str]) -> Listed:
        path = notebooks.get(record.kernel_id) or self.notebook_path(record)
        return Listed(
            name=record.name,
            path=record.path_under(self.base_url),
            notebook=os.path.basename(path or record.notebook),
            notebook_path=self.notebook_url(path) if path else None,
            title=record.title,
            state=state,
            started=record.started,
            kernel_id=record.kernel_id,
            threads=record.threads,
            revision=record.revision,
        )

    def _serve(self, record: MountRecord) -> ServedMount:
        make_pool = partial(
            LinkPool,
            connect_to(record),
            queue_length=self.queue_length,
            queue_timeout=self.queue_timeout,
            connect_timeout=self.connect_timeout,
            idle_timeout=self.idle_link_timeout,
        )
        return ServedMount(
            record,
            pool=make_pool(limit=record.threads),
            inspector_pool=make_pool(
                limit=_INSPECTOR_LINKS, places="connections for the panels of this app"
            ),
        )


async def _send_stop(record: MountRecord) -> None:
    """Send the request that stops a mount, and wait until the responder has taken it and closed the
    connection."""
    transport, protocol = await connect_to(record)(_StopRequest)
    assert isinstance(protocol, _StopRequest)
    try:
        await protocol.ended
    finally:
        transport.close()


class _StopRequest(asyncio.Protocol):
    """Asks a responder to stop its mount, on a connection of its own."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        params = fastcgi.encode_pairs([(fastcgi.CONTROL_PARAM, fastcgi.STOP)])
        transport.write(
            fastcgi.encode_begin_request(1, keep=False)
            + fastcgi.encode_stream(fastcgi.PARAMS, 1, params)
            + fastcgi.encode_record(fastcgi.PARAMS, 1)
            + fastcgi.encode_record(fastcgi.STDIN, 1)
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
