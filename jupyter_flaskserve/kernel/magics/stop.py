"""``%flaskserve stop``: stop what this notebook serves."""

from __future__ import annotations

from IPython.core.error import UsageError

from ..mount import mounts
from .line import Command, Parser, choose_mount

__all__ = ["STOP"]

_PARSER = Parser(add_help=False)
_PARSER.add_argument("name", nargs="?")
_PARSER.add_argument("--all", action="store_true")


def stop(words: list[str], shell: object) -> None:
    """Stop serving an app of this notebook.

    Examples::

        %flaskserve stop         stop the app, where only one is served
        %flaskserve stop demo    stop one of several
        %flaskserve stop --all   stop all that this notebook serves

    Requests that are being answered have five seconds to end.

    Options:

      --all  All that this notebook serves.
    """
    arguments, rest = _PARSER.parse(words)
    if rest:
        raise UsageError("%flaskserve stop takes one name, or --all.")
    if not arguments.all:
        chosen = [choose_mount(arguments.name, "%flaskserve stop --all, or %flaskserve stop")]
    elif arguments.name is None:
        chosen = mounts()
    else:
        raise UsageError("Give the name of a mount or --all, not both.")
    for mount in chosen:
        mount.stop()
    names = ", ".join(mount.name for mount in chosen)
    print(f"Stopped: {names}." if chosen else "This notebook serves nothing.")


STOP = Command(stop, _PARSER, takes_mount=True)
