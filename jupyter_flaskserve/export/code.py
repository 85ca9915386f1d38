"""The text of ``app.py``: the needed statements as they were written, with their comments.

What only a notebook can do is cut out of them, and secrets are replaced.
"""

from __future__ import annotations

import ast
import io
import tokenize
from typing import NamedTuple

from jupyter_flaskserve.kernel.exchanges.masking import mask_text

from .cells import Cell
from .errors import ExportError
from .magics import magic_in, without_arguments
from .needed import Needed
from .secrets import Secrets, without_keys
from .statements import Call, Statement, chain_of

__all__ = ["module_text", "without_secrets"]


class _Edit(NamedTuple):
    """A replacement in a text: from one byte to another."""

    start: int
    end: int
    text: str


class _Source:
    """A text and the places of its nodes."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self._starts = [0]
        for line in self.data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def place(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.place(node.lineno, node.col_offset),
            self.place(node.end_lineno, node.end_col_offset),
        )

    def line_start(self, place: int) -> int:
        return self.data.rfind(b"\n", 0, place) + 1

    def line_end(self, place: int) -> int:
        end = self.data.find(b"\n", place)
        return len(self.data) if end < 0 else end

    def statement_span(self, node: ast.stmt) -> tuple[int, int]:
        """Where a statement is, with its decorators."""
        start, end = self.span(node)
        for decorator in getattr(node, "decorator_list", ()):
            start = min(start, self.data.rfind(b"@", 0, self.span(decorator)[0]))
        return start, end

    def cut(self, start: int, end: int, edits: list[_Edit]) -> str:
        """A part of the text with its edits. An edit within another has no effect."""
        data = bytearray(self.data[start:end])
        limit = end
        for edit in sorted(edits, key=lambda edit: (edit.end, -edit.start), reverse=True):
            if edit.end <= limit and start <= edit.start:
                data[edit.start - start : edit.end - start] = edit.text.encode()
                limit = edit.start
        return data.decode()


def module_text(needed: Needed, secrets: Secrets, title: str, app_names: set[str]) -> str:
    """The text of a module that has the needed statements.

    :param secrets: takes in the secrets that are replaced.
    :param title: what the module says of itself.
    :param app_names: the variables that hold apps.
    :raises ExportError: something in a statement has no place in a module.
    """
    futures: list[str] = []
    parts: list[tuple[Cell, str]] = []
    for statement in needed.statements:
        if isinstance(statement.node, ast.ImportFrom) and statement.node.module == "__future__":
            futures.append(ast.unparse(statement.node))
            continue
        text = _text_of(statement, needed, secrets, app_names)
        if text:
            parts.append((statement.cell, text))
    safe = "".join(c for c in title if c.isprintable()).replace("\\", "/").replace('"', "'")
    head = [f'"""{safe}"""', *dict.fromkeys(futures)]
    if secrets.values:
        head.append("import os")
    if needed.displays:
        head.append("from IPython.display import display")
    lines = ["\n\n".join(head)]
    last: Cell | None = None
    for cell, text in parts:
        is_block = text.startswith(("def ", "class ", "@", "async def "))
        if cell is not last:
            lines.append(f"\n\n# Cell {cell.number}\n{text}")
        else:
            lines.append(f"\n\n{text}" if is_block else text)
        last = cell
    return "\n".join(lines) + "\n"


def without_secrets(text: str, cell: Cell, secrets: Secrets) -> str:
    """A module's text without secrets.

    :raises ExportError: it cannot be read as Python.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ExportError(f"{cell.source} is not valid Python: {error.msg}.") from None
    source = _Source(text)
    replaced = secrets.replace(tree, cell)
    edits = [_Edit(*source.span(node), new) for node, new in replaced]
    edits += _comments(source, 0, len(source.data))
    changed = source.cut(0, len(source.data), edits)
    if not replaced:
        return changed
    place = 0
    for node in tree.body:  # after the docstring and what has to come first
        is_head = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (is_head or is_future):
            break
        place = node.end_lineno or 0
    lines = io.StringIO(changed).readlines()
    return "".join([*lines[:place], "import os\n", *lines[place:]])


def _text_of(statement: Statement, needed: Needed, secrets: Secrets, app_names: set[str]) -> str:
    node, cell = statement.node, statement.cell
    if _is_for_the_notebook(node, app_names):
        return ""
    if statement.awaits:
        raise ExportError(
            f"{cell} waits with await outside a function, which only a notebook can. Wrap it in a"
            " function that asyncio.run() runs."
        )
    if any(not call.path and call.root in ("input", "getpass") for call in _calls(statement)):
        raise ExportError(
            f"{cell} asks somebody for a value, and nobody answers a server. Read it from the"
            " environment, as os.environ['NAME'], or from a file."
        )
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return _import(node, needed.names.get(statement, set()))
    source = _Source(statement.text)
    start, end = source.statement_span(node)
    edits = [
        _Edit(*source.statement_span(part), "pass")
        for part in ast.walk(node)
        if isinstance(part, ast.stmt) and part is not node
        if _is_for_the_notebook(part, app_names)
    ]
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    for number in needed.dropped_decorators.get(statement, ()):
        decorator_start, decorator_end = source.span(decorators[number])
        line = source.line_start(decorator_start)
        edits.append(_Edit(max(line, start), source.line_end(decorator_end) + 1, ""))
    _refuse_magics(node, cell, [edit[:2] for edit in edits], source)
    edits += [_Edit(*source.span(part), new) for part, new in secrets.replace(node, cell)]
    start, end = _with_comments(source, statement, start, end)
    edits += _comments(source, start, end)
    text = source.cut(start, end, edits)
    return _dedented(text, node)


def _calls(statement: Statement) -> list[Call]:
    """The calls that a statement makes when it runs. ``module.getpass`` counts as ``getpass``."""
    return [
        Call("getpass", (), call.arguments, call.is_discarded)
        if call.path == ("getpass",)
        else call
        for call in statement.changes.calls
    ]


def _is_for_the_notebook(node: ast.stmt, app_names: set[str]) -> bool:
    """Whether a statement is of use in a notebook only: it starts a server or the debugger, or
    shows something in the cell's output."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    magic = magic_in(node.value)
    if magic is not None:
        method, texts = magic
        return method == "run_line_magic" and texts[:1] in (["flaskserve"], ["matplotlib"])
    root, path = chain_of(node.value.func)
    return (root in ("breakpoint", "display") and not path) or (
        root in app_names and path == ("run",)
    )


def _refuse_magics(node: ast.stmt, cell: Cell, cut: list[tuple[int, int]], source: _Source) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and chain_of(part.func)[0] == "get_ipython":
            start, end = source.span(part)
            if any(first <= start and end <= last for first, last in cut):
                continue
            method, texts = magic_in(part) or ("", [])
            sign = {"run_line_magic": "%", "run_cell_magic": "%%"}.get(method, "!")
            what = without_arguments(sign, *texts) if texts else "get_ipython()"
            raise ExportError(
                f"{cell} uses {what}, which only a notebook can run. The app needs it: write it in"
                " Python, and export again."
            )


def _import(node: ast.Import | ast.ImportFrom, names: set[str]) -> str:
    """An import of the names that are used."""
    kept = [
        alias
        for alias in node.names
        if alias.name == "*"
        or (alias.asname or alias.name.partition(".")[0]) in names
        or (isinstance(node, ast.ImportFrom) and (alias.asname or alias.name) in names)
    ]
    if not kept:
        return ""
    if isinstance(node, ast.Import):
        return ast.unparse(ast.Import(kept))
    return ast.unparse(ast.ImportFrom(node.module, kept, node.level))


def _with_comments(source: _Source, statement: Statement, start: int, end: int) -> tuple[int, int]:
    """The place of a statement and of the comments just above and behind it."""
    line_end = source.line_end(end)
    following = statement.following
    if following is None or source.statement_span(following.node)[0] >= line_end:
        rest = source.data[end:line_end].lstrip(b" \t;")
        if rest.startswith(b"#"):
            end = line_end
    line = source.line_start(start)
    if source.data[line:start].strip():
        return start, end  # it is not the first in its line
    while line > 0:
        above = source.line_start(line - 1)
        if not source.data[above : line - 1].lstrip().startswith(b"#"):
            break
        line = start = above
    return start, end


def _comments(source: _Source, start: int, end: int) -> list[_Edit]:
    """Edits that take what looks like a secret out of comments."""
    edits = []
    text = source.data.decode()
    lines = io.StringIO(text).readlines()  # as Python counts them
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line = lines[token.start[0] - 1]
            column = len(line[: token.start[1]].encode())
            place = source.place(token.start[0], column)
            masked = without_keys(mask_text(token.string))
            if start <= place < end and masked != token.string:
                edits.append(_Edit(place, place + len(token.string.encode()), masked))
    return edits


def _dedented(text: str, node: ast.stmt) -> str:
    """The text of a statement that may have stood in a block."""
    indent = node.col_offset
    lines = text.split("\n")
    if not indent or not any(line.startswith(" " * indent) for line in lines[1:]):
        return text.strip() if indent else text.rstrip()
    in_string = any(
        isinstance(part, (ast.Constant, ast.JoinedStr)) and part.end_lineno != part.lineno
        for part in ast.walk(node)
    )
    if in_string:
        return "if True:\n" + " " * indent + text.lstrip()
    return "\n".join(line[indent:] if line[:indent].isspace() else line for line in lines).strip()
