"""What an HTTP header line may look like. Both sides ask here."""

from __future__ import annotations

import re

__all__ = ["FIELD_LINE", "FIELD_NAME", "NOT_IN_VALUE", "content_length"]

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CONTROLS = r"\x00-\x08\x0a-\x1f\x7f"

FIELD_NAME = re.compile(_NAME)
"""A whole header name (RFC 9110 §5.1)."""

NOT_IN_VALUE = re.compile(rf"[{_CONTROLS}]")
"""What a header's value, or a reason, must not have anywhere: control characters other than a tab
(RFC 9110 §5.5)."""

FIELD_LINE = rf"{_NAME}:[^{_CONTROLS}]*"
"""The pattern of a whole header line."""

_LENGTH = re.compile(r"[0-9]{1,19}")


def content_length(value: str) -> int | None:
    """The number of bytes that a ``Content-Length`` gives (RFC 9110 §8.6), or ``None`` where it is
    not a number, or a number of more bytes than there are."""
    return int(value) if _LENGTH.fullmatch(value) else None
