"""What a view raises: noted on its exchange, also where Flask makes its own 500 of it, and kept for
the debugger.
"""

from __future__ import annotations

import functools
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from ..responder.link import ClientDisconnected
from .exchanges import Exchange, Exchanges, current
from .post_mortem import open_debugger

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["advice", "forget", "install", "keep_as_last", "uninstall"]

_MAIN_THREAD = (
    "Serve it with %flaskserve app --main-thread to run its views on the kernel's main thread."
)
# What libraries say where an object of the main thread is used in another one.
_MAIN_THREAD_SIGNS = (
    "SQLite objects created in a thread can only be used in that same thread",
    "signal only works in main thread",
    "main thread is not in main loop",
    "Calling Tcl from different apartment",
    "There is no current event loop in thread",
    "outside of the main thread",
    "outside the main thread",
)

_shells: list[InteractiveShell] = []  # touched by the thread that runs cells only
_last_lock = threading.Lock()  # guards _last, and sys.last_type and the others while they are set
_last: Exchange | None = None  # the exchange that failed last


def install(shell: InteractiveShell) -> None:
    """Be told of what Flask apps raise, and have the shell's ``%debug`` know of it.

    It may be called again at any time: where Flask has not been imported yet there is no app to be
    told of.
    """
    flask = sys.modules.get("flask")
    if flask is not None:
        flask.got_request_exception.connect(_note, weak=False)
    if shell not in _shells:
        _shells.append(shell)
        # %debug calls the shell's debugger().
        vars(shell)["debugger"] = functools.partial(_debugger, shell, shell.debugger)


def uninstall() -> None:
    """Be told no more."""
    global _last
    flask = sys.modules.get("flask")
    if flask is not None:
        flask.got_request_exception.disconnect(_note)
    while _shells:
        vars(_shells.pop()).pop("debugger", None)
    with _last_lock:
        _last = None


def advice(error: BaseException) -> str:
    """What to do about an exception that is known to come from where views run; else empty."""
    text = "".join(traceback.format_exception_only(type(error), error))
    return _MAIN_THREAD if any(sign in text for sign in _MAIN_THREAD_SIGNS) else ""


def keep_as_last(exchange: Exchange) -> None:
    """Make a view's exception what ``%debug`` and ``%tb`` show, as IPython does with a cell's."""
    global _last
    error = exchange.failure
    if error is None:
        return
    with _last_lock:
        _last = exchange
        sys.last_type = type(error)
        sys.last_value = error
        sys.last_traceback = error.__traceback__
        # IPython 8.15 does not set it, and would go on using ours after a cell has failed.
        if hasattr(sys, "last_exc"):
            sys.last_exc = error


def forget(exchanges: Exchanges) -> None:
    """Keep nothing of what views of a mount raised, because it has stopped."""
    global _last
    exchanges.drop_failures()
    with _last_lock:
        if _last is not None and _last.failure is None:
            _last = None


def _debugger(shell: InteractiveShell, original: Any, force: bool = False) -> None:
    """The shell's ``debugger()``: on the view that has failed, unless a cell has failed since."""
    last = _last
    error = getattr(sys, "last_exc", getattr(sys, "last_value", None))
    if last is None or last.failure is None or last.failure is not error:
        original(force=force)
    elif force or shell.call_pdb:
        open_debugger(shell, last)


def _client_left(error: BaseException | None) -> bool:
    """Whether an exception came of a client that left before its request had arrived. That is no
    failure of the view."""
    while error is not None:
        if isinstance(error, ClientDisconnected):
            return True
        error = error.__cause__ or error.__context__
    return False


def _note(app: Any, exception: BaseException, **others: object) -> None:
    """A receiver of Flask's signal. It runs in the request, before the app's context is gone."""
    exchange = current()
    if exchange is None or _client_left(exception):
        return
    exchange.debug = bool(app.debug)
    hint = advice(exception)
    if hint:
        sys.modules["flask"].request.environ["wsgi.errors"].write(hint + "\n")
    exchange.fail(exception)
