"""Ends what a comparison has started when the kernel is gone. Run as a program, by its path.

It reads its standard input, of which the kernel holds the other end. Each line is an order:

- ``add PGID`` and ``drop PGID`` name the process groups that run.
- ``delete REQUEST`` and ``forget REQUEST`` name something that one request to Jupyter Server
  deletes: its URL and header fields, as JSON.
- ``end`` is the last one.

When that has come, or the input ends, or the kernel dies, however it dies, what is named is ended
and deleted, and the directory is removed. A child of the kernel may hold the other end of the input
open for longer than the kernel lives, so it is also watched who this process's parent is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator

GRACE = 3.0  # seconds that servers have to end by themselves

_LOOK = 0.5  # seconds after which it is looked whether the parent is there
_DELETE_SECONDS = 10.0


def is_running(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(groups: list[int], grace: float = GRACE) -> None:
    """End process groups: ask, wait, then kill.

    :param grace: how long to wait, in seconds.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in filter(is_running, groups):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        deadline = time.monotonic() + grace
        while any(map(is_running, groups)) and time.monotonic() < deadline:
            time.sleep(0.02)


def delete(request: str) -> None:
    """Have something deleted; if it cannot be, or is not there any more, nothing happens.

    :param request: ``{"url": …, "headers": …}``.
    """
    from urllib.request import Request, urlopen  # seldom needed, and it takes a while

    given = json.loads(request)
    with contextlib.suppress(OSError):
        urlopen(  # noqa: S310  the address is the kernel's own server's
            Request(given["url"], method="DELETE", headers=given["headers"]),  # noqa: S310
            timeout=_DELETE_SECONDS,
        ).close()


def orders(parent: int) -> Iterator[tuple[str, str]]:
    """The orders that come, until there will be no more.

    :param parent: the process that gives them.
    """
    given = b""
    while True:
        is_gone = os.getppid() != parent
        if not select.select([0], [], [], 0 if is_gone else _LOOK)[0]:
            if is_gone:  # and all that it had said has been read
                return
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *lines, given = (given + data).split(b"\n")
        for line in lines:
            order, _, rest = line.decode().partition(" ")
            if order == "end":
                return
            yield order, rest


def main(directory: str, parent: str) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    named: dict[str, list[str]] = {"add": [], "delete": []}
    for order, rest in orders(int(parent)):
        if order in named:
            named[order].append(rest)
        else:
            of = named["add" if order == "drop" else "delete"]
            if rest in of:
                of.remove(rest)
    end([int(group) for group in reversed(named["add"])])
    for request in named["delete"]:
        delete(request)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
