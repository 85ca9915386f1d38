"""One statement of a cell: where its text is, and what it does with the notebook's variables.

What is found here is said by the statement alone. What its names stand for, and so what it
changes, is decided in :mod:`.needed`.
"""

from __future__ import annotations

import ast
import contextlib
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .cells import Cell

__all__ = [
    "CALLED",
    "EXPERIMENTS",
    "Call",
    "Changes",
    "Statement",
    "at_once",
    "chain_of",
    "is_main_check",
]

EXPERIMENTS = frozenset(("test_client", "test_cli_runner", "test_request_context"))
"""Methods of an app by which a notebook tries it out."""

CALLED = "()"
"""Stands in a chain for the call of its variable: what follows belongs to what that returned."""

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_MAYBE = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match)


@dataclass(frozen=True)
class Call:
    """A call of a function or method.

    :ivar root: the variable that is called, or whose method is; ``None`` where it is neither.
    :ivar path: the attributes from there to the method.
    :ivar arguments: the variables among what it is given.
    :ivar is_discarded: whether nothing is done with what it returns. That of a decorator counts as
        discarded.
    :ivar registers: whether it is a decorator of the statement itself that is something's method:
        see :mod:`.registrations`.
    """

    root: str | None
    path: tuple[str, ...]
    arguments: frozenset[str]
    is_discarded: bool
    registers: bool = False


@dataclass
class Changes:
    """What code does to objects that variables hold.

    :ivar stored: variables of whose object an attribute or an item is set or deleted.
    :ivar subclassed: variables that are, or whose attributes are, the bases of classes.
    :ivar links: for the names that stand for a part of another variable's object, that variable.
    """

    stored: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    subclassed: set[str] = field(default_factory=set)
    links: dict[str, set[str]] = field(default_factory=dict)

    def behind(self, name: str) -> set[str]:
        """The name itself and those of which it is a part, within the same code."""
        found, waiting = set(), [name]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.links.get(name, ())
        return found


class Statement:
    """A statement at the top of a cell.

    :param text: the text of the cell, as Python.
    :ivar following: the statement after it in the text, where there is one.
    """

    following: Statement | None = None

    def __init__(self, cell: Cell, node: ast.stmt, text: str) -> None:
        self.cell = cell
        self.node = node
        self.text = text

    def __repr__(self) -> str:
        return f"<{self.cell.number}: {ast.unparse(self.node).splitlines()[0]}>"

    @cached_property
    def _table(self) -> symtable.SymbolTable:
        return symtable.symtable(ast.unparse(self.node), "cell", "exec")

    @cached_property
    def is_import(self) -> bool:
        return isinstance(self.node, (ast.Import, ast.ImportFrom))

    @cached_property
    def is_maybe(self) -> bool:
        """Whether what it binds may as well not be bound when it has run."""
        return isinstance(self.node, _MAYBE)

    @cached_property
    def awaits(self) -> bool:
        """Whether it waits for something at the top level, which only a notebook can."""
        kinds = (ast.Await, ast.AsyncFor, ast.AsyncWith)
        return any(isinstance(node, kinds) for node in at_once(self.node))

    @cached_property
    def binds(self) -> set[str]:
        """The variables that it makes or gives another value."""
        return {
            symbol.get_name()
            for symbol in self._table.get_symbols()
            if symbol.is_assigned() or symbol.is_imported()
        } - self.deletes

    @cached_property
    def deletes(self) -> set[str]:
        if not isinstance(self.node, ast.Delete):
            return set()
        return {target.id for target in self.node.targets if isinstance(target, ast.Name)}

    @cached_property
    def uses(self) -> set[str]:
        """The variables that it reads while it runs."""
        names = set(_names_now(self._table))
        if isinstance(self.node, ast.AugAssign) and isinstance(self.node.target, ast.Name):
            names.add(self.node.target.id)
        return names

    @cached_property
    def annotations(self) -> set[str]:
        """The variables in annotations."""
        return {name for part in _annotations(self.node) for name in _names_in(part)}

    @cached_property
    def quoted_annotations(self) -> set[str]:
        """The variables in annotations that are texts, which libraries look up: ``x: "Item"``."""
        found: set[str] = set()
        for annotation in _annotations(self.node):
            for part in ast.walk(annotation):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    with contextlib.suppress(SyntaxError, ValueError):
                        found.update(_names_in(ast.parse(part.value, mode="eval")))
        return found

    @cached_property
    def uses_later(self) -> set[str]:
        """The variables that the functions in it read or set when they are called."""
        return set(_names_later(self._table))

    @cached_property
    def sets_later(self) -> set[str]:
        """The variables to which functions in it give another value: those under ``global``."""
        return {
            name
            for node in ast.walk(self.node)
            if isinstance(node, ast.Global)
            for name in node.names
        }

    @cached_property
    def changes(self) -> Changes:
        """What it does to objects while it runs."""
        return _changes(at_once(self.node), getattr(self.node, "decorator_list", ()))

    @cached_property
    def built_by(self) -> Call | None:
        """The call of a class, as its name tells, that makes the value which it assigns."""
        node = self.node
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if not isinstance(value, ast.Call):
            return None
        root, path = chain_of(value.func)
        name = (root, *path)[-1] or ""
        if not name[:1].isupper() or name.endswith("Client"):
            return None
        given = [*value.args, *(keyword.value for keyword in value.keywords)]
        names = frozenset(name for part in given for name in _names_in(part))
        return Call(root, path, names, is_discarded=False)

    @cached_property
    def changes_later(self) -> Changes:
        """What the functions in it do to objects of the notebook's variables."""
        found = _changes(_in_functions(self.node))
        names = self.uses_later
        return Changes(
            stored={name for part in found.stored for name in found.behind(part)} & names,
            calls=[call for call in found.calls if call.root in names],
        )

    @cached_property
    def changes_parameters(self) -> bool:
        """Whether it is a function that does something to what it is given."""
        if not isinstance(self.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        arguments = self.node.args
        names = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        found = _changes(_in_functions(self.node))
        touched = found.stored | {call.root for call in found.calls if call.is_discarded}
        return not names.isdisjoint(touched)


def is_main_check(node: ast.expr) -> bool:
    """Whether an expression is ``__name__ == "__main__"``."""
    return (
        isinstance(node, ast.Compare)
        and isinstance(node.left, ast.Name)
        and node.left.id == "__name__"
        and isinstance(node.ops[0], ast.Eq)
        and isinstance(node.comparators[0], ast.Constant)
        and node.comparators[0].value == "__main__"
    )


def chain_of(node: ast.AST) -> tuple[str | None, tuple[str, ...]]:
    """The variable at the root of ``a.b["c"].d(e).f``, and the attributes after it.

    Where the variable itself is called, :data:`CALLED` is the first of them.
    """
    path: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        elif isinstance(node, (ast.Subscript, ast.Starred)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
            if isinstance(node, ast.Name):
                path.append(CALLED)
        else:
            break
    return (node.id if isinstance(node, ast.Name) else None), tuple(reversed(path))


def _names_now(table: symtable.SymbolTable) -> Iterator[str]:
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_module or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        if not _is_later(child):
            yield from _names_now(child)


def _names_later(table: symtable.SymbolTable, *, later: bool = False) -> Iterator[str]:
    for child in table.get_children():
        is_later = later or _is_later(child)
        if is_later:
            yield from (symbol.get_name() for symbol in child.get_symbols() if symbol.is_global())
        yield from _names_later(child, later=is_later)


def _is_later(table: symtable.SymbolTable) -> bool:
    """Whether it is the scope of a function. Comprehensions are run where they stand."""
    name = table.get_name()
    comprehension = name in ("listcomp", "setcomp", "dictcomp", "genexpr")
    return table.get_type() == "function" and not comprehension


def at_once(node: ast.AST, *, but_in: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """The nodes of code that runs with a statement: all but the bodies of functions.

    :param but_in: kinds of nodes of which no part is taken.
    """
    yield node
    if isinstance(node, but_in):
        return
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _FUNCTIONS):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from at_once(child, but_in=but_in)


def _in_functions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes in the bodies of the functions of a statement."""
    for child in ast.walk(node):
        if isinstance(child, _FUNCTIONS):
            body = child.body if isinstance(child.body, list) else [child.body]
            for part in body:
                yield from ast.walk(part)
            # Functions within functions have been walked with it.


def _changes(nodes: Iterator[ast.AST], own: Iterable[ast.expr] = ()) -> Changes:
    """What some code does to objects.

    :param own: the decorators of the statement itself.
    """
    found = Changes()
    nodes_seen = list(nodes)
    decorators = [part for node in nodes_seen for part in getattr(node, "decorator_list", ())]
    discarded = {id(node.value) for node in nodes_seen if isinstance(node, ast.Expr)}
    discarded.update(map(id, decorators))
    own_ids = {id(node) for node in own}
    for decorator in decorators:
        if not isinstance(decorator, ast.Call):  # it is called with what stands below it
            root, path = chain_of(decorator)
            registers = id(decorator) in own_ids and bool(path) and CALLED not in path
            found.calls.append(Call(root, path, frozenset(), True, registers))
    for node in nodes_seen:
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            if not isinstance(node.ctx, ast.Load):
                root, path = chain_of(node)
                if root is not None and CALLED not in path:
                    found.stored.add(root)
        elif isinstance(node, ast.Call):
            root, path = chain_of(node.func)
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            names = frozenset(name for value in given for name in _names_in(value))
            registers = id(node) in own_ids and bool(path) and CALLED not in path
            found.calls.append(Call(root, path, names, id(node) in discarded, registers))
        elif isinstance(node, ast.ClassDef):
            found.subclassed |= {chain_of(base)[0] or "" for base in node.bases}
        _link(found.links, node)
    return found


def _names_in(node: ast.AST) -> Iterator[str]:
    """The variables in an argument, but for the app in ``Thread(target=app.run)``."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute) and node.attr == "run":
        return
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        for given in (*node.args, *node.keywords):  # what is called is noted as a call of its own
            yield from _names_in(given)
    elif not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _names_in(child)


def _link(links: dict[str, set[str]], node: ast.AST) -> None:
    """Note which names a node makes for a part of another variable's object."""
    pairs: list[tuple[ast.expr | None, ast.expr]] = []
    if isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        pairs = [(node.target, node.value)]
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        pairs = [(node.target, node.iter)]
    elif isinstance(node, ast.withitem):
        pairs = [(node.optional_vars, node.context_expr)]
    for target, value in pairs:
        values = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
        for name in _targets(target):
            for part in values:
                root, path = chain_of(part)
                is_part = CALLED not in path and EXPERIMENTS.isdisjoint(path)
                if root is not None and root != name and is_part:
                    links.setdefault(name, set()).add(root)


def _annotations(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(part, ast.expr):
                yield part


def _targets(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, (ast.Tuple, ast.List)):
        for part in node.elts:
            yield from _targets(part)
