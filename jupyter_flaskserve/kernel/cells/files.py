"""Templates and static files that are cells of the notebook.

The kernel has one store of them, as a project has one ``templates/`` and one ``static/`` folder.
A notebook's app reads it in two places:

- ``create_global_jinja_loader()`` returns ``loader(<Flask's own loader>)``. Cells come before files
  of the same name; either kind may extend, include and import the other. The app's
  ``TEMPLATES_AUTO_RELOAD`` is to be on.
- ``send_static_file(name)`` returns ``static_response(name)`` unless that is ``None``.

A change shows with the next request. A request that has begun goes on with what it has seen.
"""

from __future__ import annotations

import hashlib
import io
import linecache
import posixpath
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flask import send_file
from jinja2 import BaseLoader, Environment, TemplateNotFound, TemplateSyntaxError

from ..exchanges.exchanges import current

if TYPE_CHECKING:
    from flask import Flask, Response

__all__ = [
    "Kind",
    "check_name",
    "check_template",
    "clear",
    "loader",
    "put",
    "remove",
    "state",
    "static_response",
    "texts",
]

Kind = Literal["template", "static"]


@dataclass(frozen=True)
class _File:
    text: str
    modified: float  # seconds since the epoch


_Store = Mapping[Kind, Mapping[str, _File]]  # all files at one time

_store: _Store = {"template": {}, "static": {}}  # replaced as a whole, under _lock
_lock = threading.Lock()


def texts(kind: Kind) -> dict[str, str]:
    """The texts of the cells that are templates or static files, by their names."""
    return {name: file.text for name, file in _store[kind].items()}


def state() -> object:
    """The store as it is: another object after each change."""
    return _store


def put(kind: Kind, name: str, text: str) -> None:
    """Put a file into the store, in place of an earlier one of its name.

    A template is taken as it is: see :func:`check_template`.

    :raises ValueError: the name will not do. The message says what to do.
    """
    check_name(name)
    if kind == "template":
        # Tracebacks show the lines of a template that is named like this.
        lines = text.splitlines(keepends=True)
        linecache.cache[_template_file(name)] = (len(text), None, lines, _template_file(name))
    _change(kind, name, _File(text, time.time()))


def remove(kind: Kind, name: str) -> None:
    """Take a file out of the store.

    :raises KeyError: there is none of that name.
    """
    if name not in _store[kind]:
        raise KeyError(name)
    _change(kind, name, None)
    if kind == "template":
        linecache.cache.pop(_template_file(name), None)


def clear() -> None:
    """Take everything out of the store."""
    for kind, files in _store.items():
        for name in files:
            remove(kind, name)


def check_name(name: str) -> None:
    """Check that a name can be one of a file in a folder.

    :raises ValueError: it cannot. The message says what to do.
    """
    parts = name.split("/")
    if not name or not name.isprintable():
        problem = "is not a name"
    elif "\\" in name:
        problem = "has a backslash; write / between a folder and a file"
    elif name.startswith("/"):
        problem = "starts with a slash; leave it out"
    elif ".." in parts:
        problem = "leads out of its folder; leave out the .."
    elif "" in parts or "." in parts:
        problem = "has an empty part; write one / between a folder and a file"
    else:
        return
    raise ValueError(f"The name {name!r} {problem}, as in hello.html or users/list.html.")


def check_template(name: str, text: str, apps: Iterable[Flask] = ()) -> None:
    """Check the syntax of a template, by the rules of the apps that may use it: an app can have its
    own delimiters and extensions.

    :raises jinja2.TemplateSyntaxError: none of the apps can read it.
    """
    failure: TemplateSyntaxError | None = None
    for environment in [_environment(app) for app in apps] or [Environment()]:  # noqa: S701 -- parses
        try:
            environment.parse(text, name)
            return
        except TemplateSyntaxError as error:
            failure = error
    if failure is not None:
        raise failure


def loader(files: BaseLoader) -> BaseLoader:
    """A loader of the template cells and, where there is no cell of a name, of files.

    :param files: what loads the files, such as what Flask's own ``create_global_jinja_loader``
        returns.
    """
    return _Loader(files)


def static_response(filename: str) -> Response | None:
    """The response with a static cell; ``None`` where there is no cell of that name.

    It has a type by the name, an ``ETag`` and ``Last-Modified``, and answers conditional and range
    requests. It is called in a request of the app.
    """
    file = _seen()["static"].get(filename)
    if file is None:
        return None
    data = file.text.encode()
    return send_file(
        io.BytesIO(data),
        download_name=posixpath.basename(filename),
        etag=hashlib.sha256(data).hexdigest()[:32],
        last_modified=file.modified,
        conditional=True,
    )


class _Loader(BaseLoader):
    def __init__(self, files: BaseLoader) -> None:
        self._files = files

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        file = _seen()["template"].get(template)
        if file is not None:
            return file.text, _template_file(template), lambda: _is_newest(template, file)
        source, filename, uptodate = self._files.get_source(environment, template)
        return (
            source,
            filename,
            lambda: _is_newest(template, None) and (uptodate is None or uptodate()),
        )

    def list_templates(self) -> list[str]:
        return sorted({*_seen()["template"], *_names_in(self._files)})


def _names_in(files: BaseLoader) -> list[str]:
    try:
        return files.list_templates()
    except (TypeError, TemplateNotFound):  # not every loader can list
        return []


def _is_newest(template: str, file: _File | None) -> bool:
    return _seen()["template"].get(template) is file


def _seen() -> _Store:
    """The store as the calling request sees it: as it was at the first look."""
    exchange = current()
    return _store if exchange is None else exchange.pin(__name__, lambda: _store)


def _change(kind: Kind, name: str, file: _File | None) -> None:
    global _store
    with _lock:
        files = dict(_store[kind])
        files.pop(name, None)
        if file is not None:
            files[name] = file
        _store = {**_store, kind: files}


def _template_file(name: str) -> str:
    """What a template cell is called in tracebacks."""
    return f"%%template {name}"


def _environment(app: Flask) -> Environment:
    """An environment that reads templates as the app does. The app's own is not made for this: its
    options may still change until the first request."""
    made: Environment | None = vars(app).get("jinja_env")
    if made is not None:
        return made
    return app.jinja_environment(app, **app.jinja_options)
