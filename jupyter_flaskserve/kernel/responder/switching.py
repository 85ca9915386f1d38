"""How long a thread may keep the interpreter while another waits for it.

CPython takes the interpreter from a thread that computes once another has waited for one switch
interval. By default that is 5 ms, and beside a cell that computes, this wait is most of what a
small request takes. While an app is served it is 2 ms. A cell that nobody asks anything meanwhile
computes as fast as before. Where requests come all the time it computes less, as more of them are
answered. With 1 ms, a crowd of requests beside a cell that holds the interpreter in C for 50 ms at
a time would wait two to four times as long: fewer are answered before the cell has it again.

It is one setting of the whole process, so another interval that somebody sets stays.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["BRISK", "DEFAULT", "brisk_switching"]

DEFAULT = 0.005
"""CPython's own switch interval, in seconds."""

BRISK = 0.002
"""The switch interval while an app is served, in seconds."""

_lock = threading.Lock()  # guards the two below
_users = 0  # responders that accept links
_changed = False  # whether the interval is of our making


@contextlib.contextmanager
def brisk_switching() -> Iterator[None]:
    """Switch threads after :data:`BRISK` seconds until the last user leaves.

    An interval that is not the default when the first user comes is left alone. So is one that is
    not ours when the last leaves (``sys.setswitchinterval``).
    """
    global _users, _changed
    with _lock:
        _users += 1
        if _users == 1 and sys.getswitchinterval() == DEFAULT:
            _changed = True  # first, for a child that is forked in between
            sys.setswitchinterval(BRISK)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _restore()


def _restore() -> None:
    """Undo what was ours. Under the lock, or in a new child."""
    global _changed
    if _changed and sys.getswitchinterval() == BRISK:
        sys.setswitchinterval(DEFAULT)
    _changed = False


def _start_anew() -> None:
    """In a child process made by ``fork``: it has no users, whose threads stay with its parent."""
    global _lock, _users
    _lock = threading.Lock()  # another thread may have held it
    _users = 0
    _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
