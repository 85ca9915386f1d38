"""What this kernel serves: :func:`serve`, :func:`mounts` and :class:`Mount`."""

from __future__ import annotations

import contextlib
import html
import inspect
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from .. import records
from ..records import RELOAD_SCRIPT
from . import panels
from .apps import is_flask
from .exchanges import failures, outputs
from .exchanges.exchanges import Exchange, Exchanges
from .home import OWN_SERVER_NOTICE, Home, find_home
from .inspector.inspector import Inspector
from .middleware.live_reload import with_reload_script
from .middleware.main_thread import NoMainLoop, find_loop, on_main_thread
from .mount_line import MountLine, failure_line
from .naming import default_name, notebook_path
from .responder.listener import TRANSPORTS, Listener, default_transport
from .responder.responder import Responder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

    from ..widgets.mount_panel import MountPanel
    from ..widgets.preview import PreviewPanel
    from ..widgets.requests import RequestsPanel
    from ..widgets.routes import RoutesPanel
    from .responder.environ import Environ
    from .responder.wsgi import WSGIApp

__all__ = ["Mount", "Route", "ServeError", "Watcher", "mounts", "serve", "watchers"]

_MAX_THREADS = 10_000
_BACKLOG = 1024  # connections that wait beyond those: nginx opens one for each of its requests
_TITLE_LIMIT = 200  # characters


class ServeError(ValueError):
    """An app cannot be served as asked. The message is one line that says what to do."""


class Route(NamedTuple):
    """One rule of a Flask app.

    :ivar rule: the rule as it was written, such as ``/users/<int:id>``.
    :ivar methods: the HTTP methods it takes, sorted.
    :ivar endpoint: the name that ``url_for`` knows it by.
    """

    rule: str
    methods: tuple[str, ...]
    endpoint: str


class Mount:
    """One app served under one name. Made by :func:`serve`.

    :ivar name: its name, the last part of its address.
    :ivar path: its address as a path, base URL included: ``/flaskserve/demo/``.
    :ivar url: its address for programs on this machine, without credentials.
    :ivar app: the WSGI app that answers now.
    :ivar variable: the notebook's variable that holds the app, where there is one.
    :ivar threads: how many requests are answered at once.
    :ivar notebook: the notebook's file, or an empty string.
    :ivar started: when the mount began, in seconds since the epoch.
    :ivar requests: its latest exchanges, oldest first.
    :ivar inspector: tells the panels of it.
    """

    def __init__(
        self,
        app: WSGIApp,
        variable: str | None,
        record: records.MountRecord,
        listener: Listener,
        home: Home,
        requests: Exchanges,
        wrappers: Wrappers,
    ) -> None:
        self._record = record
        self._home = home
        self._app = app
        self._wrappers = wrappers
        self.requests = requests
        self.inspector = Inspector(self)
        self._responder = Responder(
            self._wrapped(app),
            name=record.name,
            listener=listener,
            threads=record.threads,
            exchanges=requests,
            on_stop=self.stop,
            inspector=self._inspect,
        )
        self._stopped = False
        self._line_lock = threading.Lock()  # guards the two below
        self._shown: MountLine | None = None  # the line of the latest show()
        self._untold: Exchange | None = None  # what failed while there was no line to say so
        self.variable = variable
        self.path = record.path_under(home.base_url)
        self.url = home.url_of(self.path)

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def inspector_path(self) -> str:
        """The path of what tells the panels of it, base URL included, with a slash at its end."""
        return f"{self._home.base_url}{records.INSPECTOR}/{self.name}/"

    @property
    def link(self) -> str:
        """What a browser is to open: the path under Jupyter; without a Jupyter Server, a URL that
        lets one browser in, once."""
        return self._home.link_to(self.path)

    @property
    def revision(self) -> int:
        """How often cells have changed what the app answers."""
        return self._record.revision

    @property
    def app(self) -> WSGIApp:
        return self._app

    @property
    def threads(self) -> int:
        return self._record.threads

    @property
    def transport(self) -> str:
        """How the server reaches the app: ``unix`` or ``tcp``."""
        return self._record.transport

    @property
    def token(self) -> str | None:
        """What programs send as ``Authorization: token …`` where the kernel's own server serves the
        app; ``None`` under a Jupyter Server, whose token holds there."""
        return self._home.own.token if self._home.own is not None else None

    @property
    def notice(self) -> str:
        """Why the app is not served through Jupyter, and what to do about it; else empty."""
        return OWN_SERVER_NOTICE if self._home.own is not None else ""

    @property
    def notebook(self) -> str:
        return self._record.notebook

    @property
    def started(self) -> float:
        return self._record.started

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` has been called, here or from the server."""
        return self._stopped

    @property
    def routes(self) -> list[Route]:
        """The rules of a Flask app in the order they are matched; of other apps, none."""
        if not is_flask(self.app):
            return []
        from .routes.table import RuleTable  # few ask, and it takes a while

        return [
            Route(rule.rule, tuple(sorted(rule.methods or ())), rule.endpoint)
            for rule in RuleTable.of(cast("Flask", self.app)).rules
        ]

    def stop(self) -> None:
        """Stop serving. Requests that are being answered have five seconds to end.

        It may be called more than once and from any thread.
        """
        with _lock:
            if self._stopped:
                return
            self._stopped = True
            if _mounts.get(self.name) is self:
                del _mounts[self.name]
        records.withdraw(self._record)
        self._responder.stop()
        self.refresh_line()
        self._tell_watchers()
        if self.requests.on_failure == self._note_failure:  # no successor has taken them over
            self.requests.on_failure = None
            failures.forget(self.requests)

    def show(self, *, panel: bool = True) -> None:
        """Show the mount's line as output of the cell that runs and, in a notebook, its panels.

        In a notebook the latest such line is kept up to date, and says so when a view has failed.

        :param panel: whether to show the panels.
        """
        with self._line_lock:
            self._shown = None
        line = MountLine(self._as_text, self._as_html)
        with self._line_lock:
            self._shown, failed, self._untold = line, self._untold, None
        if failed is not None:
            line.note_failure(failed)
        if panel:
            self.show_panel()

    def show_panel(self) -> None:
        """Show the panels below the mount's line, in a notebook only."""
        panels.show(lambda: panels.widgets().mount_panel(self, below_line=True))

    def panel(self) -> MountPanel:
        """The widget with all panels of the mount: its state and link, and a tab for each of the
        others. There is one of each widget for a name; it can be shown in several places.

        :raises ImportError: ipywidgets or anywidget cannot be imported.
        """
        panel: MountPanel = panels.widgets().mount_panel(self)
        return panel

    def routes_panel(self) -> RoutesPanel:
        """The widget with the app's routes. See :meth:`panel`."""
        panel: RoutesPanel = panels.widgets().single_panel(self, "routes")
        return panel

    def requests_panel(self) -> RequestsPanel:
        """The widget with the requests to the app. See :meth:`panel`."""
        panel: RequestsPanel = panels.widgets().single_panel(self, "requests")
        return panel

    def preview_panel(self) -> PreviewPanel:
        """The widget with the app's pages in a frame. See :meth:`panel`."""
        panel: PreviewPanel = panels.widgets().single_panel(self, "preview")
        return panel

    def refresh_line(self) -> None:
        """Let the mount's line say what the app is now, and forget what has failed before."""
        with self._line_lock:
            line, self._untold = self._shown, None
        if line is not None:
            line.refresh()

    def _note_failure(self, exchange: Exchange) -> None:
        """Called in the request's thread."""
        failures.keep_as_last(exchange)
        with self._line_lock:
            line = self._shown
            if line is None:
                self._untold = exchange
        if line is not None:
            line.note_failure(exchange)

    def _is_reachable(self) -> bool:
        """Whether the record and the socket are still where they were put."""
        return records.holds_name(self._record) and records.is_live(self._record)

    def follow(self, app: WSGIApp) -> None:
        """Serve another app at the same address, because the variable holds another one."""
        self._replace(app, self.variable, self._wrappers)

    def mark_changed(self) -> None:
        """Let open pages know that the app may answer otherwise than before."""
        self._update_record(revision=self._record.revision + 1)
        self._tell_watchers()

    def _replace(self, app: WSGIApp, variable: str | None, wrappers: Wrappers) -> None:
        self._app = app
        self._wrappers = wrappers
        self._responder.app = self._wrapped(app)
        self.variable = variable
        self._update_record(title=_title(app, variable))
        self._tell_watchers()

    def _tell_watchers(self) -> None:
        for watcher in list(watchers):
            watcher.changed(self)

    def _inspect(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        for watcher in list(watchers):
            watcher.looked_at(self)
        return self.inspector(environ, start_response)

    def _update_record(self, **changes: Any) -> None:
        record = replace(self._record, **changes)
        if record != self._record and not self._stopped:
            self._record = record
            with contextlib.suppress(OSError):  # the record as it was will do
                records.claim(record)

    def _wrapped(self, app: WSGIApp) -> WSGIApp:
        """The app as the responder calls it."""
        if self._wrappers.main_thread:
            app = on_main_thread(app)
        if self._wrappers.reload:
            app = with_reload_script(app, self._home.base_url + RELOAD_SCRIPT)
        return app

    def __repr__(self) -> str:
        return self._as_text()

    def _repr_html_(self) -> str:
        return self._as_html()

    def _as_text(self, failed: Exchange | None = None) -> str:
        """The line.

        :param failed: the exchange whose failure it names.
        """
        url = self.url if self._home.own is None or self._stopped else self.link
        line = " · ".join([f"{self.name}: {url}", *self._notes, *self._stop("{}")])
        return line if failed is None else f"{line}\n{failure_line(failed)}"

    def _as_html(self, failed: Exchange | None = None) -> str:
        text = html.escape(self.path if self._home.own is None else self.url)
        link = text
        if not self._stopped:
            link = f'<a href="{html.escape(self.link)}" target="_blank" rel="noopener">{text}</a>'
        line = " · ".join(
            [f"<b>{self.name}</b>: {link}", *self._notes, *self._stop("<code>{}</code>")]
        )
        if failed is not None:
            line += f"<br>{html.escape(failure_line(failed))}"
        return f"<span>{line}</span>"

    @property
    def _notes(self) -> list[str]:
        notes = []
        if is_flask(self.app):
            rules = cast("Flask", self.app).url_map.iter_rules()
            own = [rule for rule in rules if rule.endpoint != "static"]
            notes.append(f"{len(own)} {'route' if len(own) == 1 else 'routes'}")
        if self._home.own is not None:
            notes.append("for this machine only")
        return notes

    def _stop(self, code: str) -> list[str]:
        """How to stop, or that it has been."""
        if self._stopped:
            return ["stopped"]
        return ["stop: " + code.format(f"%flaskserve stop {self.name}")]


class Wrappers(NamedTuple):
    """What stands between the responder and the app.

    :ivar main_thread: whether views run on the kernel's main thread.
    :ivar reload: whether HTML pages get a script that reloads them.
    """

    main_thread: bool
    reload: bool


class Watcher(Protocol):
    """Who is told what happens to the mounts. It is called in any thread and keeps none waiting."""

    def changed(self, mount: Mount) -> None:
        """The mount has begun, has changed what it answers, or has stopped."""

    def looked_at(self, mount: Mount) -> None:
        """A panel has asked about it."""


watchers: list[Watcher] = []

before_serving: list[Callable[[WSGIApp], None]] = []
"""Called with each app that is about to be served."""


# The live mounts of this kernel by name, oldest first. Guarded by _lock.
_mounts: dict[str, Mount] = {}
_lock = threading.RLock()


def serve(
    app: WSGIApp,
    name: str | None = None,
    *,
    threads: int = 64,
    transport: str | None = None,
    variable: str | None = None,
    main_thread: bool = False,
    reload: bool = False,
) -> Mount:
    """Serve a WSGI app through the Jupyter Server that started this kernel or, where there is none
    with the extension, through a server of the kernel's own, on the loopback.

    To serve again under a name keeps its address and gives it the new app.

    :param app: a Flask app or any other WSGI callable.
    :param name: the last part of the address, a DNS label. Without one it is made from the
        notebook's name or the variable's; an app that is served already keeps the name it has.
    :param threads: how many requests are answered at once; more wait their turn.
    :param transport: ``unix``, a Unix domain socket, which is the default where there are any, or
        ``tcp``, the loopback with a secret.
    :param variable: the notebook's variable that holds the app; found where it is not given.
    :param main_thread: whether to run views on the kernel's main thread, between cells, for the
        sake of objects that belong to it.
    :param reload: whether open pages of the app reload after a cell changed it. A script is added
        to its HTML pages for that.
    :returns: the mount.
    :raises ServeError: the app, the name or the number of threads will not do, the name is taken by
        another kernel, its socket or record cannot be made, or the kernel's main thread has no
        event loop where ``main_thread`` asks for it.
    """
    _check_app(app, variable)
    if (
        isinstance(threads, bool)
        or not isinstance(threads, int)
        or not 1 <= threads <= _MAX_THREADS
    ):
        raise ServeError(f"threads is {threads!r}; give a whole number from 1 to {_MAX_THREADS}.")
    transport = transport or default_transport()
    if transport not in TRANSPORTS:
        raise ServeError(f"The transport is {transport!r}; give {' or '.join(TRANSPORTS)}.")
    if main_thread:
        try:
            find_loop()
        except NoMainLoop as error:
            raise ServeError(str(error)) from None
    wrappers = Wrappers(main_thread, reload)
    shell = _shell()
    if shell is not None:
        outputs.install(shell)
        failures.install(shell)
    namespace = shell.user_ns if shell is not None else {}
    if variable is None:
        variable = _variable_of(app, namespace)
    for prepare in before_serving:
        prepare(app)
    notebook = notebook_path(namespace)
    with _lock:
        if name is None:
            name = _name_for(app, variable, notebook)
        elif not isinstance(name, str) or not records.is_name(name):
            raise ServeError(_bad_name(name))
        mount = _mounts.get(name)
        same = mount is not None and (mount.threads, mount.transport) == (threads, transport)
        if mount is not None and same and mount._is_reachable():
            mount._replace(app, variable, wrappers)
            return mount
        successor = _start(
            app,
            name,
            threads=threads,
            transport=transport,
            variable=variable,
            notebook=notebook,
            requests=Exchanges(mount=name) if mount is None else mount.requests,
            wrappers=wrappers,
        )
        _mounts[name] = successor
        successor.requests.on_failure = successor._note_failure
        successor._tell_watchers()
        if mount is not None:
            mount.stop()  # only now, so that the name is held all the time
        return successor


def mounts() -> list[Mount]:
    """The mounts of this kernel, oldest first."""
    with _lock:
        return list(_mounts.values())


def _start(
    app: WSGIApp,
    name: str,
    *,
    threads: int,
    transport: str,
    variable: str | None,
    notebook: str,
    requests: Exchanges,
    wrappers: Wrappers,
) -> Mount:
    try:
        home = find_home()
    except OSError as error:
        raise ServeError(f"No server can be started in this kernel: {error}.") from error
    generation = uuid.uuid4().hex
    try:
        listener = Listener(transport, generation=generation, backlog=threads + _BACKLOG)
    except OSError as error:
        raise ServeError(
            f"The socket for {name!r} cannot be made: {error}. Check that"
            f" {records.records_directory()} can be written to and that the disk is not full."
        ) from error
    record = records.MountRecord(
        name=name,
        server=home.server,
        kernel_id=home.kernel_id,
        pid=os.getpid(),
        generation=generation,
        socket=listener.address,
        threads=threads,
        title=_title(app, variable),
        notebook=notebook,
        started=time.time(),
        transport=transport,
        secret=listener.secret,
        host=records.this_host(),
    )
    mount = Mount(app, variable, record, listener, home, requests, wrappers)
    try:
        records.claim(record)
    except records.NameTaken as taken:
        mount.stop()
        holder = os.path.basename(taken.record.notebook) or "another kernel"
        raise ServeError(
            f"The name {name!r} is taken by {holder}, which serves {taken.record.title} there."
            f" Choose another with --name, or run %flaskserve stop {name} in that notebook."
        ) from None
    except OSError as error:
        mount.stop()
        raise ServeError(
            f"The record of {name!r} cannot be written: {error}. Check that"
            f" {records.records_directory()} can be written to and that the disk is not full."
        ) from error
    return mount


def _check_app(app: object, variable: str | None) -> None:
    what = variable or "This object"
    if inspect.isclass(app):
        raise ServeError(
            f"{what} is the class {app.__name__}, not an app."
            f" Make one: app = {app.__name__}(__name__)"
        )
    if not callable(app):
        raise ServeError(
            f"{what} is of type {type(app).__name__}, not a WSGI app."
            " Give a Flask app, or a callable that takes environ and start_response."
        )
    call = app if inspect.isroutine(app) else type(app).__call__
    if inspect.iscoroutinefunction(call):
        raise ServeError(
            f"{what} is asynchronous (ASGI), not a WSGI app."
            " Wrap it in an ASGI-to-WSGI adapter first, such as a2wsgi."
        )


def _bad_name(name: object) -> str:
    near = records.label(str(name))
    example = f", such as {near!r}" if near else ""
    return (
        f"{name!r} cannot be a mount's name: take lower-case letters, digits and hyphens,"
        f" at most 63{example}."
    )


def _name_for(app: WSGIApp, variable: str | None, notebook: str) -> str:
    """The name of an app that was given none: the one it has, else a new one."""
    for mount in reversed(_mounts.values()):
        if mount.app is app or (variable is not None and mount.variable == variable):
            return mount.name
    return default_name(variable, notebook, set(_mounts))


def _title(app: WSGIApp, variable: str | None) -> str:
    return (variable or "")[:_TITLE_LIMIT] or ("Flask app" if is_flask(app) else "WSGI app")


def _shell() -> Any:
    """The IPython shell that runs the cells; ``None`` where there is none."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _variable_of(app: object, namespace: dict[str, Any]) -> str | None:
    for name, value in list(namespace.items()):
        if value is app and not name.startswith("_"):
            return name
    return None
