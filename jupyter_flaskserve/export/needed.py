"""Which statements of a notebook its app needs.

The statements are gone through in their order once, as the notebook has run them. Each value that
a variable has on the way is a :class:`Version`, which knows the statement that made it and those
that changed its object since. From the app's last version everything that it stands on is then
followed backwards: what made it, what changed it, what these use, and what the functions among
them use when they are called.

Where it cannot be told whether a statement changes something, it is kept: a statement too many does
less harm than one too few.
"""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass, field

from .cells import Cell
from .errors import ExportError
from .magics import Reading
from .statements import CALLED, Call, Statement, chain_of

__all__ = ["Needed", "Program", "Version"]

# fmt: off
# Methods that change nothing worth keeping: of Flask's app, of frames, of containers.
_READERS = frozenset((
    "test_client", "test_request_context", "test_cli_runner", "run", "get_json", "logger",
    "head", "tail", "describe", "info", "plot", "hist", "show", "sample", "value_counts", "keys",
    "values", "items", "copy", "count", "index", "to_html", "to_string", "to_dict", "to_markdown",
    "iter_rules", "display", "boxplot", "scatter", "corr", "nunique", "isna", "isnull", "get",
    "savefig", "render", "format", "join", "startswith", "endswith", "upper", "lower", "strip",
))
# Methods that change their object, also where something is done with what they return.
_WRITERS = frozenset((
    "append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "add",
    "discard", "sort", "reverse", "popitem", "appendleft", "popleft", "write", "execute",
    "executemany", "executescript", "commit", "put", "init_app", "register_blueprint",
    "add_url_rule", "push", "fit", "load_state_dict",
))
# Methods of containers: what they are given is kept in them, and not changed.
_CONTAINERS = frozenset(("append", "extend", "insert", "update", "setdefault", "add", "put"))
# Modules whose calls only show something, or belong to the notebook.
_SHOWING = frozenset((
    "IPython", "altair", "anywidget", "bokeh", "ipywidgets", "jupyter_flaskserve", "matplotlib",
    "plotly", "pprint", "seaborn", "tqdm",
))
# Modules whose functions change nothing of what they are given.
_READING = frozenset(("json", "requests", "httpx", "time", "urllib", "math", "statistics", "html"))
# Builtins that may change what they are given.
_CHANGING_BUILTINS = frozenset(("setattr", "delattr", "next", "exec", "eval"))
# What a notebook has without making it.
_NOTEBOOK_NAMES = frozenset(("In", "Out", "display", "exit", "get_ipython", "quit"))
# fmt: on
_MODULE_NAMES = frozenset(("__name__", "__doc__", "__builtins__", "__annotations__", "__file__"))
_RESULT = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|_dh|_oh|_ih")
_APP_MAKER = re.compile(r"(?:Flask|Blueprint)$")
_VARIABLE = re.compile(r"(<(?:[^<>:]*:)?)[^<>:]*>")


@dataclass(eq=False)
class Version:
    """A value that a variable has for a part of the notebook.

    :ivar index: the statement that made it.
    :ivar previous: what the variable may still be instead.
    :ivar module: what it was imported from, where it was.
    :ivar is_app: whether it is an app, a blueprint, or an extension that knows one.
    :ivar parents: what it is a part of.
    :ivar changed_by: the statements that do something to it.
    """

    name: str
    index: int
    statement: Statement
    previous: Version | None = None
    module: str | None = None
    imported: str | None = None
    is_app: bool = False
    parents: list[Version] = field(default_factory=list)
    changed_by: set[int] = field(default_factory=set)

    @property
    def is_function(self) -> bool:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return isinstance(self.statement.node, kinds)


@dataclass(frozen=True)
class _Registration:
    """A view, hook or handler that a statement registers.

    :ivar decorator: which of a function's decorators does it; ``None`` for ``add_url_rule``.
    :ivar endpoint: the name by which another one of it takes its place.
    """

    index: int
    decorator: int | None
    endpoint: str | None
    rule: str | None
    methods: frozenset[str]


@dataclass
class Needed:
    """What a project is made of.

    :ivar statements: the statements, in the order in which they are to be run.
    :ivar dropped_decorators: of which statements which decorators are left out.
    :ivar names: of each statement that imports, the names that are used.
    :ivar state: variables that functions of the app change, and a cell that does.
    :ivar left_out: the cells of which nothing is used.
    """

    statements: list[Statement]
    dropped_decorators: dict[Statement, set[int]]
    names: dict[Statement, set[str]]
    state: dict[str, Cell]
    left_out: list[Cell]
    missing_display: bool = False


class Program:
    """The statements of a notebook and what they do to each other.

    :param reading: what the notebook's cells say.
    :param variable: the variable that holds the app, where it was named.
    """

    def __init__(self, reading: Reading, variable: str | None = None) -> None:
        self._reading = reading
        self._statements = reading.statements
        self._variable = variable
        self._current: dict[str, Version] = {}
        self._stars: list[int] = []
        self._uses: list[set[Version]] = []
        self._unknown: list[set[str]] = []
        self._bound: list[list[Version]] = []
        self._imports: list[dict[str, Version]] = []
        self._registrations: dict[int, list[_Registration]] = {}  # by the id of their version
        self._versions: dict[int, Version] = {}
        self._always: set[int] = set()
        self._delays_annotations = any(
            isinstance(s.node, ast.ImportFrom)
            and s.node.module == "__future__"
            and any(alias.name == "annotations" for alias in s.node.names)
            for s in self._statements
        )
        for index, statement in enumerate(self._statements):
            self._run(index, statement)
        self._dead = self._replaced()
        for version_id, registrations in self._registrations.items():
            for one in registrations:
                if one.decorator not in self._dead.get(one.index, ()):
                    self._change(self._versions[version_id], one.index)

    # Which app

    def app_variables(self) -> list[str]:
        """The variables that hold apps at the end, as far as the cells tell."""
        return [name for name, version in self._current.items() if self._is_whole_app(version)]

    def has(self, name: str) -> bool:
        """Whether a variable exists at the end."""
        return name in self._current

    def maker(self, name: str) -> ast.stmt:
        """The statement that made what a variable holds at the end, under any middleware."""
        version = self._current[name]
        while version.previous is not None:
            version = version.previous
        return version.statement.node

    def _is_whole_app(self, version: Version) -> bool:
        node = version.statement.node
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args]
            return names[-1:] == ["start_response"]
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if not isinstance(value, ast.Call):
            return False
        if self._makes_app(value, "Flask", version):
            return True
        # A middleware around an app, bound to the same name.
        return version.previous is not None and self._is_whole_app(version.previous)

    def _makes_app(self, call: ast.Call, kind: str, version: Version | None = None) -> bool:
        root, path = chain_of(call.func)
        name = path[-1] if path else root or ""
        if name.endswith(kind):
            return True
        made = self._current.get(root or "") if not path else None
        if made is None or not made.is_function:
            return False
        node = made.statement.node
        if isinstance(node, ast.ClassDef):
            return any(
                (chain_of(base)[1] or (chain_of(base)[0] or "",))[-1].endswith(kind)
                for base in node.bases
            )
        return any(
            isinstance(part, ast.Return)
            and any(
                isinstance(inner, ast.Call)
                and (chain_of(inner.func)[1] or (chain_of(inner.func)[0] or "",))[-1].endswith(kind)
                for inner in ast.walk(node)
            )
            for part in ast.walk(node)
        )

    # One statement after the other

    def _run(self, index: int, statement: Statement) -> None:
        uses: set[Version] = set()
        unknown: set[str] = set()
        names = set(statement.uses)
        for call in statement.changes.calls:
            names |= self._names_of_call(call)
        for name in names:
            if name in self._current:
                uses.add(self._current[name])
            elif name in statement.uses and not self._is_given(name):
                unknown.add(name)
        if not isinstance(statement.node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            unknown -= statement.binds  # it binds them before it uses them
        self._uses.append(uses)
        self._unknown.append(unknown)
        if _is_import_star(statement):
            self._stars.append(index)
        for version in self._changed(statement):
            self._change(version, index)
        self._note_registrations(index, statement)
        if _sets_up_process(statement):
            self._always.add(index)
        self._bind(index, statement)

    def _bind(self, index: int, statement: Statement) -> None:
        for name in statement.deletes:
            self._current.pop(name, None)
        bound = []
        imports: dict[str, Version] = {}
        origins = _origins(statement)
        links = statement.changes.links
        is_app = self._binds_app(statement)
        for name in sorted(statement.binds):
            before = self._current.get(name)
            module, imported = origins.get(name, (None, None))
            if (
                before is not None
                and module is not None
                and (before.module, before.imported) == (module, imported)
                and not statement.is_maybe
            ):
                continue  # imported once more
            is_submodule = module is not None and imported is None and "." in module
            is_kept = (
                statement.is_maybe or isinstance(statement.node, ast.AugAssign) or is_submodule
            )
            wraps = before is not None and name in statement.uses
            version = Version(
                name,
                index,
                statement,
                previous=before if is_kept or wraps else None,
                module=module,
                imported=imported,
                is_app=is_app or name == self._variable,
                parents=[
                    self._current[root]
                    for root in links.get(name, ())
                    if root in self._current and self._current[root].module is None
                ],
            )
            bound.append(version)
            if module is not None:
                imports[name] = version
        for version in bound:
            self._current[version.name] = version
        self._bound.append(bound)
        self._imports.append(imports)

    def _binds_app(self, statement: Statement) -> bool:
        node = statement.node
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if not isinstance(value, ast.Call):
            return False
        if self._makes_app(value, "Flask") or self._makes_app(value, "Blueprint"):
            return True
        if self._is_showing(chain_of(value.func)[0]):
            return False
        given = [*value.args, *(keyword.value for keyword in value.keywords)]
        names = [part.id for part in given if isinstance(part, ast.Name)]
        return any(name in self._current and self._current[name].is_app for name in names)

    def _is_showing(self, root: str | None) -> bool:
        version = self._current.get(root or "")
        module = version.module if version is not None else None
        return module is not None and module.partition(".")[0] in _SHOWING

    def _is_given(self, name: str) -> bool:
        return hasattr(builtins, name) or name in _MODULE_NAMES

    # What a statement changes

    def _change(self, version: Version, index: int) -> None:
        waiting, seen = [version], set()
        while waiting:
            version = waiting.pop()
            if id(version) not in seen:
                seen.add(id(version))
                version.changed_by.add(index)
                waiting += version.parents
                if version.previous is not None:
                    waiting.append(version.previous)

    def _changed(self, statement: Statement) -> list[Version]:
        changes = statement.changes
        for call in changes.calls:  # of a name that stands for a method: for add in (app.get,):
            if not call.path and call.is_discarded and call.root in changes.links:
                changes.stored.add(call.root)
        names = {part for name in changes.stored for part in changes.behind(name)}
        for call in changes.calls:
            names |= {part for name in self._changed_by_call(call) for part in changes.behind(name)}
        return [self._current[name] for name in sorted(names) if name in self._current]

    def _changed_by_call(self, call: Call) -> set[str]:
        """The names whose objects a call changes."""
        apps = {
            name for name in call.arguments if name in self._current and self._current[name].is_app
        }
        root = self._current.get(call.root or "")
        if self._is_showing(call.root):
            return {call.root or ""} if call.path[-1:] == ("use",) else set()
        if call.root is None:
            return apps
        if CALLED in call.path:  # what a function has returned is asked for something
            return set() if not _READERS.isdisjoint(call.path) else apps
        if not call.path:
            return self._changed_by_function(call, root, apps)
        if not _READERS.isdisjoint(call.path):
            return set()
        if root is not None and root.module is not None and root.imported is None:
            if not call.is_discarded:
                return apps
            if root.module.partition(".")[0] in _READING:
                return set()
            return {call.root, *call.arguments}
        if call.is_discarded or call.path[-1] in _WRITERS:
            given = set() if call.path[-1] in _CONTAINERS else apps
            return {call.root, *given}
        return apps

    def _changed_by_function(self, call: Call, root: Version | None, apps: set[str]) -> set[str]:
        if root is None:
            changing = call.root in _CHANGING_BUILTINS
            return set(call.arguments) if changing else set()
        if root.is_function:
            names = self._effects(root)
            if call.is_discarded or root.statement.changes_parameters:
                names |= call.arguments
            return names | apps
        return set(call.arguments) if call.is_discarded else apps

    def _effects(self, function: Version) -> set[str]:
        """The names that a function of the notebook gives another value, or whose objects it
        changes, itself and through the functions it calls."""
        found: set[str] = set()
        waiting, seen = [function], set()
        while waiting:
            function = waiting.pop()
            if id(function) in seen:
                continue
            seen.add(id(function))
            statement = function.statement
            found |= statement.sets_later | statement.changes_later.stored
            for call in statement.changes_later.calls:
                called = self._current.get(call.root or "")
                if called is not None and called.is_function and not call.path:
                    waiting.append(called)
                elif call.path and call.root is not None:
                    is_module = called is not None and called.module is not None
                    if (
                        not is_module
                        and _READERS.isdisjoint(call.path)
                        and (call.is_discarded or call.path[-1] in _WRITERS)
                    ):
                        found.add(call.root)
        return found

    def _names_of_call(self, call: Call) -> set[str]:
        """The names that functions use which a call runs at once."""
        names: set[str] = set()
        root = self._current.get(call.root or "")
        registers = bool(call.path) and root is not None and root.is_app
        waiting = [call.root] if not call.path or call.path[0] == CALLED else []
        if not registers:
            waiting += call.arguments
        seen: set[str] = set()
        while waiting:
            name = waiting.pop()
            version = self._current.get(name or "")
            if name is None or name in seen or version is None or not version.is_function:
                continue
            seen.add(name)
            names |= version.statement.uses_later
            waiting += version.statement.uses_later
        return names

    # What takes the place of what

    def _note_registrations(self, index: int, statement: Statement) -> None:
        node = statement.node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for number, decorator in enumerate(node.decorator_list):
                root, path = chain_of(decorator)
                version = self._current.get(root or "")
                if version is not None and path and CALLED not in path:
                    rule, methods = _rule_of(decorator)
                    self._note(version, _Registration(index, number, node.name, rule, methods))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            root, path = chain_of(node.value.func)
            version = self._current.get(root or "")
            if version is not None and path == ("add_url_rule",):
                rule, methods = _rule_of(node.value)
                version.changed_by.discard(index)
                endpoint = _endpoint_of(node.value)
                self._note(version, _Registration(index, None, endpoint, rule, methods))

    def _note(self, version: Version, registration: _Registration) -> None:
        self._versions[id(version)] = version
        self._registrations.setdefault(id(version), []).append(registration)

    def _replaced(self) -> dict[int, set[int | None]]:
        """Which registrations another cell's have taken the place of, as in the notebook: those of
        one name, and those at one address."""
        dead: dict[int, set[int | None]] = {}
        for registrations in self._registrations.values():
            for position, one in enumerate(registrations):
                for later in registrations[position + 1 :]:
                    if self._statements[later.index].cell == self._statements[one.index].cell:
                        continue
                    same_name = one.endpoint is not None and one.endpoint == later.endpoint
                    same_address = one.rule is not None and one.rule == later.rule
                    if same_name or (same_address and one.methods <= later.methods):
                        dead.setdefault(one.index, set()).add(one.decorator)
        return dead

    # Backwards from the app

    def needed(self, variable: str, *, all_cells: bool = False) -> Needed:
        """What the app in a variable needs.

        :param all_cells: whether to keep what it does not need, too.
        :raises ExportError: a name in it is nowhere made, or something of it has no place in a
            project.
        """
        kept: set[int] = set()
        seen: set[int] = set()
        imported: dict[int, set[str]] = {}
        waiting: list[Version | int] = [self._current[variable], *self._always]
        if all_cells:
            waiting += self._untainted()
        missing_display = False
        while waiting:
            item = waiting.pop()
            if isinstance(item, Version):
                if id(item) in seen:
                    continue
                seen.add(id(item))
                if item.module is not None and isinstance(item.statement.node, _IMPORTS):
                    imported.setdefault(item.index, set()).add(item.name)
                waiting.append(item.index)
                waiting += item.changed_by
                if item.previous is not None:
                    waiting.append(item.previous)
                continue
            if item in kept:
                continue
            kept.add(item)
            statement = self._statements[item]
            waiting += self._uses[item]
            if not statement.is_import:
                waiting += self._bound[item]
            elif all_cells:
                imported.setdefault(item, set()).update(v.name for v in self._bound[item])
            unknown = set(self._unknown[item])
            for name in statement.uses_later:
                if name in self._current:
                    waiting.append(self._current[name])
                elif not self._is_given(name):
                    unknown.add(name)
            if self._delays_annotations:
                names = statement.annotations
                waiting += [self._current[name] for name in names if name in self._current]
                unknown -= names
            if _calls_shell(statement):
                unknown.discard("get_ipython")  # it is refused with what it calls
            if "display" in unknown:
                missing_display = True
                unknown.discard("display")
            if unknown and self._stars:
                waiting += self._stars
            elif unknown:
                self._refuse(statement, min(unknown))
        order = self._ordered(kept)
        statements = [self._statements[index] for index in order]
        return Needed(
            statements,
            {
                self._statements[index]: {d for d in self._dead[index] if d is not None}
                for index in self._dead
                if index in kept
            },
            {self._statements[index]: names for index, names in imported.items()},
            self._state(kept),
            self._left_out(statements),
            missing_display,
        )

    def _untainted(self) -> list[int]:
        """All statements but those that use the notebook's own server, which has no place in a
        project."""
        tainted: set[int] = set()
        found = []
        for index, statement in enumerate(self._statements):
            versions = self._bound[index]
            showing = {v for v in self._uses[index] if v.module or id(v) in tainted}
            is_own = any(
                id(v) in tainted or (v.module or "").partition(".")[0] == "jupyter_flaskserve"
                for v in (*showing, *versions)
            ) or _calls_shell(statement, "flaskserve")
            if is_own and not statement.uses_later:
                tainted |= {id(version) for version in versions}
            else:
                found.append(index)
        return [index for index in found if None not in self._dead.get(index, ())]

    def _ordered(self, kept: set[int]) -> list[int]:
        """The statements in the order in which a project runs them. A blueprint is registered when
        it is complete: after that Flask takes nothing more."""
        places: dict[int, float] = {index: index for index in kept}
        registering = {
            index: root
            for index in kept
            if (root := _registers_blueprint(self._statements[index])) is not None
        }
        for _ in registering:  # as deep as blueprints can be nested
            for index, root in registering.items():
                before = [
                    places[other]
                    for version in self._uses[index]
                    if version.is_app and version.name != root
                    for other in version.changed_by
                    if other in kept and registering.get(other, version.name) == version.name
                ]
                if before and max(before) > places[index]:
                    places[index] = max(before) + 1e-6
        return sorted(kept, key=lambda index: (places[index], index))

    def _state(self, kept: set[int]) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for index in sorted(kept):
            for version in self._bound[index]:
                if not version.is_function:
                    continue
                for name in sorted(self._effects(version)):
                    held = self._current.get(name)
                    is_value = held is not None and held.module is None and not held.is_app
                    if held is not None and is_value and not self._knows_app(held):
                        found.setdefault(name, version.statement.cell)
        return found

    def _knows_app(self, version: Version) -> bool:
        """Whether it is an extension that was given the app later: ``db.init_app(app)``."""
        return any(
            call.root == version.name and call.path == ("init_app",)
            for index in version.changed_by
            for call in self._statements[index].changes.calls
        )

    def _left_out(self, statements: list[Statement]) -> list[Cell]:
        used = {id(statement.cell) for statement in statements}
        cells: dict[int, Cell] = {}
        for statement in self._statements:
            if id(statement.cell) not in used and not statement.is_import:
                cells[id(statement.cell)] = statement.cell
        return list(cells.values())

    def _refuse(self, statement: Statement, name: str) -> None:
        cell = statement.cell
        later = next((s.cell for s in self._statements if name in s.binds), None)
        deleted = [s.cell for s in self._statements if name in s.deletes]
        if name in _NOTEBOOK_NAMES or _RESULT.fullmatch(name):
            reason = f"uses {name}, which only a notebook has. Write it without, and export again."
        elif deleted:
            reason = (
                f"uses {name}, which cell {deleted[-1].number} deletes. Take that out, and export"
                " again."
            )
        elif later is not None and later != cell:
            reason = (
                f"uses {name} before it is made, in cell {later.number}. Put that cell before this"
                " one."
            )
        elif self._reading.defining:
            where, text = self._reading.defining[0]
            reason = (
                f"uses {name}, which no cell makes. Cell {where.number} may with {text}, which"
                " cannot be exported: write an import or an assignment instead."
            )
        elif self._reading.broken:
            where = self._reading.broken[0]
            reason = f"uses {name}, which no cell makes. Cell {where.number} is not valid Python."
        else:
            reason = (
                f"uses {name}, which no cell makes any more. Add a cell that makes it, and export"
                " again."
            )
        raise ExportError(f"{cell} {reason}")


_IMPORTS = (ast.Import, ast.ImportFrom)


def _registers_blueprint(statement: Statement) -> str | None:
    """The variable in which a statement registers a blueprint."""
    node = statement.node
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        root, path = chain_of(node.value.func)
        if path == ("register_blueprint",):
            return root
    return None


def _is_import_star(statement: Statement) -> bool:
    node = statement.node
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _origins(statement: Statement) -> dict[str, tuple[str, str | None]]:
    """For the names that a statement imports, the module, and what of it where it is not itself."""
    found: dict[str, tuple[str, str | None]] = {}
    for node in ast.walk(statement.node):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    found[alias.asname] = (alias.name, None)
                else:
                    # Each submodule adds to what the name stands for.
                    found[alias.name.partition(".")[0]] = (alias.name, None)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                found[alias.asname or alias.name] = (module, alias.name)
    return found if isinstance(statement.node, (*_IMPORTS, ast.Try, ast.If)) else {}


def _sets_up_process(statement: Statement) -> bool:
    """Whether it sets up what all code of the process goes by: paths, the environment, logging."""
    node = statement.node
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    stored = any(
        chain_of(node)[1][:1] == ("environ",)
        for node in ast.walk(statement.node)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    )
    return stored or any(
        call.is_discarded
        and (
            (call.root == "sys" and call.path[:1] == ("path",))
            or (call.root == "os" and call.path[0] in ("environ", "makedirs", "mkdir", "putenv"))
            or (call.root == "logging" and call.path[0] in _LOGGING)
            or (call.root == "locale" and call.path[0] == "setlocale")
            or (call.root == "warnings" and call.path[-1] in ("filterwarnings", "simplefilter"))
            or call.root in ("load_dotenv", "dictConfig", "basicConfig")
            or call.path[-1:] in (("load_dotenv",), ("mkdir",))
        )
        for call in statement.changes.calls
        if call.path or call.root
    )


_LOGGING = ("basicConfig", "getLogger", "config", "disable", "captureWarnings")


def _rule_of(node: ast.AST) -> tuple[str | None, frozenset[str]]:
    """The address that a decorator or call registers, without the names of its variables, and the
    methods."""
    if not isinstance(node, ast.Call):
        return None, frozenset()
    name = chain_of(node.func)[1][-1:]
    if name[0] not in ("route", "get", "post", "put", "delete", "patch", "add_url_rule"):
        return None, frozenset()
    if not (node.args and isinstance(node.args[0], ast.Constant)):
        return None, frozenset()
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if set(keywords) & {"host", "subdomain", "defaults"}:
        return None, frozenset()
    methods = {name[0].upper()} if name[0] not in ("route", "add_url_rule") else {"GET"}
    if "methods" in keywords:
        try:
            methods = {str(word).upper() for word in ast.literal_eval(keywords["methods"])}
        except ValueError:
            return None, frozenset()
    return _VARIABLE.sub(r"\1>", str(node.args[0].value)), frozenset(methods)


def _endpoint_of(call: ast.Call) -> str | None:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    endpoint = keywords.get("endpoint") or (call.args[1] if len(call.args) > 1 else None)
    if isinstance(endpoint, ast.Constant) and isinstance(endpoint.value, str):
        return endpoint.value
    view = keywords.get("view_func") or (call.args[2] if len(call.args) > 2 else None)
    if isinstance(view, ast.Name):
        return view.id
    if isinstance(view, ast.Call) and view.args and isinstance(view.args[0], ast.Constant):
        return str(view.args[0].value)
    return None


def _calls_shell(statement: Statement, magic: str | None = None) -> bool:
    """Whether a magic or a shell command is in a statement."""
    return any(
        isinstance(node, ast.Call)
        and chain_of(node.func)[0] == "get_ipython"
        and (
            magic is None
            or any(isinstance(a, ast.Constant) and a.value == magic for a in node.args)
        )
        for node in ast.walk(statement.node)
    )
