"""The classes of a notebook's apps and blueprints, and the ledger that is kept of each."""

from __future__ import annotations

import contextlib
import logging
import os
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, NamedTuple

from flask import Blueprint, Flask, Response
from flask.templating import Environment
from jinja2 import BaseLoader
from werkzeug.utils import cached_property

from ...exchanges.exchanges import current
from .. import files as cell_files
from ..runs import Run, current_run
from .published import PUBLISHED, Published
from .registrations import (
    APP,
    BLUEPRINT,
    Arrangement,
    Entry,
    Ledger,
    names_alike,
    shape_of,
)

__all__ = [
    "AppLedger",
    "BlueprintLedger",
    "NotebookApp",
    "NotebookBlueprint",
    "Registration",
    "adopt",
    "changed_blueprints",
    "follow_blueprints",
    "ledger_of",
    "ledgers",
    "open_ledger",
    "register",
    "release",
]

# Attributes of apps and blueprints of the notebook.
_LEDGER = "_flaskserve_ledger"
_ELSEWHERE = "_flaskserve_elsewhere"  # on blueprints that are registered on an app of a module
_RELOADS = "_flaskserve_reloads"  # on apps whose templates are looked at again because of us

_AUTO_RELOAD = "TEMPLATES_AUTO_RELOAD"

changed_blueprints: weakref.WeakSet[NotebookBlueprint] = weakref.WeakSet()
"""Blueprints to be registered again by :func:`follow_blueprints`."""

_subjects: weakref.WeakSet[Any] = weakref.WeakSet()  # the apps and blueprints of the notebook
# Flask's classes, or those made of them, to the notebook's, which live as long as their instances.
_classes: weakref.WeakKeyDictionary[type, weakref.ref[type]] = weakref.WeakKeyDictionary()


class _Registered:
    """An attribute that holds registrations: the app's own in cells, what was published in
    requests."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, app: NotebookApp | None, owner: type | None = None) -> Any:
        if app is None:
            return self
        exchange = current()
        if exchange is None:
            ledger: AppLedger | None = vars(app).get(_LEDGER)
            if ledger is None or current_run() is None:
                return self._live(app)
            if self._name in ("wsgi_app", "url_map"):
                ledger.catch_up()  # the cell sends a request, makes a URL, or looks
            if self._name == "wsgi_app":
                return ledger.seam(self._live(app))
            return self._live(app)
        pinned: AppLedger = vars(app)[_LEDGER]
        value = exchange.pin(pinned, lambda: pinned.published).get(app, self._name)
        return self._of_class(app) if value is None else value

    def __set__(self, app: NotebookApp, value: Any) -> None:
        vars(app)[self._name] = value

    def __delete__(self, app: NotebookApp) -> None:
        vars(app).pop(self._name, None)

    def _live(self, app: NotebookApp) -> Any:
        try:
            return vars(app)[self._name]
        except KeyError:
            return self._of_class(app)

    def _of_class(self, app: NotebookApp) -> Any:
        return getattr(super(NotebookApp, app), self._name)


class AppLedger(Ledger):
    """The registrations of an app.

    :ivar published: what requests see: another object whenever that has changed.
    """

    def __init__(self, app: NotebookApp, made_in: Run | None) -> None:
        self.blueprints: dict[str, Registration] = {}
        super().__init__(app, APP, made_in)
        self.published = Published(app)
        self.renewed: set[tuple[str, str]] = set()  # rules that are being registered again
        self._overtaken: list[Entry] = []
        self._is_adding = False

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """The time in which Flask adds something, and reads the URL map for that alone."""
        was, self._is_adding = self._is_adding, True
        try:
            yield
        finally:
            self._is_adding = was

    def catch_up(self) -> None:
        """Do what was put off, because it is done once for many changes."""
        if not self._is_adding:
            follow_blueprints()
            self.sweep()
            self.overtake()

    def come_first(self, rule: str) -> None:
        """Let a new rule match before those of other cells that match the same paths: as with the
        notebook's variables, what was run last holds. Within a cell the first rule holds, as in
        Flask.
        """
        run = current_run()
        self._overtaken += (
            entry
            for entry in self.rules.by_shape.get(shape_of(rule), ())
            if entry.owner is not None and entry.owner.run is not run
        )

    def overtake(self) -> None:
        """Put the rules last that others are to match before: once for all of them, because the
        URL map has to be made anew."""
        if self._overtaken:
            self.put_rules_last({id(entry.value) for entry in self._overtaken})
            self._overtaken.clear()

    def publish(self) -> None:
        """Let requests see the app as it is now."""
        self.catch_up()
        if not self.published.is_current(self.subject):
            self.published = Published(self.subject)


class BlueprintLedger(Ledger):
    """The registrations of a blueprint. Most are functions that wait for the blueprint to be
    registered on an app, and do not say what they will do there; so each is given a label."""

    def __init__(self, blueprint: NotebookBlueprint, made_in: Run | None) -> None:
        super().__init__(blueprint, BLUEPRINT, made_in)
        self._waiting: list[Any] = vars(blueprint)["deferred_functions"]
        self._labels: list[Labelled] = []

    @contextlib.contextmanager
    def labelling(self, function: object, *label: str) -> Iterator[None]:
        """Label what is added meanwhile. It takes the place of what other cells added for another
        function under this label or, for the same function, in quite the same way.

        :param label: the method that was called and the name it gave, then what else tells two
            calls apart.
        """
        before = list(self._waiting)
        yield
        run = current_run()
        old = [
            known
            for known in self._labels
            if known.label[:2] == label[:2]
            and known.run is not run
            and _holds(before, known.waiting)  # not withdrawn: it might be put back
            and (known.function is not function or known.label == label)
        ]
        gone = {id(known.waiting) for known in old}
        fresh = [waiting for waiting in self._waiting if not _holds(before, waiting)]
        self._waiting[:] = [waiting for waiting in self._waiting if id(waiting) not in gone]
        self._labels = [known for known in self._labels if id(known.waiting) not in gone]
        self._labels += [Labelled(label, function, run, waiting) for waiting in fresh]

    def put_back(self, entries: Iterable[Entry], order: Arrangement) -> None:
        labels = {id(known.waiting): known.label[:2] for known in self._labels}
        taken = {labels.get(id(waiting)) for waiting in self._waiting} - {None}
        free = [entry for entry in entries if labels.get(id(entry.value)) not in taken]
        super().put_back(free, order)

    def drop_labels(self) -> None:
        """Keep the labels of what is still there."""
        held = {id(waiting) for waiting in self._waiting}
        self._labels = [known for known in self._labels if id(known.waiting) in held]


class Labelled(NamedTuple):
    """One of a blueprint's waiting functions.

    :ivar label: see :meth:`BlueprintLedger.labelling`.
    :ivar function: the view or hook that it will register.
    :ivar run: who added it.
    """

    label: tuple[str, ...]
    function: object
    run: Run | None
    waiting: object


class Registration:
    """One blueprint as it was registered on an app."""

    def __init__(self, blueprint: Blueprint, options: dict[str, Any], run: Run | None) -> None:
        self.blueprint = blueprint
        self.options = options
        self.run = run

    @property
    def key(self) -> object:
        """The cell's, as a run has it."""
        return self.run.key if self.run is not None else None

    @property
    def name(self) -> str:
        return _registered_name(self.blueprint, self.options)


class NotebookApp(Flask):
    """What a notebook's app can do beyond Flask. Apps of other classes get a class made of this one
    and theirs."""

    for _name in PUBLISHED:
        locals()[_name] = _Registered(_name)
    del _name

    def _check_setup_finished(self, f_name: str) -> None:
        if current() is not None:
            super()._check_setup_finished(f_name)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Any = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        ledger: AppLedger | None = vars(self).get(_LEDGER)
        if ledger is None:
            super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)
            return
        name = endpoint or str(getattr(view_func, "__name__", ""))
        with ledger.adding():
            if view_func is not None:
                _give_way(ledger, rule, name, view_func)
            super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)
        if (rule, name) not in ledger.renewed:
            ledger.come_first(rule)

    def register_blueprint(self, blueprint: Any, **options: Any) -> None:
        ledger: AppLedger | None = vars(self).get(_LEDGER)
        if ledger is None or current() is not None:
            super().register_blueprint(blueprint, **options)
            return
        run = current_run()
        registration = Registration(blueprint, options, run)
        held = ledger.blueprints.get(registration.name)
        if registration.name in self.blueprints and (held is None or held.run is not run):
            _unregister(ledger, registration.name)
        ledger.settle(run)
        register(ledger, registration)

    @property
    def plain_wsgi_app(self) -> Callable[..., Any]:
        """The app without any middleware."""
        return super().wsgi_app

    @cached_property
    def logger(self) -> logging.Logger:
        # A cell that configures logging, run again, turns off the logger of that name, which the
        # earlier app has left.
        logger = super().logger
        logger.disabled = False
        return logger

    def auto_find_instance_path(self) -> str:
        return os.path.join(self.root_path, "instance")

    def create_jinja_environment(self) -> Environment:
        environment = super().create_jinja_environment()
        ledger: AppLedger | None = vars(self).get(_LEDGER)
        if ledger is not None and current() is None:
            for name in ("filters", "tests", "globals"):
                ledger.take_for_granted(f"jinja_env.{name}", getattr(environment, name))
        return environment

    def create_global_jinja_loader(self) -> BaseLoader:  # type: ignore[override]
        return cell_files.loader(super().create_global_jinja_loader())

    def send_static_file(self, filename: str) -> Response:
        return cell_files.static_response(filename) or super().send_static_file(filename)


class NotebookBlueprint(Blueprint):
    """What a notebook's blueprint can do beyond Flask."""

    def _check_setup_finished(self, f_name: str) -> None:
        # Each method that registers something calls this first.
        if current() is not None or _ELSEWHERE in vars(self):
            super()._check_setup_finished(f_name)
        elif _LEDGER in vars(self):
            changed_blueprints.add(self)

    def register(self, app: Any, options: dict[str, Any]) -> None:
        if not isinstance(app, NotebookApp):  # it will not follow later changes
            vars(self)[_ELSEWHERE] = True
        super().register(app, options)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Any = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        name = endpoint or getattr(view_func, "__name__", "")
        with _labelling(self, view_func, "add_url_rule", str(name), rule):
            super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)

    def register_blueprint(self, blueprint: Any, **options: Any) -> None:
        ledger: BlueprintLedger | None = vars(self).get(_LEDGER)
        if ledger is not None:
            name, run = _registered_name(blueprint, options), current_run()
            ledger.withdraw(
                entry
                for entry in ledger.entries("_blueprints")
                if _registered_name(*entry.value) == name and entry.owner is not run
            )
        super().register_blueprint(blueprint, **options)


# The methods that add a hook to a list of the app's or the blueprint's own.
_HOOK_METHODS = {
    "before_request": "before_request_funcs",
    "after_request": "after_request_funcs",
    "teardown_request": "teardown_request_funcs",
    "context_processor": "template_context_processors",
    "url_value_preprocessor": "url_value_preprocessors",
    "url_defaults": "url_default_functions",
}
_APP_HOOK_METHODS = {
    "teardown_appcontext": "teardown_appcontext_funcs",
    "shell_context_processor": "shell_context_processors",
}
# The methods by which a blueprint adds a hook to the whole app.
_WAITING_HOOK_METHODS = (
    "before_app_request",
    "after_app_request",
    "teardown_app_request",
    "app_context_processor",
    "app_url_value_preprocessor",
    "app_url_defaults",
)


def _replacing(base: type, method: str, container: str) -> Callable[[Any, Any], Any]:
    """A method that adds a hook, and takes away the hook of that name that another cell added."""

    @wraps(getattr(base, method))
    def add(self: Any, f: Any) -> Any:
        ledger: Ledger | None = vars(self).get(_LEDGER)
        if ledger is not None and current() is None:
            run = current_run()
            ledger.withdraw(
                entry
                for entry in ledger.entries(container)
                if entry.place[1:] in ((), (None,))
                and names_alike(entry.value, f)
                and entry.owner is not run
            )
        return getattr(super(base, self), method)(f)

    return add


def _labelled(method: str) -> Callable[[Any, Any], Any]:
    @wraps(getattr(Blueprint, method))
    def add(self: NotebookBlueprint, f: Any) -> Any:
        named = isinstance(f, types.FunctionType) and "<" not in f.__qualname__
        with _labelling(self, f, method, f.__qualname__ if named else str(id(f))):
            return getattr(super(NotebookBlueprint, self), method)(f)

    return add


for _method, _container in _HOOK_METHODS.items():
    setattr(NotebookApp, _method, _replacing(NotebookApp, _method, _container))
    setattr(NotebookBlueprint, _method, _replacing(NotebookBlueprint, _method, _container))
for _method, _container in _APP_HOOK_METHODS.items():
    setattr(NotebookApp, _method, _replacing(NotebookApp, _method, _container))
for _method in _WAITING_HOOK_METHODS:
    setattr(NotebookBlueprint, _method, _labelled(_method))


def adopt(subject: Any) -> bool:
    """Give an app or blueprint the notebook's class.

    :returns: whether it has it now.
    """
    base = type(subject)
    if issubclass(base, (NotebookApp, NotebookBlueprint)):  # made of a notebook's class itself
        return True
    reference = _classes.get(base)
    made = reference() if reference is not None else None
    if made is None:
        mixin = NotebookBlueprint if issubclass(base, Blueprint) else NotebookApp
        body: dict[str, Any] = {
            "__module__": base.__module__,
            "__qualname__": base.__qualname__,
            "__doc__": base.__doc__,
            # Flask's own apps are told apart by identity; a class that defines equality may not.
            "__eq__": object.__eq__,
            "__hash__": object.__hash__,
        }
        made = types.new_class(
            base.__name__, (mixin, base), {}, lambda namespace: namespace.update(body)
        )
        _classes[base] = weakref.ref(made)
    try:
        subject.__class__ = made
    except TypeError:  # a class with a memory layout of its own
        return False
    return True


def open_ledger(subject: Any, made_in: Run | None) -> None:
    """Begin the ledger of an app or blueprint that has the notebook's class.

    :param made_in: the run of the cell that made it, where that is known.
    """
    if isinstance(subject, NotebookApp):
        vars(subject)[_LEDGER] = AppLedger(subject, made_in)
        if subject.config[_AUTO_RELOAD] is None:  # Flask would look for changes in debug mode only
            subject.config[_AUTO_RELOAD] = True
            vars(subject)[_RELOADS] = True
    else:
        vars(subject)[_LEDGER] = BlueprintLedger(subject, made_in)
    _subjects.add(subject)


def release() -> None:
    """Give all apps and blueprints the classes back that they had."""
    for subject in list(_subjects):
        first, *others = type(subject).__bases__
        if first in _MIXINS and others:  # otherwise a class that was made of a notebook's
            subject.__class__ = others[0]
        if vars(subject).get(_RELOADS) and subject.config[_AUTO_RELOAD] is True:
            subject.config[_AUTO_RELOAD] = None
        for name in (_LEDGER, _ELSEWHERE, _RELOADS):
            vars(subject).pop(name, None)
    _subjects.clear()
    changed_blueprints.clear()


_MIXINS = (NotebookApp, NotebookBlueprint)


def ledger_of(subject: object) -> AppLedger | BlueprintLedger | None:
    """The ledger of an app or blueprint; ``None`` where it is not the notebook's."""
    if not isinstance(subject, (NotebookApp, NotebookBlueprint)):
        return None
    return vars(subject).get(_LEDGER)


def ledgers() -> list[AppLedger | BlueprintLedger]:
    """The ledgers of all apps and blueprints of the notebook."""
    return [vars(subject)[_LEDGER] for subject in list(_subjects)]


def _give_way(ledger: AppLedger, rule: str, endpoint: str, function: object) -> None:
    """Withdraw what other cells registered under an endpoint for another function, and the same
    rule for the same one."""
    app = ledger.subject
    held = app.view_functions.get(endpoint)
    if held is None:
        return
    run = current_run()

    def is_old(entry: Entry) -> bool:
        if entry.owner is None or entry.owner.run is run:
            return entry.owner is None and run is not None
        return held is not function or entry.value.rule == rule

    old = [e for e in ledger.rules.by_endpoint.get(endpoint, ()) if is_old(e)]
    if held is not function:
        old += [e for e in ledger.entries("view_functions") if e.value is held and is_old(e)]
    ledger.withdraw(old)


def _labelling(
    blueprint: NotebookBlueprint, function: object, *label: str
) -> contextlib.AbstractContextManager[None]:
    ledger: BlueprintLedger | None = vars(blueprint).get(_LEDGER)
    return contextlib.nullcontext() if ledger is None else ledger.labelling(function, *label)


def follow_blueprints() -> None:
    """Register the blueprints that have changed again, on the apps that have them."""
    if not changed_blueprints:
        return
    changed = list(changed_blueprints)
    changed_blueprints.clear()
    for ledger in ledgers():
        if isinstance(ledger, AppLedger):
            again = [
                registration
                for registration in ledger.blueprints.values()
                if any(_contains(registration.blueprint, blueprint) for blueprint in changed)
            ]
            if again:
                _register_again(ledger, again)


def _register_again(ledger: AppLedger, registrations: list[Registration]) -> None:
    """Register blueprints again that an app has. Of what they have not changed, the order stays.

    All are taken out before the first is put back: a blueprint that an app knows under another name
    already does not add its hooks for the whole app again.

    :raises Exception: what Flask raises of a mistake in a blueprint. The app then is what it was.
    """
    ledger.sweep()
    ledger.settle(current_run())
    order = ledger.arrangement()
    before = [(registration, ledger.added_by(registration)) for registration in registrations]
    ledger.renewed = {
        (entry.value.rule, entry.value.endpoint)
        for _, entries in before
        for entry in entries
        if entry.place[0] == "url_map"
    }
    for registration, entries in before:
        del ledger.blueprints[registration.name]
        ledger.withdraw(entries)
    try:
        for registration in registrations:
            register(ledger, registration)
    except Exception:
        ledger.settle(registrations[-1])
        for registration, entries in before:
            ledger.withdraw(ledger.added_by(registration))
            ledger.blueprints[registration.name] = registration
            ledger.put_back(entries, order)
        raise
    finally:
        ledger.renewed = set()
    ledger.sweep()
    ledger.rearrange(order)


def register(ledger: AppLedger, registration: Registration) -> None:
    """Register a blueprint on an app, and note what that adds."""
    app, blueprint = ledger.subject, registration.blueprint
    with ledger.adding():
        super(NotebookApp, app).register_blueprint(blueprint, **registration.options)
    ledger.settle(registration)
    ledger.blueprints[registration.name] = registration


def _unregister(ledger: AppLedger, name: str) -> None:
    registration = ledger.blueprints.pop(name, None)
    if registration is not None:
        ledger.withdraw(ledger.added_by(registration))
    else:  # registered before this module was loaded
        ledger.withdraw(
            entry
            for entry in ledger.entries()
            if any(
                isinstance(word, str) and (word == name or word.startswith(name + "."))
                for word in (*entry.place[1:2], getattr(entry.value, "endpoint", None))
            )
        )


def _contains(blueprint: Any, wanted: Blueprint) -> bool:
    return blueprint is wanted or any(
        _contains(inner, wanted) for inner, _ in blueprint._blueprints
    )


def _registered_name(blueprint: Blueprint, options: dict[str, Any]) -> str:
    return str(options.get("name", blueprint.name))


def _holds(values: Iterable[object], wanted: object) -> bool:
    return any(value is wanted for value in values)
