"""The post-mortem debugger on a request that failed."""

from __future__ import annotations

import traceback
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from .code_places import cell_name, own_index
from .exchanges import Exchange

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["open_debugger"]


def open_debugger(shell: InteractiveShell, exchange: Exchange) -> None:
    """Open the shell's own debugger where a view failed, until the person leaves it.

    It begins at the innermost frame of the notebook's own code. Flask's ``request``, ``session``
    and ``g`` answer as they did in the view.

    :param exchange: one that keeps its failure.
    """
    error = exchange.failure
    if error is None or error.__traceback__ is None:
        raise ValueError("the exchange keeps no failure")
    only = traceback.format_exception_only(type(error), error)[-1].strip()
    print(f"#{exchange.number} {exchange.method} {exchange.masked_path}: {only}")
    debugger = _debugger_at_own_code(shell.debugger_cls)()
    debugger.reset()
    debugger.botframe = error.__traceback__.tb_frame
    exchange.recall(lambda: debugger.interaction(None, error))


def _debugger_at_own_code(base: Any) -> Any:
    class Debugger(base):  # type: ignore[misc]
        def get_stack(
            self, frame: FrameType | None, trace: TracebackType | None
        ) -> tuple[list[tuple[FrameType, int]], int]:
            """The stack, and the index of the frame to begin at (:meth:`bdb.Bdb.get_stack`)."""
            stack, index = super().get_stack(frame, trace)
            own = own_index([found.f_code.co_filename for found, _ in stack])
            return stack, index if own is None else own

        def format_stack_entry(self, entry: tuple[FrameType, int], *args: Any, **kw: Any) -> str:
            text: str = super().format_stack_entry(entry, *args, **kw)
            filename = entry[0].f_code.co_filename
            cell = cell_name(filename)
            return text if cell is None else text.replace(filename, cell)

    return Debugger
