"""What a client gets of a view that raised in an app in debug mode: the traceback, as a page for
people and as text for programs. It shows and runs nothing on request: there is no console in it.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from ..middleware.live_reload import RELOAD_SCRIPT_KEY
from ..responder.environ import Environ as WSGIEnviron
from .code_places import is_own, name_cells, place
from .exchanges import Exchange
from .failures import advice
from .tracebacks import ENDS, SourceLine, source_around

__all__ = ["failure_response"]

_page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
    Path(__file__).with_name("traceback_page.html").read_text("utf-8")
)


class _Frame(NamedTuple):
    """A call: where it was, in which function, and the source around it."""

    place: str
    function: str
    lines: list[SourceLine]


class _Folded(NamedTuple):
    """Calls in a row that are not the notebook's own, or that repeat."""

    title: str
    frames: list[_Frame]


class _Raised(NamedTuple):
    """One exception of a chain; ``link`` says how the next one came of it."""

    type: str
    message: str
    calls: list[_Frame | _Folded]
    link: str


def failure_response(
    error: BaseException, exchange: Exchange, environ: WSGIEnviron
) -> tuple[str, str]:
    """The content type and the text of the response: HTML where the client names it among what it
    accepts, as browsers do, else plain text."""
    text = name_cells("".join(traceback.format_exception(error)))
    hint = advice(error)
    accepted = parse_accept_header(environ.get("HTTP_ACCEPT", ""), MIMEAccept)
    if not any(kind == "text/html" and quality > 0 for kind, quality in accepted):
        return "text/plain; charset=utf-8", text + (f"\n{hint}\n" if hint else "")
    return "text/html; charset=utf-8", _page.render(
        exchange=exchange,
        hint=hint,
        chain=list(_chain(error)),
        text=text,
        reload_script=environ.get(RELOAD_SCRIPT_KEY),
    )


def _chain(error: BaseException) -> Iterator[_Raised]:
    """An exception and those it came of, the newest last, as Python prints them."""
    chain = [(error, "")]
    while True:
        newer = chain[-1][0]
        if newer.__cause__ is not None:
            older, link = newer.__cause__, "was the direct cause of"
        elif newer.__context__ is not None and not newer.__suppress_context__:
            older, link = newer.__context__, "was being handled when there came"
        else:
            break
        if any(older is known for known, _ in chain):
            break
        chain.append((older, link))
    for raised, link in reversed(chain):
        text = "".join(traceback.format_exception_only(type(raised), raised)).strip()
        name, _, message = text.partition(": ")
        if not name.endswith(type(raised).__name__):  # as with a SyntaxError, which shows its line
            message = text
        yield _Raised(type(raised).__name__, message, list(_calls(raised)), link)


def _calls(error: BaseException) -> Iterator[_Frame | _Folded]:
    """The calls of a traceback, those of libraries folded."""
    frames = list(traceback.walk_tb(error.__traceback__))
    left_out = len(frames) - 2 * ENDS
    if left_out > 0:
        yield from _fold(frames[:ENDS])
        yield _Folded(f"{left_out} more calls", [])
        yield from _fold(frames[-ENDS:])
    else:
        yield from _fold(frames)


def _fold(frames: list[tuple[FrameType, int]]) -> Iterator[_Frame | _Folded]:
    runs = itertools.groupby(frames, key=lambda call: is_own(call[0].f_code.co_filename))
    for own, run in runs:
        calls = list(run)
        shown = [_frame(frame, line) for frame, line in calls]
        if own:
            yield from shown
        else:
            names = dict.fromkeys(_library(frame) for frame, _ in calls)
            count = f"{len(calls)} {'call' if len(calls) == 1 else 'calls'}"
            yield _Folded(f"{count} in {', '.join(names)}", shown)


def _library(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "a library")).partition(".")[0]


def _frame(frame: FrameType, line: int) -> _Frame:
    code = frame.f_code
    return _Frame(place(code.co_filename, line), code.co_name, source_around(frame, line))
