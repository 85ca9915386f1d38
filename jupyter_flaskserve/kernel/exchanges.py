"""What was asked of a mount and what came of it: its exchanges, the latest ones.

A request runs in its exchange: :func:`current` says which one the calling code belongs to. So what
a view prints is told from what a cell prints (:mod:`.outputs`), and a request sees its app as the
app was when the request began (:mod:`.rerun`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, overload

from .environ import Environ

__all__ = ["Exchange", "Exchanges", "current"]

_LENGTH = 1000  # exchanges that are kept
_OUTPUT_LIMIT = 256 * 1024  # characters kept of what one exchange printed and logged
_FAILURES = 10  # exchanges that keep their exception, and with it the variables of its frames

_current: ContextVar[Exchange | None] = ContextVar("flaskserve_exchange", default=None)


def current() -> Exchange | None:
    """The exchange that the calling code belongs to; ``None`` in cells and everywhere else."""
    return _current.get()


class Exchange:
    """One request and its response.

    :ivar number: its number among those of its mount, from 1.
    :ivar method: the request's method.
    :ivar started: when its view was called, in seconds since the epoch.
    :ivar duration: how long it took to the end of its response, in seconds; ``None`` until then.
    :ivar status: the response's status, such as ``200``; ``None`` until there is one.
    :ivar failure: the exception that the view raised, where it did. Only the latest ones of a mount
        keep it.
    :ivar resources: what parts of the kernel's side keep for as long as the request runs.
    """

    def __init__(self, number: int, environ: Environ, exchanges: Exchanges) -> None:
        self.number = number
        self.method: str = environ["REQUEST_METHOD"]
        self._path_info: str = environ["PATH_INFO"]
        self._query: str = environ["QUERY_STRING"]
        self._exchanges = exchanges
        self.started = time.time()
        self.duration: float | None = None
        self.status: int | None = None
        self.failure: BaseException | None = None
        self.resources: dict[Any, Any] = {}
        self._clock = time.monotonic()
        # Written by the request's thread, read by any; each operation on it is atomic.
        self._output: list[str] = []
        self._output_size = 0

    @property
    def path(self) -> str:
        """What was asked for, under the mount's address, as people read it: ``/users/7?page=2``."""
        path = self._path_info.encode("latin-1").decode("utf-8", "replace")
        return f"{path}?{self._query}" if self._query else path

    @property
    def output(self) -> str:
        """What the view has printed and logged."""
        text = "".join(self._output)
        if self._output_size > _OUTPUT_LIMIT:
            text += f"… [{self._output_size - _OUTPUT_LIMIT} more characters]\n"
        return text

    def write(self, text: str) -> None:
        """Add to the output; what is too much is only counted."""
        room = _OUTPUT_LIMIT - self._output_size
        if room > 0:
            self._output.append(text[:room])
        self._output_size += len(text)

    def fail(self, error: BaseException) -> None:
        """Note what the view raised. Of what is noted for one exchange, the first counts."""
        self._exchanges.note_failure(self, error)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The time in which the calling thread runs the request."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self.duration = time.monotonic() - self._clock
            self.resources.clear()

    def __repr__(self) -> str:
        parts = [f"#{self.number} {self.method} {self.path}"]
        if self.status is not None:
            parts.append(str(self.status))
        parts.append("open" if self.duration is None else f"{self.duration * 1000:.1f} ms")
        return f"<Exchange {' · '.join(parts)}>"


class Exchanges(Sequence[Exchange]):
    """The latest exchanges of a mount, oldest first.

    :param on_failure: called with an exchange whose view has raised, in the request's thread.
    """

    def __init__(self, on_failure: Callable[[Exchange], None] | None = None) -> None:
        self._on_failure = on_failure
        self._kept: deque[Exchange] = deque(maxlen=_LENGTH)
        self._failed: deque[Exchange] = deque()
        self._lock = threading.Lock()  # guards _number, _failed, and the order of _kept
        self._number = 0

    def begin(self, environ: Environ) -> Exchange:
        """Add the exchange of a request that is about to run."""
        with self._lock:
            self._number += 1
            exchange = Exchange(self._number, environ, self)
            self._kept.append(exchange)
        return exchange

    def note_failure(self, exchange: Exchange, error: BaseException) -> None:
        """See :meth:`Exchange.fail`."""
        with self._lock:
            if exchange.failure is not None:
                return
            exchange.failure = error
            self._failed.append(exchange)
            if len(self._failed) > _FAILURES:
                self._failed.popleft().failure = None
        if self._on_failure is not None:
            self._on_failure(exchange)

    def numbered(self, number: int) -> Exchange | None:
        """The exchange with a number, if it is still kept."""
        return next((exchange for exchange in list(self._kept) if exchange.number == number), None)

    @property
    def last(self) -> Exchange:
        """The latest exchange.

        :raises IndexError: there has been none.
        """
        return self[-1]

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | list[Exchange]:
        return list(self._kept)[index]

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<{len(self)} exchanges of {self._number}>"
