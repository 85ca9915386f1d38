"""Flask apps whose cells can be run again.

Flask expects a file that is imported once: it refuses a second view of one name, keeps every hook
it was ever given, and takes no routes after the first request. For the apps and blueprints that a
notebook makes (their import name is ``__main__``) this package changes that:

- Before a cell runs, what an earlier run of it registered is withdrawn (:mod:`.registrations`). A
  cell that then fails gets back what it has not put anything else in place of.
- A view or hook of the same name replaces that of another cell, as the function does among the
  notebook's variables.
- A request never sees the app while a cell is changing it. The responder's threads are given what
  was *published*: a copy of the app's registrations, made when the last cell had ended. A request
  keeps the copy that it began with.

It is done by giving such an app a class of its own, a subclass of the one it has, in which those
attributes that hold registrations are descriptors. Apps from modules keep their class.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from flask import Blueprint, Flask

from ..cells import Cells, Run, current_run
from ..exchanges import current
from ..naming import notebook_path
from .notebook_app import (
    AppLedger,
    Registration,
    adopt,
    changed_blueprints,
    follow_blueprints,
    keep_account,
    ledger_of,
    ledgers,
    register,
    release,
)
from .registrations import Entry, Ledger

__all__ = ["install", "publish", "revision_of", "uninstall"]


def install(cells: Cells) -> None:
    """Let cells that define Flask apps be run again, from now on.

    :param cells: the cells of the shell. The apps and blueprints among its variables are included.
    """
    global _cells
    _cells = cells
    for base in (Flask, Blueprint):
        _originals[base] = vars(base).get("__init__")
        _set_init(base, _adopting(base.__init__))
    for value in list(cells.shell.user_ns.values()):
        own = isinstance(value, (Flask, Blueprint)) and value.import_name == "__main__"
        if own and adopt(value):
            keep_account(value, None)
    cells.follow(_begin, _end)


def uninstall() -> None:
    """Make apps and blueprints what they would be without this package."""
    global _cells
    _cells = None
    for base, original in _originals.items():
        _set_init(base, original)
    _originals.clear()
    release()


def publish(app: object) -> None:
    """Let requests see an app as it is now, in the middle of a cell: it is about to be served."""
    ledger = ledger_of(app)
    if isinstance(ledger, AppLedger):
        follow_blueprints()
        ledger.publish()


def revision_of(app: object) -> int:
    """How often an app has changed for those who send requests."""
    ledger = ledger_of(app)
    return ledger.revision if isinstance(ledger, AppLedger) else 0


class Withdrawn(NamedTuple):
    """What was withdrawn from an app or blueprint before a cell.

    :ivar order: the entries of all its rules, in the order in which they were matched.
    """

    ledger: Ledger
    entries: list[Entry]
    registrations: list[Registration]
    order: list[Entry]


_cells: Cells | None = None
_originals: dict[type, Any] = {}  # the __init__ of Flask's classes, where they have their own
_withdrawn: list[Withdrawn] = []  # before the running cell


def _set_init(base: type, initialize: Any) -> None:
    if initialize is None:  # the class has none of its own
        del base.__init__  # type: ignore[misc]
    else:
        base.__init__ = initialize  # type: ignore[misc]


def _adopting(original: Callable[..., None]) -> Callable[..., None]:
    """An ``__init__`` that makes what a notebook makes the notebook's."""

    @wraps(original)
    def initialize(self: Any, *args: Any, **options: Any) -> None:
        if isinstance(self, Blueprint):
            name = args[1] if len(args) > 1 else options.get("import_name")
        else:
            name = args[0] if args else options.get("import_name")
        adopted = name == "__main__" and current() is None and adopt(self)
        if adopted and len(args) < _BEFORE_ROOT_PATH:
            directory = os.path.dirname(notebook_path(_cells.shell.user_ns if _cells else None))
            in_file = getattr(sys.modules.get("__main__"), "__file__", None)
            if os.path.isdir(directory) and not in_file:
                options.setdefault("root_path", directory)
        original(self, *args, **options)
        if adopted:
            keep_account(self, current_run())

    return initialize


# How many positional arguments come before root_path, with a blueprint or app.
_BEFORE_ROOT_PATH = 10


def _begin(run: Run) -> None:
    """Before a cell: withdraw what its last run has registered, if it will run at all."""
    _withdrawn.clear()
    owned = [(ledger, ledger.owned(run.key)) for ledger in ledgers()]
    if not any(entries for _, entries in owned) or not _compiles(run.source):
        return
    for ledger, entries in owned:
        registrations = []
        if isinstance(ledger, AppLedger):
            registrations = [r for r in ledger.blueprints.values() if r.key == run.key]
            for registration in registrations:
                del ledger.blueprints[registration.name]
        elif entries:
            changed_blueprints.add(ledger.subject)
        _withdrawn.append(Withdrawn(ledger, entries, registrations, ledger.rules_in_order()))
        ledger.withdraw(entries)


def _end(run: Run) -> None:
    """After a cell: what is new is this cell's, and requests see it from now on."""
    follow_blueprints()
    accounts = ledgers()
    changed: dict[Ledger, bool] = {ledger: ledger.settle(run) for ledger in accounts}
    made = {type(ledger) for ledger in accounts if ledger.made_in is run}
    for withdrawn in _withdrawn:
        # A cell that makes an app anew leaves the earlier one, which may still be in use, alone.
        left_alone = type(withdrawn.ledger) in made and not changed.get(withdrawn.ledger)
        if run.failed or left_alone:
            _put_back(withdrawn)
    _withdrawn.clear()
    follow_blueprints()
    for ledger in accounts:
        if isinstance(ledger, AppLedger):
            ledger.publish()


def _put_back(withdrawn: Withdrawn) -> None:
    ledger, entries, registrations, order = withdrawn
    ledger.put_back((e for e in entries if not isinstance(e.owner, Registration)), order)
    if isinstance(ledger, AppLedger):
        for registration in registrations:
            if registration.name not in ledger.blueprints:
                register(ledger, registration)
    else:
        changed_blueprints.add(ledger.subject)


def _compiles(source: str) -> bool:
    assert _cells is not None
    try:
        ast.parse(_cells.shell.transform_cell(source))  # type: ignore[no-untyped-call]
    except (SyntaxError, ValueError):
        return False
    return True
