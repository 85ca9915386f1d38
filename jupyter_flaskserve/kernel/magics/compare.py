"""``%flaskserve compare``: every server that can run an app, started and looked at."""

from __future__ import annotations

import difflib
import os
from argparse import ArgumentTypeError
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.error import UsageError
from IPython.display import display
from tqdm import tqdm

from ..apps import app_variables, is_app
from ..panels import is_notebook
from .line import Command, Parser, whole_number
from .variables import value_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ...comparison.compare import Step
    from ...comparison.comparison import Comparison

__all__ = ["COMPARE", "server_names"]

_LONGEST = 60.0  # seconds of load
_MOST = 256  # connections


def compare_servers(words: list[str], shell: InteractiveShell) -> Comparison:
    """Start the servers that there are in front of an app, one after the other, and show in a
    table what each of them does: each cell of it is measured.

    Examples::

        %flaskserve compare app                         all that are installed
        %flaskserve compare app --only gunicorn,nginx   two of them
        %flaskserve compare app --path /users           load another page than /
        result = %flaskserve compare app                go on with it: result.to_frame()

    All listen on the loopback, and have ended when the cell has, also when it is interrupted. The
    load asks for one page again and again, of this notebook's app too where the kernel answers.

    Options:

      --only A,B        Which servers: by-hand, flask, gunicorn, waitress, nginx, apache,
                        nginx-kernel, apache-kernel, jupyter.
      --seconds S       How long each is loaded (1); 0: not at all.
      --connections N   How many requests are on their way at once during that (8).
      --path PATH       The page of the app that is asked for (/).
      --no-widget       Show a plain table.
    """
    arguments, rest = _PARSER.parse(words)
    if rest:
        raise UsageError(f"{rest[0]!r} is one word too many.")
    try:
        # Imported only here, because it takes a while.
        comparing = import_module("jupyter_flaskserve.comparison.compare")
    except ImportError as error:
        raise UsageError(str(error)) from None
    variable = _variable(arguments.variable, shell)
    app = value_of(variable, shell)
    if not is_app(app) and not callable(app):
        raise UsageError(f"{variable} is of type {type(app).__name__}, not an app.")
    view = _view(no_widget=arguments.no_widget)
    only = _chosen(arguments.only)
    try:
        comparison: Comparison = comparing.compare(
            app,
            only=only,
            seconds=arguments.seconds,
            connections=arguments.connections,
            path=arguments.path,
            on_step=view.show,
        )
    except comparing.CannotCompare as error:
        raise UsageError(str(error)) from None
    except KeyboardInterrupt:
        view.end("The comparison was interrupted.")
        raise UsageError(
            "The comparison was interrupted. All that it had started has been stopped."
        ) from None
    view.end("")
    if view.stays:
        comparison.shown_in = shell.execution_count
    return comparison


def server_names() -> list[str]:
    """The words that name servers."""
    if os.name != "posix":
        return []
    return list(import_module("jupyter_flaskserve.comparison.contenders").CONTENDERS)


def _variable(given: str | None, shell: InteractiveShell) -> str:
    if given is not None:
        return given
    apps = app_variables(shell.user_ns)
    if len(apps) == 1:
        return apps[0]
    if apps:
        raise UsageError(
            f"Which app? The apps here are: {', '.join(apps)}. Write %flaskserve compare {apps[0]}"
        )
    raise UsageError("There is no app yet. Run the cell that makes it, then this one again.")


def _chosen(text: str) -> list[str]:
    """The servers that ``--only`` names.

    :raises UsageError: there is no such server.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = server_names()
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"Did you mean {near[0]}?" if near else f"There is {', '.join(known)}."
            raise UsageError(f"There is no server {name!r}. {advice}")
    return names


class _View(Protocol):
    """Shows how far a comparison is.

    :ivar stays: whether it goes on to show the result when the comparison has ended.
    """

    stays: bool

    def show(self, comparison: Comparison, step: Step) -> None: ...

    def end(self, remark: str) -> None: ...


def _view(*, no_widget: bool) -> _View:
    if not is_notebook():
        return _Bar()
    if not no_widget:
        try:
            return _Widget()
        except ImportError:
            pass  # a plain table is shown where widgets are not available
    return _Table()


class _Widget:
    """The widget, which grows."""

    stays = True

    def __init__(self) -> None:
        self._panel: Any = import_module("jupyter_flaskserve.widgets.compare").ComparePanel()
        self._is_shown = False

    def show(self, comparison: Comparison, step: Step) -> None:
        self._panel.tell(comparison, step)
        if not self._is_shown:
            self._is_shown = True
            display(self._panel)  # type: ignore[no-untyped-call]

    def end(self, remark: str) -> None:
        self._panel.end(remark)


class _Table:
    """The table, which is displayed again and again in its place."""

    stays = True

    def __init__(self) -> None:
        self._handle: Any = None
        self._comparison: Comparison | None = None

    def show(self, comparison: Comparison, step: Step) -> None:
        self._comparison = comparison
        self._display(_words(comparison, step))

    def end(self, remark: str) -> None:
        if self._comparison is not None:
            self._display(remark)

    def _display(self, words: str) -> None:
        assert self._comparison is not None
        bundle = self._comparison.as_bundle(words)
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


class _Bar:
    """A bar, in a terminal."""

    stays = False

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, comparison: Comparison, step: Step) -> None:
        if self._bar is None:
            self._bar = tqdm(total=step.total, leave=False)
        self._bar.set_description(_words(comparison, step))
        self._bar.update(step.done - self._bar.n)

    def end(self, remark: str) -> None:
        if self._bar is not None:
            self._bar.close()


def _words(comparison: Comparison, step: Step) -> str:
    if not step.key:
        return ""
    return f"{comparison[step.key].title}: {step.what} ({step.done} of {step.total})"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {_LONGEST:g}")
    return seconds


def _connections(text: str) -> int:
    number = whole_number(text)
    if not 1 <= number <= _MOST:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST}")
    return number


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or any(c.isspace() for c in text):
        raise ArgumentTypeError(f"{text!r} is not a path: it begins with / and has no spaces")
    return text


_PARSER = Parser(add_help=False)
_PARSER.add_argument("variable", nargs="?")
_PARSER.add_argument("--only", default="")
_PARSER.add_argument("--seconds", type=_seconds, default=1.0)
_PARSER.add_argument("--connections", type=_connections, default=8)
_PARSER.add_argument("--path", type=_path, default="/")
_PARSER.add_argument("--no-widget", action="store_true")

COMPARE = Command(compare_servers, _PARSER)
