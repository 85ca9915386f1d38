"""Which worker answers which link: one worker a link, or one worker for many links in turn.

One thread at a time has the interpreter. Where many requests come at once and each has a thread of
its own, these threads wake each other, pass the interpreter around, and get a fifth fewer requests
answered than one thread that takes them one after the other. But a request that waits, for a
database, a client or a cell that has the interpreter, must keep no other waiting. So a link is

- *held* by a worker that blocks in ``recv`` for its next request: the fewest system calls, and
  nobody waits for anybody. So is each link at first. Or it is
- *parked* in a selector. One worker, the *leader*, waits there for all parked links, and answers
  those that have a request in turn.

A link is parked when its request has ended and another has begun meanwhile. It is held again

- when requests come one at a time again,
- when the leader waits for a good part of its time, as the requests do something else than
  compute. For a second or longer no link is parked then.
- when one request keeps the leader for longer than a moment. The *deputy*, who looks on, becomes
  the leader, and the one who was it keeps that link. No link is parked for a while then, either.

There are as many workers as links, so that each request can have one. Those that neither hold a
link nor lead stand in line for it, the first of them as the deputy.
"""

from __future__ import annotations

import math
import selectors
import threading
import time
from collections import deque

from .link import Link

__all__ = ["Turns"]

_MOMENT = 0.01  # seconds that a request may keep the leader
_APART = 1.0  # seconds for which no link is parked once requests were found to wait,
_LONGEST_APART = 32.0  # and when they were so again and again
_MEASURED = 0.05  # seconds of the leader's time that are judged together
_LEAST_BUSY = 0.6  # the part of them that it computes
_WAITED = 2  # how often in a row it was less, after which links are held
_ALONE = 256  # requests that come one at a time, after which a link is held
_SLEEP_AFTER = 50  # moments without a request, after which the deputy does not look any more

# Those to which a link can be added while another thread waits in them.
_FIT = tuple(
    getattr(selectors, name)
    for name in ("EpollSelector", "KqueueSelector")
    if hasattr(selectors, name)
)


class Turns:
    """The parked links of a responder, and who answers them.

    Workers call :meth:`next` and :meth:`hold`.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # Guards all below, but for what only the leader touches. Where _leader and _apart_until are
        # read without it, nothing is decided for good: only a worker itself becomes the leader.
        self._lock = threading.Lock()
        self._succession = threading.Condition(self._lock)  # where the deputy waits
        self._line = threading.Condition(self._lock)  # and where the others do
        self._leader = 0  # a thread's identity; 0 while there is none
        self._has_deputy = False
        self._deputy_sleeps = False  # whether it waits to be woken, and not for a moment
        self._current: Link | None = None  # the link whose request the leader answers
        self._turn = 0  # the number of the turn
        self._ready: deque[Link] = deque()  # parked links that have a request
        # Until when no link is parked, on the monotonic clock; where the system's selector does not
        # see what is added to it while somebody waits there, for ever.
        self._apart_until = 0.0 if isinstance(self._selector, _FIT) else math.inf
        self._apart = _APART  # seconds for which it will be the next time
        # What only the leader touches.
        self._alone = 0  # how many requests have come one at a time
        self._began = 0.0  # when its turn began, on the monotonic clock
        self._began_busy = 0.0  # and on that of the thread's processor time
        self._measured = 0.0  # seconds of turns
        self._busy = 0.0  # seconds of them that it computed
        self._waited = 0  # how often in a row that was little

    def next(self, link: Link, *, settled: bool, crowded: bool) -> Link:
        """The link whose next request the calling worker is to answer; it may wait for one.

        :param link: the one that it has answered last.
        :param settled: whether that one's request has come to its end, and nothing behind it.
        :param crowded: whether other requests have begun meanwhile.
        """
        me = threading.get_ident()
        may_park = crowded and settled and time.monotonic() >= self._apart_until
        if self._leader != me and not may_park:
            return link
        with self._lock:
            if self._leader != me:
                if not may_park:
                    return link  # the deputy has taken the lead meanwhile
                try:
                    self._selector.register(link, selectors.EVENT_READ, link)
                except OSError:  # the system has no more room for it
                    return link
                self._become_leader(me)
            else:
                self._measure()
                if not settled:
                    self._resign(link)
                    return link
            if not self._ready:
                self._wait_for_requests()
            following = self._ready.popleft()
            if self._alone >= _ALONE or time.monotonic() < self._apart_until:
                self._resign(following)
            else:
                self._current = following
                self._turn += 1
                self._began, self._began_busy = time.monotonic(), time.thread_time()
            return following

    def hold(self, link: Link) -> None:
        """Keep a link, whose request is known to last or which has ended, out of the turns: who
        leads resigns. A link that is held already stays so.

        :param link: the calling worker's.
        """
        with self._lock:
            if self._leader == threading.get_ident():
                self._resign(link)

    def close(self) -> None:
        """Close the selector, when all workers have ended, or in a child made by ``fork``."""
        self._leader = 0
        self._selector.close()

    # All below is called under the lock.

    def _become_leader(self, me: int) -> None:
        """Wait in line, then as the deputy, until there is no leader or it is kept for too long."""
        while self._has_deputy:
            self._line.wait()
        self._has_deputy = True
        idle = 0  # moments
        while self._leader:
            turn = self._turn
            self._deputy_sleeps = idle >= _SLEEP_AFTER
            self._succession.wait(None if self._deputy_sleeps else _MOMENT)
            self._deputy_sleeps = False
            if turn != self._turn:
                idle = 0
            elif self._current is None:
                idle += 1
            else:
                self._keep_apart()
                self._resign(self._current)
        self._has_deputy = False
        self._line.notify()
        self._leader = me
        self._alone = self._waited = 0
        self._measured = self._busy = 0.0

    def _resign(self, link: Link) -> None:
        """Let somebody else lead; the leader holds a link."""
        self._leader = 0
        self._current = None
        self._succession.notify()
        self._selector.unregister(link)

    def _wait_for_requests(self) -> None:
        self._current = None
        while not self._ready:
            self._lock.release()
            try:
                events = self._selector.select()
            finally:
                self._lock.acquire()
            self._ready.extend(key.data for key, _ in events)
        self._alone = self._alone + 1 if len(self._ready) == 1 else 0
        if self._deputy_sleeps:
            self._succession.notify()

    def _measure(self) -> None:
        """Judge whether requests compute or wait, now that one has been answered."""
        self._measured += time.monotonic() - self._began
        self._busy += time.thread_time() - self._began_busy
        if self._measured >= _MEASURED:
            if self._busy >= _LEAST_BUSY * self._measured:
                self._waited = 0
                self._apart = _APART
            else:
                self._waited += 1
                if self._waited == _WAITED:
                    self._keep_apart()
            self._measured = self._busy = 0.0

    def _keep_apart(self) -> None:
        """Have no links parked for a while; the next time for twice as long, unless requests are
        found to compute meanwhile."""
        self._apart_until = time.monotonic() + self._apart
        self._apart = min(2 * self._apart, _LONGEST_APART)
