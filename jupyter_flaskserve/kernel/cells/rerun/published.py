"""What requests see of an app: a copy of its registrations, made when a cell had ended."""

from __future__ import annotations

import copy
import threading
from typing import Any

from flask import Flask
from flask.templating import Environment
from werkzeug.routing import Map, Rule

from .registrations import APP, HOOKS, copied_map

__all__ = ["PUBLISHED", "Published"]

#: The attributes of an app that a request sees as they were when it began.
PUBLISHED = (
    "view_functions",
    "error_handler_spec",
    *HOOKS,
    "teardown_appcontext_funcs",
    "url_build_error_handlers",
    "blueprints",
    "extensions",
    "url_map",
    "wsgi_app",
    "jinja_env",
)


_CONTAINERS = {
    name: shape for name, shape in APP.items() if name in PUBLISHED and name != "extensions"
}


class Published:
    """An app's registrations at one moment: what requests see.

    Threads may read it at any time. Only ``jinja_env`` may still be missing, where the app has not
    rendered a template yet; it is then made by the first request that does.
    """

    def __init__(self, app: Flask) -> None:
        live = vars(app)
        self._values: dict[str, Any] = {
            name: _copied(live[name], *shape) for name, shape in _CONTAINERS.items()
        }
        self._held = _held(live)
        self._extensions = dict(live["extensions"])
        self._values["extensions"] = _Extensions(live["extensions"])
        self._rules: list[Rule] = list(live["url_map"].iter_rules())
        self._values["url_map"], _ = copied_map(live["url_map"], self._rules)
        self._values["wsgi_app"] = live.get("wsgi_app")
        self._environment: Environment | None = live.get("jinja_env")
        self._settings = _settings_of(self._environment)
        if self._environment is not None:
            self._values["jinja_env"] = _overlay(self._environment)
        self._lock = threading.Lock()  # held while the Jinja environment is made

    def is_current(self, app: Flask) -> bool:
        """Whether the app is still what it was."""
        live = vars(app)
        return (
            _held(live) == self._held
            and live.get("wsgi_app") is self._values["wsgi_app"]
            and _identical(live["extensions"], self._extensions)
            and _settings_of_map(live["url_map"]) == _settings_of_map(self._values["url_map"])
            and _identical(list(live["url_map"].iter_rules()), self._rules)
            and live.get("jinja_env") is self._environment
            and _identical(_settings_of(self._environment), self._settings)
        )

    def get(self, app: Flask, name: str) -> Any:
        """One of the attributes; ``None`` for ``wsgi_app`` where it is the class's own."""
        if name == "jinja_env" and name not in self._values:
            with self._lock:
                if name not in self._values:
                    self._values[name] = app.create_jinja_environment()
        return self._values[name]


class _Extensions(dict[str, Any]):
    """``app.extensions`` as requests see it. What a request sets is the app's, too: extensions
    keep there what they make when they are needed first."""

    def __init__(self, live: dict[str, Any]) -> None:
        super().__init__(live)
        self._live = live

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._live[name] = value

    def setdefault(self, name: str, value: Any = None) -> Any:
        if name not in self:
            self[name] = value
        return self[name]


def _copied(container: Any, levels: int, lists: bool) -> Any:
    if not levels:
        return list(container) if lists else container
    copied = copy.copy(container)
    for key, value in container.items():
        copied[key] = _copied(value, levels - 1, lists)
    return copied


def _held(live: dict[str, Any]) -> dict[str, Any]:
    """What an app's containers hold, without the empty ones among them: Flask makes those when it
    looks for something that is not there."""
    return {name: _filled(live[name], shape.levels) for name, shape in _CONTAINERS.items()}


def _filled(container: Any, levels: int) -> Any:
    if not levels:
        return list(container) if isinstance(container, list) else container
    filled = {key: _filled(value, levels - 1) for key, value in container.items()}
    return {key: value for key, value in filled.items() if value not in ({}, [])}


def _overlay(environment: Environment) -> Environment:
    """A Jinja environment of its own with what another one has now."""
    overlay = environment.overlay()
    for name in _JINJA_DICTS:
        setattr(overlay, name, dict(getattr(environment, name)))
    return overlay


_JINJA_DICTS = ("filters", "tests", "globals", "policies")


def _settings_of_map(url_map: Map) -> tuple[Any, ...]:
    return (
        url_map.default_subdomain,
        url_map.strict_slashes,
        url_map.merge_slashes,
        url_map.redirect_defaults,
        url_map.sort_parameters,
        url_map.sort_key,
        url_map.host_matching,
        dict(url_map.converters),
    )


def _settings_of(environment: Environment | None) -> dict[str, Any]:
    if environment is None:
        return {}
    settings = {name: value for name, value in vars(environment).items() if name != "cache"}
    return {**settings, **{name: dict(settings[name]) for name in _JINJA_DICTS}}


def _identical(one: Any, other: Any) -> bool:
    """Whether two containers hold the very same things. Not every value can be asked whether it
    equals another."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_identical(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
    return one is other
