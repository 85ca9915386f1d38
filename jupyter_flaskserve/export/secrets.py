"""Secrets in code: each becomes a variable of the environment, so that none is in the project.

A literal is a secret where its name says so (:mod:`jupyter_flaskserve.secret_names`), where it is a
URL with a password, or where it looks like the keys of well-known services. A key that the code
makes at random when it starts is one too: each worker would make another. What a function makes at
random stays, because it is another one each time.
"""

from __future__ import annotations

import ast
import re
import secrets as random_secrets
from collections.abc import Iterator
from typing import NamedTuple

from jupyter_flaskserve.secret_names import is_credential

from .cells import Cell
from .errors import ExportError
from .statements import chain_of

__all__ = ["Secrets", "looks_secret"]

_URL = re.compile(r"(?:^|\s)\w[\w+.\-]*://[^/\s:@]*:[^/\s@{]+@")
_KEY = re.compile(
    r"(?:gh[pousr]_|github_pat_|[sr]k_live_|xox[abprs]-|glpat-|hf_|AIza|AKIA|ASIA|SG\.)"
    r"[A-Za-z0-9_\-.]{16,}|\bsk-(?:[a-z]+-)?[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_NAMELESS = ("DATABASE_URL", "API_KEY")  # what variables without a name of their own are called
_RANDOM = frozenset(
    ("urandom", "token_bytes", "token_hex", "token_urlsafe", "uuid4", "randbytes", "generate_key")
)
_RANDOM_BYTES = frozenset(("urandom", "token_bytes", "randbytes", "generate_key"))
# Functions of what is random by which it is written in another way.
_ENCODING_BYTES = frozenset(("b64encode", "urlsafe_b64encode", "hexlify"))
_ENCODING = _ENCODING_BYTES | {"str"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_REPEATED = (ast.For, ast.AsyncFor, ast.While, *_COMPREHENSIONS)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class _Literal(NamedTuple):
    node: ast.expr
    name: str


class Secrets:
    """The secrets that were found.

    :ivar values: for each variable of the environment, the value that the notebook has.
    :ivar cells: for each, the cell where it was found.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.cells: dict[str, Cell] = {}

    def replace(self, tree: ast.AST, cell: Cell) -> list[tuple[ast.expr, str]]:
        """Which expressions of some code to replace, and by what.

        :raises ExportError: a secret is a part of a text that cannot be replaced.
        """
        in_strings = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
        }
        found: dict[int, tuple[ast.expr, str]] = {}
        # Those that have a name first: it tells what the variable is to be called.
        for node, name in sorted(_literals(tree), key=lambda one: one.name in _NAMELESS):
            if id(node) in in_strings:
                raise ExportError(
                    f"{cell} has a password or a key in an f-string, and no secret may be in a"
                    " project. Put it into a variable of its own, such as DB_PASSWORD = ..."
                )
            if id(node) not in found:
                found[id(node)] = (node, self._expression(node, name, cell))
        return list(found.values())

    def _expression(self, node: ast.expr, name: str, cell: Cell) -> str:
        value = node.value if isinstance(node, ast.Constant) else None
        suffix = ""
        if isinstance(value, bytes):
            try:
                text, suffix = value.decode(), ".encode()"
            except UnicodeDecodeError:
                text, suffix = value.decode("latin-1"), '.encode("latin-1")'
        elif value is None:
            text = random_secrets.token_hex(32)
            last = _function_of(node) if isinstance(node, ast.Call) else ""
            suffix = ".encode()" if last in _RANDOM_BYTES | _ENCODING_BYTES else ""
        else:
            text = str(value)
        if "\0" in text:  # no variable can have it
            text = text.replace("\0", "0")
        variable = self._variable(name, text, is_random=value is None)
        if value is not None or variable not in self.values:
            self.values[variable] = text
        self.cells.setdefault(variable, cell)
        expression = f'os.environ["{variable}"]{suffix}'
        return f"int({expression})" if isinstance(value, int) else expression

    def _variable(self, name: str, text: str, *, is_random: bool) -> str:
        first = "_".join(word.upper() for word in _WORD.findall(name)) or "SECRET"
        if first[0].isdigit():
            first = f"SECRET_{first}"
        variable, number = first, 1
        while self.values.get(variable, text) != text and not is_random:
            number += 1
            variable = f"{first}_{number}"
        return variable


def _literals(tree: ast.AST) -> Iterator[_Literal]:
    """The secrets in code, with the names they are known by."""
    once = {id(node) for node in _run_once(tree)}
    for node in ast.walk(tree):
        for name, value in _named(node):
            if is_credential(name):
                yield from (
                    _Literal(leaf, name)
                    for leaf in _leaves(value)
                    if id(leaf) in once or not _is_random(leaf)
                )
            else:
                yield from (
                    _Literal(leaf, name)
                    for leaf in _leaves(value)
                    if isinstance(leaf, ast.Constant) and looks_secret(leaf.value)
                )
        if isinstance(node, ast.Call) and _is_environment(node) and len(node.args) == 2:
            key, default = node.args
            if (
                isinstance(key, ast.Constant)
                and is_credential(str(key.value))
                and isinstance(default, ast.Constant)
                and _may_be_secret(default.value)
            ):
                yield _Literal(default, str(key.value))
        if isinstance(node, ast.Constant) and looks_secret(node.value):
            yield _Literal(node, _NAMELESS[0 if _is_url(node.value) else 1])


def _is_url(value: object) -> bool:
    return isinstance(value, str) and bool(_URL.search(value))


def looks_secret(value: object) -> bool:
    """Whether a text is a URL with a password, or the key of a well-known service."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return isinstance(text, str) and bool(_URL.search(text) or _KEY.search(text))


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names in a node, with the values that they are given or compared with."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield from _assigned(node.target, node.value)
    elif isinstance(node, ast.keyword) and node.arg is not None:
        yield node.arg, node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif isinstance(node, ast.arguments):
        positional = [*node.posonlyargs, *node.args]
        defaults = node.defaults
        for argument, value in zip(
            positional[len(positional) - len(defaults) :], defaults, strict=True
        ):
            yield argument.arg, value
        for argument, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            if default is not None:
                yield argument.arg, default
    elif isinstance(node, ast.Compare) and len(node.comparators) == 1:
        for one, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
            name = _name_of(one)
            if name is not None and isinstance(other, ast.Constant):
                yield name, other


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, other)
    else:
        name = _name_of(target)
        if name is not None:
            yield name, value


def _name_of(node: ast.expr) -> str | None:
    """The name of a variable, an attribute, an item, or of what ``get("name")`` gives."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    if isinstance(node, ast.Call) and chain_of(node.func)[1][-1:] == ("get",) and node.args:
        key = node.args[0]
        return str(key.value) if isinstance(key, ast.Constant) else None
    return None


def _leaves(node: ast.expr) -> Iterator[ast.expr]:
    """The literals that a value comes from, and the calls that make one at random."""
    if isinstance(node, ast.Constant):
        if _may_be_secret(node.value):
            yield node
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _leaves(value)
    elif isinstance(node, ast.IfExp):
        yield from _leaves(node.body)
        yield from _leaves(node.orelse)
    elif isinstance(node, ast.BinOp):
        yield from _leaves(node.left)
        yield from _leaves(node.right)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for value in node.elts:
            yield from _leaves(value)
    elif _is_random(node):
        yield node
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant):
            yield node.func.value
        elif _function_of(node) in ("b64decode", "fromhex", "unhexlify", "bytes", "str"):
            for value in node.args[:1]:
                yield from _leaves(value)


def _may_be_secret(value: object) -> bool:
    """Whether a literal is long enough: a parser's ``token == "("`` is no secret."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value > 999
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return isinstance(text, str) and len(text) > 1 and any(map(str.isalnum, text))


def _is_random(node: ast.expr) -> bool:
    """Whether an expression is a call that makes something at random, or that in another form:
    ``uuid4().hex``, ``b64encode(urandom(9)).decode()``."""
    if isinstance(node, ast.Attribute):
        return _is_random(node.value)
    if not isinstance(node, ast.Call):
        return False
    name = _function_of(node)
    if name in _RANDOM:
        return True
    if name in _ENCODING:
        return bool(node.args) and _is_random(node.args[0])
    return isinstance(node.func, ast.Attribute) and _is_random(node.func)


def _run_once(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of code that runs once: what is in no function and in no loop."""
    yield node
    if isinstance(node, _REPEATED):
        return
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, _FUNCTIONS):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _run_once(child)


def _function_of(call: ast.Call) -> str:
    root, path = chain_of(call.func)
    return path[-1] if path else root or ""


def _is_environment(call: ast.Call) -> bool:
    root, path = chain_of(call.func)
    return (root, *path) in (
        ("os", "environ", "get"),
        ("os", "environ", "setdefault"),
        ("os", "getenv"),
        ("environ", "get"),
        ("environ", "setdefault"),
        ("getenv",),
    )
