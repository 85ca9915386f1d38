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

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from flask import Blueprint, Flask

from ...exchanges.exchanges import current
from ...naming import notebook_path
from ..app_run import serve_by_run
from ..runs import Cells, Run, current_run, is_any_running
from .notebook_app import (
    AppLedger,
    BlueprintLedger,
    NotebookApp,
    Registration,
    adopt,
    changed_blueprints,
    follow_blueprints,
    ledger_of,
    ledgers,
    open_ledger,
    register,
    release,
)
from .registrations import Arrangement, Entry, Ledger

__all__ = ["install", "publish", "published_of", "uninstall"]


def install(cells: Cells) -> None:
    """Let cells that define Flask apps be run again, from now on.

    :param cells: the cells of the shell. The apps and blueprints among its variables are included.
    """
    global _cells
    _cells = cells
    for base in (Flask, Blueprint):
        _replace(base, "__init__", _adopting(base.__init__))
    _replace(Flask, "run", _running_here(Flask.run))
    for value in list(cells.shell.user_ns.values()):
        own = isinstance(value, (Flask, Blueprint)) and value.import_name == "__main__"
        if own and adopt(value):
            open_ledger(value, None)
    cells.follow(_begin, _end)


def uninstall() -> None:
    """Make apps and blueprints what they would be without this package."""
    global _cells
    _cells = None
    for (base, name), original in _originals.items():
        if original is None:
            delattr(base, name)
        else:
            setattr(base, name, original)
    _originals.clear()
    release()


def publish(app: object) -> None:
    """Let requests see an app as it is now, in the middle of a cell: it is about to be served."""
    ledger = ledger_of(app)
    if isinstance(ledger, AppLedger):
        follow_blueprints()
        ledger.publish()


def published_of(app: object) -> object:
    """What requests see of an app: another object whenever that has changed. ``None`` for an app
    that is not the notebook's."""
    ledger = ledger_of(app)
    return ledger.published if isinstance(ledger, AppLedger) else None


class Withdrawn(NamedTuple):
    """What was withdrawn from an app or blueprint before a cell.

    :ivar order: the order of everything in it before.
    """

    ledger: Ledger
    entries: list[Entry]
    registrations: list[Registration]
    order: Arrangement


_cells: Cells | None = None
# The methods of Flask's classes that are replaced for now; None where a class had inherited it.
_originals: dict[tuple[type, str], Any] = {}
# What was withdrawn before each running cell. A cell's thread changes its own only.
_withdrawn: dict[Run, list[Withdrawn]] = {}


def _replace(base: type, name: str, method: Callable[..., Any]) -> None:
    _originals[base, name] = vars(base).get(name)
    setattr(base, name, method)


def _running_here(original: Callable[..., None]) -> Callable[..., None]:
    """Flask's ``run()``, but for the notebook's apps, which are served through Jupyter."""

    @wraps(original)
    def run(
        self: Flask,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        **options: Any,
    ) -> None:
        if isinstance(self, NotebookApp):
            serve_by_run(self, host, port, debug, load_dotenv, options)
        else:
            original(self, host, port, debug, load_dotenv, **options)

    return run


def _adopting(original: Callable[..., None]) -> Callable[..., None]:
    """An ``__init__`` that makes what a notebook makes the notebook's."""

    @wraps(original)
    def initialize(self: Any, *args: Any, **options: Any) -> None:
        if isinstance(self, Blueprint):
            name = args[1] if len(args) > 1 else options.get("import_name")
        else:
            name = args[0] if args else options.get("import_name")
        adopted = name == "__main__" and current() is None and adopt(self)
        if adopted and len(args) < (9 if isinstance(self, Blueprint) else 10):  # no root_path
            directory = os.path.dirname(notebook_path(_cells.shell.user_ns if _cells else None))
            in_file = getattr(sys.modules.get("__main__"), "__file__", None)
            if os.path.isdir(directory) and not in_file:
                options.setdefault("root_path", directory)
        original(self, *args, **options)
        if adopted:
            open_ledger(self, current_run())

    return initialize


def _begin(run: Run) -> None:
    """Before a cell: withdraw what its last run has registered, if it will run at all."""
    if run.tree is None:
        return
    for ledger in ledgers():
        ledger.forget(run.key)
    owned = [(ledger, ledger.owned(run.key)) for ledger in ledgers()]
    if not any(entries for _, entries in owned):
        return
    _withdrawn[run] = []
    for ledger, entries in owned:
        registrations = []
        order = ledger.arrangement()
        if isinstance(ledger, AppLedger):
            registrations = [r for r in ledger.blueprints.values() if r.key == run.key]
            for registration in registrations:
                del ledger.blueprints[registration.name]
        elif entries:
            changed_blueprints.add(ledger.subject)
        _withdrawn[run].append(Withdrawn(ledger, entries, registrations, order))
        ledger.withdraw(entries)


def _end(run: Run) -> None:
    """After a cell: what is new is this cell's, and requests see it from now on."""
    withdrawn = _withdrawn.pop(run, [])
    all_ledgers = ledgers()
    _renew_blueprints(run, all_ledgers)
    _follow_blueprints(run)
    changed: dict[Ledger, bool] = {ledger: ledger.settle(run) for ledger in all_ledgers}
    made = {type(ledger) for ledger in all_ledgers if ledger.made_in is run}
    for before in withdrawn:
        # A cell that makes an app anew leaves the earlier one, which may still be in use, alone.
        left_alone = (
            type(before.ledger) in made
            and before.ledger.made_in is not None
            and before.ledger.made_in.key == run.key
            and not changed.get(before.ledger)
        )
        if run.failed or left_alone:
            _put_back(before)
    _follow_blueprints(run)
    for ledger in all_ledgers:
        if isinstance(ledger, BlueprintLedger):
            ledger.drop_labels()
        elif not is_any_running():  # the last cell to end publishes
            ledger.publish()


def _follow_blueprints(run: Run) -> None:
    try:
        follow_blueprints()
    except Exception as error:  # a mistake that Flask finds when a blueprint is registered
        run.failed = True
        print(f"A blueprint could not be registered again: {error}", file=sys.stderr)


def _renew_blueprints(run: Run, all_ledgers: list[AppLedger | BlueprintLedger]) -> None:
    """Let a blueprint that the cell has made anew take the place of the one that an earlier run of
    the cell had made, on the apps that have it."""
    made = {
        ledger.subject.name: ledger.subject
        for ledger in all_ledgers
        if isinstance(ledger, BlueprintLedger) and ledger.made_in is run
    }
    for ledger in all_ledgers:
        if isinstance(ledger, AppLedger) and made and not run.failed:
            for registration in ledger.blueprints.values():
                earlier = ledger_of(registration.blueprint)
                successor = made.get(registration.blueprint.name)
                if (
                    earlier is not None
                    and successor is not None
                    and earlier.made_in is not None
                    and earlier.made_in is not run
                    and earlier.made_in.key == run.key
                ):
                    registration.blueprint = successor
                    changed_blueprints.add(successor)


def _put_back(withdrawn: Withdrawn) -> None:
    ledger, entries, registrations, order = withdrawn
    ledger.put_back((e for e in entries if not isinstance(e.owner, Registration)), order)
    if isinstance(ledger, AppLedger):
        for registration in registrations:
            if registration.name not in ledger.blueprints:
                register(ledger, registration)
    else:
        changed_blueprints.add(ledger.subject)
