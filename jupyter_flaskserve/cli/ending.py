"""How a command ends before its time: it cannot go on, or it is asked to end.

Ctrl-C, ``kill`` and a closed terminal end the program the same way, in its own time.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["Failure", "Interrupted", "Signals"]


class Failure(Exception):
    """A command cannot go on. The text is what the person is told.

    :ivar status: the exit status: 1, or 2 where what was asked for will not do.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Interrupted(BaseException):
    """The program was asked to end. It is raised once.

    :ivar number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status by which a shell tells which signal it was."""
        return 128 + self.number


class Signals:
    """While entered, the first signal that would end the program raises :exc:`Interrupted`.

    Those after it do nothing: what has to be cleaned up then takes a bounded time.
    """

    def __init__(self) -> None:
        self._previous: dict[int, signal.Handlers | object] = {}
        self._held = False
        self._waiting: int | None = None
        self._raised = False

    def __enter__(self) -> Signals:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back until the block ends, which then raises :exc:`Interrupted`."""
        outer, self._held = self._held, True
        try:
            yield
        finally:
            self._held = outer
        if not outer and self._waiting is not None:
            self._interrupt(self._waiting)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._waiting = number
        else:
            self._interrupt(number)

    def _interrupt(self, number: int) -> None:
        if not self._raised:
            self._raised = True
            raise Interrupted(number)
