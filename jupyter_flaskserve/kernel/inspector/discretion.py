"""What of one answer is masked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from ..exchanges import masking
from ..exchanges.representation import masked_repr

__all__ = ["Discretion", "Field"]

Value = TypeVar("Value")

Field = tuple[str, str, bool]
"""A name, a value, and whether the value is masked."""


class Discretion:
    """Masks secrets in one answer, unless they were asked for.

    :param reveal: whether they were.
    :ivar found: whether there have been any so far, masked or not.
    """

    def __init__(self, reveal: bool) -> None:
        self.reveal = reveal
        self.found = False

    def fields(self, pairs: Iterable[tuple[str, str]], *, every: bool = False) -> list[Field]:
        """Names and values.

        :param every: whether all values are secret, as those of cookies are.
        """
        known = list(pairs)
        return self._choose(known, masking.mask_pairs(known, every=every))

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[Field]:
        """Header lines."""
        known = list(headers)
        return self._choose(known, masking.mask_headers(known))

    def variable(self, name: str, value: object) -> str:
        """The ``repr`` of what has a name."""
        masked, is_masked = masked_repr(name, value)
        self.found = self.found or is_masked
        return masked_repr(name, value, reveal=True)[0] if self.reveal else masked

    def choose(self, plain: Value, masked: Value) -> Value:
        """What holds secrets, or the same without them."""
        self.found = self.found or plain != masked
        return plain if self.reveal else masked

    def body(self, data: bytes, content_type: str) -> bytes:
        """A body without content coding."""
        return self.choose(data, masking.mask_body(data, content_type))

    def _choose(self, known: list[tuple[str, str]], masked: list[Field]) -> list[Field]:
        self.found = self.found or any(is_masked for _, _, is_masked in masked)
        return [(name, value, False) for name, value in known] if self.reveal else masked
