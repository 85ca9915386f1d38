"""A panel's ES module and stylesheet as one text each, put together from the files here.

A panel's module imports shared ones, and a notebook's page cannot fetch those one by one. So they
are joined as they are, without a build step: each shared module once, before what imports it. For
that they keep to a few forms, which :func:`module` insists on::

    import { name, other } from "./shared/file.js";    on one line
    export function …    export class …    export const …    export default function render…
    export default { render };    where the module is a widget's own

and no two of them that meet in a panel have a name at the top level in common.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

__all__ = ["PANELS", "ModuleError", "loader", "module", "stylesheet", "version"]

PANELS = ("header", "routes", "requests", "preview")

_FOLDER = Path(__file__).parent
_IMPORT = re.compile(r'import \{ ([\w$]+(?:, [\w$]+)*),? \} from "(\.{1,2}/[\w./-]+\.js)";')
_EXPORT = re.compile(r"export (?=(?:async )?(?:function|class|const)\b)")
_DEFAULT = re.compile(r"export default (?:(?:async )?function\b|\{ render \};$)")
_NAMED = re.compile(
    r"(?:export )?(?:default )?(?:async )?(?:function\*?|class|const|let|var) ([\w$]+)"
)
_DECLARATION = re.compile(r"(?:export )?(?:default )?(?:const|let|var) ")


class ModuleError(ValueError):
    """The files cannot be joined. The message names the file and the line."""


@cache
def loader() -> str:
    """The module that every panel's widget has, which fetches the panel's own."""
    return module("loader")


@cache
def module(name: str) -> str:
    """A panel's ES module with all that it imports.

    :param name: one of :data:`PANELS`, or the module of a widget that has it in its state.
    :raises ModuleError: a file does not exist, or does not keep to the forms above.
    """
    joined = _Joined()
    joined.add(_FOLDER / f"{name}.js", is_panel=True)
    return "\n".join(joined.texts)


@cache
def stylesheet(name: str) -> str:
    """A panel's stylesheet: what all share, what its shared modules bring, and its own."""
    joined = _Joined()
    joined.add(_FOLDER / f"{name}.js", is_panel=True)
    files = [_FOLDER / "shared" / "base.css", *(file.with_suffix(".css") for file in joined.files)]
    return "\n".join(_read(file) for file in files if file.exists())


@cache
def version(name: str) -> str:
    """A word that is another one when the panel's module or stylesheet is."""
    return hashlib.sha256((module(name) + stylesheet(name)).encode()).hexdigest()[:12]


class _Joined:
    """Modules, one after the other."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.texts: list[str] = []
        self._exports: dict[Path, set[str]] = {}
        self._owners: dict[str, Path] = {}  # each name at the top level, and whose it is

    def add(self, file: Path, *, is_panel: bool = False) -> None:
        """Add a module after those that it imports."""
        if file in self.files:
            return
        if file in self._exports:
            raise ModuleError(f"{file.name} imports itself, by way of another module.")
        exports = self._exports[file] = set()
        lines = []
        for number, line in enumerate(_read(file).splitlines(), 1):
            place = f"{file.name}, line {number}"
            if re.match(r"import\b", line):
                self._add_imported(line, file, place)
                continue
            if found := _NAMED.match(line):
                owner = self._owners.setdefault(found[1], file)
                if owner is not file:
                    raise ModuleError(f"{place}: {owner.name} has the name {found[1]} too.")
            elif _DECLARATION.match(line):
                raise ModuleError(f"{place}: declare one name at a time at the top level.")
            if line.startswith("export"):
                if not _EXPORT.match(line) and not (is_panel and _DEFAULT.match(line)):
                    raise ModuleError(f"{place}: this form of export is not known: {line}")
                if found:
                    exports.add(found[1])
                if not is_panel:
                    line = _EXPORT.sub("", line, count=1)
            lines.append(line)
        self.files.append(file)
        self.texts.append("\n".join(lines) + "\n")

    def _add_imported(self, line: str, file: Path, place: str) -> None:
        found = _IMPORT.fullmatch(line)
        if found is None:
            raise ModuleError(f"{place}: this form of import is not known: {line}")
        imported = (file.parent / found[2]).resolve()
        if _FOLDER not in imported.parents:
            raise ModuleError(f"{place}: {found[2]} is not a module of the panels.")
        self.add(imported)
        missing = set(found[1].split(", ")) - self._exports[imported]
        if missing:
            raise ModuleError(f"{place}: {imported.name} has no {', '.join(sorted(missing))}.")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise ModuleError(f"There is no {file.name} among the panels' modules.") from None
