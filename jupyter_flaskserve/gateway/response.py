"""The head of a CGI response (RFC 3875 §6), and how it becomes the head of an HTTP response."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from tornado.httputil import HTTPHeaders

from ..http_fields import FIELD_LINE, content_length
from .environ import HOP_BY_HOP

__all__ = ["HeadParser", "HeaderLines", "MalformedResponse", "ResponseHead", "parse_head"]

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(r"\r?\n")
_FIELDS = re.compile(rf"{FIELD_LINE}(?:\r?\n{FIELD_LINE})*")
_FIELD = re.compile(r"([^:\r\n]+):([^\r\n]*)")  # of what _FIELDS has matched
_STATUS = re.compile(r"(101|[2-9][0-9][0-9])(?: (.*))?")
_HEEDED = HOP_BY_HOP | {"status", "location", "content-length"}  # all others just pass


class MalformedResponse(ValueError):
    """The responder's answer does not begin with a CGI head."""


class ResponseHead(NamedTuple):
    """Status, reason and header lines, in the order in which the app gave them."""

    status: int
    reason: str
    headers: list[tuple[str, str]]


class HeadParser:
    """Finds the head at the start of a response's bytes.

    :param limit: the longest head to take, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = b""

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Take the next bytes.

        :returns: the head and the bytes of the body behind it, or ``None`` where more are needed.
        :raises MalformedResponse: these bytes are not a CGI head, or it is too long.
        """
        searched = max(len(self._data) - 3, 0)
        self._data = self._data + data if self._data else data
        end = _END_OF_HEAD.search(self._data, searched)
        if end is None:
            if len(self._data) > self._limit:
                raise MalformedResponse(f"its head is longer than {self._limit} bytes")
            return None
        if end.start() > self._limit:
            raise MalformedResponse(f"its head is longer than {self._limit} bytes")
        head = parse_head(self._data[: end.start()].decode("latin-1"))
        body = self._data[end.end() :]
        self._data = b""
        return head, body


def parse_head(text: str, *, keep_hop_by_hop: bool = False) -> ResponseHead:
    """Read the header lines of a response.

    :param keep_hop_by_hop: whether to keep what belongs to the hop (RFC 9110 §7.6.1).
    :raises MalformedResponse: these are not header lines, or they contradict each other.
    """
    if not _FIELDS.fullmatch(text):
        raise MalformedResponse(f"{_malformed_line(text)[:80]!r} is not a header line")
    status, reason = 200, "OK"
    found_status = False
    headers: list[tuple[str, str]] = []
    length = None
    of_this_hop: set[str] = set()
    for name, value in _FIELD.findall(text):
        value = value.strip(" \t")
        lower = name.lower()
        if lower not in _HEEDED:
            headers.append((name, value))
            continue
        if lower == "status" and not found_status:
            match = _STATUS.fullmatch(value)
            if match is None:
                raise MalformedResponse(f"{value[:80]!r} is not a status of a final response")
            found_status = True
            status, reason = int(match[1]), match[2] or ""
            continue
        if lower == "connection":
            of_this_hop.update(option.strip().lower() for option in value.split(","))
        if lower in HOP_BY_HOP and not keep_hop_by_hop:
            continue
        if lower == "content-length":
            given = content_length(value)
            if given is None:
                raise MalformedResponse(f"its Content-Length is {value[:80]!r}")
            if length is not None:
                if given != length:
                    raise MalformedResponse("it has two Content-Lengths that differ")
                continue
            length = given
        if lower == "location" and not found_status and status == 200:
            status, reason = 302, "Found"  # RFC 3875 §6.2.3, unless a status follows
        headers.append((name, value))
    if of_this_hop and not keep_hop_by_hop:
        headers = [(name, value) for name, value in headers if name.lower() not in of_this_hop]
    return ResponseHead(status, reason, headers)


def _malformed_line(text: str) -> str:
    """The first line that is no header line."""
    return next(line for line in _LINE.split(text) if not _FIELDS.fullmatch(line))


class HeaderLines(HTTPHeaders):
    """Header lines as Tornado is to write them: their order, spelling and repetition kept.

    Only what :meth:`tornado.httputil.HTTPConnection.write_headers` needs of a mapping is here.
    """

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self._lines = list(lines)
        self._values = {name.lower(): value for name, value in self._lines}

    def get_all(self) -> Iterable[tuple[str, str]]:
        return self._lines

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __setitem__(self, name: str, value: str) -> None:
        self._lines.append((name, value))
        self._values[name.lower()] = value
