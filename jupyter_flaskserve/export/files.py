"""The files beside a notebook that its app needs: folders of templates and static files, and
modules. Which other files the code names is told, so that a person can decide about them."""

from __future__ import annotations

import ast
import io
import os
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_flaskserve.kernel.exchanges.masking import mask_text

from .errors import ExportError
from .magics import CellFile
from .makers import calls_of
from .project import MANIFEST
from .requirements import modules_in
from .secrets import looks_secret

__all__ = ["Folders", "Gathered", "folders_of", "gather"]

_LARGEST = 50 * 1024 * 1024  # bytes of a file that is copied
_LARGEST_READ = 1024 * 1024  # bytes of a file that is searched for secrets
_PRIVATE = (".pem", ".key", ".p12", ".pfx", ".env", ".kdbx")
# Files of settings and of data, in which what is assigned to a secret's name is one. In pages and
# scripts such names are those of fields.
_SETTINGS = (
    *(".cfg", ".conf", ".csv", ".ini", ".json", ".properties", ".sql", ".toml", ".txt", ".xml"),
    *(".yaml", ".yml"),
)
_DATABASES = (".db", ".duckdb", ".mdb", ".sqlite", ".sqlite3")
# The arguments that may be given without their names.
_POSITIONS = {
    "Flask": (
        "import_name",
        "static_url_path",
        "static_folder",
        "static_host",
        "host_matching",
        "subdomain_matching",
        "template_folder",
    ),
    "Blueprint": ("name", "import_name", "static_folder", "static_url_path", "template_folder"),
}
_OWN_MODULES = ("app", "wsgi")


@dataclass(frozen=True)
class Folders:
    """Where an app has its files.

    :ivar static: the folder of its static files; ``None`` where it has none.
    :ivar static_url: the path below which they are served.
    :ivar others: the folders of its blueprints.
    :ivar elsewhere: folders that are not below the notebook's, or of which cannot be told where
        they are.
    """

    templates: str = "templates"
    static: str | None = "static"
    static_url: str = "/static"
    others: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass
class Gathered:
    """What is copied.

    :ivar files: contents by their names in the project.
    :ivar modules: the code among them.
    :ivar imports: the modules that this code imports.
    :ivar skipped: files that are left behind: hidden, very large, or outside of the folder.
    :ivar opened: other files that the code names.
    """

    @property
    def suspicious(self) -> list[str]:
        """The files that are copied though something in them looks like a secret."""
        small = ((name, data) for name, data in self.files.items() if len(data) < _LARGEST_READ)
        return [name for name, data in small if looks_secret(data) or _has_secret(name, data)]

    @property
    def databases(self) -> list[str]:
        """The databases among the files, with whatever is in them."""
        return [
            name
            for name, data in self.files.items()
            if name.lower().endswith(_DATABASES) or data.startswith(b"SQLite format 3\0")
        ]

    files: dict[str, bytes] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    skipped: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


def folders_of(trees: Iterable[ast.AST], app_node: ast.AST) -> Folders:
    """The folders that the calls of ``Flask`` and ``Blueprint`` name.

    :param trees: the code of the app.
    :param app_node: the statement that makes it.
    """
    own = next(calls_of(app_node, "Flask"), None)
    others: list[str | None] = []
    unknown: list[str] = []
    for tree in trees:
        for kind in ("Flask", "Blueprint"):
            for call in calls_of(tree, kind):
                options = _options(call, kind)
                own = own or (call if kind == "Flask" else None)
                others += [options.get("template_folder"), options.get("static_folder")]
                unknown += _computed(call, kind)
    options = _options(own, "Flask") if own is not None else {}
    static = options.get("static_folder", "static")
    url = options.get("static_url_path")
    name = os.path.basename((static or "static").rstrip("/"))
    return Folders(
        templates=_inside(options.get("template_folder")) or "templates",
        static=_inside(static),
        static_url="/" + (url if url is not None else name).strip("/"),
        others=tuple(folder for folder in map(_inside, others) if folder),
        elsewhere=(*dict.fromkeys(one for one in others if one and not _inside(one)), *unknown),
    )


def gather(
    directory: Path,
    trees: list[ast.AST],
    folders: Folders,
    cell_files: Iterable[CellFile],
) -> Gathered:
    """Gather what an app needs of the files beside its notebook, and of the cells that are files.

    :param trees: the code of the app.
    :raises ExportError: a module has the name of one of the project's own.
    """
    found = Gathered(skipped=list(folders.elsewhere))
    for folder in dict.fromkeys((folders.templates, folders.static, *folders.others)):
        if folder is not None:
            _copy_folder(directory, folder, found)
    beside: dict[str, CellFile] = {}
    for file in cell_files:
        if _is_private(file.name) or "PRIVATE KEY-----" in file.text:
            found.skipped.append(file.name)
        elif file.folder == "templates":
            found.files[f"{folders.templates}/{file.name}"] = file.text.encode()
        elif file.folder == "static":
            found.files[f"{folders.static or 'static'}/{file.name}"] = file.text.encode()
        else:
            beside[file.name] = file
    waiting = {name for tree in trees for name in modules_in(tree)}
    seen: set[str] = set()
    strings = {text for tree in trees for text in _strings(tree)}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        module = dict(_module(directory, name, beside, found))
        if module and name in _OWN_MODULES:
            raise ExportError(
                f"The app imports {name}.py, which is beside the notebook, and the project has a"
                f" {name}.py of its own. Give the module another name."
            )
        for path, text in module.items():
            found.modules[path] = text
            try:
                tree = ast.parse(text)
            except SyntaxError as error:
                raise ExportError(f"{path} is not valid Python: {error.msg}.") from None
            waiting.update(modules_in(tree))
            strings.update(_strings(tree))
        if not module:
            found.imports.add(name)
    copied = {*found.files, *found.modules}
    for text in sorted(strings):
        if text in copied or text.removeprefix("./") in copied or not _is_file_name(text):
            continue
        if text in beside:
            found.files[text] = beside[text].text.encode()
        elif (directory / text).is_file() and text not in (folders.static, folders.templates):
            found.opened.append(text)
    return found


def _arguments(call: ast.Call, kind: str) -> dict[str, ast.expr]:
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    return {**dict(zip(_POSITIONS[kind], call.args, strict=False)), **named}


def _options(call: ast.Call, kind: str) -> dict[str, str | None]:
    return {
        name: value.value
        for name, value in _arguments(call, kind).items()
        if isinstance(value, ast.Constant) and isinstance(value.value, (str, type(None)))
    }


def _computed(call: ast.Call, kind: str) -> list[str]:
    """The folders that are no plain texts."""
    return [
        ast.unparse(value)
        for name, value in _arguments(call, kind).items()
        if name in ("template_folder", "static_folder") and not isinstance(value, ast.Constant)
    ]


def _inside(folder: str | None) -> str | None:
    """A folder's path below the notebook's; ``None`` where it is elsewhere."""
    if not folder:
        return None
    path = os.path.normpath(folder)
    return None if path.startswith("..") or os.path.isabs(path) or path == "." else path


def _copy_folder(directory: Path, folder: str, found: Gathered) -> None:
    root = directory / folder
    if not root.is_dir() or not _leads_inside(directory, root):
        return
    for parent, names, files in os.walk(root):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".")
            and name != "__pycache__"
            and not Path(parent, name, MANIFEST).exists()  # what was exported before
        )
        for file in sorted(files):
            path = Path(parent, file)
            name = path.relative_to(directory).as_posix()
            if (
                _is_private(file)
                or not _leads_inside(directory, path)
                or not path.is_file()
                or path.stat().st_size > _LARGEST
                or b"PRIVATE KEY-----" in path.read_bytes()[:_LARGEST_READ]
            ):
                found.skipped.append(name)
            else:
                found.files[name] = path.read_bytes()


def _is_private(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.startswith(".") or last.lower().endswith(_PRIVATE)


def _has_secret(name: str, data: bytes) -> bool:
    """Whether something in a file of settings is assigned to the name of a secret."""
    if not name.lower().endswith(_SETTINGS):
        return False
    text = data.decode("utf-8", "replace")
    return mask_text(text) != text


def _leads_inside(directory: Path, path: Path) -> bool:
    """Whether a path is below the notebook's folder when its links are followed."""
    return directory.resolve() in path.resolve().parents


def _module(
    directory: Path, name: str, beside: dict[str, CellFile], found: Gathered
) -> Iterator[tuple[str, str]]:
    """The files of a module that is beside the notebook, or in a cell."""
    if f"{name}.py" in beside:
        yield f"{name}.py", beside[f"{name}.py"].text
        return
    file = directory / f"{name}.py"
    package = directory / name
    if file.is_file():
        yield f"{name}.py", _code(f"{name}.py", file.read_bytes())
    elif (package / "__init__.py").is_file() or any(package.glob("*.py")):
        inner = Gathered()
        _copy_folder(directory, name, inner)
        found.skipped += inner.skipped
        for path, content in inner.files.items():
            if path.endswith(".py"):
                yield path, _code(path, content)
            else:
                found.files[path] = content


def _code(name: str, data: bytes) -> str:
    """The text of a module in the encoding that it says it has.

    :raises ExportError: it is in another one.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, UnicodeDecodeError, LookupError):
        raise ExportError(
            f"{name} is not text in the encoding that Python reads it in. Save it as UTF-8."
        ) from None


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _is_file_name(text: str) -> bool:
    return (
        0 < len(text) < 200
        and text.isprintable()
        and not text.startswith(("/", "~"))
        and ".." not in text.split("/")
    )
