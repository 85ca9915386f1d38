"""The Jupyter Server extension."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from jupyter_server.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from tornado.routing import AnyMatches, Rule

from .. import records
from .access import JupyterAccess
from .api import MountHandler, MountsHandler
from .entrance import EntranceRouter
from .registry import ServedMount, sweep
from .reload_script import ReloadScriptRouter
from .serving import FlaskServe

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from ..records import MountRecord

__all__ = ["JupyterFlaskServe", "load"]

_ALL_ADDRESSES = ("", "*", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound
_TOUCH_INTERVAL = 1.0  # seconds between two notes that a kernel is in use
_ACTIVITY_INTERVAL = 10.0  # seconds between notes that open requests keep their kernels in use


class JupyterFlaskServe(FlaskServe):
    """Serves the apps of a Jupyter Server's kernels.

    :param server: the Jupyter Server.
    """

    def __init__(self, server: ServerApp) -> None:
        self._settings: dict[str, Any] = server.web_app.settings
        self._kernels = server.kernel_manager
        self._sessions = server.session_manager
        self._extensions = server.extension_manager
        super().__init__(
            JupyterAccess(server.web_app, remember=lambda: self.remember_login),
            base_url=self._settings["base_url"],
            log=server.log,
            is_own_kernel=self._kernels.__contains__,
            parent=server,
        )

    def touch(self, mount: ServedMount) -> None:
        """Note that a kernel is in use, so that it is not culled, nor the server shut down."""
        moment = time.monotonic()
        if moment < mount.touch_next:
            return
        mount.touch_next = moment + _TOUCH_INTERVAL
        now = datetime.now(timezone.utc)
        self._settings["last_activity_times"]["flaskserve"] = now
        with contextlib.suppress(KeyError):  # it has just been shut down
            kernel: Any = self._kernels.get_kernel(mount.record.kernel_id)
            kernel.last_activity = now

    def touch_all_in_use(self) -> None:
        """The same for every kernel that is answering a request now."""
        for mount in self.registry.in_use():
            self.touch(mount)

    async def notebooks(self) -> dict[str, str]:
        return {
            session["kernel"]["id"]: session["path"]
            for session in await self._sessions.list_sessions()
            if session.get("kernel")
        }

    def notebook_path(self, record: MountRecord) -> str:
        root = self._settings.get("server_root_dir", "")
        if not root or not record.notebook:
            return ""
        path = os.path.relpath(record.notebook, os.path.expanduser(root))
        return "" if path.startswith("..") else path

    def notebook_url(self, path: str) -> str | None:
        enabled = {name for name, on in self._extensions.extensions.items() if on.enabled}
        for extension, part in (("jupyterlab", "lab/tree"), ("notebook", "notebooks")):
            if extension in enabled:
                return url_path_join(self.base_url, part, quote(path))
        return None


def load(server: ServerApp) -> None:
    """Set the extension up in a server. Jupyter Server calls this once."""
    serving = JupyterFlaskServe(server)
    base_url = serving.base_url
    os.environ[records.SERVER_ENV] = serving.id
    os.environ[records.BASE_URL_ENV] = base_url
    server.io_loop.add_callback(_announce_url, server)
    server.io_loop.add_callback(server.io_loop.run_in_executor, None, sweep)
    api = url_path_join(base_url, f"{records.API}/mounts")
    settings = {"serving": serving}
    application: Any = server.web_app
    application.add_handlers(
        ".*$",
        [
            (f"{re.escape(api)}/?", MountsHandler, settings),
            (f"{re.escape(api)}/([^/]+)/?", MountHandler, settings),
        ],
    )
    # Before all others, which are tried by one pattern after the other.
    routers = (EntranceRouter(serving), ReloadScriptRouter(base_url))
    application.default_router.rules[:0] = [Rule(AnyMatches(), router) for router in routers]
    PeriodicCallback(serving.touch_all_in_use, _ACTIVITY_INTERVAL * 1000).start()
    atexit.register(_remove_records, serving, os.getpid())


def _remove_records(serving: FlaskServe, pid: int) -> None:
    if os.getpid() == pid:  # and not in a child that was forked from the server
        serving.registry.remove_records()


def _announce_url(server: ServerApp) -> None:
    """Tell kernels where programs on this machine reach the server. Only a server that runs knows
    its port."""
    url = urlsplit(server.connection_url)
    if server.ip in _ALL_ADDRESSES:
        url = url._replace(netloc=f"127.0.0.1:{server.port}")
    os.environ[records.SERVER_URL_ENV] = url.geturl()
