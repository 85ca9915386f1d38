"""Which of the notebook's variables code uses: a cell (:func:`names_in`), and the views of an app
(:func:`names_used_by`). Where the two meet, the cell may have changed what the app answers.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import CodeType, FunctionType, MethodType
from typing import Any

from ..apps import is_flask

__all__ = ["names_in", "names_used_by"]

_MOST = 1000  # values looked at of a container, which may hold the notebook's data
_WORD = re.compile(r"[^\W\d]\w*")

# The magics whose line has no code in it.
_OWN_MAGICS = ("flaskserve", "template", "static")


def names_in(code: ast.AST, parse: Callable[[str], ast.AST | None]) -> set[str]:
    """The variables that a cell mentions, to read, to change or to make them.

    What a magic or a shell command is given counts as code where it can be read as such, and else
    each word of it counts as a variable. To serve an app and to send it requests mentions nothing.

    :param code: the cell as Python, in which IPython has replaced magics by calls.
    :param parse: reads code as a cell is read; gives ``None`` where it is not any.
    """
    names: set[str] = set()
    waiting = [code]
    while waiting:
        node = waiting.pop()
        texts = _texts_of_magic(node)
        if texts is None:
            names.update(name for name in _names_of(node) if name is not None)
            waiting += ast.iter_child_nodes(node)
            continue
        for text in texts:
            inner = parse(text)
            if inner is None:
                names.update(_WORD.findall(text))
            else:
                waiting.append(inner)
    return names


def _texts_of_magic(node: ast.AST) -> list[str] | None:
    """What may be code in the call of a magic or a shell command; ``None`` where a node is not
    one."""
    match node:
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(func=ast.Name(id="get_ipython"), args=[]), attr=method
            ),
            args=arguments,
        ):
            texts = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
        case _:
            return None
    match method, texts:
        case "run_line_magic", [name, str(line)]:
            return [] if name in _OWN_MAGICS else [line]
        case "run_cell_magic", ["flaskserve", _, str(cell)]:
            return [cell]
        case "run_cell_magic", [name, str(line), str(cell)]:
            return [] if name in _OWN_MAGICS else [line, cell]
        case "system" | "getoutput", [str(command)]:
            return [command]
    return None


def _names_of(node: ast.AST) -> Iterable[str | None]:
    """The names that one node has, besides those of the nodes in it."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(
        node,
        (
            ast.FunctionDef,
            ast.AsyncFunctionDef,
            ast.ClassDef,
            ast.ExceptHandler,
            ast.MatchAs,
            ast.MatchStar,
        ),
    ):
        return (node.name,)
    if isinstance(node, ast.MatchMapping):
        return (node.rest,)
    if isinstance(node, ast.alias):
        return (node.asname or node.name.partition(".")[0],)
    if isinstance(node, ast.Global):
        return node.names
    return ()


def names_used_by(app: object) -> set[str]:
    """The notebook's variables that the code of an app uses: those of its views and hooks, and of
    the notebook's functions and classes that these use in turn.

    :param app: a Flask app or any other WSGI app, made in the notebook or elsewhere.
    """
    uses = _Uses()
    for function in _functions_of_flask(app) if is_flask(app) else (app,):
        uses.add(function)
    return uses.names


def _functions_of_flask(app: Any) -> Iterator[object]:
    """What an app has registered, itself and through its blueprints."""
    yield from list(app.view_functions.values())
    yield from list(app.jinja_env.filters.values()) if "jinja_env" in vars(app) else ()
    yield from (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.teardown_appcontext_funcs,
        app.template_context_processors,
        app.url_value_preprocessors,
        app.url_default_functions,
        app.error_handler_spec,
    )


class _Uses:
    """Finds out what functions use.

    :ivar names: the notebook's variables, so far.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._seen: set[int] = set()
        self._kept: list[object] = []  # so that no id is used again

    def add(self, value: object) -> None:
        """Take in what a value uses: a function, or something that holds functions."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if id(value) not in self._seen:
                self._seen.add(id(value))
                self._kept.append(value)
                waiting += self._parts(value)

    def _parts(self, value: object) -> list[object]:
        if isinstance(value, FunctionType):
            return self._parts_of_function(value)
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, (staticmethod, classmethod)):
            return [value.__func__]
        if isinstance(value, property):
            return [value.fget, value.fset]
        if isinstance(value, functools.partial):
            return [value.func, *value.args, *value.keywords.values()]
        if isinstance(value, dict):
            return list(islice(value.values(), _MOST))
        if isinstance(value, (list, tuple, set, frozenset)):
            return [part for part in islice(value, _MOST) if callable(part)]
        if isinstance(value, type):
            own = value.__module__ == "__main__"
            return [*value.__bases__, *vars(value).values()] if own else []
        return [type(value)] if type(value).__module__ == "__main__" else []

    def _parts_of_function(self, function: FunctionType) -> list[object]:
        parts: list[object] = [getattr(function, "__wrapped__", None), function.__defaults__]
        # A class's view, such as MethodView.as_view() gives, knows its class by this.
        parts.append(getattr(function, "view_class", None))
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # it is empty
                parts.append(cell.cell_contents)
        namespace = function.__globals__
        if namespace.get("__name__") == "__main__":
            for name in _globals_of(function.__code__):
                if name in namespace:
                    self.names.add(name)
                    parts.append(_code_behind(namespace[name]))
        return parts


def _code_behind(value: object) -> object:
    """A variable's value where that is the notebook's code, which uses other variables."""
    if isinstance(value, (FunctionType, MethodType, functools.partial, type)):
        return value
    return type(value)


@functools.lru_cache(maxsize=4096)
def _globals_of(code: CodeType) -> frozenset[str]:
    """The global names that code reads or writes, in the functions inside it too."""
    names = {
        str(instruction.argval)
        for instruction in dis.get_instructions(code)
        if instruction.opname in _GLOBAL_OPERATIONS
    }
    inner = (_globals_of(part) for part in code.co_consts if isinstance(part, CodeType))
    return frozenset(names).union(*inner)


_GLOBAL_OPERATIONS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"})
