"""The wire between gateway and responder: FastCGI 1.0, as pure functions of bytes.

Nothing here opens a socket, sleeps or logs. The gateway and the responder feed in the bytes they
read and send the bytes they get back, so every property of the protocol can be tested on bytes
alone, split anywhere.

A *record* is eight bytes of header and up to 65,535 bytes of content (FastCGI 1.0 §3.3). A
request is one ``BEGIN_REQUEST`` record, then ``PARAMS`` records up to an empty one, then ``STDIN``
records up to an empty one. Its answer is ``STDOUT`` and ``STDERR`` records and one
``END_REQUEST``. A response that stops without ``END_REQUEST`` is known to be cut off.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from typing import AnyStr, NamedTuple

__all__ = [
    "ABORT_REQUEST",
    "AUTHORIZER",
    "BEGIN_REQUEST",
    "BREAK",
    "CANT_MPX_CONN",
    "CONTROL_PARAM",
    "END_REQUEST",
    "FILTER",
    "GATEWAY_SOFTWARE",
    "GET_VALUES",
    "GET_VALUES_RESULT",
    "INSPECT",
    "KEEP_CONN",
    "MAX_CONTENT",
    "NULL_REQUEST_ID",
    "OVERLOADED",
    "PARAMS",
    "RECEIVED_PARAM",
    "REQUEST_COMPLETE",
    "RESPONDER",
    "STDERR",
    "STDIN",
    "STDOUT",
    "STOP",
    "UNKNOWN_ROLE",
    "UNKNOWN_TYPE",
    "UPGRADE_PARAM",
    "BeginRequest",
    "EndRequest",
    "ProtocolError",
    "Record",
    "RecordReader",
    "decode_begin_request",
    "decode_end_request",
    "decode_pairs",
    "decode_text_pairs",
    "encode_begin_request",
    "encode_end_request",
    "encode_pairs",
    "encode_record",
    "encode_stream",
    "encode_unknown_type",
]

VERSION = 1

# Record types, §8.
BEGIN_REQUEST = 1
ABORT_REQUEST = 2
END_REQUEST = 3
PARAMS = 4
STDIN = 5
STDOUT = 6
STDERR = 7
GET_VALUES = 9
GET_VALUES_RESULT = 10
UNKNOWN_TYPE = 11

# Roles, §5.1.
RESPONDER = 1
AUTHORIZER = 2
FILTER = 3

KEEP_CONN = 1
"""The flag of ``BEGIN_REQUEST`` that leaves the link open after the request (§5.1)."""

# Protocol statuses of END_REQUEST, §5.5.
REQUEST_COMPLETE = 0
CANT_MPX_CONN = 1
OVERLOADED = 2
UNKNOWN_ROLE = 3

NULL_REQUEST_ID = 0
"""The request id of management records (§3.3)."""

CONTROL_PARAM = b"FLASKSERVE_CONTROL"
"""The parameter by which the server speaks to the responder itself, not to the app. No HTTP request
can set it: what a client sends arrives under ``HTTP_`` names."""

STOP = b"stop"
"""The value of :data:`CONTROL_PARAM` that asks the responder to stop its mount."""

INSPECT = b"inspect"
"""The value of :data:`CONTROL_PARAM` by which a request goes to the mount's inspector, which tells
of its app, and not to the app."""

RECEIVED_PARAM = b"FLASKSERVE_RECEIVED"
"""The parameter by which the gateway says when it had the request's head: seconds of the monotonic
clock, which the processes of a machine share. The app never sees it."""

UPGRADE_PARAM = b"FLASKSERVE_UPGRADE"
"""The parameter by which the gateway says that it can turn the link into a plain stream of bytes.
The responder does so by answering with ``Status: 101``; what follows that record are no records."""

GATEWAY_SOFTWARE = "jupyter_flaskserve"
"""``SERVER_SOFTWARE`` of our own gateway, which heeds the app status of ``END_REQUEST``."""

BREAK = bytes(8)
"""A header of version 0, which no peer takes: it breaks a response off where the peer would not
heed an app status that says so."""

MAX_CONTENT = 65535
"""The most content one record carries, in bytes (§3.3)."""

_PIECE = 65528  # The largest multiple of eight in a record: what follows stays aligned (§3.3).

_HEADER = struct.Struct("!BBHHBx")
_BEGIN = struct.Struct("!HB5x")
_END = struct.Struct("!IB3x")
_LONG_LENGTH = struct.Struct("!I")


class ProtocolError(ValueError):
    """The peer sent bytes that are not FastCGI 1.0. The link cannot be used any further."""


class Record(NamedTuple):
    """One record, without its padding."""

    type: int
    request_id: int
    content: bytes


class BeginRequest(NamedTuple):
    """The content of a ``BEGIN_REQUEST`` record (§5.1)."""

    role: int
    flags: int


class EndRequest(NamedTuple):
    """The content of an ``END_REQUEST`` record (§5.5)."""

    app_status: int
    protocol_status: int


def encode_record(type: int, request_id: int, content: bytes = b"") -> bytes:
    """Encode one record.

    :param type: one of the record types of §8.
    :param request_id: 0 for management records, otherwise 1 to 65,535.
    :param content: at most :data:`MAX_CONTENT` bytes.
    :raises ValueError: the content is longer than one record carries.
    """
    if len(content) > MAX_CONTENT:
        raise ValueError(f"a record carries at most {MAX_CONTENT} bytes, not {len(content)}")
    return _HEADER.pack(VERSION, type, request_id, len(content), 0) + content


def encode_stream(type: int, request_id: int, data: bytes | memoryview) -> bytes:
    """Encode data of any length as records of a stream (§3.3). Empty data gives no bytes.

    The record that ends a stream is an empty one: ``encode_record(type, request_id)``.
    """
    size = len(data)
    if 0 < size <= MAX_CONTENT:
        return _HEADER.pack(VERSION, type, request_id, size, 0) + data
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for start in range(0, size, _PIECE):
        piece = view[start : start + _PIECE]
        parts += (_HEADER.pack(VERSION, type, request_id, len(piece), 0), piece)
    return b"".join(parts)


def encode_begin_request(request_id: int, *, role: int = RESPONDER, keep: bool = True) -> bytes:
    """Encode ``BEGIN_REQUEST`` (§5.1). ``keep`` asks the peer to leave the link open afterwards."""
    return encode_record(BEGIN_REQUEST, request_id, _BEGIN.pack(role, KEEP_CONN if keep else 0))


def encode_end_request(
    request_id: int, app_status: int = 0, protocol_status: int = REQUEST_COMPLETE
) -> bytes:
    """Encode ``END_REQUEST`` (§5.5). A non-zero ``app_status`` says that the app failed."""
    return encode_record(END_REQUEST, request_id, _END.pack(app_status, protocol_status))


def encode_unknown_type(type: int) -> bytes:
    """Encode the answer to a management record of a type that is not known (§4.2)."""
    return encode_record(UNKNOWN_TYPE, NULL_REQUEST_ID, bytes((type, 0, 0, 0, 0, 0, 0, 0)))


def decode_begin_request(content: bytes) -> BeginRequest:
    """Decode the content of ``BEGIN_REQUEST``.

    :raises ProtocolError: the content is not eight bytes long.
    """
    if len(content) != _BEGIN.size:
        raise ProtocolError(f"BEGIN_REQUEST of {len(content)} bytes, not {_BEGIN.size}")
    return BeginRequest(*_BEGIN.unpack(content))


def decode_end_request(content: bytes) -> EndRequest:
    """Decode the content of ``END_REQUEST``.

    :raises ProtocolError: the content is not eight bytes long.
    """
    if len(content) != _END.size:
        raise ProtocolError(f"END_REQUEST of {len(content)} bytes, not {_END.size}")
    return EndRequest(*_END.unpack(content))


def encode_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode name-value pairs (§3.4)."""
    parts: list[bytes] = []
    for name, value in pairs:
        name_size, value_size = len(name), len(value)
        if name_size < 128 and value_size < 128:
            parts += (bytes((name_size, value_size)), name, value)
        else:
            parts += (_encode_length(name_size), _encode_length(value_size), name, value)
    return b"".join(parts)


def decode_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Decode name-value pairs (§3.4), in order, duplicates included.

    :raises ProtocolError: a length runs past the end of the data.
    """
    return _cut_pairs(data, data)


def decode_text_pairs(data: bytes) -> list[tuple[str, str]]:
    """The same as text: each byte a character of ISO-8859-1, as PEP 3333 wants an environ.

    :raises ProtocolError: a length runs past the end of the data.
    """
    return _cut_pairs(data, data.decode("latin-1"))


def _cut_pairs(data: bytes, source: AnyStr) -> list[tuple[AnyStr, AnyStr]]:
    """Cut ``source``, which is as long as ``data``, where the lengths in ``data`` say."""
    pairs = []
    position, end = 0, len(data)
    try:
        while position < end:
            name_size, value_size = data[position], data[position + 1]
            if name_size < 128 and value_size < 128:
                position += 2
            else:
                name_size, position = _decode_length(data, position)
                value_size, position = _decode_length(data, position)
            middle = position + name_size
            stop = middle + value_size
            if stop > end:
                raise ProtocolError("a name-value pair runs past the end of its stream")
            pairs.append((source[position:middle], source[middle:stop]))
            position = stop
    except (IndexError, struct.error):
        raise ProtocolError("a name-value pair breaks off inside a length") from None
    return pairs


def _decode_length(data: bytes, position: int) -> tuple[int, int]:
    """A length of one byte or of four, and the position behind it."""
    size = data[position]
    if size < 128:
        return size, position + 1
    return _LONG_LENGTH.unpack_from(data, position)[0] & 0x7FFFFFFF, position + 4


def _encode_length(size: int) -> bytes:
    return bytes((size,)) if size < 128 else _LONG_LENGTH.pack(size | 0x80000000)


class RecordReader:
    """Cuts the bytes of a link into records. It never holds more than one unfinished record."""

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._wanted = _HEADER.size

    @property
    def between_records(self) -> bool:
        """Whether the bytes so far end where a record ends."""
        return not self._unfinished

    def feed(self, data: bytes | memoryview, limit: int = sys.maxsize) -> list[Record]:
        """Take the next bytes of the link, split anywhere, and return the records they complete.

        :param limit: the most records to return. What follows is kept: feed ``b""`` for more, or
            :meth:`take_rest`.
        :raises ProtocolError: a record is not of FastCGI version 1.
        """
        if self._unfinished:
            self._unfinished += data
            if len(self._unfinished) < self._wanted:
                return []
            data = bytes(self._unfinished)
            self._unfinished.clear()
        records: list[Record] = []
        position, end = 0, len(data)
        while True:
            if len(records) == limit:
                self._wanted = 0
                break
            start = position + 8
            if start > end:
                self._wanted = _HEADER.size
                break
            version, type, request_id, size, padding = _HEADER.unpack_from(data, position)
            if version != VERSION:
                raise ProtocolError(f"a record of FastCGI version {version}, not {VERSION}")
            stop = start + size
            if stop + padding > end:
                self._wanted = 8 + size + padding
                break
            records.append(Record(type, request_id, bytes(data[start:stop])))
            position = stop + padding
        if position < end:
            self._unfinished += data[position:]
        return records

    def take_rest(self) -> bytes:
        """The bytes behind the last record, which are then no records' any more."""
        rest = bytes(self._unfinished)
        self._unfinished.clear()
        return rest
