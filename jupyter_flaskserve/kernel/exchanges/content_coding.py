"""Bodies without their content coding (RFC 9110 §8.4.1), for people to read."""

from __future__ import annotations

import zlib

__all__ = ["decode"]

# What zlib calls the formats: gzip; deflate as it should be; deflate as some servers send it.
_FORMATS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


def decode(data: bytes, coding: str, limit: int) -> bytes | None:
    """A body as it was before its content coding.

    :param data: the body, which may have been cut.
    :param coding: the value of ``Content-Encoding``, or an empty string.
    :param limit: how many bytes of the result are wanted, from its beginning.
    :returns: the bytes; ``None`` where the coding is not known or is not that of the body.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return data[:limit]
    for window in _FORMATS.get(coding, ()):
        try:
            return zlib.decompressobj(window).decompress(data, limit) if limit else b""
        except zlib.error:
            continue
    return None
