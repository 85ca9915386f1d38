"""What was asked of a mount and what came of it: its exchanges, the latest ones."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

from ... import fastcgi
from ..responder.environ import Environ
from .exchange import Exchange, current
from .recording import TAG_HEADER, Recording, encode_environ
from .statistics import Statistics

__all__ = ["Exchange", "Exchanges", "current"]

_LIMIT = 1000  # exchanges that are kept
_MEMORY_LIMIT = 64 * 1024 * 1024  # bytes
_BODY_LIMIT = 1024 * 1024  # bytes kept of one body
_ALL_OUTPUT_LIMIT = 16 * 1024 * 1024  # characters kept of all outputs of a mount together
_FAILURES = 10  # exchanges that keep their exception, and with it the variables of its frames
_TAG_LIMIT = 64  # characters
_LONGEST_QUEUE = 3600.0  # seconds; what says more comes from another clock

_RECEIVED = fastcgi.RECEIVED_PARAM.decode()


class Exchanges(Sequence[Exchange]):
    """The latest exchanges of a mount, oldest first.

    How much is kept is bounded: by :attr:`limit` their number, by :attr:`memory_limit` the memory.
    Where that gets too much the oldest bodies go first, then the oldest headers, then the oldest
    exchanges. What bodies were counted stays.

    :ivar on_failure: called with an exchange whose view has raised, in the request's thread.
    :ivar mount: the mount's name.
    :ivar generation: a word of its own for each such object, so also after a kernel restarted.
    :ivar recording: whether the headers and bodies of the requests to come are kept.
    :ivar cleared: the number of the latest exchange that a person has cleared away, or 0.
    :ivar statistics: counts and percentiles since the last :meth:`clear`.
    :ivar lock: guards the order of what is kept and its sizes. It is reentrant, because a finalizer
        may run in the middle, and print; what is dropped is let go outside it.
    """

    def __init__(
        self, on_failure: Callable[[Exchange], None] | None = None, mount: str = ""
    ) -> None:
        self.on_failure = on_failure
        self.mount = mount
        self.generation = uuid.uuid4().hex
        self.recording = True
        self.cleared = 0
        self.statistics = Statistics()
        self.lock = threading.RLock()  # guards all below
        self._kept: deque[Exchange] = deque()  # their numbers have no gaps
        self._failed: deque[Exchange] = deque()
        self._listeners: tuple[Callable[[], object], ...] = ()
        self._number = 0
        self._output_size = 0  # characters of all outputs together
        self._weight = 0  # bytes of memory of all others
        self._without_bodies = 0  # the number up to which bodies have been dropped
        self._without_headers = 0  # and headers
        self._limit = _LIMIT
        self._memory_limit = _MEMORY_LIMIT
        self._body_limit = _BODY_LIMIT

    # How much is kept.

    @property
    def limit(self) -> int:
        """How many exchanges are kept. It may be set at any time.

        :raises ValueError: it is set to what is no whole number from 1.
        """
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = _whole_number("limit", limit, "exchanges", 1)
        self._keep_limits()

    @property
    def memory_limit(self) -> int:
        """How many bytes of memory they may take, about. It may be set at any time.

        :raises ValueError: it is set to what is no whole number from 0.
        """
        return self._memory_limit

    @memory_limit.setter
    def memory_limit(self, limit: int) -> None:
        self._memory_limit = _whole_number("memory_limit", limit, "bytes", 0)
        self._keep_limits()

    @property
    def body_limit(self) -> int:
        """How many bytes are kept of one body, from its beginning; it holds for requests to come.

        :raises ValueError: it is set to what is no whole number from 0.
        """
        return self._body_limit

    @body_limit.setter
    def body_limit(self, limit: int) -> None:
        self._body_limit = _whole_number("body_limit", limit, "bytes", 0)

    @property
    def memory(self) -> int:
        """How many bytes of memory they take, about; a character of output counts as one."""
        return self._weight + self._output_size

    def clear(self) -> None:
        """Forget all exchanges up to now, and begin to count anew. Those that are open go on."""
        with self.lock:
            self.cleared = self._number
            dropped = [*self._kept, *self._failed]
            while self._kept:
                self._drop_oldest()
            self._failed.clear()
        for exchange in dropped:
            exchange.drop_failure()
        self.statistics.clear()
        self.note_change()

    # What is told of them as they come.

    def listen(self, callback: Callable[[], object]) -> None:
        """Have something called when an exchange begins, changes or ends, and on :meth:`clear`.

        :param callback: called without arguments, often, and in the request's thread, which waits
            for it: set an event there and do the work elsewhere. What it raises is lost.
        """
        with self.lock:
            self._listeners = (*self._listeners, callback)

    def unlisten(self, callback: Callable[[], object]) -> None:
        """Undo :meth:`listen`. It may be called more than once."""
        with self.lock:
            self._listeners = tuple(known for known in self._listeners if known != callback)

    def note_change(self) -> None:
        """Tell those who listen."""
        for callback in self._listeners:
            with contextlib.suppress(Exception):
                callback()

    # What requests do.

    def begin(
        self, environ: Environ, params: bytes | None = None, arrived: float | None = None
    ) -> Exchange:
        """Add the exchange of a request that is about to run.

        What the environ says to us and not to the app is taken out of it.

        :param params: the content of the request's ``PARAMS`` stream; made of the environ where it
            is not given.
        :param arrived: when the responder had the request, on the monotonic clock.
        """
        tag = environ.pop(TAG_HEADER, None)
        received = environ.pop(_RECEIVED, None)
        if received is not None:
            arrived = _moment(received, arrived)
        if tag is not None and not (0 < len(tag) <= _TAG_LIMIT and tag.isprintable()):
            tag = None
        recording = None
        if self.recording:
            recording = Recording(
                encode_environ(environ) if params is None else params, self._body_limit
            )
        exchange = Exchange(0, environ, self, recording=recording, arrived=arrived, tag=tag)
        weight = exchange.weigh()
        with self.lock:
            self._number += 1
            exchange.number = self._number
            exchange.weight = weight
            self._weight += weight
            self._kept.append(exchange)
            # It is let go outside the lock, because that may run code.
            oldest = self._drop_oldest() if len(self._kept) > self._limit else None
            is_full = self._is_full
        if is_full:
            self._keep_limits()
        if self._listeners:
            self.note_change()
        del oldest
        return exchange

    def note_end(self, exchange: Exchange) -> None:
        """An exchange has ended."""
        self.note_weight(exchange)
        self.statistics.add(exchange)
        if self._listeners:
            self.note_change()

    def note_weight(self, exchange: Exchange) -> None:
        """What an exchange keeps has grown."""
        with self.lock:
            if not exchange.weight:  # it is not kept any more
                return
            weight = exchange.weigh()  # under the lock: another thread may drop its bodies
            self._weight += weight - exchange.weight
            exchange.weight = weight
            is_full = self._is_full
        if is_full:
            self._keep_limits()

    def note_failure(self, exchange: Exchange, error: BaseException) -> None:
        """See :meth:`Exchange.fail`."""
        with self.lock:
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
        with self.lock:
            failed = list(self._failed)
            self._failed.clear()
        for exchange in failed:
            exchange.drop_failure()

    def note_output(self, size: int) -> None:
        """See that all outputs together do not get too much: the oldest go first."""
        with self.lock:
            self._output_size += size
            is_full = self._is_full
            kept = [] if self._output_size <= _ALL_OUTPUT_LIMIT else list(self._kept)
        for exchange in kept[:-1]:
            freed = exchange.drop_output()
            with self.lock:
                self._output_size -= freed
                if self._output_size <= _ALL_OUTPUT_LIMIT:
                    break
        if is_full:
            self._keep_limits()

    @property
    def _is_full(self) -> bool:
        return len(self._kept) > self._limit or self.memory > self._memory_limit

    def _keep_limits(self) -> None:
        """Drop what is too much."""
        dropped: list[Any] = []  # let go outside the lock, because that may run code
        with self.lock:
            while len(self._kept) > self._limit:
                dropped.append(self._drop_oldest())
            while self._kept and self.memory > self._memory_limit:
                first, last = self._kept[0].number, self._kept[-1].number
                if self._without_bodies < last:
                    self._without_bodies = max(self._without_bodies + 1, first)
                    exchange = self._kept[self._without_bodies - first]
                    exchange.drop_bodies()
                elif self._without_headers < last:
                    self._without_headers = max(self._without_headers + 1, first)
                    exchange = self._kept[self._without_headers - first]
                    exchange.drop_headers()
                elif first < last:
                    dropped.append(self._drop_oldest())
                    continue
                else:
                    break
                weight = exchange.weigh()
                self._weight += weight - exchange.weight
                exchange.weight = weight

    def _drop_oldest(self) -> Exchange:
        """Keep the oldest exchange no longer. Under the lock."""
        exchange = self._kept.popleft()
        self._weight -= exchange.weight
        exchange.weight = 0
        if exchange.is_open:  # what comes of its bodies would be accounted for nowhere
            exchange.drop_bodies()
        self._output_size -= exchange.drop_output()
        return exchange

    # What there is.

    @property
    def failures(self) -> list[Exchange]:
        """Those that still keep what their view raised, oldest first."""
        with self.lock:
            return list(self._failed)

    def numbered(self, number: int) -> Exchange | None:
        """The exchange with a number, if it is still kept."""
        with self.lock:
            index = number - self._kept[0].number if self._kept else -1
            return self._kept[index] if 0 <= index < len(self._kept) else None

    def since(self, number: int) -> list[Exchange]:
        """Those kept that came after the one with a number, oldest first."""
        with self.lock:
            start = number + 1 - self._kept[0].number if self._kept else 0
            return list(islice(self._kept, max(start, 0), None))

    def tagged(self, tag: str) -> list[Exchange]:
        """Those kept whose request was sent with a tag, oldest first."""
        return [exchange for exchange in self if exchange.tag == tag]

    @property
    def first_number(self) -> int:
        """The number of the oldest exchange that is kept; where none is, that of the next one."""
        with self.lock:
            return self._kept[0].number if self._kept else self._number + 1

    @property
    def last_number(self) -> int:
        """The number of the latest exchange there has been, or 0."""
        return self._number

    @property
    def last(self) -> Exchange:
        """The latest exchange.

        :raises IndexError: there has been none.
        """
        return self[-1]

    def to_har(self, *, reveal: bool = False) -> dict[str, Any]:
        """The exchanges as an HTTP Archive, which browsers' network panels open: HAR 1.2, ready for
        :func:`json.dump`.

        :param reveal: whether secrets are in it.
        """
        from .export.har import har

        return har(self, reveal=reveal)

    def to_frame(self) -> Any:
        """The exchanges as a table of pandas, a row for each, without secrets.

        :returns: a ``pandas.DataFrame``.
        :raises ImportError: pandas is not installed; the message says how to install it.
        """
        from .export.frame import frame

        return frame(self)

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | list[Exchange]:
        if isinstance(index, slice):
            return self.since(0)[index]
        with self.lock:
            return self._kept[index]

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.since(0))

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<{len(self)} exchanges of {self._number}>"


def _moment(received: str, arrived: float | None) -> float | None:
    """When the server had the request's head, on the clock that processes of a machine share.

    :param arrived: what holds where the server's word is not to be believed.
    """
    try:
        moment = float(received)
    except ValueError:
        return arrived
    return moment if 0.0 <= time.monotonic() - moment <= _LONGEST_QUEUE else arrived


def _whole_number(name: str, number: object, what: str, least: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ValueError(f"{name} is {number!r}; give a whole number of {what}, {least} or more.")
    return number
