"""``%flaskserve`` in IPython: the magic, its commands, and their completion."""

from __future__ import annotations

import inspect
import re
from argparse import SUPPRESS
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    context_matcher,
)
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ...records import label
from ..apps import app_variables, is_flask
from ..cells.runs import Run, current_run
from ..mount import ServeError, mounts, serve
from ..responder.listener import TRANSPORTS
from .compare import COMPARE, server_names
from .debug import DEBUG
from .export import EXPORT
from .line import Command, Parser, example, split, whole_number
from .listing import LIST
from .log import LOG
from .panels import PANELS
from .request import REQUEST
from .stop import STOP
from .variables import value_of

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
            %flaskserve app --no-panel      serve it and show the line alone
            %flaskserve routes              show the app's routes in a panel of their own
            %flaskserve requests demo       show the requests to one of several apps
            %flaskserve preview             show the app's pages in a frame
            %flaskserve request /users/7    send a request and show the answer
            %flaskserve log                 show what views printed and logged
            %flaskserve debug               open the debugger on the request that failed last
            %flaskserve compare app         start Gunicorn, nginx, Apache … and see who does what
            %flaskserve export              write a project that runs without Jupyter
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
          --no-panel      Show the app's line without the panels below it.
          --transport T   How the server reaches the app: unix, a Unix domain socket, which is the
                          default where there are any, or tcp, the loopback with a secret.
          --all           With stop: all that this notebook serves.
          -h, --help      Show this text or, after a command, what it does.

        More about a command: %flaskserve request -h

        An app in a variable named list, stop, serve, request, routes, requests, preview, log,
        debug, compare or export:
        %flaskserve serve list
        """
        words = split(line)
        command = _COMMANDS.get(words[0]) if words and cell is None else None
        if "-h" in words or "--help" in words:
            print(inspect.getdoc(command.run if command else type(self).flaskserve))
        elif command is not None:
            return command.run(words[1:], self.shell)
        elif cell is not None:
            self._serve_cell(words, cell)
        elif words:
            serve_variable(words, self.shell)
        else:
            self._show()
        return None

    def _show(self) -> None:
        served = mounts()
        for mount in served:
            mount.show(panel=len(served) == 1)
        if not served:
            print(f"This notebook serves nothing yet. To serve an app: {example(self.shell)}")

    def _serve_cell(self, words: list[str], cell: str) -> None:
        """Run a cell, then serve the one app that it defines or mentions."""
        arguments, rest = _PARSER.parse(words)
        options = vars(arguments)
        variable = options.pop("variable", None)
        if rest:
            raise UsageError(f"{rest[0]!r} is one word too many.")
        shell: Any = self.shell
        if not shell.run_cell(cell).success:
            run = current_run()
            if run is not None:
                run.failed = True
            print("Nothing was served, because the cell failed.")
            return
        if variable is None:
            variable = self._app_of(cell)
        _serve_value(value_of(variable, self.shell, _COMMANDS), variable, options)

    def _app_of(self, cell: str) -> str:
        """The variable that holds the one app a cell mentions."""
        namespace = self.shell.user_ns
        shell: Any = self.shell
        names = Run(cell, None, shell.transform_cell).names
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

    @context_matcher(identifier="flaskserve")  # type: ignore[untyped-decorator]
    def complete(self, context: CompletionContext) -> dict[str, object]:
        """Complete a ``%flaskserve`` line: a matcher for IPython's completer."""
        completions: list[SimpleCompletion] = []
        line = re.fullmatch(r"\s*%flaskserve\s+([^#]*)", context.text_until_cursor)
        if line is not None:
            *before, word = re.split(r"\s+", line[1])
            choices = self._choices(before, word)
            # IPython completes what stands after the last comma.
            kept = word.rfind(",") + 1
            completions = [
                SimpleCompletion(choice.text[kept:], type=choice.type)
                for choice in choices
                if choice.text.startswith(word)
            ]
        # Suppressing the other matchers has an effect only where there are completions.
        return {"completions": completions, "suppress": True, "ordered": True}

    def _choices(self, before: list[str], word: str) -> Iterator[SimpleCompletion]:
        """What may stand at ``word`` after the words ``before`` it."""
        if not before:
            yield from _completions("instance", self._apps_near(word))
            yield from _completions("keyword", _COMMANDS)
            if word:
                yield from _completions("param", (*_SERVE.parser.options, "--help"))
            return
        command = _COMMANDS.get(before[0], _SERVE)
        words = before[1:] if before[0] in _COMMANDS else before
        if words and command.parser.takes_value(words[-1]):
            yield from _values(words[-1], word)
            return
        if command is STOP and words:
            return  # it takes a name or --all, not both
        if not _has_value_of_its_own(words, command):
            if command in (_SERVE, COMPARE):
                yield from _completions("instance", self._apps_near(word))
            if command is EXPORT:
                yield from _completions("instance", app_variables(self.shell.user_ns))
            if command.takes_mount:
                yield from _completions("instance", (mount.name for mount in mounts()))
            yield from _completions("keyword", command.first_words)
        yield from _completions("param", command.parser.options_left(words))
        if word:
            yield from _completions("param", ("--help",))

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


def serve_variable(words: list[str], shell: InteractiveShell) -> None:
    """Serve the app in a variable, also in one that has the name of a command.

    Examples::

        %flaskserve serve list                a variable named list
        %flaskserve serve list --name tasks   serve it under the name tasks

    The options are those of %flaskserve app, which %flaskserve -h shows.
    """
    arguments, rest = _PARSER.parse(words)
    options = vars(arguments)
    variable = options.pop("variable", None)
    if variable is None:
        raise UsageError(f"Which app? Name its variable: {example(shell)}")
    app = value_of(variable, shell, _COMMANDS)
    if rest:
        raise UsageError(
            f"{rest[0]!r} is one word too many. To give the app a name:"
            f" %flaskserve {variable} --name {label(rest[0]) or 'demo'}"
        )
    _serve_value(app, variable, options)


def _serve_value(app: Any, variable: str, options: dict[str, Any]) -> None:
    no_panel = options.pop("no_panel", False)
    try:
        mount = serve(app, variable=variable, **options)
    except ServeError as error:
        raise UsageError(str(error)) from None
    mount.show(panel=False)
    if mount.notice:
        print(mount.notice)
    if not no_panel:
        mount.show_panel()


# What is not given is left out, so that the defaults are those of serve().
_PARSER = Parser(add_help=False, argument_default=SUPPRESS)
_PARSER.add_argument("variable", nargs="?")
_PARSER.add_argument("--name")
_PARSER.add_argument("--threads", type=whole_number)
_PARSER.add_argument("--transport")
_PARSER.add_argument("--reload", action="store_true")
_PARSER.add_argument("--main-thread", action="store_true")
_PARSER.add_argument("--no-panel", action="store_true")

_SERVE = Command(serve_variable, _PARSER)

_COMMANDS = {
    "list": LIST,
    "stop": STOP,
    "serve": _SERVE,
    "request": REQUEST,
    **PANELS,
    "log": LOG,
    "debug": DEBUG,
    "compare": COMPARE,
    "export": EXPORT,
}


def _has_value_of_its_own(words: list[str], command: Command) -> bool:
    """Whether one of the words is neither an option nor an option's value."""
    return any(
        not word.startswith("-") and not command.parser.takes_value(last)
        for last, word in zip(["", *words], words, strict=False)
    )


def _values(option: str, word: str) -> Iterator[SimpleCompletion]:
    """What may follow an option, where ``word`` has begun."""
    if option == "--name":
        yield from _completions("instance", (mount.name for mount in mounts()))
    elif option == "--transport":
        yield from _completions("keyword", TRANSPORTS)
    elif option == "--only":
        before = word.rpartition(",")[0]
        given = before.split(",")
        names = (name for name in server_names() if name not in given)
        yield from _completions("keyword", (f"{before},{n}" if before else n for n in names))


def _completions(kind: str, texts: Iterable[str]) -> Iterator[SimpleCompletion]:
    return (SimpleCompletion(text, type=kind) for text in texts)
