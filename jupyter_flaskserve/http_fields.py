"""What an HTTP header line may look like. Both sides ask here."""

from __future__ import annotations

import re

__all__ = ["FIELD_NAME", "NOT_IN_VALUE", "content_length"]

FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A whole header name (RFC 9110 §5.1)."""

NOT_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What a header's value, or a reason, must not have anywhere: control characters other than a tab
(RFC 9110 §5.5)."""

_LENGTH = re.compile(r"[0-9]{1,19}")


def content_length(value: str) -> int | None:
    """The number of bytes that a ``Content-Length`` gives (RFC 9110 §8.6), or ``None`` where it is
    not a number, or a number of more bytes than there are."""
    return int(value) if _LENGTH.fullmatch(value) else None
