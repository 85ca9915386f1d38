"""The traceback of an exchange that failed, with the source around each call and the variables of
the notebook's own code.
"""

from __future__ import annotations

import linecache
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from .code_places import is_own, name_cells, place
from .representation import LATE, masked_repr, within

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["ENDS", "SourceLine", "describe", "source_around"]

ENDS = 20
"""Calls shown at each end of a traceback that is longer than twice that."""

_CONTEXT = 4  # lines of source around the one that was running
_VARIABLES = 60  # variables shown of one call
_PATIENCE = 2.0  # seconds for the repr of all variables together
_TEXT = 100_000  # characters
_SUMMARY = 1000  # characters


class SourceLine(NamedTuple):
    """A line of source, and whether it was running."""

    number: int
    text: str
    is_current: bool


def source_around(frame: FrameType, line: int) -> list[SourceLine]:
    """The source around a line of a frame's code; none where there is none to be had."""
    source = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    first = max(line - _CONTEXT, 1)
    return [
        SourceLine(number, text.rstrip(), number == line)
        for number, text in enumerate(source[first - 1 : line + _CONTEXT], first)
    ]


def describe(exchange: Exchange, *, reveal: bool = False) -> dict[str, Any] | None:
    """The traceback of an exchange, its outermost call first. It does not raise, and takes a few
    seconds at the most, whatever the variables are.

    :param reveal: whether variables that look like secrets are shown.
    :returns: a JSON object, or ``None`` where the exchange keeps no failure.
    """
    error = exchange.failure
    if error is None:
        return None
    calls = list(traceback.walk_tb(error.__traceback__))
    left_out = len(calls) - 2 * ENDS
    shown = calls if left_out <= 0 else calls[:ENDS] + calls[-ENDS:]
    frames = [_frame(frame, line) for frame, line in shown]
    own = [(frame, entry) for (frame, _), entry in zip(shown, frames, strict=True) if entry["own"]]
    _add_variables(exchange, own, reveal)
    if left_out > 0:
        frames.insert(ENDS, _gap(left_out))
    text = name_cells("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    only = traceback.format_exception_only(type(error), error)[-1].strip()
    return {
        "summary": only if len(only) <= _SUMMARY else only[:_SUMMARY] + "…",
        "text": text if len(text) <= _TEXT else "…" + text[-_TEXT:],
        "has_variables": any(entry["variables"] for entry in frames),
        "frames": frames,
    }


def _frame(frame: FrameType, line: int) -> dict[str, Any]:
    code = frame.f_code
    return {
        "place": place(code.co_filename, line),
        "name": code.co_name,
        "own": is_own(code.co_filename),
        "source": [list(source) for source in source_around(frame, line)],
        "variables": [],
    }


def _gap(count: int) -> dict[str, Any]:
    return {
        "place": f"… {count} more calls …",
        "name": "",
        "own": False,
        "source": [],
        "variables": [],
    }


def _add_variables(
    exchange: Exchange, own: list[tuple[FrameType, dict[str, Any]]], reveal: bool
) -> None:
    """Add the variables of the notebook's own calls, with Flask's ``request`` and the others as
    they were. What a ``repr`` prints is the caller's.
    """
    found: list[tuple[dict[str, Any], str, object]] = []
    for frame, entry in reversed(own):  # the innermost are wanted most
        if frame.f_code.co_name == "<module>":
            continue  # a whole notebook's
        variables = frame.f_locals
        names = [name for name in variables if not name.startswith(("__", "@"))]
        found += [(entry, name, variables[name]) for name in names[:_VARIABLES]]
    made: list[tuple[str, bool]] = []

    def make() -> None:
        for _, name, value in found:
            made.append(masked_repr(name, value, reveal=reveal))

    if found:
        within(_PATIENCE, lambda: exchange.recall(make))
    texts = list(made)
    for index, (entry, name, _) in enumerate(found):
        text, masked = texts[index] if index < len(texts) else (LATE, False)
        entry["variables"].append([name, text, masked])
