"""What is an app: the one place that tells Flask apps and other WSGI apps from anything else.

An object is judged by its type alone. To ask the object would run its code, and a proxy such as
``flask.request`` answers for another object, or raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType, MethodType

__all__ = ["app_variables", "is_app", "is_flask"]


def is_flask(value: object) -> bool:
    """Whether a value is a Flask app. Flask need not have been imported."""
    return any((c.__module__, c.__name__) == ("flask.app", "Flask") for c in type(value).__mro__)


def is_app(value: object) -> bool:
    """Whether a value looks like a WSGI app: a Flask app, or a callable whose last argument is
    ``start_response`` (PEP 3333)."""
    if is_flask(value):
        return True
    call = value
    if type(value) not in (FunctionType, MethodType):
        definitions = (vars(c) for c in type(value).__mro__)
        call = next((found["__call__"] for found in definitions if "__call__" in found), None)
    if not isinstance(call, (FunctionType, MethodType)):
        return False
    parameters = call.__code__.co_varnames[: call.__code__.co_argcount]
    return parameters[-1:] == ("start_response",)


def app_variables(namespace: Mapping[str, object]) -> list[str]:
    """The variables that hold apps, Flask's first, one for each app."""
    found: dict[int, str] = {}
    for name, value in list(namespace.items()):
        if not name.startswith("_") and is_app(value):
            found.setdefault(id(value), name)
    return sorted(found.values(), key=lambda name: not is_flask(namespace[name]))
