"""The values that the variables of a notebook have one after the other."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from .statements import Statement

__all__ = ["Version", "origins"]

_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(eq=False)
class Version:
    """A value that a variable has for a part of the notebook.

    :ivar index: the place of the statement that made it.
    :ivar previous: what the variable may still be instead.
    :ivar module: what it was imported from, where it was.
    :ivar imported: what of that module it is; ``None`` for the module itself.
    :ivar is_app: whether it is an app, a blueprint, or an extension that was given one.
    :ivar reads: whether it only shows what it is given, or sends it elsewhere.
    :ivar parents: what it is a part of, or made of.
    :ivar changed_by: the places of the statements that do something to it.
    """

    name: str
    index: int
    statement: Statement
    previous: Version | None = None
    module: str | None = None
    imported: str | None = None
    is_app: bool = False
    reads: bool = False
    parents: list[Version] = field(default_factory=list)
    changed_by: set[int] = field(default_factory=set)

    @property
    def is_function(self) -> bool:
        """Whether it is a function or a class of the notebook."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return isinstance(self.statement.node, kinds)

    @property
    def is_module(self) -> bool:
        """Whether it is a module, and not something in one."""
        return self.module is not None and self.imported is None

    @property
    def is_of_import(self) -> bool:
        """Whether an import by itself made it, which may be cut down to the names that are used."""
        return self.module is not None and isinstance(self.statement.node, _IMPORTS)

    def change(self, index: int) -> None:
        """Note that a statement changes it, and so what it is a part of."""
        waiting, seen = [self], set()
        while waiting:
            version = waiting.pop()
            if id(version) in seen:
                continue
            seen.add(id(version))
            version.changed_by.add(index)
            waiting += version.parents
            if version.previous is not None:
                waiting.append(version.previous)


def origins(statement: Statement) -> dict[str, tuple[str, str | None]]:
    """For the names that a statement imports, the module, and what of it; ``None`` for itself."""
    if not isinstance(statement.node, (*_IMPORTS, ast.Try, ast.If)):
        return {}
    found: dict[str, tuple[str, str | None]] = {}
    for node in ast.walk(statement.node):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                found[alias.asname or alias.name] = (module, alias.name)
    return found
