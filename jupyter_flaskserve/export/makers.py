"""What makes an app in code that is not run: calls of ``Flask`` and ``Blueprint``, and of the
notebook's classes and functions that come down to these."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from .statements import chain_of
from .versions import Version

__all__ = ["calls_of", "is_whole_app", "makes"]


def calls_of(tree: ast.AST, kind: str) -> Iterator[ast.Call]:
    """The calls of a class, or of one whose name ends like its: ``APIFlask``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func).endswith(kind):
            yield node


def makes(call: ast.Call, kind: str, current: Mapping[str, Version]) -> bool:
    """Whether a call makes a ``Flask`` or a ``Blueprint``.

    :param current: what the notebook's variables hold.
    """
    if _last_name(call.func).endswith(kind):
        return True
    made = current.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if made is None or not made.is_function:
        return False
    node = made.statement.node
    if isinstance(node, ast.ClassDef):
        return any(_last_name(base).endswith(kind) for base in node.bases)
    returns = any(isinstance(part, ast.Return) for part in ast.walk(node))
    return returns and next(calls_of(node, kind), None) is not None


def is_whole_app(version: Version, current: Mapping[str, Version]) -> bool:
    """Whether a variable holds a WSGI app, and not a part of one as a blueprint is."""
    node = version.statement.node
    if isinstance(node, ast.FunctionDef):
        return [argument.arg for argument in node.args.args][-1:] == ["start_response"]
    value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
    if not isinstance(value, ast.Call):
        return False
    if makes(value, "Flask", current):
        return True
    # A middleware around an app, bound to the same name.
    return version.previous is not None and is_whole_app(version.previous, current)


def _last_name(node: ast.expr) -> str:
    root, path = chain_of(node)
    return path[-1] if path else root or ""
