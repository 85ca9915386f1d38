"""From the command that serves the app to its first answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..contenders.bare import serving
from ..contenders.contender import Contender
from ..contenders.in_kernel import STARTERS
from ..contenders.jupyter import JupyterServer, Kernel
from ..contenders.ours import mounted
from ..contenders.processes import free_port, wait_until
from ..contenders.stage import Stage
from ..load.exchange import ask
from ..load.failed import Failed
from .work import Column, Pace, Values, Work, titles_of

__all__ = ["StartUp"]

_KEYS = ("ours", "kernel-flask", "waitress", "gunicorn", "cheroot", "flask")
_LOOK = 0.002  # seconds between two looks for an answer


class StartUp(Work):
    """In a notebook: a cell that serves an app which another cell has made. Elsewhere: a command
    that loads the app and serves it."""

    key = "startup"
    title = "Start-up"
    unit = "app"
    columns = (Column("seconds", "First answer after", "ms"),)
    titles = titles_of(_KEYS)

    def cases(self, pace: Pace) -> Sequence[int]:
        return (1,)

    def rounds(self, pace: Pace, case: int) -> int:
        return 2 if pace.quick else pace.rounds

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        if key == "ours":
            return self._ours(stage)
        if key in STARTERS:
            return self._in_kernel(stage, key)
        port = free_port()
        contender = Contender(key, f"http://127.0.0.1:{port}/", {})
        with contextlib.ExitStack() as stack:
            return _first_answer(
                contender, lambda: stack.enter_context(serving(stage, key, port, _LOOK))
            )

    def _ours(self, stage: Stage) -> Values:
        with _fresh_kernel(stage.our_server) as kernel:
            begin = time.perf_counter()
            kernel.run("%load_ext jupyter_flaskserve")
            loading = time.perf_counter() - begin
            name = f"start-{kernel.id[:8]}"
            contender = mounted(stage.our_server, kernel, "ours", name=name)
            values = _first_answer(
                contender, lambda: kernel.start(f"%flaskserve app --name {name}")
            )
        return Values({**values.figures, "loading the extension": loading})

    def _in_kernel(self, stage: Stage, key: str) -> Values:
        port, function = free_port(), STARTERS[key]
        contender = Contender(key, f"http://127.0.0.1:{port}/", {})
        with _fresh_kernel(stage.proxy_server) as kernel:
            kernel.run(f"from benchmarks.contenders.dev_server import {function}")
            return _first_answer(contender, lambda: kernel.start(f"{function}(app, {port})"))


@contextmanager
def _fresh_kernel(server: JupyterServer) -> Iterator[Kernel]:
    kernel = server.kernel("start.ipynb")
    try:
        kernel.run("from benchmarks.app import app")
        yield kernel
    finally:
        kernel.close()


def _first_answer(contender: Contender, start: Callable[[], object]) -> Values:
    def answers() -> bool:
        try:
            return ask(contender, "").status == 200
        except Failed:
            return False

    begin = time.perf_counter()
    start()
    wait_until(answers, "the first answer", interval=_LOOK)
    return Values({"seconds": time.perf_counter() - begin})
