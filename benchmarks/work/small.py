"""Small requests, as many as are answered: idle kernels, and kernels in which a cell runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from ..app import make_app
from ..contenders.contender import Contender
from ..contenders.stage import Stage
from ..load.exchange import ask
from ..load.failed import Failed
from ..load.one_by_one import one_by_one
from ..load.wrk import Load, run_wrk
from .work import EVERYONE, MEDIAN, P99, PROCESSORS, RATE, Pace, Values, Work, titles_of

__all__ = [
    "CELLS",
    "SMALL",
    "Cell",
    "Request",
    "SmallWork",
    "check",
    "processor_figures",
    "small_works",
]

_MANY = 256  # connections, which take a while until each of them has been answered
_MANY_SECONDS = 1.0
_DECIDING = (1, 32)  # connections of Hello, World! that eight targets are about
_WARM = 0.2  # seconds
_FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
_FLOORS = ("tornado", "jupyter")
_IN_KERNELS = ("ours", "kernel-flask", "kernel-dash", "proxy-kernel", "nginx-ours")


@dataclass(frozen=True)
class Request:
    """A request that is asked again and again."""

    key: str
    title: str
    path: str
    body: bytes | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.body is None else _FORM_TYPE


SMALL = (
    Request("hello", "Hello, World!", ""),
    Request("json", "JSON of 10 KiB", "json"),
    Request("page", "A Jinja2 page", "page"),
    Request("static", "A static file of 100 KiB", "static/data.bin"),
    Request("form", "A form that is posted", "form", b"name=Ada+Lovelace&count=42&more=%C3%A4"),
)

_PYTHON = """
print("begun", flush=True)
number = 0
while True:
    number += 1
"""

# One call of sum() holds the interpreter from its beginning to its end. The least of three is taken
# for its length: whoever else wants a core makes it longer.
_C = """
import time
def hold(size):
    begin = time.perf_counter()
    sum(range(size))
    return time.perf_counter() - begin
size = int(0.05 * 1_000_000 / min(hold(1_000_000) for _ in range(3)))
print("begun", flush=True)
while True:
    hold(size)
"""


class Cell(NamedTuple):
    """What a busy cell does.

    :ivar title: in words.
    :ivar code: in Python.
    :ivar least_seconds: how long a measurement has to be beside it, for some requests to be
        answered.
    """

    title: str
    code: str
    least_seconds: float


CELLS = {
    "python": Cell("while a cell runs a pure Python loop", _PYTHON, 1.0),
    "c": Cell("while a cell holds the interpreter in C for 50 ms at a time", _C, 2.0),
}


class SmallWork(Work):
    """One request, again and again.

    :param cell: one of :data:`CELLS`, for what the kernel does meanwhile.
    """

    unit = "connections"

    def __init__(self, request: Request, cell: str = "") -> None:
        self.key = request.key + (f"-{cell}-cell" if cell else "")
        self.title = request.title + (f", {CELLS[cell].title}" if cell else "")
        keys = [key for key in EVERYONE if not cell or key in _IN_KERNELS]
        if request.key != "hello":
            keys = [key for key in keys if key not in _FLOORS]
        self.titles = titles_of(keys)
        self.columns = (RATE, MEDIAN, P99 if cell else PROCESSORS)
        self.request = request
        self._cell = cell

    def cases(self, pace: Pace) -> Sequence[int]:
        is_hello = self.request.key == "hello"
        if pace.quick and not is_hello:
            return ()
        if self._cell:
            return _DECIDING if is_hello and not pace.quick else (1,)
        return _DECIDING if pace.quick else (1, 8, 32, _MANY)

    def rounds(self, pace: Pace, case: int) -> int:
        if self.request.key == "hello" and case < _MANY:
            return self._times(case) * pace.rounds
        return min(pace.rounds, 3)

    def _times(self, case: int) -> int:
        """How many times as many rounds a case has, each as many times as long."""
        return 2 if self.key == "hello" and case in _DECIDING else 1

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        contender = stage.contender(key)
        check(contender, self.request, stage)
        with contextlib.suppress(Failed):  # in so short a time
            self._load(contender, case, _WARM)

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        contender = stage.contender(key)
        with self._busy(contender), contender.while_measured():
            before = contender.processor_time()
            load = self._load(contender, case, self._seconds(pace, case))
            after = contender.processor_time()
        figures = {"rate": load.rate, "p50": load.p50, "p99": load.p99, "longest": load.longest}
        if load.answered and not self._cell:  # which uses a processor itself
            figures |= processor_figures(before, after, load.answered)
        return Values(figures, load.errors)

    def _seconds(self, pace: Pace, case: int) -> float:
        if self._cell:
            return max(pace.seconds, CELLS[self._cell].least_seconds)
        if case >= _MANY:
            return max(pace.seconds, _MANY_SECONDS)
        return self._times(case) * pace.seconds

    def _busy(self, contender: Contender) -> AbstractContextManager[None]:
        if not self._cell:
            return contextlib.nullcontext()
        assert contender.kernel is not None
        return contender.kernel.busy(CELLS[self._cell].code)

    def _load(self, contender: Contender, connections: int, seconds: float) -> Load:
        ask_for: Callable[..., Load] = partial(run_wrk, connections=connections)
        if self._cell and connections == 1:
            ask_for = one_by_one
        request = self.request
        return ask_for(
            contender, request.path, seconds=seconds, body=request.body, headers=request.headers
        )


def processor_figures(
    before: Mapping[str, float], after: Mapping[str, float], answered: int
) -> dict[str, float]:
    """What a request has cost: ``cpu``, of all processes together, and of each.

    :param before: what the processes had used before, in seconds; ``after``: by now.
    :param answered: how many requests that was for.
    """
    used = {name: (after[name] - before[name]) / answered for name in after}
    return {"cpu": sum(used.values()), **{f"cpu of {name}": time for name, time in used.items()}}


def check(contender: Contender, request: Request, stage: Stage) -> None:
    """See that a contender gives the app's own answer.

    :raises Failed: it gives another.
    """
    method = "GET" if request.body is None else "POST"
    client = make_app(str(stage.directory)).test_client()
    expected = client.open(
        f"/{request.path}", method=method, data=request.body, headers=request.headers
    )
    answer = ask(contender, request.path, method=method, body=request.body, headers=request.headers)
    right = (expected.status_code, expected.mimetype, expected.get_data())
    if tuple(answer) != right:
        raise Failed(
            f"The answer is {answer.status}, {answer.content_type}, {len(answer.body)} bytes:"
            f" {answer.body[:200]!r}; it should be {right[0]}, {right[1]}, {len(right[2])} bytes."
        )


def small_works() -> list[SmallWork]:
    """All of them: first those of idle kernels."""
    return [SmallWork(request, cell) for cell in ("", *CELLS) for request in SMALL]
