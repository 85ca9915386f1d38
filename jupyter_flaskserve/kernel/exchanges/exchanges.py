"""What was asked of a mount and what came of it: its exchanges, the latest ones.

A request runs in its exchange: :func:`current` says which one the calling code belongs to. So what
a view prints is told from what a cell prints (:mod:`.outputs`), and a request sees its app as the
app was when the request began (:mod:`..cells.rerun`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any, TypeVar, overload
from urllib.parse import quote

from ..responder.environ import Environ
from .code_places import name_cells, place_of_failure

__all__ = ["Exchange", "Exchanges", "current"]

Result = TypeVar("Result")

_LENGTH = 1000  # exchanges that are kept
_OUTPUT_LIMIT = 256 * 1024  # characters kept of what one exchange printed and logged
_ALL_OUTPUT_LIMIT = 16 * 1024 * 1024  # characters kept of all exchanges of a mount together
_PIECE = 4096  # characters up to which small texts are put together
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
    :ivar failed: what the view raised and where, such as ``ZeroDivisionError in Cell In[3], line
        4``; empty where it did not. All exchanges keep it.
    :ivar debug: whether the app that failed is in debug mode.
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
        self.failed = ""
        self.debug = False
        self._token: Token[Exchange | None]  # of _current, while the request runs
        self._pinned: dict[Hashable, Any] = {}  # only while the request runs
        self._clock = time.monotonic()
        self._before: Context | None = None  # the context variables without the request's
        self._variables: dict[ContextVar[Any], Any] = {}  # the request's, when it failed
        self._output_lock = threading.Lock()  # guards the four below
        self._output: deque[str] = deque()
        self._output_size = 0  # characters in it
        self._output_lost = 0  # characters that were before
        self._is_dropped = False  # whether no more output is kept

    @property
    def mount(self) -> str:
        """The name of the mount that was asked."""
        return self._exchanges.mount

    @property
    def path(self) -> str:
        """What was asked for, under the mount's address, as people read it: ``/users/7?page=2``."""
        return f"{self.bare_path}?{_printable(self._query)}" if self._query else self.bare_path

    @property
    def bare_path(self) -> str:
        """The same without the query: ``/users/7``."""
        return _printable(self._path_info.encode("latin-1").decode("utf-8", "replace"))

    @property
    def output(self) -> str:
        """What the view has printed and logged; of very much, the end."""
        start, text = self.output_from(0)
        return f"[{start} characters before] …\n{text}" if start else text

    def output_from(self, start: int) -> tuple[int, str]:
        """What is kept of the output, from its character ``start`` on.

        :returns: the position of the first character there is, and the text.
        """
        with self._output_lock:
            text = "".join(self._output)
            lost = self._output_lost
        return max(start, lost), text[max(start - lost, 0) :]

    def write(self, text: str) -> None:
        """Add to the output. Where it gets too much, its beginning is dropped."""
        if not text or self._is_dropped:
            return
        text = name_cells(text)
        with self._output_lock:
            before = self._output_size
            if self._output and len(self._output[-1]) < _PIECE:
                self._output[-1] += text
            else:
                self._output.append(text)
            self._output_size += len(text)
            while self._output_size > _OUTPUT_LIMIT:
                first = self._output.popleft()
                rest = first[self._output_size - _OUTPUT_LIMIT :]
                if rest:
                    self._output.appendleft(rest)
                self._output_size -= len(first) - len(rest)
                self._output_lost += len(first) - len(rest)
            grown = self._output_size - before
        self._exchanges.note_output(grown)

    def drop_output(self) -> int:
        """Called by the exchanges of the mount when all outputs together are too much.

        :returns: how many characters that frees.
        """
        with self._output_lock:
            self._is_dropped = True
            size, self._output_size = self._output_size, 0
            self._output_lost += size
            self._output.clear()
        return size

    def fail(self, error: BaseException) -> None:
        """Note what the view raised. Of what is noted for one exchange, the first counts.

        It is called in the request's thread, the earlier the better: as long as the request's
        context variables are there, :meth:`recall` can bring them back.
        """
        self._exchanges.note_failure(self, error)

    def keep_failure(self, error: BaseException) -> None:
        """Called by the exchanges of the mount for the first failure."""
        place = place_of_failure(error.__traceback__)
        self.failed = type(error).__name__ + (f" in {place}" if place else "")
        before = self._before or Context()
        self._variables = {
            variable: value
            for variable, value in copy_context().items()
            if variable is not _current
            and (variable not in before or before[variable] is not value)
        }
        self.failure = error

    def drop_failure(self) -> None:
        """Called by the exchanges of the mount when there have been enough others since."""
        self.failure = None
        self._variables = {}

    def pin(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """What the request sees of something that cells may replace: what ``make`` returned when
        the request first asked for it.

        :param key: what it is asked for by.
        """
        try:
            pinned: Result = self._pinned[key]
        except KeyError:
            pinned = self._pinned.setdefault(key, make())
        return pinned

    def recall(self, function: Callable[[], Result]) -> Result:
        """Call a function with the context variables as they were when the view failed.

        So Flask's ``request``, ``session`` and ``g`` answer again. What the function prints is the
        caller's, not the exchange's.
        """

        def call() -> Result:
            for variable, value in self._variables.items():
                variable.set(value)
            return function()

        return copy_context().run(call)

    def __enter__(self) -> None:
        """The calling thread begins to run the request: what it does from here on is its."""
        self._before = copy_context()
        self._token = _current.set(self)

    def __exit__(self, *failure: object) -> None:
        _current.reset(self._token)
        self._before = None
        self.duration = time.monotonic() - self._clock
        self._pinned.clear()

    def __repr__(self) -> str:
        parts = [f"#{self.number} {self.method} {self.path}"]
        if self.status is not None:
            parts.append(str(self.status))
        parts.append("open" if self.duration is None else f"{self.duration * 1000:.1f} ms")
        return f"<Exchange {' · '.join(parts)}>"


class Exchanges(Sequence[Exchange]):
    """The latest exchanges of a mount, oldest first.

    :ivar on_failure: called with an exchange whose view has raised, in the request's thread.
    :ivar mount: the mount's name.
    """

    def __init__(
        self, on_failure: Callable[[Exchange], None] | None = None, mount: str = ""
    ) -> None:
        self.on_failure = on_failure
        self.mount = mount
        self._kept: deque[Exchange] = deque(maxlen=_LENGTH)
        self._failed: deque[Exchange] = deque()
        self._lock = (
            threading.Lock()
        )  # guards _number, _failed, _output_size and the order of _kept
        self._number = 0
        self._output_size = 0  # characters of all outputs together

    def begin(self, environ: Environ) -> Exchange:
        """Add the exchange of a request that is about to run."""
        with self._lock:
            self._number += 1
            exchange = Exchange(self._number, environ, self)
            oldest = self._kept[0] if len(self._kept) == _LENGTH else None
            self._kept.append(exchange)
        if oldest is not None:
            self.note_output(-oldest.drop_output())
        return exchange

    def note_failure(self, exchange: Exchange, error: BaseException) -> None:
        """See :meth:`Exchange.fail`."""
        with self._lock:
            if exchange.failed:
                return
            exchange.failed = type(error).__name__
            self._failed.append(exchange)
            oldest = self._failed.popleft() if len(self._failed) > _FAILURES else None
        exchange.keep_failure(error)
        if oldest is not None:  # not under the lock: what its frames held may run code as it goes
            oldest.drop_failure()
        if self.on_failure is not None:
            self.on_failure(exchange)

    def drop_failures(self) -> None:
        """Keep no exceptions any more, and with them no variables of views."""
        with self._lock:
            failed = list(self._failed)
            self._failed.clear()
        for exchange in failed:
            exchange.drop_failure()

    def note_output(self, size: int) -> None:
        """See that all outputs together do not get too much: the oldest go first."""
        with self._lock:
            self._output_size += size
            if self._output_size <= _ALL_OUTPUT_LIMIT:
                return
            kept = list(self._kept)
        for exchange in kept[:-1]:
            freed = exchange.drop_output()
            with self._lock:
                self._output_size -= freed
                if self._output_size <= _ALL_OUTPUT_LIMIT:
                    return

    @property
    def failures(self) -> list[Exchange]:
        """Those that still keep what their view raised, oldest first."""
        with self._lock:
            return list(self._failed)

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


def _printable(text: str) -> str:
    """A text without what moves a terminal's cursor or breaks a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else quote(c) for c in text)
