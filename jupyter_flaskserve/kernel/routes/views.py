"""What is known of a view without calling it: its name, docstring, place and source."""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
import textwrap
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, MethodType
from typing import Any

from flask.views import MethodView, View

from ..exchanges.code_places import cell_name

__all__ = ["ViewFacts", "view_facts"]

_TEXT_LIMIT = 20_000  # characters of a docstring or of a source
_LINES_LIMIT = 2_000
_WRAPPERS_LIMIT = 100


@dataclass(frozen=True)
class ViewFacts:
    """A view.

    :ivar name: ``show_user``, or ``shop.views.show_user`` where it is from a module.
    :ivar doc: its docstring.
    :ivar docs: the docstrings of a class's methods by HTTP method.
    :ivar cell: the cell it is from, such as ``Cell In[3]``; empty for one from a file.
    :ivar file: the file it is from; empty for one from a cell.
    :ivar line: its first line there, decorators included.
    :ivar source: its source, cut to 20,000 characters; empty where there is none.
    :ivar is_flasks: whether it is Flask's own view of static files.
    """

    name: str = ""
    doc: str = ""
    docs: Mapping[str, str] = field(default_factory=dict)
    cell: str = ""
    file: str = ""
    line: int | None = None
    source: str = ""
    is_flasks: bool = False

    @property
    def full_doc(self) -> str:
        """The docstring, and those of a class's methods."""
        methods = [f"{method}: {doc}" for method, doc in self.docs.items()]
        return _cut("\n\n".join(filter(None, [self.doc, *methods])))


def view_facts(view: object) -> ViewFacts:
    """What is known of a view, which may be any callable, or ``None``.

    A view of the app's may be any object. What it cannot be asked stays empty.
    """
    try:
        return ViewFacts() if view is None else _facts(view)
    except Exception:  # code of the object's own has answered
        return ViewFacts(name=type(view).__name__)


def _facts(view: object) -> ViewFacts:
    inner = _unwrapped(view)
    own = _view_class(inner) or inner
    file, line, source = _place(own)
    cell = cell_name(file) or ""
    return ViewFacts(
        name=_name(own),
        doc=_doc_of_view(view, inner),
        docs=_docs_of_methods(own),
        cell=cell,
        file="" if cell or file.startswith("<") else file,
        line=line,
        source=source,
        is_flasks=_is_static_view(view),
    )


def _unwrapped(view: object) -> object:
    """The function inside decorators and partial calls."""
    for _ in range(_WRAPPERS_LIMIT):
        if isinstance(view, functools.partial):
            view = view.func
        elif isinstance(view, FunctionType) and "__wrapped__" in vars(view):
            view = vars(view)["__wrapped__"]
        elif isinstance(view, MethodType):
            view = view.__func__
        elif type(view) is functools._lru_cache_wrapper:
            view = view.__wrapped__
        else:
            break
    return view


def _view_class(view: object) -> type | None:
    """The class that ``as_view()`` made a view of."""
    found = vars(view).get("view_class") if isinstance(view, FunctionType) else None
    return found if isinstance(found, type) and issubclass(found, View) else None


def _name(own: object) -> str:
    named: Any = own if isinstance(getattr(own, "__qualname__", None), str) else type(own)
    name, module = named.__qualname__.replace("<locals>.", ""), named.__module__
    return name if module in ("__main__", "builtins", None) else f"{module}.{name}"


def _doc_of_view(view: object, inner: object) -> str:
    """The docstring of the outermost decorator: most take the view's over. Else the view's."""
    for candidate in (view, inner):
        doc = None if isinstance(candidate, functools.partial) else candidate.__doc__
        if isinstance(doc, str) and doc.strip():
            return _cut(inspect.cleandoc(doc))
    return ""


def _docs_of_methods(own: object) -> dict[str, str]:
    if not (isinstance(own, type) and issubclass(own, MethodView)):
        return {}
    docs = {}
    for method in sorted(own.methods or ()):
        doc = getattr(getattr(own, method.lower(), None), "__doc__", None)
        if isinstance(doc, str) and doc.strip():
            docs[method] = _cut(inspect.cleandoc(doc))
    return docs


def _place(own: object) -> tuple[str, int | None, str]:
    """Where something is defined, and its source."""
    if isinstance(own, FunctionType):
        return _place_of_code(own.__code__)
    return _place_of_class(own if isinstance(own, type) else type(own))


def _place_of_class(cls: type) -> tuple[str, int | None, str]:
    """Where a class is, as its methods tell, else its module. (``inspect`` parses the whole file
    for each class, and knows no cells.)"""
    members = [_unwrapped(member) for member in vars(cls).values()]
    places: list[tuple[str, int | None]] = [
        (member.__code__.co_filename, member.__code__.co_firstlineno)
        for member in members
        if isinstance(member, FunctionType)
        and member.__qualname__.startswith(f"{cls.__qualname__}.")
    ]
    with contextlib.suppress(OSError, TypeError):  # built in, or of a cell
        places.append((inspect.getfile(cls), None))
    for file, before in places:
        lines = _lines(file)
        first = _class_line(lines, cls.__name__, before)
        if first is not None:
            return file, first, _block(lines, first)
    return "", None, ""


def _class_line(lines: list[str], name: str, before: int | None) -> int | None:
    above = range(len(lines) if before is None else min(before, len(lines)), 0, -1)
    starts = (f"class {name}(", f"class {name}:", f"class {name} ")
    return next((line for line in above if lines[line - 1].lstrip().startswith(starts)), None)


def _place_of_code(code: CodeType) -> tuple[str, int | None, str]:
    lines = _lines(code.co_filename)
    return code.co_filename, code.co_firstlineno, _block(lines, code.co_firstlineno)


def _lines(file: str) -> list[str]:
    linecache.checkcache(file)
    return linecache.getlines(file)


def _block(lines: list[str], first: int) -> str:
    """The definition that begins at a line."""
    try:
        return _source(inspect.getblock(lines[first - 1 : first - 1 + _LINES_LIMIT]))
    except (SyntaxError, tokenize.TokenError):  # the file is not what it was
        return ""


def _source(lines: list[str]) -> str:
    return _cut(textwrap.dedent("".join(lines)).rstrip())


def _is_static_view(view: object) -> bool:
    function = view.__func__ if isinstance(view, MethodType) else view
    if not isinstance(function, FunctionType):
        return False
    return function.__name__ == "send_static_file" or (
        function.__module__ == "flask.app" and "send_static_file" in function.__code__.co_names
    )


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "\u2026"
