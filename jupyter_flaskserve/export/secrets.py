"""Secrets in code: each becomes a variable of the environment, so that none is in the project.

A literal is a secret where its name says so (:mod:`jupyter_flaskserve.secret_names`), where it is a
URL with a password, or where it looks like the keys of well-known services. A key that the code
makes at random when it starts is one too: each worker would make another. What a function makes at
random stays, because it is another one each time.
"""

from __future__ import annotations

import ast
import itertools
import re
import secrets as random_secrets
from collections.abc import Iterator
from typing import NamedTuple

from jupyter_flaskserve.kernel.exchanges.masking import MASK
from jupyter_flaskserve.secret_names import is_credential

from .cells import Cell
from .errors import ExportError
from .statements import at_once, chain_of

__all__ = ["Secrets", "looks_secret", "without_keys"]

_URL = re.compile(r"(?:^|\s)\w[\w+.\-]*://[^/\s:@]*:[^/\s@{]+@")
_KEY = re.compile(
    r"(?:gh[pousr]_|github_pat_|[sr]k_live_|xox[abprs]-|glpat-|hf_|AIza|AKIA|ASIA|SG\.)"
    r"[A-Za-z0-9_\-.]{16,}|\bsk-(?:[a-z]+-)?[A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
# A URL with a token before the host, or with one in its query.
_TOKEN_URL = re.compile(r"https?://(?!git@)[^/\s:@{}<>%$]{3,}@")
_IN_QUERY = re.compile(r"[?&]([\w.-]+)=[^\s&{<%$]")
# What is like a database's settings: "host=db user=ada password=..."
_SETTING = re.compile(r"(?:^|[;\s])([\w ]+?)\s*=\s*[^\s;&?:@{<%$\"'(]{2,}")
_SQL = re.compile(r"\b(?:select|insert|update|delete|where|values)\b", re.IGNORECASE)
_LONGEST_SETTINGS = 300  # characters of a text in which settings are looked for
_SCHEME = re.compile(r"(?:bearer|basic|digest|token|apikey)\s*", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sdrx]|\{[^{}]*\}")
_TAG = re.compile(r"<[^<>]*>")
_LONGEST_PART = 3  # letters of an f-string's text that may be another thing than a secret
_NAMELESS = ("DATABASE_URL", "API_KEY")  # what variables without a name of their own are called
# fmt: off
# Variables that a process has anyway, or that set up the project's servers.
_TAKEN = frozenset((
    "ACCESS_LOG", "BIND", "EDITOR", "HOME", "HOST", "HOSTNAME", "LANG", "LOGNAME", "MAIL", "OLDPWD",
    "PATH", "PORT", "PWD", "SHELL", "TERM", "THREADS", "TMPDIR", "TRUSTED_PROXIES", "TZ", "USER",
    "USERNAME", "WEB_CONCURRENCY",
))
_TAKEN_STARTS = ("GUNICORN_", "LC_", "LD_", "PYTHON")
# fmt: on
_RANDOM = frozenset(
    ("urandom", "token_bytes", "token_hex", "token_urlsafe", "uuid4", "randbytes", "generate_key")
)
_RANDOM_BYTES = frozenset(("urandom", "token_bytes", "randbytes", "generate_key"))
# Functions of what is random by which it is written in another way.
_ENCODING_BYTES = frozenset(("b64encode", "urlsafe_b64encode", "hexlify"))
_ENCODING = _ENCODING_BYTES | {"str"}
# fmt: off
# Functions that are given a name and then its value.
_NAMING = frozenset((
    "add_header", "getattr", "putenv", "set", "set_key", "setattr", "setdefault", "setenv",
))
_HASHING = frozenset((
    "generate_password_hash", "hash_password", "hashpw", "md5", "sha1", "sha256", "sha384",
    "sha512",
))
# fmt: on
_NO_SECRETS = frozenset(("bos", "cls", "eos", "mask", "pad", "sep", "unk"))  # pad_token
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
    :ivar read: the variables of the environment that the code reads itself.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.cells: dict[str, Cell] = {}
        self.read: set[str] = set()

    def replace(self, tree: ast.AST, cell: Cell) -> list[tuple[ast.expr, str]]:
        """Which expressions of some code to replace, and by what.

        :raises ExportError: a secret is a part of a text that cannot be replaced.
        """
        self.read |= set(_read_variables(tree))
        in_strings = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
            if part is not node
        }
        patterns = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.MatchValue)}
        found: dict[int, tuple[ast.expr, str]] = {}
        # Those that have a name first: it tells what the variable is to be called.
        for node, name in sorted(_literals(tree), key=lambda one: one.name in _NAMELESS):
            has_holes = isinstance(node, ast.JoinedStr) and _plain(node) is None
            if id(node) in in_strings or has_holes:
                raise ExportError(
                    f"{cell} has a password or a key in an f-string, and no secret may be in a"
                    " project. Put it into a variable of its own, such as DB_PASSWORD = ..."
                )
            if id(node) in patterns:
                raise ExportError(
                    f"{cell} has a password or a key in a case, and no secret may be in a project."
                    " Compare with if and == instead."
                )
            if id(node) not in found:
                found[id(node)] = (node, self._expression(node, name, cell))
        return list(found.values())

    def _expression(self, node: ast.expr, name: str, cell: Cell) -> str:
        value = node.value if isinstance(node, ast.Constant) else _plain(node)
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
        if first in _TAKEN or first.startswith(_TAKEN_STARTS):
            first = f"APP_{first}"
        variable, number = first, 1
        while self.values.get(variable, text) != text and not is_random:
            number += 1
            variable = f"{first}_{number}"
        return variable


def _literals(tree: ast.AST) -> Iterator[_Literal]:
    """The secrets in code, with the names they are known by."""
    once = {id(node) for node in at_once(tree, but_in=_REPEATED)}
    for node in ast.walk(tree):
        for name, value in _named(node):
            if _is_credential(name):
                yield from (
                    _Literal(leaf, name)
                    for leaf in _leaves(value)
                    if id(leaf) in once or not (_is_random(leaf) or isinstance(leaf, ast.JoinedStr))
                )
            else:
                yield from (
                    _Literal(leaf, name)
                    for leaf in _leaves(value)
                    if isinstance(leaf, ast.Constant) and looks_secret(leaf.value)
                )
            yield from (_Literal(leaf, name) for leaf in _credentials_of(name, value))
        if isinstance(node, ast.Call) and _function_of(node) in _HASHING:
            for value in node.args[:1]:
                yield from (
                    _Literal(leaf, "PASSWORD")
                    for leaf in _leaves(value)
                    if isinstance(leaf, ast.Constant)
                )
        if isinstance(node, ast.Call) and _function_of(node).endswith(("BasicAuth", "DigestAuth")):
            for value in node.args[1:2]:
                yield from (_Literal(leaf, "AUTH_PASSWORD") for leaf in _leaves(value))
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and looks_secret(text):
            yield _Literal(node, _NAMELESS[0 if _is_url(text) else 1])


def _is_credential(name: str) -> bool:
    """Whether a name is that of a secret, and not of a pattern or of a model's ``pad_token``."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    is_pattern = words[-1:] in (["re"], ["regex"])
    is_models = words[-1:] == ["token"] and not _NO_SECRETS.isdisjoint(words[-2:-1])
    return not is_pattern and not is_models and is_credential(name)


def _credentials_of(name: str, value: ast.expr) -> Iterator[ast.expr]:
    """What a request is sent with: ``auth=("ada", "x")``, ``{"Authorization": "Bearer x"}``."""
    if name.lower() == "auth" and isinstance(value, ast.Tuple) and len(value.elts) == 2:
        yield from (leaf for leaf in _leaves(value.elts[1]) if isinstance(leaf, ast.Constant))
    elif name.lower() in ("authorization", "proxy-authorization"):
        for leaf in _leaves(value):
            text = leaf.value if isinstance(leaf, ast.Constant) else None
            scheme = _SCHEME.match(text) if isinstance(text, str) else None
            rest = text[scheme.end() :] if scheme and isinstance(text, str) else text
            if isinstance(rest, str) and _may_be_secret(rest) and " " not in rest:
                yield leaf


def _is_url(value: object) -> bool:
    return isinstance(value, str) and "://" in value


def looks_secret(value: object) -> bool:
    """Whether a text is a URL or a database's settings with a password, or the key of a well-known
    service."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return False
    if _URL.search(text) or _KEY.search(text):
        return True
    is_one_line = "\n" not in text and "<" not in text  # and no page with an address in it
    return is_one_line and (_has_token(text) or _has_settings(text))


def _has_token(url: str) -> bool:
    in_query = _IN_QUERY.finditer(url) if "://" in url else ()
    return bool(_TOKEN_URL.search(url)) or any(is_credential(found[1]) for found in in_query)


def _has_settings(text: str) -> bool:
    if len(text) > _LONGEST_SETTINGS or _SQL.search(text):
        return False
    names = [found[1].split()[-1] for found in _SETTING.finditer(text) if found[1].split()]
    rest = _SETTING.sub("", text).strip("; ")
    return not rest and any(map(is_credential, names))


def without_keys(text: str) -> str:
    """A comment without the keys of well-known services."""
    return _KEY.sub(MASK, text)


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
            name = key.value if isinstance(key, ast.Constant) else None
            if isinstance(name, str) and not _is_message(name, value):
                yield name, value
    elif isinstance(node, ast.Call):
        yield from _named_by_arguments(node)
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
        yield from _compared(node.left, node.comparators[0])
    elif isinstance(node, ast.Match):
        name = _name_of(node.subject)
        if name is not None and not _is_parsers(node.subject):
            parts = (part for case in node.cases for part in ast.walk(case.pattern))
            yield from ((name, part.value) for part in parts if isinstance(part, ast.MatchValue))


def _named_by_arguments(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """``setattr(app, "secret_key", "s3cret")``, ``compare_digest(password, "s3cret")``."""
    root, path = chain_of(call.func)
    is_setting = path[-1:] == ("get",) and "config" in (root, *path)
    if _function_of(call) in _NAMING or is_setting or _is_environment(call):
        for key, value in itertools.pairwise(call.args):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif _function_of(call) == "compare_digest" and len(call.args) == 2:
        yield from _compared(*call.args)


def _compared(one: ast.expr, other: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(one, ast.Tuple) and isinstance(other, ast.Tuple):
        for first, second in zip(one.elts, other.elts, strict=False):
            yield from _compared(first, second)
        return
    for first, second in ((one, other), (other, one)):
        name = _name_of(_plain_text_of(first))
        value = _plain_text_of(second)
        is_group = isinstance(value, (ast.Tuple, ast.List, ast.Set)) and not _is_parsers(first)
        if name is not None and (is_group or isinstance(value, ast.Constant)):
            yield name, value


def _is_parsers(node: ast.expr) -> bool:
    """Whether it may be a word of a text: ``token in ("and", "or")``."""
    return isinstance(node, ast.Name) and node.id == "token"


def _plain_text_of(node: ast.expr) -> ast.expr:
    """What ``encode()`` or ``strip()`` is called on, where it is."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="encode" | "decode" | "strip")):
            return value
    return node


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    groups = (ast.Tuple, ast.List)
    if isinstance(target, groups) and isinstance(value, groups):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, other)
    else:
        name = _name_of(target)
        is_message = isinstance(target, ast.Subscript) and _is_message(name or "", value)
        if name is not None and not is_message:
            yield name, value


def _is_message(name: str, value: ast.expr) -> bool:
    """Whether what an item is given is what a person reads: ``{"password": "Your password"}``. The
    names of settings are in capitals."""
    text = value.value if isinstance(value, ast.Constant) else None
    if name.isupper() or not isinstance(text, str) or name.lower().endswith("authorization"):
        return False
    is_its_name = re.sub(r"[\W_]", "", text).lower() == re.sub(r"[\W_]", "", name).lower()
    return (" " in text.strip() or is_its_name) and not looks_secret(text)


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
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        for value in node.elts:
            yield from _leaves(value)
    elif isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        if not any(is_credential(str(key)) for key in keys):  # else these are known by their names
            for value in node.values:
                yield from _leaves(value)
    elif isinstance(node, ast.JoinedStr):
        texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
        longest = max((len(_SCHEME.sub("", str(text))) for text in texts), default=0)
        if longest > _LONGEST_PART or _plain(node) is not None:
            yield node
    elif _is_random(node):
        yield node
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant):
            if node.func.attr != "join":
                yield from _leaves(node.func.value)
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
    if not isinstance(text, str) or _TAG.fullmatch(text) or _SCHEME.fullmatch(text):
        return False
    return len(text) > 1 and any(map(str.isalnum, _PLACEHOLDER.sub("", text)))


def _plain(node: ast.expr) -> str | None:
    """The text of an f-string in which nothing is filled in."""
    if not isinstance(node, ast.JoinedStr):
        return None
    texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
    return "".join(map(str, texts)) if len(texts) == len(node.values) else None


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
    if name == "join" and node.args and isinstance(node.args[0], (ast.GeneratorExp, ast.ListComp)):
        made = node.args[0].elt
        return isinstance(made, ast.Call) and _function_of(made) == "choice"
    return isinstance(node.func, ast.Attribute) and _is_random(node.func)


def _function_of(call: ast.Call) -> str:
    root, path = chain_of(call.func)
    return path[-1] if path else root or ""


def _read_variables(tree: ast.AST) -> Iterator[str]:
    """The variables of the environment that code reads."""
    for node in ast.walk(tree):
        key: ast.expr | None = None
        if isinstance(node, ast.Call) and _is_environment(node) and node.args:
            key = node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key = node.slice if chain_of(node)[1][-1:] == ("environ",) else None
        if isinstance(key, ast.Constant):
            yield str(key.value)


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
