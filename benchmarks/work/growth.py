"""What a request costs as the number of mounts, and of an app's routes, grows."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Sequence

from ..contenders.contender import Contender
from ..contenders.jupyter import jupyter_server
from ..contenders.ours import mounted
from ..contenders.stage import Stage
from ..load.failed import Failed
from ..load.wrk import run_wrk
from .small import SMALL, check, processor_figures
from .work import MEDIAN, PROCESSORS, RATE, Pace, Values, Work

__all__ = ["MountGrowth", "RouteGrowth"]

_HELLO = SMALL[0]
_WARM = 0.2  # seconds
_MANY_MOUNTS = """
from benchmarks.app import app
from jupyter_flaskserve import serve
for number in range({count}):
    serve(app, f"mount-{{number}}", threads={threads})
"""
_MANY_ROUTES = """
import os
from benchmarks.app import FILES, make_app
from jupyter_flaskserve import serve
mount = serve(make_app(os.environ[FILES], {count}), "routes-{count}", threads={threads})
"""


class _Growth(Work):
    """The same request, with more and more of what should not matter."""

    unit = "connections"
    columns = (RATE, MEDIAN, PROCESSORS)
    counts: Sequence[int]

    def __init__(self) -> None:
        one = self.key[:-1]
        self.reference = f"{self.key}-{self.counts[0]}"
        self.titles = {
            f"{self.key}-{count}": f"{count:,} {one if count == 1 else self.key}"
            for count in self.counts
        }

    def cases(self, pace: Pace) -> Sequence[int]:
        return (32,) if pace.quick else (1, 32)

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        contender = self._contender(stage, key)
        check(contender, _HELLO, stage)
        with contextlib.suppress(Failed):  # in so short a time
            run_wrk(contender, "", connections=case, seconds=_WARM)

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        contender = self._contender(stage, key)
        before = contender.processor_time()
        load = run_wrk(contender, "", connections=case, seconds=pace.seconds)
        figures = {"rate": load.rate, "p50": load.p50, "p99": load.p99}
        if load.answered:
            figures |= processor_figures(before, contender.processor_time(), load.answered)
        return Values(figures, load.errors)

    def _contender(self, stage: Stage, key: str) -> Contender:
        count = int(key.rpartition("-")[2])
        return stage.contender(key, lambda stage, _: self._start(stage, key, count))

    @abstractmethod
    def _start(self, stage: Stage, key: str, count: int) -> Contender: ...


class MountGrowth(_Growth):
    """Each number of mounts in a Jupyter Server of its own, all of them in one kernel."""

    key = "mounts"
    title = "Hello, World! of one mount among many"
    counts = (1, 100, 1000)

    def _start(self, stage: Stage, key: str, count: int) -> Contender:
        server = stage.enter(jupyter_server(stage.directory, key, ["jupyter_flaskserve"]))
        kernel = server.kernel("mounts.ipynb")
        kernel.run(_MANY_MOUNTS.format(count=count, threads=stage.threads))
        return mounted(server, kernel, key, name=f"mount-{count // 2}")


class RouteGrowth(_Growth):
    """Each number of routes in a kernel of its own."""

    key = "routes"
    title = "Hello, World! of an app with many routes"
    counts = (10, 100, 1000, 10000)

    def _start(self, stage: Stage, key: str, count: int) -> Contender:
        server = stage.our_server
        kernel = server.kernel(f"{key}.ipynb")
        kernel.run(_MANY_ROUTES.format(count=count, threads=stage.threads))
        return mounted(server, kernel, key, name=key)
