"""``%%template`` and ``%%static``: cells that are files of the notebook's apps."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from jinja2 import TemplateSyntaxError

from ..apps import app_variables, is_flask
from ..cells import files as cell_files
from ..cells.files import Kind
from .line import Parser, conjunction, refuse_option, split

if TYPE_CHECKING:
    from flask import Flask
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["CellFileMagics"]

_OPTIONS = ("--remove",)
_EXAMPLES: dict[Kind, str] = {"template": "hello.html", "static": "style.css"}
_FILES_LIMIT = 1000  # names offered of the files in a folder

_LINE = re.compile(r"\s*%%?(template|static)\s+(?:--remove\s+)?([^\s#]*)")
_IN_CODE: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"""\b(?:render|stream)_template\(\s*["']([^"']*)$"""), "template"),
    (re.compile(r"""\{%-?\s*(?:extends|include|import|from)\s+["']([^"']*)$"""), "template"),
    (re.compile(r"""["']static["']\s*,\s*filename\s*=\s*["']([^"']*)$"""), "static"),
)


@magics_class
class CellFileMagics(Magics):
    """The magics of one shell."""

    shell: InteractiveShell

    @no_var_expand
    @line_cell_magic
    def template(self, line: str, cell: str | None = None) -> None:
        """Make a cell a template of the notebook's apps.

        Examples::

            %%template hello.html           the rest of the cell is the template hello.html
            %%template users/list.html      names may have folders
            %template                       list the templates that are cells
            %template --remove hello.html   forget one of them

        A view renders it with render_template("hello.html"). It comes before a file of the same
        name in the templates folder; cells and files may extend and include each other. Run the
        cell again after a change: the next request shows it.
        """
        self._run("template", line, cell)

    @no_var_expand
    @line_cell_magic
    def static(self, line: str, cell: str | None = None) -> None:
        """Make a cell a static file of the notebook's apps.

        Examples::

            %%static style.css              the rest of the cell is the file style.css
            %static                         list the static files that are cells
            %static --remove style.css      forget one of them

        A page links to it with url_for("static", filename="style.css"). It comes before a file of
        the same name in the static folder. Run the cell again after a change: the next request
        shows it.
        """
        self._run("static", line, cell)

    def _run(self, kind: Kind, line: str, cell: str | None) -> None:
        if "\\" in line:
            raise UsageError("A name has no backslash: write / between a folder and a file.")
        words = split(line)
        if "-h" in words or "--help" in words:
            print(inspect.getdoc(getattr(type(self), kind)))
            return
        arguments, rest = _LINE_PARSER.parse_known_args(words)
        for word in rest:
            refuse_option(word, _OPTIONS)
        name = arguments.remove if arguments.name is None else arguments.name
        if rest or (arguments.remove is not None and arguments.name is not None):
            raise UsageError(f"%%{kind} takes one name. One that has spaces needs quotation marks.")
        if arguments.remove is not None:
            if cell is not None:
                raise UsageError(f"To remove it: %{kind} --remove {name}, with one % sign.")
            self._remove(kind, name)
        elif cell is not None:
            self._put(kind, name, cell)
        elif name is not None:
            raise UsageError(
                f"%{kind} {name} has no text. Write %%{kind} {name}, with two % signs, as the first"
                " line of a cell; the rest of the cell is the file."
            )
        else:
            self._list(kind)

    def _put(self, kind: Kind, name: str | None, text: str) -> None:
        if name is None:
            raise UsageError(f"Which name? Write it in the first line: %%{kind} {_EXAMPLES[kind]}")
        apps = self._apps()
        try:
            cell_files.check_name(name)
            if kind == "template":
                cell_files.check_template(name, text, apps.values())
        except TemplateSyntaxError as error:
            # The line with the magic is line 1 of the cell, and not of the template.
            earlier = " The earlier version stays in use." if name in cell_files.texts(kind) else ""
            raise UsageError(f"{name}, line {error.lineno}: {error.message}.{earlier}") from None
        except ValueError as error:
            raise UsageError(str(error)) from None
        cell_files.put(kind, name, text)
        parts = [f"{name}: {_size(kind, text)}"]
        users = [variable for variable, app in apps.items() if kind == "template" or _serves(app)]
        if users:
            parts.append(f"used by {conjunction(users)}")
        print(", ".join([*parts, *self._hidden(kind, name)]))

    def _remove(self, kind: Kind, name: str) -> None:
        try:
            cell_files.remove(kind, name)
        except KeyError:
            names = sorted(cell_files.texts(kind))
            known = f"There is {conjunction(names)}." if names else "There is none at all."
            raise UsageError(f"No cell is the {_NOUNS[kind]} {name}. {known}") from None
        print(f"Removed: {name}")

    def _list(self, kind: Kind) -> None:
        texts = cell_files.texts(kind)
        if not texts:
            print(
                f"No cell is a {_NOUNS[kind]} yet. To make one, begin a cell with"
                f" %%{kind} {_EXAMPLES[kind]}"
            )
            return
        width = max(map(len, texts))
        for name, text in sorted(texts.items()):
            print("  ".join([f"{name:{width}}", _size(kind, text), *self._hidden(kind, name)]))

    def _hidden(self, kind: Kind, name: str) -> list[str]:
        """The files that a cell hides, as a remark for people."""
        here = os.getcwd()
        hidden = sorted(
            {
                os.path.relpath(folder / name, here)
                for app in self._apps().values()
                for folder in _folders(kind, app)
                if (folder / name).is_file()
            }
        )
        return [f"hides the file {conjunction(hidden)}"] if hidden else []

    def _apps(self) -> dict[str, Flask]:
        """The notebook's own Flask apps by their variables."""
        namespace: dict[str, Any] = self.shell.user_ns
        return {
            name: namespace[name]
            for name in app_variables(namespace)
            if is_flask(namespace[name]) and namespace[name].import_name == "__main__"
        }

    @context_matcher(identifier="flaskserve_cell_files")  # type: ignore[untyped-decorator]
    def complete(self, context: CompletionContext) -> dict[str, object]:
        """Complete the names of templates and static files: a matcher for IPython's completer."""
        kind, written = _place(context.text_until_cursor)
        completions: list[SimpleCompletion] = []
        if kind is not None:
            # Of a name, the completer replaces what comes after its last delimiter only.
            done = len(written) - len(context.token) if written.endswith(context.token) else 0
            completions = [
                SimpleCompletion(name[done:], type="path")
                for name in sorted(self._names(kind))
                if name.startswith(written)
            ]
        # Suppressing the other matchers has an effect only where there are completions.
        return {"completions": completions, "suppress": True, "ordered": True}

    def _names(self, kind: Kind) -> set[str]:
        """The cells, and the files in the folders of the notebook's apps."""
        names = set(cell_files.texts(kind))
        for app in self._apps().values():
            for folder in _folders(kind, app):
                names.update(_names_in(folder))
        return names


_NOUNS: dict[Kind, str] = {"template": "template", "static": "static file"}

_LINE_PARSER = Parser(add_help=False)
_LINE_PARSER.add_argument("name", nargs="?")
_LINE_PARSER.add_argument("--remove")


def _size(kind: Kind, text: str) -> str:
    if kind == "static":
        size = len(text.encode())
        return "1 byte" if size == 1 else f"{size} bytes"
    count = len(text.splitlines())
    return "1 line" if count == 1 else f"{count} lines"


def _serves(app: Flask) -> bool:
    """Whether an app has static files at all."""
    return app.static_folder is not None


def _folders(kind: Kind, app: Flask) -> list[Path]:
    folder = app.template_folder if kind == "template" else app.static_folder
    return [Path(app.root_path, folder)] if folder is not None else []


def _names_in(folder: Path) -> Iterator[str]:
    count = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            count += 1
            if count > _FILES_LIMIT:
                return
            if not file.startswith("."):
                yield Path(parent, file).relative_to(folder).as_posix()


def _place(text: str) -> tuple[Kind | None, str]:
    """What kind of name stands at the end of a line of code, and what of it is written."""
    line = _LINE.fullmatch(text)
    if line is not None:
        return ("template" if line[1] == "template" else "static"), line[2]
    for pattern, kind in _IN_CODE:
        found = pattern.search(text)
        if found is not None:
            return kind, found[1]
    return None, ""
