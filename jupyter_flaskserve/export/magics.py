"""What a cell says besides Python: its magics and shell commands.

Each is translated into Python or into a file of the project, left out, or refused with the number
of its cell. A refused one matters only where the app needs what it does.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager

from .cells import Cell
from .errors import ExportError
from .statements import Statement, is_main_check

__all__ = ["CellFile", "Reading", "magic_in", "read_cells", "without_arguments"]

# Line magics without an effect on what an app answers.
# fmt: off
_DROPPED = frozenset((
    "alias", "aimport", "autoawait", "autoreload", "autosave", "cd", "colors", "conda", "config",
    "connect_info", "debug", "dhist", "doctest_mode", "env", "gui", "hist", "history", "load_ext",
    "logoff", "logon", "logstart", "logstate", "logstop", "ls", "lsmagic", "magic", "mamba",
    "matplotlib", "micromamba", "page", "pdb", "pdef", "pdoc", "pfile", "pinfo", "pinfo2", "pip",
    "precision", "prun", "psearch", "psource", "pwd", "pycat", "qtconsole", "quickref",
    "reload_ext", "set_env", "static", "template", "timeit", "unload_ext", "uv", "who", "who_ls",
    "whos", "xmode", "flaskserve", "notebook",
))
# Cell magics whose cell is code that is run as usual.
_RUN = frozenset(("capture", "debug", "flaskserve", "prun", "time"))
# Cell magics that only show something.
_SHOWN = frozenset((
    "HTML", "SVG", "html", "javascript", "js", "latex", "markdown", "svg", "timeit",
))
# Line magics that may define names.
_DEFINING = frozenset(("load", "loadpy", "pylab", "run", "store", "edit", "recall", "rerun"))
# fmt: on
_INSTALLERS = re.compile(r"\s*(?:\S*python\S*\s+-m\s+)?(?:uv\s+)?(?:pip3?|conda|mamba)\s+install\s")
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?(?:\s*[<>=!~].*)?")


@dataclass(frozen=True)
class CellFile:
    """A cell that is a file.

    :ivar folder: ``templates``, ``static``, or an empty string for one beside the notebook.
    """

    folder: str
    name: str
    text: str
    cell: Cell


@dataclass
class Reading:
    """What the cells of a notebook say.

    :ivar statements: their Python, in order.
    :ivar files: the cells that are files; the last one of a name holds.
    :ivar installed: distributions that the notebook installs.
    :ivar refused: cells with a magic or a command that has no translation, and its first word.
    :ivar defining: those of them that may define names.
    :ivar served: the arguments of ``%flaskserve`` lines that serve an app.
    """

    statements: list[Statement] = field(default_factory=list)
    files: dict[tuple[str, str], CellFile] = field(default_factory=dict)
    installed: list[str] = field(default_factory=list)
    refused: list[tuple[Cell, str]] = field(default_factory=list)
    defining: list[tuple[Cell, str]] = field(default_factory=list)
    broken: list[Cell] = field(default_factory=list)
    served: list[list[str]] = field(default_factory=list)


def read_cells(cells: list[Cell]) -> Reading:
    """Read the cells of a notebook.

    :raises ExportError: a cell that is a file has no name, or a name that leads out of its folder.
    """
    reading = Reading()
    for cell in cells:
        _read(reading, cell, cell.source)
    return reading


def _read(reading: Reading, cell: Cell, source: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd line ends, and escapes that Python warns of
            text = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
            tree = ast.parse(text)
            compile(text, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        reading.broken.append(cell)
        return
    statements = [Statement(cell, node, text) for node in tree.body]
    for index, statement in enumerate(statements):
        statement.following = statements[index + 1] if index + 1 < len(statements) else None
        for part in _without_main_check(statement):
            call = magic_in(part.node.value) if isinstance(part.node, ast.Expr) else None
            if call is None:
                reading.statements.append(part)
            else:
                _read_magic(reading, cell, *call)


def _without_main_check(statement: Statement) -> list[Statement]:
    """A notebook's ``__name__`` is ``"__main__"``, and that of a project's module is not."""
    node = statement.node
    if not (isinstance(node, ast.If) and is_main_check(node.test)):
        return [statement]
    parts = [Statement(statement.cell, part, statement.text) for part in node.body]
    return [inner for part in parts for inner in _without_main_check(part)]


def magic_in(node: ast.AST) -> tuple[str, list[str]] | None:
    """The method of ``get_ipython()`` that an expression calls, and the texts that it is given;
    ``None`` where it is not a magic."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=method),
            args=arguments,
        ):
            texts = [a.value if isinstance(a, ast.Constant) else "" for a in arguments]
            return method, [str(text) for text in texts]
    return None


def _read_magic(reading: Reading, cell: Cell, method: str, texts: list[str]) -> None:
    match method, texts:
        case "run_line_magic", [name, line]:
            _read_line(reading, cell, name, line)
        case "run_cell_magic", [name, line, body]:
            _read_cell(reading, cell, name, line, body)
        case "system", [command] if _INSTALLERS.match(command):
            reading.installed += _packages(command)
        case (("system" | "getoutput"), [command]):
            reading.refused.append((cell, without_arguments("!", command)))
        case _:  # what calls the shell's own methods
            reading.refused.append((cell, f"get_ipython().{method}"))


def _read_line(reading: Reading, cell: Cell, name: str, line: str) -> None:
    if name == "time":
        _read(reading, cell, line)
    elif name in ("env", "set_env"):
        pair = _environment(name, line)
        if pair is not None:
            _read(reading, cell, f"import os\nos.environ[{pair[0]!r}] = {pair[1]!r}")
    elif name == "flaskserve":
        reading.served.append(_words(line))
    elif name in ("template", "static"):
        words = _words(line)
        if words[:1] == ["--remove"]:
            folder = "templates" if name == "template" else "static"
            reading.files.pop((folder, words[-1]), None)
    elif name in ("pip", "conda", "mamba", "uv") and " install " in f" {line} ":
        reading.installed += _packages(line)
    elif name in ("sx", "sc", "system"):
        reading.refused.append((cell, without_arguments("%", name, line)))
    elif name not in _DROPPED:
        text = without_arguments("%", name, line)
        reading.refused.append((cell, text))
        if name in _DEFINING:
            reading.defining.append((cell, text))


def _read_cell(reading: Reading, cell: Cell, name: str, line: str, body: str) -> None:
    if name in ("template", "static", "writefile", "file"):
        folder = {"template": "templates", "static": "static"}.get(name, "")
        words = _words(line)
        is_added = "-a" in words or "--append" in words
        names = [word for word in words if not word.startswith("-")]
        if len(names) != 1:
            raise ExportError(f"{cell} does not say what file it is.")
        _check_name(cell, names[0])
        key = (folder, names[0])
        before = reading.files[key].text if is_added and key in reading.files else ""
        reading.files[key] = CellFile(folder, names[0], before + body, cell)
    elif name in _RUN:
        if name == "flaskserve":
            reading.served.append(_words(line))
        _read(reading, cell, body)
    elif name not in _SHOWN:
        reading.refused.append((cell, without_arguments("%%", name, line or body)))


def without_arguments(sign: str, *words: str) -> str:
    """What a command or a magic is called in a message or a file. What follows may have a secret
    in it: ``!curl -u ada:s3cret``."""
    first, *rest = " ".join(words).split() or [""]
    # A variable before the command, or a URL of a database, may be one too.
    name = first if re.fullmatch(r"[\w./+-]+", first) else ""
    return f"{sign}{name} …" if rest or name != first else f"{sign}{name}"


def _check_name(cell: Cell, name: str) -> None:
    """Refuse a name by which a file would be written anywhere but below its folder."""
    parts = name.split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or ":" in parts[0]
        or name.startswith("~")
        or not {"", ".", ".."}.isdisjoint(parts)
    ):
        raise ExportError(
            f"{cell} would write the file {name!r}, whose name leads out of the project. Give it a"
            " name such as hello.html or users/list.html."
        )


def _environment(name: str, line: str) -> tuple[str, str] | None:
    """The variable and the value that ``%env`` sets; ``None`` where it only shows one."""
    pattern = r"(\w+)(?:\s*=\s*|\s+)(.+)" if name == "env" else r"(\w+)\s+(.+)"
    found = re.fullmatch(pattern, line.strip())
    return (found[1], found[2]) if found else None


def _packages(line: str) -> list[str]:
    _, _, rest = line.partition("install")
    found = (_PACKAGE.fullmatch(word) for word in _words(rest))
    names = [match[1] for match in found if match is not None]
    return [name for name in names if not name.endswith((".txt", ".whl", ".zip", ".gz"))]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()
