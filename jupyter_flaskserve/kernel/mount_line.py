"""The line that a mount shows in a cell's output, and how it is kept up to date from there on."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from IPython.core.getipython import get_ipython

from .exchanges.exchanges import Exchange
from .exchanges.failures import advice

__all__ = ["MountLine", "failure_line"]

_INTERVAL = 0.5  # seconds between two updates at the least


class MountLine:
    """What was shown once, updated in place where the front end can.

    A notebook can, whichever cell is running. In a terminal what is printed stays as it is. Updates
    come from a thread of their own, so that they belong to no request and keep none waiting.

    :param as_text: gives the line, with the failure of an exchange if it is given one.
    :param as_html: gives the same as HTML.
    """

    def __init__(
        self,
        as_text: Callable[[Exchange | None], str],
        as_html: Callable[[Exchange | None], str],
    ) -> None:
        self._as_text = as_text
        self._as_html = as_html
        shell = get_ipython()
        # The shell's publisher may be another one later, while a cell's output is captured.
        self._publisher: Any = shell.display_pub if shell is not None else None
        self._id = uuid.uuid4().hex
        # Guards the three below.
        self._lock = threading.Lock()
        self._failed: Exchange | None = None
        self._updating = False  # whether an update is on its way
        self._updated = 0.0  # when the last one was made, on the monotonic clock
        if self._publisher is None:
            print(as_text(None))
        else:
            self._publish(None, update=False)

    def note_failure(self, exchange: Exchange) -> None:
        """Say that a view has failed, soon. It may be called from any thread and does not wait."""
        self._update_soon(exchange)

    def refresh(self) -> None:
        """Show the line as it is now, soon: the app has changed, and is not what has failed."""
        self._update_soon(None)

    def _update_soon(self, failed: Exchange | None) -> None:
        if getattr(self._publisher, "session", None) is None:
            return  # no notebook, or its output is being captured
        with self._lock:
            self._failed = failed
            if self._updating:
                return
            self._updating = True
            delay = self._updated + _INTERVAL - time.monotonic()
        timer = threading.Timer(max(0.0, delay), self._update)
        timer.name = "flaskserve line"
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the system has no more threads: the next change is shown
            with self._lock:
                self._updating = False

    def _update(self) -> None:
        with self._lock:
            failed = self._failed
            self._updating = False
            self._updated = time.monotonic()
        self._publish(failed, update=True)

    def _publish(self, failed: Exchange | None, *, update: bool) -> None:
        self._publisher.publish(
            {"text/plain": self._as_text(failed), "text/html": self._as_html(failed)},
            {},
            transient={"display_id": self._id},
            update=update,
        )


def failure_line(exchange: Exchange) -> str:
    """Which request failed, of what and where, and what to do; without its query, and what else may
    be secret."""
    parts = [
        f"{exchange.method} {exchange.masked_bare_path} failed: {exchange.failed}",
        f"%flaskserve debug {exchange.mount}",
    ]
    if exchange.failure is not None and (hint := advice(exchange.failure)):
        parts.append(hint)
    return " · ".join(parts)
