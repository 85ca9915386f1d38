"""Which statements of a notebook its app needs.

The statements are gone through in their order once, as the notebook has run them. Each value that
a variable has on the way is a :class:`.versions.Version`, which knows the statement that made it
and those that changed its object since. From the app's last version everything that it stands on
is then followed backwards: what made it, what changed it, what these use, and what the functions
among them use when they are called.

Where it cannot be told whether a statement changes something, it is kept: a statement too many does
less harm than one too few.
"""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass

from .cells import Cell
from .effects import Effects
from .errors import ExportError
from .magics import Reading
from .makers import is_whole_app, makes
from .registrations import Registration, registers_blueprint, registrations_in, replaced
from .statements import EXPERIMENTS, Statement, chain_of
from .versions import Version, origins

__all__ = ["Needed", "Program"]

# What a notebook has without making it. In a kernel some of these are among the builtins.
_NOTEBOOK_NAMES = frozenset(("In", "Out", "display", "get_ipython"))
_RESULT = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|_dh|_oh|_ih")
_GIVEN = (
    frozenset(dir(builtins))
    | {"__name__", "__doc__", "__builtins__", "__annotations__", "__class__", "__file__"}
) - _NOTEBOOK_NAMES
_KINDS = ("Flask", "Blueprint", "Dash")
# Decorators that register with a library, and not with an object of the notebook.
_REGISTERING = frozenset(("callback", "clientside_callback", "listens_for", "shared_task"))
_LOGGING = ("basicConfig", "getLogger", "config", "disable", "captureWarnings")


@dataclass
class Needed:
    """What a project is made of.

    :ivar statements: the statements, in the order in which they are to be run.
    :ivar dropped_decorators: of which statements which decorators are left out.
    :ivar names: of each statement that imports, the names that are used.
    :ivar state: variables that functions of the app change, and a cell that does.
    :ivar left_out: the cells of which nothing is used.
    :ivar displays: whether something uses ``display``, which a notebook has by itself.
    """

    statements: list[Statement]
    dropped_decorators: dict[Statement, set[int]]
    names: dict[Statement, set[str]]
    state: dict[str, Cell]
    left_out: list[Cell]
    displays: bool = False


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
        self._effects = Effects(self._current)
        # By the places of the statements:
        self._uses: list[set[Version]] = []
        self._unknown: list[set[str]] = []  # names that it uses and that nothing has made
        self._bound: list[list[Version]] = []
        self._setters: dict[str, set[Version]] = {}  # the functions that set a variable
        self._always: list[int] = []  # those that are kept in any case
        self._stars: list[int] = []  # those that import everything of a module
        self._delays_annotations = any(map(_delays_annotations, self._statements))
        registrations: dict[Version, list[Registration]] = {}
        for index, statement in enumerate(self._statements):
            self._run(index, statement, registrations)
        self._replaced = replaced(
            registrations.values(), lambda one: self._statements[one.index].cell
        )
        for version, group in registrations.items():
            for one in group:
                if one.decorator not in self._replaced.dead.get(one.index, ()):
                    version.change(one.index)

    def app_variables(self) -> list[str]:
        """The variables that hold apps at the end, as far as the cells tell."""
        return [name for name, held in self._current.items() if is_whole_app(held, self._current)]

    def has(self, name: str) -> bool:
        """Whether a variable exists at the end."""
        return name in self._current

    def maker(self, name: str) -> ast.stmt:
        """The statement that made what a variable holds at the end, under any middleware."""
        version = self._current[name]
        while version.previous is not None:
            version = version.previous
        return version.statement.node

    # One statement after the other

    def _run(
        self,
        index: int,
        statement: Statement,
        registrations: dict[Version, list[Registration]],
    ) -> None:
        used = set(statement.uses)
        for call in statement.changes.calls:
            used |= self._effects.names_of(call)
            if call.path[-1:] == ("from_object",) and "__name__" in call.arguments:
                used |= {name for name in self._current if name.isupper()}
        unknown = {name for name in statement.uses if name not in self._current} - _GIVEN
        if not isinstance(statement.node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            unknown -= statement.binds  # it binds them before it uses them
        self._uses.append({self._current[name] for name in used if name in self._current})
        self._unknown.append(unknown)
        if _is_import_star(statement):
            self._stars.append(index)
        decorators = getattr(statement.node, "decorator_list", ())
        roots = {chain_of(decorator)[0] or "" for decorator in decorators}
        imported = {self._current[name].imported for name in roots if name in self._current}
        if _sets_up_process(statement) or imported & _REGISTERING:
            self._always.append(index)
        registered = [
            (self._current[name], one)
            for name, one in registrations_in(index, statement)
            if name in self._current and not self._current[name].is_module
        ]
        for version, one in registered:
            registrations.setdefault(version, []).append(one)
        if not any(one.decorator is None for _, one in registered):
            for version in self._effects.changed(statement):
                version.change(index)
        node = statement.node
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            held = self._current.get(node.target.id)
            if held is not None and held.parents:  # b = a, then b += [1]
                held.change(index)
        self._bind(index, statement)

    def _bind(self, index: int, statement: Statement) -> None:
        for name in statement.deletes:
            self._current.pop(name, None)
        is_app = self._makes_app(statement)
        imports = origins(statement)
        through_functions = self._effects.set_by(statement)
        reads = self._effects.is_reading(statement)
        built_from = self._effects.built_from(statement)
        bound = []
        for name in sorted(statement.binds | through_functions):
            before = self._current.get(name)
            module, imported = imports.get(name, (None, None))
            is_again = before is not None and (before.module, before.imported) == (module, imported)
            if module is not None and is_again and not statement.is_maybe:
                continue
            adds = (
                statement.is_maybe
                or name in through_functions
                or isinstance(statement.node, ast.AugAssign)
                or name in statement.uses
                or (module is not None and "." in module)  # import a.b, after import a
            )
            parents = [
                self._current[root]
                for root in {*statement.changes.links.get(name, ()), *built_from} - {name}
                if root in self._current and self._current[root].module is None
            ]
            bound.append(
                Version(
                    name,
                    index,
                    statement,
                    previous=before if adds else None,
                    module=module,
                    imported=imported,
                    is_app=is_app or name == self._variable,
                    reads=reads,
                    parents=parents,
                )
            )
        self._current.update({version.name: version for version in bound})
        for version in bound if statement.sets_later else ():
            if version.is_function:
                for name in statement.sets_later:
                    self._setters.setdefault(name, set()).add(version)
        self._bound.append(bound)

    def _makes_app(self, statement: Statement) -> bool:
        """Whether it makes an app or a blueprint, or gives one to an extension."""
        node = statement.node
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if not isinstance(value, ast.Call):
            return False
        if any(makes(value, kind, self._current) for kind in _KINDS):
            return True
        given = [*value.args, *(keyword.value for keyword in value.keywords)]
        names = [part.id for part in given if isinstance(part, ast.Name)]
        return not self._effects.is_showing(chain_of(value.func)[0]) and any(
            name in self._current and self._current[name].is_app for name in names
        )

    # Backwards from the app

    def needed(self, variable: str, *, all_cells: bool = False) -> Needed:
        """What the app in a variable needs.

        :param all_cells: whether to keep what it does not need, too.
        :raises ExportError: a name in it is nowhere made.
        """
        kept: set[int] = set()
        seen: set[Version] = set()
        imported: dict[int, set[str]] = {}
        displays = False
        waiting: list[Version | int] = [self._current[variable], *self._always]
        if all_cells:
            waiting += self._all_but_the_notebooks()
        while waiting:
            item = waiting.pop()
            if isinstance(item, Version):
                if item not in seen:
                    seen.add(item)
                    if item.is_of_import:
                        imported.setdefault(item.index, set()).add(item.name)
                    waiting += [item.index, *item.changed_by]
                    waiting += [item.previous] if item.previous is not None else []
            elif item not in kept:
                kept.add(item)
                statement = self._statements[item]
                waiting += self._uses[item]
                waiting += self._bound[item] if all_cells or not statement.is_import else []
                waiting += self._used_later(statement)
                unknown = self._unknown_in(item)
                displays = displays or "display" in unknown
                unknown.discard("display")
                if unknown and self._stars:
                    waiting += self._stars
                elif unknown:
                    self._refuse(statement, min(unknown))
        order = self._ordered(kept)
        statements = [self._statements[index] for index in order]
        dead = self._replaced.dead
        return Needed(
            statements,
            {
                self._statements[index]: {number for number in dead[index] if number is not None}
                for index in kept & set(dead)
            },
            {self._statements[index]: names for index, names in imported.items()},
            self._state(kept),
            self._left_out(statements),
            displays,
        )

    def _used_later(self, statement: Statement) -> list[Version]:
        """What the functions in a statement use when they are called."""
        names = statement.uses_later | statement.quoted_annotations
        if self._delays_annotations:
            names |= statement.annotations
        found = [self._current[name] for name in names if name in self._current]
        # Those that only functions set, such as the first request's:
        setters = [self._setters[n] for n in names if n in self._setters and n not in self._current]
        return [*found, *(version for group in setters for version in group)]

    def _unknown_in(self, index: int) -> set[str]:
        """The names in a statement that nothing makes."""
        statement = self._statements[index]
        made = self._current.keys() | self._setters.keys()
        later = {name for name in statement.uses_later if name not in made}
        unknown = self._unknown[index] | (later - _GIVEN)
        if self._delays_annotations:
            unknown -= statement.annotations
        if _calls_shell(statement):
            unknown.discard("get_ipython")  # it is refused with what it calls
        return unknown

    def _all_but_the_notebooks(self) -> list[int]:
        """All statements but those that use the notebook's own server, which has no place in a
        project."""
        tainted: set[Version] = set()
        found = []
        for index, statement in enumerate(self._statements):
            touched = (*self._uses[index], *self._bound[index])
            is_own = _calls_shell(statement, "flaskserve") or any(
                version in tainted
                or (version.module or "").partition(".")[0] == "jupyter_flaskserve"
                for version in touched
            )
            if is_own and not statement.uses_later:
                tainted.update(self._bound[index])
            elif None not in self._replaced.dead.get(index, ()):
                found.append(index)
        return found

    def _ordered(self, kept: set[int]) -> list[int]:
        """The statements in the order in which a project runs them. A blueprint is registered when
        it is complete, and an app is tried out at the end: after that Flask takes nothing more."""
        places: dict[int, float] = {index: index for index in kept}
        for one, later in self._replaced.rivals:
            if one.index in kept and later.index in kept:
                places[one.index] = max(places[one.index], places[later.index] + 1e-6)
        for index in self._trying_out(kept):
            places[index] = index + len(self._statements)
        registering = {
            index: root
            for index in kept
            if (root := registers_blueprint(self._statements[index])) is not None
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

    def _trying_out(self, kept: set[int]) -> set[int]:
        """The statements that send requests to an app, and those that use what came of it. Where
        others use that too, or its names, it stays in its place."""
        found: set[int] = set()
        made: set[Version] = set()
        for index in sorted(kept):
            calls = self._statements[index].changes.calls
            sends = any(not EXPERIMENTS.isdisjoint(call.path) for call in calls)
            if sends or made & self._uses[index]:
                found.add(index)
                made.update(self._bound[index])
        while found:
            used = {
                version
                for index in kept - found
                for version in (*self._uses[index], *self._used_later(self._statements[index]))
            }
            names = {version.name for index in kept - found for version in self._bound[index]}
            staying = {
                index
                for index in found
                if any(v in used or v.name in names for v in self._bound[index])
            }
            if not staying:
                break
            found -= staying
        return found

    def _state(self, kept: set[int]) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for index in sorted(kept):
            for function in self._bound[index]:
                names = self._effects.of_function(function) if function.is_function else ()
                for name in sorted(names):
                    held = self._current.get(name)
                    if held is None:
                        is_value = name in self._setters
                    else:
                        is_value = held.module is None and not self._knows_app(held)
                    if is_value:
                        found.setdefault(name, function.statement.cell)
        return found

    def _knows_app(self, version: Version) -> bool:
        """Whether it is an app, or an extension that was given one: ``db.init_app(app)``."""
        return version.is_app or any(
            call.root == version.name and call.path == ("init_app",)
            for index in version.changed_by
            for call in self._statements[index].changes.calls
        )

    def _left_out(self, statements: list[Statement]) -> list[Cell]:
        used = {id(statement.cell) for statement in statements}
        left = [s.cell for s in self._statements if id(s.cell) not in used and not s.is_import]
        return list({id(cell): cell for cell in left}.values())

    def _refuse(self, statement: Statement, name: str) -> None:
        cell = statement.cell
        made = next((s.cell for s in self._statements if name in s.binds), None)
        deleted = [s.cell for s in self._statements if name in s.deletes]
        if name in _NOTEBOOK_NAMES or _RESULT.fullmatch(name):
            reason = ", which only a notebook has. Write it without, and export again."
        elif deleted:
            reason = f", which cell {deleted[-1].number} deletes. Take that out, and export again."
        elif made is not None and made != cell:
            reason = f" before it is made, in cell {made.number}. Put that cell before this one."
        elif self._reading.defining:
            where, text = self._reading.defining[0]
            reason = (
                f", which no cell makes. Cell {where.number} may with {text}, which cannot be"
                " exported: write an import or an assignment instead."
            )
        elif self._reading.broken:
            where = self._reading.broken[0]
            reason = f", which no cell makes. Cell {where.number} is not valid Python."
        else:
            reason = ", which no cell makes any more. Add a cell that makes it, and export again."
        raise ExportError(f"{cell} uses {name}{reason}")


def _is_import_star(statement: Statement) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
        for node in ast.walk(statement.node)
    )


def _delays_annotations(statement: Statement) -> bool:
    node = statement.node
    is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return is_future and "annotations" in statement.binds


def _sets_up_process(statement: Statement) -> bool:
    """Whether it sets up what all code of the process goes by: paths, the environment, logging."""
    node = statement.node
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    sets_variable = any(
        isinstance(part, ast.Subscript)
        and isinstance(part.ctx, ast.Store)
        and chain_of(part)[1][:1] == ("environ",)
        for part in ast.walk(node)
    )
    return sets_variable or any(
        call.is_discarded and _is_for_the_process(call.root, call.path)
        for call in statement.changes.calls
    )


def _is_for_the_process(root: str | None, path: tuple[str, ...]) -> bool:
    match root, path:
        case "sys", ("path", *_):
            return True
        case "os", ("environ" | "makedirs" | "mkdir" | "putenv", *_):
            return True
        case "logging", (first, *_):
            return first in _LOGGING
        case "locale", ("setlocale",):
            return True
        case "warnings", ("filterwarnings" | "simplefilter",):
            return True
        case (("load_dotenv" | "dictConfig" | "basicConfig"), ()):
            return True
    return path[-1:] in (("load_dotenv",), ("mkdir",))


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
