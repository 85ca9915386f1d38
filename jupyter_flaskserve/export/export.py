"""From a notebook to a project that runs without Jupyter."""

from __future__ import annotations

import ast
import difflib
import io
import re
import sys
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_flaskserve.records import label

from .cells import Cell, Notebook
from .code import module_text, without_secrets
from .configure import Addresses, configuration
from .errors import ExportError
from .files import Folders, Gathered, folders_of, gather
from .magics import Reading, read_cells
from .needed import Needed, Program
from .project import Written, write_project
from .requirements import Requirements, modules_in, requirements_of
from .secrets import Secrets

__all__ = ["STEPS", "Exported", "export", "project_name"]

STEPS = ("Reading the cells", "Following names", "Asking for versions", "Writing the files")
"""What is done one after the other."""

# fmt: off
_HOOKS = frozenset((
    "before_app_request", "before_request", "before_request_funcs", "url_value_preprocessor",
    "wsgi_app",
))
# fmt: on
_THREADS = 16  # requests at once of each worker


@dataclass(frozen=True)
class Exported:
    """What was exported.

    :ivar directory: the project.
    :ivar variable: the variable that holds the app.
    :ivar files: what was done with each file.
    :ivar secrets: the values of the variables of the environment that the project needs. They are
        in no file.
    :ivar defaults: those of them that hold only where the environment has no value, because the
        notebook reads it from there.
    :ivar state: variables that views change, of which each worker has its own copy.
    :ivar is_main_thread: whether the notebook runs its views on one thread only.
    :ivar notes: what a person should know, a sentence each.
    :ivar folders: where the app has its static files; ``None`` where web servers cannot be told.
    """

    directory: Path
    variable: str
    files: Written
    secrets: dict[str, str] = field(repr=False)
    defaults: frozenset[str]
    state: list[str]
    is_main_thread: bool
    notes: list[str]
    folders: Folders | None


def export(
    notebook: Notebook,
    directory: Path,
    *,
    variable: str | None = None,
    all_cells: bool = False,
    python: str = sys.executable,
    addresses: Addresses | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Exported:
    """Write a project with the app of a notebook. No code of the notebook is run.

    :param notebook: its cells; see :func:`.cells.read_notebook`.
    :param directory: where to write; made where there is none. What a person has changed there
        stays, see :mod:`.project`.
    :param variable: the variable that holds the app; without one, the only app of the notebook or
        else ``app``.
    :param all_cells: whether to keep what the app does not need, too.
    :param python: the Python that runs the notebook, whose versions are required.
    :param addresses: where the servers are to listen.
    :param progress: called with each of :data:`STEPS` as it begins.
    :raises ExportError: it cannot be exported. The message names the cell and says what to do.
    """
    if notebook.language != "python":
        raise ExportError(f"{notebook.name} is a notebook in {notebook.language}, not in Python.")
    if directory.resolve() == notebook.directory.resolve():
        raise ExportError(
            f"{directory} is the notebook's own folder, and a project's files would be among its"
            " own. Name another folder for it."
        )
    progress(STEPS[0])
    reading = read_cells(notebook.cells)
    progress(STEPS[1])
    variable = variable or _app_of(Program(reading))
    program = Program(reading, variable)
    if not program.has(variable):
        raise ExportError(_no_variable(variable, program))
    needed = program.needed(variable, all_cells=all_cells)
    if all_cells and reading.refused:
        cell, text = reading.refused[0]
        raise ExportError(
            f"{cell} runs {text}, which only a notebook can. Write it in Python, tag the cell"
            " skip-execution, or export without --all-cells."
        )
    secrets = Secrets()
    title = f"The Flask app of {notebook.name}.ipynb."
    app = module_text(needed, secrets, title, {*program.app_variables(), variable})
    try:
        tree = ast.parse(app)
    except SyntaxError as error:
        raise ExportError(f"What was made of the cells is not valid Python: {error}.") from error
    folders = folders_of([tree], program.maker(variable))
    gathered = gather(notebook.directory, [tree], folders, reading.files.values())
    for name, text in gathered.modules.items():
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode()).readline)
        gathered.files[name] = without_secrets(text, Cell(0, name), secrets).encode(encoding)
    progress(STEPS[2])
    modules = {*modules_in(tree), *gathered.imports} - _local(gathered)
    requirements = requirements_of(modules, _wanted(modules, reading, secrets), python)
    progress(STEPS[3])
    is_main_thread = "--main-thread" in _served_with(reading, variable)
    has_hook = any(map(_looks_at_requests, [tree, *map(ast.parse, gathered.modules.values())]))
    about = {
        "name": project_name(notebook.name),
        "variable": variable,
        "notebook": f"{notebook.name}.ipynb",
        "python": requirements.python,
        "secrets": secrets.cells,
        "state": sorted(needed.state),
        "state_words": _state_words(needed),
        "main_thread": is_main_thread,
        "sticky": "flask_socketio" in modules,
        "threads": _threads(reading, variable),
        "opened": gathered.opened,
        "skipped": gathered.skipped,
        "suspicious": gathered.suspicious,
        "databases": gathered.databases,
        "unknown": requirements.unknown,
        "local": requirements.elsewhere,
        "refused": _refused_words(reading),
        "left_out": [cell.number for cell in needed.left_out],
        "static_url": folders.static_url if _is_plain(folders) and not has_hook else "",
        "has_hook": has_hook,
        "static_folder": folders.static or "",
        "has_static": any(name.startswith(f"{folders.static}/") for name in gathered.files),
        "debug": bool(re.search(r"^\w+\.debug *= *True", app, re.MULTILINE)),
    }
    own = {
        "app.py": app.encode(),
        "requirements.txt": requirements.text.encode(),
        **configuration(addresses or Addresses(), about),
    }
    if taken := sorted(own.keys() & gathered.files.keys()):
        raise ExportError(
            f"A cell writes {taken[0]}, and the project has a file of that name of its own. Give it"
            " another name."
        )
    for name in gathered.files:
        source, target = notebook.directory / name, directory / name
        if source.exists() and target.exists() and target.samefile(source):
            raise ExportError(
                f"{name} in {directory} is one of the files that the app is made of. Name another"
                " folder for the project."
            )
    written = write_project(directory, own | gathered.files)
    return Exported(
        directory,
        variable,
        written,
        secrets.values,
        frozenset(secrets.values.keys() & secrets.read),
        sorted(needed.state),
        is_main_thread,
        _notes(needed, reading, gathered, requirements, secrets, written),
        folders if _is_plain(folders) else None,
    )


def project_name(notebook: str) -> str:
    """What a project is called, as a DNS label."""
    return label(notebook) or "app"


def _app_of(program: Program) -> str:
    apps = program.app_variables()
    if "app" in apps or (not apps and program.has("app")):
        return "app"
    if not apps:
        raise ExportError(
            "The notebook has no Flask app. Make one in a cell, such as app = Flask(__name__), or"
            " name the variable that holds it: --app VARIABLE."
        )
    if len(apps) > 1:
        raise ExportError(
            f"The notebook has {len(apps)} apps: {', '.join(apps)}. Say which one with --app"
            " VARIABLE."
        )
    return apps[0]


def _no_variable(variable: str, program: Program) -> str:
    apps = program.app_variables()
    near = difflib.get_close_matches(variable, apps, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = f" Its apps: {', '.join(apps)}." if apps else " It has no app."
    return f"The notebook has no variable {variable!r}.{hint}{known}"


def _served_with(reading: Reading, variable: str) -> list[str]:
    """The words by which the notebook serves the app last."""
    return next((words for words in reversed(reading.served) if words[:1] == [variable]), [])


def _threads(reading: Reading, variable: str) -> int:
    """How many requests a worker answers at once."""
    words = _served_with(reading, variable)
    given = words[words.index("--threads") + 1 :] if "--threads" in words else []
    return int(given[0]) if given and given[0].isdecimal() and int(given[0]) else _THREADS


def _wanted(modules: set[str], reading: Reading, secrets: Secrets) -> set[str]:
    """The distributions that are required besides those of the modules."""
    found = {name for name in reading.installed if label(name) != "jupyter-flaskserve"}
    found.add("gunicorn")
    if "flask" not in modules:  # which needs it itself
        found.add("Werkzeug")
    if secrets.values:
        found.add("python-dotenv")
    return found


def _looks_at_requests(tree: ast.AST) -> bool:
    """Whether code may ask who the visitor is before Flask answers, also with a static file."""
    return any(isinstance(node, ast.Attribute) and node.attr in _HOOKS for node in ast.walk(tree))


def _is_plain(folders: Folders) -> bool:
    """Whether web servers can be told where the static files are. Else the app serves them."""
    return folders.static is not None and all(
        re.fullmatch(r"[\w./-]*[\w-]", path, re.ASCII)
        for path in (folders.static, folders.static_url)
    )


def _local(gathered: Gathered) -> set[str]:
    return {name.partition("/")[0].removesuffix(".py") for name in gathered.modules}


def _state_words(needed: Needed) -> str:
    return ", ".join(f"`{name}` (cell {cell.number})" for name, cell in needed.state.items())


def _refused_words(reading: Reading) -> str:
    return ", ".join(f"`{text}` (cell {cell.number})" for cell, text in reading.refused)


def _notes(
    needed: Needed,
    reading: Reading,
    gathered: Gathered,
    requirements: Requirements,
    secrets: Secrets,
    written: Written,
) -> list[str]:
    notes = []
    if kept := [name for name in written.kept if f"{name}.new" not in written.held]:
        beside = ", ".join(f"{name}.new" for name in kept)
        notes.append(f"You have changed {', '.join(kept)}: kept, the new is in {beside}.")
    for name in written.held:
        notes.append(
            f"You have changed {name.removesuffix('.new')} and {name}: both kept. Rename the second"
            " and export again for a new one."
        )
    if written.stale:
        notes.append(
            f"The notebook has no {', '.join(written.stale)} any more, but you have changed it:"
            " kept."
        )
    if secrets.values:
        places = ", ".join(f"{name} ({secrets.cells[name].place})" for name in secrets.values)
        notes.append(f"Secrets are not in the project: set {places} in .env, see .env.example.")
    if needed.state:
        notes.append(
            f"Views change {', '.join(sorted(needed.state))}: each worker has its own copy, so one"
            " worker is set."
        )
    if gathered.opened:
        notes.append(f"Not copied, but named by the app: {', '.join(gathered.opened)}.")
    if gathered.skipped:
        notes.append(f"Not copied: {', '.join(gathered.skipped)}.")
    if gathered.suspicious:
        notes.append(f"Something in these looks like a secret: {', '.join(gathered.suspicious)}.")
    if gathered.databases:
        notes.append(f"Copied with all that is in them: {', '.join(gathered.databases)}.")
    if requirements.unknown:
        notes.append(f"No installed package has {', '.join(requirements.unknown)}.")
    if requirements.elsewhere:
        notes.append(f"Installed from a folder: {', '.join(requirements.elsewhere)}.")
    if reading.refused:
        words = ", ".join(f"{text} (cell {cell.number})" for cell, text in reading.refused)
        notes.append(f"Left out, because only a notebook can run it: {words}.")
    if reading.broken:
        words = ", ".join(str(cell.number) for cell in reading.broken)
        notes.append(f"Left out, because it is not valid Python: cell {words}.")
    if needed.left_out:
        words = ", ".join(str(cell.number) for cell in needed.left_out)
        notes.append(f"Left out, because the app does not need them: cells {words}.")
    return notes
