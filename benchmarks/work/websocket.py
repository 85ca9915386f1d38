"""WebSocket echo: round trips of one connection, and messages a second of several."""

from __future__ import annotations

from collections.abc import Sequence

from ..contenders.stage import Stage
from ..load.websockets import echo
from .work import MEDIAN, P99, Column, Pace, Values, Work, titles_of

__all__ = ["WebSocketEcho"]

_KEYS = (
    "ours", "ours-off", "proxy-gunicorn", "proxy-flask", "proxy-kernel", "gunicorn", "flask",
    "kernel-flask", "kernel-dash",
)  # fmt: skip
_WINDOW = 8  # messages under way at once, where there are several connections


class WebSocketEcho(Work):
    """An echo of flask-sock's. waitress, cheroot and FastCGI have no WebSockets."""

    key = "websocket"
    title = "WebSocket echo"
    unit = "connections"
    columns = (Column("rate", "Messages a second", "", more_is_better=True), MEDIAN, P99)
    titles = titles_of(_KEYS)

    def cases(self, pace: Pace) -> Sequence[int]:
        return (1, 8)

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        self._echo(stage, key, case, 0.2)

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        return self._echo(stage, key, case, pace.seconds)

    def _echo(self, stage: Stage, key: str, connections: int, seconds: float) -> Values:
        echoes = echo(
            stage.contender(key),
            "echo",
            connections=connections,
            window=1 if connections == 1 else _WINDOW,
            seconds=seconds,
        )
        count = len(echoes.round_trips)
        return Values(
            {
                "rate": echoes.rate,
                "p50": echoes.round_trips[count // 2],
                "p99": echoes.round_trips[count * 99 // 100],
            }
        )
