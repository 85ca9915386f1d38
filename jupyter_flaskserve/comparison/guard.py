"""Ends what a comparison has started when the kernel is gone. Run as a program, by its path.

It reads its standard input, of which the kernel holds the other end: ``add PGID`` and ``drop
PGID``, a line each, name the process groups that run. When the input ends, because the kernel
closed it or died, however it died, those groups are ended and the directory is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE = 3.0  # seconds that servers have to end by themselves


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


def main(directory: str) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        order, _, group = line.strip().partition(" ")
        if order == "add":
            groups.append(int(group))
        elif int(group) in groups:
            groups.remove(int(group))
    end(groups[::-1])
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
