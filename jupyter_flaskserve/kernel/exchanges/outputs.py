"""What a view prints goes to its exchange, not into whichever cell happens to be running.

``sys.stdout`` and ``sys.stderr`` stay the objects they are, but their ``write`` asks
:func:`.exchanges.current` whose text it is. So it holds for whoever has kept the stream, such as a
logging handler, and ``contextlib.redirect_stdout`` works as ever. The same is done to what else a
view can disturb a cell with: displays, ``input()`` and ``breakpoint()``.

IPython 9 sets a ``write`` of its own on the streams for as long as a cell runs, to keep the output
in its history, and then puts back the one that it found. Ours must be called before IPython's, and
outlast it. Therefore a stream gets a class of its own in which ``write`` is a property. Where the
stream is of a built-in class, as in a terminal, an object's class cannot change; there the
attribute is set again before and after each cell.

Not covered is what passes these objects by: the descriptors 1 and 2, a stream that a cell has put
in their place for a while (``%%capture``), threads that a view starts itself, which belong to no
exchange, and processes that a view forks, whose text is lost with them.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import getpass
import sys
import types
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from .exchanges import Exchange, current

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["NotInView", "install", "uninstall"]


class NotInView(RuntimeError):
    """A view called what would wait for a person in the notebook. The message says what to do."""


class _Replacement(NamedTuple):
    """An attribute of an object that is ours for now."""

    owner: Any
    name: str
    value: object
    original: object
    was_own: bool  # whether the object had the attribute itself, rather than its class


# All touched by the thread that runs cells only.
_replacements: list[_Replacement] = []
_shells: list[InteractiveShell] = []
_streams: weakref.WeakSet[Any] = weakref.WeakSet()


def install(shell: InteractiveShell) -> None:
    """Tell what views put out from what cells do. It may be called again at any time."""
    if shell not in _shells:
        _shells.append(shell)
        shell.events.register("pre_run_cell", _divert_streams)
    _replace(shell, "run_cell", _run_cell)
    _divert_streams()
    _replace(shell.display_pub, "publish", _publish)
    _replace(shell.display_pub, "clear_output", _clear_output)
    _replace(sys, "breakpointhook", _BreakpointHook)
    _refuse_input(getattr(shell, "kernel", None))


def uninstall() -> None:
    """Put everything back."""
    while _shells:
        # A shell that was made anew has forgotten its callbacks.
        with contextlib.suppress(ValueError):
            _shells.pop().events.unregister("pre_run_cell", _divert_streams)
    for stream in list(_streams):
        _give_back(stream)
    _streams.clear()
    while _replacements:
        done = _replacements.pop()
        if vars(done.owner).get(done.name) is not done.value:
            continue  # somebody else has replaced it since
        if done.was_own:
            setattr(done.owner, done.name, done.original)
        else:
            delattr(done.owner, done.name)


def _run_cell(original: Callable[..., Any]) -> Callable[..., Any]:
    def run_cell(*args: Any, **kwargs: Any) -> Any:
        _divert_streams()
        try:
            return original(*args, **kwargs)
        finally:
            if _shells:  # the cell may have unloaded the extension
                _divert_streams()

    return run_cell


def _refuse_input(kernel: Any) -> None:
    """Make sure that a view cannot ask for input.

    ipykernel puts ``raw_input`` and ``getpass`` of its kernel in the place of Python's own for as
    long as a cell runs; between cells Python's read ``sys.stdin``. In a terminal they read the
    terminal.
    """
    for name, module, function in (
        ("raw_input", builtins, "input"),
        ("getpass", getpass, "getpass"),
    ):
        if kernel is None:
            _replace(module, function, _no_input(function))
            continue
        for_cells = getattr(kernel, name)
        _replace(kernel, name, _no_input(function))
        if getattr(module, function) == for_cells:  # the cell that runs has it already
            setattr(module, function, getattr(kernel, name))
    with contextlib.suppress(AttributeError, TypeError):
        _replace(sys.stdin, "readline", _no_input("input"))


def _replace(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    """Give an object an attribute of ours, made from the one it has, unless it has it already."""
    if any(done.owner is owner and done.name == name for done in _replacements):
        return
    original = getattr(owner, name)
    value = made(original)
    was_own = name in vars(owner)
    setattr(owner, name, value)
    _replacements.append(_Replacement(owner, name, value, original, was_own))


class _Write:
    """A stream's ``write`` that asks whose text it is.

    :ivar original: the ``write`` for what is no view's.
    """

    def __init__(self, original: Callable[[str], int]) -> None:
        self.original = original

    def __call__(self, text: str, /) -> int:
        exchange = current()
        if exchange is None or not isinstance(text, str):  # the original refuses what is no text
            return self.original(text)
        exchange.write(text)
        return len(text)


class _WriteLines:
    """The same for ``writelines``."""

    def __init__(self, original: Callable[[Iterable[str]], None]) -> None:
        self.original = original

    def __call__(self, lines: Iterable[str], /) -> None:
        exchange = current()
        if exchange is None:
            self.original(lines)
        else:
            exchange.write("".join(lines))


_METHODS: dict[str, type[_Write] | type[_WriteLines]] = {
    "write": _Write,
    "writelines": _WriteLines,
}


class _Diverted:
    """A method of a stream's own class: ours, before whichever is set on the stream."""

    def __init__(self, name: str, base: type) -> None:
        self._name = name
        self._base = base

    def __get__(self, stream: Any, owner: type | None = None) -> Any:
        if stream is None:
            return self
        original = vars(stream).get(self._name)
        if original is None:
            original = getattr(self._base, self._name).__get__(stream)
        return _METHODS[self._name](original)

    def __set__(self, stream: Any, value: Any) -> None:
        # IPython puts back what it found, which is ours.
        own = isinstance(value, _METHODS[self._name])
        vars(stream)[self._name] = value.original if own else value

    def __delete__(self, stream: Any) -> None:
        del vars(stream)[self._name]


def _divert_streams(info: object = None) -> None:
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(getattr(stream, "write", None), _Write):
            # There may be no stream, or it may have no room for attributes.
            with contextlib.suppress(AttributeError, TypeError):
                _divert(stream)
                _streams.add(stream)


def _divert(stream: Any) -> None:
    kind = type(stream)
    namespace: dict[str, Any] = {name: _Diverted(name, kind) for name in _METHODS}
    namespace |= {"__slots__": (), "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    try:
        stream.__class__ = types.new_class(
            kind.__name__, (kind,), exec_body=lambda own: own.update(namespace)
        )
    except TypeError:  # a class that is not written in Python
        for name, method in _METHODS.items():
            if not isinstance(getattr(stream, name), method):
                setattr(stream, name, method(getattr(stream, name)))


def _give_back(stream: Any) -> None:
    if isinstance(vars(type(stream)).get("write"), _Diverted):
        stream.__class__ = type(stream).__base__
    for name, method in _METHODS.items():
        found = vars(stream).get(name)
        if isinstance(found, method):
            setattr(stream, name, found.original)


def _publish(original: Callable[..., None]) -> Callable[..., None]:
    def publish(data: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        exchange = current()
        if exchange is None:
            original(data, *args, **kwargs)
        else:
            exchange.write(str(data.get("text/plain", "")).rstrip("\n") + "\n")

    return publish


def _clear_output(original: Callable[..., None]) -> Callable[..., None]:
    def clear_output(*args: Any, **kwargs: Any) -> None:
        if current() is None:
            original(*args, **kwargs)

    return clear_output


class _BreakpointHook:
    """``sys.breakpointhook``: the original one, but in views.

    Which one it is, is looked up by a property, so that no frame of ours stands between the
    breakpoint and the original hook, which looks for the frame that called it.
    """

    def __init__(self, original: Callable[..., object]) -> None:
        self._original = original

    @property
    def __call__(self) -> Callable[..., object]:
        exchange = current()
        return self._original if exchange is None else functools.partial(_stop_here, exchange)


def _stop_here(exchange: Exchange, *args: object, **options: object) -> NoReturn:
    raise NotInView(
        "A debugger in a view would wait for a person while the browser waits for the view."
        f" This request ends here instead: run %flaskserve debug {exchange.mount} in a cell to look"
        " around at this line."
    )


def _no_input(name: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    def make(original: Callable[..., str]) -> Callable[..., str]:
        def ask(*args: Any, **kwargs: Any) -> str:
            if current() is None:
                return original(*args, **kwargs)
            raise NotInView(
                f"{name}() asks a person at the notebook, who is not there when a view runs. Take"
                " what the view needs from its request, such as request.args or request.form."
            )

        return ask

    return make
