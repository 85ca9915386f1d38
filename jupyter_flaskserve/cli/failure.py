"""How a command says that it cannot go on."""

from __future__ import annotations

__all__ = ["Failure"]


class Failure(Exception):
    """A command cannot go on. The text is what the person is told.

    :ivar status: the exit status: 1, or 2 where what was asked for will not do.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
