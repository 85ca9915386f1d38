"""What calls do to objects, as far as can be told without running them.

A call whose result nobody takes is there for what it does, so it counts as a change of what it is
called on and of what it is given, unless it is known to show or to read. One whose result is taken
counts only where it is known to change something, or where it is given an app: extensions are.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from .statements import CALLED, EXPERIMENTS, Call, Statement, chain_of
from .versions import Version

__all__ = ["Effects"]

# fmt: off
# Methods that change nothing worth keeping, of frames and of containers.
_READERS = EXPERIMENTS | frozenset((
    "boxplot", "copy", "corr", "count", "describe", "display", "endswith", "format", "get",
    "get_json", "head", "hist", "index", "info", "isna", "isnull", "items", "iter_rules", "join",
    "keys", "lower", "nunique", "plot", "render", "sample", "savefig", "scatter", "show",
    "startswith", "strip", "tail", "to_dict", "to_html", "to_markdown", "to_string", "upper",
    "value_counts", "values",
))
# The same, of an app or an extension.
_APP_READERS = EXPERIMENTS | frozenset((
    "app_context", "dispatch_request", "full_dispatch_request", "iter_rules", "make_response",
    "open_resource", "request_context", "run", "send_static_file", "url_for",
))
# Methods that change their object, also where something is done with what they return.
_WRITERS = frozenset((
    "add", "add_job", "add_url_rule", "append", "appendleft", "clear", "commit", "discard",
    "execute", "executemany", "executescript", "extend", "fit", "fit_predict", "fit_transform",
    "init_app", "insert", "load_state_dict", "partial_fit", "pop", "popitem", "popleft", "push",
    "put", "register_blueprint", "remove", "reverse", "setdefault", "sort", "step", "submit",
    "train", "train_on_batch", "update", "write",
))
# Methods that keep, write or show what they are given, and do not change it.
_TAKING = frozenset((
    "add", "append", "debug", "dump", "error", "execute", "executemany", "extend", "info", "insert",
    "log", "print", "put", "send", "setdefault", "update", "warning", "write", "writelines",
    "writerow", "writerows",
))
# Modules whose calls only show something, or serve an app from the notebook.
_SHOWING = frozenset((
    "IPython", "altair", "anywidget", "bokeh", "cheroot", "flask_ngrok", "gevent", "ipywidgets",
    "jupyter_flaskserve", "matplotlib", "plotly", "pprint", "pyngrok", "seaborn", "tqdm",
    "waitress", "werkzeug.serving", "wsgiref",
))
# Modules whose functions change nothing of what they are given.
_READING = frozenset(("html", "httpx", "json", "math", "requests", "statistics", "time", "urllib"))
# Builtins that may change what they are given.
_CHANGING_BUILTINS = frozenset(("delattr", "eval", "exec", "next", "setattr"))
# fmt: on


class Effects:
    """What calls do at one place in a notebook.

    :param current: what the variables hold there. It may change between two questions.
    """

    def __init__(self, current: Mapping[str, Version]) -> None:
        self._current = current

    def changed(self, statement: Statement) -> list[Version]:
        """What a statement changes while it runs."""
        changes = statement.changes
        names = {part for name in changes.stored for part in changes.behind(name)}
        for call in changes.calls:
            changed = self._changed_by(call, reads=self._reads(call, statement))
            if not call.path and call.is_discarded and call.root in changes.links:
                changed.add(call.root)  # a name for a method: for add in (app.before_request,):
            names |= {part for name in changed for part in changes.behind(name)}
            if call.is_discarded and self._is_of("atexit", call.root):
                names |= self._touched_at_exit(statement, call)
        names |= {name for name in changes.subclassed if self._knows_subclasses(name)}
        return [self._current[name] for name in sorted(names) if name in self._current]

    def of_function(self, function: Version) -> set[str]:
        """The names that a function of the notebook gives another value, or whose objects it
        changes, itself and through the functions it calls."""
        found: set[str] = set()
        waiting, seen = [function], set()
        while waiting:
            function = waiting.pop()
            if id(function) in seen:
                continue
            seen.add(id(function))
            later = function.statement.changes_later
            found |= function.statement.sets_later | later.stored
            for call in later.calls:
                called = self._current.get(call.root or "")
                if not call.path or CALLED in call.path:
                    waiting += [called] if called is not None and called.is_function else []
                elif not (called is not None and called.module) and self._acts(call, called):
                    found.add(call.root or "")
        return found

    def names_of(self, call: Call) -> set[str]:
        """The names that the functions use which a call runs at once."""
        return {name for function in self._run_by(call) for name in function.statement.uses_later}

    def set_by(self, statement: Statement) -> set[str]:
        """The variables to which a statement gives a value through functions: those of which these
        say ``global``."""
        return {
            name
            for call in statement.changes.calls
            for function in self._run_by(call)
            for name in function.statement.sets_later
        }

    def _run_by(self, call: Call) -> list[Version]:
        """The notebook's functions that a call runs at once: the called one, those it is given, and
        what these may call. An app is given views, and does not run them."""
        root = self._current.get(call.root or "")
        waiting = [call.root or ""] if call.path[:1] in ((), (CALLED,)) else []
        if not (call.path and root is not None and root.is_app):
            waiting += call.arguments
        found: dict[str, Version] = {}
        while waiting:
            name = waiting.pop()
            version = self._current.get(name)
            if name not in found and version is not None and version.is_function:
                found[name] = version
                waiting += version.statement.uses_later
        return list(found.values())

    def is_showing(self, name: str | None) -> bool:
        """Whether a variable comes from a module that only shows things."""
        version = self._current.get(name or "")
        module = version.module if version is not None else None
        return module is not None and not _SHOWING.isdisjoint((module, module.partition(".")[0]))

    def _knows_subclasses(self, name: str) -> bool:
        """Whether it may know the classes that are derived from it: a class of the notebook,
        ``db.Model``, or what ``declarative_base()`` returns."""
        version = self._current.get(name)
        return version is not None and version.module is None

    def _is_of(self, module: str, name: str | None) -> bool:
        version = self._current.get(name or "")
        return version is not None and version.module == module

    def _touched_at_exit(self, statement: Statement, call: Call) -> set[str]:
        """What is done away with when the process ends, so that it is done where that is used."""
        later = statement.changes_later
        return (
            self._done_by_given(call)
            | later.stored
            | {one.root or "" for one in later.calls if one.path}
        )

    def _reads(self, call: Call, statement: Statement) -> bool:
        """Whether a method is that of an object that only shows things, also where the statement
        takes it out of others: ``for ax in axes``."""
        is_made_here = call.root in statement.binds
        names = statement.uses if is_made_here else {call.root or ""}
        return any(self._current[name].reads for name in names if name in self._current)

    def _changed_by(self, call: Call, *, reads: bool) -> set[str]:
        """The names whose objects a call changes.

        :param reads: whether what it is called on only shows things.
        """
        apps = {name for name in call.arguments if self._is_app(name)}
        root = self._current.get(call.root or "")
        if self.is_showing(call.root):  # but for matplotlib.use("Agg")
            return {call.root or ""} if call.path[-1:] == ("use",) else set()
        if call.root is None:
            return apps
        if not call.path and root is not None and root.is_app:
            return set()  # to call an app is to try it out, as a server would
        if not call.path:
            return self._changed_by_function(call, root, apps)
        if not _readers(root).isdisjoint(call.path):
            return set()
        if call.registers and not (root is not None and root.is_module):
            return apps  # that is seen to in .registrations: another one may take its place
        if CALLED in call.path:  # it belongs to what a function has returned
            return apps
        if root is not None and root.is_module:
            if not call.is_discarded or call.registers:
                return apps | self._done_by_given(call)
            if root.module == "atexit":
                return set(call.arguments)
            is_reading = (root.module or "").partition(".")[0] in _READING
            return set() if is_reading else {call.root, *call.arguments} | self._done_by_given(call)
        ran = self._done_by_given(call) if root is None or not root.is_app else set()
        if not self._acts(call, root):
            return apps | ran
        takes = call.path[-1] in _TAKING
        changes_given = call.is_discarded and not takes and not reads
        given = call.arguments if changes_given else set() if takes else apps
        return {call.root, *given} | ran

    def _done_by_given(self, call: Call) -> set[str]:
        """What the notebook's functions change that a call is given, and may run."""
        given = (self._current.get(name) for name in call.arguments)
        found: set[str] = set()
        for one in given:
            if one is not None and one.is_function:
                found |= self.of_function(one)
        return found

    def built_from(self, statement: Statement) -> set[str]:
        """What the object is made of that a statement makes, ``SGD(model.parameters())``, and what
        the functions change that it is given: ``Thread(target=job)``."""
        call = statement.built_by
        if call is None or self.is_showing(call.root):
            return set()
        return {*call.arguments} | self._done_by_given(call)

    def is_reading(self, statement: Statement) -> bool:
        """Whether what a statement makes only shows things, or sends them elsewhere: the axes of a
        plot, a client."""
        value = getattr(statement.node, "value", None)
        root, path = chain_of(value) if isinstance(value, ast.expr) else (None, ())
        version = self._current.get(root or "")
        if version is None:
            return False
        module = (version.module or "").partition(".")[0]
        is_experiment = not EXPERIMENTS.isdisjoint(path)
        return is_experiment or version.reads or module in _READING or self.is_showing(root)

    def _changed_by_function(self, call: Call, root: Version | None, apps: set[str]) -> set[str]:
        if root is None:
            changes_given = call.root in _CHANGING_BUILTINS
            return self._done_by_given(call) | (call.arguments if changes_given else set())
        if any(parent.is_app for parent in root.parents):  # a method of an app under another name
            return {root.name, *call.arguments}
        given = set(call.arguments)
        if call.is_discarded and root.parents:  # add = handlers.append
            given.add(root.name)
        if root.is_function:
            changes_given = call.is_discarded or root.statement.changes_parameters
            return self.of_function(root) | (given if changes_given else apps)
        return self._done_by_given(call) | (given if call.is_discarded else apps)

    def _acts(self, call: Call, root: Version | None) -> bool:
        """Whether a method does something to its object. An app's own methods do, which may return
        a decorator."""
        is_apps = root is not None and root.is_app and len(call.path) == 1
        does = call.is_discarded or is_apps or call.path[-1] in _WRITERS
        return does and _readers(root).isdisjoint(call.path)

    def _is_app(self, name: str) -> bool:
        return name in self._current and self._current[name].is_app


def _readers(version: Version | None) -> frozenset[str]:
    return _APP_READERS if version is not None and version.is_app else _READERS
