"""What is to be reached, as data, and whether it is."""

from __future__ import annotations

from dataclasses import dataclass

from .results import Figure, Results
from .writing import written

__all__ = ["TARGETS", "Outcome", "Target"]

_MIB = 2**20


@dataclass(frozen=True)
class Target:
    """A ratio to be reached, or a figure where there is no peer.

    :ivar title: what it is, for people.
    :ivar work: the key of the work.
    :ivar case: how much of it.
    :ivar value: the name of the value.
    :ivar contender: the key of who is to reach it.
    :ivar peer: the key of whom its value is divided by; empty where the value itself counts.
    :ivar least: what it has to be at least.
    :ivar most: what it may be at most.
    :ivar unit: how a figure is written: ``×``, ``MiB`` or ``ms``.
    """

    title: str
    work: str
    case: int
    value: str
    contender: str
    peer: str = ""
    least: float | None = None
    most: float | None = None
    unit: str = "×"

    def figure(self, results: Results) -> Figure | None:
        """What came of it; ``None`` where nothing can be said."""
        if self.peer:
            return results.ratio(self.work, self.case, self.contender, self.peer, self.value)
        return results.figure(self.work, self.case, self.contender, self.value)

    def outcome(self, results: Results) -> Outcome:
        """Whether it is reached, by the median."""
        figure = self.figure(results)
        if figure is None:
            failures = {
                key: m.failure
                for key in (self.contender, self.peer)
                for m in results.of(self.work, self.case, key)
                if m.failure
            }
            return Outcome(self, None, None, failures)
        least_reached = self.least is None or figure.median >= self.least
        most_reached = self.most is None or figure.median <= self.most
        return Outcome(self, figure, least_reached and most_reached, {})

    @property
    def goal(self) -> str:
        """What is to be reached, for people."""
        if self.least is not None:
            return f"at least {written(self.least, self.unit)}"
        assert self.most is not None
        return f"at most {written(self.most, self.unit)}"


@dataclass(frozen=True)
class Outcome:
    """What came of a target.

    :ivar reached: ``None`` where it was not measured, or has no result.
    :ivar failures: why there is no result, by contender.
    """

    target: Target
    figure: Figure | None
    reached: bool | None
    failures: dict[str, str]


_HELLO_32 = "Hello, World!, 32 connections, requests a second, against "
_HELLO_1 = "Hello, World!, 1 connection, median latency, against "
_BUSY = "Hello, World! {}, 1 connection, median latency, against the dev server in the kernel"

TARGETS = (
    Target(
        _HELLO_32 + "jupyter-server-proxy → waitress",
        "hello", 32, "rate", "ours", "proxy-waitress", least=6.0,
    ),
    Target(_HELLO_32 + "Flask's dev server", "hello", 32, "rate", "ours", "flask", least=2.5),
    Target(_HELLO_32 + "gunicorn", "hello", 32, "rate", "ours", "gunicorn", least=1.3),
    Target(_HELLO_32 + "waitress", "hello", 32, "rate", "ours", "waitress", least=1.1),
    Target(
        _HELLO_32 + "a bare Tornado handler in the same server",
        "hello", 32, "rate", "ours", "tornado", least=0.9,
    ),
    Target(
        _HELLO_1 + "an ordinary JupyterHandler that returns a constant",
        "hello", 1, "p50", "ours", "jupyter", most=1.0,
    ),
    Target(
        _BUSY.format("while a cell runs a Python loop"),
        "hello-python-cell", 1, "p50", "ours", "kernel-flask", most=1 / 3,
    ),
    Target(
        _BUSY.format("while a cell holds the interpreter in C"),
        "hello-c-cell", 1, "p50", "ours", "kernel-flask", most=1 / 3,
    ),
    Target(
        "Download of 1 GiB, rate, against jupyter-server-proxy → waitress",
        "download", 1024, "rate", "ours", "proxy-waitress", least=3.0,
    ),
    Target(
        "Download of 64 MiB, rate, against jupyter-server-proxy → waitress",
        "download", 64, "rate", "ours", "proxy-waitress", least=3.0,
    ),
    Target(
        "Upload of 1 GiB, rate, against jupyter-server-proxy → waitress",
        "upload", 1024, "rate", "ours", "proxy-waitress", least=3.0,
    ),
    Target(
        "Upload of 64 MiB, rate, against jupyter-server-proxy → waitress",
        "upload", 64, "rate", "ours", "proxy-waitress", least=3.0,
    ),
    Target(
        "Download of 1 GiB, memory growth of server and kernel, the greater",
        "download", 1024, "growth", "ours", most=32 * _MIB, unit="MiB",
    ),
    Target(
        "Upload of 1 GiB, memory growth of server and kernel, the greater",
        "upload", 1024, "growth", "ours", most=32 * _MIB, unit="MiB",
    ),
    Target(
        "WebSocket echo, 8 connections, messages a second,"
        " against jupyter-server-proxy → gunicorn",
        "websocket", 8, "rate", "ours", "proxy-gunicorn", least=2.0,
    ),
    Target(
        "Recorder on, no panel, against recorder off; Hello, World!, 32 connections",
        "hello", 32, "rate", "ours", "ours-off", least=0.97,
    ),
    Target(
        "Recorder on, panel open, against recorder off; Hello, World!, 32 connections",
        "hello", 32, "rate", "ours-panel", "ours-off", least=0.90,
    ),
    Target(
        "1,000 mounts against 1; 32 connections, requests a second",
        "mounts", 32, "rate", "mounts-1000", "mounts-1", least=0.97,
    ),
    Target(
        "10,000 routes against 10; 32 connections, requests a second",
        "routes", 32, "rate", "routes-10000", "routes-10", least=0.97,
    ),
    Target(
        "Import in the server, beyond jupyter_server",
        "imports", 1, "seconds", "import-server", most=0.030, unit="ms",
    ),
)  # fmt: skip
"""Of all of them the median over the rounds decides. Whether a cost can be measured is decided at
0.97, as it is for the recorder."""
