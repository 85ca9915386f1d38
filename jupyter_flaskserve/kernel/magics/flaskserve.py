"""``%flaskserve`` in IPython: the magic, what it says, and its completion."""

from __future__ import annotations

import difflib
import html
import inspect
import os
import re
from argparse import SUPPRESS
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, NoReturn

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    context_matcher,
)
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import display

from ...records import MountRecord, is_live, label, read_all
from ..apps import app_variables, is_flask
from ..home import Home, known_home
from ..listener import TRANSPORTS
from ..live_reload import names_in
from ..mount import ServeError, mounts, serve
from .debug import debug
from .line import Parser, refuse_option, split, whole_number
from .log import log
from .request import request

__all__ = ["FlaskServeMagics"]


@magics_class
class FlaskServeMagics(Magics):
    """The magic of one shell."""

    shell: InteractiveShell

    @no_var_expand
    @line_cell_magic
    def flaskserve(self, line: str, cell: str | None = None) -> object:
        """Serve the Flask app in a variable through Jupyter Server.

        Examples::

            %flaskserve app                 serve the app in the variable app
            %flaskserve app --name demo     serve it under the name demo
            %flaskserve course.app          serve the app of a module, or another attribute
            %%flaskserve                    run this cell and serve the app that it defines
            %flaskserve                     show what this notebook serves
            %flaskserve request /users/7    send a request and show the answer
            %flaskserve log                 show what views printed and logged
            %flaskserve debug               open the debugger on the request that failed last
            %flaskserve list                show what all notebooks of this server serve
            %flaskserve stop                stop the app, where only one is served
            %flaskserve stop demo           stop one of several
            %flaskserve stop --all          stop all that this notebook serves

        The address stays, and what is served follows the variable and the cells that change it.
        Any WSGI app will do.

        Options:

          --name NAME     The last part of the address: lower-case letters, digits and hyphens.
                          Without it, it is made from the notebook's name or the variable's.
          --threads N     How many requests are answered at once (64); more wait their turn.
          --reload        Reload open pages of the app after a cell changed it. This adds a script
                          to its HTML pages.
          --main-thread   Run views on the kernel's main thread, between cells, for objects that
                          belong to it, such as an sqlite3 connection made in a cell.
          --transport T   How the server reaches the app: unix, a Unix domain socket, which is the
                          default where there are any, or tcp, the loopback with a secret.
          --all           With stop: all that this notebook serves.
          -h, --help      Show this text.

        An app in a variable named list, stop or serve: %flaskserve serve list
        """
        words = split(line)
        command = _COMMANDS.get(words[0]) if words and cell is None else None
        if command is not None:
            return command(words[1:], self.shell)
        if "-h" in words or "--help" in words:
            print(inspect.getdoc(type(self).flaskserve))
        elif cell is not None:
            self._serve_cell(words, cell)
        elif not words:
            self._show()
        elif words[0] == "list":
            self._list(words[1:])
        elif words[0] == "stop":
            self._stop(words[1:])
        elif words[0] == "serve":
            self._serve(words[1:])
        else:
            self._serve(words)
        return None

    def _show(self) -> None:
        for mount in mounts():
            mount.show()
        if not mounts():
            print(f"This notebook serves nothing yet. To serve an app: {self._example()}")

    def _serve(self, words: list[str]) -> None:
        arguments, rest = _SERVE.parse_known_args(words)
        options = vars(arguments)
        variable = options.pop("variable", None)
        if variable is None:
            raise UsageError(f"Which app? Name its variable: {self._example()}")
        app = self._value(variable)
        if rest:
            refuse_option(rest[0], _SERVE_OPTIONS)
            raise UsageError(
                f"{rest[0]!r} is one word too many. To give the app a name:"
                f" %flaskserve {variable} --name {label(rest[0]) or 'demo'}"
            )
        _serve_value(app, variable, options)

    def _serve_cell(self, words: list[str], cell: str) -> None:
        """Run a cell, then serve the one app that it speaks of."""
        arguments, rest = _SERVE.parse_known_args(words)
        options = vars(arguments)
        variable = options.pop("variable", None)
        if rest:
            refuse_option(rest[0], _SERVE_OPTIONS)
            raise UsageError(f"{rest[0]!r} is one word too many.")
        shell: Any = self.shell
        if not shell.run_cell(cell).success:
            print("Nothing was served, because the cell failed.")
            return
        if variable is None:
            variable = self._app_of(cell)
        _serve_value(self._value(variable), variable, options)

    def _app_of(self, cell: str) -> str:
        """The variable that holds the one app a cell speaks of."""
        namespace = self.shell.user_ns
        shell: Any = self.shell
        names = names_in(shell.transform_cell(cell))
        apps = app_variables({name: namespace[name] for name in namespace if name in names})
        flask_apps = [name for name in apps if is_flask(namespace[name])]
        found = flask_apps or apps
        if not found:
            raise UsageError(
                "This cell has no Flask app to serve. Make one in it, such as"
                " app = Flask(__name__), or name its variable: %%flaskserve app"
            )
        if len(found) > 1:
            raise UsageError(
                f"This cell has {len(found)} apps: {', '.join(found)}."
                f" Say which one: %%flaskserve {found[0]}"
            )
        return found[0]

    def _stop(self, words: list[str]) -> None:
        arguments, rest = _STOP.parse_known_args(words)
        if rest:
            refuse_option(rest[0], _STOP_OPTIONS)
            raise UsageError("%flaskserve stop takes one name, or --all.")
        held = {mount.name: mount for mount in mounts()}
        names = ", ".join(held)
        if arguments.name is not None:
            if arguments.all:
                raise UsageError("Give the name of a mount or --all, not both.")
            if arguments.name not in held:
                served = f"It serves: {names}." if held else "It serves nothing."
                raise UsageError(f"This notebook does not serve {arguments.name}. {served}")
            held = {arguments.name: held[arguments.name]}
        elif len(held) > 1 and not arguments.all:
            raise UsageError(
                f"Which one? This notebook serves: {names}."
                " Write %flaskserve stop NAME, or %flaskserve stop --all."
            )
        for mount in held.values():
            mount.stop()
        print(f"Stopped: {', '.join(held)}." if held else "This notebook serves nothing.")

    def _list(self, words: list[str]) -> None:
        if words:
            raise UsageError("%flaskserve list takes no name and no option.")
        home = known_home()
        records = sorted(_live_records(home.server), key=lambda r: r.name) if home else []
        if home and records:
            table = {"text/plain": _as_text(home, records), "text/html": _as_html(home, records)}
            display(table, raw=True)  # type: ignore[no-untyped-call]
        else:
            print(f"No notebook serves anything yet. To serve an app: {self._example()}")

    def _value(self, path: str) -> Any:
        """What a variable's name, or a dotted name, stands for."""
        first, *attributes = path.split(".")
        if not all(part.isidentifier() for part in (first, *attributes)):
            raise UsageError(
                "%flaskserve takes a variable, such as app or course.app, and no other expression."
                " Assign the app to a variable in a line before."
            )
        if first not in self.shell.user_ns:
            self._refuse_variable(first)
        value = self.shell.user_ns[first]
        for number, attribute in enumerate(attributes, 1):
            try:
                value = getattr(value, attribute)
            except AttributeError:
                owner = ".".join((first, *attributes)[:number])
                apps = app_variables(vars(value)) if type(value) is ModuleType else []
                advice = f" Its apps are: {', '.join(apps)}." if apps else ""
                raise UsageError(f"{owner} has no attribute {attribute}.{advice}") from None
        return value

    def _refuse_variable(self, name: str) -> NoReturn:
        apps = app_variables(self.shell.user_ns)
        near = difflib.get_close_matches(name, apps, n=1) or difflib.get_close_matches(
            name, _SUBCOMMANDS, n=1, cutoff=0.8
        )
        if near:
            advice = f"There is no variable {name}. Did you mean: %flaskserve {near[0]}"
        elif apps:
            advice = f"There is no variable {name}. The apps here are: {', '.join(apps)}."
        else:
            advice = (
                f"There is no variable {name}, and no app yet."
                " Run the cell that makes it, then this one again."
            )
        raise UsageError(advice)

    def _example(self) -> str:
        return f"%flaskserve {next(iter(app_variables(self.shell.user_ns)), 'app')}"

    @context_matcher(identifier="flaskserve")  # type: ignore[untyped-decorator]
    def complete(self, context: CompletionContext) -> dict[str, object]:
        """Complete a ``%flaskserve`` line: a matcher for IPython's completer."""
        completions: list[SimpleCompletion] = []
        line = re.fullmatch(r"\s*%flaskserve\s+([^#]*)", context.text_until_cursor)
        if line is not None:
            *before, word = re.split(r"\s+", line[1])
            choices = self._choices(before, word)
            completions = [choice for choice in choices if choice.text.startswith(word)]
        # Suppressing the other matchers has an effect only where there are completions.
        return {"completions": completions, "suppress": True, "ordered": True}

    def _choices(self, before: list[str], word: str) -> Iterator[SimpleCompletion]:
        """What may stand at ``word`` after the words ``before`` it."""
        if not before:
            yield from _completions("instance", self._apps_near(word))
            yield from _completions("keyword", _SUBCOMMANDS)
            if word:
                yield from _completions("param", (*_SERVE_OPTIONS, "--help"))
        elif before[0] == "stop":
            if len(before) == 1:
                yield from _completions("instance", (mount.name for mount in mounts()))
                yield from _completions("param", _STOP_OPTIONS)
        elif before[0] != "list":
            words = before[1:] if before[0] == "serve" else before
            if words and words[-1] == "--name":
                yield from _completions("instance", (mount.name for mount in mounts()))
            elif words and words[-1] == "--transport":
                yield from _completions("keyword", TRANSPORTS)
            elif not words or words[-1] != "--threads":
                values = [
                    w
                    for last, w in zip(["", *words], words, strict=False)
                    if last not in _SERVE_OPTIONS
                ]
                if all(value.startswith("-") for value in values):
                    yield from _completions("instance", self._apps_near(word))
                yield from _completions("param", (o for o in _SERVE_OPTIONS if o not in words))

    def _apps_near(self, word: str) -> list[str]:
        """The apps among the variables or, after a module's name and a dot, in that module."""
        *path, _ = word.split(".")
        namespace = self.shell.user_ns
        for part in path:
            module = namespace.get(part)
            if type(module) is not ModuleType:
                return []
            namespace = vars(module)
        return [".".join((*path, name)) for name in app_variables(namespace)]


def _serve_value(app: Any, variable: str, options: dict[str, Any]) -> None:
    try:
        mount = serve(app, variable=variable, **options)
    except ServeError as error:
        raise UsageError(str(error)) from None
    mount.show()
    if mount.notice:
        print(mount.notice)


# The commands that have a module of their own.
_COMMANDS: dict[str, Callable[[list[str], InteractiveShell], object]] = {
    "request": request,
    "log": log,
    "debug": debug,
}
_SUBCOMMANDS = ("list", "stop", "serve", *_COMMANDS)
_SERVE_OPTIONS = ("--name", "--threads", "--transport", "--reload", "--main-thread")
_STOP_OPTIONS = ("--all",)


# What is not given is left out, so that the defaults are those of serve().
_SERVE = Parser(add_help=False, argument_default=SUPPRESS)
_SERVE.add_argument("variable", nargs="?")
_SERVE.add_argument("--name")
_SERVE.add_argument("--threads", type=whole_number)
_SERVE.add_argument("--transport")
_SERVE.add_argument("--reload", action="store_true")
_SERVE.add_argument("--main-thread", action="store_true")

_STOP = Parser(add_help=False)
_STOP.add_argument("name", nargs="?")
_STOP.add_argument("--all", action="store_true")


def _completions(kind: str, texts: Iterable[str]) -> Iterator[SimpleCompletion]:
    return (SimpleCompletion(text, type=kind) for text in texts)


def _live_records(server: str) -> Iterator[MountRecord]:
    """The mounts of all kernels of a server."""
    return (r for r in read_all() if r.server == server and is_live(r))


def _as_text(home: Home, records: Iterable[MountRecord]) -> str:
    rows = [("NAME", "ADDRESS", "NOTEBOOK")]
    rows += [
        (r.name, home.url_of(r.path_under(home.base_url)), os.path.basename(r.notebook) or "-")
        for r in records
    ]
    name_width, address_width = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(
        f"{name:{name_width}}  {address:{address_width}}  {notebook}"
        for name, address, notebook in rows
    )


def _as_html(home: Home, records: Iterable[MountRecord]) -> str:
    rows = []
    for record in records:
        path = html.escape(record.path_under(home.base_url))
        rows.append(
            f"<tr><td><b>{record.name}</b></td>"
            f'<td><a href="{path}" target="_blank" rel="noopener">{path}</a></td>'
            f"<td>{html.escape(os.path.basename(record.notebook)) or '-'}</td></tr>"
        )
    heading = "<tr><th>Name</th><th>Address</th><th>Notebook</th></tr>"
    return f"<table><thead>{heading}</thead><tbody>{''.join(rows)}</tbody></table>"
