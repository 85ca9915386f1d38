"""Views, hooks and handlers in code that is not run, and which of them take the place of others.

In a notebook a view of another cell takes the place of one of its name, and of two views at one
address the later cell's answers. A module is run once, and Flask refuses the one and takes the
first of the other: so what was replaced is left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .cells import Cell
from .statements import CALLED, Statement, chain_of

__all__ = ["Registration", "Replaced", "registers_blueprint", "registrations_in", "replaced"]

_ROUTES = ("route", "get", "post", "put", "delete", "patch", "add_url_rule")
_VARIABLE = re.compile(r"(<(?:[^<>:]*:)?)[^<>:]*>")


@dataclass(frozen=True)
class Registration:
    """What a statement registers.

    :ivar index: the place of the statement.
    :ivar decorator: which of a function's decorators does it; ``None`` for ``add_url_rule``.
    :ivar endpoint: the name by which another one takes its place.
    :ivar rule: the address, without the names of its variables, where it is a plain one.
    """

    index: int
    decorator: int | None
    endpoint: str | None
    rule: str | None
    methods: frozenset[str]


@dataclass
class Replaced:
    """What became of registrations.

    :ivar dead: of each statement, the registrations that others have replaced.
    :ivar rivals: pairs at one address, of which the later one is to come first.
    """

    dead: dict[int, set[int | None]] = field(default_factory=dict)
    rivals: list[tuple[Registration, Registration]] = field(default_factory=list)


def registrations_in(index: int, statement: Statement) -> Iterator[tuple[str, Registration]]:
    """What a statement registers, with the variable that holds where."""
    node = statement.node
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for number, decorator in enumerate(node.decorator_list):
            root, path = chain_of(decorator)
            if root is not None and path and CALLED not in path:
                rule, methods = _rule_of(decorator)
                yield root, Registration(index, number, node.name, rule, methods)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        root, path = chain_of(node.value.func)
        if root is not None and path == ("add_url_rule",):
            rule, methods = _rule_of(node.value)
            yield root, Registration(index, None, _endpoint_of(node.value), rule, methods)


def registers_blueprint(statement: Statement) -> str | None:
    """The variable in which a statement registers a blueprint."""
    node = statement.node
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        root, path = chain_of(node.value.func)
        if path == ("register_blueprint",):
            return root
    return None


def replaced(
    groups: Iterable[list[Registration]], cell_of: Callable[[Registration], Cell]
) -> Replaced:
    """Find out which registrations take the place of others.

    :param groups: those of one app or blueprint each, in order.
    """
    found = Replaced()
    for registrations in groups:
        for position, one in enumerate(registrations):
            for later in registrations[position + 1 :]:
                if cell_of(later) == cell_of(one):
                    continue
                same_name = one.endpoint is not None and one.endpoint == later.endpoint
                same_address = one.rule is not None and one.rule == later.rule
                if same_name or (same_address and one.methods <= later.methods):
                    found.dead.setdefault(one.index, set()).add(one.decorator)
                elif same_address and one.methods & later.methods:
                    found.rivals.append((one, later))
    return found


def _rule_of(node: ast.AST) -> tuple[str | None, frozenset[str]]:
    """The address that a decorator or call registers, without the names of its variables, and the
    methods."""
    nothing: tuple[None, frozenset[str]] = (None, frozenset())
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return nothing
    name = (chain_of(node.func)[1] or ("",))[-1]
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if name not in _ROUTES or set(keywords) & {"host", "subdomain", "defaults"}:
        return nothing
    methods = {"GET"} if name in ("route", "add_url_rule") else {name.upper()}
    if "methods" in keywords:
        try:
            methods = {str(word).upper() for word in ast.literal_eval(keywords["methods"])}
        except (TypeError, ValueError):
            return nothing
    return _VARIABLE.sub(r"\1>", str(node.args[0].value)), frozenset(methods)


def _endpoint_of(call: ast.Call) -> str | None:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    endpoint = keywords.get("endpoint") or (call.args[1] if len(call.args) > 1 else None)
    if isinstance(endpoint, ast.Constant) and isinstance(endpoint.value, str):
        return endpoint.value
    view = keywords.get("view_func") or (call.args[2] if len(call.args) > 2 else None)
    if isinstance(view, ast.Name):
        return view.id
    if isinstance(view, ast.Call) and view.args and isinstance(view.args[0], ast.Constant):
        return str(view.args[0].value)
    return None
