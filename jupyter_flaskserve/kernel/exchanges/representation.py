"""The ``repr`` of a variable for people: short, without secrets, and never a failure."""

from __future__ import annotations

import contextlib
import reprlib
import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from itertools import islice
from typing import Any

from . import masking

__all__ = ["LATE", "masked_repr", "within"]

LATE = "… took too long to show …"
"""What stands for the ``repr`` of a variable that was not made in time."""

_LENGTH = 400  # characters of one repr
_READ = 20_000  # characters of an object's own repr that are looked through for secrets
_FAILED = "<{} whose repr failed: {}>"


def masked_repr(name: str, value: object, *, reveal: bool = False) -> tuple[str, bool]:
    """A variable as text, and whether something in it is masked.

    Values under a secret name are masked in dictionaries, and in what the ``repr`` of an object
    gives as ``name=value`` or ``'name': value``. Not in what an object's own ``repr`` shows without
    a name, such as the second field of ``Login('ada', 'hunter2')``.

    :param name: the variable's name.
    :param reveal: whether secrets are shown.
    """
    if not reveal and masking.is_secret(name) and value is not None:
        return masking.MASK, True
    short = _Short(reveal=reveal)
    try:
        text = short.repr(value)
    except BaseException as error:  # whatever a repr does, even SystemExit, is no failure of ours
        text = _FAILED.format(type(value).__name__, type(error).__name__)
    is_cut = len(text) > _LENGTH
    shown = text if reveal else masking.mask_text(text[:_READ])
    masked = short.has_masked or (not reveal and shown != text[:_READ])
    return (shown[:_LENGTH] + "…" if is_cut or len(shown) > _LENGTH else shown), masked


def within(seconds: float, work: Callable[[], object]) -> None:
    """Do something in a thread of its own, and wait for it so long at the most. What takes longer
    goes on, and nobody waits for it. What it prints is the caller's."""
    run = copy_context().run
    thread = threading.Thread(target=run, args=(work,), name="flaskserve variables", daemon=True)
    with contextlib.suppress(RuntimeError):  # the system has no more threads
        thread.start()
        thread.join(seconds)


class _Short(reprlib.Repr):
    """Cuts at the end only, so that no rest of a secret is left, and sorts nothing, because that
    may take long.

    :ivar has_masked: whether a value was masked.
    """

    def __init__(self, *, reveal: bool) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 20
        self.maxdeque = self.maxarray = 20
        self._reveal = reveal
        self.has_masked = False

    def repr1(self, x: Any, level: int) -> str:
        kind = type(x)  # and not isinstance, which asks a proxy such as flask.request
        if issubclass(kind, dict):
            return self.repr_dict(x, level)
        if issubclass(kind, str):
            return self.repr_str(x, level)
        if issubclass(kind, (bytes, bytearray)):
            return repr(x[:_LENGTH])
        if kind is set or kind is frozenset:
            return self._items(x, level, "{", "}")
        if issubclass(kind, list):
            return self._items(x, level, "[", "]")
        if kind is tuple:
            return self._items(x, level, "(", ",)" if len(x) == 1 else ")")
        return super().repr1(x, level)

    def repr_str(self, x: str, level: int) -> str:
        return str.__repr__(x[:_LENGTH])

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        parts = []
        if level <= 0 and x:
            return "{…}"
        for key, value in islice(dict.items(x), self.maxdict):
            if not self._reveal and isinstance(key, str) and masking.is_secret(key):
                shown = repr(masking.MASK)
                self.has_masked = True
            else:
                shown = self.repr1(value, level - 1)
            parts.append(f"{self.repr1(key, level - 1)}: {shown}")
        more = ["…"] if len(x) > self.maxdict else []
        return "{" + ", ".join(parts + more) + "}"

    def _items(self, x: Iterable[Any], level: int, left: str, right: str) -> str:
        if level <= 0:
            return f"{left}…{right}"
        parts = [self.repr1(item, level - 1) for item in islice(x, self.maxlist + 1)]
        if len(parts) > self.maxlist:
            parts[-1] = "…"
        return left + ", ".join(parts) + right

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 4000 else f"<int of {x.bit_length()} bits>"

    def repr_instance(self, x: object, level: int) -> str:
        try:
            return repr(x)[:_READ]
        except Exception as error:
            return _FAILED.format(type(x).__name__, type(error).__name__)
