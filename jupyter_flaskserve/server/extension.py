"""The Jupyter Server extension: what it sets up, and what an administrator can set."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import re
import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from jupyter_server.utils import url_path_join
from tornado import web
from tornado.ioloop import PeriodicCallback
from tornado.routing import PathMatches, Rule
from traitlets import Float, Int
from traitlets.config import Configurable

from .. import fastcgi, records
from ..gateway.forward import Limits
from ..gateway.links import Connect, LinkPool
from .api import MountHandler, MountsHandler
from .delegate import EntranceRouter
from .pages import Listed
from .registry import Registry, ServedMount, connect_to

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ..records import MountRecord

__all__ = ["FlaskServe", "load"]

_STOP_TIMEOUT = 5.0  # seconds for a kernel to take the request to stop a mount
_ALL_ADDRESSES = ("", "*", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound
_ACTIVITY_INTERVAL = 10.0  # seconds between notes that open requests keep their kernels in use


class FlaskServe(Configurable):
    """Serves the apps of this server's kernels under ``{base_url}flaskserve/``.

    :param server: the Jupyter Server.
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
        otherwise) is a limit too.""",
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

    def __init__(self, server: ServerApp) -> None:
        super().__init__(parent=server)
        self.log: Any = server.log
        self.application: web.Application = server.web_app
        self._settings: dict[str, Any] = server.web_app.settings
        self.base_url: str = self._settings["base_url"]
        self._kernels = server.kernel_manager
        self._sessions = server.session_manager
        self._extensions = server.extension_manager
        self.id = secrets.token_hex(8)
        self.registry = Registry(
            self.id,
            is_own_kernel=self._kernels.__contains__,
            make_pool=self._make_pool,
            log=self.log,
        )

    def limits(self) -> Limits:
        """What one exchange with an app may take."""
        return Limits(self.max_body_size, self.response_timeout, self.stream_timeout)

    def may_open_websocket(self, mount: ServedMount) -> bool:
        """Whether an app has room for one more WebSocket."""
        return mount.pool.tunnels < self.max_websockets

    def touch(self, mount: ServedMount) -> None:
        """Note that a kernel is in use, so that it is not culled, nor the server shut down."""
        now = datetime.now(timezone.utc)
        self._settings["last_activity_times"]["flaskserve"] = now
        with contextlib.suppress(KeyError):  # it has just been shut down
            kernel: Any = self._kernels.get_kernel(mount.record.kernel_id)
            kernel.last_activity = now

    def touch_all_in_use(self) -> None:
        """The same for every kernel that is answering a request now."""
        for mount in self.registry.in_use():
            self.touch(mount)

    def log_app(self, name: str, text: str) -> None:
        """Log what an app wrote to ``wsgi.errors``."""
        self.log.warning("flaskserve %s: %s", name, text)

    async def listed(self) -> list[Listed]:
        """The mounts for people and programs: the live ones, then those whose kernel stopped."""
        notebooks = {
            session["kernel"]["id"]: session["path"]
            for session in await self._sessions.list_sessions()
            if session.get("kernel")
        }
        live = [mount.record for mount in self.registry.all()]
        stopped = self.registry.all_stopped()
        return [self._listed(record, "serving", notebooks) for record in live] + [
            self._listed(record, "stopped", notebooks) for record in stopped
        ]

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

    def _listed(self, record: MountRecord, state: Any, notebooks: dict[str, str]) -> Listed:
        path = notebooks.get(record.kernel_id)
        return Listed(
            name=record.name,
            path=f"{self.base_url}flaskserve/{record.name}/",
            notebook=os.path.basename(path or record.notebook),
            notebook_path=self._notebook_url(path) if path else None,
            title=record.title,
            state=state,
            started=record.started,
            kernel_id=record.kernel_id,
            threads=record.threads,
        )

    def _notebook_url(self, path: str) -> str | None:
        """Where a notebook is opened."""
        enabled = {name for name, on in self._extensions.extensions.items() if on.enabled}
        for extension, part in (("jupyterlab", "lab/tree"), ("notebook", "notebooks")):
            if extension in enabled:
                return url_path_join(self.base_url, part, quote(path))
        return None

    def _make_pool(self, connect: Connect, limit: int) -> LinkPool:
        return LinkPool(
            connect,
            limit=limit,
            queue_length=self.queue_length,
            queue_timeout=self.queue_timeout,
            connect_timeout=self.connect_timeout,
            idle_timeout=self.idle_link_timeout,
        )


def load(server: ServerApp) -> None:
    """Set the extension up in a server. Jupyter Server calls this once."""
    serving = FlaskServe(server)
    base_url = serving.base_url
    os.environ[records.SERVER_ENV] = serving.id
    os.environ[records.BASE_URL_ENV] = base_url
    server.io_loop.add_callback(_announce_url, server)
    serving.registry.sweep()
    api = url_path_join(base_url, "api/flaskserve/mounts")
    settings = {"serving": serving}
    application: Any = server.web_app
    application.add_handlers(
        ".*$",
        [
            (f"{re.escape(api)}/?", MountsHandler, settings),
            (f"{re.escape(api)}/([^/]+)/?", MountHandler, settings),
        ],
    )
    # ServerWebApplication.add_handlers takes request handlers only; Tornado's takes routers.
    web.Application.add_handlers(
        server.web_app, ".*$", [Rule(PathMatches(".*"), EntranceRouter(serving))]
    )
    PeriodicCallback(serving.touch_all_in_use, _ACTIVITY_INTERVAL * 1000).start()
    atexit.register(serving.registry.remove_records)


def _announce_url(server: ServerApp) -> None:
    """Tell kernels where programs on this machine reach the server. Only a server that runs knows
    its port."""
    url = urlsplit(server.connection_url)
    if server.ip in _ALL_ADDRESSES:
        url = url._replace(netloc=f"127.0.0.1:{server.port}")
    os.environ[records.SERVER_URL_ENV] = url.geturl()


async def _send_stop(record: MountRecord) -> None:
    """Send the request that stops a mount, and wait for its answer."""
    _, protocol = await connect_to(record)(_StopRequest)
    assert isinstance(protocol, _StopRequest)
    await protocol.answered


class _StopRequest(asyncio.Protocol):
    """Asks a responder to stop its mount, on a connection of its own."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

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
        if not self.answered.done():
            self.answered.set_result(None)
