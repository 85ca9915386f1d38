"""``%flaskserve debug``: the post-mortem debugger on a request that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ..exchanges.exchanges import Exchange, Exchanges
from ..exchanges.post_mortem import open_debugger
from ..mount import mounts
from .line import Command, Parser, choose_mount

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["DEBUG"]

_PARSER = Parser(add_help=False)
_PARSER.add_argument("words", nargs="*")


def debug(words: list[str], shell: InteractiveShell) -> None:
    """Open the debugger on a request that failed, with its request, session and g.

    Examples::

        %flaskserve debug          the request that failed last
        %flaskserve debug 7        request #7
        %flaskserve debug demo     of the app demo, where the notebook serves several
        %flaskserve debug demo 7   request #7 of the app demo

    %flaskserve log shows the numbers. Write q to leave the debugger.
    """
    arguments, _ = _PARSER.parse(words)
    name, number = _name_and_number(arguments.words)
    mount = choose_mount(name, "%flaskserve debug")
    open_debugger(shell, _failed(mount.requests, mount.name, number))


DEBUG = Command(debug, _PARSER, takes_mount=True)


def _name_and_number(words: list[str]) -> tuple[str | None, int | None]:
    """What the words say. A number may be a mount's name, too."""
    names = [mount.name for mount in mounts()]
    if len(words) == 1 and (words[0] in names or not _is_number(words[0])):
        return words[0], None
    if len(words) > 2 or not all(_is_number(word) for word in words[-1:]):
        raise UsageError(
            "%flaskserve debug takes a name and the number of a request, as in"
            f" %flaskserve debug {(names or ['demo'])[0]} 7"
        )
    name = words[0] if len(words) == 2 else None
    return name, int(words[-1].removeprefix("#")) if words else None


def _is_number(word: str) -> bool:
    return word.removeprefix("#").isdecimal()


def _failed(exchanges: Exchanges, name: str, number: int | None) -> Exchange:
    kept = exchanges.failures
    numbers = ", ".join(f"#{exchange.number}" for exchange in kept)
    if number is None:
        if not kept:
            raise UsageError(f"No request of {name} has failed.")
        return kept[-1]
    exchange = exchanges.numbered(number)
    failed = f" Those that failed last: {numbers}." if kept else ""
    if exchange is None:
        raise UsageError(f"{name} has no request #{number} among the latest ones.{failed}")
    if not exchange.failed:
        raise UsageError(
            f"Request #{number} of {name} ({exchange.method} {exchange.path}) has not failed."
            + failed
        )
    if exchange.failure is None:
        raise UsageError(
            f"What request #{number} of {name} raised ({exchange.failed}) is no longer kept."
            + failed
        )
    return exchange
