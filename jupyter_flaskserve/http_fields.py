"""What an HTTP header line may look like. Both sides ask here."""

from __future__ import annotations

import re

__all__ = ["FIELD_NAME", "NOT_IN_VALUE", "content_length"]

FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A whole header name (RFC 9110 §5.1)."""

NOT_IN_VALUE = re.compile(r"[\x00\r\n]")
"""What a header's value must not have anywhere (RFC 9110 §5.5)."""


def content_length(value: str) -> int | None:
    """The number of bytes that a ``Content-Length`` gives (RFC 9110 §8.6), or ``None`` where it is
    not a number."""
    return int(value) if value.isascii() and value.isdigit() else None
