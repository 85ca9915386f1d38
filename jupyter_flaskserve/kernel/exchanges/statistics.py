"""How many requests there were, how many failed, and how long they took: for each endpoint and for
all. It takes the same memory however many there are, and outlasts the exchanges themselves.
"""

from __future__ import annotations

import math
import operator
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["OTHERS", "Durations", "EndpointStatistics", "Statistics"]

OTHERS = "…"
"""The name under which endpoints are counted once there are too many of them."""

_ENDPOINTS = 200
_SECONDS = 60  # for which each second's requests are counted
_RATE_SECONDS = 10

_TOGETHER = 200  # exchanges that are counted at a time

_SHORTEST = 1e-6  # seconds
_GROWTH = 1.08  # from one bucket to the next; the middle of a bucket is at most 4 % away
_BUCKETS = 330  # up to about a day
_SCALE = 1 / math.log(_GROWTH)
_MIDDLE = math.sqrt(_GROWTH)


class Durations:
    """A histogram whose buckets grow, so that a percentile is right to 4 %, short or long."""

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self.count = 0
        self._buckets = [0] * _BUCKETS

    def add(self, seconds: float) -> None:
        """Count a duration."""
        bucket = int(math.log(seconds / _SHORTEST) * _SCALE) if seconds > _SHORTEST else 0
        self._buckets[min(bucket, _BUCKETS - 1)] += 1
        self.count += 1

    def add_all(self, others: Durations) -> None:
        """Count what another histogram has."""
        self.count += others.count
        self._buckets = list(map(operator.add, self._buckets, others._buckets))

    def percentile(self, percent: float) -> float | None:
        """The duration, in seconds, that so many percent of all did not exceed; ``None`` where
        there are none."""
        rank = max(math.ceil(self.count * percent / 100), 1)
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if seen >= rank:
                return _SHORTEST * _GROWTH**bucket * _MIDDLE
        return None


class EndpointStatistics:
    """What is counted of one endpoint. Guarded by the lock of its :class:`Statistics`.

    :ivar endpoint: its name; empty for requests that no rule matched.
    :ivar count: requests that have ended.
    :ivar errors: those whose view raised, or whose status is from 500 on.
    :ivar durations: how long they took, but for WebSockets, which last as long as people stay.
    """

    __slots__ = ("_per_second", "_second", "count", "durations", "endpoint", "errors")

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.count = 0
        self.errors = 0
        self.durations = Durations()
        self._per_second = [0] * _SECONDS  # at the second modulo its length
        self._second = int(time.monotonic())  # up to which it holds

    def add(self, second: int, seconds: float | None, is_error: bool) -> None:
        """Count a request that ended in a second of the monotonic clock."""
        self.count += 1
        if is_error:
            self.errors += 1
        if seconds is not None:
            self.durations.add(seconds)
        if second != self._second:
            self._go_on_to(second)
        if self._second - second < _SECONDS:
            self._per_second[second % _SECONDS] += 1

    def add_all(self, others: EndpointStatistics, second: int) -> None:
        """Count what another one has, at a second of the monotonic clock."""
        self.count += others.count
        self.errors += others.errors
        self.durations.add_all(others.durations)
        self._go_on_to(second)
        others._go_on_to(second)
        self._per_second = list(map(operator.add, self._per_second, others._per_second))

    def per_second(self, second: int) -> list[int]:
        """How many ended in each of the last 60 seconds, the latest last."""
        self._go_on_to(second)
        latest = self._second % _SECONDS + 1
        return self._per_second[latest:] + self._per_second[:latest]

    def _go_on_to(self, second: int) -> None:
        for passed in range(max(self._second, second - _SECONDS) + 1, second + 1):
            self._per_second[passed % _SECONDS] = 0
        self._second = max(self._second, second)

    def as_dict(self, second: int) -> dict[str, Any]:
        """All of it, with durations in milliseconds."""
        per_second = self.per_second(second)
        percentiles = {
            f"p{percent}": None if found is None else round(found * 1000, 3)
            for percent in (50, 95, 99)
            for found in (self.durations.percentile(percent),)
        }
        return {
            "endpoint": self.endpoint,
            "count": self.count,
            "errors": self.errors,
            **percentiles,
            "rate": sum(per_second[-_RATE_SECONDS:]) / _RATE_SECONDS,
            "per_second": per_second,
        }


class Statistics:
    """The counts of one mount. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # guards _endpoints; a finalizer may run in the middle
        self._endpoints: dict[str, EndpointStatistics] = {}
        # Of exchanges that have ended: endpoint, when, duration, whether it was an error. They are
        # counted some at a time, which is cheaper. Each operation on it is atomic.
        self._ended: deque[tuple[str, float, float | None, bool]] = deque()

    def add(self, exchange: Exchange) -> None:
        """Count an exchange that has ended."""
        status = exchange.status
        is_error = bool(exchange.failed) or (status is not None and status >= 500)
        seconds = exchange.duration if status != 101 else None
        self._ended.append((exchange.endpoint or "", time.monotonic(), seconds, is_error))
        if len(self._ended) >= _TOGETHER:
            with self._lock:
                self._count_ended()

    def _count_ended(self) -> None:
        """Count the exchanges that have been noted. Under the lock."""
        while self._ended:
            endpoint, moment, seconds, is_error = self._ended.popleft()
            counted = self._endpoints.get(endpoint)
            if counted is None:
                counted = self._new(endpoint)
            counted.add(int(moment), seconds, is_error)

    def _new(self, endpoint: str) -> EndpointStatistics:
        if len(self._endpoints) >= _ENDPOINTS:
            endpoint = OTHERS
        return self._endpoints.setdefault(endpoint, EndpointStatistics(endpoint))

    def clear(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._ended.clear()
            self._endpoints = {}

    def as_dict(self) -> dict[str, Any]:
        """All counts: ``seconds``, how long requests per second reach back; ``all``; and
        ``endpoints``, the busiest first."""
        everything = EndpointStatistics("")
        with self._lock:
            self._count_ended()
            second = int(time.monotonic())
            for counted in self._endpoints.values():
                everything.add_all(counted, second)
            endpoints = [counted.as_dict(second) for counted in self._endpoints.values()]
        endpoints.sort(key=lambda counted: -counted["count"])
        return {
            "seconds": _SECONDS,
            "all": everything.as_dict(second),
            "endpoints": endpoints,
        }

    def __repr__(self) -> str:
        found = self.as_dict()["all"]
        return f"<{found['count']} requests, {found['errors']} errors>"
