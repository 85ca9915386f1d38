"""``%flaskserve routes``, ``requests`` and ``preview``: one panel of an app on its own."""

from __future__ import annotations

from IPython.core.error import UsageError

from ..mount import Mount
from ..panels import is_notebook, show
from .line import Command, Parser, choose_mount

__all__ = ["PANELS"]

_PARSER = Parser(add_help=False)
_PARSER.add_argument("name", nargs="?")


def show_routes(words: list[str], shell: object) -> None:
    """Show an app's routes: what there is, which one matches, and forms to try them.

    Examples::

        %flaskserve routes         of the app, where only one is served
        %flaskserve routes demo    of one of several
    """
    mount = _mount("routes", words)
    show(mount.routes_panel)


def show_requests(words: list[str], shell: object) -> None:
    """Show the requests to an app and what came of them, as they come.

    Examples::

        %flaskserve requests         to the app, where only one is served
        %flaskserve requests demo    to one of several
    """
    mount = _mount("requests", words)
    show(mount.requests_panel)


def show_preview(words: list[str], shell: object) -> None:
    """Show an app's pages in a frame.

    Examples::

        %flaskserve preview         of the app, where only one is served
        %flaskserve preview demo    of one of several
    """
    mount = _mount("preview", words)
    show(mount.preview_panel)


def _mount(command: str, words: list[str]) -> Mount:
    """The mount that is meant.

    :raises UsageError: it is not clear which, or there is no notebook to show a panel in.
    """
    arguments, rest = _PARSER.parse(words)
    if rest:
        raise UsageError(f"%flaskserve {command} takes the name of one app.")
    mount = choose_mount(arguments.name, f"%flaskserve {command}")
    if not is_notebook():
        raise UsageError("Panels are shown in notebooks only. Here, try %flaskserve log.")
    return mount


PANELS = {
    "routes": Command(show_routes, _PARSER, takes_mount=True),
    "requests": Command(show_requests, _PARSER, takes_mount=True),
    "preview": Command(show_preview, _PARSER, takes_mount=True),
}
