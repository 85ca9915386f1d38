"""Tells the panels that there is news: what about, they fetch themselves.

Threads that answer requests only note that something has changed. One thread of this process,
*flaskserve news*, tells it to the panels, at most ten times a second, whichever cell is running.
When nobody has fetched anything for a while, although there was news, it stops listening until
somebody does: panels that nobody sees cost the app nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import queue
import threading
import time
from typing import TYPE_CHECKING

from ..kernel import mount as kernel_mount
from ..kernel.mount import Mount, mounts

if TYPE_CHECKING:
    from ..kernel.exchanges.exchanges import Exchanges
    from .panel import Panel

__all__ = ["ask", "mount_named", "subscribe", "unsubscribe"]

_INTERVAL = 0.1  # seconds between two news at the least
_PATIENCE = 30.0  # seconds that news are told for, although nobody fetches what they are about


class _Watch:
    """The panels of one mount, and whether there is news for them.

    :ivar panels: they.
    """

    def __init__(self) -> None:
        self.panels: set[Panel] = set()
        # Guards _mount, _exchanges and _listens; a finalizer may stop a mount in the middle.
        self._lock = threading.RLock()
        self._mount: Mount | None = None
        self._exchanges: Exchanges | None = None
        self._listens = False
        # These two are set by any thread; what is overlooked comes with the next change.
        self._has_news = False
        self._unseen_since: float | None = None  # when there was news that nobody has fetched yet

    def follow(self, mount: Mount) -> None:
        """The mount that has the name now."""
        with self._lock:
            self._mount = mount
            if self._exchanges is not mount.requests:
                self._stop_listening()
                self._exchanges = mount.requests
            self._listen()

    def looked_at(self) -> None:
        """Somebody has fetched what is there."""
        self._unseen_since = None
        if not self._listens:
            with self._lock:
                self._listen()

    def note(self) -> None:
        """Something has changed. Called in the threads of requests."""
        if not self._has_news:
            self._has_news = True
            _wake.put(None)

    def tell(self) -> None:
        """Tell the panels, if there is news. Called in the thread of the news."""
        if not self._has_news:
            return
        self._has_news = False
        now = time.monotonic()
        if self._unseen_since is None:
            self._unseen_since = now
        elif now - self._unseen_since > _PATIENCE:
            with self._lock:
                self._stop_listening()
        mount, exchanges = self._mount, self._exchanges
        if mount is None or exchanges is None:
            return
        news = {
            "kind": "news",
            "last": exchanges.last_number,
            "revision": mount.revision,
            "generation": exchanges.generation,
            "stopped": mount.stopped,
        }
        for panel in list(self.panels):
            with contextlib.suppress(Exception):  # the kernel is ending, or shows nothing
                panel.send(news)
        if mount.stopped:
            self._let_go(mount)

    def end(self) -> None:
        """Nobody is to be told any more."""
        if self._mount is not None:
            self._let_go(self._mount)

    def _let_go(self, mount: Mount) -> None:
        """Keep nothing of a mount that has stopped, unless another follows it by now."""
        with self._lock:
            if self._mount is mount:
                self._stop_listening()
                self._mount = self._exchanges = None

    def _listen(self) -> None:
        if not self._listens and self._exchanges is not None:
            self._exchanges.listen(self.note)
            self._listens = True

    def _stop_listening(self) -> None:
        if self._listens and self._exchanges is not None:
            self._exchanges.unlisten(self.note)
        self._listens = False


class _Watcher:
    """Hears from the kernel's mounts: see :data:`.kernel.mount.watchers`."""

    def changed(self, mount: Mount) -> None:
        watch = _watches.get(mount.name)
        if watch is not None and mount_named(mount.name) in (mount, None):  # it has no successor
            watch.follow(mount)
            watch.note()

    def looked_at(self, mount: Mount) -> None:
        watch = _watches.get(mount.name)
        if watch is not None:
            watch.looked_at()


_watches: dict[str, _Watch] = {}  # by the mount's name
_lock = threading.RLock()  # guards _watches and _thread
_wake: queue.SimpleQueue[None] = queue.SimpleQueue()  # a finalizer may put into it at any moment
_thread: threading.Thread | None = None
_watcher = _Watcher()


def subscribe(panel: Panel) -> None:
    """Tell a panel the news of its mount from now on."""
    global _thread
    with _lock:
        watch = _watches.setdefault(panel.mount, _Watch())
        watch.panels.add(panel)
        if _watcher not in kernel_mount.watchers:
            kernel_mount.watchers.append(_watcher)
        if _thread is None:
            _thread = threading.Thread(target=_tell, name="flaskserve news", daemon=True)
            _thread.start()
    mount = mount_named(panel.mount)
    if mount is not None:
        watch.follow(mount)


def unsubscribe(panel: Panel) -> None:
    """Tell it no more. It may not have been told anything."""
    with _lock:
        watch = _watches.get(panel.mount)
        if watch is None:
            return
        watch.panels.discard(panel)
        if watch.panels:
            return
        del _watches[panel.mount]
        if not _watches and _watcher in kernel_mount.watchers:
            kernel_mount.watchers.remove(_watcher)
            _wake.put(None)  # the thread ends
    watch.end()


def mount_named(name: str) -> Mount | None:
    """What this kernel serves under a name now."""
    return next((mount for mount in mounts() if mount.name == name), None)


def ask(name: str, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """Ask the inspector of what is served under a name now.

    :param path: what comes after the inspector's own path, with its query.
    :returns: status, headers and body. Where nothing is served under the name, they are those of a
        404 without the header by which an inspector's answer is known.
    """
    mount = mount_named(name)
    if mount is None:
        message = {"error": "not-found", "message": f"{name} is not served any more."}
        return 404, {"Content-Type": "application/json"}, json.dumps(message).encode()
    _watcher.looked_at(mount)
    if path == "link":  # not to be had over HTTP: it may let a browser in
        known = {"Content-Type": "application/json", "Flaskserve-Inspector": name}
        return 200, known, json.dumps({"link": mount.link}).encode()
    status, headers, content = mount.inspector.ask(method or "GET", path, body)
    return status, dict(headers), content


def _tell() -> None:
    global _thread
    while True:
        _wake.get()
        with _lock:
            if not _watches:
                _thread = None
                return
            watches = list(_watches.values())
        for watch in watches:
            watch.tell()
        time.sleep(_INTERVAL)


def _end() -> None:
    """The process ends: nobody is to be told any more."""
    for watch in list(_watches.values()):
        watch.panels.clear()


atexit.register(_end)
