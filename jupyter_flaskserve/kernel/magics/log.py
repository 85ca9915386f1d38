"""``%flaskserve log``: what views printed and logged, request by request."""

from __future__ import annotations

import contextlib
import time

from IPython.core.error import UsageError

from ..exchanges.exchanges import Exchange
from ..middleware.main_thread import wait
from ..mount import Mount
from .line import Command, Parser, choose_mount

__all__ = ["LOG"]

_SHOWN = 100  # requests that are shown of those that were before
_PAUSE = 0.2  # seconds between two looks
_INDENT = "    "

_PARSER = Parser(add_help=False)
_PARSER.add_argument("name", nargs="?")
_PARSER.add_argument("-f", "--follow", action="store_true")


def log(words: list[str], shell: object) -> None:
    """Show the latest requests, and what their views printed and logged.

    Examples::

        %flaskserve log        what has been
        %flaskserve log -f     go on with what comes
        %flaskserve log demo   of the app demo, where the notebook serves several

    Options:

      -f, --follow  Go on with what comes, until the cell is interrupted or the app stopped.
    """
    arguments, rest = _PARSER.parse(words)
    if rest:
        raise UsageError("%flaskserve log takes one name, and -f to go on with what comes.")
    mount = choose_mount(arguments.name, "%flaskserve log")
    view = _View(mount)
    if not mount.requests:
        print(f"{mount.name} has had no request yet: {mount.link}")
    if not arguments.follow:
        view.show()
        return
    with contextlib.suppress(KeyboardInterrupt):
        while not mount.stopped:
            view.show(follow=True)
            wait(_PAUSE)
        view.show(follow=True)
        print(f"{mount.name} has been stopped.")


LOG = Command(log, _PARSER, takes_mount=True)


class _View:
    """What has been shown of a mount's log so far."""

    def __init__(self, mount: Mount) -> None:
        self._requests = mount.requests
        self._shown: dict[Exchange, int] = {}  # of those still open: characters of their output
        self._headed: Exchange | None = None  # the exchange that was shown last
        self._next = 1  # the number of the first exchange that is not in _shown and not done
        kept = list(self._requests)
        if len(kept) > _SHOWN:
            self._next = kept[-_SHOWN].number
            print(f"… {self._next - 1} requests before\n")

    def show(self, *, follow: bool = False) -> None:
        """Show what is new.

        :param follow: whether what is open is looked at again. Then its output is shown line by
            line, from the second look on: most requests have ended by then, and are shown once. A
            request without output is shown when it has ended.
        """
        for exchange in [*self._shown, *self._new()]:
            ended = exchange.duration is not None  # asked first, so that nothing comes after
            if follow and not ended and exchange not in self._shown:
                self._shown[exchange] = 0
                continue
            start = self._shown.get(exchange, 0)
            found, text = exchange.output_from(start)
            if follow and not ended:
                text = text[: text.rfind("\n") + 1]
            if text or ended or not follow:
                self._head(exchange, ended)
                if found > start:
                    print(f"{_INDENT}… [{found - start} characters before]")
                for line in text.splitlines():
                    print(_INDENT + line)
            if ended:
                self._shown.pop(exchange, None)
            else:
                self._shown[exchange] = found + len(text)

    def _new(self) -> list[Exchange]:
        found = [exchange for exchange in list(self._requests) if exchange.number >= self._next]
        if found:
            self._next = found[-1].number + 1
        return found

    def _head(self, exchange: Exchange, ended: bool) -> None:
        if self._headed is exchange and not ended:
            return
        self._headed = exchange
        clock = time.strftime("%H:%M:%S", time.localtime(exchange.started))
        parts = [clock, f"#{exchange.number}", f"{exchange.method} {exchange.masked_path}"]
        if exchange.status is not None:
            parts.append(str(exchange.status))
        parts.append(f"{exchange.duration * 1000:.1f} ms" if exchange.duration else "open")
        print("  ".join(parts))
