"""Server-sent events: how late they come, with one stream and with many open at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..contenders.stage import Stage
from ..load.events import listen
from .work import EVERYONE, MEDIAN, P99, Column, Pace, Values, Work, titles_of

__all__ = ["ServerSentEvents"]

_MANY = 500
_RATE = 500  # events a second of all streams together, and at most 100 of one
_SETTLE = 1.5  # seconds for the views of streams that were left to notice that
_LEFT_OUT = ("tornado", "jupyter", "ours-off", "ours-panel", "proxy-kernel", "kernel-dash")


class ServerSentEvents(Work):
    """The latency of an event. Each contender has a thread for each stream."""

    key = "events"
    title = "Server-sent events"
    unit = "streams"
    columns = (MEDIAN, P99, Column("opening", "All open after", "ms"))
    threads = _MANY + 64
    titles = titles_of(key for key in EVERYONE if key not in _LEFT_OUT)

    def cases(self, pace: Pace) -> Sequence[int]:
        return () if pace.quick else (1, _MANY)

    def rounds(self, pace: Pace, case: int) -> int:
        return min(pace.rounds, 3)

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        listen(stage.contender(key), "events/20", streams=1, seconds=0.2)

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        contender = stage.contender(key)
        interval = max(10, 1000 * case // _RATE)  # milliseconds
        seconds = max(2 * pace.seconds, 2 * interval / 1000)
        try:
            events = listen(contender, f"events/{interval}", streams=case, seconds=seconds)
        finally:
            if key.startswith("proxy-"):
                stage.stop(key)  # with the streams that the proxy keeps open
            elif case > 1:
                time.sleep(_SETTLE)
        count = len(events.latencies)
        return Values(
            {
                "p50": events.latencies[count // 2],
                "p99": events.latencies[count * 99 // 100],
                "opening": events.opening,
                "events": count,
            }
        )
